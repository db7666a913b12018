//! Who may do what with a repository, and why: for people who ask before somebody is refused, and after.

use layerhouse_oci::name::RepositoryName;

use super::{Index, Sort};
use crate::auth::permits::RepositoryPermit;
use crate::auth::principal::Means;
use crate::auth::rights::{Deed, Pattern, Visibility};
use crate::fault::Fault;
use crate::meta::accounts::{self, Account};
use crate::meta::transaction::Transaction;
use crate::meta::{grants, members, namespaces, standing};

/// Members and grants that one answer lists, each.
const ROWS_MAX: usize = 1000;

/// Why somebody may do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// All may pull.
    Public,
    Admin,
    Member {
        namespace: String,
        role: String,
    },
    /// The team that pushes repositories without a slash.
    OfficialTeam {
        team: String,
    },
    Grant {
        pattern: String,
        role: String,
        /// `namespace/team`; absent for their own.
        team: Option<String>,
    },
    /// A role that a file of users gives everywhere.
    Everywhere {
        role: String,
    },
}

/// Whether somebody may do something, and what speaks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Explanation {
    pub(crate) is_allowed: bool,
    /// What gives them anything at all there.
    pub(crate) reasons: Vec<Reason>,
    pub(crate) is_disabled: bool,
}

/// Who has a role in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessList {
    pub(crate) visibility: Option<Visibility>,
    /// Members of its namespace, then grants that cover it.
    pub(crate) entries: Vec<AccessEntry>,
}

/// A role in a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessEntry {
    /// An account, or a team as `namespace/team`.
    pub(crate) who: String,
    pub(crate) is_team: bool,
    pub(crate) role: String,
    pub(crate) reason: Reason,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    #[error("this takes an owner of {0}; ask one")]
    NotOwner(String),
    #[error("there is no account {0}")]
    UnknownAccount(String),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl AccessError {
    pub(crate) fn sort(&self) -> Sort<'_> {
        match self {
            Self::NotOwner(_) => Sort::Forbidden,
            Self::UnknownAccount(_) => Sort::Absent,
            Self::Fault(fault) => Sort::Fault(fault),
        }
    }
}

impl Index {
    /// Who has a role in a repository, there or not.
    pub(crate) fn access_list(&self, permit: &RepositoryPermit) -> Result<AccessList, AccessError> {
        demand_owner(permit)?;
        let repository = permit.repository();
        self.look(|tx| {
            let mut entries = Vec::new();
            let namespace = match repository.namespace() {
                Some(name) => namespaces::by_name(tx, name.as_str())?,
                None => None,
            };
            if let Some(namespace) = &namespace {
                for member in members::list(tx, namespace.id, "", ROWS_MAX)? {
                    entries.push(AccessEntry {
                        who: member.name,
                        is_team: false,
                        role: member.role.clone(),
                        reason: Reason::Member {
                            namespace: namespace.name.clone(),
                            role: member.role,
                        },
                    });
                }
            }
            if let Some(team) = self.official_team(repository) {
                entries.push(AccessEntry {
                    who: team.clone(),
                    is_team: true,
                    role: "maintainer".to_owned(),
                    reason: Reason::OfficialTeam { team },
                });
            }
            let own = match &namespace {
                Some(namespace) => grants::list(tx, Some(namespace.id), 0, ROWS_MAX)?,
                None => Vec::new(),
            };
            let of_all = grants::list(tx, None, 0, ROWS_MAX)?;
            for grant in own.into_iter().chain(of_all) {
                if !covers(&grant.pattern, repository) {
                    continue;
                }
                entries.push(AccessEntry {
                    is_team: grant.team.is_some(),
                    who: grant.team.clone().or(grant.account).unwrap_or_default(),
                    role: grant.role.clone(),
                    reason: Reason::Grant {
                        pattern: grant.pattern,
                        role: grant.role,
                        team: grant.team,
                    },
                });
            }
            let found = standing::repository(tx, repository.as_str())?;
            let visibility = self.directory.visibility(found.visibility.as_deref());
            Ok(AccessList {
                visibility: found.exists.then_some(visibility),
                entries,
            })
        })
    }

    /// Whether an account may do something with a repository, by the same decision that a request meets.
    pub(crate) fn explain(
        &self,
        permit: &RepositoryPermit,
        account: &str,
        deed: Deed,
    ) -> Result<Explanation, AccessError> {
        demand_owner(permit)?;
        let repository = permit.repository();
        let found = self.look(|tx| accounts::by_name(tx, account))?;
        let found = found.ok_or_else(|| AccessError::UnknownAccount(account.to_owned()))?;
        let principal = self.directory.principal(&found, Means::Password, None);
        let Some(principal) = principal else {
            return Ok(Explanation {
                is_allowed: false,
                reasons: Vec::new(),
                is_disabled: true,
            });
        };
        let rights = self.directory.rights(&principal, repository)?;
        let mut reasons = Vec::new();
        if rights.visibility() == Some(Visibility::Public) {
            reasons.push(Reason::Public);
        }
        if let Some(role) = principal.everywhere {
            let role = role.as_str().to_owned();
            reasons.push(Reason::Everywhere { role });
        }
        self.look(|tx| self.reasons(tx, &found, repository, &mut reasons))?;
        Ok(Explanation {
            is_allowed: rights.allows(deed),
            reasons,
            is_disabled: false,
        })
    }

    fn reasons(
        &self,
        tx: &Transaction<'_>,
        account: &Account,
        repository: &RepositoryName,
        reasons: &mut Vec<Reason>,
    ) -> Result<(), AccessError> {
        if account.is_admin {
            reasons.push(Reason::Admin);
        }
        if let Some(namespace) = repository.namespace()
            && let Some(role) = standing::role_in(tx, account.id, namespace.as_str())?
        {
            let namespace = namespace.as_str().to_owned();
            reasons.push(Reason::Member { namespace, role });
        }
        if let Some(team) = self.official_team(repository)
            && let Some((namespace, name)) = team.split_once('/')
            && standing::is_in_team(tx, account.id, namespace, name)?
        {
            reasons.push(Reason::OfficialTeam { team });
        }
        for grant in grants::of_account(tx, account.id)? {
            if covers(&grant.pattern, repository) {
                reasons.push(Reason::Grant {
                    pattern: grant.pattern,
                    role: grant.role,
                    team: grant.team,
                });
            }
        }
        Ok(())
    }

    /// The team that pushes a repository for having no slash.
    fn official_team(&self, repository: &RepositoryName) -> Option<String> {
        if repository.as_str().contains('/') {
            return None;
        }
        let team = self.directory.settings().official_team.as_ref();
        team.map(|(namespace, team)| format!("{namespace}/{team}"))
    }
}

/// Who has which rights, their owners may know.
fn demand_owner(permit: &RepositoryPermit) -> Result<(), AccessError> {
    if permit.deed() == Deed::Own {
        return Ok(());
    }
    Err(AccessError::NotOwner(
        permit.repository().as_str().to_owned(),
    ))
}

fn covers(pattern: &str, repository: &RepositoryName) -> bool {
    pattern
        .parse()
        .is_ok_and(|pattern: Pattern| pattern.covers(repository))
}
