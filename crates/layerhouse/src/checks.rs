//! Which health checks fail, as requests are told and `/debug/health` lists. `jobs::checks` makes them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::config::meaning::Health;

/// The checks of a server.
#[derive(Debug)]
pub(crate) struct Checks {
    wanted: watch::Sender<Health>,
    /// By name: what each says that failed often enough.
    failures: Mutex<BTreeMap<String, String>>,
    /// How many these are: each request looks.
    failing: AtomicUsize,
}

impl Checks {
    pub(crate) fn new(wanted: Health) -> Self {
        Self {
            wanted: watch::Sender::new(wanted),
            failures: Mutex::default(),
            failing: AtomicUsize::new(0),
        }
    }

    /// Other checks from now on; if they are the same, they go on as they are.
    pub(crate) fn replace(&self, wanted: &Health) {
        self.wanted.send_if_modified(|current| {
            let is_other = current != wanted;
            if is_other {
                current.clone_from(wanted);
            }
            is_other
        });
    }

    /// The checks to make, and word when they are others.
    pub(crate) fn wanted(&self) -> watch::Receiver<Health> {
        self.wanted.subscribe()
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.failing() != 0
    }

    pub(crate) fn failing(&self) -> usize {
        self.failing.load(Ordering::Relaxed)
    }

    pub(crate) fn failures(&self) -> BTreeMap<String, String> {
        self.lock().clone()
    }

    /// A check was made, or made so often in vain that it counts.
    pub(crate) fn note(&self, name: &str, failure: Option<String>) {
        let mut failures = self.lock();
        let is_failure = failure.is_some();
        let before = match failure {
            Some(failure) => failures.insert(name.to_owned(), failure),
            None => failures.remove(name),
        };
        self.failing.store(failures.len(), Ordering::Relaxed);
        drop(failures);
        match (before, is_failure) {
            (None, true) => tracing::error!(
                check = name,
                "a health check fails: requests are answered with 503"
            ),
            (Some(_), false) => tracing::info!(check = name, "a health check is well again"),
            (None, false) | (Some(_), true) => {}
        }
    }

    /// Forgets everything, for other checks.
    pub(crate) fn clear(&self) {
        let mut failures = self.lock();
        failures.clear();
        self.failing.store(0, Ordering::Relaxed);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
