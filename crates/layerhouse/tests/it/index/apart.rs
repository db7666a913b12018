//! What is private is of no use to others who know of it: a digest, a mount, an upload (S05, S07–S09).

use layerhouse_oci::digest::{Algorithm, Digest};
use serde_json::Value;

use super::hidden::{Fixture, SECRET};
use super::house::{alike, bearer, limit, of};
use crate::harness::images;

/// S05, S08: a digest that one knows is no way to what it is of.
#[test]
fn sec_s05_index_a_digest_alone_opens_nothing() {
    let fixture = Fixture::new();
    let (house, otto) = (&fixture.house, of("otto"));
    house.push_as(&otto, "otto/web", "v1", "of otto");
    let at = |rest: &str| format!("/v2/otto/web/{rest}");
    for rest in [
        format!("blobs/{}", fixture.blob),
        format!("manifests/{}", fixture.manifest),
        format!("blobs/{}", fixture.manifest),
    ] {
        for method in ["GET", "HEAD", "DELETE"] {
            let answer = house.send(method, &at(&rest), &otto, b"");
            assert_eq!(answer.status, 404, "{method} {rest}");
            assert!(!answer.text().contains(SECRET));
        }
        let client = house.server.client;
        let headers = [("Authorization", &*otto), ("Range", "bytes=0-3")];
        assert_eq!(client.send("GET", &at(&rest), &headers, b"").status, 404);
    }
    // S08: a manifest that names it does not bring it along; nor does one that says it is about it.
    let thief = images::image("{}", &[SECRET]).to_string();
    let put = |content: &str| {
        let headers = [
            ("Authorization", &*otto),
            ("Content-Type", "application/vnd.oci.image.manifest.v1+json"),
        ];
        let client = house.server.client;
        client.send("PUT", &at("manifests/thief"), &headers, content.as_bytes())
    };
    let answer = put(&thief);
    assert_eq!(answer.status, 404, "{}", answer.text());
    let unknown = images::image("{}", &["canary-of-no-layer"]).to_string();
    let digests = [images::digest(SECRET), images::digest("canary-of-no-layer")];
    let [there, missing] = [answer, put(&unknown)].map(|answer| {
        let answer = alike(answer, &digests[0]);
        alike(answer, &digests[1])
    });
    assert_eq!(there, missing, "S08: whether it is somewhere is not said");
}

/// S07: no right, no repository, no blob, no source: one answer, and an upload in its place.
#[test]
fn sec_s07_index_a_mount_does_not_say_why_not() {
    let fixture = Fixture::new();
    let (house, otto) = (&fixture.house, of("otto"));
    let nowhere = images::digest("nowhere");
    let token = house.access(
        &otto,
        &[
            "repository:otto/web:pull,push",
            "repository:acme/private:pull",
        ],
    );
    let narrow = house.token("olga", &limit("otto/*", &["pull", "push"]));
    house.member("otto", "olga", "writer");
    let mount = |who: &str, query: &str| {
        let path = format!("/v2/otto/web/blobs/uploads/?mount={query}");
        let mut answer = house.send("POST", &path, who, b"");
        answer.headers.retain(|(name, _)| name != "date");
        let id = answer
            .header("docker-upload-uuid")
            .unwrap_or("-")
            .to_owned();
        for (_, value) in &mut answer.headers {
            *value = value.replace(&id, "ID");
        }
        answer
    };
    let blob = &fixture.blob;
    for who in [&*otto, &token, &bearer(&narrow)] {
        let expected = mount(who, &nowhere);
        assert_eq!(expected.status, 202, "{}", expected.text());
        for query in [
            format!("{blob}&from=acme/private"),
            format!("{nowhere}&from=acme/private"),
            format!("{blob}&from=acme/missing"),
            format!("{blob}&from=ACME/private"),
            format!("{blob}&from=acme/%70rivate"),
            format!("{blob}&from=acme//private"),
            format!("{blob}&from=library/acme/private"),
            format!("{blob}&from=acme/public"),
            format!("{blob}&from=otto/web"),
            format!("{blob}&from=acme/public&from=acme/private"),
            format!("{blob}&from="),
            blob.clone(),
        ] {
            assert_eq!(mount(who, &query), expected, "{query}");
        }
    }
    // What they may pull they may mount: what is public, and who has a role.
    let shown = images::digest("shown");
    let path = format!("{shown}&from=acme/public");
    assert_eq!(mount(&otto, &path).status, 201);
    let path = format!("{blob}&from=acme/private");
    house.member("otto", "rita", "writer");
    assert_eq!(mount(&of("rita"), &path).status, 201);
}

/// S09: an upload belongs to who began it, with whatever they sign in.
#[test]
fn sec_s09_index_an_upload_is_of_its_account() {
    let fixture = Fixture::new();
    let house = &fixture.house;
    let scope = "repository:acme/private:pull,push";
    let begun = house.send("POST", "/v2/acme/private/blobs/uploads/", &of("will"), b"");
    assert_eq!(begun.status, 202);
    let location = begun.header("location").unwrap().to_owned();
    let path = location.split_once("/v2/").unwrap().1;
    let path = format!("/v2/{path}");
    assert_eq!(house.send("PATCH", &path, &of("will"), b"abcd").status, 202);
    let digest = images::digest("abcdefgh");
    let last = format!("{path}?digest={digest}");
    let robot = house.robot("acme", "ci", "writer");
    for (who, authorization, status) in [
        ("max, who may push here, too", of("max"), 404),
        ("max's token", house.access(&of("max"), &[scope]), 404),
        ("the administrator", house.root.clone(), 404),
        ("a robot", bearer(&robot), 404),
        ("rita, who may not push", of("rita"), 401),
        ("otto", of("otto"), 401),
        ("nobody", String::new(), 401),
    ] {
        for (method, path) in [
            ("GET", &path),
            ("HEAD", &path),
            ("PATCH", &path),
            ("PUT", &last),
            ("DELETE", &path),
        ] {
            let answer = house.send(method, path, &authorization, b"efgh");
            assert_eq!(answer.status, status, "{who}: {method}");
        }
    }
    // The same account, by other means, goes on where it was.
    let token = house.access(&of("will"), &[scope]);
    let status = house.send("GET", &path, &token, b"");
    assert_eq!(status.header("range"), Some("0-3"));
    let personal = bearer(&house.token("will", &Value::Null));
    assert_eq!(house.send("PUT", &last, &personal, b"efgh").status, 201);
}

/// The bytes of a private layer under another name are another blob: nothing of it is reused for a stranger.
#[test]
fn sec_s04_index_a_push_says_nothing_of_what_others_have() {
    let fixture = Fixture::new();
    let (house, otto) = (&fixture.house, of("otto"));
    let push = |content: &str| {
        let digest = Digest::of(Algorithm::Sha256, content.as_bytes()).to_string();
        let head = format!("/v2/otto/web/blobs/{digest}");
        let before = house.send("HEAD", &head, &otto, b"").status;
        let path = format!("/v2/otto/web/blobs/uploads/?digest={digest}");
        let answer = house.send("POST", &path, &otto, content.as_bytes());
        (before, alike(answer, &digest))
    };
    assert_eq!(push(SECRET), push("canary-of-a-later"));
}
