//! What all who take part in a soak share: the server's lives, what failed, what was done, chance.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::content::mix;

/// Failures that are kept with their words; more are counted.
const FAILURES_KEPT: usize = 40;
/// A soak that fails so often has said what it had to say.
const FAILURES_MAX: u64 = 200;

/// The server was killed while the request was under way: it was done or it was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Killed;

#[derive(Debug)]
pub(super) struct World {
    begun: Instant,
    /// Even while the server is there, odd while it is not; grows with every kill and every start.
    epoch: Mutex<u64>,
    changed: Condvar,
    over: AtomicBool,
    failures: Mutex<Vec<String>>,
    failed: AtomicU64,
    done: Mutex<BTreeMap<&'static str, u64>>,
    bytes: AtomicU64,
}

impl World {
    /// A world whose server is not there yet.
    pub(super) fn new() -> Self {
        Self {
            begun: Instant::now(),
            epoch: Mutex::new(1),
            changed: Condvar::new(),
            over: AtomicBool::new(false),
            failures: Mutex::default(),
            failed: AtomicU64::new(0),
            done: Mutex::default(),
            bytes: AtomicU64::new(0),
        }
    }

    /// The server comes or goes; told before it is killed, and after it answers.
    pub(super) fn turn(&self) {
        *self.epoch() += 1;
        self.changed.notify_all();
    }

    /// The server's life, waited for; nothing if the soak ends meanwhile.
    pub(super) fn life(&self) -> Option<u64> {
        let mut epoch = self.epoch();
        while *epoch % 2 == 1 {
            if self.is_over() {
                return None;
            }
            let waited = self.changed.wait_timeout(epoch, Duration::from_millis(50));
            epoch = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Some(*epoch)
    }

    /// Whether this is still the life that it was.
    pub(super) fn is_life(&self, life: u64) -> bool {
        *self.epoch() == life
    }

    fn epoch(&self) -> std::sync::MutexGuard<'_, u64> {
        self.epoch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client saw what must not be.
    pub(super) fn fail(&self, what: impl AsRef<str>) {
        let number = self.failed.fetch_add(1, Ordering::SeqCst);
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() < FAILURES_KEPT {
            let after = self.begun.elapsed().as_secs_f64();
            failures.push(format!("after {after:.3} s: {}", what.as_ref()));
        }
        if FAILURES_MAX <= number {
            self.end();
        }
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::SeqCst)
    }

    pub(super) fn failures(&self) -> Vec<String> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.clone()
    }

    /// One more of this kind.
    pub(super) fn count(&self, what: &'static str) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        *done.entry(what).or_default() += 1;
    }

    pub(super) fn done(&self) -> BTreeMap<&'static str, u64> {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.clone()
    }

    pub(super) fn moved(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Sleeps, but not beyond the end.
    pub(super) fn rest(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.is_over() && Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
    }
}

/// A sequence decided by its seed.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// A number below `below`, which is above zero.
    pub(super) fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0) % below
    }

    /// Whether this is one of `of` times.
    pub(super) fn once_in(&mut self, of: u64) -> bool {
        self.below(of) == 0
    }

    /// One of them; nothing of none.
    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let count = u64::try_from(from.len()).ok().filter(|count| 0 < *count)?;
        let at = usize::try_from(self.below(count)).ok()?;
        from.get(at)
    }
}
