//! Roles in the repositories that a pattern names, for a team or an account: within a namespace by its
//! owners, of repositories without a slash by administrators.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::{Body, Nothing, Paging, Query};
use super::output::{Created, Done, Found, Page};
use super::problem::Problem;
use super::views::{Id, Moment, Role};
use super::visit::Visit;
use crate::auth::permits::{AdminPermit, NamespacePermit};
use crate::index::grants::{Grantee, NewGrant};
use crate::meta::grants::{Grant as Stored, GrantId};

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Grant {
    id: Id,
    pattern: String,
    role: Role,
    /// `organization/team`; null if an account has it.
    team: Option<String>,
    /// A user or a robot; null if a team has it.
    account: Option<String>,
    created_at: Moment,
}

impl From<Stored> for Grant {
    fn from(grant: Stored) -> Self {
        Self {
            id: Id(grant.id.0),
            pattern: grant.pattern,
            role: Role::stored(&grant.role),
            team: grant.team,
            account: grant.account,
            created_at: Moment(grant.created_at),
        }
    }
}

/// A grant to be: to a team, or to an account.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewGrant")]
pub(super) struct Form {
    /// `acme/web` for one repository, `acme/*` for all below acme.
    pattern: String,
    /// Not owner.
    role: Role,
    /// `team` of the same namespace, or `organization/team`.
    team: Option<String>,
    /// A user or a robot.
    account: Option<String>,
}

impl Form {
    fn read(self) -> Result<NewGrant, Problem> {
        let grantee = match (self.team, self.account) {
            (Some(team), None) => Grantee::Team(team),
            (None, Some(account)) => Grantee::Account(account),
            (Some(_), Some(_)) | (None, None) => {
                return Err(Problem::invalid("name a team, or an account"));
            }
        };
        Ok(NewGrant {
            pattern: self.pattern,
            role: self.role.into(),
            grantee,
        })
    }
}

fn page(found: Vec<Stored>, rows: usize) -> Found<Page<Grant>> {
    Found(Page::of(
        found,
        rows,
        |grant| grant.id.0.to_string(),
        Grant::from,
    ))
}

pub(super) async fn list(
    visit: Visit,
    permit: NamespacePermit,
    Query(paging): Query<Paging>,
) -> Result<Found<Page<Grant>>, Problem> {
    let (rows, after) = (paging.rows()?, paging.id()?.map(GrantId));
    Ok(page(visit.index.grants(&permit, after, rows + 1)?, rows))
}

pub(super) async fn create(
    visit: Visit,
    permit: NamespacePermit,
    Body(form): Body<Form>,
) -> Result<Created<Grant>, Problem> {
    Ok(Created(
        visit.index.grant(&permit, form.read()?).await?.into(),
    ))
}

pub(super) async fn revoke(
    visit: Visit,
    permit: NamespacePermit,
    _: Nothing,
) -> Result<Done, Problem> {
    let id = GrantId(visit.named("id")?);
    visit.index.revoke_grant(&permit, id).await?;
    Ok(Done)
}

pub(super) async fn list_official(
    visit: Visit,
    permit: AdminPermit,
    Query(paging): Query<Paging>,
) -> Result<Found<Page<Grant>>, Problem> {
    let (rows, after) = (paging.rows()?, paging.id()?.map(GrantId));
    Ok(page(
        visit.index.official_grants(&permit, after, rows + 1)?,
        rows,
    ))
}

pub(super) async fn create_official(
    visit: Visit,
    permit: AdminPermit,
    Body(form): Body<Form>,
) -> Result<Created<Grant>, Problem> {
    let grant = visit.index.grant_official(&permit, form.read()?).await?;
    Ok(Created(grant.into()))
}

pub(super) async fn revoke_official(
    visit: Visit,
    permit: AdminPermit,
    _: Nothing,
) -> Result<Done, Problem> {
    let id = GrantId(visit.named("id")?);
    visit.index.revoke_official_grant(&permit, id).await?;
    Ok(Done)
}
