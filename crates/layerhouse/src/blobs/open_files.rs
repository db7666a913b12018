//! Published files that stay open between pulls, so that a warm pull opens and maps nothing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use layerhouse_oci::digest::Digest;

use super::read::BlobFile;

/// A smaller file is opened each time: it would take the place of one that is worth keeping.
const KEPT_BYTES_MIN: u64 = 64 << 10;
/// Addresses are not endless: two of these are half of what `mapping.rs` maps at most, and leave the rest to
/// files that readers still hold, and to those of a cache.
const GENERATION_BYTES_MAX: u64 = 32 << 30;

/// Two generations: what is used moves to the young one, and when that is full the old one is closed.
#[derive(Debug)]
pub(super) struct OpenFiles {
    generation_max: usize,
    files: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Digest, BlobFile>,
    young_bytes: u64,
    old: HashMap<Digest, BlobFile>,
}

impl OpenFiles {
    /// At most so many; none are kept if it is 0.
    pub(super) fn new(files_max: usize) -> Self {
        Self {
            generation_max: files_max / 2,
            files: Mutex::default(),
        }
    }

    /// Whether such a file would be kept.
    pub(super) fn wants(&self, size_bytes: u64) -> bool {
        0 < self.generation_max && (KEPT_BYTES_MIN..=GENERATION_BYTES_MAX).contains(&size_bytes)
    }

    /// The file, if it is open; whoever asks sees whether it still is the one at its path.
    pub(super) fn get(&self, digest: &Digest) -> Option<BlobFile> {
        let mut files = self.lock();
        if let Some(file) = files.young.get(digest) {
            return Some(file.clone());
        }
        let file = files.old.remove(digest)?;
        let evicted = self.insert_young(&mut files, digest, &file);
        drop(files);
        drop(evicted);
        Some(file)
    }

    pub(super) fn insert(&self, digest: &Digest, file: &BlobFile) {
        let mut files = self.lock();
        let before = files.take(digest);
        let evicted = self.insert_young(&mut files, digest, file);
        drop(files);
        drop((before, evicted));
    }

    /// Closes it, as soon as those have ended who read it; its space on the disk is free only then.
    pub(super) fn remove(&self, digest: &Digest) {
        let removed = self.lock().take(digest);
        drop(removed);
    }

    /// What gave way to it is to be closed when the lock is free: closing a file that was removed frees its
    /// space, for which the disk may let one wait.
    fn insert_young(
        &self,
        files: &mut Generations,
        digest: &Digest,
        file: &BlobFile,
    ) -> HashMap<Digest, BlobFile> {
        let bytes = files.young_bytes.saturating_add(file.size_bytes());
        let mut evicted = HashMap::new();
        if self.generation_max <= files.young.len() || GENERATION_BYTES_MAX < bytes {
            let young = std::mem::take(&mut files.young);
            evicted = std::mem::replace(&mut files.old, young);
            files.young_bytes = 0;
        }
        files.young_bytes += file.size_bytes();
        files.young.insert(digest.clone(), file.clone());
        evicted
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    /// It is in one of them at most.
    fn take(&mut self, digest: &Digest) -> Option<BlobFile> {
        let Some(file) = self.young.remove(digest) else {
            return self.old.remove(digest);
        };
        self.young_bytes -= file.size_bytes();
        Some(file)
    }
}
