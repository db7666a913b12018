//! What was told, and how that went: for metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What was told to one endpoint since the start, as registry:2 counts it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EndpointCounts {
    /// Events that it wants.
    pub(crate) events: u64,
    /// Attempts that it answered with 2xx or 3xx.
    pub(crate) successes: u64,
    /// Attempts that it answered otherwise.
    pub(crate) failures: u64,
    /// Attempts without an answer.
    pub(crate) errors: u64,
    /// Events that it will not get, because too many waited.
    pub(crate) lost: u64,
    /// Answers, by status.
    pub(crate) statuses: BTreeMap<u16, u64>,
}

/// How an attempt to deliver an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    Delivered { status: u16 },
    Refused { status: u16 },
    Failed,
}

/// Counts by the name of the endpoint; there are as many as were ever configured.
#[derive(Debug, Default)]
pub(super) struct Counters {
    endpoints: Mutex<BTreeMap<String, EndpointCounts>>,
    /// Pulls whose events were not written.
    lost_pulls: AtomicU64,
}

impl Counters {
    pub(super) fn count_event(&self, endpoint: &str) {
        self.change(endpoint, |counts| counts.events += 1);
    }

    pub(super) fn count_lost(&self, endpoint: &str, events: u64) {
        self.change(endpoint, |counts| counts.lost += events);
    }

    pub(super) fn count_attempt(&self, endpoint: &str, attempt: Attempt) {
        self.change(endpoint, |counts| match attempt {
            Attempt::Delivered { status } => {
                counts.successes += 1;
                *counts.statuses.entry(status).or_default() += 1;
            }
            Attempt::Refused { status } => {
                counts.failures += 1;
                *counts.statuses.entry(status).or_default() += 1;
            }
            Attempt::Failed => counts.errors += 1,
        });
    }

    /// Whether to say so: at the first, and then at every ten thousandth.
    pub(super) fn count_lost_pulls(&self, pulls: u64) -> bool {
        const SAID_EVERY: u64 = 10_000;
        let before = self.lost_pulls.fetch_add(pulls, Ordering::Relaxed);
        before.div_ceil(SAID_EVERY) < (before + pulls).div_ceil(SAID_EVERY)
    }

    pub(super) fn lost_pulls(&self) -> u64 {
        self.lost_pulls.load(Ordering::Relaxed)
    }

    pub(super) fn of(&self, endpoint: &str) -> EndpointCounts {
        self.lock().get(endpoint).cloned().unwrap_or_default()
    }

    fn change(&self, endpoint: &str, change: impl FnOnce(&mut EndpointCounts)) {
        let mut endpoints = self.lock();
        if let Some(counts) = endpoints.get_mut(endpoint) {
            change(counts);
        } else {
            change(endpoints.entry(endpoint.to_owned()).or_default());
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, EndpointCounts>> {
        self.endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_pulls_are_said_at_the_first_and_then_seldom() {
        let counters = Counters::default();
        let check = |pulls, is_said| {
            assert_eq!(counters.count_lost_pulls(pulls), is_said, "{counters:?}");
        };
        check(1, true);
        check(1, false);
        check(9_998, false);
        check(1, true);
        check(9_999, false);
        check(25_000, true);
        assert_eq!(counters.lost_pulls(), 45_000);
    }
}
