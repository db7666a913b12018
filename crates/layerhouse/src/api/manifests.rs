//! Manifests: GET, HEAD, PUT and DELETE `/v2/<name>/manifests/<reference>` (end-3, end-7, end-9).

use std::sync::Arc;

use http::header::{self, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use layerhouse_oci::accept::{Negotiated, negotiate};
use layerhouse_oci::error_code::Code;
use layerhouse_oci::manifest::Manifest;
use layerhouse_oci::media_type::MediaType;
use layerhouse_oci::reference::Reference;

use super::blobs::set;
use super::body::{RequestBody, ResponseBody};
use super::error::ApiError;
use super::{Answer, CONTENT_DIGEST, Call, mirror, request};
use crate::auth::{Delete, Granted, Pull, Push};
use crate::meta::manifests::StoredManifest;
use crate::registry::Registry;
use crate::registry::manifests::MANIFEST_BYTES_MAX;
use crate::registry::mirror::manifests::Freshness;
use crate::registry::mirror::routing::Source;
use crate::registry::receive::{BodyBroken, Incoming as _};

/// Manifests held at once while they are read, in KiB.
pub(crate) const MANIFEST_ROOM_KIB: usize = 128 << 10;
const _: () = assert!(MANIFEST_BYTES_MAX / 1024 * 8 <= MANIFEST_ROOM_KIB);

const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// GET and HEAD (end-3).
pub(super) async fn pull<B>(
    call: &Call,
    pull: &Granted<Pull>,
    source: Option<&Source>,
    reference: &Reference,
    request: &Request<B>,
) -> Result<Answer, ApiError> {
    let registry = &call.api.registry;
    let (stored, freshness) = find(call, pull, source, reference).await?;
    let accept: Vec<&str> = request
        .headers()
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    let tag = match reference {
        Reference::Tag(tag) => Some(tag),
        Reference::Digest(_) => None,
    };
    let (served, index) = match negotiate(&accept, stored.kind, tag.is_some()) {
        Negotiated::AsStored => (stored, None),
        Negotiated::PlatformChild => {
            let child = default_platform(call, pull, source, &stored)
                .await?
                // It may be of a kind that the client cannot read either.
                .filter(|child| negotiate(&accept, child.kind, false) == Negotiated::AsStored)
                .ok_or_else(|| not_acceptable(&stored))?;
            (child, Some(stored))
        }
        Negotiated::NotAcceptable => return Err(not_acceptable(&stored)),
    };
    registry.note_pull(pull.repository(), &served.digest);
    if let Some(index) = &index {
        registry.note_pull(pull.repository(), &index.digest);
    }
    let is_known = request::is_known(request.headers(), served.digest.as_str());
    let mut answer = Response::new(ResponseBody::Empty);
    set(&mut answer, CONTENT_DIGEST, served.digest.as_str());
    set(&mut answer, header::ETAG, &format!("\"{}\"", served.digest));
    let media_type = HeaderValue::from_static(served.kind.media_type());
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    if is_known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        // As registry:2 tells it: what the tag names, then what the client gets in its place.
        if let Some(index) = &index {
            registry.tell_manifest_pull(pull, index, tag);
        }
        let tag = tag.filter(|_| index.is_none());
        registry.tell_manifest_pull(pull, &served, tag);
        // An index says where the image is, which is then pulled: together they are one pull.
        if let Some(index) = &call.settings.index
            && request.method() == Method::GET
            && !served.kind.is_index()
        {
            index.count_pull(pull.repository());
        }
        *answer.body_mut() = ResponseBody::Whole(served.content.clone());
    }
    mirror::warn(&mut answer, freshness);
    Ok(answer)
}

/// The manifest that a request means: what was pushed here, or a copy, which may be old.
async fn find(
    call: &Call,
    pull: &Granted<Pull>,
    source: Option<&Source>,
    reference: &Reference,
) -> Result<(Arc<StoredManifest>, Freshness), ApiError> {
    let Some(source) = source else {
        let found = call.api.registry.pull_manifest(pull, reference)?;
        return Ok((found.ok_or_else(unknown)?, Freshness::Fresh));
    };
    let found = Box::pin(mirror::manifest(call, pull, source, reference)).await?;
    Ok((found.manifest, found.freshness))
}

/// The linux/amd64 image of an index, for clients that know no index, as registry:2 serves them.
async fn default_platform(
    call: &Call,
    pull: &Granted<Pull>,
    source: Option<&Source>,
    index: &StoredManifest,
) -> Result<Option<Arc<StoredManifest>>, ApiError> {
    let Ok(manifest) = Manifest::parse(&index.content, None) else {
        return Ok(None);
    };
    let child = manifest.manifests.into_iter().find(|child| {
        child
            .platform
            .as_ref()
            .is_some_and(|platform| platform.os == "linux" && platform.architecture == "amd64")
    });
    let Some(child) = child else { return Ok(None) };
    let child = Reference::Digest(child.digest);
    if let Some(source) = source {
        let found = Box::pin(mirror::manifest(call, pull, source, &child)).await?;
        return Ok(Some(found.manifest));
    }
    Ok(call.api.registry.pull_manifest(pull, &child)?)
}

/// PUT (end-7).
pub(super) async fn push(
    call: &Call,
    push: &Granted<Push>,
    reference: &Reference,
    request: Request<Incoming>,
) -> Result<Answer, ApiError> {
    let content_type = content_type(&request)?;
    let length_bytes = request::length_bytes(request.headers());
    let length_bytes_max = MANIFEST_BYTES_MAX as u64;
    if length_bytes.is_some_and(|length_bytes| length_bytes_max < length_bytes) {
        return Err(too_large());
    }
    // A manifest is held whole, so all of them together are bounded before they are read.
    let length_kib = length_bytes.unwrap_or(length_bytes_max) / 1024 + 1;
    let length_kib = u32::try_from(length_kib).unwrap_or(u32::MAX);
    let Ok(_room) = call.api.manifest_room_kib.try_acquire_many(length_kib) else {
        return Err(overloaded());
    };
    let mut body = RequestBody::new(request.into_body(), call.api.timeouts);
    let mut content = Vec::new();
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(broken)?;
        if MANIFEST_BYTES_MAX < content.len() + bytes.len() {
            return Err(too_large());
        }
        content.extend_from_slice(&bytes);
    }
    let registry = &call.api.registry;
    let pushed = registry
        .push_manifest(
            push,
            reference,
            content_type.as_ref(),
            content,
            &call.settings.manifest_rules,
        )
        .await?;
    let mut answer = Response::new(ResponseBody::Empty);
    *answer.status_mut() = StatusCode::CREATED;
    let path = format!("/v2/{}/manifests/{}", push.repository(), pushed.digest);
    let location = call.settings.http.location(&path);
    set(&mut answer, header::LOCATION, &location);
    set(&mut answer, CONTENT_DIGEST, pushed.digest.as_str());
    if let Some(subject) = &pushed.subject {
        set(&mut answer, SUBJECT, subject.as_str());
    }
    Ok(answer)
}

/// DELETE (end-9).
pub(super) async fn delete(
    registry: &Registry,
    delete: &Granted<Delete>,
    reference: &Reference,
) -> Result<Answer, ApiError> {
    registry.delete_manifest(delete, reference).await?;
    let mut answer = Response::new(ResponseBody::Empty);
    *answer.status_mut() = StatusCode::ACCEPTED;
    Ok(answer)
}

fn content_type<B>(request: &Request<B>) -> Result<Option<MediaType>, ApiError> {
    let Some(value) = request.headers().get(header::CONTENT_TYPE) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or("");
    text.parse().map(Some).map_err(|error| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            Code::ManifestInvalid,
            format!("Content-Type: {error}"),
        )
    })
}

fn unknown() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        Code::ManifestUnknown,
        "there is no such manifest or tag in this repository",
    )
}

fn not_acceptable(stored: &StoredManifest) -> ApiError {
    let media_type = stored.kind.media_type();
    ApiError::new(
        StatusCode::NOT_FOUND,
        Code::ManifestUnknown,
        format!("the manifest is a {media_type}, which the Accept header does not name"),
    )
}

fn overloaded() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        Code::Unavailable,
        "too many manifests are being pushed at once; try again",
    )
    .with(header::RETRY_AFTER, HeaderValue::from_static("5"))
    .with(header::CONNECTION, HeaderValue::from_static("close"))
}

fn broken(broken: BodyBroken) -> ApiError {
    let message = broken.to_string();
    ApiError::new(StatusCode::REQUEST_TIMEOUT, Code::ManifestInvalid, message)
        .with(header::CONNECTION, HeaderValue::from_static("close"))
}

fn too_large() -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        Code::SizeInvalid,
        format!("a manifest may have {MANIFEST_BYTES_MAX} bytes at most"),
    )
    .with(header::CONNECTION, HeaderValue::from_static("close"))
}
