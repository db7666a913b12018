//! The token service over HTTP: `/auth/token` in both of its forms, and the keys that others verify with.

use std::borrow::Cow;

use http::header::{self, HeaderValue};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use layerhouse_oci::error_code::Code;
use layerhouse_oci::route::RouteError;
use serde_json::json;

use super::body::RequestBody;
use super::error::ApiError;
use super::{Answer, Call, authenticate, mirror};
use crate::auth::authenticator::INDEX_TOKEN_PATH;
use crate::auth::credentials::{Credentials, Secret};
use crate::auth::indexed::Indexed;
use crate::auth::issue::scopes::{self, TooManyScopes};
use crate::auth::issue::{IssueError, Issued, TokenRequest};
use crate::auth::passwords::Busy;
use crate::auth::principal::Principal;
use crate::auth::sign_in::SignInError;
use crate::registry::receive::Incoming as _;

/// Largest form: scopes, and a password that may be a token of some KiB of another service.
const FORM_BYTES_MAX: usize = 32 << 10;

/// What the token service answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Token,
    /// The keys as a set.
    Jwks,
    /// The keys' certificates.
    Certificates,
}

impl Endpoint {
    /// What a path is of.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            INDEX_TOKEN_PATH => Some(Self::Token),
            "/auth/jwks.json" => Some(Self::Jwks),
            "/auth/certificate.pem" => Some(Self::Certificates),
            _ => None,
        }
    }
}

/// Answers a request to the token service.
pub(super) async fn serve(
    call: &Call,
    endpoint: Endpoint,
    request: Request<Incoming>,
) -> Result<Answer, ApiError> {
    let Some(index) = call.settings.authenticator.indexed() else {
        return Err(RouteError::NotFound.into());
    };
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    match endpoint {
        // HEAD would make a token for nobody.
        Endpoint::Token if request.method() == Method::GET => get(call, index, &request).await,
        Endpoint::Token if request.method() == Method::POST => post(call, index, request).await,
        Endpoint::Token => Err(not_allowed("GET, POST")),
        Endpoint::Jwks | Endpoint::Certificates if !is_read => Err(not_allowed("GET, HEAD")),
        Endpoint::Jwks | Endpoint::Certificates => {
            let ring = index.issuer().keys().current().await?;
            let now = call.api.registry.clock().now();
            let (media_type, content) = match endpoint {
                Endpoint::Certificates => ("application/x-pem-file", ring.bundle(now)),
                Endpoint::Jwks | Endpoint::Token => ("application/json", ring.jwks(now)),
            };
            let mut answer = super::json(StatusCode::OK, media_type, content.into_bytes());
            let short = HeaderValue::from_static("public, max-age=300");
            answer.headers_mut().insert(header::CACHE_CONTROL, short);
            Ok(answer)
        }
    }
}

/// `GET /auth/token?service&scope&offline_token&client_id`, perhaps with a name and a password.
async fn get(
    call: &Call,
    index: &Indexed,
    request: &Request<Incoming>,
) -> Result<Answer, ApiError> {
    let form = Form::read(request.uri().query().unwrap_or("").as_bytes());
    let who = match authenticate::credentials(request.headers()) {
        credentials if credentials.are_empty() => by_connection(call, index).await?,
        Credentials::Basic { user, password } => sign_in(call, index, &user, &password).await?,
        // A token that gave tokens would never end.
        Credentials::None | Credentials::Bearer(_) | Credentials::Unknown => {
            return Err(refused(index));
        }
    };
    let wants_refresh = form
        .get("offline_token")
        .is_some_and(|wants| wants == "true");
    let issued = issue(call, index, &who, &form, wants_refresh).await?;
    let refresh = issued.refresh.clone();
    Ok(answer(&issued, refresh.as_ref(), false))
}

/// `POST /auth/token` with a form (Docker's token specification, OAuth2).
async fn post(
    call: &Call,
    index: &Indexed,
    request: Request<Incoming>,
) -> Result<Answer, ApiError> {
    let content = content(call, request).await?;
    let form = Form::read(&content);
    let wants_refresh = form
        .get("access_type")
        .is_some_and(|access| access == "offline");
    let needed = |name: &str| {
        form.get(name)
            .ok_or_else(|| bad(format!("{name} is missing")))
    };
    match needed("grant_type")? {
        "password" => {
            let password = Secret::new(needed("password")?.as_bytes());
            let who = sign_in(call, index, needed("username")?, &password).await?;
            let issued = issue(call, index, &who, &form, wants_refresh).await?;
            let refresh = issued.refresh.clone();
            Ok(answer(&issued, refresh.as_ref(), true))
        }
        "refresh_token" => {
            let text = Secret::new(needed("refresh_token")?.as_bytes());
            index.sign_in().refresh().await;
            let holder = index.issuer().holder(&text)?;
            let who = holder.ok_or_else(|| refused(index))?;
            let issued = issue(call, index, &who, &form, false).await?;
            // It stays the same: its use gave it a new term.
            Ok(answer(&issued, Some(&text).filter(|_| wants_refresh), true))
        }
        _ => Err(bad("grant_type must be password or refresh_token")),
    }
}

/// The body of a form, which is short.
async fn content(call: &Call, request: Request<Incoming>) -> Result<Vec<u8>, ApiError> {
    let mut body = RequestBody::new(request.into_body(), call.api.timeouts);
    let mut content = Vec::new();
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(|broken| {
            let status = StatusCode::REQUEST_TIMEOUT;
            ApiError::new(status, Code::Unsupported, broken.to_string())
                .with(header::CONNECTION, HeaderValue::from_static("close"))
        })?;
        if FORM_BYTES_MAX < content.len() + bytes.len() {
            let message = format!("a form has at most {FORM_BYTES_MAX} bytes");
            let status = StatusCode::PAYLOAD_TOO_LARGE;
            return Err(ApiError::new(status, Code::SizeInvalid, message));
        }
        content.extend_from_slice(&bytes);
    }
    Ok(content)
}

/// Parameters of a query or a form; of those that come twice the first counts, but for scopes.
struct Form<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Form<'a> {
    fn read(encoded: &'a [u8]) -> Self {
        Self(form_urlencoded::parse(encoded).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let found = self.0.iter().filter(move |(own, _)| own == name);
        found.map(|(_, value)| value.as_ref())
    }
}

async fn sign_in(
    call: &Call,
    index: &Indexed,
    user: &str,
    password: &Secret,
) -> Result<Principal, ApiError> {
    let source = &call.caller.source;
    let found = index
        .sign_in()
        .sign_in(user, password, &source.address.to_string())
        .await;
    match found {
        Ok(Some(who)) => Ok(who),
        Ok(None) => {
            // No name: people type a password where it belongs.
            tracing::info!(address = %source.address, "a sign-in for a token was refused");
            Err(refused(index))
        }
        Err(SignInError::Busy(Busy { wait })) => Err(authenticate::busy(wait)),
        Err(SignInError::Fault(fault)) => Err(fault.into()),
    }
}

/// Who shows nothing but perhaps a certificate.
async fn by_connection(call: &Call, index: &Indexed) -> Result<Principal, ApiError> {
    match index.sign_in().by_certificate(&call.caller.source).await {
        Ok(holder) => Ok(holder.unwrap_or_else(Principal::nobody)),
        Err(SignInError::Busy(Busy { wait })) => Err(authenticate::busy(wait)),
        Err(SignInError::Fault(fault)) => Err(fault.into()),
    }
}

async fn issue(
    call: &Call,
    index: &Indexed,
    who: &Principal,
    form: &Form<'_>,
    wants_refresh: bool,
) -> Result<Issued, ApiError> {
    let mut scopes =
        scopes::parse(form.all("scope")).map_err(|error: TooManyScopes| bad(error.to_string()))?;
    mirror::add_copies(&call.api.registry, &call.settings, &mut scopes)?;
    let request = TokenRequest {
        service: form.get("service").filter(|service| !service.is_empty()),
        scopes,
        wants_refresh,
        client: form.get("client_id").unwrap_or(""),
    };
    let issued = index.issuer().issue(who, request).await;
    issued.map_err(|error| {
        let message = error.to_string();
        match error {
            IssueError::UnknownService => bad(message),
            IssueError::Nobody => challenged(index, ApiError::unauthorized()),
            IssueError::Ended => refused(index),
            IssueError::Fault(fault) => fault.into(),
        }
    })
}

/// The one answer to credentials that are not good. Docker shows its message behind "unauthorized", unless
/// that is the registry's usual one.
fn refused(index: &Indexed) -> ApiError {
    let message = "wrong user name, password or token";
    challenged(
        index,
        ApiError::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, message),
    )
}

fn challenged(index: &Indexed, refusal: ApiError) -> ApiError {
    let challenge = index.challenge_of_token_service();
    match HeaderValue::from_bytes(challenge.as_bytes()) {
        Ok(challenge) => refusal.with(header::WWW_AUTHENTICATE, challenge),
        Err(_) => refusal,
    }
}

fn bad(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, Code::Unsupported, message)
}

fn not_allowed(allow: &'static str) -> ApiError {
    RouteError::MethodNotAllowed { allow }.into()
}

/// The token under both of its names; to who posted a form, also what it is for.
fn answer(issued: &Issued, refresh: Option<&Secret>, says_scope: bool) -> Answer {
    let text = |secret: &Secret| String::from_utf8_lossy(secret.expose()).into_owned();
    let token = text(&issued.token);
    let mut content = json!({
        "token": token,
        "access_token": token,
        "expires_in": issued.lifetime.as_secs(),
        "issued_at": issued.issued_at.rfc3339().unwrap_or_default(),
    });
    if let Some(refresh) = refresh {
        content["refresh_token"] = json!(text(refresh));
    }
    if says_scope {
        let scopes: Vec<_> = issued.scopes.iter().map(ToString::to_string).collect();
        content["scope"] = json!(scopes.join(" "));
    }
    let content = content.to_string().into_bytes();
    let mut answer = super::json(StatusCode::OK, "application/json", content);
    let no_store = HeaderValue::from_static("no-store");
    answer.headers_mut().insert(header::CACHE_CONTROL, no_store);
    answer
}
