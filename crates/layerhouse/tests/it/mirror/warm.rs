//! Images that are fetched before anybody asks for them.

use std::time::Duration;

use super::{LATEST, Mirror, NGINX, wait_until};
use crate::harness::images;

/// Gives an index of images for these platforms, each of a layer called as it; the layers' digests.
fn give_index(mirror: &Mirror, tag: &str, platforms: &[(&str, Option<&str>)]) -> Vec<String> {
    let upstream = &mirror.upstream;
    upstream.give_blob(NGINX, "{}");
    let mut index = images::index(&[]);
    let mut layers = Vec::new();
    for (architecture, variant) in platforms {
        let layer = format!("{architecture} {variant:?}");
        layers.push(upstream.give_blob(NGINX, &layer));
        let manifest = images::image("{}", &[&layer]).to_string();
        upstream.give_manifest(NGINX, &images::digest(&manifest), &manifest);
        let mut child = images::descriptor(layerhouse_oci::media_type::OCI_MANIFEST, &manifest);
        child["platform"] = serde_json::json!({ "os": "linux", "architecture": architecture });
        if let Some(variant) = variant {
            child["platform"]["variant"] = (*variant).into();
        }
        index["manifests"].as_array_mut().unwrap().push(child);
    }
    upstream.give_manifest(NGINX, tag, &index.to_string());
    layers
}

#[test]
fn images_are_fetched_at_the_start_and_kept_fresh() {
    let more = "default: up1, ttl: 1m, warm: [{images: [\"up1/library/nginx\", \"nginx:v1\"], interval: 1h}]";
    let upstream = crate::harness::upstream::Upstream::start();
    let latest = upstream.give_image(NGINX, "latest", "a layer");
    upstream.give_image("nginx", "v1", "of v1");
    let section = super::section(&[("up1", &upstream.url(), "")], "", more);
    let mirror = Mirror {
        server: crate::harness::server::Server::configured(&section),
        upstream,
    };
    let holds = |digest: &str| mirror.server.holds(digest);
    wait_until("both are fetched", || {
        holds(&latest.layer) && holds(&images::digest("of v1"))
    });
    wait_until("its rows are written", || {
        mirror.upstream.drain();
        mirror.pull(LATEST);
        mirror.blob(&latest.layer);
        mirror.upstream.drain().is_empty()
    });
    let newer = mirror.upstream.give_image(NGINX, "latest", "a newer layer");
    mirror.server.advance(Duration::from_mins(30));
    assert!(!holds(&newer.layer));
    wait_until("the newer one is fetched", || {
        mirror.server.advance(Duration::from_mins(10));
        holds(&newer.layer)
    });
}

#[test]
fn only_the_platforms_that_are_wanted() {
    let platforms = [("amd64", None), ("arm64", Some("v8")), ("arm", Some("v7"))];
    let warm =
        "warm: [{images: [\"up1/library/nginx:v1\"], platforms: [linux/arm64, linux/amd64]}]";
    let mut mirror = Mirror::start();
    let layers = give_index(&mirror, "v1", &platforms);
    let url = mirror.upstream.url();
    mirror
        .server
        .reload(&super::section(&[("up1", &url, "")], "up1", warm));
    wait_until("two are fetched", || {
        mirror.server.advance(Duration::from_mins(1));
        mirror.server.holds(&layers[0]) && mirror.server.holds(&layers[1])
    });
    assert!(!mirror.server.holds(&layers[2]));
    // That one comes when somebody pulls it.
    assert_eq!(mirror.blob(&layers[2]), "arm Some(\"v7\")");
    assert_eq!(mirror.upstream.count(&format!("{NGINX}/manifests/v1")), 1);
}
