//! History, deleting and having back, by the rights in the repository; what was deleted is gone everywhere.

use serde_json::{Value, json};

use super::{ROOT, Who, World};
use crate::harness::http::Response;
use crate::harness::images;

fn world() -> World {
    let world = World::new("signup: closed, anonymous: pull");
    for name in ["owner", "maintainer", "writer", "reader", "outsider"] {
        world.user(name);
    }
    let owner = Who::User("owner");
    let organization = json!({ "name": "acme" });
    world.does(&owner, "POST", "/organizations", Some(&organization), 201);
    for role in ["maintainer", "writer", "reader"] {
        let path = format!("/organizations/acme/members/{role}");
        world.does(&owner, "PUT", &path, Some(&json!({ "role": role })), 204);
    }
    world.push(&Who::User("writer"), "acme/web");
    world
}

fn registry(world: &World, who: &Who, path: &str) -> Response {
    let headers = who.headers();
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    world.server.client.send("GET", path, &headers, b"")
}

#[test]
fn who_may_what() {
    let world = world();
    let digest = images::digest(images::image("{}", &[]).to_string());
    let one = "/repositories/acme/web";
    let (manifest, tag) = (
        format!("{one}/-/manifests/{digest}"),
        format!("{one}/-/tags/v1"),
    );
    let check = |who: &'static str, method: &str, path: &str, status: u16| {
        let form = path.ends_with("/tags/v1/restore").then(|| json!({}));
        world.does(&Who::User(who), method, path, form.as_ref(), status)
    };
    for path in ["history", "deleted", "tags"] {
        let path = format!("{one}/-/{path}");
        check("outsider", "GET", &path, 404);
        check("reader", "GET", &path, 200);
    }
    for path in [one, &manifest, &tag] {
        check("outsider", "DELETE", path, 404);
        check("reader", "DELETE", path, 403);
        check("writer", "DELETE", path, 403);
    }
    check("maintainer", "DELETE", &tag, 204);
    let restore = format!("{tag}/restore");
    check("outsider", "POST", &restore, 404);
    check("reader", "POST", &restore, 403);
    let restored = check("writer", "POST", &restore, 200);
    assert_eq!(restored["tags"][0]["digest"], digest);
    check("maintainer", "DELETE", &manifest, 204);
    let restore = format!("{manifest}/restore");
    check("reader", "POST", &restore, 403);
    check("writer", "POST", &restore, 200);
    let events = check("reader", "GET", &format!("{one}/-/history?n=1"), 200);
    assert_eq!(events["items"][0]["actor"], "writer");
}

/// The lists that name repositories, to somebody.
fn lists(world: &World, who: &Who) -> Vec<bool> {
    let has = |found: &Value| found.to_string().contains("acme/web");
    let search = world.get(who, "/search?q=web");
    let namespace = world.get(who, "/namespaces/acme/repositories");
    let stars = world.get(who, "/me/stars");
    let catalog: Value =
        serde_json::from_slice(&registry(world, who, "/v2/_catalog").body).unwrap_or(Value::Null);
    vec![has(&search), has(&namespace), has(&stars), has(&catalog)]
}

#[test]
fn a_deleted_repository_is_gone_and_comes_back() {
    let world = world();
    let one = "/repositories/acme/web";
    let maintainer = Who::User("maintainer");
    let public = json!({ "visibility": "public" });
    world.does(&maintainer, "PATCH", one, Some(&public), 200);
    world.does(&ROOT, "PUT", &format!("{one}/-/star"), None, 200);
    // The job that follows pushes may not have come by.
    let found = || world.get(&ROOT, "/search?q=web").to_string();
    for _ in 0..500 {
        if found().contains("acme/web") {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(lists(&world, &ROOT)[..3], [true, true, true]);

    world.does(&maintainer, "DELETE", one, None, 204);
    assert_eq!(lists(&world, &ROOT), [false; 4]);
    for who in [&ROOT, &maintainer, &Who::User("outsider")] {
        world.does(who, "GET", one, None, 404);
        world.does(who, "DELETE", one, None, 404);
    }
    world.does(&Who::Nobody, "GET", one, None, 401);
    // It was public, and is nobody's business now but of those with a role there.
    let restore = format!("{one}/-/restore");
    for path in ["history", "deleted"] {
        let path = format!("{one}/-/{path}");
        world.does(&Who::User("outsider"), "GET", &path, None, 404);
        world.does(&Who::Nobody, "GET", &path, None, 401);
        world.get(&Who::User("reader"), &path);
    }
    world.does(&Who::User("outsider"), "POST", &restore, None, 404);
    world.does(&Who::User("writer"), "POST", &restore, None, 403);
    // Who takes the name of the namespace must not find another's there.
    let answer = world.send(&Who::User("owner"), "DELETE", "/organizations/acme", None);
    assert_eq!(answer.status, 409, "{}", answer.text());

    world.does(&maintainer, "POST", &restore, None, 200);
    assert_eq!(lists(&world, &ROOT)[..3], [true, true, true]);
    assert_eq!(world.get(&ROOT, one)["visibility"], "public");
    world.get(&Who::Nobody, one);

    let events = world.get(&ROOT, "/audit?subject=acme%2Fweb");
    let told = |event: &Value| format!("{} {}", event["actor"], event["action"]);
    let told: Vec<_> = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(told)
        .collect();
    assert_eq!(
        told[..2],
        [
            "\"maintainer\" \"repository.restore\"",
            "\"maintainer\" \"repository.delete\""
        ],
        "{told:?}"
    );
}

#[test]
fn collection_is_the_administrators() {
    let world = world();
    let form = json!({ "empty_trash": true });
    let (runs, owner) = ("/collection/runs", Who::User("owner"));
    world.does(&owner, "POST", runs, Some(&form), 403);
    world.does(&Who::Nobody, "POST", runs, Some(&form), 401);
    world.does(&owner, "GET", "/collection/plan", None, 403);
    let state = world.get(&ROOT, "/collection");
    assert_eq!(state["is_enabled"], true);
    assert_eq!(state["undelete_seconds"], 7 * 24 * 3600);
    world.does(&ROOT, "POST", runs, Some(&form), 200);
    let plan = world.get(&ROOT, "/collection/plan?now=true&n=10");
    assert_eq!(plan["entries"], json!([]));
    world.does(&ROOT, "GET", "/collection/plan?now=yes", None, 422);
    world.does(&ROOT, "GET", "/collection/plan?n=0", None, 422);
    world.does(&ROOT, "POST", runs, Some(&json!({ "force": true })), 422);
    let events = world.get(&ROOT, "/audit");
    assert_eq!(events["items"][0]["action"], "collection.run");
    assert_eq!(events["items"][0]["detail"]["empty_trash"], true);
}
