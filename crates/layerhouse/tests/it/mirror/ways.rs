//! The ways in that are more than a name: registry:2's `proxy`, fallbacks, Docker Hub's names, lists.

use serde_json::{Value, json};

use super::{COPY, LATEST, Mirror, NGINX, error, section};
use crate::harness::images;
use crate::harness::server::Server;
use crate::harness::upstream::{Trouble, Upstream};

fn proxy(upstream: &Upstream) -> String {
    format!("proxy: {{ remoteurl: \"{}\" }}", upstream.url())
}

/// As registry:2 does it: names are the upstream's, and every write is refused.
#[test]
fn a_proxy_serves_names_as_they_are_and_takes_nothing() {
    let upstream = Upstream::start();
    let image = upstream.give_image(NGINX, "latest", "a layer");
    let server = Server::configured(&proxy(&upstream));
    let client = server.client;
    let path = "/v2/library/nginx/manifests/latest";
    assert_eq!(client.get(path).text(), image.manifest);
    let layer = format!("/v2/library/nginx/blobs/{}", image.layer);
    assert_eq!(client.get(&layer).text(), "a layer");
    assert_eq!(client.get(&layer).text(), "a layer");
    assert_eq!(upstream.count(&image.layer), 1);
    let digest = format!("/v2/library/nginx/manifests/{}", image.digest);
    for (method, path, body) in [
        ("POST", "/v2/library/nginx/blobs/uploads/", ""),
        ("POST", "/v2/acme/web/blobs/uploads/", ""),
        ("PUT", "/v2/acme/web/manifests/v1", &*image.manifest),
        ("PUT", path, &*image.manifest),
        ("DELETE", path, ""),
        ("DELETE", &*digest, ""),
        ("DELETE", &*layer, ""),
    ] {
        let answer = client.send(method, path, &[], body.as_bytes());
        assert_eq!(answer.status, 405, "{method} {path}: {}", answer.text());
        assert_eq!(error(&answer).0, "UNSUPPORTED", "{method} {path}");
    }
    assert_eq!(client.get(path).text(), image.manifest);
}

/// registry:2 asks for a tag at each pull, and serves its copy when nobody answers.
#[test]
fn a_proxy_asks_for_each_tag_and_never_for_a_digest() {
    let upstream = Upstream::start();
    let image = upstream.give_image(NGINX, "latest", "a layer");
    let mut server = Server::configured(&proxy(&upstream));
    server.may_complain();
    let path = "/v2/library/nginx/manifests/latest";
    assert_eq!(server.client.get(path).text(), image.manifest);
    upstream.drain();
    for _ in 0..3 {
        assert_eq!(server.client.get(path).status, 200);
    }
    assert_eq!(upstream.drain().len(), 3, "one HEAD each");
    let digest = format!("/v2/library/nginx/manifests/{}", image.digest);
    assert_eq!(server.client.get(&digest).status, 200);
    assert_eq!(upstream.drain(), Vec::<String>::new());
    let moved = upstream.give_image(NGINX, "latest", "another layer");
    assert_eq!(server.client.get(path).text(), moved.manifest);
    upstream.die();
    let stale = server.client.get(path);
    assert_eq!(stale.text(), moved.manifest);
    assert!(super::is_stale(&stale), "{stale:?}");
}

/// Fallbacks are asked in their order, when the first is not there, broken, or does not have it.
#[test]
fn fallbacks_are_asked_in_their_order() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let image = second.give_image(NGINX, "latest", "a layer");
    let keys = format!("fallbacks: [\"{}\"]", second.url());
    let mut mirror = Mirror::of(first, &keys, "negativettl: 1s");
    mirror.server.may_complain();
    // It does not have it.
    assert_eq!(mirror.pull(LATEST).text(), image.manifest);
    assert_eq!(mirror.upstream.count("manifests/latest"), 1);
    mirror.blob(&image.layer);
    for trouble in [
        Trouble::status(503),
        Trouble::status(500),
        Trouble::too_many(""),
        Trouble::Closes,
    ] {
        let name = format!("library/{}", second.count(""));
        let image = second.give_image(&name, "latest", &name);
        mirror.upstream.always("", trouble.clone());
        let pulled = mirror.pull(&format!("/v2/up1/{name}/manifests/latest"));
        assert_eq!(pulled.text(), image.manifest, "{trouble:?}");
        mirror.upstream.heal();
        mirror.server.advance(std::time::Duration::from_mins(5));
    }
    mirror.upstream.die();
    second.give_image("library/dead", "latest", "when the first is dead");
    mirror.pull("/v2/up1/library/dead/manifests/latest");
    // Nobody has it: the words are about it, not about the last of them.
    let missing = mirror.get("/v2/up1/library/missing/manifests/latest");
    assert!(matches!(missing.status, 404 | 502), "{}", missing.text());
}

/// A fallback is another's: the login of the first is not for it.
#[test]
fn sec_s30_fallbacks_on_other_hosts_get_no_login() {
    let (first, second) = (Upstream::start(), Upstream::at("127.0.0.2"));
    second.give_image(NGINX, "latest", "a layer");
    let keys = format!(
        "username: ann, password: secret-of-ann, fallbacks: [\"{}\"]",
        second.url()
    );
    let mut mirror = Mirror::of(first, &keys, "");
    mirror.server.may_complain();
    mirror.pull(LATEST);
    assert!(0 < second.count("GET "));
    for asked in second.asked("") {
        assert_eq!(asked.header("authorization"), None, "{asked:?}");
    }
}

/// As dockerd, containerd and podman call it; one copy.
#[test]
fn docker_hubs_names() {
    let upstream = Upstream::start();
    let image = upstream.give_image(NGINX, "latest", "a layer");
    let configuration = section(&[("docker.io", &upstream.url(), "")], "docker.io", "");
    let server = Server::configured(&configuration);
    for path in [
        "/v2/docker.io/library/nginx/manifests/latest",
        "/v2/library/nginx/manifests/latest?ns=docker.io",
        "/v2/library/nginx/manifests/latest",
    ] {
        assert_eq!(server.client.get(path).text(), image.manifest, "{path}");
    }
    assert_eq!(upstream.count("GET "), 1);
}

/// What the upstream has, not what happens to be copied.
#[test]
fn tags_are_those_of_the_upstream() {
    let mirror = Mirror::start();
    for tag in ["1.26", "1.27", "latest"] {
        mirror.upstream.give_image(NGINX, tag, tag);
    }
    mirror.pull(LATEST);
    let list = |path: &str| -> Value {
        let answer = mirror.pull(path);
        serde_json::from_slice(&answer.body).unwrap()
    };
    let all = json!(["1.26", "1.27", "latest"]);
    assert_eq!(list(&format!("{COPY}/tags/list"))["tags"], all);
    assert_eq!(list("/v2/library/nginx/tags/list?ns=up1")["tags"], all);
    let page = mirror.pull(&format!("{COPY}/tags/list?n=2"));
    let link = page.header("link").expect("there is more");
    assert!(link.contains("last=1.27"), "{link}");
    let rest = list(&format!("{COPY}/tags/list?n=2&last=1.27"));
    assert_eq!(rest["tags"], json!(["latest"]));
    let none = mirror.get("/v2/up1/library/none/tags/list");
    assert_eq!(none.status, 404, "{}", none.text());
}

/// An upstream that lists a few at a time, however many are asked for: nothing of its list is lost.
#[test]
fn an_upstream_with_short_pages_is_listed_to_its_end() {
    let mirror = Mirror::start();
    mirror.upstream.list_at_most(2);
    let tags = ["a", "b", "c", "d", "e"];
    for tag in tags {
        mirror.upstream.give_image(NGINX, tag, tag);
    }
    let list = |path: &str| -> Value {
        let answer = mirror.pull(path);
        serde_json::from_slice(&answer.body).unwrap()
    };
    let mut found = Vec::new();
    let mut path = format!("{COPY}/tags/list");
    loop {
        let answer = mirror.pull(&path);
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        found.extend(body["tags"].as_array().unwrap().clone());
        let Some(link) = answer.header("link") else {
            break;
        };
        let target = link.trim_start_matches('<').split_once('>').unwrap().0;
        target.clone_into(&mut path);
        assert!(found.len() <= 5, "{path}");
    }
    assert_eq!(json!(found), json!(tags));
    let page = list(&format!("{COPY}/tags/list?n=3"));
    assert_eq!(page["tags"], json!(["a", "b", "c"]));
}

#[test]
fn referrers_are_those_of_the_upstream() {
    let mirror = Mirror::start();
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    let subject = images::descriptor(layerhouse_oci::media_type::OCI_MANIFEST, &image.manifest);
    let referrer = images::referrer(&subject, "application/vnd.example.sbom", 1).to_string();
    let digest = images::digest(&referrer);
    mirror.upstream.give_manifest(NGINX, &digest, &referrer);
    let answer = mirror.pull(&format!("{COPY}/referrers/{}", image.digest));
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["manifests"][0]["digest"], json!(digest), "{body}");
    assert_eq!(
        mirror.pull(&format!("{COPY}/manifests/{digest}")).text(),
        referrer
    );
}

/// All platforms of an index come one by one, when they are asked for.
#[test]
fn an_index_brings_only_what_is_asked_for() {
    let mirror = Mirror::start();
    let amd64 = mirror.upstream.give_image(NGINX, "amd64", "for amd64");
    let arm64 = mirror.upstream.give_image(NGINX, "arm64", "for arm64");
    let index = images::index(&[&amd64.manifest, &arm64.manifest]).to_string();
    mirror.upstream.give_manifest(NGINX, "latest", &index);
    assert_eq!(mirror.pull(LATEST).text(), index);
    mirror.pull(&format!("{COPY}/manifests/{}", amd64.digest));
    mirror.blob(&amd64.layer);
    assert_eq!(mirror.upstream.count(&arm64.digest), 0);
    assert_eq!(mirror.upstream.count(&arm64.layer), 0);
    assert_eq!(mirror.pull(LATEST).text(), index);
    mirror.pull(&format!("{COPY}/manifests/{}", arm64.digest));
    mirror.blob(&arm64.layer);
}

#[test]
fn an_offline_mirror_serves_what_it_has_and_asks_nobody() {
    let mut mirror = Mirror::start();
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    mirror.upstream.give_image(NGINX, "other", "another layer");
    mirror.pull(LATEST);
    mirror.blob(&image.layer);
    mirror.upstream.drain();
    let url = mirror.upstream.url();
    let offline = section(&[("up1", &url, "")], "up1", "offline: true");
    mirror.server.reconfigure(&offline);
    mirror.server.advance(std::time::Duration::from_hours(2));
    assert_eq!(mirror.pull(LATEST).text(), image.manifest);
    assert_eq!(mirror.blob(&image.layer), "a layer");
    let other = images::digest("another layer");
    for path in [
        format!("{COPY}/manifests/other"),
        format!("{COPY}/blobs/{other}"),
    ] {
        let answer = mirror.get(&path);
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
    assert_eq!(mirror.upstream.drain(), Vec::<String>::new());
}
