//! Upload sessions: opened, written by one client at a time, finished, cancelled, purged.

use std::sync::Arc;
use std::time::Duration;

use layerhouse_oci::digest::{Algorithm, Digest};
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::range::ContentRange;
use layerhouse_oci::upload::{OutOfOrder, place_chunk};
use layerhouse_oci::upload_id::UploadId;

use super::events::{Action, Target, Thing};
use super::objects::REPLACED_KEPT;
use super::policies::guard::Refused;
use super::policies::quota::{self, Room};
use super::receive::{BodyBroken, Incoming, ReceiveError, Writer, receive};
use super::sessions::{Owner, Session};
use super::{Registry, blocking};
use crate::auth::{Granted, Push};
use crate::blobs::stage::{Checkpoint, Stage, VerifiedBlob};
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::links::Link;
use crate::meta::uploads::StoredUpload;

/// What a request says of the bytes in its body.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chunk {
    /// `Content-Range`, for a chunk that says where it goes.
    pub(crate) range: Option<ContentRange>,
    /// `Content-Length`, if the client knows it.
    pub(crate) length_bytes: Option<u64>,
}

/// Why no session was opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenUploadError {
    #[error("too many uploads are open; finish or cancel some, or try again later")]
    TooMany,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a chunk was not appended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushChunkError {
    #[error("there is no such upload here; begin again with POST")]
    Unknown,
    #[error("another request is writing to this upload")]
    Busy,
    #[error("{source}; go on at byte {}", source.held_bytes)]
    OutOfOrder { source: OutOfOrder },
    #[error("the body has {actual_bytes} bytes, its Content-Range {said_bytes}")]
    WrongSize { said_bytes: u64, actual_bytes: u64 },
    #[error("a blob may have {blob_bytes_max} bytes at most")]
    TooLarge { blob_bytes_max: u64 },
    #[error("the open uploads hold as much as they may; try again when some are finished")]
    NoRoom,
    #[error(transparent)]
    Broken(#[from] BodyBroken),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why an upload was not finished. A client can act on each variant; `Fault` is ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FinishUploadError {
    #[error("the bytes hash to {actual}, the client claimed {claimed}; upload them again")]
    DigestMismatch { claimed: Digest, actual: Digest },
    #[error(transparent)]
    Chunk(#[from] PushChunkError),
    #[error(transparent)]
    Open(#[from] OpenUploadError),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a blob's rows were not written.
#[derive(Debug)]
enum RecordError {
    Refused(Refused),
    /// Another request took the upload over.
    Lost,
    Fault(Fault),
}

impl From<Refused> for RecordError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Fault> for RecordError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<RecordError> for FinishUploadError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Refused(refused) => Self::Refused(refused),
            RecordError::Lost => Self::Chunk(PushChunkError::Busy),
            RecordError::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl Registry {
    /// Opens an upload session (end-4a).
    ///
    /// # Errors
    /// Too many are open, or the database failed.
    pub(crate) async fn open_upload(
        &self,
        push: &Granted<Push>,
    ) -> Result<UploadId, OpenUploadError> {
        self.store.check_room()?;
        if let Some(room) = self.room(push.repository(), None, None)? {
            // How much will come is not known; that it would be too much may be.
            room.check(1)?;
        }
        let session = self.open_session(push)?;
        let stored = StoredUpload {
            id: session.id.clone(),
            repository: session.repository.clone(),
            principal: session.principal.clone(),
            started_at: session.started_at,
        };
        // A power cut may lose a session that was opened a moment ago: its client opens another.
        let opened = self
            .database
            .write_apart(move |tx| meta::uploads::open(tx, &stored))
            .await;
        if let Err(fault) = opened {
            self.sessions.remove(&session.id);
            return Err(fault.into());
        }
        self.set_down(&session);
        Ok(session.id.clone())
    }

    /// What quotas leave for this upload to a repository; `None`, if there are none, or if the blob that is
    /// claimed is counted there already.
    fn room(
        &self,
        repository: &RepositoryName,
        claimed: Option<&Digest>,
        upload: Option<&UploadId>,
    ) -> Result<Option<Room>, Fault> {
        let policies = self.policies.load();
        if policies.of(repository).all(|entry| entry.quota.is_none()) {
            return Ok(None);
        }
        self.database.read(|tx| {
            let size_bytes = match claimed {
                Some(digest) => meta::blobs::size_in(tx, repository.as_str(), digest)?,
                None => None,
            };
            if size_bytes.is_some() {
                return Ok(None);
            }
            let mut room = Room::find(tx, &policies, repository, &self.sessions)?;
            if let Some(room) = &mut room
                && self.is_shared()
            {
                // What other processes take in, or took in last.
                room.add_held(meta::uploads::held(tx)?, upload);
            }
            Ok(room)
        })
    }

    fn open_session(&self, push: &Granted<Push>) -> Result<Arc<Session>, OpenUploadError> {
        if self.is_shared() {
            let (open, held_bytes) = self.database.read(meta::uploads::totals)?;
            if self.sessions.would_refuse(open, held_bytes) {
                return Err(OpenUploadError::TooMany);
            }
        }
        let id = UploadId::from_random(self.random.bits());
        let (moment, started_at) = self.clock.moment_and_now();
        let owner = Owner {
            repository: push.repository().clone(),
            principal: push.identity().name().to_owned(),
            started_at,
            moment,
            age: Duration::ZERO,
        };
        let opened = self.sessions.open(id, owner);
        opened.map_err(|_| OpenUploadError::TooMany)
    }

    /// Bytes that the session holds (end-13); `None` if the caller has no such session.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn upload_status(
        &self,
        push: &Granted<Push>,
        id: &UploadId,
    ) -> Result<Option<u64>, Fault> {
        let session = self.session(push, id)?;
        Ok(session.map(|session| {
            let held_bytes = session.held_bytes();
            if session.try_write().is_some() {
                self.set_down(&session);
            }
            held_bytes
        }))
    }

    /// A session belongs to its repository and to who opened it; for all others it does not exist.
    fn session(&self, push: &Granted<Push>, id: &UploadId) -> Result<Option<Arc<Session>>, Fault> {
        let session = if self.bucket_for(push.repository()).is_some() {
            self.take_up(id)?
        } else {
            self.sessions.get(id)
        };
        Ok(session.filter(|session| {
            session.repository == *push.repository() && session.principal == push.identity().name()
        }))
    }

    async fn writer(&self, push: &Granted<Push>, id: &UploadId) -> Result<Writer, PushChunkError> {
        let session = self.session(push, id)?.ok_or(PushChunkError::Unknown)?;
        let guard = session.try_write().ok_or(PushChunkError::Busy)?;
        // Cancelled or finished between the two lines above.
        if self.sessions.get(id).is_none() && !self.is_shared() {
            return Err(PushChunkError::Unknown);
        }
        session.touch(self.clock.moment());
        let bucket = self.bucket_for(&session.repository);
        let writer = Writer::new(&self.store, bucket, (session, guard), Algorithm::Sha256);
        if writer.is_object() {
            return self.claim(writer).await;
        }
        Ok(writer)
    }

    /// Appends a chunk to an upload (end-5); the bytes it then holds.
    ///
    /// # Errors
    /// As [`PushChunkError`] says. When the body breaks off, what came is kept to go on from.
    pub(crate) async fn push_chunk(
        &self,
        push: &Granted<Push>,
        id: &UploadId,
        chunk: Chunk,
        body: &mut impl Incoming,
    ) -> Result<u64, PushChunkError> {
        let room = self.room(push.repository(), None, Some(id))?;
        let writer = self.writer(push, id).await?.within(room);
        let writer = self.append(writer, chunk, body).await?;
        let held_bytes = writer.session().held_bytes();
        self.save(writer).await?;
        Ok(held_bytes)
    }

    /// Takes a body into a session; a full or failed disk ends the session and frees its space.
    async fn append(
        &self,
        writer: Writer,
        chunk: Chunk,
        body: &mut impl Incoming,
    ) -> Result<Writer, PushChunkError> {
        if let (Some(range), Some(actual_bytes)) = (chunk.range, chunk.length_bytes)
            && range.length_bytes() != actual_bytes
        {
            let said_bytes = range.length_bytes();
            // Before the answer: its client goes on at once.
            self.save(writer).await?;
            return Err(PushChunkError::WrongSize {
                said_bytes,
                actual_bytes,
            });
        }
        let (writer, result) = self.append_to(writer, chunk, body).await?;
        match result {
            Ok(()) => Ok(writer),
            // What it holds would count until its client cancels it, which few do.
            Err(PushChunkError::Refused(refused)) => {
                self.end(writer).await;
                Err(refused.into())
            }
            Err(PushChunkError::Fault(fault)) if ends_the_session(&fault) => {
                self.end(writer).await;
                Err(fault.into())
            }
            Err(error) => {
                // What came is kept to go on from, as far as it can be.
                self.save(writer).await?;
                Err(error)
            }
        }
    }

    async fn append_to(
        &self,
        mut writer: Writer,
        chunk: Chunk,
        body: &mut impl Incoming,
    ) -> Result<(Writer, Result<(), PushChunkError>), Fault> {
        let blob_bytes_max = self.limits.blob_bytes_max;
        let too_large = || PushChunkError::TooLarge { blob_bytes_max };
        let (writer_back, checkpoint) = blocking(move || {
            let checkpoint = writer.stage().and_then(Stage::checkpoint);
            (writer, checkpoint)
        })
        .await?;
        writer = writer_back;
        let checkpoint: Checkpoint = match checkpoint {
            Ok(checkpoint) => checkpoint,
            Err(fault) => return Ok((writer, Err(fault.into()))),
        };
        let held_bytes = checkpoint.held_bytes();
        if let Err(source) = place_chunk(held_bytes, chunk.range) {
            return Ok((writer, Err(PushChunkError::OutOfOrder { source })));
        }
        let room_bytes = blob_bytes_max.saturating_sub(held_bytes);
        if chunk
            .length_bytes
            .is_some_and(|length_bytes| room_bytes < length_bytes)
        {
            return Ok((writer, Err(too_large())));
        }
        // What brings nothing more may free what is held.
        let more_bytes = chunk.length_bytes.unwrap_or(1);
        if self.is_shared() && 0 < more_bytes {
            let (_, held_bytes) = self.database.read(meta::uploads::totals)?;
            if self.sessions.would_overflow(held_bytes, more_bytes) {
                return Ok((writer, Err(PushChunkError::NoRoom)));
            }
        }
        if let Err(refused) = writer.check_room(chunk.length_bytes.unwrap_or(0)) {
            return Ok((writer, Err(refused.into())));
        }
        let (writer, received) = receive(writer, body, room_bytes).await?;
        writer.session().touch(self.clock.moment());
        let actual_bytes = writer.session().held_bytes() - held_bytes;
        let wrong = match (received, chunk.range) {
            (Ok(()), Some(range)) if range.length_bytes() != actual_bytes => {
                PushChunkError::WrongSize {
                    said_bytes: range.length_bytes(),
                    actual_bytes,
                }
            }
            (Ok(()), _) => return Ok((writer, Ok(()))),
            (Err(ReceiveError::Broken(broken)), _) => return Ok((writer, Err(broken.into()))),
            (Err(ReceiveError::Fault(fault)), _) => return Ok((writer, Err(fault.into()))),
            (Err(ReceiveError::TooLarge), _) => too_large(),
            (Err(ReceiveError::NoRoom), _) => PushChunkError::NoRoom,
            (Err(ReceiveError::Refused(refused)), _) => refused.into(),
        };
        let writer = blocking(move || writer.rewind(checkpoint)).await?;
        Ok((writer, Err(wrong)))
    }

    /// Appends the last chunk, if there is one, and publishes the upload (end-6).
    ///
    /// # Errors
    /// As [`FinishUploadError`] says; nothing is published then.
    pub(crate) async fn finish_upload(
        &self,
        push: &Granted<Push>,
        id: &UploadId,
        claimed: &Digest,
        chunk: Chunk,
        body: &mut impl Incoming,
    ) -> Result<VerifiedBlob, FinishUploadError> {
        let room = self.room(push.repository(), Some(claimed), Some(id))?;
        let writer = self.writer(push, id).await?.within(room);
        let writer = self.append(writer, chunk, body).await?;
        self.publish(push, writer, claimed).await
    }

    /// Uploads a blob in one request (end-4b).
    ///
    /// # Errors
    /// As [`FinishUploadError`] says; nothing is published then.
    pub(crate) async fn push_blob(
        &self,
        push: &Granted<Push>,
        claimed: &Digest,
        chunk: Chunk,
        body: &mut impl Incoming,
    ) -> Result<VerifiedBlob, FinishUploadError> {
        self.store.check_room()?;
        let room = self.room(push.repository(), Some(claimed), None)?;
        // Never recorded as a row: a client cannot go on with it, so a restart clears it away.
        let session = self.open_session(push)?;
        let id = session.id.clone();
        let guard = session.try_write().expect("nobody else knows the session");
        let (bucket, algorithm) = (self.bucket_for(push.repository()), claimed.algorithm());
        let writer = Writer::new(&self.store, bucket, (session, guard), algorithm).within(room);
        let result = match self.append(writer, chunk, body).await {
            Ok(writer) => self.publish(push, writer, claimed).await,
            Err(error) => Err(error.into()),
        };
        // Unless it ended already: nobody could go on with it.
        if let Some(session) = self.sessions.get(&id)
            && let Some(guard) = session.try_write()
        {
            let writer = Writer::new(&self.store, bucket, (session, guard), algorithm);
            self.end(writer).await;
        }
        result
    }

    /// Verifies, syncs, publishes and records what a writer staged.
    async fn publish(
        &self,
        push: &Granted<Push>,
        mut writer: Writer,
        claimed: &Digest,
    ) -> Result<VerifiedBlob, FinishUploadError> {
        let wanted = claimed.clone();
        let (writer, verified) = blocking(move || {
            let verified = writer.stage().and_then(|stage| {
                let verified = stage.verify(&wanted)?;
                if verified.is_ok() {
                    stage.sync()?;
                }
                Ok(verified)
            });
            (writer, verified)
        })
        .await?;
        let blob = match verified {
            Ok(Ok(blob)) => blob,
            Ok(Err(mismatch)) => {
                self.end(writer).await;
                let (claimed, actual) = (claimed.clone(), mismatch.actual);
                return Err(FinishUploadError::DigestMismatch { claimed, actual });
            }
            Err(fault) => {
                if ends_the_session(&fault) || !writer.outlives_request() {
                    self.end(writer).await;
                } else {
                    writer.release().await;
                }
                return Err(fault.into());
            }
        };
        self.record(push, writer, &blob).await?;
        self.links_wanted.notify_one();
        Ok(blob)
    }

    /// The bytes under their digest, then the rows, both under the digest's lease.
    async fn record(
        &self,
        push: &Granted<Push>,
        writer: Writer,
        blob: &VerifiedBlob,
    ) -> Result<(), RecordError> {
        let id = writer.session().id.clone();
        let claimed_by = writer.claimed_by();
        let _lease = self.leases.take(blob.digest()).await;
        let published = blob.clone();
        let (writer, result) = blocking(move || {
            let mut writer = writer;
            let store = Arc::clone(writer.store());
            let result = writer.stage().and_then(|stage| {
                store.publish(stage, &published)?;
                Ok(stage.object_key().map(ToOwned::to_owned))
            });
            (writer, result)
        })
        .await?;
        let is_object = matches!(result, Ok(Some(_)));
        let is_published = result.is_ok();
        let recorded = match result {
            Ok(key) => {
                let upload = (id.clone(), claimed_by);
                self.write_blob_rows(push, upload, blob, key).await
            }
            Err(fault) => Err(fault.into()),
        };
        let Err(error) = recorded else {
            // While the writer is held nobody can write to what is now the blob's file.
            self.sessions.remove(&id);
            let store = Arc::clone(&self.store);
            let digest = blob.digest().clone();
            let version = blocking(move || {
                store.remove_stage(&id);
                drop(writer);
                if is_object {
                    // There may be a file of before, which is to go.
                    return None;
                }
                store
                    .open_blob(&digest)
                    .ok()
                    .flatten()
                    .map(|file| file.version())
            })
            .await?;
            if let Some(version) = version {
                self.verified.insert(blob.digest(), version);
            }
            return Ok(());
        };
        let (is_undone, ends) = match &error {
            RecordError::Refused(_) => (true, true),
            // What it wrote may be another's by now.
            RecordError::Lost => (false, true),
            RecordError::Fault(fault) => (is_undone(fault), ends_the_session(fault)),
        };
        if !is_undone {
            // The commit may have reached the disk after all: both names stay, and the next start
            // sees from the rows which of them to keep.
            self.sessions.remove(&id);
            // Else the database failed: nobody waits for it a second time.
            if !is_published {
                writer.release().await;
            }
            return Err(error);
        }
        if is_object {
            // It is complete, so nobody can go on with it.
            self.end(writer).await;
            return Err(error);
        }
        if matches!(self.is_kept_as_file(blob.digest()), Ok(false)) {
            // No row says that the bytes exist, so they must not stay.
            let (store, digest) = (Arc::clone(&self.store), blob.digest().clone());
            blocking(move || store.unpublish(&digest)).await?;
        }
        if ends {
            self.end(writer).await;
        }
        Err(error)
    }

    async fn write_blob_rows(
        &self,
        push: &Granted<Push>,
        (id, claimed_by): (UploadId, Option<String>),
        blob: &VerifiedBlob,
        key: Option<String>,
    ) -> Result<(), RecordError> {
        let now = self.clock.now();
        let repository = push.repository().clone();
        let (digest, size_bytes) = (blob.digest().clone(), blob.size_bytes());
        let teller = self.blob_teller(push, Action::Push, now);
        let told = teller.clone();
        let policies = self.policies.load_full();
        self.database
            .write(move |tx| {
                match &claimed_by {
                    None => meta::uploads::close(tx, &id)?,
                    Some(writer) if meta::uploads::close_claimed(tx, &id, writer)? => {}
                    Some(_) => return Err(RecordError::Lost),
                }
                let is_new = meta::blobs::put(tx, &digest, size_bytes, now)?;
                let due = now.after(REPLACED_KEPT);
                meta::objects::settle(tx, &digest, key.as_deref(), (is_new, due))?;
                let repository_id = meta::repositories::find_or_create(tx, &repository, now)?;
                if let Some(teller) = &teller {
                    let digest = &digest;
                    let thing = Thing::Blob { digest, size_bytes };
                    teller.append(tx, &Target::new(&repository, thing))?;
                }
                let place = (&repository, repository_id);
                if quota::link(tx, &policies, place, &digest, now)?? {
                    meta::links::mark_stale(tx, &repository, &Link::Layer(digest))?;
                }
                Ok::<_, RecordError>(())
            })
            .await?;
        self.told(told.as_ref());
        Ok(())
    }

    /// Ends an upload and frees its space at once (DELETE on the session); whether it was there.
    ///
    /// # Errors
    /// Someone is writing to it.
    pub(crate) async fn cancel_upload(
        &self,
        push: &Granted<Push>,
        id: &UploadId,
    ) -> Result<(), PushChunkError> {
        let writer = self.writer(push, id).await?;
        self.end(writer).await;
        Ok(())
    }

    /// Forgets a session and removes what it staged. Its writer is held until then, so that nobody
    /// else makes the file anew.
    pub(super) async fn end(&self, mut writer: Writer) {
        let id = writer.session().id.clone();
        self.sessions.remove(&id);
        if let Some(claimed_by) = writer.claimed_by() {
            let gone = id.clone();
            let closed = self
                .database
                .write_apart(move |tx| meta::uploads::close_claimed(tx, &gone, &claimed_by))
                .await;
            match closed {
                Ok(true) => {}
                Ok(false) => {
                    tracing::info!(upload = %id, "an upload is another request's by now");
                    return;
                }
                Err(fault) => {
                    tracing::warn!(upload = %id, %fault, "an upload that ended is still recorded");
                    return;
                }
            }
        }
        let removed = blocking(move || {
            writer.discard();
            drop(writer);
        });
        if let Err(fault) = removed.await {
            tracing::warn!(upload = %id, %fault, "a staging file was left behind");
        }
        let gone = id.clone();
        let closed = self
            .database
            .write_apart(move |tx| meta::uploads::close(tx, &gone))
            .await;
        if let Err(fault) = closed {
            // The next start finds a row without a file, and drops it when it is purged.
            tracing::warn!(upload = %id, %fault, "a closed upload is still recorded");
        }
    }

    /// Between two dry runs of the purge; `None` if it is not one.
    pub(crate) fn dry_purge_interval(&self) -> Option<Duration> {
        let purging = self.limits.purging.filter(|purging| purging.is_dry_run);
        purging.map(|purging| purging.interval)
    }

    /// Discards sessions that were abandoned; how many.
    pub(crate) async fn purge_uploads(&self) -> usize {
        let now = self.clock.moment();
        let mut purged = 0;
        let Some(purging) = self.limits.purging else {
            return 0;
        };
        if self.store.has_buckets()
            && let Err(fault) = self.take_up_all()
        {
            tracing::warn!(%fault, "abandoned uploads are purged later");
            return 0;
        }
        let age_max = self.limits.upload_age_max.min(purging.age);
        for session in self.sessions.all() {
            let is_old = age_max <= session.age(now);
            let is_idle = self.limits.upload_idle_max <= session.idle(now);
            if !is_old && !is_idle {
                continue;
            }
            // Whoever writes right now has not abandoned it.
            let Some(guard) = session.try_write() else {
                continue;
            };
            tracing::info!(
                upload = %session.id,
                repository = %session.repository,
                size_bytes = session.held_bytes(),
                is_dry_run = purging.is_dry_run,
                "an abandoned upload is purged"
            );
            if purging.is_dry_run {
                continue;
            }
            let bucket = self.bucket_for(&session.repository);
            let mut writer = Writer::new(&self.store, bucket, (session, guard), Algorithm::Sha256);
            if writer.is_object() {
                // Another process may write to it right now.
                match self.claim(writer).await {
                    Ok(claiming) => writer = claiming,
                    Err(_) => continue,
                }
            }
            self.end(writer).await;
            purged += 1;
        }
        self.set_down_all();
        purged
    }

    /// Takes the reserve again that a delete on a full disk gave up, once there is room.
    pub(crate) async fn refill_reserve(&self) {
        let store = Arc::clone(&self.store);
        if let Err(fault) = blocking(move || store.refill_reserve()).await {
            tracing::warn!(%fault, "no space could be held back for the database");
        }
    }
}

impl Writer {
    /// Goes back to where the stage stood before a chunk that was not what it said. Blocks.
    fn rewind(mut self, checkpoint: Checkpoint) -> Self {
        let held_bytes = checkpoint.held_bytes();
        if let Ok(stage) = self.stage() {
            stage.rewind(checkpoint);
            self.session().set_held_bytes(held_bytes);
        }
        self
    }
}

/// Whether the staged bytes are of no use any more: their space is wanted, or they cannot be trusted.
pub(super) fn ends_the_session(fault: &Fault) -> bool {
    match fault.kind() {
        FaultKind::DiskFull | FaultKind::Device | FaultKind::Damaged => true,
        FaultKind::ReadOnly
        | FaultKind::Exhausted
        | FaultKind::Unavailable
        | FaultKind::Stopping
        | FaultKind::Other => false,
    }
}

/// Whether a change that failed is certain not to come back. When a flush failed it is not: what was
/// written of the commit may be found, whole, at the next start.
pub(super) fn is_undone(fault: &Fault) -> bool {
    match fault.kind() {
        FaultKind::DiskFull | FaultKind::ReadOnly | FaultKind::Exhausted => true,
        FaultKind::Device
        | FaultKind::Damaged
        | FaultKind::Unavailable
        | FaultKind::Stopping
        | FaultKind::Other => false,
    }
}
