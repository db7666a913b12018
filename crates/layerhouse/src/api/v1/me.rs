//! Who asks: their account, password, namespaces.

use schemars::JsonSchema;
use serde::Deserialize;

use super::input::{Body, Nothing};
use super::organizations::Namespace;
use super::output::{Done, Found, Page};
use super::problem::Problem;
use super::users::User;
use super::views::Hidden;
use super::visit::Visit;
use crate::auth::permits::AccountPermit;
use crate::index::users::Profile;

/// What people change of themselves; what is not there stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnChanges {
    full_name: Option<String>,
    email: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordChange {
    old: Hidden,
    new: Hidden,
}

pub(super) async fn show(
    visit: Visit,
    permit: AccountPermit,
    _: Nothing,
) -> Result<Found<User>, Problem> {
    Ok(Found(visit.index.own_user(&permit)?.into()))
}

pub(super) async fn update(
    visit: Visit,
    permit: AccountPermit,
    Body(changes): Body<OwnChanges>,
) -> Result<Found<User>, Problem> {
    let changes = Profile {
        full_name: changes.full_name,
        email: changes.email,
    };
    Ok(Found(
        visit.index.update_own(&permit, changes).await?.into(),
    ))
}

pub(super) async fn change_password(
    visit: Visit,
    permit: AccountPermit,
    Body(change): Body<PasswordChange>,
) -> Result<Done, Problem> {
    let settings = std::sync::Arc::clone(&visit.call.settings);
    let indexed = settings.authenticator.indexed();
    let sign_in = indexed.ok_or_else(Problem::not_found)?.sign_in();
    let (old, new) = (&change.old.0, &change.new.0);
    visit
        .index
        .change_password(&permit, sign_in, old, new)
        .await?;
    Ok(Done)
}

pub(super) async fn namespaces(
    visit: Visit,
    permit: AccountPermit,
    _: Nothing,
) -> Result<Found<Page<Namespace>>, Problem> {
    let found = visit.index.own_namespaces(&permit)?;
    let items = found
        .into_iter()
        .map(|(namespace, role)| Namespace::with_role(namespace, &role));
    Ok(Found(Page {
        items: items.collect(),
        next: None,
    }))
}
