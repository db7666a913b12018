//! Finding repositories: by name, description, README, labels and annotations; what the caller may not see
//! is neither found nor counted.
//!
//! What is found by its name comes before what is found by its description, and that before what only says
//! the word somewhere; then official ones, stars, pulls. [`Tier`] by tier the index is read with the popular
//! first, until there are [`FOUND_MAX`]: so the most common word costs no more than that many rows.

pub(super) mod document;
pub(crate) mod follow;
#[cfg(test)]
mod tests;
pub(crate) mod words;

use std::collections::HashSet;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use layerhouse_oci::name::RepositoryName;
use tokio::sync::Semaphore;

use self::words::Word;
use super::{Index, Sort};
use crate::auth::directory::Viewer;
use crate::auth::rights::Visibility;
use crate::fault::{Fault, FaultKind};
use crate::meta::database::Database;
use crate::meta::pages;
use crate::meta::repositories::RepositoryId;
use crate::meta::search::{self, Candidate, Class, Expression, Facts, Field, Position, Term};
use crate::meta::transaction::Transaction;

/// Repositories found at most; a search for what more have does not say how many.
pub(crate) const FOUND_MAX: usize = 500;
/// Repositories on a page of the API at most.
pub(crate) const PAGE_MAX: usize = 100;
/// Rows of the index that one search looks at and does not show: at 1 µs each, 5 ms.
const PASSED_OVER_MAX: usize = 5_000;
/// A caller with private repositories in more namespaces than these is shown them by looking at each that is
/// found; the index would look at each namespace for each row.
const NAMESPACES_MAX: usize = 32;

/// How long a search waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    /// Without a word, everything is found.
    pub(crate) text: String,
    /// From 1.
    pub(crate) page: usize,
    /// Repositories on a page, at most [`FOUND_MAX`].
    pub(crate) size: usize,
    /// Only these, or all but these.
    pub(crate) is_official: Option<bool>,
    pub(crate) stars_min: i64,
}

/// A repository found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) stars: i64,
    pub(crate) pulls: i64,
    pub(crate) is_official: bool,
    pub(crate) visibility: Visibility,
}

/// A page of what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) hits: Vec<Hit>,
    /// On all pages: at most [`FOUND_MAX`], and all of it visible to the caller.
    pub(crate) count: usize,
}

/// Where what was looked for stands, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    /// It is the name.
    Name,
    /// The name begins with it.
    Start,
    /// Parts of the name begin with it.
    Part,
    /// It is somewhere within the name.
    Within,
    /// In the description, or partly there.
    Description,
    /// In README, labels or annotations, or partly there.
    Text,
}

/// A repository found, before it is known whether it is on the page.
#[derive(Debug)]
struct Ranked {
    tier: Tier,
    /// The last part of its name is what was looked for.
    is_called_so: bool,
    position: Position,
    repository: RepositoryId,
}

impl Ranked {
    /// What sorts before comes first; exactly only once stars and pulls are known, see [`order`].
    fn group(&self) -> (Tier, bool, i64) {
        (self.tier, !self.is_called_so, self.position.group())
    }
}

/// The order of repositories that are as popular as each other, to a factor of two.
fn order(facts: &Facts) -> impl Ord + use<> {
    (-facts.stars, -facts.pulls, facts.name.clone())
}

/// Whether a repository is one of those without a namespace.
pub(crate) fn is_official(name: &str) -> bool {
    !name.contains('/')
}

/// How many search at once.
#[derive(Debug)]
pub(super) struct Searching(Semaphore);

impl Default for Searching {
    /// Half of the cores: a search is milliseconds of work, and pulls go on beside it.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self(Semaphore::new((cores / 2).max(1)))
    }
}

/// Why nothing was looked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SearchError {
    #[error("too many search at once; try again")]
    Busy,
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl SearchError {
    pub(crate) fn sort(&self) -> Sort<'_> {
        match self {
            Self::Busy => Sort::Busy(PATIENCE),
            Self::Fault(fault) => Sort::Fault(fault),
        }
    }
}

impl Index {
    /// Finds repositories that a viewer may see.
    ///
    /// # Errors
    /// As [`SearchError`] says.
    pub(crate) async fn search(
        &self,
        viewer: Arc<Viewer>,
        query: Query,
    ) -> Result<Found, SearchError> {
        let searching = Arc::clone(&self.searching);
        let turn = tokio::time::timeout(PATIENCE, searching.0.acquire());
        let _turn = turn.await.map_err(|_| SearchError::Busy)?;
        let database = self.directory().database().clone();
        let work = move || find(&database, &viewer, &query);
        let ended = tokio::task::spawn_blocking(work).await;
        let fault = |error| Fault::new(FaultKind::Other, "searching", error);
        Ok(ended.map_err(fault)??)
    }
}

/// Finds what `viewer` may see.
///
/// # Errors
/// The database failed.
pub(crate) fn find(database: &Database, viewer: &Viewer, query: &Query) -> Result<Found, Fault> {
    database.list(|tx| {
        let text = query.text.trim().to_lowercase();
        let text = text.strip_prefix("library/").unwrap_or(&text);
        let mut search = Search::new(tx, viewer, query);
        search.run(text)?;
        let mut found = search.found;
        found.sort_by_key(|ranked| (ranked.group(), ranked.position));
        found.truncate(FOUND_MAX);
        let size = query.size.min(FOUND_MAX);
        let first = query.page.saturating_sub(1).saturating_mul(size);
        let page = page_of(tx, &found, first, first.saturating_add(size))?;
        let hits = page.into_iter().map(|facts| hit(tx, viewer, facts));
        Ok(Found {
            hits: hits.collect::<Result<_, Fault>>()?,
            count: found.len(),
        })
    })
}

/// Those from `first` to before `end`, in their exact order: only of groups that the page has a part of
/// stars and pulls are looked up.
fn page_of(
    tx: &Transaction<'_>,
    found: &[Ranked],
    first: usize,
    end: usize,
) -> Result<Vec<Facts>, Fault> {
    let mut page = Vec::new();
    let mut begin = 0;
    for group in found.chunk_by(|one, next| one.group() == next.group()) {
        let behind = begin + group.len();
        if first < behind && begin < end {
            let mut facts = Vec::with_capacity(group.len());
            for ranked in group {
                facts.extend(search::facts(tx, ranked.repository)?);
            }
            facts.sort_by_cached_key(order);
            let skipped = first.saturating_sub(begin);
            page.extend(facts.into_iter().skip(skipped).take(end - begin.max(first)));
        }
        begin = behind;
    }
    Ok(page)
}

fn hit(tx: &Transaction<'_>, viewer: &Viewer, facts: Facts) -> Result<Hit, Fault> {
    Ok(Hit {
        description: pages::description(tx, facts.repository)?,
        stars: facts.stars,
        pulls: facts.pulls,
        is_official: is_official(&facts.name),
        name: facts.name,
        visibility: match facts.class {
            Class::Public => Visibility::Public,
            Class::Private => Visibility::Private,
            Class::Default => viewer.default_visibility(),
        },
    })
}

/// One search under way.
struct Search<'a> {
    tx: &'a Transaction<'a>,
    viewer: &'a Viewer,
    query: &'a Query,
    found: Vec<Ranked>,
    seen: HashSet<RepositoryId>,
    passed_over: usize,
}

/// Rows of the index that are read together, the popular first.
struct Part<'a> {
    classes: Vec<Class>,
    /// Empty for any.
    namespaces: Vec<&'a str>,
}

impl<'a> Search<'a> {
    fn new(tx: &'a Transaction<'a>, viewer: &'a Viewer, query: &'a Query) -> Self {
        Self {
            tx,
            viewer,
            query,
            found: Vec::new(),
            seen: HashSet::new(),
            passed_over: 0,
        }
    }

    fn run(&mut self, text: &str) -> Result<(), Fault> {
        if let Ok(name) = text.parse::<RepositoryName>()
            && let Some(facts) = search::facts_of_name(self.tx, name.as_str())?
            && self.viewer.sees(&facts.name, facts.class.as_str())
            && self.is_asked_for(facts.repository, &facts.name)?
        {
            self.seen.insert(facts.repository);
            self.found.push(Ranked {
                tier: Tier::Name,
                is_called_so: true,
                position: Position::FIRST,
                repository: facts.repository,
            });
        }
        let words = words::query(text);
        let parts = parts(self.viewer);
        for (tier, terms, field) in tiers(text, &words) {
            if FOUND_MAX <= self.found.len() || PASSED_OVER_MAX <= self.passed_over {
                break;
            }
            // Each part may have the best of the tier, but none behind where another had enough.
            let mut last = None;
            for part in &parts {
                let expression = Expression {
                    terms: &terms,
                    field,
                    classes: &part.classes,
                    namespaces: &part.namespaces,
                };
                let is_wanted = |name: &str| tier != Tier::Within || has_all(name, &words);
                let enough_at = self.read(tier, text, &expression, last, is_wanted)?;
                last = enough_at.or(last);
            }
        }
        Ok(())
    }

    /// Takes what an expression finds, up to `last` in the index and until there is enough of it; then, where
    /// that was.
    fn read(
        &mut self,
        tier: Tier,
        text: &str,
        expression: &Expression<'_>,
        last: Option<Position>,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Option<Position>, Fault> {
        let mut room = FOUND_MAX;
        let mut enough_at = None;
        let own = expression.classes.first().and_then(|class| class.as_str());
        search::each(self.tx, expression, usize::MAX, |candidate| {
            let Candidate {
                repository,
                name,
                position,
            } = candidate;
            if last.is_some_and(|last| last < position) {
                return Ok(ControlFlow::Break(()));
            }
            if self.seen.contains(&repository) {
                return Ok(ControlFlow::Continue(()));
            }
            if is_wanted(&name)
                && self.viewer.sees(&name, own)
                && self.is_asked_for(repository, &name)?
            {
                self.seen.insert(repository);
                self.found.push(Ranked {
                    tier,
                    is_called_so: name.rsplit('/').next() == Some(text),
                    position,
                    repository,
                });
                room -= 1;
            } else {
                self.passed_over += 1;
            }
            if room == 0 {
                enough_at = Some(position);
            }
            Ok(if room == 0 || PASSED_OVER_MAX <= self.passed_over {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        Ok(enough_at)
    }

    fn is_asked_for(&self, repository: RepositoryId, name: &str) -> Result<bool, Fault> {
        let query = self.query;
        if query
            .is_official
            .is_some_and(|wanted| wanted != is_official(name))
        {
            return Ok(false);
        }
        if query.stars_min <= 0 {
            return Ok(true);
        }
        let facts = search::facts(self.tx, repository)?;
        Ok(facts.is_some_and(|facts| query.stars_min <= facts.stars))
    }
}

/// What the caller sees for it is public, and what they see beside it.
fn parts(viewer: &Viewer) -> Vec<Part<'_>> {
    let (mut shown, mut hidden) = (vec![Class::Public], vec![Class::Private]);
    match viewer.default_visibility() {
        Visibility::Public => shown.push(Class::Default),
        Visibility::Private => hidden.push(Class::Default),
    }
    let shown = Part {
        classes: shown,
        namespaces: Vec::new(),
    };
    let hidden = match viewer.namespaces() {
        Some(namespaces) if namespaces.is_empty() => None,
        Some(namespaces) if namespaces.len() <= NAMESPACES_MAX => Some(Part {
            classes: hidden,
            namespaces,
        }),
        Some(_) | None => Some(Part {
            classes: hidden,
            namespaces: Vec::new(),
        }),
    };
    let sees_some = viewer.sees_public() || hidden.is_some();
    let shown = sees_some.then_some(shown);
    shown.into_iter().chain(hidden).collect()
}

/// What to look for and where, tier by tier.
fn tiers(text: &str, words: &[Word]) -> Vec<(Tier, Vec<Term>, Field)> {
    if text.is_empty() {
        return vec![(Tier::Description, Vec::new(), Field::Description)];
    }
    if words.is_empty() {
        return Vec::new();
    }
    let latin = words.iter().map(|word| match word {
        Word::Beginning(word) => Some(word.as_str()),
        Word::Pairs(_) => None,
    });
    let mut tiers = Vec::new();
    // Names have no others.
    if let Some(latin) = latin.collect::<Option<Vec<_>>>() {
        let start = vec![beginning(&words::joined(text))];
        tiers.push((Tier::Start, start, Field::Start));
        let parts = latin.iter().map(|word| beginning(word)).collect();
        tiers.push((Tier::Part, parts, Field::Part));
        if latin.iter().all(|word| 3 <= word.chars().count()) {
            let within = latin.iter().flat_map(|word| words::triples(word));
            tiers.push((Tier::Within, within.map(whole).collect(), Field::Triple));
        }
    }
    let mut description = Vec::new();
    let mut anywhere = Vec::new();
    for word in words {
        match word {
            Word::Beginning(word) => {
                description.push(beginning(word));
                anywhere.push(whole(words::stem(word).to_owned()));
            }
            Word::Pairs(pairs) => {
                description.extend(pairs.iter().cloned().map(whole));
                anywhere.extend(pairs.iter().cloned().map(whole));
            }
        }
    }
    tiers.push((Tier::Description, description, Field::Description));
    tiers.push((Tier::Text, anywhere, Field::Text));
    tiers
}

/// One letter begins too much to be of use, and is looked for as it is.
fn beginning(word: &str) -> Term {
    Term {
        word: word.to_owned(),
        is_beginning: 1 < word.chars().count(),
    }
}

fn whole(word: String) -> Term {
    Term {
        word,
        is_beginning: false,
    }
}

/// Whether a name has all words somewhere within.
fn has_all(name: &str, words: &[Word]) -> bool {
    words.iter().all(|word| match word {
        Word::Beginning(word) => name.contains(word.as_str()),
        Word::Pairs(_) => false,
    })
}
