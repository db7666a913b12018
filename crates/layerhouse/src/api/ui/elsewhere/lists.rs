//! The repositories that the registry lists: all of them, those below a name, those that somebody searches for.

use askama::Template;
use http::StatusCode;
use layerhouse_oci::name::RepositoryName;

use super::Look;
use super::source::REPOSITORIES_MAX;
use crate::api::Answer;
use crate::api::ui::browse::aim::{Aim, aim};
use crate::api::ui::browse::model::RepositoryRow;
use crate::api::ui::browse::parts::{Crumb, crumbs, last_page};
use crate::api::ui::route::{page_of, split_reference};
use crate::api::ui::shell::{Shell, html};
use crate::api::ui::visit::see_other;
use crate::api::v1::problem::Problem;
use layerhouse_oci::reference::Reference;

/// Repositories on a page.
const ROWS: u32 = 100;

#[derive(Template)]
#[template(path = "elsewhere/list.html")]
struct List<'a> {
    shell: &'a Shell,
    title: String,
    crumbs: Vec<Crumb>,
    rows: Vec<RepositoryRow>,
    total: u64,
    /// The registry has more than are looked at.
    is_cut: bool,
    /// Why there is no list.
    problem: Option<String>,
    /// A repository of this name may be there although it is not listed.
    named: Option<String>,
    page: u64,
    last: u64,
    query: String,
}

pub(super) async fn home(look: &Look) -> Result<Answer, Problem> {
    let title = look.shell.t("browse.all_repositories").to_owned();
    list(look, title, Vec::new(), |_| true, None).await
}

/// What was typed: a reference leads to its page, words to the names that contain them.
pub(super) async fn search(look: &Look) -> Result<Answer, Problem> {
    let text = look.query.get("q").unwrap_or_default();
    let page = match aim(text, &look.shell.host) {
        Aim::Repository(name) => Some(page_of(&name, None)),
        Aim::Tag(name, tag) => Some(page_of(&name, Some(&Reference::Tag(tag)))),
        Aim::Manifest(name, digest) => Some(page_of(&name, Some(&Reference::Digest(digest)))),
        // Nothing says which repository has a digest.
        Aim::Digest(_) | Aim::Words => None,
    };
    if let Some(page) = page {
        return Ok(see_other(&page));
    }
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let title = if words.is_empty() {
        look.shell.t("browse.all_repositories").to_owned()
    } else {
        look.shell.say("browse.search_title", text)
    };
    let fits = |name: &RepositoryName| words.iter().all(|word| name.as_str().contains(word));
    let named = split_reference(text).map(|(name, _)| name.to_string());
    list(look, title, Vec::new(), fits, named).await
}

pub(super) async fn namespace(look: &Look, name: &RepositoryName) -> Result<Answer, Problem> {
    let title = name.to_string();
    let way = crumbs(name.as_str(), false);
    let below = format!("{name}/");
    let fits = |found: &RepositoryName| found == name || found.as_str().starts_with(&below);
    list(look, title, way, fits, None).await
}

async fn list(
    look: &Look,
    title: String,
    crumbs: Vec<Crumb>,
    fits: impl Fn(&RepositoryName) -> bool,
    named: Option<String>,
) -> Result<Answer, Problem> {
    let shell = &look.shell;
    let (catalog, problem) = match look.source().catalog().await {
        Ok(catalog) => (catalog, None),
        // Some list nothing, or not to everybody; a repository can be looked at all the same.
        Err(problem) if problem.status().is_client_error() => {
            let said = shell.t("elsewhere.no_list").to_owned();
            (std::sync::Arc::default(), Some(said))
        }
        Err(problem) => return Err(problem),
    };
    let found: Vec<&RepositoryName> = catalog.names.iter().filter(|name| fits(name)).collect();
    let (page, total) = (look.query.page(), found.len() as u64);
    let rows = found
        .iter()
        .skip((page as usize - 1).saturating_mul(ROWS as usize))
        .take(ROWS as usize)
        .map(|name| RepositoryRow {
            name: name.to_string(),
            ..RepositoryRow::default()
        });
    let named = named.filter(|named| !found.iter().any(|name| name.as_str() == named));
    html(
        StatusCode::OK,
        &List {
            shell,
            title,
            crumbs,
            rows: rows.collect(),
            total,
            is_cut: catalog.is_cut,
            problem,
            named,
            page: u64::from(page),
            last: last_page(total, ROWS),
            query: look.query.with("page", None),
        },
    )
}

impl List<'_> {
    /// How many are looked at.
    fn looked_at(&self) -> String {
        self.shell.number(REPOSITORIES_MAX as u64)
    }
}
