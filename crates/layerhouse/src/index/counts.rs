//! Counts pulls. A pull changes a number in memory and waits for nothing; a job writes the numbers down
//! together. What was not written is lost with the process, and nothing at a clean stop.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use layerhouse_oci::name::RepositoryName;

use super::Index;
use super::search::document;
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::database::{Database, Durability};
use crate::meta::{counts, repositories};

/// Parts with a lock each, so that threads seldom wait for each other.
const SHARDS: usize = 16;
/// Names that one part holds between two writes: 131,072 in all, at some 100 bytes each.
const SHARD_NAMES_MAX: usize = 8_192;
/// Names written in one transaction, at 20 µs each.
const WRITTEN_TOGETHER: usize = 256;

/// Pulls of a repository that were not written yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pulls {
    count: i64,
    last: Timestamp,
}

/// Pulls that were not written yet, by repository.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    shards: [Mutex<HashMap<RepositoryName, Pulls>>; SHARDS],
    /// Of names for which there was no room.
    lost: AtomicU64,
}

impl Tally {
    /// A manifest of this repository is about to be sent.
    pub(crate) fn count_pull(&self, repository: &RepositoryName, now: Timestamp) {
        let pull = Pulls {
            count: 1,
            last: now,
        };
        self.add(repository, pull);
    }

    fn add(&self, repository: &RepositoryName, new: Pulls) {
        let mut shard = self.shards[shard_of(repository)]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(pulls) = shard.get_mut(repository) {
            pulls.count += new.count;
            pulls.last = pulls.last.max(new.last);
        } else if shard.len() < SHARD_NAMES_MAX {
            shard.insert(repository.clone(), new);
        } else {
            let count = u64::try_from(new.count).unwrap_or(0);
            if self.lost.fetch_add(count, Ordering::Relaxed) == 0 {
                tracing::warn!("more repositories are pulled at once than can be counted");
            }
        }
    }

    /// Writes what was counted. What cannot be written is kept for the next time.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn write(&self, database: &Database) -> Result<(), Fault> {
        for shard in &self.shards {
            let taken = {
                let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::take(&mut *shard)
            };
            let mut left: Vec<_> = taken.into_iter().collect();
            while !left.is_empty() {
                let batch = left.split_off(left.len().saturating_sub(WRITTEN_TOGETHER));
                if let Err(fault) = write(database, batch.clone()).await {
                    for (repository, pulls) in batch.iter().chain(&left) {
                        self.add(repository, *pulls);
                    }
                    return Err(fault);
                }
            }
        }
        Ok(())
    }
}

impl Index {
    /// A manifest of this repository is about to be sent.
    pub(crate) fn count_pull(&self, repository: &RepositoryName) {
        self.tally.count_pull(repository, self.now());
    }

    /// Writes the pulls that were counted.
    ///
    /// # Errors
    /// The database failed; they are kept for the next time.
    pub(crate) async fn write_counts(&self) -> Result<(), Fault> {
        self.tally.write(self.directory().database()).await
    }
}

/// Not flushed: whoever loses pulls to a power cut loses those of the last seconds anyway.
async fn write(database: &Database, batch: Vec<(RepositoryName, Pulls)>) -> Result<(), Fault> {
    let work = move |tx: &crate::meta::transaction::Transaction<'_>| {
        for (name, pulls) in &batch {
            // It may be gone by now.
            let Some(repository) = repositories::find(tx, name)? else {
                continue;
            };
            let after = counts::add_pulls(tx, repository, pulls.count, pulls.last)?;
            let mut before = after;
            before.pulls -= pulls.count;
            document::note_counts(tx, repository, before, after)?;
        }
        Ok(())
    };
    database.write_lasting(Durability::ProcessDeath, work).await
}

/// Names differ most at their ends.
fn shard_of(repository: &RepositoryName) -> usize {
    let name = repository.as_str().as_bytes();
    let end = name.iter().rev().take(8);
    end.fold(name.len(), |sum, byte| {
        sum.wrapping_mul(31) + usize::from(*byte)
    }) % SHARDS
}
