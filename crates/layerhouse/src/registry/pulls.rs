//! When manifests were last pulled. A pull leaves a note in memory and waits for nothing; a job writes the notes
//! down once a minute. What was not written is lost with the process, and nothing at a clean stop.
//!
//! A note does not say when: to ask for the time costs as much as all else, so a pull is of the minute in which
//! it is written.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;

use super::Registry;
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta;
use crate::meta::database::Durability;

/// Parts with a lock each, so that threads seldom wait for each other.
const SHARDS: usize = 16;
/// Notes that one part holds between two writes: 65,536 in all, at some 250 bytes each.
const SHARD_NOTES_MAX: usize = 4_096;
/// Notes written in one transaction, at 20 µs each.
const WRITTEN_TOGETHER: usize = 256;
/// The end of a digest that is hashed: as many bits as tell two manifests apart that nobody made alike.
const HASHED_BYTES: usize = 32;

/// Pulls that were not written yet.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    /// Notes for which there was no room.
    lost: AtomicU64,
}

/// By a hash that nobody outside can foresee, so that a known entry is found without a copy of its names.
type Shard = HashMap<u64, Note, BuildHasherDefault<Given>>;

#[derive(Clone, Debug)]
struct Note {
    repository: RepositoryName,
    digest: Digest,
}

/// Keys are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Given(u64);

impl Hasher for Given {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl Pulls {
    /// A manifest of this repository is about to be sent, or was asked for.
    pub(super) fn note(&self, repository: &RepositoryName, digest: &Digest) {
        let text = digest.as_str().as_bytes();
        let end = &text[text.len().saturating_sub(HASHED_BYTES)..];
        let hash = self.hasher.hash_one((repository.as_str(), end));
        let mut shard = self.shard(usize::try_from(hash >> 32).unwrap_or(0) % SHARDS);
        if let Some(note) = shard.get(&hash) {
            if note.digest == *digest && note.repository == *repository {
                return;
            }
        } else if shard.len() < SHARD_NOTES_MAX {
            let (repository, digest) = (repository.clone(), digest.clone());
            shard.insert(hash, Note { repository, digest });
            return;
        }
        drop(shard);
        if self.lost.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!("more manifests are pulled in a minute than can be noted");
        }
    }

    fn shard(&self, at: usize) -> MutexGuard<'_, Shard> {
        let shard = self.shards[at].lock();
        shard.unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, at: usize) -> Vec<Note> {
        std::mem::take(&mut *self.shard(at)).into_values().collect()
    }
}

impl Registry {
    /// A manifest is about to be sent, or somebody asked whether it is there, which a cluster does that has
    /// it already.
    pub(crate) fn note_pull(&self, repository: &RepositoryName, digest: &Digest) {
        self.pulls.note(repository, digest);
    }

    /// Writes down when manifests were pulled. Not flushed: whoever loses pulls to a power cut loses those of
    /// the last minute anyway.
    ///
    /// # Errors
    /// The database failed; what was not written is kept for the next time.
    pub(crate) async fn write_pull_notes(&self) -> Result<(), Fault> {
        for at in 0..SHARDS {
            let mut left = self.pulls.take(at);
            while !left.is_empty() {
                let batch = left.split_off(left.len().saturating_sub(WRITTEN_TOGETHER));
                let notes = batch.clone();
                let now = self.clock.now();
                let written = self
                    .database
                    .write_lasting(Durability::ProcessDeath, move |tx| write(tx, &notes, now))
                    .await;
                if let Err(fault) = written {
                    for note in batch.iter().chain(&left) {
                        self.pulls.note(&note.repository, &note.digest);
                    }
                    return Err(fault);
                }
            }
        }
        Ok(())
    }
}

fn write(
    tx: &meta::transaction::Transaction<'_>,
    notes: &[Note],
    now: Timestamp,
) -> Result<(), Fault> {
    for note in notes {
        // It may be gone by now.
        if let Some(id) = meta::repositories::find(tx, &note.repository)? {
            meta::retention::begin_pulls(tx, id, now)?;
            meta::retention::note_pull(tx, id, &note.digest, now)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use layerhouse_oci::digest::Algorithm;

    use super::*;

    fn digest(number: usize) -> Digest {
        Digest::of(Algorithm::Sha256, number.to_string().as_bytes())
    }

    #[test]
    fn each_manifest_is_noted_once() {
        let pulls = Pulls::default();
        let (web, api) = (
            "acme/web".parse().expect("one"),
            "acme/api".parse().expect("one"),
        );
        for (repository, number) in [(&web, 1), (&web, 1), (&api, 1), (&web, 2), (&web, 1)] {
            pulls.note(repository, &digest(number));
        }
        let mut notes: Vec<_> = (0..SHARDS)
            .flat_map(|at| pulls.take(at))
            .map(|note| (note.repository.to_string(), note.digest))
            .collect();
        notes.sort();
        let mut expected = [("acme/api", 1), ("acme/web", 1), ("acme/web", 2)]
            .map(|(name, number)| (name.to_owned(), digest(number)));
        expected.sort();
        assert_eq!(notes, expected);
        assert!((0..SHARDS).all(|at| pulls.take(at).is_empty()));
    }

    #[test]
    fn notes_are_bounded() {
        let pulls = Pulls::default();
        let web: RepositoryName = "acme/web".parse().expect("a name");
        for number in 0..SHARDS * SHARD_NOTES_MAX + 5_000 {
            pulls.note(&web, &digest(number));
        }
        let held: usize = (0..SHARDS).map(|at| pulls.take(at).len()).sum();
        assert!(held <= SHARDS * SHARD_NOTES_MAX, "{held}");
        assert!(5_000 <= pulls.lost.load(Ordering::Relaxed));
    }
}
