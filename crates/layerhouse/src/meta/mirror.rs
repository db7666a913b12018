//! Copies of other registries' repositories: which are, and what they do not have yet.

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;

use super::Transaction;
use super::blobs::{bytes, size};
use super::repositories::RepositoryId;
use crate::clock::Timestamp;
use crate::fault::Fault;

/// Whether something was pushed to a repository of this name: it is there, and no copy.
pub(crate) fn is_hosted(tx: &Transaction<'_>, name: &RepositoryName) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM repositories WHERE name = $1 AND deleted_at IS NULL AND upstream IS NULL",
        &[name.as_str().into()],
    )
}

/// Whether names below `first` and a slash are this registry's own: an account or organization is called so, or
/// somebody pushed there.
pub(crate) fn is_own_namespace(tx: &Transaction<'_>, first: &str) -> Result<bool, Fault> {
    let (from, to) = super::repositories::within(first);
    tx.exists(
        "SELECT 1 FROM namespaces WHERE name = $1
         UNION ALL
         SELECT 1 FROM repositories WHERE name >= $2 AND name < $3 AND upstream IS NULL LIMIT 1",
        &[first.into(), from.as_str().into(), to.as_str().into()],
    )
}

/// The upstream that a repository is a copy from, if it is one.
pub(crate) fn upstream_of(
    tx: &Transaction<'_>,
    repository: RepositoryId,
) -> Result<Option<String>, Fault> {
    let found = tx.query_one(
        "SELECT upstream FROM repositories WHERE id = $1",
        &[repository.0.into()],
        |row| row.optional_text(0),
    )?;
    Ok(found.flatten())
}

/// Makes a repository a copy from `upstream`, seen by those whom `visibility` says. One that has manifests which somebody
/// pushed, or a registry:2 kept, stays what it is: what is no copy is never evicted.
pub(crate) fn set_upstream(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    upstream: &str,
    visibility: &str,
) -> Result<(), Fault> {
    let values = [repository.0.into(), upstream.into(), visibility.into()];
    let rows = tx.execute(
        "UPDATE repositories SET upstream = $2, visibility = $3
         WHERE id = $1 AND (upstream IS NULL OR upstream <> $2 OR visibility IS NULL OR visibility <> $3)
           AND (upstream IS NOT NULL
                OR NOT EXISTS (SELECT 1 FROM manifests WHERE manifests.repository_id = repositories.id))",
        &values,
    )?;
    if rows == 1 {
        super::search::mark_stale(tx, repository)?;
    }
    Ok(())
}

/// Has the copies from `upstream` seen by those whom `visibility` says; how many were not.
pub(crate) fn set_visibility(
    tx: &Transaction<'_>,
    upstream: &str,
    visibility: &str,
) -> Result<usize, Fault> {
    let changed = tx.query(
        "SELECT id FROM repositories
         WHERE upstream = $1 AND (visibility IS NULL OR visibility <> $2)",
        &[upstream.into(), visibility.into()],
        |row| Ok(RepositoryId(row.int(0)?)),
    )?;
    for id in &changed {
        set_upstream(tx, *id, upstream, visibility)?;
    }
    Ok(changed.len())
}

/// Records that a copied manifest names a blob that its repository does not have yet, and how long it says
/// that the blob is.
pub(crate) fn do_without_blob(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    manifest: &Digest,
    blob: &Digest,
    size_bytes: u64,
) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO absent_blobs (repository_id, manifest, digest, size) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
        &[
            repository.0.into(),
            manifest.as_str().into(),
            blob.as_str().into(),
            size(size_bytes).into(),
        ],
    )
}

/// Whether it is recorded that a manifest does without a blob for now.
pub(crate) fn does_without_blob(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    manifest: &Digest,
    blob: &Digest,
) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM absent_blobs WHERE repository_id = $1 AND manifest = $2 AND digest = $3",
        &[
            repository.0.into(),
            manifest.as_str().into(),
            blob.as_str().into(),
        ],
    )
}

/// Makes the manifests that did without this blob need it, now that it is linked.
pub(super) fn end_blob_absence(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    blob: &Digest,
) -> Result<(), Fault> {
    let values = [repository.0.into(), blob.as_str().into()];
    let is_missed = tx.exists(
        "SELECT 1 FROM absent_blobs WHERE repository_id = $1 AND digest = $2 LIMIT 1",
        &values,
    )?;
    if !is_missed {
        return Ok(());
    }
    tx.run(
        "INSERT INTO manifest_blobs (repository_id, manifest, digest)
         SELECT repository_id, manifest, digest FROM absent_blobs
         WHERE repository_id = $1 AND digest = $2
         ON CONFLICT DO NOTHING",
        &values,
    )?;
    tx.run(
        "DELETE FROM absent_blobs WHERE repository_id = $1 AND digest = $2",
        &values,
    )
}

/// How long a manifest of the repository says that a blob is which is not there yet.
pub(crate) fn absent_size(
    tx: &Transaction<'_>,
    repository: &RepositoryName,
    blob: &Digest,
) -> Result<Option<u64>, Fault> {
    tx.query_one(
        "SELECT absent_blobs.size FROM repositories
         JOIN absent_blobs ON absent_blobs.repository_id = repositories.id
         WHERE repositories.name = $1 AND absent_blobs.digest = $2 LIMIT 1",
        &[repository.as_str().into(), blob.as_str().into()],
        |row| Ok(bytes(row.int(0)?)),
    )
}

/// The size of a blob that a copy from `upstream` has.
pub(crate) fn size_in_copies(
    tx: &Transaction<'_>,
    upstream: &str,
    blob: &Digest,
) -> Result<Option<u64>, Fault> {
    tx.query_one(
        "SELECT blobs.size FROM repository_blobs AS links
         JOIN repositories ON repositories.id = links.repository_id
         JOIN blobs ON blobs.digest = links.digest
         WHERE links.digest = $2 AND links.removed_at IS NULL AND repositories.upstream = $1 LIMIT 1",
        &[upstream.into(), blob.as_str().into()],
        |row| Ok(bytes(row.int(0)?)),
    )
}

/// A repository that is a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Copy {
    pub(crate) id: RepositoryId,
    pub(crate) repository: RepositoryName,
    pub(crate) upstream: String,
}

/// Every copy, by the name of its upstream and in the order in which they were made.
pub(crate) fn copies(tx: &Transaction<'_>) -> Result<Vec<Copy>, Fault> {
    tx.query(
        "SELECT id, name, upstream FROM repositories WHERE upstream IS NOT NULL ORDER BY upstream, id",
        &[],
        |row| {
            Ok(Copy {
                id: RepositoryId(row.int(0)?),
                repository: row.parsed(1)?,
                upstream: row.text(2)?,
            })
        },
    )
}

/// Calls `take` with each manifest of a repository and each blob that it needs, with the bytes of that.
pub(crate) fn each_need(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    mut take: impl FnMut(Digest, Digest, u64),
) -> Result<(), Fault> {
    tx.each(
        "SELECT needs.manifest, needs.digest, blobs.size FROM manifest_blobs AS needs
         JOIN blobs ON blobs.digest = needs.digest WHERE needs.repository_id = $1",
        &[repository.0.into()],
        |row| {
            take(row.parsed(0)?, row.parsed(1)?, bytes(row.int(2)?));
            Ok(())
        },
    )
}

/// Bytes of the blobs that manifests of copies need, each counted once. What only waits to be collected is not in it.
pub(crate) fn needed_bytes(tx: &Transaction<'_>) -> Result<u64, Fault> {
    let sum = tx.query_one(
        "SELECT COALESCE(SUM(size), 0) FROM blobs WHERE digest IN
             (SELECT needs.digest FROM repositories
              JOIN manifest_blobs AS needs ON needs.repository_id = repositories.id
              WHERE repositories.upstream IS NOT NULL)",
        &[],
        |row| row.int(0),
    )?;
    Ok(bytes(sum.unwrap_or(0)))
}

/// The same for the copies of each upstream that has any, each blob counted once for each of them.
pub(crate) fn needed_bytes_by_upstream(tx: &Transaction<'_>) -> Result<Vec<(String, u64)>, Fault> {
    tx.query(
        "SELECT needed.upstream, SUM(blobs.size) FROM
             (SELECT DISTINCT repositories.upstream AS upstream, needs.digest AS digest FROM repositories
              JOIN manifest_blobs AS needs ON needs.repository_id = repositories.id
              WHERE repositories.upstream IS NOT NULL) AS needed
         JOIN blobs ON blobs.digest = needed.digest
         GROUP BY needed.upstream ORDER BY needed.upstream",
        &[],
        |row| Ok((row.text(0)?, bytes(row.int(1)?))),
    )
}

/// Removes a manifest that can be fetched again, and when it was pulled; whether it was there. The caller removed its
/// tags and made sure that no index needs it. Its blobs are reviewed as if it had been `since` that nothing needs
/// them, and that a client was told of them.
pub(crate) fn evict(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
    since: Timestamp,
) -> Result<bool, Fault> {
    let values = [repository.0.into(), digest.as_str().into(), since.0.into()];
    tx.run(
        "UPDATE repository_blobs
         SET review_since = $3, linked_at = CASE WHEN linked_at < $3 THEN linked_at ELSE $3 END
         WHERE repository_id = $1 AND digest IN
             (SELECT digest FROM manifest_blobs WHERE repository_id = $1 AND manifest = $2)",
        &values,
    )?;
    tx.run(
        "DELETE FROM manifest_pulls WHERE repository_id = $1 AND digest = $2",
        &values[..2],
    )?;
    super::manifests::remove(tx, repository, digest)
}
