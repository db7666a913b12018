//! Codes with which somebody may sign up, once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::{Body, Nothing, Paging, Query};
use super::output::{Created, Done, Found, Page};
use super::problem::Problem;
use super::views::{Hidden, Id, Moment};
use super::visit::Visit;
use crate::auth::permits::AdminPermit;
use crate::meta::invitations::{Invitation as Stored, InvitationId};

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Invitation {
    id: Id,
    /// Whom it was sent to; empty where nobody said.
    email: String,
    created_by: String,
    created_at: Moment,
    expires_at: Option<Moment>,
}

impl From<Stored> for Invitation {
    fn from(invitation: Stored) -> Self {
        Self {
            id: Id(invitation.id.0),
            email: invitation.email,
            created_by: invitation.created_by,
            created_at: Moment(invitation.created_at),
            expires_at: invitation.expires_at.map(Moment),
        }
    }
}

/// An invitation with its code, which is shown this once.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct InvitationWithCode {
    #[serde(flatten)]
    about: Invitation,
    code: Hidden,
}

/// An invitation to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewInvitation")]
pub(super) struct Form {
    /// Whom it is for: to remember, nothing is sent.
    #[serde(default)]
    email: String,
    expires_at: Option<Moment>,
}

pub(super) async fn list(
    visit: Visit,
    permit: AdminPermit,
    Query(paging): Query<Paging>,
) -> Result<Found<Page<Invitation>>, Problem> {
    let (rows, after) = (paging.rows()?, paging.id()?.map(InvitationId));
    let found = visit.index.invitations(&permit, after, rows + 1)?;
    let key = |found: &Stored| found.id.0.to_string();
    Ok(Found(Page::of(found, rows, key, Invitation::from)))
}

pub(super) async fn create(
    visit: Visit,
    permit: AdminPermit,
    Body(form): Body<Form>,
) -> Result<Created<InvitationWithCode>, Problem> {
    let end = form.expires_at.map(|Moment(at)| at);
    let (invitation, code) = visit.index.invite(&permit, &form.email, end).await?;
    Ok(Created(InvitationWithCode {
        about: invitation.into(),
        code: Hidden(code),
    }))
}

pub(super) async fn revoke(visit: Visit, permit: AdminPermit, _: Nothing) -> Result<Done, Problem> {
    let id = InvitationId(visit.named("id")?);
    visit.index.revoke_invitation(&permit, id).await?;
    Ok(Done)
}
