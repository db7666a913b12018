//! What the API answers instead of what was asked for: a status, a code of its own closed list, and a
//! sentence, in the form of the registry's errors.

use http::StatusCode;
use http::header::{self, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::body::ResponseBody;
use crate::api::error::ApiError;
use crate::api::{Answer, json};
use crate::auth::Refusal;
use crate::auth::authenticator::Denied;
use crate::fault::Fault;
use crate::index::Sort;
use crate::index::access::AccessError;
use crate::index::grants::GrantError;
use crate::index::invitations::InvitationError;
use crate::index::members::MemberError;
use crate::index::organizations::OrganizationError;
use crate::index::pages::PageError;
use crate::index::passwords::PasswordError;
use crate::index::repositories::RepositoryError;
use crate::index::robots::RobotError;
use crate::index::search::SearchError;
use crate::index::sign_up::SignUpError;
use crate::index::stars::StarError;
use crate::index::teams::TeamError;
use crate::index::tokens::TokenError;
use crate::index::users::UserError;
use crate::registry::deletion::{DeleteManifestError, DeleteRepositoryError};
use crate::registry::undelete::RestoreError;

/// What programs tell problems apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(in crate::api) enum Code {
    /// Nobody signed in, or not rightly.
    Unauthorized,
    /// Who signed in may not.
    Denied,
    /// The request came from another site's page (S53).
    CrossSite,
    /// There is no such thing, or none that may be seen.
    NotFound,
    MethodNotAllowed,
    /// The body is not JSON, or did not arrive.
    BodyInvalid,
    BodyTooLarge,
    /// The body is not called `application/json`.
    MediaTypeUnsupported,
    /// The body or the query is not of the form that is asked for, or says what cannot be.
    ValueInvalid,
    /// The name belongs to something else.
    NameTaken,
    /// It cannot be done as things stand.
    Conflict,
    #[serde(rename = "TOOMANYREQUESTS")]
    #[expect(dead_code, reason = "said by the registry's errors")]
    TooManyRequests,
    Unavailable,
    #[expect(dead_code, reason = "said by the registry's errors")]
    Unknown,
}

/// What is said of all that is not there or may not be seen.
pub(in crate::api) const NOTHING: &str = "there is nothing here that you may see";

/// An answer that is not what the client asked for.
#[derive(Debug)]
pub(in crate::api) struct Problem(Box<Inner>);

#[derive(Debug)]
enum Inner {
    Ours {
        status: StatusCode,
        code: Code,
        message: String,
        headers: Vec<(HeaderName, HeaderValue)>,
    },
    /// As the registry says it: too many requests, and what is our fault.
    Registry(ApiError),
}

impl Problem {
    pub(in crate::api) fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self(Box::new(Inner::Ours {
            status,
            code,
            message: message.into(),
            headers: Vec::new(),
        }))
    }

    pub(in crate::api) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        if let Inner::Ours { headers, .. } = &mut *self.0 {
            headers.push((name, value));
        }
        self
    }

    /// The one answer for what is not there and for what may not be seen (S17).
    pub(in crate::api) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NotFound, NOTHING)
    }

    /// What is named is not there, and that is no secret.
    pub(in crate::api) fn absent(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::NotFound, message)
    }

    pub(in crate::api) fn denied(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, Code::Denied, message)
    }

    pub(in crate::api) fn conflict(code: Code, message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// Whatever it is that nobody may.
    pub(in crate::api) fn unauthorized() -> Self {
        let message = "sign in: with a user's name and password, or with a token";
        // A browser that is challenged asks with a window of its own, which no page wants; programs
        // that know the scheme send their credentials unasked.
        let challenge = HeaderValue::from_static("Bearer realm=\"layerhouse\"");
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, message)
            .with(header::WWW_AUTHENTICATE, challenge)
    }

    pub(in crate::api) fn invalid(message: impl Into<String>) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self::new(status, Code::ValueInvalid, message)
    }

    pub(in crate::api) fn status(&self) -> StatusCode {
        match &*self.0 {
            Inner::Registry(error) => error.status(),
            Inner::Ours { status, .. } => *status,
        }
    }

    /// What it says, if it is no registry's error.
    pub(in crate::api) fn message(self) -> Option<String> {
        match *self.0 {
            Inner::Registry(_) => None,
            Inner::Ours { message, .. } => Some(message),
        }
    }

    pub(in crate::api) fn into_answer(self) -> Answer {
        let (status, code, message, headers) = match *self.0 {
            Inner::Registry(error) => return error.into_answer(),
            Inner::Ours {
                status,
                code,
                message,
                headers,
            } => (status, code, message, headers),
        };
        let errors = Problems {
            errors: vec![Said {
                code,
                message,
                detail: None,
            }],
        };
        let content = serde_json::to_vec(&errors).expect("texts are JSON");
        let mut answer: http::Response<ResponseBody> = json(status, "application/json", content);
        for (name, value) in headers {
            answer.headers_mut().insert(name, value);
        }
        answer
    }
}

impl Problem {
    /// What an operation of the index was refused for.
    fn of(sort: Sort<'_>, message: String) -> Self {
        match sort {
            Sort::Invalid => Self::invalid(message),
            Sort::Absent => Self::new(StatusCode::NOT_FOUND, Code::NotFound, message),
            Sort::Taken => Self::conflict(Code::NameTaken, message),
            Sort::Forbidden => Self::denied(message),
            Sort::Conflict => Self::conflict(Code::Conflict, message),
            Sort::Busy(wait) => ApiError::from(Denied::Busy { wait }).into(),
            Sort::Fault(fault) => ApiError::of_fault(fault).into(),
        }
    }
}

macro_rules! sorted {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Problem {
            fn from(error: $error) -> Self {
                Self::of(error.sort(), error.to_string())
            }
        })*
    };
}

sorted!(
    AccessError,
    GrantError,
    InvitationError,
    MemberError,
    OrganizationError,
    PageError,
    PasswordError,
    RepositoryError,
    RobotError,
    SearchError,
    SignUpError,
    StarError,
    TeamError,
    TokenError,
    UserError,
);

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        ApiError::from(fault).into()
    }
}

impl From<DeleteManifestError> for Problem {
    fn from(error: DeleteManifestError) -> Self {
        let message = error.to_string();
        match error {
            DeleteManifestError::Unknown => Self::absent(message),
            DeleteManifestError::Refused(_) => Self::denied(message),
            DeleteManifestError::Needed { .. } | DeleteManifestError::Moved { .. } => {
                Self::conflict(Code::Conflict, message)
            }
            DeleteManifestError::Fault(fault) => fault.into(),
        }
    }
}

impl From<DeleteRepositoryError> for Problem {
    fn from(error: DeleteRepositoryError) -> Self {
        match error {
            DeleteRepositoryError::Refused(refused) => Self::denied(refused.to_string()),
            DeleteRepositoryError::Fault(fault) => fault.into(),
        }
    }
}

impl From<RestoreError> for Problem {
    fn from(error: RestoreError) -> Self {
        let message = error.to_string();
        match error {
            RestoreError::UnknownRepository
            | RestoreError::UnknownManifest { .. }
            | RestoreError::UnknownTag { .. }
            | RestoreError::NothingBefore { .. }
            | RestoreError::Gone { .. } => Self::absent(message),
            RestoreError::Refused(_) => Self::denied(message),
            RestoreError::Missing { .. } => Self::conflict(Code::Conflict, message),
            RestoreError::Fault(fault) => fault.into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Forbidden => Self::denied("your role here is too low for this"),
            Refusal::ReadOnly | Refusal::DeleteOff => {
                Self::conflict(Code::Conflict, refusal.to_string())
            }
        }
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        Self(Box::new(Inner::Registry(error)))
    }
}

/// What stands in the body of every answer that is a problem.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Errors")]
pub(super) struct Problems {
    errors: Vec<Said>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
struct Said {
    code: Code,
    /// For people; it may change.
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<serde_json::Value>,
}
