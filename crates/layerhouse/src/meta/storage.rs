//! How much is stored, over time.

use super::{Transaction, Value, limit};
use crate::clock::Timestamp;
use crate::fault::Fault;

/// How much was stored at one moment, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) at: Timestamp,
    /// Of all blobs, each counted once.
    pub(crate) unique_bytes: u64,
    /// Of all blobs, once for each repository that has them.
    pub(crate) logical_bytes: u64,
    /// Of the unique ones: what only deleted manifests need that can come back.
    pub(crate) deleted_bytes: u64,
    /// Staged by uploads that are open.
    pub(crate) uploads_bytes: u64,
    /// Of the file system.
    pub(crate) free_bytes: u64,
}

/// Bytes of all blobs, and of all that repositories link. Reads every blob's row: a second for ten million.
pub(crate) fn stored_bytes(tx: &Transaction<'_>) -> Result<(u64, u64), Fault> {
    let found = tx.query_one(
        "SELECT (SELECT COALESCE(SUM(size), 0) FROM blobs),
                (SELECT COALESCE(SUM(linked_bytes), 0) FROM repositories)",
        &[],
        |row| Ok((bytes(row.int(0)?), bytes(row.int(1)?))),
    )?;
    Ok(found.unwrap_or_default())
}

/// Keeps a sample; of the same moment, the first.
pub(crate) fn keep(tx: &Transaction<'_>, sample: &Sample) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO storage_samples
           (at, unique_bytes, logical_bytes, deleted_bytes, uploads_bytes, free_bytes)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (at) DO NOTHING",
        &[
            sample.at.0.into(),
            number(sample.unique_bytes),
            number(sample.logical_bytes),
            number(sample.deleted_bytes),
            number(sample.uploads_bytes),
            number(sample.free_bytes),
        ],
    )?;
    Ok(())
}

/// Keeps of samples before `daily` the first of each day (UTC), and of those before `gone` none.
pub(crate) fn thin(tx: &Transaction<'_>, daily: Timestamp, gone: Timestamp) -> Result<(), Fault> {
    tx.run(
        "DELETE FROM storage_samples WHERE at < $2 OR at < $1 AND EXISTS (
           SELECT 1 FROM storage_samples AS earlier
           WHERE earlier.at < storage_samples.at
             AND earlier.at / 86400000 = storage_samples.at / 86400000)",
        &[daily.0.into(), gone.0.into()],
    )?;
    Ok(())
}

/// When the last sample was taken.
pub(crate) fn newest(tx: &Transaction<'_>) -> Result<Option<Timestamp>, Fault> {
    tx.query_one(
        "SELECT at FROM storage_samples ORDER BY at DESC LIMIT 1",
        &[],
        |row| Ok(Timestamp(row.int(0)?)),
    )
}

/// The last `rows` samples, the oldest first.
pub(crate) fn list(tx: &Transaction<'_>, rows: usize) -> Result<Vec<Sample>, Fault> {
    let mut found = tx.query(
        "SELECT at, unique_bytes, logical_bytes, deleted_bytes, uploads_bytes, free_bytes
         FROM storage_samples ORDER BY at DESC LIMIT $1",
        &[limit(rows)],
        |row| {
            Ok(Sample {
                at: Timestamp(row.int(0)?),
                unique_bytes: bytes(row.int(1)?),
                logical_bytes: bytes(row.int(2)?),
                deleted_bytes: bytes(row.int(3)?),
                uploads_bytes: bytes(row.int(4)?),
                free_bytes: bytes(row.int(5)?),
            })
        },
    )?;
    found.reverse();
    Ok(found)
}

fn bytes(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}

fn number(bytes: u64) -> Value<'static> {
    Value::Int(i64::try_from(bytes).unwrap_or(i64::MAX))
}
