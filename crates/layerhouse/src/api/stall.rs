//! Below a connection, and below its TLS: a socket whose writes give up on a client that takes nothing.
//! Here, because only here it is known what was taken: what TLS holds back counts for nothing.

use std::future::Future;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::connection::gave_up;
use super::sockets::Socket;
use crate::config::meaning::Timeouts;

/// A socket that must take [`Timeouts::stall_bytes`] in each [`Timeouts::stall`] while more waits.
#[derive(Debug)]
pub(super) struct StallGuard<S> {
    socket: S,
    timeouts: Timeouts,
    /// Runs while the client takes nothing, or too little.
    stall: Option<Pin<Box<Sleep>>>,
    taken_bytes: u64,
}

impl<S> StallGuard<S> {
    pub(super) fn new(socket: S, timeouts: Timeouts) -> Self {
        Self {
            socket,
            timeouts,
            stall: None,
            taken_bytes: 0,
        }
    }

    /// What became of a write of `offered_bytes`.
    fn watch(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
        offered_bytes: usize,
    ) -> Poll<io::Result<usize>> {
        match polled {
            Poll::Ready(Ok(length)) => {
                self.taken_bytes += length as u64;
                if self.timeouts.stall_bytes <= self.taken_bytes || length == offered_bytes {
                    self.stall = None;
                    self.taken_bytes = 0;
                }
                Poll::Ready(Ok(length))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
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
    }
}

impl StallGuard<Socket> {
    /// As [`Socket::poll_send`], of `offered_bytes`.
    pub(super) fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        offered_bytes: usize,
        send: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let polled = self.socket.poll_send(context, send);
        self.watch(context, polled, offered_bytes)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallGuard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write(context, bytes);
        self.watch(context, polled, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.socket).poll_write_vectored(context, slices);
        let offered_bytes = slices.iter().map(|slice| slice.len()).sum();
        self.watch(context, polled, offered_bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}
