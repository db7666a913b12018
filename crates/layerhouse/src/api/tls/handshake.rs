//! From a socket to a connection in TLS, or to a word for who speaks plain HTTP.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Source, Tls, acme, suites};
use crate::api::connection::gave_up;
use crate::api::sockets::Socket;
use crate::api::stall::StallGuard;

pub(crate) type SecureStream = TlsStream<ReadAhead<StallGuard<Socket>>>;

/// A connection in TLS.
pub(crate) struct Secured {
    pub(crate) stream: Box<SecureStream>,
    /// Of the client, in DER, if it showed one and that was verified.
    pub(crate) certificate: Option<Arc<[u8]>>,
}

/// Plaintext that TLS takes before the socket must: large writes cost less.
const BUFFER_BYTES: usize = 256 << 10;
/// What is read before it is known what the client speaks; most greetings in TLS are shorter.
const GREETING_BYTES: usize = 1024;
/// How requests begin; five bytes each, as a TLS record has before its content.
const METHODS: [&[u8; 5]; 8] = [
    b"GET /", b"HEAD ", b"POST ", b"PUT /", b"PATCH", b"DELET", b"OPTIO", b"CONNE",
];
/// What Go's servers answer, so that people find it.
const NOT_TLS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
/// What is read of a client that is told so, and how long it is waited for: closed with its request
/// unread, the connection would be reset, and the answer lost.
const LINGER_BYTES: u64 = 64 << 10;
const LINGER: Duration = Duration::from_secs(1);

impl Tls {
    /// A connection in TLS; `None` if it served its purpose already.
    ///
    /// # Errors
    /// The client speaks no TLS that we do, has no certificate that we want, or takes too long.
    pub(in crate::api) async fn handshake(
        &self,
        socket: StallGuard<Socket>,
        patience: Duration,
    ) -> io::Result<Option<Secured>> {
        tokio::time::timeout(patience, self.negotiate(socket))
            .await
            .unwrap_or_else(|_| Err(gave_up("the handshake takes too long")))
    }

    async fn negotiate(&self, socket: StallGuard<Socket>) -> io::Result<Option<Secured>> {
        let mut socket = ReadAhead::begin(socket).await?;
        if METHODS
            .iter()
            .any(|method| socket.ahead.starts_with(*method))
        {
            socket.socket.write_all(NOT_TLS).await?;
            socket.socket.shutdown().await?;
            let rest = &mut socket.socket.take(LINGER_BYTES);
            let _ =
                tokio::time::timeout(LINGER, tokio::io::copy(rest, &mut tokio::io::sink())).await;
            return Ok(None);
        }
        let state = self.state.load_full();
        if let Source::Files(certificate) = &state.source {
            certificate.refresh().await;
        }
        let greeted = LazyConfigAcceptor::new(Acceptor::default(), socket).await?;
        if let Source::Acme(source) = &state.source
            && acme::is_challenge(&greeted.client_hello())
        {
            // The handshake is the answer (RFC 8737, 3).
            let mut stream = greeted.into_stream(source.challenge_config()).await?;
            stream.shutdown().await?;
            return Ok(None);
        }
        let config = if suites::wants_aes(greeted.client_hello().cipher_suites()) {
            &state.config
        } else {
            &state.client_order
        };
        let config = Arc::clone(config);
        let secured = greeted.into_stream_with(config, |session| {
            session.set_buffer_limit(Some(BUFFER_BYTES));
        });
        let stream = Box::new(secured.await?);
        let shown = stream.get_ref().1.peer_certificates();
        let first = shown.and_then(|chain| chain.first());
        let certificate = first.filter(|_| state.verifies_clients);
        Ok(Some(Secured {
            certificate: certificate.map(|certificate| certificate.as_ref().into()),
            stream,
        }))
    }
}

/// A stream whose first bytes were read already.
#[derive(Debug)]
pub(crate) struct ReadAhead<S> {
    ahead: Vec<u8>,
    /// So many of them were given out again.
    given: usize,
    socket: S,
}

impl<S: AsyncRead + Unpin> ReadAhead<S> {
    /// Reads as much as tells a request from TLS.
    async fn begin(mut socket: S) -> io::Result<Self> {
        let mut ahead = Vec::with_capacity(GREETING_BYTES);
        let is_open = |ahead: &[u8]| {
            let could_be = |method: &[u8; 5]| method.starts_with(ahead);
            METHODS.iter().any(|method| could_be(method)) && ahead.len() < 5
        };
        while is_open(&ahead) {
            if socket.read_buf(&mut ahead).await? == 0 {
                break;
            }
        }
        Ok(Self {
            ahead,
            given: 0,
            socket,
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let rest = &this.ahead[this.given..];
        if rest.is_empty() {
            return Pin::new(&mut this.socket).poll_read(context, buffer);
        }
        let length = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..length]);
        this.given += length;
        if this.given == this.ahead.len() {
            (this.ahead, this.given) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, slices)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_read_ahead_is_read_again() {
        for text in [
            "",
            "G",
            "GET",
            "GET / HTTP/1.1",
            "\u{16}\u{3}\u{1}",
            "GEX",
            "PUT /v2/",
        ] {
            let mut stream = ReadAhead::begin(text.as_bytes())
                .await
                .expect("no error in memory");
            let mut read = String::new();
            stream.read_to_string(&mut read).await.expect("it is UTF-8");
            assert_eq!(read, text);
        }
    }
}
