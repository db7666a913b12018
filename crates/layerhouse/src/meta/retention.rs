//! What retention looks at: the tags of a repository, its manifests, when they were pulled, what holds them.

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;

use super::Transaction;
use super::repositories::RepositoryId;
use crate::clock::Timestamp;
use crate::fault::Fault;

/// In `manifest_pulls` no digest at all stands for the repository: since when its pulls are recorded.
const BEGINNING: &str = "";

/// A tag: its name, what it points at, and when it was last pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TagRow {
    pub(crate) name: Tag,
    pub(crate) digest: Digest,
    pub(crate) moved_at: Timestamp,
}

/// A manifest, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ManifestRow {
    pub(crate) digest: Digest,
    pub(crate) subject: Option<Digest>,
    pub(crate) pushed_at: Timestamp,
    /// When a tag last left it.
    pub(crate) untagged_at: Option<Timestamp>,
    pub(crate) pulled_at: Option<Timestamp>,
}

/// Repositories after `after` in byte order that are not deleted, at most `limit` of them.
pub(crate) fn repositories(
    tx: &Transaction<'_>,
    after: Option<&RepositoryName>,
    limit: usize,
) -> Result<Vec<(RepositoryName, RepositoryId)>, Fault> {
    tx.query(
        "SELECT name, id FROM repositories WHERE name > $1 AND deleted_at IS NULL
         ORDER BY name LIMIT $2",
        &[
            after.map_or("", RepositoryName::as_str).into(),
            super::limit(limit),
        ],
        |row| Ok((row.parsed(0)?, RepositoryId(row.int(1)?))),
    )
}

/// Tags by name, at most `limit` of them.
pub(crate) fn tags(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    limit: usize,
) -> Result<Vec<TagRow>, Fault> {
    tx.query(
        "SELECT name, digest, moved_at FROM tags WHERE repository_id = $1 ORDER BY name LIMIT $2",
        &[repository.0.into(), super::limit(limit)],
        read_tag,
    )
}

/// A tag, if it is there.
pub(crate) fn tag(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    name: &Tag,
) -> Result<Option<TagRow>, Fault> {
    tx.query_one(
        "SELECT name, digest, moved_at FROM tags WHERE repository_id = $1 AND name = $2",
        &[repository.0.into(), name.as_str().into()],
        read_tag,
    )
}

/// Tags that point at a manifest, by name, at most `limit` of them.
pub(crate) fn tags_of(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
    limit: usize,
) -> Result<Vec<TagRow>, Fault> {
    tx.query(
        "SELECT name, digest, moved_at FROM tags WHERE repository_id = $1 AND digest = $2
         ORDER BY name LIMIT $3",
        &[
            repository.0.into(),
            digest.as_str().into(),
            super::limit(limit),
        ],
        read_tag,
    )
}

fn read_tag(row: &super::Row<'_>) -> Result<TagRow, Fault> {
    Ok(TagRow {
        name: row.parsed(0)?,
        digest: row.parsed(1)?,
        moved_at: Timestamp(row.int(2)?),
    })
}

/// Manifests by digest, at most `limit` of them.
pub(crate) fn manifests(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    limit: usize,
) -> Result<Vec<ManifestRow>, Fault> {
    tx.query(
        "SELECT digest, subject, pushed_at,
                (SELECT happened_at FROM tag_events
                 WHERE tag_events.repository_id = $1 AND from_digest = manifests.digest
                 ORDER BY id DESC LIMIT 1),
                (SELECT pulled_at FROM manifest_pulls
                 WHERE manifest_pulls.repository_id = $1 AND manifest_pulls.digest = manifests.digest)
         FROM manifests WHERE repository_id = $1 ORDER BY digest LIMIT $2",
        &[repository.0.into(), super::limit(limit)],
        read_manifest,
    )
}

/// A manifest, if it is there.
pub(crate) fn manifest(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Option<ManifestRow>, Fault> {
    tx.query_one(
        "SELECT digest, subject, pushed_at,
                (SELECT happened_at FROM tag_events
                 WHERE tag_events.repository_id = $1 AND from_digest = $2 ORDER BY id DESC LIMIT 1),
                (SELECT pulled_at FROM manifest_pulls
                 WHERE manifest_pulls.repository_id = $1 AND manifest_pulls.digest = $2)
         FROM manifests WHERE repository_id = $1 AND digest = $2",
        &[repository.0.into(), digest.as_str().into()],
        read_manifest,
    )
}

fn read_manifest(row: &super::Row<'_>) -> Result<ManifestRow, Fault> {
    let subject = match row.optional_text(1)? {
        None => None,
        Some(_) => Some(row.parsed(1)?),
    };
    Ok(ManifestRow {
        digest: row.parsed(0)?,
        subject,
        pushed_at: Timestamp(row.int(2)?),
        untagged_at: row.optional_int(3)?.map(Timestamp),
        pulled_at: row.optional_int(4)?.map(Timestamp),
    })
}

/// Indexes and the manifests that they need, at most `limit` pairs.
pub(crate) fn children(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    limit: usize,
) -> Result<Vec<(Digest, Digest)>, Fault> {
    tx.query(
        "SELECT manifest, digest FROM manifest_children WHERE repository_id = $1 LIMIT $2",
        &[repository.0.into(), super::limit(limit)],
        |row| Ok((row.parsed(0)?, row.parsed(1)?)),
    )
}

/// A manifest that is there was pulled.
pub(crate) fn note_pull(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
    at: Timestamp,
) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO manifest_pulls (repository_id, digest, pulled_at)
         SELECT repository_id, digest, $3 FROM manifests WHERE repository_id = $1 AND digest = $2
         ON CONFLICT (repository_id, digest) DO UPDATE SET pulled_at = excluded.pulled_at",
        &[repository.0.into(), digest.as_str().into(), at.0.into()],
    )
}

/// From now on it is known what is pulled from a repository, unless it was already.
pub(crate) fn begin_pulls(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    now: Timestamp,
) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO manifest_pulls (repository_id, digest, pulled_at) VALUES ($1, $2, $3)
         ON CONFLICT (repository_id, digest) DO NOTHING",
        &[repository.0.into(), BEGINNING.into(), now.0.into()],
    )
}

/// Since when it is known what is pulled from a repository.
pub(crate) fn pulls_known_since(
    tx: &Transaction<'_>,
    repository: RepositoryId,
) -> Result<Option<Timestamp>, Fault> {
    tx.query_one(
        "SELECT pulled_at FROM manifest_pulls WHERE repository_id = $1 AND digest = $2",
        &[repository.0.into(), BEGINNING.into()],
        |row| Ok(Timestamp(row.int(0)?)),
    )
}
