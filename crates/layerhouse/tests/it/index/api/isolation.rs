//! S10, S17: what belongs to others is not there, and nobody gives themselves what they were not given.

use serde_json::{Value, json};

use super::{ROOT, Who, World};
use crate::harness::http::Response;
use crate::harness::images;

/// Two tenants, each with an organization, a private repository, a robot, a team, a grant, a token.
fn world() -> World {
    let world = World::new("signup: open");
    for (user, organization) in [("ann", "acme"), ("bob", "bolt")] {
        world.user(user);
        let who = Who::User(user);
        world.does(
            &who,
            "POST",
            "/organizations",
            Some(&json!({ "name": organization })),
            201,
        );
        world.push(&who, &format!("{organization}/web"));
        let robots = format!("/namespaces/{organization}/robots");
        world.does(&who, "POST", &robots, Some(&json!({ "name": "ci" })), 201);
        let team = format!("/organizations/{organization}/teams/web");
        world.does(&who, "PUT", &team, Some(&json!({})), 201);
        let grant =
            json!({ "pattern": format!("{organization}/*"), "role": "reader", "team": "web" });
        world.does(
            &who,
            "POST",
            &format!("/namespaces/{organization}/grants"),
            Some(&grant),
            201,
        );
        world.does(
            &who,
            "POST",
            "/me/tokens",
            Some(&json!({ "name": "laptop" })),
            201,
        );
    }
    world
}

fn first_id(list: &Value) -> String {
    list["items"][0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn sec_s10_ids_of_others_are_not_there() {
    let world = world();
    let (ann, bob) = (Who::User("ann"), Who::User("bob"));
    let token = first_id(&world.get(&ann, "/me/tokens"));
    let grant = first_id(&world.get(&ann, "/namespaces/acme/grants"));
    // By their own paths, and by paths of one's own with ids of others.
    world.does(&bob, "DELETE", &format!("/me/tokens/{token}"), None, 404);
    world.does(
        &bob,
        "DELETE",
        &format!("/namespaces/acme/grants/{grant}"),
        None,
        404,
    );
    world.does(
        &bob,
        "DELETE",
        &format!("/namespaces/bolt/grants/{grant}"),
        None,
        404,
    );
    world.does(&ROOT, "DELETE", &format!("/grants/{grant}"), None, 404);
    world.does(
        &ROOT,
        "DELETE",
        &format!("/users/bob/tokens/{token}"),
        None,
        404,
    );
    world.does(&bob, "DELETE", "/namespaces/bolt/robots/acme+ci", None, 404);
    let outside = json!({ "pattern": "acme/*", "role": "writer", "account": "bob" });
    world.does(&bob, "POST", "/namespaces/bolt/grants", Some(&outside), 422);
    let everywhere = json!({ "pattern": "*", "role": "writer", "account": "bob" });
    world.does(
        &bob,
        "POST",
        "/namespaces/bolt/grants",
        Some(&everywhere),
        422,
    );
    let of_others = json!({ "pattern": "bolt/*", "role": "writer", "team": "acme/web" });
    let refused = world.send(&bob, "POST", "/namespaces/bolt/grants", Some(&of_others));
    assert!([404, 422].contains(&refused.status), "{}", refused.text());
    // They are still there.
    assert_eq!(first_id(&world.get(&ann, "/me/tokens")), token);
    assert_eq!(first_id(&world.get(&ann, "/namespaces/acme/grants")), grant);
    world.get(&ann, "/namespaces/acme/robots/ci");
}

#[test]
fn sec_s10_nobody_makes_themselves_an_administrator() {
    let world = world();
    let bob = Who::User("bob");
    let smuggled = json!({ "name": "eve", "password": super::PASSWORD, "is_admin": true });
    world.does(&Who::Nobody, "POST", "/users", Some(&smuggled), 403);
    world.does(&bob, "POST", "/users", Some(&smuggled), 403);
    let more = json!({ "name": "eve", "password": super::PASSWORD, "source": "ldap" });
    world.does(&Who::Nobody, "POST", "/users", Some(&more), 422);
    for field in [
        "is_admin",
        "is_disabled",
        "name",
        "source",
        "id",
        "password",
    ] {
        world.does(&bob, "PATCH", "/me", Some(&json!({ field: true })), 422);
    }
    world.does(
        &bob,
        "PATCH",
        "/users/bob",
        Some(&json!({ "is_admin": true })),
        403,
    );
    world.does(
        &bob,
        "PUT",
        "/organizations/acme/members/bob",
        Some(&json!({ "role": "owner" })),
        404,
    );
    let id = json!({ "name": "x", "account_id": 1, "kind": "session" });
    world.does(&bob, "POST", "/me/tokens", Some(&id), 422);
    let user = world.get(&ROOT, "/users/bob");
    assert_eq!(user["is_admin"], false);
    world.does(&Who::User("eve"), "GET", "/me", None, 401);
}

/// Without what differs between any two answers.
fn told(answer: &Response) -> (u16, Vec<(String, String)>, String) {
    let headers = answer.headers.iter().filter(|(name, _)| name != "date");
    (answer.status, headers.cloned().collect(), answer.text())
}

#[test]
fn sec_s17_what_may_not_be_seen_is_not_there() {
    let world = world();
    let limits = json!([{ "pattern": "bolt/*", "actions": ["pull", "push", "delete"] }]);
    let limited = json!({ "name": "ci", "limits": limits });
    let limited = world.does(&Who::User("bob"), "POST", "/me/tokens", Some(&limited), 201);
    let limited = Who::Bearer(limited["token"].as_str().unwrap().to_owned());
    for who in [Who::Nobody, Who::User("bob"), limited] {
        for (template, method, _) in world.description.operations() {
            let names = [
                ("{repository}", "acme/web", "acme/not"),
                ("{organization}", "acme", "nowhere"),
                ("{namespace}", "acme", "nowhere"),
            ];
            for (parameter, hidden, missing) in names {
                if !template.contains(parameter) {
                    continue;
                }
                let ask = |name: &str| {
                    let path = template
                        .replace(parameter, name)
                        .replace("{user}", "ann")
                        .replace("{team}", "web")
                        .replace("{robot}", "ci")
                        .replace("{id}", "1")
                        .replace("{tag}", "v1")
                        .replace("{digest}", &images::digest("{}"));
                    world.send(&who, &method, &path, Some(&json!({ "role": "owner" })))
                };
                let (hidden, missing) = (ask(hidden), ask(missing));
                if !(200..300).contains(&missing.status) {
                    assert!(
                        [401, 403, 404, 422].contains(&missing.status),
                        "{}",
                        missing.text()
                    );
                }
                assert_eq!(told(&hidden), told(&missing), "{who:?} {method} {template}");
            }
        }
    }
    // Lists say no more.
    let seen = world.get(&Who::User("bob"), "/namespaces/acme/repositories");
    assert_eq!(seen["items"], json!([]));
}
