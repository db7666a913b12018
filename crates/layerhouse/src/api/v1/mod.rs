//! `/api/v1`: accounts, namespaces, repositories' pages, search. `table.rs` names every endpoint with what it
//! needs; the router, the checks of rights, the description (OpenAPI) and the tests all read that one table.

mod access;
pub(super) mod admission;
mod audit;
mod collection;
mod configuration;
mod deleted;
mod endpoint;
mod grants;
mod health;
mod history;
pub(super) mod input;
mod invitations;
mod keeping;
mod me;
mod mirror;
mod openapi;
mod organizations;
mod output;
mod path;
pub(super) mod problem;
mod repositories;
mod retention;
mod robots;
mod search;
mod server;
pub(super) mod session;
mod sign_in;
mod storage;
mod table;
mod tags;
mod teams;
mod tokens;
mod users;
pub(super) mod views;
pub(super) mod visit;

use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;

use self::endpoint::{Endpoint, Verb};
use self::input::{Content, Unread};
use self::path::Parameters;
use self::problem::{Code, Problem};
use super::body::RequestBody;
use super::{Answer, Call, rate};
use crate::auth::permits::Asker;

/// What paths of the API begin with.
pub(super) const ROOT: &str = "/api/v1";

const CONTENT_SECURITY_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const REFERRER_POLICY: (HeaderName, HeaderValue) = (
    header::REFERRER_POLICY,
    HeaderValue::from_static("no-referrer"),
);

/// Whether a path is the API's: what of it stands behind [`ROOT`].
pub(super) fn path_below(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(ROOT)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// Answers a request whose path is `rest` behind [`ROOT`].
pub(super) async fn answer(call: Call, rest: &str, request: Request<Incoming>) -> Answer {
    let handled = handle(call, rest, request).await;
    let mut answer = handled.unwrap_or_else(Problem::into_answer);
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    let (name, value) = REFERRER_POLICY;
    headers.insert(name, value);
    answer
}

async fn handle(call: Call, rest: &str, request: Request<Incoming>) -> Result<Answer, Problem> {
    rate::request(&call)?;
    let (endpoint, parameters) = route(&table::ENDPOINTS, request.method(), rest)?;
    let (head, body) = request.into_parts();
    let timeouts = call.api.timeouts;
    let unread = Unread {
        query: head.uri.query().unwrap_or_default().to_owned(),
        body: Content::Arriving(RequestBody::new(body, timeouts)),
        headers: head.headers,
    };
    admission::enter(call, endpoint, parameters, unread).await
}

/// Asks for one of our own pages what `asker` may ask: the same endpoints, checks and refusals as over HTTP.
/// `path` stands behind [`ROOT`], in segments that are encoded.
pub(super) async fn ask(
    call: Call,
    asker: Asker,
    method: &Method,
    (path, query): (&str, String),
    body: Option<Vec<u8>>,
) -> Result<Answer, Problem> {
    let (endpoint, parameters) = route(&table::ENDPOINTS, method, path)?;
    let settings = std::sync::Arc::clone(&call.settings);
    let indexed = settings.authenticator.indexed();
    let (Some(indexed), Some(index)) = (indexed, settings.index.clone()) else {
        return Err(Problem::not_found());
    };
    let mut headers = HeaderMap::new();
    if body.is_some() {
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
    }
    let unread = Unread {
        query,
        headers,
        body: Content::Here(body.unwrap_or_default()),
    };
    let request = (parameters, unread);
    let directory = indexed.directory();
    admission::handle(call, directory, index, asker, endpoint, request).await
}

/// The endpoint for a method and a path.
fn route<'table>(
    endpoints: &'table [Endpoint],
    method: &Method,
    path: &str,
) -> Result<(&'table Endpoint, Parameters), Problem> {
    let segments = path::segments(path).ok_or_else(Problem::not_found)?;
    let mut verbs = Vec::new();
    for endpoint in endpoints {
        let Some(parameters) = endpoint.template.find(&segments) else {
            continue;
        };
        if endpoint.verb.is(method) {
            return Ok((endpoint, parameters));
        }
        verbs.push(endpoint.verb);
    }
    if verbs.is_empty() {
        return Err(Problem::not_found());
    }
    let mut allow: Vec<_> = verbs.iter().map(|verb| verb.as_str()).collect();
    if verbs.contains(&Verb::Get) {
        allow.push("HEAD");
    }
    let allow = allow.join(", ");
    let problem = Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        Code::MethodNotAllowed,
        format!("here one may use {allow}"),
    );
    let allow = HeaderValue::from_str(&allow).expect("names of methods are letters");
    Err(problem.with(header::ALLOW, allow))
}
