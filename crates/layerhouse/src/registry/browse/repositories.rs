//! Repositories as tables, and what was pushed last; only what the viewer sees counts for anything.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::{ControlFlow, Range};

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;

use super::tags::{ImageFacts, Order};
use crate::auth::directory::Viewer;
use crate::auth::{Granted, Pull};
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta;
use crate::meta::browse::repositories::{self as rows, Among, Brief, Count, Listed};
use crate::meta::repositories::RepositoryId;
use crate::meta::transaction::Transaction;
use crate::registry::Registry;

/// What repositories are sorted by. Those that have no such thing come last in both directions, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RepositorySort {
    Name,
    /// When a tag of it was last pushed.
    Pushed,
    /// How often it was pulled: counted while the index is on.
    Pulls,
    /// How many gave it a star: while the index is on.
    Stars,
    /// The blobs that it links.
    Size,
}

/// Which repositories.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RepositoriesQuery<'a> {
    /// Of this name, and of all names below it; empty for names without a slash.
    pub(crate) within: Option<&'a str>,
    /// A part of the name, in whichever case; empty or absent for all.
    pub(crate) filter: Option<&'a str>,
    pub(crate) sort: RepositorySort,
    pub(crate) order: Order,
    /// From 1.
    pub(crate) page: u32,
    /// At most so many; more than [`ROWS_MAX`] are not given.
    pub(crate) rows: u32,
}

/// A page of repositories.
#[derive(Clone, Debug)]
pub(crate) struct RepositoriesPage {
    pub(crate) rows: Vec<RepositoryRow>,
    /// How many there are, on all pages together.
    pub(crate) total: u64,
    /// There are more than that, which cannot be turned to.
    pub(crate) is_total_capped: bool,
}

/// A repository in a list.
#[derive(Clone, Debug)]
pub(crate) struct RepositoryRow {
    pub(crate) name: RepositoryName,
    /// `public` or `private`; absent for that of the configuration.
    pub(crate) visibility: Option<String>,
    /// One line; empty if nobody described it.
    pub(crate) description: String,
    pub(crate) tags: u64,
    /// Of the blobs that it links, each once.
    pub(crate) linked_bytes: u64,
    pub(crate) last_pushed_at: Option<Timestamp>,
    pub(crate) last_pulled_at: Option<Timestamp>,
    /// Counted while the index is on.
    pub(crate) pulls: u64,
    pub(crate) stars: u64,
}

/// Repositories that have what stands before the first slash in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NamespaceRow {
    /// Empty for names without a slash.
    pub(crate) name: String,
    pub(crate) repositories: u64,
    /// What each repository links; what several do counts for each.
    pub(crate) linked_bytes: u64,
    pub(crate) last_pushed_at: Option<Timestamp>,
}

/// Namespaces by name.
#[derive(Clone, Debug)]
pub(crate) struct Namespaces {
    pub(crate) rows: Vec<NamespaceRow>,
    /// There may be more.
    pub(crate) is_capped: bool,
}

/// A tag that somebody pushed, and that still points there.
#[derive(Clone, Debug)]
pub(crate) struct RecentPush {
    pub(crate) repository: RepositoryName,
    pub(crate) tag: Tag,
    pub(crate) digest: Digest,
    pub(crate) happened_at: Timestamp,
    pub(crate) actor: String,
}

/// What the tag of a repository is that was pushed last.
#[derive(Clone, Debug)]
pub(crate) struct NewestTag {
    /// Absent until it was read.
    pub(crate) facts: Option<ImageFacts>,
    pub(crate) is_signed: bool,
}

/// Repositories of a page: at 6 µs each, 3 ms.
pub(crate) const ROWS_MAX: u32 = 500;

/// Repositories that one page looks at: 100,000 at 0.4 µs each are 40 ms; ten thousand, 4 ms. Where there are more,
/// it is those that lie first.
const LOOKED_AT_MAX: usize = 100_000;
/// Namespaces of one list.
const NAMESPACES_MAX: usize = 10_000;
/// Moves of tags that are looked at for those that a viewer sees and that are still true: at 4 µs each.
const MOVES_MAX: usize = 2_000;
/// Repositories that are asked for together.
const ASKED_MAX: usize = 1_000;

impl Registry {
    /// A page of the repositories that a viewer sees.
    ///
    /// Looks at all of them, up to 100,000.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn repositories_page(
        &self,
        viewer: &Viewer,
        query: &RepositoriesQuery<'_>,
    ) -> Result<RepositoriesPage, Fault> {
        self.database.list(|tx| {
            let mut found = Found::look(tx, viewer, query)?;
            let (total, is_total_capped) = (found.keys.len() as u64, found.is_capped);
            let rows = query.rows.clamp(1, ROWS_MAX) as usize;
            let after = rows.saturating_mul(query.page.max(1) as usize - 1);
            let ids = found.page(query.sort, query.order, after, rows);
            let listed = rows::details(tx, &ids)?;
            Ok(RepositoriesPage {
                rows: listed.into_iter().map(RepositoryRow::from).collect(),
                total,
                is_total_capped,
            })
        })
    }

    /// Repositories that a caller was found to see, in this order; those that are not there are left out, and all
    /// but the first 1,000 that are asked for.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn repositories_named(
        &self,
        repositories: &[RepositoryName],
    ) -> Result<Vec<RepositoryRow>, Fault> {
        let names = repositories.iter().take(ASKED_MAX);
        let names: Vec<&str> = names.map(RepositoryName::as_str).collect();
        self.database.list(|tx| {
            let ids = rows::named(tx, &names)?;
            let listed = rows::details(tx, &ids)?;
            Ok(listed.into_iter().map(RepositoryRow::from).collect())
        })
    }

    /// What there is of a repository; `None` if it is not there.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn repository_overview(
        &self,
        pull: &Granted<Pull>,
    ) -> Result<Option<RepositoryRow>, Fault> {
        self.database.read(|tx| {
            let Some(id) = meta::repositories::find_present(tx, pull.repository())? else {
                return Ok(None);
            };
            let listed = rows::details(tx, &[id])?.pop();
            Ok(listed.map(RepositoryRow::from))
        })
    }

    /// Whether there is any repository, whoever sees it.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn has_repositories(&self) -> Result<bool, Fault> {
        self.database.read(rows::has_any)
    }

    /// The namespaces that have repositories which a viewer sees; at most 10,000, of at most 100,000 repositories.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn namespaces(&self, viewer: &Viewer) -> Result<Namespaces, Fault> {
        self.count_namespaces(viewer, Among::All, NAMESPACES_MAX)
    }

    /// The first of them by name, without names that have no slash: reads no further than these.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn first_namespaces(
        &self,
        viewer: &Viewer,
        count: usize,
    ) -> Result<Namespaces, Fault> {
        self.count_namespaces(viewer, Among::Names, count)
    }

    /// At most `count` of them, beside the one of names without a slash if all are looked at.
    fn count_namespaces(
        &self,
        viewer: &Viewer,
        among: Among<'_>,
        count: usize,
    ) -> Result<Namespaces, Fault> {
        self.database.list(|tx| {
            let mut found: BTreeMap<String, NamespaceRow> = BTreeMap::new();
            let mut looked_at = 0;
            let mut is_capped = false;
            let is_by_name = matches!(among, Among::Names);
            let look = |brief: Brief<'_>| {
                looked_at += 1;
                let name = namespace(brief.name);
                if LOOKED_AT_MAX < looked_at {
                    is_capped = true;
                    return ControlFlow::Break(());
                }
                if is_by_name && name.is_empty() || !viewer.sees(brief.name, brief.visibility) {
                    return ControlFlow::Continue(());
                }
                if !found.contains_key(name) {
                    // By name, all of a namespace stand together.
                    if found.len() == count {
                        is_capped = true;
                        return ControlFlow::Break(());
                    }
                    let row = NamespaceRow {
                        name: name.to_owned(),
                        ..NamespaceRow::default()
                    };
                    found.insert(name.to_owned(), row);
                }
                if let Some(row) = found.get_mut(name) {
                    row.repositories += 1;
                    row.linked_bytes += u64::try_from(brief.linked_bytes).unwrap_or(0);
                    row.last_pushed_at =
                        row.last_pushed_at.max(brief.last_pushed_at.map(Timestamp));
                }
                ControlFlow::Continue(())
            };
            rows::each(tx, among, look)?;
            Ok(Namespaces {
                rows: found.into_values().collect(),
                is_capped,
            })
        })
    }

    /// What was pushed last that a viewer sees and that is still so, at most `count` and [`ROWS_MAX`]; of the last
    /// 2,000 moves of tags.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn recent_pushes(
        &self,
        viewer: &Viewer,
        count: u32,
    ) -> Result<Vec<RecentPush>, Fault> {
        let count = count.min(ROWS_MAX) as usize;
        self.database.list(|tx| {
            let mut found: Vec<RecentPush> = Vec::new();
            let mut seen: HashSet<(RepositoryName, Tag)> = HashSet::new();
            let mut looked_at = 0;
            let look = |pushed: Option<(rows::Pushed, Option<String>)>| {
                looked_at += 1;
                if let Some((pushed, visibility)) = pushed
                    && viewer.sees(pushed.repository.as_str(), visibility.as_deref())
                    && seen.insert((pushed.repository.clone(), pushed.tag.clone()))
                {
                    found.push(RecentPush {
                        repository: pushed.repository,
                        tag: pushed.tag,
                        digest: pushed.digest,
                        happened_at: pushed.happened_at,
                        actor: pushed.actor,
                    });
                }
                if found.len() < count && looked_at < MOVES_MAX {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            };
            if 0 < count {
                rows::each_pushed(tx, MOVES_MAX, look)?;
            }
            Ok(found)
        })
    }

    /// The newest tags of repositories that a caller was found to see, with what they are; those without tags are
    /// left out, and all but the first 1,000 that are asked for.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn facts_of(
        &self,
        repositories: &[RepositoryName],
    ) -> Result<Vec<(RepositoryName, NewestTag)>, Fault> {
        let names = repositories.iter().take(ASKED_MAX);
        let names: Vec<&str> = names.map(RepositoryName::as_str).collect();
        let newest = self.database.list(|tx| rows::newest(tx, &names))?;
        let shown = newest.into_iter().map(|newest| {
            let tag = NewestTag {
                facts: newest.facts.as_ref().map(ImageFacts::read),
                is_signed: newest.is_signed,
            };
            (newest.repository, tag)
        });
        Ok(shown.collect())
    }
}

/// What stands before the first slash; nothing for a name without one.
fn namespace(name: &str) -> &str {
    name.split_once('/').map_or("", |(first, _)| first)
}

/// Repositories, each with what they are sorted by.
#[derive(Default)]
struct Found {
    keys: Vec<Key>,
    /// Their names, one behind the other.
    names: String,
    is_capped: bool,
}

#[derive(Clone, Debug)]
struct Key {
    /// Absent if there is nothing to sort by, or only the name.
    number: Option<i64>,
    name: Range<usize>,
    id: RepositoryId,
}

impl Found {
    fn look(
        tx: &Transaction<'_>,
        viewer: &Viewer,
        query: &RepositoriesQuery<'_>,
    ) -> Result<Self, Fault> {
        let mut found = Self::default();
        let counted = match query.sort {
            RepositorySort::Pulls => Some(Count::Pulls),
            RepositorySort::Stars => Some(Count::Stars),
            RepositorySort::Name | RepositorySort::Pushed | RepositorySort::Size => None,
        };
        let mut counts: HashMap<RepositoryId, i64> = HashMap::new();
        if let Some(counted) = counted {
            rows::each_count(tx, counted, |id, count| {
                counts.insert(id, count);
            })?;
        }
        let filter = query.filter.unwrap_or_default().to_ascii_lowercase();
        let mut looked_at = 0;
        let look = |brief: Brief<'_>| {
            looked_at += 1;
            if LOOKED_AT_MAX < looked_at {
                found.is_capped = true;
                return ControlFlow::Break(());
            }
            // Names are in lower case.
            let is_wanted = (query.within != Some("") || !brief.name.contains('/'))
                && brief.name.contains(&filter)
                && viewer.sees(brief.name, brief.visibility);
            if is_wanted {
                let number = match query.sort {
                    RepositorySort::Name => None,
                    RepositorySort::Pushed => brief.last_pushed_at,
                    RepositorySort::Pulls | RepositorySort::Stars => counts.get(&brief.id).copied(),
                    RepositorySort::Size => Some(brief.linked_bytes),
                };
                let begin = found.names.len();
                found.names.push_str(brief.name);
                found.keys.push(Key {
                    number,
                    name: begin..found.names.len(),
                    id: brief.id,
                });
            }
            ControlFlow::Continue(())
        };
        let among = match query.within {
            None | Some("") => Among::All,
            Some(first) => Among::Below(first),
        };
        rows::each(tx, among, look)?;
        Ok(found)
    }

    /// Those of a page: by name where they are alike, and those last that have nothing to sort by.
    fn page(
        &mut self,
        sort: RepositorySort,
        order: Order,
        after: usize,
        rows: usize,
    ) -> Vec<RepositoryId> {
        let names = &self.names;
        let name = |key: &Key| &names[key.name.clone()];
        let by_name = |one: &Key, other: &Key| name(one).cmp(name(other));
        let in_order = |one: &Key, other: &Key| match (sort, order) {
            (RepositorySort::Name, Order::Ascending) => by_name(one, other),
            (RepositorySort::Name, Order::Descending) => by_name(other, one),
            (_, Order::Ascending) => (one.number.is_none(), one.number)
                .cmp(&(other.number.is_none(), other.number))
                .then_with(|| by_name(one, other)),
            (_, Order::Descending) => other
                .number
                .cmp(&one.number)
                .then_with(|| by_name(one, other)),
        };
        let end = after.saturating_add(rows).min(self.keys.len());
        if end <= after {
            return Vec::new();
        }
        // What stands behind the page need not be in order.
        if end < self.keys.len() {
            self.keys.select_nth_unstable_by(end - 1, in_order);
        }
        let first = &mut self.keys[..end];
        first.sort_unstable_by(in_order);
        first[after..].iter().map(|key| key.id).collect()
    }
}

impl From<Listed> for RepositoryRow {
    fn from(listed: Listed) -> Self {
        Self {
            name: listed.name,
            visibility: listed.visibility,
            description: listed.description,
            tags: listed.tags,
            linked_bytes: listed.linked_bytes,
            last_pushed_at: listed.last_pushed_at,
            last_pulled_at: listed.last_pulled_at,
            pulls: listed.pulls,
            stars: listed.stars,
        }
    }
}
