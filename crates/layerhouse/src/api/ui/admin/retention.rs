//! Retention: the policies, what they let go now and why, and a run.

use askama::Template;
use serde::Deserialize;
use serde_json::json;

use super::configuration::{Configuration, Setting};
use super::menu::Section;
use super::{refusal, run};
use crate::api::Answer;
use crate::api::ui::ask::{List, Refused};
use crate::api::ui::shell::Shell;
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;

#[derive(Debug, Deserialize)]
struct Leaving {
    repository: String,
    kind: Kind,
    digest: String,
    tags: Vec<String>,
    tag_count: u64,
    why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Tag,
    Manifest,
}

impl Leaving {
    fn is_tag(&self) -> bool {
        self.kind == Kind::Tag
    }

    /// Whether more tags go than are named.
    fn has_more_tags(&self) -> bool {
        (self.tags.len() as u64) < self.tag_count
    }

    /// The key of why it goes.
    fn reason(&self) -> &'static str {
        match &*self.why {
            "unkept" => "admin.why_unkept",
            "last-tag" => "admin.why_last_tag",
            "untagged" => "admin.why_untagged",
            _ => "admin.why_owner",
        }
    }
}

#[derive(Debug, Deserialize)]
struct Removed {
    tags: u64,
    manifests: u64,
    skipped: u64,
}

#[derive(Template)]
#[template(path = "admin/retention.html")]
struct RetentionPage<'a> {
    shell: &'a Shell,
    at: Section,
    problem: Option<String>,
    /// What the configuration says of policies.
    policies: Vec<Setting>,
    repository: &'a str,
    leaving: Vec<Leaving>,
    /// What a run that was just asked for did.
    done: Option<Removed>,
    next: Option<String>,
    is_first: bool,
}

pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    let refused = if visit.is_post() {
        match retain(&visit).await {
            Ok(answer) => return Ok(answer),
            Err(problem) => Some(Refused::of(problem)?),
        }
    } else {
        None
    };
    let said: Configuration = visit.get("/config", &[]).await?;
    let mut policies = said.values;
    policies.retain(|value| {
        let is_of_policies = value.key.starts_with("layerhouse.policies")
            || value.key.starts_with("layerhouse.retention");
        is_of_policies && !value.is_default
    });
    let after = visit.query.get("after");
    let repository = visit.query.get("repository");
    let mut query = vec![("n", "100")];
    query.extend(after.map(|after| ("after", after)));
    query.extend(repository.map(|pattern| ("repository", pattern)));
    let mut refused = refused;
    let planned = match visit.get::<List<Leaving>>("/retention/plan", &query).await {
        Ok(planned) => planned,
        // A pattern that is none.
        Err(problem) => {
            refused = Some(Refused::of(problem)?);
            List {
                items: Vec::new(),
                next: None,
            }
        }
    };
    let (status, problem) = refusal(refused);
    visit.show_as(
        status,
        &RetentionPage {
            shell: &visit.shell,
            at: Section::Retention,
            problem,
            policies,
            repository: repository.unwrap_or_default(),
            leaving: planned.items,
            done: done(visit.query.get("done").unwrap_or_default()),
            next: planned
                .next
                .map(|next| visit.query.with("after", Some(&next))),
            is_first: after.is_none(),
        },
    )
}

async fn retain(visit: &Visit) -> Result<Answer, Problem> {
    let body = json!({ "repository": visit.form.get("repository") });
    let done: Option<Removed> = run(visit, "/retention/runs", body).await?;
    let Some(done) = done else {
        return Ok(visit.go("/ui/admin/retention?said=admin_retaining"));
    };
    let Removed {
        tags,
        manifests,
        skipped,
    } = done;
    Ok(visit.go(&format!(
        "/ui/admin/retention?said=admin_retained&done={tags}.{manifests}.{skipped}"
    )))
}

/// What a run did, from the address.
fn done(text: &str) -> Option<Removed> {
    let numbers = text.split('.').map(str::parse);
    let numbers: Vec<u64> = numbers.collect::<Result<_, _>>().ok()?;
    let [tags, manifests, skipped] = numbers[..] else {
        return None;
    };
    Some(Removed {
        tags,
        manifests,
        skipped,
    })
}
