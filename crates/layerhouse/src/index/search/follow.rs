//! Follows what was pushed, a round at a time: new repositories, moved tags, whatever else is to be indexed
//! again. How far it came is in the database, so a crash, or years without an index, make it go on there.

use std::collections::{BTreeMap, BTreeSet};

use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;

use super::document;
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::index::Index;
use crate::index::pages::Labels;
use crate::meta::database::{Database, Durability};
use crate::meta::repositories::RepositoryId;
use crate::meta::search::{self, Progress};
use crate::meta::{counts, tags};

/// Repositories of one round: a transaction of some 10 ms, for pushes wait behind it.
const REPOSITORIES_MAX: usize = 32;
/// Moves of tags of one round.
const MOVES_MAX: usize = 1_000;

/// What is to be done next.
#[derive(Debug)]
pub(crate) struct Round {
    from: Progress,
    to: Progress,
    pushes: BTreeMap<RepositoryId, Pushes>,
    others: BTreeSet<RepositoryId>,
}

/// What was pushed to a repository.
#[derive(Debug)]
struct Pushes {
    repository: RepositoryName,
    count: i64,
    last: Timestamp,
    tag: Tag,
}

/// A repository whose image may say something else now.
#[derive(Debug)]
pub(crate) struct Pushed {
    pub(crate) repository: RepositoryName,
    /// The last that moved.
    pub(crate) tag: Tag,
    id: RepositoryId,
}

/// What an image said of itself; nothing, if it could not be asked.
pub(crate) type Said = (Pushed, Option<Labels>);

impl Round {
    /// Whose images are to be asked before it is finished.
    pub(crate) fn pushed(&self) -> Vec<Pushed> {
        let pushes = self.pushes.iter();
        pushes
            .map(|(id, pushes)| Pushed {
                repository: pushes.repository.clone(),
                tag: pushes.tag.clone(),
                id: *id,
            })
            .collect()
    }
}

impl Index {
    /// What of the pushes is to be indexed next; `None` if there is nothing.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn next_round(&self) -> Result<Option<Round>, Fault> {
        next(self.directory().database())
    }

    /// Indexes it, with what the images said.
    ///
    /// # Errors
    /// The database failed; nothing was done.
    pub(crate) async fn finish_round(&self, round: Round, said: Vec<Said>) -> Result<(), Fault> {
        finish(self.directory().database(), self.now(), round, said).await
    }
}

/// The next round; `None` if there is nothing to do.
///
/// # Errors
/// The database failed.
fn next(database: &Database) -> Result<Option<Round>, Fault> {
    database.read(|tx| {
        let from = search::progress(tx)?;
        let mut to = from;
        let mut pushes: BTreeMap<RepositoryId, Pushes> = BTreeMap::new();
        let mut others: BTreeSet<RepositoryId> = BTreeSet::new();
        for moved in tags::moved_after(tx, from.tag_event, MOVES_MAX)? {
            if !pushes.contains_key(&moved.repository) && pushes.len() == REPOSITORIES_MAX {
                break;
            }
            to.tag_event = moved.id;
            // A tag that was removed says nothing new, and leaves what was said.
            if !moved.is_removal {
                let entry = pushes.entry(moved.repository).or_insert_with(|| Pushes {
                    repository: moved.name.clone(),
                    count: 0,
                    last: moved.happened_at,
                    tag: moved.tag.clone(),
                });
                entry.count += 1;
                entry.last = moved.happened_at;
                entry.tag = moved.tag;
            }
        }
        let room = REPOSITORIES_MAX - pushes.len().min(REPOSITORIES_MAX);
        for (id, repository) in search::made_after(tx, from.repository, room)? {
            to.repository = id;
            others.insert(repository);
        }
        let room = room - others.len().min(room);
        others.extend(search::stale(tx, room)?);
        let is_idle = from == to && others.is_empty();
        Ok((!is_idle).then_some(Round {
            from,
            to,
            pushes,
            others,
        }))
    })
}

/// Does it, with what the images said.
///
/// Not flushed: what a power cut takes is done again, for how far it came goes with it.
///
/// # Errors
/// The database failed; nothing was done.
async fn finish(
    database: &Database,
    now: Timestamp,
    round: Round,
    said: Vec<Said>,
) -> Result<(), Fault> {
    let work = move |tx: &crate::meta::transaction::Transaction<'_>| {
        if search::progress(tx)? != round.from {
            return Ok(());
        }
        for (pushed, labels) in &said {
            if let Some(labels) = labels {
                crate::index::pages::say(tx, pushed.id, labels, now)?;
            }
        }
        for (repository, pushes) in &round.pushes {
            counts::add_pushes(tx, *repository, pushes.count, pushes.last)?;
        }
        let pushed: BTreeSet<_> = round.pushes.keys().copied().collect();
        for repository in pushed.union(&round.others) {
            document::refresh(tx, *repository)?;
        }
        search::set_progress(tx, round.to)
    };
    database.write_lasting(Durability::ProcessDeath, work).await
}
