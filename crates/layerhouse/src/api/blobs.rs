//! Blobs: GET, HEAD and DELETE `/v2/<name>/blobs/<digest>` (end-2, end-10).

use std::sync::Arc;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use layerhouse_oci::digest::Digest;
use layerhouse_oci::error_code::Code;
use layerhouse_oci::range::{Requested, resolve};

use super::body::ResponseBody;
use super::error::ApiError;
use super::{Answer, CONTENT_DIGEST, mirror, request};
use crate::auth::{Delete, Granted, Pull};
use crate::registry::Registry;
use crate::registry::blobs::BlobContent;
use crate::registry::mirror::blobs::{ArrivingBlob, PulledBlob};
use crate::registry::mirror::routing::Source;

/// A blob that is here, or on its way from where it is copied from.
enum Content {
    Here(BlobContent),
    Arriving(ArrivingBlob),
}

impl Content {
    fn size_bytes(&self) -> u64 {
        match self {
            Self::Here(content) => content.size_bytes(),
            Self::Arriving(blob) => blob.size_bytes(),
        }
    }

    async fn read(
        self,
        registry: &Arc<Registry>,
        first: u64,
        end: u64,
    ) -> Result<ResponseBody, ApiError> {
        match self {
            Self::Here(content) => {
                let reader = registry.read_blob(content, first, end).await?;
                reader.map(ResponseBody::from).ok_or_else(unknown)
            }
            Self::Arriving(blob) => Ok(registry.read_arriving(blob, first, end).into()),
        }
    }

    /// Where the client can read it by itself.
    async fn address(&self, registry: &Registry) -> Result<Option<String>, ApiError> {
        match self {
            Self::Here(content) => Ok(registry.blob_address(content).await?),
            Self::Arriving(_) => Ok(None),
        }
    }
}

/// GET and HEAD (end-2), whole or one range of it; `source` is where the repository is copied from, if it is a copy.
pub(super) async fn pull<B>(
    registry: &Arc<Registry>,
    pull: &Granted<Pull>,
    source: Option<&Source>,
    digest: &Digest,
    request: &Request<B>,
) -> Result<Answer, ApiError> {
    let headers = request.headers();
    let is_head = request.method() == Method::HEAD;
    let is_known = request::is_known(headers, digest.as_str());
    if is_head || is_known {
        let size_bytes = find_size(registry, pull, source, digest).await?;
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
    let content = find(registry, pull, source, digest, range.is_none()).await?;
    let size_bytes = content.size_bytes();
    let requested = range.map_or(Requested::Whole, |range| resolve(range, size_bytes));
    if requested != Requested::Unsatisfiable {
        registry.tell_blob_pull(pull, digest, size_bytes);
        // Its `Range` goes along: the store takes it as we would.
        if let Some(address) = content.address(registry).await? {
            return Ok(redirect(digest, &address));
        }
    }
    let answer = answer(registry, digest, content, requested).await?;
    if let Some(source) = source {
        let numbers = &source.served.numbers;
        numbers.add_sent_bytes(answer.body().length_bytes());
    }
    Ok(answer)
}

/// A blob that another process of this registry reads while it is fetched here.
pub(super) async fn show_arriving<B>(
    registry: &Arc<Registry>,
    blob: ArrivingBlob,
    request: &Request<B>,
) -> Result<Answer, ApiError> {
    let digest = blob.digest.clone();
    let range = wanted_range(request.headers(), &digest);
    let requested = range.map_or(Requested::Whole, |range| resolve(range, blob.size_bytes()));
    answer(registry, &digest, Content::Arriving(blob), requested).await
}

async fn answer(
    registry: &Arc<Registry>,
    digest: &Digest,
    content: Content,
    requested: Requested,
) -> Result<Answer, ApiError> {
    let size_bytes = content.size_bytes();
    match requested {
        Requested::Whole => {
            let body = content.read(registry, 0, size_bytes).await?;
            Ok(describe(digest, StatusCode::OK, body))
        }
        Requested::Part { first, last } => {
            let body = content.read(registry, first, last + 1).await?;
            let mut answer = describe(digest, StatusCode::PARTIAL_CONTENT, body);
            set(
                &mut answer,
                header::CONTENT_RANGE,
                &format!("bytes {first}-{last}/{size_bytes}"),
            );
            Ok(answer)
        }
        Requested::Unsatisfiable => {
            let message = format!("the blob has {size_bytes} bytes");
            let range = HeaderValue::from_str(&format!("bytes */{size_bytes}"))
                .expect("digits and slashes can stand in a header");
            Err(ApiError::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                Code::RangeInvalid,
                message,
            )
            .with(header::CONTENT_RANGE, range))
        }
    }
}

async fn find_size(
    registry: &Arc<Registry>,
    pull: &Granted<Pull>,
    source: Option<&Source>,
    digest: &Digest,
) -> Result<u64, ApiError> {
    let Some(source) = source else {
        return registry.blob_size(pull, digest).await?.ok_or_else(unknown);
    };
    let found = Box::pin(registry.blob_size_through(pull, source, digest)).await;
    found.map_err(|error| mirror::failed(source, &error, Code::BlobUnknown))
}

async fn find(
    registry: &Arc<Registry>,
    pull: &Granted<Pull>,
    source: Option<&Source>,
    digest: &Digest,
    is_whole: bool,
) -> Result<Content, ApiError> {
    let Some(source) = source else {
        let content = registry.pull_blob(pull, digest, is_whole).await?;
        return content.map(Content::Here).ok_or_else(unknown);
    };
    let pulled = Box::pin(registry.pull_blob_through(pull, source, digest, is_whole)).await;
    match pulled {
        Ok(PulledBlob::Here(content)) => Ok(Content::Here(content)),
        Ok(PulledBlob::Arriving(blob)) => Ok(Content::Arriving(blob)),
        Err(error) => Err(mirror::failed(source, &error, Code::BlobUnknown)),
    }
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

/// 307 to where the bytes are. The address is good for a while only, so nobody may keep the answer.
fn redirect(digest: &Digest, address: &str) -> Answer {
    let mut answer = Response::new(ResponseBody::Empty);
    *answer.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    set(&mut answer, header::LOCATION, address);
    set(&mut answer, CONTENT_DIGEST, digest.as_str());
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
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
