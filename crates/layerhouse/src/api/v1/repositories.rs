//! Repositories as people see them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::{Body, Nothing, Paging, Query};
use super::output::{Found, Page};
use super::problem::Problem;
use super::views::{Moment, Said, Visibility};
use super::visit::Visit;
use crate::auth::permits::{Asker, RepositoryPermit};

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

/// What maintainers change; what is not there stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RepositoryChanges")]
pub(super) struct Changes {
    /// Null for what the configuration says.
    #[serde(default)]
    visibility: Said<Visibility>,
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

pub(super) async fn show(
    visit: Visit,
    permit: RepositoryPermit,
    _: Nothing,
) -> Result<Found<Repository>, Problem> {
    Ok(Found(visit.index.repository(&permit)?.into()))
}

pub(super) async fn update(
    visit: Visit,
    permit: RepositoryPermit,
    Body(changes): Body<Changes>,
) -> Result<Found<Repository>, Problem> {
    let repository = match changes.visibility {
        Said::Nothing => visit.index.repository(&permit)?,
        Said::Null => visit.index.set_visibility(&permit, None).await?,
        Said::This(visibility) => {
            let visibility = Some(visibility.into());
            visit.index.set_visibility(&permit, visibility).await?
        }
    };
    Ok(Found(repository.into()))
}
