//! The connection of the writer. What begins and ends transactions is sent together with what follows it, for
//! each message is a way to the server and back, and all other replicas wait meanwhile.

use std::sync::atomic::Ordering;

use super::connect::Connector;
use super::pool::TRUSTED;
use super::session::{BEGIN, Session};
use super::watch::Seen;
use crate::clock::{Clock, Moment};
use crate::fault::{Fault, FaultKind};
use crate::meta::database::{Durability, Writer};
use crate::meta::transaction::{Engine, Transaction};

/// Takes the turn of this replica; who holds it is waited for.
const TURN: &str = "UPDATE commits SET generation = generation + 1 RETURNING generation";

/// Writes to one database.
pub(in crate::meta) struct PostgresWriter {
    connector: Connector,
    session: Option<Session>,
    /// What is to be sent before the next statement.
    waiting: String,
    /// The one that runs, by its number.
    operation: u64,
    /// The commit that is being made, by its number.
    number: i64,
    /// The commits that this process knows of.
    seen: Seen,
    is_patient: bool,
    /// What waits for a network does not wait for a test's clock.
    clock: Clock,
    /// When the last transaction began.
    used: Moment,
}

impl PostgresWriter {
    pub(in crate::meta) fn new(connector: Connector, seen: Seen) -> Self {
        let clock = Clock::system();
        Self {
            used: clock.moment(),
            clock,
            connector,
            session: None,
            waiting: String::new(),
            operation: 0,
            number: 0,
            seen,
            is_patient: false,
        }
    }

    /// One that writes many rows at once, and may read files between two of them.
    pub(in crate::meta) fn for_many(connector: Connector, seen: Seen) -> Self {
        Self {
            is_patient: true,
            ..Self::new(connector, seen)
        }
    }

    fn session(&self) -> Result<&Session, Fault> {
        self.session.as_ref().ok_or_else(|| {
            let what = "the connection to the database broke";
            Fault::plain(FaultKind::Unavailable, what)
        })
    }

    fn connect(&mut self) -> Result<(), Fault> {
        self.session = None;
        let session = self.connector.connect()?;
        if self.is_patient {
            session.be_patient()?;
        }
        self.session = Some(session);
        Ok(())
    }

    /// Of the savepoint of the operation that runs.
    fn name(&self) -> String {
        format!("operation{}", self.operation)
    }

    /// Sends what waits.
    fn send(&mut self) -> Result<(), Fault> {
        let sql = std::mem::take(&mut self.waiting);
        if let Some(number) = self.session()?.simple(&sql)? {
            self.number = number;
        }
        Ok(())
    }
}

impl Writer for PostgresWriter {
    fn transaction(&self) -> Result<Transaction<'_>, Fault> {
        self.session()
            .map(|session| Transaction::new(Engine::Postgres(session)))
    }

    fn begin(&mut self, durability: Durability) -> Result<(), Fault> {
        // One that stood idle may have been ended by the server, by a failover, or by a wall between. To ask before
        // each transaction would cost all who wait another way to the server.
        let now = self.clock.moment();
        let is_trusted = now.since(self.used) < TRUSTED;
        self.used = now;
        let stands = |session: &Session| !session.is_broken() && (is_trusted || session.answers());
        if !self.session.as_ref().is_some_and(stands) {
            self.connect()?;
        }
        let begin = self.session()?.beginning();
        self.waiting = match durability {
            // Somebody else may have left that off on the connection that comes next.
            Durability::PowerCut if self.session()?.is_pooled() => {
                format!("{begin}; SET LOCAL synchronous_commit TO DEFAULT; {TURN}")
            }
            Durability::PowerCut => format!("{begin}; {TURN}"),
            Durability::ProcessDeath | Durability::Remade => {
                format!("{begin}; SET LOCAL synchronous_commit = off; {TURN}")
            }
        };
        Ok(())
    }

    fn begin_operation(&mut self) -> Result<(), Fault> {
        // Each has a name of its own: what fails between two must not undo the one before.
        self.operation += 1;
        let name = self.name();
        self.waiting.push_str("; SAVEPOINT ");
        self.waiting.push_str(&name);
        if self.waiting.starts_with(BEGIN) {
            // Here others are waited for.
            let sql = self.waiting.clone();
            return match self.send() {
                // It broke since it was used last: nothing was begun on it.
                Err(_) if self.session.as_ref().is_some_and(Session::is_closed) => {
                    self.connect()?;
                    self.waiting = sql;
                    self.send()
                }
                sent => sent,
            };
        }
        let sql = std::mem::take(&mut self.waiting);
        self.session()?.simple_later(sql)
    }

    fn keep_operation(&mut self) -> Result<(), Fault> {
        let name = self.name();
        self.waiting.push_str("RELEASE ");
        self.waiting.push_str(&name);
        Ok(())
    }

    fn undo_operation(&mut self) -> Result<(), Fault> {
        self.session()?.forget();
        let name = self.name();
        let undone = format!("ROLLBACK TO {name}; RELEASE {name}");
        self.waiting.push_str(&undone);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Fault> {
        if !self.waiting.is_empty() {
            self.waiting.push_str("; ");
        }
        self.waiting.push_str("COMMIT");
        self.send()?;
        self.seen.reach(self.number);
        let before = self.seen.commit.swap(self.number, Ordering::AcqRel);
        if self.number != before + 1 {
            // Somebody else was between, and the watch may not have looked.
            self.seen.note_elsewhere();
        }
        Ok(())
    }

    fn roll_back(&mut self) -> Result<(), Fault> {
        self.waiting.clear();
        // With the connection goes the transaction, whatever state it is in.
        self.session = None;
        Ok(())
    }

    fn close(&mut self) {
        self.session = None;
    }
}
