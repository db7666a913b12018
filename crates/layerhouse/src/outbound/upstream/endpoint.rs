//! One address of an upstream: how a question gets there, past redirections and challenges.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::{LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, Response, Url};

use super::answer::{Answer, Conduct, text};
use super::breaker::{Breaker, Why};
use super::dial::{OpenUpstreamError, client};
use super::error::{Asked, UpstreamError};
use super::filter::Filter;
use super::login::{Credential, current};
use super::rate_limit::{RateLimit, retry_after};
use super::redirect::{HOPS_MAX, is_redirect, next_hop};
use super::resource::Resource;
use super::state::Tally;
use super::token::{Token, Tokens};
use crate::clock::{Clock, Timestamp};
use crate::config::meaning::mirror::{self, UpstreamLogin};
use crate::outbound::drain;

/// Answers to challenges for one question: a login or a token that was kept, a new token, and that refused.
const ATTEMPTS_MAX: usize = 3;

/// An endpoint, with what is known of it.
pub(super) struct Endpoint {
    pub(super) upstream: String,
    pub(super) settings: mirror::Endpoint,
    pub(super) origin: Url,
    pub(super) client: Client,
    pub(super) filter: Arc<Filter>,
    pub(super) tokens: Tokens,
    pub(super) conduct: Arc<Conduct>,
    /// It takes the login itself, as far as is known; else its token service does.
    pub(super) is_told_directly: AtomicBool,
    /// The last token service that was not told the login, and why (S30).
    pub(super) distrusted: Mutex<Option<String>>,
}

/// What is asked.
pub(super) struct Question<'a> {
    pub(super) method: Method,
    pub(super) resource: Resource<'a>,
    /// Behind the resource's own: `manifests/latest`.
    pub(super) path: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) accept: Option<&'a str>,
    /// The offset of the first byte that is wanted.
    pub(super) from: u64,
}

/// What a request says of who we are.
pub(super) enum Sent {
    Nothing,
    /// The login itself.
    Login(Credential),
    Token(Token),
}

impl Endpoint {
    pub(super) fn open(
        upstream: &str,
        settings: &mirror::Endpoint,
        tally: Arc<Tally>,
        clock: &Clock,
    ) -> Result<Self, OpenUpstreamError> {
        let origin = Url::parse(&settings.url).map_err(|error| OpenUpstreamError::Client {
            upstream: upstream.to_owned(),
            problem: format!("url: {error}"),
        })?;
        let filter = Arc::new(Filter::new(&origin, settings));
        Ok(Self {
            upstream: upstream.to_owned(),
            client: client(upstream, settings, &origin, &filter)?,
            origin,
            filter,
            tokens: Tokens::new(clock),
            conduct: Arc::new(Conduct {
                tally,
                breaker: Mutex::new(Breaker::default()),
                clock: clock.clone(),
            }),
            is_told_directly: AtomicBool::new(matches!(settings.login, UpstreamLogin::Token(_))),
            distrusted: Mutex::default(),
            settings: settings.clone(),
        })
    }

    /// Until when it is left alone.
    pub(super) fn is_closed_until(&self) -> Option<Timestamp> {
        let (rest, _) = self.conduct.breaker().rest(self.conduct.clock.moment())?;
        Some(self.conduct.clock.now().after(rest))
    }

    /// Asks; the answer has a status that says neither that it is not there nor that it was not allowed.
    pub(super) async fn ask(&self, question: &Question<'_>) -> Result<Answer, UpstreamError> {
        let mut url = self.origin.clone();
        url.set_path(&question.resource.path(question.path));
        if !question.query.is_empty() {
            url.query_pairs_mut().extend_pairs(question.query);
        }
        let asked = Asked::new(&self.upstream, question.method.as_str(), url.as_str());
        self.admit(&asked)?;
        self.conduct.tally.asked();
        let answer = match self.walk(question, url, &asked).await {
            Ok(answer) => self.judge(question, answer, &asked),
            Err(error) => Err(error),
        };
        match &answer {
            Ok(_) => self.conduct.breaker().succeeded(),
            Err(UpstreamError::RateLimited { retry_after, .. }) => {
                let now = self.conduct.clock.moment();
                self.conduct.breaker().limited(now, *retry_after);
            }
            Err(error) if !error.is_outage() => self.conduct.breaker().succeeded(),
            Err(_) => {}
        }
        answer.inspect_err(|error| self.conduct.failed(error))
    }

    fn admit(&self, asked: &Asked) -> Result<(), UpstreamError> {
        let admitted = self.conduct.breaker().admit(self.conduct.clock.moment());
        admitted.map_err(|(rest, why)| match why {
            Why::Limited => asked.rate_limited(Some(rest)),
            Why::Failed => asked.unreachable(format!(
                "it failed again and again, and is left alone for another {} s",
                rest.as_secs().max(1)
            )),
        })
    }

    /// Follows redirections.
    async fn walk(
        &self,
        question: &Question<'_>,
        mut url: Url,
        asked: &Asked,
    ) -> Result<Answer, UpstreamError> {
        for _ in 0..=HOPS_MAX {
            let is_own = url.origin() == self.origin.origin();
            let response = self.hop(question, &url, is_own, asked).await?;
            if !is_redirect(response.status().as_u16()) {
                return Ok(Answer {
                    response,
                    asked: asked.clone(),
                    conduct: Arc::clone(&self.conduct),
                    is_own,
                    stall: self.settings.stall,
                });
            }
            let location = text(response.headers(), LOCATION.as_str());
            url = next_hop(&url, location).map_err(|problem| asked.forbidden(problem))?;
            drain(response);
        }
        Err(asked.forbidden(format!("it redirects more than {HOPS_MAX} times")))
    }

    /// Answers challenges.
    async fn hop(
        &self,
        question: &Question<'_>,
        url: &Url,
        is_own: bool,
        asked: &Asked,
    ) -> Result<Response, UpstreamError> {
        let mut sent = self.introduction(question, url, is_own, asked)?;
        for _ in 0..ATTEMPTS_MAX {
            let request = self.request(question, url, &sent);
            let response = self.send(request, url, asked).await?;
            if is_own {
                self.note_rate_limit(&response);
            }
            if response.status().as_u16() != 401 {
                return Ok(response);
            }
            let next = self.reply(&response, question, url, is_own, sent, asked);
            match next.await? {
                Some(next) => sent = next,
                None => return Ok(response),
            }
            drain(response);
        }
        Err(self.denied(401, asked))
    }

    /// What is sent before anybody asked for it: what was good the last time.
    fn introduction(
        &self,
        question: &Question<'_>,
        url: &Url,
        is_own: bool,
        asked: &Asked,
    ) -> Result<Sent, UpstreamError> {
        if is_own
            && self.is_told_directly.load(Ordering::Relaxed)
            && let Some(credential) = self.credential(asked)?
        {
            return Ok(Sent::Login(credential));
        }
        let token = self.tokens.kept(&key(url, question.resource));
        Ok(token.map_or(Sent::Nothing, Sent::Token))
    }

    pub(super) fn credential(&self, asked: &Asked) -> Result<Option<Credential>, UpstreamError> {
        let host = self.origin.host_str().unwrap_or_default();
        let port = self.origin.port();
        let host = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        current(&self.settings.login, &host).map_err(|problem| asked.denied(problem))
    }

    fn note_rate_limit(&self, response: &Response) {
        let headers = response.headers();
        let limit = text(headers, "ratelimit-limit");
        let remaining = text(headers, "ratelimit-remaining");
        if let Some(limit) = RateLimit::read(limit, remaining, self.conduct.clock.now()) {
            self.conduct.tally.limits(limit);
        }
    }

    /// What a status says for itself.
    fn judge(
        &self,
        question: &Question<'_>,
        answer: Answer,
        asked: &Asked,
    ) -> Result<Answer, UpstreamError> {
        match answer.status() {
            // Somewhere else: an address signed for GET, where HEAD is not allowed.
            401 | 403 if question.method == Method::HEAD && !answer.is_own => Ok(answer),
            // No outage: it does not do that, or says why it will not.
            403 | 501 if question.resource.is_tended() => Ok(answer),
            status @ (401 | 403) => Err(self.denied(status, asked)),
            404 => Err(asked.not_found()),
            429 => Err(self.limited(&answer.response, asked)),
            status @ 500..=599 => Err(asked.unreachable(format!("it answers {status}"))),
            _ => Ok(answer),
        }
    }

    pub(super) fn limited(&self, response: &Response, asked: &Asked) -> UpstreamError {
        let said = text(response.headers(), RETRY_AFTER.as_str());
        asked.rate_limited(said.and_then(|said| retry_after(said, self.conduct.clock.now())))
    }

    fn denied(&self, status: u16, asked: &Asked) -> UpstreamError {
        let distrusted = self.distrusted.lock();
        let distrusted = distrusted.unwrap_or_else(PoisonError::into_inner);
        let hint = match (&*distrusted, &self.settings.login) {
            (Some(why), _) => format!("; the login was not told to {why}"),
            (None, UpstreamLogin::Anonymous) => "; it may want a login".to_owned(),
            (None, _) => "; its login may not do that".to_owned(),
        };
        asked.denied(format!("it does not give that to us ({status}){hint}"))
    }
}

/// Whom a token is for.
pub(super) fn key(url: &Url, resource: Resource<'_>) -> (String, String) {
    (url.origin().ascii_serialization(), resource.scope())
}
