//! Pulls of blobs that are objects, from files of this machine where there are some: which pull may be answered so,
//! and which blob gets a file. Who may pull it at all is decided by the rows, before anybody asks here.

mod doorkeeper;
mod fills;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use doorkeeper::Doorkeeper;
use layerhouse_oci::digest::Digest;
use tokio::sync::mpsc;

use super::blobs::HASHED_FIRST_MAX_BYTES;
use super::leases::{Lease, Leases};
use super::{Registry, blocking};
use crate::blobs::cache::BlobCache;
use crate::blobs::read::BlobFile;
use crate::clock::Moment;
use crate::metrics::{BlobCacheNumbers, BlobCacheState};

/// A disk that took no file is not tried again before.
const PAUSE: Duration = Duration::from_mins(1);

/// The cache of a registry, and what it remembers.
#[derive(Debug)]
pub(super) struct BlobCaching {
    /// Set when it is known what the cache holds.
    cache: OnceLock<Arc<BlobCache>>,
    doorkeeper: Mutex<Doorkeeper>,
    /// One file of a digest at a time is filled in or hashed. They are not those of the registry: a push of the same
    /// digest does not wait.
    leases: Leases,
    wanted: mpsc::Sender<Wanted>,
    paused_at: Mutex<Option<Moment>>,
    numbers: Arc<BlobCacheNumbers>,
}

/// A blob that is worth a file.
#[derive(Debug)]
struct Wanted {
    lease: Lease,
    key: Arc<str>,
    size_bytes: u64,
}

impl BlobCaching {
    fn new(wanted: mpsc::Sender<Wanted>) -> Self {
        Self {
            cache: OnceLock::new(),
            doorkeeper: Mutex::default(),
            leases: Leases::default(),
            wanted,
            paused_at: Mutex::default(),
            numbers: Arc::default(),
        }
    }

    /// Whether a blob should have a file from now on.
    fn admits(&self, cache: &BlobCache, digest: &Digest, size_bytes: u64, now: Moment) -> bool {
        if !cache.fits(size_bytes) || self.is_paused(now) {
            return false;
        }
        // One that is there and was not hashed yet came through this door before.
        cache.holds(digest) || {
            let doorkeeper = self.doorkeeper.lock();
            let mut doorkeeper = doorkeeper.unwrap_or_else(PoisonError::into_inner);
            doorkeeper.admits(digest, now)
        }
    }

    fn is_paused(&self, now: Moment) -> bool {
        let paused_at = *self
            .paused_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        paused_at.is_some_and(|at| now.since(at) < PAUSE)
    }

    /// Fills nothing in for a while; whether it is the first to say so.
    fn pause(&self, now: Moment) -> bool {
        let is_first = !self.is_paused(now);
        let mut paused_at = self
            .paused_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *paused_at = Some(now);
        is_first
    }
}

impl Registry {
    /// The file of a blob that is the object of this key, if there is one; else it may have one soon. So many bytes of it
    /// are asked for.
    pub(super) async fn find_cached(
        self: &Arc<Self>,
        digest: &Digest,
        (key, size_bytes): (&Arc<str>, u64),
        asked_bytes: u64,
    ) -> Option<BlobFile> {
        let caching = self.blob_cache.get()?;
        let file = self.find_verified(caching, digest, size_bytes).await;
        caching.numbers.add_pull(file.is_some(), asked_bytes);
        if file.is_none()
            && let Some(cache) = caching.cache.get()
            && caching.admits(cache, digest, size_bytes, self.clock.moment())
            && let Some(lease) = caching.leases.try_take(digest)
        {
            // If as many wait already as may, a later pull asks again.
            let _ = caching.wanted.try_send(Wanted {
                lease,
                key: Arc::clone(key),
                size_bytes,
            });
        }
        file
    }

    async fn find_verified(
        self: &Arc<Self>,
        caching: &BlobCaching,
        digest: &Digest,
        size_bytes: u64,
    ) -> Option<BlobFile> {
        let found = caching.cache.get()?.find(digest)?;
        if found.is_verified {
            return Some(found.file);
        }
        // A larger one is hashed while this pull is answered from the store.
        if HASHED_FIRST_MAX_BYTES < size_bytes {
            return None;
        }
        // A task of its own, as for published files: a client that goes away does not end it.
        let (registry, digest) = (Arc::clone(self), digest.clone());
        let hashing = tokio::spawn(async move {
            let caching = registry.blob_cache.get()?;
            let _lease = caching.leases.take(&digest).await;
            registry.verify_cached(&digest, size_bytes).await
        });
        hashing.await.ok().flatten()
    }

    /// Hashes a file that an earlier process left, unless that was done meanwhile; the caller holds the digest's lease
    /// in the cache.
    async fn verify_cached(&self, digest: &Digest, size_bytes: u64) -> Option<BlobFile> {
        let cache = Arc::clone(self.blob_cache.get()?.cache.get()?);
        let found = cache.find(digest)?;
        if found.is_verified {
            return Some(found.file);
        }
        let _turn = self.hashing.acquire().await;
        let digest = digest.clone();
        let hashed = blocking(move || cache.verify(&digest, found, size_bytes)).await;
        hashed.ok().flatten()
    }

    /// A file of the cache could not be read to its end: the next pull is answered from the store.
    pub(super) fn drop_cached(self: &Arc<Self>, digest: &Digest) {
        let registry = Arc::clone(self);
        let digest = digest.clone();
        tokio::task::spawn_blocking(move || {
            if let Some(cache) = registry.blob_cache.get().and_then(|one| one.cache.get()) {
                cache.remove(&digest);
            }
        });
    }

    /// What the cache did, if there is one.
    pub(crate) fn blob_cache_state(&self) -> Option<BlobCacheState> {
        let caching = self.blob_cache.get()?;
        let held_bytes = caching.cache.get().map_or(0, |cache| cache.held_bytes());
        Some(caching.numbers.state(held_bytes))
    }
}
