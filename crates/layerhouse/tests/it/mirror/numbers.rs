//! What the metrics say of a mirror.

use crate::harness::server::Server;
use crate::harness::upstream::{Trouble, Upstream};

use super::{COPY, LATEST, NGINX, section};

const DEBUG: &str = "http: {debug: {addr: '127.0.0.1:0', prometheus: {enabled: true}}}";

/// The value of a series; `None` if there is none.
fn value(text: &str, series: &str) -> Option<u64> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map(|value| value.parse().expect("a whole number"))
}

#[test]
fn the_metrics_say_what_a_mirror_did() {
    let upstream = Upstream::start();
    let image = upstream.give_image(NGINX, "latest", "a layer");
    let mirror = section(&[("up1", &upstream.url(), "")], "up1", "");
    let mut server = Server::configured(&format!("{DEBUG}\n{mirror}"));
    server.may_complain();
    for _ in 0..2 {
        assert_eq!(server.client.get(LATEST).status, 200);
        let layer = format!("{COPY}/blobs/{}", image.layer);
        assert_eq!(server.client.get(&layer).status, 200);
    }
    // S57: what clients make up makes no series.
    for name in ["canary/web", "up1/canary"] {
        let path = format!("/v2/{name}/manifests/canary?ns=canary");
        assert_eq!(server.client.get(&path).status, 404);
    }
    let scrape = || {
        let answer = server.debug().get("/metrics");
        assert_eq!(answer.status, 200);
        answer.text()
    };
    let text = scrape();
    let pulls = |kind: &str, result: &str| {
        let labels = format!("upstream=\"up1\",type=\"{kind}\",result=\"{result}\"");
        let series = format!("layerhouse_proxy_pulls_total{{{labels}}}");
        value(&text, &series).unwrap_or_else(|| panic!("{series} is not there: {text}"))
    };
    assert_eq!(
        (pulls("manifest", "miss"), pulls("manifest", "hit")),
        (1, 1)
    );
    assert_eq!(pulls("blob", "miss"), 1);
    assert_eq!(pulls("blob", "hit") + pulls("blob", "shared"), 1);
    assert_eq!(
        value(&text, "registry_proxy_requests_total{type=\"blob\"}"),
        Some(2)
    );
    assert_eq!(
        value(&text, "registry_proxy_misses_total{type=\"manifest\"}"),
        Some(1)
    );
    let sent = value(&text, "layerhouse_proxy_sent_bytes_total{upstream=\"up1\"}");
    assert_eq!(sent, Some(14));
    let pulled = value(&text, "registry_proxy_pulled_bytes_total{type=\"blob\"}");
    assert_eq!(pulled, Some(7));
    assert_eq!(
        value(&text, "layerhouse_proxy_closed{upstream=\"up1\"}"),
        Some(0)
    );
    let asked = |text: &str, result: &str| {
        let labels = format!("upstream=\"up1\",result=\"{result}\"");
        value(
            text,
            &format!("layerhouse_proxy_requests_total{{{labels}}}"),
        )
    };
    assert!(Some(2) <= asked(&text, "answered"), "{text}");
    assert_eq!(asked(&text, "failed"), Some(0));
    assert!(!text.contains("canary"), "{text}");

    upstream.always("", Trouble::status(503));
    for tag in ["a", "b", "c", "d", "e", "f"] {
        let path = format!("{COPY}/manifests/{tag}");
        assert_eq!(server.client.get(&path).status, 502);
    }
    let text = scrape();
    assert_eq!(asked(&text, "failed"), Some(5));
    assert_eq!(
        value(&text, "layerhouse_proxy_closed{upstream=\"up1\"}"),
        Some(1)
    );
}

#[test]
fn without_a_mirror_there_is_nothing_to_say() {
    let server = Server::configured(DEBUG);
    let text = server.debug().get("/metrics").text();
    assert!(!text.contains("_proxy_"), "{text}");
}
