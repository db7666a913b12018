//! How long the disk and object stores take, by registry:2's names for what is done to them.

use std::time::{Duration, Instant};

use super::tally::{ACTION_BOUNDS, Counters, Distribution, Histogram};

/// Something done to the disk, or asked of an object store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A link file or a manifest's copy is read, or a small object.
    GetContent,
    /// A link file or a manifest's copy is written, or an object at once.
    PutContent,
    /// A blob is opened, or a window of it read from the disk and not from the page cache; of an object, until its bytes
    /// begin to come.
    Reader,
    /// Bytes are staged, or made durable; a part of an object is sent.
    Writer,
    /// The root is looked at, or an object.
    Stat,
    /// A directory is listed.
    List,
    /// A staged blob gets its name; parts become an object.
    Move,
    /// A file is removed, or objects together.
    Delete,
}

pub(super) const ACTIONS: [&str; 8] = [
    "GetContent",
    "PutContent",
    "Reader",
    "Writer",
    "Stat",
    "List",
    "Move",
    "Delete",
];

/// What was done to the disk of one data directory, or asked of the stores of one kind.
#[derive(Debug)]
pub(crate) struct StorageActions {
    durations: [Histogram<11>; ACTIONS.len()],
    received_bytes: Counters,
}

impl Default for StorageActions {
    fn default() -> Self {
        Self {
            durations: std::array::from_fn(|_| Histogram::new(&ACTION_BOUNDS)),
            received_bytes: Counters::new(1),
        }
    }
}

/// Times one action while it lives.
#[derive(Debug)]
pub(crate) struct Timed<'a> {
    actions: &'a StorageActions,
    action: Action,
    began: Instant,
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        self.actions.observe(self.action, self.began.elapsed());
    }
}

impl StorageActions {
    /// Times an action until the guard is dropped, whatever comes of it.
    pub(crate) fn time(&self, action: Action) -> Timed<'_> {
        Timed {
            actions: self,
            action,
            began: Instant::now(),
        }
    }

    fn observe(&self, action: Action, duration: Duration) {
        self.durations[action as usize].observe_duration(duration);
    }

    /// Bytes of blobs that were staged.
    pub(crate) fn add_received_bytes(&self, more_bytes: u64) {
        self.received_bytes.add(0, more_bytes);
    }

    pub(super) fn received_bytes(&self) -> u64 {
        self.received_bytes.get(0)
    }

    /// The actions that were done at all, in seconds.
    pub(super) fn read(&self) -> impl Iterator<Item = (&'static str, Distribution)> + '_ {
        ACTIONS
            .into_iter()
            .zip(&self.durations)
            .map(|(name, durations)| (name, durations.read(1e9)))
            .filter(|(_, durations)| 0 < durations.count)
    }
}
