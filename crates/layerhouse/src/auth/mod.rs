//! Who asks, and may they: a pure decision that ends in a [`Granted`], which the operations of
//! `registry` demand. A handler that forgets to ask does not compile.

pub(crate) mod access;
pub(crate) mod authenticator;
mod challenge;
pub(crate) mod credentials;
pub(crate) mod directory;
pub mod fuzzed;
pub(crate) mod htpasswd;
pub(crate) mod indexed;
pub(crate) mod issue;
pub(crate) mod needs;
pub(crate) mod outsider;
pub(crate) mod passwords;
pub(crate) mod permits;
pub(crate) mod principal;
pub(crate) mod rights;
pub(crate) mod sealing;
pub(crate) mod sign_in;
pub(crate) mod sources;
pub(crate) mod token;
mod watched;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use layerhouse_oci::name::RepositoryName;

use self::access::Access;
use self::directory::Viewer;
use self::needs::Action;
use crate::clock::RequestId;
use crate::config::meaning::Http;

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

/// Where a request came from, as events and logs tell it. Made for each request and seldom shown: texts
/// are put together when they are asked for.
#[derive(Clone, Debug)]
pub(crate) struct RequestSource {
    /// Unique to the request.
    pub(crate) id: RequestId,
    pub(crate) address: ClientAddress,
    /// The `Host` that the client asked for.
    pub(crate) host: String,
    pub(crate) method: Cow<'static, str>,
    /// The client's `User-Agent`.
    pub(crate) agent: String,
    /// `http` or `https`, as far as the client or a proxy before us says; else absent.
    pub(crate) forwarded_scheme: Option<&'static str>,
    /// Whether the connection to us is in TLS.
    pub(crate) has_tls: bool,
    /// Who TLS verified the client to be, in DER.
    pub(crate) certificate: Option<Arc<[u8]>>,
    pub(crate) http: Arc<Http>,
}

impl RequestSource {
    /// What a path of ours stands behind, for this client: `https://registry.example.com`, and the
    /// prefix if there is one; without a slash at the end.
    pub(crate) fn base_url(&self) -> String {
        let own_scheme = if self.has_tls { "https" } else { "http" };
        let scheme = self.forwarded_scheme.unwrap_or(own_scheme);
        self.http.base_url(&format!("{scheme}://{}", self.host))
    }

    /// Scheme, host and port where a token service beside us is: registry:2 takes it for one that speaks
    /// TLS, unless it is told.
    pub(crate) fn origin(&self) -> String {
        let scheme = self.forwarded_scheme.unwrap_or("https");
        self.http.origin(&format!("{scheme}://{}", self.host))
    }
}

/// Who a request came from, by its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientAddress {
    /// Of the connection itself.
    Direct(SocketAddr),
    /// As a trusted proxy names it.
    Forwarded(IpAddr),
    /// A Unix socket's clients have none.
    Unix,
    /// The console, which the machine's operator alone can open.
    Console,
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(address) => address.fmt(out),
            Self::Forwarded(address) => address.fmt(out),
            Self::Unix => out.write_str("unix"),
            Self::Console => out.write_str("console"),
        }
    }
}

/// One request's caller.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) identity: Identity,
    pub(crate) access: Access,
    pub(crate) source: Arc<RequestSource>,
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
    pub(crate) fn source(&self) -> &Arc<RequestSource> {
        &self.caller.source
    }
}

/// Proof that the caller may see names of repositories: those that the viewer sees.
#[derive(Clone, Debug)]
pub(crate) struct GrantedBrowse(Arc<Viewer>);

impl GrantedBrowse {
    pub(crate) fn viewer(&self) -> &Viewer {
        &self.0
    }
}

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
        let viewer = caller.access.viewer();
        viewer.map(GrantedBrowse).ok_or(Refusal::Forbidden)
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
