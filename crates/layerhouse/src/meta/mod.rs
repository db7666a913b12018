//! Facts, in SQL, and SQL only here. A function is one sentence about data; `registry` decides which
//! of them make a transaction.
//!
//! One SQL text serves every engine, so statements keep to what SQLite and PostgreSQL share: `$n`
//! parameters, ids and times from the application, `ON CONFLICT`, `RETURNING`, keyset paging.
//! Operations are plain functions that wait for nothing but the database: SQLite runs a read in 5 µs
//! where it stands, and an engine behind a socket would run the same function on a blocking thread.

pub(crate) mod accounts;
pub(crate) mod adoptions;
pub(crate) mod audit;
pub(crate) mod blobs;
pub(crate) mod browse;
pub(crate) mod counts;
pub(crate) mod damages;
pub(crate) mod deleted;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod grants;
pub(crate) mod history;
pub(crate) mod invitations;
pub(crate) mod links;
pub(crate) mod manifests;
pub(crate) mod measured;
pub(crate) mod members;
mod migrations;
pub(crate) mod mirror;
pub(crate) mod namespaces;
pub(crate) mod pages;
pub(crate) mod repositories;
pub(crate) mod retention;
pub(crate) mod reviews;
pub(crate) mod robots;
pub(crate) mod scrub;
pub(crate) mod search;
pub(crate) mod shown;
pub(crate) mod signing_keys;
pub(crate) mod snapshot;
pub(crate) mod sqlite;
pub(crate) mod standing;
pub(crate) mod stars;
pub(crate) mod storage;
pub(crate) mod tags;
pub(crate) mod teams;
pub(crate) mod tokens;
pub(crate) mod untagged;
pub(crate) mod uploads;
pub(crate) mod verify;

use std::ops::ControlFlow;

use rusqlite::types::{ToSqlOutput, Value as SqlValue, ValueRef};

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

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match *self {
            Self::Null => ToSqlOutput::Owned(SqlValue::Null),
            Self::Int(value) => ToSqlOutput::Owned(SqlValue::Integer(value)),
            Self::Text(value) => ToSqlOutput::Borrowed(ValueRef::Text(value.as_bytes())),
            Self::Bytes(value) => ToSqlOutput::Borrowed(ValueRef::Blob(value)),
        })
    }
}

/// One transaction, or for reads one statement after the other on one connection.
pub(crate) struct Transaction<'a> {
    connection: &'a rusqlite::Connection,
}

/// A row of an answer; columns are numbered from 0.
pub(super) struct Row<'a>(&'a rusqlite::Row<'a>);

impl Row<'_> {
    pub(super) fn int(&self, column: usize) -> Result<i64, Fault> {
        self.0
            .get(column)
            .map_err(|error| database_fault("reading a column", error))
    }
    pub(super) fn optional_int(&self, column: usize) -> Result<Option<i64>, Fault> {
        self.0
            .get(column)
            .map_err(|error| database_fault("reading a column", error))
    }
    pub(super) fn text(&self, column: usize) -> Result<String, Fault> {
        self.0
            .get(column)
            .map_err(|error| database_fault("reading a column", error))
    }
    /// The text where it stands, for one that is only looked at.
    pub(super) fn text_ref(&self, column: usize) -> Result<&str, Fault> {
        let read = || -> Result<&str, rusqlite::Error> { Ok(self.0.get_ref(column)?.as_str()?) };
        read().map_err(|error| database_fault("reading a column", error))
    }
    pub(super) fn optional_text(&self, column: usize) -> Result<Option<String>, Fault> {
        self.0
            .get(column)
            .map_err(|error| database_fault("reading a column", error))
    }
    pub(super) fn bytes(&self, column: usize) -> Result<Vec<u8>, Fault> {
        self.0
            .get(column)
            .map_err(|error| database_fault("reading a column", error))
    }
    /// A column that we wrote from a checked type, read back into it.
    pub(super) fn parsed<T: std::str::FromStr>(&self, column: usize) -> Result<T, Fault>
    where
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        self.text(column)?
            .parse()
            .map_err(|error: T::Err| Fault::new(FaultKind::Damaged, "reading a stored name", error))
    }
}

impl Transaction<'_> {
    /// Runs a statement; the number of rows it changed.
    pub(super) fn execute(&self, sql: &'static str, values: &[Value<'_>]) -> Result<usize, Fault> {
        let run = || -> rusqlite::Result<usize> {
            let mut statement = self.connection.prepare_cached(sql)?;
            bind(&mut statement, values)?;
            statement.raw_execute()
        };
        run().map_err(|error| database_fault("changing the database", error))
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
        let fault = |error| database_fault("reading the database", error);
        let mut statement = self.connection.prepare_cached(sql).map_err(fault)?;
        bind(&mut statement, values).map_err(fault)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(fault)? {
            if read(&Row(row))?.is_break() {
                break;
            }
        }
        Ok(())
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

/// SQLite takes `$3` for a *name* and numbers names by first appearance: bind by the number itself.
fn bind(statement: &mut rusqlite::Statement<'_>, values: &[Value<'_>]) -> rusqlite::Result<()> {
    for index in 1..=statement.parameter_count() {
        let number: usize = statement
            .parameter_name(index)
            .and_then(|name| name.get(1..)?.parse().ok())
            .expect("our statements name their parameters $1 to $n");
        statement.raw_bind_parameter(index, values[number - 1])?;
    }
    Ok(())
}

/// Sorts a database error by what an operator can do about it.
fn database_fault(doing: &'static str, error: rusqlite::Error) -> Fault {
    use rusqlite::ErrorCode as Code;
    let extended = error.sqlite_error().map_or(0, |error| error.extended_code);
    let kind = match error.sqlite_error_code() {
        Some(Code::DiskFull) => FaultKind::DiskFull,
        Some(Code::ReadOnly) => FaultKind::ReadOnly,
        Some(Code::DatabaseCorrupt | Code::NotADatabase) => FaultKind::Damaged,
        Some(Code::SystemIoFailure) => match extended {
            rusqlite::ffi::SQLITE_IOERR_FSYNC | rusqlite::ffi::SQLITE_IOERR_DIR_FSYNC => {
                FaultKind::Device
            }
            rusqlite::ffi::SQLITE_IOERR_READ
            | rusqlite::ffi::SQLITE_IOERR_SHORT_READ
            | rusqlite::ffi::SQLITE_IOERR_CORRUPTFS => FaultKind::Damaged,
            // The write was refused, and the change with it.
            _ => FaultKind::ReadOnly,
        },
        Some(Code::CannotOpen | Code::OutOfMemory) => FaultKind::Exhausted,
        _ => FaultKind::Other,
    };
    Fault::new(kind, doing, error)
}

/// Whether the database answers.
pub(crate) fn ping(tx: &Transaction<'_>) -> Result<(), Fault> {
    tx.exists("SELECT 1 FROM repositories LIMIT 1", &[])
        .map(|_| ())
}

/// An id above every other, of which `highest` asks for the greatest: the time with room for 2²⁰ rows in each
/// millisecond, so that ids need no sequence and grow with time.
fn next_id(
    tx: &Transaction<'_>,
    highest: &'static str,
    now: crate::clock::Timestamp,
) -> Result<i64, Fault> {
    let highest = tx.query_one(highest, &[], |row| row.int(0))?.unwrap_or(0);
    Ok((now.0 << 20).max(highest + 1))
}

/// A bound on rows as a parameter.
fn limit(rows: usize) -> Value<'static> {
    Value::Int(i64::try_from(rows).unwrap_or(i64::MAX))
}
