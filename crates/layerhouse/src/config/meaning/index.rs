//! `layerhouse.index`: accounts, tokens, visibility and search.

use std::time::Duration;

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
