//! Repositories: their names and ids.

use std::ops::ControlFlow;

use layerhouse_oci::name::RepositoryName;

use super::Transaction;
use crate::clock::Timestamp;
use crate::fault::Fault;

/// The key of a repository; names may change one day, ids do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RepositoryId(pub(super) i64);

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

/// The repository called `name`, made now if need be.
pub(crate) fn find_or_create(
    tx: &Transaction<'_>,
    name: &RepositoryName,
    now: Timestamp,
) -> Result<RepositoryId, Fault> {
    if let Some(id) = find(tx, name)? {
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
    tx.count("SELECT COUNT(*) FROM repositories")
}

/// Names after `after` in byte order, at most `limit` of them.
pub(crate) fn list(
    tx: &Transaction<'_>,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, Fault> {
    tx.query(
        "SELECT name FROM repositories WHERE name > $1 ORDER BY name LIMIT $2",
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
        "SELECT name, visibility FROM repositories WHERE name > $1 ORDER BY name",
        &[after.unwrap_or("").into()],
        |row| Ok(take(&row.text(0)?, row.optional_text(1)?.as_deref())),
    )
}
