//! What is noted of a request when it is over: numbers, an event, and a line of the access log. It is
//! over when the last byte of its answer was handed to the connection, or when its client went away.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, Uri, Version};
use http_body::{Body, Frame, SizeHint};

use super::body::ResponseBody;
use super::outlet::Handover;
use super::{Answer, access_log, cut, request};
use crate::auth::Caller;
use crate::checks::Checks;
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::log::queue::{End, LineQueue};
use crate::metrics::{Finished, Metrics, Route};

/// The status of a request whose client did not wait for one, as nginx has it.
const CLIENT_GONE: u16 = 499;
/// How long a stop waits for who reads the access log.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// Who looks on while requests are answered.
#[derive(Debug)]
pub(crate) struct Observers {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) checks: Arc<Checks>,
    access_log: LineQueue,
}

impl Observers {
    pub(crate) fn new(checks: Arc<Checks>) -> Arc<Self> {
        Arc::new(Self {
            metrics: Arc::default(),
            checks,
            access_log: LineQueue::new(End::Output),
        })
    }

    pub(super) fn access_lines_dropped(&self) -> u64 {
        self.access_log.dropped()
    }

    /// Waits a moment until the lines of all requests so far are written. Blocks.
    pub(crate) fn flush(&self) {
        self.access_log.flush(FLUSH_PATIENCE);
    }
}

/// A request from its head to the end of its answer; what is known of it is noted when it is dropped.
#[derive(Debug)]
pub(super) struct Record {
    observers: Arc<Observers>,
    has_access_line: bool,
    /// Who asks, as long as that is not found out.
    caller: Arc<Caller>,
    /// Who it was found to be.
    admitted: Arc<OnceLock<Arc<Caller>>>,
    began: Instant,
    at: Timestamp,
    route: Route,
    method: Method,
    uri: Uri,
    version: Version,
    agent: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    request_bytes: u64,
    /// Absent until there is an answer.
    status: Option<u16>,
    sent_bytes: u64,
}

impl Record {
    /// Of a request that began at `at`; `path` is its path without the prefix that the operator chose.
    pub(super) fn begin<B>(
        observers: &Arc<Observers>,
        has_access_line: bool,
        request: &Request<B>,
        path: &str,
        (caller, admitted): (Arc<Caller>, Arc<OnceLock<Arc<Caller>>>),
        at: Timestamp,
    ) -> Self {
        let header = |name| request.headers().get(name).cloned();
        let route = Route::of(path);
        observers.metrics.begin(route);
        Self {
            observers: Arc::clone(observers),
            has_access_line,
            caller,
            admitted,
            began: Instant::now(),
            at,
            route,
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            agent: header(header::USER_AGENT),
            referer: header(header::REFERER),
            request_bytes: size_bytes(request),
            status: None,
            sent_bytes: 0,
        }
    }

    /// Follows the answer to its end.
    pub(super) fn follow(mut self, answer: Answer) -> Response<Watched> {
        self.status = Some(answer.status().as_u16());
        answer.map(|body| Watched { body, record: self })
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let status = self.status.unwrap_or(CLIENT_GONE);
        let duration = self.began.elapsed();
        self.observers.metrics.end(&Finished {
            route: self.route,
            method: self.method.as_str(),
            status,
            duration,
            request_bytes: self.request_bytes,
            sent_bytes: self.sent_bytes,
        });
        let caller = self.admitted.get().unwrap_or(&self.caller);
        // What a client sent is written escaped and cut.
        let agent = self.agent.as_ref().map(HeaderValue::as_bytes);
        tracing::info!(
            method = %self.method,
            path = cut(self.uri.path()),
            status,
            size_bytes = self.sent_bytes,
            duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            remote = %caller.source.address,
            user = caller.identity.name(),
            id = %caller.source.id,
            agent = cut(&String::from_utf8_lossy(agent.unwrap_or(b""))),
            "request"
        );
        if self.has_access_line {
            let line = access_log::line(&access_log::Entry {
                caller,
                at: self.at,
                method: &self.method,
                uri: &self.uri,
                version: self.version,
                status,
                sent_bytes: self.sent_bytes,
                referer: self.referer.as_ref(),
                agent: self.agent.as_ref(),
            });
            self.observers.access_log.push(line);
        }
    }
}

/// The size of a request as its head tells it, as registry:2 reckons.
fn size_bytes<B>(request: &Request<B>) -> u64 {
    let fields = request.headers().iter();
    let fields: usize = fields
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    let uri = request.uri().path_and_query();
    let line = request.method().as_str().len()
        + uri.map_or(0, |uri| uri.as_str().len())
        + "HTTP/1.1".len();
    let body_bytes = request::length_bytes(request.headers()).unwrap_or(0);
    body_bytes.saturating_add((fields + line) as u64)
}

/// The body of an answer, followed to its end.
#[derive(Debug)]
pub(crate) struct Watched {
    body: ResponseBody,
    record: Record,
}

impl Watched {
    /// What comes from files goes past memory.
    pub(super) fn hand_over(&mut self, handover: Handover) {
        self.body.hand_over(handover);
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let sent = frame.data_ref().map_or(0, Bytes::len);
            self.record.sent_bytes += sent as u64;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
