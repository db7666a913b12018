//! Whether the server is well, and what the doctor finds.

use askama::Template;
use serde::Deserialize;

use super::menu::Section;
use crate::api::Answer;
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::Moment;

#[derive(Debug, Deserialize)]
pub(super) struct Health {
    pub(super) version: String,
    pub(super) is_ready: bool,
    pub(super) failing_checks: Vec<FailingCheck>,
    pub(super) certificate_expires_at: Option<Moment>,
    pub(super) uploads: u64,
    pub(super) requests: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct FailingCheck {
    pub(super) name: String,
    pub(super) said: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Diagnosis {
    pub(super) facts: Vec<Fact>,
    pub(super) findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Fact {
    pub(super) name: String,
    pub(super) said: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Finding {
    pub(super) what: String,
    pub(super) advice: String,
}

#[derive(Template)]
#[template(path = "admin/health.html")]
struct HealthPage<'a> {
    shell: &'a Shell,
    at: Section,
    problem: Option<String>,
    health: Health,
    counts: super::storage::Counts,
}

/// Checks, the certificate, what is under way.
pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    visit.only_looks()?;
    visit.show(&HealthPage {
        shell: &visit.shell,
        at: Section::Health,
        problem: None,
        health: visit.get("/health", &[]).await?,
        counts: visit.get("/storage", &[]).await?,
    })
}

#[derive(Template)]
#[template(path = "admin/doctor.html")]
struct DoctorPage<'a> {
    shell: &'a Shell,
    at: Section,
    problem: Option<String>,
    diagnosis: Diagnosis,
}

/// What is wrong, and what to do.
pub(super) async fn doctor(visit: Visit) -> Result<Answer, Problem> {
    visit.only_looks()?;
    visit.show(&DoctorPage {
        shell: &visit.shell,
        at: Section::Doctor,
        problem: None,
        diagnosis: visit.get("/doctor", &[]).await?,
    })
}
