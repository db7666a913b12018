//! The tags of a repository, as a table: sorted, filtered, a page at a time.

use askama::Template;
use layerhouse_oci::name::RepositoryName;

use super::super::form::Pairs;
use super::super::shell::Shell;
use super::super::visit::Visit;
use super::here;
use super::model::TagRow;
use super::parts::{Head, Place, last_page};
use crate::api::Answer;
use crate::api::ui::blocking;
use crate::api::v1::problem::Problem;
use crate::auth::rights::Deed;
use crate::registry::browse::tags::{Order, TagSort, TagsQuery};

/// Tags on a page.
const ROWS: u32 = 50;
/// Ways of sorting, as they stand in addresses, with the order that people mean by it.
const SORTS: [(&str, &str, TagSort, Order); 5] = [
    (
        "pushed",
        "browse.sort_pushed",
        TagSort::Pushed,
        Order::Descending,
    ),
    (
        "semver",
        "browse.sort_semver",
        TagSort::Version,
        Order::Descending,
    ),
    ("name", "browse.sort_name", TagSort::Name, Order::Ascending),
    ("size", "browse.sort_size", TagSort::Size, Order::Descending),
    (
        "pulled",
        "browse.sort_pulled",
        TagSort::Pulled,
        Order::Descending,
    ),
];

/// Of the table: what it is called, what it is sorted by, whether it has numbers.
const COLUMNS: [(&str, Option<&str>, bool); 6] = [
    ("browse.tag", Some("name"), false),
    ("browse.digest", None, false),
    ("browse.platforms", None, false),
    ("browse.size", Some("size"), true),
    ("browse.pushed", Some("pushed"), false),
    ("browse.pulled", Some("pulled"), false),
];

/// A way of sorting that can be chosen.
#[derive(Debug)]
pub(in crate::api::ui) struct Sort {
    pub(in crate::api::ui) word: &'static str,
    pub(in crate::api::ui) key: &'static str,
    pub(in crate::api::ui) is_here: bool,
}

/// A column's head, which may sort.
#[derive(Debug)]
pub(in crate::api::ui) struct Column {
    pub(in crate::api::ui) key: &'static str,
    pub(in crate::api::ui) is_number: bool,
    /// Where it leads; none if nothing is sorted by it.
    pub(in crate::api::ui) query: Option<String>,
    /// `aria-sort`, if it is what is sorted by.
    pub(in crate::api::ui) direction: Option<&'static str>,
}

impl Column {
    fn arrow(&self) -> Option<&'static str> {
        self.direction.map(|direction| {
            if direction == "ascending" {
                "↑"
            } else {
                "↓"
            }
        })
    }
}

#[derive(Template)]
#[template(path = "browse/tags.html")]
pub(in crate::api::ui) struct Table<'a> {
    pub(in crate::api::ui) shell: &'a Shell,
    pub(in crate::api::ui) head: Head,
    pub(in crate::api::ui) filter: String,
    pub(in crate::api::ui) sorts: Vec<Sort>,
    pub(in crate::api::ui) columns: Vec<Column>,
    /// Whether it is known when things were pushed and pulled.
    pub(in crate::api::ui) has_times: bool,
    pub(in crate::api::ui) rows: Vec<TagRow>,
    pub(in crate::api::ui) may_delete: bool,
    pub(in crate::api::ui) total: u64,
    pub(in crate::api::ui) is_capped: bool,
    pub(in crate::api::ui) page: u64,
    pub(in crate::api::ui) last: u64,
    pub(in crate::api::ui) query: String,
}

pub(in crate::api::ui) async fn page(
    visit: Visit,
    name: RepositoryName,
) -> Result<Answer, Problem> {
    visit.only_looks()?;
    blocking(move || show(&visit, &name)).await
}

fn show(visit: &Visit, name: &RepositoryName) -> Result<Answer, Problem> {
    let pull = visit.visitor.pull(name)?;
    let asked = visit.query.get("sort");
    let chosen = SORTS.iter().find(|sort| Some(sort.0) == asked);
    let (word, _, sort, usual) = *chosen.unwrap_or(&SORTS[0]);
    let order = match visit.query.get("order") {
        Some("asc") => Order::Ascending,
        Some("desc") => Order::Descending,
        _ => usual,
    };
    let filter = visit.query.get("q").unwrap_or_default().to_owned();
    let wanted = TagsQuery {
        filter: Some(filter.as_str()),
        sort,
        order,
        page: visit.query.page(),
        rows: ROWS,
    };
    let found = visit.registry().tags_page(&pull, &wanted)?;
    let found = found.ok_or_else(Problem::not_found)?;
    let all = filter.is_empty() && !found.is_total_capped;
    let table = Table {
        head: Head::of(visit, name, Place::Tags, all.then_some(found.total))?,
        shell: &visit.shell,
        sorts: SORTS
            .iter()
            .map(|sort| Sort {
                word: sort.0,
                key: sort.1,
                is_here: sort.0 == word,
            })
            .collect(),
        columns: columns(&visit.query, &COLUMNS, word, order),
        has_times: true,
        rows: found.rows.into_iter().map(here::tag_row).collect(),
        may_delete: visit.visitor.may(name, Deed::Delete),
        total: found.total,
        is_capped: found.is_total_capped,
        page: u64::from(visit.query.page()),
        last: last_page(found.total, ROWS),
        query: visit.query.with("page", None),
        filter,
    };
    visit.show(&table)
}

/// Heads of columns: a key of the texts, the word to sort by, whether it has numbers.
pub(in crate::api::ui) fn columns(
    query: &Pairs,
    columns: &[(&'static str, Option<&str>, bool)],
    word: &str,
    order: Order,
) -> Vec<Column> {
    let column = |&(key, sort, is_number): &(&'static str, Option<&str>, bool)| {
        let is_here = sort == Some(word);
        let usual = SORTS.iter().find(|known| Some(known.0) == sort);
        let next = match (is_here, usual) {
            (true, _) => order.other(),
            (false, Some(usual)) => usual.3,
            (false, None) => order,
        };
        let next = if next == Order::Ascending {
            "asc"
        } else {
            "desc"
        };
        let link = sort.map(|sort| {
            let mut pairs = form_urlencoded::Serializer::new(String::from("?"));
            if let Some(filter) = query.get("q") {
                pairs.append_pair("q", filter);
            }
            pairs.append_pair("sort", sort).append_pair("order", next);
            pairs.finish()
        });
        let direction = match order {
            Order::Ascending => "ascending",
            Order::Descending => "descending",
        };
        Column {
            key,
            is_number,
            query: link,
            direction: is_here.then_some(direction),
        }
    };
    columns.iter().map(column).collect()
}
