//! Standbys of the server, made by its own streaming replication: they answer lists and searches.
//!
//! A standby shows what was true a moment ago. So a list asks it for its row of `commits` first, in the snapshot that the list is
//! read in. If this process knows of a later commit, of its own or one that its watch saw, the server itself is asked:
//! who pushed finds what they pushed, and what others changed is seen here no later than everything else is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::Place;
use super::connect::Connector;
use super::pool::Pool;
use super::session::Session;
use super::watch::{INTERVAL, Seen};
use crate::clock::{Clock, Moment};
use crate::fault::{Fault, FaultKind};

/// A standby that lacks for so long what was committed is left alone until it has that.
const LAG_MAX: Duration = Duration::from_secs(5);
/// Who says nothing for so long, as a machine that stands still, does not answer.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// After it did not answer, it is left alone for so long.
const REST: Duration = Duration::from_secs(2);

/// All standbys of one server.
pub(in crate::meta) struct Standbys {
    all: Vec<Arc<Standby>>,
    /// Whose turn it is.
    turn: AtomicUsize,
    answered: AtomicU64,
    behind: AtomicU64,
    failed: AtomicU64,
}

/// What became of lists that standbys were asked for, since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StandbyReads {
    pub(crate) answered: u64,
    /// They lacked a commit; the server answered.
    pub(crate) behind: u64,
    /// They did not answer; the server did.
    pub(crate) failed: u64,
}

/// One of them.
pub(in crate::meta) struct Standby {
    connector: Connector,
    pool: Pool,
    /// Whether it answered when it was looked at last, and was not far behind.
    is_used: AtomicBool,
}

/// Which cluster of PostgreSQL, and which of its databases: a standby has both numbers of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::meta) struct Identity(i64, i64);

impl Identity {
    fn of(session: &Session) -> Result<Self, Fault> {
        let sql =
            "SELECT system_identifier, CAST(oid AS BIGINT) FROM pg_control_system(), pg_database
            WHERE datname = current_database()";
        let rows = session.query(sql, &[])?;
        let row = rows.first().map(|row| Self(row.get(0), row.get(1)));
        let what = "the database does not say which it is";
        row.ok_or_else(|| Fault::plain(FaultKind::Other, what))
    }
}

impl Standbys {
    /// Those at these places, of the server that `session` is connected to. One that does not answer within
    /// some seconds is left to its watch, which says so, and when it does.
    ///
    /// # Errors
    /// One of them is another database.
    pub(in crate::meta) fn find(
        session: &Session,
        places: &[Place],
    ) -> Result<(Self, Option<Identity>), Fault> {
        let ours = if places.is_empty() {
            None
        } else {
            Some(Identity::of(session)?)
        };
        let mut all = Vec::with_capacity(places.len());
        for place in places {
            let connector = Connector::new(place)?.giving_up_after(SILENCE_MAX);
            let found = connector
                .connect()
                .and_then(|session| Identity::of(&session));
            if let (Ok(found), Some(ours)) = (found, ours)
                && found != ours
            {
                let what = format!(
                    "{}, one of layerhouse.standbys, is no standby of layerhouse.database but another database",
                    place.shown()
                );
                return Err(Fault::plain(FaultKind::Other, what));
            }
            all.push(Arc::new(Standby {
                pool: Pool::new(connector.clone()),
                connector,
                is_used: AtomicBool::new(false),
            }));
        }
        let standbys = Self {
            all,
            turn: AtomicUsize::default(),
            answered: AtomicU64::default(),
            behind: AtomicU64::default(),
            failed: AtomicU64::default(),
        };
        Ok((standbys, ours))
    }

    pub(in crate::meta) fn all(&self) -> &[Arc<Standby>] {
        &self.all
    }

    pub(in crate::meta) fn reads(&self) -> StandbyReads {
        StandbyReads {
            answered: self.answered.load(Ordering::Relaxed),
            behind: self.behind.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    pub(in crate::meta) fn close(&self) {
        for standby in &self.all {
            standby.pool.close();
        }
    }

    /// Runs `look` on one of them, in one snapshot that has all that is known; `None` where the server is to be asked. Blocks.
    pub(in crate::meta) fn read<T, E>(
        &self,
        seen: &Seen,
        look: impl Fn(&Session) -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = self.all.len();
        let mut in_turn = (0..count).map(|at| &self.all[first.wrapping_add(at) % count]);
        let standby = in_turn.find(|standby| standby.is_used.load(Ordering::Relaxed))?;
        let known = seen.reached()?;
        let read = standby
            .pool
            .with(|session| in_snapshot(session, known, look));
        let counted = match &read {
            Ok(Some(_)) => &self.answered,
            Ok(None) => &self.behind,
            Err(fault) => {
                tracing::debug!(%fault, "a standby of the database did not answer");
                // Until its watch has looked.
                standby.is_used.store(false, Ordering::Relaxed);
                &self.failed
            }
        };
        counted.fetch_add(1, Ordering::Relaxed);
        read.ok().flatten()
    }
}

/// Runs `look` if what is seen has this commit. What it says then counts, unless a statement failed: a standby ends some that
/// are in the way of what it is to replay.
fn in_snapshot<T, E>(
    session: &Session,
    known: i64,
    look: impl Fn(&Session) -> Result<T, E>,
) -> Result<Option<Result<T, E>>, Fault> {
    let beginning = format!(
        "{}; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY; SELECT generation FROM commits",
        session.beginning()
    );
    let failed_before = session.failed();
    let found = session.simple(&beginning);
    let has_it = found.as_ref().is_ok_and(|commit| Some(known) <= *commit);
    let looked = has_it.then(|| look(session));
    if session.is_broken() {
        // It is thrown away, and nobody waits for it once more.
        let what = "a standby does not answer, or ended a statement";
        return Err(Fault::plain(FaultKind::Unavailable, what));
    }
    // Also one that failed: whoever is given the connection next begins another.
    session.simple("COMMIT")?;
    found?;
    if session.failed() != failed_before {
        let what = "a statement failed on a standby";
        return Err(Fault::plain(FaultKind::Unavailable, what));
    }
    Ok(looked)
}

/// What a standby is at the moment.
enum State {
    Used,
    Behind,
    Away(Fault),
    /// It was the right one, or nobody could ask, when this process started.
    Other,
}

impl State {
    fn say(&self, standby: &str) {
        match self {
            Self::Used => tracing::info!(standby, "lists are read from this standby"),
            Self::Behind => tracing::warn!(
                standby,
                "this standby lacks what was committed {} seconds ago; lists are read elsewhere",
                LAG_MAX.as_secs()
            ),
            Self::Away(fault) => tracing::warn!(
                standby,
                cause = %fault,
                "this standby does not answer; lists are read elsewhere"
            ),
            Self::Other => tracing::error!(
                standby,
                "this is no standby of the database but another database; lists are read elsewhere"
            ),
        }
    }
}

impl Standby {
    /// Looks how it is until `stopped` ends, and says when that changes.
    pub(in crate::meta) fn watch(&self, ours: Identity, seen: &Seen, stopped: &Receiver<()>) {
        // What waits for a network does not wait for a test's clock.
        let clock = Clock::system();
        let mut session = None;
        let mut lacks = None;
        let mut said = None;
        loop {
            let state = match self.look(ours, session.take()) {
                Ok(Some((looking, commit))) => {
                    session = Some(looking);
                    let wanted = seen.reached().filter(|known| commit < *known);
                    lacks = still_lacking(lacks, wanted, commit, clock.moment());
                    match lacks {
                        Some((_, since)) if LAG_MAX <= clock.moment().since(since) => State::Behind,
                        _ => State::Used,
                    }
                }
                Ok(None) => State::Other,
                Err(fault) => State::Away(fault),
            };
            let is_used = matches!(state, State::Used);
            self.is_used.store(is_used, Ordering::Relaxed);
            let kind = std::mem::discriminant(&state);
            if said.replace(kind) != Some(kind) {
                state.say(&self.connector.place().shown());
            }
            let rest = if session.is_some() { INTERVAL } else { REST };
            if stopped.recv_timeout(rest) != Err(RecvTimeoutError::Timeout) {
                break;
            }
        }
    }

    /// The last commit that it has; nothing if it is another database.
    fn look(
        &self,
        ours: Identity,
        session: Option<Session>,
    ) -> Result<Option<(Session, i64)>, Fault> {
        let session = if let Some(session) = session {
            session
        } else {
            let session = self.connector.connect()?;
            if Identity::of(&session)? != ours {
                return Ok(None);
            }
            session
        };
        let rows = session.query("SELECT generation FROM commits", &[])?;
        let commit = rows.first().map_or(0, |row| row.get(0));
        Ok(Some((session, commit)))
    }
}

/// Which commit a standby lacks, and since when it was seen to: `wanted` is what it lacks now that it has `commit`.
fn still_lacking(
    lacks: Option<(i64, Moment)>,
    wanted: Option<i64>,
    commit: i64,
    now: Moment,
) -> Option<(i64, Moment)> {
    let wanted = wanted?;
    // Whoever writes all the time is always ahead by something: it counts for how long it is the same.
    lacks
        .filter(|(lacked, _)| commit < *lacked)
        .or(Some((wanted, now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_counts_for_how_long_the_same_commit_is_lacking() {
        let now = Clock::system().moment();
        let lacks = still_lacking(None, Some(5), 4, now);
        assert_eq!(lacks, Some((5, now)));
        // More was committed meanwhile, and the first is still not there.
        let later = Clock::system().moment();
        assert_eq!(still_lacking(lacks, Some(9), 4, later), Some((5, now)));
        assert_eq!(still_lacking(lacks, Some(9), 5, later), Some((9, later)));
        assert_eq!(still_lacking(lacks, None, 9, later), None);
    }
}
