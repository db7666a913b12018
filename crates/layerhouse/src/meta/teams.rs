//! Teams of organizations, and who is in them.

use super::accounts::AccountId;
use super::namespaces::NamespaceId;
use super::{Row, Transaction, limit};
use crate::clock::Timestamp;
use crate::fault::Fault;

/// The key of a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TeamId(pub(crate) i64);

/// A row of `teams`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Team {
    pub(crate) id: TeamId,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) created_at: Timestamp,
}

/// Somebody in a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TeamMember {
    pub(crate) name: String,
    /// By whose word: `local` for people's.
    pub(crate) source: String,
    pub(crate) added_at: Timestamp,
}

fn read(row: &Row<'_>) -> Result<Team, Fault> {
    Ok(Team {
        id: TeamId(row.int(0)?),
        name: row.text(1)?,
        description: row.text(2)?,
        created_at: Timestamp(row.int(3)?),
    })
}

/// The team of a namespace called `name`.
pub(crate) fn by_name(
    tx: &Transaction<'_>,
    namespace: NamespaceId,
    name: &str,
) -> Result<Option<Team>, Fault> {
    tx.query_one(
        "SELECT id, name, description, created_at FROM teams WHERE namespace_id = $1 AND name = $2",
        &[namespace.0.into(), name.into()],
        read,
    )
}

/// Teams of a namespace after `after` in byte order of their names, at most `rows` of them.
pub(crate) fn list(
    tx: &Transaction<'_>,
    namespace: NamespaceId,
    after: &str,
    rows: usize,
) -> Result<Vec<Team>, Fault> {
    tx.query(
        "SELECT id, name, description, created_at FROM teams
         WHERE namespace_id = $1 AND name > $2 ORDER BY name LIMIT $3",
        &[namespace.0.into(), after.into(), limit(rows)],
        read,
    )
}

/// Makes a team; its name must be free.
pub(crate) fn create(
    tx: &Transaction<'_>,
    namespace: NamespaceId,
    name: &str,
    description: &str,
    now: Timestamp,
) -> Result<TeamId, Fault> {
    let id = super::next_id(tx, "SELECT COALESCE(MAX(id), 0) FROM teams", now)?;
    tx.run(
        "INSERT INTO teams (id, namespace_id, name, description, created_at)
         VALUES ($1, $2, $3, $4, $5)",
        &[
            id.into(),
            namespace.0.into(),
            name.into(),
            description.into(),
            now.0.into(),
        ],
    )?;
    Ok(TeamId(id))
}

/// Removes a team with what was granted to it.
pub(crate) fn delete(tx: &Transaction<'_>, id: TeamId) -> Result<(), Fault> {
    tx.run("DELETE FROM teams WHERE id = $1", &[id.0.into()])
}

/// Who is in a team after `after` in byte order of their names, at most `rows` of them; by the word of several,
/// once.
pub(crate) fn members(
    tx: &Transaction<'_>,
    id: TeamId,
    after: &str,
    rows: usize,
) -> Result<Vec<TeamMember>, Fault> {
    tx.query(
        "SELECT accounts.name, MIN(team_members.source), MIN(team_members.added_at)
         FROM team_members JOIN accounts ON accounts.id = team_members.account_id
         WHERE team_members.team_id = $1 AND accounts.name > $2
         GROUP BY accounts.name ORDER BY accounts.name LIMIT $3",
        &[id.0.into(), after.into(), limit(rows)],
        |row| {
            Ok(TeamMember {
                name: row.text(0)?,
                source: row.text(1)?,
                added_at: Timestamp(row.int(2)?),
            })
        },
    )
}

/// Puts an account into a team by people's word.
pub(crate) fn add(
    tx: &Transaction<'_>,
    id: TeamId,
    account: AccountId,
    now: Timestamp,
) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO team_members (team_id, account_id, source, added_at)
         VALUES ($1, $2, 'local', $3) ON CONFLICT DO NOTHING",
        &[id.0.into(), account.0.into(), now.0.into()],
    )
}

/// By whose word an account is in a team.
pub(crate) fn sources(
    tx: &Transaction<'_>,
    id: TeamId,
    account: AccountId,
) -> Result<Vec<String>, Fault> {
    tx.query(
        "SELECT source FROM team_members WHERE team_id = $1 AND account_id = $2 ORDER BY source",
        &[id.0.into(), account.0.into()],
        |row| row.text(0),
    )
}

/// Takes an account out of a team where people put it there.
pub(crate) fn remove(tx: &Transaction<'_>, id: TeamId, account: AccountId) -> Result<(), Fault> {
    tx.run(
        "DELETE FROM team_members WHERE team_id = $1 AND account_id = $2 AND source = 'local'",
        &[id.0.into(), account.0.into()],
    )
}
