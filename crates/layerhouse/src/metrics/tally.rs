//! Numbers that many threads add to: an atomic addition or two to a request, and no lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bounds of durations, in nanoseconds: those of registry:2's storage and Prometheus's defaults.
pub(super) const ACTION_BOUNDS: [u64; 11] = [
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];
/// Of requests: the same, and for the transfers of large blobs more.
pub(super) const REQUEST_BOUNDS: [u64; 13] = [
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    25_000_000_000,
    60_000_000_000,
];
/// Of sizes, in bytes: powers of two from 1 KiB to 2 GiB.
pub(super) const SIZE_BOUNDS: [u64; 22] = {
    let mut bounds = [0; 22];
    let mut at = 0;
    while at < bounds.len() {
        bounds[at] = 1024 << at;
        at += 1;
    }
    bounds
};

/// Counters under a number each.
#[derive(Debug)]
pub(super) struct Counters(Box<[AtomicU64]>);

impl Counters {
    pub(super) fn new(length: usize) -> Self {
        Self((0..length).map(|_| AtomicU64::new(0)).collect())
    }

    pub(super) fn add(&self, at: usize, more: u64) {
        if let Some(counter) = self.0.get(at) {
            counter.fetch_add(more, Ordering::Relaxed);
        }
    }

    pub(super) fn subtract(&self, at: usize, less: u64) {
        if let Some(counter) = self.0.get(at) {
            counter.fetch_sub(less, Ordering::Relaxed);
        }
    }

    pub(super) fn get(&self, at: usize) -> u64 {
        self.0
            .get(at)
            .map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}

/// A distribution over `N` bounds and what is above them.
#[derive(Debug)]
pub(super) struct Histogram<const N: usize> {
    bounds: &'static [u64; N],
    within: [AtomicU64; N],
    above: AtomicU64,
    sum: AtomicU64,
}

/// A look at a [`Histogram`].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Distribution {
    pub(super) sum: f64,
    pub(super) count: u64,
    /// Upper bounds with what lies between them and the one before.
    pub(super) buckets: Vec<(f64, u64)>,
}

impl<const N: usize> Histogram<N> {
    pub(super) fn new(bounds: &'static [u64; N]) -> Self {
        Self {
            bounds,
            within: std::array::from_fn(|_| AtomicU64::new(0)),
            above: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    pub(super) fn observe(&self, value: u64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        let bucket = self.within.get(at).unwrap_or(&self.above);
        bucket.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    pub(super) fn observe_duration(&self, duration: Duration) {
        self.observe(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// The values, each divided by `unit`.
    pub(super) fn read(&self, unit: f64) -> Distribution {
        let mut buckets: Vec<(f64, u64)> = (self.bounds.iter().zip(&self.within))
            .map(|(bound, count)| (float(*bound) / unit, count.load(Ordering::Relaxed)))
            .collect();
        buckets.push((f64::INFINITY, self.above.load(Ordering::Relaxed)));
        Distribution {
            sum: float(self.sum.load(Ordering::Relaxed)) / unit,
            // Not a counter of its own: it must be what the buckets say.
            count: buckets.iter().map(|(_, count)| count).sum(),
            buckets,
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a sum of bytes or nanoseconds is exact to 2^53, and none is read more exactly"
)]
pub(super) fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_into_the_first_bucket_that_holds_it() {
        let histogram = Histogram::new(&SIZE_BOUNDS);
        for value in [0, 1024, 1025, 2 << 30, u64::from(u32::MAX)] {
            histogram.observe(value);
        }
        let read = histogram.read(1.0);
        assert_eq!(read.count, 5);
        assert_eq!(read.buckets[0], (1024.0, 2));
        assert_eq!(read.buckets[1], (2048.0, 1));
        assert_eq!(read.buckets[21], (2_147_483_648.0, 1));
        assert_eq!(read.buckets[22], (f64::INFINITY, 1));
    }

    #[test]
    fn bounds_of_durations_read_as_seconds() {
        let histogram = Histogram::new(&ACTION_BOUNDS);
        histogram.observe_duration(Duration::from_millis(3));
        let read = histogram.read(1e9);
        assert_eq!(read.buckets[0], (0.005, 1));
        assert!((read.sum - 0.003).abs() < f64::EPSILON);
    }
}
