//! Why an upstream did not answer what it was asked.

use std::sync::Arc;
use std::time::Duration;

/// What went wrong, in words that name the upstream, what it was asked, and what an operator can do. Cheap to
/// clone: all who wait for one answer get the same.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// It does not have it: every endpoint said so.
    #[error("{0}")]
    NotFound(Arc<str>),
    /// 401 or 403 although it was told who we are, or because nobody said.
    #[error("{0}")]
    Denied(Arc<str>),
    /// 429, now or a while ago.
    #[error("{message}")]
    RateLimited {
        /// When it may be asked again, if it said so.
        retry_after: Option<Duration>,
        message: Arc<str>,
    },
    /// No connection, no TLS, 5xx, or it is left alone for having failed before.
    #[error("{0}")]
    Unreachable(Arc<str>),
    /// It did not answer in time, or a body brought nothing for too long.
    #[error("{0}")]
    Slow(Arc<str>),
    /// A body ended before its end.
    #[error("{0}")]
    Broken(Arc<str>),
    /// We do not go there: a private address, another scheme, a redirection that leads nowhere (S31, S32).
    #[error("{0}")]
    Forbidden(Arc<str>),
    /// Not what was asked for: another digest, an encoding, too much.
    #[error("{0}")]
    Invalid(Arc<str>),
}

impl UpstreamError {
    /// Another endpoint may do better.
    pub(super) fn is_for_the_next(&self) -> bool {
        match self {
            Self::NotFound(_)
            | Self::RateLimited { .. }
            | Self::Unreachable(_)
            | Self::Slow(_)
            | Self::Broken(_) => true,
            Self::Denied(_) | Self::Forbidden(_) | Self::Invalid(_) => false,
        }
    }

    /// The endpoint itself failed, whatever it was asked.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Slow(_) | Self::Broken(_) => true,
            Self::NotFound(_)
            | Self::Denied(_)
            | Self::RateLimited { .. }
            | Self::Forbidden(_)
            | Self::Invalid(_) => false,
        }
    }

    /// It answered, and what it answered is no failure of anybody's.
    pub(super) fn is_an_answer(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }
}

/// Who was asked what: each message begins with it.
#[derive(Clone, Debug)]
pub(super) struct Asked(Arc<str>);

impl Asked {
    /// `url` is one of our own making: it has neither a login nor a signature in it.
    pub(super) fn new(upstream: &str, method: &str, url: &str) -> Self {
        Self(format!("{upstream}: {method} {url}").into())
    }

    pub(super) fn not_found(&self) -> UpstreamError {
        UpstreamError::NotFound(self.say("it does not have it (404)"))
    }

    pub(super) fn denied(&self, what: impl std::fmt::Display) -> UpstreamError {
        UpstreamError::Denied(self.say(what))
    }

    pub(super) fn rate_limited(&self, retry_after: Option<Duration>) -> UpstreamError {
        let when = retry_after.map_or_else(String::new, |after| {
            format!("; it may be asked again in {} s", after.as_secs().max(1))
        });
        UpstreamError::RateLimited {
            retry_after,
            message: self.say(format!(
                "it answers no more for now (429){when}; a login may be allowed more"
            )),
        }
    }

    pub(super) fn unreachable(&self, what: impl std::fmt::Display) -> UpstreamError {
        UpstreamError::Unreachable(self.say(what))
    }

    pub(super) fn slow(&self, what: impl std::fmt::Display) -> UpstreamError {
        UpstreamError::Slow(self.say(what))
    }

    pub(super) fn broken(&self, what: impl std::fmt::Display) -> UpstreamError {
        UpstreamError::Broken(self.say(what))
    }

    pub(super) fn forbidden(&self, what: impl std::fmt::Display) -> UpstreamError {
        UpstreamError::Forbidden(self.say(what))
    }

    pub(super) fn invalid(&self, what: impl std::fmt::Display) -> UpstreamError {
        UpstreamError::Invalid(self.say(what))
    }

    fn say(&self, what: impl std::fmt::Display) -> Arc<str> {
        format!("{}: {what}", self.0).into()
    }
}
