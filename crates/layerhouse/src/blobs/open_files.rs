//! Published files that stay open between pulls, so that a warm pull opens and maps nothing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use layerhouse_oci::digest::Digest;

use super::read::BlobFile;

/// A smaller file is opened each time: it would take the place of one that is worth keeping.
pub(super) const KEPT_BYTES_MIN: u64 = 64 << 10;
/// Addresses are not endless (2 × 32 GiB of 256 GiB, where there are fewest).
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
        self.insert_young(&mut files, digest, &file);
        Some(file)
    }

    pub(super) fn insert(&self, digest: &Digest, file: &BlobFile) {
        let mut files = self.lock();
        files.remove(digest);
        self.insert_young(&mut files, digest, file);
    }

    /// Closes it, as soon as those have ended who read it; its space on the disk is free only then.
    pub(super) fn remove(&self, digest: &Digest) {
        self.lock().remove(digest);
    }

    fn insert_young(&self, files: &mut Generations, digest: &Digest, file: &BlobFile) {
        let bytes = files.young_bytes.saturating_add(file.size_bytes());
        if self.generation_max <= files.young.len() || GENERATION_BYTES_MAX < bytes {
            files.old = std::mem::take(&mut files.young);
            files.young_bytes = 0;
        }
        files.young_bytes += file.size_bytes();
        files.young.insert(digest.clone(), file.clone());
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn remove(&mut self, digest: &Digest) {
        if let Some(file) = self.young.remove(digest) {
            self.young_bytes -= file.size_bytes();
        }
        self.old.remove(digest);
    }
}
