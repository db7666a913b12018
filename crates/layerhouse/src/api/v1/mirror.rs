//! The mirror: how it does, fetching before anybody asks, and letting copies go now.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::input::{Body, Nothing};
use super::output::Found;
use super::problem::{Code, Problem};
use super::views::Moment;
use super::visit::AnyVisit;
use crate::api::error::ApiError;
use crate::auth::permits::OperatorPermit;
use crate::fault::{Fault, FaultKind};
use crate::index::audit::{Action, Audit};
use crate::outbound::upstream::error::UpstreamError;
use crate::registry::Registry;
use crate::registry::mirror::evict::{self, Reason, Usage};
use crate::registry::mirror::numbers::Counted;
use crate::registry::mirror::warm::WarmError;
use crate::registry::mirror::{self, MirrorError, Served};

/// Entries of a list of evictions.
const ENTRIES_MAX: usize = 1_000;

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Mirror {
    /// Whether every name is the one upstream's (`proxy.remoteurl`).
    is_proxy: bool,
    /// Whether nobody is asked for anything.
    is_offline: bool,
    /// The upstream of names that nothing here has.
    default: Option<String>,
    /// What was not pulled for so many seconds goes; null if it stays.
    keep_seconds: Option<u64>,
    /// Of blobs that copies need, each counted once.
    bytes: u64,
    /// What those may be; null for no bound.
    budget_bytes: Option<u64>,
    /// Blobs that are being fetched.
    fetches: u64,
    /// Of all upstreams, since the server started.
    total: Counts,
    upstreams: Vec<Upstream>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MirrorUpstream")]
struct Upstream {
    name: String,
    /// Their addresses, in the order in which they are asked.
    endpoints: Vec<String>,
    /// Who may see the copies.
    visibility: &'static str,
    state: State,
    /// While it is closed.
    closed_until: Option<Moment>,
    /// What it said last of how often it may be asked.
    rate_limit: Option<RateLimit>,
    /// Of blobs that its copies need, each counted once.
    bytes: u64,
    /// What those may be; null for no bound of its own.
    budget_bytes: Option<u64>,
    counts: Counts,
    /// What it was asked since the server started.
    requests: u64,
    /// Those that brought no answer.
    failed_requests: u64,
    last_failure: Option<LastFailure>,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "MirrorState")]
enum State {
    Ok,
    /// It failed several times, or said that it is asked too often: it is left alone for a while.
    Closed,
    /// Nobody is asked (`offline`).
    Offline,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MirrorRateLimit")]
struct RateLimit {
    limit: u64,
    remaining: u64,
    window_seconds: Option<u64>,
    read_at: Moment,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MirrorFailure")]
struct LastFailure {
    at: Moment,
    message: String,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "MirrorCounts")]
struct Counts {
    /// Answered from a copy.
    manifest_hits: u64,
    /// Fetched first.
    manifest_misses: u64,
    /// Answered from a copy because the upstream could not be asked.
    stale: u64,
    blob_hits: u64,
    /// Fetched, once for all who waited.
    blob_misses: u64,
    /// Clients that read a blob while it was fetched for another.
    shared: u64,
    /// Requests that could not be answered.
    failures: u64,
    /// Of blobs, to clients.
    sent_bytes: u64,
    /// Of blobs, from the upstream.
    fetched_bytes: u64,
    /// Of blobs, from another process of this registry, which fetched them.
    relayed_bytes: u64,
}

impl Counts {
    fn add(&mut self, counted: Counted) {
        self.manifest_hits += counted.manifest_hits;
        self.manifest_misses += counted.manifest_misses;
        self.stale += counted.stale;
        self.blob_hits += counted.blob_hits;
        self.blob_misses += counted.blob_misses;
        self.shared += counted.shared;
        self.failures += counted.failures;
        self.sent_bytes += counted.sent_bytes;
        self.fetched_bytes += counted.fetched_bytes;
        self.relayed_bytes += counted.relayed_bytes;
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MirrorWarm")]
pub(super) struct Warm {
    /// An image as clients name it here: `docker.io/library/nginx:1.27`.
    reference: String,
    /// As `linux/amd64`; none for all.
    #[serde(default)]
    platforms: Vec<String>,
}

/// What was fetched; nothing, if all of it was here.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MirrorWarmed")]
pub(super) struct Warmed {
    reference: String,
    manifests: u64,
    blobs: u64,
    /// Of those blobs.
    bytes: u64,
    was_fresh: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MirrorEvict")]
pub(super) struct Evict {
    /// Say what would go, and change nothing.
    #[serde(default)]
    plan: bool,
}

/// What went, or would.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MirrorEvictions")]
pub(super) struct Evictions {
    /// Whether it is only what would go.
    is_plan: bool,
    manifests: u64,
    /// Of blobs that no copy needs any more: the collection gives back those that nothing else needs.
    bytes: u64,
    entries: Vec<Eviction>,
    /// Whether there is more than is listed.
    is_cut: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "MirrorEviction")]
struct Eviction {
    repository: String,
    digest: String,
    tags: Vec<String>,
    /// With those that go along: the images of an index.
    manifests: u64,
    bytes: u64,
    /// When it was last pulled, or fetched.
    used_at: Moment,
    why: Why,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "MirrorEvictionReason")]
enum Why {
    /// It was not pulled for longer than `keep`.
    Age,
    /// Its upstream's copies take more than their budget.
    Upstream,
    /// All copies take more than their budget.
    Budget,
}

fn no_mirror() -> Problem {
    Problem::absent(WarmError::NoMirror.to_string())
}

/// Looks at all that copies need: where it may wait.
pub(super) async fn show(
    visit: AnyVisit,
    _: OperatorPermit,
    _: Nothing,
) -> Result<Found<Mirror>, Problem> {
    let registry = visit.call.api.registry.clone();
    let mirror = registry.mirror().ok_or_else(no_mirror)?;
    let looking = registry.clone();
    let usage = tokio::task::spawn_blocking(move || looking.mirror_usage()).await;
    let usage =
        usage.map_err(|error| Fault::new(FaultKind::Other, "looking at copies", error))??;
    Ok(Found(shown(&registry, &mirror, &usage)))
}

fn shown(registry: &Registry, mirror: &mirror::Mirror, usage: &Usage) -> Mirror {
    let settings = &mirror.settings;
    let mut total = Counts::default();
    let upstreams = mirror.upstreams.iter().map(|served| {
        total.add(served.numbers.counted());
        upstream(served, settings.is_offline, usage)
    });
    let upstreams = upstreams.collect();
    let default = settings
        .default
        .and_then(|place| mirror.upstreams.get(place));
    Mirror {
        is_proxy: settings.is_proxy,
        is_offline: settings.is_offline,
        default: default.map(|served| served.name().to_owned()),
        keep_seconds: settings.keep.map(|keep| keep.as_secs()),
        bytes: usage.bytes,
        budget_bytes: settings.budget_bytes,
        fetches: registry.mirror_fetches(),
        total,
        upstreams,
    }
}

fn upstream(served: &Served, is_offline: bool, usage: &Usage) -> Upstream {
    let (settings, state) = (served.settings(), served.upstream.state());
    let endpoints = settings.endpoints.iter();
    let mut counts = Counts::default();
    counts.add(served.numbers.counted());
    Upstream {
        name: served.name().to_owned(),
        endpoints: endpoints.map(|endpoint| endpoint.url.clone()).collect(),
        visibility: settings.visibility.as_str(),
        state: match state.is_closed_until {
            _ if is_offline => State::Offline,
            Some(_) => State::Closed,
            None => State::Ok,
        },
        closed_until: state.is_closed_until.map(Moment),
        rate_limit: state.rate_limit.map(|said| RateLimit {
            limit: said.limit,
            remaining: said.remaining,
            window_seconds: said.window_seconds,
            read_at: Moment(said.read_at),
        }),
        bytes: usage.of(served.name()),
        budget_bytes: settings.budget_bytes,
        counts,
        requests: state.requests,
        failed_requests: state.failures,
        last_failure: state.last_failure.map(|(at, message)| LastFailure {
            at: Moment(at),
            message,
        }),
    }
}

/// Fetches an image; answered when it is here.
pub(super) async fn warm(
    visit: AnyVisit,
    permit: OperatorPermit,
    Body(asked): Body<Warm>,
) -> Result<Found<Warmed>, Problem> {
    if let Some(index) = &visit.index {
        let detail = json!({ "reference": asked.reference, "platforms": asked.platforms });
        let audit = Audit::by(permit.asker(), Action::MirrorWarm, "", detail);
        index.change::<_, Fault>(audit, |_| Ok(())).await?;
    }
    let registry = &visit.call.api.registry;
    let warmed = registry.warm(&asked.reference, &asked.platforms).await?;
    Ok(Found(Warmed {
        reference: asked.reference,
        manifests: warmed.manifests,
        blobs: warmed.blobs,
        bytes: warmed.bytes,
        was_fresh: warmed.was_fresh(),
    }))
}

/// Lets copies go that are over a budget or too old, or says which would.
pub(super) async fn evict(
    visit: AnyVisit,
    permit: OperatorPermit,
    Body(asked): Body<Evict>,
) -> Result<Found<Evictions>, Problem> {
    let registry = visit.call.api.registry.clone();
    let mirror = registry.mirror().ok_or_else(no_mirror)?;
    let evicted = if asked.plan {
        registry.write_pull_notes().await?;
        let plan = move || registry.plan_eviction(&mirror);
        let planned = tokio::task::spawn_blocking(plan).await;
        planned.map_err(|error| Fault::new(FaultKind::Other, "planning evictions", error))??
    } else {
        if let Some(index) = &visit.index {
            let audit = Audit::by(permit.asker(), Action::MirrorEvict, "", json!({}));
            index.change::<_, Fault>(audit, |_| Ok(())).await?;
        }
        let told = visit.call.api.is_stopping.clone();
        registry
            .evict(&mirror, true, move || *told.borrow())
            .await?
    };
    let is_cut = ENTRIES_MAX < evicted.entries.len();
    let entries = evicted.entries.into_iter().take(ENTRIES_MAX);
    Ok(Found(Evictions {
        is_plan: asked.plan,
        manifests: evicted.manifests,
        bytes: evicted.bytes,
        entries: entries.map(Eviction::from).collect(),
        is_cut,
    }))
}

impl From<evict::Entry> for Eviction {
    fn from(entry: evict::Entry) -> Self {
        Self {
            repository: entry.repository.as_str().to_owned(),
            digest: entry.digest.as_str().to_owned(),
            tags: entry.tags,
            manifests: entry.manifests,
            bytes: entry.bytes,
            used_at: Moment(entry.used_at),
            why: match entry.why {
                Reason::Age => Why::Age,
                Reason::UpstreamBudget => Why::Upstream,
                Reason::Budget => Why::Budget,
            },
        }
    }
}

impl From<WarmError> for Problem {
    fn from(error: WarmError) -> Self {
        let message = error.to_string();
        match error {
            WarmError::Reference { .. } | WarmError::Platform { .. } => Self::invalid(message),
            WarmError::NoMirror
            | WarmError::NotMirrored { .. }
            | WarmError::Routing(_)
            | WarmError::NoSuchPlatform { .. }
            | WarmError::Mirror(
                MirrorError::Absent { .. } | MirrorError::Upstream(UpstreamError::NotFound(_)),
            ) => Self::absent(message),
            WarmError::Stale { .. }
            | WarmError::Invalid { .. }
            | WarmError::TooMany
            | WarmError::Mirror(
                MirrorError::Offline | MirrorError::Upstream(_) | MirrorError::Invalid { .. },
            ) => Self::conflict(Code::Conflict, message),
            WarmError::Mirror(MirrorError::Fault(fault)) => ApiError::of_fault(&fault).into(),
            WarmError::Fault(fault) => fault.into(),
        }
    }
}
