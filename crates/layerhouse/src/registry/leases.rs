//! One digest, one at a time: publishing, mounting and removing the bytes of a digest take its lease,
//! so that what one of them saw is still true when it commits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use layerhouse_oci::digest::Digest;
use tokio::sync::OwnedMutexGuard;

type Held = Arc<tokio::sync::Mutex<()>>;

/// The leases held or waited for; one entry for each.
#[derive(Debug, Default)]
pub(super) struct Leases(Arc<Mutex<HashMap<Digest, Held>>>);

/// The right to change what is published under a digest; given back when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    digest: Digest,
    guard: Option<OwnedMutexGuard<()>>,
    leases: Arc<Mutex<HashMap<Digest, Held>>>,
}

impl Leases {
    /// Waits until nobody else holds the digest.
    pub(super) async fn take(&self, digest: &Digest) -> Lease {
        let held = {
            let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(leases.entry(digest.clone()).or_default())
        };
        // The entry must not outlive a caller that gives up waiting: the lease's drop sees to it.
        let mut lease = Lease {
            digest: digest.clone(),
            guard: None,
            leases: Arc::clone(&self.0),
        };
        lease.guard = Some(held.lock_owned().await);
        lease
    }
}

impl Lease {
    /// Whose lease it is.
    pub(super) fn digest(&self) -> &Digest {
        &self.digest
    }
}

impl Leases {
    /// The lease, if nobody holds it or waits for it.
    pub(super) fn try_take(&self, digest: &Digest) -> Option<Lease> {
        let mut leases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if leases.contains_key(digest) {
            return None;
        }
        let held = Held::default();
        let guard = Arc::clone(&held).try_lock_owned().ok()?;
        leases.insert(digest.clone(), held);
        Some(Lease {
            digest: digest.clone(),
            guard: Some(guard),
            leases: Arc::clone(&self.0),
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.guard.take());
        // Whoever waits holds the entry too; new ones cannot come while the map is locked.
        if leases
            .get(&self.digest)
            .is_some_and(|held| Arc::strong_count(held) == 1)
        {
            leases.remove(&self.digest);
        }
    }
}
