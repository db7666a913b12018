//! Where tags pointed: `/ui/r/<repository>/-/history`; and pointing one there again, after a look at what it
//! points at now.

use askama::Template;
use http::StatusCode;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;
use serde_json::json;

use super::super::blocking;
use super::super::browse::parts::{Head, Place};
use super::super::form::Pairs;
use super::super::pictures::{Words, timeline};
use super::super::shell::{Html, Shell};
use super::super::visit::Visit;
use super::{doer, moved, page_of};
use crate::api::Answer;
use crate::api::v1::problem::Problem;
use crate::auth::rights::Deed;
use crate::clock::Timestamp;
use crate::index::audit::Action;
use crate::registry::history::{HistoryQuery, Standing};

/// Moves and removals on a page.
const ROWS: usize = 50;

#[derive(Template)]
#[template(path = "change/history.html")]
struct HistoryPage<'a> {
    shell: &'a Shell,
    head: Head,
    name: &'a RepositoryName,
    /// The one tag that it is about.
    tag: Option<&'a Tag>,
    rows: Vec<Row>,
    picture: Option<Html>,
    /// Events before this one are on the next page.
    next: Option<i64>,
    is_first: bool,
    may_restore: bool,
}

/// A move or removal.
struct Row {
    happened_at: Timestamp,
    tag: Tag,
    from: Option<Digest>,
    to: Option<Digest>,
    actor: String,
    /// Whether what it pointed at can be had: where it went, else where it was.
    standing: Standing,
}

impl Row {
    /// What a tag can be pointed at again.
    fn target(&self) -> Option<&Digest> {
        self.to.as_ref().or(self.from.as_ref())
    }

    fn is_gone(&self) -> bool {
        self.standing == Standing::Gone
    }
}

#[derive(Template)]
#[template(path = "change/restore.html")]
struct RestorePage<'a> {
    shell: &'a Shell,
    name: &'a RepositoryName,
    tag: &'a Tag,
    to: &'a Digest,
    /// What it points at as of now.
    now: Option<&'a Digest>,
    standing: Standing,
    problem: Option<&'static str>,
}

impl RestorePage<'_> {
    fn points_there(&self) -> bool {
        self.now == Some(self.to)
    }
}

fn tag_of(pairs: &Pairs) -> Result<Option<Tag>, Problem> {
    let tag = pairs.get("tag").map(str::parse::<Tag>).transpose();
    tag.map_err(|error| Problem::invalid(format!("tag: {error}")))
}

/// Every move and removal, the last first.
///
/// # Errors
/// As the API.
pub(in crate::api::ui) async fn page(
    visit: Visit,
    name: RepositoryName,
) -> Result<Answer, Problem> {
    visit.only_looks()?;
    let tag = tag_of(&visit.query)?;
    let before = visit.query.get("before").map(str::parse::<i64>).transpose();
    let before = before.map_err(|error| Problem::invalid(format!("before: {error}")))?;
    blocking(move || {
        let pull = visit.visitor.pull(&name)?;
        let registry = visit.registry();
        let query = HistoryQuery {
            tag: tag.as_ref(),
            before,
            limit: ROWS,
        };
        let page = registry.history(&pull, query)?;
        let page = page.ok_or_else(Problem::not_found)?;
        let targets: Vec<&Digest> = page
            .items
            .iter()
            .filter_map(|event| event.to.as_ref().or(event.from.as_ref()))
            .collect();
        let standing = registry.standing(&pull, &targets)?;
        let standing = standing.ok_or_else(Problem::not_found)?;
        let next = page.items.last().filter(|_| page.has_more);
        let next = next.map(|event| event.id);
        let rows = page.items.into_iter().zip(standing);
        let rows: Vec<Row> = rows
            .map(|(event, standing)| Row {
                happened_at: event.happened_at,
                tag: event.tag,
                from: event.from,
                to: event.to,
                actor: event.actor,
                standing,
            })
            .collect();
        let picture = tag.as_ref().filter(|_| !rows.is_empty());
        let picture = picture.map(|tag| picture_of(&visit.shell, tag, &rows));
        let page = HistoryPage {
            shell: &visit.shell,
            head: Head::of(&visit, &name, Place::History, None)?,
            name: &name,
            tag: tag.as_ref(),
            picture,
            next,
            rows,
            is_first: before.is_none(),
            may_restore: visit.visitor.may(&name, Deed::Push),
        };
        visit.show(&page)
    })
    .await
}

/// The events of one tag along time.
fn picture_of(shell: &Shell, tag: &Tag, events: &[Row]) -> Html {
    let when = |event: &Row| event.happened_at.second().rfc3339().unwrap_or_default();
    let moves: Vec<timeline::Move> = events
        .iter()
        .rev()
        .map(|event| timeline::Move {
            at: event.happened_at,
            to: event.to.as_ref().map(|digest| shell.short(digest)),
            tip: match &event.to {
                Some(to) => format!("{} {} {}", when(event), shell.short(to), event.actor),
                None => format!("{} × {}", when(event), event.actor),
            },
        })
        .collect();
    let words = Words {
        title: shell.say("change.timeline_of", tag),
        summary: shell.count("change.timeline_moves", events.len() as u64),
    };
    let first = events.last().map(when).unwrap_or_default();
    let day = first.split('T').next().unwrap_or_default();
    let dates = [day, shell.t("shell.now")];
    Html(timeline::svg(&words, &moves, shell.now, dates))
}

/// First what it points at now, and would; with `sure` it points there, if it still points where it was seen.
///
/// # Errors
/// As the API.
pub(in crate::api::ui) async fn restore(
    visit: Visit,
    name: RepositoryName,
) -> Result<Answer, Problem> {
    visit.only_changes()?;
    let pairs = &visit.form;
    let tag = tag_of(pairs)?.ok_or_else(|| Problem::invalid("tag: say which"))?;
    let to = pairs.get("to").map(str::parse::<Digest>).transpose();
    let to = to.map_err(|error| Problem::invalid(format!("to: {error}")))?;
    let to = to.ok_or_else(|| Problem::invalid("to: say where"))?;
    let permit = visit.visitor.tend(&name, Deed::Push)?;
    let policy = visit.visitor.policy();
    policy.push(permit.caller(), permit.repository())?;
    let pull = policy.pull(permit.caller(), permit.repository())?;
    let seen = pairs.get("now").map(str::to_owned);
    let is_sure = pairs.has("sure");
    let (looking, target) = (visit.clone(), (tag.clone(), to.clone()));
    let refused = blocking(move || {
        let registry = looking.registry();
        let (tag, to) = &target;
        let now = registry.tag_now(&pull, tag)?;
        let standing = registry.standing(&pull, &[to])?;
        let standing = standing.and_then(|standing| standing.first().copied());
        let standing = standing.ok_or_else(Problem::not_found)?;
        let has_moved = seen.as_deref() != now.as_ref().map(Digest::as_str);
        let problem = if !is_sure {
            None
        } else if has_moved {
            Some("change.restore_moved")
        } else if standing == Standing::Gone {
            Some("change.restore_gone")
        } else {
            return Ok(None);
        };
        let page = RestorePage {
            shell: &looking.shell,
            name: pull.repository(),
            tag,
            to,
            now: now.as_ref(),
            standing,
            problem: problem.map(|key| looking.shell.t(key)),
        };
        let status = if problem.is_some() {
            StatusCode::CONFLICT
        } else {
            StatusCode::OK
        };
        looking.show_as(status, &page).map(Some)
    });
    if let Some(page) = refused.await? {
        return Ok(page);
    }
    let detail = json!({ "tag": tag.as_str(), "to": to.as_str() });
    let by = doer(&visit, &permit, Action::TagRestore, detail);
    let restored = visit
        .registry()
        .restore_tag(permit.repository(), &tag, Some(&to), by);
    restored.await?;
    moved(&visit);
    let back = format!("history?tag={tag}&said=tag_restored");
    Ok(visit.go(&page_of(&name, &back)))
}
