//! Invitations: codes to sign up with, once.

use serde_json::json;

use super::audit::{Action, Audit};
use super::users::is_line;
use super::{Index, Sort, page};
use crate::auth::credentials::Secret;
use crate::auth::directory::{new_secret, secret_hash};
use crate::auth::permits::AdminPermit;
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::invitations::{self, Invitation, InvitationId, NewInvitation};
use crate::meta::transaction::Transaction;

/// What a code begins with.
const INVITATION_PREFIX: &str = "lhv_";
const EMAIL_BYTES_MAX: usize = 255;

/// Why nobody was invited, or is no longer not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvitationError {
    #[error("an e-mail address has at most {EMAIL_BYTES_MAX} bytes and no control characters")]
    Email,
    #[error("that is over already; choose a later time for the end")]
    Expired,
    #[error("there is no such invitation; list them to see which there are")]
    Unknown,
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl InvitationError {
    pub(crate) fn sort(&self) -> Sort<'_> {
        match self {
            Self::Email | Self::Expired => Sort::Invalid,
            Self::Unknown => Sort::Absent,
            Self::Fault(fault) => Sort::Fault(fault),
        }
    }
}

impl Index {
    /// Invites somebody; the code is shown this once.
    pub(crate) async fn invite(
        &self,
        permit: &AdminPermit,
        email: &str,
        expires_at: Option<Timestamp>,
    ) -> Result<(Invitation, Secret), InvitationError> {
        if !is_line(email, EMAIL_BYTES_MAX) {
            return Err(InvitationError::Email);
        }
        let now = self.now();
        if expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(InvitationError::Expired);
        }
        let code = new_secret(INVITATION_PREFIX, self.directory.random());
        let new = NewInvitation {
            hash: secret_hash(code.expose()),
            email: email.to_owned(),
            is_setup: false,
            created_by: permit.asker().principal().name.to_string(),
            expires_at,
        };
        let audit = Audit::by(
            permit.asker(),
            Action::InvitationCreate,
            email,
            json!({ "expires_at": expires_at.map(|at| at.0) }),
        );
        let made = self.change(audit, move |tx| {
            invitations::create(tx, &new, now)?;
            invitations::by_hash(tx, &new.hash, now)?.ok_or(InvitationError::Unknown)
        });
        Ok((made.await?, code))
    }

    /// Invitations after another one, in the order in which they were made.
    pub(crate) fn invitations(
        &self,
        _: &AdminPermit,
        after: Option<InvitationId>,
        rows: usize,
    ) -> Result<Vec<Invitation>, Fault> {
        let after = after.map_or(0, |after| after.0);
        self.look(|tx| invitations::list(tx, after, page(rows)))
    }

    /// Takes an invitation back.
    pub(crate) async fn revoke_invitation(
        &self,
        permit: &AdminPermit,
        id: InvitationId,
    ) -> Result<(), InvitationError> {
        let found = self.look(|tx| find(tx, id))?;
        let action = Action::InvitationDelete;
        let audit = Audit::by(permit.asker(), action, found.email, json!({}));
        self.change(audit, move |tx| {
            find(tx, id)?;
            invitations::delete(tx, id)?;
            Ok(())
        })
        .await
    }
}

/// The invitation with this id; the code for the first administrator is none.
fn find(tx: &Transaction<'_>, id: InvitationId) -> Result<Invitation, InvitationError> {
    let found = invitations::list(tx, id.0.saturating_sub(1), 1)?.pop();
    found
        .filter(|found| found.id == id)
        .ok_or(InvitationError::Unknown)
}
