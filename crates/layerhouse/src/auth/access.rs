//! What a caller may do, before the operator's switches.

use std::collections::BTreeMap;
use std::sync::Arc;

use layerhouse_oci::name::RepositoryName;

use super::directory::{RepositoryRights, Viewer};
use super::needs::{Action, Need};
use super::rights::Deed;

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
            Self::Listed(grants) => grants.catalog.is_some(),
        }
    }

    /// What of all lists they may see.
    pub(crate) fn viewer(&self) -> Option<Arc<Viewer>> {
        match self {
            Self::Nothing => None,
            Self::All | Self::PullOnly => Some(Arc::new(Viewer::of_all())),
            Self::Listed(grants) => grants.catalog.clone(),
        }
    }

    /// What they may find, if anything.
    pub(crate) fn searcher(&self) -> Option<Arc<Viewer>> {
        match self {
            Self::Nothing => None,
            Self::All | Self::PullOnly => Some(Arc::new(Viewer::of_all())),
            Self::Listed(grants) => grants.search.clone().or_else(|| grants.catalog.clone()),
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
            Need::Search => self.searcher().is_some(),
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
    /// What of the names of all repositories, if any.
    catalog: Option<Arc<Viewer>>,
    /// What of them can be found, if that is another part.
    search: Option<Arc<Viewer>>,
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
            "registry" if name == "catalog" && has("*") => {
                self.catalog = Some(Arc::new(Viewer::of_all()));
            }
            _ => {}
        }
    }

    /// Adds what of `wanted` somebody may do with a repository.
    pub(crate) fn add_rights(
        &mut self,
        repository: &RepositoryName,
        rights: &RepositoryRights,
        wanted: &[Action],
    ) {
        let has = |action, deed| {
            let is_wanted = wanted.contains(&action) || wanted.contains(&Action::Everything);
            is_wanted && rights.allows(deed)
        };
        let own = self.repositories.entry(repository.as_str().into());
        let own = own.or_default();
        own.pull |= has(Action::Pull, Deed::Pull);
        own.push |= has(Action::Push, Deed::Push);
        own.delete |= has(Action::Delete, Deed::Delete);
    }

    /// Adds the names of those repositories that `viewer` may see.
    pub(crate) fn add_catalog(&mut self, viewer: Arc<Viewer>) {
        self.catalog = Some(viewer);
    }

    /// Lets those repositories be found that `viewer` may see.
    pub(crate) fn add_search(&mut self, viewer: Arc<Viewer>) {
        self.search = Some(viewer);
    }

    fn allow(&self, repository: &RepositoryName, action: Action) -> bool {
        self.repositories
            .get(repository.as_str())
            .is_some_and(|actions| match action {
                Action::Pull => actions.pull,
                Action::Push => actions.push,
                Action::Delete => actions.delete,
                Action::Everything => actions.pull && actions.push && actions.delete,
                // Of no single one.
                Action::Search => false,
            })
    }

    /// About how much memory it takes.
    pub(crate) fn held_bytes(&self) -> usize {
        let names: usize = self.repositories.keys().map(|name| name.len() + 64).sum();
        size_of::<Self>() + names
    }
}
