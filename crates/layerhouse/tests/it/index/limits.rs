//! What a token is limited to holds on every way (S12); who signs in wrongly hears one thing (S14); the
//! operator's switches are behind the rights (S18).

use serde_json::{Value, json};

use super::house::{House, PASSWORD, bearer, limit, of, parsed, text};
use crate::auth::{basic, undated};
use crate::harness::http::Response;
use crate::harness::images;

/// Signs in with a name and a password; what came back.
type Way = fn(&House, &str, &str) -> Response;

fn house() -> House {
    let house = House::new();
    house.push("acme/web", "kept", "layer");
    house.push("acme/api", "kept", "other");
    house
}

/// S12: limits are not lost on the way from a token to what is issued for it.
#[test]
fn sec_s12_index_limits_hold_on_every_way() {
    const SCOPES: [&str; 3] = [
        "repository:acme/web:pull,push,delete",
        "repository:acme/api:pull,push,delete",
        "registry:catalog:*",
    ];
    let house = house();
    let secret = house.token("olga", &limit("acme/web", &["pull", "push"]));
    let shown = basic("olga", &secret);
    let refresh = house.refresh_token(&shown);
    let renewed = house.redeem(&refresh, &SCOPES.join("+"));
    let form = format!(
        "grant_type=password&service=layerhouse&client_id=x&username=olga&password={secret}&scope={}",
        SCOPES.join("+")
    );
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let client = house.server.client;
    let posted = client.send("POST", "/auth/token", &headers, form.as_bytes());
    let token = |answer: &Response| bearer(&text(&parsed(answer)["access_token"]));
    for (way, authorization) in [
        ("as a password", shown.clone()),
        ("alone", bearer(&secret)),
        ("for a token", house.access(&shown, &SCOPES)),
        ("for what Docker keeps", token(&renewed)),
        ("in a form", token(&posted)),
    ] {
        assert_eq!(
            house.rights(&authorization, "acme/web"),
            "pull push",
            "{way}"
        );
        assert_eq!(house.rights(&authorization, "acme/api"), "", "{way}");
        assert_eq!(house.rights(&authorization, "olga/new"), "", "{way}");
        let listed = house.send("GET", "/v2/_catalog", &authorization, b"");
        let listed = parsed(&listed);
        assert_eq!(listed, json!({"repositories": ["acme/web"]}), "{way}");
    }
    // Of a token for all of a namespace, and of the part that its owner may not themselves.
    let wide = house.token("rita", &limit("*", &["pull", "push", "delete"]));
    assert_eq!(house.rights(&bearer(&wide), "acme/web"), "pull");
    assert_eq!(house.rights(&bearer(&wide), "rita/new"), "pull push delete");
    assert_eq!(house.rights(&bearer(&wide), "otto/new"), "");
}

/// S12: a limited token manages nothing, whoever's it is.
#[test]
fn sec_s12_index_limited_tokens_manage_nothing() {
    let house = house();
    let whole = limit("*", &["pull", "push", "delete"]);
    let limited = bearer(&house.token("root", &whole));
    let robot = house.robot("acme", "ci", "maintainer");
    for (who, authorization) in [
        ("a token", limited),
        ("a robot", basic("acme+ci", &robot)),
        (
            "an access token",
            house.access(&of("root"), &["repository:acme/web:pull"]),
        ),
        (
            "what Docker keeps",
            bearer(&house.refresh_token(&of("root"))),
        ),
    ] {
        for (method, path, body) in [
            ("GET", "/users", Value::Null),
            (
                "POST",
                "/users",
                json!({"name": "eve", "password": PASSWORD}),
            ),
            ("PATCH", "/users/otto", json!({"is_admin": true})),
            ("POST", "/users/root/tokens", json!({"name": "more"})),
            ("POST", "/me/tokens", json!({"name": "more"})),
            ("POST", "/organizations", json!({"name": "eve"})),
            (
                "PUT",
                "/organizations/acme/members/otto",
                json!({"role": "owner"}),
            ),
            ("POST", "/namespaces/acme/robots", json!({"name": "more"})),
        ] {
            let answer = house.try_ask(method, path, &authorization, &body);
            let is_refused = matches!(answer.status, 401 | 403 | 404);
            assert!(is_refused, "{who}: {method} {path}: {}", answer.text());
        }
    }
    let users = house.rule("GET", "/users", &Value::Null, 200).to_string();
    assert!(!users.contains("eve"), "{users}");
}

/// S14: an unknown name, a wrong password, one who is disabled, and what is no password at all.
#[test]
fn sec_s14_index_a_wrong_sign_in_says_one_thing() {
    let house = house();
    house.user("dora");
    let token = house.token("dora", &Value::Null);
    let own = house.token("olga", &Value::Null);
    house.disable("dora", true);
    let robot = house.robot("acme", "ci", "reader");
    let wrong = [
        ("olga", "wrong password"),
        ("nobody", PASSWORD),
        ("nobody", "wrong password"),
        ("dora", PASSWORD),
        ("dora", "wrong password"),
        ("dora", &*token),
        ("otto", &*own),
        ("acme+ci", PASSWORD),
        ("acme+none", &*robot),
        ("olga", &*robot),
        ("olga", "lhp_none"),
        ("olga", ""),
        ("", PASSWORD),
        ("OLGA", PASSWORD),
        ("acme", PASSWORD),
        ("olga\0", PASSWORD),
        ("olga", "correct horse battery\0"),
        ("a name that cannot be one", PASSWORD),
    ];
    let ways: [(&str, Way); 6] = [
        ("/v2/", |house, user, password| {
            house.send("GET", "/v2/", &basic(user, password), b"")
        }),
        ("a pull", |house, user, password| {
            let path = "/v2/acme/web/manifests/kept";
            house.send("GET", path, &basic(user, password), b"")
        }),
        ("/auth/token", |house, user, password| {
            let scopes = ["repository:acme/web:pull"];
            house.token_answer(&basic(user, password), &scopes, "")
        }),
        ("a form", |house, user, password| {
            let encode = |text: &str| -> String {
                let add = |text, byte| format!("{text}%{byte:02x}");
                text.bytes().fold(String::new(), add)
            };
            let form = format!(
                "grant_type=password&service=layerhouse&client_id=x&username={}&password={}",
                encode(user),
                encode(password)
            );
            let place = house.place();
            let headers = [
                ("X-Forwarded-For", &*place),
                ("Content-Type", "application/x-www-form-urlencoded"),
            ];
            let client = house.server.client;
            client.send("POST", "/auth/token", &headers, form.as_bytes())
        }),
        ("the API", |house, user, password| {
            house.send("GET", "/api/v1/me", &basic(user, password), b"")
        }),
        ("a session", |house, user, password| {
            let form = json!({ "user": user, "password": password }).to_string();
            let place = house.place();
            let headers = [
                ("X-Forwarded-For", &*place),
                ("Content-Type", "application/json"),
            ];
            let client = house.server.client;
            client.send("POST", "/api/v1/session", &headers, form.as_bytes())
        }),
    ];
    for (way, ask) in ways {
        let expected = undated(ask(&house, "olga", "another wrong password"));
        assert_eq!(expected.status, 401, "{way}: {}", expected.text());
        for (user, password) in wrong {
            let answer = undated(ask(&house, user, password));
            assert_eq!(answer, expected, "{way}: {user:?} {password:?}");
        }
        let right = ask(&house, "olga", PASSWORD);
        assert!(
            (200..300).contains(&right.status),
            "{way}: {}",
            right.text()
        );
    }
}

/// S18: who may not delete learns nothing of the switch; who may is told.
#[test]
fn sec_s18_index_the_switches_come_after_the_rights() {
    let mut house = house();
    let digest = images::digest("layer");
    let paths = [
        "/v2/acme/web/manifests/kept".to_owned(),
        format!("/v2/acme/web/blobs/{digest}"),
    ];
    let narrow = house.token("olga", &limit("acme/web", &["pull", "push"]));
    let deletes = house.token("max", &limit("acme/web", &["delete"]));
    let switches = [
        ("storage: {delete: {enabled: false}}", "DELETE"),
        (
            "storage: {delete: {enabled: true}, maintenance: {readonly: {enabled: true}}}",
            "DELETE",
        ),
    ];
    for (switch, method) in switches {
        house
            .server
            .reconfigure(&format!("layerhouse: {{index: {{}}}}\n{switch}"));
        for path in &paths {
            for (who, authorization, status) in [
                ("nobody", String::new(), 401),
                ("otto", of("otto"), 401),
                ("rita", of("rita"), 401),
                ("will", of("will"), 401),
                ("a narrow token", basic("olga", &narrow), 401),
                ("max", of("max"), 405),
                ("a token to delete", basic("max", &deletes), 405),
                ("olga", of("olga"), 405),
                ("root", of("root"), 405),
            ] {
                let answer = house.send(method, path, &authorization, b"");
                assert_eq!(answer.status, status, "{who}: {switch}");
            }
            assert_eq!(house.send("HEAD", path, &of("rita"), b"").status, 200);
        }
    }
    // Nor is a push a way around it.
    for (who, authorization, status) in [
        ("rita", of("rita"), 401),
        ("will", of("will"), 405),
        ("root", of("root"), 405),
    ] {
        let answer = house.send("PUT", "/v2/acme/web/manifests/kept", &authorization, b"{}");
        assert_eq!(answer.status, status, "{who}");
    }
}
