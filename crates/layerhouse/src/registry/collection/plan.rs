//! What a collection would do now, and what it would do later: the same decisions, and nothing is changed.

use std::collections::HashSet;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;

use super::verdict::{self, Verdict};
use super::{How, REVIEWED_TOGETHER};
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta;
use crate::meta::reviews::QueuedLink;
use crate::registry::{Collecting, Registry};

/// What a collection would do with something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) sort: Sort,
    /// Absent for a blob, which no repository has.
    pub(crate) repository: Option<RepositoryName>,
    pub(crate) digest: Digest,
    /// What its file takes; 0 for what has none of its own.
    pub(crate) size_bytes: u64,
    /// When it may go; absent if it goes now.
    pub(crate) waits_until: Option<Timestamp>,
    /// Why it goes, in words.
    pub(crate) why: &'static str,
}

/// What sort of thing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// A deleted manifest, which can be restored until then.
    Manifest,
    /// A blob of one repository.
    Link,
    /// A blob, and its bytes with it.
    Blob,
}

/// What a collection would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The first of them; the numbers below are of all.
    pub(crate) entries: Vec<Entry>,
    pub(crate) is_cut: bool,
    pub(crate) manifests: u64,
    pub(crate) links: u64,
    pub(crate) blobs: u64,
    /// That come back now.
    pub(crate) bytes: u64,
    /// Deleted manifests that can still be restored.
    pub(crate) waiting_manifests: u64,
    pub(crate) waiting_links: u64,
    pub(crate) waiting_blobs: u64,
    /// Bytes of blobs that nothing links and that wait.
    pub(crate) waiting_bytes: u64,
    /// Blobs that only deleted manifests need which can still be restored, and their bytes.
    pub(crate) held_blobs: u64,
    pub(crate) held_bytes: u64,
    /// Links and blobs of an adopted tree that nothing needs and that stay, for not all of it could be read.
    pub(crate) adopted: u64,
}

/// What a plan is made with.
struct Planner<'a> {
    registry: &'a Registry,
    how: How,
    rules: Collecting,
    now: Timestamp,
    /// What was deleted then or before goes for good now, and needs nothing any more.
    gone: Timestamp,
    /// Repositories with open uploads.
    pushed_to: HashSet<RepositoryName>,
    listed_max: usize,
    plan: Plan,
}

impl Registry {
    /// What [`Registry::collect`] would do at this moment, with at most `listed_max` entries listed. What goes
    /// only because something else goes first is in it where that goes now: links whose last manifest can be
    /// restored no more, blobs whose last link goes.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn plan_collection(&self, how: How, listed_max: usize) -> Result<Plan, Fault> {
        let (rules, now) = (self.rules(how), self.clock.now());
        let mut planner = Planner {
            registry: self,
            how,
            rules,
            now,
            gone: now.before(rules.undelete),
            pushed_to: self.pushed_to()?,
            listed_max,
            plan: Plan::default(),
        };
        self.database.read(|tx| {
            planner.deleted(tx)?;
            planner.links(tx)?;
            planner.links_of_gone(tx)?;
            planner.blobs(tx)?;
            let held = meta::reviews::held_by_deleted(tx, planner.gone)?;
            (planner.plan.held_blobs, planner.plan.held_bytes) = held;
            planner.plan.adopted = meta::reviews::count_unqueued(tx)?;
            Ok::<_, Fault>(())
        })?;
        Ok(planner.plan)
    }
}

impl Planner<'_> {
    fn list(&mut self, entry: Entry) {
        if self.plan.entries.len() < self.listed_max {
            self.plan.entries.push(entry);
        } else {
            self.plan.is_cut = true;
        }
    }

    fn deleted(&mut self, tx: &meta::transaction::Transaction<'_>) -> Result<(), Fault> {
        let mut after = None;
        loop {
            let page =
                meta::deleted::until(tx, Timestamp(i64::MAX), after.as_ref(), REVIEWED_TOGETHER)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            for deleted in page {
                let verdict = verdict::of_deleted(deleted.deleted_at, self.rules, self.now);
                let waits_until = match verdict {
                    Verdict::Waits { until } => {
                        self.plan.waiting_manifests += 1;
                        Some(until)
                    }
                    Verdict::Goes | Verdict::Stays => {
                        self.plan.manifests += 1;
                        None
                    }
                };
                self.list(Entry {
                    sort: Sort::Manifest,
                    repository: Some(deleted.repository),
                    digest: deleted.digest,
                    size_bytes: 0,
                    waits_until,
                    why: "it was deleted",
                });
            }
        }
    }

    /// The links that are queued.
    fn links(&mut self, tx: &meta::transaction::Transaction<'_>) -> Result<(), Fault> {
        let (until, gone) = (Timestamp(i64::MAX), self.gone);
        let mut after = None;
        loop {
            let page = meta::reviews::links(tx, until, gone, after.as_ref(), REVIEWED_TOGETHER)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            for link in page {
                self.link(tx, link)?;
            }
        }
    }

    /// Those that are queued when the deleted manifests are gone that needed them.
    fn links_of_gone(&mut self, tx: &meta::transaction::Transaction<'_>) -> Result<(), Fault> {
        let mut after = None;
        loop {
            let page =
                meta::reviews::links_of_gone(tx, self.gone, after.as_ref(), REVIEWED_TOGETHER)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            for link in page {
                self.link(tx, link)?;
            }
        }
    }

    fn link(
        &mut self,
        tx: &meta::transaction::Transaction<'_>,
        link: QueuedLink,
    ) -> Result<(), Fault> {
        match self.verdict(&link) {
            Verdict::Stays => {}
            Verdict::Waits { until } => {
                self.plan.waiting_links += 1;
                self.list(of_link(link, Some(until)));
            }
            Verdict::Goes => {
                self.plan.links += 1;
                // Counted once, where the first of its links stands.
                if self.is_last_of_its_blob(tx, &link)? {
                    self.plan.blobs += 1;
                    self.plan.bytes += link.size_bytes;
                }
                self.list(of_link(link, None));
            }
        }
        Ok(())
    }

    fn verdict(&self, link: &QueuedLink) -> Verdict {
        let kept = self.registry.kept(link, &self.pushed_to, self.how);
        verdict::of_link(link, kept, self.rules, self.now)
    }

    /// Whether every link of the blob goes now, and this is the first of them.
    fn is_last_of_its_blob(
        &self,
        tx: &meta::transaction::Transaction<'_>,
        link: &QueuedLink,
    ) -> Result<bool, Fault> {
        let links = meta::reviews::links_of(tx, &link.digest, self.gone)?;
        let all_go = links
            .iter()
            .all(|other| self.verdict(other) == Verdict::Goes);
        let first = links.iter().map(|other| other.repository_id).min();
        Ok(all_go && first == Some(link.repository_id))
    }

    fn blobs(&mut self, tx: &meta::transaction::Transaction<'_>) -> Result<(), Fault> {
        let mut after = None;
        loop {
            let until = Timestamp(i64::MAX);
            let page = meta::reviews::blobs(tx, until, after.as_ref(), REVIEWED_TOGETHER)?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            for blob in page {
                let waits_until = match verdict::of_blob(&blob, self.rules, self.now) {
                    Verdict::Stays => continue,
                    Verdict::Waits { until } => {
                        self.plan.waiting_blobs += 1;
                        self.plan.waiting_bytes += blob.size_bytes;
                        Some(until)
                    }
                    Verdict::Goes => {
                        self.plan.blobs += 1;
                        self.plan.bytes += blob.size_bytes;
                        None
                    }
                };
                self.list(Entry {
                    sort: Sort::Blob,
                    repository: None,
                    digest: blob.digest,
                    size_bytes: blob.size_bytes,
                    waits_until,
                    why: "no repository has it",
                });
            }
        }
    }
}

fn of_link(link: QueuedLink, waits_until: Option<Timestamp>) -> Entry {
    Entry {
        sort: Sort::Link,
        repository: Some(link.repository),
        digest: link.digest,
        size_bytes: link.size_bytes,
        waits_until,
        why: "no manifest of the repository needs it",
    }
}
