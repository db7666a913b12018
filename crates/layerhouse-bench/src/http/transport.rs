//! A socket with or without TLS: receive some, send all, throw away.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::Failure;
use super::origin::Origin;
use super::session::{Session, Stand};

/// Bytes received at once; one buffer for all connections of a thread, so it stays in the cache.
const SCRATCH_BYTES: usize = 256 << 10;
/// Bytes thrown away at once. Nothing is written there, so these pages never come to be.
const VOID_BYTES: usize = 4 << 20;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
    static VOID: RefCell<Vec<u8>> = RefCell::new(vec![0; VOID_BYTES]);
}

pub(crate) struct Transport {
    tcp: TcpStream,
    tls: Option<Box<Session>>,
    patience: Duration,
}

impl Transport {
    /// Connects and shakes hands.
    pub(crate) async fn connect(origin: &Origin) -> Result<Self, Failure> {
        let mut tcp = patiently(origin.patience, TcpStream::connect(origin.address))
            .await?
            .map_err(Failure::Connect)?;
        tcp.set_nodelay(true).map_err(Failure::Connect)?;
        let mut tls = None;
        if let Some((settings, name)) = &origin.tls {
            let session = Session::new(Arc::clone(settings), name.clone())
                .map_err(|error| Failure::Connect(io::Error::other(error)))?;
            let session = tls.insert(Box::new(session));
            handshake(&mut tcp, session, origin.patience).await?;
        }
        let patience = origin.patience;
        Ok(Self { tcp, tls, patience })
    }

    /// Shows some bytes, at most about `most`; 0 at the end.
    pub(crate) async fn receive(
        &mut self,
        most: usize,
        mut each: impl FnMut(&[u8]),
    ) -> Result<usize, Failure> {
        let Self { tcp, tls, patience } = self;
        let Some(session) = tls else {
            let read = poll_fn(|context| {
                SCRATCH.with_borrow_mut(|scratch| {
                    let most = most.min(scratch.len());
                    let mut buffer = ReadBuf::new(&mut scratch[..most]);
                    let polled = Pin::new(&mut *tcp).poll_read(context, &mut buffer);
                    polled.map_ok(|()| {
                        each(buffer.filled());
                        buffer.filled().len()
                    })
                })
            });
            return patiently(*patience, read).await?.map_err(Failure::Receive);
        };
        loop {
            let (stand, shown) = session
                .process(&mut each)
                .map_err(|error| Failure::Receive(io::Error::other(error)))?;
            send(tcp, session.outgoing(), *patience).await?;
            session.sent();
            if 0 < shown || stand == Stand::Closed {
                return Ok(shown);
            }
            if feed(tcp, session, *patience).await? == 0 {
                return Ok(0);
            }
        }
    }

    /// Whether [`Self::discard`] can be used: TLS has to see every byte.
    pub(crate) fn can_discard(&self) -> bool {
        self.tls.is_none()
    }

    /// Up to `length` of the next bytes, gone; 0 at the end.
    pub(crate) async fn discard(&mut self, length: u64) -> Result<u64, Failure> {
        assert!(self.can_discard(), "records must be decrypted");
        let want = usize::try_from(length).map_or(VOID_BYTES, |length| length.min(VOID_BYTES));
        let tcp = &self.tcp;
        let thrown = tcp.async_io(Interest::READABLE, || {
            VOID.with_borrow_mut(|void| {
                let (_, length) = rustix::net::recv(tcp, &mut void[..want], RecvFlags::TRUNC)?;
                Ok(length as u64)
            })
        });
        patiently(self.patience, thrown)
            .await?
            .map_err(Failure::Receive)
    }

    pub(crate) async fn send(&mut self, mut bytes: &[u8]) -> Result<(), Failure> {
        let Self { tcp, tls, patience } = self;
        let Some(session) = tls else {
            return send(tcp, bytes, *patience).await;
        };
        while !bytes.is_empty() {
            let taken = session
                .encrypt(bytes)
                .map_err(|error| Failure::Send(io::Error::other(error)))?;
            bytes = &bytes[taken..];
            send(tcp, session.outgoing(), *patience).await?;
            session.sent();
        }
        Ok(())
    }
}

async fn handshake(
    tcp: &mut TcpStream,
    session: &mut Session,
    patience: Duration,
) -> Result<(), Failure> {
    loop {
        // Tickets may come with the end of the handshake; data cannot, as nothing was asked.
        let (stand, _) = session
            .process(&mut |_| {})
            .map_err(|error| Failure::Receive(io::Error::other(error)))?;
        send(tcp, session.outgoing(), patience).await?;
        session.sent();
        match stand {
            Stand::Open => return Ok(()),
            Stand::Closed => return Err(Failure::Closed),
            Stand::Handshaking => {}
        }
        if feed(tcp, session, patience).await? == 0 {
            return Err(Failure::Closed);
        }
    }
}

/// Receives encrypted bytes; 0 at the end.
async fn feed(
    tcp: &mut TcpStream,
    session: &mut Session,
    patience: Duration,
) -> Result<usize, Failure> {
    let read = poll_fn(|context| {
        let mut buffer = ReadBuf::new(session.room());
        let polled = Pin::new(&mut *tcp).poll_read(context, &mut buffer);
        polled.map_ok(|()| buffer.filled().len())
    });
    let length = patiently(patience, read).await?.map_err(Failure::Receive)?;
    session.received(length);
    Ok(length)
}

async fn send(tcp: &TcpStream, mut bytes: &[u8], patience: Duration) -> Result<(), Failure> {
    while !bytes.is_empty() {
        match tcp.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                patiently(patience, tcp.writable())
                    .await?
                    .map_err(Failure::Send)?;
            }
            Err(error) => return Err(Failure::Send(error)),
        }
    }
    Ok(())
}

/// What `future` gives, unless nothing happens for too long.
async fn patiently<T>(
    patience: Duration,
    future: impl Future<Output = io::Result<T>>,
) -> Result<io::Result<T>, Failure> {
    tokio::time::timeout(patience, future)
        .await
        .map_err(|_| Failure::Stalled)
}
