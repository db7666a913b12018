//! Stars: which repositories an account likes. Triggers of the schema count them (see `counts`).

use super::Transaction;
use super::accounts::AccountId;
use super::repositories::RepositoryId;
use crate::clock::Timestamp;
use crate::fault::Fault;

/// Gives a star; whether it was not there.
pub(crate) fn add(
    tx: &Transaction<'_>,
    account: AccountId,
    repository: RepositoryId,
    now: Timestamp,
) -> Result<bool, Fault> {
    let added = tx.execute(
        "INSERT INTO stars (account_id, repository_id, starred_at) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING",
        &[account.0.into(), repository.0.into(), now.0.into()],
    )?;
    Ok(added == 1)
}

/// Takes a star back; whether it was there.
pub(crate) fn remove(
    tx: &Transaction<'_>,
    account: AccountId,
    repository: RepositoryId,
) -> Result<bool, Fault> {
    let removed = tx.execute(
        "DELETE FROM stars WHERE account_id = $1 AND repository_id = $2",
        &[account.0.into(), repository.0.into()],
    )?;
    Ok(removed == 1)
}

/// Whether an account gave a repository a star.
pub(crate) fn exists(
    tx: &Transaction<'_>,
    account: AccountId,
    repository: RepositoryId,
) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM stars WHERE account_id = $1 AND repository_id = $2",
        &[account.0.into(), repository.0.into()],
    )
}

/// A repository that an account gave a star.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Starred {
    pub(crate) repository: RepositoryId,
    pub(crate) name: String,
    /// Its own, if it has one.
    pub(crate) visibility: Option<String>,
    /// When.
    pub(crate) at: Timestamp,
}

/// What an account gave stars, after `after` in byte order, at most `limit` of them.
pub(crate) fn of_account(
    tx: &Transaction<'_>,
    account: AccountId,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<Starred>, Fault> {
    tx.query(
        "SELECT repositories.id, repositories.name, repositories.visibility, stars.starred_at
         FROM stars JOIN repositories ON repositories.id = stars.repository_id
         WHERE stars.account_id = $1 AND repositories.name > $2 AND repositories.deleted_at IS NULL
         ORDER BY repositories.name LIMIT $3",
        &[
            account.0.into(),
            after.unwrap_or("").into(),
            super::limit(limit),
        ],
        |row| {
            Ok(Starred {
                repository: RepositoryId(row.int(0)?),
                name: row.text(1)?,
                visibility: row.optional_text(2)?,
                at: Timestamp(row.int(3)?),
            })
        },
    )
}
