//! Robots of all organizations, a page of organizations at a time. They are made where their namespace is.

use askama::Template;
use http::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::menu::Section;
use super::refusal;
use crate::api::Answer;
use crate::api::ui::ask::{List, Refused, segment};
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::Moment;

/// Organizations of a page.
const NAMESPACES: &str = "30";
/// Robots of one that are shown; its own page has all.
const ROBOTS: &str = "100";

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Robot {
    name: String,
    description: String,
    is_disabled: bool,
    expires_at: Option<Moment>,
    last_used_at: Option<Moment>,
}

/// A namespace that has robots.
#[derive(Debug)]
struct Home {
    name: String,
    robots: Vec<Robot>,
    is_cut: bool,
}

#[derive(Template)]
#[template(path = "admin/robots.html")]
struct RobotsPage<'a> {
    shell: &'a Shell,
    at: Section,
    problem: Option<String>,
    /// What was asked for alone.
    namespace: &'a str,
    homes: Vec<Home>,
    next: Option<String>,
    is_first: bool,
}

/// Robots by their namespaces.
pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    let refused = if visit.is_post() {
        match change(&visit).await {
            Ok(answer) => return Ok(answer),
            Err(problem) => Some(Refused::of(problem)?),
        }
    } else {
        None
    };
    let (namespace, after) = (visit.query.get("namespace"), visit.query.get("after"));
    // Whoever is no administrator is refused by this, whatever they ask for.
    let query = [("after", after.unwrap_or_default()), ("n", NAMESPACES)];
    let list: List<Named> = visit.get("/organizations", &query).await?;
    let (names, next) = match namespace {
        Some(name) => (vec![name.to_owned()], None),
        None => (
            list.items.into_iter().map(|found| found.name).collect(),
            list.next,
        ),
    };
    let mut homes = Vec::new();
    for name in names {
        let path = format!("/namespaces/{}/robots", segment(&name));
        let robots: List<Robot> = visit.get(&path, &[("n", ROBOTS)]).await?;
        homes.push(Home {
            name,
            robots: robots.items,
            is_cut: robots.next.is_some(),
        });
    }
    homes.retain(|home| !home.robots.is_empty() || namespace.is_some());
    let (status, problem) = refusal(refused);
    visit.show_as(
        status,
        &RobotsPage {
            shell: &visit.shell,
            at: Section::Robots,
            problem,
            namespace: namespace.unwrap_or_default(),
            homes,
            next: next.map(|next| visit.query.with("after", Some(&next))),
            is_first: after.is_none(),
        },
    )
}

async fn change(visit: &Visit) -> Result<Answer, Problem> {
    let robot = visit.needed("robot")?;
    // What stands behind the plus sign is what the path has.
    let (namespace, robot) = robot.split_once('+').unwrap_or((robot, ""));
    let (home, robot) = (segment(namespace), segment(robot));
    let path = format!("/namespaces/{home}/robots/{robot}");
    let is_disabled = match visit.needed("do")? {
        "enable" => false,
        "disable" => true,
        _ => return Err(Problem::invalid("do: there is no such thing to do")),
    };
    let body = json!({ "is_disabled": is_disabled });
    let _changed: IgnoredAny = visit.ask(Method::PATCH, &path, &[], Some(&body)).await?;
    Ok(visit.go("/ui/admin/robots?said=admin_robot_changed"))
}
