//! Teams of organizations, to which roles in repositories are granted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::{Body, Nothing, Paging, Query};
use super::output::{Created, Done, Found, Page};
use super::problem::Problem;
use super::views::Moment;
use super::visit::Visit;
use crate::auth::permits::NamespacePermit;
use crate::meta::teams::Team as Stored;

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Team {
    name: String,
    description: String,
    created_at: Moment,
}

impl From<Stored> for Team {
    fn from(team: Stored) -> Self {
        Self {
            name: team.name,
            description: team.description,
            created_at: Moment(team.created_at),
        }
    }
}

/// A team to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewTeam")]
pub(super) struct Form {
    #[serde(default)]
    description: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TeamMember {
    user: String,
    /// By whose word: `local`, or a source whose groups say so.
    source: String,
    added_at: Moment,
}

pub(super) async fn list(
    visit: Visit,
    permit: NamespacePermit,
    Query(paging): Query<Paging>,
) -> Result<Found<Page<Team>>, Problem> {
    let rows = paging.rows()?;
    let found = visit.index.teams(&permit, paging.name(), rows + 1)?;
    Ok(Found(Page::of(
        found,
        rows,
        |team| team.name.clone(),
        Team::from,
    )))
}

pub(super) async fn show(
    visit: Visit,
    permit: NamespacePermit,
    _: Nothing,
) -> Result<Found<Team>, Problem> {
    Ok(Found(visit.index.team(&permit, visit.text("team"))?.into()))
}

pub(super) async fn create(
    visit: Visit,
    permit: NamespacePermit,
    Body(form): Body<Form>,
) -> Result<Created<Team>, Problem> {
    let name = visit.text("team");
    let team = visit
        .index
        .create_team(&permit, name, &form.description)
        .await?;
    Ok(Created(team.into()))
}

pub(super) async fn delete(
    visit: Visit,
    permit: NamespacePermit,
    _: Nothing,
) -> Result<Done, Problem> {
    visit.index.delete_team(&permit, visit.text("team")).await?;
    Ok(Done)
}

pub(super) async fn members(
    visit: Visit,
    permit: NamespacePermit,
    Query(paging): Query<Paging>,
) -> Result<Found<Page<TeamMember>>, Problem> {
    let rows = paging.rows()?;
    let team = visit.text("team");
    let found = visit
        .index
        .team_members(&permit, team, paging.name(), rows + 1)?;
    Ok(Found(Page::of(
        found,
        rows,
        |member| member.name.clone(),
        |member| TeamMember {
            user: member.name,
            source: member.source,
            added_at: Moment(member.added_at),
        },
    )))
}

pub(super) async fn add(
    visit: Visit,
    permit: NamespacePermit,
    _: Nothing,
) -> Result<Done, Problem> {
    let (team, user) = (visit.text("team"), visit.text("user"));
    visit.index.add_to_team(&permit, team, user).await?;
    Ok(Done)
}

pub(super) async fn remove(
    visit: Visit,
    permit: NamespacePermit,
    _: Nothing,
) -> Result<Done, Problem> {
    let (team, user) = (visit.text("team"), visit.text("user"));
    visit.index.remove_from_team(&permit, team, user).await?;
    Ok(Done)
}
