//! How much is stored is written down over time; and what the operator may see of configuration and health.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::console::ask;
use crate::harness::database;
use crate::harness::images;
use crate::harness::server::Server;

const MINUTE: Duration = Duration::from_mins(1);

fn get(server: &Server, path: &str) -> Value {
    let (status, said) = ask(&server.root(), "GET", path, None);
    assert_eq!(status, 200, "{path}: {said}");
    said
}

fn samples(server: &Server) -> Vec<Value> {
    let said = get(server, "/storage/samples");
    said["samples"].as_array().unwrap().clone()
}

/// Lets time pass until a sample was taken, which a job does behind the clock: the last one. Once it is due, time stands
/// nearly still: the job may be slow.
fn next(server: &Server, step: Duration) -> Value {
    const DUE: Duration = Duration::from_hours(1);
    let last = |samples: Vec<Value>| samples.last().cloned();
    let before = last(samples(server));
    let (began, mut passed) = (Instant::now(), Duration::ZERO);
    while began.elapsed() < Duration::from_secs(20) {
        server.advance(step);
        passed += step;
        let looks = if passed < DUE { 5 } else { 500 };
        for _ in 0..looks {
            std::thread::sleep(Duration::from_millis(1));
            let now = last(samples(server));
            if let Some(sample) = now.clone().filter(|_| now != before) {
                return sample;
            }
        }
    }
    panic!("no sample is taken");
}

/// Minutes of its time since the server of a test was started.
fn minutes(sample: &Value) -> i64 {
    let at = sample["at"].as_str().unwrap();
    let at = time::OffsetDateTime::parse(at, &time::format_description::well_known::Rfc3339);
    (at.unwrap().unix_timestamp() - 1_800_000_000) / 60
}

#[test]
fn samples_are_taken_every_hour() {
    if database::is_served() {
        return;
    }
    // An upload that is idle for an hour, as this one is, would be purged.
    let mut server = Server::configured("layerhouse: {uploads: {idle: 24h}}");
    let client = server.client;
    let (first, second) = ("abcd".repeat(100), "efgh".repeat(50));
    images::push_image(&client, "acme/web", "v1", &first);
    images::push_image(&client, "acme/api", "v1", &first);
    images::push_image(&client, "acme/web", "v2", &second);
    assert_eq!(get(&server, "/storage/samples"), json!({ "samples": [] }));
    let sample = next(&server, MINUTE);
    let bytes = |sample: &Value, name: &str| sample[format!("{name}_bytes")].as_u64().unwrap();
    let (unique, logical) = (bytes(&sample, "unique"), bytes(&sample, "logical"));
    assert!(600 <= unique && unique + 400 <= logical, "{sample}");
    assert_eq!(bytes(&sample, "deleted"), 0);
    assert_eq!(bytes(&sample, "uploads"), 0);
    assert!(0 < bytes(&sample, "free"));

    // What can come back, and what is on its way.
    let (status, _) = ask(
        &server.root(),
        "DELETE",
        "/repositories/acme/web/-/tags/v2",
        None,
    );
    assert_eq!(status, 204);
    let opened = client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b"");
    let upload = opened.header("location").unwrap().to_owned();
    assert_eq!(
        client.send("PATCH", &upload, &[], b"on its way").status,
        202
    );
    // The tag's image is not deleted with it.
    let last = next(&server, MINUTE);
    assert!((60..65).contains(&(minutes(&last) - minutes(&sample))));
    assert_eq!(samples(&server).len(), 2);
    assert_eq!(bytes(&last, "uploads"), 10);
    assert_eq!(bytes(&last, "unique"), unique);

    // A restart within the hour takes none of its own.
    server.restart();
    let after = next(&server, MINUTE);
    assert!((60..65).contains(&(minutes(&after) - minutes(&last))));
}

#[test]
fn old_samples_are_thinned() {
    const DAY: i64 = 24 * 60;
    let server = Server::start();
    let first = minutes(&next(&server, MINUTE));
    for _ in 0..30 {
        next(&server, 30 * MINUTE);
    }
    assert_eq!(samples(&server).len(), 31);
    // A week later those of each day are one.
    server.advance(9 * 24 * 60 * MINUTE);
    next(&server, 30 * MINUTE);
    let left: Vec<_> = samples(&server).iter().map(minutes).collect();
    assert_eq!(left[0], first);
    // The clock of tests begins at eight in the morning.
    // On a busy machine the job takes two behind the clock that jumped, and keeps both for a week.
    let week_ago = left[left.len() - 1] - 7 * DAY;
    let old = left.iter().filter(|at| **at < week_ago);
    let days: Vec<_> = old.map(|at| (at + 8 * 60) / DAY).collect();
    let unique: BTreeSet<_> = days.iter().collect();
    assert_eq!(unique.len(), days.len(), "{left:?}");
    assert!((2..4).contains(&days.len()), "{left:?}");
    // And after two years they go.
    server.advance(3 * 365 * 24 * 60 * MINUTE);
    next(&server, 30 * MINUTE);
    let left: Vec<_> = samples(&server).iter().map(minutes).collect();
    assert!(
        left.iter().all(|at| first + 3 * 365 * DAY < *at),
        "{left:?}"
    );
}

/// S50
#[test]
fn sec_s50_the_configuration_is_shown_without_secrets() {
    let mut server = Server::configured(
        "http: { secret: canary }
redis: { password: canary }
notifications:
  endpoints:
    - { name: a, url: 'http://ann:canary@127.0.0.1:9/hook?key=canary', disabled: true, headers: { Authorization: [canary] } }
layerhouse:
  mirror:
    upstreams:
      - { name: quay.io, username: u, password: canary }
      - { name: ghcr.io, token: canary }",
    );
    let said = get(&server, "/config");
    assert!(!said.to_string().contains("canary"), "{said}");
    let find = |said: &Value, key: &str| {
        let values = said["values"].as_array().unwrap();
        let found = values.iter().find(|value| value["key"] == key);
        found.unwrap_or_else(|| panic!("no {key}: {said}")).clone()
    };
    let url = find(&said, "notifications.endpoints[0].url");
    assert_eq!(
        url["value"],
        "\"http://<hidden>@127.0.0.1:9/hook?<hidden>\""
    );
    assert_eq!(url["is_default"], false);
    assert!(
        url["origin"].as_str().unwrap().contains("config.yml:"),
        "{url}"
    );
    assert_eq!(find(&said, "http.secret")["value"], "<hidden>");
    assert_eq!(find(&said, "layerhouse.ui.enabled")["origin"], "default");

    // What a reload takes over holds at once; the rest waits, and that is said.
    server.reload(
        "storage: { delete: { enabled: true } }\nlayerhouse: { collection: { grace: 3h } }",
    );
    let said = get(&server, "/config");
    assert_eq!(find(&said, "storage.delete.enabled")["value"], "true");
    assert_eq!(
        find(&said, "storage.delete.enabled")["waits_for_restart"],
        false
    );
    assert_eq!(
        find(&said, "layerhouse.collection.grace")["waits_for_restart"],
        true
    );
}

#[test]
fn health_is_told() {
    let server = Server::start();
    let said = get(&server, "/health");
    assert_eq!(said["is_ready"], true);
    assert_eq!(said["failing_checks"], json!([]));
    assert_eq!(said["certificate_expires_at"], Value::Null);
    // Over the network there is nothing without accounts.
    for path in ["/health", "/config", "/storage/samples"] {
        let answer = server.client.get(&format!("/api/v1{path}"));
        assert_eq!(answer.status, 404, "{path}");
    }
}
