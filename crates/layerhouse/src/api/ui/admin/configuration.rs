//! The configuration that holds, with where each value was said.

use askama::Template;
use serde::Deserialize;

use super::menu::Section;
use crate::api::Answer;
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;

#[derive(Debug, Deserialize)]
pub(super) struct Configuration {
    pub(super) values: Vec<Setting>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Setting {
    pub(super) key: String,
    pub(super) value: String,
    pub(super) origin: String,
    pub(super) is_default: bool,
    pub(super) waits_for_restart: bool,
}

#[derive(Template)]
#[template(path = "admin/config.html")]
struct ConfigurationPage<'a> {
    shell: &'a Shell,
    at: Section,
    problem: Option<String>,
    values: Vec<Setting>,
    /// Whether what nobody said is shown, too.
    has_defaults: bool,
    waits: bool,
}

pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    visit.only_looks()?;
    let said: Configuration = visit.get("/config", &[]).await?;
    let has_defaults = visit.query.has("all");
    let mut values = said.values;
    let waits = values.iter().any(|value| value.waits_for_restart);
    values.retain(|value| has_defaults || !value.is_default);
    visit.show(&ConfigurationPage {
        shell: &visit.shell,
        at: Section::Configuration,
        problem: None,
        values,
        has_defaults,
        waits,
    })
}
