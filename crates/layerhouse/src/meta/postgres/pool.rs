//! Connections for reading, and for writing what stands apart: as many as are used at once, up to a bound.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::connect::Connector;
use super::session::Session;
use crate::clock::{Clock, Moment};
use crate::fault::{Fault, FaultKind};

/// Who waits longer for a connection is told to come back.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// A connection that nobody used for so long is asked whether it still stands.
pub(super) const TRUSTED: Duration = Duration::from_secs(1);
/// After a server did not answer, nobody tries to connect for so long: a hundred who wait for time-outs would
/// hold a hundred threads.
const REST: Duration = Duration::from_millis(500);

/// Connections to one database.
pub(in crate::meta) struct Pool {
    connector: Connector,
    clock: Clock,
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Default)]
struct State {
    /// The last used comes first; with each, when that was.
    idle: Vec<(Session, Moment)>,
    /// Idle or used.
    open: usize,
    /// When a server did not answer, and what was said of it.
    failed: Option<(Moment, String)>,
    is_closed: bool,
}

impl Pool {
    pub(in crate::meta) fn new(connector: Connector) -> Self {
        Self {
            connector,
            // What waits for a network does not wait for a test's clock.
            clock: Clock::system(),
            state: Mutex::default(),
            returned: Condvar::new(),
        }
    }

    /// Runs `look` on a connection. Blocks.
    ///
    /// # Errors
    /// Those of `look`; no connection is to be had.
    pub(in crate::meta) fn with<T, E: From<Fault>>(
        &self,
        look: impl FnOnce(&Session) -> Result<T, E>,
    ) -> Result<T, E> {
        let session = self.take()?;
        // Whatever happens in `look`, a panic included, its place is free again.
        let mut place = Place {
            pool: self,
            session: Some(session),
        };
        let result = look(place.session.as_ref().expect("it was put there above"));
        if let Some(session) = place.session.take()
            && !session.is_broken()
        {
            place.give_back(session);
        }
        result
    }

    /// Ends all that nobody uses, and those in use when they come back.
    pub(in crate::meta) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        let idle = std::mem::take(&mut state.idle);
        state.open -= idle.len();
        drop(state);
        drop(idle);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Session, Fault> {
        let began = self.clock.moment();
        loop {
            let mut state = self.state();
            if state.is_closed {
                return Err(Fault::plain(FaultKind::Stopping, "the database is closed"));
            }
            if let Some((session, used)) = state.idle.pop() {
                drop(state);
                if self.clock.moment().since(used) < TRUSTED || session.answers() {
                    return Ok(session);
                }
                // One that the server ended; the others that are as old are asked as well, unless it says nothing: each
                // would be waited for.
                let is_silent = !session.is_closed();
                drop(session);
                let mut state = self.state();
                state.open -= 1;
                if is_silent {
                    let silent = std::mem::take(&mut state.idle);
                    state.open -= silent.len();
                    drop(state);
                    drop(silent);
                }
                continue;
            }
            if let Some((failed, said)) = &state.failed
                && self.clock.moment().since(*failed) < REST
            {
                return Err(Fault::plain(FaultKind::Unavailable, said.clone()));
            }
            if state.open < self.connector.place().connections_max {
                state.open += 1;
                drop(state);
                return self.connect();
            }
            let waited = self.clock.moment().since(began);
            let Some(left) = WAIT_MAX.checked_sub(waited).filter(|left| !left.is_zero()) else {
                let what = format!(
                    "all {} connections to the database are busy; pool_max_conns in its URL allows more",
                    state.open
                );
                return Err(Fault::plain(FaultKind::Unavailable, what));
            };
            drop(
                self.returned
                    .wait_timeout(state, left)
                    .unwrap_or_else(PoisonError::into_inner),
            );
        }
    }

    fn connect(&self) -> Result<Session, Fault> {
        let connected = self.connector.connect().and_then(|session| {
            // Who writes here does what a crash may take back. Where others would find it set, each waits for the disk.
            if !session.is_pooled() {
                session.simple("SET synchronous_commit = off")?;
            }
            Ok(session)
        });
        let mut state = self.state();
        match &connected {
            Ok(_) => state.failed = None,
            Err(fault) => {
                state.open -= 1;
                state.failed = Some((self.clock.moment(), fault.to_string()));
            }
        }
        drop(state);
        if connected.is_err() {
            self.returned.notify_one();
        }
        connected
    }
}

/// The place of a connection that is used.
struct Place<'a> {
    pool: &'a Pool,
    session: Option<Session>,
}

impl Place<'_> {
    fn give_back(&self, session: Session) {
        let used = self.pool.clock.moment();
        let mut state = self.pool.state();
        if !state.is_closed {
            state.idle.push((session, used));
            // For `drop`, which takes the place away.
            state.open += 1;
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.pool.state().open -= 1;
        self.pool.returned.notify_one();
    }
}
