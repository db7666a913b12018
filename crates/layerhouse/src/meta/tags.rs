//! Tags and the record of their moves.

use std::ops::ControlFlow;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;

use super::Transaction;
use super::repositories::RepositoryId;
use crate::clock::Timestamp;
use crate::fault::Fault;

/// How many there are.
pub(crate) fn count(tx: &Transaction<'_>) -> Result<u64, Fault> {
    // To count a million rows takes 20 ms; triggers count those of each repository.
    tx.count("SELECT COALESCE(SUM(tags_count), 0) FROM repositories")
}

/// How many a repository has, as far as they are not more than `limit`.
pub(crate) fn count_in(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    limit: u64,
) -> Result<u64, Fault> {
    let counted = tx.query_one(
        "SELECT COUNT(*) FROM (SELECT 1 FROM tags WHERE repository_id = $1 LIMIT $2) AS counted",
        &[repository.0.into(), bound(limit).into()],
        |row| row.int(0),
    )?;
    Ok(super::blobs::bytes(counted.unwrap_or(0)))
}

/// How many repositories have together whose name is `first` or begins with it and a slash, as far as they
/// are not more than `limit`.
pub(crate) fn count_within(tx: &Transaction<'_>, first: &str, limit: u64) -> Result<u64, Fault> {
    let (from, to) = super::repositories::within(first);
    let counted = tx.query_one(
        "SELECT COUNT(*) FROM
             (SELECT 1 FROM repositories JOIN tags ON tags.repository_id = repositories.id
              WHERE repositories.name = $1 OR (repositories.name >= $2 AND repositories.name < $3)
              LIMIT $4) AS counted",
        &[
            first.into(),
            from.as_str().into(),
            to.as_str().into(),
            bound(limit).into(),
        ],
        |row| row.int(0),
    )?;
    Ok(super::blobs::bytes(counted.unwrap_or(0)))
}

fn bound(limit: u64) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Points the tag at a manifest of its repository; what it pointed at before.
pub(crate) fn move_tag(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    tag: &Tag,
    manifest: &Digest,
    actor: &str,
    now: Timestamp,
) -> Result<Option<Digest>, Fault> {
    let before = find(tx, repository, tag)?;
    tx.run(
        "INSERT INTO tags (repository_id, name, digest, moved_at, version) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (repository_id, name)
         DO UPDATE SET digest = excluded.digest, moved_at = excluded.moved_at",
        &[
            repository.0.into(),
            tag.as_str().into(),
            manifest.as_str().into(),
            now.0.into(),
            super::browse::version::key(tag.as_str()).as_str().into(),
        ],
    )?;
    // A push of what the tag points at already is no move.
    if before.as_ref() != Some(manifest) {
        record(
            tx,
            repository,
            tag,
            before.as_ref(),
            Some(manifest),
            actor,
            now,
        )?;
    }
    Ok(before)
}

/// Removes the tag alone; what it pointed at, if it was there.
pub(crate) fn remove(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    tag: &Tag,
    actor: &str,
    now: Timestamp,
) -> Result<Option<Digest>, Fault> {
    let Some(before) = find(tx, repository, tag)? else {
        return Ok(None);
    };
    tx.run(
        "DELETE FROM tags WHERE repository_id = $1 AND name = $2",
        &[repository.0.into(), tag.as_str().into()],
    )?;
    record(tx, repository, tag, Some(&before), None, actor, now)?;
    Ok(Some(before))
}

/// The manifest that the tag points at.
pub(crate) fn find(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    tag: &Tag,
) -> Result<Option<Digest>, Fault> {
    tx.query_one(
        "SELECT digest FROM tags WHERE repository_id = $1 AND name = $2",
        &[repository.0.into(), tag.as_str().into()],
        |row| row.parsed(0),
    )
}

/// Tags that point at a manifest, at most `limit` of them.
pub(crate) fn pointing_at(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    manifest: &Digest,
    limit: usize,
) -> Result<Vec<Tag>, Fault> {
    tx.query(
        "SELECT name FROM tags WHERE repository_id = $1 AND digest = $2 ORDER BY name LIMIT $3",
        &[
            repository.0.into(),
            manifest.as_str().into(),
            super::limit(limit),
        ],
        |row| row.parsed(0),
    )
}

/// How many tags point at a manifest.
pub(crate) fn count_pointing_at(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    manifest: &Digest,
) -> Result<u64, Fault> {
    let counted = tx.query_one(
        "SELECT COUNT(*) FROM tags WHERE repository_id = $1 AND digest = $2",
        &[repository.0.into(), manifest.as_str().into()],
        |row| row.int(0),
    )?;
    Ok(super::blobs::bytes(counted.unwrap_or(0)))
}

/// Tags with what they point at, by name, at most `rows`.
pub(crate) fn with_digests(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    rows: usize,
) -> Result<Vec<(Tag, Digest)>, Fault> {
    tx.query(
        "SELECT name, digest FROM tags WHERE repository_id = $1 ORDER BY name LIMIT $2",
        &[repository.0.into(), super::limit(rows)],
        |row| Ok((row.parsed(0)?, row.parsed(1)?)),
    )
}

/// Calls `look` for the tags that point at a manifest, by name, until it says no.
pub(crate) fn each_pointing_at(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    manifest: &Digest,
    mut look: impl FnMut(Tag) -> bool,
) -> Result<(), Fault> {
    tx.each_until(
        "SELECT name FROM tags WHERE repository_id = $1 AND digest = $2 ORDER BY name",
        &[repository.0.into(), manifest.as_str().into()],
        |row| {
            let goes_on = look(row.parsed(0)?);
            Ok(if goes_on {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        },
    )
}

/// Removes every tag that points at a manifest; how many.
///
/// As sets, for a manifest may have a million tags: one by one they would hold the writer for seconds.
pub(crate) fn remove_pointing_at(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    manifest: &Digest,
    actor: &str,
    now: Timestamp,
) -> Result<usize, Fault> {
    let (id, digest) = (repository.0.into(), manifest.as_str().into());
    tx.run(
        "INSERT INTO tag_events (id, repository_id, tag, from_digest, to_digest, actor, happened_at)
         SELECT $3 + ROW_NUMBER() OVER (ORDER BY name), repository_id, name, digest, NULL, $4, $5
         FROM tags WHERE repository_id = $1 AND digest = $2",
        &[
            id,
            digest,
            (next_event(tx, now)? - 1).into(),
            actor.into(),
            now.0.into(),
        ],
    )?;
    tx.execute(
        "DELETE FROM tags WHERE repository_id = $1 AND digest = $2",
        &[id, digest],
    )
}

/// Removes every tag of a repository.
pub(crate) fn remove_all(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    actor: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    let id = repository.0.into();
    tx.run(
        "INSERT INTO tag_events (id, repository_id, tag, from_digest, to_digest, actor, happened_at)
         SELECT $2 + ROW_NUMBER() OVER (ORDER BY name), repository_id, name, digest, NULL, $3, $4
         FROM tags WHERE repository_id = $1",
        &[
            id,
            (next_event(tx, now)? - 1).into(),
            actor.into(),
            now.0.into(),
        ],
    )?;
    tx.run("DELETE FROM tags WHERE repository_id = $1", &[id])?;
    Ok(())
}

/// Where a tag was before its last move or removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// There never was such a tag.
    NoTag,
    /// It was new then.
    Nothing,
    At(Digest),
}

/// When a tag of any repository was last moved or removed.
pub(crate) fn last_moved_at(tx: &Transaction<'_>) -> Result<Option<Timestamp>, Fault> {
    tx.query_one(
        "SELECT happened_at FROM tag_events ORDER BY id DESC LIMIT 1",
        &[],
        |row| Ok(Timestamp(row.int(0)?)),
    )
}

/// What a tag pointed at before its last move or removal.
pub(crate) fn left_last(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    tag: &Tag,
) -> Result<Before, Fault> {
    let last = tx.query_one(
        "SELECT from_digest FROM tag_events WHERE repository_id = $1 AND tag = $2
         ORDER BY id DESC LIMIT 1",
        &[repository.0.into(), tag.as_str().into()],
        |row| match row.optional_text(0)? {
            None => Ok(Before::Nothing),
            Some(_) => row.parsed(0).map(Before::At),
        },
    )?;
    Ok(last.unwrap_or(Before::NoTag))
}

/// Tags that were removed at just this time, and what each pointed at then: with one manifest if it is
/// given, else with their repository.
pub(crate) fn removed_at(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    manifest: Option<&Digest>,
    at: Timestamp,
) -> Result<Vec<(Tag, Digest)>, Fault> {
    let read = |row: &super::Row<'_>| Ok((row.parsed(0)?, row.parsed(1)?));
    match manifest {
        Some(manifest) => tx.query(
            "SELECT tag, from_digest FROM tag_events
             WHERE repository_id = $1 AND from_digest = $2 AND to_digest IS NULL AND happened_at = $3
             ORDER BY id",
            &[
                repository.0.into(),
                manifest.as_str().into(),
                at.0.into(),
            ],
            read,
        ),
        None => tx.query(
            "SELECT tag, from_digest FROM tag_events
             WHERE repository_id = $1 AND to_digest IS NULL AND happened_at = $2
               AND id >= $3 AND from_digest IS NOT NULL
             ORDER BY id",
            // An id is never below the time that it was given at.
            &[repository.0.into(), at.0.into(), (at.0 << 20).into()],
            read,
        ),
    }
}

/// Tags after `after` in byte order, at most `limit` of them.
pub(crate) fn list(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, Fault> {
    tx.query(
        "SELECT name FROM tags WHERE repository_id = $1 AND name > $2 ORDER BY name LIMIT $3",
        &[
            repository.0.into(),
            after.unwrap_or("").into(),
            super::limit(limit),
        ],
        |row| row.text(0),
    )
}

/// A tag with what it points at.
#[derive(Clone, Debug)]
pub(crate) struct Tagged {
    pub(crate) name: String,
    pub(crate) digest: String,
    pub(crate) media_type: String,
    /// Of the manifest and of the blobs that it names.
    pub(crate) size_bytes: u64,
    pub(crate) moved_at: Timestamp,
}

/// The same with what they point at.
pub(crate) fn list_tagged(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Tagged>, Fault> {
    tx.query(
        "SELECT tags.name, tags.digest, manifests.media_type, tags.moved_at, manifests.size + (
             SELECT COALESCE(SUM(blobs.size), 0) FROM manifest_blobs
             JOIN blobs ON blobs.digest = manifest_blobs.digest
             WHERE manifest_blobs.repository_id = tags.repository_id
             AND manifest_blobs.manifest = tags.digest
         )
         FROM tags JOIN manifests
         ON manifests.repository_id = tags.repository_id AND manifests.digest = tags.digest
         WHERE tags.repository_id = $1 AND tags.name > $2 ORDER BY tags.name LIMIT $3",
        &[
            repository.0.into(),
            after.unwrap_or("").into(),
            super::limit(limit),
        ],
        |row| {
            Ok(Tagged {
                name: row.text(0)?,
                digest: row.text(1)?,
                media_type: row.text(2)?,
                moved_at: Timestamp(row.int(3)?),
                size_bytes: u64::try_from(row.int(4)?).unwrap_or(0),
            })
        },
    )
}

/// Adds a move or removal to the record of a tag.
pub(crate) fn record(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    tag: &Tag,
    from: Option<&Digest>,
    to: Option<&Digest>,
    actor: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO tag_events (id, repository_id, tag, from_digest, to_digest, actor, happened_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            next_event(tx, now)?.into(),
            repository.0.into(),
            tag.as_str().into(),
            from.map(Digest::as_str).into(),
            to.map(Digest::as_str).into(),
            actor.into(),
            now.0.into(),
        ],
    )?;
    Ok(())
}

/// An id above every other: the time, with room for 2²⁰ events in each millisecond.
fn next_event(tx: &Transaction<'_>, now: Timestamp) -> Result<i64, Fault> {
    let highest = tx.query_one("SELECT COALESCE(MAX(id), 0) FROM tag_events", &[], |row| {
        row.int(0)
    })?;
    Ok((now.0 << 20).max(highest.unwrap_or(0) + 1))
}

/// A tag that moved or was removed.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    pub(crate) id: i64,
    pub(crate) repository: RepositoryId,
    pub(crate) name: RepositoryName,
    pub(crate) tag: Tag,
    pub(crate) is_removal: bool,
    pub(crate) happened_at: Timestamp,
}

/// What moved after another move, in the order in which it did, at most `limit` moves.
pub(crate) fn moved_after(
    tx: &Transaction<'_>,
    event: i64,
    limit: usize,
) -> Result<Vec<Moved>, Fault> {
    tx.query(
        "SELECT tag_events.id, repository_id, repositories.name, tag, to_digest, happened_at
         FROM tag_events JOIN repositories ON repositories.id = tag_events.repository_id
         WHERE tag_events.id > $1 ORDER BY tag_events.id LIMIT $2",
        &[event.into(), super::limit(limit)],
        |row| {
            Ok(Moved {
                id: row.int(0)?,
                repository: RepositoryId(row.int(1)?),
                name: row.parsed(2)?,
                tag: row.parsed(3)?,
                is_removal: row.optional_text(4)?.is_none(),
                happened_at: Timestamp(row.int(5)?),
            })
        },
    )
}
