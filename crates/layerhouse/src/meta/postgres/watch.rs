//! Looks whether other replicas committed, so that what this one remembers ends within a second; on a connection of its
//! own, for those of readers may all be busy.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::connect::Connector;
use super::session::Session;
use crate::clock::{Clock, Moment, Timestamp};
use crate::fault::Fault;

/// How often it looks: what was changed elsewhere is seen here so much later, and a way to the server.
pub(super) const INTERVAL: Duration = Duration::from_millis(250);
/// Without a look for so long, nothing that is remembered counts: who can reach the server may have taken something away.
const BLIND_MAX: Duration = Duration::from_secs(1);

/// What a process knows of the commits of all.
#[derive(Clone)]
pub(in crate::meta) struct Seen {
    /// The last commit that it knows of.
    pub(in crate::meta) commit: Arc<AtomicI64>,
    /// The same, but never an earlier one than before.
    reached: Arc<AtomicI64>,
    /// Another number after each.
    pub(in crate::meta) generation: Arc<AtomicU64>,
    /// Another number after each of other processes; seldom, after one of ours.
    elsewhere: Arc<AtomicU64>,
    /// What waits for a network does not wait for a test's clock.
    clock: Clock,
    looked: Arc<Mutex<Moment>>,
    /// The server's clock less this machine's, in milliseconds.
    ahead_ms: Arc<AtomicI64>,
}

impl Seen {
    pub(in crate::meta) fn new() -> Self {
        let clock = Clock::system();
        Self {
            commit: Arc::default(),
            reached: Arc::default(),
            generation: Arc::default(),
            elsewhere: Arc::default(),
            looked: Arc::new(Mutex::new(clock.moment())),
            ahead_ms: Arc::default(),
            clock,
        }
    }

    /// A commit is known, of whichever process.
    pub(super) fn reach(&self, commit: i64) {
        self.reached.fetch_max(commit, Ordering::AcqRel);
    }

    /// What whoever reads must find: the last commit that is known; `None` if the last look is too long ago to say.
    pub(super) fn reached(&self) -> Option<i64> {
        let reached = self.reached.load(Ordering::Acquire);
        (!self.is_blind()).then_some(reached)
    }

    fn is_blind(&self) -> bool {
        let looked = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        BLIND_MAX < self.clock.moment().since(looked)
    }

    /// Another process committed, or may have.
    pub(super) fn note_elsewhere(&self) {
        self.elsewhere.fetch_add(1, Ordering::Release);
    }

    /// Says that nothing is known if the last look is too long ago, as after this process stood still.
    fn be_honest(&self) {
        if self.is_blind() {
            self.note_elsewhere();
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// Another number after each commit.
    pub(in crate::meta) fn generation(&self) -> u64 {
        self.be_honest();
        self.generation.load(Ordering::Acquire)
    }

    /// Another number after each commit of other processes.
    pub(in crate::meta) fn elsewhere(&self) -> u64 {
        self.be_honest();
        self.elsewhere.load(Ordering::Acquire)
    }

    /// What time it is where all processes ask, and how far this machine's clock is from that.
    pub(in crate::meta) fn server_time(&self) -> (Timestamp, Duration) {
        let ahead_ms = self.ahead_ms.load(Ordering::Relaxed);
        let now = Timestamp(self.clock.now().0.saturating_add(ahead_ms));
        (now, Duration::from_millis(ahead_ms.unsigned_abs()))
    }

    /// Looks once.
    ///
    /// # Errors
    /// The server does not answer.
    pub(in crate::meta) fn look(&self, session: &Session) -> Result<(), Fault> {
        let before = self.commit.load(Ordering::Acquire);
        // Before it is asked: whoever stands still between answer and note has seen what was true then.
        let (asked, now) = self.clock.moment_and_now();
        let sql = "SELECT generation, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) FROM commits";
        let rows = session.query(sql, &[])?;
        let (commit, server_ms): (i64, i64) =
            rows.first().map_or((0, 0), |row| (row.get(0), row.get(1)));
        let ahead_ms = server_ms.saturating_sub(now.0);
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
        // Ours may have come between: the next look sees that.
        self.commit.store(commit, Ordering::Release);
        self.reach(commit);
        if commit != before {
            self.note_elsewhere();
            self.generation.fetch_add(1, Ordering::Release);
        }
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = asked;
        Ok(())
    }
}

/// Looks until `stopped` ends.
pub(in crate::meta) fn watch(connector: &Connector, seen: &Seen, stopped: &Receiver<()>) {
    let mut session: Option<Session> = None;
    while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(INTERVAL) {
        let connected = match session.take() {
            Some(session) => Ok(session),
            None => connector.connect(),
        };
        let looked = connected.and_then(|session| seen.look(&session).map(|()| session));
        match looked {
            Ok(looking) => session = Some(looking),
            Err(fault) => {
                tracing::debug!(%fault, "the database does not say what others changed");
                seen.note_elsewhere();
                seen.generation.fetch_add(1, Ordering::Release);
            }
        }
    }
}
