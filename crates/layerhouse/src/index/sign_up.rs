//! People who make an account for themselves: all, those with an invitation, or nobody; and the one who has the
//! code that makes the first administrator.

use layerhouse_oci::namespace::NamespaceName;
use serde_json::json;

use super::audit::{Action, Audit};
use super::passwords::check;
use super::users::{NewUser, User, UserError, check_free, check_profile, create};
use super::{Index, Sort};
use crate::auth::RequestSource;
use crate::auth::credentials::Secret;
use crate::auth::directory::secret_hash;
use crate::auth::sign_in::LOCAL;
use crate::config::meaning::index::SignUp;
use crate::fault::Fault;
use crate::meta::invitations::{self, Invitation};
use crate::meta::{accounts, namespaces};

/// What somebody says who wants an account.
#[derive(Clone, Debug)]
pub(crate) struct SignUpForm {
    pub(crate) name: String,
    pub(crate) password: Secret,
    pub(crate) full_name: String,
    pub(crate) email: String,
    /// Of an invitation, or the one that was printed at the first start.
    pub(crate) code: Option<Secret>,
}

/// Why there is no account for them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignUpError {
    #[error("accounts are made by administrators here; ask one")]
    Closed,
    #[error("an account needs an invitation here; ask an administrator for one")]
    NotInvited,
    #[error("the code is wrong, was used, or has ended; ask for another one")]
    Code,
    #[error(transparent)]
    User(#[from] UserError),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl SignUpError {
    pub(crate) fn sort(&self) -> Sort<'_> {
        match self {
            Self::Closed | Self::NotInvited | Self::Code => Sort::Forbidden,
            Self::User(error) => error.sort(),
            Self::Fault(fault) => Sort::Fault(fault),
        }
    }
}

impl Index {
    /// Makes an account for who asks.
    pub(crate) async fn sign_up(
        &self,
        source: &RequestSource,
        form: SignUpForm,
    ) -> Result<User, SignUpError> {
        let SignUpForm {
            name,
            password,
            full_name,
            email,
            code,
        } = form;
        let now = self.now();
        let code = code.map(|code| secret_hash(code.expose()));
        let invitation = match &code {
            Some(code) => self.look(|tx| invitations::by_hash(tx, code, now))?,
            None => None,
        };
        let is_setup = self.admit(code.is_some(), invitation.as_ref())?;
        check_profile(Some(&full_name), Some(&email))?;
        let name: NamespaceName = name.parse().map_err(UserError::from)?;
        check(&password).map_err(UserError::from)?;
        let has_copies = self.directory.settings().has_copies_in(&name);
        self.look(|tx| {
            check_free(tx, &name)?;
            // Who asks may be anybody; the first administrator may take over what is there.
            if !is_setup && (has_copies || namespaces::has_repositories(tx, name.as_str())?) {
                return Err(UserError::Occupied(name.as_str().to_owned()));
            }
            Ok(())
        })?;
        let password = self.hash(&password).await.map_err(UserError::from)?;
        let invited_by = invitation
            .as_ref()
            .map(|invited| invited.created_by.clone());
        let audit = Audit {
            actor: name.as_str().to_owned(),
            address: source.address.to_string(),
            action: Action::UserCreate,
            subject: name.as_str().to_owned(),
            detail: json!({ "is_admin": is_setup, "source": LOCAL, "invited_by": invited_by }),
        };
        let new = NewUser {
            name: name.as_str().to_owned(),
            password: None,
            full_name,
            email,
            is_admin: is_setup,
        };
        self.change(audit, move |tx| {
            // Of two who came with the same code, one.
            if let Some(invitation) = invitation
                && !invitations::delete(tx, invitation.id)?
            {
                return Err(SignUpError::Code);
            }
            if is_setup && accounts::count_admins(tx)? != 0 {
                return Err(SignUpError::Code);
            }
            check_free(tx, &name)?;
            if !is_setup && (has_copies || namespaces::has_repositories(tx, name.as_str())?) {
                return Err(UserError::Occupied(name.as_str().to_owned()).into());
            }
            Ok(create(tx, &name, new, Some(password), now)?)
        })
        .await
    }

    /// Whether they may sign up, and become the first administrator.
    fn admit(&self, has_code: bool, invitation: Option<&Invitation>) -> Result<bool, SignUpError> {
        if let Some(invitation) = invitation
            && invitation.is_setup
        {
            return Ok(true);
        }
        match (self.directory.settings().sign_up, invitation) {
            (SignUp::Closed, _) if has_code && invitation.is_none() => Err(SignUpError::Code),
            (SignUp::Closed, _) => Err(SignUpError::Closed),
            (SignUp::Invitation | SignUp::Open, None) if has_code => Err(SignUpError::Code),
            (SignUp::Invitation, None) => Err(SignUpError::NotInvited),
            (SignUp::Open, None) | (SignUp::Invitation | SignUp::Open, Some(_)) => Ok(false),
        }
    }
}
