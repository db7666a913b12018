//! The pages under `/ui/`: HTML made here, useful without scripts. Pages of the registry call its operations as
//! `api` does; pages of accounts and administration ask `/api/v1`, in process. So nobody sees on a page what
//! they could not ask for otherwise.

mod account;
mod admin;
mod ask;
mod assets;
mod browse;
mod change;
mod difference;
pub(crate) mod elsewhere;
mod escape;
mod form;
pub mod fuzzed;
mod help;
mod markdown;
mod pictures;
pub(in crate::api) mod route;
mod shell;
mod text;
mod visit;
mod visitor;

use std::io::Write as _;
use std::num::NonZero;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::form::Pairs;
use self::route::{Part, Route};
use self::shell::Shell;
use self::visit::Visit;
use self::visitor::Visitor;
use super::body::{RequestBody, ResponseBody};
use super::v1::input::collect_arriving;
use super::v1::problem::{Code, Problem};
use super::{Answer, Call, cookies, request};

/// What paths of pages begin with.
pub(super) const ROOT: &str = "/ui";
/// How long a page waits for its turn.
const PATIENCE: Duration = Duration::from_secs(20);
/// Shorter ones are sent as they are.
const COMPRESSED_BYTES_MIN: usize = 512;

/// Scripts and styles are files of ours, forms go to us, nobody frames us (S52, S53).
const CONTENT_SECURITY_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// Where pages wait for their turn.
#[derive(Debug)]
pub(crate) struct Room {
    /// Of those that read lists and images.
    looks: Semaphore,
    /// Of all others: some wait for a password to be hashed, or for a look through everything, and nobody who
    /// looks at an image waits behind them.
    others: Semaphore,
}

/// Pages that are made at once at least: one may wait for something else than a core.
const LOOKS_MIN: usize = 2;
const OTHERS_MAX: usize = 8;

impl Default for Room {
    /// As many looks as half of the cores: each may work for some milliseconds, and pulls want their share.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            looks: Semaphore::new((cores / 2).max(LOOKS_MIN)),
            others: Semaphore::new(OTHERS_MAX),
        }
    }
}

impl Room {
    /// Where the page of a route waits.
    fn of(&self, route: Option<&Route>) -> &Semaphore {
        match route {
            Some(Route::Home | Route::Search | Route::Namespace(_) | Route::Repository(..))
            | None => &self.looks,
            Some(
                Route::Account(_)
                | Route::Admin(_)
                | Route::Help(_)
                | Route::Preferences
                | Route::Asset { .. },
            ) => &self.others,
        }
    }
}

/// Whether a path is a page's: what of it stands behind [`ROOT`].
pub(super) fn path_below(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(ROOT)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Whether a browser asks for a page, not a program for an answer of the registry's.
pub(super) fn wants_page<B>(request: &Request<B>) -> bool {
    let accept = request::text(request.headers(), &header::ACCEPT);
    *request.method() == Method::GET && accept.is_some_and(|accept| accept.contains("text/html"))
}

/// The way from what somebody typed behind the host to its page: the start page, or an image's.
pub(super) fn way_from(call: &Call, path: &str) -> Option<Answer> {
    let page = if path == "/" {
        format!("{ROOT}/")
    } else {
        route::page_of_reference(path)?
    };
    Some(visit::see_other(&call.settings.http.outer_path(&page)))
}

/// Answers a request whose path is `rest` behind [`ROOT`].
pub(super) async fn answer(call: Call, rest: &str, request: Request<Incoming>) -> Answer {
    let accepts_gzip = accepts_gzip(request.headers());
    let is_read = *request.method() != Method::POST;
    let answer = Box::pin(handle(call, rest, request)).await;
    guarded(answer, accepts_gzip && is_read)
}

/// With the headers that every page has (S52), and compressed if it may be: what is shown once and made of what
/// was posted may not, for its length would tell of both.
fn guarded(mut answer: Answer, may_compress: bool) -> Answer {
    let headers = answer.headers_mut();
    let is_asset = headers.contains_key(header::CACHE_CONTROL);
    if !is_asset {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    }
    let same_origin = HeaderValue::from_static("same-origin");
    headers.insert(header::REFERRER_POLICY, same_origin.clone());
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        same_origin.clone(),
    );
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        same_origin,
    );
    if may_compress && !is_asset {
        return compressed(answer);
    }
    answer
}

async fn handle(mut call: Call, rest: &str, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let route = Route::parse(rest);
    if let Some(Route::Asset { version, file }) = &route {
        return assets::answer(version, file, accepts_gzip(&head.headers));
    }
    if call.settings.index.is_some() && comes_from_elsewhere(&head.method, &head.headers) {
        return once_more();
    }
    let shell = Shell::of(&call, &head);
    let is_post = head.method == Method::POST;
    let mut visit = Visit {
        visitor: Visitor::stranger(&call),
        query: Pairs::parse(head.uri.query().unwrap_or_default().as_bytes()),
        form: Pairs::default(),
        method: head.method.clone(),
        shell,
        call: call.clone(),
    };
    if !matches!(head.method, Method::GET | Method::HEAD | Method::POST) {
        return visit.refuse(visit.method_not_allowed("GET, HEAD, POST"));
    }
    if is_post && !cookies::is_own_page(&head.headers, &call.caller.source) {
        return visit.refuse(Problem::new(
            StatusCode::FORBIDDEN,
            Code::CrossSite,
            "the request does not say that it comes from a page of this registry",
        ));
    }
    match Visitor::identify(&mut call, &head.method, &head.headers).await {
        Ok(visitor) => {
            visit.shell.know(&visitor);
            visit.visitor = visitor;
            visit.call = call;
        }
        // Showing a page to sign in on would show the same again.
        Err(problem) => return shell::refusal(&visit, problem, false),
    }
    if is_post {
        let body = RequestBody::new(body, visit.call.api.timeouts);
        match collect_arriving(&head.headers, body).await {
            Ok(content) => visit.form = Pairs::parse(&content),
            Err(problem) => return visit.refuse(problem),
        }
    }
    let api = std::sync::Arc::clone(&visit.call.api);
    let Ok(Ok(_turn)) = timeout(PATIENCE, api.pages.of(route.as_ref()).acquire()).await else {
        return visit.refuse(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Code::Unavailable,
            "too many pages are asked for",
        ));
    };
    let refusing = visit.clone();
    match page(visit, route).await {
        Ok(answer) => answer,
        Err(problem) => refusing.refuse(problem),
    }
}

/// The page of a route.
async fn page(visit: Visit, route: Option<Route>) -> Result<Answer, Problem> {
    match route.ok_or_else(Problem::not_found)? {
        Route::Home => browse::home::page(visit).await,
        Route::Search => browse::search::page(visit).await,
        Route::Namespace(name) => browse::namespace::page(visit, name).await,
        Route::Repository(mut name, part) => {
            visit.call.settings.name(&mut name);
            match part {
                Part::Overview => browse::repository::page(visit, name).await,
                Part::Tags => browse::tags::page(visit, name).await,
                Part::Image(reference, view) => {
                    browse::image::page(visit, name, reference, view).await
                }
                Part::Compare => browse::compare::page(visit, name).await,
                Part::History => change::history::page(visit, name).await,
                Part::Restore => change::history::restore(visit, name).await,
                Part::Delete => change::delete::page(visit, name).await,
                Part::Undelete => change::undelete::undelete(visit, name).await,
                Part::Deleted => change::undelete::page(visit, name).await,
                Part::Settings => account::repository::settings(visit, name).await,
                Part::Access => account::repository::access(visit, name).await,
                Part::Star => account::repository::star(visit, name).await,
            }
        }
        Route::Account(segments) => account::page(visit, &segments).await,
        Route::Admin(segments) => admin::page(visit, &segments).await,
        Route::Help(segments) => help::page(visit, &segments).await,
        Route::Preferences => {
            visit.only_changes()?;
            Ok(shell::preferences(&visit.shell, &visit.form))
        }
        Route::Asset { .. } => Err(Problem::not_found()),
    }
}

/// Whether a link on another site led here, so that the browser kept the session's cookie to itself: it is of
/// `SameSite=Strict`.
fn comes_from_elsewhere(method: &Method, headers: &HeaderMap) -> bool {
    let says = |name: &'static str| request::text(headers, &HeaderName::from_static(name));
    *method == Method::GET
        && says("sec-fetch-site") == Some("cross-site")
        && says("sec-fetch-mode") == Some("navigate")
        && cookies::find(headers, cookies::SESSION).is_none()
}

/// Has the browser ask again, from a page of ours: then it shows its cookie, if it has one.
fn once_more() -> Answer {
    let page = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"0\"><title>Layerhouse</title></html>";
    super::json(StatusCode::OK, "text/html; charset=utf-8", page.into())
}

/// Makes a page where it may wait for the database, away from what serves pulls.
///
/// # Errors
/// What `work` says.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// Whether `Accept-Encoding` has gzip (RFC 9110, 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accepted = request::text(headers, &header::ACCEPT_ENCODING).unwrap_or_default();
    accepted.split(',').any(|coding| {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let is_refused = matches!(parameters.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

fn gzip(content: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(content).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn compressed(mut answer: Answer) -> Answer {
    let ResponseBody::Whole(content) = answer.body() else {
        return answer;
    };
    if content.len() < COMPRESSED_BYTES_MIN {
        return answer;
    }
    let content = gzip(content, Compression::new(4));
    *answer.body_mut() = ResponseBody::from(content);
    let gzip = HeaderValue::from_static("gzip");
    answer.headers_mut().insert(header::CONTENT_ENCODING, gzip);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        let check = |text: &str, expected: bool| {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_str(text).expect("a header");
            headers.insert(header::ACCEPT_ENCODING, value);
            assert_eq!(accepts_gzip(&headers), expected, "{text}");
        };
        check("gzip, deflate, br", true);
        check("br;q=1.0, GZIP;q=0.8", true);
        check("gzip;q=0", false);
        check("identity", false);
        check("", false);
    }
}
