//! The outbox: what waits to be told, and what became of it. The job that delivers calls this.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use layerhouse_oci::descriptor::Descriptor;
use tokio::sync::watch;

use super::counters::{Attempt, EndpointCounts};
use super::{EventPolicy, Pulled, Target, Thing, body, references};
use crate::clock::Timestamp;
use crate::config::meaning::Notifications;
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::database::Durability;
pub(crate) use crate::meta::events::EventId;
use crate::meta::events::{OutboxBounds, StoredEvent};
use crate::registry::Registry;

/// Events held at once for endpoints that do not take them, at 700 bytes each.
const ROWS_MAX: i64 = 1_000_000;
/// Their bodies.
const BYTES_MAX: i64 = 1 << 30;
/// An endpoint that was away for longer is not told of what was before.
const AGE_MAX: Duration = Duration::from_hours(30 * 24);

/// Events read at once for an endpoint.
const PAGE_ROWS_MAX: usize = 64;
/// A page is not added to once it has so many bytes.
const PAGE_BYTES_MAX: usize = 1 << 20;
/// Pulls written in one transaction: 1,000 hold the writer for 10 ms.
const PULLS_MAX: usize = 1_000;
/// No pull is added to a transaction once it has so many bytes.
const PULLS_BYTES_MAX: usize = 4 << 20;
/// Events removed in one transaction.
const REMOVED_MAX: usize = 2_000;

/// Pulls whose events are about to be written.
#[derive(Debug)]
pub(crate) struct Pulls(Vec<Pulled>);

impl Pulls {
    /// Whether more are waiting, probably.
    pub(crate) fn are_many(&self) -> bool {
        PULLS_MAX <= self.0.len()
    }
}

/// A pull with its event.
struct Told {
    pulled: Pulled,
    body: String,
}

/// What is known of telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotificationStatus {
    pub(crate) endpoints: Vec<EndpointStatus>,
    /// Pulls that nobody is told of.
    pub(crate) lost_pulls: u64,
}

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

    /// From now on these endpoints are told, and no others; those that another process may be told to tell are, too,
    /// until [`Registry::drop_other_endpoints`].
    ///
    /// # Errors
    /// The database failed; then all is as it was.
    pub(crate) async fn configure_events(
        &self,
        notifications: &Notifications,
    ) -> Result<(), Fault> {
        let policy = EventPolicy::new(notifications);
        let names = policy.names();
        let told = self.database.read(meta::events::endpoints)?;
        if !names.iter().all(|name| told.contains(name)) {
            let names = names.clone();
            self.database
                .write(move |tx| meta::events::add_endpoints(tx, &names))
                .await?;
        }
        if !self.is_shared() {
            self.drop_endpoints_but(names).await?;
        }
        // Only now, when new endpoints have their place, is anything written for them.
        self.events.policy.store(policy.into());
        Ok(())
    }

    /// Endpoints that the configuration of this process does not have are told no more.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn drop_other_endpoints(&self) -> Result<(), Fault> {
        let names = self.events.policy.load().names();
        self.drop_endpoints_but(names).await
    }

    async fn drop_endpoints_but(&self, names: Vec<String>) -> Result<(), Fault> {
        let told = self.database.read(meta::events::endpoints)?;
        if told.iter().all(|name| names.contains(name)) {
            return Ok(());
        }
        self.database
            .write(move |tx| meta::events::remove_other_endpoints(tx, &names))
            .await
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

    /// Removes what everyone has, and the oldest of what is more than the outbox may hold. Whether there
    /// are events that are too old: these go only with `drops_old`.
    pub(crate) async fn bound_outbox(&self, drops_old: bool) -> Result<bool, Fault> {
        if self.database.read(meta::events::is_empty)? {
            return Ok(false);
        }
        let remove_passed = move |tx: &meta::transaction::Transaction<'_>| {
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
        let oldest = Timestamp(self.clock.now().0.saturating_sub(age_max));
        let first = self.database.read(meta::events::first_happened_at)?;
        let bounds = OutboxBounds {
            rows_max: ROWS_MAX,
            bytes_max: BYTES_MAX,
            oldest: if drops_old {
                oldest
            } else {
                Timestamp(i64::MIN)
            },
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
        Ok(first.is_some_and(|first| first < oldest))
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

    /// Writes the events of pulls; those that cannot be written are counted as lost.
    ///
    /// # Errors
    /// Some are lost: the database failed, the disk is nearly full, or half the outbox is.
    pub(crate) async fn write_pulls(&self, pulls: Pulls) -> Result<(), Fault> {
        let mut left = pulls.0.len();
        let written = self.write_parts(pulls, &mut left).await;
        if 0 < left {
            self.events.counters.count_lost_pulls(left as u64);
        }
        written
    }

    /// What is written is taken from `left`.
    async fn write_parts(&self, pulls: Pulls, left: &mut usize) -> Result<(), Fault> {
        let mut pulls = pulls.0.into_iter().peekable();
        while pulls.peek().is_some() {
            // What is free is for pushes, and for the database to go on.
            self.store.check_room()?;
            let mut references = BTreeMap::new();
            let mut part = Vec::new();
            let mut part_bytes = 0;
            while part_bytes < PULLS_BYTES_MAX
                && let Some(pulled) = pulls.next()
            {
                let references = self.references_of(&pulled, &mut references)?;
                let body = pulled.body(references);
                part_bytes += body.len();
                part.push(Told { pulled, body });
            }
            let part = self
                .database
                .write_lasting(Durability::ProcessDeath, move |tx| append_pulls(tx, part))
                .await?;
            *left -= part.len();
            for told in &part {
                self.count_told(&told.pulled.teller);
            }
            self.events.written.send_replace(());
        }
        Ok(())
    }

    /// What a pulled manifest references, if that is to be told; `known` are those of others.
    fn references_of<'a>(
        &self,
        pulled: &Pulled,
        known: &'a mut BTreeMap<Key, Vec<Descriptor>>,
    ) -> Result<&'a [Descriptor], Fault> {
        if !pulled.is_manifest || !self.events.policy.load().include_references {
            return Ok(&[]);
        }
        let found = match known.entry(key(pulled)) {
            Entry::Occupied(found) => found.into_mut(),
            Entry::Vacant(free) => {
                let (repository, digest) = free.key();
                let manifest = self
                    .database
                    .read(|tx| meta::manifests::by_digest(tx, repository, digest))?;
                // Deleted since: then nobody knows any more.
                free.insert(manifest.map_or_else(Vec::new, |found| references(&found.content)))
            }
        };
        Ok(found)
    }

    /// What is known of each endpoint, for metrics. Blocks.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn notification_status(&self) -> Result<NotificationStatus, Fault> {
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
        let endpoints: Result<_, Fault> = policy.endpoints.iter().map(of).collect();
        Ok(NotificationStatus {
            endpoints: endpoints?,
            lost_pulls: self.events.counters.lost_pulls(),
        })
    }
}

/// A manifest of a repository.
type Key = (String, String);

fn key(pulled: &Pulled) -> Key {
    let (repository, digest) = (&pulled.repository, &pulled.digest);
    (repository.as_str().to_owned(), digest.as_str().to_owned())
}

impl Pulled {
    fn body(&self, references: &[Descriptor]) -> String {
        let (digest, size_bytes) = (&self.digest, self.size_bytes);
        let thing = if self.is_manifest {
            Thing::Manifest { digest, size_bytes }
        } else {
            Thing::Blob { digest, size_bytes }
        };
        let mut target = Target::new(&self.repository, thing);
        target.tag = self.tag.as_ref();
        target.references = references;
        body::write(&self.teller, &target)
    }
}

/// Pulls have one half of the outbox: however many there are, they push out no push and no delete that
/// waits.
fn append_pulls(
    tx: &meta::transaction::Transaction<'_>,
    pulls: Vec<Told>,
) -> Result<Vec<Told>, Fault> {
    let held = meta::events::held(tx)?;
    if ROWS_MAX / 2 <= held.rows || BYTES_MAX / 2 <= held.bytes {
        let doing =
            "half of the outbox is full: pulls are not told until endpoints have taken some";
        return Err(Fault::plain(FaultKind::Other, doing));
    }
    for told in &pulls {
        let Told { pulled, body } = told;
        pulled.teller.append_body(tx, &pulled.repository, body)?;
    }
    Ok(pulls)
}
