//! Signing in to the API: with `Authorization`, or with the cookie of a session, which browsers send of
//! themselves and which therefore counts only for what our own pages ask (S53).

use http::header::{self, HeaderName};
use http::{HeaderMap, StatusCode};

use super::problem::{Code, Problem};
use crate::api::{authenticate, cookies};
use crate::auth::RequestSource;
use crate::auth::credentials::{Credentials, Secret};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What a request to the API signs in with.
#[derive(Debug)]
pub(in crate::api) enum Presented {
    Nothing,
    Credentials(Credentials),
    /// What the cookie says, from a page of ours or by a method that only looks.
    Session(Secret),
}

/// Reads what a request signs in with. `Authorization` counts for more than a cookie.
///
/// # Errors
/// 403 for a change that a cookie would sign, and that no page of ours asks for.
pub(in crate::api) fn presented(
    headers: &HeaderMap,
    source: &RequestSource,
    is_safe: bool,
) -> Result<Presented, Problem> {
    let credentials = authenticate::credentials(headers);
    if !credentials.are_empty() {
        return Ok(Presented::Credentials(credentials));
    }
    let session = cookies::find(headers, cookies::SESSION);
    // Without a cookie, too: a page elsewhere must not sign its visitor in as somebody else. Programs, which
    // have no cookies, need not say where they are.
    let says_where = headers.contains_key(SEC_FETCH_SITE) || headers.contains_key(header::ORIGIN);
    if !is_safe && (session.is_some() || says_where) && !cookies::is_own_page(headers, source) {
        return Err(cross_site());
    }
    Ok(session.map_or(Presented::Nothing, Presented::Session))
}

fn cross_site() -> Problem {
    let message = "a session's cookie signs changes only for this registry's own pages; \
                   send Origin, or sign in with a token";
    Problem::new(StatusCode::FORBIDDEN, Code::CrossSite, message)
}
