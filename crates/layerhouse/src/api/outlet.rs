//! The socket of a connection in the clear, which has the kernel send stretches of files.
//!
//! A body that hands a stretch over gives hyper as many bytes of a stand-in, which nobody reads: in what
//! hyper writes, the outlet knows them by their address, and has the stretch sent in their place.
//! Keep-alive and pipelining go on as usual, for hyper believes that it wrote bytes. Where it did not pass
//! them on as they are, the connection is cut.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;

use super::sockets::Socket;
use super::stall::StallGuard;
use crate::blobs::stretch::{STRETCH_BYTES_MAX, Stretch};

/// Zeros that nobody reads or writes, so that they take no memory.
static STAND_IN: LazyLock<&'static [u8]> = LazyLock::new(|| vec![0; STRETCH_BYTES_MAX].leak());

/// What stands for a stretch; a stretch is never empty.
fn is_stand_in(slice: &[u8]) -> bool {
    STAND_IN.as_ptr_range().contains(&slice.as_ptr()) && !slice.is_empty()
}

/// Stretches on their way from the bodies of a connection to its outlet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handover(Arc<Mutex<VecDeque<Stretch>>>);

impl Handover {
    /// Hands a stretch over; what stands for it in the body.
    pub(super) fn give(&self, stretch: Stretch) -> Bytes {
        let stand_in = Bytes::from_static(&STAND_IN[..stretch.length()]);
        self.lock().push_back(stretch);
        stand_in
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Stretch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket, and what it is to send that comes from no memory.
#[derive(Debug)]
pub(super) struct Outlet {
    /// Its patience is with the client, and does not run while the disk is waited for.
    socket: StallGuard<Socket>,
    handover: Handover,
    /// The first stretch has waited for room, so that it may have left the page cache.
    has_waited: bool,
    /// It is brought there again.
    loading: Option<JoinHandle<io::Result<()>>>,
}

impl Outlet {
    pub(super) fn new(socket: StallGuard<Socket>, handover: Handover) -> Self {
        Self {
            socket,
            handover,
            has_waited: false,
            loading: None,
        }
    }

    /// Sends what of the first stretch there is room for; `slice` stands for all that is left of it.
    fn poll_send(&mut self, context: &mut Context<'_>, slice: &[u8]) -> Poll<io::Result<usize>> {
        let mut stretches = self.handover.lock();
        let Some(stretch) = stretches.front_mut() else {
            return Poll::Ready(Err(mixed_up()));
        };
        if stretch.length() != slice.len() {
            return Poll::Ready(Err(mixed_up()));
        }
        if self.has_waited {
            if self.loading.is_none() && !stretch.is_cached() {
                self.loading = Some(tokio::task::spawn_blocking(stretch.loader()));
            }
            if let Some(loading) = &mut self.loading {
                let loaded = ready!(Pin::new(loading).poll(context));
                self.loading = None;
                let loaded = loaded.map_err(io::Error::other).flatten();
                loaded.inspect_err(|error| cut_off(stretch, error))?;
            }
        }
        let sent = self
            .socket
            .poll_send(context, slice.len(), |socket| stretch.send(socket));
        self.has_waited = sent.is_pending();
        match sent {
            Poll::Ready(Ok(0)) => {
                let error = io::ErrorKind::UnexpectedEof.into();
                cut_off(stretch, &error);
                Poll::Ready(Err(error))
            }
            Poll::Ready(Ok(length)) => {
                if stretch.length() == 0 {
                    stretches.pop_front();
                }
                Poll::Ready(Ok(length))
            }
            Poll::Ready(Err(error)) => {
                if !is_of_the_socket(&error) {
                    cut_off(stretch, &error);
                }
                Poll::Ready(Err(error))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Whether the client went away, which is no fault of the file's.
fn is_of_the_socket(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let gone = [
        Kind::BrokenPipe,
        Kind::ConnectionReset,
        Kind::ConnectionAborted,
        Kind::NotConnected,
        Kind::TimedOut,
    ];
    gone.contains(&error.kind())
}

/// The connection is cut, so the client sees that the answer is not whole.
fn cut_off(stretch: &Stretch, error: &io::Error) {
    let digest = stretch.digest();
    tracing::error!(%digest, %error, "a pull was cut off: its file cannot be read to its end");
}

/// Stand-ins and stretches do not match: better no answer than a wrong one.
fn mixed_up() -> io::Error {
    tracing::error!("an answer lost its file on the way to the socket");
    io::Error::other("an answer lost its file")
}

impl AsyncRead for Outlet {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl AsyncWrite for Outlet {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let stand_in = slices.iter().position(|slice| is_stand_in(slice));
        let Some(at) = stand_in else {
            // All that was handed over is somewhere in what is written.
            if !this.handover.lock().is_empty() {
                return Poll::Ready(Err(mixed_up()));
            }
            return Pin::new(&mut this.socket).poll_write_vectored(context, slices);
        };
        let head_bytes: usize = slices[..at].iter().map(|slice| slice.len()).sum();
        if head_bytes == 0 {
            return this.poll_send(context, &slices[at]);
        }
        let head = &slices[..at];
        // More follows at once: one packet less, and one look less for the client.
        let written = this.socket.poll_send(context, head_bytes, |socket| {
            let nothing = &mut SendAncillaryBuffer::default();
            Ok(sendmsg(socket, head, nothing, SendFlags::MORE)?)
        });
        this.has_waited |= written.is_pending();
        let written = ready!(written)?;
        if written < head_bytes {
            return Poll::Ready(Ok(written));
        }
        match this.poll_send(context, &slices[at]) {
            Poll::Ready(Ok(sent)) => Poll::Ready(Ok(written + sent)),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Ready(Ok(written)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    use super::*;
    use crate::config::meaning::Timeouts;

    const LENGTH: usize = 100_000;

    fn stretch() -> Stretch {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&vec![7; LENGTH]).expect("it is written");
        Stretch::of(file, 0, LENGTH as u64)
    }

    fn outlet() -> (Outlet, Handover, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        let handover = Handover::default();
        let timeouts = Timeouts {
            head: Duration::from_mins(1),
            idle: Duration::from_mins(1),
            stall: Duration::from_mins(1),
            stall_bytes: 1024,
        };
        let socket = StallGuard::new(Socket::Unix(ours), timeouts);
        let outlet = Outlet::new(socket, handover.clone());
        (outlet, handover, theirs)
    }

    #[tokio::test]
    async fn stretches_take_the_place_of_what_stands_for_them() {
        let (mut outlet, handover, mut client) = outlet();
        let (first, second) = (handover.give(stretch()), handover.give(stretch()));
        let reading = tokio::spawn(async move {
            let mut came = Vec::new();
            client.read_to_end(&mut came).await.expect("it is open");
            came
        });
        let mut written = b"head".to_vec();
        let (mut slices, mut at) = ([&b"head"[..], &first, &second, b"tail"], 0);
        while at < slices.len() {
            let offered: Vec<IoSlice<'_>> = slices[at..]
                .iter()
                .map(|slice| IoSlice::new(slice))
                .collect();
            let mut length = outlet.write_vectored(&offered).await.expect("it is open");
            while at < slices.len() && slices[at].len() <= length {
                length -= slices[at].len();
                at += 1;
            }
            if at < slices.len() {
                slices[at] = &slices[at][length..];
            }
        }
        drop(outlet);
        written.extend(vec![7; 2 * LENGTH]);
        written.extend(b"tail");
        assert!(reading.await.expect("it ends") == written);
    }

    /// No zeros are ever sent for bytes of a file.
    #[tokio::test]
    async fn what_does_not_match_is_not_sent() {
        let (mut outlet, handover, _client) = outlet();
        let stand_in = handover.give(stretch());
        // Copied together, as by another version of hyper.
        let copied = [b"head", &stand_in[..]].concat();
        assert!(outlet.write(&copied).await.is_err());
        let fewer = [IoSlice::new(&stand_in[..LENGTH - 1])];
        assert!(outlet.write_vectored(&fewer).await.is_err());
        handover.lock().clear();
        let nothing_left = [IoSlice::new(&stand_in)];
        assert!(outlet.write_vectored(&nothing_left).await.is_err());
    }
}
