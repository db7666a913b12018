//! What operators see of the mirror, and what they can have it do: the API at the console, and metrics.

use std::time::Duration;

use serde_json::{Value, json};

use super::{COPY, LATEST, Mirror, NGINX, section, wait_until};
use crate::harness::console::ask;
use crate::harness::server::Server;
use crate::harness::upstream::{Trouble, Upstream};

impl Mirror {
    /// What the API says, with this status.
    #[track_caller]
    fn tells(&self, method: &str, path: &str, body: Option<&Value>, status: u16) -> Value {
        let (answered, said) = ask(&self.server.root(), method, path, body);
        assert_eq!(answered, status, "{method} {path}: {said:#}");
        said
    }

    #[track_caller]
    fn warm(&self, reference: &str, status: u16) -> Value {
        let wanted = json!({ "reference": reference });
        self.tells("POST", "/mirror/warm", Some(&wanted), status)
    }
}

#[test]
fn the_status_says_what_was_done() {
    let mut mirror = Mirror::configured("budget: 1 GiB", "ttl: 1m");
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    for _ in 0..2 {
        mirror.pull(LATEST);
        mirror.blob(&image.layer);
    }
    // What was sent while it arrived may be published a moment later.
    wait_until("the layer is kept", || {
        mirror.tells("GET", "/mirror", None, 200)["bytes"] == 7
    });
    let said = mirror.tells("GET", "/mirror", None, 200);
    assert_eq!(said["default"], "up1");
    assert_eq!(
        (&said["is_proxy"], &said["is_offline"]),
        (&json!(false), &json!(false))
    );
    let upstream = &said["upstreams"][0];
    assert_eq!(upstream["name"], "up1");
    assert_eq!(upstream["endpoints"], json!([mirror.upstream.url()]));
    assert_eq!(
        (&upstream["state"], &upstream["visibility"]),
        (&json!("ok"), &json!("public"))
    );
    assert_eq!(
        (&upstream["bytes"], &upstream["budget_bytes"]),
        (&json!(7), &json!(1 << 30))
    );
    let counts = &upstream["counts"];
    assert_eq!(
        (&counts["manifest_misses"], &counts["manifest_hits"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        (&counts["blob_misses"], &counts["fetched_bytes"]),
        (&json!(1), &json!(7))
    );
    assert_eq!(counts["sent_bytes"], 14);
    assert_eq!(said["total"], *counts);

    mirror.server.may_complain();
    mirror.upstream.always("", Trouble::status(503));
    mirror.server.advance(Duration::from_mins(2));
    for number in 0..10 {
        mirror.get(&format!("{COPY}/manifests/v{number}"));
    }
    let said = mirror.tells("GET", "/mirror", None, 200);
    let upstream = &said["upstreams"][0];
    assert_eq!(upstream["state"], "closed", "{upstream:#}");
    assert!(upstream["closed_until"].is_string() && upstream["last_failure"]["at"].is_string());
}

#[test]
fn an_image_is_fetched_when_an_operator_says_so() {
    let mut mirror = Mirror::start();
    let image = mirror.upstream.give_image(NGINX, "v1", "a layer");
    let said = mirror.warm("up1/library/nginx:v1", 200);
    assert_eq!(
        (&said["manifests"], &said["blobs"], &said["bytes"]),
        (&json!(1), &json!(2), &json!(9))
    );
    assert_eq!(said["was_fresh"], false);
    mirror.upstream.drain();
    assert_eq!(mirror.warm("library/nginx:v1", 200)["was_fresh"], true);
    mirror.pull(&format!("{COPY}/manifests/v1"));
    assert_eq!(mirror.blob(&image.layer), "a layer");
    assert_eq!(mirror.upstream.drain(), Vec::<String>::new());

    mirror.warm("up1/library/nginx:v2", 404);
    mirror.warm("Not a name", 422);
    let wanted = json!({ "reference": "up1/library/nginx:v1", "platforms": ["linux"] });
    mirror.tells("POST", "/mirror/warm", Some(&wanted), 422);
    mirror.server.may_complain();
    mirror.upstream.always("", Trouble::status(503));
    mirror.warm("up1/library/nginx:v3", 409);
}

#[test]
fn copies_go_when_an_operator_says_so() {
    let mirror = Mirror::configured("", "keep: 30d");
    let image = mirror.upstream.give_image(NGINX, "v1", "a layer");
    mirror.warm("up1/library/nginx:v1", 200);
    let evict = |plan: bool| {
        let body = json!({ "plan": plan });
        mirror.tells("POST", "/mirror/evictions", Some(&body), 200)
    };
    assert_eq!(evict(true)["manifests"], 0);
    let mut mirror = mirror;
    let url = mirror.upstream.url();
    mirror
        .server
        .reload(&section(&[("up1", &url, "")], "up1", "budget: 5 B"));
    let evict = |plan: bool| {
        let body = json!({ "plan": plan });
        mirror.tells("POST", "/mirror/evictions", Some(&body), 200)
    };
    let planned = evict(true);
    assert_eq!(
        (
            &planned["is_plan"],
            &planned["manifests"],
            &planned["bytes"]
        ),
        (&json!(true), &json!(1), &json!(9))
    );
    let entry = &planned["entries"][0];
    assert_eq!(
        (&entry["repository"], &entry["digest"]),
        (&json!("up1/library/nginx"), &json!(image.digest))
    );
    assert_eq!(
        (&entry["tags"], &entry["why"]),
        (&json!(["v1"]), &json!("budget"))
    );
    let done = evict(false);
    assert_eq!(
        (&done["is_plan"], &done["manifests"]),
        (&json!(false), &json!(1))
    );
    assert_eq!(evict(true)["entries"], json!([]));
    assert_eq!(mirror.tells("GET", "/mirror", None, 200)["bytes"], 0);
    wait_until("the bytes are given back", || {
        mirror.server.advance(Duration::from_mins(1));
        !mirror.server.holds(&image.layer)
    });
}

#[test]
fn a_server_that_mirrors_nothing_says_so() {
    let server = Server::start();
    let (status, said) = ask(&server.root(), "GET", "/mirror", None);
    assert_eq!(status, 404);
    let message = said["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("layerhouse.mirror"), "{message}");
    let wanted = json!({ "reference": "nginx" });
    let (status, _) = ask(&server.root(), "POST", "/mirror/warm", Some(&wanted));
    assert_eq!(status, 404);
}

#[test]
fn metrics_tell_of_each_upstream() {
    let upstream = Upstream::start();
    let mirrored = section(&[("up1", &upstream.url(), "")], "up1", "");
    let debug =
        "http: { debug: { addr: \"127.0.0.1:0\", prometheus: { enabled: true, path: /metrics } } }";
    let server = Server::configured(&format!("{mirrored}\n{debug}"));
    let mirror = Mirror { server, upstream };
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    for _ in 0..2 {
        mirror.pull(LATEST);
        mirror.blob(&image.layer);
    }
    let read = || mirror.server.debug().get("/metrics").text();
    wait_until("what is kept was looked at", || {
        mirror.server.advance(Duration::from_mins(1));
        read().contains("layerhouse_proxy_copies_bytes{upstream=\"up1\"} 7\n")
    });
    let text = read();
    for line in [
        "layerhouse_proxy_pulls_total{upstream=\"up1\",type=\"manifest\",result=\"miss\"} 1",
        "layerhouse_proxy_pulls_total{upstream=\"up1\",type=\"manifest\",result=\"hit\"} 1",
        "layerhouse_proxy_pulls_total{upstream=\"up1\",type=\"blob\",result=\"miss\"} 1",
        "layerhouse_proxy_unanswered_total{upstream=\"up1\"} 0",
        "layerhouse_proxy_sent_bytes_total{upstream=\"up1\"} 14",
        "registry_proxy_misses_total{type=\"blob\"} 1",
        "registry_proxy_requests_total{type=\"manifest\"} 2",
        "registry_proxy_pulled_bytes_total{type=\"blob\"} 7",
        "registry_proxy_pushed_bytes_total{type=\"blob\"} 14",
    ] {
        assert!(text.contains(&format!("{line}\n")), "{line}\n{text}");
    }
}
