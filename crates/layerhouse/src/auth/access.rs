//! What a caller may do, before the operator's switches.

use std::collections::BTreeMap;
use std::sync::Arc;

use layerhouse_oci::name::RepositoryName;

use super::needs::{Action, Need};

/// What a caller may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: who has not been asked yet, and who signed in for nothing.
    Nothing,
    /// Everything: registry:2 knows nothing between all and nothing but with tokens.
    All,
    /// To read everything, names included: what all may pull, all may list.
    PullOnly,
    /// What a token lists.
    Listed(Arc<Grants>),
}

impl Access {
    /// Whether they may see the names of all repositories.
    pub(crate) fn allows_catalog(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::All | Self::PullOnly => true,
            Self::Listed(grants) => grants.catalog,
        }
    }

    pub(crate) fn allows_in(&self, repository: &RepositoryName, actions: &[Action]) -> bool {
        let allows = |action: &Action| match self {
            Self::Nothing => false,
            Self::All => true,
            Self::PullOnly => *action == Action::Pull,
            Self::Listed(grants) => grants.allow(repository, *action),
        };
        actions.iter().all(allows)
    }

    /// Whether a request with this need may go on.
    pub(crate) fn meets(&self, need: &Need) -> bool {
        match need {
            Need::Nothing => true,
            // Who signed in may do so; who did not is told by the authenticator.
            Need::SignIn => *self != Self::Nothing,
            Need::Catalog => self.allows_catalog(),
            Need::In {
                repository,
                actions,
                ..
            } => self.allows_in(repository, actions),
        }
    }
}

/// The list of a token: exact names, no patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grants {
    repositories: BTreeMap<Box<str>, Actions>,
    catalog: bool,
}

/// A set of actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Actions {
    pull: bool,
    push: bool,
    delete: bool,
}

impl Grants {
    /// Adds an entry of a token's list; kinds, names and actions that we do not know grant nothing.
    pub(crate) fn add(&mut self, kind: &str, name: &str, actions: &[&str]) {
        let has = |action| actions.contains(&action) || actions.contains(&"*");
        match kind {
            "repository" => {
                let own = self.repositories.entry(name.into()).or_default();
                own.pull |= has("pull");
                own.push |= has("push");
                own.delete |= has("delete");
            }
            "registry" if name == "catalog" => self.catalog |= has("*"),
            _ => {}
        }
    }

    fn allow(&self, repository: &RepositoryName, action: Action) -> bool {
        self.repositories
            .get(repository.as_str())
            .is_some_and(|actions| match action {
                Action::Pull => actions.pull,
                Action::Push => actions.push,
                Action::Delete => actions.delete,
                Action::Everything => actions.pull && actions.push && actions.delete,
            })
    }

    /// About how much memory it takes.
    pub(crate) fn held_bytes(&self) -> usize {
        let names: usize = self.repositories.keys().map(|name| name.len() + 64).sum();
        size_of::<Self>() + names
    }
}
