//! Search as Docker's and Podman's clients ask for it: `/v1/_ping` and `/v1/search`, where the index is on.

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use layerhouse_oci::error_code::Code;
use layerhouse_oci::route::RouteError;
use serde_json::{Value, json};

use super::authenticate::Application;
use super::error::ApiError;
use super::{Answer, Call, request};
use crate::auth::needs::Need;
use crate::index::search::{Found, Hit, PAGE_MAX, Query, SearchError};

/// By it Docker's clients know that credentials may be sent with a search.
const STANDALONE: HeaderName = HeaderName::from_static("x-docker-registry-standalone");
/// Results on a page when the client does not say, as on Docker Hub.
const PAGE: usize = 25;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Ping,
    Search,
}

impl Endpoint {
    /// What a path is of.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/v1/_ping" => Some(Self::Ping),
            "/v1/search" => Some(Self::Search),
            _ => None,
        }
    }
}

/// Answers it.
pub(super) async fn serve<B>(
    call: Call,
    endpoint: Endpoint,
    request: &Request<B>,
) -> Result<Answer, ApiError> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = "GET, HEAD";
        return Err(RouteError::MethodNotAllowed { allow }.into());
    }
    match endpoint {
        Endpoint::Ping => Ok(ping()),
        Endpoint::Search => search(call, request).await,
    }
}

/// Any answer says that there is a registry.
fn ping() -> Answer {
    let content = json!({ "standalone": true }).to_string().into_bytes();
    let mut answer = super::json(StatusCode::OK, "application/json", content);
    let standalone = HeaderValue::from_static("true");
    answer.headers_mut().insert(STANDALONE, standalone);
    answer
}

/// `GET /v1/search?q&n&page`.
async fn search<B>(call: Call, request: &Request<B>) -> Result<Answer, ApiError> {
    let text = request::query(request, "q")
        .unwrap_or_default()
        .into_owned();
    let size = number(request, "n", PAGE)?.clamp(1, PAGE_MAX);
    let page = number(request, "page", 1)?.max(1);
    let call = call.admit(Application::of(Need::Search, request)).await?;
    let index = call.settings.index.as_ref().ok_or(RouteError::NotFound)?;
    let viewer = call.caller.access.searcher();
    let viewer = viewer.ok_or_else(ApiError::unauthorized)?;
    let query = Query {
        text: text.clone(),
        page,
        size,
        ..Query::default()
    };
    let found = index.search(viewer, query).await?;
    let content = reply(&text, page, size, &found).to_string();
    let mut answer = super::json(StatusCode::OK, "application/json", content.into_bytes());
    // What is found is not the same for all.
    let no_store = HeaderValue::from_static("no-store");
    answer.headers_mut().insert(header::CACHE_CONTROL, no_store);
    Ok(answer)
}

/// In the form of Docker Hub's index.
fn reply(text: &str, page: usize, size: usize, found: &Found) -> Value {
    let result = |hit: &Hit| {
        json!({
            "name": hit.name,
            "description": hit.description,
            "star_count": hit.stars,
            "pull_count": hit.pulls,
            "is_official": hit.is_official,
            "is_automated": false,
        })
    };
    let results: Vec<Value> = found.hits.iter().map(result).collect();
    json!({
        "query": text,
        "num_results": found.count,
        "num_pages": found.count.div_ceil(size),
        "page": page,
        "page_size": size,
        "results": results,
    })
}

/// A number that the client may say.
fn number<B>(request: &Request<B>, name: &str, usual: usize) -> Result<usize, ApiError> {
    let Some(text) = request::query(request, name) else {
        return Ok(usual);
    };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            Code::PaginationNumberInvalid,
            format!("{name} is a whole number"),
        ));
    }
    // A number too long to be read is as good as the largest.
    Ok(text.parse().unwrap_or(usize::MAX))
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Busy => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                Code::Unavailable,
                error.to_string(),
            )
            .with(header::RETRY_AFTER, HeaderValue::from_static("5")),
            SearchError::Fault(fault) => fault.into(),
        }
    }
}
