//! Organizations: all of them, and a new one for somebody. What is in one has pages of its own.

use askama::Template;
use http::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::menu::Section;
use super::refusal;
use crate::api::Answer;
use crate::api::ui::ask::{List, Refused, segment};
use crate::api::ui::form::Pairs;
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::Moment;

#[derive(Debug, Deserialize)]
struct Organization {
    name: String,
    description: String,
    created_at: Moment,
}

#[derive(Template)]
#[template(path = "admin/organizations.html")]
struct OrganizationsPage<'a> {
    shell: &'a Shell,
    at: Section,
    problem: Option<String>,
    form: &'a Pairs,
    organizations: Vec<Organization>,
    next: Option<String>,
    is_first: bool,
}

/// All of them, and a form for another.
pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    let refused = if visit.is_post() {
        match create(&visit).await {
            Ok(()) => return Ok(visit.go("/ui/admin/organizations?said=admin_organization_made")),
            Err(problem) => Some(Refused::of(problem)?),
        }
    } else {
        None
    };
    let after = visit.query.get("after");
    let query = [("after", after.unwrap_or_default()), ("n", "50")];
    let list: List<Organization> = visit.get("/organizations", &query).await?;
    let (status, problem) = refusal(refused);
    visit.show_as(
        status,
        &OrganizationsPage {
            shell: &visit.shell,
            at: Section::Organizations,
            problem,
            form: &visit.form,
            organizations: list.items,
            next: list.next.map(|next| visit.query.with("after", Some(&next))),
            is_first: after.is_none(),
        },
    )
}

async fn create(visit: &Visit) -> Result<(), Problem> {
    let path = format!("/organizations/{}", segment(visit.needed("name")?));
    let description = visit.form.get("description").unwrap_or_default();
    let body = json!({ "description": description, "owner": visit.form.get("owner") });
    let _made: IgnoredAny = visit.ask(Method::PUT, &path, &[], Some(&body)).await?;
    Ok(())
}
