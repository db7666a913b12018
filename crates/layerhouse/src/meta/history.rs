//! The record of tags, read: what each pointed at, since when, and who moved it.

use layerhouse_oci::digest::Digest;
use layerhouse_oci::tag::Tag;

use super::repositories::RepositoryId;
use super::{Row, Transaction, Value, limit};
use crate::clock::Timestamp;
use crate::fault::Fault;

/// A move or removal of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TagEvent {
    /// Later ones are greater, whatever the clock said.
    pub(crate) id: i64,
    pub(crate) tag: Tag,
    /// Absent for one that was new.
    pub(crate) from: Option<Digest>,
    /// Absent for a removal.
    pub(crate) to: Option<Digest>,
    pub(crate) actor: String,
    pub(crate) happened_at: Timestamp,
}

fn read(row: &Row<'_>) -> Result<TagEvent, Fault> {
    let digest = |column| match row.optional_text(column)? {
        None => Ok(None),
        Some(_) => row.parsed(column).map(Some),
    };
    Ok(TagEvent {
        id: row.int(0)?,
        tag: row.parsed(1)?,
        from: digest(2)?,
        to: digest(3)?,
        actor: row.text(4)?,
        happened_at: Timestamp(row.int(5)?),
    })
}

/// Events of a repository, or of one tag of it, before `before`, the last first, at most `rows` of them.
pub(crate) fn list(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    tag: Option<&Tag>,
    before: Option<i64>,
    rows: usize,
) -> Result<Vec<TagEvent>, Fault> {
    let before = Value::Int(before.unwrap_or(i64::MAX));
    match tag {
        None => tx.query(
            "SELECT id, tag, from_digest, to_digest, actor, happened_at FROM tag_events
             WHERE repository_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
            &[repository.0.into(), before, limit(rows)],
            read,
        ),
        Some(tag) => tx.query(
            "SELECT id, tag, from_digest, to_digest, actor, happened_at FROM tag_events
             WHERE repository_id = $1 AND tag = $2 AND id < $3 ORDER BY id DESC LIMIT $4",
            &[
                repository.0.into(),
                tag.as_str().into(),
                before,
                limit(rows),
            ],
            read,
        ),
    }
}

/// What a tag pointed at, at a time: by its last event until then, in the order in which they were written, for
/// a clock that was set back must not make another. `None` if it was not there.
pub(crate) fn tag_at(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    tag: &Tag,
    at: Timestamp,
) -> Result<Option<Digest>, Fault> {
    let found = tx.query_one(
        "SELECT to_digest FROM tag_events WHERE repository_id = $1 AND tag = $2 AND happened_at <= $3
         ORDER BY id DESC LIMIT 1",
        &[repository.0.into(), tag.as_str().into(), at.0.into()],
        |row| match row.optional_text(0)? {
            None => Ok(None),
            Some(_) => row.parsed(0).map(Some),
        },
    )?;
    Ok(found.flatten())
}
