//! Which copies go: pure, so that the preview and the run decide alike.
//!
//! What goes is a manifest that nothing holds, together with what it alone holds: the images of an index, and what
//! refers to a subject. Least recently pulled go first; what was pulled by digest counts for the index that
//! alone needs it, too.

use std::collections::{BTreeSet, HashMap};

use crate::clock::Timestamp;

/// Of a budget that was exceeded, so much stays used, that not each fetch evicts something.
const KEPT_PERCENT: u64 = 90;

/// What the copies hold. Manifests and blobs are known by their places.
#[derive(Clone, Debug, Default)]
pub(super) struct Holdings {
    pub(super) manifests: Vec<Manifest>,
    /// Bytes of each blob.
    pub(super) sizes: Vec<u64>,
}

/// A manifest of a copy.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    /// Place in [`Bounds::upstreams`].
    pub(super) upstream: usize,
    pub(super) used_at: Timestamp,
    pub(super) is_tagged: bool,
    pub(super) is_pinned: bool,
    /// The images of an index that are here: it cannot be without them.
    pub(super) children: Vec<usize>,
    /// What refers to it as its subject.
    pub(super) referrers: Vec<usize>,
    /// Those that are here.
    pub(super) blobs: Vec<usize>,
}

/// What may be held.
#[derive(Clone, Debug, Default)]
pub(super) struct Bounds {
    /// What was not pulled since goes.
    pub(super) used_since: Option<Timestamp>,
    /// Bytes of all copies.
    pub(super) budget_bytes: Option<u64>,
    /// Bytes of each upstream's.
    pub(super) upstreams: Vec<Option<u64>>,
}

/// Why something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It was not pulled for longer than is kept.
    Age,
    /// The copies of its upstream take more than their budget.
    UpstreamBudget,
    /// All copies take more than their budget.
    Budget,
}

/// A manifest that goes, and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// The first holds the others; each stands behind those that hold it.
    pub(super) manifests: Vec<usize>,
    pub(super) why: Reason,
    /// Bytes that no copy needs any more then.
    pub(super) bytes: u64,
}

/// What goes, in this order.
pub(super) fn decide(holdings: &Holdings, bounds: &Bounds) -> Vec<Unit> {
    let mut state = State::new(holdings, bounds);
    let mut units = Vec::new();
    if let Some(since) = bounds.used_since {
        while let Some((used_at, upstream)) = state.oldest()
            && used_at < since
        {
            units.extend(state.evict(upstream, Reason::Age));
        }
    }
    for (upstream, budget_bytes) in bounds.upstreams.iter().enumerate() {
        if let Some(budget_bytes) = *budget_bytes
            && budget_bytes < state.upstream_bytes[upstream]
        {
            while low(budget_bytes) < state.upstream_bytes[upstream]
                && let Some(unit) = state.evict(upstream, Reason::UpstreamBudget)
            {
                units.push(unit);
            }
        }
    }
    if let Some(budget_bytes) = bounds.budget_bytes
        && budget_bytes < state.bytes
    {
        while low(budget_bytes) < state.bytes
            && let Some((_, upstream)) = state.oldest()
        {
            units.extend(state.evict(upstream, Reason::Budget));
        }
    }
    units
}

/// Down to where a budget is met again.
fn low(budget_bytes: u64) -> u64 {
    budget_bytes / 100 * KEPT_PERCENT + budget_bytes % 100 * KEPT_PERCENT / 100
}

/// What is left while it is decided.
struct State<'a> {
    holdings: &'a Holdings,
    is_gone: Vec<bool>,
    is_pinned: Vec<bool>,
    used_at: Vec<Timestamp>,
    /// Indexes that are left and need a manifest.
    indexes: Vec<usize>,
    /// Manifests that are left and that it refers to: at most one.
    subjects: Vec<usize>,
    /// Manifests that nothing holds, by upstream; least recently used first.
    free: Vec<BTreeSet<(Timestamp, usize)>>,
    /// How many manifests need a blob: of all, and of an upstream.
    needs: Vec<u32>,
    upstream_needs: HashMap<(usize, usize), u32>,
    bytes: u64,
    upstream_bytes: Vec<u64>,
}

impl<'a> State<'a> {
    fn new(holdings: &'a Holdings, bounds: &Bounds) -> Self {
        let count = holdings.manifests.len();
        let mut state = State {
            holdings,
            is_gone: vec![false; count],
            is_pinned: pinned(holdings),
            used_at: used(holdings),
            indexes: vec![0; count],
            subjects: vec![0; count],
            free: vec![BTreeSet::new(); bounds.upstreams.len()],
            needs: vec![0; holdings.sizes.len()],
            upstream_needs: HashMap::new(),
            bytes: 0,
            upstream_bytes: vec![0; bounds.upstreams.len()],
        };
        for (place, manifest) in holdings.manifests.iter().enumerate() {
            for child in others(place, &manifest.children) {
                state.indexes[child] += 1;
            }
            for referrer in others(place, &manifest.referrers) {
                state.subjects[referrer] += 1;
            }
            for blob in &manifest.blobs {
                let (upstream, size_bytes) = (manifest.upstream, holdings.sizes[*blob]);
                let needs = state.upstream_needs.entry((upstream, *blob)).or_default();
                if *needs == 0 {
                    state.upstream_bytes[upstream] += size_bytes;
                }
                *needs += 1;
                if state.needs[*blob] == 0 {
                    state.bytes += size_bytes;
                }
                state.needs[*blob] += 1;
            }
        }
        for place in 0..count {
            state.free_if_unheld(place);
        }
        state
    }

    /// When the least recently used of all was used, and whose it is.
    fn oldest(&self) -> Option<(Timestamp, usize)> {
        let firsts = self.free.iter().enumerate();
        let firsts = firsts.filter_map(|(upstream, free)| {
            let (used_at, _) = free.first()?;
            Some((*used_at, upstream))
        });
        firsts.min()
    }

    fn free_if_unheld(&mut self, place: usize) {
        let manifest = &self.holdings.manifests[place];
        let is_held = 0 < self.indexes[place] || (0 < self.subjects[place] && !manifest.is_tagged);
        if !is_held && !self.is_pinned[place] {
            self.free[manifest.upstream].insert((self.used_at[place], place));
        }
    }

    /// Lets the least recently used of an upstream go; `None` if nothing of it may.
    fn evict(&mut self, upstream: usize, why: Reason) -> Option<Unit> {
        let (_, root) = self.free[upstream].pop_first()?;
        let before = self.bytes;
        let mut manifests = vec![root];
        let mut at = 0;
        while let Some(place) = manifests.get(at).copied() {
            at += 1;
            self.is_gone[place] = true;
            self.release_blobs(place);
            let manifest = &self.holdings.manifests[place];
            for child in others(place, &manifest.children) {
                self.indexes[child] -= 1;
                self.leave(child, &mut manifests);
            }
            for referrer in others(place, &manifest.referrers) {
                self.subjects[referrer] -= 1;
                self.leave(referrer, &mut manifests);
            }
        }
        Some(Unit {
            manifests,
            why,
            bytes: before - self.bytes,
        })
    }

    /// What held `place` is gone: it goes, too, or can go by itself from now on.
    fn leave(&mut self, place: usize, going: &mut Vec<usize>) {
        if self.is_gone[place] || 0 < self.indexes[place] || 0 < self.subjects[place] {
            return;
        }
        let manifest = &self.holdings.manifests[place];
        if manifest.is_tagged || self.is_pinned[place] {
            self.free_if_unheld(place);
        } else {
            going.push(place);
        }
    }

    fn release_blobs(&mut self, place: usize) {
        let manifest = &self.holdings.manifests[place];
        for blob in &manifest.blobs {
            let size_bytes = self.holdings.sizes[*blob];
            if let Some(needs) = self.upstream_needs.get_mut(&(manifest.upstream, *blob)) {
                *needs -= 1;
                if *needs == 0 {
                    self.upstream_bytes[manifest.upstream] -= size_bytes;
                }
            }
            self.needs[*blob] -= 1;
            if self.needs[*blob] == 0 {
                self.bytes -= size_bytes;
            }
        }
    }
}

/// A manifest that names itself holds nothing by that.
fn others(place: usize, held: &[usize]) -> impl Iterator<Item = usize> + '_ {
    held.iter().copied().filter(move |other| *other != place)
}

/// Whether each is pinned, or what needs it or is its subject is.
fn pinned(holdings: &Holdings) -> Vec<bool> {
    let mut pinned = vec![false; holdings.manifests.len()];
    let is_pinned = |place: &usize| holdings.manifests[*place].is_pinned;
    let mut open: Vec<usize> = (0..pinned.len()).filter(is_pinned).collect();
    while let Some(place) = open.pop() {
        if !std::mem::replace(&mut pinned[place], true) {
            let manifest = &holdings.manifests[place];
            open.extend(manifest.children.iter().chain(&manifest.referrers));
        }
    }
    pinned
}

/// When each, or what it alone holds, was last used.
fn used(holdings: &Holdings) -> Vec<Timestamp> {
    let manifests = &holdings.manifests;
    let mut holders = vec![Vec::new(); manifests.len()];
    for (place, manifest) in manifests.iter().enumerate() {
        for held in others(place, &manifest.children).chain(others(place, &manifest.referrers)) {
            holders[held].push(place);
        }
    }
    let mut used: Vec<Timestamp> = manifests.iter().map(|manifest| manifest.used_at).collect();
    let mut open: Vec<usize> = (0..used.len()).collect();
    while let Some(place) = open.pop() {
        // One that has a tag stays when what holds it goes, and so does one that something else holds.
        if let [holder] = holders[place].as_slice()
            && !manifests[place].is_tagged
            && used[*holder] < used[place]
        {
            used[*holder] = used[place];
            open.push(*holder);
        }
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image that was used then, with these blobs.
    fn image(used_at: i64, blobs: &[usize]) -> Manifest {
        Manifest {
            upstream: 0,
            used_at: Timestamp(used_at),
            is_tagged: true,
            is_pinned: false,
            children: Vec::new(),
            referrers: Vec::new(),
            blobs: blobs.to_vec(),
        }
    }

    fn child(used_at: i64, blobs: &[usize]) -> Manifest {
        Manifest {
            is_tagged: false,
            ..image(used_at, blobs)
        }
    }

    fn index(used_at: i64, children: &[usize]) -> Manifest {
        Manifest {
            children: children.to_vec(),
            ..image(used_at, &[])
        }
    }

    fn of(manifests: Vec<Manifest>, sizes: &[u64]) -> Holdings {
        Holdings {
            manifests,
            sizes: sizes.to_vec(),
        }
    }

    fn bounds(budget_bytes: u64) -> Bounds {
        Bounds {
            budget_bytes: Some(budget_bytes),
            upstreams: vec![None],
            ..Bounds::default()
        }
    }

    /// What goes, unit by unit, and the bytes of each.
    fn goes(holdings: &Holdings, bounds: &Bounds) -> Vec<(Vec<usize>, u64)> {
        let units = decide(holdings, bounds);
        let units = units.into_iter().map(|unit| (unit.manifests, unit.bytes));
        units.collect()
    }

    #[test]
    fn least_recently_used_go_until_nine_tenths_are_left() {
        let images = vec![
            image(3, &[0]),
            image(1, &[1]),
            image(2, &[2]),
            image(4, &[3]),
        ];
        let holdings = of(images, &[50, 30, 20, 100]);
        assert_eq!(goes(&holdings, &bounds(200)), []);
        // 200 of 199: 179 are to be left.
        assert_eq!(goes(&holdings, &bounds(199)), [(vec![1], 30)]);
        assert_eq!(
            goes(&holdings, &bounds(150)),
            [(vec![1], 30), (vec![2], 20), (vec![0], 50)]
        );
        assert_eq!(goes(&holdings, &bounds(1)).len(), 4);
    }

    #[test]
    fn a_shared_blob_counts_once_and_goes_with_the_last() {
        let holdings = of(vec![image(1, &[0, 1]), image(2, &[0, 2])], &[100, 10, 10]);
        assert_eq!(goes(&holdings, &bounds(120)), []);
        assert_eq!(
            goes(&holdings, &bounds(119)),
            [(vec![0], 10), (vec![1], 110)]
        );
    }

    #[test]
    fn the_images_of_an_index_go_with_it() {
        let manifests = vec![
            index(1, &[1, 2]),
            child(2, &[0]),
            // Pulled by digest a moment ago: its index was, too.
            child(9, &[1]),
            image(5, &[2]),
        ];
        let mut holdings = of(manifests, &[10, 10, 10]);
        assert_eq!(goes(&holdings, &bounds(25)), [(vec![3], 10)]);
        assert_eq!(
            goes(&holdings, &bounds(15)),
            [(vec![3], 10), (vec![0, 1, 2], 20)]
        );
        // One that another index needs stays; one that has a tag goes by itself.
        holdings.manifests[3].used_at = Timestamp(10);
        holdings.manifests[1].is_tagged = true;
        holdings.manifests.push(index(8, &[2]));
        assert_eq!(
            goes(&holdings, &bounds(1)),
            [(vec![0], 0), (vec![1], 10), (vec![4, 2], 10), (vec![3], 10)]
        );
    }

    #[test]
    fn nested_indexes_and_what_refers_to_them() {
        let mut manifests = vec![
            index(1, &[1, 2]),
            index(1, &[2]),
            child(1, &[0]),
            child(1, &[1]),
            image(1, &[2]),
        ];
        manifests[1].is_tagged = false;
        manifests[2].referrers = vec![3, 4];
        // Nonsense that must not make it go round.
        manifests[2].children = vec![2];
        let mut holdings = of(manifests, &[10, 10, 10]);
        // A signature that has a tag goes by itself.
        assert_eq!(
            goes(&holdings, &bounds(1)),
            [(vec![0, 1, 2, 3], 20), (vec![4], 10)]
        );
        holdings.manifests[4].used_at = Timestamp(0);
        assert_eq!(
            goes(&holdings, &bounds(1)),
            [(vec![4], 10), (vec![0, 1, 2, 3], 20)]
        );
    }

    #[test]
    fn pinned_ones_stay_with_all_that_they_need() {
        let mut manifests = vec![
            index(1, &[1]),
            child(1, &[0]),
            image(2, &[0, 1]),
            index(1, &[2]),
        ];
        manifests[0].is_pinned = true;
        let mut holdings = of(manifests, &[10, 10]);
        assert_eq!(goes(&holdings, &bounds(1)), [(vec![3], 0), (vec![2], 10)]);
        // An image of an index that is not pinned.
        holdings.manifests[0].is_pinned = false;
        holdings.manifests[1].is_pinned = true;
        assert_eq!(
            goes(&holdings, &bounds(1)),
            [(vec![0], 0), (vec![3], 0), (vec![2], 10)]
        );
        assert_eq!(
            decide(
                &holdings,
                &Bounds {
                    upstreams: vec![None],
                    ..Bounds::default()
                }
            ),
            []
        );
    }

    #[test]
    fn what_was_not_pulled_for_long_goes_first() {
        let holdings = of(
            vec![image(1, &[0]), image(5, &[1]), image(9, &[2])],
            &[10; 3],
        );
        let mut bounds = bounds(1000);
        bounds.used_since = Some(Timestamp(5));
        assert_eq!(goes(&holdings, &bounds), [(vec![0], 10)]);
        // That is enough for the budget, too.
        bounds.budget_bytes = Some(22);
        assert_eq!(goes(&holdings, &bounds), [(vec![0], 10)]);
        bounds.budget_bytes = Some(19);
        let units = decide(&holdings, &bounds);
        let whys: Vec<_> = units.iter().map(|unit| unit.why).collect();
        assert_eq!(whys, [Reason::Age, Reason::Budget]);
    }

    #[test]
    fn each_upstream_has_its_own_budget() {
        let mut manifests = vec![image(1, &[0]), image(2, &[0, 1]), image(3, &[2])];
        manifests[1].upstream = 1;
        manifests[2].upstream = 1;
        let holdings = of(manifests, &[10, 10, 10]);
        let mut bounds = Bounds {
            upstreams: vec![None, Some(29)],
            ..Bounds::default()
        };
        // The blob that the other upstream has, too, counts for both, and stays on the disk.
        assert_eq!(goes(&holdings, &bounds), [(vec![1], 10)]);
        bounds.upstreams[1] = Some(30);
        assert_eq!(goes(&holdings, &bounds), []);
        bounds.budget_bytes = Some(29);
        assert_eq!(goes(&holdings, &bounds), [(vec![0], 0), (vec![1], 20)]);
    }
}
