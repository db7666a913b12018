//! Other registries that are served from here: how they do, fetching beforehand, letting copies go.

use askama::Template;
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::menu::Section;
use super::{refusal, run, span};
use crate::api::Answer;
use crate::api::ui::ask::Refused;
use crate::api::ui::form::Pairs;
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::Moment;

#[derive(Debug, Deserialize)]
struct Mirror {
    is_offline: bool,
    default: Option<String>,
    keep_seconds: Option<u64>,
    bytes: u64,
    budget_bytes: Option<u64>,
    fetches: u64,
    total: Counts,
    upstreams: Vec<Upstream>,
}

#[derive(Debug, Deserialize)]
struct Upstream {
    name: String,
    endpoints: Vec<String>,
    visibility: String,
    state: State,
    closed_until: Option<Moment>,
    rate_limit: Option<RateLimit>,
    bytes: u64,
    budget_bytes: Option<u64>,
    counts: Counts,
    requests: u64,
    failed_requests: u64,
    last_failure: Option<LastFailure>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Closed,
    Offline,
}

impl State {
    fn title(self) -> &'static str {
        match self {
            Self::Ok => "admin.upstream_ok",
            Self::Closed => "admin.upstream_closed",
            Self::Offline => "admin.upstream_offline",
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Ok => "good",
            Self::Closed => "bad",
            Self::Offline => "warn",
        }
    }
}

#[derive(Debug, Deserialize)]
struct RateLimit {
    limit: u64,
    remaining: u64,
    read_at: Moment,
}

#[derive(Debug, Deserialize)]
struct LastFailure {
    at: Moment,
    message: String,
}

#[derive(Debug, Deserialize)]
struct Counts {
    manifest_hits: u64,
    manifest_misses: u64,
    stale: u64,
    blob_hits: u64,
    blob_misses: u64,
    failures: u64,
    sent_bytes: u64,
    fetched_bytes: u64,
}

impl Counts {
    /// What of all requests was answered from a copy, in percent; none if there were none.
    fn hit_percent(&self) -> Option<u64> {
        let hits = u128::from(self.manifest_hits) + u128::from(self.blob_hits);
        let misses = u128::from(self.manifest_misses) + u128::from(self.blob_misses);
        let percent = (hits * 100).checked_div(hits + misses)?;
        u64::try_from(percent).ok()
    }
}

#[derive(Debug, Deserialize)]
struct Evictions {
    manifests: u64,
    bytes: u64,
    entries: Vec<Eviction>,
    is_cut: bool,
}

#[derive(Debug, Deserialize)]
struct Eviction {
    repository: String,
    digest: String,
    tags: Vec<String>,
    bytes: u64,
    used_at: Moment,
    why: Why,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Why {
    Age,
    Upstream,
    Budget,
}

impl Why {
    fn title(self) -> &'static str {
        match self {
            Self::Age => "admin.evicted_age",
            Self::Upstream => "admin.evicted_upstream",
            Self::Budget => "admin.evicted_budget",
        }
    }
}

#[derive(Template)]
#[template(path = "admin/mirrors.html")]
struct MirrorsPage<'a> {
    shell: &'a Shell,
    at: Section,
    problem: Option<String>,
    form: &'a Pairs,
    mirror: Option<Mirror>,
    keep: Option<String>,
    plan: Option<Evictions>,
}

pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    let refused = if visit.is_post() {
        match change(&visit).await {
            Ok(answer) => return Ok(answer),
            Err(problem) => Some(Refused::of(problem)?),
        }
    } else {
        None
    };
    let mirror = match visit.get::<Mirror>("/mirror", &[]).await {
        Ok(mirror) => Some(mirror),
        Err(problem) if problem.status() == StatusCode::NOT_FOUND => None,
        Err(problem) => return Err(problem),
    };
    let mut plan = None;
    if mirror.is_some() && visit.query.has("plan") {
        let body = json!({ "plan": true });
        let asked = visit.ask(Method::POST, "/mirror/evictions", &[], Some(&body));
        plan = Some(asked.await?);
    }
    let keep = mirror.as_ref().and_then(|mirror| mirror.keep_seconds);
    let (status, problem) = refusal(refused);
    visit.show_as(
        status,
        &MirrorsPage {
            shell: &visit.shell,
            at: Section::Mirrors,
            problem,
            form: &visit.form,
            mirror,
            keep: keep.map(|seconds| span(&visit.shell, seconds)),
            plan,
        },
    )
}

#[derive(Debug, Deserialize)]
struct Warmed {
    was_fresh: bool,
}

async fn change(visit: &Visit) -> Result<Answer, Problem> {
    match visit.needed("do")? {
        "warm" => {
            let platforms = visit.form.get("platforms").unwrap_or_default();
            let platforms: Vec<&str> = platforms
                .split([',', ' '])
                .filter(|platform| !platform.is_empty())
                .collect();
            let body = json!({ "reference": visit.needed("reference")?, "platforms": platforms });
            let warmed: Option<Warmed> = run(visit, "/mirror/warm", body).await?;
            Ok(visit.go(match warmed {
                Some(Warmed { was_fresh: true }) => "/ui/admin/mirrors?said=admin_was_fresh",
                Some(Warmed { was_fresh: false }) => "/ui/admin/mirrors?said=admin_warmed",
                None => "/ui/admin/mirrors?said=admin_warming",
            }))
        }
        "evict" => {
            let evicted: Option<Evictions> = run(visit, "/mirror/evictions", json!({})).await?;
            Ok(visit.go(match evicted {
                Some(_) => "/ui/admin/mirrors?said=admin_evicted",
                None => "/ui/admin/mirrors?said=admin_evicting",
            }))
        }
        _ => Err(Problem::invalid("do: there is no such thing to do")),
    }
}
