//! Proofs that somebody may manage accounts, a namespace or a repository; made here, by decision.

use std::sync::Arc;

use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::namespace::NamespaceName;

use super::access::{Access, Grants};
use super::directory::{Directory, RepositoryRights};
use super::needs::Action;
use super::principal::{AccountRef, Means, Principal};
use super::rights::{Deed, Role};
use super::{Caller, ClientAddress, Identity, RequestSource};
use crate::fault::Fault;

/// Who does it, and from where: what the audit says.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    principal: Arc<Principal>,
    source: Arc<RequestSource>,
}

impl Asker {
    pub(crate) fn new(principal: Arc<Principal>, source: Arc<RequestSource>) -> Self {
        Self { principal, source }
    }

    pub(crate) fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    pub(crate) fn source(&self) -> &Arc<RequestSource> {
        &self.source
    }

    /// As those who answer a request know who asks; `access` is what was decided that they may.
    pub(crate) fn caller(&self, access: Access) -> Arc<Caller> {
        Arc::new(Caller {
            identity: if self.is_nobody() {
                Identity::Anonymous
            } else {
                Identity::User(Arc::clone(&self.principal.name))
            },
            access,
            source: Arc::clone(&self.source),
        })
    }

    /// Whether they did not sign in.
    pub(crate) fn is_nobody(&self) -> bool {
        self.principal.means == Means::Nobody
    }
}

/// Proof that somebody signed in as an account, to manage that account.
#[derive(Clone, Debug)]
pub(crate) struct AccountPermit {
    asker: Asker,
    account: AccountRef,
}

/// Proof of an administrator.
#[derive(Clone, Debug)]
pub(crate) struct AdminPermit {
    asker: Asker,
}

/// Proof of who looks after the server: the operator at the machine's console, with accounts and without, or
/// an administrator.
#[derive(Clone, Debug)]
pub(crate) struct OperatorPermit {
    asker: Asker,
}

/// Proof of what somebody may do with what a repository holds. Where there are accounts, that is decided as
/// for [`RepositoryPermit`]; where there are none, the operator at the console may do anything.
#[derive(Clone, Debug)]
pub(crate) struct TendPermit {
    repository: RepositoryName,
    caller: Arc<Caller>,
}

/// Proof of a role in a namespace, which may not be there for administrators.
#[derive(Clone, Debug)]
pub(crate) struct NamespacePermit {
    asker: Asker,
    namespace: NamespaceName,
    role: Role,
}

/// Proof of what somebody may do with a repository, which may not be there for who may make it.
#[derive(Clone, Debug)]
pub(crate) struct RepositoryPermit {
    asker: Asker,
    repository: RepositoryName,
    deed: Deed,
}

impl AccountPermit {
    /// For who signed in as an account, with all that it may; a token that is limited manages nothing.
    pub(crate) fn of(asker: &Asker) -> Option<Self> {
        let principal = asker.principal();
        let account = principal.account.filter(|_| principal.limits.is_none())?;
        Some(Self {
            asker: asker.clone(),
            account,
        })
    }

    pub(crate) fn asker(&self) -> &Asker {
        &self.asker
    }

    pub(crate) fn account(&self) -> AccountRef {
        self.account
    }
}

impl AdminPermit {
    pub(crate) fn of(asker: &Asker) -> Option<Self> {
        asker.principal().is_admin().then(|| Self {
            asker: asker.clone(),
        })
    }

    pub(crate) fn asker(&self) -> &Asker {
        &self.asker
    }
}

impl NamespacePermit {
    /// For who has at least `role` there.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn of(
        directory: &Directory,
        asker: &Asker,
        namespace: NamespaceName,
        role: Role,
    ) -> Result<Option<Self>, Fault> {
        let own = directory.role_in(asker.principal(), &namespace)?;
        let own = own.filter(|own| role <= *own);
        Ok(own.map(|own| Self {
            asker: asker.clone(),
            namespace,
            role: own,
        }))
    }

    pub(crate) fn asker(&self) -> &Asker {
        &self.asker
    }

    pub(crate) fn namespace(&self) -> &NamespaceName {
        &self.namespace
    }

    /// The role that they have.
    pub(crate) fn role(&self) -> Role {
        self.role
    }
}

impl RepositoryPermit {
    /// For who may do this there, by their rights there as they were just found.
    pub(crate) fn of(asker: &Asker, rights: &RepositoryRights, deed: Deed) -> Option<Self> {
        rights.allows(deed).then(|| Self {
            asker: asker.clone(),
            repository: rights.repository().clone(),
            deed,
        })
    }

    pub(crate) fn asker(&self) -> &Asker {
        &self.asker
    }

    pub(crate) fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    pub(crate) fn deed(&self) -> Deed {
        self.deed
    }
}

impl OperatorPermit {
    pub(crate) fn of(asker: &Asker) -> Option<Self> {
        asker.principal().is_admin().then(|| Self {
            asker: asker.clone(),
        })
    }

    pub(crate) fn asker(&self) -> &Asker {
        &self.asker
    }
}

impl TendPermit {
    /// For who may do this there, by their rights there as they were just found.
    pub(crate) fn of(asker: &Asker, rights: &RepositoryRights, deed: Deed) -> Option<Self> {
        let mut grants = Grants::default();
        grants.add_rights(rights.repository(), rights, &[Action::Everything]);
        rights.allows(deed).then(|| Self {
            repository: rights.repository().clone(),
            caller: asker.caller(Access::Listed(Arc::new(grants))),
        })
    }

    /// For the operator at the console, where there are no accounts.
    pub(crate) fn of_operator(asker: &Asker, repository: RepositoryName) -> Option<Self> {
        let is_operator = asker.source().address == ClientAddress::Console;
        is_operator.then(|| Self {
            repository,
            caller: asker.caller(Access::All),
        })
    }

    /// For who is let in without accounts, by what the authenticator grants them there.
    pub(crate) fn of_caller(
        caller: &Arc<Caller>,
        repository: &RepositoryName,
        deed: Deed,
    ) -> Option<Self> {
        let actions: &[Action] = match deed {
            Deed::Pull => &[Action::Pull],
            Deed::Push => &[Action::Pull, Action::Push],
            Deed::Delete => &[Action::Delete],
            Deed::Maintain | Deed::Own => &[Action::Everything],
        };
        let is_allowed = caller.access.allows_in(repository, actions);
        is_allowed.then(|| Self {
            repository: repository.clone(),
            caller: Arc::clone(caller),
        })
    }

    pub(crate) fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// Who it is, for the registry's policy: what the configuration switched off is so for all.
    pub(crate) fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }
}
