//! Blobs and their links to repositories.

use layerhouse_oci::digest::Digest;

use super::Transaction;
use super::repositories::RepositoryId;
use crate::clock::Timestamp;
use crate::fault::Fault;

/// Records bytes that are durable under `digest`, verified `now`.
pub(crate) fn put(
    tx: &Transaction<'_>,
    digest: &Digest,
    size_bytes: u64,
    now: Timestamp,
) -> Result<(), Fault> {
    tx.execute(
        "INSERT INTO blobs (digest, size, verified_at) VALUES ($1, $2, $3)
         ON CONFLICT (digest) DO UPDATE SET size = excluded.size, verified_at = excluded.verified_at",
        &[digest.as_str().into(), size(size_bytes).into(), now.0.into()],
    )?;
    Ok(())
}

/// Makes the blob exist in a repository; whether it was not linked there before.
pub(crate) fn link(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
    now: Timestamp,
) -> Result<bool, Fault> {
    let rows = tx.execute(
        "INSERT INTO repository_blobs (repository_id, digest, linked_at) VALUES ($1, $2, $3)
         ON CONFLICT (repository_id, digest) DO NOTHING",
        &[repository.0.into(), digest.as_str().into(), now.0.into()],
    )?;
    Ok(rows == 1)
}

/// Removes a link; whether there was one. The caller made sure that no manifest needs it.
pub(crate) fn unlink(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<bool, Fault> {
    let rows = tx.execute(
        "DELETE FROM repository_blobs WHERE repository_id = $1 AND digest = $2",
        &[repository.0.into(), digest.as_str().into()],
    )?;
    Ok(rows == 1)
}

/// A manifest of the repository that names this blob, if one does.
pub(crate) fn needed_by(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Option<Digest>, Fault> {
    tx.query_one(
        "SELECT manifest FROM manifest_blobs WHERE repository_id = $1 AND digest = $2 LIMIT 1",
        &[repository.0.into(), digest.as_str().into()],
        |row| row.parsed(0),
    )
}

/// Whether the blob exists in a repository.
pub(crate) fn is_linked(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM repository_blobs WHERE repository_id = $1 AND digest = $2",
        &[repository.0.into(), digest.as_str().into()],
    )
}

/// The size in bytes of a blob that is linked in the repository of this name.
pub(crate) fn size_in(
    tx: &Transaction<'_>,
    repository: &str,
    digest: &Digest,
) -> Result<Option<u64>, Fault> {
    tx.query_one(
        "SELECT blobs.size FROM repositories
         JOIN repository_blobs ON repository_blobs.repository_id = repositories.id
         JOIN blobs ON blobs.digest = repository_blobs.digest
         WHERE repositories.name = $1 AND repository_blobs.digest = $2",
        &[repository.into(), digest.as_str().into()],
        |row| Ok(bytes(row.int(0)?)),
    )
}

/// The size in bytes of a blob that is linked in any repository.
pub(crate) fn size_anywhere(tx: &Transaction<'_>, digest: &Digest) -> Result<Option<u64>, Fault> {
    tx.query_one(
        "SELECT blobs.size FROM blobs
         JOIN repository_blobs ON repository_blobs.digest = blobs.digest
         WHERE blobs.digest = $1 LIMIT 1",
        &[digest.as_str().into()],
        |row| Ok(bytes(row.int(0)?)),
    )
}

/// Whether bytes were ever recorded under this digest.
pub(crate) fn exists(tx: &Transaction<'_>, digest: &Digest) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM blobs WHERE digest = $1",
        &[digest.as_str().into()],
    )
}

/// Sizes are stored as signed integers; a file cannot be larger than those count.
pub(super) fn size(size_bytes: u64) -> i64 {
    i64::try_from(size_bytes).expect("a file has fewer than 2^63 bytes")
}

/// The schema keeps sizes from being negative.
pub(super) fn bytes(stored: i64) -> u64 {
    u64::try_from(stored).unwrap_or(0)
}
