//! The keys that sign our tokens, and how they follow one another.
//!
//! There are two at any time: one that signs, and its successor, which is shown to whoever asks for our keys
//! and signs nothing yet. After a period (`layerhouse.index.tokens.rotation`) the successor signs and
//! another one stands behind it. A registry that trusts us by a file has that whole period to read the file
//! again, and never meets a key that was not in it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use serde_json::json;

use super::key::{NewKey, SigningKey};
use crate::clock::{Clock, Moment, Timestamp};
use crate::config::meaning::index::{IndexTokens, SigningAlgorithm};
use crate::fault::{Fault, FaultKind};
use crate::meta::database::Database;
use crate::meta::signing_keys::{self, StoredKey};

/// Between two looks for keys that others made: whoever sends rubbish costs no more.
const READ_PAUSE: Duration = Duration::from_secs(1);
/// How much longer than tokens live their keys are believed: other clocks may be behind ours.
const BELIEVED_LONGER: Duration = Duration::from_mins(2);

/// The keys that sign our tokens.
pub(crate) struct Keys {
    database: Database,
    clock: Clock,
    config: IndexTokens,
    /// Absent until somebody asks.
    ring: ArcSwapOption<Ring>,
    /// When they were read for a token that none of them signed.
    read_at: Mutex<Option<Moment>>,
    /// Held by who changes the keys.
    turning: tokio::sync::Mutex<()>,
}

/// The keys of a moment.
pub(crate) struct Ring {
    /// Those that sign or will, the oldest first.
    living: Vec<SigningKey>,
    /// Those that signed before.
    retired: Vec<SigningKey>,
    /// When the next one is to sign.
    turns_at: Timestamp,
    believed_for: Duration,
}

impl Keys {
    /// Reads nothing and makes nothing yet.
    pub(crate) fn new(database: &Database, clock: &Clock, config: &IndexTokens) -> Self {
        Self {
            database: database.clone(),
            clock: clock.clone(),
            config: config.clone(),
            ring: ArcSwapOption::empty(),
            read_at: Mutex::default(),
            turning: tokio::sync::Mutex::default(),
        }
    }

    /// The keys as they are, for who verifies: whatever was signed before is believed for its time, whether
    /// or not the next key is due.
    pub(super) fn known(&self) -> Result<Arc<Ring>, Fault> {
        if let Some(ring) = self.ring.load_full() {
            return Ok(ring);
        }
        let stored = self.database.read(signing_keys::all)?;
        let ring = Arc::new(Ring::read(&stored, &self.config)?);
        // Not kept while there is none to sign: they are being made.
        if !ring.living.is_empty() {
            self.ring.store(Some(Arc::clone(&ring)));
        }
        Ok(ring)
    }

    /// The keys as another process may have turned them: read again, once a second at most.
    pub(super) fn known_again(&self) -> Result<Arc<Ring>, Fault> {
        {
            let now = self.clock.moment();
            let mut read_at = self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
            if read_at.is_some_and(|read_at| now.since(read_at) < READ_PAUSE) {
                return self.known();
            }
            *read_at = Some(now);
        }
        let ring = Arc::new(Ring::read(
            &self.database.read(signing_keys::all)?,
            &self.config,
        )?);
        if !ring.living.is_empty() {
            self.ring.store(Some(Arc::clone(&ring)));
        }
        Ok(ring)
    }

    /// The keys as they should be now, for who signs and who shows them: made at the first start, and turned
    /// when it is time.
    pub(crate) async fn current(&self) -> Result<Arc<Ring>, Fault> {
        let ring = self.ring.load_full();
        if let Some(ring) = ring.filter(|ring| self.clock.now() < ring.turns_at) {
            return Ok(ring);
        }
        let _turning = self.turning.lock().await;
        // Whoever held it may have done so.
        if let Some(ring) = self.ring.load_full()
            && self.clock.now() < ring.turns_at
        {
            return Ok(ring);
        }
        let ring = Arc::new(self.turn().await?);
        self.ring.store(Some(Arc::clone(&ring)));
        Ok(ring)
    }

    async fn turn(&self) -> Result<Ring, Fault> {
        let (algorithm, rotation) = (self.config.algorithm, self.config.rotation);
        let now = self.clock.now();
        let forgotten = minus(now, believed_for(&self.config));
        // Made before the transaction, and thrown away if they are not needed.
        let make = || NewKey::make(algorithm, &self.config.issuer);
        let fresh = [make()?, make()?];
        let change =
            move |tx: &crate::meta::transaction::Transaction<'_>| -> Result<Vec<StoredKey>, Fault> {
                let stored = signing_keys::all(tx)?;
                let plan = plan(&stored, algorithm, rotation, now);
                for key in &plan.retire {
                    signing_keys::retire(tx, stored[*key].id, now)?;
                }
                for key in fresh.iter().take(plan.make) {
                    let (private_key, certificate) = (&key.private_key, &key.certificate);
                    signing_keys::create(tx, algorithm.name(), private_key, certificate, now)?;
                }
                signing_keys::delete_retired(tx, forgotten)?;
                signing_keys::all(tx)
            };
        let stored = self.database.write(change).await?;
        tracing::info!(
            keys = stored.len(),
            algorithm = algorithm.name(),
            "the keys for tokens were looked after"
        );
        Ring::read(&stored, &self.config)
    }
}

/// What is to be done with the keys.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    /// Places of those that sign no more.
    retire: Vec<usize>,
    /// How many are missing.
    make: usize,
}

/// `stored` has the oldest first.
fn plan(
    stored: &[StoredKey],
    algorithm: SigningAlgorithm,
    rotation: Duration,
    now: Timestamp,
) -> Plan {
    let is_living = |key: &&(usize, &StoredKey)| key.1.retired_at.is_none();
    let all: Vec<_> = stored.iter().enumerate().collect();
    let (mut living, foreign): (Vec<_>, Vec<_>) = all
        .iter()
        .filter(is_living)
        .partition(|(_, key)| key.algorithm == algorithm.name());
    let mut retire: Vec<usize> = foreign.iter().map(|(place, _)| *place).collect();
    if let [(first, _), (_, next), ..] = living[..]
        && rotation <= now.since(next.created_at)
    {
        retire.push(first);
        living.remove(0);
    }
    Plan {
        retire,
        make: 2_usize.saturating_sub(living.len()),
    }
}

fn believed_for(config: &IndexTokens) -> Duration {
    config.lifetime + BELIEVED_LONGER
}

pub(super) fn plus(time: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Timestamp(time.0.saturating_add(by))
}

fn minus(time: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Timestamp(time.0.saturating_sub(by))
}

impl Ring {
    fn read(stored: &[StoredKey], config: &IndexTokens) -> Result<Self, Fault> {
        let keys: Result<Vec<_>, _> = stored.iter().map(SigningKey::read).collect();
        let (living, retired): (Vec<_>, Vec<_>) =
            keys?.into_iter().partition(|key| key.retired_at.is_none());
        let turns_at = match &living[..] {
            // Signed by another algorithm than is wanted now: the first look changes that.
            [first, ..] if first.algorithm != config.algorithm => Timestamp(i64::MIN),
            [_, next, ..] => plus(next.created_at, config.rotation),
            _ => Timestamp(i64::MIN),
        };
        Ok(Self {
            living,
            retired,
            turns_at,
            believed_for: believed_for(config),
        })
    }

    /// The key that signs.
    pub(super) fn signer(&self) -> Result<&SigningKey, Fault> {
        let none = || Fault::plain(FaultKind::Other, "there is no key for tokens");
        self.living.first().ok_or_else(none)
    }

    /// Those that a token may be signed with: also the successor, which has signed nothing if our clock never
    /// went backwards.
    fn believed(&self, now: Timestamp) -> impl Iterator<Item = &SigningKey> {
        let is_believed = move |key: &&SigningKey| {
            key.retired_at
                .is_none_or(|retired_at| now <= plus(retired_at, self.believed_for))
        };
        self.retired.iter().filter(is_believed).chain(&self.living)
    }

    /// The key of this name, by either form.
    pub(super) fn named(&self, id: &str, now: Timestamp) -> Option<&SigningKey> {
        self.believed(now)
            .find(|key| key.public.ids.iter().any(|own| own == id))
    }

    /// The public keys as a set (RFC 7517), each by both names.
    pub(crate) fn jwks(&self, now: Timestamp) -> String {
        let keys: Vec<_> = self.believed(now).flat_map(SigningKey::jwks).collect();
        json!({ "keys": keys }).to_string()
    }

    /// The certificates in PEM, as registry:2 reads them (`rootcertbundle`). It knows no Ed25519 and would not
    /// start: who chose ES256 gets no others.
    pub(crate) fn bundle(&self, now: Timestamp) -> String {
        let wanted = self.living.first().map(|key| key.algorithm);
        let is_readable = |key: &&SigningKey| {
            key.algorithm == SigningAlgorithm::Es256 || wanted == Some(SigningAlgorithm::EdDsa)
        };
        self.believed(now)
            .filter(is_readable)
            .map(SigningKey::pem)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Health;
    use crate::steps::Steps;

    const DAY: Duration = Duration::from_hours(24);

    fn config(algorithm: SigningAlgorithm) -> IndexTokens {
        IndexTokens {
            issuer: "issuer".to_owned(),
            service: "service".to_owned(),
            services: Vec::new(),
            algorithm,
            lifetime: Duration::from_mins(5),
            rotation: 30 * DAY,
        }
    }

    #[tokio::test]
    async fn keys_follow_one_another() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("database");
        let database = Database::open(&path, Steps::default(), Health::default()).expect("opens");
        let clock = Clock::manual(Timestamp(1_800_000_000_000));
        let keys = Keys::new(&database, &clock, &config(SigningAlgorithm::Es256));
        let id = |ring: &Ring, place: usize| ring.living[place].public.ids[0].clone();
        assert!(
            keys.known().expect("it reads").living.is_empty(),
            "none is made by looking"
        );
        let first = keys.current().await.expect("they are made");
        assert_eq!((first.living.len(), first.retired.len()), (2, 0));
        let (old, next) = (id(&first, 0), id(&first, 1));
        assert_eq!(first.signer().expect("one signs").public.ids[0], old);

        clock.advance((30 * DAY).saturating_sub(Duration::from_millis(1)));
        let same = keys.current().await.expect("they are there");
        assert_eq!((id(&same, 0), id(&same, 1)), (old.clone(), next.clone()));
        clock.advance(Duration::from_millis(1));
        let turned = keys.current().await.expect("they turn");
        assert_eq!(id(&turned, 0), next, "what was shown before signs now");
        assert_eq!(turned.retired.len(), 1);
        let now = clock.now();
        assert!(
            turned.named(&old, now).is_some(),
            "what it signed is still believed"
        );
        assert!(turned.jwks(now).contains(&old));
        let later = plus(now, Duration::from_mins(7));
        assert!(turned.named(&old, later).is_some());
        let later = plus(later, Duration::from_millis(1));
        assert!(turned.named(&old, later).is_none());
        assert!(!turned.jwks(later).contains(&old));

        // Another server on the same rows; and after a long sleep one turn is enough.
        let others = Keys::new(&database, &clock, &config(SigningAlgorithm::Es256));
        assert_eq!(id(&others.known().expect("it reads"), 0), next);
        clock.advance(400 * DAY);
        let awake = others.current().await.expect("they turn");
        assert_eq!(id(&awake, 0), id(&turned, 1));
        assert_eq!(
            (awake.living.len(), awake.retired.len()),
            (2, 1),
            "the first is forgotten"
        );

        // Another algorithm takes over at once, and what was signed before is believed for its time.
        let edwards = Keys::new(&database, &clock, &config(SigningAlgorithm::EdDsa));
        let ring = edwards.current().await.expect("they are made");
        assert!(
            ring.living
                .iter()
                .all(|key| key.algorithm == SigningAlgorithm::EdDsa)
        );
        assert!(ring.named(&id(&awake, 0), clock.now()).is_some());
        assert_eq!(ring.bundle(clock.now()).matches("BEGIN").count(), 5);
        let back = Keys::new(&database, &clock, &config(SigningAlgorithm::Es256));
        let ring = back.current().await.expect("they are made");
        assert!(ring.named(&id(&ring, 0), clock.now()).is_some());
        assert_eq!(ring.jwks(clock.now()).matches("Ed25519").count(), 4);
        let bundle = ring.bundle(clock.now());
        assert_eq!(
            bundle.matches("BEGIN").count(),
            5,
            "registry:2 reads no Ed25519: {bundle}"
        );
        database.close();
    }
}
