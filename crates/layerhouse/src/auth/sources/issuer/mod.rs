//! Issuers of signed tokens beside us: what they say of themselves, their keys, and whether a token is of
//! theirs, for us and of now. People's providers and CI jobs' issuers have all of that in common.

pub(crate) mod discovery;
pub(crate) mod keys;
pub(crate) mod verify;

use std::sync::Arc;

use tokio::sync::Mutex;

use self::discovery::Metadata;
use self::keys::Keys;
use self::verify::{Claims, Expected, TokenError};
use super::SourceError;
use crate::auth::token::KeySet;
use crate::auth::token::jws::Jws;
use crate::auth::token::key::Algorithm;
use crate::auth::watched::Watched;
use crate::clock::{Clock, Timestamp};
use crate::outbound::Outbound;

/// An issuer, and what is known of it by now.
pub(crate) struct Issuer {
    /// As `iss` has it.
    name: String,
    algorithms: Vec<Algorithm>,
    at: At,
    outbound: Arc<Outbound>,
    clock: Clock,
    keys: Keys,
    /// What it said of itself, or why it did not, and when.
    metadata: Mutex<Option<Known>>,
}

type Known = (Timestamp, Result<Arc<Metadata>, SourceError>);

/// Where an issuer's keys are.
pub(crate) enum At {
    /// Where it says so itself.
    Discovered,
    Url(String),
    /// In a file, and nowhere else.
    File(Arc<Watched<KeySet>>),
}

impl Issuer {
    pub(crate) fn new(
        name: &str,
        algorithms: &[String],
        at: At,
        outbound: &Arc<Outbound>,
        clock: &Clock,
    ) -> Self {
        let algorithms = algorithms
            .iter()
            .filter_map(|name| Algorithm::named(name))
            .collect();
        Self {
            name: name.to_owned(),
            algorithms,
            at,
            outbound: Arc::clone(outbound),
            clock: clock.clone(),
            keys: Keys::default(),
            metadata: Mutex::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What it says of itself, as of the last hour.
    ///
    /// # Errors
    /// It cannot be asked, or says what is not safe to follow.
    pub(crate) async fn metadata(&self) -> Result<Arc<Metadata>, SourceError> {
        let now = self.clock.now();
        // Held while it is asked: others share what is learnt.
        let mut held = self.metadata.lock().await;
        if let Some((since, known)) = &*held {
            let good_for = match known {
                Ok(_) => discovery::GOOD_FOR,
                Err(_) => discovery::SILENT_FOR,
            };
            if now.since(*since) < good_for {
                return known.clone();
            }
        }
        let asked = discovery::ask(&self.outbound, &self.name).await;
        let known = asked.map(Arc::new).map_err(|problem| self.outage(&problem));
        *held = Some((now, known.clone()));
        known
    }

    /// What a token claims, if it is this issuer's, for us and of now.
    ///
    /// # Errors
    /// [`TokenError::Source`] if that cannot be said now; else it is not.
    pub(crate) async fn verify(
        &self,
        token: &[u8],
        expected: &Expected<'_>,
    ) -> Result<Claims, TokenError> {
        let jws = Jws::parse(token).ok_or(TokenError::Unreadable)?;
        if !self.algorithms.contains(&jws.algorithm) {
            return Err(TokenError::Algorithm);
        }
        let now = self.clock.now();
        let keys = match &self.at {
            At::File(watched) => Some(watched.current().await),
            At::Discovered | At::Url(_) => {
                let held = self.keys.held(now);
                if held
                    .as_ref()
                    .is_some_and(|keys| keys.has(jws.key_id.as_deref()))
                {
                    held
                } else {
                    // It may be a new key. How often that is asked is bounded: anyone can make names up.
                    self.refreshed(now).await?
                }
            }
        };
        if !keys.is_some_and(|keys| keys.made(&jws)) {
            return Err(TokenError::Signature);
        }
        let claims = Claims::read(&jws).ok_or(TokenError::Unreadable)?;
        claims.hold(&self.name, expected, now)?;
        Ok(claims)
    }

    /// Its keys as they are now, if it may be asked, else as they were.
    async fn refreshed(&self, now: Timestamp) -> Result<Option<Arc<KeySet>>, SourceError> {
        let _asking = self.keys.asking().await;
        if !self.keys.may_ask(now) {
            let held = self.keys.held(now).or_else(|| self.keys.kept(now));
            return match held {
                Some(keys) => Ok(Some(keys)),
                None => Err(self.outage("its keys could not be had a moment ago")),
            };
        }
        let url = match &self.at {
            At::File(_) => return Ok(None),
            At::Url(url) => url.clone(),
            At::Discovered => match self.metadata().await {
                Ok(metadata) => metadata.jwks_url.clone(),
                Err(error) => return self.kept_or(now, error),
            },
        };
        let content = discovery::keys(&self.outbound, &url).await;
        let put = content.and_then(|content| self.keys.put(&content, now));
        match put {
            Ok(keys) => Ok(Some(keys)),
            Err(problem) => self.kept_or(now, self.outage(&format!("its keys: {problem}"))),
        }
    }

    /// The keys of before go on for a while where new ones cannot be had.
    fn kept_or(
        &self,
        now: Timestamp,
        error: SourceError,
    ) -> Result<Option<Arc<KeySet>>, SourceError> {
        match self.keys.kept(now) {
            Some(keys) => {
                tracing::warn!(%error, "the keys of before go on");
                Ok(Some(keys))
            }
            None => Err(error),
        }
    }

    fn outage(&self, problem: &str) -> SourceError {
        SourceError::Outage(format!("{}: {problem}", self.name))
    }
}
