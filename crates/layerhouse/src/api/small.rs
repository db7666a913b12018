//! A small listener: HTTP/1.1 for a few clients, without TLS, on an address of its own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::Answer;
use super::connection::{InFlight, PatientStream};
use super::stall::StallGuard;
use crate::config::meaning::Timeouts;

/// Connections at once: who asks here are few.
const CONNECTIONS_MAX: usize = 64;
/// After an accept that failed.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// Serves what `answer` says until `stop` becomes true; `called` is the address in messages.
pub(super) async fn serve<A, F>(
    listener: TcpListener,
    called: &'static str,
    timeouts: Timeouts,
    mut stop: watch::Receiver<bool>,
    answer: A,
) where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Answer> + Send,
{
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|is_stopping| *is_stopping) => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection to {called} could not be accepted");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            continue;
        };
        let in_flight = Arc::new(InFlight::default());
        // Who asks and does not read the answer must not hold a place.
        let stream = StallGuard::new(stream, timeouts);
        let stream = PatientStream::new(stream, timeouts, Arc::clone(&in_flight));
        let answer = answer.clone();
        let mut stop = stop.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let guard = in_flight.begin();
                let answered = answer(request);
                async move {
                    let answer = answered.await;
                    drop(guard);
                    Ok::<_, Infallible>(answer)
                }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(timeouts.idle)
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                ended = connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection to {called} ended early");
                    }
                }
                _ = stop.wait_for(|is_stopping| *is_stopping) => {}
            }
            drop(place);
        });
    }
}
