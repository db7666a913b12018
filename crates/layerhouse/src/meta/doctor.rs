//! Questions of `doctor`: what there is to tell of a database at once.

use layerhouse_oci::digest::Digest;

use super::Transaction;
use super::blobs::bytes;
use crate::clock::Timestamp;
use crate::fault::Fault;

/// Numbers of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    pub(crate) repositories: u64,
    pub(crate) manifests: u64,
    pub(crate) tags: u64,
    pub(crate) uploads: u64,
    /// Link files that are to be written.
    pub(crate) stale_links: u64,
    /// Deleted manifests that can be restored.
    pub(crate) deleted_manifests: u64,
    /// Blobs that no repository links, and their bytes.
    pub(crate) unlinked_blobs: u64,
    pub(crate) unlinked_bytes: u64,
    /// Entries of an adopted tree that could not be read.
    pub(crate) skipped: u64,
}

/// Counts; reads the rows of all blobs.
pub(crate) fn numbers(tx: &Transaction<'_>) -> Result<Numbers, Fault> {
    let unlinked = tx.query_one(
        "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM blobs WHERE NOT EXISTS
             (SELECT 1 FROM repository_blobs WHERE repository_blobs.digest = blobs.digest)",
        &[],
        |row| Ok((bytes(row.int(0)?), bytes(row.int(1)?))),
    )?;
    let (unlinked_blobs, unlinked_bytes) = unlinked.unwrap_or_default();
    Ok(Numbers {
        repositories: tx.count("SELECT COUNT(*) FROM repositories")?,
        manifests: tx.count("SELECT COUNT(*) FROM manifests")?,
        tags: tx.count("SELECT COUNT(*) FROM tags")?,
        uploads: tx.count("SELECT COUNT(*) FROM uploads")?,
        stale_links: tx.count("SELECT COUNT(*) FROM stale_links")?,
        deleted_manifests: tx.count("SELECT COUNT(*) FROM deleted_manifests")?,
        unlinked_blobs,
        unlinked_bytes,
        skipped: tx.count("SELECT COALESCE(SUM(skipped), 0) FROM adoptions")?,
    })
}

/// Whether a file under this digest is a blob's or a copy of a manifest, or is still to be removed.
pub(crate) fn is_accounted_for(tx: &Transaction<'_>, digest: &Digest) -> Result<bool, Fault> {
    if super::blobs::exists(tx, digest)? || super::manifests::exists_anywhere(tx, digest)? {
        return Ok(true);
    }
    tx.exists(
        "SELECT 1 FROM removals WHERE digest = $1
         UNION ALL SELECT 1 FROM stale_links WHERE kind = 'manifest' AND name = $1 LIMIT 1",
        &[digest.as_str().into()],
    )
}

/// The latest time that any row was written at, of those that have one and are many.
pub(crate) fn newest(tx: &Transaction<'_>) -> Result<Timestamp, Fault> {
    let newest = tx.query_one(
        "SELECT COALESCE(MAX(at), 0) FROM (
             SELECT MAX(verified_at) AS at FROM blobs
             UNION ALL SELECT MAX(pushed_at) FROM manifests
             UNION ALL SELECT MAX(moved_at) FROM tags
             UNION ALL SELECT MAX(started_at) FROM uploads) AS times",
        &[],
        |row| Ok(Timestamp(row.int(0)?)),
    )?;
    Ok(newest.unwrap_or(Timestamp(0)))
}

/// When the last pass over everything ended.
pub(crate) fn last_scrub(tx: &Transaction<'_>) -> Result<Option<Timestamp>, Fault> {
    let found = tx.query_one(
        "SELECT MAX(finished_at) FROM scrub_passes WHERE repository_id IS NULL",
        &[],
        |row| row.optional_int(0),
    )?;
    Ok(found.flatten().map(Timestamp))
}
