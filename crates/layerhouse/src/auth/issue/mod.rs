//! The token service: who signs in gets a signed list of what they may do, which this registry and others
//! believe (Docker's token specification).

pub(crate) mod grants;
pub(crate) mod jwt;
pub(crate) mod key;
pub(crate) mod keys;
pub(crate) mod own;
pub(crate) mod refresh;
pub(crate) mod scopes;
pub(crate) mod uses;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use self::jwt::Contents;
use self::keys::{Keys, plus};
use self::refresh::RefreshError;
use self::scopes::Scope;
use super::credentials::Secret;
use super::directory::Directory;
use super::principal::{Means, Principal};
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::tokens::TokenKind;

/// What a client asks for, beside who it is.
#[derive(Debug)]
pub(crate) struct TokenRequest<'a> {
    /// Where the token is to be shown; absent, here.
    pub(crate) service: Option<&'a str>,
    pub(crate) scopes: Vec<Scope>,
    /// Whether it wants something to keep instead of the password.
    pub(crate) wants_refresh: bool,
    /// What the client calls itself.
    pub(crate) client: &'a str,
}

/// What it gets.
#[derive(Debug)]
#[expect(
    clippy::struct_field_names,
    reason = "issued_at is what the specification calls it"
)]
pub(crate) struct Issued {
    pub(crate) token: Secret,
    pub(crate) issued_at: Timestamp,
    pub(crate) lifetime: Duration,
    pub(crate) refresh: Option<Secret>,
    /// What of it was granted.
    pub(crate) scopes: Vec<Scope>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    #[error("this token service issues none for the service that was named")]
    UnknownService,
    /// Nobody signed in, and there is nothing here for nobody.
    #[error("authentication required")]
    Nobody,
    /// What they signed in with ended in the meantime.
    #[error("what was signed in with has ended")]
    Ended,
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<RefreshError> for IssueError {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Ended => Self::Ended,
            RefreshError::Fault(fault) => Self::Fault(fault),
        }
    }
}

/// Issues tokens.
#[derive(Clone)]
pub(crate) struct Issuer {
    directory: Directory,
    keys: Arc<Keys>,
}

impl Issuer {
    pub(crate) fn new(directory: &Directory, keys: &Arc<Keys>) -> Self {
        Self {
            directory: directory.clone(),
            keys: Arc::clone(keys),
        }
    }

    /// The keys that others verify with.
    pub(crate) fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Who a refresh token is of; `None` if it is none, or has ended.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn holder(&self, refresh: &Secret) -> Result<Option<Principal>, Fault> {
        let found = self.directory.by_token(refresh.expose())?;
        Ok(found.filter(|who| who.means == Means::Token(TokenKind::Refresh)))
    }

    /// A token for `who`, of what they asked for and may do; perhaps of nothing, which is still a proof of
    /// who they are.
    ///
    /// # Errors
    /// [`IssueError`]
    pub(crate) async fn issue(
        &self,
        who: &Principal,
        request: TokenRequest<'_>,
    ) -> Result<Issued, IssueError> {
        let settings = self.directory.settings();
        if who.account.is_none() && !settings.is_open_to_anonymous {
            return Err(IssueError::Nobody);
        }
        let config = &settings.tokens;
        let audience = request.service.unwrap_or(&config.service);
        let is_ours = audience == config.service;
        if !is_ours && !config.services.iter().any(|service| service == audience) {
            return Err(IssueError::UnknownService);
        }
        let ring = self.keys.current().await?;
        let scopes = grants::of(&self.directory, who, &request.scopes, is_ours)?;
        let refresh = match who.account {
            Some(account) if request.wants_refresh && who.means.may_be_kept() => {
                let made = refresh::make(&self.directory, account.id, who, request.client);
                Some(made.await?)
            }
            _ => None,
        };
        let random = self.directory.random();
        let now = self.directory.clock().now();
        // Tokens count whole seconds, and one must not live longer than it says.
        let issued_at = Timestamp(now.0 - now.0.rem_euclid(1000));
        let contents = Contents {
            issuer: config.issuer.clone(),
            subject: if who.account.is_some() {
                Arc::clone(&who.name)
            } else {
                Arc::from("")
            },
            audience: audience.to_owned(),
            issued_at,
            expires_at: plus(issued_at, config.lifetime),
            access: scopes,
            account: who.account.map(|account| account.id),
            token: who.token,
        };
        let token = jwt::sign(&contents, &random.uuid(), ring.signer()?)?;
        Ok(Issued {
            token,
            issued_at,
            lifetime: config.lifetime,
            refresh,
            scopes: contents.access,
        })
    }
}
