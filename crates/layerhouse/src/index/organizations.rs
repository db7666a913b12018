//! Organizations, and what the owners of any namespace decide about it.

use layerhouse_oci::namespace::{NamespaceError, NamespaceName};
use serde_json::json;

use super::audit::{Action, Audit};
use super::users::{self, UserError, check_free, is_line};
use super::{Index, Sort, page};
use crate::auth::permits::{AccountPermit, AdminPermit, NamespacePermit};
use crate::auth::rights::{Role, Visibility};
use crate::fault::Fault;
use crate::meta::accounts::{AccountId, AccountKind};
use crate::meta::namespaces::{self, Namespace, NamespaceKind};
use crate::meta::transaction::Transaction;
use crate::meta::{robots, standing};

/// Longest description of a namespace or a team, in bytes.
pub(super) const DESCRIPTION_BYTES_MAX: usize = 1024;

/// An organization to be.
#[derive(Clone, Debug)]
pub(crate) struct NewOrganization {
    pub(crate) name: String,
    pub(crate) description: String,
}

/// What owners change of a namespace; absent, it stays.
#[derive(Clone, Debug, Default)]
pub(crate) struct NamespaceChanges {
    pub(crate) description: Option<String>,
    /// Of repositories made from now on.
    pub(crate) default_visibility: Option<DefaultVisibility>,
}

/// What repositories of a namespace begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DefaultVisibility {
    /// What the configuration says, whatever that will be.
    Configured,
    Own(Visibility),
}

impl DefaultVisibility {
    fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Configured => None,
            Self::Own(visibility) => Some(visibility.as_str()),
        }
    }
}

/// Why an organization could not be made, or a namespace not be changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OrganizationError {
    #[error(transparent)]
    Name(#[from] NamespaceError),
    #[error("administrators make organizations here; ask one")]
    Closed,
    #[error("robots make no organizations; sign in as a user")]
    Robot,
    #[error(transparent)]
    User(#[from] UserError),
    #[error("a description has at most {DESCRIPTION_BYTES_MAX} bytes and no control characters")]
    Description,
    #[error("there is no namespace {0}")]
    Unknown(String),
    #[error("this takes an owner of {0}; ask one")]
    NotOwner(String),
    #[error("{0} is a user's own namespace; it goes with the user")]
    OfUser(String),
    #[error("repositories stand under {0}/; delete them first")]
    HasRepositories(String),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl OrganizationError {
    pub(crate) fn sort(&self) -> Sort<'_> {
        match self {
            Self::Name(_) | Self::Description => Sort::Invalid,
            Self::Closed | Self::Robot | Self::NotOwner(_) => Sort::Forbidden,
            Self::User(error) => error.sort(),
            Self::Unknown(_) => Sort::Absent,
            Self::OfUser(_) | Self::HasRepositories(_) => Sort::Conflict,
            Self::Fault(fault) => Sort::Fault(fault),
        }
    }
}

impl Index {
    /// Makes an organization that belongs to who asks.
    pub(crate) async fn create_organization(
        &self,
        permit: &AccountPermit,
        new: NewOrganization,
    ) -> Result<Namespace, OrganizationError> {
        let account = permit.account();
        if account.kind == AccountKind::Robot {
            return Err(OrganizationError::Robot);
        }
        if !account.is_admin && !self.directory.settings().users_make_organizations {
            return Err(OrganizationError::Closed);
        }
        let name: NamespaceName = new.name.parse()?;
        let owner = permit.asker().principal().name.to_string();
        let detail = json!({ "owner": owner });
        let audit = Audit::by(
            permit.asker(),
            Action::OrganizationCreate,
            name.as_str(),
            detail,
        );
        self.write_organization(audit, name, new, Some(account.id), account.is_admin)
            .await
    }

    /// Makes an organization that belongs to somebody, or to nobody until it has members.
    pub(crate) async fn create_organization_for(
        &self,
        permit: &AdminPermit,
        new: NewOrganization,
        owner: Option<&str>,
    ) -> Result<Namespace, OrganizationError> {
        let name: NamespaceName = new.name.parse()?;
        let id = match owner {
            Some(owner) => Some(self.look(|tx| users::find(tx, owner))?.id),
            None => None,
        };
        let detail = json!({ "owner": owner });
        let audit = Audit::by(
            permit.asker(),
            Action::OrganizationCreate,
            name.as_str(),
            detail,
        );
        self.write_organization(audit, name, new, id, true).await
    }

    async fn write_organization(
        &self,
        audit: Audit,
        name: NamespaceName,
        new: NewOrganization,
        owner: Option<AccountId>,
        is_admin: bool,
    ) -> Result<Namespace, OrganizationError> {
        if !is_line(&new.description, DESCRIPTION_BYTES_MAX) {
            return Err(OrganizationError::Description);
        }
        let now = self.now();
        let has_copies = self.directory.settings().has_copies_in(&name);
        self.change(audit, move |tx| {
            check_free(tx, &name)?;
            // It would own them.
            let is_occupied = has_copies || namespaces::has_repositories(tx, name.as_str())?;
            if !is_admin && is_occupied {
                return Err(UserError::Occupied(name.as_str().to_owned()).into());
            }
            let kind = NamespaceKind::Organization;
            namespaces::create(tx, name.as_str(), kind, owner, now)?;
            let mut made = find(tx, &name)?;
            made.description = new.description;
            namespaces::update(tx, &made)?;
            Ok(made)
        })
        .await
    }

    /// Organizations after a name, in the order of their names.
    pub(crate) fn organizations(
        &self,
        _: &AdminPermit,
        after: &str,
        rows: usize,
    ) -> Result<Vec<Namespace>, Fault> {
        self.look(|tx| namespaces::list(tx, NamespaceKind::Organization, after, page(rows)))
    }

    /// The namespaces that who asks is a member of, with the role.
    pub(crate) fn own_namespaces(
        &self,
        permit: &AccountPermit,
    ) -> Result<Vec<(Namespace, String)>, Fault> {
        self.look(|tx| {
            let mut found = Vec::new();
            for (name, role) in standing::memberships(tx, permit.account().id)? {
                let namespace = namespaces::by_name(tx, &name)?;
                found.extend(namespace.map(|namespace| (namespace, role)));
            }
            Ok(found)
        })
    }

    /// A namespace, for its members.
    pub(crate) fn namespace(
        &self,
        permit: &NamespacePermit,
    ) -> Result<Namespace, OrganizationError> {
        self.look(|tx| find(tx, permit.namespace()))
    }

    /// Changes a namespace.
    pub(crate) async fn update_namespace(
        &self,
        permit: &NamespacePermit,
        changes: NamespaceChanges,
    ) -> Result<Namespace, OrganizationError> {
        demand_owner(permit)?;
        let text = changes.description.as_deref().unwrap_or_default();
        if !is_line(text, DESCRIPTION_BYTES_MAX) {
            return Err(OrganizationError::Description);
        }
        let visibility = changes.default_visibility;
        let mut detail = json!({});
        if let Some(text) = &changes.description {
            detail["description"] = json!(text);
        }
        if let Some(new) = &visibility {
            detail["default_visibility"] = json!(new.as_str());
        }
        let name = permit.namespace().clone();
        let action = Action::NamespaceUpdate;
        let audit = Audit::by(permit.asker(), action, name.as_str(), detail);
        self.change(audit, move |tx| {
            let mut namespace = find(tx, &name)?;
            namespace.description = changes.description.unwrap_or(namespace.description);
            if let Some(new) = visibility {
                namespace.default_visibility = new.as_str().map(str::to_owned);
            }
            namespaces::update(tx, &namespace)?;
            Ok(namespace)
        })
        .await
    }

    /// Removes an organization with its teams, grants and robots.
    pub(crate) async fn delete_organization(
        &self,
        permit: &NamespacePermit,
    ) -> Result<(), OrganizationError> {
        demand_owner(permit)?;
        let name = permit.namespace().clone();
        let action = Action::OrganizationDelete;
        let audit = Audit::by(permit.asker(), action, name.as_str(), json!({}));
        self.change(audit, move |tx| {
            let namespace = find(tx, &name)?;
            if namespace.kind == NamespaceKind::User {
                return Err(OrganizationError::OfUser(namespace.name));
            }
            if namespaces::has_repositories(tx, name.as_str())? {
                return Err(OrganizationError::HasRepositories(namespace.name));
            }
            robots::delete_all(tx, name.as_str())?;
            namespaces::delete(tx, namespace.id)?;
            Ok(())
        })
        .await
    }
}

/// The namespace called `name`.
pub(super) fn find(
    tx: &Transaction<'_>,
    name: &NamespaceName,
) -> Result<Namespace, OrganizationError> {
    let found = namespaces::by_name(tx, name.as_str())?;
    found.ok_or_else(|| OrganizationError::Unknown(name.as_str().to_owned()))
}

/// The permit may be for less: what an operation takes, it says itself.
pub(super) fn demand_owner(permit: &NamespacePermit) -> Result<(), OrganizationError> {
    if permit.role() < Role::Owner {
        let name = permit.namespace().as_str().to_owned();
        return Err(OrganizationError::NotOwner(name));
    }
    Ok(())
}
