//! Tags of an upstream's that are copied into a repository of this registry's own.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Mirror, NGINX, section, wait_until};
use crate::harness::images;

const SYNC: &str =
    "sync: [{from: up1/library/nginx, tags: [\"1.*\"], to: acme/nginx, interval: 1h}]";
const HOUR: Duration = Duration::from_hours(1);

impl Mirror {
    fn synced_tags(&self) -> Value {
        let answer = self.server.client.get("/v2/acme/nginx/tags/list");
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        body["tags"].clone()
    }

    fn wait_for_tags(&self, expected: &Value) {
        wait_until("the tags are there", || self.synced_tags() == *expected);
    }

    /// Begins what is configured, on an upstream that has its goods by now.
    fn reload(&mut self, more: &str, beside: &str) {
        let url = self.upstream.url();
        let section = section(&[("up1", &url, "")], "", more);
        let all = match section.strip_suffix(" }") {
            Some(section) if !beside.is_empty() => format!("{section}, {beside} }}"),
            _ => section,
        };
        self.server.reload(&all);
        self.server.advance(Duration::from_mins(1));
    }
}

#[test]
fn tags_are_copied_and_stay() {
    let mut mirror = Mirror::start();
    let first = mirror.upstream.give_image(NGINX, "1.0", "one");
    mirror.upstream.give_image(NGINX, "1.1", "two");
    mirror.upstream.give_image(NGINX, "2.0", "three");
    mirror.upstream.list_at_most(2);
    mirror.reload(SYNC, "");
    mirror.wait_for_tags(&json!(["1.0", "1.1"]));
    let client = &mirror.server.client;
    let pulled = client.get("/v2/acme/nginx/manifests/1.0");
    assert_eq!(pulled.text(), first.manifest);
    let blob = format!("/v2/acme/nginx/blobs/{}", first.layer);
    assert_eq!(client.get(&blob).text(), "one");

    // What moves is followed; what is gone stays.
    mirror.upstream.give_image(NGINX, "1.1", "two, again");
    mirror.upstream.take_away("/v2/library/nginx/manifests/1.0");
    let moved = images::image("{}", &["two, again"]).to_string();
    mirror.server.advance(HOUR);
    // A minute at a time: a blob is not collected while its manifest is on the way.
    wait_until("the tag moved", || {
        mirror.server.advance(Duration::from_mins(1));
        client.get("/v2/acme/nginx/manifests/1.1").text() == moved
    });
    assert_eq!(mirror.synced_tags(), json!(["1.0", "1.1"]));
    assert_eq!(
        client.get("/v2/acme/nginx/manifests/1.0").text(),
        first.manifest
    );

    // Nothing is fetched that is there, also when its copy is not.
    mirror.upstream.drain();
    for _ in 0..3 {
        mirror.server.advance(HOUR);
        mirror.upstream.wait_until_asked("/tags/list", 1);
    }
    let asked = mirror.upstream.drain();
    assert!(
        asked.iter().all(|line| !line.contains("/blobs/")),
        "{asked:?}"
    );
}

#[test]
fn policies_hold_for_what_is_copied() {
    let mut mirror = Mirror::start();
    mirror.server.may_complain();
    mirror.upstream.give_image(NGINX, "1.0", "one");
    let policies = "policies: [{repositories: [\"acme/*\"], immutable: { tags: ['1.*'] }}]";
    mirror.reload(SYNC, policies);
    mirror.wait_for_tags(&json!(["1.0"]));
    let client = &mirror.server.client;
    let before = client.get("/v2/acme/nginx/manifests/1.0").text();
    mirror.upstream.give_image(NGINX, "1.0", "another");
    mirror.upstream.give_image(NGINX, "1.1", "two");
    mirror.server.advance(HOUR);
    wait_until("the other tag is copied", || {
        mirror.server.advance(Duration::from_mins(1));
        mirror.synced_tags() == json!(["1.0", "1.1"])
    });
    assert_eq!(client.get("/v2/acme/nginx/manifests/1.0").text(), before);
}

/// With the images of an index that are wanted; the others are known to be absent.
#[test]
fn indexes_are_copied_byte_for_byte() {
    let mut mirror = Mirror::start();
    mirror.upstream.give_blob(NGINX, "{}");
    let mut index = images::index(&[]);
    for architecture in ["amd64", "arm64"] {
        mirror.upstream.give_blob(NGINX, architecture);
        let manifest = images::image("{}", &[architecture]).to_string();
        let digest = images::digest(&manifest);
        mirror.upstream.give_manifest(NGINX, &digest, &manifest);
        let mut child = images::descriptor(layerhouse_oci::media_type::OCI_MANIFEST, &manifest);
        child["platform"] = json!({ "os": "linux", "architecture": architecture });
        index["manifests"].as_array_mut().unwrap().push(child);
    }
    let index = index.to_string();
    mirror.upstream.give_manifest(NGINX, "1.0", &index);
    let only = SYNC.replace("interval", "platforms: [linux/amd64], interval");
    mirror.reload(&only, "");
    mirror.wait_for_tags(&json!(["1.0"]));
    let client = &mirror.server.client;
    assert_eq!(client.get("/v2/acme/nginx/manifests/1.0").text(), index);
    let image = |architecture: &str| {
        let manifest = images::image("{}", &[architecture]).to_string();
        let digest = images::digest(&manifest);
        client
            .get(&format!("/v2/acme/nginx/manifests/{digest}"))
            .status
    };
    assert_eq!((image("amd64"), image("arm64")), (200, 404));
    // Wanted later, it comes though the tag is where it was.
    mirror.reload(SYNC, "");
    let client = &mirror.server.client;
    let digest = images::digest(images::image("{}", &["arm64"]).to_string());
    wait_until("the other image comes", || {
        mirror.server.advance(Duration::from_mins(1));
        client
            .get(&format!("/v2/acme/nginx/manifests/{digest}"))
            .status
            == 200
    });
}
