//! Who asks, where the index is on: all sources of identity side by side, and what each account may.

use std::sync::Arc;

use moka::sync::Cache;

use super::access::{Access, Grants};
use super::challenge::quoted;
use super::credentials::Credentials;
use super::directory::Directory;
use super::issue::Issuer;
use super::issue::keys::Keys;
use super::issue::own::OwnTokens;
use super::needs::{Action, Need};
use super::principal::{Means, Principal};
use super::sign_in::{SignIn, SignInError};
use super::token::Tokens;
use super::{Identity, RequestSource};
use crate::fault::Fault;
use crate::meta::tokens::TokenKind;

/// Repositories that are known to be open to all: a name of 100 bytes each.
const OPEN_MAX: u64 = 10_000;

/// Finds out who asks by accounts.
pub(crate) struct Indexed {
    sign_in: SignIn,
    issuer: Issuer,
    own: OwnTokens,
    /// Tokens of another service, believed beside ours.
    foreign: Option<Tokens>,
    /// Repositories that nobody need sign in to pull from, and the generation in which that was so: they are
    /// what all machines pull, and are not looked up for each.
    open: Cache<Box<str>, u64>,
}

/// Whether somebody showed something that could be checked.
pub(crate) enum Found {
    /// They are this, and may do that of what they ask for.
    Caller(Identity, Access),
    /// They showed nothing, and nobody may.
    Missing,
    /// What they showed is not good.
    Wrong,
}

impl Indexed {
    pub(crate) fn new(sign_in: SignIn, foreign: Option<Tokens>) -> Self {
        let directory = sign_in.directory();
        let tokens = &directory.settings().tokens;
        let keys = Arc::new(Keys::new(directory.database(), directory.clock(), tokens));
        Self {
            issuer: Issuer::new(directory, &keys),
            own: OwnTokens::new(directory, &keys),
            sign_in,
            foreign,
            open: Cache::builder().max_capacity(OPEN_MAX).build(),
        }
    }

    pub(crate) fn sign_in(&self) -> &SignIn {
        &self.sign_in
    }

    pub(crate) fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// What the token service itself asks for.
    pub(crate) fn challenge_of_token_service(&self) -> String {
        let service = &self.directory().settings().tokens.service;
        format!("Basic realm={}", quoted(service))
    }

    pub(crate) fn directory(&self) -> &Directory {
        self.sign_in.directory()
    }

    /// Who asks and what of `need` they may do.
    ///
    /// # Errors
    /// [`SignInError`] if that cannot be said now.
    pub(crate) async fn identify(
        &self,
        credentials: &Credentials,
        need: &Need,
        source: &RequestSource,
    ) -> Result<Found, SignInError> {
        if credentials.are_empty() {
            return match self.sign_in.by_certificate(source).await? {
                Some(holder) => Ok(self.found(Some(holder), need)?),
                None => Ok(self.of_nobody(need)?),
            };
        }
        let address = &source.address.to_string();
        match credentials {
            Credentials::Basic { user, password } => {
                let found = self.sign_in.sign_in(user, password, address).await?;
                Ok(self.found(found, need)?)
            }
            Credentials::Bearer(token) => {
                self.sign_in.refresh().await;
                if let Some(verified) = self.own.verify(token)? {
                    let identity = match verified.principal.means {
                        Means::Nobody => Identity::Anonymous,
                        Means::Password
                        | Means::PasswordElsewhere
                        | Means::Token(_)
                        | Means::AccessToken
                        | Means::Workload
                        | Means::Certificate
                        | Means::Console => Identity::User(Arc::clone(&verified.principal.name)),
                    };
                    return Ok(Found::Caller(identity, verified.access));
                }
                if let Some(foreign) = &self.foreign
                    && let Some((identity, access)) = Box::pin(foreign.verify(token)).await
                {
                    return Ok(Found::Caller(identity, access));
                }
                let found = self.directory().by_token(token.expose())?;
                let found = found.filter(|found| {
                    matches!(
                        found.means,
                        Means::Token(TokenKind::Personal | TokenKind::Robot)
                    )
                });
                Ok(self.found(found, need)?)
            }
            Credentials::None | Credentials::Unknown => Ok(Found::Wrong),
        }
    }

    fn found(&self, found: Option<Principal>, need: &Need) -> Result<Found, Fault> {
        let Some(principal) = found else {
            return Ok(Found::Wrong);
        };
        let access = self.access(&principal, need)?;
        Ok(Found::Caller(
            Identity::User(Arc::clone(&principal.name)),
            access,
        ))
    }

    /// Docker asks at `/v2/` how to sign in, and would push without if it were not told: nobody is refused
    /// there, though they may pull what is public.
    fn of_nobody(&self, need: &Need) -> Result<Found, Fault> {
        if *need == Need::SignIn || !self.directory().settings().is_open_to_anonymous {
            return Ok(Found::Missing);
        }
        let access = match need {
            Need::In {
                repository,
                actions: [Action::Pull],
                helpful: None,
            } => {
                let generation = self.directory().generation();
                if self.open.get(repository.as_str()) == Some(generation) {
                    Access::PullOnly
                } else {
                    let access = self.access(&Principal::nobody(), need)?;
                    if access.meets(need) {
                        self.open.insert(repository.as_str().into(), generation);
                    }
                    access
                }
            }
            // podman searches without a name first, and with one only if it is refused.
            Need::Search if !self.directory().shows_anything()? => Access::Nothing,
            Need::In { .. } | Need::Catalog | Need::Search | Need::SignIn | Need::Nothing => {
                self.access(&Principal::nobody(), need)?
            }
        };
        if access.meets(need) {
            Ok(Found::Caller(Identity::Anonymous, access))
        } else {
            Ok(Found::Missing)
        }
    }

    /// What of `need` somebody may do.
    fn access(&self, who: &Principal, need: &Need) -> Result<Access, Fault> {
        let mut grants = Grants::default();
        match need {
            Need::Nothing | Need::SignIn => {}
            Need::Catalog => grants.add_catalog(Arc::new(self.directory().viewer(who)?)),
            Need::Search => grants.add_search(Arc::new(self.directory().viewer(who)?)),
            Need::In {
                repository,
                actions,
                helpful,
            } => {
                let rights = self.directory().rights(who, repository)?;
                grants.add_rights(repository, &rights, actions);
                if let Some(from) = helpful {
                    let rights = self.directory().rights(who, from)?;
                    grants.add_rights(from, &rights, &[Action::Pull]);
                }
            }
        }
        Ok(Access::Listed(Arc::new(grants)))
    }
}
