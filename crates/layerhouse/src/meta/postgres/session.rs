//! One connection, with the statements that were prepared on it. Statements wait for their answers where they are
//! called; those whose answers nobody needs are sent with the next one, for each wait is a way to the server and back.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row, SimpleQueryMessage, Statement};

use super::words;
use crate::fault::{Fault, FaultKind};
use crate::meta::transaction::{Kept, Value};

/// Statements sent together at most: [`join_all`] begins with so many in their order.
const TOGETHER_MAX: usize = 24;
/// How long the end of a connection waits for the server to hear of it.
const FAREWELL_MAX: Duration = Duration::from_millis(200);

/// A connection to a database.
pub(in crate::meta) struct Session {
    /// It runs where somebody waits for an answer, and what keeps the connection going with it.
    runtime: Option<Runtime>,
    client: Option<Client>,
    connection: Option<JoinHandle<()>>,
    /// By their text, of which there are as many as the code has.
    statements: RefCell<HashMap<&'static str, Statement>>,
    /// What is sent with the next statement.
    waiting: RefCell<Vec<Waiting>>,
    /// Nothing more can be expected of it.
    is_broken: Cell<bool>,
}

/// What nobody needs the answer of, unless it is refused.
enum Waiting {
    Statement(Statement, Vec<Kept>),
    Simple(String),
}

impl Session {
    pub(super) fn new(runtime: Runtime, client: Client, connection: JoinHandle<()>) -> Self {
        Self {
            runtime: Some(runtime),
            client: Some(client),
            connection: Some(connection),
            statements: RefCell::default(),
            waiting: RefCell::default(),
            is_broken: Cell::new(false),
        }
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("it is there until the end")
    }

    /// Whether it is to be thrown away.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.get() || self.is_closed()
    }

    /// Whether the way to the server is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.client().is_closed()
    }

    /// Whether the server answers on it.
    pub(super) fn answers(&self) -> bool {
        !self.is_broken() && self.simple("").is_ok()
    }

    /// Widens the bounds that keep a hung process from holding up others: for the work of a start.
    ///
    /// # Errors
    /// The server does not answer.
    pub(in crate::meta) fn be_patient(&self) -> Result<(), Fault> {
        let settings =
            "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = '5min'";
        self.simple(settings).map(drop)
    }

    /// The number of rows that a statement changed.
    pub(in crate::meta) fn execute(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<usize, Fault> {
        const DOING: &str = "changing the database";
        let statement = self.prepare(sql)?;
        let parameters = references(&statement, values);
        let changed = self.send(DOING, self.client().execute(&statement, &parameters))?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    /// Runs a statement before whatever comes next; that fails if it does.
    pub(in crate::meta) fn execute_later(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<(), Fault> {
        let statement = self.prepare(sql)?;
        let kept = values.iter().map(Kept::from).collect();
        self.wait(Waiting::Statement(statement, kept))
    }

    /// The same for statements without parameters.
    pub(super) fn simple_later(&self, sql: String) -> Result<(), Fault> {
        self.wait(Waiting::Simple(sql))
    }

    fn wait(&self, waiting: Waiting) -> Result<(), Fault> {
        self.waiting.borrow_mut().push(waiting);
        if self.waiting.borrow().len() < TOGETHER_MAX {
            return Ok(());
        }
        self.flush()
    }

    /// Sends what waits, and sees that all of it was done.
    ///
    /// # Errors
    /// The first that failed.
    pub(in crate::meta) fn flush(&self) -> Result<(), Fault> {
        if self.waiting.borrow().is_empty() {
            return Ok(());
        }
        self.send("changing the database", async { Ok(()) })
    }

    /// Forgets what waits of an operation that is undone; what ends the one before and begins this one is still to be sent.
    pub(in crate::meta) fn forget(&self) {
        let is_simple = |waiting: &Waiting| matches!(waiting, Waiting::Simple(_));
        self.waiting.borrow_mut().retain(is_simple);
    }

    /// All rows of an answer.
    pub(in crate::meta) fn query(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, Fault> {
        const DOING: &str = "reading the database";
        let statement = self.prepare(sql)?;
        let parameters = references(&statement, values);
        self.send(DOING, self.client().query(&statement, &parameters))
    }

    /// Statements without parameters, in one message; the first number that they answer.
    pub(in crate::meta) fn simple(&self, sql: &str) -> Result<Option<i64>, Fault> {
        const DOING: &str = "changing the database";
        let messages = self.send(DOING, self.client().simple_query(sql))?;
        Ok(messages.iter().find_map(|message| {
            let SimpleQueryMessage::Row(row) = message else {
                return None;
            };
            row.get(0)?.parse().ok()
        }))
    }

    /// Sends what waits and then this, together, and waits for all the answers.
    fn send<T>(
        &self,
        doing: &'static str,
        last: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Fault> {
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        let runtime = self.runtime.as_ref().expect("it is there until the end");
        if waiting.is_empty() {
            return runtime
                .block_on(last)
                .map_err(|error| self.fault(doing, &error));
        }
        let before = waiting.iter().map(|waiting| async move {
            match waiting {
                Waiting::Simple(sql) => self.client().simple_query(sql).await.map(drop),
                Waiting::Statement(statement, kept) => {
                    let values: Vec<Value<'_>> = kept.iter().map(Kept::value).collect();
                    let parameters = references(statement, &values);
                    let changed = self.client().execute(statement, &parameters).await;
                    changed.map(drop)
                }
            }
        });
        // Each is sent when it is asked for the first time: in this order, and before the first answer comes.
        let (before, last) = runtime.block_on(join(join_all(before), last));
        for done in before {
            done.map_err(|error| self.fault("changing the database", &error))?;
        }
        last.map_err(|error| self.fault(doing, &error))
    }

    /// Whether the server knows a statement.
    #[cfg(test)]
    pub(in crate::meta) fn check(&self, sql: &'static str) -> Result<(), Fault> {
        self.send("preparing", self.client().prepare(sql)).map(drop)
    }

    fn prepare(&self, sql: &'static str) -> Result<Statement, Fault> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.send("preparing", self.client().prepare(sql))?;
        self.statements.borrow_mut().insert(sql, statement.clone());
        Ok(statement)
    }

    fn fault(&self, doing: &'static str, error: &tokio_postgres::Error) -> Fault {
        let fault = database_fault(doing, error);
        if fault.kind() == FaultKind::Unavailable {
            self.is_broken.set(true);
        }
        fault
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The server is told, if it listens.
        drop(self.client.take());
        if let (Some(runtime), Some(connection)) = (self.runtime.take(), self.connection.take()) {
            // Where others are served nothing is waited for: it sees that nobody is there any more.
            if Handle::try_current().is_err() {
                let farewell = async { tokio::time::timeout(FAREWELL_MAX, connection).await };
                let _ = runtime.block_on(farewell);
            }
            runtime.shutdown_background();
        }
    }
}

/// As many as the statement has: some that belong together are given more than they ask for.
fn references<'a>(statement: &Statement, values: &'a [Value<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    let asked_for = values.iter().take(statement.params().len());
    asked_for.map(|value| value as _).collect()
}

/// Sorts an error of the server, or of the way to it, by what an operator can do about it.
pub(super) fn database_fault(doing: &'static str, error: &tokio_postgres::Error) -> Fault {
    let kind = match error.code().map(tokio_postgres::error::SqlState::code) {
        // The connection broke, or never came to be: a server that said no says why in a code.
        None if error.is_closed() || has_io_error(error) => FaultKind::Unavailable,
        // disk_full
        Some("53100") => FaultKind::DiskFull,
        // data_corrupted, index_corrupted
        Some("XX001" | "XX002") => FaultKind::Damaged,
        // Too many connections, no memory; the server stops, starts, or is the standby after a failover; a
        // conflict that another try may not meet; a time-out.
        Some(code)
            if code.starts_with("53")
                || code.starts_with("57")
                || code.starts_with("08")
                || code.starts_with("40")
                || matches!(code, "25006" | "25P03" | "55P03") =>
        {
            FaultKind::Unavailable
        }
        None | Some(_) => FaultKind::Other,
    };
    Fault::new(kind, doing, words(error))
}

fn has_io_error(error: &tokio_postgres::Error) -> bool {
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        if source.is::<std::io::Error>() {
            return true;
        }
        next = source.source();
    }
    // "error connecting to server", "timeout waiting for server"
    error.to_string().contains("server")
}
