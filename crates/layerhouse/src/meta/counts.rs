//! How often repositories are pulled, pushed and starred, and when they last were.

use super::Transaction;
use super::repositories::RepositoryId;
use crate::clock::Timestamp;
use crate::fault::Fault;

/// What is counted of a repository.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) pulls: i64,
    pub(crate) pushes: i64,
    pub(crate) stars: i64,
    pub(crate) last_pulled_at: Option<Timestamp>,
    pub(crate) last_pushed_at: Option<Timestamp>,
}

/// What was counted of a repository so far.
pub(crate) fn find(tx: &Transaction<'_>, repository: RepositoryId) -> Result<Counts, Fault> {
    let found = tx.query_one(
        "SELECT pulls, pushes, stars, last_pulled_at, last_pushed_at FROM repository_counts
         WHERE repository_id = $1",
        &[repository.0.into()],
        read,
    )?;
    Ok(found.unwrap_or_default())
}

fn read(row: &super::Row<'_>) -> Result<Counts, Fault> {
    Ok(Counts {
        pulls: row.int(0)?,
        pushes: row.int(1)?,
        stars: row.int(2)?,
        last_pulled_at: row.optional_int(3)?.map(Timestamp),
        last_pushed_at: row.optional_int(4)?.map(Timestamp),
    })
}

/// Adds pulls, the last of them at `last`; all counts after it.
pub(crate) fn add_pulls(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    pulls: i64,
    last: Timestamp,
) -> Result<Counts, Fault> {
    let counts = tx.query_one(
        "INSERT INTO repository_counts (repository_id, pulls, last_pulled_at) VALUES ($1, $2, $3)
         ON CONFLICT (repository_id)
         DO UPDATE SET pulls = repository_counts.pulls + excluded.pulls,
                       last_pulled_at = excluded.last_pulled_at
         RETURNING pulls, pushes, stars, last_pulled_at, last_pushed_at",
        &[repository.0.into(), pulls.into(), last.0.into()],
        read,
    )?;
    Ok(counts.unwrap_or_default())
}

/// Adds pushes, the last of them at `last`.
pub(crate) fn add_pushes(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    pushes: i64,
    last: Timestamp,
) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO repository_counts (repository_id, pushes, last_pushed_at) VALUES ($1, $2, $3)
         ON CONFLICT (repository_id)
         DO UPDATE SET pushes = repository_counts.pushes + excluded.pushes,
                       last_pushed_at = excluded.last_pushed_at",
        &[repository.0.into(), pushes.into(), last.0.into()],
    )?;
    Ok(())
}
