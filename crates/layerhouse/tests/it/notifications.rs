//! Notifications: who is told what happens, in which words, and that nothing is lost on the way.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use layerhouse_oci::media_type::OCI_MANIFEST;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::harness::database;
use super::harness::http::Client;
use super::harness::images::{digest, image, index, push_blob, push_image, push_manifest};
use super::harness::process::Process;
use super::harness::server::Server;
use super::harness::sink::{Mode, Sink, Taken, nobody};

/// One endpoint; `more` are lines of its own.
fn told(sink: &Sink, more: &[&str]) -> String {
    format!(
        "notifications:\n  endpoints:\n{}",
        endpoint("hook", &sink.url(), more)
    )
}

/// The time-out is on the server's clock, which stands still unless a test moves it.
fn endpoint(name: &str, url: &str, more: &[&str]) -> String {
    let mut text = format!("    - name: {name}\n      url: {url}\n");
    if !more.iter().any(|line| line.starts_with("timeout")) {
        text.push_str("      timeout: 1000h\n");
    }
    for line in more {
        text.push_str("      ");
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn lines(taken: &[Taken]) -> Vec<String> {
    taken.iter().map(Taken::line).collect()
}

/// Each line where it was told first. Events are told at least once: a sink may take late what was sent
/// before a time-out, or by a process that was killed then.
fn first_told(mut lines: Vec<String>) -> Vec<String> {
    let mut told = BTreeSet::new();
    lines.retain(|line| told.insert(line.clone()));
    lines
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// `facts`: 2f; registry:2's `notifications` package, field by field.
#[test]
fn an_event_is_what_registry_2_sends() {
    let sink = Sink::start();
    let server = Server::configured(&told(&sink, &["headers:", "  X-Hook: [one, two]"]));
    let layer = push_blob(&server.client, "acme/web", "{}");
    let manifest = image("{}", &[]).to_string();
    let agent = [
        ("Content-Type", OCI_MANIFEST),
        ("User-Agent", "docker/27 <go>"),
    ];
    let path = "/v2/acme/web/manifests/v1";
    let answer = server.client.send("PUT", path, &agent, manifest.as_bytes());
    assert_eq!(answer.status, 201, "{}", answer.text());
    let answer = server.client.send("DELETE", path, &[], b"");
    assert_eq!(answer.status, 202, "{}", answer.text());

    let taken = sink.wait_for(3);
    let head = taken[0].head.to_ascii_lowercase();
    assert!(head.starts_with("post /hook http/1.1\r\n"), "{head}");
    assert!(
        head.contains("content-type: application/vnd.docker.distribution.events.v2+json\r\n"),
        "{head}"
    );
    assert!(head.contains("x-hook: one\r\nx-hook: two\r\n"), "{head}");

    let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("this is Linux");
    let source = format!("{}:{}", host.trim(), server.client.address.port());
    let check = |taken: &Taken, target: &str, method: &str, agent: &str, action: &str| {
        let event = taken.event();
        let ids = [
            &event["id"],
            &event["request"]["id"],
            &event["source"]["instanceID"],
        ];
        let [id, request, instance] = ids.map(text);
        let address = text(&event["request"]["addr"]);
        assert!(address.starts_with("127.0.0.1:"), "{address}");
        for id in [id, request, instance] {
            assert_eq!((id.len(), &id[14..15]), (36, "4"), "a UUID: {id}");
        }
        let expected = format!(
            r#"{{"events":[{{"id":"{id}","timestamp":"2027-01-15T08:00:00Z","action":"{action}","target":{target},"request":{{"id":"{request}","addr":"{address}","host":"registry","method":"{method}","useragent":"{agent}"}},"actor":{{}},"source":{{"addr":"{source}","instanceID":"{instance}"}}}}]}}"#
        );
        assert_eq!(taken.body, expected);
    };
    let target = format!(
        r#"{{"mediaType":"application/octet-stream","digest":"{layer}","size":2,"length":2,"repository":"acme/web","url":"http://registry/v2/acme/web/blobs/{layer}"}}"#
    );
    check(&taken[0], &target, "POST", "", "push");
    let (digest, size) = (digest(&manifest), manifest.len());
    let target = format!(
        r#"{{"mediaType":"{OCI_MANIFEST}","digest":"{digest}","size":{size},"length":{size},"repository":"acme/web","url":"http://registry/v2/acme/web/manifests/{digest}","tag":"v1"}}"#
    );
    check(&taken[1], &target, "PUT", "docker/27 <go>", "push");
    let target = r#"{"repository":"acme/web","tag":"v1"}"#;
    check(&taken[2], target, "DELETE", "", "delete");
}

#[test]
fn everything_that_happens_to_an_image_is_told() {
    let sink = Sink::start();
    let server = Server::configured(&told(&sink, &[]));
    let client = &server.client;
    let manifest = push_image(client, "acme/web", "v1", "layer");
    push_manifest(client, "acme/web", "v2", &manifest);
    let (config, layer, image) = (digest("{}"), digest("layer"), digest(&manifest));
    let mount = format!("/v2/acme/copy/blobs/uploads/?mount={layer}&from=acme/web");
    assert_eq!(client.send("POST", &mount, &[], b"").status, 201);
    let taken = sink.wait_for(5);
    assert_eq!(
        lines(&taken),
        [
            format!("push acme/web {config}"),
            format!("push acme/web {layer}"),
            format!("push acme/web {image} v1"),
            format!("push acme/web {image} v2"),
            format!("mount acme/copy {layer}"),
        ]
    );
    assert_eq!(taken[4].event()["target"]["fromRepository"], "acme/web");

    let accept = [("Accept", OCI_MANIFEST)];
    let by_tag = "/v2/acme/web/manifests/v1";
    let blob = format!("/v2/acme/web/blobs/{layer}");
    for method in ["GET", "HEAD"] {
        assert_eq!(client.send(method, by_tag, &accept, b"").status, 200);
        assert_eq!(client.send(method, &blob, &[], b"").status, 200);
    }
    let known = [accept[0], ("If-None-Match", image.as_str())];
    assert_eq!(client.send("GET", by_tag, &known, b"").status, 304);
    assert_eq!(client.get("/v2/acme/web/manifests/v9").status, 404);
    let taken = sink.wait_for(9);
    let pulls: Vec<_> = taken[5..]
        .iter()
        .map(|taken| {
            format!(
                "{} {}",
                taken.line(),
                text(&taken.event()["request"]["method"])
            )
        })
        .collect();
    assert_eq!(
        pulls,
        [
            format!("pull acme/web {image} v1 GET"),
            format!("pull acme/web {layer} GET"),
            format!("pull acme/web {image} v1 HEAD"),
            format!("pull acme/web {layer} HEAD"),
        ]
    );

    let by_digest = format!("/v2/acme/web/manifests/{image}");
    for path in [&by_digest, &blob] {
        assert_eq!(client.send("DELETE", path, &[], b"").status, 202);
        assert_eq!(client.send("DELETE", path, &[], b"").status, 404);
    }
    assert_eq!(
        lines(&sink.wait_for(13)[9..]),
        [
            format!("delete acme/web {image}"),
            "delete acme/web v1".to_owned(),
            "delete acme/web v2".to_owned(),
            format!("delete acme/web {layer}"),
        ]
    );
}

/// An old client asks for a tag and gets one image of its index: registry:2 tells of both.
#[test]
fn an_image_in_place_of_its_index() {
    let sink = Sink::start();
    let server = Server::configured(&told(&sink, &["ignore: { actions: [push] }"]));
    let client = &server.client;
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let list = "application/vnd.docker.distribution.manifest.list.v2+json";
    push_blob(client, "acme/web", "{}");
    let mut child = image("{}", &[]);
    child["mediaType"] = json!(docker);
    let child = child.to_string();
    push_manifest(client, "acme/web", &digest(&child), &child);
    let mut parent = index(&[&child]);
    parent["mediaType"] = json!(list);
    parent["manifests"][0]["mediaType"] = json!(docker);
    parent["manifests"][0]["platform"] = json!({ "os": "linux", "architecture": "amd64" });
    let parent = parent.to_string();
    push_manifest(client, "acme/web", "v1", &parent);
    let accept = [("Accept", docker)];
    let answer = client.send("GET", "/v2/acme/web/manifests/v1", &accept, b"");
    assert_eq!(answer.text(), child);
    assert_eq!(
        lines(&sink.wait_for(2)),
        [
            format!("pull acme/web {} v1", digest(&parent)),
            format!("pull acme/web {}", digest(&child)),
        ]
    );
}

#[test]
fn what_an_endpoint_does_not_want_it_is_not_told() {
    let (pushes, manifests) = (Sink::start(), Sink::start());
    let octets = "application/octet-stream";
    let ignored = [
        endpoint(
            "pushes",
            &pushes.url(),
            &["ignore: { actions: [pull, delete] }"],
        ),
        endpoint(
            "old form",
            &manifests.url(),
            &[&format!("ignoredmediatypes: [{octets}]")],
        ),
    ];
    let server = Server::configured(&format!(
        "notifications:\n  endpoints:\n{}{}",
        ignored[0], ignored[1]
    ));
    let client = &server.client;
    let manifest = push_image(client, "acme/web", "v1", "layer");
    client.send("DELETE", "/v2/acme/web/manifests/v1", &[], b"");
    push_manifest(client, "acme/web", "v2", &manifest);
    let (config, layer, image) = (digest("{}"), digest("layer"), digest(&manifest));
    assert_eq!(
        lines(&pushes.wait_for(4)),
        [
            format!("push acme/web {config}"),
            format!("push acme/web {layer}"),
            format!("push acme/web {image} v1"),
            format!("push acme/web {image} v2"),
        ]
    );
    assert_eq!(
        lines(&manifests.wait_for(3)),
        [
            format!("push acme/web {image} v1"),
            "delete acme/web v1".to_owned(),
            format!("push acme/web {image} v2"),
        ]
    );
}

#[test]
fn references_are_told_if_wanted() {
    let sink = Sink::start();
    let configuration = told(&sink, &[]);
    let server = Server::configured(&format!(
        "{configuration}  events:\n    includereferences: true"
    ));
    let manifest = push_image(&server.client, "acme/web", "v1", "layer");
    server.client.send(
        "GET",
        "/v2/acme/web/manifests/v1",
        &[("Accept", OCI_MANIFEST)],
        b"",
    );
    let parent = index(&[&manifest]).to_string();
    push_manifest(&server.client, "acme/web", "all", &parent);
    let taken = sink.wait_for(5);
    let of = |line: String| {
        let found = taken.iter().find(|taken| taken.line() == line);
        found.expect("it is told").event()["target"]["references"].take()
    };
    let manifest_body: Value = serde_json::from_str(&manifest).unwrap();
    let expected = json!([manifest_body["config"], manifest_body["layers"][0]]);
    let image = digest(&manifest);
    assert_eq!(of(format!("push acme/web {image} v1")), expected);
    assert_eq!(of(format!("pull acme/web {image} v1")), expected);
    let expected = json!([{
        "mediaType": OCI_MANIFEST, "digest": image, "size": manifest.len(),
    }]);
    assert_eq!(
        of(format!("push acme/web {} all", digest(&parent))),
        expected
    );
    assert_eq!(of(format!("push acme/web {}", digest("{}"))), Value::Null);
}

#[test]
fn references_that_are_too_large_are_left_out() {
    let sink = Sink::start();
    let configuration = told(&sink, &[]);
    let server = Server::configured(&format!(
        "{configuration}  events:\n    includereferences: true"
    ));
    push_blob(&server.client, "acme/web", "{}");
    let mut manifest = image("{}", &[]);
    for (length, is_told) in [(60_000, true), (70_000, false)] {
        manifest["config"]["annotations"] = json!({ "long": "x".repeat(length) });
        let answer = push_manifest(&server.client, "acme/web", "v1", &manifest.to_string());
        assert_eq!(answer.status, 201, "{}", answer.text());
        let path = "/v2/acme/web/manifests/v1";
        let accept = [("Accept", OCI_MANIFEST)];
        assert_eq!(server.client.send("GET", path, &accept, b"").status, 200);
        let taken = sink.wait_for(if is_told { 3 } else { 5 });
        for taken in &taken[taken.len() - 2..] {
            let references = &taken.event()["target"]["references"];
            assert_eq!(references.is_array(), is_told, "{}", taken.line());
        }
    }
}

#[test]
fn what_was_refused_is_not_told() {
    let sink = Sink::start();
    let server = Server::configured(&told(&sink, &[]));
    let client = &server.client;
    let wrong = format!("/v2/acme/web/blobs/uploads/?digest={}", digest("other"));
    assert_eq!(client.send("POST", &wrong, &[], b"bytes").status, 400);
    let lacking = image("{}", &["nowhere"]).to_string();
    assert_ne!(
        push_manifest(client, "acme/web", "v1", &lacking).status,
        201
    );
    for path in ["manifests/v1".to_owned(), format!("blobs/{}", digest("x"))] {
        let path = format!("/v2/acme/web/{path}");
        assert_eq!(client.send("DELETE", &path, &[], b"").status, 404);
        assert_eq!(client.get(&path).status, 404);
    }
    // What was told before this would be here by now: an endpoint hears in order.
    let blob = push_blob(client, "acme/web", "bytes");
    assert_eq!(lines(&sink.wait_for(1)), [format!("push acme/web {blob}")]);
}

#[test]
fn a_failing_endpoint_is_left_alone_for_its_backoff() {
    let sink = Sink::start();
    sink.set(Mode::Answer(503));
    let mut server = Server::configured(&told(&sink, &["threshold: 3", "backoff: 10s"]));
    server.may_complain();
    push_blob(&server.client, "acme/web", "bytes");
    // Up to the threshold there is no pause, and the clock stands.
    sink.wait_for_attempts(3);
    for (attempts, pause_s) in [(3, 10), (4, 20), (5, 40)] {
        assert_eq!(sink.attempts(), attempts);
        let mut passed_s = 0;
        while sink.attempts() == attempts {
            server.advance(Duration::from_secs(1));
            passed_s += 1;
            give_way();
        }
        assert!(
            pause_s <= passed_s,
            "{passed_s} s after {attempts} attempts"
        );
        sink.wait_for_attempts(attempts + 1);
    }
    sink.set(Mode::Answer(302));
    let next = sink.attempts() + 1;
    while sink.attempts() < next {
        server.advance(Duration::from_mins(1));
        give_way();
    }
    // That was taken, as registry:2 takes every 3xx, so the next event is another.
    sink.set(Mode::Answer(200));
    let blob = push_blob(&server.client, "acme/web", "more");
    assert_eq!(lines(&sink.wait_for(1)), [format!("push acme/web {blob}")]);
}

#[test]
fn a_dead_endpoint_hears_everything_in_order_once_it_is_back() {
    let (dead, alive, hanging) = (Sink::start(), Sink::start(), Sink::start());
    dead.set(Mode::Close);
    hanging.set(Mode::Hang);
    let mut server = Server::configured(&format!(
        "notifications:\n  endpoints:\n{}{}{}{}",
        endpoint("dead", &dead.url(), &["threshold: 2", "backoff: 5s"]),
        endpoint("hanging", &hanging.url(), &["timeout: 5s"]),
        endpoint("nobody", &nobody(), &["backoff: 5s"]),
        endpoint("alive", &alive.url(), &[]),
    ));
    server.may_complain();
    let mut expected = Vec::new();
    for number in 0..150 {
        let blob = push_blob(&server.client, "acme/web", format!("{number}"));
        expected.push(format!("push acme/web {blob}"));
    }
    assert_eq!(lines(&alive.wait_for(150)), expected);
    assert_eq!((dead.taken().len(), hanging.taken().len()), (0, 0));
    for sink in [&dead, &hanging] {
        sink.set(Mode::Answer(200));
        while sink.taken().is_empty() {
            server.advance(Duration::from_secs(5));
            give_way();
        }
        let told = lines(&wait_for_at_least(sink, &expected[149]));
        assert_eq!(first_told(told), expected);
    }
}

#[test]
fn an_answer_without_end_is_an_answer() {
    let sink = Sink::start();
    sink.set(Mode::Endless);
    let server = Server::configured(&told(&sink, &[]));
    let expected = ["one", "two"].map(|content| {
        let blob = push_blob(&server.client, "acme/web", content);
        format!("push acme/web {blob}")
    });
    assert_eq!(lines(&sink.wait_for(2)), expected);
}

/// An event that cannot be ticked off is delivered all the same, and once.
#[test]
fn a_full_disk_has_nothing_told_twice() {
    let sink = Sink::start();
    sink.set(Mode::Answer(503));
    let configuration = told(&sink, &["threshold: 1", "backoff: 1s"]);
    let mut server =
        Server::configured(&format!("# LAYERHOUSE_FAULTS=ENOSPC@60+\n{configuration}"));
    server.may_complain();
    server.leave_unverified();
    let pushes = || (0..).map(|number| try_push(&server.client, &format!("{number}")));
    let told = pushes().take_while(|is_taken| *is_taken).count();
    assert!((1..60).contains(&told), "{told}");
    sink.set(Mode::Answer(200));
    let step = || {
        server.advance(Duration::from_secs(1));
        give_way();
    };
    while sink.taken().len() < told {
        step();
    }
    // Time to try again what failed.
    (0..200).for_each(|_| step());
    assert_eq!(sink.taken().len(), told);
}

/// Whether the blob was taken.
fn try_push(client: &Client, content: &str) -> bool {
    let path = format!("/v2/acme/web/blobs/uploads/?digest={}", digest(content));
    client.send("POST", &path, &[], content.as_bytes()).status == 201
}

/// Lets the server do something between two steps of its clock: without, a month goes by before it
/// comes to deliver anything on a busy machine, and the events are dropped.
fn give_way() {
    std::thread::park_timeout(Duration::from_millis(2));
}

/// Waits for an event that may have been told again.
fn wait_for_at_least(sink: &Sink, last: &str) -> Vec<Taken> {
    loop {
        let taken = sink.taken();
        if taken.iter().any(|taken| taken.line() == last) {
            return taken;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_restart_goes_on_where_it_stopped() {
    let sink = Sink::start();
    let mut server = Server::configured(&told(&sink, &["backoff: 5s"]));
    server.may_complain();
    let first = push_blob(&server.client, "acme/web", "first");
    sink.wait_for(1);
    sink.set(Mode::Answer(500));
    let mut expected = vec![format!("push acme/web {first}")];
    for number in 0..5 {
        let blob = push_blob(&server.client, "acme/web", format!("{number}"));
        expected.push(format!("push acme/web {blob}"));
    }
    server.restart();
    sink.set(Mode::Answer(204));
    server.restart();
    let taken = sink.wait_for(6);
    assert_eq!(lines(&taken), expected);
    let instances: BTreeSet<_> = taken
        .iter()
        .map(|taken| text(&taken.event()["source"]["instanceID"]).to_owned())
        .collect();
    assert_eq!(instances.len(), 1, "who told is who it happened to");
}

#[test]
fn an_endpoint_that_went_hears_nothing_of_what_was() {
    let sink = Sink::start();
    sink.set(Mode::Answer(500));
    let configuration = told(&sink, &["threshold: 1", "backoff: 5s"]);
    let mut server = Server::configured(&configuration);
    server.may_complain();
    push_blob(&server.client, "acme/web", "missed");
    server.reconfigure("");
    push_blob(&server.client, "acme/web", "missed, too");
    server.reconfigure(&configuration);
    sink.set(Mode::Answer(200));
    let blob = push_blob(&server.client, "acme/web", "told");
    assert_eq!(lines(&sink.wait_for(1)), [format!("push acme/web {blob}")]);
}

/// With the metrics that say what was lost.
fn measured(sink: &Sink) -> Server {
    let debug = "http:\n  debug:\n    addr: 127.0.0.1:0\n    prometheus: {enabled: true}";
    let endpoint = told(sink, &["threshold: 1", "backoff: 5s"]);
    let mut server = Server::configured(&format!("{debug}\n{endpoint}"));
    server.may_complain();
    server
}

fn lost(server: &Server) -> u64 {
    let metrics = server.debug().get("/metrics").text();
    let line = "layerhouse_notifications_lost_total{endpoint=\"hook\"} ";
    let value = metrics.lines().find_map(|at| at.strip_prefix(line));
    value.expect("it is there").parse().expect("a number")
}

#[test]
fn what_waited_for_a_month_is_dropped() {
    let sink = Sink::start();
    sink.set(Mode::Answer(500));
    let mut server = measured(&sink);
    push_blob(&server.client, "acme/web", "old");
    sink.wait_for_attempts(1);
    server.stop();
    server.advance(Duration::from_hours(31 * 24));
    server.restart();
    // Not before it was too old for an hour.
    let mut passed = 0;
    while lost(&server) == 0 {
        server.advance(Duration::from_mins(1));
        give_way();
        passed += 1;
    }
    assert!(60 <= passed, "{passed} min");
    assert_eq!(lost(&server), 1);
    sink.set(Mode::Answer(200));
    server.restart();
    let blob = push_blob(&server.client, "acme/web", "new");
    assert_eq!(lines(&sink.wait_for(1)), [format!("push acme/web {blob}")]);
}

#[test]
fn a_clock_that_jumps_costs_no_events() {
    let sink = Sink::start();
    sink.set(Mode::Answer(500));
    let server = measured(&sink);
    let old = push_blob(&server.client, "acme/web", "old");
    sink.wait_for_attempts(1);
    server.advance(Duration::from_hours(365 * 24));
    for _ in 0..30 {
        server.advance(Duration::from_mins(1));
        give_way();
    }
    assert_eq!(lost(&server), 0);
    sink.set(Mode::Answer(200));
    while sink.taken().is_empty() {
        server.advance(Duration::from_mins(1));
        give_way();
    }
    assert_eq!(lines(&sink.taken()), [format!("push acme/web {old}")]);
}

/// S33: what was said of an endpoint is for it alone, and it must prove that it is it.
#[test]
fn sec_s33_an_endpoint_with_a_certificate_of_its_own_making() {
    let sink = Sink::self_signed();
    let mut server = Server::configured(&told(&sink, &["threshold: 1", "backoff: 5s"]));
    server.may_complain();
    push_blob(&server.client, "acme/web", "bytes");
    sink.wait_for_attempts(1);
    assert_eq!(lines(&sink.taken()), Vec::<String>::new());
}

/// S31
#[test]
fn sec_s31_a_redirection_takes_no_header_along() {
    let (first, other) = (Sink::start(), Sink::start());
    first.set(Mode::Redirect(other.url()));
    let secret = [
        "headers:",
        "  Authorization: [Bearer s3cret]",
        "  X-Token: [s3cret]",
    ];
    let server = Server::configured(&told(&first, &secret));
    let blob = push_blob(&server.client, "acme/web", "bytes");
    let taken = other.wait_for(1);
    assert_eq!(lines(&taken), [format!("push acme/web {blob}")]);
    assert!(!taken[0].head.contains("s3cret"), "{}", taken[0].head);
    assert_eq!(first.attempts(), 1);
    first.set(Mode::Answer(200));
    push_blob(&server.client, "acme/web", "more");
    let head = &first.wait_for(1)[0].head;
    assert_eq!(head.matches("s3cret").count(), 2, "{head}");
}

/// Killed before any durable step, and started again: there is an event for just what is there.
#[test]
fn fault_f01_events_are_of_just_what_was_committed() {
    if database::is_served() {
        return;
    }
    for step in 1.. {
        if !die_at(step) {
            assert!(4 < step, "the steps are counted otherwise now");
            return;
        }
        assert!(step < 100, "the scenario does not end");
    }
}

/// Whether the process died.
fn die_at(step: usize) -> bool {
    let directory = TempDir::new_in("/dev/shm").unwrap_or_else(|_| TempDir::new().unwrap());
    let (root, file) = (
        directory.path().join("root"),
        directory.path().join("config.yml"),
    );
    let sink = Sink::start();
    sink.set(Mode::Answer(503));
    let quick = ["threshold: 1", "backoff: 10ms", "timeout: 10s"];
    let storage = format!(
        "storage:\n  filesystem:\n    rootdirectory: {}",
        root.display()
    );
    let text = format!("version: 0.1\n{storage}\n{}", told(&sink, &quick));
    fs::write(&file, text).unwrap();
    let file = file.to_string_lossy().into_owned();
    let start = |variables: &[(&str, &str)]| Process::try_run(&["--config", &file], variables);
    let Ok(process) = start(&[("LAYERHOUSE_FAULTS", &format!("kill@{step}"))]) else {
        // While it started: whom to tell is written down, too.
        start(&[]).expect("nothing stands in the way").terminate();
        return true;
    };

    let manifest = image("{}", &[]).to_string();
    let (blob, manifest_digest) = (digest("{}"), digest(&manifest));
    let upload = format!("/v2/acme/web/blobs/uploads/?digest={blob}");
    let push = [("Content-Type", OCI_MANIFEST)];
    let try_send = |client: &Client, method, path: &str, body: &[u8]| {
        client
            .try_send(method, path, &push, body)
            .map(|answer| answer.status)
    };
    let client = process.client;
    let path = "/v2/acme/web/manifests/v1";
    let blob_pushed = try_send(&client, "POST", &upload, b"{}");
    let manifest_pushed = try_send(&client, "PUT", path, manifest.as_bytes());
    process.signal_terminate();
    let (status, _) = process.wait();

    sink.set(Mode::Answer(200));
    let process = start(&[]).expect("nothing stands in the way");
    let is_there = |path: &str| {
        let accept = [("Accept", OCI_MANIFEST)];
        let answer = process.client.send("HEAD", path, &accept, b"");
        answer.status == 200
    };
    let mut expected = Vec::new();
    if is_there(&format!("/v2/acme/web/blobs/{blob}")) {
        expected.push(format!("push acme/web {blob}"));
    }
    if is_there(path) {
        expected.push(format!("push acme/web {manifest_digest} v1"));
    }
    let acknowledged = [blob_pushed, manifest_pushed].map(|status| matches!(status, Ok(201)));
    let acknowledged = acknowledged.iter().filter(|is_so| **is_so).count();
    assert!(acknowledged <= expected.len(), "step {step}");
    // The last one is told after all others.
    let last = push_blob(&process.client, "acme/web", "last");
    let last = format!("push acme/web {last}");
    let mut told = lines(&wait_for_at_least(&sink, &last));
    told.retain(|line| line.starts_with("push"));
    expected.push(last);
    assert_eq!(first_told(told), expected, "step {step}");
    let (stopped, log) = process.terminate();
    assert!(stopped.success(), "{log}");
    let report = crate::harness::database::verify(&root).expect("it can be read");
    assert!(report.findings.is_empty(), "{report}");
    !status.success()
}
