//! One image and what is around it: what names it, what it names, and who else has its layers.

use std::ops::ControlFlow;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;

use super::array;
use super::tags::Facts;
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::blobs::bytes;
use crate::meta::repositories::RepositoryId;
use crate::meta::{Transaction, limit};

/// What is known of one manifest beside its content.
#[derive(Clone, Debug)]
pub(crate) struct Around {
    pub(crate) artifact_type: Option<String>,
    pub(crate) pushed_at: Timestamp,
    pub(crate) pulled_at: Option<Timestamp>,
    pub(crate) facts: Option<Facts>,
    pub(crate) tags: u64,
    pub(crate) referrers: u64,
    pub(crate) is_signed: bool,
    pub(crate) has_sbom: bool,
}

/// What is known of a manifest of a repository; tags and referrers are counted up to `counted`.
pub(crate) fn around(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
    counted: usize,
) -> Result<Option<Around>, Fault> {
    tx.query_one(
        "SELECT manifests.artifact_type, manifests.pushed_at, pulls.pulled_at,
                facts.kind, facts.image_bytes, facts.largest_bytes, facts.platforms, facts.created_at,
                (SELECT COUNT(*) FROM (SELECT 1 FROM tags WHERE tags.repository_id = $1
                                         AND tags.digest = $2 LIMIT $3) AS counted),
                (SELECT COUNT(*) FROM (SELECT 1 FROM manifests AS referrers
                                       WHERE referrers.repository_id = $1
                                         AND referrers.subject = $2 LIMIT $3) AS counted),
                EXISTS (SELECT 1 FROM tags AS beside WHERE beside.repository_id = $1
                          AND beside.name = REPLACE($2, ':', '-') || '.sig')
                OR EXISTS (SELECT 1 FROM (SELECT digest FROM manifests AS named
                                             WHERE named.repository_id = $1 AND named.subject = $2
                                             LIMIT 100) AS referrers
                           JOIN image_facts AS known
                               ON known.repository_id = $1 AND known.digest = referrers.digest
                           WHERE known.kind = 'signature'),
                EXISTS (SELECT 1 FROM tags AS beside WHERE beside.repository_id = $1
                          AND beside.name = REPLACE($2, ':', '-') || '.sbom')
                OR EXISTS (SELECT 1 FROM (SELECT digest FROM manifests AS named
                                             WHERE named.repository_id = $1 AND named.subject = $2
                                             LIMIT 100) AS referrers
                           JOIN image_facts AS known
                               ON known.repository_id = $1 AND known.digest = referrers.digest
                           WHERE known.kind = 'sbom')
         FROM manifests
         LEFT JOIN image_facts AS facts ON facts.repository_id = $1 AND facts.digest = $2
         LEFT JOIN manifest_pulls AS pulls ON pulls.repository_id = $1 AND pulls.digest = $2
         WHERE manifests.repository_id = $1 AND manifests.digest = $2",
        &[
            repository.0.into(),
            digest.as_str().into(),
            limit(counted),
        ],
        |row| {
            Ok(Around {
                artifact_type: row.optional_text(0)?,
                pushed_at: Timestamp(row.int(1)?),
                pulled_at: row.optional_int(2)?.map(Timestamp),
                facts: Facts::read(row, 3)?,
                tags: bytes(row.int(8)?),
                referrers: bytes(row.int(9)?),
                is_signed: row.int(10)? != 0,
                has_sbom: row.int(11)? != 0,
            })
        },
    )
}

/// Indexes of the repository that name a manifest, at most `rows` of them.
pub(crate) fn parents(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
    rows: usize,
) -> Result<Vec<Digest>, Fault> {
    tx.query(
        "SELECT manifest FROM manifest_children
         WHERE repository_id = $1 AND digest = $2 AND manifest <> $2 ORDER BY manifest LIMIT $3",
        &[repository.0.into(), digest.as_str().into(), limit(rows)],
        |row| row.parsed(0),
    )
}

/// Whether each of these manifests is in the repository, and what is known of it.
pub(crate) fn known(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digests: &[&str],
) -> Result<Vec<(bool, Option<Facts>)>, Fault> {
    tx.query(
        "SELECT manifests.digest IS NOT NULL, facts.kind, facts.image_bytes, facts.largest_bytes,
                facts.platforms, facts.created_at
         FROM JSON_EACH($2) AS wanted
         LEFT JOIN manifests ON manifests.repository_id = $1 AND manifests.digest = wanted.value
         LEFT JOIN image_facts AS facts
             ON facts.repository_id = $1 AND facts.digest = wanted.value
         ORDER BY wanted.key",
        &[repository.0.into(), array(digests).as_str().into()],
        |row| Ok((row.int(0)? != 0, Facts::read(row, 1)?)),
    )
}

/// How many manifests of a repository need a blob, as far as they are not more than `rows`.
pub(crate) fn count_needing(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    blob: &Digest,
    rows: usize,
) -> Result<u64, Fault> {
    let counted = tx.query_one(
        "SELECT COUNT(*) FROM (SELECT 1 FROM manifest_blobs
                               WHERE repository_id = $1 AND digest = $2 LIMIT $3) AS counted",
        &[repository.0.into(), blob.as_str().into(), limit(rows)],
        |row| row.int(0),
    )?;
    Ok(bytes(counted.unwrap_or(0)))
}

/// Calls `look` with the name and visibility of the other repositories that link a blob, until it has enough.
pub(crate) fn each_linking(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    blob: &Digest,
    mut look: impl FnMut(&str, Option<&str>) -> ControlFlow<()>,
) -> Result<(), Fault> {
    tx.each_until(
        "SELECT repositories.name, repositories.visibility FROM repository_blobs AS links
         JOIN repositories ON repositories.id = links.repository_id
         WHERE links.digest = $1 AND links.repository_id <> $2 AND links.removed_at IS NULL
           AND repositories.deleted_at IS NULL",
        &[blob.as_str().into(), repository.0.into()],
        |row| Ok(look(row.text_ref(0)?, row.optional_text(1)?.as_deref())),
    )
}

/// Calls `look` with manifests whose digest is at least `from` and less than `to`, and where they are, until it has
/// enough.
pub(crate) fn each_between(
    tx: &Transaction<'_>,
    from: &str,
    to: &str,
    mut look: impl FnMut(&RepositoryName, Option<&str>, Digest) -> ControlFlow<()>,
) -> Result<(), Fault> {
    tx.each_until(
        "SELECT manifests.digest, repositories.name, repositories.visibility FROM manifests
         JOIN repositories ON repositories.id = manifests.repository_id
         WHERE manifests.digest >= $1 AND manifests.digest < $2 AND repositories.deleted_at IS NULL
         ORDER BY manifests.digest",
        &[from.into(), to.into()],
        |row| {
            let (digest, name) = (row.parsed(0)?, row.parsed(1)?);
            Ok(look(&name, row.optional_text(2)?.as_deref(), digest))
        },
    )
}
