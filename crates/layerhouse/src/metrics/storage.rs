//! How long the disk takes, by registry:2's names for what is done to it.

use std::time::{Duration, Instant};

use super::tally::{ACTION_BOUNDS, Counters, Distribution, Histogram};

/// Something done to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A link file or a manifest's copy is read.
    GetContent,
    /// A link file or a manifest's copy is written.
    PutContent,
    /// A blob is opened, or a window of it read from the disk and not from the page cache.
    Reader,
    /// Bytes are staged, or made durable.
    Writer,
    /// The root is looked at.
    Stat,
    /// A directory is listed.
    List,
    /// A staged blob gets its name.
    Move,
    /// A file is removed.
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

/// What was done to the disk of one data directory.
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
