//! Which blobs are objects of a store, and which objects are to go.

use layerhouse_oci::digest::Digest;

use super::limit;
use super::transaction::Transaction;
use crate::clock::Timestamp;
use crate::fault::Fault;

/// The key of the object that a blob is; `None` if there is no such blob, or it is a file.
pub(crate) fn key(tx: &Transaction<'_>, digest: &Digest) -> Result<Option<String>, Fault> {
    let found = tx.query_one(
        "SELECT object_key FROM blobs WHERE digest = $1",
        &[digest.as_str().into()],
        |row| row.optional_text(0),
    )?;
    Ok(found.flatten())
}

/// The blob is this object from now on. What it was before is removed when it is `due`, for somebody may
/// read it still. The caller saw that there is a row.
pub(crate) fn point(
    tx: &Transaction<'_>,
    digest: &Digest,
    key: &str,
    due: Timestamp,
) -> Result<(), Fault> {
    let values = [digest.as_str().into(), key.into(), due.0.into()];
    tx.run(
        "INSERT INTO object_removals (object_key, due_at)
         SELECT object_key, $3 FROM blobs
         WHERE digest = $1 AND object_key IS NOT NULL AND object_key <> $2
         ON CONFLICT (object_key) DO NOTHING",
        &values,
    )?;
    tx.run(
        "UPDATE blobs SET object_key = $2 WHERE digest = $1",
        &values[..2],
    )?;
    // It may have been given up before what was tried then came true after all.
    tx.run(
        "DELETE FROM object_removals WHERE object_key = $1",
        &[key.into()],
    )
}

/// The object that the blob was is not there, or not what it should be; whether it was the blob's still.
/// What there is of it is removed when it is `due`.
pub(crate) fn withdraw(
    tx: &Transaction<'_>,
    digest: &Digest,
    key: &str,
    (now, due): (Timestamp, Timestamp),
) -> Result<bool, Fault> {
    // Damaged in the same moment: without a key and good it would be a file.
    let rows = tx.execute(
        "UPDATE blobs SET object_key = NULL, damaged_at = $3 WHERE digest = $1 AND object_key = $2",
        &[digest.as_str().into(), key.into(), now.0.into()],
    )?;
    if rows == 1 {
        remove_later(tx, key, due)?;
    }
    Ok(rows == 1)
}

/// The object of a blob whose row goes in this transaction is to go, too.
pub(super) fn remove_with(tx: &Transaction<'_>, digest: &Digest) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO object_removals (object_key, due_at)
         SELECT object_key, 0 FROM blobs WHERE digest = $1 AND object_key IS NOT NULL
         ON CONFLICT (object_key) DO NOTHING",
        &[digest.as_str().into()],
    )
}

/// An object is to go when it is `due`.
pub(crate) fn remove_later(tx: &Transaction<'_>, key: &str, due: Timestamp) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO object_removals (object_key, due_at) VALUES ($1, $2)
         ON CONFLICT (object_key) DO NOTHING",
        &[key.into(), due.0.into()],
    )
}

/// Objects that are to go by now, at most so many.
pub(crate) fn due(tx: &Transaction<'_>, now: Timestamp, rows: usize) -> Result<Vec<String>, Fault> {
    tx.query(
        "SELECT object_key FROM object_removals WHERE due_at <= $1 ORDER BY object_key LIMIT $2",
        &[now.0.into(), limit(rows)],
        |row| row.text(0),
    )
}

/// An object is gone.
pub(crate) fn end_removal(tx: &Transaction<'_>, key: &str) -> Result<(), Fault> {
    tx.run(
        "DELETE FROM object_removals WHERE object_key = $1",
        &[key.into()],
    )
}

/// Has an object removed when it is `due` that no row knows; unless one does by now, or the upload that writes it is open.
pub(crate) fn remove_left_over(
    tx: &Transaction<'_>,
    key: &str,
    due: Timestamp,
) -> Result<(), Fault> {
    let name = key.rsplit('/').next().unwrap_or(key);
    let (upload, _) = name.split_once('.').unwrap_or((name, ""));
    let is_open = tx.exists("SELECT 1 FROM uploads WHERE id = $1", &[upload.into()])?;
    if is_open || is_accounted(tx, key)? {
        return Ok(());
    }
    remove_later(tx, key, due)
}

/// Whether a blob is this object, or it is to go.
pub(crate) fn is_accounted(tx: &Transaction<'_>, key: &str) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM blobs WHERE object_key = $1
         UNION ALL SELECT 1 FROM object_removals WHERE object_key = $1",
        &[key.into()],
    )
}

/// The id that stands in the bucket of this database; `None` while it has none.
pub(crate) fn bucket(tx: &Transaction<'_>) -> Result<Option<String>, Fault> {
    tx.query_one("SELECT id FROM buckets", &[], |row| row.text(0))
}

/// From now on this database has a bucket with an id; `new`, unless it has one already.
pub(crate) fn give_bucket(tx: &Transaction<'_>, new: &str) -> Result<String, Fault> {
    if let Some(id) = bucket(tx)? {
        return Ok(id);
    }
    tx.run("INSERT INTO buckets (id) VALUES ($1)", &[new.into()])?;
    Ok(new.to_owned())
}

/// When the objects of the bucket were listed last.
pub(crate) fn listed_at(tx: &Transaction<'_>) -> Result<Option<Timestamp>, Fault> {
    let found = tx.query_one("SELECT listed_at FROM buckets", &[], |row| {
        row.optional_int(0)
    })?;
    Ok(found.flatten().map(Timestamp))
}

/// They were listed then.
pub(crate) fn set_listed_at(tx: &Transaction<'_>, now: Timestamp) -> Result<(), Fault> {
    tx.run("UPDATE buckets SET listed_at = $1", &[now.0.into()])
}

/// Blobs that are files, and good as far as is known; so many of them at most.
pub(crate) fn files(tx: &Transaction<'_>, rows: usize) -> Result<Vec<Digest>, Fault> {
    tx.query(
        "SELECT digest FROM blobs WHERE object_key IS NULL AND damaged_at IS NULL LIMIT $1",
        &[limit(rows)],
        |row| row.parsed(0),
    )
}

/// Whether any blob is an object.
pub(crate) fn has_any(tx: &Transaction<'_>) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM blobs WHERE object_key IS NOT NULL LIMIT 1",
        &[],
    )
}
