//! The embedded engine.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, Value as SqlValue, ValueRef};
use rusqlite::{Connection, OpenFlags};

use super::database::{Durability, Writer};
use super::transaction::{Engine, Transaction, Value};
use crate::fault::{Fault, FaultKind};

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

/// Runs a statement; the number of rows it changed.
pub(super) fn execute(
    connection: &Connection,
    sql: &'static str,
    values: &[Value<'_>],
) -> Result<usize, Fault> {
    let run = || -> rusqlite::Result<usize> {
        let mut statement = connection.prepare_cached(sql)?;
        bind(&mut statement, values)?;
        statement.raw_execute()
    };
    run().map_err(|error| database_fault("changing the database", error))
}

/// Calls `read` for each row of an answer, until it fails or has enough.
pub(super) fn each_until(
    connection: &Connection,
    sql: &'static str,
    values: &[Value<'_>],
    mut read: impl FnMut(&rusqlite::Row<'_>) -> Result<ControlFlow<()>, Fault>,
) -> Result<(), Fault> {
    let fault = |error| database_fault("reading the database", error);
    let mut statement = connection.prepare_cached(sql).map_err(fault)?;
    bind(&mut statement, values).map_err(fault)?;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(fault)? {
        if read(row)?.is_break() {
            break;
        }
    }
    Ok(())
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
pub(super) fn database_fault(doing: &'static str, error: rusqlite::Error) -> Fault {
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

/// Connections for reading a file.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            idle: Mutex::default(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens so many before they are asked for.
    pub(super) fn open(&self, count: usize) -> Result<(), Fault> {
        for _ in 0..count {
            let reader = connect(&self.path)?;
            self.idle().push(reader);
        }
        Ok(())
    }

    pub(super) fn close(&self) {
        self.idle().clear();
    }

    /// Runs `look` on one that is idle, or a new one.
    ///
    /// As many come to be as threads read at once, for none is held across an await: the worker
    /// threads and at most the blocking pool bound them.
    pub(super) fn with<T, E: From<Fault>>(
        &self,
        look: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let idle = self.idle().pop();
        let connection = idle.map_or_else(|| connect(&self.path), Ok)?;
        let result = look(&Transaction::new(Engine::Sqlite(&connection)));
        self.idle().push(connection);
        result
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens one connection.
///
/// The VFS `unix-excl` keeps the index of the write-ahead log in this process's memory. With the
/// usual one it is a mapped file, and touching it after the file system turned read-only kills the
/// process with SIGBUS; it also keeps other processes from writing behind our back.
pub(super) fn connect(path: &Path) -> Result<Connection, Fault> {
    let open = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags_and_vfs(path, flags, c"unix-excl")?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA busy_timeout = 10000;
             PRAGMA cache_size = -8192;
             PRAGMA journal_size_limit = 67108864;",
        )?;
        connection.set_prepared_statement_cache_capacity(128);
        // Otherwise plans follow the values that are bound, and a statement that was prepared once is
        // prepared again each time that it runs with others: ten times its work.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(connection)
    };
    open().map_err(|error| {
        let fault = database_fault("", error);
        let shown = path.display();
        if fault.kind() == FaultKind::Damaged {
            let doing = format!(
                "the database {shown} is damaged; put a backup of it in its place, or move it \
                 away: the next start makes it anew from the files beside it, without the \
                 record of who moved which tag"
            );
            return Fault::new(FaultKind::Damaged, doing, fault);
        }
        Fault::new(fault.kind(), format!("opening the database {shown}"), fault)
    })
}

/// Writes to a file.
pub(super) struct SqliteWriter {
    connection: Connection,
}

impl SqliteWriter {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// One that writes many rows at once.
    pub(super) fn for_many(path: &Path) -> Result<Self, Fault> {
        let connection = connect(path)?;
        // Rows in the order of their digests touch pages all over the indexes: keep those (64 MiB) and
        // fold the log into the file seldom, for both are given back at the end.
        connection
            .execute_batch("PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 16384;")
            .map_err(|error| database_fault("preparing for many rows", error))?;
        Ok(Self { connection })
    }

    fn run(&self, sql: &'static str) -> Result<(), Fault> {
        let run = || self.connection.prepare_cached(sql)?.raw_execute();
        run().map(drop).map_err(|error| database_fault(sql, error))
    }
}

impl Writer for SqliteWriter {
    fn transaction(&self) -> Result<Transaction<'_>, Fault> {
        Ok(Transaction::new(Engine::Sqlite(&self.connection)))
    }

    /// Begins a transaction whose commit is flushed as its durability asks.
    fn begin(&mut self, durability: Durability) -> Result<(), Fault> {
        // Between transactions this only says when the log is flushed; it costs no I/O. It takes effect
        // where it is prepared, so a statement kept from before would do nothing.
        let pragma = match durability {
            Durability::PowerCut => "PRAGMA synchronous = FULL",
            Durability::ProcessDeath | Durability::Remade => "PRAGMA synchronous = NORMAL",
        };
        self.connection
            .execute_batch(pragma)
            .map_err(|error| database_fault(pragma, error))?;
        self.run("BEGIN IMMEDIATE")
    }

    fn begin_operation(&mut self) -> Result<(), Fault> {
        self.run("SAVEPOINT operation")
    }

    fn keep_operation(&mut self) -> Result<(), Fault> {
        self.run("RELEASE operation")
    }

    fn undo_operation(&mut self) -> Result<(), Fault> {
        self.run("ROLLBACK TO operation")?;
        self.run("RELEASE operation")
    }

    fn commit(&mut self) -> Result<(), Fault> {
        self.run("COMMIT")
    }

    fn roll_back(&mut self) -> Result<(), Fault> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        self.run("ROLLBACK")
    }

    fn close(&mut self) {
        // A clean stop leaves one file that any SQLite can open, and nothing to recover.
        let folded = self
            .connection
            .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        if let Err(error) = folded {
            tracing::warn!(%error, "the write-ahead log could not be folded into the database");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Health;
    use crate::meta::database::Database;
    use crate::steps::Steps;

    /// A statement of this form was prepared again at each run: its plan followed the values.
    #[test]
    fn statements_are_prepared_once_whatever_is_bound() {
        const LOOK: &str = "SELECT content FROM repositories
            JOIN manifests ON manifests.repository_id = repositories.id
            WHERE repositories.name = $1 AND manifests.digest = $2";
        let directory = tempfile::TempDir::new().expect("a directory");
        let path = directory.path().join("layerhouse.db");
        let database =
            Database::open(&path, Steps::default(), Health::default()).expect("it opens");
        let prepared_again = database.read(|tx| {
            for name in ["a", "b", "c"] {
                assert!(!tx.exists(LOOK, &[name.into(), name.into()])?);
            }
            let statement = match tx.engine() {
                Engine::Sqlite(connection) => {
                    connection.prepare_cached(LOOK).expect("it was before")
                }
                Engine::Postgres(_) => unreachable!("it is embedded"),
            };
            Ok::<_, Fault>(statement.get_status(rusqlite::StatementStatus::RePrepare))
        });
        assert_eq!(prepared_again.expect("it reads"), 0);
        database.close();
    }
}
