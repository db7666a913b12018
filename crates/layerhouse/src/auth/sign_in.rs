//! Signing in to the index: a name with a password of any source, or with a token.

use std::sync::Arc;
use std::time::Duration;

use super::credentials::Secret;
use super::directory::{Directory, HTPASSWD, tokens_of};
use super::htpasswd::Htpasswd;
use super::outsider::{Outsider, OutsiderError};
use super::passwords::hash::{NOBODY, matches};
use super::passwords::{Busy, Comparison, Guess, Passwords};
use super::principal::{Means, Principal};
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::accounts::{self, Account};
use crate::meta::sqlite::Durability;
use crate::meta::tokens::TokenKind;

/// Who vouches for accounts of our own.
pub(crate) const LOCAL: &str = "local";

/// The date of somebody's last sign-in is not written more often.
const NOTED_EVERY: Duration = Duration::from_hours(1);

/// Why it cannot be said whether a sign-in is good.
#[derive(Debug)]
pub(crate) enum SignInError {
    Busy(Busy),
    Fault(Fault),
}

impl From<Fault> for SignInError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Busy> for SignInError {
    fn from(busy: Busy) -> Self {
        Self::Busy(busy)
    }
}

/// Signs people and robots in.
pub(crate) struct SignIn {
    directory: Directory,
    passwords: Arc<Passwords>,
    htpasswd: Option<Arc<Htpasswd>>,
}

impl SignIn {
    pub(crate) fn new(
        directory: Directory,
        passwords: Arc<Passwords>,
        htpasswd: Option<Arc<Htpasswd>>,
    ) -> Self {
        Self {
            directory,
            passwords,
            htpasswd,
        }
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Looks whether the file of users changed; before anything is decided by accounts.
    pub(crate) async fn refresh(&self) {
        if let Some(htpasswd) = &self.htpasswd {
            self.directory.look_at_htpasswd(&htpasswd.users().await);
        }
    }

    /// Who signs in with a name and a password, or a token in its place; `None` for every pair that is not
    /// good, whatever is wrong with it (S14).
    ///
    /// # Errors
    /// [`SignInError`] if that cannot be said now.
    pub(crate) async fn sign_in(
        &self,
        user: &str,
        secret: &Secret,
        address: &str,
    ) -> Result<Option<Principal>, SignInError> {
        self.refresh().await;
        if tokens_of(secret.expose()).is_some() {
            let found = self.directory.by_token(secret.expose())?;
            return Ok(found.filter(|found| {
                // A refresh token is for the token service, a session for a browser.
                let may_sign_in = matches!(
                    found.means,
                    Means::Token(TokenKind::Personal | TokenKind::Robot)
                );
                may_sign_in && *found.name == *user
            }));
        }
        let look = |tx: &crate::meta::Transaction<'_>| accounts::by_name(tx, user);
        let account: Option<Account> = self.directory.database().read(look)?;
        let source = account.as_ref().map(|account| account.source.as_str());
        let is_right = match (source, &self.htpasswd) {
            (Some(HTPASSWD), Some(htpasswd)) => htpasswd.check(user, secret, address).await?,
            (None, Some(htpasswd)) if htpasswd.knows(user).await => {
                if !htpasswd.check(user, secret, address).await? {
                    return Ok(None);
                }
                return self.welcome(of_file(user), address).await;
            }
            (Some(_) | None, _) => {
                self.compare(user, secret, address, account.as_ref())
                    .await?
            }
        };
        let Some(account) = account.filter(|_| is_right) else {
            return Ok(None);
        };
        self.note(&account).await?;
        Ok(self.directory.principal(&account, Means::Password, None))
    }

    /// With the hash of an account of ours, or with one that nothing matches: both take the same time.
    async fn compare(
        &self,
        user: &str,
        secret: &Secret,
        address: &str,
        account: Option<&Account>,
    ) -> Result<bool, Busy> {
        let own = account.filter(|account| account.source == LOCAL && !account.is_disabled);
        let stored = own.and_then(|account| account.password.clone());
        let counts = stored.is_some();
        let stored = stored.unwrap_or_else(|| NOBODY.to_owned());
        let guess = Guess {
            entry: stored.as_bytes(),
            user,
            password: secret,
            address,
        };
        let (typed, hash) = (secret.clone(), stored.clone());
        let comparison = Comparison::Here(Box::new(move || matches(&hash, &typed) && counts));
        self.passwords.check(guess, comparison).await
    }

    /// Somebody whom a source just vouched for.
    async fn welcome(
        &self,
        outsider: Outsider,
        address: &str,
    ) -> Result<Option<Principal>, SignInError> {
        let source = outsider.source.clone();
        match self
            .directory
            .provision(outsider, Means::Password, address)
            .await
        {
            Ok(principal) => Ok(Some(principal)),
            Err(OutsiderError::Fault(fault)) => Err(fault.into()),
            Err(error) => {
                tracing::warn!(source, %error, "somebody who proved who they are cannot sign in");
                Ok(None)
            }
        }
    }

    async fn note(&self, account: &Account) -> Result<(), Fault> {
        let now = self.directory.clock().now();
        let last = account.signed_in_at.unwrap_or(Timestamp(0));
        if now.since(last) < NOTED_EVERY {
            return Ok(());
        }
        let id = account.id;
        self.directory
            .database()
            .write_lasting(Durability::ProcessDeath, move |tx| {
                accounts::signed_in(tx, id, now)
            })
            .await
    }
}

/// A user of registry:2's file: the operator wrote the name down, so it is theirs.
fn of_file(user: &str) -> Outsider {
    Outsider {
        source: HTPASSWD.to_owned(),
        subject: user.to_owned(),
        name: user.to_owned(),
        full_name: String::new(),
        email: String::new(),
        teams: None,
        is_name_assigned: true,
    }
}
