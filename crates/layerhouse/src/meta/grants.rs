//! Grants: a role in the repositories that a pattern names, for a team or an account.

use super::accounts::AccountId;
use super::namespaces::NamespaceId;
use super::teams::TeamId;
use super::{Row, Transaction, limit};
use crate::clock::Timestamp;
use crate::fault::Fault;

/// The key of a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GrantId(pub(crate) i64);

/// Who has a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Team(TeamId),
    Account(AccountId),
}

impl Holder {
    /// The columns `team_id` and `account_id`.
    fn columns(self) -> (Option<i64>, Option<i64>) {
        match self {
            Self::Team(id) => (Some(id.0), None),
            Self::Account(id) => (None, Some(id.0)),
        }
    }
}

/// A row of `grants`, with names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) id: GrantId,
    pub(crate) pattern: String,
    pub(crate) role: String,
    /// `namespace/team`, if a team has it.
    pub(crate) team: Option<String>,
    /// Else an account.
    pub(crate) account: Option<String>,
    pub(crate) created_at: Timestamp,
}

fn read(row: &Row<'_>) -> Result<Grant, Fault> {
    Ok(Grant {
        id: GrantId(row.int(0)?),
        pattern: row.text(1)?,
        role: row.text(2)?,
        team: row.optional_text(3)?,
        account: row.optional_text(4)?,
        created_at: Timestamp(row.int(5)?),
    })
}

/// Grants of a namespace, or without one, from the first behind `after`, at most `rows` of them.
pub(crate) fn list(
    tx: &Transaction<'_>,
    namespace: Option<NamespaceId>,
    after: i64,
    rows: usize,
) -> Result<Vec<Grant>, Fault> {
    let rows = limit(rows);
    match namespace {
        Some(namespace) => tx.query(
            "SELECT grants.id, grants.pattern, grants.role, homes.name || '/' || teams.name,
                    accounts.name, grants.created_at
             FROM grants
             LEFT JOIN teams ON teams.id = grants.team_id
             LEFT JOIN namespaces AS homes ON homes.id = teams.namespace_id
             LEFT JOIN accounts ON accounts.id = grants.account_id
             WHERE grants.namespace_id = $1 AND grants.id > $2 ORDER BY grants.id LIMIT $3",
            &[namespace.0.into(), after.into(), rows],
            read,
        ),
        None => tx.query(
            "SELECT grants.id, grants.pattern, grants.role, homes.name || '/' || teams.name,
                    accounts.name, grants.created_at
             FROM grants
             LEFT JOIN teams ON teams.id = grants.team_id
             LEFT JOIN namespaces AS homes ON homes.id = teams.namespace_id
             LEFT JOIN accounts ON accounts.id = grants.account_id
             WHERE grants.namespace_id IS NULL AND grants.id > $1 ORDER BY grants.id LIMIT $2",
            &[after.into(), rows],
            read,
        ),
    }
}

/// The grant with this id in a namespace, or without one.
pub(crate) fn by_id(
    tx: &Transaction<'_>,
    namespace: Option<NamespaceId>,
    id: GrantId,
) -> Result<Option<Grant>, Fault> {
    let found = list(tx, namespace, id.0 - 1, 1)?.into_iter().next();
    Ok(found.filter(|grant| grant.id == id))
}

/// Every grant that an account has, its own and its teams', with names.
pub(crate) fn of_account(tx: &Transaction<'_>, account: AccountId) -> Result<Vec<Grant>, Fault> {
    tx.query(
        "SELECT grants.id, grants.pattern, grants.role, homes.name || '/' || teams.name,
                accounts.name, grants.created_at
         FROM grants
         LEFT JOIN teams ON teams.id = grants.team_id
         LEFT JOIN namespaces AS homes ON homes.id = teams.namespace_id
         LEFT JOIN accounts ON accounts.id = grants.account_id
         WHERE grants.account_id = $1
            OR grants.team_id IN (SELECT team_id FROM team_members WHERE account_id = $1)
         ORDER BY grants.id",
        &[account.0.into()],
        read,
    )
}

/// Gives a role; in place of the one that the same pattern gave to the same holder.
pub(crate) fn set(
    tx: &Transaction<'_>,
    namespace: Option<NamespaceId>,
    holder: Holder,
    pattern: &str,
    role: &str,
    now: Timestamp,
) -> Result<GrantId, Fault> {
    let (team, account) = holder.columns();
    // A repository has one namespace, so a pattern of one is of no other.
    let same = match holder {
        Holder::Team(id) => tx.query_one(
            "SELECT id FROM grants WHERE team_id = $1 AND pattern = $2",
            &[id.0.into(), pattern.into()],
            |row| row.int(0),
        )?,
        Holder::Account(id) => tx.query_one(
            "SELECT id FROM grants WHERE account_id = $1 AND pattern = $2",
            &[id.0.into(), pattern.into()],
            |row| row.int(0),
        )?,
    };
    if let Some(id) = same {
        tx.run(
            "UPDATE grants SET role = $2 WHERE id = $1",
            &[id.into(), role.into()],
        )?;
        return Ok(GrantId(id));
    }
    let id = super::next_id(tx, "SELECT COALESCE(MAX(id), 0) FROM grants", now)?;
    tx.run(
        "INSERT INTO grants (id, namespace_id, team_id, account_id, pattern, role, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            id.into(),
            namespace.map(|namespace| namespace.0).into(),
            team.into(),
            account.into(),
            pattern.into(),
            role.into(),
            now.0.into(),
        ],
    )?;
    Ok(GrantId(id))
}

/// Removes a grant.
pub(crate) fn delete(tx: &Transaction<'_>, id: GrantId) -> Result<(), Fault> {
    tx.run("DELETE FROM grants WHERE id = $1", &[id.0.into()])
}
