//! `layerhouse.index.ratelimit`: how often a client may ask, each a text such as `100/6h`.

use std::time::Duration;

use crate::config::meaning::rate::{Rate, RateLimits};
use crate::config::reader::Section;
use crate::config::units;

/// What is not said is not limited.
pub(in crate::config) fn rate_limits(index: &Section<'_>) -> RateLimits {
    let section = index.section("ratelimit");
    RateLimits {
        anonymous: rate(&section, "anonymous"),
        account: rate(&section, "account"),
        api: rate(&section, "api"),
    }
}

fn rate(section: &Section<'_>, key: &str) -> Option<Rate> {
    let text = section.text(key)?;
    let rate = parse(&text);
    if rate.is_none() {
        section.refuse(
            key,
            format!("{text:?} is not a rate; write 100/6h for 100 requests in 6 hours"),
        );
    }
    rate
}

fn parse(text: &str) -> Option<Rate> {
    let (requests, window) = text.split_once('/')?;
    let requests = requests.trim().parse().ok().filter(|number| 0 < *number)?;
    let window = window.trim();
    // A number alone would be nanoseconds.
    if window.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let window = units::parse_duration(window).ok()?;
    // Clients are told in whole seconds.
    let is_whole = window.subsec_nanos() == 0 && Duration::ZERO < window;
    (is_whole && window <= Duration::from_hours(24 * 366)).then_some(Rate { requests, window })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        let check = |text: &str, expected: Option<(u32, u64)>| {
            let found = parse(text).map(|rate| (rate.requests, rate.window.as_secs()));
            assert_eq!(found, expected, "{text}");
        };
        check("100/6h", Some((100, 21_600)));
        check("600 / 1m", Some((600, 60)));
        check("1/1h30m", Some((1, 5400)));
        for text in [
            "",
            "100",
            "/6h",
            "0/6h",
            "-1/6h",
            "1.5/6h",
            "100/",
            "100/60",
            "100/0s",
            "100/500ms",
            "100/6h/2",
            "100 per hour",
            "5000000000/1h",
            "1/10000h",
        ] {
            check(text, None);
        }
    }
}
