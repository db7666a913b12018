//! Refusals and faults as status, code and message: the one place that knows which is which.

use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use hyper::ext::ReasonPhrase;
use layerhouse_oci::error_code::Code;
use layerhouse_oci::route::RouteError;

use super::body::ResponseBody;
use super::{Answer, json};
use crate::auth::Refusal;
use crate::fault::{Fault, FaultKind};
use crate::registry::blobs::MountBlobError;
use crate::registry::deletion::{DeleteBlobError, DeleteManifestError};
use crate::registry::manifests::PushManifestError;
use crate::registry::policies::guard::Refused;
use crate::registry::uploads::{FinishUploadError, OpenUploadError, PushChunkError};

/// An answer that is not what the client asked for.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: Code,
    message: String,
    /// Beside the message, if the code has more to say.
    detail: Option<serde_json::Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// In place of the status' own words, in HTTP/1.
    reason: Option<ReasonPhrase>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            detail: None,
            headers: Vec::new(),
            reason: None,
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The one answer to who may not, whatever it is that they may not (S17).
    pub(super) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            Code::Unauthorized,
            "authentication required",
        )
    }

    pub(super) fn with_detail(mut self, detail: serde_json::Value) -> Self {
        self.detail = Some(detail);
        self
    }

    /// Says it in the status line, too, where the status is a gateway's: of those Docker and its kin show that alone.
    pub(super) fn with_reason(mut self, message: &str) -> Self {
        /// A line of a terminal's.
        const REASON_BYTES_MAX: usize = 160;
        if matches!(
            self.status,
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT
        ) {
            let is_shown = |character: &char| matches!(character, ' '..='~');
            let reason: String = message
                .chars()
                .filter(is_shown)
                .take(REASON_BYTES_MAX)
                .collect();
            self.reason = ReasonPhrase::try_from(reason).ok();
        }
        self
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// `{"errors": [{"code", "message", "detail"}]}` (distribution-spec, "Error Codes").
    pub(super) fn into_answer(self) -> Answer {
        let mut error = serde_json::json!({ "code": self.code.as_str(), "message": self.message });
        if let Some(detail) = self.detail {
            error["detail"] = detail;
        }
        let content = serde_json::json!({ "errors": [error] });
        let mut answer: Response<ResponseBody> = json(
            self.status,
            "application/json",
            format!("{content}\n").into_bytes(),
        );
        for (name, value) in self.headers {
            answer.headers_mut().insert(name, value);
        }
        if let Some(reason) = self.reason {
            answer.extensions_mut().insert(reason);
        }
        answer
    }

    fn later(self) -> Self {
        self.with(header::RETRY_AFTER, HeaderValue::from_static("5"))
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        Self::of_fault(&fault)
    }
}

impl ApiError {
    /// The log gets the whole truth, once; the client learns what it can do, and no path of ours.
    pub(super) fn of_fault(fault: &Fault) -> Self {
        tracing::error!(%fault, "a request failed");
        let unavailable =
            |message| Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, message);
        match fault.kind() {
            FaultKind::DiskFull => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                Code::Unavailable,
                "the disk of this registry is full and nothing was stored; pulls and deletes go on, \
                 push again when its operator has freed space",
            ),
            FaultKind::ReadOnly => {
                unavailable("the disk of this registry is read-only; pulls go on").later()
            }
            FaultKind::Device => unavailable(
                "the disk of this registry failed; pushes are refused until it is repaired",
            )
            .later(),
            FaultKind::Exhausted => unavailable("this registry is overloaded; try again").later(),
            FaultKind::Unavailable => {
                unavailable("a server that this registry needs does not answer; try again").later()
            }
            FaultKind::Stopping => unavailable("this registry is stopping; try again").later(),
            FaultKind::Damaged => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                Code::Unknown,
                "what is stored here is damaged; push it again to heal it",
            ),
            FaultKind::Other => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                Code::Unknown,
                "the registry failed; its log says why",
            ),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let unsupported = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            Code::Unsupported,
            refusal.to_string(),
        );
        match refusal {
            // Not reached: who lacks a right was sent back before the route was entered.
            Refusal::Forbidden => Self::unauthorized(),
            Refusal::ReadOnly => {
                unsupported.with(header::ALLOW, HeaderValue::from_static("GET, HEAD"))
            }
            Refusal::DeleteOff => unsupported,
        }
    }
}

impl From<RouteError> for ApiError {
    fn from(error: RouteError) -> Self {
        let bad = |code, message: String| Self::new(StatusCode::BAD_REQUEST, code, message);
        match error {
            RouteError::NotFound => Self::new(
                StatusCode::NOT_FOUND,
                Code::NameUnknown,
                "there is nothing here; a registry's paths begin with /v2/",
            ),
            RouteError::MethodNotAllowed { allow } => Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                Code::Unsupported,
                format!("here one may use {allow}"),
            )
            .with(header::ALLOW, HeaderValue::from_static(allow)),
            RouteError::Name(error) => bad(Code::NameInvalid, error.to_string()),
            RouteError::Reference(error) => bad(Code::TagInvalid, error.to_string()),
            RouteError::Digest(error) => bad(Code::DigestInvalid, error.to_string()),
            // As for a session that is not there: what it looks like is ours to know.
            RouteError::Upload(_) => PushChunkError::Unknown.into(),
        }
    }
}

impl From<MountBlobError> for ApiError {
    fn from(error: MountBlobError) -> Self {
        match error {
            MountBlobError::Refused(refused) => refused.into(),
            MountBlobError::Fault(fault) => fault.into(),
        }
    }
}

/// What a policy of the operator's does not let happen.
impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        Self::new(StatusCode::FORBIDDEN, Code::Denied, refused.to_string())
    }
}

impl From<OpenUploadError> for ApiError {
    fn from(error: OpenUploadError) -> Self {
        let message = error.to_string();
        match error {
            OpenUploadError::TooMany => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                Code::TooManyRequests,
                message,
            )
            .later(),
            OpenUploadError::Refused(refused) => refused.into(),
            OpenUploadError::Fault(fault) => fault.into(),
        }
    }
}

impl From<PushChunkError> for ApiError {
    fn from(error: PushChunkError) -> Self {
        let message = error.to_string();
        match error {
            PushChunkError::Unknown => {
                Self::new(StatusCode::NOT_FOUND, Code::BlobUploadUnknown, message)
            }
            PushChunkError::Busy => {
                Self::new(StatusCode::CONFLICT, Code::BlobUploadInvalid, message).later()
            }
            PushChunkError::OutOfOrder { .. } => Self::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                Code::BlobUploadInvalid,
                message,
            ),
            PushChunkError::WrongSize { .. } => {
                Self::new(StatusCode::BAD_REQUEST, Code::SizeInvalid, message)
            }
            PushChunkError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid, message)
            }
            PushChunkError::NoRoom => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                Code::TooManyRequests,
                message,
            )
            .later(),
            PushChunkError::Broken(_) => Self::new(
                StatusCode::REQUEST_TIMEOUT,
                Code::BlobUploadInvalid,
                message,
            )
            .with(header::CONNECTION, HeaderValue::from_static("close")),
            PushChunkError::Refused(refused) => refused.into(),
            PushChunkError::Fault(fault) => fault.into(),
        }
    }
}

impl From<FinishUploadError> for ApiError {
    fn from(error: FinishUploadError) -> Self {
        let message = error.to_string();
        match error {
            FinishUploadError::DigestMismatch { .. } => {
                Self::new(StatusCode::BAD_REQUEST, Code::DigestInvalid, message)
            }
            FinishUploadError::Chunk(error) => error.into(),
            FinishUploadError::Open(error) => error.into(),
            FinishUploadError::Refused(refused) => refused.into(),
            FinishUploadError::Fault(fault) => fault.into(),
        }
    }
}

impl From<DeleteBlobError> for ApiError {
    fn from(error: DeleteBlobError) -> Self {
        let message = error.to_string();
        match error {
            DeleteBlobError::Unknown => {
                Self::new(StatusCode::NOT_FOUND, Code::BlobUnknown, message)
            }
            // The specification leaves a registry 405 for a delete that it does not do.
            DeleteBlobError::Needed { .. } => {
                Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message)
            }
            DeleteBlobError::Fault(fault) => fault.into(),
        }
    }
}

impl From<PushManifestError> for ApiError {
    fn from(error: PushManifestError) -> Self {
        let message = error.to_string();
        match error {
            PushManifestError::Invalid(_) | PushManifestError::Rule(_) => {
                Self::new(StatusCode::BAD_REQUEST, Code::ManifestInvalid, message)
            }
            PushManifestError::DigestMismatch { .. } => {
                Self::new(StatusCode::BAD_REQUEST, Code::DigestInvalid, message)
            }
            PushManifestError::Missing { .. } => {
                Self::new(StatusCode::NOT_FOUND, Code::ManifestBlobUnknown, message)
            }
            PushManifestError::Refused(refused) => refused.into(),
            PushManifestError::Fault(fault) => fault.into(),
        }
    }
}

impl From<DeleteManifestError> for ApiError {
    fn from(error: DeleteManifestError) -> Self {
        let message = error.to_string();
        match error {
            DeleteManifestError::Unknown => {
                Self::new(StatusCode::NOT_FOUND, Code::ManifestUnknown, message)
            }
            DeleteManifestError::Refused(refused) => refused.into(),
            DeleteManifestError::Needed { .. } | DeleteManifestError::Moved { .. } => {
                Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message)
            }
            DeleteManifestError::Fault(fault) => fault.into(),
        }
    }
}
