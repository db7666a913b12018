//! What collection did.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::NEVER;
use super::labels::COLLECTED;
use super::tally::{Distribution, Histogram};

/// Bounds of durations, in nanoseconds: a round that finds nothing takes a millisecond, the first one of a large
/// directory an hour.
const RUN_BOUNDS: [u64; 8] = [
    10_000_000,
    100_000_000,
    1_000_000_000,
    10_000_000_000,
    60_000_000_000,
    600_000_000_000,
    3_600_000_000_000,
    36_000_000_000_000,
];

/// Numbers of one data directory, from the start.
#[derive(Debug)]
pub(crate) struct CollectionNumbers {
    done: AtomicU64,
    failed: AtomicU64,
    freed_bytes: AtomicU64,
    durations: Histogram<8>,
    done_at_seconds: AtomicI64,
}

impl Default for CollectionNumbers {
    fn default() -> Self {
        Self {
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            freed_bytes: AtomicU64::new(0),
            durations: Histogram::new(&RUN_BOUNDS),
            done_at_seconds: AtomicI64::new(NEVER),
        }
    }
}

impl CollectionNumbers {
    /// Bytes of blobs were given back.
    pub(crate) fn add_freed(&self, bytes: u64) {
        self.freed_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// A collection took all that may go, and ended then, in seconds since 1970.
    pub(crate) fn add_done(&self, took: Duration, at_seconds: i64) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.durations.observe_duration(took);
        self.done_at_seconds.store(at_seconds, Ordering::Relaxed);
    }

    /// A collection left what it could not take to the next.
    pub(crate) fn add_failed(&self, took: Duration) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.durations.observe_duration(took);
    }

    /// Collections, by how they ended.
    pub(super) fn runs(&self) -> [([(&'static str, &'static str); 1], u64); 2] {
        let [done, failed] = COLLECTED;
        [
            ([("result", done)], self.done.load(Ordering::Relaxed)),
            ([("result", failed)], self.failed.load(Ordering::Relaxed)),
        ]
    }

    pub(super) fn freed_bytes(&self) -> u64 {
        self.freed_bytes.load(Ordering::Relaxed)
    }

    /// In seconds.
    pub(super) fn durations(&self) -> Distribution {
        self.durations.read(1e9)
    }

    pub(super) fn done_at_seconds(&self) -> Option<i64> {
        Some(self.done_at_seconds.load(Ordering::Relaxed)).filter(|at| *at != NEVER)
    }
}
