//! S31: upstreams send blobs from elsewhere. Whoever serves them there hears neither login nor token, and there
//! are ways that are not followed at all.

use super::{COPY, LATEST, Mirror, NGINX, section};
use crate::auth::basic;
use crate::harness::files::quick_directory;
use crate::harness::server::Server;
use crate::harness::tls::Authority;
use crate::harness::upstream::{Guard, Trouble, Upstream};

const LOGIN: &str = "username: ann, password: secret-of-ann";
const PRIVATE: &str = "private: [127.0.0.0/8]";
const BLOBS: &str = "/v2/library/nginx/blobs/";

/// A mirror with a login, and somebody else who serves the blobs, at another host; the layer's digest.
fn elsewhere(host: &str, keys: &str) -> (Mirror, Upstream, String) {
    let mut mirror = Mirror::configured(&format!("{LOGIN}{keys}"), "");
    mirror.server.may_complain();
    mirror.upstream.guard(Guard::basic("ann", "secret-of-ann"));
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    let store = Upstream::at(host);
    store.give_image(NGINX, "latest", "a layer");
    (mirror, store, image.layer)
}

fn there(store: &Upstream, digest: &str) -> String {
    format!(
        "{}/v2/library/nginx/blobs/{digest}?signature=abc",
        store.url()
    )
}

#[track_caller]
fn heard_nothing(store: &Upstream) {
    for asked in store.asked("") {
        for name in ["authorization", "cookie", "referer"] {
            assert_eq!(asked.header(name), None, "{asked:?}");
        }
    }
}

#[test]
fn sec_s31_blobs_come_from_elsewhere_without_a_login() {
    for host in ["127.0.0.2", "127.0.0.1"] {
        for status in [301, 302, 303, 307, 308] {
            let (mirror, store, digest) = elsewhere(host, &format!(", {PRIVATE}"));
            let location = there(&store, &digest);
            mirror
                .upstream
                .always(BLOBS, Trouble::Redirect { status, location });
            let head = format!("{COPY}/blobs/{digest}");
            let head = mirror.server.client.send("HEAD", &head, &[], b"");
            assert_eq!(head.header("content-length"), Some("7"), "{status} {host}");
            assert_eq!(mirror.blob(&digest), "a layer", "{status} {host}");
            assert!(0 < store.count("GET "), "{status}");
            assert!(
                store
                    .asked("GET ")
                    .iter()
                    .all(|asked| asked.query == "signature=abc")
            );
            heard_nothing(&store);
        }
    }
}

/// A token is as good as a login.
#[test]
fn sec_s31_tokens_stay_where_they_are_good() {
    let (mirror, store, digest) = elsewhere("127.0.0.2", &format!(", {PRIVATE}"));
    mirror.upstream.guard(Guard::token("ann", "secret-of-ann"));
    mirror.pull(LATEST);
    mirror
        .upstream
        .always(BLOBS, Trouble::redirect(there(&store, &digest)));
    assert_eq!(mirror.blob(&digest), "a layer");
    heard_nothing(&store);
}

/// Elsewhere asks for a login: it gets none.
#[test]
fn sec_s31_a_store_that_asks_for_a_login_gets_none() {
    let (mirror, store, digest) = elsewhere("127.0.0.2", &format!(", {PRIVATE}"));
    for guard in [
        Guard::basic("ann", "secret-of-ann"),
        Guard::token("ann", "secret-of-ann"),
    ] {
        store.guard(guard);
        mirror
            .upstream
            .always(BLOBS, Trouble::redirect(there(&store, &digest)));
        let answer = mirror.get(&format!("{COPY}/blobs/{digest}"));
        assert!(matches!(answer.status, 404 | 502), "{}", answer.text());
        heard_nothing(&store);
        mirror.server.advance(std::time::Duration::from_mins(5));
    }
}

/// And back again: a chain that returns brings no login to those between.
#[test]
fn sec_s31_chains() {
    let (mirror, store, digest) = elsewhere("127.0.0.2", &format!(", {PRIVATE}"));
    let third = Upstream::at("127.0.0.3");
    third.give_image(NGINX, "latest", "a layer");
    mirror
        .upstream
        .always(BLOBS, Trouble::redirect(there(&store, &digest)));
    store.always(BLOBS, Trouble::redirect(there(&third, &digest)));
    assert_eq!(mirror.blob(&digest), "a layer");
    heard_nothing(&store);
    heard_nothing(&third);
}

/// A redirection within the upstream is its own: the login goes along.
#[test]
fn redirections_within_an_upstream() {
    let (mirror, _store, digest) = elsewhere("127.0.0.2", "");
    mirror.upstream.give_blob("other/place", "a layer");
    mirror.upstream.always(
        &format!("GET {BLOBS}"),
        Trouble::redirect(format!("/v2/other/place/blobs/{digest}")),
    );
    assert_eq!(mirror.blob(&digest), "a layer");
    let asked = mirror.upstream.asked("GET /v2/other/place/blobs/");
    let brought = asked.last().and_then(|asked| asked.header("authorization"));
    assert_eq!(brought, Some(&*basic("ann", "secret-of-ann")));
}

#[test]
fn sec_s31_loops_and_long_chains_end() {
    let (mirror, _store, digest) = elsewhere("127.0.0.2", "");
    let own = format!("/v2/library/nginx/blobs/{digest}");
    mirror
        .upstream
        .always(&format!("GET {BLOBS}"), Trouble::redirect(own.clone()));
    let path = format!("{COPY}/blobs/{digest}");
    mirror.refuses(&path, &[502, 404]);
    let asked = mirror.upstream.count(&format!("GET {BLOBS}"));
    assert!(asked <= 12, "asked {asked} times");
    mirror.upstream.heal();
    mirror.server.advance(std::time::Duration::from_mins(5));
    assert_eq!(mirror.blob(&digest), "a layer");
}

/// What is no place to go.
#[test]
fn sec_s31_locations_that_are_not_followed() {
    for location in [
        "",
        "ftp://127.0.0.1/blob",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/plain,a%20layer",
        "http://",
        "http://[::1",
        "\u{1}",
    ] {
        let (mirror, _store, digest) = elsewhere("127.0.0.2", &format!(", {PRIVATE}"));
        mirror
            .upstream
            .always(&format!("GET {BLOBS}"), Trouble::redirect(location));
        mirror.refuses(&format!("{COPY}/blobs/{digest}"), &[502, 404]);
    }
}

#[test]
fn sec_s31_never_from_https_to_http() {
    let authority = Authority::new("the test's authority");
    let directory = quick_directory();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let store = Upstream::start();
    store.give_image(NGINX, "latest", "a layer");
    let upstream = Upstream::secure(&authority.issue_local());
    let image = upstream.give_image(NGINX, "latest", "a layer");
    let keys = format!("{LOGIN}, {PRIVATE}, ca: \"{}\"", ca.display());
    let mut server = Server::configured(&section(&[("up1", &upstream.url(), &keys)], "up1", ""));
    server.may_complain();
    assert_eq!(server.client.get(LATEST).status, 200);
    upstream.always(
        &format!("GET {BLOBS}"),
        Trouble::redirect(there(&store, &image.layer)),
    );
    let answer = server.client.get(&format!("{COPY}/blobs/{}", image.layer));
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(store.connections(), 0);
}
