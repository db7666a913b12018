//! Robots: accounts of machines in a namespace, whose rights are grants.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::{Body, Nothing, Paging, Query};
use super::output::{Created, Done, Found, Page};
use super::problem::Problem;
use super::views::{Hidden, Moment};
use super::visit::Visit;
use crate::auth::permits::NamespacePermit;

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Robot {
    /// As it signs in: `acme+ci`.
    name: String,
    description: String,
    is_disabled: bool,
    created_at: Moment,
    /// When its secret ends.
    expires_at: Option<Moment>,
    last_used_at: Option<Moment>,
}

impl From<crate::index::robots::Robot> for Robot {
    fn from(robot: crate::index::robots::Robot) -> Self {
        Self {
            name: robot.name,
            description: robot.description,
            is_disabled: robot.is_disabled,
            created_at: Moment(robot.created_at),
            expires_at: robot.expires_at.map(Moment),
            last_used_at: robot.last_used_at.map(Moment),
        }
    }
}

/// A robot with its secret, which is shown this once.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RobotWithSecret {
    #[serde(flatten)]
    about: Robot,
    secret: Hidden,
}

/// A robot to be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewRobot")]
pub(super) struct Form {
    /// What stands behind the plus sign.
    name: String,
    #[serde(default)]
    description: String,
    expires_at: Option<Moment>,
}

/// What of a robot changes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RobotChanges")]
pub(super) struct Changes {
    is_disabled: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSecret {
    expires_at: Option<Moment>,
}

pub(super) async fn list(
    visit: Visit,
    permit: NamespacePermit,
    Query(paging): Query<Paging>,
) -> Result<Found<Page<Robot>>, Problem> {
    let rows = paging.rows()?;
    let found = visit.index.robots(&permit, paging.name(), rows + 1)?;
    Ok(Found(Page::of(
        found,
        rows,
        |robot| robot.name.clone(),
        Robot::from,
    )))
}

pub(super) async fn create(
    visit: Visit,
    permit: NamespacePermit,
    Body(form): Body<Form>,
) -> Result<Created<RobotWithSecret>, Problem> {
    let end = form.expires_at.map(|Moment(at)| at);
    let made = visit
        .index
        .create_robot(&permit, &form.name, &form.description, end);
    let (robot, secret) = made.await?;
    Ok(Created(RobotWithSecret {
        about: robot.into(),
        secret: Hidden(secret),
    }))
}

pub(super) async fn show(
    visit: Visit,
    permit: NamespacePermit,
    _: Nothing,
) -> Result<Found<Robot>, Problem> {
    Ok(Found(
        visit.index.robot(&permit, visit.text("robot"))?.into(),
    ))
}

pub(super) async fn update(
    visit: Visit,
    permit: NamespacePermit,
    Body(changes): Body<Changes>,
) -> Result<Found<Robot>, Problem> {
    let robot = visit.text("robot");
    let robot = visit
        .index
        .set_robot_disabled(&permit, robot, changes.is_disabled);
    Ok(Found(robot.await?.into()))
}

pub(super) async fn delete(
    visit: Visit,
    permit: NamespacePermit,
    _: Nothing,
) -> Result<Done, Problem> {
    visit
        .index
        .delete_robot(&permit, visit.text("robot"))
        .await?;
    Ok(Done)
}

/// The secret before is over with it.
pub(super) async fn rotate(
    visit: Visit,
    permit: NamespacePermit,
    Body(new): Body<NewSecret>,
) -> Result<Created<RobotWithSecret>, Problem> {
    let end = new.expires_at.map(|Moment(at)| at);
    let rotated = visit.index.rotate_robot(&permit, visit.text("robot"), end);
    let (robot, secret) = rotated.await?;
    Ok(Created(RobotWithSecret {
        about: robot.into(),
        secret: Hidden(secret),
    }))
}
