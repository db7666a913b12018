//! What the mirror did for clients, by upstream.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    manifest_hits: AtomicU64,
    manifest_misses: AtomicU64,
    stale: AtomicU64,
    blob_hits: AtomicU64,
    blob_misses: AtomicU64,
    shared: AtomicU64,
    failures: AtomicU64,
    sent_bytes: AtomicU64,
    fetched_bytes: AtomicU64,
    relayed_bytes: AtomicU64,
}

/// [`Numbers`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Manifests that were answered from a copy, without a question or after one that found it fresh.
    pub(crate) manifest_hits: u64,
    /// Manifests that were fetched first.
    pub(crate) manifest_misses: u64,
    /// Answered from a copy because the upstream could not be asked.
    pub(crate) stale: u64,
    pub(crate) blob_hits: u64,
    /// Blobs that were fetched, once for all who waited.
    pub(crate) blob_misses: u64,
    /// Clients that read a blob while it was fetched for another.
    pub(crate) shared: u64,
    /// Requests that could not be answered.
    pub(crate) failures: u64,
    /// Bytes of blobs promised to clients.
    pub(crate) sent_bytes: u64,
    /// Bytes of blobs that came from the upstream.
    pub(crate) fetched_bytes: u64,
    /// Bytes of blobs that came from another process, which fetched them.
    pub(crate) relayed_bytes: u64,
}

/// What is counted one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    ManifestHit,
    ManifestMiss,
    Stale,
    BlobHit,
    BlobMiss,
    Shared,
    Failure,
}

impl Numbers {
    pub(crate) fn add(&self, count: Count) {
        let counter = match count {
            Count::ManifestHit => &self.manifest_hits,
            Count::ManifestMiss => &self.manifest_misses,
            Count::Stale => &self.stale,
            Count::BlobHit => &self.blob_hits,
            Count::BlobMiss => &self.blob_misses,
            Count::Shared => &self.shared,
            Count::Failure => &self.failures,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_sent_bytes(&self, bytes: u64) {
        self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn add_fetched_bytes(&self, bytes: u64) {
        self.fetched_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn add_relayed_bytes(&self, bytes: u64) {
        self.relayed_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn counted(&self) -> Counted {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counted {
            manifest_hits: read(&self.manifest_hits),
            manifest_misses: read(&self.manifest_misses),
            stale: read(&self.stale),
            blob_hits: read(&self.blob_hits),
            blob_misses: read(&self.blob_misses),
            shared: read(&self.shared),
            failures: read(&self.failures),
            sent_bytes: read(&self.sent_bytes),
            fetched_bytes: read(&self.fetched_bytes),
            relayed_bytes: read(&self.relayed_bytes),
        }
    }
}
