//! How the server is, on one page. What takes long to find out has pages of its own: the doctor reads every
//! table.

use askama::Template;

use super::collection::State as Collection;
use super::health::Health;
use super::menu::Section;
use super::scrub::Scrub;
use super::storage::{Counts, Sample, samples};
use crate::api::Answer;
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;

#[derive(Template)]
#[template(path = "admin/overview.html")]
struct OverviewPage<'a> {
    shell: &'a Shell,
    at: Section,
    problem: Option<String>,
    health: Health,
    counts: Counts,
    /// How much was stored when that was last measured.
    sample: Option<Sample>,
    collection: Collection,
    scrub: Scrub,
}

pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    visit.only_looks()?;
    visit.show(&OverviewPage {
        shell: &visit.shell,
        at: Section::Overview,
        problem: None,
        health: visit.get("/health", &[]).await?,
        counts: visit.get("/storage", &[]).await?,
        sample: samples(&visit).await?.pop(),
        collection: visit.get("/collection", &[]).await?,
        scrub: visit.get("/scrub", &[]).await?,
    })
}
