//! Which manifests are gone when a deletion cannot be taken back any more, and which blobs go then.

use std::collections::{BTreeMap, BTreeSet};

use layerhouse_oci::digest::Digest;

use super::Freed;
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta;
use crate::meta::deleted::Companion;
use crate::meta::repositories::RepositoryId;
use crate::meta::transaction::Transaction;
use crate::registry::Collecting;
use crate::registry::collection::verdict::{self, Because, Kept, Verdict};

/// Manifests that go along are looked for until there are so many.
const MANIFESTS_MAX: usize = 10_000;
/// Blobs that are looked at, at some 20 µs each.
const BLOBS_MAX: usize = 20_000;

/// Manifests that go, and the blobs that nothing but they need.
pub(super) struct Going<'a> {
    tx: &'a Transaction<'a>,
    id: RepositoryId,
    rules: Collecting,
    /// When they are deleted.
    now: Timestamp,
    manifests: BTreeSet<Digest>,
    along: BTreeSet<Digest>,
    is_all: bool,
    is_cut: bool,
}

/// What came with something that goes, and stays.
pub(super) type Left = Vec<(Companion, Because)>;

impl<'a> Going<'a> {
    pub(super) fn new(
        tx: &'a Transaction<'a>,
        id: RepositoryId,
        rules: Collecting,
        now: Timestamp,
    ) -> Self {
        Self {
            tx,
            id,
            rules,
            now,
            manifests: BTreeSet::new(),
            along: BTreeSet::new(),
            is_all: false,
            is_cut: false,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.manifests.len()
    }

    /// Those that go along, by digest, at most `rows`.
    pub(super) fn along(&self, rows: usize) -> Vec<Digest> {
        self.along.iter().take(rows).cloned().collect()
    }

    /// Everything of the repository goes.
    pub(super) fn add_all(&mut self) {
        self.is_all = true;
    }

    /// Manifests are deleted, and with each goes what came with it and nothing else names: in rounds, as the
    /// collection has them (`collection::forget`). What was deleted before is forgotten before. What stays of
    /// what came with those that are asked for.
    pub(super) fn add(&mut self, asked: Vec<Digest>) -> Result<Left, Fault> {
        let mut left: BTreeMap<Digest, (Companion, Because)> = BTreeMap::new();
        let mut forgotten: BTreeSet<Digest> = BTreeSet::new();
        self.manifests.extend(asked.iter().cloned());
        let mut round: BTreeSet<Digest> = asked.into_iter().collect();
        while !round.is_empty() {
            let mut next = BTreeSet::new();
            for digest in &round {
                let room = MANIFESTS_MAX.saturating_sub(self.manifests.len());
                let companions = meta::deleted::companions(self.tx, self.id, digest, room + 1)?;
                self.is_cut |= room < companions.len();
                for companion in companions.into_iter().take(room) {
                    if self.manifests.contains(&companion.digest) {
                        continue;
                    }
                    let is_other = |by: &Digest, is_deleted: bool| {
                        by != digest && !is_deleted && !forgotten.contains(by)
                    };
                    let of = &companion.digest;
                    let index = meta::deleted::index_naming(self.tx, self.id, of, is_other)?;
                    match verdict::of_companion(&companion, index, self.now) {
                        Ok(()) => {
                            left.remove(of);
                            self.manifests.insert(of.clone());
                            self.along.insert(of.clone());
                            next.insert(of.clone());
                        }
                        Err(because) => {
                            left.insert(of.clone(), (companion, because));
                        }
                    }
                }
                forgotten.insert(digest.clone());
            }
            round = next;
        }
        Ok(left.into_values().collect())
    }

    /// What of their blobs comes back, and when.
    pub(super) fn freed(&self) -> Result<Freed, Fault> {
        let mut freed = Freed {
            is_cut: self.is_cut,
            ..Freed::default()
        };
        for blob in self.blobs(&mut freed)? {
            self.look_at(&blob, &mut freed)?;
        }
        Ok(freed)
    }

    fn blobs(&self, freed: &mut Freed) -> Result<BTreeSet<Digest>, Fault> {
        let mut blobs = BTreeSet::new();
        if self.is_all {
            let all = meta::manifests::blobs_of_all(self.tx, self.id, BLOBS_MAX + 1)?;
            freed.is_cut |= BLOBS_MAX < all.len();
            blobs.extend(all.into_iter().take(BLOBS_MAX));
            return Ok(blobs);
        }
        for manifest in &self.manifests {
            if BLOBS_MAX <= blobs.len() {
                freed.is_cut = true;
                break;
            }
            let needs = meta::manifests::blobs_of(self.tx, self.id, manifest, BLOBS_MAX)?;
            blobs.extend(needs);
        }
        Ok(blobs)
    }

    /// When those that go are forgotten, the links of their blobs are reviewed, and then the blobs.
    fn look_at(&self, blob: &Digest, freed: &mut Freed) -> Result<(), Fault> {
        let stays_here = !self.is_all
            && meta::manifests::any_needs_blob(self.tx, self.id, blob, |manifest| {
                !self.manifests.contains(manifest)
            })?;
        let forgotten_at = self.now.after(self.rules.undelete);
        let (mut size_bytes, mut is_kept, mut at) = (0, false, forgotten_at);
        // What was deleted until now needs nothing any more then.
        meta::reviews::each_link_of(self.tx, blob, self.now, |mut link| {
            size_bytes = link.size_bytes;
            if link.repository_id == self.id {
                link.is_needed = stays_here;
                link.since = forgotten_at.before(self.rules.grace);
            }
            match verdict::of_link(&link, Kept::default(), self.rules, forgotten_at) {
                Verdict::Goes => {}
                Verdict::Waits { until } => at = at.max(until),
                Verdict::Stays => is_kept = true,
            }
            !is_kept
        })?;
        if stays_here {
            freed.shared_here_bytes += size_bytes;
        } else if is_kept {
            freed.shared_elsewhere_bytes += size_bytes;
        } else {
            freed.blobs += 1;
            freed.bytes += size_bytes;
            freed.at = freed.at.max(Some(at));
        }
        Ok(())
    }
}
