//! What other processes of this registry ask for: a blob that this one fetches from an upstream, while it comes
//! (GET `/internal/fetches/<digest>`). Nobody signs in: who knows the token of that one fetch, read it in the database.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{Method, Request, StatusCode};
use layerhouse_oci::error_code::Code;

use super::error::ApiError;
use super::{Answer, blobs, request};
use crate::registry::Registry;

pub(super) const PATH: &str = "/internal/fetches/";

/// GET: whole, or a range of it.
pub(super) async fn show<B>(
    registry: &Arc<Registry>,
    digest: &str,
    request: &Request<B>,
) -> Result<Answer, ApiError> {
    let unknown = || {
        let message = "no blob of this digest is fetched here for who asks so";
        ApiError::new(StatusCode::NOT_FOUND, Code::BlobUnknown, message)
    };
    let token = request::text(request.headers(), &AUTHORIZATION)
        .and_then(|said| said.strip_prefix("Bearer "));
    let (Some(token), Ok(digest), &Method::GET) = (token, digest.parse(), request.method()) else {
        return Err(unknown());
    };
    let blob = registry.show_fetch(&digest, token).await;
    blobs::show_arriving(registry, blob.ok_or_else(unknown)?, request).await
}
