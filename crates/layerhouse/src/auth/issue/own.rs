//! Access tokens that come back: believed by our own keys alone (S01), and never for more than their holders
//! may do *now* (S11).
//!
//! A signature is verified once and remembered. What follows from a token is remembered, too, for as long as
//! nothing changed in the directory: a pull with a known token reads nothing from the database, and the first
//! one after somebody was disabled, removed or revoked decides anew.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use moka::sync::Cache;

use super::grants;
use super::jwt::{self, Contents};
use super::keys::{Keys, plus};
use crate::auth::access::Access;
use crate::auth::credentials::Secret;
use crate::auth::directory::Directory;
use crate::auth::principal::{Means, Principal};
use crate::auth::token::jws::Jws;
use crate::clock::Timestamp;
use crate::fault::Fault;

/// Memory for tokens that were verified: some ten thousand.
const REMEMBERED_BYTES_MAX: u64 = 16 << 20;
/// How far our own clock may have been set back since a token was signed.
const SET_BACK_MAX: Duration = Duration::from_mins(1);

/// Verifies our own tokens.
pub(crate) struct OwnTokens {
    directory: Directory,
    keys: Arc<Keys>,
    /// By the digest of the token.
    known: Cache<[u8; 32], Arc<Known>>,
}

/// Who has a token, and what they may do with it.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    pub(crate) principal: Arc<Principal>,
    pub(crate) access: Access,
}

/// A token whose signature was good.
struct Known {
    contents: Contents,
    decided: Mutex<Option<Decided>>,
}

struct Decided {
    /// Of the directory, before anything was read from it.
    generation: u64,
    verified: Option<Verified>,
}

impl OwnTokens {
    pub(crate) fn new(directory: &Directory, keys: &Arc<Keys>) -> Self {
        let weigh = |_: &[u8; 32], known: &Arc<Known>| {
            // The claims, what was decided by them, and what holds both.
            u32::try_from(2 * known.contents.held_bytes() + 512).unwrap_or(u32::MAX)
        };
        Self {
            directory: directory.clone(),
            keys: Arc::clone(keys),
            known: Cache::builder()
                .weigher(weigh)
                .max_capacity(REMEMBERED_BYTES_MAX)
                .build(),
        }
    }

    /// Who has the token, and what they may do; `None` for every token that is not good, whatever is wrong
    /// with it.
    ///
    /// # Errors
    /// The database failed: then nobody knows.
    pub(crate) fn verify(&self, token: &Secret) -> Result<Option<Verified>, Fault> {
        let now = self.directory.clock().now();
        let mut id = [0; 32];
        id.copy_from_slice(digest(&SHA256, token.expose()).as_ref());
        let known = match self.known.get(&id) {
            Some(known) => known,
            None => match self.read(token, now)? {
                Some(contents) => {
                    let decided = Mutex::default();
                    let known = Arc::new(Known { contents, decided });
                    self.known.insert(id, Arc::clone(&known));
                    known
                }
                None => return Ok(None),
            },
        };
        if !is_of_now(&known.contents, now) {
            self.known.invalidate(&id);
            return Ok(None);
        }
        self.decide(&known)
    }

    /// The claims of a token that is for us and that a key of ours signed, by the one algorithm of that key.
    /// Its header chooses among our keys, and nothing else.
    fn read(&self, token: &Secret, now: Timestamp) -> Result<Option<Contents>, Fault> {
        let Some(jws) = Jws::parse(token.expose()) else {
            return Ok(None);
        };
        let mut ring = self.keys.known()?;
        let key_id = jws.key_id.as_deref().unwrap_or_default();
        if ring.named(key_id, now).is_none() {
            ring = self.keys.known_again()?;
        }
        let named = ring.named(key_id, now);
        let is_signed = named.is_some_and(|key| {
            let algorithm = key.algorithm.verified_as();
            jws.algorithm == algorithm && key.public.verifies(algorithm, jws.signed, &jws.signature)
        });
        if !is_signed {
            return Ok(None);
        }
        let config = &self.directory.settings().tokens;
        let is_for_us = |contents: &Contents| {
            contents.issuer == config.issuer && contents.audience == config.service
        };
        Ok(jwt::read(&jws.claims).filter(is_for_us))
    }

    fn decide(&self, known: &Known) -> Result<Option<Verified>, Fault> {
        // Before anything is read: what changes while we read is decided anew the next time.
        let generation = self.directory.generation();
        {
            let decided = known.decided.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(decided) = &*decided
                && decided.generation == generation
            {
                return Ok(decided.verified.clone());
            }
        }
        let verified = self.decide_anew(&known.contents)?;
        let mut decided = known.decided.lock().unwrap_or_else(PoisonError::into_inner);
        *decided = Some(Decided {
            generation,
            verified: verified.clone(),
        });
        Ok(verified)
    }

    fn decide_anew(&self, contents: &Contents) -> Result<Option<Verified>, Fault> {
        let principal = match contents.account {
            None => Some(Principal::nobody()),
            Some(account) => self
                .directory
                .by_id(account, contents.token, Means::AccessToken)?,
        };
        let Some(principal) = principal else {
            return Ok(None);
        };
        let granted = grants::of_now(&self.directory, &principal, &contents.access)?;
        Ok(Some(Verified {
            principal: Arc::new(principal),
            access: Access::Listed(Arc::new(granted)),
        }))
    }
}

fn is_of_now(contents: &Contents, now: Timestamp) -> bool {
    now < contents.expires_at && contents.issued_at <= plus(now, SET_BACK_MAX)
}
