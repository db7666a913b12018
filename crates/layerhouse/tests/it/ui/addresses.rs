//! Ways from what people type to pages, and what stays as it was for programs.

use super::{location, open};
use crate::harness::images;
use crate::harness::server::Server;

#[test]
fn the_front_door_shows_browsers_the_pages() {
    let server = Server::start();
    let answer = open(&server.client, "/");
    assert_eq!((answer.status, location(&answer)), (303, "/ui/"));
    // Whoever else asks hears what they heard before there were pages.
    for headers in [
        &[][..],
        &[("Accept", "*/*")],
        &[("Accept", "application/json")],
    ] {
        let answer = server.client.send("GET", "/", headers, b"");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, b"");
    }
    let answer = server.client.send("HEAD", "/", &[super::PAGE], b"");
    assert_eq!(answer.status, 200, "a check of health");
}

#[test]
fn a_pasted_reference_leads_to_its_page() {
    let server = Server::start();
    let digest = images::digest("abcd");
    let by_digest = format!("/ui/r/team/api/-/m/{digest}");
    for (path, page) in [
        ("/team/api:v1".to_owned(), "/ui/r/team/api/-/t/v1"),
        (format!("/team/api@{digest}"), &*by_digest),
        (format!("/team/api:v1@{digest}"), &by_digest),
        ("/nginx".to_owned(), "/ui/r/nginx"),
        ("/a/b/c/d".to_owned(), "/ui/r/a/b/c/d"),
    ] {
        let answer = open(&server.client, &path);
        assert_eq!((answer.status, location(&answer)), (303, page), "{path}");
        // A program that asks for it did never get anything, and does not now.
        assert_eq!(server.client.get(&path).status, 404, "{path}");
    }
}

#[test]
fn paths_of_others_are_no_references() {
    let server = Server::configured("layerhouse: {index: {}}");
    for path in [
        "/v2/",
        "/v2/_catalog",
        "/v2/team/api/manifests/v1",
        "/v1/_ping",
        "/v1/search?q=x",
        "/api/v1",
        "/api/v1/nothing",
        "/auth/token",
        "/healthz",
        "/readyz",
        "/metrics",
        "/v2",
        "/api",
        "/auth",
        "//evil.example",
        "/%2f%2fevil.example",
        "/\\evil.example",
        "/Team/api",
        "/team//api",
        "/team/api:",
        "/team/api:v1:v2",
        "/team/api@sha256:abc",
        "/favicon.ico:",
    ] {
        let asked = open(&server.client, path);
        let program = server.client.get(path);
        assert_eq!(asked.status, program.status, "{path}");
        assert_eq!(location(&asked), location(&program), "{path}");
    }
}

/// The prefix stands before everything that a page names.
#[test]
fn pages_stand_behind_the_prefix() {
    let server = Server::configured("http: {prefix: /registry/}");
    let answer = open(&server.client, "/registry/");
    assert_eq!((answer.status, location(&answer)), (303, "/registry/ui/"));
    let answer = open(&server.client, "/registry/team/api:v1");
    let page = "/registry/ui/r/team/api/-/t/v1";
    assert_eq!((answer.status, location(&answer)), (303, page));
    let answer = open(&server.client, "/registry/ui/nothing");
    assert_eq!(answer.status, 404);
    let text = answer.text();
    let links = ["href=\"", "src=\"", "action=\""]
        .into_iter()
        .flat_map(|before| text.split(before).skip(1));
    let strays: Vec<_> = links
        .filter_map(|rest| rest.split('"').next())
        .filter(|link| link.starts_with('/') && !link.starts_with("/registry/"))
        .collect();
    assert!(strays.is_empty(), "{strays:?}");
    assert!(text.contains("/registry/ui/assets/"), "{text}");
}
