//! Where tags pointed: pulled as it was, listed, and pointed there again.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::console::ask;
use crate::harness::images;
use crate::harness::server::Server;

const HOUR: Duration = Duration::from_hours(1);

/// `v1` is the first image from 8 o'clock, the second from 9, gone from 10, and the first again from 11.
fn world() -> (Server, String, String) {
    let server = Server::start();
    let client = &server.client;
    let first = images::push_image(client, "acme/web", "v1", "first");
    images::push_manifest(client, "acme/web", "keeps-first", &first);
    server.advance(HOUR);
    let second = images::push_image(client, "acme/web", "v1", "second");
    images::push_manifest(client, "acme/web", "keeps-second", &second);
    server.advance(HOUR);
    let deleted = client.send("DELETE", "/v2/acme/web/manifests/v1", &[], b"");
    assert_eq!(deleted.status, 202);
    server.advance(HOUR);
    images::push_manifest(client, "acme/web", "v1", &first);
    (server, images::digest(&first), images::digest(&second))
}

#[test]
fn a_tag_is_pulled_as_it_was() {
    let (server, first, second) = world();
    let check = |tag: &str, expected: Option<&str>| {
        for method in ["GET", "HEAD"] {
            let path = format!("/v2/acme/web/manifests/{tag}");
            let answer = server.client.send(method, &path, &[], b"");
            let status = if expected.is_some() { 200 } else { 404 };
            assert_eq!(answer.status, status, "{method} {tag}");
            assert_eq!(answer.header("docker-content-digest"), expected, "{tag}");
        }
    };
    check("v1.at-20270115", None);
    check("v1.at-20270115T075959Z", None);
    check("v1.at-20270115T080000Z", Some(&first));
    check("v1.at-20270115T085959Z", Some(&first));
    check("v1.at-20270115T090000Z", Some(&second));
    check("v1.at-20270115T095959Z", Some(&second));
    check("v1.at-20270115T100000Z", None);
    check("v1.at-20270115T105959Z", None);
    check("v1.at-20270115T110000Z", Some(&first));
    // What will be is what is.
    check("v1.at-20270116", Some(&first));
    check("v2.at-20270116", None);
    check("v1.at-20271301", None);
    // A tag of that name is the tag.
    let own = images::push_image(&server.client, "acme/web", "v1.at-20270116", "own");
    check("v1.at-20270116", Some(&images::digest(own)));
}

/// The record says what was; the manifest may be gone since.
#[test]
fn what_is_deleted_is_not_pulled_from_the_past() {
    let (server, _, second) = world();
    let client = &server.client;
    let past = "/v2/acme/web/manifests/v1.at-20270115T090000Z";
    assert_eq!(client.get(past).status, 200);
    let path = format!("/v2/acme/web/manifests/{second}");
    assert_eq!(client.send("DELETE", &path, &[], b"").status, 202);
    let answer = client.get(past);
    assert_eq!(answer.status, 404);
    assert!(
        answer.text().contains("MANIFEST_UNKNOWN"),
        "{}",
        answer.text()
    );
}

fn told(events: &Value) -> Vec<String> {
    let short = |digest: &Value| {
        digest
            .as_str()
            .map_or("-".to_owned(), |text| text[7..11].into())
    };
    let told = |event: &Value| {
        let tag = event["tag"].as_str().unwrap();
        format!("{tag} {} {}", short(&event["from"]), short(&event["to"]))
    };
    events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(told)
        .collect()
}

#[test]
fn moves_are_listed_the_last_first() {
    let (server, first, second) = world();
    let root = server.root();
    let history = |query: &str| {
        let path = format!("/repositories/acme/web/-/history{query}");
        let (status, events) = ask(&root, "GET", &path, None);
        assert_eq!(status, 200, "{events}");
        events
    };
    let (a, b) = (&first[7..11], &second[7..11]);
    let all = [
        format!("v1 - {a}"),
        format!("v1 {b} -"),
        format!("keeps-second - {b}"),
        format!("v1 {a} {b}"),
        format!("keeps-first - {a}"),
        format!("v1 - {a}"),
    ];
    let events = history("");
    assert_eq!(told(&events), all);
    let latest = &events["items"][0];
    assert_eq!(latest["happened_at"], "2027-01-15T11:00:00Z");
    assert_eq!(latest["actor"], "anonymous");
    // A page at a time.
    let (mut seen, mut query) = (Vec::new(), "?n=2".to_owned());
    loop {
        let page = history(&query);
        seen.extend(told(&page));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        query = format!("?n=2&after={next}");
    }
    assert_eq!(seen, all);
    let of_tag: Vec<_> = all.iter().filter(|event| event.starts_with("v1")).collect();
    assert_eq!(told(&history("?tag=v1")).iter().collect::<Vec<_>>(), of_tag);
    assert_eq!(told(&history("?tag=none")), [""; 0]);
    let refused = |query: &str, expected| {
        let path = format!("/repositories/{query}");
        assert_eq!(ask(&root, "GET", &path, None).0, expected, "{query}");
    };
    refused("acme/none/-/history", 404);
    refused("acme/web/-/history?tag=a/b", 422);
    refused("acme/web/-/history?after=x", 422);
    refused("acme/web/-/history?n=0", 422);
}

#[test]
fn a_tag_points_where_it_did() {
    let (server, first, second) = world();
    let root = server.root();
    let restore = |tag: &str, form: &Value, expected: u16| {
        let path = format!("/repositories/acme/web/-/tags/{tag}/restore");
        let (status, said) = ask(&root, "POST", &path, Some(form));
        assert_eq!(status, expected, "{tag} {form}: {said}");
        said
    };
    let now = || {
        let answer = server.client.get("/v2/acme/web/manifests/v1");
        answer.header("docker-content-digest").map(str::to_owned)
    };
    // Where it pointed before it was removed, as of now the second: it was new again at 11.
    restore("v1", &json!({}), 404);
    let said = restore("v1", &json!({ "to": second }), 200);
    assert_eq!(said["tags"], json!([{ "name": "v1", "digest": second }]));
    assert_eq!(now(), Some(second.clone()));
    // And back.
    restore("v1", &json!({}), 200);
    assert_eq!(now(), Some(first.clone()));
    restore("v1", &json!({ "at": "2027-01-15T09:30:00Z" }), 200);
    assert_eq!(now(), Some(second.clone()));
    let (_, events) = ask(&root, "GET", "/repositories/acme/web/-/history?n=1", None);
    assert_eq!(events["items"][0]["actor"], "console");

    restore("v1", &json!({ "at": "2027-01-15T07:00:00Z" }), 404);
    restore("v1", &json!({ "at": "yesterday" }), 422);
    restore("v1", &json!({ "to": "sha256:ab" }), 422);
    restore("v1", &json!({ "to": images::digest("none") }), 404);
    restore(
        "v1",
        &json!({ "to": first, "at": "2027-01-15T09:30:00Z" }),
        422,
    );
    restore("none", &json!({}), 404);
    assert_eq!(now(), Some(second));
}

/// What a tag points at again comes back with it.
#[test]
fn a_tag_brings_its_manifest_back() {
    let (server, first, second) = world();
    let client = &server.client;
    let path = format!("/v2/acme/web/manifests/{second}");
    assert_eq!(client.send("DELETE", &path, &[], b"").status, 202);
    let path = "/repositories/acme/web/-/tags/v1/restore";
    let form = json!({ "at": "2027-01-15T09:00:00Z" });
    let (status, said) = ask(&server.root(), "POST", path, Some(&form));
    assert_eq!(status, 200, "{said}");
    assert_eq!(said["manifests"], json!([second]));
    let answer = client.get("/v2/acme/web/manifests/v1");
    assert_eq!(answer.header("docker-content-digest"), Some(&*second));
    assert_ne!(first, second);
}
