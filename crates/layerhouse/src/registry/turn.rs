//! Which of several processes that start at once adopts the bucket: the others wait until it did, or until it was silent
//! for long. Whoever lost its turn commits nothing more, so that no row is written behind those that already serve.

use std::time::{Duration, Instant};

use super::Registry;
use super::lead::{RENEWAL, SILENCE_MAX};
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::job_leases::JobLease;
use crate::meta::transaction::Transaction;

const LEASE: &str = "adoption";
/// How often who waits looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// The right to adopt.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    /// Who has it, among several; `None` where there is nobody else.
    holder: Option<String>,
}

impl Turn {
    /// Of a process that is alone.
    pub(super) fn alone() -> Self {
        Self { holder: None }
    }

    /// Whether it is to be renewed, by a commit, so long after the last one.
    pub(super) fn is_due(&self, since_commit: Duration) -> bool {
        self.holder.is_some() && RENEWAL <= since_commit
    }

    /// Whether others may want it.
    pub(super) fn is_shared(&self) -> bool {
        self.holder.is_some()
    }

    /// Says, in a transaction that is to commit, that the holder lives.
    ///
    /// # Errors
    /// Another process has the turn, and nothing of this transaction may be kept; or the database failed.
    pub(super) fn keep(&self, tx: &Transaction<'_>) -> Result<(), Fault> {
        let Some(holder) = &self.holder else {
            return Ok(());
        };
        if meta::job_leases::renew(tx, LEASE, holder)? {
            return Ok(());
        }
        let what = "another process adopts the bucket";
        Err(Fault::plain(FaultKind::Stopping, what))
    }

    /// Lets others have it.
    ///
    /// # Errors
    /// The database failed.
    pub(super) fn end(&self, tx: &Transaction<'_>) -> Result<(), Fault> {
        let Some(holder) = &self.holder else {
            return Ok(());
        };
        meta::job_leases::release(tx, LEASE, holder)
    }
}

impl Registry {
    /// Waits for the turn to adopt; `None` if somebody else did it meanwhile. Blocks.
    ///
    /// # Errors
    /// The database failed.
    pub(super) fn wait_for_turn(&self) -> Result<Option<Turn>, Fault> {
        if !self.is_shared() {
            let is_finished = self.database.read(meta::adoptions::is_finished)?;
            return Ok((!is_finished).then(Turn::alone));
        }
        let name = self.random.uuid();
        let mut observed: Option<(JobLease, Instant)> = None;
        loop {
            let lease = self.database.read(|tx| meta::job_leases::find(tx, LEASE))?;
            if self.database.read(meta::adoptions::is_finished)? {
                return Ok(None);
            }
            let is_free = match (&lease, &observed) {
                (None, _) => true,
                (Some(lease), Some((seen, since))) if lease == seen => {
                    SILENCE_MAX <= since.elapsed()
                }
                (Some(lease), _) => {
                    if observed.is_none() {
                        tracing::info!("another process adopts the bucket, and is waited for");
                    }
                    observed = Some((lease.clone(), Instant::now()));
                    false
                }
            };
            if is_free {
                let is_taken = self.database.bulk()?.finish(|tx| {
                    let is_finished = meta::adoptions::is_finished(tx)?;
                    Ok(!is_finished && meta::job_leases::take(tx, LEASE, &name, lease.as_ref())?)
                })?;
                if is_taken {
                    let holder = Some(name);
                    return Ok(Some(Turn { holder }));
                }
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Gives a turn back whose work broke off; `false` if another process has it already.
    pub(super) fn give_turn_back(&self, turn: &Turn) -> bool {
        if !turn.is_shared() {
            return true;
        }
        let given = self.database.bulk().and_then(|bulk| {
            bulk.finish(|tx| {
                turn.keep(tx)?;
                turn.end(tx)
            })
        });
        // A database that does not answer will miss it in a while.
        given.map_or_else(|fault| fault.kind() != FaultKind::Stopping, |()| true)
    }
}

#[cfg(test)]
mod tests {
    use layerhouse_oci::digest::{Algorithm, Digest};
    use tempfile::TempDir;

    use super::*;
    use crate::health::Health;
    use crate::meta::database::Database;
    use crate::steps::Steps;

    #[test]
    fn who_lost_the_turn_commits_nothing() {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("layerhouse.db");
        let opened = Database::open(&path, Steps::default(), Health::default());
        let database = opened.expect("a database");
        let [one, two] = ["one", "two"].map(|name| Turn {
            holder: Some(name.to_owned()),
        });
        let digest = |content: &str| Digest::of(Algorithm::Sha256, content.as_bytes());
        let note = |turn: &Turn, content: &str| {
            let mut bulk = database.bulk()?;
            bulk.change(|tx| meta::adoptions::note_object(tx, &digest(content), 1, content))?;
            bulk.change(|tx| turn.keep(tx))?;
            bulk.commit()
        };
        let take = |turn: &Turn| {
            let name = turn.holder.as_deref().expect("it has one");
            let seen = database.read(|tx| meta::job_leases::find(tx, LEASE))?;
            let bulk = database.bulk()?;
            bulk.finish(|tx| meta::job_leases::take(tx, LEASE, name, seen.as_ref()))
        };
        let is_noted = |content: &str| {
            let noted = database.read(|tx| meta::adoptions::noted_bytes(tx, &digest(content)));
            noted.expect("it can be asked").is_some()
        };
        assert!(take(&one).expect("it can be taken"));
        note(&one, "in time").expect("it has the turn");
        assert!(take(&two).expect("it can be taken"));
        let refused = note(&one, "too late").expect_err("it has not");
        assert_eq!(refused.kind(), FaultKind::Stopping);
        note(&two, "after it").expect("it has the turn");
        let noted = ["in time", "too late", "after it"].map(is_noted);
        assert_eq!(noted, [true, false, true]);
        database.close();
    }
}
