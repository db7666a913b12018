//! The console: a socket in the data directory, by which the commands of the machine's operator reach the same
//! API as everybody, as an administrator. Who can open it could read and write the data anyway.

pub(crate) mod client;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use super::sockets::{SocketFile, bind_own_file};
use super::{Api, Peer};

/// After an accept that failed.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);
/// Requests in flight at a stop have as long.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// Where the console of a data directory is.
pub(crate) fn path(root: &Path) -> PathBuf {
    root.join("layerhouse/admin.sock")
}

/// A console that is listened on; its file goes with it.
#[derive(Debug)]
pub(crate) struct Console {
    listener: UnixListener,
    _file: SocketFile,
}

impl Console {
    /// Listens.
    ///
    /// # Errors
    /// A sentence that names the socket and what to do.
    pub(crate) async fn open(root: &Path) -> Result<Self, String> {
        let (listener, file) = bind_own_file(&path(root)).await?;
        Ok(Self {
            listener,
            _file: file,
        })
    }

    /// Serves until `stop` becomes true, then finishes what it answers.
    pub(crate) async fn serve(self, api: Arc<Api>, mut stop: watch::Receiver<bool>) {
        let graceful = GracefulShutdown::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stop.wait_for(|is_stopping| *is_stopping) => break,
            };
            match accepted {
                Ok((stream, _)) if is_of_operator(&stream) => {
                    let connection = graceful.watch(connection(stream, Arc::clone(&api)));
                    tokio::spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "a connection to the console ended early");
                        }
                    });
                }
                Ok(_) => tracing::warn!("a user who is not the server's was kept from the console"),
                Err(error) => {
                    tracing::warn!(%error, "a connection to the console could not be accepted");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
        let _ = tokio::time::timeout(DRAIN_MAX, graceful.shutdown()).await;
    }
}

/// Serves one connection that was made within this process.
pub(crate) async fn serve_pair(stream: UnixStream, api: Arc<Api>) {
    if let Err(error) = connection(stream, api).await {
        tracing::debug!(%error, "a connection to the console ended early");
    }
}

/// The mode of the file says so already; this holds wherever the file is bound to or passed on.
fn is_of_operator(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own)
}

/// What answers on a connection.
fn connection(
    stream: UnixStream,
    api: Arc<Api>,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> {
    let peer = Peer {
        address: None,
        has_tls: false,
        is_console: true,
        certificate: None,
    };
    let service = service_fn(move |request: Request<Incoming>| {
        let (api, peer) = (Arc::clone(&api), peer.clone());
        async move { Ok::<_, Infallible>(api.answer(request, peer).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
}
