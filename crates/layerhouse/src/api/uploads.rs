//! Uploads: POST, then PATCH and PUT on the session (end-4 to end-6), its status (end-13), its end.

use http::header::{self, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::error_code::Code;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::upload_id::UploadId;

use super::blobs::set;
use super::body::{RequestBody, ResponseBody};
use super::error::ApiError;
use super::{Answer, CONTENT_DIGEST, Call, request};
use crate::auth::{Granted, Push};
use crate::registry::Registry;
use crate::registry::blobs::MountSource;
use crate::registry::uploads::{FinishUploadError, PushChunkError};

const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// POST: a mount (end-11), a whole blob (end-4b), or a new session (end-4a).
pub(super) async fn start(
    call: &Call,
    push: &Granted<Push>,
    request: Request<Incoming>,
) -> Result<Answer, ApiError> {
    let registry = &call.api.registry;
    if let Some(mount) = request::query(&request, "mount") {
        let digest: Digest = parse_digest(&mount)?;
        let from = request::query(&request, "from");
        if let Some(source) = mount_source(call, from.as_deref())
            && registry.mount_blob(push, &digest, source).await?
        {
            return Ok(created(call, push.repository(), &digest));
        }
    } else if let Some(digest) = request::query(&request, "digest") {
        let digest = parse_digest(&digest)?;
        let chunk = request::chunk(request.headers())?;
        let mut body = RequestBody::new(request.into_body(), call.api.timeouts);
        registry.push_blob(push, &digest, chunk, &mut body).await?;
        return Ok(created(call, push.repository(), &digest));
    }
    let upload = registry.open_upload(push).await?;
    Ok(progress(
        call,
        StatusCode::ACCEPTED,
        push.repository(),
        &upload,
        0,
    ))
}

/// Where a mount may look. No right to a source, and a source whose name cannot be, are like one that
/// is not there: the client uploads instead.
fn mount_source(call: &Call, from: Option<&str>) -> Option<MountSource> {
    let policy = call.settings.policy;
    match from {
        None => policy
            .browse(&call.caller)
            .ok()
            .filter(|browse| browse.viewer().sees_all())
            .map(MountSource::Anywhere),
        Some(from) => {
            let mut from: RepositoryName = from.parse().ok()?;
            call.settings.name(&mut from);
            policy
                .pull(&call.caller, &from)
                .ok()
                .map(MountSource::Repository)
        }
    }
}

/// GET and HEAD of the session (end-13).
pub(super) fn status(
    call: &Call,
    push: &Granted<Push>,
    upload: &UploadId,
) -> Result<Answer, ApiError> {
    let held_bytes = call
        .api
        .registry
        .upload_status(push, upload)?
        .ok_or(PushChunkError::Unknown)?;
    Ok(progress(
        call,
        StatusCode::NO_CONTENT,
        push.repository(),
        upload,
        held_bytes,
    ))
}

/// PATCH (end-5): with `Content-Range` at its place, without at the end.
pub(super) async fn push_chunk(
    call: &Call,
    push: &Granted<Push>,
    upload: &UploadId,
    request: Request<Incoming>,
) -> Result<Answer, ApiError> {
    let chunk = request::chunk(request.headers())?;
    let mut body = RequestBody::new(request.into_body(), call.api.timeouts);
    let held_bytes = call
        .api
        .registry
        .push_chunk(push, upload, chunk, &mut body)
        .await
        .map_err(|error| refused(call, error, push.repository(), upload))?;
    Ok(progress(
        call,
        StatusCode::ACCEPTED,
        push.repository(),
        upload,
        held_bytes,
    ))
}

/// PUT (end-6): the last chunk, if any, and the digest of the whole.
pub(super) async fn finish(
    call: &Call,
    push: &Granted<Push>,
    upload: &UploadId,
    request: Request<Incoming>,
) -> Result<Answer, ApiError> {
    let digest = request::query(&request, "digest").ok_or_else(|| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            Code::DigestInvalid,
            "name the digest of the blob: PUT <location>?digest=sha256:…",
        )
    })?;
    let digest = parse_digest(&digest)?;
    let chunk = request::chunk(request.headers())?;
    let mut body = RequestBody::new(request.into_body(), call.api.timeouts);
    call.api
        .registry
        .finish_upload(push, upload, &digest, chunk, &mut body)
        .await
        .map_err(|error| match error {
            FinishUploadError::Chunk(error) => refused(call, error, push.repository(), upload),
            FinishUploadError::DigestMismatch { .. }
            | FinishUploadError::Refused(_)
            | FinishUploadError::Open(_)
            | FinishUploadError::Fault(_) => error.into(),
        })?;
    Ok(created(call, push.repository(), &digest))
}

/// DELETE of the session.
pub(super) async fn cancel(
    registry: &Registry,
    push: &Granted<Push>,
    upload: &UploadId,
) -> Result<Answer, ApiError> {
    registry.cancel_upload(push, upload).await?;
    let mut answer = Response::new(ResponseBody::Empty);
    *answer.status_mut() = StatusCode::NO_CONTENT;
    set(&mut answer, UPLOAD_ID, upload.as_str());
    Ok(answer)
}

/// A refused chunk; one that is out of order is told where to go on.
fn refused(
    call: &Call,
    error: PushChunkError,
    repository: &RepositoryName,
    upload: &UploadId,
) -> ApiError {
    let held_bytes = match &error {
        PushChunkError::OutOfOrder { source } => Some(source.held_bytes),
        PushChunkError::Unknown
        | PushChunkError::Busy
        | PushChunkError::WrongSize { .. }
        | PushChunkError::TooLarge { .. }
        | PushChunkError::NoRoom
        | PushChunkError::Broken(_)
        | PushChunkError::Refused(_)
        | PushChunkError::Fault(_) => None,
    };
    let refusal = ApiError::from(error);
    let Some(held_bytes) = held_bytes else {
        return refusal;
    };
    let value = |text: &str| HeaderValue::from_str(text).expect("checked names are visible ASCII");
    refusal
        .with(
            header::LOCATION,
            value(&session_location(call, repository, upload)),
        )
        .with(header::RANGE, value(&held_range(held_bytes)))
        .with(UPLOAD_ID, value(upload.as_str()))
}

fn progress(
    call: &Call,
    status: StatusCode,
    repository: &RepositoryName,
    upload: &UploadId,
    held_bytes: u64,
) -> Answer {
    let mut answer = Response::new(ResponseBody::Empty);
    *answer.status_mut() = status;
    set(
        &mut answer,
        header::LOCATION,
        &session_location(call, repository, upload),
    );
    set(&mut answer, header::RANGE, &held_range(held_bytes));
    set(&mut answer, UPLOAD_ID, upload.as_str());
    answer
}

fn session_location(call: &Call, repository: &RepositoryName, upload: &UploadId) -> String {
    let path = format!("/v2/{repository}/blobs/uploads/{upload}");
    call.settings.http.location(&path)
}

/// `0-<last byte held>`; nothing held is `0-0` too, as registry:2 says it and its clients expect.
fn held_range(held_bytes: u64) -> String {
    format!("0-{}", held_bytes.saturating_sub(1))
}

fn created(call: &Call, repository: &RepositoryName, digest: &Digest) -> Answer {
    let mut answer = Response::new(ResponseBody::Empty);
    *answer.status_mut() = StatusCode::CREATED;
    let path = format!("/v2/{repository}/blobs/{digest}");
    let location = call.settings.http.location(&path);
    set(&mut answer, header::LOCATION, &location);
    set(&mut answer, CONTENT_DIGEST, digest.as_str());
    answer
}

fn parse_digest(text: &str) -> Result<Digest, ApiError> {
    text.parse::<Digest>().map_err(|error| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            Code::DigestInvalid,
            error.to_string(),
        )
    })
}
