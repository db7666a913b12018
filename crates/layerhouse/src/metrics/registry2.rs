//! The metrics under the names of registry:2, for dashboards and alerts that know them.

use std::fmt;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::exposition::{CODES, Scrape, Writer, each_method, each_status};
use super::labels::{self, GET, HEAD, Route};

impl Scrape {
    /// The names of registry:2, for dashboards and alerts that know them.
    pub(super) fn of_registry2(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let handlers = || Route::ALL.into_iter().filter(|route| route.is_registry2());
        let metrics = &self.metrics;
        writer.gauges(
            "registry_http_in_flight_requests",
            "The in-flight HTTP requests",
            handlers().map(|route| {
                let labels = [("handler", route.name())];
                (labels, metrics.in_flight.get(route as usize))
            }),
        )?;
        writer.counters(
            "registry_http_requests",
            "Total number of HTTP requests made.",
            each_status()
                .filter(|(route, _, _)| route.is_registry2())
                .filter_map(|(route, method, status)| {
                    self.some_requests(route, method, status).map(|count| {
                        let labels = [
                            ("code", CODES[status]),
                            ("handler", route.name()),
                            ("method", labels::METHODS[method]),
                        ];
                        (labels, count)
                    })
                }),
        )?;
        writer.histograms(
            "registry_http_request_duration_seconds",
            "The HTTP request latencies in seconds.",
            each_method()
                .filter(|(route, _)| route.is_registry2())
                .map(|(route, method)| {
                    let method_name = labels::METHODS[method];
                    let labels = [("handler", route.name()), ("method", method_name)];
                    (labels, self.duration(route, method))
                }),
        )?;
        for (name, help, sizes) in [
            (
                "registry_http_request_size_bytes",
                "The HTTP request sizes in bytes.",
                &metrics.request_sizes,
            ),
            (
                "registry_http_response_size_bytes",
                "The HTTP response sizes in bytes.",
                &metrics.response_sizes,
            ),
        ] {
            let each = handlers().map(|route| {
                let labels = [("handler", route.name())];
                (labels, sizes[route as usize].read(1.0))
            });
            writer.histograms(name, help, each)?;
        }
        writer.histograms(
            "registry_storage_action_seconds",
            "The number of seconds that the storage action takes",
            self.storage.iter().flat_map(|(driver, actions)| {
                let labelled =
                    |(action, durations)| ([("action", action), ("driver", *driver)], durations);
                actions.read().map(labelled)
            }),
        )?;
        self.of_descriptors(writer)
    }

    /// registry:2 caches descriptors of blobs; here their rows do what that cache does. A miss is a
    /// blob that is not there.
    fn of_descriptors(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let count = |fits: fn(u16) -> bool| {
            let metrics = &self.metrics;
            metrics.requests_where(Route::Blob, &[GET, HEAD], fits)
        };
        let hits = count(|status| (200..400).contains(&status) || status == 416);
        let misses = count(|status| status == 404);
        let errors = count(|status| 500 <= status);
        writer.counters(
            "registry_storage_cache",
            "The number of cache request received",
            [
                ([("type", "Request")], hits + misses),
                ([("type", "Hit")], hits),
                ([("type", "Miss")], misses),
            ],
        )?;
        for (name, help, value) in [
            (
                "registry_storage_cache_requests",
                "The number of cache request received",
                hits + misses,
            ),
            (
                "registry_storage_cache_hits",
                "The number of cache hits received",
                hits,
            ),
            (
                "registry_storage_cache_errors",
                "The number of cache request errors",
                errors,
            ),
        ] {
            writer.counter(name, help, value)?;
        }
        Ok(())
    }

    pub(super) fn of_notifications(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let endpoints = &*self
            .metrics
            .notifications
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if endpoints.is_empty() {
            return Ok(());
        }
        writer.counters(
            "registry_notifications_events",
            "The number of total events",
            endpoints.iter().flat_map(|endpoint| {
                let numbers = [
                    ("Events", endpoint.events),
                    ("Successes", endpoint.successes),
                    ("Failures", endpoint.failures),
                    ("Errors", endpoint.errors),
                ];
                numbers.map(|(kind, count)| {
                    (
                        [("type", kind), ("endpoint", endpoint.name.as_str())],
                        count,
                    )
                })
            }),
        )?;
        writer.gauges(
            "registry_notifications_pending_total",
            "The gauge of pending events in queue",
            endpoints
                .iter()
                .map(|endpoint| ([("endpoint", endpoint.name.as_str())], endpoint.pending)),
        )?;
        writer.counters(
            "registry_notifications_status",
            "The number of status code",
            endpoints.iter().flat_map(|endpoint| {
                endpoint.statuses.iter().map(|(status, count)| {
                    let labels = [
                        ("code", status.as_str()),
                        ("endpoint", endpoint.name.as_str()),
                    ];
                    (labels, *count)
                })
            }),
        )?;
        // Ours, which registry:2 has no names for.
        writer.counters(
            "layerhouse_notifications_lost",
            "Events that an endpoint will not get: too many waited, or for too long.",
            endpoints
                .iter()
                .map(|endpoint| ([("endpoint", endpoint.name.as_str())], endpoint.lost)),
        )?;
        writer.counter(
            "layerhouse_notifications_lost_pulls",
            "Pulls whose events were not written, so that no endpoint gets them.",
            self.metrics.lost_pulls.load(Ordering::Relaxed),
        )
    }
}
