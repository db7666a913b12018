//! Bodies: what comes in, with a patience that ends; what goes out, window by window.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};

use super::outlet::Handover;
use crate::config::meaning::Timeouts;
use crate::fault::Fault;
use crate::registry::blobs::{BlobReader, Piece};
use crate::registry::mirror::arrival::ArrivingReader;
use crate::registry::receive::{self, BodyBroken};

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum ResponseBody {
    Empty,
    Whole(Bytes),
    Blob(BlobReader, Option<Handover>),
    /// On its way from another registry.
    Arriving(Box<ArrivingReader>),
}

impl From<ArrivingReader> for ResponseBody {
    fn from(reader: ArrivingReader) -> Self {
        Self::Arriving(reader.into())
    }
}

impl From<BlobReader> for ResponseBody {
    fn from(reader: BlobReader) -> Self {
        Self::Blob(reader, None)
    }
}

impl From<Vec<u8>> for ResponseBody {
    fn from(content: Vec<u8>) -> Self {
        Self::Whole(content.into())
    }
}

impl ResponseBody {
    /// Has the connection's outlet send what comes from files.
    pub(super) fn hand_over(&mut self, to: Handover) {
        if let Self::Blob(_, handover) = self {
            *handover = Some(to);
        }
    }

    /// Bytes still to come.
    pub(super) fn length_bytes(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Blob(reader, _) => reader.remaining_bytes(),
            Self::Arriving(reader) => reader.remaining_bytes(),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Blob(reader, handover) => {
                let polled = match handover {
                    None => reader.poll_window(context),
                    Some(handover) => reader.poll_piece(context).map_ok(|piece| match piece {
                        Piece::Window(window) => window,
                        Piece::Stretch(stretch) => handover.give(stretch),
                    }),
                };
                // The connection is cut, so the client sees that the answer is not whole.
                let logged = |fault: &Fault| tracing::error!(%fault, "a pull was cut off");
                polled
                    .map(|window| window.map(|window| window.map(Frame::data).inspect_err(logged)))
            }
            Self::Arriving(reader) => {
                // What its upstream did wrong was logged once, not for each who waited.
                let logged = |fault: &Fault| tracing::info!(%fault, "a pull was cut off");
                let polled = reader.poll_window(context);
                polled
                    .map(|window| window.map(|window| window.map(Frame::data).inspect_err(logged)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.length_bytes() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length_bytes())
    }
}

/// The body of a request. It must keep coming: a client that stalls holds an upload session, and
/// a thousand of them hold a thousand.
#[derive(Debug)]
pub(super) struct RequestBody {
    incoming: Incoming,
    timeouts: Timeouts,
    /// Time waited for the client since it last brought its share; our own disk's time is not its.
    waited: Duration,
    brought_bytes: u64,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, timeouts: Timeouts) -> Self {
        Self {
            incoming,
            timeouts,
            waited: Duration::ZERO,
            brought_bytes: 0,
        }
    }
}

impl receive::Incoming for RequestBody {
    async fn next(&mut self) -> Option<Result<Bytes, BodyBroken>> {
        loop {
            let patience = self.timeouts.stall.saturating_sub(self.waited);
            let began = Instant::now();
            let frame = timeout(patience, self.incoming.frame()).await;
            self.waited += began.elapsed();
            let frame = match frame {
                Err(_) => return Some(Err(BodyBroken::TooSlow)),
                Ok(None) => return None,
                Ok(Some(Err(_))) => return Some(Err(BodyBroken::Disconnected)),
                Ok(Some(Ok(frame))) => frame,
            };
            // Trailers are not used by any client; empty frames are not data.
            let Ok(bytes) = frame.into_data() else {
                continue;
            };
            self.brought_bytes += bytes.len() as u64;
            if self.timeouts.stall_bytes <= self.brought_bytes {
                self.brought_bytes = 0;
                self.waited = Duration::ZERO;
            }
            if !bytes.is_empty() {
                return Some(Ok(bytes));
            }
        }
    }
}
