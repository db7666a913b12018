//! Manifests that no tag points at and no other manifest names.

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;

use super::repositories::RepositoryId;
use super::{Transaction, limit};
use crate::clock::Timestamp;
use crate::fault::Fault;

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Untagged {
    pub(crate) repository_id: RepositoryId,
    pub(crate) repository: RepositoryName,
    pub(crate) digest: Digest,
}

/// Those that were pushed at `until` or before, behind `after`, at most `rows`. What is about another manifest
/// is that one's, also while it is not there; and an image of a deleted index is the index's, which may come
/// back.
pub(crate) fn list(
    tx: &Transaction<'_>,
    until: Timestamp,
    after: Option<&Untagged>,
    rows: usize,
) -> Result<Vec<Untagged>, Fault> {
    let (repository, digest) = after.map_or((i64::MIN, ""), |after| {
        (after.repository_id.0, after.digest.as_str())
    });
    tx.query(
        "SELECT repository_id, repositories.name, digest FROM manifests
         JOIN repositories ON repositories.id = manifests.repository_id
         WHERE (repository_id, digest) > ($1, $2) AND pushed_at <= $3 AND subject IS NULL
           AND NOT EXISTS (SELECT 1 FROM tags WHERE tags.repository_id = manifests.repository_id
                                                AND tags.digest = manifests.digest)
           AND NOT EXISTS (SELECT 1 FROM manifest_children AS children
                           WHERE children.repository_id = manifests.repository_id
                             AND children.digest = manifests.digest)
           AND NOT EXISTS (SELECT 1 FROM deleted_manifest_children AS children
                           WHERE children.repository_id = manifests.repository_id
                             AND children.digest = manifests.digest)
         ORDER BY repository_id, digest LIMIT $4",
        &[
            repository.into(),
            digest.into(),
            until.0.into(),
            limit(rows),
        ],
        |row| {
            Ok(Untagged {
                repository_id: RepositoryId(row.int(0)?),
                repository: row.parsed(1)?,
                digest: row.parsed(2)?,
            })
        },
    )
}

/// Whether it still is one.
pub(crate) fn is_still(tx: &Transaction<'_>, untagged: &Untagged) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM manifests WHERE repository_id = $1 AND digest = $2
           AND NOT EXISTS (SELECT 1 FROM tags WHERE repository_id = $1 AND digest = $2)
           AND NOT EXISTS (SELECT 1 FROM manifest_children WHERE repository_id = $1 AND digest = $2)",
        &[
            untagged.repository_id.0.into(),
            untagged.digest.as_str().into(),
        ],
    )
}
