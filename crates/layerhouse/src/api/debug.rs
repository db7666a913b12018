//! The debug listener (`http.debug`): metrics and health, on an address of their own. Who reaches it
//! may read it: it has no users.

use std::sync::Arc;

use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::body::ResponseBody;
use super::{Answer, Api, json, small};
use crate::metrics::mirror::{Served, UpstreamNumbers};
use crate::metrics::{EndpointNumbers, Format, Scrape};
use crate::registry::Registry;
use crate::registry::events::outbox::EndpointStatus;

const JSON: &str = "application/json; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Serves until `stop` becomes true; `metrics_path` is where the metrics are, if anywhere.
pub(crate) async fn serve(
    listener: TcpListener,
    api: Arc<Api>,
    metrics_path: Option<String>,
    stop: watch::Receiver<bool>,
) {
    let metrics_path: Option<Arc<str>> = metrics_path.map(Arc::from);
    let timeouts = api.timeouts;
    small::serve(
        listener,
        "the debug address",
        timeouts,
        stop,
        move |request| {
            let (api, metrics_path) = (Arc::clone(&api), metrics_path.clone());
            async move { answer(&api, metrics_path.as_deref(), &request).await }
        },
    )
    .await;
}

async fn answer<B>(api: &Arc<Api>, metrics_path: Option<&str>, request: &Request<B>) -> Answer {
    let path = request.uri().path();
    let is_known = matches!(path, "/debug/health" | "/debug/vars") || Some(path) == metrics_path;
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut answer = if is_known && !is_read {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "here one may use GET\n");
        let allow = HeaderValue::from_static("GET, HEAD");
        answer.headers_mut().insert(header::ALLOW, allow);
        answer
    } else if Some(path) == metrics_path {
        metrics(api, request).await
    } else if path == "/debug/health" {
        health(api)
    } else if path == "/debug/vars" {
        variables(api).await
    } else if path.starts_with("/debug/pprof") {
        text(
            StatusCode::NOT_FOUND,
            "there are no profiles here: this registry has no Go runtime to profile\n",
        )
    } else {
        text(
            StatusCode::NOT_FOUND,
            "there is nothing here; this address has /debug/health, /debug/vars and, if configured, \
             metrics\n",
        )
    };
    let no_sniffing = HeaderValue::from_static("nosniff");
    let headers = answer.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, no_sniffing);
    if request.method() == Method::HEAD {
        let length = HeaderValue::from(answer.body().length_bytes());
        answer.headers_mut().insert(header::CONTENT_LENGTH, length);
        *answer.body_mut() = ResponseBody::Empty;
    }
    answer
}

/// `{}` and 200, or the checks that fail, with what they say, and 503: as registry:2.
fn health(api: &Api) -> Answer {
    let failures = api.observers.checks.failures();
    let status = if failures.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(status, JSON, serde_json::json!(failures).to_string().into())
}

/// The answer to every request of the main listener while a health check fails, as registry:2 gives it.
pub(super) fn unavailable() -> Answer {
    let content = serde_json::json!({ "errors": [{
        "code": "UNAVAILABLE",
        "message": "service unavailable",
        "detail": "health check failed: please see /debug/health",
    }]});
    let content = content.to_string().into_bytes();
    json(StatusCode::SERVICE_UNAVAILABLE, "application/json", content)
}

/// Some numbers as JSON, for those without a Prometheus.
async fn variables(api: &Arc<Api>) -> Answer {
    let metrics = &api.observers.metrics;
    let numbers = numbers(api).await;
    let content = serde_json::json!({ "layerhouse": {
        "version": env!("CARGO_PKG_VERSION"),
        "requests_in_flight": metrics.in_flight(),
        "uploads_active": numbers.uploads_active,
        "repositories": numbers.repositories,
        "tags": numbers.tags,
        "storage_free_bytes": numbers.storage_free_bytes,
    }});
    json(StatusCode::OK, JSON, content.to_string().into())
}

async fn metrics<B>(api: &Arc<Api>, request: &Request<B>) -> Answer {
    let accept = super::request::text(request.headers(), &header::ACCEPT);
    let format = Format::wanted(accept);
    let content = numbers(api).await.write(format);
    json(StatusCode::OK, format.content_type(), content.into())
}

/// Everything there is to tell now.
async fn numbers(api: &Arc<Api>) -> Scrape {
    let (registry, observers) = (&api.registry, &api.observers);
    let asked = Arc::clone(registry);
    // Counting rows may take milliseconds, and a disk that hangs more.
    let looked = tokio::task::spawn_blocking(move || {
        (
            asked.free_bytes().ok(),
            asked.counts().ok(),
            asked.notification_status().ok(),
        )
    });
    let (free_bytes, counts, told) = looked.await.unwrap_or((None, None, None));
    if let Some(told) = told {
        let endpoints = told.endpoints.into_iter().map(endpoint_numbers).collect();
        let metrics = &observers.metrics;
        metrics.set_notifications(endpoints, told.lost_pulls);
    }
    if let Some(expires_at) = api.tls.as_ref().and_then(|tls| tls.certificate_expiry()) {
        let seconds = expires_at.0.div_euclid(1000);
        observers.metrics.set_certificate_expiry(seconds);
    }
    let (retention_tags, retention_manifests) = registry.retention_totals();
    Scrape {
        metrics: Arc::clone(&observers.metrics),
        storage: registry.storage_actions(),
        scrub: Arc::clone(registry.scrub_numbers()),
        collection: Arc::clone(registry.collection_numbers()),
        uploads_active: registry.uploads_active(),
        storage_free_bytes: free_bytes,
        repositories: counts.map(|counts| counts.repositories),
        tags: counts.map(|counts| counts.tags),
        retention_tags,
        retention_manifests,
        blob_cache: registry.blob_cache_state(),
        upstreams: upstream_numbers(registry),
        standby_reads: registry.standby_reads(),
        failing_checks: observers.checks.failing() as u64,
        access_lines_dropped: observers.access_lines_dropped(),
    }
}

/// What the mirror did, if there is one.
fn upstream_numbers(registry: &Registry) -> Vec<UpstreamNumbers> {
    let Some(mirror) = registry.mirror() else {
        return Vec::new();
    };
    let usage = registry.last_mirror_usage();
    let numbers = mirror.upstreams.iter().map(|served| {
        let (state, counted) = (served.upstream.state(), served.numbers.counted());
        let limit = state.rate_limit;
        UpstreamNumbers {
            name: served.name().to_owned(),
            requests: state.requests,
            failures: state.failures,
            received_bytes: state.received_bytes,
            is_closed: state.is_closed_until.is_some(),
            rate_limit: limit.map(|limit| (limit.limit, limit.remaining)),
            manifests: Served {
                hits: counted.manifest_hits,
                misses: counted.manifest_misses,
                stale: counted.stale,
                shared: 0,
            },
            blobs: Served {
                hits: counted.blob_hits,
                misses: counted.blob_misses,
                stale: 0,
                shared: counted.shared,
            },
            unanswered: counted.failures,
            sent_bytes: counted.sent_bytes,
            fetched_bytes: counted.fetched_bytes,
            relayed_bytes: counted.relayed_bytes,
            copies_bytes: usage.as_ref().map(|usage| usage.of(served.name())),
        }
    });
    numbers.collect()
}

/// Statuses are named as Go names them: `503 Service Unavailable`.
fn endpoint_numbers(endpoint: EndpointStatus) -> EndpointNumbers {
    let EndpointStatus {
        name,
        pending,
        counts,
    } = endpoint;
    let named = |(status, count)| {
        let status = StatusCode::from_u16(status).map_or_else(
            |_| status.to_string(),
            |status| {
                format!(
                    "{} {}",
                    status.as_u16(),
                    status.canonical_reason().unwrap_or("")
                )
            },
        );
        (status, count)
    };
    EndpointNumbers {
        name,
        pending,
        events: counts.events,
        successes: counts.successes,
        failures: counts.failures,
        errors: counts.errors,
        lost: counts.lost,
        statuses: counts.statuses.into_iter().map(named).collect(),
    }
}

fn text(status: StatusCode, text: &'static str) -> Answer {
    let answer: Response<_> = json(status, TEXT, text.into());
    answer
}
