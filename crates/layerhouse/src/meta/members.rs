//! Members: the role that an account has in all of a namespace.

use super::accounts::AccountId;
use super::namespaces::NamespaceId;
use super::{Row, Transaction, limit};
use crate::clock::Timestamp;
use crate::fault::Fault;

/// A row of `members`, with the account's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) full_name: String,
    pub(crate) role: String,
    pub(crate) added_at: Timestamp,
}

fn read(row: &Row<'_>) -> Result<Member, Fault> {
    Ok(Member {
        name: row.text(0)?,
        full_name: row.text(1)?,
        role: row.text(2)?,
        added_at: Timestamp(row.int(3)?),
    })
}

/// Members of a namespace after `after` in byte order of their names, at most `rows` of them.
pub(crate) fn list(
    tx: &Transaction<'_>,
    namespace: NamespaceId,
    after: &str,
    rows: usize,
) -> Result<Vec<Member>, Fault> {
    tx.query(
        "SELECT accounts.name, accounts.full_name, members.role, members.added_at FROM members
         JOIN accounts ON accounts.id = members.account_id
         WHERE members.namespace_id = $1 AND accounts.name > $2 ORDER BY accounts.name LIMIT $3",
        &[namespace.0.into(), after.into(), limit(rows)],
        read,
    )
}

/// The role of an account in a namespace.
pub(crate) fn role(
    tx: &Transaction<'_>,
    namespace: NamespaceId,
    account: AccountId,
) -> Result<Option<String>, Fault> {
    tx.query_one(
        "SELECT role FROM members WHERE namespace_id = $1 AND account_id = $2",
        &[namespace.0.into(), account.0.into()],
        |row| row.text(0),
    )
}

/// Gives an account this role in a namespace, in place of the one that it had.
pub(crate) fn set(
    tx: &Transaction<'_>,
    namespace: NamespaceId,
    account: AccountId,
    role: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO members (namespace_id, account_id, role, added_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (namespace_id, account_id) DO UPDATE SET role = excluded.role",
        &[
            namespace.0.into(),
            account.0.into(),
            role.into(),
            now.0.into(),
        ],
    )
}

/// Takes an account's role in a namespace away; whether it had one.
pub(crate) fn remove(
    tx: &Transaction<'_>,
    namespace: NamespaceId,
    account: AccountId,
) -> Result<bool, Fault> {
    let removed = tx.execute(
        "DELETE FROM members WHERE namespace_id = $1 AND account_id = $2",
        &[namespace.0.into(), account.0.into()],
    )?;
    Ok(0 < removed)
}

/// Whether a namespace has an owner beside this account.
pub(crate) fn has_owner_beside(
    tx: &Transaction<'_>,
    namespace: NamespaceId,
    account: AccountId,
) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM members
         WHERE namespace_id = $1 AND role = 'owner' AND account_id <> $2 LIMIT 1",
        &[namespace.0.into(), account.0.into()],
    )
}

/// The organizations that have this account for their only owner.
pub(crate) fn owned_alone(tx: &Transaction<'_>, account: AccountId) -> Result<Vec<String>, Fault> {
    tx.query(
        "SELECT namespaces.name FROM members AS own
         JOIN namespaces ON namespaces.id = own.namespace_id AND namespaces.kind = 'organization'
         WHERE own.account_id = $1 AND own.role = 'owner'
           AND NOT EXISTS (SELECT 1 FROM members
                           WHERE namespace_id = own.namespace_id AND role = 'owner'
                             AND account_id <> $1)
         ORDER BY namespaces.name LIMIT 10",
        &[account.0.into()],
        |row| row.text(0),
    )
}
