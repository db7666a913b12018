//! Organizations, what holds in their namespaces, and their members.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::{Body, Nothing, Paging, Query};
use super::output::{Created, Done, Found, Page};
use super::problem::Problem;
use super::views::{Moment, Role, Said, Visibility};
use super::visit::Visit;
use crate::auth::permits::{AccountPermit, AdminPermit, NamespacePermit};
use crate::index::organizations::{DefaultVisibility, NamespaceChanges, NewOrganization};
use crate::meta::namespaces::{Namespace as Stored, NamespaceKind as StoredKind};

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Namespace {
    name: String,
    kind: Kind,
    description: String,
    /// Of repositories that are made from now on; null for what the configuration says.
    default_visibility: Option<Visibility>,
    created_at: Moment,
    /// What who asks is there, where that is known.
    role: Option<Role>,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "NamespaceKind")]
enum Kind {
    User,
    Organization,
}

impl From<Stored> for Namespace {
    fn from(namespace: Stored) -> Self {
        let visibility = namespace.default_visibility.as_deref();
        Self {
            name: namespace.name,
            kind: match namespace.kind {
                StoredKind::User => Kind::User,
                StoredKind::Organization => Kind::Organization,
            },
            description: namespace.description,
            default_visibility: visibility.and_then(Visibility::stored),
            created_at: Moment(namespace.created_at),
            role: None,
        }
    }
}

impl Namespace {
    pub(super) fn with_role(namespace: Stored, role: &str) -> Self {
        Self {
            role: Some(Role::stored(role)),
            ..Self::from(namespace)
        }
    }
}

/// An organization to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewOrganization")]
pub(super) struct Form {
    name: String,
    #[serde(default)]
    description: String,
}

/// An organization for somebody.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewOrganizationFor")]
pub(super) struct FormFor {
    #[serde(default)]
    description: String,
    /// Its first owner; null for none yet.
    owner: Option<String>,
}

/// What owners change; what is not there stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NamespaceChanges")]
pub(super) struct Changes {
    description: Option<String>,
    /// Of repositories that are made from now on; null for what the configuration says.
    #[serde(default)]
    default_visibility: Said<Visibility>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Member {
    user: String,
    full_name: String,
    role: Role,
    added_at: Moment,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Membership {
    role: Role,
}

/// All of them.
pub(super) async fn list(
    visit: Visit,
    permit: AdminPermit,
    Query(paging): Query<Paging>,
) -> Result<Found<Page<Namespace>>, Problem> {
    let rows = paging.rows()?;
    let found = visit
        .index
        .organizations(&permit, paging.name(), rows + 1)?;
    let key = |found: &Stored| found.name.clone();
    Ok(Found(Page::of(found, rows, key, Namespace::from)))
}

pub(super) async fn create(
    visit: Visit,
    permit: AccountPermit,
    Body(form): Body<Form>,
) -> Result<Created<Namespace>, Problem> {
    let new = NewOrganization {
        name: form.name,
        description: form.description,
    };
    let made = visit.index.create_organization(&permit, new).await?;
    Ok(Created(made.into()))
}

/// For somebody, or for nobody yet.
pub(super) async fn create_for(
    visit: Visit,
    permit: AdminPermit,
    Body(form): Body<FormFor>,
) -> Result<Created<Namespace>, Problem> {
    let new = NewOrganization {
        name: visit.text("organization").to_owned(),
        description: form.description,
    };
    let owner = form.owner.as_deref();
    let made = visit
        .index
        .create_organization_for(&permit, new, owner)
        .await?;
    Ok(Created(made.into()))
}

pub(super) async fn show(
    visit: Visit,
    permit: NamespacePermit,
    _: Nothing,
) -> Result<Found<Namespace>, Problem> {
    let namespace = visit.index.namespace(&permit)?;
    Ok(Found(Namespace::with_role(
        namespace,
        permit.role().as_str(),
    )))
}

pub(super) async fn update(
    visit: Visit,
    permit: NamespacePermit,
    Body(changes): Body<Changes>,
) -> Result<Found<Namespace>, Problem> {
    let changes = NamespaceChanges {
        description: changes.description,
        default_visibility: match changes.default_visibility {
            Said::Nothing => None,
            Said::Null => Some(DefaultVisibility::Configured),
            Said::This(visibility) => Some(DefaultVisibility::Own(visibility.into())),
        },
    };
    let namespace = visit.index.update_namespace(&permit, changes).await?;
    Ok(Found(Namespace::with_role(
        namespace,
        permit.role().as_str(),
    )))
}

pub(super) async fn delete(
    visit: Visit,
    permit: NamespacePermit,
    _: Nothing,
) -> Result<Done, Problem> {
    visit.index.delete_organization(&permit).await?;
    Ok(Done)
}

pub(super) async fn members(
    visit: Visit,
    permit: NamespacePermit,
    Query(paging): Query<Paging>,
) -> Result<Found<Page<Member>>, Problem> {
    let rows = paging.rows()?;
    let found = visit.index.members(&permit, paging.name(), rows + 1)?;
    Ok(Found(Page::of(
        found,
        rows,
        |member| member.name.clone(),
        |member| Member {
            user: member.name,
            full_name: member.full_name,
            role: Role::stored(&member.role),
            added_at: Moment(member.added_at),
        },
    )))
}

pub(super) async fn set_member(
    visit: Visit,
    permit: NamespacePermit,
    Body(membership): Body<Membership>,
) -> Result<Done, Problem> {
    let (user, role) = (visit.text("user"), membership.role.into());
    visit.index.set_member(&permit, user, role).await?;
    Ok(Done)
}

pub(super) async fn remove_member(
    visit: Visit,
    permit: NamespacePermit,
    _: Nothing,
) -> Result<Done, Problem> {
    visit
        .index
        .remove_member(&permit, visit.text("user"))
        .await?;
    Ok(Done)
}
