//! People whom another source vouches for: their account is made when they first sign in, and what the source
//! says of them is taken over each time.

use layerhouse_oci::namespace::NamespaceName;
use serde_json::json;

use super::directory::Directory;
use super::principal::{Means, Principal};
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::accounts::{self, AccountKind, NewAccount};
use crate::meta::audit::{self, NewEvent};
use crate::meta::namespaces::{self, NamespaceKind};
use crate::meta::standing;
use crate::meta::transaction::Transaction;

/// What nobody is called: words that paths begin with, and those that mean something else.
pub(crate) const RESERVED: [&str; 13] = [
    "admin",
    "anonymous",
    "api",
    "auth",
    "console",
    "healthz",
    "library",
    "metrics",
    "readyz",
    "server",
    "ui",
    "v1",
    "v2",
];

/// Somebody, as a source knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outsider {
    /// `htpasswd`, `ldap`, `mtls`, `oidc:<provider>`.
    pub(crate) source: String,
    /// What the source calls them, for good.
    pub(crate) subject: String,
    /// What they would be called here; lower case is made of it.
    pub(crate) name: String,
    pub(crate) full_name: String,
    pub(crate) email: String,
    /// The teams, as organization and team, that their groups put them in; absent if the source has none.
    pub(crate) teams: Option<Vec<(String, String)>>,
    /// Whether the source gives out names, so that theirs is theirs; else it is taken for what it says.
    pub(crate) is_name_assigned: bool,
}

/// Why somebody cannot have an account here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutsiderError {
    #[error("{name:?} cannot be the name of an account here: {problem}")]
    Name { name: String, problem: String },
    #[error("the name {name} belongs to another account here")]
    Taken { name: String },
    #[error("repositories stand under {name}, which an administrator must give away")]
    Occupied { name: String },
    #[error("the account is disabled")]
    Disabled,
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Directory {
    /// The account of somebody who just proved to a source who they are; made if need be, with their groups
    /// put in place of those of before (S11).
    ///
    /// # Errors
    /// There can be none, and why; the message is for the log.
    pub(crate) async fn provision(
        &self,
        outsider: Outsider,
        means: Means,
        address: &str,
    ) -> Result<Principal, OutsiderError> {
        let now = self.clock().now();
        let address = address.to_owned();
        let written = self
            .database()
            .write(move |tx| settle(tx, &outsider, &address, now));
        let (account, is_changed) = written.await?;
        if is_changed {
            self.moved();
        }
        self.principal(&account, means, None)
            .ok_or(OutsiderError::Disabled)
    }
}

/// The account, and whether anything but the date of their last sign-in changed.
fn settle(
    tx: &Transaction<'_>,
    outsider: &Outsider,
    address: &str,
    now: Timestamp,
) -> Result<(accounts::Account, bool), OutsiderError> {
    let known = accounts::by_subject(tx, &outsider.source, &outsider.subject)?;
    let is_new = known.is_none();
    let mut account = match known {
        Some(account) => account,
        None => create(tx, outsider, address, now)?,
    };
    if account.is_disabled {
        return Err(OutsiderError::Disabled);
    }
    let mut is_changed = is_new;
    if (&account.full_name, &account.email) != (&outsider.full_name, &outsider.email) {
        account.full_name.clone_from(&outsider.full_name);
        account.email.clone_from(&outsider.email);
        accounts::update(tx, &account)?;
    }
    accounts::signed_in(tx, account.id, now)?;
    if let Some(teams) = &outsider.teams {
        let mut ids = Vec::new();
        for (organization, team) in teams {
            match standing::team(tx, organization, team)? {
                Some((id, _)) if !ids.contains(&id) => ids.push(id),
                Some(_) => {}
                None => tracing::warn!(
                    organization,
                    team,
                    "a group leads to a team that is not there"
                ),
            }
        }
        if standing::replace_teams(tx, account.id, &outsider.source, &ids, now)? {
            is_changed = true;
            let detail = json!({ "source": outsider.source, "teams": teams });
            note(tx, &account.name, "account.teams", address, &detail, now)?;
        }
    }
    Ok((account, is_changed))
}

fn create(
    tx: &Transaction<'_>,
    outsider: &Outsider,
    address: &str,
    now: Timestamp,
) -> Result<accounts::Account, OutsiderError> {
    let name = outsider.name.to_lowercase();
    if let Err(problem) = name.parse::<NamespaceName>() {
        let problem = problem.to_string();
        return Err(OutsiderError::Name { name, problem });
    }
    if RESERVED.contains(&name.as_str()) {
        let problem = "it is reserved".to_owned();
        return Err(OutsiderError::Name { name, problem });
    }
    let is_taken =
        accounts::by_name(tx, &name)?.is_some() || namespaces::by_name(tx, &name)?.is_some();
    if is_taken {
        return Err(OutsiderError::Taken { name });
    }
    if !outsider.is_name_assigned && namespaces::has_repositories(tx, &name)? {
        return Err(OutsiderError::Occupied { name });
    }
    let new = NewAccount {
        name: name.clone(),
        kind: AccountKind::User,
        source: outsider.source.clone(),
        subject: Some(outsider.subject.clone()),
        password: None,
        is_admin: false,
        full_name: outsider.full_name.clone(),
        email: outsider.email.clone(),
    };
    let id = accounts::create(tx, &new, now)?;
    namespaces::create(tx, &name, NamespaceKind::User, Some(id), now)?;
    let detail = json!({ "source": outsider.source });
    note(tx, &name, "user.create", address, &detail, now)?;
    accounts::by_id(tx, id)?.ok_or(OutsiderError::Disabled)
}

fn note(
    tx: &Transaction<'_>,
    name: &str,
    action: &str,
    address: &str,
    detail: &serde_json::Value,
    now: Timestamp,
) -> Result<(), Fault> {
    audit::add(
        tx,
        &NewEvent {
            actor: name,
            action,
            subject: name,
            address,
            detail: &detail.to_string(),
        },
        now,
    )
}
