//! The outbox: what waits to be told, and what became of it. The job that delivers calls this.

use std::collections::BTreeMap;
use std::time::Duration;

use layerhouse_oci::descriptor::Descriptor;
use tokio::sync::watch;

use super::counters::{Attempt, EndpointCounts};
use super::{EventPolicy, Pulled, Target, Thing, body, references};
use crate::clock::Timestamp;
use crate::config::meaning::Notifications;
use crate::fault::Fault;
use crate::meta;
pub(crate) use crate::meta::events::EventId;
use crate::meta::events::{OutboxBounds, StoredEvent};
use crate::meta::sqlite::Durability;
use crate::registry::Registry;

/// Events held at once for endpoints that do not take them, at 700 bytes each.
const ROWS_MAX: i64 = 1_000_000;
/// Their bodies; those of a large index with its references have a megabyte.
const BYTES_MAX: i64 = 1 << 30;
/// An endpoint that was away for longer is not told of what was before.
const AGE_MAX: Duration = Duration::from_hours(30 * 24);

/// Events read at once for an endpoint.
const PAGE_ROWS_MAX: usize = 64;
/// A page is not added to once it has so many bytes.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// Pulls written in one transaction: 1,000 hold the writer for 10 ms.
const PULLS_MAX: usize = 1_000;
/// Events removed in one transaction.
const REMOVED_MAX: usize = 2_000;

/// Pulls whose events are about to be written.
#[derive(Debug)]
pub(crate) struct Pulls(Vec<Pulled>);

/// What is known of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndpointStatus {
    pub(crate) name: String,
    /// Events that it has not been told of yet, those that it does not want among them.
    pub(crate) pending: u64,
    pub(crate) counts: EndpointCounts,
}

impl Registry {
    /// Says where this registry listens, for `source` of every event; once, before any.
    pub(crate) fn tell_events_as(&self, address: String) {
        let source = body::Source {
            addr: address,
            instance_id: self.random.uuid(),
        };
        if self.events.source.set(source).is_err() {
            tracing::error!("the source of events is set already");
        }
    }

    /// From now on these endpoints are told, and no others.
    ///
    /// # Errors
    /// The database failed; then all is as it was.
    pub(crate) async fn configure_events(
        &self,
        notifications: &Notifications,
    ) -> Result<(), Fault> {
        let policy = EventPolicy::new(notifications);
        let mut names: Vec<_> = policy
            .endpoints
            .iter()
            .map(|endpoint| endpoint.name.clone())
            .collect();
        names.sort();
        if self.database.read(meta::events::endpoints)? != names {
            self.database
                .write(move |tx| meta::events::set_endpoints(tx, &names))
                .await?;
        }
        // Only now, when new endpoints have their place, is anything written for them.
        self.events.policy.store(policy.into());
        Ok(())
    }

    /// Changes when events were written.
    pub(crate) fn events_written(&self) -> watch::Receiver<()> {
        self.events.written.subscribe()
    }

    /// Where an endpoint stands; `None` if it is not told.
    pub(crate) fn events_passed(&self, endpoint: &str) -> Result<Option<EventId>, Fault> {
        self.database.read(|tx| meta::events::passed(tx, endpoint))
    }

    /// The next events after one, in order.
    pub(crate) fn events_after(&self, passed: EventId) -> Result<Vec<StoredEvent>, Fault> {
        self.database
            .read(|tx| meta::events::after(tx, passed, PAGE_ROWS_MAX, PAGE_BYTES_MAX))
    }

    /// An endpoint has, or does not want, every event up to this one. A power cut may undo that, and
    /// the endpoint is told once more.
    pub(crate) async fn pass_events(&self, endpoint: &str, up_to: EventId) -> Result<(), Fault> {
        let endpoint = endpoint.to_owned();
        self.database
            .write_lasting(Durability::ProcessDeath, move |tx| {
                meta::events::pass(tx, &endpoint, up_to)?;
                meta::events::remove_passed(tx, REMOVED_MAX).map(|_| ())
            })
            .await
    }

    pub(crate) fn count_attempt(&self, endpoint: &str, attempt: Attempt) {
        self.events.counters.count_attempt(endpoint, attempt);
    }

    /// Removes what everyone has, and the oldest of what is more than the outbox may hold.
    pub(crate) async fn bound_outbox(&self) -> Result<(), Fault> {
        if self.database.read(meta::events::is_empty)? {
            return Ok(());
        }
        let remove_passed = move |tx: &meta::Transaction<'_>| {
            let removed = meta::events::remove_passed(tx, REMOVED_MAX)?;
            Ok::<_, Fault>(removed)
        };
        while REMOVED_MAX
            <= self
                .database
                .write_lasting(Durability::ProcessDeath, remove_passed)
                .await?
        {}
        let age_max = i64::try_from(AGE_MAX.as_millis()).unwrap_or(i64::MAX);
        let bounds = OutboxBounds {
            rows_max: ROWS_MAX,
            bytes_max: BYTES_MAX,
            oldest: Timestamp(self.clock.now().0.saturating_sub(age_max)),
        };
        let mut lost: BTreeMap<String, u64> = BTreeMap::new();
        loop {
            let (removed, part) = self
                .database
                .write_lasting(Durability::ProcessDeath, move |tx| {
                    meta::events::remove_beyond(tx, bounds, REMOVED_MAX)
                })
                .await?;
            for lost_by in part {
                *lost.entry(lost_by.endpoint).or_default() += lost_by.events;
            }
            if removed < REMOVED_MAX {
                break;
            }
        }
        for (endpoint, events) in lost {
            self.events.counters.count_lost(&endpoint, events);
            tracing::warn!(
                endpoint,
                events,
                "too many events waited for an endpoint, or for too long: the oldest are dropped"
            );
        }
        Ok(())
    }

    /// Waits for pulls that are to be told.
    pub(crate) async fn next_pulls(&self) -> Pulls {
        let mut waiting = self.events.waiting_pulls.lock().await;
        let mut pulls = Vec::new();
        waiting.recv_many(&mut pulls, PULLS_MAX).await;
        Pulls(pulls)
    }

    /// Pulls that are to be told and wait already; `None` if there are none.
    pub(crate) async fn left_pulls(&self) -> Option<Pulls> {
        let mut waiting = self.events.waiting_pulls.lock().await;
        let pulls: Vec<_> = std::iter::from_fn(|| waiting.try_recv().ok())
            .take(PULLS_MAX)
            .collect();
        (!pulls.is_empty()).then_some(Pulls(pulls))
    }

    /// Writes the events of pulls.
    pub(crate) async fn write_pulls(&self, pulls: Pulls) -> Result<(), Fault> {
        let references = self.references_of(&pulls)?;
        let pulls = self
            .database
            .write_lasting(Durability::ProcessDeath, move |tx| {
                for pulled in &pulls.0 {
                    let found = references.get(&key(pulled));
                    pulled.append(tx, found.map_or(&[], Vec::as_slice))?;
                }
                Ok::<_, Fault>(pulls)
            })
            .await?;
        for pulled in &pulls.0 {
            self.count_told(&pulled.teller);
        }
        self.events.written.send_replace(());
        Ok(())
    }

    /// What the manifests among them reference, if that is to be told.
    fn references_of(&self, pulls: &Pulls) -> Result<BTreeMap<Key, Vec<Descriptor>>, Fault> {
        let mut found = BTreeMap::new();
        if !self.events.policy.load().include_references {
            return Ok(found);
        }
        for pulled in pulls.0.iter().filter(|pulled| pulled.is_manifest) {
            let key = key(pulled);
            if found.contains_key(&key) {
                continue;
            }
            let manifest = self
                .database
                .read(|tx| meta::manifests::by_digest(tx, &key.0, &key.1))?;
            // Deleted since: then nobody knows any more.
            let references = manifest.map_or_else(Vec::new, |found| references(&found.content));
            found.insert(key, references);
        }
        Ok(found)
    }

    /// What is known of each endpoint, for metrics. Blocks.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn notification_status(&self) -> Result<Vec<EndpointStatus>, Fault> {
        let policy = self.events.policy.load();
        let of = |endpoint: &super::Wishes| {
            let name = &endpoint.name;
            let pending = self.database.read(|tx| {
                let passed = meta::events::passed(tx, name)?;
                passed.map_or(Ok(0), |passed| meta::events::count_after(tx, passed))
            })?;
            Ok(EndpointStatus {
                name: name.clone(),
                pending,
                counts: self.events.counters.of(name),
            })
        };
        policy.endpoints.iter().map(of).collect()
    }
}

/// A manifest of a repository.
type Key = (String, String);

fn key(pulled: &Pulled) -> Key {
    let (repository, digest) = (&pulled.repository, &pulled.digest);
    (repository.as_str().to_owned(), digest.as_str().to_owned())
}

impl Pulled {
    fn append(&self, tx: &meta::Transaction<'_>, references: &[Descriptor]) -> Result<(), Fault> {
        let (digest, size_bytes) = (&self.digest, self.size_bytes);
        let thing = if self.is_manifest {
            Thing::Manifest { digest, size_bytes }
        } else {
            Thing::Blob { digest, size_bytes }
        };
        let mut target = Target::new(&self.repository, thing);
        target.tag = self.tag.as_ref();
        target.references = references;
        self.teller.append(tx, &target)
    }
}
