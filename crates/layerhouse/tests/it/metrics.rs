//! Metrics on the debug address: whether Prometheus can read them, whether they count, and that nobody
//! reads them elsewhere (S50, S56).

use std::collections::{BTreeMap, BTreeSet};

use tempfile::TempDir;

use crate::harness::console::ask;
use crate::harness::http::Client;
use crate::harness::images;
use crate::harness::process::Process;
use crate::harness::server::Server;

const DEBUG: &str = "http:
  debug:
    addr: 127.0.0.1:0
    prometheus:
      enabled: true
      path: /metrics";

/// Samples by their name with labels, as written.
type Samples = BTreeMap<String, f64>;

/// Reads an exposition as strictly as `promtool check metrics` does, and what it forgets.
fn read(text: &str, is_openmetrics: bool) -> Samples {
    let mut samples = Samples::new();
    let mut kinds: BTreeMap<String, String> = BTreeMap::new();
    let mut helped = BTreeSet::new();
    let mut family = String::new();
    assert_eq!(text.ends_with("# EOF\n"), is_openmetrics);
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("words of help");
            assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
            assert!(helped.contains(name), "help stands first: {line}");
            assert!(
                kinds.insert(name.to_owned(), kind.to_owned()).is_none(),
                "twice: {line}"
            );
            name.clone_into(&mut family);
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a sample");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').expect("a bracket")),
            None => (series, ""),
        };
        assert!(is_name(name), "{line}");
        check_labels(labels);
        let kind = kinds[&family].as_str();
        let suffixes: &[&str] = match kind {
            "counter" if is_openmetrics => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        let is_of_family = suffixes
            .iter()
            .any(|suffix| name.strip_suffix(suffix) == Some(&family));
        assert!(is_of_family, "{line} is not of {family}");
        assert!(kind != "counter" || name.ends_with("_total"), "{line}");
        assert!(0.0 <= value || kind == "gauge", "{line}");
        let is_new = samples.insert(series.to_owned(), value).is_none();
        assert!(is_new, "twice: {line}");
    }
    for name in kinds.iter().filter(|(_, kind)| *kind == "histogram") {
        check_histogram(name.0, &samples);
    }
    samples
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn check_labels(labels: &str) {
    let mut names = BTreeSet::new();
    for label in labels.split("\",").filter(|label| !label.is_empty()) {
        let (name, value) = label.split_once("=\"").expect("name=\"value\"");
        assert!(is_name(name) && names.insert(name), "{labels}");
        assert!(!value.contains('\n'), "{labels}");
    }
}

/// Buckets grow, the last holds all, and is what the count says.
fn check_histogram(name: &str, samples: &Samples) {
    let mut buckets: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for (series, value) in samples {
        let Some(labels) = series.strip_prefix(&format!("{name}_bucket{{")) else {
            continue;
        };
        let (le, rest): (Vec<&str>, Vec<&str>) = labels
            .trim_end_matches('}')
            .split(',')
            .partition(|label| label.starts_with("le="));
        let bound = le[0].trim_start_matches("le=\"").trim_end_matches('"');
        let bound = match bound {
            "+Inf" => f64::INFINITY,
            number => number.parse().expect("a bound"),
        };
        buckets
            .entry(rest.join(","))
            .or_default()
            .push((bound, *value));
    }
    for (labels, mut counts) in buckets {
        counts.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(counts.is_sorted_by(|a, b| a.1 <= b.1), "{name} {labels}");
        let (last, all) = counts.last().expect("a bucket");
        assert!(last.is_infinite(), "{name} {labels}");
        let with = |suffix: &str| match labels.as_str() {
            "" => format!("{name}{suffix}"),
            labels => format!("{name}{suffix}{{{labels}}}"),
        };
        assert_eq!(samples.get(&with("_count")), Some(all), "{name} {labels}");
        assert!(samples.contains_key(&with("_sum")), "{name} {labels}");
    }
}

fn scrape(debug: Client) -> Samples {
    read(&debug.get("/metrics").text(), false)
}

/// A sample's value; 0 if there is none.
fn value(samples: &Samples, series: &str) -> u64 {
    let value = samples.get(series).copied().unwrap_or(0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count"
    )]
    let count = value as u64;
    count
}

#[test]
fn what_clients_do_is_counted() {
    let server = Server::configured(DEBUG);
    let client = &server.client;
    images::push_image(client, "acme/web", "v1", "abcd");
    let digest = images::digest("abcd");
    let get = |path: &str, status: u16| assert_eq!(client.get(path).status, status, "{path}");
    get("/v2/", 200);
    get("/v2/acme/web/manifests/v1", 200);
    get("/v2/acme/web/manifests/v1", 200);
    get("/v2/acme/web/manifests/none", 404);
    get(&format!("/v2/acme/web/blobs/{digest}"), 200);
    get(
        &format!("/v2/acme/web/blobs/{}", images::digest("none")),
        404,
    );
    get("/v2/acme/web/tags/list", 200);
    client.send("BREW", "/v2/", &[], b"");
    client.send("PATCH", "/v2/acme/web/blobs/uploads/none", &[], b"x");
    let samples = scrape(server.debug());
    for (series, expected) in [
        ("layerhouse_build_info{version=\"0.1.0\"}", 1),
        ("layerhouse_http_requests_in_flight", 0),
        (
            "layerhouse_http_requests_total{route=\"base\",method=\"get\",code=\"200\"}",
            1,
        ),
        (
            "layerhouse_http_requests_total{route=\"base\",method=\"unknown\",code=\"405\"}",
            1,
        ),
        (
            "layerhouse_http_requests_total{route=\"manifest\",method=\"get\",code=\"404\"}",
            1,
        ),
        (
            "layerhouse_http_request_duration_seconds_count{route=\"blob\",method=\"get\"}",
            2,
        ),
        ("layerhouse_manifest_pulls_total", 2),
        ("layerhouse_manifest_pushes_total", 1),
        ("layerhouse_blob_sent_bytes_total", 4),
        ("layerhouse_upload_failures_total{reason=\"unknown\"}", 1),
        ("layerhouse_uploads_active", 0),
        ("layerhouse_repositories", 1),
        ("layerhouse_tags", 1),
        ("layerhouse_config_reload_success", 1),
        ("layerhouse_health_checks_failing", 0),
        (
            "registry_http_requests_total{code=\"200\",handler=\"manifest\",method=\"get\"}",
            2,
        ),
        (
            "registry_http_requests_total{code=\"200\",handler=\"tags\",method=\"get\"}",
            1,
        ),
        (
            "registry_http_request_duration_seconds_count{handler=\"base\",method=\"get\"}",
            1,
        ),
        (
            "registry_http_response_size_bytes_count{handler=\"blob\"}",
            2,
        ),
        (
            "registry_http_in_flight_requests{handler=\"blob_upload_chunk\"}",
            0,
        ),
        ("registry_storage_cache_total{type=\"Hit\"}", 1),
        ("registry_storage_cache_total{type=\"Miss\"}", 1),
        ("registry_storage_cache_requests_total", 2),
    ] {
        assert!(samples.contains_key(series), "{series} is not there");
        assert_eq!(value(&samples, series), expected, "{series}");
    }
    // The config of the image and its layer.
    assert!(4 < value(&samples, "layerhouse_blob_received_bytes_total"));
    assert!(0 < value(&samples, "layerhouse_storage_free_bytes"));
    for action in ["Writer", "Move", "Delete", "Reader"] {
        let series = format!(
            "registry_storage_action_seconds_count{{action=\"{action}\",driver=\"filesystem\"}}"
        );
        assert!(0 < value(&samples, &series), "{series}");
    }
}

/// S57: what clients make up makes no series.
#[test]
fn sec_s57_clients_make_no_series() {
    let server = Server::configured(DEBUG);
    let ask = |word: &str| {
        for path in [
            format!("/v2/{word}/manifests/{word}"),
            format!("/v2/{word}/tags/list"),
            format!("/{word}"),
        ] {
            server.client.send(&word.to_uppercase(), &path, &[], b"");
            server.client.get(&path);
        }
    };
    ask("a");
    let before: Vec<String> = scrape(server.debug()).into_keys().collect();
    for word in ["b", "canary", "dd", "e-e"] {
        ask(word);
    }
    let after: Vec<String> = scrape(server.debug()).into_keys().collect();
    assert_eq!(before, after);
}

#[test]
fn the_scraper_chooses_the_format() {
    let server = Server::configured(DEBUG);
    server.client.get("/v2/");
    let debug = server.debug();
    let openmetrics = "application/openmetrics-text";
    let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4";
    for (accept, content_type, is_openmetrics) in [
        (None, "text/plain; version=0.0.4", false),
        (Some("*/*"), "text/plain; version=0.0.4", false),
        (
            Some(openmetrics),
            "application/openmetrics-text; version=1.0.0",
            true,
        ),
        (
            Some(prometheus),
            "application/openmetrics-text; version=1.0.0",
            true,
        ),
    ] {
        let headers: Vec<_> = accept.iter().map(|accept| ("Accept", *accept)).collect();
        let answer = debug.send("GET", "/metrics", &headers, b"");
        assert_eq!(answer.status, 200);
        let found = answer.header("content-type").unwrap();
        assert!(found.starts_with(content_type), "{accept:?}: {found}");
        assert!(!read(&answer.text(), is_openmetrics).is_empty());
    }
}

#[test]
fn the_debug_address_has_these_paths() {
    let server = Server::configured(&DEBUG.replace("/metrics", "/else/where"));
    let debug = server.debug();
    for (method, path, status) in [
        ("GET", "/else/where", 200),
        ("HEAD", "/else/where", 200),
        ("POST", "/else/where", 405),
        ("GET", "/metrics", 404),
        ("GET", "/debug/health", 200),
        ("PUT", "/debug/health", 405),
        ("GET", "/debug/vars", 200),
        ("GET", "/debug/pprof/", 404),
        ("GET", "/debug/pprof/heap", 404),
        ("GET", "/v2/", 404),
        ("GET", "/", 404),
    ] {
        let answer = debug.send(method, path, &[], b"");
        assert_eq!(answer.status, status, "{method} {path}");
    }
    let text = debug.get("/debug/vars").text();
    let variables: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(variables["layerhouse"]["repositories"], 0);
    let off = Server::configured("http:\n  debug:\n    addr: 127.0.0.1:0");
    assert_eq!(off.debug().get("/metrics").status, 404);
    assert_eq!(off.debug().get("/debug/health").status, 200);
}

/// S56: without being asked, nothing is served beside the registry, and no metrics by it.
#[test]
fn sec_s56_nothing_is_open_by_default() {
    let directory = TempDir::new().unwrap();
    let process = Process::start(directory.path(), &[]);
    assert_eq!(process.ports(), [process.client.address.port()]);
    for path in [
        "/metrics",
        "/debug/health",
        "/debug/vars",
        "/debug/pprof/",
        "/debug",
        "/v2/metrics",
    ] {
        assert_eq!(process.client.get(path).status, 404, "{path}");
    }
}

#[test]
fn collections_are_counted() {
    const NAMES: [&str; 6] = [
        "layerhouse_gc_runs_total{result=\"done\"}",
        "layerhouse_gc_runs_total{result=\"failed\"}",
        "layerhouse_gc_freed_bytes_total",
        "layerhouse_gc_duration_seconds_count",
        "layerhouse_gc_duration_seconds_bucket{le=\"36000.0\"}",
        "layerhouse_gc_last_success_timestamp_seconds",
    ];
    let server = Server::configured(DEBUG);
    let numbers = || {
        let samples = read(&server.debug().get("/metrics").text(), false);
        NAMES.map(|name| samples.get(name).copied())
    };
    let [done, failed, freed, count, _, last] = numbers();
    assert_eq!([done, failed, freed], [Some(0.0); 3]);
    assert_eq!([count, last], [None; 2], "there was none yet");
    images::push_blob(&server.client, "acme/web", "ten bytes.");
    images::push_image(&server.client, "acme/web", "v1", "it stays");
    for _ in 0..2 {
        let how = serde_json::json!({ "now": true });
        let (status, said) = ask(&server.root(), "POST", "/collection/runs", Some(&how));
        assert_eq!(status, 200, "{said}");
    }
    let [done, failed, freed, count, longest, last] = numbers();
    assert_eq!([done, failed, freed], [Some(2.0), Some(0.0), Some(10.0)]);
    assert_eq!([count, longest], [Some(2.0); 2]);
    assert!(last.is_some_and(|at| 1_000_000_000.0 < at), "{last:?}");
}
