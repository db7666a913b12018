//! Rows for measurements: what a busy house has gathered in years.

use super::Transaction;
use super::accounts::AccountId;
use super::repositories::RepositoryId;
use crate::fault::Fault;

/// A repository with numbers.
pub(crate) fn make_repository(
    tx: &Transaction<'_>,
    id: i64,
    name: &str,
    visibility: &str,
    (stars, pulls): (i64, i64),
) -> Result<RepositoryId, Fault> {
    tx.run(
        "INSERT INTO repositories (id, name, created_at, visibility) VALUES ($1, $2, 0, $3)",
        &[id.into(), name.into(), visibility.into()],
    )?;
    tx.run(
        "INSERT INTO repository_counts (repository_id, pulls, stars) VALUES ($1, $2, $3)",
        &[id.into(), pulls.into(), stars.into()],
    )?;
    Ok(RepositoryId(id))
}

/// An account that is a member of these namespaces.
pub(crate) fn make_member(
    tx: &Transaction<'_>,
    account: i64,
    namespaces: &[String],
) -> Result<AccountId, Fault> {
    let name = format!("user{account}");
    tx.run(
        "INSERT INTO accounts (id, name, kind, source, created_at) VALUES ($1, $2, 'user', 'local', 0)",
        &[account.into(), name.as_str().into()],
    )?;
    for (number, namespace) in (0..).zip(namespaces) {
        let id = (account << 32) + number;
        tx.run(
            "INSERT INTO namespaces (id, name, kind, created_at) VALUES ($1, $2, 'organization', 0)
             ON CONFLICT DO NOTHING",
            &[id.into(), namespace.as_str().into()],
        )?;
        tx.run(
            "INSERT INTO members (namespace_id, account_id, role, added_at)
             SELECT id, $1, 'reader', 0 FROM namespaces WHERE name = $2",
            &[account.into(), namespace.as_str().into()],
        )?;
    }
    Ok(AccountId(account))
}

/// Everything that was queued is known from now on: images of many sizes for one platform or two.
pub(crate) fn learn_all(tx: &Transaction<'_>) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO image_facts (repository_id, digest, kind, image_bytes, largest_bytes, platforms,
                                  created_at)
         SELECT repository_id, digest, 'image', ABS(RANDOM() % 1000000000), 1000000,
                'linux/amd64,linux/arm64/v8', 1
         FROM image_queue",
        &[],
    )?;
    tx.run("DELETE FROM image_queue", &[])?;
    Ok(())
}

#[cfg(test)]
impl RepositoryId {
    pub(crate) fn first_made() -> Self {
        Self(1)
    }
}

/// As whatever will remove repositories.
#[cfg(test)]
pub(crate) fn delete_repository(
    tx: &Transaction<'_>,
    repository: RepositoryId,
) -> Result<(), Fault> {
    tx.execute(
        "DELETE FROM repositories WHERE id = $1",
        &[repository.0.into()],
    )?;
    Ok(())
}
