//! Facts of images, and the queue of those that are to be read.

use layerhouse_oci::digest::Digest;

use super::tags::Facts;
use crate::fault::Fault;
use crate::meta::blobs::size;
use crate::meta::repositories::RepositoryId;
use crate::meta::{Transaction, limit};

/// A manifest that is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) repository: RepositoryId,
    pub(crate) digest: Digest,
    /// Another number whenever it is to be read again.
    change: i64,
}

/// Manifests that are to be read, at most `rows` of them.
pub(crate) fn queued(tx: &Transaction<'_>, rows: usize) -> Result<Vec<Queued>, Fault> {
    tx.query(
        "SELECT repository_id, digest, change FROM image_queue
         ORDER BY repository_id, digest LIMIT $1",
        &[limit(rows)],
        |row| {
            Ok(Queued {
                repository: RepositoryId(row.int(0)?),
                digest: row.parsed(1)?,
                change: row.int(2)?,
            })
        },
    )
}

/// The bytes of a manifest of a repository.
pub(crate) fn content(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Option<Vec<u8>>, Fault> {
    tx.query_one(
        "SELECT content FROM manifests WHERE repository_id = $1 AND digest = $2",
        &[repository.0.into(), digest.as_str().into()],
        |row| row.bytes(0),
    )
}

/// What is known of a manifest so far.
pub(crate) fn facts(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    digest: &Digest,
) -> Result<Option<Facts>, Fault> {
    let found = tx.query_one(
        "SELECT kind, image_bytes, largest_bytes, platforms, created_at FROM image_facts
         WHERE repository_id = $1 AND digest = $2",
        &[repository.0.into(), digest.as_str().into()],
        |row| Facts::read(row, 0),
    )?;
    Ok(found.flatten())
}

/// This is known of a manifest from now on, unless it is gone or is to be read again; whether it was kept.
///
/// `awaits` is its config, while a copy does not have that yet. Indexes that name a manifest of which more is known
/// than before are to be read again.
pub(crate) fn learn(
    tx: &Transaction<'_>,
    queued: &Queued,
    facts: &Facts,
    awaits: Option<&Digest>,
) -> Result<bool, Fault> {
    let key = [
        queued.repository.0.into(),
        queued.digest.as_str().into(),
        queued.change.into(),
    ];
    let rows = tx.execute(
        "DELETE FROM image_queue WHERE repository_id = $1 AND digest = $2 AND change = $3",
        &key,
    )?;
    if rows == 0 {
        return Ok(false);
    }
    let was_known = self::facts(tx, queued.repository, &queued.digest)?;
    tx.run(
        "INSERT INTO image_facts (repository_id, digest, kind, image_bytes, largest_bytes, platforms,
                                  created_at, awaits)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (repository_id, digest)
         DO UPDATE SET kind = excluded.kind, image_bytes = excluded.image_bytes,
                       largest_bytes = excluded.largest_bytes, platforms = excluded.platforms,
                       created_at = excluded.created_at, awaits = excluded.awaits",
        &[
            key[0],
            key[1],
            facts.kind.as_str().into(),
            size(facts.image_bytes).into(),
            size(facts.largest_bytes).into(),
            facts.platforms.as_str().into(),
            facts.created_at.map(|at| at.0).into(),
            awaits.map(Digest::as_str).into(),
        ],
    )?;
    if was_known.is_some_and(|known| known != *facts) {
        tx.run(
            "INSERT INTO image_queue (repository_id, digest, change)
             SELECT repository_id, manifest, 1 FROM manifest_children
             WHERE repository_id = $1 AND digest = $2 AND manifest <> $2
             ON CONFLICT (repository_id, digest) DO UPDATE SET change = image_queue.change + 1",
            &key[..2],
        )?;
    }
    Ok(true)
}

/// A tag without a key to sort it by among versions.
type Unkeyed = (RepositoryId, String);

/// How far the tags of earlier releases have their keys; `None` if all do.
pub(crate) fn version_progress(tx: &Transaction<'_>) -> Result<Option<Unkeyed>, Fault> {
    tx.query_one(
        "SELECT repository_id, tag FROM version_progress",
        &[],
        |row| Ok((RepositoryId(row.int(0)?), row.text(1)?)),
    )
}

/// Gives the tags behind `after` their keys, at most `rows` of them.
pub(crate) fn key_versions(
    tx: &Transaction<'_>,
    after: &Unkeyed,
    rows: usize,
) -> Result<(), Fault> {
    let tags = tx.query(
        "SELECT repository_id, name FROM tags WHERE (repository_id, name) > ($1, $2)
         ORDER BY repository_id, name LIMIT $3",
        &[after.0.0.into(), after.1.as_str().into(), limit(rows)],
        |row| Ok((RepositoryId(row.int(0)?), row.text(1)?)),
    )?;
    for (repository, tag) in &tags {
        let key = super::version::key(tag);
        if !key.is_empty() {
            tx.run(
                "UPDATE tags SET version = $3 WHERE repository_id = $1 AND name = $2",
                &[
                    repository.0.into(),
                    tag.as_str().into(),
                    key.as_str().into(),
                ],
            )?;
        }
    }
    match tags.last() {
        Some((repository, tag)) => tx.execute(
            "UPDATE version_progress SET repository_id = $1, tag = $2",
            &[repository.0.into(), tag.as_str().into()],
        ),
        None => tx.execute("DELETE FROM version_progress", &[]),
    }?;
    Ok(())
}
