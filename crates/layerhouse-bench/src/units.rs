//! Sizes and durations as people write them, read strictly and written back.

use std::time::Duration;

/// The factors of sizes. `M` alone could be either, so it is refused.
const SIZES: [(&str, u64); 7] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// Largest size of anything: 1 TiB, far above any layer and far below an overflow.
const SIZE_MAX: u64 = 1 << 40;

/// Bytes from `1 MiB`, `237MB`, `4096`.
///
/// # Errors
/// Says what stands there instead of a size from 1 B to 1 TiB.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let (digits, factor) = SIZES
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))
        .unwrap_or((text, 1));
    let number: u64 = digits
        .trim()
        .parse()
        .map_err(|_| format!("`{text}` is not a size: say 4096, 64KiB, 1MiB or 237MB"))?;
    number
        .checked_mul(factor)
        .filter(|bytes| (1..=SIZE_MAX).contains(bytes))
        .ok_or_else(|| format!("`{text}` is not between 1 byte and 1024GiB"))
}

/// Bytes in the largest unit that divides them.
pub(crate) fn show_size(bytes: u64) -> String {
    for (unit, factor) in [
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("MB", 1_000_000),
    ] {
        if factor <= bytes && bytes.is_multiple_of(factor) {
            return format!("{} {unit}", bytes / factor);
        }
    }
    format!("{bytes} B")
}

/// A duration from `2s`, `500ms`, `1m`.
///
/// # Errors
/// Says what stands there instead of a duration from 1 ms to 1 day.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration: say 500ms, 2s or 1m");
    let at = text
        .find(|letter: char| !letter.is_ascii_digit())
        .ok_or_else(wrong)?;
    let number: u64 = text[..at].parse().map_err(|_| wrong())?;
    let factor = match &text[at..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(wrong()),
    };
    number
        .checked_mul(factor)
        .filter(|milliseconds| (1..=86_400_000).contains(milliseconds))
        .map(Duration::from_millis)
        .ok_or_else(|| format!("`{text}` is not between 1ms and one day"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1", 1),
            ("64KiB", 65_536),
            ("1 MiB", 1 << 20),
            ("237MB", 237_000_000),
            ("12B", 12),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "1M", "-1", "1.5MiB", "9999999GiB", "MiB", "１"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(show_size(1 << 20), "1 MiB");
        assert_eq!(show_size(237_000_000), "237 MB");
        assert_eq!(show_size(1025), "1025 B");
    }

    #[test]
    fn durations() {
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1m"), Ok(Duration::from_mins(1)));
        for text in ["", "2", "s", "0s", "2h", "1.5s", "99999m"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
