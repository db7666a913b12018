//! Looks whether other replicas committed, so that what this one remembers ends within a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::pool::Pool;
use crate::fault::Fault;
use crate::meta::transaction::{Engine, Transaction};

/// How often it looks: what was changed elsewhere is seen here so much later, and a way to the server.
const INTERVAL: Duration = Duration::from_millis(250);

/// What a process knows of the commits of all.
#[derive(Clone, Default)]
pub(in crate::meta) struct Seen {
    /// The last commit that it knows of.
    pub(in crate::meta) commit: Arc<AtomicI64>,
    /// Another number after each.
    pub(in crate::meta) generation: Arc<AtomicU64>,
    /// Another number after each of other processes; seldom, after one of ours.
    pub(in crate::meta) elsewhere: Arc<AtomicU64>,
}

/// Looks until `stopped` ends. While the server does not answer, nothing that is remembered counts: who can
/// reach it may have taken something away.
pub(in crate::meta) fn watch(pool: &Pool, seen: &Seen, stopped: &Receiver<()>) {
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(INTERVAL) {
        let before = seen.commit.load(Ordering::Acquire);
        let is_same = match pool.with(|session| last(&Transaction::new(Engine::Postgres(session))))
        {
            Ok(commit) => {
                // Ours may have come between: the next look sees that.
                seen.commit.store(commit, Ordering::Release);
                commit == before
            }
            Err(fault) => {
                tracing::debug!(%fault, "the database does not say what others changed");
                false
            }
        };
        if !is_same {
            seen.elsewhere.fetch_add(1, Ordering::Release);
            seen.generation.fetch_add(1, Ordering::Release);
        }
    }
}

/// The number of the last commit.
fn last(tx: &Transaction<'_>) -> Result<i64, Fault> {
    let found = tx.query_one("SELECT generation FROM commits", &[], |row| row.int(0))?;
    Ok(found.unwrap_or(0))
}
