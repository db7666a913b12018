//! Passwords that we keep: given at the start, changed by their owners, replaced by administrators.

use std::time::Duration;

use serde_json::json;

use super::audit::{Action, Audit};
use super::{Index, Sort};
use crate::auth::credentials::Secret;
use crate::auth::passwords::hash::{PASSWORD_BYTES_MAX, PASSWORD_CHARACTERS_MIN, hash};
use crate::auth::permits::{AccountPermit, AdminPermit, Asker};
use crate::auth::principal::Means;
use crate::auth::sign_in::{LOCAL, SignIn, SignInError};
use crate::fault::{Fault, FaultKind};
use crate::meta::accounts::{self, AccountId, AccountKind};
use crate::meta::tokens::{self, TokenKind};

/// Why a password was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PasswordError {
    #[error("a password has at least {PASSWORD_CHARACTERS_MIN} characters; choose a longer one")]
    Short,
    #[error("a password has at most {PASSWORD_BYTES_MAX} bytes; choose a shorter one")]
    Long,
    #[error("the old password is wrong; ask an administrator for a new one if it is lost")]
    Wrong,
    #[error("too many passwords were tried; try again in {} s", .0.as_secs().max(1))]
    Busy(Duration),
    #[error("{name} signs in by {from}; change the password there")]
    Elsewhere { name: String, from: String },
    #[error("there is no user {0}")]
    Unknown(String),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl PasswordError {
    pub(crate) fn sort(&self) -> Sort<'_> {
        match self {
            Self::Short | Self::Long => Sort::Invalid,
            Self::Wrong => Sort::Forbidden,
            Self::Busy(wait) => Sort::Busy(*wait),
            Self::Elsewhere { .. } => Sort::Conflict,
            Self::Unknown(_) => Sort::Absent,
            Self::Fault(fault) => Sort::Fault(fault),
        }
    }
}

impl Index {
    /// Changes one's own password. Guesses at the old one wait as at a sign-in.
    pub(crate) async fn change_password(
        &self,
        permit: &AccountPermit,
        sign_in: &SignIn,
        old: &Secret,
        new: &Secret,
    ) -> Result<(), PasswordError> {
        let asker = permit.asker();
        let name = asker.principal().name.to_string();
        self.local(&name)?;
        check(new)?;
        let address = asker.source().address.to_string();
        let found = sign_in.sign_in(&name, old, &address).await;
        let found = found.map_err(|error| match error {
            SignInError::Busy(busy) => PasswordError::Busy(busy.wait),
            SignInError::Fault(fault) => PasswordError::Fault(fault),
        })?;
        // A token in its place proves no password.
        if !found.is_some_and(|found| found.means == Means::Password) {
            return Err(PasswordError::Wrong);
        }
        self.replace_password(asker, name, new).await
    }

    /// Gives a user another password.
    pub(crate) async fn set_password(
        &self,
        permit: &AdminPermit,
        name: &str,
        new: &Secret,
    ) -> Result<(), PasswordError> {
        self.local(name)?;
        self.replace_password(permit.asker(), name.to_owned(), new)
            .await
    }

    /// Ends what was signed in with the old one: sessions, and what Docker keeps.
    async fn replace_password(
        &self,
        asker: &Asker,
        name: String,
        new: &Secret,
    ) -> Result<(), PasswordError> {
        let id = self.local(&name)?;
        let hashed = self.hash(new).await?;
        let audit = Audit::by(asker, Action::UserPassword, name, json!({}));
        self.change(audit, move |tx| {
            accounts::set_password(tx, id, &hashed)?;
            tokens::delete_kind(tx, id, TokenKind::Session)?;
            tokens::delete_kind(tx, id, TokenKind::Refresh)?;
            Ok(())
        })
        .await
    }

    /// The account of a user whose password we keep.
    fn local(&self, name: &str) -> Result<AccountId, PasswordError> {
        let account = self.look(|tx| accounts::by_name(tx, name))?;
        let user = account
            .filter(|account| account.kind == AccountKind::User)
            .ok_or_else(|| PasswordError::Unknown(name.to_owned()))?;
        if user.source != LOCAL {
            return Err(PasswordError::Elsewhere {
                name: user.name,
                from: user.source,
            });
        }
        Ok(user.id)
    }

    /// The hash to keep of a password; one at a time, on a thread that may take its time.
    pub(super) async fn hash(&self, password: &Secret) -> Result<String, PasswordError> {
        check(password)?;
        let fault = |error| Fault::new(FaultKind::Other, "hashing a password", error);
        let turn = self.core.acquire().await;
        let (password, random) = (password.clone(), self.directory.random().clone());
        let hashed = tokio::task::spawn_blocking(move || hash(&password, &random)).await;
        drop(turn);
        Ok(hashed.map_err(fault)?)
    }
}

/// Whether a password may be one.
pub(super) fn check(password: &Secret) -> Result<(), PasswordError> {
    let bytes = password.expose();
    if PASSWORD_BYTES_MAX < bytes.len() {
        return Err(PasswordError::Long);
    }
    if String::from_utf8_lossy(bytes).chars().count() < PASSWORD_CHARACTERS_MIN {
        return Err(PasswordError::Short);
    }
    Ok(())
}
