//! Objects that become files of the cache: read from the store behind the pulls that made them worth it, some at a
//! time, and hashed on the way.

use std::future::poll_fn;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::{BlobCaching, Wanted};
use crate::blobs::cache::{Beside, BlobCache, Settings};
use crate::fault::{Fault, FaultKind};
use crate::registry::{Registry, blocking};

/// Objects that are read at once.
const FILLS_MAX: usize = 4;
/// Blobs that wait for it: the layers of some images, which are pulled together.
const WAITING_MAX: usize = 64;
/// Written and hashed at once, on a thread that may wait: with what arrives meanwhile, what a fill has in memory.
const SLICE_BYTES: usize = 1 << 20;
/// Between two looks whether the disk has room enough, or can be written again.
const INTERVAL: Duration = Duration::from_mins(1);

/// How a fill ended.
enum End {
    /// There is a file.
    Filled,
    /// There is none, for a reason that is nobody's fault, or somebody else says.
    Left,
    /// The object is not what the row says.
    Damaged,
    /// The disk of the cache took no file.
    Refused(Fault),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault)
    }
}

impl Registry {
    /// Keeps files of blobs that are pulled often, where blobs are objects, until `stop` is true.
    pub(crate) async fn keep_blob_cache(
        self: Arc<Self>,
        settings: Settings,
        mut stop: watch::Receiver<bool>,
    ) {
        if !self.store.has_buckets() {
            return;
        }
        let (wanted, mut waiting) = mpsc::channel(WAITING_MAX);
        if self.blob_cache.set(BlobCaching::new(wanted)).is_err() {
            return;
        }
        let is_stopping = |stopping: &bool| *stopping;
        tokio::select! {
            () = self.open_blob_cache(settings) => {}
            _ = stop.wait_for(is_stopping) => return,
        }
        let (mut running, until) = (JoinSet::new(), stop.clone());
        let mut next_look = pin!(self.clock.sleep(INTERVAL));
        loop {
            tokio::select! {
                Some(wanted) = waiting.recv(), if running.len() < FILLS_MAX => {
                    running.spawn(Arc::clone(&self).fill_in(wanted, until.clone()));
                }
                Some(ended) = running.join_next(), if !running.is_empty() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "filling the cache failed");
                    }
                }
                () = &mut next_look => {
                    running.spawn(Arc::clone(&self).shrink_blob_cache());
                    next_look.set(self.clock.sleep(INTERVAL));
                }
                _ = stop.wait_for(is_stopping) => break,
            }
        }
        // They see it, too, and leave no thread behind that still writes.
        while running.join_next().await.is_some() {}
    }

    /// Opens the cache; until that can be done pulls go on without it.
    async fn open_blob_cache(self: &Arc<Self>, settings: Settings) {
        let directory = settings.directory.clone();
        let directory = directory.unwrap_or_else(|| self.store.layout().cache());
        let mut is_said = false;
        loop {
            let (registry, settings) = (Arc::clone(self), settings.clone());
            let place = directory.clone();
            let opening = blocking(move || registry.open_cache_at(&settings, &place));
            match opening.await.and_then(|opened| opened) {
                Ok(()) => {
                    tracing::info!(directory = %directory.display(), "blobs are cached");
                    return;
                }
                Err(fault) if !is_said => tracing::error!(
                    %fault,
                    "blobs are not cached, and all pulls go to the object store; it is tried again each minute"
                ),
                Err(_) => {}
            }
            is_said = true;
            self.clock.sleep(INTERVAL).await;
        }
    }

    fn open_cache_at(&self, settings: &Settings, directory: &Path) -> Result<(), Fault> {
        let Some(caching) = self.blob_cache.get() else {
            return Ok(());
        };
        let beside = Beside {
            root: self.store.layout().root().to_owned(),
            free_bytes_min: self.limits.free_bytes_min,
            open_files_max: self.limits.open_files_max,
        };
        let cache = BlobCache::open(settings, directory, &beside, &caching.numbers)?;
        // Nobody else sets it.
        let _ = caching.cache.set(Arc::new(cache));
        Ok(())
    }

    /// Gives space back that the database needs more.
    async fn shrink_blob_cache(self: Arc<Self>) {
        let Some(caching) = self.blob_cache.get() else {
            return;
        };
        let Some(cache) = caching.cache.get().map(Arc::clone) else {
            return;
        };
        let shrunk = blocking(move || cache.shrink()).await;
        if let Err(fault) = shrunk.and_then(|shrunk| shrunk) {
            self.pause_fills(caching, &fault);
        }
    }

    async fn fill_in(self: Arc<Self>, wanted: Wanted, mut stop: watch::Receiver<bool>) {
        let Some(caching) = self.blob_cache.get() else {
            return;
        };
        let digest = wanted.lease.digest().clone();
        match self.copy_to_cache(caching, wanted, &mut stop).await {
            End::Filled => tracing::debug!(%digest, "a blob is cached"),
            End::Left => {}
            End::Refused(fault) => self.pause_fills(caching, &fault),
            End::Damaged => {
                tracing::warn!(%digest, "an object is not what its digest says, as it seems: it is read again");
                let looked = tokio::select! {
                    looked = self.look_again(&digest) => looked,
                    _ = stop.wait_for(|stopping| *stopping) => Ok(()),
                };
                if let Err(fault) = looked {
                    tracing::error!(%digest, %fault, "a damaged blob could not be taken note of");
                }
            }
        }
    }

    /// The disk is full or failed: pulls go to the store, and one line says so.
    fn pause_fills(&self, caching: &BlobCaching, fault: &Fault) {
        if caching.pause(self.clock.moment()) {
            tracing::error!(%fault, "no blob is cached for a minute; pulls go to the object store");
        }
    }

    /// Copies an object into a file; the lease is held as long.
    async fn copy_to_cache(
        &self,
        caching: &BlobCaching,
        wanted: Wanted,
        stop: &mut watch::Receiver<bool>,
    ) -> End {
        let Wanted {
            lease,
            key,
            size_bytes,
        } = wanted;
        let digest = lease.digest().clone();
        let objects = self.store.objects_of(&key);
        let (Some(cache), Some(objects)) = (caching.cache.get(), objects) else {
            return End::Left;
        };
        if cache.holds(&digest) {
            self.verify_cached(&digest, size_bytes).await;
            return End::Left;
        }
        let (filled, named) = (Arc::clone(cache), digest.clone());
        let begun = blocking(move || filled.begin(&named, size_bytes)).await;
        let mut fill = match begun.and_then(|begun| begun) {
            Ok(Some(fill)) => fill,
            Ok(None) => return End::Left,
            Err(fault) => return fault.into(),
        };
        let opened = tokio::select! {
            opened = objects.open_range(&key, 0..size_bytes) => opened,
            _ = stop.wait_for(|stopping| *stopping) => return End::Left,
        };
        // One that is missing, or a store that does not answer, is for who pulls it to say.
        let Ok(Some(mut reader)) = opened else {
            return End::Left;
        };
        let mut is_end = false;
        while !is_end {
            let (mut slice, mut slice_bytes) = (Vec::<Bytes>::new(), 0);
            while slice_bytes < SLICE_BYTES && !is_end {
                let next = tokio::select! {
                    next = poll_fn(|context| reader.poll_next(context)) => next,
                    _ = stop.wait_for(|stopping| *stopping) => return End::Left,
                };
                match next {
                    Some(Ok(bytes)) => {
                        slice_bytes += bytes.len();
                        slice.push(bytes);
                    }
                    Some(Err(fault)) if fault.kind() == FaultKind::Damaged => return End::Damaged,
                    Some(Err(_)) => return End::Left,
                    None => is_end = true,
                }
            }
            let appending = blocking(move || fill.append(&slice).map(|()| fill));
            fill = match appending.await {
                Ok(Ok(fill)) => fill,
                Ok(Err(error)) => return Fault::io("writing a file of the cache", error).into(),
                Err(fault) => return fault.into(),
            };
        }
        match blocking(move || fill.finish()).await {
            Ok(Ok(true)) => End::Filled,
            Ok(Ok(false)) => End::Damaged,
            Ok(Err(error)) => Fault::io("naming a file of the cache", error).into(),
            Err(fault) => fault.into(),
        }
    }
}
