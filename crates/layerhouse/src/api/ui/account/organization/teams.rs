//! `/ui/o/<organization>/teams`: groups of people to whom roles are granted.

use askama::Template;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::forms::Forms;
use super::{Done, Place, after, of_organization, tried};
use crate::api::Answer;
use crate::api::ui::ask::{List, Refused, segment};
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::Moment;

#[derive(Debug, Deserialize)]
struct Team {
    name: String,
    description: String,
    created_at: Moment,
}

#[derive(Template)]
#[template(path = "account/organization/teams.html")]
struct TeamsPage<'a> {
    shell: &'a Shell,
    place: &'a Place,
    forms: &'a Forms<'a>,
    teams: List<Team>,
}

pub(super) async fn page(visit: Visit, name: &str) -> Result<Answer, Problem> {
    if !visit.is_post() {
        return show(&visit, name, None).await;
    }
    match tried(create(&visit, name).await)? {
        Ok(answer) => Ok(answer),
        Err(refused) => show(&visit, name, Some(refused)).await,
    }
}

async fn show(visit: &Visit, name: &str, refused: Option<Refused>) -> Result<Answer, Problem> {
    let status = refused
        .as_ref()
        .map_or(StatusCode::OK, |found| found.status);
    let place = Place::of(visit, name, "teams").await?;
    let path = of_organization(name, "/teams");
    let page = TeamsPage {
        shell: &visit.shell,
        place: &place,
        forms: &Forms::of(visit, refused),
        teams: visit.get(&path, &after(visit)).await?,
    };
    visit.show_as(status, &page)
}

async fn create(visit: &Visit, name: &str) -> Done {
    Place::of(visit, name, "teams").await?.demand_owner()?;
    let team = visit.needed("name")?;
    let path = of_organization(name, &format!("/teams/{}", segment(team)));
    let about = json!({ "description": visit.form.get("description").unwrap_or_default() });
    let _: Value = visit.ask(Method::PUT, &path, &[], Some(&about)).await?;
    let (name, team) = (visit.shell.segment(name), visit.shell.segment(team));
    Ok(visit.go(&format!("/ui/o/{name}/teams/{team}?said=team_made")))
}
