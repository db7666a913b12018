//! Users, for administrators; and signing up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::{Body, Nothing, Paging, Query};
use super::output::{Created, Done, Found, Page};
use super::problem::Problem;
use super::views::{Hidden, Moment};
use super::visit::Visit;
use crate::auth::permits::{AdminPermit, Asker};
use crate::index::sign_up::SignUpForm;
use crate::index::users::{NewUser, Profile, UserChanges};

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct User {
    name: String,
    full_name: String,
    email: String,
    /// Who vouches for them: `local`, or a source elsewhere.
    source: String,
    is_admin: bool,
    is_disabled: bool,
    created_at: Moment,
    /// To the hour, more or less.
    signed_in_at: Option<Moment>,
}

impl From<crate::index::users::User> for User {
    fn from(user: crate::index::users::User) -> Self {
        Self {
            name: user.name,
            full_name: user.full_name,
            email: user.email,
            source: user.source,
            is_admin: user.is_admin,
            is_disabled: user.is_disabled,
            created_at: Moment(user.created_at),
            signed_in_at: user.signed_in_at.map(Moment),
        }
    }
}

/// A user to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewUser")]
pub(super) struct Form {
    name: String,
    /// Who signs up needs one.
    password: Option<Hidden>,
    #[serde(default)]
    full_name: String,
    #[serde(default)]
    email: String,
    /// Of an invitation, or the one that makes the first administrator.
    code: Option<Hidden>,
    /// For administrators to say.
    is_admin: Option<bool>,
}

/// What administrators change of users; what is not there stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "UserChanges")]
pub(super) struct Changes {
    full_name: Option<String>,
    email: Option<String>,
    is_admin: Option<bool>,
    is_disabled: Option<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    password: Hidden,
}

/// By an administrator, or for who asks.
pub(super) async fn create(
    visit: Visit,
    asker: Asker,
    Body(form): Body<Form>,
) -> Result<Created<User>, Problem> {
    if let Some(permit) = AdminPermit::of(&asker) {
        let new = NewUser {
            name: form.name,
            password: form.password.map(|Hidden(password)| password),
            full_name: form.full_name,
            email: form.email,
            is_admin: form.is_admin.unwrap_or(false),
        };
        let user = visit.index.create_user(&permit, new).await?;
        return Ok(Created(user.into()));
    }
    // Who asks for more than they get must not think that they got it (S10).
    if form.is_admin.is_some() {
        return Err(Problem::denied("administrators alone say who is one"));
    }
    let Hidden(password) = form
        .password
        .ok_or_else(|| Problem::invalid("password: choose one"))?;
    let form = SignUpForm {
        name: form.name,
        password,
        full_name: form.full_name,
        email: form.email,
        code: form.code.map(|Hidden(code)| code),
    };
    let user = visit.index.sign_up(asker.source(), form).await?;
    Ok(Created(user.into()))
}

pub(super) async fn list(
    visit: Visit,
    permit: AdminPermit,
    Query(paging): Query<Paging>,
) -> Result<Found<Page<User>>, Problem> {
    let rows = paging.rows()?;
    let found = visit.index.users(&permit, paging.name(), rows + 1)?;
    Ok(Found(Page::of(
        found,
        rows,
        |user| user.name.clone(),
        User::from,
    )))
}

pub(super) async fn show(
    visit: Visit,
    permit: AdminPermit,
    _: Nothing,
) -> Result<Found<User>, Problem> {
    Ok(Found(visit.index.user(&permit, visit.text("user"))?.into()))
}

pub(super) async fn update(
    visit: Visit,
    permit: AdminPermit,
    Body(changes): Body<Changes>,
) -> Result<Found<User>, Problem> {
    let changes = UserChanges {
        profile: Profile {
            full_name: changes.full_name,
            email: changes.email,
        },
        is_admin: changes.is_admin,
        is_disabled: changes.is_disabled,
    };
    let updated = visit
        .index
        .update_user(&permit, visit.text("user"), changes);
    Ok(Found(updated.await?.into()))
}

pub(super) async fn delete(visit: Visit, permit: AdminPermit, _: Nothing) -> Result<Done, Problem> {
    visit.index.delete_user(&permit, visit.text("user")).await?;
    Ok(Done)
}

pub(super) async fn set_password(
    visit: Visit,
    permit: AdminPermit,
    Body(new): Body<NewPassword>,
) -> Result<Done, Problem> {
    let user = visit.text("user");
    visit
        .index
        .set_password(&permit, user, &new.password.0)
        .await?;
    Ok(Done)
}
