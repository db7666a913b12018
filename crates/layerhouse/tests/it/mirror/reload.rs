//! A mirror whose configuration changes, whose copies are deleted, and that starts again.

use super::{COPY, LATEST, Mirror, NGINX, section};
use crate::faults::noise;
use crate::harness::bucket;
use crate::harness::pull::Pull;
use crate::harness::server::Server;
use crate::harness::upstream::{Trouble, Upstream};

#[test]
fn upstreams_come_and_go_without_a_restart() {
    let (one, two) = (Upstream::start(), Upstream::start());
    let first = one.give_image(NGINX, "latest", "of the first");
    let second = two.give_image(NGINX, "latest", "of the second");
    let of_two = "/v2/up2/library/nginx/manifests/latest";
    let mut server = Server::configured("");
    assert_eq!(server.client.get(LATEST).status, 404);
    server.reload(&section(&[("up1", &one.url(), "")], "up1", ""));
    assert_eq!(server.client.get(LATEST).text(), first.manifest);
    assert_eq!(server.client.get(of_two).status, 404);
    let both = [("up1", &*one.url(), ""), ("up2", &*two.url(), "")];
    server.reload(&section(&both, "up2", ""));
    assert_eq!(server.client.get(of_two).text(), second.manifest);
    let by_default = server.client.get("/v2/library/nginx/manifests/latest");
    assert_eq!(by_default.text(), second.manifest);
    one.drain();
    server.reload(&section(&[("up2", &two.url(), "")], "up2", ""));
    // Of an upstream that is no more nobody is asked.
    let _ = server.client.get(LATEST);
    assert_eq!(one.drain(), Vec::<String>::new());
    server.reload("");
    let _ = server.client.get(of_two);
    assert_eq!(
        server
            .client
            .get("/v2/library/nginx/manifests/other")
            .status,
        404
    );
}

/// What is on its way goes on, whatever the configuration says by now.
#[test]
fn a_fetch_outlives_a_reload() {
    let mut mirror = Mirror::start();
    let content = noise(40, 2 << 20);
    let digest = mirror.upstream.give_blob(NGINX, &content);
    mirror
        .upstream
        .once("GET ", Trouble::Stalls { after: 1 << 20 });
    let path = format!("{COPY}/blobs/{digest}");
    let client = mirror.server.client;
    let mut pull = Pull::begin(&client, &path, &[]);
    pull.read_up_to(1000).unwrap();
    mirror.upstream.wait_until_stuck(1);
    let url = mirror.upstream.url();
    let other = section(&[("up1", &url, "stall: 20s")], "up1", "ttl: 5m");
    mirror.server.reload(&other);
    mirror.upstream.open();
    assert!(pull.finish().unwrap() == content);
    assert!(mirror.pull(&path).body == content);
}

/// A server that stops does not wait for an upstream that stands still, and leaves nothing behind.
#[test]
fn a_fetch_does_not_hold_up_a_stop() {
    if bucket::is_given() {
        return;
    }
    let mut mirror = Mirror::troubled("", "");
    let content = noise(41, 2 << 20);
    let digest = mirror.upstream.give_blob(NGINX, &content);
    mirror
        .upstream
        .once("GET ", Trouble::Stalls { after: 1 << 20 });
    let path = format!("{COPY}/blobs/{digest}");
    let stream = Pull::ask(&mirror.server.client, &path, &[]);
    mirror.upstream.wait_until_stuck(1);
    drop(stream);
    mirror.server.stop();
    let report = crate::harness::database::verify(&mirror.server.root()).unwrap();
    assert!(report.findings.is_empty(), "{report}");
    assert_eq!((report.uploads, report.staged_bytes), (0, 0), "{report}");
    mirror.upstream.open();
    mirror.server.restart();
    assert!(mirror.pull(&path).body == content);
}

/// What is deleted of a copy is fetched again by who pulls it next.
#[test]
fn a_deleted_copy_comes_again() {
    let mirror = Mirror::start();
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    mirror.pull(LATEST);
    mirror.blob(&image.layer);
    let client = mirror.server.client;
    for reference in ["latest", &image.digest] {
        let path = format!("{COPY}/manifests/{reference}");
        let deleted = client.send("DELETE", &path, &[], b"");
        assert_eq!(deleted.status, 202, "{}", deleted.text());
        assert_eq!(mirror.pull(&path).text(), image.manifest, "{reference}");
        assert_eq!(mirror.pull(LATEST).text(), image.manifest, "{reference}");
    }
    assert_eq!(mirror.blob(&image.layer), "a layer");
}

/// After a start nothing is known of how fresh a tag is: it is compared, and nothing is fetched again.
#[test]
fn a_start_compares_and_fetches_nothing() {
    let mut mirror = Mirror::start();
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    mirror.pull(LATEST);
    mirror.blob(&image.layer);
    mirror.upstream.drain();
    mirror.server.restart();
    assert_eq!(mirror.pull(LATEST).text(), image.manifest);
    assert_eq!(mirror.blob(&image.layer), "a layer");
    let asked = mirror.upstream.drain();
    assert!(
        asked.iter().all(|line| line.starts_with("HEAD ")) && asked.len() <= 1,
        "{asked:#?}"
    );
}
