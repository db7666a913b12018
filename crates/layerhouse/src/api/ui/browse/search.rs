//! Finding repositories by words, and what somebody names: a tag, a digest, a reference as it was copied.

use std::collections::BTreeMap;

use askama::Template;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;

use super::super::shell::Shell;
use super::super::visit::Visit;
use super::aim::{Aim, aim};
use super::here;
use super::model::{RepositoryRow, kind_key};
use super::namespace::ROWS;
use super::parts::last_page;
use crate::api::Answer;
use crate::api::ui::blocking;
use crate::api::v1::problem::Problem;
use crate::auth::rights::Visibility;
use crate::index::search::{FOUND_MAX, Hit, PAGE_MAX, Query};
use crate::registry::browse::kind::Kind;
use crate::registry::browse::repositories::{NewestTag, RepositoriesQuery, RepositorySort};
use crate::registry::browse::tags::{Order, ROWS_MAX};

/// Longest text that is looked for, in bytes.
const TEXT_BYTES_MAX: usize = 512;
/// Manifests that the start of a digest finds.
const THINGS_MAX: u32 = 20;
/// Repositories among which those of one kind or platform are looked for.
const SORTED_OUT_MAX: usize = 500;
/// Values of a facet.
const VALUES_MAX: usize = 12;

/// A thing that was named, not a repository.
#[derive(Debug)]
struct Thing {
    label: String,
    path: String,
}

/// Something that what was found differs in.
#[derive(Debug)]
struct Facet {
    title: &'static str,
    values: Vec<FacetValue>,
}

#[derive(Debug)]
struct FacetValue {
    label: String,
    query: String,
    count: Option<u64>,
    is_chosen: bool,
}

#[derive(Template)]
#[template(path = "browse/search.html")]
struct Results<'a> {
    shell: &'a Shell,
    text: String,
    things: Vec<Thing>,
    rows: Vec<RepositoryRow>,
    facets: Vec<Facet>,
    total: u64,
    is_capped: bool,
    page: u64,
    last: u64,
    query: String,
}

/// What was found, before it is sorted out by what it is.
#[derive(Default)]
struct Found {
    /// Those of the page, and some around them.
    rows: Vec<RepositoryRow>,
    /// How many of these stand before those of the page.
    before: usize,
    /// How many there are in all.
    total: u64,
    is_capped: bool,
}

pub(in crate::api::ui) async fn page(visit: Visit) -> Result<Answer, Problem> {
    visit.only_looks()?;
    let text = visit.query.get("q").unwrap_or_default();
    let text = text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned();
    let (one, asked) = (visit.clone(), text.clone());
    let aimed = blocking(move || aimed(&one, &asked)).await?;
    let things = match aimed {
        Aimed::Page(path) => return Ok(visit.go(&path)),
        Aimed::Things(things) => things,
    };
    let found = match visit.visitor.index() {
        Some(_) if !text.is_empty() => by_words(&visit, &text).await?,
        _ => {
            let (visit, text) = (visit.clone(), text.clone());
            blocking(move || by_name(&visit, &text)).await?
        }
    };
    blocking(move || show(&visit, text, things, found)).await
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

/// With the index: by name, description, README and labels; the best first.
async fn by_words(visit: &Visit, text: &str) -> Result<Found, Problem> {
    let Some(index) = visit.visitor.index() else {
        return Err(Problem::not_found());
    };
    let blocks = Blocks::of(visit, PAGE_MAX);
    let mut found = Found::default();
    for block in blocks.first..=blocks.last {
        let query = Query {
            text: text.to_owned(),
            page: block,
            size: PAGE_MAX,
            ..Query::default()
        };
        let page = index.search(visit.visitor.viewer()?, query).await?;
        let row = |hit: Hit| RepositoryRow {
            name: hit.name,
            description: Some(hit.description).filter(|text| !text.is_empty()),
            pulls: u64::try_from(hit.pulls).ok(),
            stars: u64::try_from(hit.stars).ok(),
            is_private: Some(hit.visibility == Visibility::Private),
            ..RepositoryRow::default()
        };
        found.rows.extend(page.hits.into_iter().map(row));
        found.total = page.count as u64;
        found.is_capped = FOUND_MAX <= page.count;
        if page.count <= block * PAGE_MAX {
            break;
        }
    }
    found.before = blocks.before;
    Ok(found)
}

/// Without the index, and without words: by a part of the name, those pushed last first.
fn by_name(visit: &Visit, text: &str) -> Result<Found, Problem> {
    let viewer = visit.visitor.viewer()?;
    let blocks = Blocks::of(visit, ROWS_MAX as usize);
    let mut found = Found::default();
    for block in blocks.first..=blocks.last {
        let query = RepositoriesQuery {
            within: None,
            filter: Some(text),
            sort: RepositorySort::Pushed,
            order: Order::Descending,
            page: u32::try_from(block).unwrap_or(u32::MAX),
            rows: ROWS_MAX,
        };
        let page = visit.registry().repositories_page(&viewer, &query)?;
        let shown = page.rows.into_iter();
        let row = |row| here::repository_row(visit, &viewer, row);
        found.rows.extend(shown.map(row));
        found.total = page.total;
        found.is_capped = page.is_total_capped;
        if page.total <= block as u64 * u64::from(ROWS_MAX) {
            break;
        }
    }
    found.before = blocks.before;
    Ok(found)
}

/// Which parts of a list are read: that of the page, or, to sort out by what images are, the first ones.
struct Blocks {
    /// From 1.
    first: usize,
    last: usize,
    /// Rows of these before those of the page.
    before: usize,
}

impl Blocks {
    fn of(visit: &Visit, rows: usize) -> Self {
        let page = usize::try_from(visit.query.page()).unwrap_or(usize::MAX) - 1;
        let before = page.saturating_mul(ROWS as usize);
        if is_sorted_out(visit) {
            return Self {
                first: 1,
                last: SORTED_OUT_MAX.div_ceil(rows),
                before,
            };
        }
        let block = before / rows + 1;
        Self {
            first: block,
            last: block,
            before: before % rows,
        }
    }
}

/// Whether something was chosen that only the images tell.
fn is_sorted_out(visit: &Visit) -> bool {
    let names = ["os", "arch", "type"];
    names.iter().any(|name| visit.query.get(name).is_some())
}

fn show(visit: &Visit, text: String, things: Vec<Thing>, found: Found) -> Result<Answer, Problem> {
    let names = found.rows.iter().filter_map(|row| row.name.parse().ok());
    let names: Vec<RepositoryName> = names.collect();
    let newest = visit.registry().facts_of(&names)?;
    let newest: BTreeMap<String, NewestTag> = newest
        .into_iter()
        .map(|(name, newest)| (name.to_string(), newest))
        .collect();
    let traits = |row: &RepositoryRow| Traits::of(newest.get(&row.name));
    let chosen = Chosen {
        os: visit.query.get("os"),
        arch: visit.query.get("arch"),
        kind: visit.query.get("type").and_then(Kind::from_word),
    };
    // Of a part of the list, nobody can say how many there are.
    let is_all = found.total <= found.rows.len() as u64;
    let facets = facets(visit, &chosen, found.rows.iter().map(traits), is_all);
    let fits = |row: &RepositoryRow| chosen.fits(&traits(row));
    let mut rows: Vec<RepositoryRow> = found.rows.into_iter().filter(fits).collect();
    let (total, is_capped) = if is_sorted_out(visit) {
        (rows.len() as u64, !is_all)
    } else {
        (found.total, found.is_capped)
    };
    rows.drain(..found.before.min(rows.len()));
    rows.truncate(ROWS as usize);
    for row in &mut rows {
        row.pushed_at = row
            .pushed_at
            .or_else(|| newest.get(&row.name).map(|newest| newest.moved_at));
    }
    visit.show(&Results {
        shell: &visit.shell,
        text,
        things,
        rows,
        facets,
        total,
        is_capped,
        page: u64::from(visit.query.page()),
        last: last_page(total, ROWS),
        query: visit.query.with("page", None),
    })
}

/// What a repository's newest image is for.
#[derive(Default)]
struct Traits {
    kind: Option<Kind>,
    /// Operating systems and architectures, each once.
    os: Vec<String>,
    arch: Vec<String>,
}

impl Traits {
    fn of(newest: Option<&NewestTag>) -> Self {
        let Some(facts) = newest.and_then(|newest| newest.facts.as_ref()) else {
            return Self::default();
        };
        let mut traits = Self {
            kind: Some(facts.kind),
            ..Self::default()
        };
        for platform in &facts.platforms {
            let mut parts = platform.split('/');
            let add = |list: &mut Vec<String>, part: Option<&str>| {
                let part =
                    part.filter(|part| !part.is_empty() && !list.iter().any(|one| one == part));
                list.extend(part.map(str::to_owned));
            };
            add(&mut traits.os, parts.next());
            add(&mut traits.arch, parts.next());
        }
        traits
    }
}

/// What was chosen.
struct Chosen<'a> {
    os: Option<&'a str>,
    arch: Option<&'a str>,
    kind: Option<Kind>,
}

impl Chosen<'_> {
    fn fits(&self, traits: &Traits) -> bool {
        let has = |chosen: Option<&str>, list: &[String]| {
            chosen.is_none_or(|chosen| list.iter().any(|one| one == chosen))
        };
        has(self.os, &traits.os)
            && has(self.arch, &traits.arch)
            && self.kind.is_none_or(|kind| traits.kind == Some(kind))
    }
}

/// What can be chosen, each with how many of all that was found it leaves, were it chosen alone.
fn facets(
    visit: &Visit,
    chosen: &Chosen<'_>,
    all: impl Iterator<Item = Traits>,
    is_all: bool,
) -> Vec<Facet> {
    let (mut os, mut arch, mut kinds) = (Counts::new(), Counts::new(), Counts::new());
    for traits in all {
        let count = |counts: &mut Counts, values: &[String]| {
            for value in values {
                *counts.entry(value.clone()).or_default() += 1;
            }
        };
        count(&mut os, &traits.os);
        count(&mut arch, &traits.arch);
        if let Some(kind) = traits.kind {
            *kinds.entry(kind.as_str().to_owned()).or_default() += 1;
        }
    }
    let shell = &visit.shell;
    let label = |word: &str| match Kind::from_word(word) {
        Some(kind) => shell.t(kind_key(kind)).to_owned(),
        None => word.to_owned(),
    };
    let facet = |title: &'static str, name: &str, counts: Counts, chosen: Option<&str>| {
        let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let is_known = |chosen: &str| counts.iter().any(|(value, _)| value == chosen);
        let lost = chosen
            .filter(|chosen| !is_known(chosen))
            .map(|chosen| (chosen.to_owned(), 0));
        let values = counts.iter().take(VALUES_MAX).cloned().chain(lost);
        let value = |(word, count): (String, u64)| {
            let is_chosen = chosen == Some(word.as_str());
            FacetValue {
                label: if name == "type" {
                    label(&word)
                } else {
                    word.clone()
                },
                query: visit
                    .query
                    .with(name, (!is_chosen).then_some(word.as_str())),
                count: is_all.then_some(count),
                is_chosen,
            }
        };
        Facet {
            title,
            values: values.map(value).collect(),
        }
    };
    let kind = chosen.kind.map(Kind::as_str);
    let facets = [
        facet(shell.t("browse.kind"), "type", kinds, kind),
        facet(shell.t("browse.os"), "os", os, chosen.os),
        facet(shell.t("browse.arch"), "arch", arch, chosen.arch),
    ];
    // One value that all have does not tell anything apart, unless it was chosen.
    let tells =
        |facet: &Facet| 1 < facet.values.len() || facet.values.iter().any(|value| value.is_chosen);
    facets.into_iter().filter(tells).collect()
}

type Counts = BTreeMap<String, u64>;
