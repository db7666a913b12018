//! How far the hashing of what is stored is, and what is damaged.

use askama::Template;
use http::Method;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::menu::Section;
use super::{refusal, span};
use crate::api::Answer;
use crate::api::ui::ask::Refused;
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::Moment;

#[derive(Debug, Deserialize)]
pub(super) struct Scrub {
    enabled: bool,
    period_seconds: u64,
    rate_bytes: u64,
    passes: Vec<Pass>,
    pub(super) damaged: Vec<Damaged>,
}

impl Scrub {
    pub(super) fn newest(&self) -> Option<&Pass> {
        self.passes.first()
    }

    pub(super) fn damaged_count(&self) -> u64 {
        self.damaged.len() as u64
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Pass {
    why: String,
    repository: Option<String>,
    started_at: Moment,
    pub(super) finished_at: Option<Moment>,
    total_bytes: u64,
    bytes: u64,
    blobs: u64,
    manifests: u64,
    damaged: u64,
    unreadable: u64,
    repaired: u64,
}

impl Pass {
    /// How far it is, in percent.
    pub(super) fn percent(&self) -> u64 {
        let done = u128::from(self.bytes) * 100;
        let percent = done.checked_div(u128::from(self.total_bytes));
        u64::try_from(percent.unwrap_or(0)).unwrap_or(0).min(100)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Damaged {
    digest: String,
    manifest_of: Option<String>,
    said: String,
    found_at: Moment,
    affected: Vec<Affected>,
}

#[derive(Debug, Deserialize)]
struct Affected {
    repository: String,
    tag: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/scrub.html")]
struct ScrubPage<'a> {
    shell: &'a Shell,
    at: Section,
    problem: Option<String>,
    scrub: Scrub,
    period: String,
}

pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    let refused = if visit.is_post() {
        match begin(&visit).await {
            Ok(()) => return Ok(visit.go("/ui/admin/scrub?said=admin_scrub_begun")),
            Err(problem) => Some(Refused::of(problem)?),
        }
    } else {
        None
    };
    let scrub: Scrub = visit.get("/scrub", &[]).await?;
    let (status, problem) = refusal(refused);
    visit.show_as(
        status,
        &ScrubPage {
            shell: &visit.shell,
            at: Section::Scrub,
            problem,
            period: span(&visit.shell, scrub.period_seconds),
            scrub,
        },
    )
}

async fn begin(visit: &Visit) -> Result<(), Problem> {
    let body = json!({ "repository": visit.form.get("repository") });
    let _begun: IgnoredAny = visit
        .ask(Method::POST, "/scrub/runs", &[], Some(&body))
        .await?;
    Ok(())
}
