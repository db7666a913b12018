//! `retention`: which tags and manifests stay.

use std::collections::BTreeSet;
use std::time::Duration;

use layerhouse_oci::media_type::OCI_MANIFEST;
use proptest::prelude::*;
use proptest::test_runner::Config;
use serde_json::json;

use super::{configuration, image, preview, push, push_untagged, run, signature_of, status, tags};
use crate::harness::images;
use crate::harness::server::Server;

const DAY: Duration = Duration::from_hours(24);

#[test]
fn tags_stay_that_a_rule_keeps() {
    let server = Server::configured(&configuration(
        "retention: { keep: [
            { tags: [main] }, { regex: 'v[0-9].*', semver_newest: 2 }, { tags: ['pr-*'], newest: 1 } ] }",
    ));
    let mut gone = Vec::new();
    for tag in [
        "v1.10.0", "v1.9.0", "v1.2.0", "v1.x", "main", "pr-3", "pr-1", "pr-2", "latest",
    ] {
        let digest = push(&server, tag, &image(tag));
        if !["v1.10.0", "v1.9.0", "main", "pr-2"].contains(&tag) {
            gone.push((tag, digest));
        }
        server.advance(Duration::from_secs(1));
    }
    push(&server, "other", &image("main"));
    images::push_blob(&server.client, "other/web", "{}");
    let other = image("other").to_string();
    let answer = images::push_manifest(&server.client, "other/web", "latest", &other);
    assert_eq!(answer.status, 201);

    let mut planned = preview(&server);
    planned.sort();
    let expected = [
        "latest last-tag",
        "other unkept",
        "pr-1 last-tag",
        "pr-3 last-tag",
        "v1.2.0 last-tag",
        "v1.x last-tag",
    ];
    assert_eq!(planned, expected);
    assert_eq!(tags(&server).len(), 10);
    assert_eq!(run(&server), (6, 5, 0));
    assert_eq!(tags(&server), ["main", "pr-2", "v1.10.0", "v1.9.0"]);
    for (tag, digest) in gone {
        assert_eq!(
            (status(&server, tag), status(&server, &digest)),
            (404, 404),
            "{tag}"
        );
    }
    assert_eq!(
        server.client.get("/v2/other/web/manifests/latest").status,
        200
    );
    assert_eq!(preview(&server), [""; 0]);
    assert_eq!(run(&server), (0, 0, 0));
}

#[test]
fn what_belongs_together_goes_together() {
    let server = Server::configured(&configuration("retention: { keep: [ { newest: 1 } ] }"));
    let (amd, arm) = (image("amd"), image("arm"));
    let shared = image("shared");
    for image in [&amd, &arm, &shared] {
        push_untagged(&server, image);
    }
    let [amd_text, arm_text, shared_text] = [&amd, &arm, &shared].map(ToString::to_string);
    let old = push(
        &server,
        "v1",
        &images::index(&[&amd_text, &arm_text, &shared_text]),
    );
    let old_image = image("old");
    push(&server, "v1-slim", &old_image);
    let subject = json!({ "mediaType": old_image["mediaType"], "size": old_image.to_string().len(),
                          "digest": images::digest(old_image.to_string()) });
    let sbom = push_untagged(&server, &images::referrer(&subject, "text/sbom", 1));
    let signature = push(&server, &signature_of(&old), &image("signature of v1"));
    server.advance(Duration::from_secs(1));
    let new_index = images::index(&[&shared_text]);
    let new = push(&server, "v2", &new_index);
    push(&server, &signature_of(&new), &image("signature of v2"));

    let planned: BTreeSet<String> = preview(&server).into_iter().collect();
    let expected = [
        "v1 last-tag".to_owned(),
        format!("{} owner", signature_of(&old)),
        format!("{} owner", images::digest(&amd_text)),
        format!("{} owner", images::digest(&arm_text)),
        "v1-slim last-tag".to_owned(),
        format!("{sbom} owner"),
    ];
    assert_eq!(planned, expected.into_iter().collect());
    assert_eq!(run(&server), (3, 6, 0));
    assert_eq!(tags(&server), [signature_of(&new), "v2".to_owned()]);
    for digest in [&old, &signature, &sbom, &images::digest(&amd_text)] {
        assert_eq!(status(&server, digest), 404);
    }
    assert_eq!(status(&server, &images::digest(&shared_text)), 200);
    assert_eq!(status(&server, &images::digest("{}")), 404);
    assert_eq!(run(&server), (0, 0, 0));
}

#[test]
fn untagged_manifests_go_when_they_waited() {
    let server = Server::configured(&configuration("retention: { untagged_after: 14d }"));
    let never = push_untagged(&server, &image("never tagged"));
    let moved = push(&server, "latest", &image("one"));
    server.advance(DAY * 10);
    push(&server, "latest", &image("two"));
    server.advance(DAY * 3);
    assert_eq!(preview(&server), [""; 0]);
    server.advance(DAY);
    assert_eq!(preview(&server), [format!("{never} untagged")]);
    assert_eq!(run(&server), (0, 1, 0));
    // Tagged again in time, it starts anew.
    push(&server, "back", &image("one"));
    let path = "/v2/acme/web/manifests/back";
    assert_eq!(server.client.send("DELETE", path, &[], b"").status, 202);
    server.advance(DAY * 13);
    assert_eq!(run(&server), (0, 0, 0));
    server.advance(DAY);
    assert_eq!(preview(&server), [format!("{moved} untagged")]);
    assert_eq!(run(&server), (0, 1, 0));
    assert_eq!(tags(&server), ["latest"]);
    assert_eq!(
        (status(&server, &moved), status(&server, &never)),
        (404, 404)
    );
}

#[test]
fn what_is_pulled_stays() {
    let server = Server::configured(
        "layerhouse: { policies: [ { repositories: ['acme/**'],
             retention: { keep: [ { pulled_within: 30d } ] } } ] }",
    );
    for tag in ["pulled", "asked", "idle"] {
        push(&server, tag, &image(tag));
    }
    // From the first look on it is known what is pulled; that takes an interval.
    server.advance(Duration::from_hours(1));
    let asked = images::digest(image("asked").to_string());
    for _ in 0..4 {
        server.advance(DAY * 10);
        assert_eq!(status(&server, "pulled"), 200);
        let path = format!("/v2/acme/web/manifests/{asked}");
        assert_eq!(server.client.send("HEAD", &path, &[], b"").status, 200);
        // The job that writes them down goes by the same clock.
        run(&server);
    }
    let begin = std::time::Instant::now();
    while status_of_idle(&server) == 200 && begin.elapsed() < Duration::from_secs(20) {
        server.advance(DAY);
        assert_eq!(
            (status(&server, "pulled"), status(&server, "asked")),
            (200, 200)
        );
        run(&server);
    }
    assert_eq!(tags(&server), ["asked", "pulled"]);
}

/// Without a pull: the tag is in the list or not.
fn status_of_idle(server: &Server) -> u16 {
    if tags(server).contains(&"idle".to_owned()) {
        200
    } else {
        404
    }
}

/// Nobody has to ask: it runs by itself, and is counted.
#[test]
fn retention_runs_by_itself() {
    let mut server = Server::configured(
        "http: { debug: { addr: '127.0.0.1:0', prometheus: { enabled: true } } }",
    );
    push(&server, "v1", &image("one"));
    server.advance(Duration::from_secs(1));
    push(&server, "v2", &image("two"));
    server.reload(
        "http: { debug: { addr: '127.0.0.1:0', prometheus: { enabled: true } } }
layerhouse: { retention: { interval: 10m }, policies: [
    { repositories: ['acme/**'], retention: { keep: [ { newest: 1 } ] } } ] }",
    );
    let begin = std::time::Instant::now();
    while tags(&server).len() == 2 && begin.elapsed() < Duration::from_secs(20) {
        server.advance(Duration::from_mins(1));
        std::thread::yield_now();
    }
    assert_eq!(tags(&server), ["v2"]);
    let metrics = server.debug().get("/metrics").text();
    for line in [
        "layerhouse_retention_deleted_total{kind=\"tag\"} 1",
        "layerhouse_retention_deleted_total{kind=\"manifest\"} 1",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

proptest! {
    #![proptest_config(Config { cases: 6, failure_persistence: None, max_shrink_iters: 20, ..Config::default() })]

    /// The preview says what the run does: no more, no less.
    #[test]
    fn a_run_does_what_the_preview_said(
        pushes in prop::collection::vec((0..8_usize, 0..6_usize, 0..3_u8), 1..16),
        newest in 1..3_usize,
        untagged in any::<bool>(),
    ) {
        let untagged = if untagged { ", untagged_after: 5s" } else { "" };
        let policy = format!("retention: {{ keep: [ {{ newest: {newest} }} ]{untagged} }}");
        let server = Server::configured(&configuration(&policy));
        let mut pushed: Vec<String> = Vec::new();
        for (tag, content, kind) in pushes {
            let known = pushed.get(content).cloned();
            let manifest = match (kind, known) {
                (1, Some(child)) => images::index(&[&child]),
                (2, Some(subject)) => {
                    let subject = images::descriptor(OCI_MANIFEST, &subject);
                    images::referrer(&subject, "text/x", content)
                }
                _ => image(&content.to_string()),
            };
            push(&server, &format!("t{tag}"), &manifest);
            if kind == 0 {
                pushed.push(manifest.to_string());
            }
            server.advance(Duration::from_secs(1));
        }
        let planned = preview(&server);
        let before = tags(&server);
        let (removed_tags, removed_manifests, skipped) = run(&server);
        let manifests = planned.iter().filter(|line| !line.ends_with("unkept")).count();
        let named: BTreeSet<String> = planned
            .iter()
            .filter_map(|line| line.split(' ').next())
            .flat_map(|names| names.split(','))
            .filter(|name| !name.contains(':'))
            .map(str::to_owned)
            .collect();
        prop_assert_eq!(skipped, 0);
        prop_assert_eq!(removed_manifests, manifests as u64);
        prop_assert_eq!(removed_tags, named.len() as u64);
        let left: Vec<String> = before.into_iter().filter(|tag| !named.contains(tag)).collect();
        prop_assert_eq!(tags(&server), left);
        prop_assert_eq!(preview(&server), Vec::<String>::new());
    }
}
