//! The upload sessions that are open: whose they are, how far they came, and who writes.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use layerhouse_oci::digest::Hasher;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::upload_id::UploadId;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::clock::{Moment, Timestamp};

/// An upload session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: UploadId,
    pub(super) repository: RepositoryName,
    pub(super) principal: String,
    pub(super) started_at: Timestamp,
    /// When this process took it up, and how old it was then: what the machine's clock says later is not
    /// believed, for it may be set.
    taken_up: (Moment, Duration),
    /// A moment, and how long before it somebody wrote last.
    touched: Mutex<(Moment, Duration)>,
    held_bytes: AtomicU64,
    /// What all sessions hold, this one with them.
    held: Arc<Held>,
    /// The hash of what is staged; `None` until the file was read again after a restart.
    writer: Arc<AsyncMutex<Option<Hasher>>>,
}

/// Bytes that open uploads hold together, and may.
#[derive(Debug)]
pub(super) struct Held {
    bytes: AtomicU64,
    bytes_max: u64,
}

/// The right to write to a session.
pub(super) type WriterGuard = OwnedMutexGuard<Option<Hasher>>;

impl Session {
    /// The right to write, if nobody else has it.
    pub(super) fn try_write(&self) -> Option<WriterGuard> {
        Arc::clone(&self.writer).try_lock_owned().ok()
    }

    pub(super) fn touch(&self, now: Moment) {
        self.touch_before(now, Duration::ZERO);
    }

    /// Somebody wrote to it so long before, perhaps to another process.
    pub(super) fn touch_before(&self, now: Moment, idle: Duration) {
        *self.touched() = (now, idle);
    }

    /// How long nobody wrote to it, as far as this process knows.
    pub(super) fn idle(&self, now: Moment) -> Duration {
        let (moment, idle) = *self.touched();
        idle.saturating_add(now.since(moment))
    }

    /// How long ago it was opened.
    pub(super) fn age(&self, now: Moment) -> Duration {
        let (moment, age) = self.taken_up;
        age.saturating_add(now.since(moment))
    }

    fn touched(&self) -> std::sync::MutexGuard<'_, (Moment, Duration)> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_held_bytes(&self, held_bytes: u64) {
        let before = self.held_bytes.swap(held_bytes, Ordering::Relaxed);
        let all = &self.held.bytes;
        if before < held_bytes {
            all.fetch_add(held_bytes - before, Ordering::Relaxed);
        } else {
            all.fetch_sub(before - held_bytes, Ordering::Relaxed);
        }
    }

    /// Whether all sessions together may hold so many bytes more.
    pub(super) fn has_room(&self, more_bytes: u64) -> bool {
        self.held.has_room(more_bytes)
    }

    pub(super) fn held_bytes(&self) -> u64 {
        self.held_bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.set_held_bytes(0);
    }
}

impl Held {
    fn has_room(&self, more_bytes: u64) -> bool {
        self.bytes
            .load(Ordering::Relaxed)
            .saturating_add(more_bytes)
            <= self.bytes_max
    }
}

/// Every open session.
#[derive(Debug)]
pub(super) struct Sessions {
    open: Mutex<HashMap<UploadId, Arc<Session>>>,
    open_max: usize,
    held: Arc<Held>,
}

/// Whose session, and since when.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) repository: RepositoryName,
    pub(super) principal: String,
    pub(super) started_at: Timestamp,
    /// Now, and how old the session is.
    pub(super) moment: Moment,
    pub(super) age: Duration,
}

/// A bound of [`Sessions::open`] is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl Sessions {
    pub(super) fn new(open_max: usize, held_bytes_max: u64) -> Self {
        let held = Arc::new(Held {
            bytes: AtomicU64::new(0),
            bytes_max: held_bytes_max,
        });
        Self {
            open: Mutex::default(),
            open_max,
            held,
        }
    }

    /// Bytes that all open sessions have staged.
    pub(super) fn held_bytes(&self) -> u64 {
        self.held.bytes.load(Ordering::Relaxed)
    }

    /// Whether one more is too many where so many are open, and hold so many bytes, in all processes.
    pub(super) fn would_refuse(&self, open: u64, held_bytes: u64) -> bool {
        self.open_max as u64 <= open || self.held.bytes_max <= held_bytes
    }

    /// Whether so many more bytes are too many where so many are held, in all processes.
    pub(super) fn would_overflow(&self, held_bytes: u64, more_bytes: u64) -> bool {
        self.held.bytes_max < held_bytes.saturating_add(more_bytes)
    }

    /// Opens a session, unless so many are open, or hold so many bytes, already.
    pub(super) fn open(&self, id: UploadId, owner: Owner) -> Result<Arc<Session>, TooMany> {
        let mut open = self.lock();
        if self.open_max <= open.len() || !self.held.has_room(1) {
            return Err(TooMany);
        }
        Ok(self.insert(&mut open, id, owner))
    }

    /// Takes up a session from before a restart: no bound holds, for its client was promised it.
    pub(super) fn restore(&self, id: UploadId, owner: Owner) -> Arc<Session> {
        self.insert(&mut self.lock(), id, owner)
    }

    fn insert(
        &self,
        open: &mut HashMap<UploadId, Arc<Session>>,
        id: UploadId,
        owner: Owner,
    ) -> Arc<Session> {
        let session = Arc::new(Session {
            id: id.clone(),
            repository: owner.repository,
            principal: owner.principal,
            started_at: owner.started_at,
            taken_up: (owner.moment, owner.age),
            touched: Mutex::new((owner.moment, Duration::ZERO)),
            held_bytes: AtomicU64::new(0),
            held: Arc::clone(&self.held),
            writer: Arc::default(),
        });
        open.insert(id, Arc::clone(&session));
        session
    }

    pub(super) fn get(&self, id: &UploadId) -> Option<Arc<Session>> {
        self.lock().get(id).cloned()
    }

    pub(super) fn remove(&self, id: &UploadId) {
        self.lock().remove(id);
    }

    pub(super) fn count(&self) -> usize {
        self.lock().len()
    }

    /// Bytes that the sessions hold together whose repository is one of these.
    pub(super) fn held_bytes_of(&self, is_of: impl Fn(&RepositoryName) -> bool) -> u64 {
        let open = self.lock();
        let sessions = open.values().filter(|session| is_of(&session.repository));
        sessions.map(|session| session.held_bytes()).sum()
    }

    pub(super) fn all(&self) -> Vec<Arc<Session>> {
        self.lock().values().cloned().collect()
    }

    /// The repositories that somebody pushes to.
    pub(super) fn repositories(&self) -> HashSet<RepositoryName> {
        let open = self.lock();
        open.values()
            .map(|session| session.repository.clone())
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<UploadId, Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
