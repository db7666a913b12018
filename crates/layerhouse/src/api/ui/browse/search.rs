//! Finding repositories by words, and what somebody names: a tag, a digest, a reference as it was copied.

use std::collections::BTreeMap;

use askama::Template;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;

use super::super::shell::Shell;
use super::super::visit::Visit;
use super::aim::{Aim, aim};
use super::facets::{self, Chosen, Facet, Traits};
use super::here;
use super::model::RepositoryRow;
use super::namespace::ROWS;
use super::parts::last_page;
use super::sorts::Sort;
use crate::api::Answer;
use crate::api::ui::blocking;
use crate::api::v1::problem::Problem;
use crate::index::search::{FOUND_MAX, Query};
use crate::registry::browse::repositories::{NewestTag, ROWS_MAX, RepositoriesQuery};

/// Longest text that is looked for, in bytes.
const TEXT_BYTES_MAX: usize = 512;
/// Manifests that the start of a digest finds.
const THINGS_MAX: u32 = 20;
/// Repositories among which those of one kind or platform are looked for, and those that words found are put into
/// another order.
const WIDE: usize = 500;
/// Repositories that are read otherwise: whose facets are shown.
const NARROW: usize = 100;
const _: () = assert!(FOUND_MAX <= WIDE && WIDE <= ROWS_MAX as usize);
const _: () = assert!(NARROW.is_multiple_of(ROWS as usize));

/// A thing that was named, not a repository.
#[derive(Debug)]
struct Thing {
    label: String,
    path: String,
}

/// What is asked for, beside its text.
#[derive(Clone, Debug)]
struct Asked {
    /// Those that are offered, the chosen one among them.
    sorts: Vec<Sort>,
    sort: Sort,
    /// Whether words rank what is found.
    is_ranked: bool,
    chosen: Chosen,
    /// From 1.
    page: usize,
}

impl Asked {
    fn of(visit: &Visit, text: &str) -> Self {
        let is_ranked = !text.is_empty() && visit.visitor.index().is_some();
        let sorts: Vec<Sort> = Sort::offered(is_ranked, visit.shell.has_accounts).collect();
        let word = visit.query.get("sort");
        let sort = sorts.iter().find(|sort| Some(sort.word()) == word);
        Self {
            sort: *sort.unwrap_or(&sorts[0]),
            sorts,
            is_ranked,
            chosen: Chosen::of(&visit.query),
            page: usize::try_from(visit.query.page()).unwrap_or(usize::MAX),
        }
    }

    /// Which part of the list is read: that around the page, or, to sort it out or into another order than it was
    /// found in, the first ones.
    fn part(&self) -> Part {
        let before = (self.page - 1).saturating_mul(ROWS as usize);
        if self.chosen.is_any() || self.is_ranked && self.sort != Sort::Best {
            return Part {
                page: 1,
                rows: WIDE,
                before,
            };
        }
        Part {
            page: before / NARROW + 1,
            rows: NARROW,
            before: before % NARROW,
        }
    }
}

/// A part of a list.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// From 1.
    page: usize,
    rows: usize,
    /// Rows of these before those of the page that is shown.
    before: usize,
}

/// A way of sorting that can be chosen.
#[derive(Debug)]
struct Choice {
    key: &'static str,
    query: String,
    is_here: bool,
}

#[derive(Template)]
#[template(path = "browse/search.html")]
struct Results<'a> {
    shell: &'a Shell,
    text: String,
    things: Vec<Thing>,
    rows: Vec<RepositoryRow>,
    sorts: Vec<Choice>,
    facets: Vec<Facet>,
    total: u64,
    is_capped: bool,
    page: u64,
    last: u64,
    query: String,
}

/// A part of what was found, before it is sorted out by what it is.
#[derive(Default)]
struct Found {
    rows: Vec<RepositoryRow>,
    /// Rows of these before those of the page that is shown.
    before: usize,
    /// How many there are in all.
    total: u64,
    is_capped: bool,
}

pub(in crate::api::ui) async fn page(visit: Visit) -> Result<Answer, Problem> {
    visit.only_looks()?;
    let text = visit.query.get("q").unwrap_or_default();
    let text = text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned();
    let (one, words) = (visit.clone(), text.clone());
    let aimed = blocking(move || aimed(&one, &words)).await?;
    let things = match aimed {
        Aimed::Page(path) => return Ok(visit.go(&path)),
        Aimed::Things(things) => things,
    };
    let asked = Asked::of(&visit, &text);
    let ranked = if asked.is_ranked {
        Some(by_words(&visit, &text, asked.part()).await?)
    } else {
        None
    };
    blocking(move || {
        let found = match ranked {
            Some(ranked) => named(&visit, &asked, &ranked)?,
            None => by_name(&visit, &text, &asked)?,
        };
        show(&visit, text, things, &asked, found)
    })
    .await
}

/// What a text names.
enum Aimed {
    /// One thing, which is there.
    Page(String),
    /// Some, or none.
    Things(Vec<Thing>),
}

fn aimed(visit: &Visit, text: &str) -> Result<Aimed, Problem> {
    let name_and = |mut name: RepositoryName, reference: Option<Reference>| {
        visit.call.settings.name(&mut name);
        let Ok(pull) = visit.visitor.pull(&name) else {
            return Ok(None);
        };
        let path = match reference {
            None => {
                let there = visit.registry().repository_overview(&pull)?;
                there.map(|_| format!("/ui/r/{name}"))
            }
            Some(reference) => {
                let there = visit.registry().image(&pull, &reference)?;
                let kind = if matches!(reference, Reference::Tag(_)) {
                    't'
                } else {
                    'm'
                };
                there.map(|_| format!("/ui/r/{name}/-/{kind}/{}", reference.as_str()))
            }
        };
        Ok::<_, Problem>(path)
    };
    let path = match aim(text, &visit.shell.host) {
        Aim::Repository(name) => name_and(name, None)?,
        Aim::Tag(name, tag) => name_and(name, Some(Reference::Tag(tag)))?,
        Aim::Manifest(name, digest) => name_and(name, Some(Reference::Digest(digest)))?,
        Aim::Digest(start) => return things(visit, &start),
        Aim::Words => None,
    };
    Ok(path.map_or(Aimed::Things(Vec::new()), Aimed::Page))
}

/// Manifests whose digest begins so: the one if there is only one, else a list.
fn things(visit: &Visit, start: &str) -> Result<Aimed, Problem> {
    let Some(hex) = start.strip_prefix("sha256:").filter(|hex| 6 <= hex.len()) else {
        return Ok(Aimed::Things(Vec::new()));
    };
    let viewer = visit.visitor.viewer()?;
    let found = visit
        .registry()
        .by_digest_prefix(&viewer, hex, THINGS_MAX)?;
    let path = |(name, digest): &(RepositoryName, layerhouse_oci::digest::Digest)| {
        format!("/ui/r/{name}/-/m/{digest}")
    };
    if let [one] = found.as_slice() {
        return Ok(Aimed::Page(path(one)));
    }
    let thing = |one: &(RepositoryName, layerhouse_oci::digest::Digest)| Thing {
        label: format!("{}@{}", one.0, visit.shell.short(&one.1)),
        path: path(one),
    };
    Ok(Aimed::Things(found.iter().map(thing).collect()))
}

/// What words found, the best first.
struct Ranked {
    names: Vec<RepositoryName>,
    total: usize,
}

/// With the index: by name, description, README and labels.
async fn by_words(visit: &Visit, text: &str, part: Part) -> Result<Ranked, Problem> {
    let Some(index) = visit.visitor.index() else {
        return Err(Problem::not_found());
    };
    let query = Query {
        text: text.to_owned(),
        page: part.page,
        size: part.rows,
        ..Query::default()
    };
    let found = index.search(visit.visitor.viewer()?, query).await?;
    let names = found.hits.iter().filter_map(|hit| hit.name.parse().ok());
    Ok(Ranked {
        names: names.collect(),
        total: found.count,
    })
}

/// The repositories that words found, in the order that is asked for.
fn named(visit: &Visit, asked: &Asked, ranked: &Ranked) -> Result<Found, Problem> {
    let viewer = visit.visitor.viewer()?;
    let rows = visit.registry().repositories_named(&ranked.names)?;
    let rows = rows.into_iter();
    let rows = rows.map(|row| here::repository_row(visit, &viewer, row));
    let mut rows: Vec<RepositoryRow> = rows.collect();
    asked.sort.sort(&mut rows);
    let mut before = asked.part().before;
    if !asked.chosen.is_any() && asked.sort != Sort::Best {
        // Of what is not around the page, nothing more need be known.
        rows.drain(..(before - before % NARROW).min(rows.len()));
        rows.truncate(NARROW);
        before %= NARROW;
    }
    Ok(Found {
        rows,
        before,
        total: ranked.total as u64,
        is_capped: FOUND_MAX <= ranked.total,
    })
}

/// Without the index, and without words: by a part of the name.
fn by_name(visit: &Visit, text: &str, asked: &Asked) -> Result<Found, Problem> {
    let viewer = visit.visitor.viewer()?;
    let part = asked.part();
    let (sort, order) = asked.sort.in_rows();
    let query = RepositoriesQuery {
        within: None,
        filter: Some(text),
        sort,
        order,
        page: u32::try_from(part.page).unwrap_or(u32::MAX),
        rows: u32::try_from(part.rows).unwrap_or(u32::MAX),
    };
    let page = visit.registry().repositories_page(&viewer, &query)?;
    let rows = page.rows.into_iter();
    let rows = rows.map(|row| here::repository_row(visit, &viewer, row));
    Ok(Found {
        rows: rows.collect(),
        before: part.before,
        total: page.total,
        is_capped: page.is_total_capped,
    })
}

fn show(
    visit: &Visit,
    text: String,
    things: Vec<Thing>,
    asked: &Asked,
    found: Found,
) -> Result<Answer, Problem> {
    let names = found.rows.iter().filter_map(|row| row.name.parse().ok());
    let names: Vec<RepositoryName> = names.collect();
    let newest = visit.registry().facts_of(&names)?;
    let newest: BTreeMap<String, NewestTag> = newest
        .into_iter()
        .map(|(name, newest)| (name.to_string(), newest))
        .collect();
    let traits = |row: &RepositoryRow| Traits::of(newest.get(&row.name));
    // Of a part of the list, nobody can say how many there are.
    let is_all = found.total <= found.rows.len() as u64;
    let all = found.rows.iter().map(traits);
    let facets = facets::of(visit, &asked.chosen, all, is_all);
    let mut rows = found.rows;
    let (total, is_capped) = if asked.chosen.is_any() {
        rows.retain(|row| asked.chosen.fits(&traits(row)));
        (rows.len() as u64, !is_all)
    } else {
        (found.total, found.is_capped)
    };
    rows.drain(..found.before.min(rows.len()));
    rows.truncate(ROWS as usize);
    let choice = |sort: &Sort| Choice {
        key: sort.key(),
        query: visit.query.with("sort", Some(sort.word())),
        is_here: *sort == asked.sort,
    };
    visit.show(&Results {
        shell: &visit.shell,
        text,
        things,
        rows,
        sorts: asked.sorts.iter().map(choice).collect(),
        facets,
        total,
        is_capped,
        page: u64::from(visit.query.page()),
        last: last_page(total, ROWS),
        query: visit.query.with("page", None),
    })
}
