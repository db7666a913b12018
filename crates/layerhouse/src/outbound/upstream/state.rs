//! What is counted of an upstream, for its status and the metrics; no secret gets here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::error::UpstreamError;
use super::rate_limit::RateLimit;
use crate::clock::Timestamp;

/// How an upstream does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UpstreamState {
    /// Questions that its endpoints were asked since the start.
    pub(crate) requests: u64,
    /// Those that brought no answer, and bodies that broke off. That something is not there is an answer.
    pub(crate) failures: u64,
    /// Of bodies, as they came.
    pub(crate) received_bytes: u64,
    /// No endpoint is asked for anything until then, for they failed or said so (429).
    pub(crate) is_closed_until: Option<Timestamp>,
    /// When something failed last, and what.
    pub(crate) last_failure: Option<(Timestamp, String)>,
    pub(crate) rate_limit: Option<RateLimit>,
}

/// The numbers behind it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    requests: AtomicU64,
    failures: AtomicU64,
    received_bytes: AtomicU64,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    failure: Option<(Timestamp, String)>,
    rate_limit: Option<RateLimit>,
}

impl Tally {
    pub(super) fn asked(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.received_bytes
            .fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, error: &UpstreamError, now: Timestamp) {
        if error.is_an_answer() {
            return;
        }
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.failure = Some((now, error.to_string()));
    }

    pub(super) fn limits(&self, limit: RateLimit) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.rate_limit = Some(limit);
    }

    pub(super) fn state(&self, is_closed_until: Option<Timestamp>) -> UpstreamState {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        UpstreamState {
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            received_bytes: self.received_bytes.load(Ordering::Relaxed),
            is_closed_until,
            last_failure: last.failure.clone(),
            rate_limit: last.rate_limit,
        }
    }
}
