//! What came back from an endpoint, and how it did since.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderMap};

use super::breaker::Breaker;
use super::error::{Asked, UpstreamError};
use super::state::Tally;
use crate::clock::Clock;

/// How an endpoint does; answers report to it as their bodies come.
#[derive(Debug)]
pub(super) struct Conduct {
    pub(super) tally: Arc<Tally>,
    pub(super) breaker: Mutex<Breaker>,
    pub(super) clock: Clock,
}

impl Conduct {
    /// Takes note of what went wrong.
    pub(super) fn failed(&self, error: &UpstreamError) {
        self.tally.failed(error, self.clock.now());
        if error.is_outage() {
            self.breaker().failed(self.clock.moment());
        }
    }

    pub(super) fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer whose body is still to come.
pub(super) struct Answer {
    pub(super) response: Response,
    pub(super) asked: Asked,
    pub(super) conduct: Arc<Conduct>,
    /// It is the endpoint's own, and nobody's that a redirection led to.
    pub(super) is_own: bool,
    /// How long the body may bring nothing.
    pub(super) stall: Duration,
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// A header that is text, and is there once.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        text(self.response.headers(), name)
    }

    /// The bytes of the body, if it says so.
    pub(super) fn length_bytes(&self) -> Option<u64> {
        // reqwest's own is that of the body, which is none for HEAD.
        self.header(CONTENT_LENGTH.as_str())?.parse().ok()
    }

    /// Takes note that the answer is none, and gives the reason back.
    pub(super) fn fail(&self, error: UpstreamError) -> UpstreamError {
        self.conduct.failed(&error);
        error
    }

    /// Refuses another status than these, and bytes that are not the content itself: its digest would be
    /// another one (S23).
    pub(super) fn expect(self, statuses: &[u16]) -> Result<Self, UpstreamError> {
        let status = self.status();
        if !statuses.contains(&status) {
            let problem = format!("it answers {status}, which is no answer to that");
            return Err(self.fail(self.asked.invalid(problem)));
        }
        let encodings = self.response.headers().get_all(CONTENT_ENCODING);
        let is_plain = encodings
            .iter()
            .all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
        if !is_plain {
            let problem = "it sends an encoded body (Content-Encoding), which nobody asked for";
            return Err(self.fail(self.asked.invalid(problem)));
        }
        Ok(self)
    }

    /// The whole body.
    pub(super) async fn read(mut self, bytes_max: usize) -> Result<(Self, Bytes), UpstreamError> {
        match self.body(bytes_max).await {
            Ok(body) => Ok((self, body)),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// The same; what goes wrong is for the caller to report.
    pub(super) async fn body(&mut self, bytes_max: usize) -> Result<Bytes, UpstreamError> {
        let too_much = format!("the answer has more than {bytes_max} bytes");
        let length = self.length_bytes();
        if length.is_some_and(|length| (bytes_max as u64) < length) {
            return Err(self.asked.invalid(too_much));
        }
        let mut body = BytesMut::new();
        let reading = async {
            while let Some(chunk) = self.response.chunk().await.transpose() {
                let chunk = chunk.map_err(|error| broken(&self.asked, error))?;
                if bytes_max < body.len() + chunk.len() {
                    return Err(self.asked.invalid(&too_much));
                }
                self.conduct.tally.received(chunk.len());
                body.extend_from_slice(&chunk);
            }
            Ok(())
        };
        let read = tokio::time::timeout(self.stall, reading).await;
        read.unwrap_or_else(|_| Err(stalled(&self.asked, self.stall)))?;
        Ok(body.freeze())
    }
}

/// A header that is text, and is there once.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.to_str().ok())?
}

pub(super) fn broken(asked: &Asked, error: reqwest::Error) -> UpstreamError {
    let problem = crate::outbound::OutboundError::from(error);
    asked.broken(format!("its answer broke off: {problem}"))
}

pub(super) fn stalled(asked: &Asked, stall: Duration) -> UpstreamError {
    asked.slow(format!(
        "its answer brought nothing for {} s",
        stall.as_secs_f32()
    ))
}
