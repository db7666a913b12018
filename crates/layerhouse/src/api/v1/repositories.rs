//! Repositories as people see them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::{Body, Nothing, Paging, Query};
use super::output::{Found, Page};
use super::problem::Problem;
use super::views::{Moment, Said, Visibility};
use super::visit::Visit;
use crate::auth::permits::{AccountPermit, Asker, RepositoryPermit};
use crate::index::pages::PageChanges;

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Repository {
    name: String,
    visibility: Visibility,
    /// Whether that was said for this one, and is not the configuration's.
    has_own_visibility: bool,
    created_at: Moment,
}

impl From<crate::index::repositories::Repository> for Repository {
    fn from(repository: crate::index::repositories::Repository) -> Self {
        Self {
            name: repository.name,
            visibility: repository.visibility.into(),
            has_own_visibility: repository.has_own_visibility,
            created_at: Moment(repository.created_at),
        }
    }
}

/// A repository with what people read of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RepositoryPage {
    #[serde(flatten)]
    about: Repository,
    /// One line.
    description: String,
    /// Markdown, as it was written: whoever shows it makes it harmless.
    readme: String,
    /// Of the image that `latest`, or the newest tag, names.
    labels: BTreeMap<String, String>,
    /// Whether people wrote the description; else it is the image's.
    is_described_by_people: bool,
    pulls: i64,
    pushes: i64,
    stars: i64,
    /// Whether who asks gave it one.
    is_starred: bool,
    last_pulled_at: Option<Moment>,
    last_pushed_at: Option<Moment>,
}

/// What maintainers change; what is not there stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RepositoryChanges")]
pub(super) struct Changes {
    /// Null for what the configuration says.
    #[serde(default)]
    visibility: Said<Visibility>,
    /// One line; empty for what the image says.
    description: Option<String>,
    /// Markdown of at most 256 KiB.
    readme: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Stars {
    /// Those that the repository has then.
    stars: i64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Starred")]
pub(super) struct OwnStar {
    repository: String,
    visibility: Visibility,
    starred_at: Moment,
}

/// Those that who asks may see.
pub(super) async fn list_of(
    visit: Visit,
    asker: Asker,
    Query(paging): Query<Paging>,
) -> Result<Found<Page<Repository>>, Problem> {
    let viewer = visit.index.directory().viewer(asker.principal())?;
    // Of `library` are those without a slash, as for Docker's clients.
    let namespace = visit.text("namespace");
    let namespace = (namespace != "library").then_some(namespace);
    let (rows, after) = (paging.rows()?, paging.name());
    let (found, next) = visit
        .index
        .repositories_of(&viewer, namespace, after, rows)?;
    Ok(Found(Page {
        items: found.into_iter().map(Repository::from).collect(),
        next,
    }))
}

fn page(visit: &Visit, permit: &RepositoryPermit) -> Result<Found<RepositoryPage>, Problem> {
    let about = visit.index.repository(permit)?.into();
    let page = visit.index.page(permit)?;
    Ok(Found(RepositoryPage {
        about,
        description: page.description,
        readme: page.readme,
        labels: page.labels,
        is_described_by_people: page.is_of_people,
        pulls: page.counts.pulls,
        pushes: page.counts.pushes,
        stars: page.counts.stars,
        is_starred: visit.index.is_starred(permit)?,
        last_pulled_at: page.counts.last_pulled_at.map(Moment),
        last_pushed_at: page.counts.last_pushed_at.map(Moment),
    }))
}

pub(super) async fn show(
    visit: Visit,
    permit: RepositoryPermit,
    _: Nothing,
) -> Result<Found<RepositoryPage>, Problem> {
    page(&visit, &permit)
}

pub(super) async fn update(
    visit: Visit,
    permit: RepositoryPermit,
    Body(changes): Body<Changes>,
) -> Result<Found<RepositoryPage>, Problem> {
    // Texts may be refused; then nothing of it was done.
    if changes.description.is_some() || changes.readme.is_some() {
        let texts = PageChanges {
            description: changes.description,
            readme: changes.readme,
        };
        visit.index.describe(&permit, texts).await?;
    }
    let visibility = match changes.visibility {
        Said::Nothing => return page(&visit, &permit),
        Said::Null => None,
        Said::This(visibility) => Some(visibility.into()),
    };
    visit.index.set_visibility(&permit, visibility).await?;
    page(&visit, &permit)
}

pub(super) async fn star(
    visit: Visit,
    permit: RepositoryPermit,
    _: Nothing,
) -> Result<Found<Stars>, Problem> {
    let known = somebody(&permit)?;
    let stars = visit.index.star(known).await?;
    Ok(Found(Stars { stars }))
}

pub(super) async fn unstar(
    visit: Visit,
    permit: RepositoryPermit,
    _: Nothing,
) -> Result<Found<Stars>, Problem> {
    let known = somebody(&permit)?;
    let stars = visit.index.unstar(known).await?;
    Ok(Found(Stars { stars }))
}

/// Anyone may see what is public; a star is somebody's.
fn somebody(permit: &RepositoryPermit) -> Result<&RepositoryPermit, Problem> {
    if permit.asker().is_nobody() {
        return Err(Problem::unauthorized());
    }
    Ok(permit)
}

/// What who asks gave stars, and may still see.
pub(super) async fn starred(
    visit: Visit,
    permit: AccountPermit,
    Query(paging): Query<Paging>,
) -> Result<Found<Page<OwnStar>>, Problem> {
    let viewer = visit.index.directory().viewer(permit.asker().principal())?;
    let (rows, after) = (paging.rows()?, paging.name());
    let (found, next) = visit.index.starred(&permit, &viewer, after, rows)?;
    let items = found.into_iter().map(|starred| OwnStar {
        repository: starred.repository,
        visibility: starred.visibility.into(),
        starred_at: Moment(starred.at),
    });
    Ok(Found(Page {
        items: items.collect(),
        next,
    }))
}
