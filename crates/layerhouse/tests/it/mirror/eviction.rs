//! What is kept of an upstream: as much as fits, what was pulled last, and what is pinned; the rest goes, bytes and
//! all, and is fetched again by who pulls it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{COPY, Mirror, NGINX, wait_until};
use crate::harness::console::ask;
use crate::harness::images;
use crate::harness::server::Server;
use crate::harness::upstream::{Image, Upstream};

const MINUTE: Duration = Duration::from_mins(1);

/// A layer of a thousand bytes.
fn layer(of: &str) -> String {
    format!("{of:.<1000}")
}

/// Gives an image of one such layer, and pulls it; time goes on, so that the next one is pulled later.
fn pull(mirror: &Mirror, tag: &str) -> Image {
    let image = mirror.upstream.give_image(NGINX, tag, &layer(tag));
    pull_again(mirror, tag, &image);
    image
}

fn pull_again(mirror: &Mirror, tag: &str, image: &Image) {
    let pulled = mirror.pull(&format!("{COPY}/manifests/{tag}"));
    assert_eq!(pulled.text(), image.manifest);
    assert_eq!(mirror.blob(&images::digest("{}")), "{}");
    assert_eq!(mirror.blob(&image.layer), layer(tag));
    // What is read while it arrives is published a moment later.
    wait_until("it is kept", || mirror.has(image));
    mirror.let_time_go();
}

impl Mirror {
    /// Pulls are of the minute in which they are written down, which is done before anything is decided.
    fn let_time_go(&self) {
        self.evictions(true);
        self.server.advance(2 * MINUTE);
    }

    fn evictions(&self, is_plan: bool) -> Value {
        let body = json!({ "plan": is_plan });
        let (status, said) = ask(
            &self.server.root(),
            "POST",
            "/mirror/evictions",
            Some(&body),
        );
        assert_eq!(status, 200, "{said:#}");
        said
    }

    fn has(&self, image: &Image) -> bool {
        self.server.holds(&image.layer)
    }

    /// The collection takes, in its own time, what nothing needs.
    fn wait_until_gone(&self, image: &Image) {
        wait_until("an image is evicted, and its bytes are gone", || {
            self.server.advance(MINUTE);
            !self.has(image)
        });
    }

    /// Whether the upstream is asked for a manifest when it is pulled.
    fn must_ask_for(&self, tag: &str) -> bool {
        self.upstream.drain();
        self.pull(&format!("{COPY}/manifests/{tag}"));
        let asked = self.upstream.drain();
        asked.iter().any(|line| line.starts_with("GET "))
    }
}

#[test]
fn what_was_pulled_longest_ago_goes_when_the_budget_is_exceeded() {
    let mirror = Mirror::configured("", "budget: 2500 B");
    let (first, second) = (pull(&mirror, "v1"), pull(&mirror, "v2"));
    assert!(mirror.has(&first) && mirror.has(&second));
    pull_again(&mirror, "v1", &first);
    let third = pull(&mirror, "v3");
    mirror.wait_until_gone(&second);
    assert!(mirror.has(&first) && mirror.has(&third));
    assert!(!mirror.must_ask_for("v3"));
    assert!(mirror.must_ask_for("v2"), "it is fetched again");
    assert_eq!(mirror.blob(&second.layer), layer("v2"));
}

#[test]
fn an_upstream_has_its_own_budget() {
    let mirror = Mirror::configured("budget: 1500 B", "budget: 1 GiB");
    let (first, second) = (pull(&mirror, "v1"), pull(&mirror, "v2"));
    mirror.wait_until_gone(&first);
    assert!(mirror.has(&second));
}

#[test]
fn pinned_copies_stay() {
    let mirror = Mirror::configured(
        "",
        "budget: 1500 B, pins: [\"up1/library/*:v1\", \"up1/other\"]",
    );
    let (first, second) = (pull(&mirror, "v1"), pull(&mirror, "v2"));
    mirror.wait_until_gone(&second);
    assert!(mirror.has(&first));
}

#[test]
fn what_was_not_pulled_for_long_goes() {
    let mirror = Mirror::configured("", "keep: 2h");
    let (first, second) = (pull(&mirror, "v1"), pull(&mirror, "v2"));
    mirror.server.advance(Duration::from_mins(90));
    pull_again(&mirror, "v2", &second);
    mirror.server.advance(Duration::from_mins(40));
    // Unless the server had done so already.
    let evicted = mirror.evictions(false);
    for entry in evicted["entries"].as_array().unwrap() {
        assert_eq!(
            (&entry["why"], &entry["tags"]),
            (&json!("age"), &json!(["v1"]))
        );
    }
    assert!(!mirror.must_ask_for("v2"));
    assert!(mirror.must_ask_for("v1"));
    assert!(mirror.has(&second));
    mirror.server.advance(Duration::from_hours(3));
    mirror.wait_until_gone(&first);
    mirror.wait_until_gone(&second);
}

/// An index goes whole, and what another one needs of it stays.
#[test]
fn the_images_of_an_index_go_with_it() {
    let mirror = Mirror::configured("", "budget: 2500 B");
    let manifests = ["amd64", "arm64", "other"].map(|name| {
        mirror.upstream.give_blob(NGINX, "{}");
        mirror.upstream.give_blob(NGINX, layer(name));
        let manifest = images::image("{}", &[&layer(name)]).to_string();
        let digest = images::digest(&manifest);
        mirror.upstream.give_manifest(NGINX, &digest, &manifest);
        manifest
    });
    let give = |tag: &str, images: &[&str]| {
        let index = images::index(images).to_string();
        mirror.upstream.give_manifest(NGINX, tag, &index);
        mirror.pull(&format!("{COPY}/manifests/{tag}"));
        for image in images {
            mirror.pull(&format!("{COPY}/manifests/{}", images::digest(image)));
        }
        mirror.let_time_go();
    };
    let [amd64, arm64, other] = &manifests;
    let holds = |name: &str| mirror.server.holds(&images::digest(layer(name)));
    give("v1", &[amd64, arm64]);
    mirror.blob(&images::digest(layer("amd64")));
    mirror.blob(&images::digest(layer("arm64")));
    give("v2", &[arm64, other]);
    mirror.blob(&images::digest(layer("other")));
    wait_until("the image goes that only the first needs", || {
        mirror.server.advance(MINUTE);
        !holds("amd64")
    });
    assert!(holds("arm64") && holds("other"));
    mirror.upstream.drain();
    mirror.pull(&format!("{COPY}/manifests/{}", images::digest(arm64)));
    assert_eq!(mirror.upstream.drain(), Vec::<String>::new());
}

/// What was pushed here is nobody's copy, however much there is of it.
#[test]
fn what_was_pushed_is_not_evicted() {
    let mirror = Mirror::configured("", "budget: 500 B, keep: 1h");
    let client = &mirror.server.client;
    images::push_blob(client, "acme/web", "{}");
    let digest = images::push_blob(client, "acme/web", layer("v1"));
    let manifest = images::image("{}", &[&layer("v1")]).to_string();
    images::push_manifest(client, "acme/web", "v1", &manifest);
    let copy = pull(&mirror, "v2");
    mirror.server.advance(Duration::from_hours(2));
    mirror.wait_until_gone(&copy);
    assert!(mirror.server.holds(&digest));
    assert_eq!(client.get("/v2/acme/web/manifests/v1").text(), manifest);
    // The same bytes for both: the copy goes, the file stays.
    mirror.upstream.give_image(NGINX, "v1", &layer("v1"));
    let wanted = json!({ "reference": "up1/library/nginx:v1" });
    let root = mirror.server.root();
    let (status, said) = ask(&root, "POST", "/mirror/warm", Some(&wanted));
    assert_eq!((status, &said["bytes"]), (200, &json!(1002)));
    wait_until("the copy goes", || {
        mirror.server.advance(MINUTE);
        ask(&root, "GET", "/mirror", None).1["bytes"] == 0
    });
    assert!(mirror.must_ask_for("v1"));
    assert_eq!(
        client.get(&format!("/v2/acme/web/blobs/{digest}")).text(),
        layer("v1")
    );
}

/// A registry that becomes a proxy keeps what was pushed to it before, though its upstream has a repository of that
/// name: only what it fetched into a repository of its own goes.
#[test]
fn what_was_pushed_before_it_was_a_proxy_is_not_evicted() {
    let upstream = Upstream::start();
    let mut server = Server::start();
    server.may_complain();
    images::push_image(&server.client, NGINX, "mine", "pushed");
    upstream.give_image(NGINX, "theirs", "fetched");
    upstream.give_image("library/other", "theirs", "fetched, too");
    let url = upstream.url();
    server.reconfigure(&format!("proxy: {{ remoteurl: \"{url}\", ttl: 1h }}"));
    let client = server.client;
    assert_eq!(client.get("/v2/library/nginx/manifests/theirs").status, 200);
    assert_eq!(client.get("/v2/library/other/manifests/theirs").status, 200);
    // What is pulled is written down before anything is decided.
    let evict = || {
        ask(
            &server.root(),
            "POST",
            "/mirror/evictions",
            Some(&json!({ "plan": false })),
        )
    };
    assert_eq!(evict().0, 200);
    server.advance(Duration::from_hours(24 * 30));
    assert_eq!(evict().0, 200);
    upstream.die();
    assert_eq!(client.get("/v2/library/other/manifests/theirs").status, 502);
    assert_eq!(client.get("/v2/library/nginx/manifests/mine").status, 200);
    assert_eq!(client.get("/v2/library/nginx/manifests/theirs").status, 200);
}
