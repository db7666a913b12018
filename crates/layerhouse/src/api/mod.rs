//! HTTP, and only here: routes, headers, status codes. A handler reads a request, asks `auth`, calls
//! one operation of `registry` and says what came of it.

mod access_log;
mod authenticate;
mod beside;
mod blobs;
mod body;
mod connection;
pub(crate) mod console;
mod cookies;
pub(crate) mod debug;
mod error;
mod fetches;
pub(crate) mod listen;
mod lists;
pub(crate) mod manifests;
mod mirror;
mod oidc;
mod outlet;
pub(crate) mod rate;
pub(crate) mod record;
mod request;
mod room;
mod search;
mod small;
pub(crate) mod sockets;
mod source;
mod stall;
pub(crate) mod tls;
mod token;
mod transport;
pub(crate) mod ui;
mod uploads;
mod v1;

use std::future::Future;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use authenticate::Application;
use beside::Beside;
use body::ResponseBody;
use error::ApiError;
use futures_util::FutureExt;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::route::{Route, RouteError};
use mirror::Through;
use record::{Observers, Record, Watched};
use tokio::sync::{Semaphore, watch};

use crate::auth::access::Access;
use crate::auth::authenticator::{AuthError, Authenticator, TOKEN_PATH};
use crate::auth::indexed::Indexed;
use crate::auth::{Caller, ClientAddress, Identity, Policy};
use crate::clock::Clock;
use crate::config::meaning::rate::RateLimits;
use crate::config::meaning::{Auth, Config, Http, Timeouts};
use crate::config::show::Effective;
use crate::fault::{Fault, FaultKind};
use crate::index::Index;
use crate::registry::Registry;
use crate::registry::manifest_rules::ManifestRules;
use crate::registry::mirror::routing::Source;

/// Longest path and query: 255 bytes of name, a digest, and a query of names and digests, many times.
const URI_BYTES_MAX: usize = 8 << 10;
/// How long `/readyz` waits for the disk.
const READY_PATIENCE: Duration = Duration::from_secs(10);
/// Largest head of a request, without its first line.
const HEADER_BYTES_MAX: usize = 32 << 10;
/// Longest text of a client's that is logged.
const LOGGED_BYTES_MAX: usize = 1 << 10;

/// `Docker-Distribution-API-Version`, by which Docker tells a registry from a web server.
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

pub(crate) type Answer = Response<ResponseBody>;

/// What the handlers share for as long as the server runs.
pub(crate) struct Api {
    pub(crate) registry: Arc<Registry>,
    /// What a reload of the configuration may change.
    pub(crate) settings: ArcSwap<Settings>,
    pub(crate) timeouts: Timeouts,
    pub(crate) is_stopping: watch::Receiver<bool>,
    /// When the last look at the disk for `/readyz` began, and what came of it.
    pub(crate) readiness: tokio::sync::Mutex<Option<(Instant, bool)>>,
    /// See [`manifests::MANIFEST_ROOM_KIB`].
    pub(crate) manifest_room_kib: Semaphore,
    /// Where pages wait for their turn.
    pub(crate) pages: ui::Room,
    /// See `layerhouse.index.ratelimit`.
    pub(crate) windows: rate::Windows,
    pub(crate) observers: Arc<Observers>,
    /// Absent if plain HTTP is spoken.
    pub(crate) tls: Option<Arc<tls::Tls>>,
}

/// The part of the configuration that answers depend on; a request sees one state of it.
pub(crate) struct Settings {
    policy: Policy,
    authenticator: Arc<Authenticator>,
    http: Arc<Http>,
    /// Entries of one page.
    catalog_max: usize,
    tags_max: usize,
    manifest_rules: Arc<ManifestRules>,
    has_access_log: bool,
    /// Whether there are pages under `/ui/`.
    has_pages: bool,
    /// The operations on accounts, where there are any.
    index: Option<Index>,
    /// The configuration's values, for who looks after the server.
    said: Effective,
    rates: RateLimits,
}

impl Settings {
    pub(crate) fn new(
        config: &Config,
        authenticator: Arc<Authenticator>,
        before: Option<&Self>,
    ) -> Self {
        let index = authenticator.indexed().map(|indexed| {
            let directory = indexed.directory().clone();
            match before.and_then(|before| before.index.as_ref()) {
                Some(before) => before.with(directory),
                None => Index::new(directory),
            }
        });
        Self {
            authenticator,
            index,
            said: Effective::new(config, before.map(|before| &before.said)),
            policy: Policy {
                allows_delete: config.allows_delete,
                is_read_only: config.is_read_only,
            },
            http: Arc::new(config.http.clone()),
            catalog_max: config.catalog_max,
            tags_max: config.tags_max,
            manifest_rules: Arc::new(
                ManifestRules::new(&config.validation).expect("the configuration compiled them"),
            ),
            has_access_log: config.log.has_access_log,
            has_pages: config.has_pages,
            rates: config
                .index
                .as_ref()
                .map_or_else(RateLimits::default, |index| index.rates),
        }
    }

    /// The one name of a repository that has two, where the index knows them.
    fn name(&self, repository: &mut RepositoryName) {
        if self.authenticator.indexed().is_some() {
            *repository = repository.clone().canonical();
        }
    }
}

/// The other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Absent for a Unix socket.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) has_tls: bool,
    /// Whether it is the console, which makes it an administrator.
    pub(crate) is_console: bool,
    /// Of the client, in DER, if it was verified.
    pub(crate) certificate: Option<Arc<[u8]>>,
}

/// One request being answered: what its handler needs beside the request itself.
#[derive(Clone)]
struct Call {
    api: Arc<Api>,
    settings: Arc<Settings>,
    caller: Arc<Caller>,
    /// Set once it is found out who asks, for those who note it.
    admitted: Arc<OnceLock<Arc<Caller>>>,
}

impl Api {
    /// What of `config` can change while the server runs, to be stored in `settings`. The authenticator goes
    /// on if it would be the same: its users stay signed in.
    ///
    /// # Errors
    /// Users or keys cannot be read.
    pub(crate) fn prepare(&self, config: &Config, clock: &Clock) -> Result<Settings, AuthError> {
        let settings = self.settings.load();
        let before = Arc::clone(&settings.authenticator);
        let new = |authenticator| Settings::new(config, authenticator, Some(&settings));
        if before.is_of(&config.auth, config.index.as_ref()) {
            return Ok(new(before));
        }
        let random = self.registry.random();
        let opened = Authenticator::open(&config.auth, clock, random, before.sealing())?;
        let directory = before.indexed().map(Indexed::directory);
        let authenticator = match (&config.index, directory) {
            (Some(index), Some(directory)) => {
                opened.with_index(index, directory.with(index.clone()))?
            }
            (None, None) => opened,
            (Some(_), None) | (None, Some(_)) => {
                tracing::warn!("layerhouse.index: the index comes and goes with a restart only");
                return Ok(new(before));
            }
        };
        Ok(new(Arc::new(authenticator)))
    }

    /// The operations on accounts, where there are any.
    pub(crate) fn index(&self) -> Option<Index> {
        self.settings.load().index.clone()
    }

    /// Whether callers must sign in.
    pub(crate) fn wants_sign_in(&self) -> bool {
        let settings = self.settings.load();
        let authenticator = &settings.authenticator;
        *authenticator.config() != Auth::None || authenticator.indexed().is_some()
    }

    /// Answers one request; whatever happens within, it is an answer.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
    ) -> Response<Watched> {
        let settings = self.settings.load_full();
        let method = request.method().clone();
        let ends_connection = request::ends_connection(&request);
        let is_read = matches!(method, Method::GET | Method::HEAD | Method::OPTIONS);
        let is_console = peer.is_console;
        // Until `admit` has found out who asks, nobody does, and nobody may do anything.
        let call = Call {
            caller: Arc::new(Caller {
                identity: Identity::Anonymous,
                access: Access::Nothing,
                source: source::of(&request, peer, &settings.http, self.registry.random()).into(),
            }),
            admitted: Arc::default(),
            settings: Arc::clone(&settings),
            api: Arc::clone(&self),
        };
        let path = settings.inner_path(request.uri().path());
        let record = Record::begin(
            &self.observers,
            settings.has_access_log,
            &request,
            path,
            (Arc::clone(&call.caller), Arc::clone(&call.admitted)),
            self.registry.clock().now(),
        );
        let is_probe = matches!(path, "/healthz" | "/readyz");
        // Who looks after the server is let in all the same: to see what is wrong, and to make room.
        let is_kept_out = self.observers.checks.is_failing() && !is_probe && !is_console;
        let result = if is_kept_out {
            Ok(debug::unavailable())
        } else if is_read {
            caught(call.handle(request)).await
        } else {
            // On its own task, a write that began is finished though its client went away.
            let task = tokio::spawn(caught(call.handle(request)));
            task.await.unwrap_or_else(|_| Err(panicked()))
        };
        let mut answer = result.unwrap_or_else(ApiError::into_answer);
        settings.complete(&method, &mut answer);
        if ends_connection {
            let close = HeaderValue::from_static("close");
            answer.headers_mut().insert(header::CONNECTION, close);
        }
        record.follow(answer)
    }
}

impl Api {
    /// Whether the disk and the database take what is written. One look at a time, and those who ask
    /// meanwhile share the next: anyone may ask, and a look is work for the disk.
    async fn is_ready(&self) -> bool {
        let asked = Instant::now();
        let mut last = self.readiness.lock().await;
        if let Some((began, is_ready)) = *last
            && asked <= began
        {
            return is_ready;
        }
        let began = Instant::now();
        let registry = Arc::clone(&self.registry);
        let checked = tokio::task::spawn_blocking(move || registry.check_ready());
        let is_ready = match tokio::time::timeout(READY_PATIENCE, checked).await {
            Ok(Ok(Ok(()))) => true,
            Ok(Ok(Err(fault))) => {
                tracing::warn!(%fault, "not ready");
                false
            }
            Ok(Err(_)) => false,
            Err(_) => {
                tracing::warn!("not ready: the disk does not answer");
                false
            }
        };
        *last = Some((began, is_ready));
        is_ready
    }
}

impl Call {
    async fn handle(self, request: Request<Incoming>) -> Result<Answer, ApiError> {
        request::check_size(&request)?;
        let settings = Arc::clone(&self.settings);
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        // A watchdog finds these wherever `http.prefix` moved the rest.
        match request.uri().path() {
            "/" | "/healthz" | "/readyz" if !is_read => {
                return Err(ApiError::from(RouteError::MethodNotAllowed {
                    allow: "GET, HEAD",
                }));
            }
            "/" if settings.has_pages && ui::wants_page(&request) => {
                return Ok(ui::way_from(&self, "/").unwrap_or_else(front_door));
            }
            "/" => return Ok(front_door()),
            "/healthz" => return Ok(plain(StatusCode::OK, "ok\n")),
            "/readyz" => return self.ready().await,
            // So do other processes of this registry.
            path if let Some(digest) = path.strip_prefix(fetches::PATH) => {
                return fetches::show(&self.api.registry, digest, &request).await;
            }
            _ => {}
        }
        let address = self.caller.source.address;
        let path = match address {
            // No proxy stands before it.
            ClientAddress::Console => request.uri().path(),
            ClientAddress::Direct(_) | ClientAddress::Forwarded(_) | ClientAddress::Unix => {
                settings
                    .http
                    .path_behind_prefix(request.uri().path())
                    .ok_or(RouteError::NotFound)?
            }
        };
        if settings.has_pages
            && !path.starts_with("/v2/")
            && ui::wants_page(&request)
            && let Some(way) = ui::way_from(&self, path)
        {
            return Ok(way);
        }
        if let Some(beside) = Beside::of(path, &settings, address) {
            return Box::pin(beside.serve(self, request)).await;
        }
        if path == TOKEN_PATH && is_read {
            let credentials = authenticate::credentials(request.headers());
            if let Some(answer) = authenticate::token(&self, credentials).await {
                return answer;
            }
        }
        let mut route = Route::parse(request.method().as_str(), path)?;
        let through = mirror::resolve(&self.api.registry, &settings, &mut route, &request)?;
        let application = Application::read(&route, &request, &settings);
        let admitted = self.admit(application).await?;
        match through {
            Through::Hosted => admitted.dispatch(route, None, request).await,
            Through::Copy(source) => admitted.dispatch(route, Some(&source), request).await,
            Through::Refused(refusal) => Err(refusal),
        }
    }

    /// `source` is where the repository is copied from, if it is a copy.
    async fn dispatch(
        self,
        route: Route,
        source: Option<&Source>,
        request: Request<Incoming>,
    ) -> Result<Answer, ApiError> {
        let (registry, policy) = (&self.api.registry, self.settings.policy);
        let who = &self.caller;
        match route {
            Route::Base => Ok(json(StatusCode::OK, "application/json", "{}".into())),
            Route::Preflight => Ok(preflight()),
            Route::Catalog => lists::catalog(&self, &policy.browse(who)?, &request),
            Route::ListTags { repository } => {
                let pull = policy.pull(who, &repository)?;
                lists::tags(&self, &pull, source, &request).await
            }
            Route::ListReferrers {
                repository,
                subject,
            } => {
                let pull = policy.pull(who, &repository)?;
                lists::referrers(&self, &pull, source, &subject, &request).await
            }
            Route::PullManifest {
                repository,
                reference,
            } => {
                let pull = policy.pull(who, &repository)?;
                let left = rate::pull(&self, request.method())?;
                let answer = manifests::pull(&self, &pull, source, &reference, &request).await?;
                Ok(rate::Allowance::told_in(left, answer))
            }
            Route::PushManifest {
                repository,
                reference,
            } => {
                let push = policy.push(who, &repository)?;
                Box::pin(manifests::push(&self, &push, &reference, request)).await
            }
            Route::DeleteManifest {
                repository,
                reference,
            } => {
                let delete = policy.delete(who, &repository)?;
                Box::pin(manifests::delete(registry, &delete, &reference)).await
            }
            Route::PullBlob { repository, digest } => {
                let pull = policy.pull(who, &repository)?;
                blobs::pull(registry, &pull, source, &digest, &request).await
            }
            Route::DeleteBlob { repository, digest } => {
                let delete = policy.delete(who, &repository)?;
                Box::pin(blobs::delete(registry, &delete, &digest)).await
            }
            Route::StartUpload { repository } => {
                let push = policy.push(who, &repository)?;
                Box::pin(uploads::start(&self, &push, request)).await
            }
            Route::UploadStatus { repository, upload } => {
                let push = policy.push(who, &repository)?;
                uploads::status(&self, &push, &upload)
            }
            Route::PushChunk { repository, upload } => {
                let push = policy.push(who, &repository)?;
                Box::pin(uploads::push_chunk(&self, &push, &upload, request)).await
            }
            Route::FinishUpload { repository, upload } => {
                let push = policy.push(who, &repository)?;
                Box::pin(uploads::finish(&self, &push, &upload, request)).await
            }
            Route::CancelUpload { repository, upload } => {
                let push = policy.push(who, &repository)?;
                Box::pin(uploads::cancel(registry, &push, &upload)).await
            }
        }
    }

    /// Whether pushes can be taken: 200, or 503 with the reason in the log.
    async fn ready(&self) -> Result<Answer, ApiError> {
        if *self.api.is_stopping.borrow() {
            return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"));
        }
        if self.api.observers.checks.is_failing() {
            let text = "not ready: a health check fails, see /debug/health on the debug address\n";
            return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, text));
        }
        Ok(if self.api.is_ready().await {
            plain(StatusCode::OK, "ready\n")
        } else {
            plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "not ready: pushes are refused, see the log\n",
            )
        })
    }
}

impl Settings {
    /// A path without the prefix that the operator chose.
    fn inner_path<'a>(&self, path: &'a str) -> &'a str {
        let prefix = self.http.prefix.trim_end_matches('/');
        path.strip_prefix(prefix).unwrap_or(path)
    }

    /// What every answer has, and what none to HEAD has.
    fn complete(&self, method: &Method, answer: &mut Answer) {
        let length_bytes = answer.body().length_bytes();
        let status = answer.status();
        let has_length = status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED;
        let headers = answer.headers_mut();
        headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        for (name, _) in &self.http.headers {
            headers.remove(name);
        }
        for (name, value) in &self.http.headers {
            headers.append(name.clone(), value.clone());
        }
        if has_length && !headers.contains_key(header::CONTENT_LENGTH) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length_bytes));
        }
        if method == Method::HEAD {
            *answer.body_mut() = ResponseBody::Empty;
        }
    }
}

/// A panic in one request is its 500 and harms no other.
fn caught(
    handling: impl Future<Output = Result<Answer, ApiError>>,
) -> impl Future<Output = Result<Answer, ApiError>> {
    // No `async`: that would hold the future in three places, for as long as the connection lives.
    let handling = AssertUnwindSafe(handling).catch_unwind();
    handling.map(|result| result.unwrap_or_else(|_| Err(panicked())))
}

fn panicked() -> ApiError {
    ApiError::from(Fault::plain(FaultKind::Other, "a request handler panicked"))
}

fn json(status: StatusCode, media_type: &'static str, content: Vec<u8>) -> Answer {
    let mut answer = Response::new(ResponseBody::from(content));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    answer
}

fn plain(status: StatusCode, text: &'static str) -> Answer {
    json(status, "text/plain; charset=utf-8", text.into())
}

/// Health checks of many an installation ask for it; a cache between must not answer them.
fn front_door() -> Answer {
    let mut answer = Response::new(ResponseBody::Empty);
    let uncached = HeaderValue::from_static("no-cache");
    answer.headers_mut().insert(header::CACHE_CONTROL, uncached);
    answer
}

fn preflight() -> Answer {
    let mut answer = Response::new(ResponseBody::Empty);
    *answer.status_mut() = StatusCode::NO_CONTENT;
    let allow = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    answer.headers_mut().insert(header::ALLOW, allow);
    answer
}

/// Bounded, and without characters that a terminal acts on: not every writer of logs escapes them all.
fn cut(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(LOGGED_BYTES_MAX)];
    if !text
        .bytes()
        .any(|byte| byte.is_ascii_control() || !byte.is_ascii())
    {
        return text.to_owned();
    }
    let shown = |character: char| {
        if character.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            character
        }
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S58: no request is known that panics, so the catch is tried by itself.
    #[tokio::test]
    async fn sec_s58_a_panic_is_an_answer() {
        let panics = caught(async { panic!("a mistake of ours") });
        let error = panics.await.expect_err("it panicked");
        assert_eq!(error.into_answer().status(), 500);
    }

    #[test]
    fn what_is_logged_is_bounded_and_harmless() {
        assert_eq!(
            cut("a\r\nb\u{1b}[31m\u{9b}é"),
            "a\u{fffd}\u{fffd}b\u{fffd}[31m\u{fffd}é"
        );
        assert_eq!(cut(&"é".repeat(600)).len(), 1024);
    }
}
