//! Leaves an endpoint alone that fails, so that clients need not wait for it each time (S34). Pure: the time
//! is an argument.

use std::time::Duration;

use crate::clock::Moment;

/// Failures in a row before it is left alone.
const FAILURES_MAX: u32 = 5;
/// How long the first time; each failure after that doubles it.
const PAUSE_MIN: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// After 429, if it does not say how long.
const LIMIT_DEFAULT: Duration = Duration::from_mins(1);
/// Whatever it says.
const LIMIT_MAX: Duration = Duration::from_hours(6);

/// What is known of an endpoint.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    pause: Option<Pause>,
}

#[derive(Clone, Copy, Debug)]
struct Pause {
    began: Moment,
    length: Duration,
    why: Why,
    /// It is over, and somebody tries.
    is_tried: bool,
}

/// Why an endpoint is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Failed,
    Limited,
}

impl Breaker {
    /// Whether it may be asked now; else for how long not, and why.
    ///
    /// When a pause is over, one request goes through, and the others wait on as long again for what becomes
    /// of it: if whoever made it leaves, the next one is let through after that.
    pub(super) fn admit(&mut self, now: Moment) -> Result<(), (Duration, Why)> {
        if let Some(rest) = self.rest(now) {
            return Err(rest);
        }
        if let Some(pause) = &mut self.pause {
            pause.began = now;
            pause.length = PAUSE_MIN;
            pause.is_tried = true;
        }
        Ok(())
    }

    /// For how long it is left alone from now on, and why.
    pub(super) fn rest(&self, now: Moment) -> Option<(Duration, Why)> {
        let pause = self.pause?;
        let rest = pause.length.checked_sub(now.since(pause.began))?;
        (!rest.is_zero()).then_some((rest, pause.why))
    }

    /// It answered. That ends no limit that it set since it was asked.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.pause = self
            .pause
            .filter(|pause| pause.why == Why::Limited && !pause.is_tried);
    }

    pub(super) fn failed(&mut self, now: Moment) {
        self.failures = self.failures.saturating_add(1);
        let Some(doublings) = self.failures.checked_sub(FAILURES_MAX) else {
            // The one that was let through after a limit: that is not what keeps the others out any more.
            if let Some(pause) = &mut self.pause {
                pause.why = Why::Failed;
            }
            return;
        };
        let length = PAUSE_MIN
            .saturating_mul(1 << doublings.min(8))
            .min(PAUSE_MAX);
        self.pause = Some(Pause {
            began: now,
            length,
            why: Why::Failed,
            is_tried: false,
        });
    }

    pub(super) fn limited(&mut self, now: Moment, retry_after: Option<Duration>) {
        self.pause = Some(Pause {
            began: now,
            length: retry_after.unwrap_or(LIMIT_DEFAULT).min(LIMIT_MAX),
            why: Why::Limited,
            is_tried: false,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_fails_is_left_alone_for_longer_and_longer() {
        let mut breaker = Breaker::default();
        let mut now = Moment::ZERO;
        for _ in 0..4 {
            breaker.failed(now);
            assert_eq!(breaker.admit(now), Ok(()));
        }
        for pause in [5, 10, 20, 40, 60, 60] {
            breaker.failed(now);
            assert_eq!(breaker.admit(now), Err((s(pause), Why::Failed)));
            now = now.after(s(pause - 1));
            assert_eq!(breaker.admit(now), Err((s(1), Why::Failed)));
            now = now.after(s(1));
            assert_eq!(breaker.admit(now), Ok(()));
            assert_eq!(breaker.admit(now), Err((s(5), Why::Failed)), "one tries");
        }
        breaker.succeeded();
        assert_eq!(breaker.admit(now), Ok(()));
        breaker.failed(now);
        assert_eq!(breaker.admit(now), Ok(()), "it counts anew");
    }

    #[test]
    fn who_tries_and_leaves_does_not_close_it_for_ever() {
        let mut breaker = Breaker::default();
        let now = Moment::ZERO;
        for _ in 0..5 {
            breaker.failed(now);
        }
        assert_eq!(breaker.admit(now.after(s(5))), Ok(()));
        assert_eq!(breaker.admit(now.after(s(10))), Ok(()));
    }

    #[test]
    fn a_limit_holds_as_long_as_it_says() {
        let check = |said: Option<u64>, held: u64| {
            let mut breaker = Breaker::default();
            breaker.limited(Moment::ZERO, said.map(s));
            assert_eq!(breaker.rest(Moment::ZERO), Some((s(held), Why::Limited)));
            // Somebody else was still being answered.
            breaker.succeeded();
            assert_eq!(breaker.rest(Moment::ZERO), Some((s(held), Why::Limited)));
            let over = Moment::ZERO.after(s(held));
            assert_eq!(breaker.admit(over), Ok(()));
            assert_eq!(breaker.admit(over), Err((s(5), Why::Limited)), "one tries");
            breaker.succeeded();
            assert_eq!(breaker.admit(over), Ok(()));
        };
        check(Some(7), 7);
        check(None, 60);
        check(Some(1_000_000), 6 * 3600);
    }
}
