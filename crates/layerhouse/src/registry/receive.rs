//! Taking in a body: frames are gathered into batches, and each batch is written and hashed on a
//! thread that may wait while the next one is gathered.
//!
//! So a hung disk holds a thread of the blocking pool and never one that serves other requests, and an
//! upload holds two batches of memory however large it is.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use layerhouse_oci::digest::Algorithm;
use tokio::task::JoinHandle;

use super::sessions::{Session, WriterGuard};
use crate::blobs::Store;
use crate::blobs::stage::Stage;
use crate::fault::{Fault, FaultKind};

/// A batch is written once it has this many bytes: a hop to another thread for each costs some 20 µs,
/// 0.08 s per GB.
const BATCH_BYTES: usize = 256 << 10;

/// The bytes of a request, as they come in.
pub(crate) trait Incoming: Send {
    /// The next bytes, `None` at the end.
    fn next(&mut self) -> impl Future<Output = Option<Result<Bytes, BodyBroken>>> + Send;
}

/// The client stopped sending in the middle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
    Fault(Fault),
}

/// The one writer of a session. Wherever it is dropped, the session knows how far it came, and the
/// next writer can begin.
pub(super) struct Writer {
    session: Arc<Session>,
    guard: WriterGuard,
    stage: Option<Stage>,
    store: Arc<Store>,
    algorithm: Algorithm,
}

impl Writer {
    pub(super) fn new(
        store: &Arc<Store>,
        session: Arc<Session>,
        guard: WriterGuard,
        algorithm: Algorithm,
    ) -> Self {
        Self {
            session,
            guard,
            stage: None,
            store: Arc::clone(store),
            algorithm,
        }
    }

    /// The stage, opened or made if need be. Blocks.
    pub(super) fn stage(&mut self) -> Result<&mut Stage, Fault> {
        if self.stage.is_none() {
            let id = &self.session.id;
            let stage = match self.guard.take() {
                Some(hasher) => Stage::reopen(&self.store, id, hasher)?,
                None => Stage::open(&self.store, id, self.algorithm)?,
            };
            self.session.set_held_bytes(stage.held_bytes());
            self.stage = Some(stage);
        }
        Ok(self.stage.as_mut().expect("it was opened above"))
    }

    fn append(&mut self, batch: &[Bytes]) -> Result<(), Fault> {
        let stage = self.stage()?;
        let result = stage.append(batch);
        let held_bytes = stage.held_bytes();
        self.session.set_held_bytes(held_bytes);
        result
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
        if let Some(stage) = self.stage.take() {
            // The descriptor is closed: thousands of sessions may be open.
            *self.guard = Some(stage.into_hasher());
        }
    }
}

/// Appends a body to a session, to at most `total_bytes_max` held in all.
///
/// The writer comes back unless a blocking task died with it.
pub(super) async fn receive(
    writer: Writer,
    body: &mut impl Incoming,
    total_bytes_max: u64,
) -> Result<(Writer, Result<(), ReceiveError>), Fault> {
    let mut at_hand = Some(writer);
    let mut writing: Option<JoinHandle<(Writer, Result<(), Fault>)>> = None;
    let mut received_bytes = 0;
    let mut end: Option<Result<(), ReceiveError>> = None;
    while end.is_none() {
        let mut batch = Vec::new();
        let mut batch_bytes = 0;
        while batch_bytes < BATCH_BYTES && end.is_none() {
            match body.next().await {
                Some(Ok(bytes)) => {
                    batch_bytes += bytes.len();
                    batch.push(bytes);
                }
                Some(Err(broken)) => end = Some(Err(ReceiveError::Broken(broken))),
                None => end = Some(Ok(())),
            }
        }
        let mut writer = match writing.take() {
            Some(writing) => {
                let (writer, result) = joined(writing.await)?;
                if let Err(fault) = result {
                    return Ok((writer, Err(ReceiveError::Fault(fault))));
                }
                writer
            }
            None => at_hand.take().expect("the writer is at hand or writing"),
        };
        received_bytes += batch_bytes as u64;
        if total_bytes_max < received_bytes {
            return Ok((writer, Err(ReceiveError::TooLarge)));
        }
        if batch.is_empty() {
            at_hand = Some(writer);
        } else {
            writing = Some(tokio::task::spawn_blocking(move || {
                let result = writer.append(&batch);
                (writer, result)
            }));
        }
    }
    let writer = match writing {
        Some(writing) => {
            let (writer, result) = joined(writing.await)?;
            if let Err(fault) = result {
                return Ok((writer, Err(ReceiveError::Fault(fault))));
            }
            writer
        }
        None => at_hand.take().expect("the writer is at hand or writing"),
    };
    Ok((writer, end.unwrap_or(Ok(()))))
}

fn joined<T>(result: Result<T, tokio::task::JoinError>) -> Result<T, Fault> {
    result.map_err(|error| Fault::new(FaultKind::Other, "a task that writes an upload", error))
}
