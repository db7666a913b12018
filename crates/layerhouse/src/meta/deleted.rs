//! Manifests that were deleted and can be had again until their time is over.

use std::ops::ControlFlow;

use bytes::Bytes;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;

use super::blobs::bytes;
use super::repositories::RepositoryId;
use super::{Row, Transaction, limit};
use crate::clock::Timestamp;
use crate::fault::Fault;

/// Why a manifest was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Somebody asked for it.
    Request,
    /// A policy keeps none of its tags.
    Retention,
    /// A policy removes what has no tag.
    Untagged,
    /// The index or the subject that it came with was deleted, and nothing else names it.
    Orphan,
    /// Its repository was deleted.
    Repository,
}

impl Why {
    /// As it is stored and shown.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Retention => "retention",
            Self::Untagged => "untagged",
            Self::Orphan => "orphan",
            Self::Repository => "repository",
        }
    }
}

/// A deleted manifest, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeletedManifest {
    pub(crate) repository_id: RepositoryId,
    pub(crate) repository: RepositoryName,
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) pushed_at: Timestamp,
    pub(crate) deleted_at: Timestamp,
    pub(crate) deleted_by: String,
    pub(crate) why: String,
}

/// Who deletes, why, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deed<'a> {
    pub(crate) by: &'a str,
    pub(crate) why: Why,
    pub(crate) at: Timestamp,
}

/// Moves a manifest to the deleted ones; whether it was there. The caller removed its tags and made sure
/// that no index needs it.
pub(crate) fn discard(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
    deed: Deed<'_>,
) -> Result<bool, Fault> {
    let values = [
        repository.0.into(),
        digest.as_str().into(),
        deed.at.0.into(),
        deed.by.into(),
        deed.why.as_str().into(),
    ];
    let rows = tx.execute(
        "INSERT INTO deleted_manifests (repository_id, digest, media_type, size, subject, artifact_type,
                                        annotations, pushed_at, content, deleted_at, deleted_by, why)
         SELECT repository_id, digest, media_type, size, subject, artifact_type, annotations, pushed_at,
                content, $3, $4, $5
         FROM manifests WHERE repository_id = $1 AND digest = $2",
        &values,
    )?;
    if rows == 0 {
        return Ok(false);
    }
    tx.run(
        "INSERT INTO deleted_manifest_blobs (repository_id, manifest, digest)
         SELECT repository_id, manifest, digest FROM manifest_blobs
         WHERE repository_id = $1 AND manifest = $2",
        &values[..2],
    )?;
    tx.run(
        "INSERT INTO deleted_manifest_children (repository_id, manifest, digest)
         SELECT repository_id, manifest, digest FROM manifest_children
         WHERE repository_id = $1 AND manifest = $2",
        &values[..2],
    )?;
    super::manifests::remove(tx, repository, digest)
}

/// Moves every manifest of a repository to the deleted ones; how many. The caller removed its tags.
pub(crate) fn discard_all(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    deed: Deed<'_>,
) -> Result<usize, Fault> {
    let values = [
        repository.0.into(),
        deed.at.0.into(),
        deed.by.into(),
        deed.why.as_str().into(),
    ];
    let rows = tx.execute(
        "INSERT INTO deleted_manifests (repository_id, digest, media_type, size, subject, artifact_type,
                                        annotations, pushed_at, content, deleted_at, deleted_by, why)
         SELECT repository_id, digest, media_type, size, subject, artifact_type, annotations, pushed_at,
                content, $2, $3, $4
         FROM manifests WHERE repository_id = $1",
        &values,
    )?;
    let id = [values[0]];
    tx.run(
        "INSERT INTO deleted_manifest_blobs (repository_id, manifest, digest)
         SELECT repository_id, manifest, digest FROM manifest_blobs WHERE repository_id = $1",
        &id,
    )?;
    tx.run(
        "INSERT INTO deleted_manifest_children (repository_id, manifest, digest)
         SELECT repository_id, manifest, digest FROM manifest_children WHERE repository_id = $1",
        &id,
    )?;
    // Before the manifests, for a child may stand before its index.
    tx.run(
        "DELETE FROM manifest_children WHERE repository_id = $1",
        &id,
    )?;
    tx.run("DELETE FROM manifests WHERE repository_id = $1", &id)?;
    Ok(rows)
}

/// Its content and the type that it was pushed with; and when that was.
pub(crate) fn content(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Option<(Bytes, String, Timestamp)>, Fault> {
    tx.query_one(
        "SELECT content, media_type, pushed_at FROM deleted_manifests
         WHERE repository_id = $1 AND digest = $2",
        &[repository.0.into(), digest.as_str().into()],
        |row| Ok((row.bytes(0)?.into(), row.text(1)?, Timestamp(row.int(2)?))),
    )
}

/// The manifests that a deleted index needed.
pub(crate) fn children(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Vec<Digest>, Fault> {
    tx.query(
        "SELECT digest FROM deleted_manifest_children WHERE repository_id = $1 AND manifest = $2",
        &[repository.0.into(), digest.as_str().into()],
        |row| row.parsed(0),
    )
}

/// Forgets a deleted manifest, for it is there again; whether it was there.
pub(crate) fn forget(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<bool, Fault> {
    let rows = tx.execute(
        "DELETE FROM deleted_manifests WHERE repository_id = $1 AND digest = $2",
        &[repository.0.into(), digest.as_str().into()],
    )?;
    Ok(rows == 1)
}

/// Forgets a deleted manifest for good, and when it was pulled; whether it was there.
pub(crate) fn purge(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<bool, Fault> {
    tx.run(
        "DELETE FROM manifest_pulls WHERE repository_id = $1 AND digest = $2",
        &[repository.0.into(), digest.as_str().into()],
    )?;
    forget(tx, repository, digest)
}

/// Those that were deleted at `until` or before, in that order, behind `after`, at most `rows`.
pub(crate) fn until(
    tx: &Transaction<'_>,
    until: Timestamp,
    after: Option<&DeletedManifest>,
    rows: usize,
) -> Result<Vec<DeletedManifest>, Fault> {
    let (at, repository, digest) = after.map_or((i64::MIN, i64::MIN, ""), |after| {
        (
            after.deleted_at.0,
            after.repository_id.0,
            after.digest.as_str(),
        )
    });
    tx.query(
        "SELECT deleted.repository_id, repositories.name, deleted.digest, deleted.media_type,
                deleted.pushed_at, deleted.deleted_at, deleted.deleted_by, deleted.why
         FROM deleted_manifests AS deleted
         JOIN repositories ON repositories.id = deleted.repository_id
         WHERE deleted.deleted_at <= $1
           AND (deleted.deleted_at, deleted.repository_id, deleted.digest) > ($2, $3, $4)
         ORDER BY deleted.deleted_at, deleted.repository_id, deleted.digest LIMIT $5",
        &[
            until.0.into(),
            at.into(),
            repository.into(),
            digest.into(),
            limit(rows),
        ],
        read,
    )
}

/// Those of a repository by digest, behind `after`, at most `rows`.
pub(crate) fn of_repository(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    after: Option<&Digest>,
    rows: usize,
) -> Result<Vec<DeletedManifest>, Fault> {
    tx.query(
        "SELECT deleted.repository_id, repositories.name, deleted.digest, deleted.media_type,
                deleted.pushed_at, deleted.deleted_at, deleted.deleted_by, deleted.why
         FROM deleted_manifests AS deleted
         JOIN repositories ON repositories.id = deleted.repository_id
         WHERE deleted.repository_id = $1 AND deleted.digest > $2
         ORDER BY deleted.digest LIMIT $3",
        &[
            repository.0.into(),
            after.map_or("", Digest::as_str).into(),
            limit(rows),
        ],
        read,
    )
}

fn read(row: &Row<'_>) -> Result<DeletedManifest, Fault> {
    Ok(DeletedManifest {
        repository_id: RepositoryId(row.int(0)?),
        repository: row.parsed(1)?,
        digest: row.parsed(2)?,
        media_type: row.text(3)?,
        pushed_at: Timestamp(row.int(4)?),
        deleted_at: Timestamp(row.int(5)?),
        deleted_by: row.text(6)?,
        why: row.text(7)?,
    })
}

/// When a manifest was deleted, if it was and can still come back.
pub(crate) fn deleted_at(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Option<Timestamp>, Fault> {
    tx.query_one(
        "SELECT deleted_at FROM deleted_manifests WHERE repository_id = $1 AND digest = $2",
        &[repository.0.into(), digest.as_str().into()],
        |row| Ok(Timestamp(row.int(0)?)),
    )
}

/// Has the links reviewed that a deleted manifest needed, counted from `since`; before it is forgotten.
pub(crate) fn queue_needs(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
    since: Timestamp,
) -> Result<(), Fault> {
    tx.run(
        "UPDATE repository_blobs SET review_since = $3 WHERE repository_id = $1 AND digest IN
             (SELECT digest FROM deleted_manifest_blobs WHERE repository_id = $1 AND manifest = $2)",
        &[repository.0.into(), digest.as_str().into(), since.0.into()],
    )
}

/// A manifest that came with another one: an image of an index, or a referrer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Companion {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) artifact_type: Option<String>,
    pub(crate) pushed_at: Timestamp,
    /// It names a subject, which is the other one.
    pub(crate) is_referrer: bool,
    /// A tag points at it.
    pub(crate) is_tagged: bool,
    /// A tag once did.
    pub(crate) was_tagged: bool,
}

/// Manifests that came with one that is there or was deleted, by digest, at most `rows`: its referrers, and what
/// it names as an index.
pub(crate) fn companions(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
    rows: usize,
) -> Result<Vec<Companion>, Fault> {
    tx.query(
        "SELECT digest, media_type, artifact_type, pushed_at, subject IS NOT NULL,
                EXISTS (SELECT 1 FROM tags
                        WHERE tags.repository_id = $1 AND tags.digest = companion.digest),
                EXISTS (SELECT 1 FROM tag_events
                        WHERE tag_events.repository_id = $1
                          AND tag_events.from_digest = companion.digest)
         FROM manifests AS companion
         WHERE companion.repository_id = $1
           AND (companion.subject = $2 OR (companion.subject IS NULL AND companion.digest IN
                   (SELECT digest FROM manifest_children
                    WHERE repository_id = $1 AND manifest = $2
                    UNION SELECT digest FROM deleted_manifest_children
                    WHERE repository_id = $1 AND manifest = $2)))
         ORDER BY digest LIMIT $3",
        &[repository.0.into(), digest.as_str().into(), limit(rows)],
        |row| {
            Ok(Companion {
                digest: row.parsed(0)?,
                media_type: row.text(1)?,
                artifact_type: row.optional_text(2)?,
                pushed_at: Timestamp(row.int(3)?),
                is_referrer: row.int(4)? != 0,
                is_tagged: row.int(5)? != 0,
                was_tagged: row.int(6)? != 0,
            })
        },
    )
}

/// The first index that names a manifest and for which `keeps` says yes, which is also told whether it was
/// deleted and can come back.
pub(crate) fn index_naming(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
    mut keeps: impl FnMut(&Digest, bool) -> bool,
) -> Result<Option<Digest>, Fault> {
    let mut found = None;
    tx.each_until(
        "SELECT manifest, 0 FROM manifest_children WHERE repository_id = $1 AND digest = $2
         UNION ALL
         SELECT manifest, 1 FROM deleted_manifest_children WHERE repository_id = $1 AND digest = $2",
        &[repository.0.into(), digest.as_str().into()],
        |row| {
            let index: Digest = row.parsed(0)?;
            if keeps(&index, row.int(1)? != 0) {
                found = Some(index);
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        },
    )?;
    Ok(found)
}

/// A repository of which something can come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) repository: String,
    /// When the repository itself was deleted, if it is.
    pub(crate) deleted_at: Option<Timestamp>,
    pub(crate) manifests: u64,
    /// When the first and the last of them were deleted.
    pub(crate) first_at: Timestamp,
    pub(crate) last_at: Timestamp,
}

/// Repositories of which something can come back, after `after` in byte order, at most `rows` of them.
pub(crate) fn holdings(
    tx: &Transaction<'_>,
    after: &str,
    rows: usize,
) -> Result<Vec<Holding>, Fault> {
    tx.query(
        "SELECT repositories.name, repositories.deleted_at, COUNT(*), MIN(deleted.deleted_at),
                MAX(deleted.deleted_at)
         FROM repositories
         JOIN deleted_manifests AS deleted ON deleted.repository_id = repositories.id
         WHERE repositories.name > $1
         GROUP BY repositories.name, repositories.deleted_at ORDER BY repositories.name LIMIT $2",
        &[after.into(), limit(rows)],
        |row| {
            Ok(Holding {
                repository: row.text(0)?,
                deleted_at: row.optional_int(1)?.map(Timestamp),
                manifests: bytes(row.int(2)?),
                first_at: Timestamp(row.int(3)?),
                last_at: Timestamp(row.int(4)?),
            })
        },
    )
}
