//! The metrics under our own names.

use std::fmt;
use std::sync::atomic::Ordering;

use super::NEVER;
use super::exposition::{CODES, Labels, Scrape, Writer, each_method, each_status};
use super::labels::{self, GET, PUT, Route};

impl Scrape {
    pub(super) fn own(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let known =
            |value: Option<u64>| value.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
        let set = |value: &std::sync::atomic::AtomicI64| {
            Some(value.load(Ordering::Relaxed)).filter(|value| *value != NEVER)
        };
        let metrics = &self.metrics;
        writer.gauges(
            "layerhouse_build_info",
            "The version that runs.",
            [([("version", env!("CARGO_PKG_VERSION"))], 1)],
        )?;
        writer.gauge(
            "layerhouse_http_requests_in_flight",
            "Requests being answered.",
            known(Some(metrics.in_flight())),
        )?;
        writer.counter(
            "layerhouse_blob_sent_bytes",
            "Bytes of blobs sent to clients.",
            metrics.sent_blob_bytes.get(0),
        )?;
        writer.counter(
            "layerhouse_blob_received_bytes",
            "Bytes of blobs received and staged.",
            self.storage
                .iter()
                .map(|(_, actions)| actions.received_bytes())
                .sum(),
        )?;
        writer.counter(
            "layerhouse_manifest_pulls",
            "Manifests sent to clients.",
            metrics.requests_where(Route::Manifest, &[GET], |status| status == 200),
        )?;
        writer.counter(
            "layerhouse_manifest_pushes",
            "Manifests taken from clients.",
            metrics.requests_where(Route::Manifest, &[PUT], |status| status == 201),
        )?;
        writer.gauge(
            "layerhouse_uploads_active",
            "Open upload sessions.",
            known(Some(self.uploads_active)),
        )?;
        writer.counters(
            "layerhouse_upload_failures",
            "Requests to upload that were refused or failed, by reason.",
            self.upload_failures(),
        )?;
        writer.gauge(
            "layerhouse_storage_free_bytes",
            "Free bytes of the data directory's file system.",
            known(self.storage_free_bytes),
        )?;
        writer.gauge(
            "layerhouse_repositories",
            "Repositories.",
            known(self.repositories),
        )?;
        writer.gauge("layerhouse_tags", "Tags.", known(self.tags))?;
        self.of_scrub(writer)?;
        self.of_collection(writer)?;
        self.of_retention(writer)?;
        writer.counters("layerhouse_auth", "Attempts to sign in.", self.auth())?;
        writer.gauge(
            "layerhouse_tls_cert_expiry_timestamp_seconds",
            "Until when the certificate in use is good.",
            set(&metrics.certificate_expires_at),
        )?;
        writer.gauge(
            "layerhouse_config_reload_success",
            "Whether the configuration was taken over when it was last read.",
            set(&metrics.config_reload_success),
        )?;
        writer.gauge(
            "layerhouse_config_reload_success_timestamp_seconds",
            "When the configuration was last read again and taken over.",
            set(&metrics.config_reloaded_at),
        )?;
        writer.gauge(
            "layerhouse_health_checks_failing",
            "Health checks that fail; while any does, requests are answered with 503.",
            known(Some(self.failing_checks)),
        )?;
        let [answered, behind, failed] = labels::STANDBY_READS;
        writer.counters(
            "layerhouse_database_standby_reads",
            "Lists and searches that standbys of the database were asked for; what they did not answer the database did.",
            [
                ([("result", answered)], self.standby_reads[0]),
                ([("result", behind)], self.standby_reads[1]),
                ([("result", failed)], self.standby_reads[2]),
            ],
        )?;
        writer.counter(
            "layerhouse_access_log_dropped",
            "Lines of the access log that nobody took from standard output in time.",
            self.access_lines_dropped,
        )
    }

    fn of_collection(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.counters(
            "layerhouse_gc_runs",
            "Collections that ended: all that may go went, or some was left to the next.",
            self.collection.runs(),
        )?;
        writer.counter(
            "layerhouse_gc_freed_bytes",
            "Bytes of blobs that were given back.",
            self.collection.freed_bytes(),
        )?;
        writer.histogram(
            "layerhouse_gc_duration_seconds",
            "From a collection's begin to its end, pauses included.",
            &self.collection.durations(),
        )?;
        writer.gauge(
            "layerhouse_gc_last_success_timestamp_seconds",
            "When a collection had last taken all that may go.",
            self.collection.done_at_seconds(),
        )
    }

    fn of_retention(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let [tag, manifest] = labels::RETAINED;
        writer.counters(
            "layerhouse_retention_deleted",
            "Tags and manifests that policies let go.",
            [
                ([("kind", tag)], self.retention_tags),
                ([("kind", manifest)], self.retention_manifests),
            ],
        )
    }

    fn of_scrub(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.counter(
            "layerhouse_scrub_bytes",
            "Stored bytes that were hashed again.",
            self.scrub.bytes(),
        )?;
        writer.counter(
            "layerhouse_scrub_blobs",
            "Blobs that were hashed again.",
            self.scrub.blobs(),
        )?;
        writer.counters(
            "layerhouse_scrub_found",
            "Stored things that were found damaged, repaired or unreadable.",
            self.scrub.found(),
        )?;
        writer.gauge(
            "layerhouse_scrub_finished_timestamp_seconds",
            "When everything stored had last been hashed again.",
            self.scrub.finished_at_seconds(),
        )
    }

    pub(super) fn of_requests(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.counters(
            "layerhouse_http_requests",
            "Requests answered; 499 is for a client that did not wait, 0 for a status without a name.",
            each_status().filter_map(|(route, method, status)| {
                self.some_requests(route, method, status).map(|count| {
                    let labels = [
                        ("route", route.name()),
                        ("method", labels::METHODS[method]),
                        ("code", CODES[status]),
                    ];
                    (labels, count)
                })
            }),
        )?;
        writer.histograms(
            "layerhouse_http_request_duration_seconds",
            "From a request's head to the end of its answer.",
            each_method().map(|(route, method)| {
                let labels = [("route", route.name()), ("method", labels::METHODS[method])];
                (labels, self.duration(route, method))
            }),
        )
    }

    fn upload_failures(&self) -> impl Iterator<Item = (Labels<'static, 1>, u64)> {
        let mut counts = [0; labels::REASONS.len()];
        for (route, method, status) in each_status() {
            if matches!(route, Route::Uploads | Route::Upload) && 400 <= labels::STATUSES[status] {
                counts[labels::reason_index(labels::STATUSES[status])] +=
                    self.metrics.requests(route, method, status);
            }
        }
        labels::REASONS
            .into_iter()
            .zip(counts)
            .map(|(reason, count)| ([("reason", reason)], count))
    }

    fn auth(&self) -> impl Iterator<Item = (Labels<'static, 2>, u64)> + '_ {
        let methods = labels::AUTH_METHODS.into_iter();
        let each = methods.flat_map(|method| labels::AUTH_RESULTS.map(|result| (method, result)));
        each.enumerate().filter_map(|(at, (method, result))| {
            let count = self.metrics.auth.get(at);
            (0 < count).then_some(([("method", method), ("result", result)], count))
        })
    }
}
