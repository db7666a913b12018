//! Blobs and their links to repositories.

use layerhouse_oci::digest::Digest;

use super::Transaction;
use super::repositories::RepositoryId;
use crate::clock::Timestamp;
use crate::fault::Fault;

/// Records bytes that are durable under `digest`, verified `now`: whatever was there, they are whole. Whether there were
/// none before.
pub(crate) fn put(
    tx: &Transaction<'_>,
    digest: &Digest,
    size_bytes: u64,
    now: Timestamp,
) -> Result<bool, Fault> {
    let rows = tx.execute(
        "INSERT INTO blobs (digest, size, verified_at) VALUES ($1, $2, $3) ON CONFLICT (digest) DO NOTHING",
        &[
            digest.as_str().into(),
            size(size_bytes).into(),
            now.0.into(),
        ],
    )?;
    if rows == 1 {
        return Ok(true);
    }
    resize(tx, digest, size_bytes)?;
    tx.run(
        "UPDATE blobs SET verified_at = $2, damaged_at = NULL WHERE digest = $1",
        &[digest.as_str().into(), now.0.into()],
    )?;
    Ok(false)
}

/// Makes the blob exist in a repository; whether it was not linked there before.
///
/// A client was told that it is there: it is kept for a while from `now`, and then reviewed.
pub(crate) fn link(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
    now: Timestamp,
) -> Result<bool, Fault> {
    let values = [repository.0.into(), digest.as_str().into(), now.0.into()];
    let rows = tx.execute(
        "INSERT INTO repository_blobs (repository_id, digest, linked_at, review_since)
         VALUES ($1, $2, $3, $3) ON CONFLICT (repository_id, digest) DO NOTHING",
        &values,
    )?;
    if rows == 1 {
        count_bytes(tx, repository, digest)?;
        super::mirror::end_blob_absence(tx, repository, digest)?;
        return Ok(true);
    }
    let was_there = is_linked(tx, repository, digest)?;
    tx.run(
        "UPDATE repository_blobs SET linked_at = $3, removed_at = NULL
         WHERE repository_id = $1 AND digest = $2",
        &values,
    )?;
    if !was_there {
        super::mirror::end_blob_absence(tx, repository, digest)?;
    }
    Ok(!was_there)
}

/// Removes a link for callers and keeps it for deleted manifests that need it; whether there was one.
pub(crate) fn hide(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
    now: Timestamp,
) -> Result<bool, Fault> {
    let rows = tx.execute(
        "UPDATE repository_blobs SET removed_at = $3
         WHERE repository_id = $1 AND digest = $2 AND removed_at IS NULL",
        &[repository.0.into(), digest.as_str().into(), now.0.into()],
    )?;
    Ok(rows == 1)
}

/// Removes every link of a repository for callers, and has those reviewed that no deleted manifest needs.
pub(crate) fn hide_all(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    now: Timestamp,
) -> Result<(), Fault> {
    let values = [repository.0.into(), now.0.into()];
    tx.run(
        "UPDATE repository_blobs SET removed_at = $2 WHERE repository_id = $1 AND removed_at IS NULL",
        &values,
    )?;
    tx.run(
        "UPDATE repository_blobs SET review_since = $2
         WHERE repository_id = $1 AND review_since IS NULL AND NOT EXISTS
             (SELECT 1 FROM deleted_manifest_blobs AS needs
              WHERE needs.repository_id = $1 AND needs.digest = repository_blobs.digest)",
        &values,
    )?;
    Ok(())
}

/// Links again what was removed for callers and is still there; whether it is linked now.
pub(crate) fn unhide(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<bool, Fault> {
    let rows = tx.execute(
        "UPDATE repository_blobs SET removed_at = NULL WHERE repository_id = $1 AND digest = $2",
        &[repository.0.into(), digest.as_str().into()],
    )?;
    if rows == 1 {
        super::mirror::end_blob_absence(tx, repository, digest)?;
    }
    Ok(rows == 1)
}

/// Whether a deleted manifest of the repository needs this blob to come back.
pub(crate) fn is_needed_by_deleted(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM deleted_manifest_blobs WHERE repository_id = $1 AND digest = $2 LIMIT 1",
        &[repository.0.into(), digest.as_str().into()],
    )
}

/// The bytes under a digest are so many, and not what its row says, if there is one: an adopted file may have
/// been cut short, and then be whole again. What its repositories hold changes with it.
pub(super) fn resize(tx: &Transaction<'_>, digest: &Digest, size_bytes: u64) -> Result<(), Fault> {
    let said = tx.query_one(
        "SELECT size FROM blobs WHERE digest = $1",
        &[digest.as_str().into()],
        |row| row.int(0),
    )?;
    let Some(more) = said
        .map(|said| size(size_bytes) - said)
        .filter(|more| *more != 0)
    else {
        return Ok(());
    };
    let values = [digest.as_str().into(), more.into()];
    tx.run(
        "UPDATE repositories SET linked_bytes = linked_bytes + $2
         WHERE id IN (SELECT repository_id FROM repository_blobs WHERE digest = $1)",
        &values,
    )?;
    tx.run(
        "UPDATE blobs SET size = size + $2 WHERE digest = $1",
        &values,
    )
}

/// The size of a blob that was just linked belongs to what its repository holds.
pub(super) fn count_bytes(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<(), Fault> {
    tx.run(
        "UPDATE repositories
         SET linked_bytes = linked_bytes + (SELECT size FROM blobs WHERE blobs.digest = $2)
         WHERE id = $1",
        &[repository.0.into(), digest.as_str().into()],
    )
}

/// Removes a link; whether there was one. The caller made sure that no manifest needs it, deleted ones
/// that can come back included. If it was the last one, the blob itself is reviewed from `since` on.
pub(crate) fn unlink(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
    since: Timestamp,
) -> Result<bool, Fault> {
    let values = [repository.0.into(), digest.as_str().into()];
    let rows = tx.execute(
        "DELETE FROM repository_blobs WHERE repository_id = $1 AND digest = $2",
        &values,
    )?;
    if rows == 1 {
        tx.run(
            "UPDATE repositories
             SET linked_bytes = linked_bytes - (SELECT size FROM blobs WHERE blobs.digest = $2)
             WHERE id = $1",
            &values,
        )?;
        tx.run(
            "UPDATE blobs SET review_since = $2 WHERE digest = $1 AND NOT EXISTS
                 (SELECT 1 FROM repository_blobs WHERE repository_blobs.digest = blobs.digest)",
            &[digest.as_str().into(), since.0.into()],
        )?;
    }
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
        "SELECT 1 FROM repository_blobs
         WHERE repository_id = $1 AND digest = $2 AND removed_at IS NULL",
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
         WHERE repositories.name = $1 AND repository_blobs.digest = $2
           AND repository_blobs.removed_at IS NULL",
        &[repository.into(), digest.as_str().into()],
        |row| Ok(bytes(row.int(0)?)),
    )
}

/// The size in bytes of a blob that is linked in any repository.
pub(crate) fn size_anywhere(tx: &Transaction<'_>, digest: &Digest) -> Result<Option<u64>, Fault> {
    tx.query_one(
        "SELECT blobs.size FROM blobs
         JOIN repository_blobs ON repository_blobs.digest = blobs.digest
         WHERE blobs.digest = $1 AND repository_blobs.removed_at IS NULL LIMIT 1",
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
