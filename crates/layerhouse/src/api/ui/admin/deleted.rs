//! What was deleted and can come back, by repositories.

use askama::Template;
use http::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::menu::Section;
use super::refusal;
use crate::api::Answer;
use crate::api::ui::ask::{List, Refused, segment};
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::Moment;

#[derive(Debug, Deserialize)]
struct Holding {
    repository: String,
    deleted_at: Option<Moment>,
    manifests: u64,
    first_until: Moment,
    last_until: Moment,
}

#[derive(Template)]
#[template(path = "admin/deleted.html")]
struct DeletedPage<'a> {
    shell: &'a Shell,
    at: Section,
    problem: Option<String>,
    holdings: Vec<Holding>,
    next: Option<String>,
    is_first: bool,
}

pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    let refused = if visit.is_post() {
        match restore(&visit).await {
            Ok(()) => return Ok(visit.go("/ui/admin/deleted?said=admin_repository_back")),
            Err(problem) => Some(Refused::of(problem)?),
        }
    } else {
        None
    };
    let after = visit.query.get("after");
    let query = [("after", after.unwrap_or_default()), ("n", "50")];
    let list: List<Holding> = visit.get("/deleted", &query).await?;
    let (status, problem) = refusal(refused);
    visit.show_as(
        status,
        &DeletedPage {
            shell: &visit.shell,
            at: Section::Deleted,
            problem,
            holdings: list.items,
            next: list.next.map(|next| visit.query.with("after", Some(&next))),
            is_first: after.is_none(),
        },
    )
}

/// Has a repository back that was deleted whole.
async fn restore(visit: &Visit) -> Result<(), Problem> {
    let repository = segment(visit.needed("repository")?);
    let path = format!("/repositories/{repository}/-/restore");
    let _restored: IgnoredAny = visit.ask(Method::POST, &path, &[], None).await?;
    Ok(())
}
