//! S53: sessions of browsers, and whose pages may use them.

use std::time::Duration;

use serde_json::json;

use super::{PASSWORD, Who, World};

#[test]
fn sec_s53_a_cookie_signs_for_pages_of_ours_alone() {
    let world = World::new("");
    world.user("ann");
    let session = world.session("ann");
    let ask = |method: &str, path: &str, headers: &[(&str, &str)]| {
        let cookie = format!("layerhouse_session={session}");
        let mut all = vec![
            ("Cookie", cookie.as_str()),
            ("Content-Type", "application/json"),
        ];
        all.extend_from_slice(headers);
        let answer = world
            .server
            .client
            .send(method, path, &all, b"{\"full_name\": \"Ann\"}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
        answer.status
    };
    let change = |headers: &[(&str, &str)]| ask("PATCH", "/api/v1/me", headers);
    assert_eq!(change(&[]), 403);
    assert_eq!(change(&[("Origin", "http://registry")]), 200);
    assert_eq!(change(&[("Origin", "HTTP://REGISTRY")]), 200);
    assert_eq!(change(&[("Sec-Fetch-Site", "same-origin")]), 200);
    for site in ["same-site", "cross-site", "none", ""] {
        assert_eq!(change(&[("Sec-Fetch-Site", site)]), 403, "{site}");
        let both = [("Sec-Fetch-Site", site), ("Origin", "http://registry")];
        assert_eq!(change(&both), 403, "{site}");
    }
    for origin in [
        "null",
        "http://registry.evil",
        "http://registry:81",
        "https://registry",
        "registry",
        "http://registry/",
    ] {
        assert_eq!(change(&[("Origin", origin)]), 403, "{origin}");
    }
    // To look is harmless: no page of others can read the answer.
    assert_eq!(ask("GET", "/api/v1/me", &[]), 200);
    // The registry and the token service do not know what a cookie is.
    assert_eq!(ask("GET", "/v2/", &[("Origin", "http://registry")]), 401);
    world.push(&Who::User("ann"), "ann/web");
    assert_eq!(ask("GET", "/v2/ann/web/manifests/v1", &[]), 401);
    assert_eq!(
        ask(
            "DELETE",
            "/v2/ann/web/manifests/v1",
            &[("Origin", "http://registry")]
        ),
        401
    );
    // A page elsewhere signs nobody in as somebody else.
    let form = json!({ "user": "ann", "password": PASSWORD }).to_string();
    let headers = [
        ("Content-Type", "application/json"),
        ("Origin", "http://elsewhere"),
    ];
    let answer = world
        .server
        .client
        .send("POST", "/api/v1/session", &headers, form.as_bytes());
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("set-cookie"), None);
    let headers = [("Content-Type", "text/plain")];
    let answer = world
        .server
        .client
        .send("POST", "/api/v1/session", &headers, form.as_bytes());
    assert_eq!(answer.status, 415);
}

#[test]
fn sessions_end() {
    let world = World::new("");
    world.user("ann");
    let begin = || Who::Cookie(world.session("ann"), Some("http://registry"));
    let (first, second, third) = (begin(), begin(), begin());
    world.get(&first, "/me");
    world.does(&first, "DELETE", "/session", None, 204);
    world.does(&first, "GET", "/me", None, 401);
    world.get(&second, "/me");
    // Who is signed out already signs out once more.
    world.does(&first, "DELETE", "/session", None, 204);
    // Another password ends them all.
    let change = json!({ "old": PASSWORD, "new": "another good one" });
    world.does(&second, "PUT", "/me/password", Some(&change), 204);
    world.does(&third, "GET", "/me", None, 401);

    world.user("bob");
    let bob = Who::Cookie(world.session("bob"), None);
    world.get(&bob, "/me");
    world.server.advance(Duration::from_hours(13));
    world.does(&bob, "GET", "/me", None, 401);
}

#[test]
fn sessions_begin_with_a_password() {
    let world = World::new("");
    world.user("ann");
    let ann = Who::User("ann");
    let token = world.does(
        &ann,
        "POST",
        "/me/tokens",
        Some(&json!({ "name": "x" })),
        201,
    );
    for (user, password) in [
        ("ann", "wrong"),
        ("ann", ""),
        ("nobody", PASSWORD),
        ("", ""),
        ("ann", token["token"].as_str().unwrap()),
    ] {
        let form = json!({ "user": user, "password": password });
        let answer = world.send(&Who::Nobody, "POST", "/session", Some(&form));
        assert_eq!(answer.status, 401, "{user}");
        assert_eq!(answer.header("set-cookie"), None);
    }
    // Behind a proxy that speaks TLS, the cookie is for TLS alone.
    let form = json!({ "user": "ann", "password": PASSWORD }).to_string();
    let headers = [
        ("Content-Type", "application/json"),
        ("X-Forwarded-Proto", "https"),
    ];
    let answer = world
        .server
        .client
        .send("POST", "/api/v1/session", &headers, form.as_bytes());
    assert!(answer.header("set-cookie").unwrap().ends_with("; Secure"));
}
