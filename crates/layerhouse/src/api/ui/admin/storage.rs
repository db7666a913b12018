//! How much is stored, how it grew, and who stored it.

use askama::Template;
use serde::Deserialize;

use super::collection::{Plan, plan_of_server};
use super::menu::Section;
use crate::api::Answer;
use crate::api::ui::blocking;
use crate::api::ui::pictures::Words;
use crate::api::ui::pictures::line::{self, Series, Shape};
use crate::api::ui::pictures::treemap::{self, Cell};
use crate::api::ui::shell::{Html, Shell, size};
use crate::api::ui::visit::Visit;
use crate::api::v1::problem::Problem;
use crate::api::v1::views::Moment;
use crate::clock::Timestamp;
use crate::registry::browse::repositories::NamespaceRow;

/// Rows of the table beside the picture of growth.
const DAYS: usize = 30;
/// Namespaces in the table beside the picture of them.
const NAMESPACES: usize = 50;

#[derive(Debug, Deserialize)]
pub(super) struct Counts {
    pub(super) repositories: u64,
    pub(super) tags: u64,
    pub(super) free_bytes: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Sample {
    at: Moment,
    pub(super) unique_bytes: u64,
    logical_bytes: u64,
    deleted_bytes: u64,
    uploads_bytes: u64,
    free_bytes: u64,
}

impl Sample {
    /// What is not stored twice: blobs that several repositories have.
    fn saved_bytes(&self) -> u64 {
        self.logical_bytes.saturating_sub(self.unique_bytes)
    }
}

#[derive(Debug, Deserialize)]
struct Samples {
    samples: Vec<Sample>,
}

/// How much was stored over time, the oldest first.
pub(super) async fn samples(visit: &Visit) -> Result<Vec<Sample>, Problem> {
    let said: Samples = visit.get("/storage/samples", &[]).await?;
    Ok(said.samples)
}

#[derive(Template)]
#[template(path = "admin/storage.html")]
struct StoragePage<'a> {
    shell: &'a Shell,
    at: Section,
    problem: Option<String>,
    counts: Counts,
    plan: Plan,
    newest: Option<Sample>,
    growth: Option<Html>,
    /// When the disk is full, if it goes on as it did.
    full_at: Option<Timestamp>,
    /// The newest first.
    days: Vec<Sample>,
    users: Option<Html>,
    /// The largest first.
    namespaces: Vec<NamespaceRow>,
    is_capped: bool,
}

pub(super) async fn page(visit: Visit) -> Result<Answer, Problem> {
    visit.only_looks()?;
    let counts: Counts = visit.get("/storage", &[]).await?;
    let samples = samples(&visit).await?;
    let plan = plan_of_server(&visit).await?;
    blocking(move || {
        let viewer = visit.visitor.viewer()?;
        let found = visit.registry().namespaces(&viewer)?;
        let mut namespaces = found.rows;
        namespaces.sort_by_key(|row| std::cmp::Reverse(row.linked_bytes));
        let shell = &visit.shell;
        let users = (!namespaces.is_empty()).then(|| treemap_of(shell, &namespaces));
        let is_capped = found.is_capped || NAMESPACES < namespaces.len();
        namespaces.truncate(NAMESPACES);
        let mut days = by_day(&samples);
        days.reverse();
        days.truncate(DAYS);
        visit.show(&StoragePage {
            shell,
            at: Section::Storage,
            problem: None,
            counts,
            plan,
            newest: samples.last().copied(),
            growth: (1 < samples.len()).then(|| growth(shell, &samples)),
            full_at: full_at(&samples),
            days,
            users,
            namespaces,
            is_capped,
        })
    })
    .await
}

/// Of samples in their order the last of each day (UTC).
fn by_day(samples: &[Sample]) -> Vec<Sample> {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let mut days: Vec<Sample> = Vec::new();
    for sample in samples {
        let day = |sample: &Sample| sample.at.0.0.div_euclid(DAY_MS);
        match days.last_mut().filter(|last| day(last) == day(sample)) {
            Some(last) => *last = *sample,
            None => days.push(*sample),
        }
    }
    days
}

/// When the disk is full, if what is stored grows on as it did in the last month of samples; none if it does not
/// grow, or is not known for a day.
fn full_at(samples: &[Sample]) -> Option<Timestamp> {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let last = samples.last()?;
    let since = last.at.0.0.saturating_sub(30 * DAY_MS);
    let first = samples.iter().find(|sample| since <= sample.at.0.0)?;
    let passed_ms = last.at.0.0.checked_sub(first.at.0.0)?;
    let stored = |sample: &Sample| sample.unique_bytes.saturating_add(sample.uploads_bytes);
    let grown = stored(last).checked_sub(stored(first))?;
    if passed_ms < DAY_MS || grown == 0 {
        return None;
    }
    let left_ms = i128::from(last.free_bytes) * i128::from(passed_ms) / i128::from(grown);
    // Beyond ten years it means nothing.
    let left_ms = i64::try_from(left_ms).ok()?;
    let at = last.at.0.0.checked_add(left_ms)?;
    (left_ms < 3650 * DAY_MS).then_some(Timestamp(at))
}

/// Areas of what is on the disk, and a line for what repositories have together.
fn growth(shell: &Shell, samples: &[Sample]) -> Html {
    let times: Vec<Timestamp> = samples.iter().map(|sample| sample.at.0).collect();
    let series = |name: &str, shape, colour, value: fn(&Sample) -> u64| Series {
        name: name.to_owned(),
        shape,
        colour,
        values: samples.iter().map(value).collect(),
    };
    let series = [
        series(shell.t("admin.kept"), Shape::Area, 0, |sample| {
            sample.unique_bytes.saturating_sub(sample.deleted_bytes)
        }),
        series(shell.t("admin.deleted_bytes"), Shape::Area, 3, |sample| {
            sample.deleted_bytes
        }),
        series(shell.t("admin.uploads"), Shape::Area, 6, |sample| {
            sample.uploads_bytes
        }),
        series(shell.t("admin.logical"), Shape::Line, 2, |sample| {
            sample.logical_bytes
        }),
    ];
    let day = |at: Option<&Timestamp>| {
        let text = at.and_then(|at| at.second().rfc3339()).unwrap_or_default();
        text.split('T').next().unwrap_or_default().to_owned()
    };
    let (first, last) = (day(times.first()), day(times.last()));
    let sizes = [samples.first(), samples.last()]
        .map(|sample| size(sample.map_or(0, |sample| sample.unique_bytes)));
    let words = Words {
        title: shell.t("admin.growth").to_owned(),
        summary: shell.say2("admin.growth_summary", &sizes[0], &sizes[1]),
    };
    Html(line::svg(&words, &times, &series, size, [&first, &last]))
}

/// Namespaces, each an area as large as what it links.
fn treemap_of(shell: &Shell, namespaces: &[NamespaceRow]) -> Html {
    let cells = namespaces.iter().enumerate().map(|(place, row)| {
        let (name, size) = (called(shell, &row.name), size(row.linked_bytes));
        Cell {
            weight: row.linked_bytes,
            tip: format!("{name}: {size}"),
            label: name,
            note: size,
            colour: place,
            is_shared: false,
        }
    });
    let words = Words {
        title: shell.t("admin.who_uses").to_owned(),
        summary: shell.count("admin.who_summary", namespaces.len() as u64),
    };
    let others = shell.t("admin.others");
    Html(treemap::svg(&words, cells.collect(), others))
}

/// What a namespace is called: names without a slash have none.
fn called(shell: &Shell, name: &str) -> String {
    if name.is_empty() {
        return shell.t("admin.no_namespace").to_owned();
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn sample(hours: i64, unique_bytes: u64) -> Sample {
        Sample {
            at: Moment(Timestamp(hours * HOUR)),
            unique_bytes,
            logical_bytes: 0,
            deleted_bytes: 0,
            uploads_bytes: 0,
            free_bytes: 1000,
        }
    }

    #[test]
    fn the_last_of_each_day() {
        let samples = [sample(1, 1), sample(23, 2), sample(24, 3), sample(72, 4)];
        let days = by_day(&samples);
        let found: Vec<_> = days.iter().map(|sample| sample.unique_bytes).collect();
        assert_eq!(found, [2, 3, 4]);
    }

    #[test]
    fn when_the_disk_is_full() {
        let check = |samples: &[Sample], expected: Option<i64>| {
            let found = full_at(samples).map(|at| at.0 / HOUR);
            assert_eq!(found, expected);
        };
        // 100 bytes a day, and room for ten days.
        check(&[sample(0, 100), sample(24, 200)], Some(24 + 240));
        // It does not grow, shrinks, is not known for long, is far away.
        check(&[sample(0, 100), sample(48, 100)], None);
        check(&[sample(0, 100), sample(48, 50)], None);
        check(&[sample(0, 100), sample(23, 200)], None);
        check(&[sample(0, 100), sample(24 * 30, 101)], None);
        check(&[], None);
        // What was before the last month does not count.
        check(
            &[sample(0, 0), sample(24 * 40, 900), sample(24 * 41, 1000)],
            Some(24 * 41 + 240),
        );
    }
}
