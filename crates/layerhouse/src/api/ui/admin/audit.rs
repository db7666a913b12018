//! What was changed, by whom, from where.

use askama::Template;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::menu::Section;
use crate::api::Answer;
use crate::api::ui::ask::List;
use crate::api::ui::form::Pairs;
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::Moment;

#[derive(Debug, Deserialize)]
struct Event {
    happened_at: Moment,
    actor: String,
    action: String,
    subject: String,
    address: String,
    detail: Map<String, Value>,
}

impl Event {
    /// `role=writer owner=ann`, without what was not said.
    fn details(&self) -> String {
        let said = self.detail.iter().filter(|(_, value)| !value.is_null());
        let said = said.map(|(name, value)| match value.as_str() {
            Some(text) => format!("{name}={text}"),
            None => format!("{name}={value}"),
        });
        said.collect::<Vec<_>>().join(" ")
    }
}

#[derive(Template)]
#[template(path = "admin/audit.html")]
struct AuditPage<'a> {
    shell: &'a Shell,
    at: Section,
    problem: Option<String>,
    asked: &'a Pairs,
    /// The same question to the API, for programs.
    question: String,
    events: Vec<Event>,
    next: Option<String>,
    is_first: bool,
}

/// What to ask the API for as many as it gives at once.
fn question(pairs: &[(&str, &str)]) -> String {
    let mut question = form_urlencoded::Serializer::new(String::from("?n=999"));
    question.extend_pairs(pairs);
    question.finish()
}

/// A page of events, the last first.
pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    visit.only_looks()?;
    let mut query = vec![("n", "50")];
    for name in ["actor", "subject"] {
        query.extend(visit.query.get(name).map(|value| (name, value)));
    }
    let question = question(&query[1..]);
    let after = visit.query.get("after");
    query.extend(after.map(|after| ("after", after)));
    let list: List<Event> = visit.get("/audit", &query).await?;
    visit.show(&AuditPage {
        shell: &visit.shell,
        at: Section::Audit,
        problem: None,
        asked: &visit.query,
        question,
        events: list.items,
        next: list.next.map(|next| visit.query.with("after", Some(&next))),
        is_first: after.is_none(),
    })
}
