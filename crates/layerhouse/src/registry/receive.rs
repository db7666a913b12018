//! Taking in a body: frames are gathered into batches, and each batch is written and hashed on a
//! thread that may wait while the next one is gathered.
//!
//! So a hung disk holds a thread of the blocking pool and never one that serves other requests, and an
//! upload holds two batches of memory however large it is, and some parts if it becomes an object.

use std::future::Future;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use layerhouse_oci::digest::Algorithm;
use tokio::task::JoinHandle;

use super::objects::Claim;
use super::policies::guard::Refused;
use super::policies::quota::Room;
use super::sessions::{Session, WriterGuard};
use crate::blobs::Store;
use crate::blobs::objects::Objects;
use crate::blobs::objects::stage::Saved;
use crate::blobs::stage::Stage;
use crate::fault::{Fault, FaultKind};

/// A batch is written once it has this many bytes: a hop to another thread for each costs some 20 µs,
/// 0.08 s per GB.
const BATCH_BYTES: usize = 256 << 10;

/// Smaller frames are copied: it costs less than to keep, and to write, each by itself.
const SMALL_FRAME_BYTES: usize = 4 << 10;

/// The bytes of a request, as they come in.
pub(crate) trait Incoming: Send {
    /// The next bytes, `None` at the end.
    fn next(&mut self) -> impl Future<Output = Option<Result<Bytes, BodyBroken>>> + Send;
}

/// The client stopped sending in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyBroken {
    #[error("the connection broke off in the middle of the body")]
    Disconnected,
    #[error("the body came more slowly than this registry waits for")]
    TooSlow,
}

/// Why a body was not taken in whole; what came before is staged.
#[derive(Debug)]
pub(super) enum ReceiveError {
    Broken(BodyBroken),
    TooLarge,
    /// All uploads together hold as much as they may.
    NoRoom,
    /// A quota is used up.
    Refused(Refused),
    Fault(Fault),
}

/// The one writer of a session. Wherever it is dropped, the session knows how far it came, and the
/// next writer can begin.
pub(super) struct Writer {
    session: Arc<Session>,
    guard: WriterGuard,
    stage: Option<Stage>,
    store: Arc<Store>,
    /// Where it becomes an object; absent, it becomes a file.
    bucket: Option<Arc<Objects>>,
    algorithm: Algorithm,
    /// What quotas leave; absent, there are none.
    room: Option<Room>,
    /// For an object: the right to write among all processes, and what is there already.
    claim: Option<Claim>,
    saved: Option<Saved>,
}

impl Writer {
    pub(super) fn new(
        store: &Arc<Store>,
        bucket: Option<&Arc<Objects>>,
        (session, guard): (Arc<Session>, WriterGuard),
        algorithm: Algorithm,
    ) -> Self {
        Self {
            bucket: bucket.cloned(),
            session,
            guard,
            stage: None,
            store: Arc::clone(store),
            algorithm,
            room: None,
            claim: None,
            saved: None,
        }
    }

    /// The same, for an upload whose state is a row.
    pub(super) fn claiming(mut self, claim: Claim, saved: Option<Saved>) -> Self {
        self.claim = Some(claim);
        self.saved = saved;
        self
    }

    /// Whether it becomes an object.
    pub(super) fn is_object(&self) -> bool {
        self.bucket.is_some()
    }

    /// Whether another request can go on with it.
    pub(super) fn outlives_request(&self) -> bool {
        !self.is_object() || self.claim.is_some()
    }

    /// Who claims the upload, among all processes; `None` where nobody else can.
    pub(super) fn claimed_by(&self) -> Option<String> {
        self.claim.as_ref().map(|claim| claim.writer().to_owned())
    }

    /// What must be settled by writing down how far the upload is.
    pub(super) fn take_claim(&mut self) -> Option<Claim> {
        self.claim.take()
    }

    /// Gives up what is staged. Blocks.
    pub(super) fn discard(&mut self) {
        if self.is_object() {
            match self.stage() {
                Ok(stage) => stage.discard(),
                Err(fault) => tracing::warn!(%fault, "the parts of an upload were left behind"),
            }
        } else {
            // Not opened: that would make the file anew.
            self.store.remove_stage(&self.session.id);
        }
    }

    /// The same, for a repository with quotas.
    pub(super) fn within(mut self, room: Option<Room>) -> Self {
        self.room = room;
        self
    }

    /// Whether quotas leave room for so many bytes more.
    ///
    /// # Errors
    /// The quota that is used up.
    pub(super) fn check_room(&self, more_bytes: u64) -> Result<(), Refused> {
        self.room
            .as_ref()
            .map_or(Ok(()), |room| room.check(more_bytes))
    }

    /// The stage, opened or made if need be. Blocks.
    pub(super) fn stage(&mut self) -> Result<&mut Stage, Fault> {
        if self.stage.is_none() {
            let id = &self.session.id;
            let writer = self.claim.as_ref().map(Claim::writer);
            let stage = match (self.saved.take(), self.guard.take()) {
                (Some(saved), _) => Stage::resume(&self.store, id, writer, saved)?,
                (None, Some(hasher)) => Stage::reopen(&self.store, id, hasher)?,
                (None, None) => {
                    let bucket = self.bucket.as_ref();
                    Stage::open(&self.store, id, bucket, writer, self.algorithm)?
                }
            };
            self.session.set_held_bytes(stage.held_bytes());
            self.stage = Some(stage);
        }
        Ok(self.stage.as_mut().expect("it was opened above"))
    }

    /// Waits for what is on its way to an object store. Blocks.
    ///
    /// # Errors
    /// It does not arrive; what came before is held.
    pub(super) fn settle(&mut self) -> Result<(), Fault> {
        let Some(stage) = &mut self.stage else {
            return Ok(());
        };
        let settled = stage.settle();
        self.session.set_held_bytes(stage.held_bytes());
        settled
    }

    fn append(&mut self, batch: &Batch) -> Result<(), ReceiveError> {
        if !self.session.has_room(batch.length_bytes as u64) {
            return Err(ReceiveError::NoRoom);
        }
        self.check_room(batch.length_bytes as u64)
            .map_err(ReceiveError::Refused)?;
        let stage = self.stage().map_err(ReceiveError::Fault)?;
        let result = stage.append(&batch.frames);
        let held_bytes = stage.held_bytes();
        self.session.set_held_bytes(held_bytes);
        result.map_err(ReceiveError::Fault)
    }

    /// Has the next request go on from what was written down last, before the client hears that this one failed: it
    /// comes again at once.
    pub(super) async fn release(mut self) {
        let Some(released) = self.leave() else {
            return;
        };
        if let Err(error) = released.await {
            tracing::error!(%error, "a task that gives an upload back");
        }
    }

    /// What a request that ended before its time (its store or disk failed, its task died) does with its upload. It has
    /// parts on their way to an object store, perhaps. Its claim lasts until they are there, for they would come behind
    /// those of whoever goes on; without a claim nobody can. A process that ends has no such time, as it had none for the
    /// one part that it waited for before parts went together: what it sent may arrive after another one took the upload
    /// over, in a minute or after a start, and sent the same number. S3 and Google then refuse to complete what has
    /// another part than we name, and in Azure each part has a name of its own.
    fn leave(&mut self) -> Option<JoinHandle<()>> {
        let on_its_way = self.stage.take().and_then(|mut stage| {
            let on_its_way = stage.leave();
            // The descriptor is closed: thousands of sessions may be open.
            *self.guard = stage.into_hasher();
            on_its_way
        });
        let claim = self.claim.take()?;
        // On a task of its own: it goes on although nobody waits for it any more.
        Some(tokio::spawn(async move {
            if let Some(on_its_way) = on_its_way {
                on_its_way.await;
            }
            claim.release().await;
        }))
    }

    pub(super) fn session(&self) -> &Arc<Session> {
        &self.session
    }

    pub(super) fn store(&self) -> &Arc<Store> {
        &self.store
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Frames on their way to the disk.
#[derive(Debug, Default)]
struct Batch {
    frames: Vec<Bytes>,
    /// Small frames, copied together: each by itself would keep a whole read buffer alive.
    small: BytesMut,
    length_bytes: usize,
}

impl Batch {
    fn push(&mut self, frame: Bytes) {
        self.length_bytes += frame.len();
        if frame.len() < SMALL_FRAME_BYTES {
            self.small.extend_from_slice(&frame);
        } else {
            self.settle();
            self.frames.push(frame);
        }
    }

    fn settle(&mut self) {
        if !self.small.is_empty() {
            self.frames.push(self.small.split().freeze());
        }
    }
}

/// Gathers one batch; with it comes how the body ended, if it did.
async fn gather(body: &mut impl Incoming) -> (Batch, Option<Result<(), BodyBroken>>) {
    let mut batch = Batch::default();
    let mut end = None;
    while batch.length_bytes < BATCH_BYTES && end.is_none() {
        match body.next().await {
            Some(Ok(frame)) => batch.push(frame),
            Some(Err(broken)) => end = Some(Err(broken)),
            None => end = Some(Ok(())),
        }
    }
    batch.settle();
    (batch, end)
}

/// A writer at hand, or on another thread with a batch.
enum State {
    AtHand(Box<Writer>),
    Writing(JoinHandle<(Writer, Result<(), ReceiveError>)>),
}

impl State {
    async fn settle(self) -> Result<(Writer, Result<(), ReceiveError>), Fault> {
        match self {
            Self::AtHand(writer) => Ok((*writer, Ok(()))),
            Self::Writing(writing) => writing.await.map_err(|error| {
                Fault::new(FaultKind::Other, "a task that writes an upload", error)
            }),
        }
    }
}

/// Appends a body of at most `body_bytes_max` to a session.
///
/// The writer comes back unless a blocking task died with it.
pub(super) async fn receive(
    writer: Writer,
    body: &mut impl Incoming,
    body_bytes_max: u64,
) -> Result<(Writer, Result<(), ReceiveError>), Fault> {
    let mut state = State::AtHand(Box::new(writer));
    let mut received_bytes = 0;
    loop {
        let (batch, end) = gather(body).await;
        let (mut writer, written) = state.settle().await?;
        if written.is_err() {
            return Ok((writer, written));
        }
        received_bytes += batch.length_bytes as u64;
        if body_bytes_max < received_bytes {
            return Ok((writer, Err(ReceiveError::TooLarge)));
        }
        state = if batch.frames.is_empty() {
            State::AtHand(Box::new(writer))
        } else {
            State::Writing(tokio::task::spawn_blocking(move || {
                let result = writer.append(&batch);
                (writer, result)
            }))
        };
        if let Some(end) = end {
            let (writer, written) = state.settle().await?;
            return Ok((writer, written.and(end.map_err(ReceiveError::Broken))));
        }
    }
}
