//! `/ui/r/<repository>/-/settings`: who may see a repository without a role, and what people read of it.

use askama::Template;
use http::{Method, StatusCode};
use layerhouse_oci::name::RepositoryName;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::forms::Forms;
use super::super::words;
use crate::api::Answer;
use crate::api::ui::ask::Refused;
use crate::api::ui::browse::parts::{Head, Place};
use crate::api::ui::markdown;
use crate::api::ui::shell::{Html, Shell};
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::Visibility;
use crate::auth::rights::Deed;

/// What leaves the visibility to the namespace and the configuration.
const CONFIGURED: &str = "configured";

#[derive(Debug, Deserialize)]
struct Page {
    visibility: Visibility,
    has_own_visibility: bool,
    description: String,
    readme: String,
    is_described_by_people: bool,
}

impl Page {
    /// What the form shows as chosen.
    fn chosen(&self) -> &'static str {
        match self.visibility {
            _ if !self.has_own_visibility => CONFIGURED,
            Visibility::Public => "public",
            Visibility::Private => "private",
        }
    }

    /// The description that people wrote: the image's own is what stands there without one.
    fn own_description(&self) -> &str {
        if self.is_described_by_people {
            &self.description
        } else {
            ""
        }
    }

    fn image_description(&self) -> &str {
        if self.is_described_by_people {
            ""
        } else {
            &self.description
        }
    }
}

#[derive(Template)]
#[template(path = "account/repository/settings.html")]
struct Settings<'a> {
    shell: &'a Shell,
    name: &'a RepositoryName,
    head: Head,
    forms: &'a Forms<'a>,
    page: Page,
    /// The README as it would be shown.
    preview: Option<Html>,
    may_delete: bool,
}

impl Settings<'_> {
    fn visibility(&self) -> &'static str {
        words::visibility(self.shell, self.page.visibility)
    }
}

pub(super) async fn page(visit: Visit, name: RepositoryName) -> Result<Answer, Problem> {
    if !visit.is_post() {
        let forms = Forms::of(&visit, None);
        return show(&visit, &name, StatusCode::OK, &forms).await;
    }
    if visit.form.has("preview") {
        let forms = Forms::typed_so_far(&visit);
        return show(&visit, &name, StatusCode::OK, &forms).await;
    }
    let changed = match visit.form.get("do") {
        Some("describe") => describe(&visit, &name).await,
        Some("visibility") => set_visibility(&visit, &name).await,
        _ => Err(Problem::invalid("do: describe, or visibility")),
    };
    match changed {
        Ok(answer) => Ok(answer),
        Err(problem) => {
            let refused = Refused::of(problem)?;
            let status = refused.status;
            show(&visit, &name, status, &Forms::of(&visit, Some(refused))).await
        }
    }
}

async fn show(
    visit: &Visit,
    name: &RepositoryName,
    status: StatusCode,
    forms: &Forms<'_>,
) -> Result<Answer, Problem> {
    // Who may look at a repository need not be let change it.
    visit.visitor.repository(name, Deed::Maintain)?;
    let path = format!("/repositories/{name}");
    let typed = visit.form.has("preview").then(|| readme(visit));
    let page = Settings {
        shell: &visit.shell,
        name,
        head: Head::of(visit, name, Place::Settings, None)?,
        forms,
        page: visit.get(&path, &[]).await?,
        preview: typed.map(|typed| Html(markdown::html(&typed))),
        may_delete: visit.visitor.may(name, Deed::Delete),
    };
    visit.show_as(status, &page)
}

/// The README that was sent: forms end lines as the network does.
fn readme(visit: &Visit) -> String {
    let readme = visit.form.exact("readme").unwrap_or_default();
    readme.replace("\r\n", "\n")
}

async fn describe(visit: &Visit, name: &RepositoryName) -> Result<Answer, Problem> {
    let description = visit.form.get("description").unwrap_or_default();
    let changes = json!({ "description": description, "readme": readme(visit) });
    change(visit, name, &changes).await?;
    Ok(visit.go(&format!("/ui/r/{name}/-/settings?said=saved")))
}

async fn set_visibility(visit: &Visit, name: &RepositoryName) -> Result<Answer, Problem> {
    let visibility = visit.needed("visibility")?;
    let visibility = (visibility != CONFIGURED).then_some(visibility);
    change(visit, name, &json!({ "visibility": visibility })).await?;
    Ok(visit.go(&format!("/ui/r/{name}/-/settings?said=saved")))
}

async fn change(visit: &Visit, name: &RepositoryName, changes: &Value) -> Result<(), Problem> {
    let path = format!("/repositories/{name}");
    let _: Value = visit.ask(Method::PATCH, &path, &[], Some(changes)).await?;
    Ok(())
}
