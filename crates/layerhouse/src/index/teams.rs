//! Teams of a namespace: people who are granted things together.

use layerhouse_oci::name::RepositoryName;
use serde_json::json;

use super::audit::{Action, Audit};
use super::organizations::{DESCRIPTION_BYTES_MAX, OrganizationError, demand_owner, find};
use super::users::{self, UserError, is_line};
use super::{Index, Sort, page};
use crate::auth::permits::NamespacePermit;
use crate::auth::sign_in::LOCAL;
use crate::fault::Fault;
use crate::meta::namespaces::NamespaceId;
use crate::meta::teams::{self, Team, TeamMember};
use crate::meta::transaction::Transaction;

/// Longest name of a team or a robot, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Why a team was not made, changed or removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TeamError {
    #[error(transparent)]
    Namespace(#[from] OrganizationError),
    #[error(transparent)]
    User(#[from] UserError),
    #[error(
        "{0:?} cannot be the name of a team: it takes 1 to 64 of a-z, 0-9, and between them `.`, `_`, `-`"
    )]
    Name(String),
    #[error("a description has at most {DESCRIPTION_BYTES_MAX} bytes and no control characters")]
    Description,
    #[error("there is a team {0} already; choose another name")]
    Taken(String),
    #[error("there is no team {0}")]
    Unknown(String),
    #[error("{0} is not in the team; list its members to see who is")]
    NotMember(String),
    #[error("{user} is in the team by the word of {from}; change the groups there")]
    Elsewhere { user: String, from: String },
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl TeamError {
    pub(crate) fn sort(&self) -> Sort<'_> {
        match self {
            Self::Namespace(error) => error.sort(),
            Self::User(error) => error.sort(),
            Self::Name(_) | Self::Description => Sort::Invalid,
            Self::Taken(_) => Sort::Taken,
            Self::Unknown(_) | Self::NotMember(_) => Sort::Absent,
            Self::Elsewhere { .. } => Sort::Conflict,
            Self::Fault(fault) => Sort::Fault(fault),
        }
    }
}

impl Index {
    /// Teams after a name, in the order of their names.
    pub(crate) fn teams(
        &self,
        permit: &NamespacePermit,
        after: &str,
        rows: usize,
    ) -> Result<Vec<Team>, TeamError> {
        self.look(|tx| {
            let namespace = find(tx, permit.namespace())?;
            Ok(teams::list(tx, namespace.id, after, page(rows))?)
        })
    }

    /// The team called `name`.
    pub(crate) fn team(&self, permit: &NamespacePermit, name: &str) -> Result<Team, TeamError> {
        self.look(|tx| find_team(tx, find(tx, permit.namespace())?.id, name))
    }

    /// Makes a team without members.
    pub(crate) async fn create_team(
        &self,
        permit: &NamespacePermit,
        name: &str,
        description: &str,
    ) -> Result<Team, TeamError> {
        demand_owner(permit)?;
        if !is_component(name) {
            return Err(TeamError::Name(name.to_owned()));
        }
        if !is_line(description, DESCRIPTION_BYTES_MAX) {
            return Err(TeamError::Description);
        }
        let audit = of_team(permit, Action::TeamCreate, name, None);
        let (name, description, now) = (name.to_owned(), description.to_owned(), self.now());
        let home = permit.namespace().clone();
        self.change(audit, move |tx| {
            let namespace = find(tx, &home)?;
            if teams::by_name(tx, namespace.id, &name)?.is_some() {
                return Err(TeamError::Taken(name));
            }
            teams::create(tx, namespace.id, &name, &description, now)?;
            find_team(tx, namespace.id, &name)
        })
        .await
    }

    /// Removes a team with what was granted to it.
    pub(crate) async fn delete_team(
        &self,
        permit: &NamespacePermit,
        name: &str,
    ) -> Result<(), TeamError> {
        demand_owner(permit)?;
        let audit = of_team(permit, Action::TeamDelete, name, None);
        let (home, name) = (permit.namespace().clone(), name.to_owned());
        self.change(audit, move |tx| {
            let team = find_team(tx, find(tx, &home)?.id, &name)?;
            Ok(teams::delete(tx, team.id)?)
        })
        .await
    }

    /// Who is in a team after a name, in the order of their names.
    pub(crate) fn team_members(
        &self,
        permit: &NamespacePermit,
        team: &str,
        after: &str,
        rows: usize,
    ) -> Result<Vec<TeamMember>, TeamError> {
        self.look(|tx| {
            let team = find_team(tx, find(tx, permit.namespace())?.id, team)?;
            Ok(teams::members(tx, team.id, after, page(rows))?)
        })
    }

    /// Puts a user into a team.
    pub(crate) async fn add_to_team(
        &self,
        permit: &NamespacePermit,
        team: &str,
        user: &str,
    ) -> Result<(), TeamError> {
        demand_owner(permit)?;
        let audit = of_team(permit, Action::TeamAdd, team, Some(user));
        let (home, team, user) = (permit.namespace().clone(), team.to_owned(), user.to_owned());
        let now = self.now();
        self.change(audit, move |tx| {
            let team = find_team(tx, find(tx, &home)?.id, &team)?;
            let account = users::find(tx, &user)?;
            Ok(teams::add(tx, team.id, account.id, now)?)
        })
        .await
    }

    /// Takes a user out of a team.
    pub(crate) async fn remove_from_team(
        &self,
        permit: &NamespacePermit,
        team: &str,
        user: &str,
    ) -> Result<(), TeamError> {
        demand_owner(permit)?;
        let audit = of_team(permit, Action::TeamRemove, team, Some(user));
        let (home, team, user) = (permit.namespace().clone(), team.to_owned(), user.to_owned());
        self.change(audit, move |tx| {
            let team = find_team(tx, find(tx, &home)?.id, &team)?;
            let account = users::find(tx, &user)?;
            let sources = teams::sources(tx, team.id, account.id)?;
            if sources.is_empty() {
                return Err(TeamError::NotMember(user));
            }
            // What a group elsewhere says would put them back at their next sign-in.
            if let Some(from) = sources.into_iter().find(|source| source != LOCAL) {
                return Err(TeamError::Elsewhere { user, from });
            }
            Ok(teams::remove(tx, team.id, account.id)?)
        })
        .await
    }
}

fn of_team(permit: &NamespacePermit, action: Action, team: &str, user: Option<&str>) -> Audit {
    let mut detail = json!({ "team": team });
    if let Some(user) = user {
        detail["user"] = json!(user);
    }
    Audit::by(permit.asker(), action, permit.namespace().as_str(), detail)
}

/// The team called `name`.
pub(super) fn find_team(
    tx: &Transaction<'_>,
    namespace: NamespaceId,
    name: &str,
) -> Result<Team, TeamError> {
    let found = teams::by_name(tx, namespace, name)?;
    found.ok_or_else(|| TeamError::Unknown(name.to_owned()))
}

/// Whether a text is one component of a repository's name, and not longer than a name of ours.
pub(super) fn is_component(text: &str) -> bool {
    text.len() <= NAME_BYTES_MAX && !text.contains('/') && text.parse::<RepositoryName>().is_ok()
}
