//! The same pages for another registry: a server of their own (`layerhouse ui`), which knows what that registry
//! tells through `/v2/` and nothing else. It acts with one login, whoever asks; so it asks to be alone with its
//! operator, and lets no other site's page act through their browser.

mod delete;
mod image;
mod lists;
mod repository;
mod source;

use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use layerhouse_oci::name::RepositoryName;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use self::source::Source;
use super::form::Pairs;
use super::route::{self, Part, Route, View};
use super::shell::{self, Shell, look};
use super::visit::see_other;
use super::{PATIENCE, accepts_gzip, assets, guarded, path_below, text};
use crate::api::body::{RequestBody, ResponseBody};
use crate::api::v1::input::collect_arriving;
use crate::api::v1::problem::{Code, Problem};
use crate::api::{Answer, plain, request, small};
use crate::clock::{Clock, Random};
use crate::config::elsewhere::Elsewhere;
use crate::config::meaning::Timeouts;
use crate::outbound::upstream::Upstream;
use crate::outbound::upstream::dial::OpenUpstreamError;

/// Pages that wait for the registry at once.
const PAGES_MAX: usize = 16;
/// Of browsers, and of a proxy before us.
const TIMEOUTS: Timeouts = Timeouts {
    head: Duration::from_secs(10),
    idle: Duration::from_mins(2),
    stall: Duration::from_mins(1),
    stall_bytes: 8 << 10,
};

/// The pages of another registry.
pub(crate) struct Site {
    source: Source,
    room: Semaphore,
    /// Its address, as it is asked, and what stands before a repository's name in references.
    url: String,
    host: String,
    /// Names by which browsers may call us.
    own_hosts: Vec<String>,
    is_read_only: bool,
    has_library: bool,
    clock: Clock,
    random: Random,
}

/// A request for a page.
struct Look {
    site: Arc<Site>,
    shell: Shell,
    query: Pairs,
    form: Pairs,
    is_post: bool,
}

impl Site {
    /// # Errors
    /// A file that the settings name cannot be read, or is not what it should be.
    pub(crate) fn open(
        settings: &Elsewhere,
        clock: Clock,
        random: Random,
    ) -> Result<Self, OpenUpstreamError> {
        let url = settings.url().to_owned();
        let authority = url.split_once("://").map_or(&*url, |(_, rest)| rest);
        // Clients call it by another name than that of its registry.
        let host = match authority {
            "registry-1.docker.io" => "docker.io",
            authority => authority,
        };
        Ok(Self {
            source: Source::new(Upstream::open(&settings.registry, &clock)?),
            room: Semaphore::new(PAGES_MAX),
            host: host.to_owned(),
            own_hosts: settings.hosts.clone(),
            is_read_only: settings.is_read_only,
            has_library: settings.registry.has_library,
            url,
            clock,
            random,
        })
    }

    /// Serves until `stop` becomes true.
    pub(crate) async fn serve(self, listener: TcpListener, stop: watch::Receiver<bool>) {
        let site = Arc::new(self);
        small::serve(listener, "the pages", TIMEOUTS, stop, move |request| {
            let site = Arc::clone(&site);
            async move { site.answer(request).await }
        })
        .await;
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let is_head = *request.method() == Method::HEAD;
        let ends_connection = request::ends_connection(&request);
        let mut answer = self.respond(request).await;
        let length = HeaderValue::from(answer.body().length_bytes());
        let headers = answer.headers_mut();
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        headers.insert(header::CONTENT_LENGTH, length);
        if ends_connection {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if is_head {
            *answer.body_mut() = ResponseBody::Empty;
        }
        answer
    }

    async fn respond(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        if let Err(refused) = request::check_size(&request) {
            return refused.into_answer();
        }
        if !self.is_own_name(&request) {
            return plain(
                StatusCode::MISDIRECTED_REQUEST,
                "these pages are not known by this name: use their address, or allow the name with --host\n",
            );
        }
        let path = request.uri().path();
        if path == "/healthz" {
            return plain(StatusCode::OK, "ok\n");
        }
        let Some(rest) = path_below(path) else {
            let page = match path {
                "/" => Some("/ui/".to_owned()),
                path => route::page_of_reference(path),
            };
            return page.map_or_else(
                || plain(StatusCode::NOT_FOUND, "there is nothing here; see /ui/\n"),
                |page| see_other(&page),
            );
        };
        let (rest, accepts_gzip) = (rest.to_owned(), accepts_gzip(request.headers()));
        let is_read = *request.method() != Method::POST;
        let answer = Box::pin(self.handle(&rest, request)).await;
        guarded(answer, accepts_gzip && is_read)
    }

    async fn handle(self: Arc<Self>, rest: &str, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let route = Route::parse(rest);
        if let Some(Route::Asset { version, file }) = &route {
            return assets::answer(version, file, accepts_gzip(&head.headers));
        }
        let query = Pairs::parse(head.uri.query().unwrap_or_default().as_bytes());
        let mut look = Look {
            shell: self.shell(&head, &query),
            is_post: head.method == Method::POST,
            form: Pairs::default(),
            query,
            site: self,
        };
        match look.page(route, &head, body).await {
            Ok(answer) => answer,
            Err(problem) => shell::refused(&look.shell, problem),
        }
    }

    /// The whole name of what Docker Hub's users call `nginx`.
    fn whole(&self, name: RepositoryName) -> RepositoryName {
        if self.has_library && !name.as_str().contains('/') {
            return format!("library/{name}").parse().unwrap_or(name);
        }
        name
    }

    /// Whether the request names us as its operator does: another name may be one that somebody else had point
    /// here, to have a browser read these pages to a page of theirs ("DNS rebinding"). An address is nobody's.
    fn is_own_name(&self, request: &Request<Incoming>) -> bool {
        let Some(host) = request::text(request.headers(), &header::HOST) else {
            return true;
        };
        let host = host.to_lowercase();
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            Some(_) | None => &host,
        };
        let address = name.trim_matches(['[', ']']);
        name == "localhost"
            || address.parse::<std::net::IpAddr>().is_ok()
            || self
                .own_hosts
                .iter()
                .any(|own| *own == name || *own == host)
    }

    fn shell(&self, head: &Parts, query: &Pairs) -> Shell {
        let (language, theme) = look(&head.headers, query);
        let said = query.get("said").map(|key| format!("said.{key}"));
        let path = head.uri.path_and_query();
        Shell {
            root: String::new(),
            language,
            theme,
            user: None,
            is_admin: false,
            has_accounts: false,
            is_open: false,
            path: path.map_or("", |path| path.as_str()).to_owned(),
            host: self.host.clone(),
            base_url: self.url.clone(),
            searched: query.get("q").unwrap_or_default().to_owned(),
            now: self.clock.now(),
            notice: said.and_then(|key| text::find(language, &key)),
            undo: None,
            request_id: self.random.request_id().to_string(),
            elsewhere: Some(self.url.clone()),
        }
    }
}

impl Look {
    async fn page(
        &mut self,
        route: Option<Route>,
        head: &Parts,
        body: Incoming,
    ) -> Result<Answer, Problem> {
        if !matches!(head.method, Method::GET | Method::HEAD | Method::POST) {
            return Err(not_allowed("GET, HEAD, POST"));
        }
        if self.is_post {
            if !is_own_page(&head.headers) {
                return Err(Problem::new(
                    StatusCode::FORBIDDEN,
                    Code::CrossSite,
                    "the request does not say that it comes from a page of ours",
                ));
            }
            let body = RequestBody::new(body, TIMEOUTS);
            let content = collect_arriving(&head.headers, body).await?;
            self.form = Pairs::parse(&content);
        }
        let Ok(Ok(_turn)) = timeout(PATIENCE, self.site.room.acquire()).await else {
            return Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                Code::Unavailable,
                "too many pages are asked for",
            ));
        };
        let route = route.ok_or_else(Problem::not_found)?;
        let takes_posts = matches!(
            route,
            Route::Preferences | Route::Repository(_, Part::Delete)
        );
        if self.is_post && !takes_posts {
            return Err(not_allowed("GET, HEAD"));
        }
        match route {
            Route::Home => lists::home(self).await,
            Route::Search => lists::search(self).await,
            Route::Namespace(name) => lists::namespace(self, &name).await,
            Route::Repository(name, part) => self.part(self.site.whole(name), part).await,
            Route::Preferences if self.is_post => Ok(shell::preferences(&self.shell, &self.form)),
            Route::Preferences => Err(not_allowed("POST")),
            Route::Account(_) | Route::Admin(_) | Route::Help(_) | Route::Asset { .. } => {
                Err(Problem::not_found())
            }
        }
    }

    async fn part(&self, name: RepositoryName, part: Part) -> Result<Answer, Problem> {
        match part {
            Part::Overview => repository::overview(self, &name).await,
            Part::Tags => repository::tags(self, &name).await,
            Part::Image(reference, view) if view != View::History => {
                image::page(self, &name, &reference, view).await
            }
            Part::Compare => image::compare(self, &name).await,
            Part::Delete => delete::page(self, &name).await,
            // What only a registry's own tables tell.
            Part::Image(..)
            | Part::History
            | Part::Restore
            | Part::Undelete
            | Part::Deleted
            | Part::Settings
            | Part::Access
            | Part::Star => Err(Problem::not_found()),
        }
    }

    fn source(&self) -> &Source {
        &self.site.source
    }

    /// Whether pages offer to delete; what the registry allows, it says when it is asked.
    fn may_delete(&self) -> bool {
        !self.site.is_read_only
    }
}

fn not_allowed(allow: &'static str) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        Code::MethodNotAllowed,
        format!("here one may use {allow}"),
    )
    .with(header::ALLOW, HeaderValue::from_static(allow))
}

/// Whether a form was posted from a page of ours (S53): a browser says so, and lets no page say otherwise. A proxy
/// before us may speak TLS where we do not.
fn is_own_page(headers: &HeaderMap) -> bool {
    let fetch_site = HeaderName::from_static("sec-fetch-site");
    if let Some(site) = request::text(headers, &fetch_site) {
        return site == "same-origin";
    }
    let origin = request::text(headers, &header::ORIGIN);
    let origin = origin.and_then(|origin| origin.split_once("://"));
    let host = request::text(headers, &header::HOST);
    matches!((origin, host), (Some((_, origin)), Some(host)) if origin.eq_ignore_ascii_case(host))
}
