//! Sees whether a pooler of connections (PgBouncer and its kin) is between: one that gives each transaction any
//! connection of the server. What is set or prepared on a connection is then lost, and found by others.
//!
//! A server that is asked itself answers as the process whose number the connection was given at its beginning;
//! a pooler makes up numbers of its own. Another process is looked for wherever nothing proves that there is none: one that
//! keeps a connection for each client is taken for the other kind, which costs some time and nothing else.

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Client;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};

/// Asks for TLS, in 8 bytes.
const TLS_REQUEST: i32 = 80_877_103;
/// Asks to cancel what a process does: then follow its number and a secret.
const CANCEL_REQUEST: i32 = 80_877_102;

/// The number of the process of the server that this connection was told it speaks to; 0 if it was told none.
///
/// The driver keeps it for cancelling and does not show it, so it is made to write a cancellation, which nobody is sent.
pub(super) async fn process_told(client: &Client) -> i32 {
    let mut heard = Heard::default();
    let token = client.cancel_token();
    let is_whole = token.cancel_query_raw(&mut heard, Plain).await.is_ok();
    process_cancelled(&heard.0)
        .filter(|_| is_whole)
        .unwrap_or(0)
}

fn process_cancelled(heard: &[u8]) -> Option<i32> {
    let words: Vec<i32> = heard
        .as_chunks::<4>()
        .0
        .iter()
        .map(|word| i32::from_be_bytes(*word))
        .collect();
    let request = match words.as_slice() {
        [8, TLS_REQUEST, rest @ ..] => rest,
        all => all,
    };
    match request {
        [_, CANCEL_REQUEST, process, ..] => Some(*process),
        _ => None,
    }
}

/// A way to nobody: keeps what is written, and agrees to TLS.
#[derive(Default)]
struct Heard(Vec<u8>);

impl AsyncRead for Heard {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        into.put_slice(b"S");
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Heard {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl TlsStream for &mut Heard {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

/// TLS with nobody, where the address of the database wants TLS.
struct Plain;

impl<'a> TlsConnect<&'a mut Heard> for Plain {
    type Stream = &'a mut Heard;
    type Error = io::Error;
    type Future = Ready<io::Result<&'a mut Heard>>;

    fn connect(self, stream: &'a mut Heard) -> Self::Future {
        ready(Ok(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(words: &[i32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    #[test]
    fn the_process_stands_in_what_would_cancel_it() {
        let plain = [16, CANCEL_REQUEST, 4711, 99];
        assert_eq!(process_cancelled(&bytes(&plain)), Some(4711));
        let asked = [8, TLS_REQUEST, 16, CANCEL_REQUEST, 4711, 99];
        assert_eq!(process_cancelled(&bytes(&asked)), Some(4711));
        // Longer secrets come with later versions of the protocol.
        let longer = [20, CANCEL_REQUEST, 4711, 99, 98];
        assert_eq!(process_cancelled(&bytes(&longer)), Some(4711));
        assert_eq!(process_cancelled(&bytes(&asked[..3])), None);
        assert_eq!(process_cancelled(b""), None);
    }
}
