//! Which repositories there are in a namespace, and whether they are shown to all.

use super::{Row, Transaction, limit};
use crate::clock::Timestamp;
use crate::fault::Fault;

/// What the index lists of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) name: String,
    /// `public` or `private`; absent for that of the configuration.
    pub(crate) visibility: Option<String>,
    pub(crate) created_at: Timestamp,
}

fn read(row: &Row<'_>) -> Result<Shown, Fault> {
    Ok(Shown {
        name: row.text(0)?,
        visibility: row.optional_text(1)?,
        created_at: Timestamp(row.int(2)?),
    })
}

/// The repository called `name`.
pub(crate) fn by_name(tx: &Transaction<'_>, name: &str) -> Result<Option<Shown>, Fault> {
    tx.query_one(
        "SELECT name, visibility, created_at FROM repositories
         WHERE name = $1 AND deleted_at IS NULL",
        &[name.into()],
        read,
    )
}

/// Repositories of a namespace after `after` in byte order, at most `rows` of them.
pub(crate) fn list(
    tx: &Transaction<'_>,
    namespace: &str,
    after: &str,
    rows: usize,
) -> Result<Vec<Shown>, Fault> {
    // `0` is the byte behind `/`.
    let (begin, end) = (format!("{namespace}/"), format!("{namespace}0"));
    let after = after.max(begin.as_str());
    tx.query(
        "SELECT name, visibility, created_at FROM repositories
         WHERE name > $1 AND name < $2 AND deleted_at IS NULL ORDER BY name LIMIT $3",
        &[after.into(), end.as_str().into(), limit(rows)],
        read,
    )
}

/// Repositories without a namespace after `after` in byte order, at most `rows` of them.
pub(crate) fn list_official(
    tx: &Transaction<'_>,
    after: &str,
    rows: usize,
) -> Result<Vec<Shown>, Fault> {
    tx.query(
        "SELECT name, visibility, created_at FROM repositories
         WHERE name > $1 AND name NOT LIKE '%/%' AND deleted_at IS NULL
         ORDER BY name LIMIT $2",
        &[after.into(), limit(rows)],
        read,
    )
}

/// Shows a repository to all, hides it, or leaves that to the configuration.
pub(crate) fn set(tx: &Transaction<'_>, name: &str, visibility: Option<&str>) -> Result<(), Fault> {
    tx.run(
        "UPDATE repositories SET visibility = $2 WHERE name = $1",
        &[name.into(), visibility.into()],
    )
}
