//! Statements, their parameters and their answers, whatever the engine.

use std::ops::ControlFlow;
use std::str::FromStr;

use super::postgres::session::Session;
use super::postgres::values::Whole;
use super::sqlite;
use crate::fault::{Fault, FaultKind};

/// A parameter of a statement.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl<'a> From<&'a str> for Value<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(value)
    }
}
impl From<Option<i64>> for Value<'_> {
    fn from(value: Option<i64>) -> Self {
        value.map_or(Self::Null, Self::Int)
    }
}
impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(value: Option<&'a str>) -> Self {
        value.map_or(Self::Null, Self::Text)
    }
}
impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(value)
    }
}

/// A value that outlives whom it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Kept {
    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Int(number) => Value::Int(*number),
            Self::Text(text) => Value::Text(text),
            Self::Bytes(bytes) => Value::Bytes(bytes),
        }
    }
}

impl From<&Value<'_>> for Kept {
    fn from(value: &Value<'_>) -> Self {
        match *value {
            Value::Null => Self::Null,
            Value::Int(number) => Self::Int(number),
            Value::Text(text) => Self::Text(text.to_owned()),
            Value::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
        }
    }
}

/// Where statements run.
#[derive(Clone, Copy)]
pub(super) enum Engine<'a> {
    Sqlite(&'a rusqlite::Connection),
    Postgres(&'a Session),
}

/// One transaction, or for reads one statement after the other on one connection.
pub(crate) struct Transaction<'a> {
    engine: Engine<'a>,
}

/// A row of an answer; columns are numbered from 0.
pub(super) struct Row<'a>(Columns<'a>);

enum Columns<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

impl Row<'_> {
    fn get<T>(&self, column: usize) -> Result<T, Fault>
    where
        T: rusqlite::types::FromSql + for<'b> tokio_postgres::types::FromSql<'b>,
    {
        const DOING: &str = "reading a column";
        match self.0 {
            Columns::Sqlite(row) => row
                .get(column)
                .map_err(|error| sqlite::database_fault(DOING, error)),
            Columns::Postgres(row) => row
                .try_get(column)
                .map_err(|error| Fault::new(FaultKind::Other, DOING, error)),
        }
    }

    /// A whole number; a truth is 1 or 0.
    pub(super) fn int(&self, column: usize) -> Result<i64, Fault> {
        self.get::<Whole>(column).map(|whole| whole.0)
    }
    pub(super) fn optional_int(&self, column: usize) -> Result<Option<i64>, Fault> {
        let found = self.get::<Option<Whole>>(column)?;
        Ok(found.map(|whole| whole.0))
    }
    pub(super) fn text(&self, column: usize) -> Result<String, Fault> {
        self.get(column)
    }
    /// The text where it stands, for one that is only looked at.
    pub(super) fn text_ref(&self, column: usize) -> Result<&str, Fault> {
        const DOING: &str = "reading a column";
        match self.0 {
            Columns::Sqlite(row) => {
                let read =
                    || -> Result<&str, rusqlite::Error> { Ok(row.get_ref(column)?.as_str()?) };
                read().map_err(|error| sqlite::database_fault(DOING, error))
            }
            Columns::Postgres(row) => row
                .try_get(column)
                .map_err(|error| Fault::new(FaultKind::Other, DOING, error)),
        }
    }
    pub(super) fn optional_text(&self, column: usize) -> Result<Option<String>, Fault> {
        self.get(column)
    }
    pub(super) fn bytes(&self, column: usize) -> Result<Vec<u8>, Fault> {
        self.get(column)
    }
    pub(super) fn optional_bytes(&self, column: usize) -> Result<Option<Vec<u8>>, Fault> {
        self.get(column)
    }
    /// A column that we wrote from a checked type, read back into it.
    pub(super) fn parsed<T: FromStr>(&self, column: usize) -> Result<T, Fault>
    where
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        self.text(column)?
            .parse()
            .map_err(|error: T::Err| Fault::new(FaultKind::Damaged, "reading a stored name", error))
    }
}

impl<'a> Transaction<'a> {
    pub(super) fn new(engine: Engine<'a>) -> Self {
        Self { engine }
    }

    /// For the few statements that only one engine knows.
    pub(super) fn engine(&self) -> Engine<'a> {
        self.engine
    }

    /// Runs a statement; the number of rows it changed.
    pub(super) fn execute(&self, sql: &'static str, values: &[Value<'_>]) -> Result<usize, Fault> {
        match self.engine {
            Engine::Sqlite(connection) => sqlite::execute(connection, sql, values),
            Engine::Postgres(session) => session.execute(sql, values),
        }
    }

    /// Runs a statement, of which nobody needs to know how many rows it changed. On a server it is sent with the next one,
    /// which fails if it does.
    pub(super) fn run(&self, sql: &'static str, values: &[Value<'_>]) -> Result<(), Fault> {
        match self.engine {
            Engine::Sqlite(connection) => sqlite::execute(connection, sql, values).map(drop),
            Engine::Postgres(session) => session.execute_later(sql, values),
        }
    }

    /// Sees that all that was run was done.
    pub(super) fn settle(&self) -> Result<(), Fault> {
        match self.engine {
            Engine::Sqlite(_) => Ok(()),
            Engine::Postgres(session) => session.flush(),
        }
    }

    /// Calls `read` for each row of an answer, until it fails.
    pub(super) fn each(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.each_until(sql, values, |row| read(row).map(ControlFlow::Continue))
    }

    /// Calls `read` for each row of an answer, until it fails or has enough.
    pub(super) fn each_until(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<ControlFlow<()>, Fault>,
    ) -> Result<(), Fault> {
        match self.engine {
            Engine::Sqlite(connection) => sqlite::each_until(connection, sql, values, |row| {
                read(&Row(Columns::Sqlite(row)))
            }),
            Engine::Postgres(session) => {
                // All of them before the first is looked at: `read` may ask for more on this connection.
                for row in session.query(sql, values)? {
                    if read(&Row(Columns::Postgres(&row)))?.is_break() {
                        break;
                    }
                }
                Ok(())
            }
        }
    }

    /// All rows of an answer; the caller's SQL bounds their number.
    pub(super) fn query<T>(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let mut found = Vec::new();
        self.each(sql, values, |row| {
            found.push(read(row)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// The first row of an answer, if there is one.
    pub(super) fn query_one<T>(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
        read: impl FnMut(&Row<'_>) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        Ok(self.query(sql, values, read)?.into_iter().next())
    }

    /// The one number of an answer, which counts rows.
    pub(super) fn count(&self, sql: &'static str) -> Result<u64, Fault> {
        let counted = self.query_one(sql, &[], |row| row.int(0))?;
        Ok(u64::try_from(counted.unwrap_or(0)).unwrap_or(0))
    }

    /// Whether an answer has a row.
    pub(super) fn exists(&self, sql: &'static str, values: &[Value<'_>]) -> Result<bool, Fault> {
        Ok(self.query_one(sql, values, |_| Ok(()))?.is_some())
    }
}
