//! `layerhouse.index`: accounts, tokens, visibility and search.

use std::time::Duration;

use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::namespace::NamespaceName;

use super::rate::RateLimits;
use super::sources::Sources;
use crate::auth::rights::{Role, Visibility};

/// The index, where it is switched on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Index {
    /// Who did not sign in may pull and find what is public.
    pub(crate) is_open_to_anonymous: bool,
    pub(crate) sign_up: SignUp,
    /// Whether users may make organizations, or administrators alone.
    pub(crate) users_make_organizations: bool,
    /// Of repositories that neither say so themselves nor have a namespace that did.
    pub(crate) visibility: Visibility,
    /// Beside administrators, who pushes repositories without a slash: namespace and team.
    pub(crate) official_team: Option<(String, String)>,
    /// What users of `auth.htpasswd` are in every repository.
    pub(crate) htpasswd_role: Option<Role>,
    pub(crate) tokens: IndexTokens,
    /// Who vouches for people, beside our own passwords.
    pub(crate) sources: Sources,
    pub(crate) rates: RateLimits,
    /// Where copies of other registries are, and who may see them.
    pub(crate) copies: Vec<Copies>,
}

/// Repositories that are copies from one upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Copies {
    /// What their names begin with, before a slash; absent for all names.
    pub(crate) namespace: Option<String>,
    pub(crate) visibility: Visibility,
}

impl Index {
    /// The visibility of copies under this name, there or not yet; `None` if there are none.
    pub(crate) fn visibility_of_copy(&self, repository: &RepositoryName) -> Option<Visibility> {
        let first = repository.as_str().split_once('/').map(|(first, _)| first);
        let has = |copies: &&Copies| match &copies.namespace {
            Some(namespace) => first == Some(namespace.as_str()),
            None => true,
        };
        self.copies.iter().find(has).map(|copies| copies.visibility)
    }

    /// Whether copies are kept in a namespace of this name, so that nobody may take it who asks.
    pub(crate) fn has_copies_in(&self, namespace: &NamespaceName) -> bool {
        let is_it = |copies: &Copies| copies.namespace.as_deref() == Some(namespace.as_str());
        self.copies.iter().any(is_it)
    }
}

/// Who may make an account for themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignUp {
    /// Nobody: administrators make accounts.
    Closed,
    /// Who has a code.
    Invitation,
    /// Everyone.
    Open,
}

/// The tokens that we sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexTokens {
    /// What they name as their issuer.
    pub(crate) issuer: String,
    /// What this registry is called in them.
    pub(crate) service: String,
    /// Other registries that they are issued for as well.
    pub(crate) services: Vec<String>,
    pub(crate) algorithm: SigningAlgorithm,
    /// How long one is good.
    pub(crate) lifetime: Duration,
    /// A key signs for as long.
    pub(crate) rotation: Duration,
}

/// How tokens are signed (RFC 7518).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SigningAlgorithm {
    Es256,
    EdDsa,
}
