//! Collection: what nothing needs goes, while clients push and pull. Nothing is marked and swept: whatever
//! loses what needed it is queued in the transaction that took it away, and reviewed when it has waited.
//!
//! A round has three stages, each of small transactions: deleted manifests whose time is over are forgotten,
//! links of blobs that no manifest needs are removed, and blobs that no repository links. Every decision is
//! made again where it is carried out: in the transaction, under the digest's lease. Bytes go last.

#[cfg(test)]
mod model;
mod plan;
#[cfg(test)]
pub(super) mod simulation;
pub(crate) mod verdict;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use tokio::sync::{
    Mutex as AsyncMutex, OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock,
};

pub(crate) use self::plan::{Entry, Sort};
use self::verdict::{Kept, Verdict};
use super::leases::Lease;
use super::{Collecting, Registry, blocking};
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::database::Durability;
use crate::meta::deleted::{Deed, DeletedManifest, Why};
use crate::meta::links::Link;
use crate::meta::reviews::{NONE_GONE, QueuedBlob, QueuedLink};
use crate::metrics::CollectionNumbers;

/// Reviewed in one transaction, at some 20 µs each: the writer is not held for longer than a push holds it.
const REVIEWED_TOGETHER: usize = 128;
/// Files removed under one set of leases, and rows under one flush: some 30 ms for whoever pushes one of them.
const REMOVED_TOGETHER: usize = 256;

/// Objects without a row are looked for so often: a bucket of a million lists in a thousand requests.
const LIST_INTERVAL: Duration = Duration::from_hours(24);

/// How a collection goes about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct How {
    /// Without grace and promises: for a directory that nobody pushes to, or an operator who takes it that
    /// pushes under way are refused once.
    pub(crate) is_now: bool,
    /// Deleted manifests go, too, although they could still be restored.
    pub(crate) empties_deleted: bool,
    /// What an adopted tree had beside what its manifests need goes, too, although not all could be read.
    pub(crate) includes_adopted: bool,
}

/// What was collected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Collected {
    /// Links and blobs that were looked at.
    pub(crate) reviewed: u64,
    /// Deleted manifests that can be restored no more.
    pub(crate) manifests: u64,
    /// Links of blobs that no manifest needed.
    pub(crate) links: u64,
    pub(crate) blobs: u64,
    /// Bytes of the files of those blobs.
    pub(crate) bytes: u64,
}

impl Collected {
    fn add(&mut self, more: Self) {
        self.reviewed += more.reviewed;
        self.manifests += more.manifests;
        self.links += more.links;
        self.blobs += more.blobs;
        self.bytes += more.bytes;
    }
}

/// What the collector remembers.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    /// One collection at a time.
    running: Arc<AsyncMutex<()>>,
    /// Whoever reads it keeps the bytes of all blobs on the disk.
    bytes: Arc<RwLock<()>>,
    state: Mutex<State>,
    numbers: Arc<CollectionNumbers>,
}

/// How collection goes, for those who look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) is_running: bool,
    pub(crate) last_ended_at: Option<Timestamp>,
    /// What the last one that ended collected.
    pub(crate) last: Collected,
    /// What all of this process collected.
    pub(crate) total: Collected,
}

/// Keeps the bytes of all blobs on the disk as long as it lives.
#[derive(Debug)]
pub(crate) struct BytesHold {
    _held: OwnedRwLockReadGuard<()>,
}

impl Collector {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    /// Keeps the bytes of all blobs on the disk while the hold lives: for a backup.
    pub(crate) async fn hold_bytes(&self) -> BytesHold {
        BytesHold {
            _held: Arc::clone(&self.collector.bytes).read_owned().await,
        }
    }

    /// How collection goes.
    pub(crate) fn collection(&self) -> State {
        *self.collector.state()
    }

    /// What collection did, for the metrics.
    pub(crate) fn collection_numbers(&self) -> &Arc<CollectionNumbers> {
        &self.collector.numbers
    }

    /// Whether the server collects by itself.
    pub(crate) fn collects(&self) -> bool {
        self.limits.collection.is_enabled
    }

    /// Between two rounds of the server's own.
    pub(crate) fn collection_interval(&self) -> Duration {
        self.limits.collection.interval
    }

    /// Collects all that may go. `pause` says how long to leave the disk and the database to others after a
    /// piece of work that took so long; `is_over` is asked between pieces.
    ///
    /// It is a task of its own: who gives up waiting must let go neither of leases nor of links that leave,
    /// while what was decided under them waits for the database. So it goes on without them.
    ///
    /// # Errors
    /// The disk or the database failed, or it was over before the end; what was not collected is, the next
    /// time.
    pub(crate) async fn collect(
        self: &Arc<Self>,
        how: How,
        pause: fn(Duration) -> Duration,
        is_over: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Result<Collected, Fault> {
        let turn = Arc::clone(&self.collector.running).lock_owned().await;
        let mut run = Run::begin(Arc::clone(self), turn);
        let task = tokio::spawn(async move {
            let registry = Arc::clone(&run.registry);
            let mut pace = Pace::new(pause, is_over);
            let result = registry.collect_all(how, &mut pace, &mut run.collected);
            let result = result.await;
            run.end = End::of(&result);
            result.map(|()| run.collected)
        });
        let joined = task.await;
        joined.map_err(|error| Fault::new(FaultKind::Other, "collecting", error))?
    }

    /// Waits until no collection runs: one that nobody waits for, too.
    pub(crate) async fn collection_over(&self) {
        drop(self.collector.running.lock().await);
    }

    async fn collect_all(
        &self,
        how: How,
        pace: &mut Pace<impl Fn() -> bool>,
        collected: &mut Collected,
    ) -> Result<(), Fault> {
        pace.go_on()?;
        self.store.check_healthy()?;
        let rules = self.rules(how);
        if how.includes_adopted {
            let since = self.queued_since(rules);
            self.database
                .write(move |tx| meta::reviews::queue_unneeded(tx, since))
                .await?;
        }
        self.remove_left_over().await?;
        let mut after = None;
        while let Some(last) = self.forget_deleted(rules, after, collected).await? {
            after = Some(last);
            pace.rest().await?;
        }
        // What is put off during this round waits for the next: without a grace it would be due at once.
        let until = self.clock.now().before(rules.grace);
        let mut after = None;
        while let Some(last) = self
            .review_links(rules, how, until, after, collected)
            .await?
        {
            after = Some(last);
            pace.rest().await?;
        }
        let mut after = None;
        while let Some(last) = self.review_blobs(rules, after, collected).await? {
            after = Some(last);
            pace.rest().await?;
        }
        if self.lists_objects(how)? {
            let now = self.clock.now();
            // Begun anew by the next round if it breaks off.
            let found = self.find_left_over_objects().await;
            self.remove_objects().await?;
            found?;
            self.database
                .write_lasting(Durability::ProcessDeath, move |tx| {
                    meta::objects::set_listed_at(tx, now)
                })
                .await?;
        } else {
            self.remove_objects().await?;
        }
        Ok(())
    }

    /// Whether the objects of the bucket are to be listed now: once a day.
    fn lists_objects(&self, how: How) -> Result<bool, Fault> {
        if !self.store.has_buckets() {
            return Ok(false);
        }
        let now = self.clock.now();
        match self.database.read(meta::objects::listed_at)? {
            _ if how.is_now => Ok(true),
            Some(last) => Ok(LIST_INTERVAL <= now.since(last)),
            None => Ok(true),
        }
    }

    /// The rules of a collection.
    pub(in crate::registry) fn rules(&self, how: How) -> Collecting {
        let mut rules = self.limits.collection;
        if self.is_shared() {
            // It may have been promised again since, without being written down.
            rules.promise += rules.promised_again_after();
            // What is in no queue is promised without a word: it waits for as long once it is in one.
            rules.grace = rules.grace.max(rules.promise);
        }
        if how.is_now {
            rules.grace = Duration::ZERO;
            rules.promise = Duration::ZERO;
        }
        if how.empties_deleted {
            rules.undelete = Duration::ZERO;
        }
        rules
    }

    /// Since when that waits which has waited enough: but where nobody wrote down what was promised of what was in no
    /// queue, a promise lasts from now.
    fn queued_since(&self, rules: Collecting) -> Timestamp {
        let since = self.clock.now().before(rules.grace);
        if self.is_shared() {
            since.after(rules.promise)
        } else {
            since
        }
    }

    /// What keeps a link although nothing needs it; `pushed_to` are the repositories with open uploads.
    fn kept(&self, link: &QueuedLink, pushed_to: &HashSet<RepositoryName>, how: How) -> Kept {
        if how.is_now || link.is_needed {
            return Kept::default();
        }
        let moment = self.clock.moment();
        // Promises of several processes are in the links themselves.
        let is_promised = !self.is_shared()
            && self
                .promises
                .is_given(&link.repository, &link.digest, moment);
        Kept {
            is_promised,
            has_uploads: pushed_to.contains(&link.repository),
        }
    }

    /// Forgets a page of deleted manifests whose time is over; the last of them, if there may be more.
    async fn forget_deleted(
        &self,
        rules: Collecting,
        after: Option<DeletedManifest>,
        collected: &mut Collected,
    ) -> Result<Option<DeletedManifest>, Fault> {
        let now = self.clock.now();
        let until = now.before(rules.undelete);
        let page = self
            .database
            .read(|tx| meta::deleted::until(tx, until, after.as_ref(), REVIEWED_TOGETHER))?;
        let Some(last) = page.last().cloned() else {
            return Ok(None);
        };
        // The window was their grace, too.
        let since = self.queued_since(rules);
        let forgotten = self
            .database
            .write_lasting(Durability::ProcessDeath, move |tx| {
                let mut forgotten = 0;
                for deleted in &page {
                    forgotten += u64::from(forget(tx, deleted, rules, (now, since))?);
                }
                Ok::<_, Fault>(forgotten)
            })
            .await?;
        collected.manifests += forgotten;
        self.links_wanted.notify_one();
        Ok(Some(last))
    }

    /// Reviews a page of links; the last of them, if there may be more.
    async fn review_links(
        &self,
        rules: Collecting,
        how: How,
        until: Timestamp,
        after: Option<QueuedLink>,
        collected: &mut Collected,
    ) -> Result<Option<QueuedLink>, Fault> {
        let (moment, now) = self.clock.moment_and_now();
        let page = self.database.read(|tx| {
            meta::reviews::links(tx, until, NONE_GONE, after.as_ref(), REVIEWED_TOGETHER)
        })?;
        let Some(last) = page.last().cloned() else {
            return Ok(None);
        };
        collected.reviewed += page.len() as u64;
        let pushed_to = self.pushed_to()?;
        let is_shared = self.is_shared();
        let kept_by_uploads = is_shared && !how.is_now;
        let mut leaving = self.promises.leaving();
        let mut leases = HashMap::new();
        let mut decided = Vec::new();
        for link in page {
            let kept = self.kept(&link, &pushed_to, how);
            let verdict = verdict::of_link(&link, kept, rules, now);
            if verdict == Verdict::Goes {
                if !leases.contains_key(&link.digest) {
                    // Somebody works with it; the next round is soon enough.
                    let Some(lease) = self.leases.try_take(&link.digest) else {
                        continue;
                    };
                    leases.insert(link.digest.clone(), lease);
                }
                let (repository, digest) = (&link.repository, &link.digest);
                if !how.is_now
                    && !is_shared
                    && !self
                        .promises
                        .take_back(&mut leaving, repository, digest, moment)
                {
                    continue;
                }
            }
            decided.push((link, verdict));
        }
        let removed = self
            .database
            .write_lasting(Durability::ProcessDeath, move |tx| {
                let mut removed = 0;
                for (link, verdict) in &decided {
                    removed += u64::from(settle_link(
                        tx,
                        link,
                        *verdict,
                        (rules, kept_by_uploads),
                        now,
                    )?);
                }
                Ok::<_, Fault>(removed)
            })
            .await?;
        drop(leaving);
        drop(leases);
        collected.links += removed;
        if 0 < removed {
            self.links_wanted.notify_one();
        }
        Ok(Some(last))
    }

    /// Reviews a page of blobs and removes the bytes of those that go; the last of them, if there may be more.
    async fn review_blobs(
        &self,
        rules: Collecting,
        after: Option<QueuedBlob>,
        collected: &mut Collected,
    ) -> Result<Option<QueuedBlob>, Fault> {
        // Held by a backup: the next round is soon enough.
        let Ok(removing) = Arc::clone(&self.collector.bytes).try_write_owned() else {
            return Ok(None);
        };
        let now = self.clock.now();
        let until = now.before(rules.grace);
        let page = self
            .database
            .read(|tx| meta::reviews::blobs(tx, until, after.as_ref(), REMOVED_TOGETHER))?;
        let Some(last) = page.last().cloned() else {
            return Ok(None);
        };
        collected.reviewed += page.len() as u64;
        let leases: Vec<_> = page
            .iter()
            .filter_map(|blob| self.leases.try_take(&blob.digest))
            .collect();
        let held: Vec<Digest> = leases.iter().map(|lease| lease.digest().clone()).collect();
        let removed = self
            .database
            .write(move |tx| {
                let mut removed = Vec::new();
                for digest in held {
                    // As it is now, for it was looked at before its lease was held.
                    let Some(blob) = meta::reviews::blob(tx, &digest)? else {
                        continue;
                    };
                    match verdict::of_blob(&blob, rules, now) {
                        Verdict::Stays => meta::reviews::settle_blob(tx, &digest)?,
                        Verdict::Waits { .. } => {}
                        Verdict::Goes => {
                            meta::reviews::remove_blob(tx, &digest)?;
                            removed.push(blob);
                        }
                    }
                }
                Ok::<_, Fault>(removed)
            })
            .await?;
        collected.blobs += removed.len() as u64;
        collected.bytes += removed.iter().map(|blob| blob.size_bytes).sum::<u64>();
        let removed: Vec<Digest> = removed.into_iter().map(|blob| blob.digest).collect();
        if !removed.is_empty() {
            self.remove_files(removed, (leases, removing)).await?;
        }
        Ok(Some(last))
    }

    /// Removes the files that an earlier round could not.
    async fn remove_left_over(&self) -> Result<(), Fault> {
        let Ok(removing) = Arc::clone(&self.collector.bytes).try_write_owned() else {
            return Ok(());
        };
        let left = self.database.read(meta::reviews::removals)?;
        let leases: Vec<_> = left
            .iter()
            .filter_map(|digest| self.leases.try_take(digest))
            .collect();
        let held: Vec<Digest> = leases.iter().map(|lease| lease.digest().clone()).collect();
        if held.is_empty() {
            return Ok(());
        }
        self.remove_files(held, (leases, removing)).await
    }

    /// Removes the files of blobs that have no rows any more, whose leases are held until they are gone.
    async fn remove_files(
        &self,
        removed: Vec<Digest>,
        _held: (Vec<Lease>, OwnedRwLockWriteGuard<()>),
    ) -> Result<(), Fault> {
        // The same bytes may be a manifest's, or were pushed again.
        let mut gone = Vec::new();
        for digest in &removed {
            if !self.is_kept_as_file(digest)? {
                gone.push(digest.clone());
            }
        }
        let store = Arc::clone(&self.store);
        // What cannot be removed now is tried again in the next round.
        let left = blocking(move || store.remove_collected(&gone)).await??;
        self.database
            .write_lasting(Durability::ProcessDeath, move |tx| {
                removed
                    .iter()
                    .filter(|digest| !left.contains(digest))
                    .try_for_each(|digest| meta::reviews::end_removal(tx, digest))
            })
            .await
    }
}

/// How a collection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All that may go went.
    Done,
    /// The server stops.
    Stopped,
    Failed,
}

impl End {
    fn of(result: &Result<(), Fault>) -> Self {
        match result {
            Ok(()) => Self::Done,
            Err(fault) if fault.kind() == FaultKind::Stopping => Self::Stopped,
            Err(_) => Self::Failed,
        }
    }
}

/// A collection that is under way: wherever it ends, that is written down.
struct Run {
    registry: Arc<Registry>,
    begun: Instant,
    collected: Collected,
    end: End,
    _turn: OwnedMutexGuard<()>,
}

impl Run {
    fn begin(registry: Arc<Registry>, turn: OwnedMutexGuard<()>) -> Self {
        registry.collector.state().is_running = true;
        Self {
            registry,
            begun: Instant::now(),
            collected: Collected::default(),
            // Unless it gets to say otherwise.
            end: End::Failed,
            _turn: turn,
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let ended_at = self.registry.clock.now();
        let Collector { numbers, .. } = &self.registry.collector;
        numbers.add_freed(self.collected.bytes);
        match self.end {
            End::Done => numbers.add_done(self.begun.elapsed(), ended_at.0.div_euclid(1000)),
            End::Failed => numbers.add_failed(self.begun.elapsed()),
            End::Stopped => {}
        }
        let mut state = self.registry.collector.state();
        state.is_running = false;
        state.total.add(self.collected);
        state.last = self.collected;
        state.last_ended_at = Some(ended_at);
    }
}

/// Leaves the disk and the database to others between pieces of work, and ends it when it is over. What a piece
/// takes is not measured with the clock of the registry, which tests stop.
struct Pace<Over> {
    pause: fn(Duration) -> Duration,
    is_over: Over,
    begun: Instant,
}

impl<Over: Fn() -> bool> Pace<Over> {
    fn new(pause: fn(Duration) -> Duration, is_over: Over) -> Self {
        Self {
            pause,
            is_over,
            begun: Instant::now(),
        }
    }

    fn go_on(&self) -> Result<(), Fault> {
        if (self.is_over)() {
            return Err(Fault::plain(
                FaultKind::Stopping,
                "the collection was ended",
            ));
        }
        Ok(())
    }

    async fn rest(&mut self) -> Result<(), Fault> {
        self.go_on()?;
        let rest = (self.pause)(self.begun.elapsed());
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
        self.begun = Instant::now();
        self.go_on()
    }
}

/// Forgets one deleted manifest, if its time is over; what came with it and is needed by nothing is deleted
/// with it, and what it needed is reviewed, as if it had waited `since` then.
fn forget(
    tx: &meta::transaction::Transaction<'_>,
    deleted: &DeletedManifest,
    rules: Collecting,
    (now, since): (Timestamp, Timestamp),
) -> Result<bool, Fault> {
    let (id, digest) = (deleted.repository_id, &deleted.digest);
    // It may have come back, or have been deleted again since it was listed.
    let Some(deleted_at) = meta::deleted::deleted_at(tx, id, digest)? else {
        return Ok(false);
    };
    if verdict::of_deleted(deleted_at, rules, now) != Verdict::Goes {
        return Ok(false);
    }
    let deed = Deed {
        by: &deleted.deleted_by,
        why: Why::Orphan,
        // It waited as long as what it came with.
        at: deleted_at,
    };
    let mut orphans = meta::deleted::companions(tx, id, digest, usize::MAX)?;
    let mut kept = Ok(());
    orphans.retain(|companion| {
        let other = meta::deleted::index_naming(tx, id, &companion.digest, |by, _| by != digest);
        match other {
            Ok(index) => verdict::of_companion(companion, index, deleted_at).is_ok(),
            Err(fault) => {
                kept = Err(fault);
                false
            }
        }
    });
    kept?;
    for orphan in orphans {
        super::deletion::discard(tx, &deleted.repository, id, &orphan.digest, deed)?;
    }
    meta::deleted::queue_needs(tx, id, digest, since)?;
    meta::deleted::purge(tx, id, digest)
}

/// Carries out what was decided of a link, if it is still so; whether it was removed.
fn settle_link(
    tx: &meta::transaction::Transaction<'_>,
    link: &QueuedLink,
    verdict: Verdict,
    (rules, asks_uploads): (Collecting, bool),
    now: Timestamp,
) -> Result<bool, Fault> {
    let (id, digest) = (link.repository_id, &link.digest);
    let Some(current) = meta::reviews::link(tx, id, digest)? else {
        return Ok(false);
    };
    let verdict = match verdict {
        // Promises and uploads were looked at, and nobody could give one since. Those of several processes are in rows,
        // as they are now.
        Verdict::Goes | Verdict::Stays => {
            let kept = Kept {
                is_promised: false,
                has_uploads: asks_uploads && meta::uploads::any_in(tx, &current.repository)?,
            };
            verdict::of_link(&current, kept, rules, now)
        }
        Verdict::Waits { .. } => verdict,
    };
    match verdict {
        Verdict::Stays => meta::reviews::set_link(tx, id, digest, None)?,
        Verdict::Waits { until } => {
            meta::reviews::set_link(tx, id, digest, Some(until.before(rules.grace)))?;
        }
        Verdict::Goes => {
            let since = now.before(rules.grace);
            let removed = meta::blobs::unlink(tx, id, digest, since)?;
            let link_file = Link::Layer(digest.clone());
            meta::links::mark_stale(tx, &current.repository, &link_file)?;
            return Ok(removed);
        }
    }
    Ok(false)
}
