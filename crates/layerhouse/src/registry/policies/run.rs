//! Carries out what retention decided: each decision once more, in the transaction that removes. What changed in
//! between stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;
use tokio::sync::Mutex as AsyncMutex;

use super::decide::{Decision, Reason};
use super::guard::fixed_by;
use super::plan::{RepositoryPlan, RetentionPlan, Wanted};
use crate::clock::Timestamp;
use crate::config::meaning::glob::Glob;
use crate::config::meaning::policies::{Policies, owner};
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::database::Durability;
use crate::meta::deleted::{Deed, Why};
use crate::meta::repositories::RepositoryId;
use crate::meta::retention::{ManifestRow, TagRow};
use crate::meta::transaction::Transaction;
use crate::registry::{Registry, deletion};

/// Who removes, in the history of tags.
const ACTOR: &str = "policy";
/// Carried out in one transaction, at some 100 µs each.
const DONE_TOGETHER: usize = 32;
/// Decided together: memory for a plan, not for the whole registry.
const PLANNED_TOGETHER: usize = 4_096;
/// Longest pause between two transactions.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// What retention remembers.
#[derive(Debug, Default)]
pub(crate) struct Retention {
    /// One run at a time.
    running: Arc<AsyncMutex<()>>,
    tags: AtomicU64,
    manifests: AtomicU64,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removed {
    /// Tags, those that went with a manifest too.
    pub(crate) tags: u64,
    pub(crate) manifests: u64,
    /// Decisions that did not hold any more.
    pub(crate) skipped: u64,
}

/// Why nothing was removed, or not all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RetainError {
    #[error("nothing is removed: {bar}")]
    Barred { bar: &'static str },
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Removed {
    fn add(&mut self, more: Self) {
        self.tags += more.tags;
        self.manifests += more.manifests;
        self.skipped += more.skipped;
    }
}

impl Registry {
    /// What retention removed since the start: tags and manifests.
    pub(crate) fn retention_totals(&self) -> (u64, u64) {
        let retention = &self.retention;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (count(&retention.tags), count(&retention.manifests))
    }

    /// Whether a policy lets anything go.
    pub(crate) fn retains(&self) -> bool {
        self.policies.load().have_retention()
    }

    /// Between two looks for what retention lets go.
    pub(crate) fn retention_interval(&self) -> Duration {
        self.policies.load().interval
    }

    /// Removes all that retention lets go now, of repositories that fit; one run at a time. `is_over` is asked
    /// between pieces.
    ///
    /// It is a task of its own, which goes on when nobody waits for it any more: what it took to write down is
    /// written down, and what it removed is counted.
    ///
    /// # Errors
    /// Nothing may be deleted now, the disk or the database failed, or it was over before the end; what is left
    /// goes the next time.
    pub(crate) async fn retain(
        self: &Arc<Self>,
        repositories: Option<Glob>,
        is_over: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<Removed, RetainError> {
        if let Some(bar) = self.policies.load().bar {
            return Err(RetainError::Barred { bar });
        }
        let turn = Arc::clone(&self.retention.running).lock_owned().await;
        let registry = Arc::clone(self);
        let task = tokio::spawn(async move {
            let _turn = turn;
            registry.retain_all(repositories, is_over).await
        });
        let joined = task.await;
        let removed = joined.map_err(|error| Fault::new(FaultKind::Other, "retention", error))?;
        Ok(removed?)
    }

    /// Waits until no retention runs: one that nobody waits for, too.
    pub(crate) async fn retention_over(&self) {
        drop(self.retention.running.lock().await);
    }

    async fn retain_all(
        self: &Arc<Self>,
        repositories: Option<Glob>,
        is_over: impl Fn() -> bool,
    ) -> Result<Removed, Fault> {
        self.write_pull_notes().await?;
        let mut removed = Removed::default();
        let mut after = None;
        loop {
            let wanted = Wanted {
                repositories: repositories.clone(),
                after,
                limit: PLANNED_TOGETHER,
            };
            let plan = self.plan_retention(self.clock.now(), wanted).await?;
            let mut next = plan.next.clone();
            let done = self.run_retention(plan, &is_over).await?;
            removed.add(done);
            // What was removed is not in the next plan; what was skipped is.
            if let Some(next) = &mut next
                && next.decisions.is_some()
            {
                next.decisions = (0 < done.tags + done.manifests).then_some(0);
            }
            after = next;
            if after.is_none() {
                return Ok(removed);
            }
        }
    }

    /// Carries out a plan, a few decisions at a time, as far as they still hold; in between, the disk is the
    /// others' for as long as it took.
    ///
    /// # Errors
    /// The disk or the database failed, or it was over; what is left stays.
    async fn run_retention(
        &self,
        plan: RetentionPlan,
        is_over: &impl Fn() -> bool,
    ) -> Result<Removed, Fault> {
        self.store.check_healthy()?;
        self.make_room_for_delete();
        let mut removed = Removed::default();
        for repository in plan.repositories {
            let RepositoryPlan {
                repository,
                id,
                mut decisions,
            } = repository;
            while !decisions.is_empty() {
                if is_over() {
                    return Err(Fault::plain(FaultKind::Stopping, "retention was ended"));
                }
                let rest = decisions.split_off(decisions.len().min(DONE_TOGETHER));
                let batch = std::mem::replace(&mut decisions, rest);
                let began = Instant::now();
                let done = self.remove(repository.clone(), id, batch).await?;
                removed.add(done);
                tokio::time::sleep(began.elapsed().min(PAUSE_MAX)).await;
            }
        }
        Ok(removed)
    }

    async fn remove(
        &self,
        repository: RepositoryName,
        id: RepositoryId,
        batch: Vec<Decision>,
    ) -> Result<Removed, Fault> {
        let (policies, now) = (self.policies.load_full(), self.clock.now());
        let shown = repository.clone();
        let removed = self
            .database
            .write_lasting(Durability::ProcessDeath, move |tx| {
                let place = Place {
                    policies: &policies,
                    repository: &repository,
                    id,
                    now,
                };
                let mut removed = Removed::default();
                // The policy may be gone by now.
                let is_kept = policies.bar.is_some() || policies.retention(&repository).is_none();
                for decision in &batch {
                    if is_kept {
                        removed.skipped += 1;
                    } else {
                        removed.add(place.settle(tx, decision)?);
                    }
                }
                Ok::<_, Fault>(removed)
            })
            .await?;
        self.retention
            .tags
            .fetch_add(removed.tags, Ordering::Relaxed);
        let manifests = &self.retention.manifests;
        manifests.fetch_add(removed.manifests, Ordering::Relaxed);
        if 0 < removed.tags + removed.manifests {
            tracing::info!(
                repository = %shown,
                tags = removed.tags,
                manifests = removed.manifests,
                "a policy let tags and manifests go"
            );
            self.links_wanted.notify_one();
        }
        Ok(removed)
    }

    /// From now on it is known what is pulled from the repositories whose retention asks for that.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn begin_pull_notes(&self) -> Result<(), Fault> {
        /// Rows written in one transaction.
        const TOGETHER: usize = 256;
        let policies = self.policies.load_full();
        let now = self.clock.now();
        let mut after: Option<RepositoryName> = None;
        while policies.have_retention() {
            let from = after.clone();
            let names = self
                .database
                .read(|tx| meta::retention::repositories(tx, from.as_ref(), TOGETHER))?;
            let Some((last, _)) = names.last() else { break };
            after = Some(last.clone());
            let new = self.database.read(|tx| {
                let mut new = Vec::new();
                for (name, id) in &names {
                    let is_asked = policies.retention(name).is_some();
                    if is_asked && meta::retention::pulls_known_since(tx, *id)?.is_none() {
                        new.push(*id);
                    }
                }
                Ok::<_, Fault>(new)
            })?;
            if !new.is_empty() {
                let begin = move |tx: &Transaction<'_>| {
                    let mut ids = new.iter();
                    ids.try_for_each(|id| meta::retention::begin_pulls(tx, *id, now))
                };
                let durability = Durability::ProcessDeath;
                self.database.write_lasting(durability, begin).await?;
            }
        }
        Ok(())
    }
}

/// Where decisions are carried out, and when.
struct Place<'a> {
    policies: &'a Policies,
    repository: &'a RepositoryName,
    id: RepositoryId,
    now: Timestamp,
}

impl Place<'_> {
    fn settle(&self, tx: &Transaction<'_>, decision: &Decision) -> Result<Removed, Fault> {
        let done = match decision {
            Decision::Tag { tag, .. } => self.settle_tag(tx, tag)?,
            Decision::Manifest { seen, tags, why } => self.settle_manifest(tx, seen, tags, *why)?,
        };
        Ok(done.unwrap_or(Removed {
            skipped: 1,
            ..Removed::default()
        }))
    }

    /// `None`, if it is not as it was.
    fn settle_tag(&self, tx: &Transaction<'_>, tag: &TagRow) -> Result<Option<Removed>, Fault> {
        let found = meta::retention::tag(tx, self.id, &tag.name)?;
        if found.as_ref() != Some(tag) || self.is_fixed(&tag.name) {
            return Ok(None);
        }
        deletion::remove_tag(tx, self.repository, self.id, &tag.name, ACTOR, self.now)?;
        Ok(Some(Removed {
            tags: 1,
            ..Removed::default()
        }))
    }

    /// `None`, if it is not as it was.
    fn settle_manifest(
        &self,
        tx: &Transaction<'_>,
        seen: &ManifestRow,
        tags: &[TagRow],
        why: Reason,
    ) -> Result<Option<Removed>, Fault> {
        let digest = &seen.digest;
        // Pushed again, untagged again, pulled.
        if meta::retention::manifest(tx, self.id, digest)?.as_ref() != Some(seen) {
            return Ok(None);
        }
        if meta::manifests::needed_by(tx, self.id, digest)?.is_some() {
            return Ok(None);
        }
        if let Some(subject) = &seen.subject
            && subject != digest
            && meta::manifests::exists(tx, self.id, subject)?
        {
            return Ok(None);
        }
        let found = meta::retention::tags_of(tx, self.id, digest, tags.len() + 1)?;
        for tag in &found {
            if !tags.contains(tag) || self.is_fixed(&tag.name) {
                return Ok(None);
            }
            if let Some(owner) = owner(&tag.name)
                && owner != *digest
                && meta::manifests::exists(tx, self.id, &owner)?
            {
                return Ok(None);
            }
        }
        let why = match why {
            Reason::Unkept | Reason::LastTag => Why::Retention,
            Reason::Untagged => Why::Untagged,
            Reason::Owner => Why::Orphan,
        };
        let deed = Deed {
            by: ACTOR,
            why,
            at: self.now,
        };
        let was_there = deletion::discard(tx, self.repository, self.id, digest, deed)?;
        Ok(was_there.then_some(Removed {
            tags: found.len() as u64,
            manifests: 1,
            skipped: 0,
        }))
    }

    fn is_fixed(&self, tag: &Tag) -> bool {
        fixed_by(self.policies, self.repository, tag).is_some()
    }
}
