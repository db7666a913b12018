//! What was deleted comes back: manifests, repositories; as long as it can.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::console::ask;
use crate::harness::images;
use crate::harness::server::Server;

const DAY: Duration = Duration::from_hours(24);

fn does(server: &Server, method: &str, path: &str, expected: u16) -> Value {
    let (status, said) = ask(&server.root(), method, path, None);
    assert_eq!(status, expected, "{method} {path}: {said}");
    said
}

fn catalog(server: &Server) -> Value {
    let answer = server.client.get("/v2/_catalog");
    let catalog: Value = serde_json::from_slice(&answer.body).unwrap();
    catalog["repositories"].clone()
}

#[test]
fn a_manifest_comes_back_with_its_tags() {
    let server = Server::start();
    let client = &server.client;
    let manifest = images::push_image(client, "acme/web", "v1", "abcd");
    images::push_manifest(client, "acme/web", "latest", &manifest);
    images::push_image(client, "acme/web", "v2", "efgh");
    let digest = images::digest(&manifest);
    let path = format!("/repositories/acme/web/-/manifests/{digest}");
    does(&server, "DELETE", &path, 204);
    does(&server, "DELETE", &path, 404);
    assert_eq!(client.get("/v2/acme/web/manifests/latest").status, 404);
    let deleted = does(&server, "GET", "/repositories/acme/web/-/deleted", 200);
    let deleted = &deleted["items"][0];
    assert_eq!(deleted["digest"], digest);
    assert_eq!(deleted["tags"], json!(["latest", "v1"]));
    assert_eq!(deleted["deleted_by"], "console");
    assert_eq!(deleted["why"], "request");
    assert_eq!(deleted["restorable_until"], "2027-01-22T08:00:00Z");
    let held = does(&server, "GET", "/deleted", 200);
    assert_eq!(
        held["items"],
        json!([{
            "repository": "acme/web", "deleted_at": null, "manifests": 1,
            "first_until": "2027-01-22T08:00:00Z", "last_until": "2027-01-22T08:00:00Z",
        }])
    );
    let restored = does(&server, "POST", &format!("{path}/restore"), 200);
    assert_eq!(restored["manifests"], json!([digest]));
    let answer = client.get("/v2/acme/web/manifests/latest");
    assert_eq!(answer.text(), manifest);
    does(&server, "POST", &format!("{path}/restore"), 404);
    let deleted = does(&server, "GET", "/repositories/acme/web/-/deleted", 200);
    assert_eq!(deleted["items"], json!([]));
}

#[test]
fn a_repository_comes_back_whole() {
    let server = Server::start();
    let client = &server.client;
    let first = images::push_image(client, "acme/web", "v1", "abcd");
    let second = images::push_image(client, "acme/web", "v2", "efgh");
    let index = images::index(&[&first, &second]).to_string();
    assert_eq!(
        images::push_manifest(client, "acme/web", "all", &index).status,
        201
    );
    images::push_image(client, "acme/api", "v1", "abcd");
    does(&server, "DELETE", "/repositories/acme/web", 204);
    does(&server, "DELETE", "/repositories/acme/web", 404);
    does(&server, "DELETE", "/repositories/acme/none", 404);
    assert_eq!(catalog(&server), json!(["acme/api"]));
    let path = format!("/v2/acme/web/manifests/{}", images::digest(&first));
    let blob = format!("/v2/acme/web/blobs/{}", images::digest("abcd"));
    for path in [
        "/v2/acme/web/tags/list",
        "/v2/acme/web/manifests/v1",
        &path,
        &blob,
    ] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
    does(&server, "GET", "/repositories/acme/web/-/tags", 404);
    let storage = does(&server, "GET", "/storage", 200);
    assert_eq!(storage["repositories"], 1);
    // Its record is there: who wants it back asks that.
    let events = does(
        &server,
        "GET",
        "/repositories/acme/web/-/history?tag=v1",
        200,
    );
    assert_eq!(events["items"][0]["to"], Value::Null);
    assert_eq!(events["items"][0]["actor"], "console");
    let held = does(&server, "GET", "/deleted", 200);
    assert_eq!(held["items"][0]["deleted_at"], "2027-01-15T08:00:00Z");

    server.advance(6 * DAY);
    let restored = does(&server, "POST", "/repositories/acme/web/-/restore", 200);
    assert_eq!(restored["manifests"].as_array().unwrap().len(), 3);
    assert_eq!(catalog(&server), json!(["acme/api", "acme/web"]));
    let tags = client.get("/v2/acme/web/tags/list").text();
    assert_eq!(
        tags.trim(),
        r#"{"name":"acme/web","tags":["all","v1","v2"]}"#
    );
    assert_eq!(client.get("/v2/acme/web/manifests/all").text(), index);
    assert_eq!(client.get(&blob).text(), "abcd");
    does(&server, "POST", "/repositories/acme/web/-/restore", 404);
}

/// A push to the name begins anew, and what was there can still be had.
#[test]
fn a_push_brings_the_name_back() {
    let server = Server::start();
    let client = &server.client;
    let first = images::push_image(client, "acme/web", "v1", "abcd");
    does(&server, "DELETE", "/repositories/acme/web", 204);
    images::push_image(client, "acme/web", "v2", "efgh");
    assert_eq!(catalog(&server), json!(["acme/web"]));
    let tags = client.get("/v2/acme/web/tags/list").text();
    assert_eq!(tags.trim(), r#"{"name":"acme/web","tags":["v2"]}"#);
    does(&server, "POST", "/repositories/acme/web/-/restore", 404);
    let path = format!(
        "/repositories/acme/web/-/manifests/{}/restore",
        images::digest(&first)
    );
    does(&server, "POST", &path, 200);
    assert_eq!(client.get("/v2/acme/web/manifests/v1").text(), first);
}

/// S18: what is switched off is so for the operator's commands, too; the configuration is theirs.
#[test]
fn sec_s18_the_operator_deletes_as_the_configuration_allows() {
    let mut server = Server::start();
    let manifest = images::push_image(&server.client, "acme/web", "v1", "abcd");
    let manifest = format!(
        "/repositories/acme/web/-/manifests/{}",
        images::digest(manifest)
    );
    server.reconfigure("storage: {delete: {enabled: false}}");
    let deletes = [
        "/repositories/acme/web",
        "/repositories/acme/web/-/tags/v1",
        &manifest,
    ];
    for path in deletes {
        let said = does(&server, "DELETE", path, 409);
        let message = said["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains("storage.delete.enabled"), "{message}");
    }
    server.reconfigure("");
    does(&server, "DELETE", &manifest, 204);
    server.reconfigure("storage: {maintenance: {readonly: {enabled: true}}}");
    for path in deletes {
        does(&server, "DELETE", path, 409);
    }
    does(&server, "POST", &format!("{manifest}/restore"), 409);
    does(&server, "POST", "/repositories/acme/web/-/restore", 409);
    server.reconfigure("");
    does(&server, "POST", &format!("{manifest}/restore"), 200);
}

/// A tag that must stay where it is stays, whoever asks.
#[test]
fn sec_s18_immutable_tags_stay() {
    let mut server = Server::start();
    let first = images::push_image(&server.client, "acme/web", "v1", "abcd");
    let second = images::push_image(&server.client, "acme/web", "v1", "efgh");
    server.reconfigure(
        "layerhouse: {policies: [{repositories: ['acme/*'], immutable: {tags: ['v*']}}]}",
    );
    for path in ["/repositories/acme/web", "/repositories/acme/web/-/tags/v1"] {
        does(&server, "DELETE", path, 403);
    }
    let path = "/repositories/acme/web/-/tags/v1/restore";
    let form = json!({ "to": images::digest(first) });
    let (status, said) = ask(&server.root(), "POST", path, Some(&form));
    assert_eq!(status, 403, "{said}");
    let form = json!({ "to": images::digest(second) });
    let (status, said) = ask(&server.root(), "POST", path, Some(&form));
    assert_eq!(status, 200, "{said}");
}
