//! Tags of a repository, with what they point at.

use schemars::JsonSchema;
use serde::Serialize;

use super::input::{Paging, Query};
use super::output::{Found, Page};
use super::problem::Problem;
use super::views::Moment;
use super::visit::AnyVisit;
use crate::auth::permits::TendPermit;
use crate::meta::tags::Tagged as Stored;
use crate::registry::pages::PageQuery;

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Tag")]
pub(super) struct Tagged {
    name: String,
    /// Of the manifest that it points at.
    digest: String,
    media_type: String,
    /// Bytes of the manifest and of the blobs that it names; those of an index's images are the images'.
    size: u64,
    /// When it came to point there.
    moved_at: Moment,
}

pub(super) async fn list(
    visit: AnyVisit,
    permit: TendPermit,
    Query(paging): Query<Paging>,
) -> Result<Found<Page<Tagged>>, Problem> {
    let pull = visit
        .call
        .settings
        .policy
        .pull(permit.caller(), permit.repository())?;
    let query = PageQuery {
        after: Some(paging.name()),
        limit: paging.rows()?,
    };
    let registry = &visit.call.api.registry;
    let page = registry
        .list_tagged(&pull, query)?
        .ok_or_else(Problem::not_found)?;
    let next = page.items.last().filter(|_| page.has_more);
    Ok(Found(Page {
        next: next.map(|tag| tag.name.clone()),
        items: page.items.into_iter().map(Tagged::from).collect(),
    }))
}

impl From<Stored> for Tagged {
    fn from(tag: Stored) -> Self {
        Self {
            name: tag.name,
            digest: tag.digest,
            media_type: tag.media_type,
            size: tag.size_bytes,
            moved_at: Moment(tag.moved_at),
        }
    }
}
