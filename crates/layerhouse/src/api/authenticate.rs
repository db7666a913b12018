//! Signing in: `Authorization` goes to `auth`, and a refusal becomes 401 with what a client needs to try
//! again.

use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderValue};
use http::{HeaderMap, Request, StatusCode};
use layerhouse_oci::error_code::Code;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::route::Route;
use serde_json::json;

use super::error::ApiError;
use super::{Answer, Call, Settings, request};
use crate::auth::access::Access;
use crate::auth::authenticator::{Authenticator, Denied};
use crate::auth::credentials::Credentials;
use crate::auth::htpasswd::passes;
use crate::auth::needs::{self, Need};
use crate::auth::{Caller, Identity};
use crate::config::meaning::Auth;
use crate::metrics::{AuthMethod, AuthResult};

/// What a request brings to be let in, read before anything waits.
pub(super) struct Application {
    need: Need,
    credentials: Credentials,
}

impl Application {
    /// For what is no route of the registry's own.
    pub(super) fn of<B>(need: Need, request: &Request<B>) -> Self {
        Self {
            need,
            credentials: credentials(request.headers()),
        }
    }

    pub(super) fn read<B>(route: &Route, request: &Request<B>, settings: &Settings) -> Self {
        let from = request::query(request, "from");
        let mut from = from.and_then(|from| from.parse::<RepositoryName>().ok());
        if let Some(from) = &mut from {
            settings.name(from);
        }
        Self {
            need: needs::of(route, from),
            credentials: credentials(request.headers()),
        }
    }
}

impl Call {
    /// The same call, by who it was found to come from.
    pub(super) async fn admit(mut self, application: Application) -> Result<Self, ApiError> {
        let Application { need, credentials } = application;
        let authenticator = &self.settings.authenticator;
        let source = &self.caller.source;
        let is_empty = credentials.are_empty();
        let decided = authenticator.decide(&credentials, &need, source).await;
        if need != Need::Nothing
            && let Some(method) = method(authenticator)
            && let Some(result) = result(&decided, is_empty)
        {
            self.api.observers.metrics.count_auth(method, result);
        }
        let (identity, access) = decided?;
        self.caller = Arc::new(Caller {
            identity,
            access,
            source: Arc::clone(source),
        });
        let _ = self.admitted.set(Arc::clone(&self.caller));
        Ok(self)
    }
}

fn method(authenticator: &Authenticator) -> Option<AuthMethod> {
    if authenticator.indexed().is_some() {
        return Some(AuthMethod::Index);
    }
    match authenticator.config() {
        Auth::None => None,
        Auth::Silly { .. } => Some(AuthMethod::Silly),
        Auth::Htpasswd { .. } => Some(AuthMethod::Htpasswd),
        Auth::Token(_) => Some(AuthMethod::Token),
    }
}

/// What came of signing in; nothing, for who may go on without.
fn result(
    decided: &Result<(Identity, Access), Denied>,
    has_no_credentials: bool,
) -> Option<AuthResult> {
    match decided {
        Ok((Identity::User(_), _)) => Some(AuthResult::Accepted),
        Ok((Identity::Anonymous, _)) => None,
        Err(Denied::Unauthorized { .. }) if has_no_credentials => Some(AuthResult::Missing),
        Err(Denied::Unauthorized { .. }) => Some(AuthResult::Refused),
        Err(Denied::Busy { .. } | Denied::Fault(_)) => Some(AuthResult::Failed),
    }
}

/// GET `/v2/token`: a pass, where they are given, in the form of Docker's token services.
///
/// POST, the other form of those, is not there: its clients then ask in this one.
pub(super) async fn token(
    call: &Call,
    credentials: Credentials,
) -> Option<Result<Answer, ApiError>> {
    let issued = call
        .settings
        .authenticator
        .issue(&credentials, &call.caller.source)
        .await?;
    Some(issued.map_err(ApiError::from).map(|pass| {
        let pass = String::from_utf8_lossy(pass.expose());
        let content = json!({
            "token": pass,
            "access_token": pass,
            "expires_in": passes::VALID_FOR.as_secs(),
        });
        let content = content.to_string().into_bytes();
        let mut answer = super::json(StatusCode::OK, "application/json", content);
        let no_store = HeaderValue::from_static("no-store");
        answer.headers_mut().insert(header::CACHE_CONTROL, no_store);
        answer
    }))
}

/// A request that signs in twice leaves open as whom: it does not sign in at all.
pub(super) fn credentials(headers: &HeaderMap) -> Credentials {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let credentials = Credentials::parse(values.next().map(HeaderValue::as_bytes));
    match values.next() {
        None => credentials,
        Some(_) => Credentials::Unknown,
    }
}

/// Too much is asked at once, or was guessed wrong too often.
pub(super) fn busy(wait: Duration) -> ApiError {
    let seconds = wait.as_secs().max(1);
    ApiError::new(
        StatusCode::TOO_MANY_REQUESTS,
        Code::TooManyRequests,
        "too many sign-ins; wait before the next",
    )
    .with(header::RETRY_AFTER, HeaderValue::from(seconds))
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unauthorized { challenge, wanted } => {
                let detail: Vec<_> = wanted
                    .iter()
                    .map(|wanted| {
                        json!({
                            "Type": wanted.resource.kind(),
                            "Class": "",
                            "Name": wanted.resource.name(),
                            "Action": wanted.action.name(),
                        })
                    })
                    .collect();
                // As registry:2 says that nothing particular was asked for.
                let detail = if detail.is_empty() {
                    json!(null)
                } else {
                    json!(detail)
                };
                let refusal = Self::unauthorized().with_detail(detail);
                match HeaderValue::from_bytes(challenge.as_bytes()) {
                    Ok(challenge) => refusal.with(header::WWW_AUTHENTICATE, challenge),
                    Err(_) => refusal,
                }
            }
            Denied::Fault(fault) => fault.into(),
            Denied::Busy { wait } => busy(wait),
        }
    }
}
