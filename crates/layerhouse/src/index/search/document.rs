//! What a repository is found by, and how popular it is.

use std::collections::{BTreeMap, BTreeSet};

use super::{is_official, words};
use crate::fault::Fault;
use crate::meta::counts;
use crate::meta::pages::{self, Page};
use crate::meta::repositories::RepositoryId;
use crate::meta::search::{self, DOUBLINGS_BITS, Document, Facts, Field};
use crate::meta::transaction::Transaction;

/// Keys of labels that say nothing beside what the standard says they mean.
const STANDARD_KEYS: [&str; 2] = ["org.opencontainers.", "org.label-schema."];

/// Lets a repository be found as it is now.
pub(crate) fn refresh(tx: &Transaction<'_>, repository: RepositoryId) -> Result<(), Fault> {
    match search::facts(tx, repository)? {
        Some(facts) => {
            let page = pages::find(tx, repository)?.unwrap_or_default();
            search::put(tx, &document(&facts, &page))?;
        }
        None => search::remove(tx, repository)?,
    }
    search::unmark_stale(tx, repository)
}

/// Has the job move a repository whose counts are no longer what they were, if that makes a difference.
pub(crate) fn note_counts(
    tx: &Transaction<'_>,
    repository: RepositoryId,
    before: counts::Counts,
    after: counts::Counts,
) -> Result<(), Fault> {
    let popularity = |counts: counts::Counts| popularity(false, counts.stars, counts.pulls);
    if popularity(before) != popularity(after) {
        search::mark_stale(tx, repository)?;
    }
    Ok(())
}

pub(super) fn document(facts: &Facts, page: &Page) -> Document {
    let parts = words::of(&facts.name, usize::MAX);
    let triples = parts.iter().flat_map(|part| words::triples(part));
    let triples = triples.collect();
    let mut description = words::of(&page.description, usize::MAX);
    description.extend(parts.iter().cloned());
    let mut texts = words::of(&text_of(page), words::TEXT_WORDS_MAX);
    texts.extend(description.iter().cloned());
    let texts = texts.iter().map(|word| words::stem(word).to_owned());
    let words = vec![
        (Field::Start, BTreeSet::from([words::joined(&facts.name)])),
        (Field::Triple, triples),
        (Field::Text, texts.collect()),
        (Field::Part, parts),
        (Field::Description, description),
    ];
    let namespace = facts.name.split_once('/').map_or("", |(first, _)| first);
    Document {
        repository: facts.repository,
        name: facts.name.clone(),
        namespace: namespace.to_owned(),
        popularity: popularity(is_official(&facts.name), facts.stars, facts.pulls),
        class: facts.class,
        words,
    }
}

/// README and labels; of labels that are no standard's, the keys as well.
fn text_of(page: &Page) -> String {
    let mut text = page.readme.clone();
    let labels: BTreeMap<String, String> = serde_json::from_str(&page.labels).unwrap_or_default();
    for (key, value) in &labels {
        if !STANDARD_KEYS.iter().any(|start| key.starts_with(start)) {
            text.push('\n');
            text.push_str(key);
        }
        text.push('\n');
        text.push_str(value);
    }
    text
}

/// Official ones first, then by stars, then by pulls, each to a factor of two: so a repository moves in the
/// index some dozens of times in its life, not at every pull.
fn popularity(is_official: bool, stars: i64, pulls: i64) -> u16 {
    let doublings = |count: i64| {
        let count = u64::try_from(count).unwrap_or(0);
        // At most 63.
        u16::try_from(u64::BITS - count.leading_zeros()).map_or(63, |doublings| doublings.min(63))
    };
    u16::from(is_official) << (2 * DOUBLINGS_BITS)
        | doublings(stars) << DOUBLINGS_BITS
        | doublings(pulls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::search::POPULARITY_MAX;

    #[test]
    fn popularity_goes_up_by_doublings() {
        assert_eq!(popularity(true, i64::MAX, i64::MAX), POPULARITY_MAX);
        assert_eq!(popularity(false, 0, 0), 0);
        assert_eq!(popularity(false, -1, 1), 1);
        assert_eq!(popularity(false, 0, 4), popularity(false, 0, 7));
        assert!(popularity(false, 0, 7) < popularity(false, 0, 8));
        assert!(popularity(false, 0, i64::MAX) < popularity(false, 1, 0));
        assert!(popularity(false, i64::MAX, i64::MAX) < popularity(true, 0, 0));
    }
}
