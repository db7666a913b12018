//! What collection looks at: links of blobs that nothing may need, and blobs that nothing may link. Both are
//! queues in the order in which their wait began (`review_since`).

use std::ops::ControlFlow;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;

use super::blobs::bytes;
use super::repositories::RepositoryId;
use super::{Row, Transaction, limit};
use crate::clock::Timestamp;
use crate::fault::Fault;

/// A link of a blob that is to be reviewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueuedLink {
    pub(crate) repository_id: RepositoryId,
    pub(crate) repository: RepositoryName,
    pub(crate) digest: Digest,
    pub(crate) size_bytes: u64,
    pub(crate) since: Timestamp,
    /// When a client was last told that the repository has it.
    pub(crate) linked_at: Timestamp,
    /// A manifest of the repository needs it, or a deleted one that can come back.
    pub(crate) is_needed: bool,
}

/// A blob that is to be reviewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueuedBlob {
    pub(crate) digest: Digest,
    pub(crate) size_bytes: u64,
    pub(crate) since: Timestamp,
    /// Some repository links it.
    pub(crate) is_linked: bool,
}

/// Where a page of the queue of links begins: behind this one.
pub(crate) type AfterLink<'a> = Option<&'a QueuedLink>;

/// No deleted manifest is as old: all that can come back keep what they need.
pub(crate) const NONE_GONE: Timestamp = Timestamp(i64::MIN);

/// Links whose wait began at `until` or before, in that order, at most `rows`. What was deleted at `gone` or
/// before needs nothing.
pub(crate) fn links(
    tx: &Transaction<'_>,
    until: Timestamp,
    gone: Timestamp,
    after: AfterLink<'_>,
    rows: usize,
) -> Result<Vec<QueuedLink>, Fault> {
    let (since, repository, digest) = after.map_or((i64::MIN, i64::MIN, ""), |after| {
        (after.since.0, after.repository_id.0, after.digest.as_str())
    });
    tx.query(
        "SELECT queued.repository_id, repositories.name, queued.digest, blobs.size,
                queued.review_since, queued.linked_at,
                EXISTS (SELECT 1 FROM manifest_blobs AS needs
                        WHERE needs.repository_id = queued.repository_id
                          AND needs.digest = queued.digest)
                OR EXISTS (SELECT 1 FROM deleted_manifest_blobs AS needs
                           JOIN deleted_manifests AS deleted
                             ON deleted.repository_id = needs.repository_id
                            AND deleted.digest = needs.manifest
                           WHERE needs.repository_id = queued.repository_id
                             AND needs.digest = queued.digest AND deleted.deleted_at > $6)
         FROM repository_blobs AS queued
         JOIN repositories ON repositories.id = queued.repository_id
         JOIN blobs ON blobs.digest = queued.digest
         WHERE queued.review_since IS NOT NULL AND queued.review_since <= $1
           AND (queued.review_since, queued.repository_id, queued.digest) > ($2, $3, $4)
         ORDER BY queued.review_since, queued.repository_id, queued.digest LIMIT $5",
        &[
            until.0.into(),
            since.into(),
            repository.into(),
            digest.into(),
            limit(rows),
            gone.0.into(),
        ],
        read_link,
    )
}

/// What a look at a blob in a repository says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Looked {
    pub(crate) size_bytes: u64,
    /// Of the object that it is; `None` for a file.
    pub(crate) object_key: Option<String>,
    /// When the row last had a client told of it; `None` if its link waits for no review.
    pub(crate) promised_at: Option<Timestamp>,
}

/// A blob in a repository; `None` if it is not linked.
pub(crate) fn look(
    tx: &Transaction<'_>,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Option<Looked>, Fault> {
    tx.query_one(
        "SELECT blobs.size, blobs.object_key,
                CASE WHEN repository_blobs.review_since IS NOT NULL THEN repository_blobs.linked_at END
         FROM repository_blobs
         JOIN repositories ON repositories.id = repository_blobs.repository_id
         JOIN blobs ON blobs.digest = repository_blobs.digest
         WHERE repositories.name = $1 AND repository_blobs.digest = $2
           AND repository_blobs.removed_at IS NULL",
        &[repository.as_str().into(), digest.as_str().into()],
        |row| {
            Ok(Looked {
                size_bytes: bytes(row.int(0)?),
                object_key: row.optional_text(1)?,
                promised_at: row.optional_int(2)?.map(Timestamp),
            })
        },
    )
}

/// A client was told now that the repository has the blob; whether it has.
pub(crate) fn promise(
    tx: &Transaction<'_>,
    repository: &RepositoryName,
    digest: &Digest,
    now: Timestamp,
) -> Result<bool, Fault> {
    let rows = tx.execute(
        "UPDATE repository_blobs
         SET linked_at = CASE WHEN linked_at < $3 THEN $3 ELSE linked_at END
         WHERE digest = $2 AND repository_id = (SELECT id FROM repositories WHERE name = $1)
           AND removed_at IS NULL",
        &[
            repository.as_str().into(),
            digest.as_str().into(),
            now.0.into(),
        ],
    )?;
    Ok(rows == 1)
}

/// Links that are in no queue and that only manifests need which were deleted at `gone` or before: they are
/// queued when those go. By repository and digest, at most `rows`.
pub(crate) fn links_of_gone(
    tx: &Transaction<'_>,
    gone: Timestamp,
    after: AfterLink<'_>,
    rows: usize,
) -> Result<Vec<QueuedLink>, Fault> {
    let (repository, digest) = after.map_or((i64::MIN, ""), |after| {
        (after.repository_id.0, after.digest.as_str())
    });
    tx.query(
        "SELECT links.repository_id, repositories.name, links.digest, blobs.size, 0, links.linked_at, 0
         FROM repository_blobs AS links
         JOIN repositories ON repositories.id = links.repository_id
         JOIN blobs ON blobs.digest = links.digest
         WHERE (links.repository_id, links.digest) > ($2, $3) AND links.review_since IS NULL
           AND EXISTS (SELECT 1 FROM deleted_manifest_blobs AS needs
                       WHERE needs.repository_id = links.repository_id AND needs.digest = links.digest)
           AND NOT EXISTS (SELECT 1 FROM manifest_blobs AS needs
                           WHERE needs.repository_id = links.repository_id
                             AND needs.digest = links.digest)
           AND NOT EXISTS (SELECT 1 FROM deleted_manifest_blobs AS needs
                           JOIN deleted_manifests AS deleted
                             ON deleted.repository_id = needs.repository_id
                            AND deleted.digest = needs.manifest
                           WHERE needs.repository_id = links.repository_id
                             AND needs.digest = links.digest AND deleted.deleted_at > $1)
         ORDER BY links.repository_id, links.digest LIMIT $4",
        &[
            gone.0.into(),
            repository.into(),
            digest.into(),
            limit(rows),
        ],
        read_link,
    )
}

/// How many blobs only manifests need that were deleted after `gone`, and their bytes.
pub(crate) fn held_by_deleted(tx: &Transaction<'_>, gone: Timestamp) -> Result<(u64, u64), Fault> {
    let counted = tx.query_one(
        "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM blobs
         WHERE digest IN (SELECT needs.digest FROM deleted_manifest_blobs AS needs
                          JOIN deleted_manifests AS deleted
                            ON deleted.repository_id = needs.repository_id
                           AND deleted.digest = needs.manifest
                          WHERE deleted.deleted_at > $1)
           AND NOT EXISTS (SELECT 1 FROM repository_blobs AS links
                           JOIN manifest_blobs AS needs
                             ON needs.repository_id = links.repository_id AND needs.digest = links.digest
                           WHERE links.digest = blobs.digest)",
        &[gone.0.into()],
        |row| Ok((bytes(row.int(0)?), bytes(row.int(1)?))),
    )?;
    Ok(counted.unwrap_or_default())
}

/// The links of one blob, whether they are to be reviewed or not. What was deleted at `gone` or before needs
/// nothing; what is in no queue and not needed by such stays.
pub(crate) fn links_of(
    tx: &Transaction<'_>,
    digest: &Digest,
    gone: Timestamp,
) -> Result<Vec<QueuedLink>, Fault> {
    let mut links = Vec::new();
    each_link_of(tx, digest, gone, |link| {
        links.push(link);
        true
    })?;
    Ok(links)
}

/// Calls `look` for the same links, until it says no: a blob may be in very many repositories.
pub(crate) fn each_link_of(
    tx: &Transaction<'_>,
    digest: &Digest,
    gone: Timestamp,
    mut look: impl FnMut(QueuedLink) -> bool,
) -> Result<(), Fault> {
    tx.each_until(
        "SELECT links.repository_id, repositories.name, links.digest, blobs.size,
                COALESCE(links.review_since, 0), links.linked_at,
                EXISTS (SELECT 1 FROM manifest_blobs AS needs
                        WHERE needs.repository_id = links.repository_id
                          AND needs.digest = links.digest)
                OR EXISTS (SELECT 1 FROM deleted_manifest_blobs AS needs
                           JOIN deleted_manifests AS deleted
                             ON deleted.repository_id = needs.repository_id
                            AND deleted.digest = needs.manifest
                           WHERE needs.repository_id = links.repository_id
                             AND needs.digest = links.digest AND deleted.deleted_at > $2)
                OR (links.review_since IS NULL AND NOT EXISTS
                       (SELECT 1 FROM deleted_manifest_blobs AS needs
                        WHERE needs.repository_id = links.repository_id
                          AND needs.digest = links.digest))
         FROM repository_blobs AS links
         JOIN repositories ON repositories.id = links.repository_id
         JOIN blobs ON blobs.digest = links.digest
         WHERE links.digest = $1",
        &[digest.as_str().into(), gone.0.into()],
        |row| {
            Ok(if look(read_link(row)?) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        },
    )
}

fn read_link(row: &Row<'_>) -> Result<QueuedLink, Fault> {
    Ok(QueuedLink {
        repository_id: RepositoryId(row.int(0)?),
        repository: row.parsed(1)?,
        digest: row.parsed(2)?,
        size_bytes: bytes(row.int(3)?),
        since: Timestamp(row.int(4)?),
        linked_at: Timestamp(row.int(5)?),
        is_needed: row.int(6)? != 0,
    })
}

/// The link as it is now, if it is still to be reviewed.
pub(crate) fn link(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Option<QueuedLink>, Fault> {
    tx.query_one(
        "SELECT queued.repository_id, repositories.name, queued.digest, blobs.size,
                queued.review_since, queued.linked_at,
                EXISTS (SELECT 1 FROM manifest_blobs AS needs
                        WHERE needs.repository_id = queued.repository_id
                          AND needs.digest = queued.digest)
                OR EXISTS (SELECT 1 FROM deleted_manifest_blobs AS needs
                           WHERE needs.repository_id = queued.repository_id
                             AND needs.digest = queued.digest)
         FROM repository_blobs AS queued
         JOIN repositories ON repositories.id = queued.repository_id
         JOIN blobs ON blobs.digest = queued.digest
         WHERE queued.repository_id = $1 AND queued.digest = $2 AND queued.review_since IS NOT NULL",
        &[repository.0.into(), digest.as_str().into()],
        read_link,
    )
}

/// Has a link reviewed, counted from `since`, or not any more.
pub(crate) fn set_link(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
    since: Option<Timestamp>,
) -> Result<(), Fault> {
    tx.run(
        "UPDATE repository_blobs SET review_since = $3 WHERE repository_id = $1 AND digest = $2",
        &[
            repository.0.into(),
            digest.as_str().into(),
            since.map(|since| since.0).into(),
        ],
    )
}

/// Blobs whose wait began at `until` or before, in that order, behind `after`, at most `rows`.
pub(crate) fn blobs(
    tx: &Transaction<'_>,
    until: Timestamp,
    after: Option<&QueuedBlob>,
    rows: usize,
) -> Result<Vec<QueuedBlob>, Fault> {
    let (since, digest) = after.map_or((i64::MIN, ""), |after| {
        (after.since.0, after.digest.as_str())
    });
    tx.query(
        "SELECT digest, size, review_since,
                EXISTS (SELECT 1 FROM repository_blobs WHERE repository_blobs.digest = blobs.digest)
         FROM blobs
         WHERE review_since IS NOT NULL AND review_since <= $1 AND (review_since, digest) > ($2, $3)
         ORDER BY review_since, digest LIMIT $4",
        &[until.0.into(), since.into(), digest.into(), limit(rows)],
        read_blob,
    )
}

/// The blob as it is now, if it is still to be reviewed.
pub(crate) fn blob(tx: &Transaction<'_>, digest: &Digest) -> Result<Option<QueuedBlob>, Fault> {
    tx.query_one(
        "SELECT digest, size, review_since,
                EXISTS (SELECT 1 FROM repository_blobs WHERE repository_blobs.digest = blobs.digest)
         FROM blobs WHERE digest = $1 AND review_since IS NOT NULL",
        &[digest.as_str().into()],
        read_blob,
    )
}

fn read_blob(row: &Row<'_>) -> Result<QueuedBlob, Fault> {
    Ok(QueuedBlob {
        digest: row.parsed(0)?,
        size_bytes: bytes(row.int(1)?),
        since: Timestamp(row.int(2)?),
        is_linked: row.int(3)? != 0,
    })
}

/// Reviews a blob no more: something links it.
pub(crate) fn settle_blob(tx: &Transaction<'_>, digest: &Digest) -> Result<(), Fault> {
    tx.run(
        "UPDATE blobs SET review_since = NULL WHERE digest = $1",
        &[digest.as_str().into()],
    )
}

/// Forgets a blob that nothing links; its file is removed next.
pub(crate) fn remove_blob(tx: &Transaction<'_>, digest: &Digest) -> Result<(), Fault> {
    super::objects::remove_with(tx, digest)?;
    let digest = [digest.as_str().into()];
    tx.run("DELETE FROM blobs WHERE digest = $1", &digest)?;
    tx.run(
        "INSERT INTO removals (digest) VALUES ($1) ON CONFLICT DO NOTHING",
        &digest,
    )
}

/// The files of these blobs were to be removed, and it is not known that they were.
pub(crate) fn removals(tx: &Transaction<'_>) -> Result<Vec<Digest>, Fault> {
    tx.query("SELECT digest FROM removals", &[], |row| row.parsed(0))
}

/// The file of a blob is removed.
pub(crate) fn end_removal(tx: &Transaction<'_>, digest: &Digest) -> Result<(), Fault> {
    tx.run(
        "DELETE FROM removals WHERE digest = $1",
        &[digest.as_str().into()],
    )
}

/// Has everything reviewed, counted from `since`, that nothing needs and that is in no queue: what was read
/// from a tree. How many links and blobs.
pub(crate) fn queue_unneeded(tx: &Transaction<'_>, since: Timestamp) -> Result<usize, Fault> {
    let links = tx.execute(
        "UPDATE repository_blobs SET review_since = $1 WHERE review_since IS NULL
           AND NOT EXISTS (SELECT 1 FROM manifest_blobs AS needs
                           WHERE needs.repository_id = repository_blobs.repository_id
                             AND needs.digest = repository_blobs.digest)
           AND NOT EXISTS (SELECT 1 FROM deleted_manifest_blobs AS needs
                           WHERE needs.repository_id = repository_blobs.repository_id
                             AND needs.digest = repository_blobs.digest)",
        &[since.0.into()],
    )?;
    let blobs = tx.execute(
        "UPDATE blobs SET review_since = $1 WHERE review_since IS NULL AND NOT EXISTS
             (SELECT 1 FROM repository_blobs WHERE repository_blobs.digest = blobs.digest)",
        &[since.0.into()],
    )?;
    Ok(links + blobs)
}

/// What nothing needs and nothing will review, in links and blobs: it is there only where a tree was not
/// read whole.
pub(crate) fn count_unqueued(tx: &Transaction<'_>) -> Result<u64, Fault> {
    let links = tx.count(
        "SELECT COUNT(*) FROM repository_blobs AS links WHERE links.review_since IS NULL
           AND NOT EXISTS (SELECT 1 FROM manifest_blobs AS needs
                           WHERE needs.repository_id = links.repository_id
                             AND needs.digest = links.digest)
           AND NOT EXISTS (SELECT 1 FROM deleted_manifest_blobs AS needs
                           WHERE needs.repository_id = links.repository_id
                             AND needs.digest = links.digest)",
    )?;
    let blobs = tx.count(
        "SELECT COUNT(*) FROM blobs WHERE review_since IS NULL AND NOT EXISTS
             (SELECT 1 FROM repository_blobs WHERE repository_blobs.digest = blobs.digest)",
    )?;
    Ok(links + blobs)
}
