//! What is below a name: a namespace's repositories, and those of the namespaces in it.

use askama::Template;
use layerhouse_oci::name::RepositoryName;

use super::super::shell::Shell;
use super::super::visit::Visit;
use super::here;
use super::model::RepositoryRow;
use super::parts::{Crumb, crumbs, last_page};
use crate::api::Answer;
use crate::api::ui::blocking;
use crate::api::v1::problem::Problem;
use crate::registry::browse::repositories::{RepositoriesQuery, RepositorySort};
use crate::registry::browse::tags::Order;

/// Repositories on a page.
pub(super) const ROWS: u32 = 50;

#[derive(Template)]
#[template(path = "browse/namespace.html")]
struct Below<'a> {
    shell: &'a Shell,
    name: String,
    crumbs: Vec<Crumb>,
    /// The page of its organization or user.
    about: Option<String>,
    rows: Vec<RepositoryRow>,
    total: u64,
    is_capped: bool,
    page: u64,
    last: u64,
    query: String,
}

pub(in crate::api::ui) async fn page(
    visit: Visit,
    name: RepositoryName,
) -> Result<Answer, Problem> {
    visit.only_looks()?;
    blocking(move || show(&visit, &name)).await
}

/// The page of a name below which the visitor sees something; else there is nothing.
///
/// # Errors
/// 404, or the database failed.
pub(super) fn show(visit: &Visit, name: &RepositoryName) -> Result<Answer, Problem> {
    let viewer = visit.visitor.viewer()?;
    let wanted = RepositoriesQuery {
        within: Some(name.as_str()),
        filter: None,
        sort: RepositorySort::Name,
        order: Order::Ascending,
        page: visit.query.page(),
        rows: ROWS,
    };
    let found = visit.registry().repositories_page(&viewer, &wanted)?;
    if found.total == 0 {
        // Who did not sign in may find something after that, or nothing: both are the same here.
        return Err(if visit.shell.has_accounts && visit.shell.user.is_none() {
            Problem::unauthorized()
        } else {
            Problem::not_found()
        });
    }
    let (first, is_whole) = match name.as_str().split_once('/') {
        Some((first, _)) => (first, false),
        None => (name.as_str(), true),
    };
    let has_people = visit.shell.has_accounts && visit.shell.user.is_some() && is_whole;
    let below = Below {
        shell: &visit.shell,
        name: name.to_string(),
        crumbs: crumbs(name.as_str(), false),
        about: has_people.then(|| format!("/ui/o/{first}")),
        rows: found
            .rows
            .into_iter()
            .map(|row| here::repository_row(visit, &viewer, row))
            .collect(),
        total: found.total,
        is_capped: found.is_total_capped,
        page: u64::from(visit.query.page()),
        last: last_page(found.total, ROWS),
        query: visit.query.with("page", None),
    };
    visit.show(&below)
}
