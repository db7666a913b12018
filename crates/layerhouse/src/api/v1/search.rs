//! Finding repositories.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::{Query, number};
use super::output::Found;
use super::problem::Problem;
use super::views::Visibility;
use super::visit::Visit;
use crate::auth::permits::Asker;
use crate::index::search;

/// Repositories on a page when nothing is said, and at most.
const SIZE: u32 = 25;
const SIZE_MAX: u32 = 100;
/// Pages that can be asked for.
const PAGE_MAX: u32 = 10_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// Words; without any, everything is found.
    #[serde(default)]
    #[schemars(length(max = 255))]
    q: String,
    /// From 1.
    #[serde(default, deserialize_with = "number")]
    #[schemars(range(min = 1, max = 10000))]
    page: Option<u32>,
    /// Repositories on the page.
    #[serde(default, deserialize_with = "number")]
    #[schemars(range(min = 1, max = 100))]
    n: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Results {
    /// On all pages: so many that the caller may see, as far as they were counted.
    count: usize,
    items: Vec<Hit>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Hit {
    name: String,
    description: String,
    visibility: Visibility,
    /// Whether it stands without a namespace.
    is_official: bool,
    stars: i64,
    pulls: i64,
}

/// What who asks may see, the best first.
pub(super) async fn find(
    visit: Visit,
    asker: Asker,
    Query(question): Query<Question>,
) -> Result<Found<Results>, Problem> {
    let (page, size) = (question.page.unwrap_or(1), question.n.unwrap_or(SIZE));
    if !(1..=PAGE_MAX).contains(&page) || !(1..=SIZE_MAX).contains(&size) {
        let message = format!("write 1 to {PAGE_MAX} for page, 1 to {SIZE_MAX} for n");
        return Err(Problem::invalid(message));
    }
    let viewer = Arc::new(visit.index.directory().viewer(asker.principal())?);
    let query = search::Query {
        text: question.q,
        page: page as usize,
        size: size as usize,
        is_official: None,
        stars_min: 0,
    };
    let found = visit.index.search(viewer, query).await?;
    let items = found.hits.into_iter().map(|hit| Hit {
        name: hit.name,
        description: hit.description,
        visibility: hit.visibility.into(),
        is_official: hit.is_official,
        stars: hit.stars,
        pulls: hit.pulls,
    });
    Ok(Found(Results {
        count: found.count,
        items: items.collect(),
    }))
}
