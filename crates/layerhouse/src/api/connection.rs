//! One connection, with a patience that ends for the rest of a head that began. With that of `stall.rs`
//! for a reader that takes nothing, clients that only hold connections open (slowloris) are let go.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::config::meaning::Timeouts;

/// How an HTTP/2 connection begins (RFC 9113, 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the first bytes of a connection say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// So many bytes were those of the HTTP/2 preface.
    Unknown(usize),
    Http1,
    Http2,
}

impl Protocol {
    fn read(self, bytes: &[u8]) -> Self {
        let Self::Unknown(matched) = self else {
            return self;
        };
        let expected = &HTTP2_PREFACE[matched..];
        let compared = bytes.len().min(expected.len());
        if bytes[..compared] != expected[..compared] {
            Self::Http1
        } else if compared == expected.len() {
            Self::Http2
        } else {
            Self::Unknown(matched + compared)
        }
    }
}

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

/// What requests are read from, in the clear: reads give up on a client that stalls.
///
/// In HTTP/1.1 the rest of a head must come within [`Timeouts::head`]; the first one is awaited from
/// the start. HTTP/2 has no such moments: there a request must begin, or its share of bytes move, in
/// each [`Timeouts::idle`], so that neither silence, nor pings, nor windows kept shut hold anything.
/// While we work on a request, that patience does not run: a body that stalls ends on its own, and an
/// answer that is only sent is no work.
pub(super) struct PatientStream<S> {
    stream: S,
    timeouts: Timeouts,
    in_flight: Arc<InFlight>,
    protocol: Protocol,
    /// Requests that had begun when this was last looked at.
    begun: usize,
    /// Whether any was worked on then.
    was_busy: bool,
    /// Until when the client must have done what it should.
    deadline: Option<Pin<Box<Sleep>>>,
    /// Bytes moved either way since the HTTP/2 deadline was set.
    moved_bytes: u64,
}

impl<S> PatientStream<S> {
    pub(super) fn new(stream: S, timeouts: Timeouts, in_flight: Arc<InFlight>) -> Self {
        Self {
            stream,
            timeouts,
            in_flight,
            protocol: Protocol::Unknown(0),
            begun: 0,
            was_busy: false,
            deadline: Some(Box::pin(sleep(timeouts.head))),
            moved_bytes: 0,
        }
    }

    /// Sets or lifts the deadline after `read_bytes` came in.
    fn watch(&mut self, read_bytes: usize) {
        let begun = self.in_flight.begun.load(Ordering::SeqCst);
        let has_begun = begun != self.begun;
        self.begun = begun;
        match self.protocol {
            Protocol::Unknown(_) => {}
            Protocol::Http1 => {
                // A head that was read whole became a request, however fast that was answered; while
                // one is answered, its body has a patience of its own.
                if has_begun || self.in_flight.any() {
                    self.deadline = None;
                } else if 0 < read_bytes && self.deadline.is_none() {
                    self.deadline = Some(Box::pin(sleep(self.timeouts.head)));
                }
            }
            Protocol::Http2 => {
                self.moved_bytes += read_bytes as u64;
                let is_busy = self.in_flight.any();
                // Its answer, too, has the whole time before it.
                let has_worked = std::mem::replace(&mut self.was_busy, is_busy) || is_busy;
                let has_moved = self.timeouts.stall_bytes <= self.moved_bytes;
                let idle_max = self.timeouts.idle;
                match &mut self.deadline {
                    Some(deadline) if has_begun || has_worked || has_moved => {
                        self.moved_bytes = 0;
                        deadline.as_mut().reset(Instant::now() + idle_max);
                    }
                    Some(_) => {}
                    None => self.deadline = Some(Box::pin(sleep(idle_max))),
                }
            }
        }
    }

    fn note_written(&mut self, polled: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(length)) = polled {
            self.moved_bytes += *length as u64;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PatientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        let read = &buffer.filled()[before..];
        if !read.is_empty() && matches!(this.protocol, Protocol::Unknown(_)) {
            this.protocol = this.protocol.read(read);
            if this.protocol == Protocol::Http2 {
                this.deadline = None;
            }
        }
        this.watch(read.len());
        if let (Poll::Pending, Some(deadline)) = (&polled, &mut this.deadline)
            && deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(gave_up("the client sends nothing of use")));
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
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note_written(&polled);
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.note_written(&polled);
        polled
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

pub(super) fn gave_up(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Nothing moves while we work, perhaps for long; from then on something must again.
    #[tokio::test]
    async fn an_http2_connection_is_not_idle_while_we_work() {
        let timeouts = Timeouts {
            head: Duration::from_mins(1),
            idle: Duration::from_millis(5),
            stall: Duration::from_mins(1),
            stall_bytes: 1024,
        };
        let in_flight = Arc::new(InFlight::default());
        let (mut client, server) = tokio::io::duplex(1024);
        let mut stream = PatientStream::new(server, timeouts, Arc::clone(&in_flight));
        let working = in_flight.begin();
        client.write_all(HTTP2_PREFACE).await.expect("it is open");
        let mut buffer = [0; HTTP2_PREFACE.len()];
        stream.read_exact(&mut buffer).await.expect("it came");

        let many_times_idle = Duration::from_millis(50);
        let read = tokio::time::timeout(many_times_idle, stream.read(&mut buffer)).await;
        assert!(read.is_err(), "cut while we worked: {read:?}");
        drop(working);
        let ended = stream.read(&mut buffer).await;
        let error = ended.expect_err("an answer that nobody takes is cut");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn the_protocol_is_told_however_the_bytes_are_cut() {
        let told = |parts: &[&[u8]]| {
            let read = |protocol: Protocol, part: &&[u8]| protocol.read(part);
            parts.iter().fold(Protocol::Unknown(0), read)
        };
        assert_eq!(told(&[HTTP2_PREFACE]), Protocol::Http2);
        assert_eq!(
            told(&[b"PR", b"I * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"x"]),
            Protocol::Http2
        );
        assert_eq!(told(&[b"PRI * HT"]), Protocol::Unknown(8));
        assert_eq!(told(&[b"PRI * HT", b"TP/1.1"]), Protocol::Http1);
        assert_eq!(told(&[b"GET / HTTP/1.1"]), Protocol::Http1);
        assert_eq!(told(&[]), Protocol::Unknown(0));
    }
}
