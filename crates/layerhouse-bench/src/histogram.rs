//! Latencies, counted in buckets so that a run of any length takes the same memory.

use std::time::Duration;

/// Buckets to a doubling: a value is known to 1/128, below one percent.
const STEPS: u64 = 128;
const STEPS_BITS: u32 = STEPS.trailing_zeros();
/// Nanoseconds up to 2^43, more than two hours: (43 − 7 + 1) doublings and the exact ones below.
const BUCKETS: usize = 128 * 38;

/// How many operations took how long.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
        }
    }
}

impl Histogram {
    pub(crate) fn record(&mut self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanoseconds)] += 1;
        self.total += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (into, from) in self.counts.iter_mut().zip(&other.counts) {
            *into += from;
        }
        self.total += other.total;
    }

    /// The time within which `percent` of a hundred operations were done (nearest rank); `None`
    /// without any.
    pub(crate) fn percentile(&self, percent: u64) -> Option<Duration> {
        let rank = (self.total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if rank <= seen {
                return Some(Duration::from_nanos(lowest(bucket)));
            }
        }
        None
    }
}

/// Values below `2 * STEPS` have a bucket each; above, each doubling has `STEPS`.
fn bucket(nanoseconds: u64) -> usize {
    let shift = (u64::BITS - nanoseconds.leading_zeros()).saturating_sub(STEPS_BITS + 1);
    let index = u64::from(shift) * STEPS + (nanoseconds >> shift);
    usize::try_from(index).map_or(BUCKETS - 1, |index| index.min(BUCKETS - 1))
}

/// The smallest value that falls into a bucket.
fn lowest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * STEPS {
        return bucket;
    }
    let shift = bucket / STEPS - 1;
    (bucket - shift * STEPS) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_and_near() {
        let mut last = 0;
        for value in (0..5_000).chain((13..40).map(|power| (1_u64 << power) + 12_345)) {
            let found = bucket(value);
            assert!(last <= found, "{value}");
            last = found;
            let low = lowest(found);
            assert!(
                low <= value && value - low <= value / STEPS,
                "{value}: {low}"
            );
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(50), None);
        for nanoseconds in 1..=100 {
            histogram.record(Duration::from_nanos(nanoseconds));
        }
        for percent in [1, 50, 99, 100] {
            let found = histogram.percentile(percent);
            assert_eq!(found, Some(Duration::from_nanos(percent)));
        }
        let mut other = Histogram::default();
        other.record(Duration::from_nanos(200));
        histogram.merge(&other);
        assert_eq!(histogram.percentile(100), Some(Duration::from_nanos(200)));
    }
}
