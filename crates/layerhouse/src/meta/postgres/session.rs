//! One connection, with the statements that were prepared on it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use postgres::types::ToSql;
use postgres::{Client, Row, SimpleQueryMessage, Statement};

use super::words;
use crate::fault::{Fault, FaultKind};
use crate::meta::transaction::Value;

/// A connection to a database. Statements wait for their answers where they are called.
pub(in crate::meta) struct Session {
    client: RefCell<Client>,
    /// By their text, of which there are as many as the code has.
    statements: RefCell<HashMap<&'static str, Statement>>,
    /// Nothing more can be expected of it.
    is_broken: Cell<bool>,
}

impl Session {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client: RefCell::new(client),
            statements: RefCell::default(),
            is_broken: Cell::new(false),
        }
    }

    /// Whether it is to be thrown away.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.get() || self.client.borrow().is_closed()
    }

    /// Whether the server answers on it.
    pub(super) fn answers(&self) -> bool {
        !self.is_broken() && self.simple("").is_ok()
    }

    /// Takes the bounds off that keep a hung process from holding up others: for the work of a start.
    ///
    /// # Errors
    /// The server does not answer.
    pub(in crate::meta) fn be_patient(&self) -> Result<(), Fault> {
        let settings = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";
        self.simple(settings).map(drop)
    }

    /// The number of rows that a statement changed.
    pub(in crate::meta) fn execute(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<usize, Fault> {
        let run = || {
            let statement = self.prepare(sql)?;
            self.client
                .borrow_mut()
                .execute(&statement, &references(&statement, values))
        };
        let changed = run().map_err(|error| self.fault("changing the database", &error))?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    /// All rows of an answer.
    pub(in crate::meta) fn query(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, Fault> {
        let run = || {
            let statement = self.prepare(sql)?;
            self.client
                .borrow_mut()
                .query(&statement, &references(&statement, values))
        };
        run().map_err(|error| self.fault("reading the database", &error))
    }

    /// Statements without parameters, in one message; the first number that they answer.
    pub(in crate::meta) fn simple(&self, sql: &str) -> Result<Option<i64>, Fault> {
        let asked = self.client.borrow_mut().simple_query(sql);
        let messages = asked.map_err(|error| self.fault("changing the database", &error))?;
        Ok(messages.iter().find_map(|message| {
            let SimpleQueryMessage::Row(row) = message else {
                return None;
            };
            row.get(0)?.parse().ok()
        }))
    }

    /// Whether the server knows a statement.
    #[cfg(test)]
    pub(in crate::meta) fn check(&self, sql: &'static str) -> Result<(), Fault> {
        let prepared = self.client.borrow_mut().prepare(sql);
        prepared
            .map(drop)
            .map_err(|error| self.fault("preparing", &error))
    }

    fn prepare(&self, sql: &'static str) -> Result<Statement, postgres::Error> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.borrow_mut().prepare(sql)?;
        self.statements.borrow_mut().insert(sql, statement.clone());
        Ok(statement)
    }

    fn fault(&self, doing: &'static str, error: &postgres::Error) -> Fault {
        let fault = database_fault(doing, error);
        if fault.kind() == FaultKind::Unavailable {
            self.is_broken.set(true);
        }
        fault
    }
}

/// As many as the statement has: some that belong together are given more than they ask for.
fn references<'a>(statement: &Statement, values: &'a [Value<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    let asked_for = values.iter().take(statement.params().len());
    asked_for.map(|value| value as _).collect()
}

/// Sorts an error of the server, or of the way to it, by what an operator can do about it.
pub(super) fn database_fault(doing: &'static str, error: &postgres::Error) -> Fault {
    let kind = match error.code().map(postgres::error::SqlState::code) {
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

fn has_io_error(error: &postgres::Error) -> bool {
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
