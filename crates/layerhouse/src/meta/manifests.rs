//! Manifests: their bytes as received, and what they name.

use std::ops::ControlFlow;

use bytes::Bytes;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::media_type::ManifestKind;

use super::Transaction;
use super::blobs::{bytes, size};
use super::repositories::RepositoryId;
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};

/// A manifest as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct StoredManifest {
    pub(crate) digest: Digest,
    pub(crate) kind: ManifestKind,
    pub(crate) content: Bytes,
}

/// A manifest about to be stored; the digests were checked against the content.
#[derive(Debug)]
pub(crate) struct NewManifest {
    pub(crate) digest: Digest,
    pub(crate) kind: ManifestKind,
    pub(crate) content: Vec<u8>,
    pub(crate) subject: Option<Digest>,
    pub(crate) artifact_type: Option<String>,
    /// A JSON object, or nothing.
    pub(crate) annotations: Option<String>,
}

/// Stores a manifest, or its bytes once more: a push heals what was damaged.
pub(crate) fn put(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    manifest: &NewManifest,
    now: Timestamp,
) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO manifests (repository_id, digest, media_type, size, content, subject,
                                artifact_type, annotations, pushed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (repository_id, digest)
         DO UPDATE SET content = excluded.content, size = excluded.size,
                       media_type = excluded.media_type, pushed_at = excluded.pushed_at",
        &[
            repository.0.into(),
            manifest.digest.as_str().into(),
            manifest.kind.media_type().into(),
            size(manifest.content.len() as u64).into(),
            manifest.content.as_slice().into(),
            manifest.subject.as_ref().map(Digest::as_str).into(),
            manifest.artifact_type.as_deref().into(),
            manifest.annotations.as_deref().into(),
            now.0.into(),
        ],
    )?;
    Ok(())
}

/// Records that a manifest needs a blob of its repository.
pub(crate) fn need_blob(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    manifest: &Digest,
    blob: &Digest,
) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO manifest_blobs (repository_id, manifest, digest) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING",
        &[
            repository.0.into(),
            manifest.as_str().into(),
            blob.as_str().into(),
        ],
    )?;
    Ok(())
}

/// Records that an index needs a manifest of its repository.
pub(crate) fn need_child(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    manifest: &Digest,
    child: &Digest,
) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO manifest_children (repository_id, manifest, digest) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING",
        &[
            repository.0.into(),
            manifest.as_str().into(),
            child.as_str().into(),
        ],
    )?;
    Ok(())
}

/// Records that an index names a manifest that is not there, and may do so.
pub(crate) fn do_without_child(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    manifest: &Digest,
    child: &Digest,
) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO absent_children (repository_id, manifest, digest) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING",
        &[
            repository.0.into(),
            manifest.as_str().into(),
            child.as_str().into(),
        ],
    )?;
    Ok(())
}

/// Whether it is recorded that an index may do without a manifest.
pub(crate) fn does_without_child(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    manifest: &Digest,
    child: &Digest,
) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM absent_children
         WHERE repository_id = $1 AND manifest = $2 AND digest = $3",
        &[
            repository.0.into(),
            manifest.as_str().into(),
            child.as_str().into(),
        ],
    )
}

/// Makes the indexes that did without this manifest need it, now that it is there.
pub(crate) fn end_absence(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<(), Fault> {
    let values = [repository.0.into(), digest.as_str().into()];
    tx.run(
        "INSERT INTO manifest_children (repository_id, manifest, digest)
         SELECT repository_id, manifest, digest FROM absent_children
         WHERE repository_id = $1 AND digest = $2
         ON CONFLICT DO NOTHING",
        &values,
    )?;
    tx.run(
        "DELETE FROM absent_children WHERE repository_id = $1 AND digest = $2",
        &values,
    )?;
    Ok(())
}

/// Whether it is recorded that a manifest needs a blob.
pub(crate) fn needs_blob(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    manifest: &Digest,
    blob: &Digest,
) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM manifest_blobs
         WHERE repository_id = $1 AND manifest = $2 AND digest = $3",
        &[
            repository.0.into(),
            manifest.as_str().into(),
            blob.as_str().into(),
        ],
    )
}

/// Whether it is recorded that an index needs a manifest.
pub(crate) fn needs_child(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    manifest: &Digest,
    child: &Digest,
) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM manifest_children
         WHERE repository_id = $1 AND manifest = $2 AND digest = $3",
        &[
            repository.0.into(),
            manifest.as_str().into(),
            child.as_str().into(),
        ],
    )
}

/// Whether the repository has this manifest.
pub(crate) fn exists(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM manifests WHERE repository_id = $1 AND digest = $2",
        &[repository.0.into(), digest.as_str().into()],
    )
}

/// Whether any repository has this manifest.
pub(crate) fn exists_anywhere(tx: &Transaction<'_>, digest: &Digest) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM manifests WHERE digest = $1 LIMIT 1",
        &[digest.as_str().into()],
    )
}

/// A manifest by digest, of the repository of this name.
pub(crate) fn by_digest(
    tx: &Transaction<'_>,
    repository: &str,
    digest: &str,
) -> Result<Option<StoredManifest>, Fault> {
    tx.query_one(
        "SELECT manifests.digest, manifests.media_type, manifests.content FROM repositories
         JOIN manifests ON manifests.repository_id = repositories.id
         WHERE repositories.name = $1 AND manifests.digest = $2",
        &[repository.into(), digest.into()],
        read,
    )
}

/// The manifest that a tag points at, in one statement: a reader sees the old or the new.
pub(crate) fn by_tag(
    tx: &Transaction<'_>,
    repository: &str,
    tag: &str,
) -> Result<Option<StoredManifest>, Fault> {
    tx.query_one(
        "SELECT manifests.digest, manifests.media_type, manifests.content FROM repositories
         JOIN tags ON tags.repository_id = repositories.id
         JOIN manifests ON manifests.repository_id = tags.repository_id
                       AND manifests.digest = tags.digest
         WHERE repositories.name = $1 AND tags.name = $2",
        &[repository.into(), tag.into()],
        read,
    )
}

/// The bytes of a manifest, from whichever repository has them.
pub(crate) fn content_anywhere(
    tx: &Transaction<'_>,
    digest: &Digest,
) -> Result<Option<Vec<u8>>, Fault> {
    tx.query_one(
        "SELECT content FROM manifests WHERE digest = $1 LIMIT 1",
        &[digest.as_str().into()],
        |row| row.bytes(0),
    )
}

/// An index of the repository that names this manifest, if one does.
pub(crate) fn needed_by(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Option<Digest>, Fault> {
    tx.query_one(
        "SELECT manifest FROM manifest_children
         WHERE repository_id = $1 AND digest = $2 AND manifest <> $2 LIMIT 1",
        &[repository.0.into(), digest.as_str().into()],
        |row| row.parsed(0),
    )
}

/// The blobs that a manifest needs, at most `rows`.
pub(crate) fn blobs_of(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    manifest: &Digest,
    rows: usize,
) -> Result<Vec<Digest>, Fault> {
    tx.query(
        "SELECT digest FROM manifest_blobs WHERE repository_id = $1 AND manifest = $2 LIMIT $3",
        &[
            repository.0.into(),
            manifest.as_str().into(),
            super::limit(rows),
        ],
        |row| row.parsed(0),
    )
}

/// The blobs that any manifest of a repository needs, by digest, at most `rows`.
pub(crate) fn blobs_of_all(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    rows: usize,
) -> Result<Vec<Digest>, Fault> {
    tx.query(
        "SELECT digest FROM manifest_blobs WHERE repository_id = $1
         GROUP BY digest ORDER BY digest LIMIT $2",
        &[repository.0.into(), super::limit(rows)],
        |row| row.parsed(0),
    )
}

/// Whether a manifest needs the blob for which `counts` says yes.
pub(crate) fn any_needs_blob(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    blob: &Digest,
    mut counts: impl FnMut(&Digest) -> bool,
) -> Result<bool, Fault> {
    let mut is_needed = false;
    tx.each_until(
        "SELECT manifest FROM manifest_blobs WHERE repository_id = $1 AND digest = $2",
        &[repository.0.into(), blob.as_str().into()],
        |row| {
            is_needed = counts(&row.parsed(0)?);
            Ok(if is_needed {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        },
    )?;
    Ok(is_needed)
}

/// What a manifest says of itself, if the repository has it: its type, and the type of the artifact.
pub(crate) fn types(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Option<(String, Option<String>)>, Fault> {
    tx.query_one(
        "SELECT media_type, artifact_type FROM manifests WHERE repository_id = $1 AND digest = $2",
        &[repository.0.into(), digest.as_str().into()],
        |row| Ok((row.text(0)?, row.optional_text(1)?)),
    )
}

/// How many manifests a repository has, as far as they are not more than `most`; and the first of them by digest,
/// at most `rows`.
pub(crate) fn some_of(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    rows: usize,
    most: usize,
) -> Result<(u64, Vec<Digest>), Fault> {
    let counted = tx.query_one(
        "SELECT COUNT(*) FROM (SELECT 1 FROM manifests WHERE repository_id = $1 LIMIT $2) AS counted",
        &[repository.0.into(), super::limit(most)],
        |row| row.int(0),
    )?;
    let first = tx.query(
        "SELECT digest FROM manifests WHERE repository_id = $1 ORDER BY digest LIMIT $2",
        &[repository.0.into(), super::limit(rows)],
        |row| row.parsed(0),
    )?;
    Ok((bytes(counted.unwrap_or(0)), first))
}

/// Removes a manifest and what it needed; whether it was there. The caller removed its tags and made
/// sure that no index needs it.
pub(crate) fn remove(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<bool, Fault> {
    let rows = tx.execute(
        "DELETE FROM manifests WHERE repository_id = $1 AND digest = $2",
        &[repository.0.into(), digest.as_str().into()],
    )?;
    Ok(rows == 1)
}

/// A manifest that names another as its subject, as the referrers API lists it.
#[derive(Clone, Debug)]
pub(crate) struct Referrer {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) size_bytes: u64,
    pub(crate) artifact_type: Option<String>,
    /// A JSON object, or nothing.
    pub(crate) annotations: Option<String>,
}

/// Which referrers of a subject to look at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReferrersQuery<'a> {
    pub(crate) subject: &'a Digest,
    pub(crate) artifact_type: Option<&'a str>,
    pub(crate) after: Option<&'a str>,
}

/// Calls `look` for the referrers of a subject, by digest, until it has enough; the subject itself
/// need not exist.
///
/// Annotations of more than `annotations_bytes_max` are left out, for a list must not be made of them.
pub(crate) fn each_referrer(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    query: ReferrersQuery<'_>,
    annotations_bytes_max: usize,
    mut look: impl FnMut(Referrer) -> ControlFlow<()>,
) -> Result<(), Fault> {
    let annotations_bytes_max = super::limit(annotations_bytes_max);
    let (id, subject) = (repository.0.into(), query.subject.as_str().into());
    let after = query.after.unwrap_or("").into();
    let read = |row: &super::Row<'_>| {
        Ok(look(Referrer {
            digest: row.parsed(0)?,
            media_type: row.text(1)?,
            size_bytes: bytes(row.int(2)?),
            artifact_type: row.optional_text(3)?,
            annotations: row.optional_text(4)?,
        }))
    };
    match query.artifact_type {
        None => tx.each_until(
            "SELECT digest, media_type, size, artifact_type,
                    CASE WHEN OCTET_LENGTH(annotations) <= $4 THEN annotations END
             FROM manifests
             WHERE repository_id = $1 AND subject = $2 AND digest > $3 ORDER BY digest",
            &[id, subject, after, annotations_bytes_max],
            read,
        ),
        Some(artifact_type) => tx.each_until(
            "SELECT digest, media_type, size, artifact_type,
                    CASE WHEN OCTET_LENGTH(annotations) <= $4 THEN annotations END
             FROM manifests
             WHERE repository_id = $1 AND subject = $2 AND digest > $3 AND artifact_type = $5
             ORDER BY digest",
            &[
                id,
                subject,
                after,
                annotations_bytes_max,
                artifact_type.into(),
            ],
            read,
        ),
    }
}

fn read(row: &super::Row<'_>) -> Result<StoredManifest, Fault> {
    let media_type = row.text(1)?;
    let kind = ManifestKind::from_media_type(&media_type).ok_or_else(|| {
        Fault::plain(
            FaultKind::Damaged,
            format!("a stored manifest has the type {media_type:?}"),
        )
    })?;
    Ok(StoredManifest {
        digest: row.parsed(0)?,
        kind,
        content: row.bytes(2)?.into(),
    })
}
