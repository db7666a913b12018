//! What tags pointed at before, and where they pointed again.

use layerhouse_oci::digest::Digest;
use layerhouse_oci::tag::Tag;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::deleted::Restored;
use super::input::{Body, Paging, Query, number};
use super::output::{Found, Page};
use super::problem::Problem;
use super::views::{Id, Moment};
use super::visit::AnyVisit;
use crate::auth::permits::TendPermit;
use crate::index::audit::Action;
use crate::meta::history::TagEvent as Stored;
use crate::registry::history::HistoryQuery;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// What the page before said in `next`: events before that one.
    #[schemars(length(max = 255))]
    after: Option<String>,
    /// Entries on the page.
    #[serde(default, deserialize_with = "number")]
    #[schemars(range(min = 1, max = 999))]
    n: Option<u32>,
    /// Of this tag alone.
    #[schemars(length(max = 128))]
    tag: Option<String>,
}

/// A move or removal of a tag.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TagEvent {
    id: Id,
    happened_at: Moment,
    tag: String,
    /// Where it pointed before; null for a tag that was new.
    from: Option<String>,
    /// Where it pointed from then on; null for one that was removed.
    to: Option<String>,
    /// Who moved it.
    actor: String,
}

impl From<Stored> for TagEvent {
    fn from(event: Stored) -> Self {
        let text = |digest: Digest| digest.as_str().to_owned();
        Self {
            id: Id(event.id),
            happened_at: Moment(event.happened_at),
            tag: event.tag.as_str().to_owned(),
            from: event.from.map(text),
            to: event.to.map(text),
            actor: event.actor,
        }
    }
}

/// Where a tag is to point again; nothing of it, for where it pointed last.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Target {
    /// A manifest's digest.
    #[schemars(length(max = 255))]
    to: Option<String>,
    /// Where it pointed at this moment.
    at: Option<Moment>,
}

/// The last first.
pub(super) async fn list(
    visit: AnyVisit,
    permit: TendPermit,
    Query(which): Query<Which>,
) -> Result<Found<Page<TagEvent>>, Problem> {
    let paging = Paging {
        after: which.after,
        n: which.n,
    };
    let rows = paging.rows()?;
    let tag: Option<Tag> = match &which.tag {
        None => None,
        Some(text) => {
            let tag = text.parse();
            Some(tag.map_err(|error| Problem::invalid(format!("tag: {error}")))?)
        }
    };
    let query = HistoryQuery {
        tag: tag.as_ref(),
        before: paging.id()?,
        limit: rows,
    };
    let policy = visit.call.settings.policy;
    let pull = policy.pull(permit.caller(), permit.repository())?;
    let page = visit.call.api.registry.history(&pull, query)?;
    let page = page.ok_or_else(Problem::not_found)?;
    let next = page.items.last().filter(|_| page.has_more);
    Ok(Found(Page {
        next: next.map(|event| event.id.to_string()),
        items: page.items.into_iter().map(TagEvent::from).collect(),
    }))
}

/// Points a tag where it pointed before.
pub(super) async fn restore(
    visit: AnyVisit,
    permit: TendPermit,
    Body(target): Body<Target>,
) -> Result<Found<Restored>, Problem> {
    let policy = visit.call.settings.policy;
    policy.push(permit.caller(), permit.repository())?;
    let tag: Tag = visit.named("tag")?;
    let registry = &visit.call.api.registry;
    let to = match (target.to, target.at) {
        (Some(_), Some(_)) => return Err(Problem::invalid("say `to` or `at`, not both")),
        (Some(text), None) => {
            let digest = text.parse::<Digest>();
            Some(digest.map_err(|error| Problem::invalid(format!("to: {error}")))?)
        }
        (None, Some(Moment(at))) => {
            let found = registry.tag_at(permit.repository(), &tag, at)?;
            Some(found.ok_or_else(|| Problem::absent("the tag was not there at that time"))?)
        }
        (None, None) => None,
    };
    let detail = json!({ "tag": tag.as_str(), "to": to.as_ref().map(Digest::as_str) });
    let by = visit.doer(&permit, Action::TagRestore, detail);
    let restored = registry.restore_tag(permit.repository(), &tag, to.as_ref(), by);
    let restored = restored.await?;
    visit.moved();
    Ok(Found(restored.into()))
}
