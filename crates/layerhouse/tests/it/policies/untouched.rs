//! What retention may not touch, whatever its rules say.

use std::time::Duration;

use serde_json::json;

use super::{configuration, image, preview, push, run, status, tags};
use crate::harness::console::ask;
use crate::harness::server::Server;

/// S18: an immutable tag is not retention's to remove.
#[test]
fn sec_s18_immutable_tags_outlive_retention() {
    let server = Server::configured(&configuration(
        "immutable: { tags: ['v*'] }, retention: { keep: [ { newest: 1 } ], untagged_after: 1d }",
    ));
    for tag in ["v1", "v2", "old", "new"] {
        push(&server, tag, &image(tag));
        server.advance(Duration::from_secs(1));
    }
    assert_eq!(preview(&server), ["old unkept"]);
    assert_eq!(run(&server), (1, 0, 0));
    server.advance(Duration::from_hours(48));
    assert_eq!(run(&server), (0, 1, 0));
    assert_eq!(tags(&server), ["new", "v1", "v2"]);
}

/// S18: what is switched off is off for policies, too.
#[test]
fn sec_s18_nothing_goes_where_nothing_may_be_deleted() {
    let policy = configuration("retention: { keep: [ { newest: 1 } ] }");
    let mut server = Server::configured(&policy);
    push(&server, "v1", &image("one"));
    server.advance(Duration::from_secs(1));
    push(&server, "v2", &image("two"));
    for storage in [
        "delete: { enabled: false }",
        "delete: { enabled: true }, maintenance: { readonly: { enabled: true } }",
    ] {
        server.reload(&format!("storage: {{ {storage} }}\n{policy}"));
        assert_eq!(preview(&server).len(), 1);
        let (status, said) = ask(&server.root(), "POST", "/retention/runs", Some(&json!({})));
        assert_eq!(status, 409, "{said}");
        assert_eq!(tags(&server).len(), 2);
    }
    server.reload(&policy);
    assert_eq!(run(&server), (1, 1, 0));
}

/// The first entry that has retention decides.
#[test]
fn the_first_retention_decides() {
    let server = Server::configured(
        "layerhouse: { retention: { interval: 87600h }, policies: [
            { repositories: ['acme/**'], quota: { tags: 9 } },
            { repositories: ['acme/w*'], retention: { keep: [ { tags: [a] } ] } },
            { repositories: ['**'], retention: { keep: [ { tags: [b] } ] } } ] }",
    );
    push(&server, "a", &image("a"));
    push(&server, "b", &image("b"));
    assert_eq!(preview(&server), ["b last-tag"]);
    let pattern = json!({ "repository": "other/*" });
    let (code, said) = ask(&server.root(), "POST", "/retention/runs", Some(&pattern));
    assert_eq!((code, &said["tags"]), (200, &json!(0)));
    assert_eq!(status(&server, "b"), 200);
    let (code, _) = ask(&server.root(), "GET", "/retention/plan?repository=", None);
    assert_eq!(code, 422);
    let (code, _) = ask(&server.root(), "GET", "/retention/plan?after=A:x", None);
    assert_eq!(code, 422);
}
