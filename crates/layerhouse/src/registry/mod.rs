//! What a registry does: pull, push, upload, tag, list, delete. It owns the order in which bytes and
//! rows are written: bytes first and row second to create, row first to delete.

mod adoption;
pub(crate) mod backup;
mod blob_cache;
pub(crate) mod blobs;
pub(crate) mod browse;
mod cache;
pub(crate) mod collection;
pub(crate) mod deletion;
mod description;
pub(crate) mod doctor;
pub(crate) mod events;
#[cfg(test)]
mod given_up;
pub(crate) mod history;
#[cfg(test)]
mod house;
mod lead;
mod leases;
pub(crate) mod links;
pub(crate) mod manifest_rules;
pub(crate) mod manifests;
pub(crate) mod mirror;
pub(crate) mod moving;
pub(crate) mod note;
mod objects;
mod official;
pub(crate) mod pages;
pub(crate) mod placement;
pub(crate) mod policies;
pub(crate) mod preview;
mod promises;
mod pulls;
pub(crate) mod rebuild;
pub(crate) mod receive;
pub(crate) mod recovery;
pub(crate) mod scrub;
mod sessions;
pub(crate) mod storage;
mod tree;
mod turn;
pub(crate) mod undelete;
pub(crate) mod untagged;
pub(crate) mod uploads;
mod verified;
pub(crate) mod verify;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::{Notify, Semaphore};

use crate::blobs::objects::settings::Buckets;
use crate::blobs::redirection::Redirection;
use crate::blobs::{OpenError, Store};
use crate::clock::{Clock, Random};
use crate::config::meaning::placement::Placement;
use crate::config::meaning::policies::Policies;
use crate::config::meaning::{Purging, Scrubbing};
use crate::fault::{Fault, FaultKind};
use crate::health::Health;
use crate::meta::database::Database;
use crate::meta::postgres;
use crate::meta::postgres::schema::Owner;
use crate::metrics::{ScrubNumbers, StorageActions};
use crate::steps::Steps;

/// Bounds of what clients may hold open and send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Upload sessions open at once.
    pub(crate) uploads_max: usize,
    /// Bytes held by all open upload sessions.
    pub(crate) held_bytes_max: u64,
    /// A session that received nothing for this long is purged.
    pub(crate) upload_idle_max: Duration,
    /// A session older than this is purged.
    pub(crate) upload_age_max: Duration,
    /// How abandoned sessions are purged; absent, they are kept.
    pub(crate) purging: Option<Purging>,
    /// Largest blob.
    pub(crate) blob_bytes_max: u64,
    /// How stored bytes are hashed again.
    pub(crate) scrub: Scrubbing,
    /// Uploads are refused when fewer bytes are free on the disk.
    pub(crate) free_bytes_min: u64,
    /// When space comes back.
    pub(crate) collection: Collecting,
    /// Published files that stay open between pulls, so that the kernel can send them by itself; 0 for
    /// reading them into memory.
    pub(crate) open_files_max: usize,
}

/// `layerhouse.collection`: when what nobody needs goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Collecting {
    /// The server collects by itself.
    pub(crate) is_enabled: bool,
    /// What lost all that needed it is kept for this long.
    pub(crate) grace: Duration,
    /// What a client was told is there is kept for it for this long.
    pub(crate) promise: Duration,
    /// What was deleted can be restored for this long.
    pub(crate) undelete: Duration,
    /// Between two rounds.
    pub(crate) interval: Duration,
}

impl Collecting {
    /// Where promises are kept in rows: one that was written within this long is not written again.
    fn promised_again_after(&self) -> Duration {
        self.promise / 60
    }
}

/// What there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    pub(crate) repositories: u64,
    pub(crate) tags: u64,
}

/// Whole files hashed at once, before they are first served.
const HASHING_MAX: usize = 2;

/// A registry on one data directory.
pub(crate) struct Registry {
    /// Files of blobs that are objects, if the operator wants some. It goes before the store: whoever gets the data
    /// directory next finds the cache in it free.
    blob_cache: OnceLock<blob_cache::BlobCaching>,
    store: Arc<Store>,
    database: Database,
    clock: Clock,
    random: Random,
    limits: Limits,
    cache: cache::Cache,
    names: browse::names::Names,
    leases: leases::Leases,
    lead: lead::Lead,
    promises: promises::Promises,
    collector: collection::Collector,
    sessions: Arc<sessions::Sessions>,
    verified: verified::Verified,
    /// Whole files hashed at once: hashing must leave cores for those who wait for nothing.
    hashing: Semaphore,
    /// Rung when link files became stale.
    links_wanted: Notify,
    /// Rung when somebody asked for a pass of the scrub.
    scrub_wanted: Notify,
    scrub_numbers: Arc<ScrubNumbers>,
    events: events::Events,
    /// What may be pushed where, and what stays there.
    policies: ArcSwap<Policies>,
    retention: policies::run::Retention,
    pulls: pulls::Pulls,
    /// Other registries that are served from here.
    mirror: ArcSwapOption<mirror::Mirror>,
    copying: mirror::Copying,
    /// What becomes of the addresses that pulls are sent to.
    redirection: ArcSwap<Redirection>,
    /// Whose blobs go where.
    placement: Placement,
}

/// Where a registry keeps what it has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// The data directory.
    pub(crate) root: &'a Path,
    /// Absent, a file in the data directory.
    pub(crate) database: Option<&'a postgres::Place>,
    pub(crate) buckets: &'a Buckets,
    pub(crate) placement: &'a Placement,
}

impl Registry {
    /// Opens the registry on a data directory and settles what a crash left.
    ///
    /// # Errors
    /// The directory cannot be served; the message says what to do.
    pub(crate) fn open(
        root: &Path,
        database: Option<&postgres::Place>,
        limits: Limits,
        clock: Clock,
        random: Random,
        steps: Steps,
    ) -> Result<Self, OpenError> {
        let place = Place {
            root,
            database,
            buckets: &Buckets::default(),
            placement: &Placement::default(),
        };
        Self::open_with(&place, limits, clock, random, steps)
    }

    /// The same, with blobs as objects of buckets.
    ///
    /// # Errors
    /// As [`Registry::open`], or a bucket is none that can be used.
    pub(crate) fn open_with(
        place: &Place<'_>,
        limits: Limits,
        clock: Clock,
        random: Random,
        steps: Steps,
    ) -> Result<Self, OpenError> {
        let health = Health::default();
        let store = Store::open_with(
            place.root,
            place.buckets,
            steps.clone(),
            health.clone(),
            limits.free_bytes_min,
            limits.open_files_max,
        )?;
        let shown = place.database.map(postgres::Place::shown);
        let known_as = store.check_database(shown.as_deref(), random.bits())?;
        let has_bucket = place.buckets.default.is_some();
        let database = match place.database {
            None => Database::open(&store.layout().database(), steps, health)?,
            Some(server) => {
                let owner = Owner::new(known_as.clone(), has_bucket);
                Database::connect(server, &owner, steps, health)?
            }
        };
        let promises = promises::Promises::new(limits.collection.promise, clock.moment());
        let is_alone = !has_bucket || database.file().is_some();
        let registry = Self {
            lead: lead::Lead::new(random.uuid(), is_alone),
            promises,
            collector: collection::Collector::default(),
            store: Arc::new(store),
            database,
            clock,
            random,
            limits,
            cache: cache::Cache::default(),
            names: browse::names::Names::default(),
            leases: leases::Leases::default(),
            sessions: Arc::new(sessions::Sessions::new(
                limits.uploads_max,
                limits.held_bytes_max,
            )),
            verified: verified::Verified::default(),
            hashing: Semaphore::new(HASHING_MAX),
            links_wanted: Notify::new(),
            scrub_wanted: Notify::new(),
            scrub_numbers: Arc::default(),
            events: events::Events::default(),
            policies: ArcSwap::default(),
            retention: policies::run::Retention::default(),
            pulls: pulls::Pulls::default(),
            mirror: ArcSwapOption::default(),
            copying: mirror::Copying::default(),
            redirection: ArcSwap::default(),
            placement: place.placement.clone(),
            blob_cache: OnceLock::new(),
        };
        let is_bucket_known = registry.check_objects()?;
        registry.store.keep_bucket()?;
        registry.adopt(is_bucket_known)?;
        if is_bucket_known {
            registry.share(&known_as)?;
        }
        registry.recover()?;
        Ok(registry)
    }

    /// Whether pushes can be taken: for `/readyz`. Blocks.
    ///
    /// # Errors
    /// What stands in the way.
    pub(crate) fn check_ready(&self) -> Result<(), Fault> {
        self.store.probe()?;
        self.store.check_room()?;
        self.database.read(crate::meta::ping)
    }

    /// Whether what is stored can be read: for the health check of the storage. Blocks.
    ///
    /// # Errors
    /// What stands in the way.
    pub(crate) fn check_readable(&self) -> Result<(), Fault> {
        self.store.check_readable()?;
        self.database.read(crate::meta::ping)
    }

    /// How many repositories and tags there are. Blocks for milliseconds if there are millions.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn counts(&self) -> Result<Counts, Fault> {
        self.database.list(|tx| {
            Ok(Counts {
                repositories: crate::meta::repositories::count(tx)?,
                tags: crate::meta::tags::count(tx)?,
            })
        })
    }

    /// Lists that standbys of the database were asked for: answered, not answered for a commit that was missing there, failed.
    pub(crate) fn standby_reads(&self) -> [u64; 3] {
        let reads = self.database.standby_reads();
        [reads.answered, reads.behind, reads.failed]
    }

    /// Free bytes of the data directory's file system. Blocks.
    ///
    /// # Errors
    /// The file system does not answer.
    pub(crate) fn free_bytes(&self) -> Result<u64, Fault> {
        self.store.free_bytes()
    }

    /// Free bytes of the data directory's file system, and all that it has. Blocks.
    ///
    /// # Errors
    /// The file system does not answer.
    pub(crate) fn room_bytes(&self) -> Result<(u64, u64), Fault> {
        let room = self.store.room()?;
        Ok((room.free_bytes, room.total_bytes))
    }

    /// Upload sessions that are open.
    pub(crate) fn uploads_active(&self) -> u64 {
        self.sessions.count() as u64
    }

    /// What was done to the disk and asked of object stores, by registry:2's name of the driver, and how long it took.
    pub(crate) fn storage_actions(&self) -> Vec<(&'static str, Arc<StorageActions>)> {
        self.store.all_actions()
    }

    /// What the scrub did since the start.
    pub(crate) fn scrub_numbers(&self) -> &Arc<ScrubNumbers> {
        &self.scrub_numbers
    }

    /// Lets nobody but our own user read the database: it has hashes of passwords and keys of tokens, where
    /// there is an index. Blocks.
    ///
    /// # Errors
    /// The file system does not let us.
    pub(crate) fn hide_database(&self) -> Result<(), Fault> {
        self.store.hide_database()
    }

    /// Takes over the operator's policies; requests in flight go on under those that they began with.
    pub(crate) fn configure_policies(&self, policies: &Policies) {
        self.policies.store(Arc::new(policies.clone()));
    }

    /// Where the facts are, for those who keep others beside the registry's.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn random(&self) -> &Random {
        &self.random
    }

    /// Finishes what was acknowledged and closes the database. Blocks.
    pub(crate) fn close(&self) {
        self.database.close();
    }

    /// Makes room for the record of a delete on a disk that is full.
    fn make_room_for_delete(&self) {
        /// A delete's group of the write-ahead log, with room to spare.
        const NEEDED_BYTES: u64 = 4 << 20;
        if self
            .store
            .free_bytes()
            .is_ok_and(|free_bytes| free_bytes < NEEDED_BYTES)
        {
            self.store.release_reserve();
        }
    }
}

/// Runs blocking work where it may wait; its panic is a fault of the caller's operation alone.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Fault::new(FaultKind::Other, "a blocking task", error))
}
