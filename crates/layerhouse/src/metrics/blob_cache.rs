//! What a cache of blobs did.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::exposition::{Scrape, Writer};
use super::labels::CACHED;

/// Numbers of one cache, from the start.
#[derive(Debug, Default)]
pub(crate) struct BlobCacheNumbers {
    hits: AtomicU64,
    hit_bytes: AtomicU64,
    misses: AtomicU64,
    missed_bytes: AtomicU64,
    evictions: AtomicU64,
}

/// The numbers of a cache at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlobCacheState {
    /// Pulls that were answered from a file, and those that were answered from the store.
    pub(crate) requests: [u64; 2],
    /// That they asked for.
    pub(crate) bytes: [u64; 2],
    pub(crate) evictions: u64,
    pub(crate) held_bytes: u64,
}

impl BlobCacheNumbers {
    /// A pull asked for so many bytes of a blob that was there, or was not.
    pub(crate) fn add_pull(&self, is_hit: bool, asked_bytes: u64) {
        let (count, bytes) = if is_hit {
            (&self.hits, &self.hit_bytes)
        } else {
            (&self.misses, &self.missed_bytes)
        };
        count.fetch_add(1, Ordering::Relaxed);
        bytes.fetch_add(asked_bytes, Ordering::Relaxed);
    }

    /// A file went to make room.
    pub(crate) fn add_eviction(&self) {
        self.evictions.fetch_add(1, Ordering::Relaxed);
    }

    /// All of them, and what the cache holds.
    pub(crate) fn state(&self, held_bytes: u64) -> BlobCacheState {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        BlobCacheState {
            requests: [read(&self.hits), read(&self.misses)],
            bytes: [read(&self.hit_bytes), read(&self.missed_bytes)],
            evictions: read(&self.evictions),
            held_bytes,
        }
    }
}

impl Scrape {
    /// Nothing, without a cache.
    pub(super) fn of_blob_cache(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let Some(state) = self.blob_cache else {
            return Ok(());
        };
        let labelled = |counts: [u64; 2]| {
            let labels = CACHED.map(|result| [("result", result)]);
            labels.into_iter().zip(counts)
        };
        writer.counters(
            "layerhouse_blob_cache_requests",
            "Pulls of blobs that passed through here: from the cache, or from the object store.",
            labelled(state.requests),
        )?;
        writer.counters(
            "layerhouse_blob_cache_bytes",
            "Bytes of blobs that these asked for.",
            labelled(state.bytes),
        )?;
        writer.gauge(
            "layerhouse_blob_cache_held_bytes",
            "Bytes of the cache's files.",
            i64::try_from(state.held_bytes).ok(),
        )?;
        writer.counter(
            "layerhouse_blob_cache_evictions",
            "Files of the cache that went to make room.",
            state.evictions,
        )
    }
}
