//! Collection: how it goes, what it would do, and doing it now.

use askama::Template;
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
use crate::clock::Timestamp;

/// Entries of the plan that are shown.
const ENTRIES: &str = "100";

#[derive(Debug, Deserialize)]
pub(super) struct State {
    is_enabled: bool,
    pub(super) is_running: bool,
    grace_seconds: u64,
    undelete_seconds: u64,
    interval_seconds: u64,
    pub(super) last_ended_at: Option<Moment>,
    last: Sums,
    total: Sums,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Sums {
    manifests: u64,
    links: u64,
    blobs: u64,
    bytes: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Plan {
    goes: Sums,
    waits: Sums,
    held: Held,
    adopted: u64,
    untagged: Vec<Untagged>,
    entries: Vec<Entry>,
    is_cut: bool,
}

impl Plan {
    /// Bytes that come back now, or later by themselves.
    pub(super) fn reclaimable_bytes(&self) -> u64 {
        self.goes.bytes + self.waits.bytes
    }

    /// Bytes of what was deleted and can come back.
    pub(super) fn held_bytes(&self) -> u64 {
        self.held.bytes
    }
}

#[derive(Debug, Deserialize)]
struct Held {
    blobs: u64,
    bytes: u64,
}

#[derive(Debug, Deserialize)]
struct Untagged {
    repository: String,
    digest: String,
}

#[derive(Debug, Deserialize)]
struct Entry {
    kind: Kind,
    repository: Option<String>,
    digest: String,
    size: u64,
    waits_until: Option<Moment>,
    why: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Manifest,
    Link,
    Blob,
}

impl Kind {
    fn title(self) -> &'static str {
        match self {
            Self::Manifest => "admin.kind_manifest",
            Self::Link => "admin.kind_link",
            Self::Blob => "admin.kind_blob",
        }
    }
}

/// How to go about it: the boxes of the form, by the names that the API has for them.
#[derive(Clone, Copy, Debug)]
struct How([(&'static str, &'static str, bool); 4]);

impl How {
    fn of(said: &Pairs) -> Self {
        let boxes = [
            ("now", "admin.how_now"),
            ("empty_trash", "admin.how_empty_trash"),
            ("adopted", "admin.how_adopted"),
            ("untagged", "admin.how_untagged"),
        ];
        Self(boxes.map(|(name, label)| (name, label, said.has(name))))
    }

    fn query(&self) -> Vec<(&'static str, &'static str)> {
        let chosen = self.0.iter().filter(|(.., is_chosen)| *is_chosen);
        chosen.map(|(name, ..)| (*name, "true")).collect()
    }
}

/// What a run that was just asked for did, beside what its plan said.
#[derive(Debug)]
struct Compared {
    planned: Sums,
    done: Sums,
}

impl Compared {
    fn rows(&self) -> [(&'static str, Sums); 2] {
        [("admin.planned", self.planned), ("admin.done", self.done)]
    }
}

#[derive(Template)]
#[template(path = "admin/collection.html")]
struct CollectionPage<'a> {
    shell: &'a Shell,
    at: Section,
    problem: Option<String>,
    state: State,
    grace: String,
    undelete: String,
    interval: String,
    next_at: Option<Timestamp>,
    how: How,
    plan: Plan,
    compared: Option<Compared>,
}

/// How it goes, and what it would do as the address says.
pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    let refused = if visit.is_post() {
        match collect(&visit).await {
            Ok(answer) => return Ok(answer),
            Err(problem) => Some(Refused::of(problem)?),
        }
    } else {
        None
    };
    let state: State = visit.get("/collection", &[]).await?;
    let how = How::of(if visit.is_post() {
        &visit.form
    } else {
        &visit.query
    });
    let plan = plan(&visit, how, ENTRIES).await?;
    let (status, problem) = refusal(refused);
    let shell = &visit.shell;
    let interval = std::time::Duration::from_secs(state.interval_seconds);
    let next_at = state
        .last_ended_at
        .filter(|_| state.is_enabled && !state.is_running)
        .map(|ended| ended.0.after(interval));
    let compared = planned(&visit.query).map(|planned| Compared {
        planned,
        done: state.last,
    });
    visit.show_as(
        status,
        &CollectionPage {
            shell,
            at: Section::Collection,
            problem,
            grace: span(shell, state.grace_seconds),
            undelete: span(shell, state.undelete_seconds),
            interval: span(shell, state.interval_seconds),
            next_at,
            state,
            how,
            plan,
            compared,
        },
    )
}

async fn plan(visit: &Visit, how: How, entries: &str) -> Result<Plan, Problem> {
    let mut query = how.query();
    query.push(("n", entries));
    let query: Vec<(&str, &str)> = query;
    visit.get("/collection/plan", &query).await
}

/// What would go now, without anybody asking for more.
pub(super) async fn plan_of_server(visit: &Visit) -> Result<Plan, Problem> {
    plan(visit, How::of(&Pairs::default()), "1").await
}

/// Collects as the form says. Where the browser is sent, what was planned just before is said, too.
async fn collect(visit: &Visit) -> Result<Answer, Problem> {
    let how = How::of(&visit.form);
    let goes = plan(visit, how, "1").await?.goes;
    let mut body = serde_json::Map::new();
    for (name, _, is_chosen) in how.0 {
        body.insert(name.to_owned(), json!(is_chosen));
    }
    let done: Option<Sums> = run(visit, "/collection/runs", body.into()).await?;
    if done.is_none() {
        return Ok(visit.go("/ui/admin/collection?said=admin_collecting"));
    }
    let Sums {
        manifests,
        links,
        blobs,
        bytes,
    } = goes;
    Ok(visit.go(&format!(
        "/ui/admin/collection?said=admin_collected&planned={manifests}.{links}.{blobs}.{bytes}"
    )))
}

/// What a plan said, from the address.
fn planned(query: &Pairs) -> Option<Sums> {
    let numbers = query.get("planned")?.split('.').map(str::parse);
    let numbers: Vec<u64> = numbers.collect::<Result<_, _>>().ok()?;
    let [manifests, links, blobs, bytes] = numbers[..] else {
        return None;
    };
    Some(Sums {
        manifests,
        links,
        blobs,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_in_addresses() {
        let check = |query: &str, expected: Option<u64>| {
            let found = planned(&Pairs::parse(query.as_bytes()));
            assert_eq!(found.map(|sums| sums.bytes), expected, "{query}");
        };
        check("planned=1.2.3.4", Some(4));
        check("planned=1.2.3", None);
        check("planned=1.2.3.x", None);
        check("", None);
    }
}
