//! What an upstream says of how often it may be asked. Pure.

use std::time::Duration;

use crate::clock::Timestamp;

/// What was left when it last said so: Docker Hub's `RateLimit-Limit: 100;w=21600` and `RateLimit-Remaining`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RateLimit {
    /// Manifests in a window.
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    pub(crate) window_seconds: Option<u64>,
    pub(crate) read_at: Timestamp,
}

impl RateLimit {
    /// `None` unless both are said.
    pub(super) fn read(
        limit: Option<&str>,
        remaining: Option<&str>,
        read_at: Timestamp,
    ) -> Option<Self> {
        let (limit, window_seconds) = quantity(limit?)?;
        let (remaining, own_window) = quantity(remaining?)?;
        Some(Self {
            limit,
            remaining,
            window_seconds: window_seconds.or(own_window),
            read_at,
        })
    }
}

/// `100;w=21600`: a number, and the window it is counted in.
fn quantity(text: &str) -> Option<(u64, Option<u64>)> {
    let mut parts = text.split(';').map(str::trim);
    // Several policies are parted by commas: the first is the one that binds.
    let number = parts.next()?.split(',').next()?.trim().parse().ok()?;
    let window = parts.find_map(|part| part.strip_prefix("w="));
    let window = window.and_then(|window| window.split(',').next()?.trim().parse().ok());
    Some((number, window))
}

/// `Retry-After` in seconds; some say the second of the epoch instead. A date in words counts as nothing said.
pub(super) fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    /// A wait of thirty years is a moment.
    const EPOCH_MIN: u64 = 1_000_000_000;
    let seconds: u64 = text.trim().parse().ok()?;
    if seconds < EPOCH_MIN {
        return Some(Duration::from_secs(seconds.max(1)));
    }
    let now = u64::try_from(now.0 / 1000).unwrap_or(0);
    Some(Duration::from_secs(seconds.saturating_sub(now).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_docker_hub_says_them() {
        let check = |limit, remaining, expected: Option<(u64, u64, Option<u64>)>| {
            let found = RateLimit::read(limit, remaining, Timestamp(7));
            let found = found.map(|found| (found.limit, found.remaining, found.window_seconds));
            assert_eq!(found, expected, "{limit:?} {remaining:?}");
        };
        let full = Some("100;w=21600");
        check(full, Some("76;w=21600"), Some((100, 76, Some(21600))));
        check(Some("100"), Some("0"), Some((100, 0, None)));
        check(Some("100"), Some(" 9 ; w=60"), Some((100, 9, Some(60))));
        check(
            Some("10, 10;w=1, 50;w=60"),
            Some("9"),
            Some((10, 9, Some(1))),
        );
        check(full, None, None);
        check(None, Some("1"), None);
        check(Some("-1"), Some("1"), None);
        check(Some(""), Some("many"), None);
        check(Some("100;w="), Some("1;;;"), Some((100, 1, None)));
    }

    #[test]
    fn waits_are_seconds_or_moments() {
        let now = Timestamp(1_700_000_000_500);
        let check = |text, expected: Option<u64>| {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(retry_after(text, now), expected, "{text}");
        };
        check("60", Some(60));
        check(" 0 ", Some(1));
        check("1700000090", Some(90));
        check("1600000000", Some(1));
        check("-1", None);
        check("Fri, 31 Dec 1999 23:59:59 GMT", None);
        check("", None);
    }
}
