//! Who guessed wrong often waits before the next guess is even hashed.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::clock::Timestamp;

/// Wrong passwords for one user from one place before there is any waiting: a person's mistakes, and a
/// build server that was not told of a new password.
pub(super) const FREE_OF_USER: u32 = 10;
/// Wrong passwords from one place, whoever's: many people may share it.
pub(super) const FREE_OF_PLACE: u32 = 100;
/// The waiting doubles from a second up to this.
const WAIT_MAX: Duration = Duration::from_secs(32);
/// After this long without a failure all is forgotten.
const FORGET_AFTER: Duration = Duration::from_mins(10);
/// Places and users that are remembered; beyond, those that were not seen for long are forgotten.
const REMEMBERED_MAX: u64 = 10_000;
/// Requests that run at once may have looked at the clock in another order.
const AHEAD_MAX: Duration = Duration::from_secs(1);

/// A digest of place and user, or of a place.
pub(crate) type Who = [u8; 32];

/// How long ago it was; `None` for what is to come, for the clock was set back since.
pub(super) fn age(since: Timestamp, now: Timestamp) -> Option<Duration> {
    (since.since(now) <= AHEAD_MAX).then(|| now.since(since))
}

/// Failures by whom they were of.
pub(crate) struct Backoff {
    failures: Cache<Who, Failures>,
    /// How many cost no waiting.
    free: u32,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Timestamp,
}

impl Failures {
    fn wait(self, free: u32) -> Duration {
        let doublings = self.count.saturating_sub(free);
        if doublings == 0 {
            return Duration::ZERO;
        }
        Duration::from_secs(1 << (doublings - 1).min(5)).min(WAIT_MAX)
    }
}

impl Backoff {
    pub(crate) fn new(free: u32) -> Self {
        // By when they were last seen, not how often: who comes with many addresses must not keep
        // new ones from being remembered.
        let failures = Cache::builder()
            .max_capacity(REMEMBERED_MAX)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_idle(FORGET_AFTER)
            .build();
        Self { failures, free }
    }

    fn of(&self, who: &Who, now: Timestamp) -> Option<(Failures, Duration)> {
        let failures = self.failures.get(who)?;
        let age = age(failures.last, now).filter(|age| *age < FORGET_AFTER)?;
        Some((failures, age))
    }

    /// How long to wait from now; zero, mostly.
    pub(crate) fn wait(&self, who: &Who, now: Timestamp) -> Duration {
        self.of(who, now).map_or(Duration::ZERO, |(failures, age)| {
            failures.wait(self.free).saturating_sub(age)
        })
    }

    pub(crate) fn failed(&self, who: Who, now: Timestamp) {
        let before = self.of(&who, now);
        let count = before
            .map_or(0, |(failures, _)| failures.count)
            .saturating_add(1);
        self.failures.insert(who, Failures { count, last: now });
    }

    pub(crate) fn forgive(&self, who: &Who) {
        self.failures.invalidate(who);
    }
}

/// The place that an address is of: without its port, and with IPv6 the network of 64 bits, for whoever
/// has one of its addresses has all.
pub(crate) fn place(address: &str) -> String {
    let ip = address
        .parse::<SocketAddr>()
        .map(|address| address.ip())
        .or_else(|_| address.parse());
    match ip.map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => ip.to_string(),
        Ok(IpAddr::V6(ip)) => format!("{:x}", ip.to_bits() >> 64),
        Err(_) => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_begins_late_doubles_and_ends() {
        let backoff = Backoff::new(FREE_OF_USER);
        let who = [1; 32];
        let now = Timestamp(0);
        let wait = |now| backoff.wait(&who, now).as_secs();
        for _ in 0..FREE_OF_USER {
            backoff.failed(who, now);
            assert_eq!(wait(now), 0);
        }
        let waits = [1, 2, 4, 8, 16, 32, 32, 32].map(|expected| {
            backoff.failed(who, now);
            (wait(now), expected)
        });
        assert!(
            waits.iter().all(|(found, expected)| found == expected),
            "{waits:?}"
        );
        assert_eq!(wait(Timestamp(31_000)), 1);
        assert_eq!(wait(Timestamp(32_000)), 0);
        assert_eq!(
            backoff.wait(&[2; 32], now).as_secs(),
            0,
            "others do not wait"
        );
        backoff.failed(who, Timestamp(600_000));
        assert_eq!(wait(Timestamp(600_000)), 0, "all was forgotten");
        for _ in 0..=FREE_OF_USER {
            backoff.failed(who, now);
        }
        backoff.forgive(&who);
        assert_eq!(wait(now), 0);
    }

    /// Nobody waits for a moment that was a mistake of the clock.
    #[test]
    fn a_clock_that_was_set_back_forgives() {
        let backoff = Backoff::new(FREE_OF_USER);
        let who = [1; 32];
        for _ in 0..=FREE_OF_USER {
            backoff.failed(who, Timestamp(1_000_000));
        }
        assert_eq!(backoff.wait(&who, Timestamp(999_999)).as_secs(), 1);
        assert_eq!(backoff.wait(&who, Timestamp(900_000)), Duration::ZERO);
        backoff.failed(who, Timestamp(900_000));
        assert_eq!(backoff.wait(&who, Timestamp(900_000)), Duration::ZERO);
    }

    /// What is new is remembered, however often the old was seen.
    #[test]
    fn the_newest_are_remembered() {
        let backoff = Backoff::new(0);
        let who = |number: u64| {
            let mut who = [0; 32];
            who[..8].copy_from_slice(&number.to_be_bytes());
            who
        };
        for number in 0..REMEMBERED_MAX {
            for _ in 0..3 {
                backoff.failed(who(number), Timestamp(0));
            }
        }
        backoff.failures.run_pending_tasks();
        backoff.failed([255; 32], Timestamp(0));
        backoff.failures.run_pending_tasks();
        assert_ne!(backoff.wait(&[255; 32], Timestamp(0)), Duration::ZERO);
    }

    #[test]
    fn places() {
        assert_eq!(place("192.0.2.1:5000"), place("192.0.2.1:6000"));
        assert_eq!(place("192.0.2.1"), place("[::ffff:192.0.2.1]:6000"));
        assert_eq!(place("[2001:db8::1]:5"), place("2001:db8::2"));
        assert_ne!(place("2001:db8:0:1::1"), place("2001:db8::1"));
        assert_eq!(place("unix"), "unix");
    }
}
