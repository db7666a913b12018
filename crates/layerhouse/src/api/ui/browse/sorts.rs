//! What lists of repositories can be sorted by.

use std::cmp::Reverse;

use super::model::RepositoryRow;
use crate::registry::browse::repositories::RepositorySort;
use crate::registry::browse::tags::Order;

/// What what was found can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// As words rank it.
    Best,
    Pushed,
    Name,
    Pulls,
    Stars,
    Size,
}

impl Sort {
    const ALL: [Self; 6] = [
        Self::Best,
        Self::Pushed,
        Self::Name,
        Self::Pulls,
        Self::Stars,
        Self::Size,
    ];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Pushed => "pushed",
            Self::Name => "name",
            Self::Pulls => "pulls",
            Self::Stars => "stars",
            Self::Size => "size",
        }
    }

    /// Of the texts.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Best => "browse.sort_best",
            Self::Pushed => "browse.sort_pushed",
            Self::Name => "browse.sort_name",
            Self::Pulls => "browse.sort_pulls",
            Self::Stars => "browse.sort_stars",
            Self::Size => "browse.sort_size",
        }
    }

    /// What can be chosen, the first of which is chosen where nothing is: only the index ranks, and only accounts
    /// have counts.
    pub(super) fn offered(is_ranked: bool, has_accounts: bool) -> impl Iterator<Item = Self> {
        let is_offered = move |sort: &Self| match sort {
            Self::Best => is_ranked,
            Self::Pulls | Self::Stars => has_accounts,
            Self::Pushed | Self::Name | Self::Size => true,
        };
        Self::ALL.into_iter().filter(is_offered)
    }

    /// How the database sorts all there are; what only words have an order for, by the last push.
    pub(super) fn in_rows(self) -> (RepositorySort, Order) {
        match self {
            Self::Best | Self::Pushed => (RepositorySort::Pushed, Order::Descending),
            Self::Name => (RepositorySort::Name, Order::Ascending),
            Self::Pulls => (RepositorySort::Pulls, Order::Descending),
            Self::Stars => (RepositorySort::Stars, Order::Descending),
            Self::Size => (RepositorySort::Size, Order::Descending),
        }
    }

    /// Sorts what words found, the best of which are first: by name what is alike, last what has no such thing.
    pub(super) fn sort(self, rows: &mut [RepositoryRow]) {
        let name = |row: &RepositoryRow| row.name.clone();
        match self {
            Self::Best => {}
            Self::Pushed => rows.sort_by_cached_key(|row| (Reverse(row.pushed_at), name(row))),
            Self::Name => rows.sort_by_cached_key(name),
            Self::Pulls => rows.sort_by_cached_key(|row| (Reverse(row.pulls), name(row))),
            Self::Stars => rows.sort_by_cached_key(|row| (Reverse(row.stars), name(row))),
            Self::Size => rows.sort_by_cached_key(|row| (Reverse(row.size_bytes), name(row))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn sorts_that_are_offered() {
        let check = |is_ranked: bool, has_accounts: bool, expected: &str| {
            let words: Vec<&str> = Sort::offered(is_ranked, has_accounts)
                .map(Sort::word)
                .collect();
            assert_eq!(words.join(" "), expected);
        };
        check(true, true, "best pushed name pulls stars size");
        check(false, true, "pushed name pulls stars size");
        check(false, false, "pushed name size");
    }

    #[test]
    fn what_words_found_is_sorted() {
        let row = |name: &str, pushed: Option<i64>, number: u64| RepositoryRow {
            name: name.to_owned(),
            pushed_at: pushed.map(Timestamp),
            pulls: Some(number),
            stars: Some(10 - number),
            size_bytes: Some(number / 2),
            ..RepositoryRow::default()
        };
        let check = |sort: Sort, expected: &str| {
            let mut rows = [
                row("b", None, 3),
                row("c", Some(1), 1),
                row("a", Some(2), 2),
            ];
            sort.sort(&mut rows);
            let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
            assert_eq!(names.join(" "), expected, "{sort:?}");
        };
        check(Sort::Best, "b c a");
        check(Sort::Pushed, "a c b");
        check(Sort::Name, "a b c");
        check(Sort::Pulls, "b a c");
        check(Sort::Stars, "c a b");
        check(Sort::Size, "a b c");
    }
}
