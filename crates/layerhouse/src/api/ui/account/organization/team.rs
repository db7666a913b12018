//! `/ui/o/<organization>/teams/<team>`: who is in a team.

use askama::Template;
use http::{Method, StatusCode};
use serde::Deserialize;

use super::super::confirm::Confirm;
use super::super::forms::Forms;
use super::{Done, Place, after, of_organization, tried};
use crate::api::Answer;
use crate::api::ui::ask::{List, Refused, segment};
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::Moment;
use crate::auth::sign_in::LOCAL;

#[derive(Debug, Deserialize)]
struct Team {
    name: String,
    description: String,
}

#[derive(Debug, Deserialize)]
struct TeamMember {
    user: String,
    source: String,
    added_at: Moment,
}

impl TeamMember {
    /// Whether owners put them there, not the groups of a source.
    fn is_ours(&self) -> bool {
        self.source == LOCAL
    }
}

#[derive(Template)]
#[template(path = "account/organization/team.html")]
struct TeamPage<'a> {
    shell: &'a Shell,
    place: &'a Place,
    forms: &'a Forms<'a>,
    team: Team,
    members: List<TeamMember>,
}

/// `?delete=yes`
pub(super) async fn page(visit: Visit, name: &str, team: &str) -> Result<Answer, Problem> {
    if !visit.is_post() {
        return match visit.query.get("delete") {
            Some(_) => confirm(&visit, name, team).await,
            None => show(&visit, name, team, None).await,
        };
    }
    Place::of(&visit, name, "teams").await?.demand_owner()?;
    let done = match visit.form.get("do") {
        Some("add") => add(&visit, name, team).await,
        Some("remove") => remove(&visit, name, team).await,
        Some("delete") => delete(&visit, name, team).await,
        _ => Err(Problem::invalid("do: add, remove, or delete")),
    };
    match tried(done)? {
        Ok(answer) => Ok(answer),
        Err(refused) => show(&visit, name, team, Some(refused)).await,
    }
}

fn of_team(name: &str, team: &str, rest: &str) -> String {
    of_organization(name, &format!("/teams/{}{rest}", segment(team)))
}

/// The team's page, behind the root.
fn own_page(visit: &Visit, name: &str, team: &str) -> String {
    let (name, team) = (visit.shell.segment(name), visit.shell.segment(team));
    format!("/ui/o/{name}/teams/{team}")
}

async fn show(
    visit: &Visit,
    name: &str,
    team: &str,
    refused: Option<Refused>,
) -> Result<Answer, Problem> {
    let status = refused
        .as_ref()
        .map_or(StatusCode::OK, |found| found.status);
    let place = Place::of(visit, name, "teams").await?;
    let members = of_team(name, team, "/members");
    let page = TeamPage {
        shell: &visit.shell,
        place: &place,
        forms: &Forms::of(visit, refused),
        team: visit.get(&of_team(name, team, ""), &[]).await?,
        members: visit.get(&members, &after(visit)).await?,
    };
    visit.show_as(status, &page)
}

async fn confirm(visit: &Visit, name: &str, team: &str) -> Result<Answer, Problem> {
    let shell = &visit.shell;
    let found: Team = visit.get(&of_team(name, team, ""), &[]).await?;
    visit.show(&Confirm {
        shell,
        forms: &Forms::of(visit, None),
        title: shell.say("account.team_delete_title", found.name),
        text: shell.t("account.team_delete_text"),
        page: own_page(visit, name, team),
        deed: "delete",
        what: ("team", team.to_owned()),
        button: shell.t("account.delete"),
        ends: Vec::new(),
    })
}

async fn add(visit: &Visit, name: &str, team: &str) -> Done {
    let user = segment(visit.needed("user")?);
    let path = of_team(name, team, &format!("/members/{user}"));
    visit.ask::<()>(Method::PUT, &path, &[], None).await?;
    let page = own_page(visit, name, team);
    Ok(visit.go(&format!("{page}?said=team_member_added")))
}

async fn remove(visit: &Visit, name: &str, team: &str) -> Done {
    let user = segment(visit.needed("user")?);
    let path = of_team(name, team, &format!("/members/{user}"));
    visit.ask::<()>(Method::DELETE, &path, &[], None).await?;
    let page = own_page(visit, name, team);
    Ok(visit.go(&format!("{page}?said=team_member_removed")))
}

async fn delete(visit: &Visit, name: &str, team: &str) -> Done {
    let path = of_team(name, team, "");
    visit.ask::<()>(Method::DELETE, &path, &[], None).await?;
    let name = visit.shell.segment(name);
    Ok(visit.go(&format!("/ui/o/{name}/teams?said=team_deleted")))
}
