//! Questions that only `verify` asks: every row of a kind, and whether the database is sound.

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;

use super::blobs::bytes;
use super::repositories::RepositoryId;
use super::transaction::Engine;
use super::{Row, Transaction};
use crate::fault::Fault;

/// A blob's row.
#[derive(Clone, Debug)]
pub(crate) struct BlobRow {
    pub(crate) digest: Digest,
    pub(crate) size_bytes: u64,
    /// Some repository links it.
    pub(crate) is_linked: bool,
    /// Whether that is so is going to be reviewed.
    pub(crate) is_queued: bool,
}

/// A manifest's row.
#[derive(Clone, Debug)]
pub(crate) struct ManifestRow {
    pub(crate) repository: RepositoryName,
    pub(crate) repository_id: RepositoryId,
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) content: Vec<u8>,
}

/// What the engine itself finds wrong, in its words.
pub(crate) fn check_database(tx: &Transaction<'_>) -> Result<Vec<String>, Fault> {
    let Engine::Sqlite(_) = tx.engine() else {
        // A server looks after its own pages, and never breaks a foreign key.
        return Ok(Vec::new());
    };
    let mut found = tx.query("PRAGMA integrity_check", &[], |row| row.text(0))?;
    found.retain(|line| line != "ok");
    found.extend(tx.query("PRAGMA foreign_key_check", &[], |row| {
        Ok(format!(
            "a row of {} points at a missing row of {}",
            row.text(0)?,
            row.text(2)?
        ))
    })?);
    Ok(found)
}

/// Every blob.
pub(crate) fn each_blob(
    tx: &Transaction<'_>,
    mut look: impl FnMut(BlobRow) -> Result<(), Fault>,
) -> Result<(), Fault> {
    tx.each(
        "SELECT digest, size,
                EXISTS (SELECT 1 FROM repository_blobs WHERE repository_blobs.digest = blobs.digest),
                review_since IS NOT NULL
         FROM blobs ORDER BY digest",
        &[],
        |row| {
            look(BlobRow {
                digest: row.parsed(0)?,
                size_bytes: bytes(row.int(1)?),
                is_linked: row.int(2)? != 0,
                is_queued: row.int(3)? != 0,
            })
        },
    )
}

/// Every manifest.
pub(crate) fn each_manifest(
    tx: &Transaction<'_>,
    mut look: impl FnMut(ManifestRow) -> Result<(), Fault>,
) -> Result<(), Fault> {
    tx.each(
        "SELECT repositories.name, repositories.id, manifests.digest, manifests.media_type,
                manifests.content
         FROM manifests JOIN repositories ON repositories.id = manifests.repository_id",
        &[],
        |row: &Row<'_>| {
            look(ManifestRow {
                repository: row.parsed(0)?,
                repository_id: RepositoryId(row.int(1)?),
                digest: row.parsed(2)?,
                media_type: row.text(3)?,
                content: row.bytes(4)?,
            })
        },
    )
}

/// Every tag: its repository, its name, the manifest it points at, and whether that is there.
pub(crate) fn each_tag(
    tx: &Transaction<'_>,
    mut look: impl FnMut(RepositoryName, Tag, Digest, bool) -> Result<(), Fault>,
) -> Result<(), Fault> {
    tx.each(
        "SELECT repositories.name, tags.name, tags.digest, manifests.digest IS NOT NULL
         FROM tags JOIN repositories ON repositories.id = tags.repository_id
         LEFT JOIN manifests ON manifests.repository_id = tags.repository_id
                            AND manifests.digest = tags.digest",
        &[],
        |row| {
            look(
                row.parsed(0)?,
                row.parsed(1)?,
                row.parsed(2)?,
                row.int(3)? != 0,
            )
        },
    )
}

/// Every link of a blob to a repository.
pub(crate) fn each_link(
    tx: &Transaction<'_>,
    mut look: impl FnMut(RepositoryName, Digest) -> Result<(), Fault>,
) -> Result<(), Fault> {
    tx.each(
        "SELECT repositories.name, repository_blobs.digest FROM repository_blobs
         JOIN repositories ON repositories.id = repository_blobs.repository_id
         WHERE repository_blobs.removed_at IS NULL",
        &[],
        |row| look(row.parsed(0)?, row.parsed(1)?),
    )
}

/// Links of blobs that nothing needs and nothing will review.
pub(crate) fn each_forgotten_link(
    tx: &Transaction<'_>,
    mut look: impl FnMut(RepositoryName, Digest) -> Result<(), Fault>,
) -> Result<(), Fault> {
    tx.each(
        "SELECT repositories.name, links.digest FROM repository_blobs AS links
         JOIN repositories ON repositories.id = links.repository_id
         WHERE links.review_since IS NULL
           AND NOT EXISTS (SELECT 1 FROM manifest_blobs AS needs
                           WHERE needs.repository_id = links.repository_id
                             AND needs.digest = links.digest)
           AND NOT EXISTS (SELECT 1 FROM deleted_manifest_blobs AS needs
                           WHERE needs.repository_id = links.repository_id
                             AND needs.digest = links.digest)",
        &[],
        |row| look(row.parsed(0)?, row.parsed(1)?),
    )
}

/// Every manifest that was deleted and can be restored: its repository, its digest, its content.
pub(crate) fn each_deleted(
    tx: &Transaction<'_>,
    mut look: impl FnMut(RepositoryName, Digest, Vec<u8>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    tx.each(
        "SELECT repositories.name, deleted.digest, deleted.content FROM deleted_manifests AS deleted
         JOIN repositories ON repositories.id = deleted.repository_id",
        &[],
        |row| look(row.parsed(0)?, row.parsed(1)?, row.bytes(2)?),
    )
}

/// Repositories that are said to link another number of bytes than they do: what is said, and what is so.
pub(crate) fn each_miscounted(
    tx: &Transaction<'_>,
    mut look: impl FnMut(RepositoryName, i64, i64) -> Result<(), Fault>,
) -> Result<(), Fault> {
    tx.each(
        "SELECT name, linked_bytes, actual FROM
             (SELECT repositories.name, repositories.linked_bytes,
                     (SELECT COALESCE(SUM(blobs.size), 0) FROM repository_blobs
                      JOIN blobs ON blobs.digest = repository_blobs.digest
                      WHERE repository_blobs.repository_id = repositories.id) AS actual
              FROM repositories) AS counted
         WHERE linked_bytes <> actual",
        &[],
        |row| look(row.parsed(0)?, row.int(1)?, row.int(2)?),
    )
}

/// Manifests of which nothing is known and that nobody will read: neither in `image_facts` nor in `image_queue`.
pub(crate) fn each_unread(
    tx: &Transaction<'_>,
    mut look: impl FnMut(RepositoryName, Digest) -> Result<(), Fault>,
) -> Result<(), Fault> {
    tx.each(
        "SELECT repositories.name, manifests.digest FROM manifests
         JOIN repositories ON repositories.id = manifests.repository_id
         WHERE NOT EXISTS (SELECT 1 FROM image_facts AS facts
                           WHERE facts.repository_id = manifests.repository_id
                             AND facts.digest = manifests.digest)
           AND NOT EXISTS (SELECT 1 FROM image_queue AS queue
                           WHERE queue.repository_id = manifests.repository_id
                             AND queue.digest = manifests.digest)",
        &[],
        |row| look(row.parsed(0)?, row.parsed(1)?),
    )
}

/// Repositories that are said to have another number of tags than they do: what is said, and what is so.
pub(crate) fn each_mistagged(
    tx: &Transaction<'_>,
    mut look: impl FnMut(RepositoryName, i64, i64) -> Result<(), Fault>,
) -> Result<(), Fault> {
    tx.each(
        "SELECT name, tags_count, actual FROM
             (SELECT repositories.name, repositories.tags_count,
                     (SELECT COUNT(*) FROM tags WHERE tags.repository_id = repositories.id) AS actual
              FROM repositories) AS counted
         WHERE tags_count <> actual",
        &[],
        |row| look(row.parsed(0)?, row.int(1)?, row.int(2)?),
    )
}
