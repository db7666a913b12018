//! `/ui/me/namespaces`: where one is a member, and an organization of one's own.

use askama::Template;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::features;
use super::forms::Forms;
use super::organization::Namespace;
use crate::api::Answer;
use crate::api::ui::ask::{List, Refused};
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;

#[derive(Template)]
#[template(path = "account/namespaces.html")]
struct NamespacesPage<'a> {
    shell: &'a Shell,
    tab: &'static str,
    forms: &'a Forms<'a>,
    namespaces: Vec<Namespace>,
    may_create: bool,
}

pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    if !visit.is_post() {
        return show(&visit, None).await;
    }
    match create(&visit).await {
        Ok(answer) => Ok(answer),
        Err(problem) => show(&visit, Some(Refused::of(problem)?)).await,
    }
}

async fn show(visit: &Visit, refused: Option<Refused>) -> Result<Answer, Problem> {
    let status = refused
        .as_ref()
        .map_or(StatusCode::OK, |found| found.status);
    let list: List<Namespace> = visit.get("/me/namespaces", &[]).await?;
    let features = features(visit).await?;
    let page = NamespacesPage {
        shell: &visit.shell,
        tab: "namespaces",
        forms: &Forms::of(visit, refused),
        namespaces: list.items,
        may_create: features.users_make_organizations || visit.visitor.is_admin(),
    };
    visit.show_as(status, &page)
}

async fn create(visit: &Visit) -> Result<Answer, Problem> {
    let name = visit.needed("name")?;
    let description = visit.form.get("description").unwrap_or_default();
    let organization = json!({ "name": name, "description": description });
    let asked = visit.ask(Method::POST, "/organizations", &[], Some(&organization));
    let _: Value = asked.await?;
    let name = visit.shell.segment(name);
    Ok(visit.go(&format!("/ui/o/{name}?said=organization_made")))
}
