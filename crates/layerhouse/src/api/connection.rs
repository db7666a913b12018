//! One connection, with a patience that ends: for the rest of a head that began, and for a reader that
//! takes nothing. So clients that only hold connections open (slowloris) are let go.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::config::Timeouts;

/// The first bytes of an HTTP/2 connection; it has pings and stream limits instead of heads.
const HTTP2_PREFACE: &[u8] = b"PRI * HT";

/// The requests of a connection: those being answered, and all that ever began.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    now: AtomicUsize,
    begun: AtomicUsize,
}

/// Counts one request while it lives.
#[derive(Debug)]
pub(super) struct InFlightGuard(Arc<InFlight>);

impl InFlight {
    pub(super) fn begin(self: &Arc<Self>) -> InFlightGuard {
        self.now.fetch_add(1, Ordering::SeqCst);
        self.begun.fetch_add(1, Ordering::SeqCst);
        InFlightGuard(Arc::clone(self))
    }

    fn any(&self) -> bool {
        self.now.load(Ordering::SeqCst) != 0
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A socket whose reads and writes give up on a client that stalls.
pub(super) struct PatientStream<S> {
    stream: S,
    timeouts: Timeouts,
    in_flight: Arc<InFlight>,
    is_first: bool,
    is_http2: bool,
    /// Requests that had begun when this was last looked at.
    begun: usize,
    /// Runs from the first byte of a head to the request's begin.
    head: Option<Pin<Box<Sleep>>>,
    /// Runs while the client takes nothing, or too little.
    stall: Option<Pin<Box<Sleep>>>,
    taken_bytes: u64,
}

impl<S> PatientStream<S> {
    pub(super) fn new(stream: S, timeouts: Timeouts, in_flight: Arc<InFlight>) -> Self {
        Self {
            stream,
            timeouts,
            in_flight,
            is_first: true,
            is_http2: false,
            begun: 0,
            head: None,
            stall: None,
            taken_bytes: 0,
        }
    }

    fn note_written(&mut self, length: usize) {
        self.taken_bytes += length as u64;
        if self.timeouts.stall_bytes <= self.taken_bytes {
            self.stall = None;
            self.taken_bytes = 0;
        }
    }

    /// A write could not go on: how long that may last.
    fn poll_stall<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        let stall_max = self.timeouts.stall;
        let stall = self.stall.get_or_insert_with(|| {
            self.taken_bytes = 0;
            Box::pin(sleep(stall_max))
        });
        stall
            .as_mut()
            .poll(context)
            .map(|()| Err(gave_up("the client takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PatientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // A head that was read whole became a request, however fast that was answered.
        let begun = this.in_flight.begun.load(Ordering::SeqCst);
        if begun != this.begun {
            this.begun = begun;
            this.head = None;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        let read = &buffer.filled()[before..];
        if this.is_first && !read.is_empty() {
            this.is_first = false;
            this.is_http2 = read.starts_with(HTTP2_PREFACE);
        }
        if this.is_http2 || this.in_flight.any() {
            this.head = None;
            return polled;
        }
        if !read.is_empty() && this.head.is_none() {
            this.head = Some(Box::pin(sleep(this.timeouts.head)));
        }
        if let (Poll::Pending, Some(head)) = (&polled, &mut this.head)
            && head.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(gave_up("the head of a request did not end")));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PatientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(context, bytes) {
            Poll::Pending => self.poll_stall(context),
            Poll::Ready(result) => {
                self.note_written(*result.as_ref().unwrap_or(&0));
                Poll::Ready(result)
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write_vectored(context, slices) {
            Poll::Pending => self.poll_stall(context),
            Poll::Ready(result) => {
                self.note_written(*result.as_ref().unwrap_or(&0));
                Poll::Ready(result)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

fn gave_up(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why)
}
