//! Whether the tree that was here before the database has been read into rows, and what is asked of the
//! rows when that is done, or done again.

use std::collections::{BTreeMap, BTreeSet};

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;

use super::Transaction;
use super::blobs::size;
use super::repositories::RepositoryId;
use crate::clock::Timestamp;
use crate::fault::Fault;

/// What an adoption came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Adopted {
    pub(crate) manifests: u64,
    pub(crate) tags: u64,
    /// Entries that were damaged or unknown, and left as they are.
    pub(crate) skipped: u64,
}

/// Whether it was finished.
pub(crate) fn is_finished(tx: &Transaction<'_>) -> Result<bool, Fault> {
    tx.exists("SELECT 1 FROM adoptions LIMIT 1", &[])
}

/// Whether entries of the tree were left out.
pub(crate) fn has_skipped(tx: &Transaction<'_>) -> Result<bool, Fault> {
    tx.exists("SELECT 1 FROM adoptions WHERE skipped > 0 LIMIT 1", &[])
}

/// Records that it was.
pub(crate) fn finish(tx: &Transaction<'_>, adopted: Adopted, now: Timestamp) -> Result<(), Fault> {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX).into();
    tx.run(
        "INSERT INTO adoptions (finished_at, manifests, tags, skipped) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
        &[
            now.0.into(),
            count(adopted.manifests),
            count(adopted.tags),
            count(adopted.skipped),
        ],
    )?;
    Ok(())
}

/// All that the rows say of a repository by links.
#[derive(Debug, Default)]
pub(crate) struct Linked {
    pub(crate) layers: BTreeSet<Digest>,
    pub(crate) manifests: BTreeSet<Digest>,
    pub(crate) tags: BTreeMap<Tag, Digest>,
}

/// What the rows of a repository link.
pub(crate) fn linked(tx: &Transaction<'_>, repository: RepositoryId) -> Result<Linked, Fault> {
    let id = [repository.0.into()];
    let layers =
        "SELECT digest FROM repository_blobs WHERE repository_id = $1 AND removed_at IS NULL";
    let manifests = "SELECT digest FROM manifests WHERE repository_id = $1";
    let tags = "SELECT name, digest FROM tags WHERE repository_id = $1";
    let tags = tx.query(tags, &id, |row| Ok((row.parsed(0)?, row.parsed(1)?)))?;
    Ok(Linked {
        layers: BTreeSet::from_iter(tx.query(layers, &id, |row| row.parsed(0))?),
        manifests: BTreeSet::from_iter(tx.query(manifests, &id, |row| row.parsed(0))?),
        tags: BTreeMap::from_iter(tags),
    })
}

/// The names of all repositories.
pub(crate) fn repositories(tx: &Transaction<'_>) -> Result<Vec<RepositoryName>, Fault> {
    tx.query("SELECT name FROM repositories", &[], |row| row.parsed(0))
}

/// Records bytes that were found and not hashed, unless they are known; whether they were not.
pub(crate) fn note_blob(
    tx: &Transaction<'_>,
    digest: &Digest,
    size_bytes: u64,
) -> Result<bool, Fault> {
    let rows = tx.execute(
        "INSERT INTO blobs (digest, size, verified_at) VALUES ($1, $2, 0)
         ON CONFLICT (digest) DO NOTHING",
        &[digest.as_str().into(), size(size_bytes).into()],
    )?;
    Ok(rows == 1)
}

/// Records an object of a bucket that was found and not hashed, unless its bytes are known.
pub(crate) fn note_object(
    tx: &Transaction<'_>,
    digest: &Digest,
    size_bytes: u64,
    key: &str,
) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO blobs (digest, size, verified_at, object_key) VALUES ($1, $2, 0, $3)
         ON CONFLICT (digest) DO NOTHING",
        &[digest.as_str().into(), size(size_bytes).into(), key.into()],
    )
}

/// The size in bytes of what was found, linked or not; `None` if nothing was.
pub(crate) fn noted_bytes(tx: &Transaction<'_>, digest: &Digest) -> Result<Option<u64>, Fault> {
    tx.query_one(
        "SELECT size FROM blobs WHERE digest = $1",
        &[digest.as_str().into()],
        |row| Ok(super::blobs::bytes(row.int(0)?)),
    )
}

/// Forgets the objects that a registry:2 keeps of manifests, which are rows: nothing is to collect them. One that is
/// linked as a blob as well is one.
pub(crate) fn forget_copies_of_manifests(tx: &Transaction<'_>) -> Result<(), Fault> {
    tx.run(
        "DELETE FROM blobs WHERE object_key IS NOT NULL
           AND EXISTS (SELECT 1 FROM manifests WHERE manifests.digest = blobs.digest)
           AND NOT EXISTS
               (SELECT 1 FROM repository_blobs WHERE repository_blobs.digest = blobs.digest)",
        &[],
    )
}

/// Links bytes as the tree does: nobody was told of them now, and what needs them is still to be read.
pub(crate) fn link(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
    now: Timestamp,
) -> Result<(), Fault> {
    let rows = tx.execute(
        "INSERT INTO repository_blobs (repository_id, digest, linked_at) VALUES ($1, $2, $3)
         ON CONFLICT (repository_id, digest) DO NOTHING",
        &[repository.0.into(), digest.as_str().into(), now.0.into()],
    )?;
    if rows == 1 {
        super::blobs::count_bytes(tx, repository, digest)?;
    }
    Ok(())
}

/// Removes a link as the tree does; whether there was one. Deleted manifests that need it keep it to
/// themselves.
pub(crate) fn unlink(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
    now: Timestamp,
) -> Result<bool, Fault> {
    if super::blobs::is_needed_by_deleted(tx, repository, digest)? {
        return super::blobs::hide(tx, repository, digest, now);
    }
    super::blobs::unlink(tx, repository, digest, now)
}

/// The tree was read again, and this time whole: what was left out before was not.
pub(crate) fn complete(tx: &Transaction<'_>) -> Result<(), Fault> {
    tx.run("UPDATE adoptions SET skipped = 0 WHERE skipped > 0", &[])
}

/// A tag of the repository that points at this manifest, if one does.
pub(crate) fn tagged_by(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Option<Tag>, Fault> {
    tx.query_one(
        "SELECT name FROM tags WHERE repository_id = $1 AND digest = $2 LIMIT 1",
        &[repository.0.into(), digest.as_str().into()],
        |row| row.parsed(0),
    )
}

/// Manifests of the repository that need this blob.
pub(crate) fn needing_blob(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Vec<Digest>, Fault> {
    tx.query(
        "SELECT manifest FROM manifest_blobs WHERE repository_id = $1 AND digest = $2",
        &[repository.0.into(), digest.as_str().into()],
        |row| row.parsed(0),
    )
}

/// Lets the indexes that need this manifest do without it, as if it had never been there.
pub(crate) fn begin_absence(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<(), Fault> {
    let values = [repository.0.into(), digest.as_str().into()];
    tx.run(
        "INSERT INTO absent_children (repository_id, manifest, digest)
         SELECT repository_id, manifest, digest FROM manifest_children
         WHERE repository_id = $1 AND digest = $2
         ON CONFLICT DO NOTHING",
        &values,
    )?;
    tx.run(
        "DELETE FROM manifest_children WHERE repository_id = $1 AND digest = $2",
        &values,
    )?;
    Ok(())
}

/// Whether any repository has a manifest or a blob.
pub(crate) fn has_links(tx: &Transaction<'_>) -> Result<bool, Fault> {
    let manifests = tx.exists("SELECT 1 FROM manifests LIMIT 1", &[])?;
    Ok(manifests || tx.exists("SELECT 1 FROM repository_blobs LIMIT 1", &[])?)
}

/// How many manifests the repositories have.
pub(crate) fn count_manifests(tx: &Transaction<'_>) -> Result<u64, Fault> {
    let counted = tx.query_one("SELECT COUNT(*) FROM manifests", &[], |row| row.int(0))?;
    Ok(u64::try_from(counted.unwrap_or(0)).unwrap_or(0))
}

/// Blobs that no repository links.
pub(crate) fn unlinked_blobs(tx: &Transaction<'_>) -> Result<Vec<Digest>, Fault> {
    tx.query(
        "SELECT digest FROM blobs WHERE NOT EXISTS
             (SELECT 1 FROM repository_blobs WHERE repository_blobs.digest = blobs.digest)",
        &[],
        |row| row.parsed(0),
    )
}

/// Forgets bytes that no repository links and that are not there any more.
pub(crate) fn forget_blob(tx: &Transaction<'_>, digest: &Digest) -> Result<(), Fault> {
    tx.run(
        "DELETE FROM blobs WHERE digest = $1",
        &[digest.as_str().into()],
    )?;
    Ok(())
}
