//! The upload sessions that are open: whose they are, how far they came, and who writes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use layerhouse_oci::digest::Hasher;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::upload_id::UploadId;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::clock::Timestamp;

/// An upload session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: UploadId,
    pub(super) repository: RepositoryName,
    pub(super) principal: String,
    pub(super) started_at: Timestamp,
    touched_at: AtomicI64,
    held_bytes: AtomicU64,
    /// The hash of what is staged; `None` until the file was read again after a restart.
    writer: Arc<AsyncMutex<Option<Hasher>>>,
}

/// The right to write to a session.
pub(super) type WriterGuard = OwnedMutexGuard<Option<Hasher>>;

impl Session {
    pub(super) fn new(
        id: UploadId,
        repository: RepositoryName,
        principal: String,
        started_at: Timestamp,
    ) -> Self {
        Self {
            id,
            repository,
            principal,
            started_at,
            touched_at: AtomicI64::new(started_at.0),
            held_bytes: AtomicU64::new(0),
            writer: Arc::default(),
        }
    }

    /// The right to write, if nobody else has it.
    pub(super) fn try_write(&self) -> Option<WriterGuard> {
        Arc::clone(&self.writer).try_lock_owned().ok()
    }

    pub(super) fn touch(&self, now: Timestamp) {
        self.touched_at.store(now.0, Ordering::Relaxed);
    }

    pub(super) fn touched_at(&self) -> Timestamp {
        Timestamp(self.touched_at.load(Ordering::Relaxed))
    }

    pub(super) fn set_held_bytes(&self, held_bytes: u64) {
        self.held_bytes.store(held_bytes, Ordering::Relaxed);
    }

    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes.load(Ordering::Relaxed)
    }
}

/// Every open session; [`Sessions::open`] bounds them.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<UploadId, Arc<Session>>>);

/// A bound of [`Sessions::open`] is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl Sessions {
    /// Adds a session, unless so many are open, or hold so many bytes, already.
    pub(super) fn open(
        &self,
        session: Session,
        sessions_max: usize,
        held_bytes_max: u64,
    ) -> Result<Arc<Session>, TooMany> {
        let mut sessions = self.lock();
        let held_bytes: u64 = sessions.values().map(|session| session.held_bytes()).sum();
        if sessions_max <= sessions.len() || held_bytes_max <= held_bytes {
            return Err(TooMany);
        }
        let session = Arc::new(session);
        sessions.insert(session.id.clone(), Arc::clone(&session));
        Ok(session)
    }

    pub(super) fn get(&self, id: &UploadId) -> Option<Arc<Session>> {
        self.lock().get(id).cloned()
    }

    pub(super) fn remove(&self, id: &UploadId) -> Option<Arc<Session>> {
        self.lock().remove(id)
    }

    pub(super) fn all(&self) -> Vec<Arc<Session>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<UploadId, Arc<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
