//! What policies let go: the plan, and a run of it.

use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::input::{Body, Query, number};
use super::output::{Found, Page};
use super::problem::{Code, Problem};
use super::visit::AnyVisit;
use crate::auth::permits::OperatorPermit;
use crate::config::meaning::glob::Glob;
use crate::registry::policies::decide::Decision;
use crate::registry::policies::plan::{Position, RepositoryPlan, Wanted};
use crate::registry::policies::run::RetainError;

/// Entries of a page when nothing is said, and at the most.
const PAGE: u32 = 100;
const PAGE_MAX: u32 = 1000;
/// Tags of a manifest that are named one by one.
const TAGS_MAX: usize = 100;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanQuery {
    /// Of repositories that fit: `*` stands for any text without a slash, `**` for any text.
    #[schemars(length(max = 256))]
    repository: Option<String>,
    /// What the page before said in `next`.
    #[schemars(length(max = 300))]
    after: Option<String>,
    /// Entries on the page.
    #[serde(default, deserialize_with = "number")]
    #[schemars(range(min = 1, max = 1000))]
    n: Option<u32>,
}

/// Something that goes.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Leaving {
    repository: String,
    kind: Kind,
    /// Of the manifest that goes, or that the tag points at.
    digest: String,
    /// The tag that goes, or those that go with the manifest, the first hundred of them.
    tags: Vec<String>,
    /// How many tags go.
    tag_count: usize,
    /// `unkept`: no rule keeps the tag; `last-tag`: none keeps any tag of the manifest; `untagged`: nothing
    /// has held it for too long; `owner`: what it belongs to goes, or is gone.
    why: &'static str,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Tag,
    Manifest,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RunRequest {
    /// As in the plan.
    #[schemars(length(max = 256))]
    repository: Option<String>,
}

/// What a run removed.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RetentionRun {
    /// Those that went with a manifest, too.
    tags: u64,
    manifests: u64,
    /// What had changed since it was decided, and stayed.
    skipped: u64,
}

pub(super) async fn plan(
    visit: AnyVisit,
    _: OperatorPermit,
    Query(query): Query<PlanQuery>,
) -> Result<Found<Page<Leaving>>, Problem> {
    let rows = query.n.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&rows) {
        return Err(Problem::invalid(format!("n: write 1 to {PAGE_MAX}")));
    }
    let registry = &visit.call.api.registry;
    let wanted = Wanted {
        repositories: pattern(query.repository.as_deref())?,
        after: query.after.as_deref().map(position).transpose()?,
        limit: rows as usize,
    };
    let plan = registry
        .plan_retention(registry.clock().now(), wanted)
        .await?;
    let next = plan.next.as_ref().map(cursor);
    let leaving = plan.repositories.into_iter().flat_map(leaving);
    Ok(Found(Page {
        items: leaving.collect(),
        next,
    }))
}

pub(super) async fn run(
    visit: AnyVisit,
    _: OperatorPermit,
    Body(request): Body<RunRequest>,
) -> Result<Found<RetentionRun>, Problem> {
    let repositories = pattern(request.repository.as_deref())?;
    let told = visit.call.api.is_stopping.clone();
    let is_over = move || *told.borrow();
    let retained = visit.call.api.registry.retain(repositories, is_over);
    let removed = retained.await?;
    Ok(Found(RetentionRun {
        tags: removed.tags,
        manifests: removed.manifests,
        skipped: removed.skipped,
    }))
}

fn pattern(text: Option<&str>) -> Result<Option<Glob>, Problem> {
    let parsed = text.map(str::parse::<Glob>).transpose();
    parsed.map_err(|error| Problem::invalid(format!("repository: {error}")))
}

/// `acme/web`, or `acme/web:12` behind the twelfth entry of it.
fn position(text: &str) -> Result<Position, Problem> {
    let wrong = || Problem::invalid("after: write what `next` said");
    let (name, decisions) = match text.split_once(':') {
        None => (text, None),
        Some((name, count)) => (name, Some(count.parse().map_err(|_| wrong())?)),
    };
    Ok(Position {
        repository: name.parse().map_err(|_| wrong())?,
        decisions,
    })
}

fn cursor(position: &Position) -> String {
    let name = &position.repository;
    match position.decisions {
        None => name.to_string(),
        Some(count) => format!("{name}:{count}"),
    }
}

fn leaving(plan: RepositoryPlan) -> impl Iterator<Item = Leaving> {
    let repository = plan.repository;
    plan.decisions.into_iter().map(move |decision| {
        let (kind, digest, tags, why) = match decision {
            Decision::Tag { tag, why } => (Kind::Tag, tag.digest.clone(), vec![tag], why),
            Decision::Manifest { seen, tags, why } => (Kind::Manifest, seen.digest, tags, why),
        };
        let named = tags.iter().take(TAGS_MAX);
        Leaving {
            repository: repository.to_string(),
            kind,
            digest: digest.to_string(),
            tags: named.map(|tag| tag.name.to_string()).collect(),
            tag_count: tags.len(),
            why: why.as_str(),
        }
    })
}

impl From<RetainError> for Problem {
    fn from(error: RetainError) -> Self {
        let message = error.to_string();
        match error {
            RetainError::Barred { .. } => Self::new(StatusCode::CONFLICT, Code::Conflict, message),
            RetainError::Fault(fault) => fault.into(),
        }
    }
}
