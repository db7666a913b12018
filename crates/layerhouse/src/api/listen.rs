//! The listener: accepts connections while there is room, serves each as HTTP/1.1 or HTTP/2, behind TLS
//! if there is any, and lets requests in flight finish when it is told to stop.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::AsyncWriteExt;
use tokio::sync::watch;

use super::connection::{InFlight, PatientStream};
use super::outlet::{Handover, Outlet};
use super::room::Room;
use super::sockets::{Listeners, Socket};
use super::stall::StallGuard;
use super::tls::{Secured, Tls};
use super::transport::Transport;
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

/// What every connection is served with.
struct Service {
    api: Arc<Api>,
    tls: Option<Arc<Tls>>,
    /// Tells HTTP/1.1 from HTTP/2 by its first bytes.
    any: Builder<TokioExecutor>,
    http1: Builder<TokioExecutor>,
    stop: watch::Receiver<bool>,
}

/// Serves until `stop` becomes true, then lets requests in flight finish for at most `drain_max`.
pub(crate) async fn serve(
    mut listeners: Listeners,
    tls: Option<Arc<Tls>>,
    api: Arc<Api>,
    connections_max: usize,
    mut stop: watch::Receiver<bool>,
    drain_max: Duration,
) {
    let room = Arc::new(Room::new(connections_max));
    let graceful = GracefulShutdown::new();
    let builder = builder(&api);
    let service = Arc::new(Service {
        api,
        tls,
        http1: builder.clone().http1_only(),
        any: builder,
        stop: stop.clone(),
    });
    loop {
        let accepted = tokio::select! {
            accepted = listeners.accept() => accepted,
            _ = stop.wait_for(|is_stopping| *is_stopping) => break,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors: connections that end give some back.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
                continue;
            }
        };
        let Some(place) = room.enter(peer) else {
            // Who expects TLS could not read it, and a handshake is too dear for a full server.
            if service.tls.is_none() {
                turn_away(socket);
            }
            continue;
        };
        let (service, watcher) = (Arc::clone(&service), graceful.watcher());
        tokio::spawn(async move {
            service.run(socket, peer, watcher).await;
            drop(place);
        });
    }
    drop(listeners);
    if tokio::time::timeout(drain_max, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!(?drain_max, "requests still in flight are cut off");
    }
}

impl Service {
    /// Serves one connection to its end.
    async fn run(&self, socket: Socket, peer: Option<SocketAddr>, watcher: Watcher) {
        let timeouts = self.api.timeouts;
        // TLS encrypts what comes from memory.
        let handover = self.tls.is_none().then(Handover::default);
        let mut certificate = None;
        let (transport, builder) = match &self.tls {
            None => {
                let outlet = Outlet::new(
                    StallGuard::new(socket, timeouts),
                    handover.clone().unwrap_or_default(),
                );
                (Transport::Plain(outlet), &self.any)
            }
            Some(tls) => {
                let socket = StallGuard::new(socket, timeouts);
                let mut stop = self.stop.clone();
                let secured = tokio::select! {
                    secured = Box::pin(tls.handshake(socket, timeouts.head)) => secured,
                    _ = stop.wait_for(|is_stopping| *is_stopping) => return,
                };
                match secured {
                    Ok(Some(Secured {
                        stream,
                        certificate: shown,
                    })) => {
                        certificate = shown;
                        // Over TLS, HTTP/2 is agreed on in the handshake (RFC 9113, 3.3).
                        let builder = match stream.get_ref().1.alpn_protocol() {
                            Some(b"h2") => &self.any,
                            _ => &self.http1,
                        };
                        (Transport::Secure(stream), builder)
                    }
                    Ok(None) => return,
                    Err(error) => {
                        tracing::debug!(?peer, %error, "a TLS handshake failed");
                        return;
                    }
                }
            }
        };
        let in_flight = Arc::new(InFlight::default());
        let patient = PatientStream::new(transport, timeouts, Arc::clone(&in_flight));
        let from = Peer {
            address: peer,
            has_tls: self.tls.is_some(),
            is_console: false,
            certificate,
        };
        let service = service_fn(|request: Request<Incoming>| {
            let (api, request_in_flight) = (Arc::clone(&self.api), in_flight.begin());
            let from = from.clone();
            // HTTP/2 frames what comes from memory.
            let is_http1 = request.version() < Version::HTTP_2;
            let handover = handover.clone().filter(|_| is_http1);
            async move {
                let mut answer = api.answer(request, from).await;
                if let Some(handover) = handover {
                    answer.body_mut().hand_over(handover);
                }
                drop(request_in_flight);
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = builder.serve_connection(TokioIo::new(patient), service);
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(?peer, %error, "a connection ended early");
        }
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
fn turn_away(mut socket: Socket) {
    tokio::spawn(async move {
        let _ = tokio::time::timeout(Duration::from_secs(1), async {
            socket.write_all(FULL).await?;
            socket.shutdown().await
        })
        .await;
    });
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
}
