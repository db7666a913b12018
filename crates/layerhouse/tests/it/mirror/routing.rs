//! Which name is whose: repositories of this registry, then `ns`, then an upstream's name as a prefix, then
//! the default upstream.

use super::{COPY, LATEST, Mirror, NGINX, error, section};
use crate::harness::images;
use crate::harness::server::Server;
use crate::harness::transcript::Transcript;
use crate::harness::upstream::Upstream;

#[test]
fn an_image_comes_by_its_name_by_ns_and_by_prefix() {
    let mirror = Mirror::start();
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    for (path, query) in [
        ("/v2/library/nginx", ""),
        ("/v2/library/nginx", "?ns=up1"),
        (COPY, ""),
        (COPY, "?ns=up1"),
    ] {
        let answer = mirror.pull(&format!("{path}/manifests/latest{query}"));
        assert_eq!(answer.text(), image.manifest, "{path}{query}");
        assert_eq!(answer.header("docker-content-digest"), Some(&*image.digest));
        assert_eq!(answer.header("warning"), None);
        let head = format!("{path}/manifests/latest{query}");
        let head = mirror.server.client.send("HEAD", &head, &[], b"");
        assert_eq!(head.status, 200, "{path}{query}");
        let by_digest = mirror.pull(&format!("{path}/manifests/{}{query}", image.digest));
        assert_eq!(by_digest.text(), image.manifest);
        let layer = mirror.pull(&format!("{path}/blobs/{}{query}", image.layer));
        assert_eq!(layer.text(), "a layer");
    }
    // All these were one repository.
    let asked = mirror.upstream.drain();
    let digest = &image.layer;
    assert_eq!(
        asked
            .iter()
            .filter(|line| line.starts_with("GET "))
            .collect::<Vec<_>>(),
        [
            "GET /v2/library/nginx/manifests/latest",
            &format!("GET /v2/library/nginx/blobs/{digest}"),
        ],
        "{asked:#?}"
    );
}

/// The same over every transport; each server has its own upstream's counts in one.
#[test]
fn transcript_of_a_mirror() {
    let upstream = Upstream::start();
    let image = upstream.give_image(NGINX, "latest", "a layer");
    let configuration = section(&[("up1", &upstream.url(), "")], "up1", "");
    let mut transcript = Transcript::configured(&configuration)
        .given("image", image.manifest.clone())
        .given("layer", "a layer");
    transcript.run(
        "GET   /v2/library/nginx/manifests/latest            200  Docker-Content-Digest: $sha256($image)  $image
         GET   /v2/library/nginx/blobs/$sha256($layer)       200  $layer
         GET   /v2/library/nginx/blobs/$sha256($layer)  Range: bytes=2-6  206  'layer'
         HEAD  /v2/library/nginx/manifests/none              404
         GET   /v2/library/nginx/manifests/none              404  MANIFEST_UNKNOWN
         HEAD  /v2/library/none/manifests/latest             404
         GET   /v2/library/none/manifests/latest             404  MANIFEST_UNKNOWN
         HEAD  /v2/library/nginx/blobs/$sha256(none)         404
         GET   /v2/library/nginx/blobs/$sha256(none)         404  BLOB_UNKNOWN
         POST  /v2/up1/library/nginx/blobs/uploads/          405  UNSUPPORTED
         POST  /v2/acme/web/blobs/uploads/                   202
         PUT   $upload?digest=$sha256(abcd)  'abcd'          201
         restart
         GET   /v2/library/nginx/manifests/latest            200  $image
         GET   /v2/up1/library/nginx/blobs/$sha256($layer)   200  $layer",
    );
}

#[test]
fn a_repository_of_this_registry_comes_first() {
    let mirror = Mirror::start();
    mirror.upstream.give_image(NGINX, "latest", "theirs");
    mirror.upstream.give_image(NGINX, "other", "theirs, too");
    let client = mirror.server.client;
    let own = images::push_image(&client, NGINX, "latest", "ours");
    assert_eq!(
        mirror.pull("/v2/library/nginx/manifests/latest").text(),
        own
    );
    let layer = format!("/v2/library/nginx/blobs/{}", images::digest("ours"));
    assert_eq!(mirror.pull(&layer).text(), "ours");
    // It is not half somebody else's, either: nobody gets another's image by a name of ours.
    let other = mirror.get("/v2/library/nginx/manifests/other");
    assert_eq!(other.status, 404);
    assert_eq!(mirror.upstream.drain(), Vec::<String>::new());
    // Theirs is still theirs.
    let theirs = mirror.pull(LATEST).text();
    assert_ne!(theirs, own);
}

#[test]
fn pushes_go_on_beside_a_mirror() {
    let mirror = Mirror::start();
    let client = mirror.server.client;
    for tag in ["v1", "v2"] {
        let manifest = images::push_image(&client, "acme/web", tag, tag);
        assert_eq!(
            mirror.pull(&format!("/v2/acme/web/manifests/{tag}")).text(),
            manifest
        );
    }
    let deleted = client.send("DELETE", "/v2/acme/web/manifests/v1", &[], b"");
    assert_eq!(deleted.status, 202, "{}", deleted.text());
    assert_eq!(
        mirror.upstream.drain(),
        Vec::<String>::new(),
        "nobody was asked"
    );
    // What is pushed under a name that an upstream has, too, is a repository of this registry from then on.
    mirror.upstream.give_image(NGINX, "latest", "theirs");
    mirror.pull("/v2/library/nginx/manifests/latest");
    let own = images::push_image(&client, NGINX, "latest", "ours");
    assert_eq!(
        mirror.pull("/v2/library/nginx/manifests/latest").text(),
        own
    );
}

#[test]
fn nobody_pushes_to_a_copy() {
    let mirror = Mirror::start();
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    mirror.pull(LATEST);
    mirror.blob(&image.layer);
    let client = mirror.server.client;
    let upload = format!("{COPY}/blobs/uploads/");
    let whole = format!("{upload}?digest={}", images::digest("abcd"));
    let mount = format!("{upload}?mount={}&from=acme/web", image.layer);
    let tag = format!("{COPY}/manifests/mine");
    let digest = format!("{COPY}/manifests/{}", image.digest);
    for (method, path, body) in [
        ("POST", &upload, ""),
        ("POST", &whole, "abcd"),
        ("POST", &mount, ""),
        ("PUT", &tag, &*image.manifest),
        ("PUT", &digest, &*image.manifest),
        ("POST", &"/v2/up1/new/name/blobs/uploads/".to_owned(), ""),
    ] {
        let answer = client.send(method, path, &[], body.as_bytes());
        assert_eq!(answer.status, 405, "{method} {path}: {}", answer.text());
        mirror.check(method, &answer);
        assert_eq!(error(&answer).0, "UNSUPPORTED", "{method} {path}");
    }
    // A copy's blob may be mounted into a repository of ours, or pushed there again.
    let into = format!(
        "/v2/acme/web/blobs/uploads/?mount={}&from=up1/library/nginx",
        image.layer
    );
    let mounted = client.send("POST", &into, &[], b"");
    assert!(matches!(mounted.status, 201 | 202), "{}", mounted.text());
}

#[test]
fn an_unknown_ns_is_not_found() {
    let mirror = Mirror::start();
    mirror.upstream.give_image(NGINX, "latest", "a layer");
    for ns in [
        "quay.io",
        "up2",
        "up1.example",
        "localhost:5000",
        "..",
        "%2e%2e%2fup1",
    ] {
        for rest in ["manifests/latest", "tags/list"] {
            let path = format!("/v2/library/nginx/{rest}?ns={ns}");
            let answer = mirror.get(&path);
            assert_eq!(answer.status, 404, "{path}: {}", answer.text());
            let (code, message) = error(&answer);
            assert_eq!(code, "NAME_UNKNOWN", "{path}");
            assert!(
                message.contains("up1"),
                "{path} names what there is: {message}"
            );
        }
    }
    assert_eq!(mirror.upstream.drain(), Vec::<String>::new());
}

/// Only names that are allowed and not denied are served; nobody is asked for others.
#[test]
fn patterns_say_which_names_are_served() {
    let keys = "allow: [\"library/*\"], deny: [\"library/secret*\"]";
    let mirror = Mirror::configured(keys, "");
    for name in [NGINX, "library/secret", "library/secret-too", "acme/web"] {
        mirror.upstream.give_image(name, "latest", "a layer");
    }
    for name in ["library/secret", "library/secret-too", "acme/web", "nginx"] {
        for path in [format!("/v2/{name}"), format!("/v2/up1/{name}")] {
            let digest = images::digest("a layer");
            for rest in ["manifests/latest".to_owned(), format!("blobs/{digest}")] {
                let path = format!("{path}/{rest}");
                let answer = mirror.get(&path);
                assert!(
                    matches!(answer.status, 403 | 404),
                    "{path}: {}",
                    answer.text()
                );
                mirror.check("GET", &answer);
            }
        }
    }
    assert_eq!(mirror.upstream.drain(), Vec::<String>::new());
    mirror.pull(LATEST);
}

/// Two upstreams of one process keep what is theirs apart, though the names are the same.
#[test]
fn sec_s23_two_upstreams_do_not_share_names() {
    let (one, two) = (Upstream::start(), Upstream::start());
    let first = one.give_image(NGINX, "latest", "of the first");
    let second = two.give_image(NGINX, "latest", "of the second");
    let configuration = section(&[("up1", &one.url(), ""), ("up2", &two.url(), "")], "", "");
    let server = Server::configured(&configuration);
    for (path, image) in [
        (LATEST.to_owned(), &first),
        ("/v2/up2/library/nginx/manifests/latest".to_owned(), &second),
        (
            "/v2/library/nginx/manifests/latest?ns=up2".to_owned(),
            &second,
        ),
        (
            "/v2/library/nginx/manifests/latest?ns=up1".to_owned(),
            &first,
        ),
    ] {
        assert_eq!(server.client.get(&path).text(), image.manifest, "{path}");
    }
    // What the one gave is not served in the other's name, by digest either.
    let elsewhere = [
        format!("/v2/up2/library/nginx/manifests/{}", first.digest),
        format!("/v2/up1/library/nginx/manifests/{}", second.digest),
        format!("/v2/up2/library/nginx/blobs/{}", first.layer),
    ];
    for path in elsewhere {
        assert_eq!(server.client.get(&path).status, 404, "{path}");
    }
    // Without a default, names without an upstream are this registry's.
    let nobody = server.client.get("/v2/library/nginx/manifests/latest");
    assert_eq!(nobody.status, 404);
}

/// A name that begins as an upstream's is not that upstream's.
#[test]
fn sec_s23_a_prefix_is_a_whole_component() {
    let mirror = Mirror::start();
    mirror.upstream.give_image(NGINX, "latest", "a layer");
    for path in [
        "/v2/up11/library/nginx/manifests/latest",
        "/v2/up/library/nginx/manifests/latest",
        "/v2/up1x/library/nginx/manifests/latest",
    ] {
        assert_eq!(mirror.get(path).status, 404, "{path}");
    }
    for line in mirror.upstream.drain() {
        assert!(
            line.contains("/v2/up"),
            "asked as a name of the default's: {line}"
        );
    }
}
