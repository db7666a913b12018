//! What a cache holds and what it keeps free for fills in progress, in bytes; and which file goes first. It
//! touches no file.

use std::collections::{BTreeMap, HashMap};

use layerhouse_oci::digest::Digest;

use crate::blobs::read::FileVersion;

/// Of the file system: a file takes no less, whatever its length.
const BLOCK_BYTES: u64 = 4096;

/// The files of a cache: the one whose last use is longest ago goes first.
#[derive(Debug)]
pub(super) struct Ledger {
    bytes_max: u64,
    files_max: usize,
    /// Of files that are there, those included that are being removed.
    held_bytes: u64,
    /// For fills in progress.
    reserved_bytes: u64,
    fills: usize,
    held: HashMap<Digest, Held>,
    by_use: BTreeMap<u64, Digest>,
    /// Numbers entries and uses; it only grows.
    counter: u64,
}

#[derive(Debug)]
struct Held {
    entry: Entry,
    space: Space,
    last_use: u64,
    /// The file as this process hashed it.
    verified: Option<FileVersion>,
}

/// Which of the files that a digest had here one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry(u64);

/// Bytes that a file takes of the cache; whoever has one must give it back.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) struct Space(u64);

/// Whether a file may come.
#[derive(Debug)]
pub(super) enum Room {
    Reserved(Space),
    /// This file must be removed first, and its space given back with [`Ledger::removed`].
    Evict(Digest, Space),
    /// All is taken by fills in progress, or the file is larger than the cache.
    None,
}

impl Ledger {
    /// Of so many bytes, and so many files, at most.
    pub(super) fn new(bytes_max: u64, files_max: usize) -> Self {
        Self {
            bytes_max,
            files_max,
            held_bytes: 0,
            reserved_bytes: 0,
            fills: 0,
            held: HashMap::new(),
            by_use: BTreeMap::new(),
            counter: 0,
        }
    }

    /// Bytes of files that are there.
    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    pub(super) fn holds(&self, digest: &Digest) -> bool {
        self.held.contains_key(digest)
    }

    /// Notes that a file is used; which one it is, and in which state it was hashed.
    pub(super) fn use_file(&mut self, digest: &Digest) -> Option<(Entry, Option<FileVersion>)> {
        let now = self.counter;
        let held = self.held.get_mut(digest)?;
        self.counter += 1;
        let digest = self.by_use.remove(&held.last_use);
        let digest = digest.expect("every file is in both maps");
        self.by_use.insert(now, digest);
        held.last_use = now;
        Some((held.entry, held.verified))
    }

    /// Keeps room for a file of so many bytes.
    pub(super) fn reserve(&mut self, size_bytes: u64) -> Room {
        let space_bytes = size_bytes.max(1).next_multiple_of(BLOCK_BYTES);
        let taken_bytes = self.held_bytes + self.reserved_bytes;
        let has_place = self.held.len() + self.fills < self.files_max;
        if has_place && space_bytes <= self.bytes_max.saturating_sub(taken_bytes) {
            self.reserved_bytes += space_bytes;
            self.fills += 1;
            return Room::Reserved(Space(space_bytes));
        }
        if self.bytes_max.saturating_sub(self.reserved_bytes) < space_bytes {
            return Room::None;
        }
        match self.evict() {
            Some((digest, space)) => Room::Evict(digest, space),
            None => Room::None,
        }
    }

    /// The file that goes first. It counts until its space is given back with [`Ledger::removed`].
    pub(super) fn evict(&mut self) -> Option<(Digest, Space)> {
        let (_, digest) = self.by_use.pop_first()?;
        let held = self.held.remove(&digest);
        let held = held.expect("every file is in both maps");
        Some((digest, held.space))
    }

    /// A file that was let go is removed.
    pub(super) fn removed(&mut self, Space(bytes): Space) {
        self.held_bytes -= bytes;
    }

    /// A file that was let go could not be removed, and is there still.
    pub(super) fn stays(&mut self, digest: &Digest, space: Space) {
        self.held_bytes -= space.0;
        self.insert(digest, space, None);
    }

    /// Bytes that fills in progress may still write, or wrote.
    pub(super) fn reserved_bytes(&self) -> u64 {
        self.reserved_bytes
    }

    /// A fill ended without a file.
    pub(super) fn give_back(&mut self, Space(bytes): Space) {
        self.reserved_bytes -= bytes;
        self.fills -= 1;
    }

    /// The file that room was kept for is there, as this process wrote it.
    pub(super) fn enter(&mut self, digest: &Digest, space: Space, verified: FileVersion) {
        self.reserved_bytes -= space.0;
        self.fills -= 1;
        self.insert(digest, space, Some(verified));
    }

    /// A file that an earlier process left, more recently used than those before; it may be more than there is room for.
    pub(super) fn find(&mut self, digest: &Digest, size_bytes: u64) {
        let space = Space(size_bytes.max(1).next_multiple_of(BLOCK_BYTES));
        self.insert(digest, space, None);
    }

    /// Whether more is held than may be.
    pub(super) fn has_surplus(&self) -> bool {
        self.bytes_max < self.held_bytes || self.files_max < self.held.len()
    }

    fn insert(&mut self, digest: &Digest, space: Space, verified: Option<FileVersion>) {
        // Its file is replaced, not added.
        if let Some(before) = self.held.remove(digest) {
            self.by_use.remove(&before.last_use);
            self.held_bytes -= before.space.0;
        }
        self.held_bytes += space.0;
        let held = Held {
            entry: Entry(self.counter),
            space,
            last_use: self.counter,
            verified,
        };
        self.by_use.insert(self.counter, digest.clone());
        self.held.insert(digest.clone(), held);
        self.counter += 1;
    }

    /// A file hashes to its digest.
    pub(super) fn verify(&mut self, digest: &Digest, entry: Entry, version: FileVersion) {
        if let Some(held) = self.held.get_mut(digest)
            && held.entry == entry
        {
            held.verified = Some(version);
        }
    }

    /// Lets a file go, if it still is the same: as with [`Ledger::evict`].
    pub(super) fn let_go(&mut self, digest: &Digest, entry: Entry) -> Option<Space> {
        if self.held.get(digest)?.entry != entry {
            return None;
        }
        let held = self.held.remove(digest)?;
        self.by_use.remove(&held.last_use);
        Some(held.space)
    }
}

#[cfg(test)]
mod tests {
    use layerhouse_oci::digest::Algorithm;
    use proptest::prelude::*;

    use super::*;

    fn digest(number: u8) -> Digest {
        Digest::of(Algorithm::Sha256, &[number])
    }

    /// A version, whichever.
    fn version() -> FileVersion {
        let file = tempfile::tempfile().expect("a file");
        FileVersion::new(&file.metadata().expect("it is open"))
    }

    /// Has a file come as a fill does; what was evicted for it, or `None` if there was no room.
    fn fill(ledger: &mut Ledger, number: u8, size_bytes: u64) -> Option<Vec<Digest>> {
        let mut evicted = Vec::new();
        loop {
            match ledger.reserve(size_bytes) {
                Room::Reserved(space) => {
                    ledger.enter(&digest(number), space, version());
                    return Some(evicted);
                }
                Room::Evict(digest, space) => {
                    ledger.removed(space);
                    evicted.push(digest);
                }
                Room::None => return None,
            }
        }
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut ledger = Ledger::new(4 * BLOCK_BYTES, 10);
        for number in 1..=4 {
            assert_eq!(fill(&mut ledger, number, 100), Some(vec![]));
        }
        ledger.use_file(&digest(1)).expect("it is there");
        assert_eq!(fill(&mut ledger, 5, 1), Some(vec![digest(2)]));
        // Two blocks.
        let evicted = vec![digest(3), digest(4)];
        assert_eq!(fill(&mut ledger, 6, BLOCK_BYTES + 1), Some(evicted));
        assert!(ledger.holds(&digest(1)) && !ledger.holds(&digest(2)));
        assert_eq!(fill(&mut ledger, 7, 4 * BLOCK_BYTES + 1), None);
        assert!(ledger.holds(&digest(1)), "nothing goes for what never fits");
    }

    #[test]
    fn files_are_bounded() {
        let mut ledger = Ledger::new(1 << 30, 2);
        for number in 1..=2 {
            assert_eq!(fill(&mut ledger, number, 1), Some(vec![]));
        }
        assert_eq!(fill(&mut ledger, 3, 1), Some(vec![digest(1)]));
    }

    #[test]
    fn what_fills_keep_is_nobody_elses() {
        let mut ledger = Ledger::new(2 * BLOCK_BYTES, 10);
        let Room::Reserved(first) = ledger.reserve(BLOCK_BYTES + 1) else {
            panic!("there is room");
        };
        assert!(matches!(ledger.reserve(1), Room::None));
        ledger.give_back(first);
        assert_eq!(fill(&mut ledger, 1, 1), Some(vec![]));
    }

    #[test]
    fn another_file_of_a_digest_is_another() {
        let mut ledger = Ledger::new(10 * BLOCK_BYTES, 10);
        ledger.find(&digest(1), 10);
        let (entry, verified) = ledger.use_file(&digest(1)).expect("it is there");
        assert_eq!(verified, None);
        let space = ledger.let_go(&digest(1), entry).expect("it is the same");
        ledger.removed(space);
        fill(&mut ledger, 1, 10).expect("there is room");
        assert_eq!(ledger.let_go(&digest(1), entry), None);
        ledger.verify(&digest(1), entry, version());
        assert_eq!(ledger.held_bytes(), BLOCK_BYTES);
    }

    #[test]
    fn what_was_left_may_be_too_much() {
        let mut ledger = Ledger::new(2 * BLOCK_BYTES, 10);
        for number in 1..=4 {
            ledger.find(&digest(number), 1);
        }
        let mut evicted = Vec::new();
        while ledger.has_surplus() {
            let (digest, space) = ledger.evict().expect("there is some");
            ledger.removed(space);
            evicted.push(digest);
        }
        assert_eq!(evicted, [digest(1), digest(2)]);
    }

    #[derive(Clone, Debug)]
    enum Deed {
        Reserve(u64),
        Enter(u8),
        GiveBack,
        Use(u8),
        LetGo(u8),
    }

    fn deed() -> impl Strategy<Value = Deed> {
        prop_oneof![
            (0..6 * BLOCK_BYTES).prop_map(Deed::Reserve),
            (0..9u8).prop_map(Deed::Enter),
            Just(Deed::GiveBack),
            (0..9u8).prop_map(Deed::Use),
            (0..9u8).prop_map(Deed::LetGo),
        ]
    }

    proptest! {
        /// Whatever happens: no more than was said, files on their way included, and the order is that of use.
        #[test]
        fn bounds_hold(deeds in prop::collection::vec(deed(), 0..200)) {
            let (bytes_max, files_max) = (8 * BLOCK_BYTES, 5);
            let mut ledger = Ledger::new(bytes_max, files_max);
            let mut order: Vec<Digest> = Vec::new();
            let mut open: Vec<Space> = Vec::new();
            for deed in deeds {
                match deed {
                    Deed::Reserve(size_bytes) => match ledger.reserve(size_bytes) {
                        Room::Reserved(space) => open.push(space),
                        Room::Evict(digest, space) => {
                            prop_assert_eq!(order.remove(0), digest);
                            ledger.removed(space);
                        }
                        Room::None => {}
                    },
                    Deed::Enter(number) => {
                        if let Some(space) = open.pop() {
                            ledger.enter(&digest(number), space, version());
                            order.retain(|one| *one != digest(number));
                            order.push(digest(number));
                        }
                    }
                    Deed::GiveBack => {
                        if let Some(space) = open.pop() {
                            ledger.give_back(space);
                        }
                    }
                    Deed::Use(number) => {
                        if ledger.use_file(&digest(number)).is_some() {
                            order.retain(|one| *one != digest(number));
                            order.push(digest(number));
                        }
                    }
                    Deed::LetGo(number) => {
                        if let Some((entry, _)) = ledger.use_file(&digest(number)) {
                            let space = ledger.let_go(&digest(number), entry).expect("it is the same");
                            ledger.removed(space);
                            order.retain(|one| *one != digest(number));
                        }
                    }
                }
                let reserved: u64 = open.iter().map(|space| space.0).sum();
                let held: u64 = ledger.held.values().map(|held| held.space.0).sum();
                prop_assert_eq!((ledger.held_bytes, ledger.reserved_bytes), (held, reserved));
                prop_assert!(held + reserved <= bytes_max);
                prop_assert!(ledger.held.len() + open.len() <= files_max);
                prop_assert_eq!(ledger.by_use.values().cloned().collect::<Vec<_>>(), order.clone());
            }
        }
    }
}
