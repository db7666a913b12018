//! What clients were told is there. Who asks for a blob before a push and hears that the repository has it
//! does not send it, and puts a manifest later that needs it: until then it must not be collected.
//!
//! Kept in memory, in bounded space: as 64-bit hashes in two sets of which the older is dropped when the newer
//! has been filled for as long as a promise lasts. A collision, or a set that is full, keeps more than was
//! promised, never less; so does a start, which cannot know what was promised before it.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;

use crate::clock::Moment;

/// Promises in one set: 16 bytes each, so 4 MiB for both. With more, everything is promised.
const PROMISES_MAX: usize = 1 << 17;

/// What clients were told is there, and what is being removed.
#[derive(Debug)]
pub(super) struct Promises {
    lasts: Duration,
    hasher: RandomState,
    sets: Mutex<Sets>,
}

#[derive(Debug)]
struct Sets {
    /// When `newer` was begun.
    begun: Moment,
    newer: Set,
    older: Set,
    /// Links that a review removes right now.
    leaving: HashSet<u64>,
}

#[derive(Debug)]
enum Set {
    These(HashSet<u64>),
    Everything,
}

impl Set {
    fn contains(&self, key: u64) -> bool {
        match self {
            Self::These(keys) => keys.contains(&key),
            Self::Everything => true,
        }
    }

    fn insert(&mut self, key: u64) {
        if let Self::These(keys) = self {
            keys.insert(key);
            if PROMISES_MAX <= keys.len() {
                *self = Self::Everything;
            }
        }
    }
}

/// Links that may be removed as long as this lives; who asks for one of them meanwhile waits.
#[derive(Debug)]
pub(super) struct Leaving<'a> {
    promises: &'a Promises,
    keys: Vec<u64>,
}

impl Promises {
    /// Promises that last so long, on a process that starts `now`.
    pub(super) fn new(lasts: Duration, now: Moment) -> Self {
        Self {
            lasts,
            hasher: RandomState::new(),
            sets: Mutex::new(Sets {
                begun: now,
                newer: Set::These(HashSet::new()),
                older: Set::Everything,
                leaving: HashSet::new(),
            }),
        }
    }

    /// Somebody is about to be told that the repository has this blob. `false` if its link is being removed
    /// right now: then it is to be looked for again when its digest's lease is free.
    pub(super) fn give(&self, repository: &RepositoryName, digest: &Digest, now: Moment) -> bool {
        let key = self.key(repository, digest);
        let mut sets = self.sets(now);
        sets.newer.insert(key);
        !sets.leaving.contains(&key)
    }

    /// Marks a link as leaving, unless it is promised.
    pub(super) fn take_back(
        &self,
        leaving: &mut Leaving<'_>,
        repository: &RepositoryName,
        digest: &Digest,
        now: Moment,
    ) -> bool {
        let key = self.key(repository, digest);
        let mut sets = self.sets(now);
        if sets.newer.contains(key) || sets.older.contains(key) {
            return false;
        }
        if sets.leaving.insert(key) {
            leaving.keys.push(key);
        }
        true
    }

    /// Whether the blob is promised.
    pub(super) fn is_given(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        now: Moment,
    ) -> bool {
        let key = self.key(repository, digest);
        let sets = self.sets(now);
        sets.newer.contains(key) || sets.older.contains(key)
    }

    /// None is leaving yet.
    pub(super) fn leaving(&self) -> Leaving<'_> {
        Leaving {
            promises: self,
            keys: Vec::new(),
        }
    }

    fn key(&self, repository: &RepositoryName, digest: &Digest) -> u64 {
        self.hasher.hash_one((repository.as_str(), digest.as_str()))
    }

    fn sets(&self, now: Moment) -> std::sync::MutexGuard<'_, Sets> {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.since(sets.begun);
        if self.lasts <= age {
            let newer = std::mem::replace(&mut sets.newer, Set::These(HashSet::new()));
            // After a long silence the newer set is as old as the older one would be.
            sets.older = if age < self.lasts * 2 {
                newer
            } else {
                Set::These(HashSet::new())
            };
            sets.begun = now;
        }
        sets
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let sets = self.promises.sets.lock();
        let mut sets = sets.unwrap_or_else(PoisonError::into_inner);
        for key in &self.keys {
            sets.leaving.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use layerhouse_oci::digest::Algorithm;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(hours: u32) -> Moment {
        Moment::ZERO.after(HOUR * hours)
    }

    fn thing(number: u32) -> (RepositoryName, Digest) {
        let name = "acme/web".parse().expect("a name");
        (name, Digest::of(Algorithm::Sha256, &number.to_le_bytes()))
    }

    #[test]
    fn a_promise_lasts_its_time_and_then_ends() {
        let promises = Promises::new(HOUR, at(0));
        let (name, digest) = thing(1);
        // Nobody knows what was promised before the start.
        assert!(promises.is_given(&name, &digest, at(0)));
        assert!(!promises.is_given(&name, &digest, at(1)));
        assert!(promises.give(&name, &digest, at(1)));
        assert!(promises.is_given(&name, &digest, at(2)));
        assert!(!promises.is_given(&name, &digest, at(4)));
    }

    #[test]
    fn a_link_is_either_promised_or_leaving() {
        let promises = Promises::new(HOUR, at(0));
        let (name, digest) = thing(1);
        let mut leaving = promises.leaving();
        assert!(promises.take_back(&mut leaving, &name, &digest, at(2)));
        assert!(!promises.give(&name, &digest, at(2)));
        drop(leaving);
        assert!(promises.give(&name, &digest, at(2)));
        let mut leaving = promises.leaving();
        assert!(!promises.take_back(&mut leaving, &name, &digest, at(2)));
    }

    #[test]
    fn more_than_there_is_room_for_is_all_promised() {
        let promises = Promises::new(HOUR, at(0));
        for number in 0..u32::try_from(PROMISES_MAX).expect("it fits") {
            let (name, digest) = thing(number);
            promises.give(&name, &digest, at(1));
        }
        let (name, never_asked) = thing(u32::MAX);
        assert!(promises.is_given(&name, &never_asked, at(1)));
        assert!(!promises.is_given(&name, &never_asked, at(5)));
    }
}
