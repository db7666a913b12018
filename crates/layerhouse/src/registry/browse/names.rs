//! The names of tags, in memory, for who filters them: to read 300,000 of them from an index takes 70 ms, to look
//! through their text some 3 ms.
//!
//! Every tag that comes or goes is on record (`tag_events`), so what is kept is brought up to date by that record, at
//! what changed alone. Lists of small repositories are read anew each time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::fault::Fault;
use crate::meta::browse::tags::{events_after, last_event, names_text};
use crate::meta::repositories::RepositoryId;
use crate::meta::transaction::Transaction;

/// Shorter lists are read within 2 ms.
const KEPT_BYTES_MIN: usize = 64 << 10;
/// All kept lists together: two repositories of a million tags.
const KEPT_BYTES_MAX: usize = 32 << 20;
/// Changes that are made to a list; with more it is read anew.
const CHANGES_MAX: usize = 1_000;

/// What stands behind each name; no tag has it.
const END: char = '\n';

/// The names of one repository's tags, in the order of their bytes.
#[derive(Debug, Default)]
pub(super) struct List {
    /// Each with [`END`] behind it.
    text: String,
    /// The same in lower case, if it differs.
    lowered: Option<String>,
    /// The last one that is in it.
    event: i64,
}

impl List {
    fn of(text: String, event: i64) -> Self {
        let has_upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
        let lowered = has_upper.then(|| text.to_ascii_lowercase());
        Self {
            text,
            lowered,
            event,
        }
    }

    fn bytes(&self) -> usize {
        self.text.len() + self.lowered.as_ref().map_or(0, String::len)
    }

    /// Those that have `part` in them, which is in lower case and not empty: the first `count` of them, at 70 ns
    /// each.
    pub(super) fn with(&self, part: &str, count: usize) -> Vec<&str> {
        let lowered = self.lowered.as_deref().unwrap_or(&self.text);
        let mut found = Vec::new();
        let mut from = 0;
        while found.len() < count
            && let Some(at) = lowered[from..].find(part)
        {
            let at = from + at;
            let begin = lowered[from..at]
                .rfind(END)
                .map_or(from, |end| from + end + 1);
            let end = lowered[at..]
                .find(END)
                .map_or(lowered.len(), |end| at + end);
            // One that has a line's end in it fits no tag.
            if end < at + part.len() {
                break;
            }
            // Tags are ASCII, so both texts have a name in the same place.
            found.extend(self.text.get(begin..end));
            from = (end + 1).min(lowered.len());
        }
        found
    }

    /// The same with some names more or fewer: whether each is there.
    fn changed(&self, changes: &BTreeMap<String, bool>, event: i64) -> Self {
        let mut text = String::with_capacity(self.text.len() + 32 * changes.len());
        let mut rest = self.text.as_str();
        for (name, is_there) in changes {
            let at = place(rest, name);
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            let behind = rest.strip_prefix(name.as_str());
            if let Some(behind) = behind.and_then(|behind| behind.strip_prefix(END)) {
                rest = behind;
            }
            if *is_there {
                text.push_str(name);
                text.push(END);
            }
        }
        text.push_str(rest);
        Self::of(text, event)
    }
}

/// Where in the list `text` a name stands, or would.
fn place(text: &str, name: &str) -> usize {
    let text = text.as_bytes();
    let is_end = |byte: &u8| *byte == b'\n';
    // Both are where a name begins, or the end of all.
    let (mut low, mut high) = (0, text.len());
    while low < high {
        let middle = low + (high - low) / 2;
        let before = text[low..middle].iter().rposition(is_end);
        let begin = before.map_or(low, |end| low + end + 1);
        let behind = text[middle..].iter().position(is_end);
        let end = behind.map_or(high, |end| middle + end);
        if &text[begin..end] < name.as_bytes() {
            low = (end + 1).min(high);
        } else {
            high = begin;
        }
    }
    low
}

/// The lists of large repositories that were last asked for.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<Vec<(RepositoryId, Arc<List>)>>);

impl Names {
    /// The names of a repository's tags as the database has them.
    ///
    /// # Errors
    /// The database failed.
    pub(super) fn of(&self, tx: &Transaction<'_>, id: RepositoryId) -> Result<Arc<List>, Fault> {
        // Whatever comes while the names are read is in them, and changes nothing when it is looked at again.
        let event = last_event(tx, id)?;
        let kept = self.lists().iter().find(|(of, _)| *of == id).cloned();
        let list = match kept {
            Some((_, list)) if list.event == event => list,
            Some((_, list)) => Arc::new(Self::renewed(tx, id, &list)?),
            None => Arc::new(List::of(names_text(tx, id, END)?, event)),
        };
        self.keep(id, &list);
        Ok(list)
    }

    fn renewed(tx: &Transaction<'_>, id: RepositoryId, list: &List) -> Result<List, Fault> {
        let changes = events_after(tx, id, list.event, CHANGES_MAX + 1)?;
        match changes.last() {
            Some(newest) if changes.len() <= CHANGES_MAX => {
                let event = newest.event;
                let changes = changes
                    .into_iter()
                    .map(|change| (change.tag, change.is_there));
                // Of one that changed again, the last is true.
                Ok(list.changed(&changes.collect(), event))
            }
            Some(_) | None => {
                let event = last_event(tx, id)?;
                Ok(List::of(names_text(tx, id, END)?, event))
            }
        }
    }

    /// Keeps a list, and lets go of those that were not asked for longest if they are too many together.
    fn keep(&self, id: RepositoryId, list: &Arc<List>) {
        let mut lists = self.lists();
        lists.retain(|(of, _)| *of != id);
        if (KEPT_BYTES_MIN..=KEPT_BYTES_MAX).contains(&list.bytes()) {
            lists.push((id, Arc::clone(list)));
        }
        let mut bytes: usize = lists.iter().map(|(_, list)| list.bytes()).sum();
        let mut gone = 0;
        while KEPT_BYTES_MAX < bytes {
            bytes -= lists[gone].1.bytes();
            gone += 1;
        }
        lists.drain(..gone);
    }

    fn lists(&self) -> MutexGuard<'_, Vec<(RepositoryId, Arc<List>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> List {
        let text = names.iter().flat_map(|name| [*name, "\n"]).collect();
        List::of(text, 1)
    }

    #[test]
    fn names_with_a_part() {
        let list = list(&["RC-1", "aab", "latest", "v1.2.3", "v1.2.3-RC.1"]);
        let check = |part: &str, expected: &[&str]| {
            assert_eq!(list.with(part, 10), expected, "{part:?}");
            let first = &expected[..expected.len().min(1)];
            assert_eq!(list.with(part, 1), first, "{part:?}");
        };
        check("rc", &["RC-1", "v1.2.3-RC.1"]);
        check("v1.2.3", &["v1.2.3", "v1.2.3-RC.1"]);
        check("v1.2.3-", &["v1.2.3-RC.1"]);
        check("ab", &["aab"]);
        check("a", &["aab", "latest"]);
        check("st", &["latest"]);
        check("x", &[]);
        check("b\nl", &[]);
        check("1\n", &[]);
        check("é", &[]);
        assert_eq!(List::default().with("a", 1), [""; 0]);
    }

    #[test]
    fn names_come_and_go() {
        let names = |list: &List| list.text.trim_end().replace('\n', " ");
        let change = |list: &List, changes: &[(&str, bool)]| {
            let changes = changes.iter().map(|(name, is)| ((*name).to_owned(), *is));
            list.changed(&changes.collect(), 2)
        };
        let three = list(&["b", "bb", "d"]);
        let check = |changes: &[(&str, bool)], expected: &str| {
            assert_eq!(names(&change(&three, changes)), expected, "{changes:?}");
        };
        check(&[], "b bb d");
        check(&[("a", true), ("c", true), ("e", true)], "a b bb c d e");
        check(&[("b", false)], "bb d");
        check(&[("bb", false), ("ba", true)], "b ba d");
        check(&[("b", true), ("d", true), ("bbb", false)], "b bb d");
        check(&[("b", false), ("bb", false), ("d", false)], "");
        check(&[("d", false), ("dd", true)], "b bb dd");
        assert_eq!(names(&change(&List::default(), &[("a", true)])), "a");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let names = Names::default();
        let of_bytes = |bytes: usize| Arc::new(List::of("a".repeat(bytes), 1));
        let id = |number: i64| RepositoryId::for_tests(number);
        let kept = || -> Vec<i64> { names.lists().iter().map(|(id, _)| id.number()).collect() };
        names.keep(id(1), &of_bytes(KEPT_BYTES_MIN - 1));
        assert_eq!(kept(), [0; 0]);
        for number in 1..=4 {
            names.keep(id(number), &of_bytes(KEPT_BYTES_MAX / 4));
        }
        names.keep(id(1), &of_bytes(KEPT_BYTES_MAX / 4));
        assert_eq!(kept(), [2, 3, 4, 1]);
        names.keep(id(5), &of_bytes(KEPT_BYTES_MAX / 2));
        assert_eq!(kept(), [4, 1, 5]);
        names.keep(id(6), &of_bytes(KEPT_BYTES_MAX + 1));
        assert_eq!(kept(), [4, 1, 5]);
    }
}
