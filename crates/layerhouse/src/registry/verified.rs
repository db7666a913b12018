//! Which published files were hashed by this process, and have not changed since.
//!
//! A disk can return other bytes than were written. A push hashes what it writes; a blob that this
//! process did not write is hashed before it is first served, and again when its file changed.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use layerhouse_oci::digest::Digest;

use crate::blobs::read::FileVersion;

/// Half of the digests remembered: two generations of 50,000 at 200 bytes are 20 MB.
const GENERATION_MAX: usize = 50_000;

/// Digests whose files are known to be good; a forgotten one is only hashed once more.
#[derive(Debug, Default)]
pub(super) struct Verified(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Digest, FileVersion>,
    old: HashMap<Digest, FileVersion>,
}

impl Verified {
    /// Whether this very file was hashed.
    pub(super) fn contains(&self, digest: &Digest, version: FileVersion) -> bool {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = generations.young.get(digest) {
            return *known == version;
        }
        let known = generations.old.get(digest).copied();
        if known == Some(version) {
            generations.insert(digest, version);
            return true;
        }
        false
    }

    /// This very file hashes to its digest.
    pub(super) fn insert(&self, digest: &Digest, version: FileVersion) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(digest, version);
    }
}

impl Generations {
    fn insert(&mut self, digest: &Digest, version: FileVersion) {
        if GENERATION_MAX <= self.young.len() {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(digest.clone(), version);
    }
}
