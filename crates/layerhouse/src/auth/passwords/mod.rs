//! Passwords compared with hashes: on one core at most, each once, and good ones remembered, so that a
//! storm of logins slows nobody who is signed in (S15).

mod backoff;
mod flights;
pub(crate) mod hash;
mod queue;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac;
use futures_util::future::BoxFuture;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::Semaphore;

use self::backoff::{Backoff, Who, place};
use self::flights::Flights;
use self::queue::Queue;
use super::credentials::Secret;
use crate::clock::{Clock, Random, Timestamp};

/// How long a good login needs no hash again.
const REMEMBERED_FOR: Duration = Duration::from_mins(1);
/// How long a good login does not wait for the guesses of others at its place.
const KNOWN_FOR: Duration = Duration::from_hours(24);
const REMEMBERED_MAX: u64 = 10_000;
/// What a client is asked to wait for room in the queue.
const QUEUE_WAIT: Duration = Duration::from_secs(5);

/// What one login is known by: nothing can be learnt from it without the key of this process.
type Login = [u8; 32];

/// A login that somebody tries.
#[derive(Clone, Copy)]
pub(crate) struct Guess<'a> {
    /// What the password is compared with: another entry is another login.
    pub(crate) entry: &'a [u8],
    pub(crate) user: &'a str,
    pub(crate) password: &'a Secret,
    /// Where they are.
    pub(crate) address: &'a str,
}

/// How it is found out whether a password is right.
pub(crate) enum Comparison<'a> {
    /// By a hash, on the core that all share.
    Here(Box<dyn FnOnce() -> bool + Send + 'static>),
    /// By asking another server, which is `Busy` when it does not answer.
    Elsewhere(BoxFuture<'a, Result<bool, Busy>>),
}

/// The login cannot be checked now; it may be after this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy {
    pub(crate) wait: Duration,
}

/// Checks passwords.
pub(crate) struct Passwords {
    clock: Clock,
    key: hmac::Key,
    memory: Arc<Memory>,
    /// Those that are being checked.
    flights: Flights,
    /// Held while a hash is computed.
    core: Arc<Semaphore>,
    queue: Queue,
    /// How many hashes were computed, for tests to count.
    hashes: Arc<AtomicU64>,
}

/// What is known of the past.
struct Memory {
    /// Good logins, and when they were.
    remembered: Cache<Login, Timestamp>,
    /// The same by login and place, for longer. By place: what is known does not wait, so that whoever
    /// may ask for it learns of a guess whether it is right as fast as they ask.
    known: Cache<Login, Timestamp>,
    users: Backoff,
    places: Backoff,
}

/// A login that is asked for.
#[derive(Clone, Copy)]
struct Asked {
    login: Login,
    login_and_place: Login,
    place_and_user: Who,
    place: Who,
}

impl Memory {
    fn new() -> Self {
        let logins = |time| {
            Cache::builder()
                .max_capacity(REMEMBERED_MAX)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(time)
                .build()
        };
        Self {
            remembered: logins(REMEMBERED_FOR),
            known: logins(KNOWN_FOR),
            users: Backoff::new(backoff::FREE_OF_USER),
            places: Backoff::new(backoff::FREE_OF_PLACE),
        }
    }

    fn is_remembered(&self, login: &Login, now: Timestamp) -> bool {
        is_within(&self.remembered, login, REMEMBERED_FOR, now)
    }

    fn is_known(&self, asked: &Asked, now: Timestamp) -> bool {
        is_within(&self.known, &asked.login_and_place, KNOWN_FOR, now)
    }

    /// Whether it may be checked now.
    fn admit(&self, asked: &Asked, is_known: bool, now: Timestamp) -> Result<(), Busy> {
        let wait = if is_known {
            Duration::ZERO
        } else {
            let of_user = self.users.wait(&asked.place_and_user, now);
            of_user.max(self.places.wait(&asked.place, now))
        };
        if wait.is_zero() {
            Ok(())
        } else {
            Err(Busy { wait })
        }
    }

    fn learn(&self, asked: &Asked, matches: bool, now: Timestamp) {
        if matches {
            self.remembered.insert(asked.login, now);
            self.known.insert(asked.login_and_place, now);
            // Not the place: one good login must not pay for guesses at others.
            self.users.forgive(&asked.place_and_user);
        } else {
            self.users.failed(asked.place_and_user, now);
            self.places.failed(asked.place, now);
        }
    }
}

fn is_within(
    cache: &Cache<Login, Timestamp>,
    login: &Login,
    time: Duration,
    now: Timestamp,
) -> bool {
    let age = cache.get(login).and_then(|since| backoff::age(since, now));
    age.is_some_and(|age| age < time)
}

impl Passwords {
    pub(crate) fn new(clock: &Clock, random: &Random) -> Self {
        let key = [random.bits().to_be_bytes(), random.bits().to_be_bytes()].concat();
        Self {
            clock: clock.clone(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            memory: Arc::new(Memory::new()),
            flights: Flights::default(),
            core: Arc::new(Semaphore::new(1)),
            queue: Queue::default(),
            hashes: Arc::default(),
        }
    }

    /// Whether the password is the user's.
    ///
    /// # Errors
    /// [`Busy`] if nothing was compared.
    pub(crate) async fn check(
        &self,
        guess: Guess<'_>,
        comparison: Comparison<'_>,
    ) -> Result<bool, Busy> {
        let Guess {
            entry,
            user,
            password,
            address,
        } = guess;
        let place = place(address);
        let login = self.digest(&[entry, user.as_bytes(), password.expose()]);
        let asked = Asked {
            login,
            login_and_place: self.digest(&[&login, place.as_bytes()]),
            place_and_user: self.digest(&[place.as_bytes(), user.as_bytes()]),
            place: self.digest(&[place.as_bytes()]),
        };
        let now = self.clock.now();
        let is_known = self.memory.is_known(&asked, now);
        // Before what is remembered: of that too, who guesses may learn no faster than they may guess.
        self.memory.admit(&asked, is_known, now)?;
        if self.memory.is_remembered(&login, now) {
            if !is_known {
                self.memory.known.insert(asked.login_and_place, now);
            }
            return Ok(true);
        }
        let flight = self.flights.join(login);
        let checking = self.compare(comparison, &place, (asked, is_known));
        flight.cell.get_or_try_init(|| checking).await.copied()
    }

    /// What the first of those does who ask the same at once.
    async fn compare(
        &self,
        comparison: Comparison<'_>,
        place: &str,
        (asked, is_known): (Asked, bool),
    ) -> Result<bool, Busy> {
        let busy = Busy { wait: QUEUE_WAIT };
        let _place = self.queue.enter(place, is_known).ok_or(busy)?;
        let matches = match comparison {
            Comparison::Elsewhere(asking) => {
                let matches = asking.await?;
                self.memory.learn(&asked, matches, self.clock.now());
                matches
            }
            Comparison::Here(matches) => {
                let core = Arc::clone(&self.core).acquire_owned().await;
                let core = core.map_err(|_| busy)?;
                // Others of the same place may have failed meanwhile.
                self.memory.admit(&asked, is_known, self.clock.now())?;
                let hashes = Arc::clone(&self.hashes);
                let (memory, clock) = (Arc::clone(&self.memory), self.clock.clone());
                let comparing = tokio::task::spawn_blocking(move || {
                    // Held until the result is known to the next one, even if this client went away
                    // meanwhile.
                    let _core = core;
                    hashes.fetch_add(1, Ordering::Relaxed);
                    let matches = matches();
                    memory.learn(&asked, matches, clock.now());
                    matches
                });
                comparing.await.map_err(|_| busy)?
            }
        };
        Ok(matches)
    }

    /// Good logins are forgotten: the file changed. Those that are known stay, for each is of its entry.
    pub(crate) fn forget(&self) {
        self.memory.remembered.invalidate_all();
    }

    /// With the length of each part, so that no two lists of parts are the same bytes.
    fn digest(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::OwnedSemaphorePermit;

    use super::*;
    use crate::auth::htpasswd::users::Users;

    const ADDRESS: &str = "192.0.2.1:1000";

    struct Fixture {
        clock: Clock,
        passwords: Arc<Passwords>,
        users: Arc<Users>,
    }

    async fn by_file(
        passwords: &Passwords,
        users: &Users,
        user: &str,
        password: &Secret,
        address: &str,
    ) -> Result<bool, Busy> {
        let (hash, counts) = users.find(user);
        let guess = Guess {
            entry: &hash.bytes(),
            user,
            password,
            address,
        };
        let typed = password.clone();
        let matches = move || hash.matches(typed.expose()) && counts;
        passwords
            .check(guess, Comparison::Here(Box::new(matches)))
            .await
    }

    impl Fixture {
        fn new() -> Self {
            let clock = Clock::manual(Timestamp(1_000_000));
            let hash = bcrypt::hash_with_salt("right", 4, [7; 16]).expect("a cost that is allowed");
            let file = format!("ann:{hash}\nplain:right\n");
            Self {
                passwords: Arc::new(Passwords::new(&clock, &Random::seeded(1))),
                users: Arc::new(Users::parse(file.as_bytes()).expect("a good file")),
                clock,
            }
        }

        async fn check(&self, user: &str, password: &str, address: &str) -> Result<bool, Busy> {
            let password = Secret::new(password.as_bytes());
            by_file(&self.passwords, &self.users, user, &password, address).await
        }

        /// Guesses at a place of this number.
        fn spawn(
            &self,
            user: &'static str,
            guess: usize,
            place: usize,
        ) -> tokio::task::JoinHandle<Result<bool, Busy>> {
            let (passwords, users) = (Arc::clone(&self.passwords), Arc::clone(&self.users));
            tokio::spawn(async move {
                let address = format!("198.51.100.{place}:1");
                let password = Secret::new(guess.to_be_bytes());
                by_file(&passwords, &users, user, &password, &address).await
            })
        }

        async fn take_core(&self) -> OwnedSemaphorePermit {
            let core = Arc::clone(&self.passwords.core);
            core.acquire_owned().await.expect("it is never closed")
        }

        fn hashes(&self) -> u64 {
            self.passwords.hashes.load(Ordering::Relaxed)
        }
    }

    /// S14: equal work, counted; the answer is the same `false`.
    #[tokio::test]
    async fn sec_s14_unknown_and_wrong_cost_one_hash_each() {
        let fixture = Fixture::new();
        for (at, (user, password)) in [
            ("ann", "wrong"),
            ("ann", ""),
            ("nobody", "right"),
            ("plain", "right"),
            ("", ""),
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(fixture.check(user, password, ADDRESS).await, Ok(false));
            assert_eq!(fixture.hashes(), at as u64 + 1, "{user}");
        }
    }

    #[tokio::test]
    async fn good_logins_are_remembered_for_a_minute() {
        let fixture = Fixture::new();
        for _ in 0..3 {
            assert_eq!(fixture.check("ann", "right", ADDRESS).await, Ok(true));
            assert_eq!(fixture.hashes(), 1);
            fixture.clock.advance(Duration::from_secs(20));
        }
        assert_eq!(fixture.check("ann", "right", ADDRESS).await, Ok(true));
        assert_eq!(fixture.hashes(), 2, "the minute is over");
        fixture.passwords.forget();
        assert_eq!(fixture.check("ann", "right", ADDRESS).await, Ok(true));
        assert_eq!(fixture.hashes(), 3, "the file changed");
        assert_eq!(fixture.check("ann", "wrong", ADDRESS).await, Ok(false));
        assert_eq!(fixture.hashes(), 4);
    }

    /// S15: with the core taken, who is signed in goes on; what waits is bounded, as is one place's share.
    #[tokio::test]
    async fn sec_s15_a_storm_waits_and_the_signed_in_do_not() {
        const STORM: usize = queue::MAX - queue::RESERVED;
        let fixture = Fixture::new();
        assert_eq!(fixture.check("ann", "right", ADDRESS).await, Ok(true));
        let core = fixture.take_core().await;
        let mut storm = Vec::new();
        for number in 0..STORM {
            storm.push(fixture.spawn("ann", number, number % (STORM / queue::SHARE)));
        }
        // The tasks of this runtime run in turn; at some turn of ours all stand in the queue.
        while fixture.passwords.queue.count() < STORM {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            fixture.check("ann", "right", ADDRESS).await,
            Ok(true),
            "no hash is needed"
        );
        let busy = Err(Busy { wait: QUEUE_WAIT });
        assert_eq!(fixture.check("ann", "other", "198.51.100.1").await, busy);
        assert_eq!(fixture.hashes(), 1);
        fixture.clock.advance(REMEMBERED_FOR);
        let (passwords, users) = (Arc::clone(&fixture.passwords), Arc::clone(&fixture.users));
        let known = tokio::spawn(async move {
            let password = Secret::new(*b"right");
            by_file(&passwords, &users, "ann", &password, ADDRESS).await
        });
        // There is room for who was here before.
        while fixture.passwords.queue.count() <= STORM {
            assert!(!known.is_finished());
            tokio::task::yield_now().await;
        }
        for task in storm.split_off(1) {
            task.abort();
            let _ = task.await;
        }
        let places = fixture.passwords.queue.places();
        assert_eq!(places, 1, "who goes away leaves the queue");
        drop(core);
        assert_eq!(known.await.expect("no panic"), Ok(true));
        for task in storm {
            assert_eq!(task.await.expect("no panic"), Ok(false));
        }
        assert_eq!(fixture.passwords.flights.count(), 0);
    }

    #[tokio::test]
    async fn the_same_login_at_once_is_hashed_once() {
        let fixture = Fixture::new();
        for (expected, password) in (1..).zip(["right", "wrong"]) {
            let core = fixture.take_core().await;
            let [one, two, three] =
                [password; 3].map(|password| fixture.check("ann", password, ADDRESS));
            // All three ask before the first is served.
            let (one, two, three, ()) = tokio::join!(biased; one, two, three, async { drop(core) });
            let all = Ok(password == "right");
            assert_eq!((one, two, three), (all, all, all));
            assert_eq!(fixture.hashes(), expected);
        }
    }

    #[tokio::test]
    async fn who_guesses_waits_and_others_do_not() {
        let fixture = Fixture::new();
        for number in 0..11 {
            let password = number.to_string();
            assert_eq!(fixture.check("ann", &password, ADDRESS).await, Ok(false));
        }
        let wait = Duration::from_secs(1);
        for user in ["right", "guess"] {
            assert_eq!(
                fixture.check("ann", user, ADDRESS).await,
                Err(Busy { wait })
            );
        }
        assert_eq!(fixture.hashes(), 11, "nothing is hashed while they wait");
        assert_eq!(fixture.check("ann", "right", "192.0.2.9:1").await, Ok(true));
        fixture.clock.advance(wait);
        assert_eq!(fixture.check("ann", "right", ADDRESS).await, Ok(true));
    }

    /// One who guesses shares a place with people who know their passwords.
    #[tokio::test]
    async fn who_was_known_here_does_not_wait_for_who_guesses() {
        let fixture = Fixture::new();
        assert_eq!(fixture.check("ann", "right", ADDRESS).await, Ok(true));
        for number in 0..11 {
            let password = number.to_string();
            assert_eq!(fixture.check("ann", &password, ADDRESS).await, Ok(false));
        }
        let busy = Err(Busy {
            wait: Duration::from_secs(1),
        });
        assert_eq!(fixture.check("ann", "guess", ADDRESS).await, busy);
        fixture.passwords.forget();
        assert_eq!(fixture.check("ann", "right", ADDRESS).await, Ok(true));
        assert_eq!(fixture.hashes(), 13, "it is hashed all the same");
    }

    /// Elsewhere the same login waits, remembered or not: else guesses would be answered at any speed.
    #[tokio::test]
    async fn what_is_known_at_one_place_is_no_answer_at_another() {
        let fixture = Fixture::new();
        for number in 0..11 {
            let password = number.to_string();
            assert_eq!(fixture.check("ann", &password, ADDRESS).await, Ok(false));
        }
        assert_eq!(fixture.check("ann", "right", "192.0.2.9:1").await, Ok(true));
        let busy = Err(Busy {
            wait: Duration::from_secs(1),
        });
        assert_eq!(fixture.check("ann", "right", ADDRESS).await, busy);
    }

    #[tokio::test]
    async fn a_place_that_guesses_at_many_users_waits() {
        let fixture = Fixture::new();
        for number in 0..=backoff::FREE_OF_PLACE {
            let user = number.to_string();
            assert_eq!(fixture.check(&user, "x", ADDRESS).await, Ok(false));
        }
        let busy = Err(Busy {
            wait: Duration::from_secs(1),
        });
        assert_eq!(fixture.check("ann", "right", ADDRESS).await, busy);
        assert_eq!(fixture.check("ann", "right", "192.0.2.9:1").await, Ok(true));
    }

    /// What stood in the queue before the first failure was known is asked again.
    #[tokio::test]
    async fn guesses_that_wait_together_are_counted_one_by_one() {
        let fixture = Fixture::new();
        for number in 0..backoff::FREE_OF_USER {
            let password = number.to_string();
            let address = "198.51.100.1:1";
            assert_eq!(fixture.check("ann", &password, address).await, Ok(false));
        }
        let core = fixture.take_core().await;
        let tasks: Vec<_> = (0..4)
            .map(|number| fixture.spawn("ann", number, 1))
            .collect();
        while fixture.passwords.queue.count() < tasks.len() {
            tokio::task::yield_now().await;
        }
        drop(core);
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await.expect("no panic"));
        }
        let busy = Err(Busy {
            wait: Duration::from_secs(1),
        });
        assert_eq!(answers, [Ok(false), busy, busy, busy]);
    }
}
