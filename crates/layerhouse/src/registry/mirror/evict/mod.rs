//! Eviction: what is kept of other registries, and what of it goes when it takes too much room or was not pulled for
//! long. `decide.rs` decides; here is what it decides from, and how that is carried out: a few manifests at a time,
//! each decision once more in the transaction that removes.
//!
//! What goes does not wait to be restored, as deleted manifests do, for it can be fetched again. Its blobs go to the
//! collection, whose grace is over for them.

mod decide;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;

pub(crate) use self::decide::Reason;
use self::decide::{Bounds, Holdings, Manifest, Unit};
use super::Mirror;
use super::manifests::ACTOR;
use crate::clock::Timestamp;
use crate::config::meaning::mirror::Pin;
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::database::Durability;
use crate::meta::mirror::Copy;
use crate::meta::repositories::RepositoryId;
use crate::meta::retention::{ManifestRow, TagRow};
use crate::meta::transaction::Transaction;
use crate::registry::collection::How;
use crate::registry::{Registry, blocking, deletion};

/// Manifests that go in one transaction, at some 100 µs each; an index takes its images along.
const EVICTED_TOGETHER: usize = 64;
/// Rows of one repository.
const NO_LIMIT: usize = usize::MAX;

/// What went, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Evicted {
    pub(crate) manifests: u64,
    /// Entries that were decided on and did not go, for they were pulled meanwhile.
    pub(crate) skipped: u64,
    /// That no copy needs any more; what a repository of our own needs, too, stays on the disk.
    pub(crate) bytes: u64,
    /// Each with what went along.
    pub(crate) entries: Vec<Entry>,
}

/// A manifest that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) repository: RepositoryName,
    pub(crate) digest: Digest,
    pub(crate) tags: Vec<String>,
    /// With those that go along.
    pub(crate) manifests: u64,
    pub(crate) bytes: u64,
    pub(crate) why: Reason,
    pub(crate) used_at: Timestamp,
}

/// Bytes that copies need, each blob once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) bytes: u64,
    /// Of the copies of each upstream; one that is not configured any more is there, too.
    pub(crate) upstreams: Vec<(String, u64)>,
}

impl Usage {
    /// Of the copies of one.
    pub(crate) fn of(&self, upstream: &str) -> u64 {
        let found = self.upstreams.iter().find(|(name, _)| name == upstream);
        found.map_or(0, |(_, bytes)| *bytes)
    }
}

/// A manifest as it was when it was decided on.
struct Seen {
    repository: RepositoryName,
    id: RepositoryId,
    row: ManifestRow,
    tags: Vec<TagRow>,
}

/// What there is, and what of it goes.
struct Plan {
    seen: Vec<Seen>,
    units: Vec<Unit>,
}

impl Registry {
    /// Bytes that copies take. Blocks for as long as it takes to look at the blobs of all of them.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn mirror_usage(&self) -> Result<Usage, Fault> {
        let usage = self.database.read(|tx| {
            Ok::<_, Fault>(Usage {
                bytes: meta::mirror::needed_bytes(tx)?,
                upstreams: meta::mirror::needed_bytes_by_upstream(tx)?,
            })
        })?;
        self.copying.usage.store(Some(Arc::new(usage.clone())));
        Ok(usage)
    }

    /// What [`Registry::mirror_usage`] found last.
    pub(crate) fn last_mirror_usage(&self) -> Option<Arc<Usage>> {
        self.copying.usage.load_full()
    }

    /// What [`Registry::evict`] would let go. Blocks.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn plan_eviction(&self, mirror: &Mirror) -> Result<Evicted, Fault> {
        let plan = self.decide_eviction(mirror, true)?;
        let entries = plan.units.iter().map(|unit| plan.entry(unit));
        Ok(Evicted {
            manifests: plan.units.iter().map(Unit::count).sum(),
            skipped: 0,
            bytes: plan.units.iter().map(|unit| unit.bytes).sum(),
            entries: entries.collect(),
        })
    }

    /// Lets copies go that are over a budget, and, if `by_age`, those that were not pulled for long. `is_over` is asked
    /// between pieces.
    ///
    /// # Errors
    /// The disk or the database failed, or it was over before the end; what is left goes the next time.
    pub(crate) async fn evict(
        self: &Arc<Self>,
        mirror: &Arc<Mirror>,
        by_age: bool,
        is_over: impl Fn() -> bool,
    ) -> Result<Evicted, Fault> {
        let _turn = self.copying.evicting.lock().await;
        self.store.check_healthy()?;
        self.write_pull_notes().await?;
        let (registry, of) = (Arc::clone(self), Arc::clone(mirror));
        let plan = blocking(move || {
            if registry.is_within_bounds(&of, by_age)? {
                return Ok(Plan::nothing());
            }
            registry.decide_eviction(&of, by_age)
        });
        let mut plan = plan.await??;
        let mut evicted = Evicted::default();
        if plan.units.is_empty() {
            return Ok(evicted);
        }
        self.make_room_for_delete();
        let mut units = std::mem::take(&mut plan.units).into_iter().peekable();
        while units.peek().is_some() {
            if is_over() {
                return Err(Fault::plain(FaultKind::Stopping, "eviction was ended"));
            }
            let mut batch = Vec::new();
            let mut count = 0;
            while let Some(unit) = units.next_if(|_| count < EVICTED_TOGETHER) {
                count += unit.manifests.len();
                batch.push(unit);
            }
            let gone = self.evict_together(&plan, &batch).await?;
            for (unit, count) in batch.iter().zip(gone) {
                if 0 < count {
                    evicted.manifests += count;
                    evicted.bytes += unit.bytes;
                    evicted.entries.push(plan.entry(unit));
                } else {
                    evicted.skipped += 1;
                }
            }
            self.links_wanted.notify_one();
        }
        Ok(evicted)
    }

    /// Rings when something was fetched that may be too much.
    pub(crate) async fn eviction_wanted(&self) {
        self.copying.eviction_wanted.notified().await;
    }

    /// Whether nothing can go: a look that costs less than to decide, and that is remembered for the metrics.
    fn is_within_bounds(&self, mirror: &Mirror, by_age: bool) -> Result<bool, Fault> {
        let settings = &mirror.settings;
        let usage = self.mirror_usage()?;
        if by_age && settings.keep.is_some() {
            return Ok(false);
        }
        let is_met = |budget: Option<u64>, bytes: u64| budget.is_none_or(|budget| bytes <= budget);
        let mut upstreams = settings.upstreams.iter();
        Ok(is_met(settings.budget_bytes, usage.bytes)
            && upstreams.all(|one| is_met(one.budget_bytes, usage.of(&one.name))))
    }

    fn decide_eviction(&self, mirror: &Mirror, by_age: bool) -> Result<Plan, Fault> {
        let settings = &mirror.settings;
        let copies = self.database.read(meta::mirror::copies)?;
        let mut upstreams: Vec<_> = settings.upstreams.iter().map(|one| &one.name).collect();
        for copy in &copies {
            if !upstreams.contains(&&copy.upstream) {
                upstreams.push(&copy.upstream);
            }
        }
        let budget_of = |name: &&String| {
            let mut configured = settings.upstreams.iter();
            let found = configured.find(|one| one.name == **name);
            found.and_then(|one| one.budget_bytes)
        };
        let keep = settings.keep.filter(|_| by_age);
        let bounds = Bounds {
            used_since: keep.map(|keep: Duration| self.clock.now().before(keep)),
            budget_bytes: settings.budget_bytes,
            upstreams: upstreams.iter().map(budget_of).collect(),
        };
        let mut look = Look::default();
        for copy in &copies {
            let upstream = upstreams.iter().position(|name| **name == copy.upstream);
            let upstream = upstream.expect("each copy's is in the list");
            self.database
                .read(|tx| look.at(tx, copy, upstream, &settings.pins))?;
        }
        Ok(Plan {
            units: decide::decide(&look.holdings, &bounds),
            seen: look.seen,
        })
    }

    /// Carries out what was decided, as far as it is still so; how many manifests went with each.
    async fn evict_together(&self, plan: &Plan, batch: &[Unit]) -> Result<Vec<u64>, Fault> {
        let units: Vec<Vec<Seen>> = batch
            .iter()
            .map(|unit| {
                unit.manifests
                    .iter()
                    .map(|at| plan.seen[*at].copy())
                    .collect()
            })
            .collect();
        let now = self.clock.now();
        let rules = self.rules(How::default());
        // As if they had waited already: nobody pushes to a copy, so nobody relies on what was said of its blobs.
        let since = now.before(rules.grace.max(rules.promise));
        self.database
            .write_lasting(Durability::ProcessDeath, move |tx| {
                let evict = |unit: &Vec<Seen>| {
                    let mut gone = 0;
                    for (at, seen) in unit.iter().enumerate() {
                        let is_gone = seen.evict(tx, now, since)?;
                        if at == 0 && !is_gone {
                            break;
                        }
                        gone += u64::from(is_gone);
                    }
                    Ok::<_, Fault>(gone)
                };
                units.iter().map(evict).collect()
            })
            .await
    }
}

impl Plan {
    fn nothing() -> Self {
        Self {
            seen: Vec::new(),
            units: Vec::new(),
        }
    }

    fn entry(&self, unit: &Unit) -> Entry {
        let root = &self.seen[unit.manifests[0]];
        let used = unit.manifests.iter().map(|at| used_at(&self.seen[*at].row));
        Entry {
            repository: root.repository.clone(),
            digest: root.row.digest.clone(),
            tags: root.tags.iter().map(|tag| tag.name.to_string()).collect(),
            manifests: unit.count(),
            bytes: unit.bytes,
            why: unit.why,
            used_at: used.max().unwrap_or(root.row.pushed_at),
        }
    }
}

impl Unit {
    fn count(&self) -> u64 {
        self.manifests.len() as u64
    }
}

/// When a manifest was last pulled, or fetched.
fn used_at(row: &ManifestRow) -> Timestamp {
    row.pulled_at
        .map_or(row.pushed_at, |at| at.max(row.pushed_at))
}

/// Reads what the copies hold.
#[derive(Default)]
struct Look {
    holdings: Holdings,
    seen: Vec<Seen>,
    blobs: HashMap<Digest, usize>,
}

impl Look {
    fn at(
        &mut self,
        tx: &Transaction<'_>,
        copy: &Copy,
        upstream: usize,
        pins: &[Pin],
    ) -> Result<(), Fault> {
        let first = self.seen.len();
        let mut places = HashMap::new();
        for row in meta::retention::manifests(tx, copy.id, NO_LIMIT)? {
            places.insert(row.digest.clone(), self.seen.len());
            self.holdings.manifests.push(Manifest {
                upstream,
                used_at: used_at(&row),
                is_tagged: false,
                is_pinned: is_pinned(pins, &copy.repository, None),
                children: Vec::new(),
                referrers: Vec::new(),
                blobs: Vec::new(),
            });
            self.seen.push(Seen {
                repository: copy.repository.clone(),
                id: copy.id,
                row,
                tags: Vec::new(),
            });
        }
        for tag in meta::retention::tags(tx, copy.id, NO_LIMIT)? {
            if let Some(place) = places.get(&tag.digest) {
                let manifest = &mut self.holdings.manifests[*place];
                manifest.is_tagged = true;
                manifest.is_pinned |= is_pinned(pins, &copy.repository, Some(tag.name.as_str()));
                self.seen[*place].tags.push(tag);
            }
        }
        for (index, child) in meta::retention::children(tx, copy.id, NO_LIMIT)? {
            if let (Some(index), Some(child)) = (places.get(&index), places.get(&child)) {
                self.holdings.manifests[*index].children.push(*child);
            }
        }
        for place in first..self.seen.len() {
            let subject = self.seen[place].row.subject.as_ref();
            if let Some(subject) = subject.and_then(|subject| places.get(subject)) {
                self.holdings.manifests[*subject].referrers.push(place);
            }
        }
        meta::mirror::each_need(tx, copy.id, |manifest, blob, size_bytes| {
            let Some(place) = places.get(&manifest) else {
                return;
            };
            let sizes = &mut self.holdings.sizes;
            let blob = *self.blobs.entry(blob).or_insert_with(|| {
                sizes.push(size_bytes);
                sizes.len() - 1
            });
            self.holdings.manifests[*place].blobs.push(blob);
        })
    }
}

/// Whether a pin holds for a tag, or, without one, for a whole repository.
fn is_pinned(pins: &[Pin], repository: &RepositoryName, tag: Option<&str>) -> bool {
    pins.iter().any(|pin| {
        let fits_tag = match (&pin.tags, tag) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(glob), Some(tag)) => glob.fits(tag),
        };
        fits_tag && pin.repositories.fits(repository.as_str())
    })
}

impl Seen {
    fn copy(&self) -> Self {
        Self {
            repository: self.repository.clone(),
            id: self.id,
            row: self.row.clone(),
            tags: self.tags.clone(),
        }
    }

    /// Lets a manifest go, if it is as it was and nothing needs it; whether it went. Its blobs wait for the
    /// collection from `since` on.
    fn evict(&self, tx: &Transaction<'_>, now: Timestamp, since: Timestamp) -> Result<bool, Fault> {
        let (id, digest) = (self.id, &self.row.digest);
        // Fetched again, tagged, pulled.
        if meta::retention::manifest(tx, id, digest)?.as_ref() != Some(&self.row)
            || meta::retention::tags_of(tx, id, digest, self.tags.len() + 1)? != self.tags
            || meta::manifests::needed_by(tx, id, digest)?.is_some()
        {
            return Ok(false);
        }
        deletion::evict(tx, &self.repository, id, digest, (ACTOR, now, since))
    }
}
