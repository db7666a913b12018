//! What people do with accounts, told over the API.

use serde_json::json;

use super::{PASSWORD, ROOT, Who, World};

#[test]
fn the_first_administrator_has_a_code() {
    let world = World::new("");
    let server = world.get(&ROOT, "");
    assert_eq!(
        server["user"],
        json!({ "name": "root", "is_admin": true, "is_limited": false })
    );
    assert_eq!(server["features"]["sign_up"], "closed");
    assert_eq!(world.get(&Who::Nobody, "")["user"], json!(null));
    let form = json!({ "name": "eve", "password": PASSWORD });
    world.does(&Who::Nobody, "POST", "/users", Some(&form), 403);
    let form = json!({ "name": "eve", "password": PASSWORD, "code": "lhu_wrong" });
    world.does(&Who::Nobody, "POST", "/users", Some(&form), 403);
}

#[test]
fn people_sign_up_with_an_invitation() {
    let world = World::new("signup: invitation");
    let made = world.does(
        &ROOT,
        "POST",
        "/invitations",
        Some(&json!({ "email": "ann@example.com" })),
        201,
    );
    let list = world.get(&ROOT, "/invitations");
    assert_eq!(list["items"][0]["id"], made["id"]);
    assert_eq!(list["items"][0]["code"], json!(null));
    let form = json!({ "name": "ann", "password": PASSWORD, "code": made["code"] });
    world.does(&Who::Nobody, "POST", "/users", Some(&form), 201);
    let again = json!({ "name": "bob", "password": PASSWORD, "code": made["code"] });
    world.does(&Who::Nobody, "POST", "/users", Some(&again), 403);
    world.does(
        &ROOT,
        "POST",
        "/users",
        Some(&json!({ "name": "ann" })),
        409,
    );
    let other = world.does(&ROOT, "POST", "/invitations", Some(&json!({})), 201);
    let path = format!("/invitations/{}", other["id"].as_str().unwrap());
    world.does(&ROOT, "DELETE", &path, None, 204);
    world.does(&ROOT, "DELETE", &path, None, 404);
}

#[test]
fn users_are_changed_disabled_and_removed() {
    let world = World::new("");
    world.user("ann");
    let ann = Who::User("ann");
    let changed = world.does(
        &ann,
        "PATCH",
        "/me",
        Some(&json!({ "full_name": "Ann", "email": "a@b.c" })),
        200,
    );
    assert_eq!(changed["full_name"], "Ann");
    world.does(
        &ann,
        "PATCH",
        "/me",
        Some(&json!({ "full_name": "a\u{7}" })),
        422,
    );
    world.does(
        &ann,
        "PUT",
        "/me/password",
        Some(&json!({ "old": "no", "new": PASSWORD })),
        403,
    );
    world.does(
        &ROOT,
        "PATCH",
        "/users/ann",
        Some(&json!({ "is_disabled": true })),
        200,
    );
    world.does(&ann, "GET", "/me", None, 401);
    world.does(
        &ROOT,
        "PATCH",
        "/users/ann",
        Some(&json!({ "is_disabled": false })),
        200,
    );
    world.does(
        &ROOT,
        "PUT",
        "/users/ann/password",
        Some(&json!({ "password": "another good one" })),
        204,
    );
    world.does(&ann, "GET", "/me", None, 401);
    world.does(
        &ROOT,
        "PATCH",
        "/users/root",
        Some(&json!({ "is_admin": false })),
        409,
    );
    world.does(&ROOT, "DELETE", "/users/ann", None, 204);
    world.does(&ROOT, "GET", "/users/ann", None, 404);
    let events = world.get(&ROOT, "/audit?subject=ann&n=2");
    assert_eq!(events["items"][0]["action"], "user.delete");
    assert_eq!(events["items"][0]["actor"], "root");
    assert!(events["next"].is_string());
}

#[test]
fn tokens_are_shown_once_and_limited() {
    let world = World::new("");
    world.user("ann");
    let ann = Who::User("ann");
    world.push(&ann, "ann/web");
    let limits = json!([{ "pattern": "ann/*", "actions": ["pull"] }]);
    let form = json!({ "name": "ci", "limits": limits, "expires_at": "2027-02-01T00:00:00Z" });
    let made = world.does(&ann, "POST", "/me/tokens", Some(&form), 201);
    let text = made["token"].as_str().unwrap().to_owned();
    assert!(text.starts_with("lhp_") && text.len() == 56, "{text}");
    let list = world.get(&ann, "/me/tokens");
    assert_eq!(list["items"][0]["limits"], limits);
    assert_eq!(list["items"][0]["expires_at"], "2027-02-01T00:00:00Z");
    assert!(!list.to_string().contains(&text));
    let token = Who::Bearer(text);
    world.get(&token, "/repositories/ann/web");
    world.get(&token, "/repositories/ann%2Fweb");
    let public = json!({ "visibility": "public" });
    world.does(&token, "PATCH", "/repositories/ann/web", Some(&public), 403);
    world.does(&token, "GET", "/me/tokens", None, 403);
    assert_eq!(world.get(&token, "")["user"]["is_limited"], true);
    // A token makes none, though it may do all else.
    let whole = world.does(
        &ann,
        "POST",
        "/me/tokens",
        Some(&json!({ "name": "all" })),
        201,
    );
    let whole = Who::Bearer(whole["token"].as_str().unwrap().to_owned());
    world.get(&whole, "/me/tokens");
    world.does(
        &whole,
        "POST",
        "/me/tokens",
        Some(&json!({ "name": "more" })),
        403,
    );
    for wrong in [
        json!({ "name": "" }),
        json!({ "name": "x", "limits": [] }),
        json!({ "name": "x", "limits": [{ "pattern": "a*", "actions": ["pull"] }] }),
        json!({ "name": "x", "limits": [{ "pattern": "*", "actions": ["own"] }] }),
        json!({ "name": "x", "expires_at": "2020-01-01T00:00:00Z" }),
        json!({ "name": "x", "expires_at": "tomorrow" }),
    ] {
        world.does(&ann, "POST", "/me/tokens", Some(&wrong), 422);
    }
    let path = format!("/me/tokens/{}", made["id"].as_str().unwrap());
    world.does(&ann, "DELETE", &path, None, 204);
    world.does(&token, "GET", "/repositories/ann/web", None, 401);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, told in its order")]
fn organizations_teams_grants_and_robots() {
    let world = World::new("");
    for name in ["ann", "bob"] {
        world.user(name);
    }
    let (ann, bob) = (Who::User("ann"), Who::User("bob"));
    world.does(
        &ann,
        "POST",
        "/organizations",
        Some(&json!({ "name": "acme", "description": "Tools" })),
        201,
    );
    world.does(
        &bob,
        "POST",
        "/organizations",
        Some(&json!({ "name": "acme" })),
        409,
    );
    world.does(
        &ROOT,
        "PUT",
        "/organizations/bolt",
        Some(&json!({ "owner": "bob" })),
        201,
    );
    let own = world.get(&bob, "/me/namespaces");
    let own: Vec<_> = own["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["role"].as_str().unwrap()))
        .collect();
    assert_eq!(own, [("bob", "owner"), ("bolt", "owner")]);
    world.push(&ann, "acme/web");
    world.does(&bob, "GET", "/repositories/acme/web", None, 404);
    world.does(
        &ann,
        "PUT",
        "/organizations/acme/teams/web",
        Some(&json!({})),
        201,
    );
    world.does(
        &ann,
        "PUT",
        "/organizations/acme/teams/web/members/bob",
        None,
        204,
    );
    let grant = json!({ "pattern": "acme/web", "role": "maintainer", "team": "web" });
    let grant = world.does(&ann, "POST", "/namespaces/acme/grants", Some(&grant), 201);
    let changed = world.does(
        &bob,
        "PATCH",
        "/repositories/acme/web",
        Some(&json!({ "visibility": "public" })),
        200,
    );
    assert_eq!(
        (&changed["visibility"], &changed["has_own_visibility"]),
        (&json!("public"), &json!(true))
    );
    world.get(&Who::Nobody, "/repositories/acme/web");
    let changed = world.does(
        &bob,
        "PATCH",
        "/repositories/acme/web",
        Some(&json!({ "visibility": null })),
        200,
    );
    assert_eq!(changed["visibility"], "private");
    world.does(
        &bob,
        "PATCH",
        "/repositories/acme/web",
        Some(&json!({})),
        200,
    );
    let why = world.get(
        &ann,
        "/repositories/acme/web/-/access/explain?account=bob&action=push",
    );
    assert_eq!(why["is_allowed"], true);
    assert_eq!(why["reasons"][0]["kind"], "grant");
    let access = world.get(&ann, "/repositories/acme/web/-/access");
    assert_eq!(access["items"].as_array().unwrap().len(), 2);
    let path = format!("/namespaces/acme/grants/{}", grant["id"].as_str().unwrap());
    world.does(&ann, "DELETE", &path, None, 204);
    world.does(&bob, "GET", "/repositories/acme/web", None, 404);

    let robot = world.does(
        &ann,
        "POST",
        "/namespaces/acme/robots",
        Some(&json!({ "name": "ci" })),
        201,
    );
    let first = Who::Bearer(robot["secret"].as_str().unwrap().to_owned());
    assert_eq!(world.get(&first, "")["user"]["name"], "acme+ci");
    let rotated = world.does(
        &ann,
        "POST",
        "/namespaces/acme/robots/ci/secret",
        Some(&json!({})),
        201,
    );
    world.does(&first, "GET", "", None, 401);
    let second = Who::Bearer(rotated["secret"].as_str().unwrap().to_owned());
    world.get(&second, "");
    world.does(
        &second,
        "POST",
        "/me/tokens",
        Some(&json!({ "name": "x" })),
        403,
    );
    world.does(
        &ann,
        "PATCH",
        "/namespaces/acme/robots/ci",
        Some(&json!({ "is_disabled": true })),
        200,
    );
    world.does(&second, "GET", "", None, 401);
    world.does(&ann, "DELETE", "/namespaces/acme/robots/ci", None, 204);

    world.does(&ann, "DELETE", "/organizations/acme/members/ann", None, 409);
    world.does(
        &ann,
        "PUT",
        "/organizations/acme/members/bob",
        Some(&json!({ "role": "owner" })),
        204,
    );
    world.does(&ann, "DELETE", "/organizations/acme/members/ann", None, 204);
    world.does(&ann, "GET", "/organizations/acme", None, 404);
    world.does(&bob, "DELETE", "/organizations/acme", None, 409);
    let official = json!({ "pattern": "nginx", "role": "writer", "account": "bob" });
    world.does(&ROOT, "POST", "/grants", Some(&official), 201);
    world.push(&bob, "library/nginx");
    let list = world.get(&bob, "/namespaces/library/repositories");
    assert_eq!(list["items"][0]["name"], "nginx");
}

#[test]
fn repositories_are_described_starred_and_found() {
    let world = World::new("visibility: public");
    for name in ["ann", "bob"] {
        world.user(name);
    }
    let (ann, bob) = (Who::User("ann"), Who::User("bob"));
    world.push(&ann, "ann/web");
    let texts = json!({ "description": "A small gateway", "readme": "# Gateway" });
    let page = world.does(&ann, "PATCH", "/repositories/ann/web", Some(&texts), 200);
    assert_eq!(page["description"], "A small gateway");
    assert_eq!(page["readme"], "# Gateway");
    world.does(&bob, "PATCH", "/repositories/ann/web", Some(&texts), 403);
    let long = json!({ "readme": "a".repeat((256 << 10) + 1), "visibility": "private" });
    world.does(&ann, "PATCH", "/repositories/ann/web", Some(&long), 422);
    let lines = json!({ "description": "two\nlines" });
    world.does(&ann, "PATCH", "/repositories/ann/web", Some(&lines), 422);

    let star = "/repositories/ann/web/-/star";
    world.does(&Who::Nobody, "PUT", star, None, 401);
    for _ in 0..2 {
        assert_eq!(world.does(&bob, "PUT", star, None, 200)["stars"], 1);
    }
    let page = world.get(&bob, "/repositories/ann/web");
    assert_eq!(
        (&page["stars"], &page["is_starred"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(
        world.get(&ann, "/repositories/ann/web")["is_starred"],
        false
    );
    assert_eq!(
        world.get(&bob, "/me/stars")["items"][0]["repository"],
        "ann/web"
    );

    let found = world.get(&Who::Nobody, "/search?q=gateway");
    assert_eq!(
        (&found["count"], &found["items"][0]["name"]),
        (&json!(1), &json!("ann/web"))
    );
    for query in ["page=0", "n=0", "n=101", "q=a&q=b", "sort=password"] {
        world.does(&Who::Nobody, "GET", &format!("/search?{query}"), None, 422);
    }
    world.does(
        &ann,
        "PATCH",
        "/repositories/ann/web",
        Some(&json!({ "visibility": "private" })),
        200,
    );
    // A private one is found, starred and listed by its own people alone.
    assert_eq!(world.get(&bob, "/search?q=gateway")["count"], 0);
    assert_eq!(world.get(&bob, "/me/stars")["items"], json!([]));
    world.does(&bob, "DELETE", star, None, 404);
    assert_eq!(world.get(&ann, "/search?q=gateway")["count"], 1);
}
