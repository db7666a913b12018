//! Who has which role in all of a namespace.

use serde_json::json;

use super::audit::{Action, Audit};
use super::organizations::{OrganizationError, demand_owner, find};
use super::users::{self, UserError};
use super::{Index, Sort, page};
use crate::auth::permits::NamespacePermit;
use crate::auth::rights::Role;
use crate::fault::Fault;
use crate::meta::accounts::Account;
use crate::meta::members::{self, Member};
use crate::meta::namespaces::Namespace;
use crate::meta::transaction::Transaction;

/// Why a role was not given or taken away.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MemberError {
    #[error(transparent)]
    Namespace(#[from] OrganizationError),
    #[error(transparent)]
    User(#[from] UserError),
    #[error("{0} is no member; list the members to see who is")]
    NotMember(String),
    #[error("{0} is the last owner; make another one first")]
    LastOwner(String),
    #[error("{0} owns their own namespace, and stays its owner")]
    OwnNamespace(String),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl MemberError {
    pub(crate) fn sort(&self) -> Sort<'_> {
        match self {
            Self::Namespace(error) => error.sort(),
            Self::User(error) => error.sort(),
            Self::NotMember(_) => Sort::Absent,
            Self::LastOwner(_) | Self::OwnNamespace(_) => Sort::Conflict,
            Self::Fault(fault) => Sort::Fault(fault),
        }
    }
}

impl Index {
    /// Members after a name, in the order of their names.
    pub(crate) fn members(
        &self,
        permit: &NamespacePermit,
        after: &str,
        rows: usize,
    ) -> Result<Vec<Member>, MemberError> {
        self.look(|tx| {
            let namespace = find(tx, permit.namespace())?;
            Ok(members::list(tx, namespace.id, after, page(rows))?)
        })
    }

    /// Gives a user a role, in place of the one that they had.
    pub(crate) async fn set_member(
        &self,
        permit: &NamespacePermit,
        user: &str,
        role: Role,
    ) -> Result<(), MemberError> {
        demand_owner(permit)?;
        let name = permit.namespace().clone();
        let detail = json!({ "user": user, "role": role.as_str() });
        let audit = Audit::by(permit.asker(), Action::MemberSet, name.as_str(), detail);
        let (user, now) = (user.to_owned(), self.now());
        self.change(audit, move |tx| {
            let namespace = find(tx, &name)?;
            let account = users::find(tx, &user)?;
            if role != Role::Owner {
                check_owner(tx, &namespace, &account)?;
            }
            members::set(tx, namespace.id, account.id, role.as_str(), now)?;
            Ok(())
        })
        .await
    }

    /// Takes a user's role away; one's own may everybody.
    pub(crate) async fn remove_member(
        &self,
        permit: &NamespacePermit,
        user: &str,
    ) -> Result<(), MemberError> {
        if *permit.asker().principal().name != *user {
            demand_owner(permit)?;
        }
        let name = permit.namespace().clone();
        let detail = json!({ "user": user });
        let audit = Audit::by(permit.asker(), Action::MemberRemove, name.as_str(), detail);
        let user = user.to_owned();
        self.change(audit, move |tx| {
            let namespace = find(tx, &name)?;
            let account = users::find(tx, &user)?;
            check_owner(tx, &namespace, &account)?;
            if !members::remove(tx, namespace.id, account.id)? {
                return Err(MemberError::NotMember(user));
            }
            Ok(())
        })
        .await
    }
}

/// Whether this account may be less than an owner.
fn check_owner(
    tx: &Transaction<'_>,
    namespace: &Namespace,
    account: &Account,
) -> Result<(), MemberError> {
    let role = members::role(tx, namespace.id, account.id)?;
    if role.as_deref() != Some(Role::Owner.as_str()) {
        return Ok(());
    }
    if namespace.name == account.name {
        return Err(MemberError::OwnNamespace(account.name.clone()));
    }
    if !members::has_owner_beside(tx, namespace.id, account.id)? {
        return Err(MemberError::LastOwner(account.name.clone()));
    }
    Ok(())
}
