//! Durations and sizes as people write them: `15m`, `5 GiB`.

use std::time::Duration;

/// Reads a duration, or notes why not; `default` if nothing was given.
pub(super) fn duration(
    key: &str,
    text: Option<&str>,
    default: Duration,
    problems: &mut Vec<String>,
) -> Duration {
    let Some(text) = text else { return default };
    parse_duration(text).unwrap_or_else(|| {
        problems.push(format!(
            "{key}: {text:?} is not a duration; write 90s, 15m or 168h"
        ));
        default
    })
}

/// Reads a size, or notes why not; `default` if nothing was given.
pub(super) fn size(key: &str, text: Option<&str>, default: u64, problems: &mut Vec<String>) -> u64 {
    let Some(text) = text else { return default };
    parse_size(text).unwrap_or_else(|| {
        problems.push(format!(
            "{key}: {text:?} is not a size; write 512 MiB or 5 GiB"
        ));
        default
    })
}

/// A whole number and `ms`, `s`, `m`, `h` or `d`; zero is refused.
fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 3600 * 1000,
        "d" => 24 * 3600 * 1000,
        _ => return None,
    };
    let ms = number.checked_mul(unit_ms)?;
    (0 < ms).then(|| Duration::from_millis(ms))
}

/// A whole number and `B`, `KiB`, `MiB`, `GiB` or `TiB`.
fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let unit_bytes = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(unit_bytes)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text, expected: Option<u64>| {
            assert_eq!(
                parse_duration(text),
                expected.map(Duration::from_millis),
                "{text}"
            );
        };
        check("15m", Some(900_000));
        check("90 s", Some(90_000));
        check("168h", Some(604_800_000));
        check("7d", Some(604_800_000));
        check("250ms", Some(250));
        check("0s", None);
        check("15", None);
        check("m", None);
        check("-1s", None);
        check("1.5h", None);
        check("99999999999999999999s", None);
        check("18446744073709551615d", None);
    }

    #[test]
    fn sizes() {
        let check = |text, expected| assert_eq!(parse_size(text), expected, "{text}");
        check("5 GiB", Some(5 << 30));
        check("512MiB", Some(512 << 20));
        check("0 B", Some(0));
        check("7", None);
        check("7 GB", None);
        check("16777216 TiB", None);
    }
}
