//! What accounts are to namespaces and repositories: all that a decision needs, in as few statements as can be.

use super::Transaction;
use super::accounts::AccountId;
use super::namespaces::NamespaceId;
use crate::fault::Fault;

/// What there is to know of a repository before it is decided who may do what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) exists: bool,
    /// It was, and may come back.
    pub(crate) was_deleted: bool,
    /// `public` or `private`; absent for what namespace and configuration say.
    pub(crate) visibility: Option<String>,
    /// It is a copy from an upstream.
    pub(crate) is_copy: bool,
}

/// A repository's visibility, if it is there.
pub(crate) fn repository(tx: &Transaction<'_>, name: &str) -> Result<Found, Fault> {
    let found = tx.query_one(
        "SELECT visibility, deleted_at, upstream IS NOT NULL FROM repositories WHERE name = $1",
        &[name.into()],
        |row| {
            let was_deleted = row.optional_int(1)?.is_some();
            Ok(Found {
                exists: !was_deleted,
                was_deleted,
                visibility: row.optional_text(0)?,
                is_copy: row.int(2)? != 0,
            })
        },
    )?;
    Ok(found.unwrap_or_default())
}

/// The role of an account as a member of a namespace.
pub(crate) fn role_in(
    tx: &Transaction<'_>,
    account: AccountId,
    namespace: &str,
) -> Result<Option<String>, Fault> {
    tx.query_one(
        "SELECT members.role FROM namespaces
         JOIN members ON members.namespace_id = namespaces.id AND members.account_id = $1
         WHERE namespaces.name = $2",
        &[account.0.into(), namespace.into()],
        |row| row.text(0),
    )
}

/// Every namespace that an account is a member of, with the role.
pub(crate) fn memberships(
    tx: &Transaction<'_>,
    account: AccountId,
) -> Result<Vec<(String, String)>, Fault> {
    tx.query(
        "SELECT namespaces.name, members.role FROM members
         JOIN namespaces ON namespaces.id = members.namespace_id
         WHERE members.account_id = $1 ORDER BY namespaces.name",
        &[account.0.into()],
        |row| Ok((row.text(0)?, row.text(1)?)),
    )
}

/// What was granted to an account and to the teams that it is in: patterns with roles.
pub(crate) fn grants(
    tx: &Transaction<'_>,
    account: AccountId,
) -> Result<Vec<(String, String)>, Fault> {
    tx.query(
        "SELECT pattern, role FROM grants WHERE account_id = $1
         UNION ALL
         SELECT grants.pattern, grants.role FROM team_members
         JOIN grants ON grants.team_id = team_members.team_id
         WHERE team_members.account_id = $1",
        &[account.0.into()],
        |row| Ok((row.text(0)?, row.text(1)?)),
    )
}

/// Whether an account is in the team `namespace/team`.
pub(crate) fn is_in_team(
    tx: &Transaction<'_>,
    account: AccountId,
    namespace: &str,
    team: &str,
) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM namespaces
         JOIN teams ON teams.namespace_id = namespaces.id AND teams.name = $3
         JOIN team_members ON team_members.team_id = teams.id AND team_members.account_id = $1
         WHERE namespaces.name = $2 LIMIT 1",
        &[account.0.into(), namespace.into(), team.into()],
    )
}

/// The id of the team `namespace/team`.
pub(crate) fn team(
    tx: &Transaction<'_>,
    namespace: &str,
    team: &str,
) -> Result<Option<(i64, NamespaceId)>, Fault> {
    tx.query_one(
        "SELECT teams.id, namespaces.id FROM namespaces
         JOIN teams ON teams.namespace_id = namespaces.id AND teams.name = $2
         WHERE namespaces.name = $1",
        &[namespace.into(), team.into()],
        |row| Ok((row.int(0)?, NamespaceId(row.int(1)?))),
    )
}

/// Has an account be in these teams by the word of a source, and in no other by the same (S11); whether
/// anything changed.
pub(crate) fn replace_teams(
    tx: &Transaction<'_>,
    account: AccountId,
    source: &str,
    teams: &[i64],
    now: crate::clock::Timestamp,
) -> Result<bool, Fault> {
    let before = tx.query(
        "SELECT team_id FROM team_members WHERE account_id = $1 AND source = $2",
        &[account.0.into(), source.into()],
        |row| row.int(0),
    )?;
    let mut is_changed = false;
    for gone in before.iter().filter(|id| !teams.contains(id)) {
        is_changed = true;
        tx.run(
            "DELETE FROM team_members WHERE team_id = $1 AND account_id = $2 AND source = $3",
            &[(*gone).into(), account.0.into(), source.into()],
        )?;
    }
    for new in teams.iter().filter(|id| !before.contains(id)) {
        is_changed = true;
        tx.run(
            "INSERT INTO team_members (team_id, account_id, source, added_at)
             VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            &[(*new).into(), account.0.into(), source.into(), now.0.into()],
        )?;
    }
    Ok(is_changed)
}
