//! S11: what is taken away is gone at the next request, whatever was issued before.

use std::time::Duration;

use serde_json::{Value, json};

use super::house::{House, bearer, limit, of};
use crate::auth::basic;

const SCOPE: &str = "repository:acme/web:pull,push,delete";
const ALL: &str = "pull push delete";

fn house() -> House {
    let house = House::new();
    house.push("acme/web", "kept", "layer");
    house
}

/// Everything that somebody with this sign-in can hold: what they show, and what is issued for it.
struct Held {
    shown: String,
    access: String,
    refresh: String,
    /// Issued for the refresh token, as Docker asks for it.
    renewed: String,
}

fn hold(house: &House, shown: String) -> Held {
    let refresh = house.refresh_token(&shown);
    let answer = house.redeem(&refresh, SCOPE);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let renewed = super::house::parsed(&answer)["access_token"].clone();
    Held {
        access: house.access(&shown, &[SCOPE]),
        renewed: bearer(&super::house::text(&renewed)),
        refresh,
        shown,
    }
}

impl Held {
    #[track_caller]
    fn may(&self, house: &House, expected: &str) {
        for (name, authorization) in [
            ("signing in", &self.shown),
            ("a token", &self.access),
            ("a token for a refresh token", &self.renewed),
        ] {
            assert_eq!(house.rights(authorization, "acme/web"), expected, "{name}");
        }
        let answer = house.redeem(&self.refresh, SCOPE);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let scope = &super::house::parsed(&answer)["scope"];
        let actions = scope.as_str().unwrap().rsplit(':').next().unwrap();
        assert_eq!(actions.replace(',', " "), expected, "a refresh token");
    }

    /// Not even what all may: it is no good any more.
    #[track_caller]
    fn is_over(&self, house: &House) {
        house.visibility("acme/web", "public");
        for (name, authorization) in [
            ("signing in", &self.shown),
            ("a token", &self.access),
            ("a token for a refresh token", &self.renewed),
        ] {
            assert_eq!(house.rights(authorization, "acme/web"), "", "{name}");
            let base = house.send("GET", "/v2/", authorization, b"").status;
            assert_eq!(base, 401, "{name}");
        }
        assert_eq!(house.redeem(&self.refresh, SCOPE).status, 401);
        house.visibility("acme/web", "private");
    }
}

#[test]
fn sec_s11_index_a_member_is_removed_or_gets_another_role() {
    let house = house();
    let max = hold(&house, of("max"));
    max.may(&house, ALL);
    house.member("acme", "max", "writer");
    max.may(&house, "pull push");
    house.member("acme", "max", "reader");
    max.may(&house, "pull");
    house.leave("acme", "max");
    max.may(&house, "");
    house.member("acme", "max", "maintainer");
    // It comes back just so: who may is decided at each request.
    max.may(&house, ALL);
}

#[test]
fn sec_s11_index_an_account_is_disabled_or_removed() {
    let house = house();
    let olga = hold(&house, of("olga"));
    let token = hold(&house, basic("olga", &house.token("olga", &Value::Null)));
    let session = house.session("olga");
    let ask = || {
        let cookie = format!("layerhouse_session={session}");
        let client = house.server.client;
        client
            .send("GET", "/api/v1/me", &[("Cookie", &*cookie)], b"")
            .status
    };
    assert_eq!(ask(), 200);
    house.disable("olga", true);
    olga.is_over(&house);
    token.is_over(&house);
    assert_eq!(ask(), 401);
    house.disable("olga", false);
    token.may(&house, ALL);
    // An organization keeps an owner.
    house.member("acme", "max", "owner");
    house.rule("DELETE", "/users/olga", &Value::Null, 204);
    olga.is_over(&house);
    token.is_over(&house);
    assert_eq!(ask(), 401);
    // Who is called so next is somebody else.
    house.user("olga");
    assert_eq!(house.rights(&of("olga"), "acme/web"), "");
    for authorization in [&olga.access, &olga.renewed, &token.shown, &token.access] {
        assert_eq!(house.send("GET", "/v2/", authorization, b"").status, 401);
    }
}

#[test]
fn sec_s11_index_a_token_is_revoked_or_ends() {
    let house = house();
    let (secret, id) = house.token_with_id("olga", &limit("acme/*", &["pull", "push", "delete"]));
    let token = hold(&house, basic("olga", &secret));
    let other = hold(&house, basic("olga", &house.token("olga", &Value::Null)));
    token.may(&house, ALL);
    house.rule(
        "DELETE",
        &format!("/users/olga/tokens/{id}"),
        &Value::Null,
        204,
    );
    token.is_over(&house);
    other.may(&house, ALL);
    hold(&house, of("olga")).may(&house, ALL);
}

#[test]
fn sec_s11_index_a_robot_loses_its_secret_or_goes() {
    let house = house();
    let secret = house.robot("acme", "ci", "maintainer");
    let first = hold(&house, basic("acme+ci", &secret));
    first.may(&house, ALL);
    let path = "/namespaces/acme/robots/ci";
    // In the same millisecond, of which ids are made.
    let renewed = house.rule("POST", &format!("{path}/secret"), &json!({}), 201);
    first.is_over(&house);
    let second = super::house::text(&renewed["secret"]);
    let second = hold(&house, basic("acme+ci", &second));
    second.may(&house, ALL);
    house.rule("DELETE", path, &Value::Null, 204);
    second.is_over(&house);
}

#[test]
fn sec_s11_index_a_grant_or_a_team_goes() {
    let house = house();
    house.team("acme", "web");
    house.join("acme", "web", "otto");
    let given = house.grant("acme", "acme/web", "maintainer", ("account", "otto"));
    // Issued while all of it was allowed.
    let otto = hold(&house, of("otto"));
    otto.may(&house, ALL);
    let path = format!("/namespaces/acme/grants/{}", super::house::text(&given));
    house.rule("DELETE", &path, &Value::Null, 204);
    otto.may(&house, "");
    let team = "/organizations/acme/teams/web";
    let member = format!("{team}/members/otto");
    // What is granted, and what takes it back.
    for pattern in ["acme/*", "acme/web"] {
        let id = house.grant("acme", pattern, "maintainer", ("team", "web"));
        otto.may(&house, ALL);
        house.rule("DELETE", &member, &Value::Null, 204);
        otto.may(&house, "");
        house.join("acme", "web", "otto");
        otto.may(&house, ALL);
        let path = format!("/namespaces/acme/grants/{}", super::house::text(&id));
        house.rule("DELETE", &path, &Value::Null, 204);
        otto.may(&house, "");
    }
    house.grant("acme", "acme/other", "maintainer", ("team", "web"));
    otto.may(&house, "");
    house.grant("acme", "acme/web", "writer", ("team", "web"));
    otto.may(&house, "pull push");
    house.rule("DELETE", team, &Value::Null, 204);
    otto.may(&house, "");
    house.grant("acme", "acme/web", "reader", ("account", "otto"));
    otto.may(&house, "pull");
}

#[test]
fn sec_s11_index_a_repository_is_hidden() {
    let house = house();
    house.visibility("acme/web", "public");
    let nobody = house.access("", &[SCOPE]);
    let otto = hold(&house, of("otto"));
    let narrow = house.token("olga", &limit("otto/*", &["pull"]));
    let narrow = house.access(&basic("olga", &narrow), &[SCOPE]);
    let check = |expected: &str| {
        for (name, authorization) in [
            ("nobody", ""),
            ("nobody's token", &nobody),
            ("a token for elsewhere", &narrow),
        ] {
            assert_eq!(house.rights(authorization, "acme/web"), expected, "{name}");
        }
    };
    otto.may(&house, "pull");
    check("pull");
    house.visibility("acme/web", "private");
    otto.may(&house, "");
    check("");
    house.visibility("acme/web", "public");
    otto.may(&house, "pull");
    check("pull");
}

#[test]
fn sec_s11_index_an_administrator_is_none_any_more() {
    let house = house();
    house.user("anna");
    let path = "/users/anna";
    house.rule("PATCH", path, &json!({"is_admin": true}), 200);
    let anna = hold(&house, of("anna"));
    anna.may(&house, ALL);
    let manages = || {
        house
            .try_ask("GET", "/users", &of("anna"), &Value::Null)
            .status
    };
    assert_eq!(manages(), 200);
    house.rule("PATCH", path, &json!({"is_admin": false}), 200);
    anna.may(&house, "");
    assert_eq!(manages(), 403);
}

/// Another password ends what was signed in with the old one; access tokens end by themselves.
#[test]
fn sec_s11_index_a_password_is_changed() {
    let house = house();
    let olga = hold(&house, of("olga"));
    let session = house.session("olga");
    let change = json!({ "password": "another password" });
    house.rule("PUT", "/users/olga/password", &change, 204);
    assert_eq!(house.send("GET", "/v2/", &of("olga"), b"").status, 401);
    assert_eq!(house.redeem(&olga.refresh, SCOPE).status, 401);
    assert_eq!(house.send("GET", "/v2/", &olga.renewed, b"").status, 401);
    let session = bearer(&session);
    let answer = house.try_ask("GET", "/me", &session, &Value::Null);
    assert_eq!(answer.status, 401);
    house.server.advance(Duration::from_mins(5));
    assert_eq!(house.send("GET", "/v2/", &olga.access, b"").status, 401);
}

/// It stays so over a restart, which forgets all that was remembered.
#[test]
fn sec_s11_index_what_was_revoked_stays_revoked() {
    let mut house = house();
    let otto = house.token("otto", &Value::Null);
    let (max, will) = (hold(&house, of("max")), hold(&house, of("will")));
    house.disable("max", true);
    house.leave("acme", "will");
    house.server.restart();
    max.is_over(&house);
    will.may(&house, "");
    assert_eq!(
        house.send("GET", "/v2/", &basic("otto", &otto), b"").status,
        200
    );
}
