//! `/ui/o/<namespace>/robots`: accounts for machines, whose secrets are shown once.

use askama::Template;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::confirm::Confirm;
use super::super::forms::Forms;
use super::super::words::{end, ends};
use super::{Done, Place, after, of_namespace, tried};
use crate::api::Answer;
use crate::api::ui::ask::{List, Refused, segment};
use crate::api::ui::shell::{Html, Shell};
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::Moment;

#[derive(Debug, Deserialize)]
struct Robot {
    /// `namespace+name`
    name: String,
    description: String,
    is_disabled: bool,
    expires_at: Option<Moment>,
    last_used_at: Option<Moment>,
}

impl Robot {
    /// As its namespace calls it.
    fn short(&self) -> &str {
        let short = self.name.split_once('+').map(|(_, short)| short);
        short.unwrap_or(&self.name)
    }

    fn last_used(&self, shell: &Shell) -> Html {
        shell.time_or_never(self.last_used_at.map(|at| at.0))
    }

    fn end(&self, shell: &Shell) -> Html {
        shell.time_or_never(self.expires_at.map(|at| at.0))
    }

    fn is_over(&self, shell: &Shell) -> bool {
        self.expires_at.is_some_and(|at| at.0 <= shell.now)
    }
}

#[derive(Debug, Deserialize)]
struct WithSecret {
    name: String,
    secret: String,
    expires_at: Option<Moment>,
}

#[derive(Template)]
#[template(path = "account/organization/robots.html")]
struct RobotsPage<'a> {
    shell: &'a Shell,
    place: &'a Place,
    forms: &'a Forms<'a>,
    robots: List<Robot>,
    ends: Vec<(&'static str, String)>,
}

#[derive(Template)]
#[template(path = "account/organization/robot_secret.html")]
struct SecretPage<'a> {
    shell: &'a Shell,
    place: &'a Place,
    robot: WithSecret,
    /// What Docker is told.
    command: String,
}

/// `?delete=ROBOT`, `?rotate=ROBOT`
pub(super) async fn page(visit: Visit, name: &str) -> Result<Answer, Problem> {
    if !visit.is_post() {
        if let Some(robot) = visit.query.get("delete") {
            return confirm(&visit, name, robot, "delete").await;
        }
        if let Some(robot) = visit.query.get("rotate") {
            return confirm(&visit, name, robot, "rotate").await;
        }
        return show(&visit, name, None).await;
    }
    let done = match visit.form.get("do") {
        Some("create") => create(&visit, name).await,
        Some("rotate") => rotate(&visit, name).await,
        Some("disable") => set_disabled(&visit, name, true).await,
        Some("enable") => set_disabled(&visit, name, false).await,
        Some("delete") => delete(&visit, name).await,
        _ => Err(Problem::invalid(
            "do: create, rotate, disable, enable, or delete",
        )),
    };
    match tried(done)? {
        Ok(answer) => Ok(answer),
        Err(refused) => show(&visit, name, Some(refused)).await,
    }
}

async fn show(visit: &Visit, name: &str, refused: Option<Refused>) -> Result<Answer, Problem> {
    let status = refused
        .as_ref()
        .map_or(StatusCode::OK, |found| found.status);
    let place = Place::of(visit, name, "robots").await?;
    let path = of_namespace(name, "/robots");
    let page = RobotsPage {
        shell: &visit.shell,
        place: &place,
        forms: &Forms::of(visit, refused),
        robots: visit.get(&path, &after(visit)).await?,
        ends: ends(&visit.shell),
    };
    visit.show_as(status, &page)
}

/// A robot's path in the API, by the name that it has in its namespace.
fn of_robot(name: &str, robot: &str, rest: &str) -> String {
    of_namespace(name, &format!("/robots/{}{rest}", segment(robot)))
}

async fn confirm(
    visit: &Visit,
    name: &str,
    robot: &str,
    deed: &'static str,
) -> Result<Answer, Problem> {
    let shell = &visit.shell;
    let found: Robot = visit.get(&of_robot(name, robot, ""), &[]).await?;
    let is_rotated = deed == "rotate";
    let (title, text, button) = if is_rotated {
        (
            "account.robot_rotate_title",
            "account.robot_rotate_text",
            "account.rotate",
        )
    } else {
        (
            "account.robot_delete_title",
            "account.robot_delete_text",
            "account.delete",
        )
    };
    visit.show(&Confirm {
        shell,
        forms: &Forms::of(visit, None),
        title: shell.say(title, &found.name),
        text: shell.t(text),
        page: format!("/ui/o/{}/robots", shell.segment(name)),
        deed,
        what: ("robot", found.short().to_owned()),
        button: shell.t(button),
        ends: if is_rotated { ends(shell) } else { Vec::new() },
    })
}

async fn create(visit: &Visit, name: &str) -> Done {
    let robot = json!({
        "name": visit.needed("name")?,
        "description": visit.form.get("description").unwrap_or_default(),
        "expires_at": end(&visit.form, visit.shell.now)?,
    });
    let path = of_namespace(name, "/robots");
    let made = visit.ask(Method::POST, &path, &[], Some(&robot)).await?;
    show_secret(visit, name, made).await
}

async fn rotate(visit: &Visit, name: &str) -> Done {
    let path = of_robot(name, visit.needed("robot")?, "/secret");
    let new = json!({ "expires_at": end(&visit.form, visit.shell.now)? });
    let made = visit.ask(Method::POST, &path, &[], Some(&new)).await?;
    show_secret(visit, name, made).await
}

async fn show_secret(visit: &Visit, name: &str, robot: WithSecret) -> Done {
    let shell = &visit.shell;
    let place = Place::of(visit, name, "robots").await?;
    visit.show(&SecretPage {
        shell,
        place: &place,
        command: format!("docker login {} -u {}", shell.host, robot.name),
        robot,
    })
}

async fn set_disabled(visit: &Visit, name: &str, is_disabled: bool) -> Done {
    let path = of_robot(name, visit.needed("robot")?, "");
    let change = json!({ "is_disabled": is_disabled });
    let asked = visit.ask(Method::PATCH, &path, &[], Some(&change));
    let _: Value = asked.await?;
    let name = visit.shell.segment(name);
    Ok(visit.go(&if is_disabled {
        format!("/ui/o/{name}/robots?said=robot_disabled")
    } else {
        format!("/ui/o/{name}/robots?said=robot_enabled")
    }))
}

async fn delete(visit: &Visit, name: &str) -> Done {
    let path = of_robot(name, visit.needed("robot")?, "");
    visit.ask::<()>(Method::DELETE, &path, &[], None).await?;
    let name = visit.shell.segment(name);
    Ok(visit.go(&format!("/ui/o/{name}/robots?said=robot_deleted")))
}
