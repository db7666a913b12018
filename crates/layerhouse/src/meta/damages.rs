//! What the scrub came to: its passes, what is damaged, and who misses it.

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;

use super::scrub::{PASSES_KEPT, Pass, pass};
use super::{Transaction, limit};
use crate::clock::Timestamp;
use crate::fault::Fault;

/// Something that cannot be served as it was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) digest: Digest,
    /// Of a manifest whose content changed in the database; blobs have none of their own.
    pub(crate) manifest_of: Option<RepositoryName>,
    pub(crate) said: String,
    pub(crate) found_at: Timestamp,
}

/// An image that needs a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Affected {
    pub(crate) repository: RepositoryName,
    /// A tag of a manifest that needs it; without one it is only linked there, or needed by what has no tag.
    pub(crate) tag: Option<Tag>,
}

const LAST: &str = "SELECT id, why, repository_id, started_at, finished_at, due_before, phase,
    cursor_repository, cursor_digest, total_bytes, bytes, blobs, manifests, damaged, unreadable, repaired
    FROM scrub_passes ORDER BY id DESC LIMIT $1";

/// The latest passes, the newest first.
pub(crate) fn passes(tx: &Transaction<'_>) -> Result<Vec<Pass>, Fault> {
    tx.query(LAST, &[limit(PASSES_KEPT)], pass)
}

/// What is damaged, at most so many of each kind.
pub(crate) fn damages(tx: &Transaction<'_>, at_most: usize) -> Result<Vec<Damage>, Fault> {
    let mut found = tx.query(
        "SELECT digest, damaged_at FROM blobs WHERE damaged_at IS NOT NULL ORDER BY digest LIMIT $1",
        &[limit(at_most)],
        |row| {
            Ok(Damage {
                digest: row.parsed(0)?,
                manifest_of: None,
                said: "its bytes are damaged or missing".to_owned(),
                found_at: Timestamp(row.int(1)?),
            })
        },
    )?;
    found.extend(tx.query(
        "SELECT scrub_findings.digest, repositories.name, scrub_findings.said, scrub_findings.found_at
         FROM scrub_findings
         LEFT JOIN repositories ON repositories.id = scrub_findings.repository_id
         LEFT JOIN blobs ON blobs.digest = scrub_findings.digest
         WHERE scrub_findings.repository_id <> 0 OR
               (blobs.damaged_at IS NULL AND blobs.verified_at <= scrub_findings.found_at)
         ORDER BY scrub_findings.digest, scrub_findings.repository_id LIMIT $1",
        &[limit(at_most)],
        |row| {
            let repository = row.optional_text(1)?;
            let manifest_of = repository.map(|_| row.parsed(1)).transpose()?;
            Ok(Damage {
                digest: row.parsed(0)?,
                manifest_of,
                said: row.text(2)?,
                found_at: Timestamp(row.int(3)?),
            })
        },
    )?);
    Ok(found)
}

/// Who misses a blob: each repository that links it, with the tags that need it, at most so many.
pub(crate) fn affected(
    tx: &Transaction<'_>,
    blob: &Digest,
    at_most: usize,
) -> Result<Vec<Affected>, Fault> {
    tx.query(
        "SELECT DISTINCT repositories.name, tags.name FROM repository_blobs
         JOIN repositories ON repositories.id = repository_blobs.repository_id
         LEFT JOIN manifest_blobs ON manifest_blobs.repository_id = repository_blobs.repository_id
                                 AND manifest_blobs.digest = repository_blobs.digest
         LEFT JOIN manifest_children ON manifest_children.repository_id = manifest_blobs.repository_id
                                    AND manifest_children.digest = manifest_blobs.manifest
         LEFT JOIN tags ON tags.repository_id = repository_blobs.repository_id
                       AND tags.digest IN (manifest_blobs.manifest, manifest_children.manifest)
         WHERE repository_blobs.digest = $1
         ORDER BY repositories.name, tags.name LIMIT $2",
        &[blob.as_str().into(), limit(at_most)],
        |row| {
            let tag = row.optional_text(1)?;
            Ok(Affected {
                repository: row.parsed(0)?,
                tag: tag.map(|_| row.parsed(1)).transpose()?,
            })
        },
    )
}
