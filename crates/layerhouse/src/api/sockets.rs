//! What is listened on: a TCP port, a socket file, or sockets that systemd opened; and the connections
//! that come in there.

use std::fmt;
use std::fs;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use listenfd::ListenFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::config::meaning::Listen;

/// Where a server can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Tcp(SocketAddr),
    /// A socket file.
    Unix(PathBuf),
    /// Nobody can.
    Nowhere,
}

impl Address {
    /// The address and port, if it is one.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) | Self::Nowhere => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(out),
            Self::Unix(path) => path.display().fmt(out),
            Self::Nowhere => out.write_str("nowhere"),
        }
    }
}

/// All sockets that are listened on: one, unless systemd opened more.
#[derive(Debug)]
pub(crate) struct Listeners {
    sockets: Vec<Listening>,
    /// Asked first for a connection, so that a busy one does not starve the others.
    next: usize,
}

#[derive(Debug)]
enum Listening {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        #[expect(
            dead_code,
            reason = "removed when dropped; absent, the file is not ours"
        )]
        file: Option<SocketFile>,
    },
}

impl Listeners {
    /// Listens.
    ///
    /// # Errors
    /// A sentence that names the address and what to do.
    pub(crate) async fn open(listen: &Listen) -> Result<Self, String> {
        let sockets = match listen {
            Listen::Tcp(address) => vec![Listening::Tcp(bind(*address).await?)],
            Listen::Unix(path) => {
                let (listener, file) = bind_file(path).await?;
                let file = Some(file);
                vec![Listening::Unix { listener, file }]
            }
            Listen::Systemd => inherited(ListenFd::from_env())?,
            Listen::Nowhere => return Ok(Self::nowhere()),
        };
        Ok(Self { sockets, next: 0 })
    }

    /// Nothing at all: nobody connects.
    fn nowhere() -> Self {
        Self {
            sockets: Vec::new(),
            next: 0,
        }
    }

    /// Where the first of them is: the port that was free, if the configuration said 0.
    pub(crate) fn address(&self) -> Result<Address, String> {
        let found = match self.sockets.first() {
            Some(Listening::Tcp(listener)) => listener.local_addr().map(Address::Tcp),
            Some(Listening::Unix { listener, .. }) => listener.local_addr().map(|address| {
                // An abstract one has a name that no file has.
                let path = address.as_pathname().unwrap_or(Path::new("@"));
                Address::Unix(path.to_owned())
            }),
            None => return Ok(Address::Nowhere),
        };
        found.map_err(|error| format!("the address is not known: {error}"))
    }

    /// The next connection.
    pub(super) async fn accept(&mut self) -> io::Result<(Socket, Option<SocketAddr>)> {
        std::future::poll_fn(|context| self.poll_accept(context)).await
    }

    fn poll_accept(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(Socket, Option<SocketAddr>)>> {
        let count = self.sockets.len();
        for at in (self.next..self.next + count).map(|at| at % count) {
            let polled = match &self.sockets[at] {
                Listening::Tcp(listener) => {
                    listener.poll_accept(context).map_ok(|(stream, peer)| {
                        // Small answers leave at once; large ones are written in large pieces anyway.
                        let _ = stream.set_nodelay(true);
                        (Socket::Tcp(stream), Some(peer))
                    })
                }
                Listening::Unix { listener, .. } => listener
                    .poll_accept(context)
                    .map_ok(|(stream, _)| (Socket::Unix(stream), None)),
            };
            if polled.is_ready() {
                self.next = (at + 1) % count;
                return polled;
            }
        }
        Poll::Pending
    }
}

pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    let bound = match TcpListener::bind(address).await {
        // Every address of a machine without IPv6 is every IPv4 address.
        Err(_) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    };
    bound.map_err(|error| {
        let kind = error.kind();
        let hint = if kind == io::ErrorKind::AddrInUse {
            "the port is taken; stop what listens there, or choose another with --listen"
        } else if kind == io::ErrorKind::PermissionDenied {
            "ports below 1024 need privileges; choose another with --listen"
        } else {
            "choose another address with --listen"
        };
        format!("cannot listen on {address}: {hint} ({error})")
    })
}

/// A socket file that we made; removed when dropped, unless another has taken its name.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Makes the socket file anew, with the mode that the umask leaves, as registry:2 does. A file that
/// nobody listens on was left by a process that died.
pub(super) async fn bind_file(path: &Path) -> Result<(UnixListener, SocketFile), String> {
    let failed = |why: &str| format!("cannot listen on {}: {why}", path.display());
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(failed("a file that is no socket has this name"));
        }
        Ok(_) => match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                let removed = fs::remove_file(path);
                removed.map_err(|error| failed(&format!("the old socket stays: {error}")))?;
            }
            // Connected; or it would have to wait, or may not: somebody is there.
            _ => return Err(failed("another process listens there; stop it first")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(&error.to_string())),
    }
    let listener = UnixListener::bind(path).map_err(|error| failed(&error.to_string()))?;
    let identity = identity(path).map_err(|error| failed(&error.to_string()))?;
    let path = path.to_owned();
    Ok((listener, SocketFile { path, identity }))
}

/// As [`bind_file`], for this user alone.
pub(super) async fn bind_own_file(path: &Path) -> Result<(UnixListener, SocketFile), String> {
    let (listener, file) = bind_file(path).await?;
    let mode = fs::Permissions::from_mode(0o600);
    // Who connects before this is asked who they are all the same.
    fs::set_permissions(path, mode)
        .map_err(|error| format!("{} cannot be kept from others: {error}", path.display()))?;
    Ok((listener, file))
}

/// The sockets that systemd passed (`sd_listen_fds(3)`), all of them.
fn inherited(mut passed: ListenFd) -> Result<Vec<Listening>, String> {
    let mut sockets = Vec::new();
    for at in 0..passed.len() {
        let failed = |error: io::Error| {
            format!("socket {at} that systemd passed cannot be listened on: {error}")
        };
        // What is no TCP socket stays where it is, for the next to try.
        if let Ok(Some(listener)) = passed.take_tcp_listener(at) {
            listener.set_nonblocking(true).map_err(failed)?;
            let listener = TcpListener::from_std(listener).map_err(failed)?;
            sockets.push(Listening::Tcp(listener));
        } else if let Some(listener) = passed.take_unix_listener(at).map_err(failed)? {
            listener.set_nonblocking(true).map_err(failed)?;
            let listener = UnixListener::from_std(listener).map_err(failed)?;
            sockets.push(Listening::Unix {
                listener,
                file: None,
            });
        }
    }
    if sockets.is_empty() {
        return Err(
            "systemd is to pass the socket, but passed none (LISTEN_FDS is not set for this \
             process): start the .socket unit, or say where to listen in http.addr"
                .to_owned(),
        );
    }
    Ok(sockets)
}

/// One connection's socket.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Sends in another way than by writing from memory: `act` is tried while the socket has room.
    pub(super) fn poll_send(
        &self,
        context: &mut Context<'_>,
        mut act: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let sent = match self {
                Self::Tcp(stream) => {
                    ready!(stream.poll_write_ready(context))?;
                    stream.try_io(Interest::WRITABLE, || act(stream.as_fd()))
                }
                Self::Unix(stream) => {
                    ready!(stream.poll_write_ready(context))?;
                    stream.try_io(Interest::WRITABLE, || act(stream.as_fd()))
                }
            };
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// What was written is the kernel's already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
