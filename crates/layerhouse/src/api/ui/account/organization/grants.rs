//! `/ui/o/<namespace>/grants`: roles in some repositories, for a team or an account.

use askama::Template;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::forms::Forms;
use super::super::words;
use super::{Done, Place, after, of_namespace, tried};
use crate::api::Answer;
use crate::api::ui::ask::{List, Refused, segment};
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::{Moment, Role};

#[derive(Debug, Deserialize)]
struct Grant {
    id: String,
    pattern: String,
    role: Role,
    team: Option<String>,
    account: Option<String>,
    created_at: Moment,
}

#[derive(Template)]
#[template(path = "account/organization/grants.html")]
struct GrantsPage<'a> {
    shell: &'a Shell,
    place: &'a Place,
    forms: &'a Forms<'a>,
    grants: List<Grant>,
    roles: [(&'static str, &'static str); 4],
    /// Whom the form offers to grant to.
    to: &'a str,
}

impl GrantsPage<'_> {
    fn role(&self, grant: &Grant) -> &'static str {
        words::role(self.shell, grant.role)
    }
}

/// `?to=ACCOUNT`
pub(super) async fn page(visit: Visit, name: &str) -> Result<Answer, Problem> {
    if !visit.is_post() {
        return show(&visit, name, None).await;
    }
    let done = match visit.form.get("do") {
        Some("create") => create(&visit, name).await,
        Some("revoke") => revoke(&visit, name).await,
        _ => Err(Problem::invalid("do: create, or revoke")),
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
    let place = Place::of(visit, name, "grants").await?;
    let path = of_namespace(name, "/grants");
    let page = GrantsPage {
        shell: &visit.shell,
        place: &place,
        forms: &Forms::of(visit, refused),
        grants: visit.get(&path, &after(visit)).await?,
        roles: words::roles(&visit.shell),
        to: visit.query.get("to").unwrap_or_default(),
    };
    visit.show_as(status, &page)
}

async fn create(visit: &Visit, name: &str) -> Done {
    let to = visit.needed("to")?;
    let kind = match visit.form.get("kind") {
        Some("team") => "team",
        _ => "account",
    };
    let grant = json!({
        "pattern": visit.needed("pattern")?,
        "role": visit.needed("role")?,
        kind: to,
    });
    let path = of_namespace(name, "/grants");
    let asked = visit.ask(Method::POST, &path, &[], Some(&grant));
    let _: Value = asked.await?;
    let name = visit.shell.segment(name);
    Ok(visit.go(&format!("/ui/o/{name}/grants?said=granted")))
}

async fn revoke(visit: &Visit, name: &str) -> Done {
    let id = segment(visit.needed("id")?);
    let path = of_namespace(name, &format!("/grants/{id}"));
    visit.ask::<()>(Method::DELETE, &path, &[], None).await?;
    let name = visit.shell.segment(name);
    Ok(visit.go(&format!("/ui/o/{name}/grants?said=grant_revoked")))
}
