//! What retention lets go, repository by repository, a page at a time: for who wants to see it, and for who
//! carries it out.

use std::sync::Arc;
use std::time::Duration;

use layerhouse_oci::name::RepositoryName;

use super::decide::{Decision, Moment, Rows, decide};
use super::guard::fixed_by;
use crate::clock::Timestamp;
use crate::config::meaning::glob::Glob;
use crate::config::meaning::policies::Policies;
use crate::fault::Fault;
use crate::meta;
use crate::meta::repositories::RepositoryId;
use crate::meta::transaction::Transaction;
use crate::registry::{Registry, blocking};

/// Other processes write down what was pulled each minute, and one that cannot for longer is not believed to be alive.
const UNHEARD: Duration = Duration::from_mins(3);
/// Names of repositories that are looked at together.
const NAMES_TOGETHER: usize = 512;
/// Tags, manifests and images of indexes of one repository, at some 200 bytes each. What has more is left
/// alone: to decide of a part would be to guess.
const ROWS_MAX: usize = 1_000_000;

/// What goes, at most so much as was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct RetentionPlan {
    pub(crate) repositories: Vec<RepositoryPlan>,
    /// Where to go on; absent at the end.
    pub(crate) next: Option<Position>,
}

/// What goes of a repository, in the order in which it does.
#[derive(Clone, Debug)]
pub(crate) struct RepositoryPlan {
    pub(crate) repository: RepositoryName,
    pub(crate) id: RepositoryId,
    pub(crate) decisions: Vec<Decision>,
}

/// A place in the plan: behind so many decisions of this repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) repository: RepositoryName,
    /// `None` for all of them.
    pub(crate) decisions: Option<usize>,
}

impl RetentionPlan {
    /// How many decisions it has.
    pub(crate) fn len(&self) -> usize {
        let repositories = self.repositories.iter();
        repositories
            .map(|repository| repository.decisions.len())
            .sum()
    }
}

/// Which part of the plan is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Of repositories that fit; absent, of all.
    pub(crate) repositories: Option<Glob>,
    pub(crate) after: Option<Position>,
    /// Decisions, at least 1.
    pub(crate) limit: usize,
}

impl Registry {
    /// Decides what retention lets go at `now`. Nothing is changed.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn plan_retention(
        self: &Arc<Self>,
        now: Timestamp,
        wanted: Wanted,
    ) -> Result<RetentionPlan, Fault> {
        let policies = self.policies.load_full();
        if !policies.have_retention() {
            return Ok(RetentionPlan::default());
        }
        let registry = Arc::clone(self);
        blocking(move || registry.plan_blocking(&policies, now, &wanted)).await?
    }

    fn plan_blocking(
        &self,
        policies: &Policies,
        now: Timestamp,
        wanted: &Wanted,
    ) -> Result<RetentionPlan, Fault> {
        let mut plan = RetentionPlan::default();
        let mut after = None;
        // The one that the last page ended in is looked at again.
        if let Some(Position {
            repository,
            decisions,
        }) = &wanted.after
        {
            if let Some(skipped) = decisions
                && let Some(id) = self.find_live(repository)?
                && self.plan_one(policies, (repository, id), now, *skipped, wanted, &mut plan)?
            {
                return Ok(plan);
            }
            after = Some(repository.clone());
        }
        loop {
            let names = self
                .database
                .read(|tx| meta::retention::repositories(tx, after.as_ref(), NAMES_TOGETHER))?;
            let Some((last, _)) = names.last() else {
                return Ok(plan);
            };
            after = Some(last.clone());
            for (repository, id) in &names {
                if self.plan_one(policies, (repository, *id), now, 0, wanted, &mut plan)? {
                    return Ok(plan);
                }
            }
        }
    }

    fn find_live(&self, repository: &RepositoryName) -> Result<Option<RepositoryId>, Fault> {
        self.database.read(|tx| {
            let Some(id) = meta::repositories::find(tx, repository)? else {
                return Ok(None);
            };
            let is_deleted = meta::repositories::deleted_at(tx, id)?.is_some();
            Ok((!is_deleted).then_some(id))
        })
    }

    /// Adds what goes of a repository behind the first decisions; whether the page is full with that.
    fn plan_one(
        &self,
        policies: &Policies,
        (repository, id): (&RepositoryName, RepositoryId),
        now: Timestamp,
        skipped: usize,
        wanted: &Wanted,
        plan: &mut RetentionPlan,
    ) -> Result<bool, Fault> {
        let patterns = wanted.repositories.as_ref();
        let is_wanted = patterns.is_none_or(|pattern| pattern.fits(repository.as_str()));
        let Some(policy) = policies.retention(repository).filter(|_| is_wanted) else {
            return Ok(false);
        };
        let (rows, known_since) = self.database.read(|tx| {
            let known_since = meta::retention::pulls_known_since(tx, id)?;
            Ok::<_, Fault>((read(tx, id)?, known_since))
        })?;
        let Some(rows) = rows else {
            tracing::warn!(%repository, rows_max = ROWS_MAX, "a repository is too large for retention");
            return Ok(false);
        };
        let moment = Moment {
            now,
            pulls_known_since: known_since.unwrap_or(now),
            unheard: if self.is_shared() {
                UNHEARD
            } else {
                Duration::ZERO
            },
        };
        let is_fixed = |tag: &_| fixed_by(policies, repository, tag).is_some();
        let decisions = decide(&rows, policy, is_fixed, moment);
        let room = wanted.limit.saturating_sub(plan.len());
        let count = decisions.len().saturating_sub(skipped);
        let taken: Vec<_> = decisions.into_iter().skip(skipped).take(room).collect();
        let is_whole = taken.len() == count;
        let position = skipped + taken.len();
        if !taken.is_empty() {
            plan.repositories.push(RepositoryPlan {
                repository: repository.clone(),
                id,
                decisions: taken,
            });
        }
        let is_full = wanted.limit <= plan.len();
        if is_full || !is_whole {
            plan.next = Some(Position {
                repository: repository.clone(),
                decisions: (!is_whole).then_some(position),
            });
        }
        Ok(plan.next.is_some())
    }
}

/// All that retention looks at; `None`, if that is too much. Tags first: what they point at is there then.
fn read(tx: &Transaction<'_>, id: RepositoryId) -> Result<Option<Rows>, Fault> {
    let limit = ROWS_MAX + 1;
    let rows = Rows {
        tags: meta::retention::tags(tx, id, limit)?,
        manifests: meta::retention::manifests(tx, id, limit)?,
        children: meta::retention::children(tx, id, limit)?,
    };
    let is_small = [rows.tags.len(), rows.manifests.len(), rows.children.len()]
        .into_iter()
        .all(|count| count <= ROWS_MAX);
    Ok(is_small.then_some(rows))
}
