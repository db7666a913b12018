//! Collection: how it goes, what it would do, and doing it now.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::input::{Body, Nothing, Query, flag, number};
use super::output::Found;
use super::problem::Problem;
use super::views::Moment;
use super::visit::AnyVisit;
use crate::auth::Refusal;
use crate::auth::permits::OperatorPermit;
use crate::fault::{Fault, FaultKind};
use crate::index::audit::{Action, Audit};
use crate::registry::collection::{self, How};

/// Entries of a plan when nothing is said, and at most.
const ENTRIES: u32 = 1000;
const ENTRIES_MAX: u32 = 10_000;

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Collection {
    /// Whether the server collects by itself.
    is_enabled: bool,
    is_running: bool,
    /// What lost all that needed it is kept for so many seconds.
    grace_seconds: u64,
    /// What was deleted can be restored for so many seconds.
    undelete_seconds: u64,
    /// Between two rounds.
    interval_seconds: u64,
    last_ended_at: Option<Moment>,
    last: Collected,
    /// Since the server started.
    total: Collected,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Collected {
    /// Deleted manifests that can be restored no more.
    manifests: u64,
    /// Blobs of a repository that no manifest of it needed.
    links: u64,
    blobs: u64,
    /// Of those blobs.
    bytes: u64,
}

impl From<collection::Collected> for Collected {
    fn from(collected: collection::Collected) -> Self {
        Self {
            manifests: collected.manifests,
            links: collected.links,
            blobs: collected.blobs,
            bytes: collected.bytes,
        }
    }
}

/// How a collection goes about.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CollectionRun")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a choice of its own, and the API's form has them so"
)]
pub(super) struct Run {
    /// Without waiting for pushes that may be under way: they are refused once.
    #[serde(default)]
    now: bool,
    /// What could still be restored goes, too.
    #[serde(default)]
    empty_trash: bool,
    /// What an adopted tree had beside what its manifests need goes, too, although not all could be read.
    #[serde(default)]
    adopted: bool,
    /// Manifests without a tag are deleted first.
    #[serde(default)]
    untagged: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// As if it did not wait for pushes that may be under way.
    #[serde(default, deserialize_with = "flag")]
    now: Option<bool>,
    /// As if what could still be restored went, too.
    #[serde(default, deserialize_with = "flag")]
    empty_trash: Option<bool>,
    /// As if all that nothing needs of an adopted tree went, too.
    #[serde(default, deserialize_with = "flag")]
    adopted: Option<bool>,
    /// Also the manifests that have no tag.
    #[serde(default, deserialize_with = "flag")]
    untagged: Option<bool>,
    /// Entries that are listed.
    #[serde(default, deserialize_with = "number")]
    #[schemars(range(min = 1, max = 10_000))]
    n: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CollectionPlan")]
pub(super) struct Plan {
    /// What goes now.
    goes: Sums,
    /// What goes later, unless something needs it by then.
    waits: Sums,
    /// What only deleted manifests need that can still be restored.
    held: Held,
    /// Of an adopted tree that could not be read whole: nothing needs it, and it stays.
    adopted: u64,
    /// Manifests without a tag, where they are asked for.
    untagged: Vec<UntaggedManifest>,
    entries: Vec<Entry>,
    /// Whether there is more than is listed.
    is_cut: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Sums {
    /// Deleted manifests, which can be restored until they go.
    manifests: u64,
    /// Blobs of a repository.
    links: u64,
    blobs: u64,
    /// Of those blobs.
    bytes: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "HeldBlobs")]
pub(super) struct Held {
    blobs: u64,
    /// Of those blobs.
    bytes: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct UntaggedManifest {
    repository: String,
    digest: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "CollectionEntry")]
pub(super) struct Entry {
    kind: Kind,
    /// Null for a blob, which no repository has.
    repository: Option<String>,
    digest: String,
    /// Bytes of its file.
    size: u64,
    /// When it may go; null if it goes now.
    waits_until: Option<Moment>,
    /// In words.
    why: &'static str,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "CollectionKind")]
enum Kind {
    /// A deleted manifest.
    Manifest,
    /// A blob of one repository.
    Link,
    /// A blob, and its bytes.
    Blob,
}

impl From<collection::Sort> for Kind {
    fn from(sort: collection::Sort) -> Self {
        match sort {
            collection::Sort::Manifest => Self::Manifest,
            collection::Sort::Link => Self::Link,
            collection::Sort::Blob => Self::Blob,
        }
    }
}

impl From<collection::Entry> for Entry {
    fn from(entry: collection::Entry) -> Self {
        Self {
            kind: entry.sort.into(),
            repository: entry.repository.map(|name| name.as_str().to_owned()),
            digest: entry.digest.as_str().to_owned(),
            size: entry.size_bytes,
            waits_until: entry.waits_until.map(Moment),
            why: entry.why,
        }
    }
}

pub(super) async fn show(
    visit: AnyVisit,
    _: OperatorPermit,
    _: Nothing,
) -> Result<Found<Collection>, Problem> {
    let registry = &visit.call.api.registry;
    let (state, rules) = (registry.collection(), registry.collecting());
    Ok(Found(Collection {
        is_enabled: rules.is_enabled,
        is_running: state.is_running,
        grace_seconds: rules.grace.as_secs(),
        undelete_seconds: rules.undelete.as_secs(),
        interval_seconds: rules.interval.as_secs(),
        last_ended_at: state.last_ended_at.map(Moment),
        last: state.last.into(),
        total: state.total.into(),
    }))
}

/// Looks through all that is queued: where it may wait.
pub(super) async fn plan(
    visit: AnyVisit,
    _: OperatorPermit,
    Query(asked): Query<Asked>,
) -> Result<Found<Plan>, Problem> {
    let listed = asked.n.unwrap_or(ENTRIES);
    if !(1..=ENTRIES_MAX).contains(&listed) {
        return Err(Problem::invalid(format!("n: write 1 to {ENTRIES_MAX}")));
    }
    let is = |flag: Option<bool>| flag.unwrap_or(false);
    let how = How {
        is_now: is(asked.now),
        empties_deleted: is(asked.empty_trash),
        includes_adopted: is(asked.adopted),
    };
    let (registry, listed) = (visit.call.api.registry.clone(), listed as usize);
    let look = move || {
        let untagged = if is(asked.untagged) {
            registry.untagged(how.is_now, None, listed)?
        } else {
            Vec::new()
        };
        Ok::<_, Fault>((registry.plan_collection(how, listed)?, untagged))
    };
    let looked = tokio::task::spawn_blocking(look).await;
    let looked =
        looked.map_err(|error| Fault::new(FaultKind::Other, "planning a collection", error));
    let (plan, untagged) = looked??;
    let untagged = untagged.into_iter().map(|one| UntaggedManifest {
        repository: one.repository.as_str().to_owned(),
        digest: one.digest.as_str().to_owned(),
    });
    Ok(Found(Plan {
        goes: Sums {
            manifests: plan.manifests,
            links: plan.links,
            blobs: plan.blobs,
            bytes: plan.bytes,
        },
        waits: Sums {
            manifests: plan.waiting_manifests,
            links: plan.waiting_links,
            blobs: plan.waiting_blobs,
            bytes: plan.waiting_bytes,
        },
        held: Held {
            blobs: plan.held_blobs,
            bytes: plan.held_bytes,
        },
        adopted: plan.adopted,
        untagged: untagged.collect(),
        entries: plan.entries.into_iter().map(Entry::from).collect(),
        is_cut: plan.is_cut,
    }))
}

/// Collects; answered when it is done.
pub(super) async fn run(
    visit: AnyVisit,
    permit: OperatorPermit,
    Body(run): Body<Run>,
) -> Result<Found<Collected>, Problem> {
    let how = How {
        is_now: run.now,
        empties_deleted: run.empty_trash,
        includes_adopted: run.adopted,
    };
    let by = permit.asker().principal().name.to_string();
    if let Some(index) = &visit.index {
        let detail = json!({
            "now": run.now, "empty_trash": run.empty_trash,
            "adopted": run.adopted, "untagged": run.untagged,
        });
        let audit = Audit::by(permit.asker(), Action::CollectionRun, "", detail);
        index.change::<_, Fault>(audit, |_| Ok(())).await?;
    }
    let registry = &visit.call.api.registry;
    if run.untagged {
        if visit.call.settings.policy.is_read_only {
            return Err(Refusal::ReadOnly.into());
        }
        registry.delete_untagged(how.is_now, &by).await?;
    }
    let told = visit.call.api.is_stopping.clone();
    let is_over = move || *told.borrow();
    let collected = registry.collect(how, |_| Duration::ZERO, is_over).await?;
    Ok(Found(collected.into()))
}
