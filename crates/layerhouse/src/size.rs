//! Sizes as people read them. Those of the configuration, which are read back, are in `config/units.rs`.

/// A number of bytes in tenths of the largest unit of which there is one, rounded up, so that nothing is said to
/// be smaller than it is: `512 B`, `1.5 GiB`.
#[must_use]
pub fn shown_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let tenths = |power: usize| (u128::from(bytes) * 10).div_ceil(1 << (10 * power));
    // The first in which it is less than one of the next, rounded: there is one, for no `u64` is 1024 EiB.
    let power = (1..UNITS.len()).find(|power| tenths(*power) < 10 * 1024);
    let power = power.unwrap_or(UNITS.len());
    let (name, tenths) = (UNITS[power - 1], tenths(power));
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {name}"),
        (whole, rest) => format!("{whole}.{rest} {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_at_a_glance() {
        let check = |bytes, expected: &str| assert_eq!(shown_size(bytes), expected);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1024, "1 KiB");
        check(1025, "1.1 KiB");
        check((1 << 20) - 1, "1 MiB");
        check(3 << 29, "1.5 GiB");
        check(5 << 40, "5 TiB");
        check(u64::MAX, "16 EiB");
    }
}
