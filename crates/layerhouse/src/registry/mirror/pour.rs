//! Staging what comes of a blob, from its upstream, from another process that fetches it, or from the store.

use std::future::{Future, poll_fn};

use bytes::Bytes;
use tokio::task::{JoinError, JoinHandle};

use super::fetch::Fetch;
use super::numbers::Numbers;
use crate::blobs::objects::read::ObjectReader;
use crate::blobs::stage::Stage;
use crate::fault::{Fault, FaultKind};
use crate::outbound::OutboundError;
use crate::outbound::replica::ReplicaBlob;
use crate::outbound::upstream::blob::UpstreamBlob;
use crate::outbound::upstream::error::UpstreamError;

/// Written at once, as of an upload.
const BATCH_BYTES: usize = 256 << 10;

/// The bytes of one answer.
pub(super) trait Coming {
    type Error;

    /// The next bytes; `None` when who sends them says that this was all.
    fn next(&mut self) -> impl Future<Output = Option<Result<Bytes, Self::Error>>> + Send;

    /// Counts bytes that were staged.
    fn count(numbers: &Numbers, bytes: u64);
}

impl Coming for UpstreamBlob {
    type Error = UpstreamError;

    fn next(&mut self) -> impl Future<Output = Option<Result<Bytes, UpstreamError>>> + Send {
        self.next()
    }

    fn count(numbers: &Numbers, bytes: u64) {
        numbers.add_fetched_bytes(bytes);
    }
}

impl Coming for ReplicaBlob {
    type Error = OutboundError;

    fn next(&mut self) -> impl Future<Output = Option<Result<Bytes, OutboundError>>> + Send {
        self.next()
    }

    fn count(numbers: &Numbers, bytes: u64) {
        numbers.add_relayed_bytes(bytes);
    }
}

impl Coming for ObjectReader {
    type Error = Fault;

    fn next(&mut self) -> impl Future<Output = Option<Result<Bytes, Fault>>> + Send {
        poll_fn(|context| self.poll_next(context))
    }

    /// They were counted when they came.
    fn count(_: &Numbers, _: u64) {}
}

/// How the bytes of one answer ended.
pub(super) enum Poured<E> {
    /// Who sent them says that this was all.
    Ended,
    Broken(E),
    TooLong,
    Stopped,
    Fault(Fault),
}

impl Fetch {
    /// Stages what one answer brings: what came is written as soon as what came before is, so that who reads it
    /// gets all that is here, and a fast upstream is written in large batches. `stop` ends it.
    pub(super) async fn pour<C: Coming>(
        &self,
        stage: Stage,
        blob: &mut C,
        length_bytes_max: u64,
        stop: impl Future<Output = ()>,
    ) -> Result<(Stage, Poured<C::Error>), Fault> {
        tokio::pin!(stop);
        let mut taken_bytes = stage.held_bytes();
        let (mut at_hand, mut writing) = (Some(stage), None);
        let (mut batch, mut batch_bytes) = (Vec::new(), 0);
        let end = loop {
            tokio::select! {
                biased;
                // More than a batch would only wait for the disk.
                next = blob.next(), if batch_bytes < BATCH_BYTES => match next {
                    Some(Ok(bytes)) => {
                        taken_bytes += bytes.len() as u64;
                        if length_bytes_max < taken_bytes {
                            break Poured::TooLong;
                        }
                        batch_bytes += bytes.len();
                        batch.push(bytes);
                    }
                    Some(Err(error)) => break Poured::Broken(error),
                    None => break Poured::Ended,
                },
                written = settled(&mut writing) => {
                    writing = None;
                    let (stage, result) = written?;
                    self.received::<C>(&stage);
                    if let Err(fault) = result {
                        return Ok((stage, Poured::Fault(fault)));
                    }
                    at_hand = Some(stage);
                }
                () = std::future::ready(()), if at_hand.is_some() && 0 < batch_bytes => {
                    batch_bytes = 0;
                    let frames = std::mem::take(&mut batch);
                    writing = at_hand.take().map(|stage| write(stage, frames));
                }
                () = &mut stop => break Poured::Stopped,
            }
        };
        let (mut stage, mut result) = match (at_hand, writing) {
            (Some(stage), _) => (stage, Ok(())),
            (None, Some(mut writing)) => settled(&mut Some(&mut writing)).await?,
            (None, None) => return Err(lost()),
        };
        if result.is_ok() && !batch.is_empty() && matches!(end, Poured::Ended | Poured::Broken(_)) {
            (stage, result) = settled(&mut Some(write(stage, batch))).await?;
        }
        self.received::<C>(&stage);
        Ok((stage, result.map_or_else(Poured::Fault, |()| end)))
    }

    /// Tells who reads it, and who counts, how much is here.
    fn received<C: Coming>(&self, stage: &Stage) {
        let more_bytes = self.arrival.received(stage.held_bytes());
        C::count(&self.source.served.numbers, more_bytes);
    }
}

/// A stage, and whether what was to be appended was.
type Written = (Stage, Result<(), Fault>);

/// Appends to a stage on a thread that may wait.
fn write(mut stage: Stage, frames: Vec<Bytes>) -> JoinHandle<Written> {
    tokio::task::spawn_blocking(move || {
        let result = stage.append(&frames);
        (stage, result)
    })
}

/// Waits for a stage to come back, for ever if it is not away.
async fn settled<W>(writing: &mut Option<W>) -> Result<Written, Fault>
where
    W: Future<Output = Result<Written, JoinError>> + Unpin,
{
    match writing {
        Some(writing) => writing.await.map_err(|_| lost()),
        None => std::future::pending().await,
    }
}

pub(super) fn lost() -> Fault {
    Fault::plain(
        FaultKind::Other,
        "a task that writes a blob died".to_owned(),
    )
}
