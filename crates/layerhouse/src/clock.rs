//! Time and randomness, so that nothing else asks the system for them and tests decide both.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Notify;

/// What moments of this process are counted from.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This long after `earlier`; zero if the clock went backwards.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// As RFC 3339 has it, in UTC and without zeros at the end of a fraction; `None` beyond the year 9999.
    #[must_use]
    pub fn rfc3339(self) -> Option<String> {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000);
        at.ok()?.format(&Rfc3339).ok()
    }

    /// This long before it.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        let duration_ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(duration_ms))
    }

    /// This long after it.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let duration_ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(duration_ms))
    }

    /// The whole second that it is in.
    #[must_use]
    pub fn second(self) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(1000)))
    }
}

/// A moment of this process, in milliseconds since an unknown one: it never goes back, and does not jump when
/// somebody sets the machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    #[cfg(test)]
    pub(crate) const ZERO: Self = Self(0);

    /// This long after `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    #[cfg(test)]
    pub(crate) fn after(self, duration: Duration) -> Self {
        Self(self.0 + u64::try_from(duration.as_millis()).expect("a short time"))
    }
}

/// Where the time comes from.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Source>);

#[derive(Debug)]
enum Source {
    System,
    Manual {
        now_ms: AtomicI64,
        /// What somebody set the clock forward, or back, beyond the time that passed.
        set_ms: AtomicI64,
        moved: Notify,
    },
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(Source::System))
    }

    /// A clock that stands at `start` until [`Clock::advance`] moves it.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self(Arc::new(Source::Manual {
            now_ms: AtomicI64::new(start.0),
            set_ms: AtomicI64::new(0),
            moved: Notify::new(),
        }))
    }

    /// The present moment.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Timestamp {
        match &*self.0 {
            Source::Manual { now_ms, set_ms, .. } => {
                Timestamp(now_ms.load(Ordering::SeqCst) + set_ms.load(Ordering::SeqCst))
            }
            Source::System => {
                let since_epoch = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or(Duration::ZERO);
                Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
            }
        }
    }

    /// The present moment, for what is measured within this process.
    pub(crate) fn moment(&self) -> Moment {
        match &*self.0 {
            Source::Manual { now_ms, .. } => {
                Moment(u64::try_from(now_ms.load(Ordering::SeqCst)).unwrap_or(0))
            }
            Source::System => {
                let since_start = BEGINNING.elapsed().as_millis();
                Moment(u64::try_from(since_start).unwrap_or(u64::MAX))
            }
        }
    }

    /// The present moment in both ways, as of one instant: how far they went apart says how far somebody set
    /// the machine's clock.
    pub(crate) fn moment_and_now(&self) -> (Moment, Timestamp) {
        match &*self.0 {
            // Read once: time may pass between two reads.
            Source::Manual { now_ms, set_ms, .. } => {
                let passed_ms = now_ms.load(Ordering::SeqCst);
                let now = Timestamp(passed_ms + set_ms.load(Ordering::SeqCst));
                (Moment(u64::try_from(passed_ms).unwrap_or(0)), now)
            }
            Source::System => (self.moment(), self.now()),
        }
    }

    /// Moves a manual clock forward and wakes who sleeps; a system clock does not move.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual { now_ms, moved, .. } = &*self.0 {
            now_ms.fetch_add(
                i64::try_from(by.as_millis()).unwrap_or(i64::MAX),
                Ordering::SeqCst,
            );
            moved.notify_waiters();
        }
    }

    /// Sets a manual clock forward, or back, by so many milliseconds, in which no time passes; a system clock
    /// does not move.
    pub fn set(&self, by_ms: i64) {
        if let Source::Manual { set_ms, .. } = &*self.0 {
            set_ms.fetch_add(by_ms, Ordering::SeqCst);
        }
    }

    /// Waits until `duration` has passed on this clock.
    pub(crate) async fn sleep(&self, duration: Duration) {
        match &*self.0 {
            Source::System => tokio::time::sleep(duration).await,
            Source::Manual { moved, .. } => {
                let start = self.moment();
                loop {
                    // Registered before the look at the clock, so an advance in between is seen.
                    let moved = moved.notified();
                    if duration <= self.moment().since(start) {
                        return;
                    }
                    moved.await;
                }
            }
        }
    }
}

/// Where unguessable numbers come from.
#[derive(Clone, Debug)]
pub struct Random {
    seed: Arc<Seed>,
    request_ids: Arc<RequestIds>,
}

/// A request's name, shown as a UUID; most are never shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestId(u128);

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&uuid(self.0))
    }
}

/// Names for requests: unlike any other, but not to be kept secret, so the kernel is asked once.
#[derive(Debug)]
struct RequestIds {
    beginning: u64,
    given: AtomicU64,
}

#[derive(Debug)]
enum Seed {
    System,
    Fixed(Mutex<u64>),
}

impl Random {
    /// The operating system's generator.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Seed::System)
    }

    /// A sequence decided by `seed`, for tests only: it can be guessed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::new(Seed::Fixed(Mutex::new(seed)))
    }

    fn new(seed: Seed) -> Self {
        let beginning = bits_of(&seed).to_le_bytes();
        let (beginning, _) = beginning.split_at(8);
        Self {
            request_ids: Arc::new(RequestIds {
                beginning: beginning
                    .iter()
                    .fold(0, |bits, byte| bits << 8 | u64::from(*byte)),
                given: AtomicU64::new(0),
            }),
            seed: Arc::new(seed),
        }
    }

    /// 128 random bits.
    pub(crate) fn bits(&self) -> u128 {
        bits_of(&self.seed)
    }

    /// A name for a request.
    pub(crate) fn request_id(&self) -> RequestId {
        let ids = &self.request_ids;
        let number = ids.given.fetch_add(1, Ordering::Relaxed);
        let mut state = ids.beginning ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93);
        RequestId(u128::from(splitmix(&mut state)) << 64 | u128::from(splitmix(&mut state)))
    }

    /// A name that nothing else has: a random UUID.
    pub(crate) fn uuid(&self) -> String {
        uuid(self.bits())
    }
}

fn bits_of(seed: &Seed) -> u128 {
    match seed {
        Seed::System => {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).expect("the kernel gives random bytes once it is up");
            u128::from_le_bytes(bytes)
        }
        Seed::Fixed(state) => {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            u128::from(splitmix(&mut state)) << 64 | u128::from(splitmix(&mut state))
        }
    }
}

/// 128 random bits as a UUID of version 4 (RFC 9562).
fn uuid(bits: u128) -> String {
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|group| &hex[group]);
    groups.join("-")
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough spread for test ids.
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_say_the_present_are_of_one_instant() {
        const HOUR: Duration = Duration::from_hours(1);
        let clock = Clock::manual(Timestamp(0));
        let (first, start) = clock.moment_and_now();
        std::thread::scope(|threads| {
            let advancing = threads.spawn(|| (0..100_000).for_each(|_| clock.advance(HOUR)));
            while !advancing.is_finished() {
                let (moment, now) = clock.moment_and_now();
                assert_eq!(now, start.after(moment.since(first)));
            }
        });
        clock.set(1000);
        let (moment, now) = clock.moment_and_now();
        assert_eq!(
            now.since(start.after(moment.since(first))),
            Duration::from_secs(1)
        );
    }

    #[test]
    fn uuids_say_their_version() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
