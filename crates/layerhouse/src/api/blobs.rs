//! Blobs: GET, HEAD and DELETE `/v2/<name>/blobs/<digest>` (end-2, end-10).

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use layerhouse_oci::digest::Digest;
use layerhouse_oci::error_code::Code;
use layerhouse_oci::range::{Requested, resolve};

use super::body::ResponseBody;
use super::error::ApiError;
use super::{Answer, CONTENT_DIGEST, request};
use crate::auth::{Delete, Granted, Pull};
use crate::registry::Registry;

/// GET and HEAD (end-2), whole or one range of it.
pub(super) async fn pull<B>(
    registry: &Arc<Registry>,
    pull: &Granted<Pull>,
    digest: &Digest,
    request: &Request<B>,
) -> Result<Answer, ApiError> {
    let headers = request.headers();
    let is_head = request.method() == Method::HEAD;
    let is_known = request::is_known(headers, digest.as_str());
    if is_head || is_known {
        let size_bytes = registry
            .blob_size(pull, digest)
            .await?
            .ok_or_else(unknown)?;
        let status = if is_known {
            StatusCode::NOT_MODIFIED
        } else {
            StatusCode::OK
        };
        let mut answer = describe(digest, status, ResponseBody::Empty);
        if !is_known {
            // registry:2 tells of HEAD, too; `request.method` says which it was.
            registry.tell_blob_pull(pull, digest, size_bytes);
            answer
                .headers_mut()
                .insert(header::CONTENT_LENGTH, HeaderValue::from(size_bytes));
        }
        return Ok(answer);
    }
    let range = wanted_range(headers, digest);
    let content = registry
        .pull_blob(pull, digest, range.is_none())
        .await?
        .ok_or_else(unknown)?;
    let size_bytes = content.size_bytes();
    let requested = range.map_or(Requested::Whole, |range| resolve(range, size_bytes));
    if requested != Requested::Unsatisfiable {
        registry.tell_blob_pull(pull, digest, size_bytes);
    }
    Ok(match requested {
        Requested::Whole => {
            let body = registry.read_blob(content, 0, size_bytes).into();
            describe(digest, StatusCode::OK, body)
        }
        Requested::Part { first, last } => {
            let body = registry.read_blob(content, first, last + 1).into();
            let mut answer = describe(digest, StatusCode::PARTIAL_CONTENT, body);
            set(
                &mut answer,
                header::CONTENT_RANGE,
                &format!("bytes {first}-{last}/{size_bytes}"),
            );
            answer
        }
        Requested::Unsatisfiable => {
            let message = format!("the blob has {size_bytes} bytes");
            let range = HeaderValue::from_str(&format!("bytes */{size_bytes}"))
                .expect("digits and slashes can stand in a header");
            return Err(ApiError::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                Code::RangeInvalid,
                message,
            )
            .with(header::CONTENT_RANGE, range));
        }
    })
}

/// DELETE (end-10).
pub(super) async fn delete(
    registry: &Registry,
    delete: &Granted<Delete>,
    digest: &Digest,
) -> Result<Answer, ApiError> {
    registry.delete_blob(delete, digest).await?;
    let mut answer = Response::new(ResponseBody::Empty);
    *answer.status_mut() = StatusCode::ACCEPTED;
    set(&mut answer, CONTENT_DIGEST, digest.as_str());
    Ok(answer)
}

/// The `Range` that counts: with `If-Range` only if the client means these bytes (RFC 9110, 13.1.5).
fn wanted_range<'a>(headers: &'a HeaderMap, digest: &Digest) -> Option<&'a str> {
    let is_same = headers.get(header::IF_RANGE).is_none_or(|condition| {
        condition
            .to_str()
            .is_ok_and(|tag| tag.trim_matches('"') == digest.as_str())
    });
    request::text(headers, &header::RANGE).filter(|_| is_same)
}

fn describe(digest: &Digest, status: StatusCode, body: ResponseBody) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    set(&mut answer, CONTENT_DIGEST, digest.as_str());
    set(&mut answer, header::ETAG, &format!("\"{digest}\""));
    let headers = answer.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("max-age=31536000"),
    );
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    answer
}

/// Sets a header from text that is checked: a digest, a name, a number.
pub(super) fn set(answer: &mut Answer, name: header::HeaderName, value: &str) {
    let value = HeaderValue::from_str(value).expect("names, digests and numbers are visible ASCII");
    answer.headers_mut().insert(name, value);
}

fn unknown() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        Code::BlobUnknown,
        "there is no such blob in this repository",
    )
}
