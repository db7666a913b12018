//! `/ui/o/<namespace>`: an organization's pages, and what of them a user's own namespace has. Members see who is
//! there; owners decide.

mod grants;
mod members;
mod robots;
mod settings;
mod team;
mod teams;

use askama::Template;
use serde::Deserialize;

use super::words;
use crate::api::Answer;
use crate::api::ui::ask::{List, Refused, segment};
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::{Moment, Role, Visibility};

/// A namespace, as the API says it.
#[derive(Debug, Deserialize)]
pub(super) struct Namespace {
    pub(super) name: String,
    kind: Kind,
    pub(super) description: String,
    default_visibility: Option<Visibility>,
    created_at: Moment,
    role: Option<Role>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    User,
    Organization,
}

impl Namespace {
    pub(super) fn kind(&self, shell: &Shell) -> &'static str {
        shell.t(match self.kind {
            Kind::User => "account.kind_user",
            Kind::Organization => "account.kind_organization",
        })
    }

    /// What who looks is there.
    pub(super) fn role(&self, shell: &Shell) -> &'static str {
        self.role.map_or("", |role| words::role(shell, role))
    }

    fn is_organization(&self) -> bool {
        self.kind == Kind::Organization
    }

    fn is_owned(&self) -> bool {
        matches!(self.role, Some(Role::Owner))
    }
}

/// A page of a namespace: which one it is of, and what of it is shown.
struct Place {
    namespace: Namespace,
    tab: &'static str,
}

impl Place {
    async fn of(visit: &Visit, name: &str, tab: &'static str) -> Result<Self, Problem> {
        let path = format!("/namespaces/{}", segment(name));
        let namespace = visit.get(&path, &[]).await?;
        Ok(Self { namespace, tab })
    }
}

impl Place {
    /// Members know that a page is there, and change nothing of it.
    ///
    /// # Errors
    /// 403
    fn demand_owner(&self) -> Result<(), Problem> {
        if self.namespace.is_owned() {
            return Ok(());
        }
        Err(Problem::denied("your role here is too low for this"))
    }
}

/// What belongs to an organization, in the API.
fn of_organization(name: &str, rest: &str) -> String {
    format!("/organizations/{}{rest}", segment(name))
}

/// What belongs to any namespace, in the API.
fn of_namespace(name: &str, rest: &str) -> String {
    format!("/namespaces/{}{rest}", segment(name))
}

/// Where a list goes on, as the API is asked.
fn after(visit: &Visit) -> Vec<(&str, &str)> {
    let after = visit.query.get("after").map(|after| ("after", after));
    after.into_iter().collect()
}

/// What was done, or why not, to be said beside the form.
type Done = Result<Answer, Problem>;

/// The answer, or why there is none.
///
/// # Errors
/// What is not the form's to say.
fn tried(done: Done) -> Result<Result<Answer, Refused>, Problem> {
    match done {
        Ok(answer) => Ok(Ok(answer)),
        Err(problem) => Ok(Err(Refused::of(problem)?)),
    }
}

pub(super) async fn page(visit: Visit, name: &str, behind: &[&str]) -> Result<Answer, Problem> {
    match *behind {
        [] => overview(visit, name).await,
        ["members"] => members::page(visit, name).await,
        ["teams"] => teams::page(visit, name).await,
        ["teams", team] => team::page(visit, name, team).await,
        ["robots"] => robots::page(visit, name).await,
        ["grants"] => grants::page(visit, name).await,
        ["settings"] => settings::page(visit, name).await,
        _ => Err(Problem::not_found()),
    }
}

#[derive(Debug, Deserialize)]
struct Repository {
    name: String,
    visibility: Visibility,
}

#[derive(Template)]
#[template(path = "account/organization/overview.html")]
struct Overview<'a> {
    shell: &'a Shell,
    place: &'a Place,
    repositories: List<Repository>,
}

impl Overview<'_> {
    fn visibility(&self, repository: &Repository) -> &'static str {
        words::visibility(self.shell, repository.visibility)
    }
}

async fn overview(visit: Visit, name: &str) -> Result<Answer, Problem> {
    visit.only_looks()?;
    let place = Place::of(&visit, name, "overview").await?;
    let path = of_namespace(name, "/repositories");
    let page = Overview {
        shell: &visit.shell,
        place: &place,
        repositories: visit.get(&path, &[("n", "20")]).await?,
    };
    visit.show(&page)
}
