//! Who asks, and may they: a pure decision that ends in a [`Granted`], which the operations of
//! `registry` demand. A handler that forgets to ask does not compile.
//!
//! This release serves open registries: everyone is [`Identity::Anonymous`] and may do all that the
//! operator did not switch off.

use std::marker::PhantomData;

use layerhouse_oci::name::RepositoryName;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Nobody signed in.
    Anonymous,
}

impl Identity {
    /// As it is recorded: in the history of tags, as the owner of an upload session.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
        }
    }
}

/// To read manifests, blobs, tags and referrers of a repository.
#[derive(Clone, Debug)]
pub(crate) enum Pull {}
/// To upload, mount and tag in a repository.
#[derive(Debug)]
pub(crate) enum Push {}
/// To remove tags, manifests and blobs from a repository.
#[derive(Debug)]
pub(crate) enum Delete {}

/// Proof that `identity` may do `Action`; only [`Policy`] makes one.
#[derive(Clone, Debug)]
pub(crate) struct Granted<Action> {
    identity: Identity,
    repository: RepositoryName,
    action: PhantomData<fn() -> Action>,
}

impl<Action> Granted<Action> {
    /// Where it may be done.
    pub(crate) fn repository(&self) -> &RepositoryName {
        &self.repository
    }
    /// By whom.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }
}

/// Proof that the identity may see names of repositories.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GrantedBrowse(());

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("this registry is read-only for now (storage.maintenance.readonly)")]
    ReadOnly,
    #[error("deleting is switched off on this registry (storage.delete.enabled)")]
    DeleteOff,
}

/// What the operator allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) allows_delete: bool,
    pub(crate) is_read_only: bool,
}

impl Policy {
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "open registries refuse none"
    )]
    pub(crate) fn pull(
        self,
        identity: &Identity,
        repository: &RepositoryName,
    ) -> Result<Granted<Pull>, Refusal> {
        Ok(grant(identity, repository))
    }

    pub(crate) fn push(
        self,
        identity: &Identity,
        repository: &RepositoryName,
    ) -> Result<Granted<Push>, Refusal> {
        if self.is_read_only {
            return Err(Refusal::ReadOnly);
        }
        Ok(grant(identity, repository))
    }

    /// The one guard of all deletes.
    pub(crate) fn delete(
        self,
        identity: &Identity,
        repository: &RepositoryName,
    ) -> Result<Granted<Delete>, Refusal> {
        if self.is_read_only {
            return Err(Refusal::ReadOnly);
        }
        if !self.allows_delete {
            return Err(Refusal::DeleteOff);
        }
        Ok(grant(identity, repository))
    }

    /// To see the names of repositories, and to mount a blob without naming where it is.
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "open registries refuse none"
    )]
    pub(crate) fn browse(self, _identity: &Identity) -> Result<GrantedBrowse, Refusal> {
        Ok(GrantedBrowse(()))
    }
}

fn grant<Action>(identity: &Identity, repository: &RepositoryName) -> Granted<Action> {
    Granted {
        identity: identity.clone(),
        repository: repository.clone(),
        action: PhantomData,
    }
}
