//! What the scrub did.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use super::NEVER;

/// Numbers of one data directory, from the start.
#[derive(Debug)]
pub(crate) struct ScrubNumbers {
    bytes: AtomicU64,
    blobs: AtomicU64,
    damaged: AtomicU64,
    repaired: AtomicU64,
    unreadable: AtomicU64,
    finished_at_seconds: AtomicI64,
}

impl Default for ScrubNumbers {
    fn default() -> Self {
        Self {
            bytes: AtomicU64::new(0),
            blobs: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
            repaired: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
            finished_at_seconds: AtomicI64::new(NEVER),
        }
    }
}

impl ScrubNumbers {
    /// Bytes were read and hashed.
    pub(crate) fn add_bytes(&self, more: u64) {
        self.bytes.fetch_add(more, Ordering::Relaxed);
    }

    /// A blob was looked at whole.
    pub(crate) fn add_blob(&self) {
        self.blobs.fetch_add(1, Ordering::Relaxed);
    }

    /// Something stored is damaged or missing; also when a pull found it.
    pub(crate) fn add_damaged(&self) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
    }

    /// Something damaged was made again from what is stored elsewhere.
    pub(crate) fn add_repaired(&self) {
        self.repaired.fetch_add(1, Ordering::Relaxed);
    }

    /// The disk did not give what is stored.
    pub(crate) fn add_unreadable(&self) {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
    }

    /// A pass over everything ended, in seconds since 1970.
    pub(crate) fn set_finished(&self, at_seconds: i64) {
        self.finished_at_seconds
            .store(at_seconds, Ordering::Relaxed);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn blobs(&self) -> u64 {
        self.blobs.load(Ordering::Relaxed)
    }

    /// What was found, by what it was.
    pub(super) fn found(&self) -> [([(&'static str, &'static str); 1], u64); 3] {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ([("what", "damaged")], count(&self.damaged)),
            ([("what", "repaired")], count(&self.repaired)),
            ([("what", "unreadable")], count(&self.unreadable)),
        ]
    }

    pub(super) fn finished_at_seconds(&self) -> Option<i64> {
        Some(self.finished_at_seconds.load(Ordering::Relaxed)).filter(|at| *at != NEVER)
    }
}
