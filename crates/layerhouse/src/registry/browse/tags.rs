//! Tags of a repository, as a table that is sorted, filtered and turned by pages.

use std::ops::ControlFlow;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::tag::Tag;

use super::kind::Kind;
use super::names::Names;
use crate::auth::{Granted, Pull};
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::browse::tags::{Facts, Listed, Part};
use crate::meta::repositories::RepositoryId;
use crate::meta::transaction::Transaction;
use crate::registry::Registry;

/// What tags are sorted by. Those that have no such thing (tags that are no versions, that were never pulled)
/// come last in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TagSort {
    Name,
    /// When it was pushed, or moved.
    Pushed,
    /// The version that it names.
    Version,
    /// What a pull transfers.
    Size,
    /// When what it points at was last pulled.
    Pulled,
}

/// Which way a list is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Ascending,
    Descending,
}

/// Which tags.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TagsQuery<'a> {
    /// A part of the name, in whichever case; empty or absent for all.
    pub(crate) filter: Option<&'a str>,
    pub(crate) sort: TagSort,
    pub(crate) order: Order,
    /// From 1.
    pub(crate) page: u32,
    /// At most so many; more than [`ROWS_MAX`] are not given.
    pub(crate) rows: u32,
}

/// A page of tags.
#[derive(Clone, Debug)]
pub(crate) struct TagsPage {
    pub(crate) rows: Vec<TagRow>,
    /// How many the filter found, on all pages together.
    pub(crate) total: u64,
    /// There are more than that, which cannot be turned to.
    pub(crate) is_total_capped: bool,
}

/// A tag in a list.
#[derive(Clone, Debug)]
pub(crate) struct TagRow {
    pub(crate) name: Tag,
    pub(crate) digest: Digest,
    pub(crate) moved_at: Timestamp,
    /// Who moved it to where it points; absent if that is not on record.
    pub(crate) moved_by: Option<String>,
    /// Absent until the manifest was read, some seconds after the push.
    pub(crate) facts: Option<ImageFacts>,
    /// To some minutes; absent if it never was.
    pub(crate) pulled_at: Option<Timestamp>,
    /// Other tags of the same manifest, the first 8 by name.
    pub(crate) aliases: Vec<Tag>,
    /// How many there are, up to 999.
    pub(crate) alias_count: u64,
    pub(crate) is_signed: bool,
    pub(crate) has_sbom: bool,
}

/// What is known of an image, or of whatever else a manifest is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageFacts {
    pub(crate) kind: Kind,
    /// What a pull transfers: config and layers; of an index, all its images.
    pub(crate) image_bytes: u64,
    /// Of an index, its largest image; else the same.
    pub(crate) largest_bytes: u64,
    /// `linux/amd64`, `linux/arm64/v8`; none if nothing says so.
    pub(crate) platforms: Vec<String>,
    /// When its config says that it was built.
    pub(crate) created_at: Option<Timestamp>,
}

/// Rows of a page.
pub(crate) const ROWS_MAX: u32 = 200;
/// Tags that can be turned to where the order takes a join: 5,000 at 6 µs each are 30 ms.
const JOINED_MAX: usize = 5_000;
/// Tags that a filter finds are put in order by themselves up to here, at 3 µs each; more are found by going through
/// all, or, where the order takes a join, are not turned to.
const FOUND_MAX: usize = 1_000;
/// Tags that a filter finds are counted to here, and further only for a page that is further behind.
const COUNTED_MAX: usize = 10_000;

impl Registry {
    /// A page of tags; `None` if there is no such repository.
    ///
    /// Some four statements. A filter reads the names of all tags of a large repository once, then from memory.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn tags_page(
        &self,
        pull: &Granted<Pull>,
        query: &TagsQuery<'_>,
    ) -> Result<Option<TagsPage>, Fault> {
        let filter = query.filter.filter(|filter| !filter.is_empty());
        let look = |tx: &meta::transaction::Transaction<'_>| {
            let name = pull.repository().as_str();
            let Some((id, count)) = meta::browse::tags::repository(tx, name)? else {
                return Ok(None);
            };
            let rows = query.rows.clamp(1, ROWS_MAX) as usize;
            let after = rows * (query.page.max(1) as usize - 1);
            let found = match filter {
                None => all(tx, id, count, query, (after, rows))?,
                Some(filter) => filtered(tx, &self.names, id, query, filter, (after, rows))?,
            };
            let listed = meta::browse::tags::details(tx, id, &found.names)?;
            let rows: Result<_, Fault> = listed.into_iter().map(TagRow::read).collect();
            Ok(Some(TagsPage {
                rows: rows?,
                total: found.total as u64,
                is_total_capped: found.is_total_capped,
            }))
        };
        match filter {
            None => self.database.list(look),
            // What is remembered of names only goes forward.
            Some(_) => self.database.read(look),
        }
    }

    /// The tags that were pushed last, at most `count` and [`ROWS_MAX`]; `None` if there is no such repository.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn latest_tags(
        &self,
        pull: &Granted<Pull>,
        count: u32,
    ) -> Result<Option<Vec<TagRow>>, Fault> {
        let query = TagsQuery {
            filter: None,
            sort: TagSort::Pushed,
            order: Order::Descending,
            page: 1,
            rows: count,
        };
        let page = self.tags_page(pull, &query)?;
        Ok(page.map(|page| page.rows))
    }
}

/// The names of a page.
struct Found {
    names: Vec<String>,
    total: usize,
    is_total_capped: bool,
}

/// A page of all tags.
fn all(
    tx: &Transaction<'_>,
    id: RepositoryId,
    count: usize,
    query: &TagsQuery<'_>,
    (after, rows): (usize, usize),
) -> Result<Found, Fault> {
    let (sort, order) = (query.sort.in_rows(), query.order.in_rows());
    let is_joined = matches!(query.sort, TagSort::Size | TagSort::Pulled);
    let depth = if is_joined { JOINED_MAX } else { usize::MAX };
    let total = count.min(depth);
    let rows = rows.min(total.saturating_sub(after));
    let mut found = Found {
        names: Vec::new(),
        total,
        is_total_capped: total < count,
    };
    if rows == 0 {
        return Ok(found);
    }
    let part = |after| Part { rows, after, depth };
    let is_plain = matches!(query.sort, TagSort::Name | TagSort::Pushed);
    // What is left out is stepped over, so the second half is read from its end.
    if is_plain && total / 2 < after {
        let (order, part) = (query.order.other().in_rows(), part(total - after - rows));
        found.names = meta::browse::tags::names(tx, id, sort, order, part)?;
        found.names.reverse();
    } else {
        found.names = meta::browse::tags::names(tx, id, sort, order, part(after))?;
    }
    Ok(found)
}

/// A page of the tags whose name has `filter` in it.
fn filtered(
    tx: &Transaction<'_>,
    names: &Names,
    id: RepositoryId,
    query: &TagsQuery<'_>,
    filter: &str,
    (after, rows): (usize, usize),
) -> Result<Found, Fault> {
    let filter = filter.to_ascii_lowercase();
    let end = match (query.sort, query.order) {
        (TagSort::Size | TagSort::Pulled, _) => FOUND_MAX,
        // From behind, where the end is must be known.
        (TagSort::Name, Order::Descending) => usize::MAX,
        _ => COUNTED_MAX.max(after.saturating_add(rows)),
    };
    let list = names.of(tx, id)?;
    let found = list.with(&filter, end.saturating_add(1));
    let (sort, order) = (query.sort.in_rows(), query.order.in_rows());
    let total = found.len().min(end);
    let is_total_capped = total < found.len();
    let rows = rows.min(total.saturating_sub(after));
    let names = match (query.sort, query.order) {
        (TagSort::Name, Order::Ascending) => owned(found.iter().skip(after).take(rows)),
        (TagSort::Name, Order::Descending) => owned(found.iter().rev().skip(after).take(rows)),
        _ if rows == 0 => Vec::new(),
        // There are so many that some are near.
        (TagSort::Pushed | TagSort::Version, _) if FOUND_MAX < total => {
            let total = (!is_total_capped).then_some(total);
            among_all(tx, id, query, &filter, (after, rows, total))?
        }
        _ => {
            let some = &found[..found.len().min(FOUND_MAX)];
            let names = meta::browse::tags::sorted(tx, id, some, sort, order)?;
            names.into_iter().skip(after).take(rows).collect()
        }
    };
    Ok(Found {
        names,
        total,
        is_total_capped,
    })
}

fn owned<'a>(names: impl Iterator<Item = &'a &'a str>) -> Vec<String> {
    names.map(|name| (*name).to_owned()).collect()
}

/// Those of a page that has `rows` behind `after` of `total`, if that is known, found by going through all tags in
/// their order.
fn among_all(
    tx: &Transaction<'_>,
    id: RepositoryId,
    query: &TagsQuery<'_>,
    filter: &str,
    (after, rows, total): (usize, usize, Option<usize>),
) -> Result<Vec<String>, Fault> {
    // The second half is read from its end; versions have others behind them in both directions.
    let total = total.filter(|total| query.sort == TagSort::Pushed && total / 2 < after);
    let (order, after) = match total {
        Some(total) => (query.order.other(), total - after - rows),
        None => (query.order, after),
    };
    let mut names = Vec::new();
    let mut passed = 0;
    let look = |name: &str| {
        if contains(name.as_bytes(), filter.as_bytes()) {
            if passed < after {
                passed += 1;
            } else {
                names.push(name.to_owned());
            }
        }
        if names.len() < rows {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    };
    meta::browse::tags::each_name(tx, id, query.sort.in_rows(), order.in_rows(), look)?;
    if total.is_some() {
        names.reverse();
    }
    Ok(names)
}

/// Whether `name` has `part` in it, which is in lower case; tags are ASCII.
fn contains(name: &[u8], part: &[u8]) -> bool {
    let Some((first, rest)) = part.split_first() else {
        return true;
    };
    if name.len() < part.len() {
        return false;
    }
    let last = name.len() - part.len();
    (0..=last).any(|at| {
        name[at].to_ascii_lowercase() == *first
            && name[at + 1..at + part.len()].eq_ignore_ascii_case(rest)
    })
}

impl TagSort {
    fn in_rows(self) -> meta::browse::tags::TagSort {
        use meta::browse::tags::TagSort as Rows;
        match self {
            Self::Name => Rows::Name,
            Self::Pushed => Rows::Pushed,
            Self::Version => Rows::Version,
            Self::Size => Rows::Size,
            Self::Pulled => Rows::Pulled,
        }
    }
}

impl Order {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }

    fn in_rows(self) -> meta::browse::tags::Order {
        match self {
            Self::Ascending => meta::browse::tags::Order::Ascending,
            Self::Descending => meta::browse::tags::Order::Descending,
        }
    }
}

impl ImageFacts {
    pub(super) fn read(facts: &Facts) -> Self {
        let platforms = facts.platforms.split(',').filter(|text| !text.is_empty());
        Self {
            // A later release may know more words.
            kind: Kind::from_word(&facts.kind).unwrap_or(Kind::Artifact),
            image_bytes: facts.image_bytes,
            largest_bytes: facts.largest_bytes,
            platforms: platforms.map(str::to_owned).collect(),
            created_at: facts.created_at,
        }
    }
}

impl TagRow {
    fn read(row: Listed) -> Result<Self, Fault> {
        let aliases: Result<_, Fault> = row.aliases.split_whitespace().map(stored).collect();
        Ok(Self {
            name: stored(&row.name)?,
            digest: stored(&row.digest)?,
            moved_at: row.moved_at,
            moved_by: row.moved_by,
            facts: row.facts.as_ref().map(ImageFacts::read),
            pulled_at: row.pulled_at,
            aliases: aliases?,
            alias_count: row.alias_count,
            is_signed: row.is_signed,
            has_sbom: row.has_sbom,
        })
    }
}

/// What was written from a checked type, read back into it.
pub(super) fn stored<T: std::str::FromStr>(text: &str) -> Result<T, Fault>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let read = text.parse();
    read.map_err(|error: T::Err| Fault::new(FaultKind::Damaged, "reading a stored name", error))
}

/// What a tag is sorted by among versions; empty if it names none.
pub(crate) fn version_key(tag: &Tag) -> String {
    crate::meta::browse::version::key(tag.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_names_are_found_in_any_case() {
        let check = |name: &str, part: &str, expected: bool| {
            assert_eq!(
                contains(name.as_bytes(), part.as_bytes()),
                expected,
                "{name} {part}"
            );
        };
        check("v1.2.3-RC.1", "rc", true);
        check("v1.2.3", "v1.2.3", true);
        check("v1.2.3", "v1.2.3-", false);
        check("aab", "ab", true);
        check("latest", "", true);
        check("latest", "x", false);
        check("latest", "st", true);
    }
}
