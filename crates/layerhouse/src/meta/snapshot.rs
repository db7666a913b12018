//! Copies of the whole database, for backups: made while others write, and read without being changed.

use std::path::Path;

use layerhouse_oci::digest::Digest;
use rusqlite::{Connection, OpenFlags};

use super::blobs::bytes;
use super::database::{Bulk, Database};
use super::sqlite::{connect, database_fault};
use super::transaction::{Engine, Transaction};
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};

/// A copy of a database, open to be read.
pub(crate) struct Snapshot {
    connection: Connection,
}

/// How much a database holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) repositories: u64,
    pub(crate) manifests: u64,
    pub(crate) tags: u64,
}

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) taken_at: Timestamp,
    pub(crate) place: String,
    pub(crate) blobs: u64,
    pub(crate) bytes: u64,
    pub(crate) new_blobs: u64,
    pub(crate) new_bytes: u64,
    pub(crate) missing: u64,
}

/// Backups that are remembered.
const BACKUPS_KEPT: i64 = 100;

impl Database {
    /// Writes all that is committed into a new file, as it is at one moment; others read and write meanwhile.
    /// Uploads in flight are left out, for their bytes are. The file is not synced.
    ///
    /// # Errors
    /// The disk is full or failed, the database is damaged, or it is a server's.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<(), Fault> {
        let fault = |error| database_fault("copying the database", error);
        let Some(file) = self.file() else {
            let what = "the database is a server's, whose own copies belong in a backup (pg_dump)";
            return Err(Fault::plain(FaultKind::Other, what));
        };
        connect(file)?
            .execute("VACUUM INTO $1", [path.to_string_lossy()])
            .map_err(fault)?;
        let copy = Connection::open(path).map_err(fault)?;
        copy.execute_batch("PRAGMA journal_mode = DELETE; DELETE FROM uploads;")
            .map_err(fault)?;
        copy.close().map_err(|(_, error)| fault(error))
    }
}

impl Snapshot {
    /// Opens a copy; nothing is written, not even beside it.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self, Fault> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)
            .map_err(|error| database_fault("opening the copy of a database", error))?;
        Ok(Self { connection })
    }

    fn read<T>(&self, look: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        look(&Transaction::new(Engine::Sqlite(&self.connection)))
    }

    /// What the engine finds wrong with it.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn check(&self) -> Result<Vec<String>, Fault> {
        self.read(super::verify::check_database)
    }

    /// How much it holds.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn held(&self) -> Result<Held, Fault> {
        self.read(|tx| {
            Ok(Held {
                repositories: tx.count("SELECT COUNT(*) FROM repositories")?,
                manifests: tx.count("SELECT COUNT(*) FROM manifests")?,
                tags: tx.count("SELECT COUNT(*) FROM tags")?,
            })
        })
    }

    /// Every blob that it names, and how long it is.
    ///
    /// # Errors
    /// It cannot be read, or `look` fails.
    pub(crate) fn each_blob<E: From<Fault>>(
        &self,
        mut look: impl FnMut(&Digest, u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut failed = None;
        self.read(|tx| {
            tx.each_until(
                "SELECT digest, size FROM blobs ORDER BY digest",
                &[],
                |row| {
                    let digest: Digest = row.parsed(0)?;
                    Ok(match look(&digest, bytes(row.int(1)?)) {
                        Ok(()) => std::ops::ControlFlow::Continue(()),
                        Err(error) => {
                            failed = Some(error);
                            std::ops::ControlFlow::Break(())
                        }
                    })
                },
            )
        })?;
        failed.map_or(Ok(()), Err)
    }
}

/// Remembers a backup.
pub(crate) fn remember(tx: &Transaction<'_>, made: &Made) -> Result<(), Fault> {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX).into();
    tx.run(
        "INSERT INTO backups (taken_at, place, blobs, bytes, new_blobs, new_bytes, missing)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        &[
            made.taken_at.0.into(),
            made.place.as_str().into(),
            count(made.blobs),
            count(made.bytes),
            count(made.new_blobs),
            count(made.new_bytes),
            count(made.missing),
        ],
    )?;
    tx.run(
        "DELETE FROM backups WHERE taken_at NOT IN
             (SELECT taken_at FROM backups ORDER BY taken_at DESC LIMIT $1)",
        &[BACKUPS_KEPT.into()],
    )?;
    Ok(())
}

/// The latest backup that was made.
pub(crate) fn last(tx: &Transaction<'_>) -> Result<Option<Made>, Fault> {
    tx.query_one(
        "SELECT taken_at, place, blobs, bytes, new_blobs, new_bytes, missing FROM backups
         ORDER BY taken_at DESC LIMIT 1",
        &[],
        |row| {
            let count = |column| row.int(column).map(bytes);
            Ok(Made {
                taken_at: Timestamp(row.int(0)?),
                place: row.text(1)?,
                blobs: count(2)?,
                bytes: count(3)?,
                new_blobs: count(4)?,
                new_bytes: count(5)?,
                missing: count(6)?,
            })
        },
    )
}

/// Makes a database that was put somewhere else fit what is there: all link files are to be written, and these
/// blobs have no bytes.
///
/// # Errors
/// The database failed.
pub(crate) fn settle(mut bulk: Bulk, missing: &[Digest], now: Timestamp) -> Result<(), Fault> {
    bulk.change(|tx| {
        tx.run("DELETE FROM uploads", &[])?;
        for name in super::adoptions::repositories(tx)? {
            if let Some(id) = super::repositories::find(tx, &name)? {
                super::links::mark_all_stale(tx, &name, id)?;
            }
        }
        for digest in missing {
            super::scrub::found_damaged(tx, digest, now)?;
        }
        Ok(())
    })?;
    bulk.finish(|_| Ok(()))
}
