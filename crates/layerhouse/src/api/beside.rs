//! What is answered beside the registry: which path is whose. Where the index is off that is the
//! pages, and the API at the console.

use http::Request;
use hyper::body::Incoming;

use super::error::ApiError;
use super::{Answer, Call, Settings, oidc, rate, search, token, ui, v1};
use crate::auth::ClientAddress;

/// Who answers a path outside `/v2/`.
#[derive(Debug)]
pub(super) enum Beside {
    /// `/api/v1`, with what stands behind it.
    Api(String),
    Token(token::Endpoint),
    Oidc(oidc::Endpoint),
    Search(search::Endpoint),
    /// A page, with what stands behind `/ui`.
    Page(String),
}

impl Beside {
    /// What a path is of, if it is any of these to who asks from `address`.
    pub(super) fn of(path: &str, settings: &Settings, address: ClientAddress) -> Option<Self> {
        // Before all else: pulls and pushes come by here.
        if path.starts_with("/v2/") {
            return None;
        }
        if settings.has_pages
            && let Some(rest) = ui::path_below(path)
        {
            return Some(Self::Page(rest.to_owned()));
        }
        let has_index = settings.index.is_some();
        if !has_index && address != ClientAddress::Console {
            return None;
        }
        let api = || v1::path_below(path).map(str::to_owned).map(Self::Api);
        let token = || token::Endpoint::of(path).map(Self::Token);
        let oidc = || oidc::Endpoint::of(path, settings).map(Self::Oidc);
        let search = || search::Endpoint::of(path).map(Self::Search);
        if !has_index {
            return api();
        }
        api().or_else(token).or_else(oidc).or_else(search)
    }

    /// Answers a request for it.
    pub(super) async fn serve(
        self,
        call: Call,
        request: Request<Incoming>,
    ) -> Result<Answer, ApiError> {
        // The API says in its own form that there were too many.
        if !matches!(self, Self::Api(_)) {
            rate::request(&call)?;
        }
        match self {
            Self::Api(rest) => Ok(v1::answer(call, &rest, request).await),
            Self::Token(endpoint) => token::serve(&call, endpoint, request).await,
            Self::Oidc(endpoint) => oidc::serve(&call, endpoint, &request).await,
            Self::Search(endpoint) => search::serve(call, endpoint, &request).await,
            Self::Page(rest) => Ok(ui::answer(call, &rest, request).await),
        }
    }
}
