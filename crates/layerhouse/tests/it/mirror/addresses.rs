//! S32, S33: where a mirror may be sent, and whom it believes to be whom.

use std::time::{Duration, Instant};

use super::{COPY, LATEST, Mirror, NGINX, section};
use crate::harness::files::quick_directory;
use crate::harness::images;
use crate::harness::server::Server;
use crate::harness::tls::{Authority, EXPIRED, GOOD};
use crate::harness::upstream::{Trouble, Upstream};

const BLOBS: &str = "/v2/library/nginx/blobs/";

/// Everything that is this machine or a private network, however it is written: nobody is connected to.
#[test]
fn sec_s32_redirections_into_private_networks_are_not_followed() {
    let service = Upstream::at("127.0.0.2");
    let port = service.port();
    let hosts = [
        "127.0.0.2",
        "127.2",
        "127.0.2",
        "0x7f.0.0.2",
        "0x7f000002",
        "0177.0.0.2",
        "2130706434",
        "017700000002",
        "[::ffff:127.0.0.2]",
        "[::ffff:7f00:2]",
        "[0:0:0:0:0:ffff:127.0.0.2]",
        "[::127.0.0.2]",
        "[64:ff9b::127.0.0.2]",
        "[2002:7f00:2::]",
        "[::1]",
        "[::]",
        "0.0.0.0",
        "0",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "%31%32%37.0.0.2",
        "127.0.0.2.",
        "\u{ff11}\u{ff12}\u{ff17}.0.0.2",
        "user:password@127.0.0.2",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "198.18.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ];
    let mirror = Mirror::troubled("timeout: 5s", "negativettl: 1s");
    let begun = Instant::now();
    for host in hosts {
        let image = mirror.upstream.give_image(NGINX, "latest", host);
        let location = format!(
            "http://{host}:{port}/v2/library/nginx/blobs/{}",
            image.layer
        );
        service.give_blob(NGINX, host);
        mirror
            .upstream
            .always(&format!("GET {BLOBS}"), Trouble::redirect(location));
        mirror.refuses(&format!("{COPY}/blobs/{}", image.layer), &[502, 404]);
        assert_eq!(service.connections(), 0, "{host}");
        assert_eq!(mirror.pull(LATEST).status, 200);
        // Neither a breaker nor what is known to be missing is what this is about.
        mirror.server.advance(Duration::from_mins(5));
        mirror.upstream.heal();
    }
    // Nobody waited for an answer from there.
    assert!(
        begun.elapsed() < Duration::from_mins(1),
        "{:?}",
        begun.elapsed()
    );
}

/// The upstream's own address is allowed as it stands: that port alone, not others beside it.
#[test]
fn sec_s32_an_allowed_address_is_one_port() {
    let mirror = Mirror::troubled("", "");
    let beside = Upstream::start();
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    beside.give_image(NGINX, "latest", "a layer");
    let location = format!("{}{BLOBS}{}", beside.url(), image.layer);
    mirror
        .upstream
        .always(&format!("GET {BLOBS}"), Trouble::redirect(location));
    mirror.refuses(&format!("{COPY}/blobs/{}", image.layer), &[502, 404]);
    assert_eq!(beside.connections(), 0);
}

/// A name is not an address: what it resolves to is looked at, and words say what to configure.
#[test]
fn sec_s32_names_that_lead_home_must_be_allowed() {
    let upstream = Upstream::start();
    let image = upstream.give_image(NGINX, "latest", "a layer");
    let url = format!("http://localhost:{}", upstream.port());
    let mut server = Server::configured(&section(&[("up1", &url, "")], "up1", ""));
    server.may_complain();
    let answer = server.client.get(LATEST);
    assert_eq!(answer.status, 502, "{}", answer.text());
    let text = answer.text();
    assert!(text.contains("private"), "the key: {text}");
    assert!(
        text.contains("127.0.0.1") || text.contains("::1"),
        "the address: {text}"
    );
    assert_eq!(upstream.connections(), 0);
    for private in ["127.0.0.0/8, \"::1\"", "127.0.0.1, \"::1\""] {
        let keys = format!("private: [{private}]");
        let server = Server::configured(&section(&[("up1", &url, &keys)], "up1", ""));
        assert_eq!(
            server.client.get(LATEST).text(),
            image.manifest,
            "{private}"
        );
    }
    // One network is not the other.
    let before = upstream.connections();
    let keys = "private: [10.0.0.0/8]";
    let mut server = Server::configured(&section(&[("up1", &url, keys)], "up1", ""));
    server.may_complain();
    assert_eq!(server.client.get(LATEST).status, 502);
    assert_eq!(upstream.connections(), before);
}

/// A mirror with TLS to an upstream of this certificate.
fn over_tls(upstream: &Upstream, keys: &str) -> Server {
    let mut server = Server::configured(&section(&[("up1", &upstream.url(), keys)], "up1", ""));
    server.may_complain();
    server
}

/// S33: certificates are looked at, and there is no way to switch that off.
#[test]
fn sec_s33_an_upstream_must_prove_who_it_is() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let directory = quick_directory();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, ours.pem()).unwrap();
    let trusting = format!("ca: \"{}\"", ca.display());
    let local = ["127.0.0.1", "localhost"];
    let rows = [
        (
            "a private authority that is configured",
            ours.issue("up", &local, GOOD),
            &*trusting,
            true,
        ),
        ("one that is not", ours.issue("up", &local, GOOD), "", false),
        (
            "another than configured",
            theirs.issue("up", &local, GOOD),
            &*trusting,
            false,
        ),
        (
            "expired",
            ours.issue("up", &local, EXPIRED),
            &*trusting,
            false,
        ),
        (
            "not yet good",
            ours.issue("up", &local, (2089, 2090)),
            &*trusting,
            false,
        ),
        (
            "another host's",
            ours.issue("up", &["other.example"], GOOD),
            &*trusting,
            false,
        ),
        (
            "another address's",
            ours.issue("up", &["127.0.0.2"], GOOD),
            &*trusting,
            false,
        ),
        (
            "for nobody",
            ours.issue("127.0.0.1", &[], GOOD),
            &*trusting,
            false,
        ),
    ];
    for (what, issued, keys, is_believed) in rows {
        let upstream = Upstream::secure(&issued);
        let image = upstream.give_image(NGINX, "latest", "a layer");
        let server = over_tls(&upstream, keys);
        let answer = server.client.get(LATEST);
        if is_believed {
            assert_eq!(answer.text(), image.manifest, "{what}");
            let layer = server.client.get(&format!("{COPY}/blobs/{}", image.layer));
            assert_eq!(layer.text(), "a layer");
        } else {
            assert_eq!(answer.status, 502, "{what}: {}", answer.text());
            assert!(answer.text().contains("up1"), "{what}: {}", answer.text());
            assert_eq!(upstream.count(""), 0, "{what}: nothing was asked");
        }
    }
}

/// Nor does a store that blobs are sent from.
#[test]
fn sec_s33_redirections_must_prove_it_too() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let directory = quick_directory();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, ours.pem()).unwrap();
    let upstream = Upstream::secure(&ours.issue_local());
    let store = Upstream::secure(&theirs.issue_local());
    let image = upstream.give_image(NGINX, "latest", "a layer");
    store.give_image(NGINX, "latest", "a layer");
    let keys = format!("ca: \"{}\", private: [127.0.0.1]", ca.display());
    let server = over_tls(&upstream, &keys);
    let location = format!("{}{BLOBS}{}", store.url(), image.layer);
    upstream.always(&format!("GET {BLOBS}"), Trouble::redirect(location));
    let answer = server.client.get(&format!("{COPY}/blobs/{}", image.layer));
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(store.count(""), 0);
}

/// Something in plain text where TLS is expected, and the other way round.
#[test]
fn sec_s33_no_way_down_to_plain_text() {
    let upstream = Upstream::start();
    upstream.give_image(NGINX, "latest", "a layer");
    let url = upstream.url().replace("http://", "https://");
    let mut server = Server::configured(&section(&[("up1", &url, "timeout: 2s")], "up1", ""));
    server.may_complain();
    let answer = server.client.get(LATEST);
    assert!(matches!(answer.status, 502 | 504), "{}", answer.text());
    assert_eq!(upstream.count(""), 0);
    let digest = images::digest("a layer");
    let blob = server.client.get(&format!("{COPY}/blobs/{digest}"));
    assert!(matches!(blob.status, 502 | 504), "{}", blob.text());
}
