//! Passwords compared with hashes: on one core at most, each once, and good ones remembered, so that a
//! storm of logins slows nobody who is signed in (S15).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use aws_lc_rs::hmac;
use moka::sync::Cache;
use tokio::sync::{OnceCell, Semaphore};

use super::backoff::{Backoff, Who, place};
use super::users::{Hash, Users};
use crate::auth::credentials::Secret;
use crate::clock::{Clock, Random, Timestamp};

/// How long a good login is remembered.
const REMEMBERED_FOR: Duration = Duration::from_mins(1);
const REMEMBERED_MAX: u64 = 10_000;
/// Hashes that may wait for the core: at cost 10 and 60 ms the last one is served after 4 s.
const QUEUE_MAX: usize = 64;
/// Those that one place may have waiting: it cannot keep out all others.
const QUEUE_SHARE: usize = QUEUE_MAX / 2;
/// What a client is asked to wait for room in the queue.
const QUEUE_WAIT: Duration = Duration::from_secs(5);

/// What one login is known by: nothing can be learnt from it without the key of this process.
type Login = [u8; 32];

/// The login cannot be checked now; it may be after this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Busy {
    pub(crate) wait: Duration,
}

/// Checks passwords.
pub(crate) struct Passwords {
    clock: Clock,
    key: hmac::Key,
    /// Good logins, and when they were.
    remembered: Cache<Login, Timestamp>,
    /// Those that are being checked.
    flights: Mutex<HashMap<Login, Weak<OnceCell<bool>>>>,
    backoff: Backoff,
    /// Held while a hash is computed.
    core: Arc<Semaphore>,
    queue: Queue,
    /// How many hashes were computed, for tests to count.
    hashes: Arc<AtomicU64>,
}

impl Passwords {
    pub(crate) fn new(clock: &Clock, random: &Random) -> Self {
        let key = [random.bits().to_be_bytes(), random.bits().to_be_bytes()].concat();
        Self {
            clock: clock.clone(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            remembered: Cache::new(REMEMBERED_MAX),
            flights: Mutex::default(),
            backoff: Backoff::new(),
            core: Arc::new(Semaphore::new(1)),
            queue: Queue::default(),
            hashes: Arc::default(),
        }
    }

    /// Whether the password is the user's. One that is not, and a user who is not there, cost the same.
    ///
    /// # Errors
    /// [`Busy`] if nothing was compared.
    pub(crate) async fn check(
        &self,
        users: &Users,
        user: &str,
        password: &Secret,
        address: &str,
    ) -> Result<bool, Busy> {
        let (hash, counts) = users.find(user);
        let login = self.digest(&[&hash.bytes(), user.as_bytes(), password.expose()]);
        let now = self.clock.now();
        let since = self.remembered.get(&login).map(|since| now.since(since));
        if since.is_some_and(|since| since < REMEMBERED_FOR) {
            return Ok(true);
        }
        let place = place(address);
        let who = self.digest(&[place.as_bytes(), user.as_bytes()]);
        let wait = self.backoff.wait(&who, now);
        if !wait.is_zero() {
            return Err(Busy { wait });
        }
        let flight = Flight::join(&self.flights, login);
        let checking = self.check_once(hash, counts, password, login, (&place, who));
        flight.cell.get_or_try_init(|| checking).await.copied()
    }

    /// What the first of those does who ask the same at once.
    async fn check_once(
        &self,
        hash: Hash,
        counts: bool,
        password: &Secret,
        login: Login,
        (place, who): (&str, Who),
    ) -> Result<bool, Busy> {
        let matches = self.hash(hash, password, place).await? && counts;
        let now = self.clock.now();
        if matches {
            self.remembered.insert(login, now);
            self.backoff.forgive(&who);
        } else {
            self.backoff.failed(who, now);
        }
        Ok(matches)
    }

    async fn hash(&self, hash: Hash, password: &Secret, place: &str) -> Result<bool, Busy> {
        let busy = Busy { wait: QUEUE_WAIT };
        let _place = self.queue.enter(place).ok_or(busy)?;
        let core = Arc::clone(&self.core).acquire_owned().await;
        let core = core.map_err(|_| busy)?;
        let (password, hashes) = (password.clone(), Arc::clone(&self.hashes));
        let matched = tokio::task::spawn_blocking(move || {
            // Held until the hash is done, even if its client went away meanwhile.
            let _core = core;
            hashes.fetch_add(1, Ordering::Relaxed);
            hash.matches(password.expose())
        });
        matched.await.map_err(|_| busy)
    }

    /// Good logins are forgotten: the file changed.
    pub(crate) fn forget(&self) {
        self.remembered.invalidate_all();
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

/// A check that several wait for.
struct Flight<'a> {
    flights: &'a Mutex<HashMap<Login, Weak<OnceCell<bool>>>>,
    login: Login,
    cell: Arc<OnceCell<bool>>,
}

impl<'a> Flight<'a> {
    fn join(flights: &'a Mutex<HashMap<Login, Weak<OnceCell<bool>>>>, login: Login) -> Self {
        let mut open = flights.lock().unwrap_or_else(PoisonError::into_inner);
        let known = open.get(&login).and_then(Weak::upgrade);
        let cell = known.unwrap_or_else(|| {
            let cell = Arc::default();
            open.insert(login, Arc::downgrade(&cell));
            cell
        });
        drop(open);
        Self {
            flights,
            login,
            cell,
        }
    }
}

impl Drop for Flight<'_> {
    /// The last one to leave takes the flight down.
    fn drop(&mut self) {
        let mut open = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::strong_count(&self.cell) == 1 {
            open.remove(&self.login);
        }
    }
}

/// Who waits for the core, by place.
#[derive(Default)]
struct Queue(Mutex<HashMap<String, usize>>);

struct Queued<'a> {
    queue: &'a Queue,
    place: String,
}

impl Queue {
    /// A place in the queue, if there is one for them.
    fn enter(&self, place: &str) -> Option<Queued<'_>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = waiting.values().sum();
        let own = waiting.get(place).copied().unwrap_or(0);
        if QUEUE_MAX <= all || QUEUE_SHARE <= own {
            return None;
        }
        waiting.insert(place.to_owned(), own + 1);
        Some(Queued {
            queue: self,
            place: place.to_owned(),
        })
    }
}

#[cfg(test)]
impl Queue {
    fn count(&self) -> usize {
        self.0.lock().expect("no panic").values().sum()
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let mut waiting = self.queue.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = waiting.get_mut(&self.place) {
            *own -= 1;
            if *own == 0 {
                waiting.remove(&self.place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::OwnedSemaphorePermit;

    use super::*;

    const ADDRESS: &str = "192.0.2.1:1000";

    struct Fixture {
        clock: Clock,
        passwords: Arc<Passwords>,
        users: Arc<Users>,
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
            self.passwords
                .check(&self.users, user, &password, address)
                .await
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
        let fixture = Fixture::new();
        assert_eq!(fixture.check("ann", "right", ADDRESS).await, Ok(true));
        let core = fixture.take_core().await;
        let mut storm = Vec::new();
        for number in 0..QUEUE_MAX {
            let (passwords, users) = (Arc::clone(&fixture.passwords), Arc::clone(&fixture.users));
            storm.push(tokio::spawn(async move {
                let address = format!("192.0.2.{}:1", number % 2);
                let password = Secret::new(number.to_be_bytes());
                passwords.check(&users, "ann", &password, &address).await
            }));
        }
        // The tasks of this runtime run in turn; at some turn of ours all stand in the queue.
        while fixture.passwords.queue.count() < QUEUE_MAX {
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
        for task in storm.split_off(1) {
            task.abort();
            let _ = task.await;
        }
        let places = fixture.passwords.queue.0.lock().expect("no panic").len();
        assert_eq!(places, 1, "who goes away leaves the queue");
        drop(core);
        for task in storm {
            assert_eq!(task.await.expect("no panic"), Ok(false));
        }
        assert!(
            fixture
                .passwords
                .flights
                .lock()
                .expect("no panic")
                .is_empty()
        );
    }

    #[tokio::test]
    async fn one_place_has_half_of_the_queue() {
        let queue = Queue::default();
        let own: Vec<_> = (0..QUEUE_SHARE).map(|_| queue.enter("a")).collect();
        assert!(own.iter().all(Option::is_some));
        assert!(queue.enter("a").is_none());
        assert!(queue.enter("b").is_some());
        drop(own);
        assert!(queue.enter("a").is_some());
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
}
