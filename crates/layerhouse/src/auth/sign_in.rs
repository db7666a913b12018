//! Signing in to the index: a name with a password of any source, or with a token.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::RequestSource;
use super::credentials::Secret;
use super::directory::{Directory, HTPASSWD, tokens_of};
use super::htpasswd::Htpasswd;
use super::outsider::{Outsider, OutsiderError};
use super::passwords::hash::{NOBODY, matches};
use super::passwords::{Busy, Comparison, Guess, Passwords};
use super::principal::{Means, Principal};
use super::sources::ldap::entry::LDAP;
use super::sources::workload::{Assignment, Verdict};
use super::sources::{SourceError, Sources, mtls};
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::accounts::{self, Account};
use crate::meta::database::Durability;
use crate::meta::tokens::TokenKind;

/// Who vouches for accounts of our own.
pub(crate) const LOCAL: &str = "local";

/// The date of somebody's last sign-in is not written more often.
const NOTED_EVERY: Duration = Duration::from_hours(1);

/// What a client is asked to wait for a source that does not answer.
const SILENT_WAIT: Duration = Duration::from_secs(5);

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
    sources: Sources,
}

impl SignIn {
    pub(crate) fn new(
        directory: Directory,
        passwords: Arc<Passwords>,
        htpasswd: Option<Arc<Htpasswd>>,
        sources: Sources,
    ) -> Self {
        Self {
            directory,
            passwords,
            htpasswd,
            sources,
        }
    }

    /// Who else vouches for people.
    pub(crate) fn sources(&self) -> &Sources {
        &self.sources
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
        match self.sources.workloads.check(secret).await {
            Ok(Verdict::NotOurs) => {}
            Ok(Verdict::Refused) => return Ok(None),
            Ok(Verdict::Assigned(assignment)) => return Ok(self.assigned(assignment)?),
            Err(error) => return Err(silent("workloads", &error).into()),
        }
        let look = |tx: &crate::meta::transaction::Transaction<'_>| accounts::by_name(tx, user);
        let account: Option<Account> = self.directory.database().read(look)?;
        let source = account.as_ref().map(|account| account.source.as_str());
        let is_right = match (source, &self.htpasswd) {
            (Some(HTPASSWD), Some(htpasswd)) => htpasswd.check(user, secret, address).await?,
            (None, Some(htpasswd)) if htpasswd.knows(user).await => {
                if !htpasswd.check(user, secret, address).await? {
                    return Ok(None);
                }
                return self.welcome(of_file(user), Means::Password, address).await;
            }
            (Some(LDAP) | None, _) if self.sources.ldap.is_some() => {
                return self.by_ldap(user, secret, address, account).await;
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
        means: Means,
        address: &str,
    ) -> Result<Option<Principal>, SignInError> {
        let source = outsider.source.clone();
        match self.directory.provision(outsider, means, address).await {
            Ok(principal) => Ok(Some(principal)),
            Err(OutsiderError::Fault(fault)) => Err(fault.into()),
            Err(error) => {
                tracing::warn!(source, %error, "somebody who proved who they are cannot sign in");
                Ok(None)
            }
        }
    }

    /// By the directory of the house, which also knows people whom nobody here has seen yet.
    async fn by_ldap(
        &self,
        user: &str,
        secret: &Secret,
        address: &str,
        account: Option<Account>,
    ) -> Result<Option<Principal>, SignInError> {
        let Some(ldap) = &self.sources.ldap else {
            return Ok(None);
        };
        let found = Mutex::new(None);
        let asking = async {
            let known = ldap.check(user, secret).await;
            let known = known.map_err(|error| silent(LDAP, &error))?;
            let is_right = known.is_some();
            *found.lock().unwrap_or_else(PoisonError::into_inner) = known;
            Ok(is_right)
        };
        let guess = Guess {
            entry: LDAP.as_bytes(),
            user,
            password: secret,
            address,
        };
        let comparison = Comparison::Elsewhere(Box::pin(asking));
        if !self.passwords.check(guess, comparison).await? {
            return Ok(None);
        }
        let means = Means::PasswordElsewhere;
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let outsider = match (found, account) {
            (Some(outsider), _) => outsider,
            // It was asked up to a minute ago.
            (None, Some(account)) => {
                self.note(&account).await?;
                return Ok(self.directory.principal(&account, means, None));
            }
            // And calls them otherwise than they do.
            (None, None) => match ldap.check(user, secret).await {
                Ok(Some(outsider)) => outsider,
                Ok(None) => return Ok(None),
                Err(error) => return Err(silent(LDAP, &error).into()),
            },
        };
        self.welcome(outsider, means, address).await
    }

    /// Whom TLS verified the client to be, if certificates are a source and this one names somebody.
    ///
    /// # Errors
    /// [`SignInError`] if that cannot be said now.
    pub(crate) async fn by_certificate(
        &self,
        source: &RequestSource,
    ) -> Result<Option<Principal>, SignInError> {
        let (Some(config), Some(der)) = (&self.sources.mtls, &source.certificate) else {
            return Ok(None);
        };
        let Some(holder) = mtls::holder(der, config) else {
            return Ok(None);
        };
        self.refresh().await;
        let look = |tx: &crate::meta::transaction::Transaction<'_>| {
            accounts::by_subject(tx, &holder.source, &holder.subject)
        };
        let means = Means::Certificate;
        match self.directory.database().read(look)? {
            Some(account) => {
                self.note(&account).await?;
                Ok(self.directory.principal(&account, means, None))
            }
            None => {
                self.welcome(holder, means, &source.address.to_string())
                    .await
            }
        }
    }

    /// The account that a job's token is good for.
    fn assigned(&self, assignment: Assignment) -> Result<Option<Principal>, Fault> {
        let look = |tx: &crate::meta::transaction::Transaction<'_>| {
            accounts::by_name(tx, &assignment.account)
        };
        let Some(account) = self.directory.database().read(look)? else {
            tracing::warn!(
                account = assignment.account,
                "a rule of layerhouse.index.workloads names an account that is not there"
            );
            return Ok(None);
        };
        let principal = self.directory.principal(&account, Means::Workload, None);
        Ok(principal.map(|principal| Principal {
            limits: assignment.limits,
            ..principal
        }))
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

/// A source that does not answer: nobody's password is wrong for that.
fn silent(source: &str, error: &SourceError) -> Busy {
    tracing::warn!(source, %error, "a source of identity does not answer");
    Busy { wait: SILENT_WAIT }
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
