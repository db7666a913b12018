//! Durations and sizes as people write them: `15m`, `1h30m`, `5 GiB`.

use std::time::Duration;

/// Reads a duration as Go does (`1h30m`, `1.5h`, `300ms`, a whole number of nanoseconds), or with
/// days and a space (`7 d`).
///
/// # Errors
/// What is wrong, for the operator.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration; write 90s, 15m or 168h");
    let mut rest = text.trim();
    if let Some(number) = parse_integer(rest) {
        return u64::try_from(number)
            .map(Duration::from_nanos)
            .map_err(|_| format!("{text:?} is a negative duration"));
    }
    if let Some(positive) = rest.strip_prefix('-') {
        parse_duration(positive)?;
        return Err(format!("{text:?} is a negative duration"));
    }
    rest = rest.strip_prefix('+').unwrap_or(rest);
    let mut nanoseconds: u128 = 0;
    while !rest.is_empty() {
        let (part, after) = parse_part(rest).ok_or_else(wrong)?;
        nanoseconds = nanoseconds.checked_add(part).ok_or_else(wrong)?;
        rest = after;
    }
    if text.trim().trim_start_matches('+').is_empty() {
        return Err(wrong());
    }
    // Longer ones than Go can hold, 292 years, are mistakes.
    match i64::try_from(nanoseconds) {
        Ok(nanoseconds) => Ok(Duration::from_nanos(nanoseconds.unsigned_abs())),
        Err(_) => Err(wrong()),
    }
}

/// A number and its unit, in nanoseconds, and what follows.
fn parse_part(text: &str) -> Option<(u128, &str)> {
    const UNITS: [(&str, u128); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
        ("d", 86_400_000_000_000),
    ];
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    let end = rest.find(|one: char| one.is_ascii_digit() || one == '.');
    let (unit, rest) = rest.split_at(end.unwrap_or(rest.len()));
    let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let whole: u128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    // More digits than nanoseconds of a day have change nothing.
    let fraction = &fraction[..fraction.len().min(15)];
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let part: u128 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    let nanoseconds = whole.checked_mul(*unit)?;
    Some((nanoseconds.checked_add(part * unit / scale)?, rest))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|one: char| !one.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

/// A duration as [`parse_duration`] reads it.
pub(super) fn show_duration(duration: Duration) -> String {
    let nanoseconds = duration.as_nanos();
    for (unit, size) in [
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
    ] {
        if nanoseconds != 0 && nanoseconds.is_multiple_of(size) {
            return format!("{}{unit}", nanoseconds / size);
        }
    }
    match nanoseconds {
        0 => "0s".to_owned(),
        _ => format!("{nanoseconds}ns"),
    }
}

/// A whole number as YAML 1.1 writes it, which registry:2 reads: `10`, `1_000`, `0x1f`, `0o17`, `017`.
pub(super) fn parse_integer(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let digits = digits.replace('_', "");
    let (digits, radix) = if let Some(digits) = digits.strip_prefix("0x") {
        (digits, 16)
    } else if let Some(digits) = digits.strip_prefix("0b") {
        (digits, 2)
    } else if let Some(digits) = digits.strip_prefix("0o") {
        (digits, 8)
    } else if 1 < digits.len() && digits.starts_with('0') {
        (&digits[1..], 8)
    } else {
        (digits.as_str(), 10)
    };
    if digits.starts_with(['-', '+']) {
        return None;
    }
    let number = i64::from_str_radix(digits, radix).ok()?;
    Some(if is_negative { -number } else { number })
}

/// A whole number and `B`, `KiB`, `MiB`, `GiB` or `TiB`.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, unit) = digits(text);
    let number: u64 = number.parse().ok()?;
    let (_, bytes) = SIZES.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.checked_mul(*bytes)
}

const SIZES: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// A size as [`parse_size`] reads it.
pub(super) fn show_size(size: u64) -> String {
    let unit = SIZES
        .iter()
        .find(|(_, bytes)| size != 0 && size.is_multiple_of(*bytes));
    let (name, bytes) = unit.copied().unwrap_or(("B", 1));
    format!("{} {name}", size / bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn durations() {
        let check = |text: &str, expected: Option<u64>| {
            let parsed = parse_duration(text).ok();
            assert_eq!(parsed, expected.map(Duration::from_nanos), "{text}");
        };
        check("15m", Some(900_000 * MS));
        check("90 s", Some(90_000 * MS));
        check("168h", Some(604_800_000 * MS));
        check("7d", Some(604_800_000 * MS));
        check("250ms", Some(250 * MS));
        check("1h30m", Some(5_400_000 * MS));
        check("1.5h", Some(5_400_000 * MS));
        check(".5s", Some(500 * MS));
        check("1.s", Some(1000 * MS));
        check("1us", Some(1000));
        check("1µs", Some(1000));
        check("0s", Some(0));
        check("0", Some(0));
        check("1000000000", Some(1000 * MS));
        check("+5s", Some(5000 * MS));
        check("m", None);
        check(".s", None);
        check("", None);
        check("+", None);
        check("-1s", None);
        check("5 parsecs", None);
        check("99999999999999999999s", None);
        check("18446744073709551615d", None);
        check("293y", None);
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

    #[test]
    fn integers() {
        let check = |text, expected| assert_eq!(parse_integer(text), expected, "{text}");
        check("10", Some(10));
        check("-10", Some(-10));
        check("1_000", Some(1000));
        check("0x1f", Some(31));
        check("0o17", Some(15));
        check("017", Some(15));
        check("0", Some(0));
        check("--1", None);
        check("0x-1", None);
        check("1.5", None);
        check("", None);
        check("99999999999999999999", None);
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read(nanoseconds in 0..i64::MAX.unsigned_abs(), size in any::<u64>()) {
            let duration = Duration::from_nanos(nanoseconds);
            prop_assert_eq!(parse_duration(&show_duration(duration)).ok(), Some(duration));
            prop_assert_eq!(parse_size(&show_size(size)), Some(size));
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = parse_duration(&text);
            let _ = parse_size(&text);
            let _ = parse_integer(&text);
        }
    }
}
