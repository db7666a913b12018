//! What is counted, and how it is told to Prometheus: the only place that knows `prometheus_client`.
//! It knows nothing of the rest; who counts calls it.
//!
//! Numbers are atomics under closed sets of labels ([`labels`]); [`exposition`] reads them when asked.

mod blob_cache;
mod collection;
mod exposition;
mod labels;
pub(crate) mod mirror;
mod own;
mod registry2;
mod scrub;
mod storage;
mod tally;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub(crate) use blob_cache::{BlobCacheNumbers, BlobCacheState};
pub(crate) use collection::CollectionNumbers;
pub(crate) use exposition::{Format, Scrape};
pub(crate) use labels::{AuthMethod, AuthResult, Route};
pub(crate) use scrub::ScrubNumbers;
pub(crate) use storage::{Action, StorageActions};
use tally::{Counters, Histogram, REQUEST_BOUNDS, SIZE_BOUNDS};

const ROUTES: usize = Route::ALL.len();
const METHODS: usize = labels::METHODS.len();
const STATUSES: usize = labels::STATUSES.len();

/// Not known, or not there.
const NEVER: i64 = i64::MIN;

/// The numbers of a server, from its start.
#[derive(Debug)]
pub(crate) struct Metrics {
    in_flight: Counters,
    requests: Counters,
    durations: Box<[Histogram<13>]>,
    request_sizes: Box<[Histogram<22>]>,
    response_sizes: Box<[Histogram<22>]>,
    sent_blob_bytes: Counters,
    auth: Counters,
    certificate_expires_at: AtomicI64,
    config_reload_success: AtomicI64,
    config_reloaded_at: AtomicI64,
    notifications: Mutex<Vec<EndpointNumbers>>,
    lost_pulls: AtomicU64,
}

/// A request that is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finished<'a> {
    pub(crate) route: Route,
    pub(crate) method: &'a str,
    pub(crate) status: u16,
    pub(crate) duration: Duration,
    /// Head and body, as the head tells it.
    pub(crate) request_bytes: u64,
    /// Bytes of the body that were handed to the connection.
    pub(crate) sent_bytes: u64,
}

/// What became of the events for one endpoint; the names are registry:2's.
#[derive(Clone, Debug, Default)]
pub(crate) struct EndpointNumbers {
    /// As the configuration calls it.
    pub(crate) name: String,
    pub(crate) events: u64,
    pub(crate) successes: u64,
    /// Deliveries that were answered with another status than 2xx or 3xx.
    pub(crate) failures: u64,
    /// Deliveries that were not answered.
    pub(crate) errors: u64,
    pub(crate) pending: u64,
    /// Dropped, because too many waited or for too long.
    pub(crate) lost: u64,
    /// `200 OK` and how often.
    pub(crate) statuses: Vec<(String, u64)>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            in_flight: Counters::new(ROUTES),
            requests: Counters::new(ROUTES * METHODS * STATUSES),
            durations: (0..ROUTES * METHODS)
                .map(|_| Histogram::new(&REQUEST_BOUNDS))
                .collect(),
            request_sizes: sizes(),
            response_sizes: sizes(),
            sent_blob_bytes: Counters::new(1),
            auth: Counters::new(labels::AUTH_METHODS.len() * labels::AUTH_RESULTS.len()),
            certificate_expires_at: AtomicI64::new(NEVER),
            // The start read a configuration that could be used.
            config_reload_success: AtomicI64::new(1),
            config_reloaded_at: AtomicI64::new(NEVER),
            notifications: Mutex::default(),
            lost_pulls: AtomicU64::new(0),
        }
    }
}

fn sizes() -> Box<[Histogram<22>]> {
    (0..ROUTES).map(|_| Histogram::new(&SIZE_BOUNDS)).collect()
}

impl Metrics {
    /// A request began; [`Metrics::end`] must follow.
    pub(crate) fn begin(&self, route: Route) {
        self.in_flight.add(route as usize, 1);
    }

    /// A request is over.
    pub(crate) fn end(&self, request: &Finished<'_>) {
        let route = request.route as usize;
        let method = labels::method_index(request.method);
        let status = labels::status_index(request.status);
        self.in_flight.subtract(route, 1);
        self.requests.add(place(route, method, status), 1);
        self.durations[route * METHODS + method].observe_duration(request.duration);
        self.request_sizes[route].observe(request.request_bytes);
        self.response_sizes[route].observe(request.sent_bytes);
        if request.route == Route::Blob && request.status < 300 {
            self.sent_blob_bytes.add(0, request.sent_bytes);
        }
    }

    /// Somebody signed in, or tried to.
    pub(crate) fn count_auth(&self, method: AuthMethod, result: AuthResult) {
        let at = method as usize * labels::AUTH_RESULTS.len() + result as usize;
        self.auth.add(at, 1);
    }

    /// Until when the certificate in use is good, in seconds since 1970.
    pub(crate) fn set_certificate_expiry(&self, expires_at_seconds: i64) {
        self.certificate_expires_at
            .store(expires_at_seconds, Ordering::Relaxed);
    }

    /// The configuration was read again at this time, in seconds since 1970.
    pub(crate) fn set_config_reload(&self, is_success: bool, now_seconds: i64) {
        self.config_reload_success
            .store(i64::from(is_success), Ordering::Relaxed);
        if is_success {
            self.config_reloaded_at
                .store(now_seconds, Ordering::Relaxed);
        }
    }

    /// What became of events so far, for all endpoints, and how many pulls none of them is told of.
    pub(crate) fn set_notifications(&self, endpoints: Vec<EndpointNumbers>, lost_pulls: u64) {
        self.lost_pulls.store(lost_pulls, Ordering::Relaxed);
        *self
            .notifications
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = endpoints;
    }

    /// Requests being answered.
    pub(crate) fn in_flight(&self) -> u64 {
        (0..ROUTES).map(|route| self.in_flight.get(route)).sum()
    }

    /// Requests of a route by method and status.
    fn requests(&self, route: Route, method: usize, status: usize) -> u64 {
        self.requests.get(place(route as usize, method, status))
    }

    /// Requests of a route and method that were answered so.
    fn requests_where(&self, route: Route, methods: &[usize], fits: impl Fn(u16) -> bool) -> u64 {
        let fitting = (0..STATUSES).filter(|status| fits(labels::STATUSES[*status]));
        fitting
            .flat_map(|status| methods.iter().map(move |method| (*method, status)))
            .map(|(method, status)| self.requests(route, method, status))
            .sum()
    }
}

fn place(route: usize, method: usize, status: usize) -> usize {
    (route * METHODS + method) * STATUSES + status
}
