//! Who asks, and may they: a pure decision that ends in a [`Granted`], which the operations of
//! `registry` demand. A handler that forgets to ask does not compile.

pub(crate) mod access;
pub(crate) mod authenticator;
mod challenge;
pub(crate) mod credentials;
pub mod fuzzed;
pub(crate) mod htpasswd;
pub(crate) mod needs;
pub(crate) mod token;
mod watched;

use std::marker::PhantomData;
use std::sync::Arc;

use layerhouse_oci::name::RepositoryName;

use self::access::Access;
use self::needs::Action;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Nobody signed in.
    Anonymous,
    /// Signed in under this name.
    User(Arc<str>),
}

impl Identity {
    /// As it is recorded: in the history of tags, as the owner of an upload session.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Anonymous => "anonymous",
            Self::User(name) => name,
        }
    }
}

/// Where a request came from, as events and logs tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestSource {
    /// Unique to the request.
    pub(crate) id: String,
    /// The client's address and port; behind a trusted proxy, the address that the proxy names.
    pub(crate) address: String,
    /// The `Host` that the client asked for.
    pub(crate) host: String,
    pub(crate) method: String,
    /// The client's `User-Agent`.
    pub(crate) agent: String,
    /// What a path of ours stands behind, for this client: `https://registry.example.com`, and the
    /// prefix if there is one; without a slash at the end.
    pub(crate) base_url: String,
    /// Scheme, host and port of that alone.
    pub(crate) origin: String,
}

/// One request's caller.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) identity: Identity,
    pub(crate) access: Access,
    pub(crate) source: RequestSource,
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

/// Proof that the caller may do `Action`; only [`Policy`] makes one.
#[derive(Clone, Debug)]
pub(crate) struct Granted<Action> {
    caller: Arc<Caller>,
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
        &self.caller.identity
    }
    /// From where.
    pub(crate) fn source(&self) -> &RequestSource {
        &self.caller.source
    }
}

/// Proof that the caller may see names of repositories.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GrantedBrowse(());

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("authentication required")]
    Forbidden,
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
    #[expect(clippy::unused_self, reason = "a policy is asked, whatever it says")]
    pub(crate) fn pull(
        self,
        caller: &Arc<Caller>,
        repository: &RepositoryName,
    ) -> Result<Granted<Pull>, Refusal> {
        grant(caller, repository, &[Action::Pull])
    }

    pub(crate) fn push(
        self,
        caller: &Arc<Caller>,
        repository: &RepositoryName,
    ) -> Result<Granted<Push>, Refusal> {
        let granted = grant(caller, repository, &[Action::Pull, Action::Push])?;
        if self.is_read_only {
            return Err(Refusal::ReadOnly);
        }
        Ok(granted)
    }

    /// The one guard of all deletes (S18).
    pub(crate) fn delete(
        self,
        caller: &Arc<Caller>,
        repository: &RepositoryName,
    ) -> Result<Granted<Delete>, Refusal> {
        let granted = grant(caller, repository, &[Action::Delete])?;
        if self.is_read_only {
            return Err(Refusal::ReadOnly);
        }
        if !self.allows_delete {
            return Err(Refusal::DeleteOff);
        }
        Ok(granted)
    }

    /// To see the names of repositories, and to mount a blob without naming where it is.
    #[expect(clippy::unused_self, reason = "a policy is asked, whatever it says")]
    pub(crate) fn browse(self, caller: &Caller) -> Result<GrantedBrowse, Refusal> {
        if caller.access.allows_catalog() {
            Ok(GrantedBrowse(()))
        } else {
            Err(Refusal::Forbidden)
        }
    }
}

/// The only place where a proof is made.
fn grant<Proven>(
    caller: &Arc<Caller>,
    repository: &RepositoryName,
    actions: &[Action],
) -> Result<Granted<Proven>, Refusal> {
    if !caller.access.allows_in(repository, actions) {
        return Err(Refusal::Forbidden);
    }
    Ok(Granted {
        caller: Arc::clone(caller),
        repository: repository.clone(),
        action: PhantomData,
    })
}
