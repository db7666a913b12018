//! Who guessed wrong often waits before the next guess is even hashed.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use moka::sync::Cache;

use crate::clock::Timestamp;

/// Wrong passwords for one user from one place before there is any waiting: a person's mistakes, and a
/// build server that was not told of a new password.
const FREE: u32 = 10;
/// The waiting doubles from a second up to this.
const WAIT_MAX: Duration = Duration::from_secs(32);
/// After this long without a failure all is forgotten.
const FORGET_AFTER: Duration = Duration::from_mins(10);
/// Places and users that are remembered; beyond, those that were not seen for long are forgotten.
const REMEMBERED_MAX: u64 = 10_000;

/// A digest of place and user.
pub(crate) type Who = [u8; 32];

/// Failures by place and user.
pub(crate) struct Backoff(Cache<Who, Failures>);

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Timestamp,
}

impl Failures {
    fn wait(self) -> Duration {
        let doublings = self.count.saturating_sub(FREE);
        if doublings == 0 {
            return Duration::ZERO;
        }
        Duration::from_secs(1 << (doublings - 1).min(5)).min(WAIT_MAX)
    }
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self(Cache::new(REMEMBERED_MAX))
    }

    /// How long to wait from now; zero, mostly.
    pub(crate) fn wait(&self, who: &Who, now: Timestamp) -> Duration {
        let failures = self.0.get(who);
        failures.map_or(Duration::ZERO, |failures| {
            failures.wait().saturating_sub(now.since(failures.last))
        })
    }

    pub(crate) fn failed(&self, who: Who, now: Timestamp) {
        let before = self.0.get(&who);
        let before = before.filter(|failures| now.since(failures.last) < FORGET_AFTER);
        let count = before
            .map_or(0, |failures| failures.count)
            .saturating_add(1);
        self.0.insert(who, Failures { count, last: now });
    }

    pub(crate) fn forgive(&self, who: &Who) {
        self.0.invalidate(who);
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
        let backoff = Backoff::new();
        let who = [1; 32];
        let now = Timestamp(0);
        let wait = |now| backoff.wait(&who, now).as_secs();
        for _ in 0..FREE {
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
        for _ in 0..=FREE {
            backoff.failed(who, now);
        }
        backoff.forgive(&who);
        assert_eq!(wait(now), 0);
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
