//! Roles in the repositories that a pattern names, for a team or an account.

use serde_json::json;

use super::audit::{Action, Audit};
use super::organizations::{OrganizationError, demand_owner, find};
use super::teams::{TeamError, find_team};
use super::{Index, Sort, page};
use crate::auth::permits::{AdminPermit, Asker, NamespacePermit};
use crate::auth::rights::{Pattern, PatternError, Role};
use crate::fault::Fault;
use crate::meta::accounts;
use crate::meta::grants::{self, Grant, GrantId, Holder};
use crate::meta::namespaces::{self, NamespaceId};
use crate::meta::transaction::Transaction;

/// Whom something is granted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Grantee {
    /// `team` of the same namespace, or `namespace/team`.
    Team(String),
    /// A user, or a robot.
    Account(String),
}

/// A grant to be.
#[derive(Clone, Debug)]
pub(crate) struct NewGrant {
    pub(crate) pattern: String,
    pub(crate) role: Role,
    pub(crate) grantee: Grantee,
}

/// Why nothing was granted or taken back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GrantError {
    #[error(transparent)]
    Namespace(#[from] OrganizationError),
    #[error(transparent)]
    Team(#[from] TeamError),
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error(
        "{pattern} is not within {namespace}; write {namespace}/* for all of it, or {namespace}/… for one repository"
    )]
    Outside { pattern: String, namespace: String },
    #[error("{0} is in a namespace; grant it there")]
    NotOfficial(String),
    #[error("a grant makes nobody an owner; make them a member instead")]
    Owner,
    #[error("there is no account {0}")]
    UnknownAccount(String),
    #[error("teams are in organizations: write ORGANIZATION/TEAM, not {0}")]
    TeamName(String),
    #[error("there is no such grant; list them to see which there are")]
    Unknown,
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl GrantError {
    pub(crate) fn sort(&self) -> Sort<'_> {
        match self {
            Self::Namespace(error) => error.sort(),
            Self::Team(error) => error.sort(),
            Self::Pattern(_)
            | Self::Outside { .. }
            | Self::NotOfficial(_)
            | Self::Owner
            | Self::TeamName(_) => Sort::Invalid,
            Self::UnknownAccount(_) | Self::Unknown => Sort::Absent,
            Self::Fault(fault) => Sort::Fault(fault),
        }
    }
}

impl Index {
    /// Grants of a namespace after another one.
    pub(crate) fn grants(
        &self,
        permit: &NamespacePermit,
        after: Option<GrantId>,
        rows: usize,
    ) -> Result<Vec<Grant>, GrantError> {
        demand_owner(permit)?;
        self.look(|tx| {
            let namespace = find(tx, permit.namespace())?;
            list(tx, Some(namespace.id), after, rows)
        })
    }

    /// Grants of repositories without a namespace.
    pub(crate) fn official_grants(
        &self,
        _: &AdminPermit,
        after: Option<GrantId>,
        rows: usize,
    ) -> Result<Vec<Grant>, GrantError> {
        self.look(|tx| list(tx, None, after, rows))
    }

    /// Grants a role within a namespace, in place of the one that the same pattern gave to the same grantee.
    pub(crate) async fn grant(
        &self,
        permit: &NamespacePermit,
        new: NewGrant,
    ) -> Result<Grant, GrantError> {
        demand_owner(permit)?;
        let home = permit.namespace().clone();
        let pattern: Pattern = new.pattern.parse()?;
        if !pattern.is_within(home.as_str()) {
            return Err(GrantError::Outside {
                pattern: new.pattern,
                namespace: home.as_str().to_owned(),
            });
        }
        let audit = of_grant(permit.asker(), home.as_str(), &new)?;
        let now = self.now();
        self.change(audit, move |tx| {
            let namespace = find(tx, &home)?;
            let holder = match &new.grantee {
                Grantee::Team(team) => {
                    // Written either way; a team elsewhere is not theirs to trust with this.
                    let own = team.strip_prefix(home.as_str());
                    let own = own.and_then(|rest| rest.strip_prefix('/')).unwrap_or(team);
                    Holder::Team(find_team(tx, namespace.id, own)?.id)
                }
                Grantee::Account(name) => account(tx, name)?,
            };
            let of = Some(namespace.id);
            let id = grants::set(tx, of, holder, pattern.as_str(), new.role.as_str(), now)?;
            grants::by_id(tx, of, id)?.ok_or(GrantError::Unknown)
        })
        .await
    }

    /// Grants a role in repositories without a namespace, or in all there are.
    pub(crate) async fn grant_official(
        &self,
        permit: &AdminPermit,
        new: NewGrant,
    ) -> Result<Grant, GrantError> {
        let pattern: Pattern = new.pattern.parse()?;
        if pattern.as_str().contains('/') {
            return Err(GrantError::NotOfficial(new.pattern));
        }
        let audit = of_grant(permit.asker(), pattern.as_str(), &new)?;
        let now = self.now();
        self.change(audit, move |tx| {
            let holder = match &new.grantee {
                Grantee::Team(team) => {
                    let (home, team) = team
                        .split_once('/')
                        .ok_or_else(|| GrantError::TeamName(team.clone()))?;
                    let namespace = namespaces::by_name(tx, home)?
                        .ok_or_else(|| OrganizationError::Unknown(home.to_owned()))?;
                    Holder::Team(find_team(tx, namespace.id, team)?.id)
                }
                Grantee::Account(name) => account(tx, name)?,
            };
            let id = grants::set(tx, None, holder, pattern.as_str(), new.role.as_str(), now)?;
            grants::by_id(tx, None, id)?.ok_or(GrantError::Unknown)
        })
        .await
    }

    /// Takes a grant of a namespace back.
    pub(crate) async fn revoke_grant(
        &self,
        permit: &NamespacePermit,
        id: GrantId,
    ) -> Result<(), GrantError> {
        demand_owner(permit)?;
        let home = permit.namespace().clone();
        let found = self.look(|tx| {
            let namespace = find(tx, &home)?;
            let grant = grants::by_id(tx, Some(namespace.id), id)?;
            grant.ok_or(GrantError::Unknown)
        })?;
        let detail = told(&found);
        let audit = Audit::by(permit.asker(), Action::GrantRevoke, home.as_str(), detail);
        self.change(audit, move |tx| {
            let namespace = find(tx, &home)?;
            grants::by_id(tx, Some(namespace.id), id)?.ok_or(GrantError::Unknown)?;
            Ok(grants::delete(tx, id)?)
        })
        .await
    }

    /// Takes a grant without a namespace back.
    pub(crate) async fn revoke_official_grant(
        &self,
        permit: &AdminPermit,
        id: GrantId,
    ) -> Result<(), GrantError> {
        let found = self.look(|tx| grants::by_id(tx, None, id)?.ok_or(GrantError::Unknown))?;
        let detail = told(&found);
        let action = Action::GrantRevoke;
        let audit = Audit::by(permit.asker(), action, found.pattern.as_str(), detail);
        self.change(audit, move |tx| {
            grants::by_id(tx, None, id)?.ok_or(GrantError::Unknown)?;
            Ok(grants::delete(tx, id)?)
        })
        .await
    }
}

fn list(
    tx: &Transaction<'_>,
    namespace: Option<NamespaceId>,
    after: Option<GrantId>,
    rows: usize,
) -> Result<Vec<Grant>, GrantError> {
    let after = after.map_or(0, |after| after.0);
    Ok(grants::list(tx, namespace, after, page(rows))?)
}

fn account(tx: &Transaction<'_>, name: &str) -> Result<Holder, GrantError> {
    let found = accounts::by_name(tx, name)?;
    let found = found.ok_or_else(|| GrantError::UnknownAccount(name.to_owned()))?;
    Ok(Holder::Account(found.id))
}

fn of_grant(asker: &Asker, subject: &str, new: &NewGrant) -> Result<Audit, GrantError> {
    if new.role == Role::Owner {
        return Err(GrantError::Owner);
    }
    let mut detail = json!({ "pattern": new.pattern, "role": new.role.as_str() });
    match &new.grantee {
        Grantee::Team(team) => detail["team"] = json!(team),
        Grantee::Account(name) => detail["account"] = json!(name),
    }
    Ok(Audit::by(asker, Action::GrantSet, subject, detail))
}

fn told(grant: &Grant) -> serde_json::Value {
    json!({
        "pattern": grant.pattern,
        "role": grant.role,
        "team": grant.team,
        "account": grant.account,
    })
}
