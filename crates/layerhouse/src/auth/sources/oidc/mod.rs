//! People who sign in with a browser at a provider (OpenID Connect Core 1.0, 3.1): we send them there with a
//! question that only this browser can bring the answer to, make a token of the code that comes back, and
//! read in it who they are.

mod person;
pub(crate) mod state;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use tokio::sync::Semaphore;

use self::state::{Begun, States};
use super::SourceError;
use super::issuer::discovery::{Metadata, SecretForm};
use super::issuer::verify::{Expected, TokenError};
use super::issuer::{At, Issuer};
use crate::auth::credentials::Secret;
use crate::auth::outsider::Outsider;
use crate::auth::sealing::Sealing;
use crate::auth::token::json;
use crate::clock::{Clock, Random};
use crate::config::meaning::sources as config;
use crate::outbound::Outbound;
use crate::outbound::exchange::{Question, with_query};

/// For the answer of a token endpoint.
const PATIENCE: Duration = Duration::from_secs(10);
/// Codes that become tokens at once.
const AT_ONCE_MAX: usize = 32;
/// Its tokens have some KiB each.
const BYTES_MAX: usize = 256 << 10;

/// A provider.
pub(crate) struct Provider {
    config: config::Oidc,
    issuer: Issuer,
    outbound: Arc<Outbound>,
    states: States,
    /// Codes that become tokens at once: anyone can bring one.
    turns: Semaphore,
}

/// Where a browser goes to sign in, and what it keeps meanwhile.
pub(crate) struct Departure {
    pub(crate) url: String,
    pub(crate) state: Secret,
}

/// What a browser brings back.
pub(crate) struct Arrival<'a> {
    pub(crate) state: &'a str,
    pub(crate) code: &'a str,
    /// What it kept.
    pub(crate) kept: &'a Secret,
    /// Where it was told to come back to; the same as when it left.
    pub(crate) redirect_url: &'a str,
}

/// Why nobody signed in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    /// The browser brings another state than it left with, or too late, or none: begin again.
    #[error("the sign-in was not begun in this browser, or too long ago")]
    State,
    #[error("the provider does not take the code: {0}")]
    Code(String),
    #[error("its token: {0}")]
    Token(#[from] TokenError),
    /// They are who they are, and may not sign in here.
    #[error("{0}")]
    NotAllowed(String),
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl Provider {
    pub(crate) fn new(
        config: &config::Oidc,
        outbound: &Arc<Outbound>,
        clock: &Clock,
        random: &Random,
        sealing: &Sealing,
    ) -> Self {
        Self {
            issuer: Issuer::new(
                &config.issuer,
                &config.algorithms,
                At::Discovered,
                outbound,
                clock,
            ),
            outbound: Arc::clone(outbound),
            turns: Semaphore::new(AT_ONCE_MAX),
            states: States::new(config.name.as_str(), clock, random, sealing),
            config: config.clone(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.config.name.as_str()
    }

    /// What people read.
    pub(crate) fn title(&self) -> &str {
        &self.config.title
    }

    /// Sends somebody to the provider, who comes back to `redirect_url` and is then to see `return_to`.
    ///
    /// # Errors
    /// The provider cannot be asked where that is.
    pub(crate) async fn begin(
        &self,
        redirect_url: &str,
        return_to: Option<String>,
    ) -> Result<Departure, SourceError> {
        let metadata = self.issuer.metadata().await?;
        let sign_in_url = metadata.sign_in_url.as_deref();
        let sign_in_url = sign_in_url.ok_or_else(|| self.lacks("authorization_endpoint"))?;
        let begun = self.states.begin(return_to);
        let challenge = digest(&SHA256, begun.verifier.as_bytes());
        let challenge = URL_SAFE_NO_PAD.encode(challenge);
        let url = with_query(
            sign_in_url,
            &[
                ("response_type", "code"),
                ("client_id", &self.config.client_id),
                ("redirect_uri", redirect_url),
                ("scope", &self.config.scopes.join(" ")),
                ("state", &begun.state),
                ("nonce", &begun.nonce),
                ("code_challenge", &challenge),
                ("code_challenge_method", "S256"),
            ],
        );
        Ok(Departure {
            url: url.ok_or_else(|| self.lacks("authorization_endpoint"))?,
            state: self.states.seal(&begun),
        })
    }

    /// Who came back, and what they are to see.
    ///
    /// # Errors
    /// [`SignInError`] tells what to say.
    pub(crate) async fn finish(
        &self,
        arrival: Arrival<'_>,
    ) -> Result<(Outsider, Option<String>), SignInError> {
        let begun = self.states.open(arrival.kept);
        let begun = begun.filter(|begun| begun.has_state(arrival.state));
        let begun = begun.ok_or(SignInError::State)?;
        let _turn = self.turns.try_acquire().map_err(|_| SourceError::Busy)?;
        let metadata = self.issuer.metadata().await?;
        let token = self.redeem(&metadata, &arrival, &begun).await?;
        let expected = Expected {
            audience: &self.config.client_id,
            nonce: Some(&begun.nonce),
        };
        let claims = self.issuer.verify(token.as_bytes(), &expected).await;
        let claims = claims.map_err(|error| {
            if let TokenError::Source(error) = error {
                SignInError::Source(error)
            } else {
                SignInError::Token(error)
            }
        })?;
        let outsider = person::read(&claims, &self.config).map_err(SignInError::NotAllowed)?;
        Ok((outsider, begun.return_to))
    }

    /// The token for a code (RFC 6749, 4.1.3), of the endpoint that the provider itself names over TLS:
    /// our secret goes nowhere else (S30), and is not sent on where that redirects (S31).
    async fn redeem(
        &self,
        metadata: &Metadata,
        arrival: &Arrival<'_>,
        begun: &Begun,
    ) -> Result<String, SignInError> {
        let url = metadata.token_url.as_deref();
        let url = url.ok_or_else(|| self.lacks("token_endpoint"))?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", arrival.code),
            ("redirect_uri", arrival.redirect_url),
            ("code_verifier", &begun.verifier),
        ];
        let secret = self.config.client_secret.as_ref();
        let secret = secret.map(|secret| String::from_utf8_lossy(secret.expose()));
        let own = &self.config.client_id;
        // Names and secrets are encoded as in a form first (RFC 6749, 2.3.1).
        let encoded = secret
            .as_deref()
            .map(|secret| [own, secret].map(form_encoded));
        let basic = match (&encoded, metadata.takes_secret_as) {
            (Some([name, secret]), SecretForm::Basic) => Some((name.as_str(), secret.as_str())),
            (None, _) | (_, SecretForm::Form) => None,
        };
        if basic.is_none() {
            form.push(("client_id", own));
            form.extend(secret.as_deref().map(|secret| ("client_secret", secret)));
        }
        let question = Question {
            url,
            form: Some(&form),
            basic,
            patience: PATIENCE,
            bytes_max: BYTES_MAX,
        };
        let reply = self.outbound.ask(question).await;
        let reply = reply.map_err(|error| self.outage(&error.to_string()))?;
        let answer = layerhouse_oci::strict_json::parse(&reply.body).ok();
        let text = |name: &str| match &answer {
            Some(layerhouse_oci::strict_json::Json::Object(answer)) => {
                json::text(answer, name).map(str::to_owned)
            }
            _ => None,
        };
        match reply.status {
            200 => text("id_token").ok_or_else(|| self.outage("its answer has no id_token").into()),
            // Codes are good once and not for long.
            400 if text("error").as_deref() == Some("invalid_grant") => {
                Err(SignInError::Code("invalid_grant".to_owned()))
            }
            status => {
                let problem = text("error").unwrap_or_default();
                let problem: String = problem.chars().take(80).collect();
                Err(self
                    .outage(&format!("{url}: it answers {status} {problem:?}"))
                    .into())
            }
        }
    }

    /// What it says of itself is no address.
    pub(crate) fn lacks_address(&self) -> SourceError {
        self.lacks("authorization_endpoint")
    }

    fn lacks(&self, name: &str) -> SourceError {
        self.outage(&format!("it says no {name} of itself"))
    }

    fn outage(&self, problem: &str) -> SourceError {
        SourceError::Outage(format!("{}: {problem}", self.issuer.name()))
    }
}

/// `application/x-www-form-urlencoded`.
fn form_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}
