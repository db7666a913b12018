//! How fast a pass goes: as slowly as its time allows, and never faster than it may.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::meaning::Scrubbing;
use crate::meta::scrub::{Pass, Why};

/// No pass of the period is slower, so that little is done soon: 10 GiB in three hours.
const RATE_BYTES_MIN: u64 = 1 << 20;
/// Shorter pauses are put together.
const PAUSE_MIN: Duration = Duration::from_millis(200);

/// A pass begins each quarter of the period, and leaves out what was hashed in the half of it before. So
/// whatever a pass leaves out is hashed by the second one after it, before the period is over.
pub(super) fn interval(period: Duration) -> Duration {
    period / 4
}

/// Blobs that were hashed at this time or later are left out of a pass that begins now.
pub(super) fn due_before(period: Duration, now: Timestamp) -> Timestamp {
    now.before(period / 2)
}

/// When the next pass begins, if the last one began then; one that began in the future says nothing.
pub(super) fn next_at(period: Duration, last: Option<Timestamp>, now: Timestamp) -> Timestamp {
    match last {
        Some(last) if last <= now => last.after(interval(period)),
        Some(_) | None => now,
    }
}

/// Bytes per second that a pass should go at now, so that it ends when nine tenths of its time are over.
pub(super) fn speed(scrub: &Scrubbing, pass: &Pass, now: Timestamp) -> u64 {
    if pass.why == Why::Asked {
        return scrub.rate_bytes;
    }
    let time = interval(scrub.period) / 10 * 9;
    let left = time.saturating_sub(now.since(pass.started_at)).as_secs();
    let rest_bytes = pass.total_bytes.saturating_sub(pass.counts.bytes);
    match rest_bytes.checked_div(left) {
        None => scrub.rate_bytes,
        Some(speed) => speed.max(RATE_BYTES_MIN).min(scrub.rate_bytes),
    }
}

/// What is owed to those who wait for the disk.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    owed: Duration,
}

impl Pace {
    /// How long to pause after so many bytes that took so long, if long enough to be worth it.
    pub(super) fn pause(&mut self, bytes: u64, took: Duration, speed: u64) -> Option<Duration> {
        let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(speed.max(1));
        let due = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        // Time that was lost is not made up for: a burst would be above the rate.
        self.owed = (self.owed + due).saturating_sub(took);
        (PAUSE_MIN <= self.owed).then(|| std::mem::take(&mut self.owed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::scrub::{Counts, Phase};

    const DAY: Duration = Duration::from_hours(24);

    fn millis(duration: Duration) -> i64 {
        i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
    }

    fn scrub(period: Duration) -> Scrubbing {
        Scrubbing {
            is_enabled: true,
            period,
            rate_bytes: 64 << 20,
        }
    }

    fn pass(why: Why, total_bytes: u64, bytes: u64) -> Pass {
        Pass {
            id: 1,
            why,
            repository: None,
            started_at: Timestamp(0),
            finished_at: None,
            due_before: Timestamp(0),
            phase: Phase::Blobs,
            cursor: (0, String::new()),
            total_bytes,
            counts: Counts {
                bytes,
                ..Counts::default()
            },
        }
    }

    #[test]
    fn a_pass_takes_its_time() {
        let check = |total: u64, done: u64, hours: i64, expected: u64| {
            let pass = pass(Why::Period, total, done);
            let scrub = scrub(DAY * 8);
            let now = Timestamp(hours * 3_600_000);
            let speed = speed(&scrub, &pass, now);
            assert_eq!(speed, expected, "{done} of {total} after {hours} h");
        };
        let time = 2 * 24 * 3600 * 9 / 10;
        check(0, 0, 0, 1 << 20);
        check(time * (3 << 20), 0, 0, 3 << 20);
        check(time * (100 << 20), 0, 0, 64 << 20);
        check(time * (3 << 20), time * (3 << 20), 1, 1 << 20);
        // 3.2 hours are left of 43.2.
        check(time * (3 << 20), 0, 40, 42_467_328);
        check(time * (3 << 20), 0, 60, 64 << 20);
        assert_eq!(
            speed(&scrub(DAY), &pass(Why::Asked, 1, 0), Timestamp(0)),
            64 << 20
        );
    }

    #[test]
    fn pauses_add_up_to_the_rate() {
        let mut pace = Pace::default();
        let mut paused = Duration::ZERO;
        for _ in 0..64 {
            let took = Duration::from_millis(5);
            paused += pace.pause(1 << 20, took, 16 << 20).unwrap_or_default();
        }
        // 4 s less the 320 ms that it took, and what is still owed.
        assert_eq!(paused + pace.owed, Duration::from_millis(3680));
        assert_eq!(pace.pause(1, Duration::from_hours(1), 16 << 20), None);
        assert_eq!(pace.owed, Duration::ZERO, "nothing is made up for");
    }

    /// Whatever a pass does, and whenever in its time it comes to a blob, the blob is hashed in each period.
    #[test]
    fn nothing_is_left_out_for_longer_than_the_period() {
        let period = DAY * 8;
        let quarter = millis(interval(period));
        for first in 0..=40 {
            // A blob that was hashed at some time of the first pass…
            let hashed = first * quarter / 40;
            // …is come to at the end of that pass which does not leave it out.
            let starts = (1..).map(|number| Timestamp(number * quarter));
            let mut due = starts.filter(|start| hashed < due_before(period, *start).0);
            let again = due.next().expect("one is").0 + quarter;
            assert!(again - hashed <= millis(period), "{hashed} {again}");
        }
    }

    #[test]
    fn clocks_that_were_wrong_hold_nothing_up() {
        let (period, now) = (DAY * 8, Timestamp(1_800_000_000_000));
        let later = Timestamp(now.0 + 1);
        assert_eq!(next_at(period, None, now), now);
        assert_eq!(next_at(period, Some(later), now), now);
        let next = next_at(period, Some(now), now);
        assert_eq!(next.since(now), DAY * 2);
    }
}
