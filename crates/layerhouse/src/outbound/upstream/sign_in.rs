//! How an endpoint's challenge is answered: with the login, or with a token that its service gives for it.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use reqwest::Response;
use reqwest::Url;
use reqwest::header::{ACCEPT, CONTENT_TYPE, WWW_AUTHENTICATE};

use super::answer::Answer;
use super::challenge::{Challenge, parse};
use super::endpoint::{Endpoint, Question, Sent, key};
use super::error::{Asked, UpstreamError};
use super::login::Credential;
use super::realm::{TokenQuestion, question as realm_question};
use super::token::{Issued, read_answer};

/// Headers that are read; more are no challenge but noise.
const HEADERS_MAX: usize = 8;
/// Longer answers of token services have no token in them that fits a header.
const ANSWER_BYTES_MAX: usize = 128 << 10;

impl Endpoint {
    /// What to send after a 401; `None` if there is nothing better than what was sent.
    pub(super) async fn reply(
        &self,
        response: &Response,
        question: &Question<'_>,
        url: &Url,
        is_own: bool,
        sent: Sent,
        asked: &Asked,
    ) -> Result<Option<Sent>, UpstreamError> {
        let values = response.headers().get_all(WWW_AUTHENTICATE).iter();
        let values = values
            .take(HEADERS_MAX)
            .filter_map(|value| value.to_str().ok());
        let challenges: Vec<Challenge> = values.flat_map(parse).collect();
        let of = |scheme: &str| challenges.iter().find(|one| one.scheme == scheme);
        let was_login = matches!(sent, Sent::Login(_));
        // The login is for the endpoint, and for nobody that it redirects to (S31).
        let credential = if is_own {
            self.credential(asked)?
        } else {
            None
        };
        if let Some(credential @ Credential::Bearer(_)) = credential {
            self.is_told_directly.store(true, Ordering::Relaxed);
            return Ok((!was_login).then_some(Sent::Login(credential)));
        }
        if let Some(challenge) = of("bearer") {
            let refused = match sent {
                Sent::Token(token) if token.is_new => return Ok(None),
                Sent::Token(token) => Some(token.text),
                Sent::Nothing | Sent::Login(_) => None,
            };
            self.is_told_directly.store(false, Ordering::Relaxed);
            let endpoint = is_own.then_some(&self.origin);
            let hosts = &self.settings.auth_hosts;
            let wanted = realm_question(challenge, question.resource, endpoint, hosts);
            let wanted = wanted.map_err(|problem| asked.invalid(problem))?;
            let ask = self.ask_for_token(&wanted, credential.as_ref(), asked);
            let key = key(url, question.resource);
            let token = self.tokens.obtain(key, refused.as_deref(), ask).await?;
            return Ok(Some(Sent::Token(token)));
        }
        match credential {
            Some(credential @ Credential::Basic { .. }) if of("basic").is_some() && !was_login => {
                self.is_told_directly.store(true, Ordering::Relaxed);
                Ok(Some(Sent::Login(credential)))
            }
            Some(_) | None => Ok(None),
        }
    }

    async fn ask_for_token(
        &self,
        wanted: &TokenQuestion,
        credential: Option<&Credential>,
        asked: &Asked,
    ) -> Result<Issued, UpstreamError> {
        let host = wanted.url.host_str().unwrap_or_default();
        if credential.is_some() {
            let mut distrusted = self
                .distrusted
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *distrusted = wanted.distrust.map(|why| format!("{host}: {why}"));
        }
        let told = credential.filter(|_| wanted.distrust.is_none());
        let request = match told {
            Some(Credential::Refresh(token)) => self.exchange(wanted, token),
            Some(Credential::Basic { user, password }) => self
                .client
                .get(wanted.url.clone())
                .basic_auth(user, Some(password)),
            Some(Credential::Bearer(_)) | None => self.client.get(wanted.url.clone()),
        };
        let request = request.header(ACCEPT, "application/json");
        let asked_service = self.asked_service(wanted);
        let response = self.send(request, &wanted.url, &asked_service).await?;
        let what = match (told, credential.and(wanted.distrust)) {
            (Some(_), _) => format!("its token service at {host} refuses the login"),
            (None, Some(why)) => format!(
                "its token service at {host} gives no token to everyone, and was not told the login: {why}"
            ),
            (None, None) => format!("its token service at {host} gives no token to everyone"),
        };
        match response.status().as_u16() {
            200..=299 => {}
            429 => return Err(self.limited(&response, asked)),
            status @ 300..=399 => {
                let problem = format!("its token service at {host} redirects ({status})");
                return Err(asked.forbidden(problem));
            }
            status @ 400..=499 => return Err(asked.denied(format!("{what} ({status})"))),
            status => {
                let problem = format!("its token service at {host} answers {status}");
                return Err(asked.unreachable(problem));
            }
        }
        let mut answer = Answer {
            response,
            asked: asked_service,
            conduct: std::sync::Arc::clone(&self.conduct),
            is_own: false,
            stall: self.settings.patience,
        };
        let body = answer.body(ANSWER_BYTES_MAX).await?;
        read_answer(&body).map_err(|problem| answer.asked.invalid(problem))
    }

    /// For what goes wrong on the way to it: the realm without what it is asked.
    fn asked_service(&self, wanted: &TokenQuestion) -> Asked {
        let mut shown = wanted.realm.clone();
        shown.set_query(None);
        Asked::new(&self.upstream, "token service", shown.as_str())
    }

    /// A token for one that was given for good (OAuth 2.0; `identitytoken` of Docker's).
    fn exchange(&self, wanted: &TokenQuestion, token: &str) -> reqwest::RequestBuilder {
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", "layerhouse"),
            ("service", &wanted.service),
            ("scope", &wanted.scope),
            ("refresh_token", token),
        ];
        // The form of a query is that of a body.
        let mut body = wanted.url.clone();
        body.query_pairs_mut().clear().extend_pairs(form);
        self.client
            .post(wanted.realm.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body.query().unwrap_or_default().to_owned())
    }
}
