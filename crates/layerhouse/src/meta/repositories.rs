//! Repositories: their names and ids.

use std::ops::ControlFlow;

use layerhouse_oci::name::RepositoryName;

use super::Transaction;
use crate::clock::Timestamp;
use crate::fault::Fault;

/// The key of a repository; names may change one day, ids do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RepositoryId(pub(super) i64);

impl RepositoryId {
    #[cfg(test)]
    pub(crate) fn for_tests(id: i64) -> Self {
        Self(id)
    }

    /// As it is stored.
    pub(crate) fn number(self) -> i64 {
        self.0
    }
}

/// The repository called `name`, if anything was ever pushed to it.
pub(crate) fn find(
    tx: &Transaction<'_>,
    name: &RepositoryName,
) -> Result<Option<RepositoryId>, Fault> {
    tx.query_one(
        "SELECT id FROM repositories WHERE name = $1",
        &[name.as_str().into()],
        |row| Ok(RepositoryId(row.int(0)?)),
    )
}

/// The same, unless it was deleted.
pub(crate) fn find_present(
    tx: &Transaction<'_>,
    name: &RepositoryName,
) -> Result<Option<RepositoryId>, Fault> {
    tx.query_one(
        "SELECT id FROM repositories WHERE name = $1 AND deleted_at IS NULL",
        &[name.as_str().into()],
        |row| Ok(RepositoryId(row.int(0)?)),
    )
}

/// The repository called `name`, made now if need be. One that was deleted is there again, with nothing of
/// what it had.
pub(crate) fn find_or_create(
    tx: &Transaction<'_>,
    name: &RepositoryName,
    now: Timestamp,
) -> Result<RepositoryId, Fault> {
    let found = tx.query_one(
        "SELECT id, deleted_at FROM repositories WHERE name = $1",
        &[name.as_str().into()],
        |row| Ok((RepositoryId(row.int(0)?), row.optional_int(1)?)),
    )?;
    if let Some((id, deleted_at)) = found {
        if deleted_at.is_some() {
            set_deleted(tx, id, None)?;
        }
        return Ok(id);
    }
    let id = super::next_id(tx, "SELECT COALESCE(MAX(id), 0) FROM repositories", now)?;
    // What its namespace says of new ones now; without an index there is no namespace.
    let namespace = name.as_str().split_once('/').map_or("", |(first, _)| first);
    tx.execute(
        "INSERT INTO repositories (id, name, created_at, visibility)
         VALUES ($1, $2, $3, (SELECT default_visibility FROM namespaces WHERE name = $4))",
        &[
            id.into(),
            name.as_str().into(),
            now.0.into(),
            namespace.into(),
        ],
    )?;
    Ok(RepositoryId(id))
}

/// When the repository was deleted, if it is.
pub(crate) fn deleted_at(
    tx: &Transaction<'_>,
    id: RepositoryId,
) -> Result<Option<Timestamp>, Fault> {
    let found = tx.query_one(
        "SELECT deleted_at FROM repositories WHERE id = $1",
        &[id.0.into()],
        |row| row.optional_int(0),
    )?;
    Ok(found.flatten().map(Timestamp))
}

/// Says that a repository was deleted, or that it was not; search looks at it again.
pub(crate) fn set_deleted(
    tx: &Transaction<'_>,
    id: RepositoryId,
    at: Option<Timestamp>,
) -> Result<(), Fault> {
    tx.execute(
        "UPDATE repositories SET deleted_at = $2 WHERE id = $1",
        &[id.0.into(), at.map(|at| at.0).into()],
    )?;
    super::search::mark_stale(tx, id)
}

/// What a repository is called, if it is there.
pub(crate) fn name(
    tx: &Transaction<'_>,
    id: RepositoryId,
) -> Result<Option<RepositoryName>, Fault> {
    tx.query_one(
        "SELECT name FROM repositories WHERE id = $1",
        &[id.0.into()],
        |row| row.parsed(0),
    )
}

/// Bytes of the blobs that a repository links.
pub(crate) fn linked_bytes(tx: &Transaction<'_>, name: &RepositoryName) -> Result<u64, Fault> {
    let found = tx.query_one(
        "SELECT linked_bytes FROM repositories WHERE name = $1",
        &[name.as_str().into()],
        |row| row.int(0),
    )?;
    Ok(super::blobs::bytes(found.unwrap_or(0)))
}

/// Bytes of the blobs that repositories link whose name is `first` or begins with it and a slash; each
/// repository's by themselves.
pub(crate) fn linked_bytes_within(tx: &Transaction<'_>, first: &str) -> Result<u64, Fault> {
    let (from, to) = within(first);
    let sum = tx.query_one(
        "SELECT COALESCE(SUM(linked_bytes), 0) FROM repositories
         WHERE name = $1 OR (name >= $2 AND name < $3)",
        &[first.into(), from.as_str().into(), to.as_str().into()],
        |row| row.int(0),
    )?;
    Ok(super::blobs::bytes(sum.unwrap_or(0)))
}

/// Where names below `first` begin and end: `0` is the byte behind `/`.
pub(super) fn within(first: &str) -> (String, String) {
    (format!("{first}/"), format!("{first}0"))
}

/// Gives a repository another name, which must be free.
pub(crate) fn rename(
    tx: &Transaction<'_>,
    id: RepositoryId,
    name: &RepositoryName,
) -> Result<(), Fault> {
    tx.execute(
        "UPDATE repositories SET name = $2 WHERE id = $1",
        &[id.0.into(), name.as_str().into()],
    )
    .map(|_| ())
}

/// How many there are.
pub(crate) fn count(tx: &Transaction<'_>) -> Result<u64, Fault> {
    tx.count("SELECT COUNT(*) FROM repositories WHERE deleted_at IS NULL")
}

/// Names after `after` in byte order, at most `limit` of them.
pub(crate) fn list(
    tx: &Transaction<'_>,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, Fault> {
    tx.query(
        "SELECT name FROM repositories WHERE name > $1 AND deleted_at IS NULL ORDER BY name LIMIT $2",
        &[after.unwrap_or("").into(), super::limit(limit)],
        |row| row.text(0),
    )
}

/// Calls `take` with names after `after` in byte order and what each says of its visibility, until it has
/// enough.
pub(crate) fn each(
    tx: &Transaction<'_>,
    after: Option<&str>,
    mut take: impl FnMut(&str, Option<&str>) -> ControlFlow<()>,
) -> Result<(), Fault> {
    tx.each_until(
        "SELECT name, visibility FROM repositories WHERE name > $1 AND deleted_at IS NULL ORDER BY name",
        &[after.unwrap_or("").into()],
        |row| Ok(take(&row.text(0)?, row.optional_text(1)?.as_deref())),
    )
}
