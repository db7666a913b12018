//! The listener: accepts connections while there is room, serves each as HTTP/1.1 or cleartext HTTP/2,
//! and lets requests in flight finish when it is told to stop.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::connection::{InFlight, PatientStream};
use super::{Api, Peer};

/// Header fields of one request; the rest of what Docker sends is a dozen.
const HEADERS_MAX: usize = 100;
/// hyper's read buffer: 64 KiB was faster than 128 KiB and 1 MiB, and it bounds the size of a head.
const READ_BUFFER_BYTES: usize = 64 << 10;
/// Streams of one HTTP/2 connection.
const STREAMS_MAX: u32 = 64;
/// HTTP/2 resets that a client may have us remember (CVE-2023-44487 and its kin).
const RESET_STREAMS_MAX: usize = 32;
/// What a client may send ahead on one HTTP/2 stream: a fast link's worth, bounded by the streams.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// After an accept that failed, for instance for want of descriptors.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Sent to a connection beyond the bound, which is then closed.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n\
    Content-Type: application/json\r\nContent-Length: 85\r\n\r\n\
    {\"errors\":[{\"code\":\"UNAVAILABLE\",\"message\":\"too many connections; try again later\"}]}";

/// Serves until `stop` becomes true, then lets requests in flight finish for at most `drain_max`.
pub(crate) async fn serve(
    listener: TcpListener,
    api: Arc<Api>,
    connections_max: usize,
    mut stop: watch::Receiver<bool>,
    drain_max: Duration,
) {
    let room = Arc::new(Room::new(connections_max));
    let graceful = GracefulShutdown::new();
    let builder = Arc::new(builder(&api));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|is_stopping| *is_stopping) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors: connections that end give some back.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
                continue;
            }
        };
        let Some(place) = room.enter(peer) else {
            turn_away(stream);
            continue;
        };
        // Small answers leave at once; large ones are written in large pieces anyway.
        let _ = stream.set_nodelay(true);
        let in_flight = Arc::new(InFlight::default());
        let patient = PatientStream::new(stream, api.timeouts, Arc::clone(&in_flight));
        let api = Arc::clone(&api);
        let from = Peer {
            address: Some(peer),
            has_tls: false,
        };
        let service = service_fn(move |request| {
            let (api, request_in_flight) = (Arc::clone(&api), in_flight.begin());
            async move {
                let answer = api.answer(request, from).await;
                drop(request_in_flight);
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = builder
            .serve_connection(TokioIo::new(patient), service)
            .into_owned();
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(drain_max, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!(?drain_max, "requests still in flight are cut off");
    }
}

fn builder(api: &Api) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // From the end of one request to the end of the next one's head: the idle time, for the head
        // itself has the shorter one of `PatientStream`.
        .header_read_timeout(api.timeouts.idle)
        .max_headers(HEADERS_MAX)
        .max_buf_size(READ_BUFFER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_concurrent_streams(STREAMS_MAX)
        .max_pending_accept_reset_streams(RESET_STREAMS_MAX)
        .max_local_error_reset_streams(RESET_STREAMS_MAX)
        .max_header_list_size(u32::try_from(super::HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    builder
}

/// Says why and closes; what the client sent meanwhile is not read.
fn turn_away(mut stream: TcpStream) {
    tokio::spawn(async move {
        let _ = tokio::time::timeout(Duration::from_secs(1), async {
            stream.write_all(FULL).await?;
            stream.shutdown().await
        })
        .await;
    });
}

/// Places for connections, in all and from one address.
#[derive(Debug)]
struct Room {
    connections_max: usize,
    /// Three quarters: whoever holds all of theirs leaves the others some. No fewer would do, for
    /// behind a proxy all clients have one address.
    from_one_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    from: HashMap<IpAddr, usize>,
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
struct Place {
    room: Arc<Room>,
    address: IpAddr,
}

impl Room {
    fn new(connections_max: usize) -> Self {
        let from_one_max = (connections_max * 3 / 4).max(1);
        Self {
            connections_max,
            from_one_max,
            taken: Mutex::default(),
        }
    }

    fn enter(self: &Arc<Self>, peer: SocketAddr) -> Option<Place> {
        let address = peer.ip();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let from_one = taken.from.get(&address).copied().unwrap_or(0);
        if self.connections_max <= taken.all || self.from_one_max <= from_one {
            return None;
        }
        taken.all += 1;
        taken.from.insert(address, from_one + 1);
        Some(Place {
            room: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self
            .room
            .taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        match taken.from.get_mut(&self.address) {
            Some(count) if 1 < *count => *count -= 1,
            _ => {
                taken.from.remove(&self.address);
            }
        }
    }
}

/// Binds the address.
///
/// # Errors
/// A sentence that names the address and what to do.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canned_answer_says_its_length() {
        let text = std::str::from_utf8(FULL).expect("it is ASCII");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
    }

    #[test]
    fn one_address_leaves_room_for_others() {
        let room = Arc::new(Room::new(4));
        let peer = |last| SocketAddr::from(([10, 0, 0, last], 1));
        let places: Vec<_> = (0..3)
            .map(|_| room.enter(peer(1)).expect("there is room"))
            .collect();
        assert!(room.enter(peer(1)).is_none());
        let other = room.enter(peer(2)).expect("a quarter is left");
        assert!(room.enter(peer(3)).is_none());
        drop(other);
        drop(places);
        assert!(room.enter(peer(3)).is_some());
        assert!(room.taken.lock().expect("no panic").from.is_empty());
    }
}
