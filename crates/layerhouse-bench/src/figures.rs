//! Medians, ratios and their spread: what is computed from the rounds of a run.

/// As a float, for rates and ratios: exact up to 2^53, which no run reaches.
#[expect(clippy::cast_precision_loss, reason = "2^53 bytes are 9 petabytes")]
pub(crate) fn float(value: u64) -> f64 {
    value as f64
}

/// The middle value, or the mean of the two in the middle; `None` of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// A ratio over the rounds: median, smallest, largest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// Round by round `subject / yardstick`, since neighbours in time share the machine's mood;
/// rounds that lack either are left out, `None` if all do.
pub(crate) fn ratio(subject: &[Option<f64>], yardstick: &[Option<f64>]) -> Option<Ratio> {
    let ratios: Vec<f64> = subject
        .iter()
        .zip(yardstick)
        .filter_map(|(subject, yardstick)| Some((*subject)? / (*yardstick)?))
        .filter(|ratio| ratio.is_finite())
        .collect();
    Some(Ratio {
        median: median(ratios.iter().copied())?,
        min: ratios.iter().copied().reduce(f64::min)?,
        max: ratios.iter().copied().reduce(f64::max)?,
    })
}

/// A figure with three significant digits, for tables.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    if 100.0 <= size {
        format!("{value:.0}")
    } else if 10.0 <= size {
        format!("{value:.1}")
    } else if 1.0 <= size || size == 0.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let found = ratio(
            &[Some(2.0), Some(9.0), None, Some(4.0)],
            &[Some(1.0), Some(3.0), Some(1.0), Some(4.0)],
        );
        let expected = Ratio {
            median: 2.0,
            min: 1.0,
            max: 3.0,
        };
        assert_eq!(found, Some(expected));
        assert_eq!(ratio(&[Some(1.0)], &[Some(0.0)]), None);
        assert_eq!(ratio(&[], &[]), None);
    }

    #[test]
    fn figures_have_three_digits() {
        for (value, text) in [
            (0.0, "0.00"),
            (0.1234, "0.123"),
            (1.234, "1.23"),
            (1234.0, "1234"),
        ] {
            assert_eq!(short(value), text);
        }
    }
}
