//! `/ui/o/<namespace>/settings`: what is said of it, what its repositories begin with, its end.

use askama::Template;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::super::forms::Forms;
use super::{Done, Place, of_namespace, of_organization, tried};
use crate::api::Answer;
use crate::api::ui::ask::Refused;
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::Visibility;

/// What leaves the visibility to the configuration.
const CONFIGURED: &str = "configured";

#[derive(Template)]
#[template(path = "account/organization/settings.html")]
struct Settings<'a> {
    shell: &'a Shell,
    place: &'a Place,
    forms: &'a Forms<'a>,
    visibility: &'static str,
}

pub(super) async fn page(visit: Visit, name: &str) -> Result<Answer, Problem> {
    if !visit.is_post() {
        return show(&visit, name, None).await;
    }
    let done = match visit.form.get("do") {
        Some("change") => change(&visit, name).await,
        Some("delete") => delete(&visit, name).await,
        _ => Err(Problem::invalid("do: change, or delete")),
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
    let place = Place::of(visit, name, "settings").await?;
    place.demand_owner()?;
    let page = Settings {
        shell: &visit.shell,
        forms: &Forms::of(visit, refused),
        visibility: match place.namespace.default_visibility {
            None => CONFIGURED,
            Some(Visibility::Public) => "public",
            Some(Visibility::Private) => "private",
        },
        place: &place,
    };
    visit.show_as(status, &page)
}

async fn change(visit: &Visit, name: &str) -> Done {
    let visibility = visit.needed("visibility")?;
    let changes = json!({
        "description": visit.form.get("description").unwrap_or_default(),
        "default_visibility": (visibility != CONFIGURED).then_some(visibility),
    });
    let path = of_namespace(name, "");
    let asked = visit.ask(Method::PATCH, &path, &[], Some(&changes));
    let _: Value = asked.await?;
    let name = visit.shell.segment(name);
    Ok(visit.go(&format!("/ui/o/{name}/settings?said=saved")))
}

async fn delete(visit: &Visit, name: &str) -> Done {
    if visit.form.get("name") != Some(name) {
        let unlike = visit.shell.t("account.name_differs");
        return Err(Problem::invalid(unlike));
    }
    let path = of_organization(name, "");
    visit.ask::<()>(Method::DELETE, &path, &[], None).await?;
    Ok(visit.go("/ui/me/namespaces?said=organization_deleted"))
}
