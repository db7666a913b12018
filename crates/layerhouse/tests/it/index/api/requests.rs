//! Requests of other forms than the API's: each is refused for what it is, before anything is done.

use serde_json::json;

use super::{ROOT, Who, World};

#[test]
fn paths_and_methods() {
    let world = World::new("");
    let check = |method: &str, path: &str, status: u16, allow: Option<&str>| {
        let answer = world.server.client.send(method, path, &[], b"");
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    };
    check("GET", "/api/v1", 200, None);
    check("HEAD", "/api/v1", 200, None);
    check("GET", "/api/v1/", 200, None);
    check("GET", "/api/v1//", 404, None);
    check("GET", "/api/v1x", 404, None);
    check("GET", "/api/v1/nothing", 404, None);
    check("GET", "/api/v1//users", 404, None);
    check("GET", "/api/v1/users/", 404, None);
    check("GET", "/api/v1/users/%ff", 404, None);
    check("DELETE", "/api/v1", 405, Some("GET, HEAD"));
    check("PUT", "/api/v1/users", 405, Some("POST, GET, HEAD"));
    check(
        "POST",
        "/api/v1/repositories/acme/web",
        405,
        Some("GET, PATCH, DELETE, HEAD"),
    );
    check("OPTIONS", "/api/v1/users", 405, Some("POST, GET, HEAD"));
    check("GET", "/api/v1/repositories/acme/-/-/access", 404, None);
}

#[test]
fn bodies() {
    let world = World::new("");
    let user = json!({ "name": "ann", "password": super::PASSWORD }).to_string();
    let send = |media_type: Option<&str>, body: &[u8]| {
        let mut headers = ROOT.headers();
        headers.extend(media_type.map(|text| ("Content-Type".to_owned(), text.to_owned())));
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        let answer = world
            .server
            .client
            .send("POST", "/api/v1/users", &headers, body);
        world.description.check("POST", "/users", &answer);
        // What was sent may be a password.
        assert!(!answer.text().contains("hunter2"), "{}", answer.text());
        answer.status
    };
    let json_type = Some("application/json");
    assert_eq!(send(None, user.as_bytes()), 415);
    assert_eq!(send(Some("text/plain"), user.as_bytes()), 415);
    assert_eq!(send(json_type, b""), 400);
    assert_eq!(send(json_type, b"{\"name\": \"ann\""), 400);
    assert_eq!(send(json_type, b"\xff"), 400);
    assert_eq!(send(json_type, b"[]"), 422);
    assert_eq!(send(json_type, b"{}"), 422);
    assert_eq!(
        send(json_type, b"{\"name\": \"hunter2\", \"password\": 1}"),
        422
    );
    assert_eq!(
        send(
            json_type,
            b"{\"name\": \"ann\", \"password\": [\"hunter2\"]}"
        ),
        422
    );
    assert_eq!(
        send(json_type, b"{\"name\": \"ann\", \"name\": \"bob\"}"),
        422
    );
    assert_eq!(
        send(json_type, b"{\"name\": \"ann\", \"password\": \"hunter2\"}"),
        422
    );
    let large = format!("{{\"name\": \"{}\"}}", "a".repeat(1 << 20));
    assert_eq!(send(json_type, large.as_bytes()), 413);
    let deep = "[".repeat(100_000);
    assert_eq!(send(json_type, deep.as_bytes()), 422);
    assert_eq!(
        send(Some("application/json; charset=utf-8"), user.as_bytes()),
        201
    );
}

#[test]
fn queries() {
    let world = World::new("");
    for name in ["ann", "bob", "cat"] {
        world.user(name);
    }
    let names = |query: &str| {
        let page = world.get(&ROOT, &format!("/users?{query}"));
        let names: Vec<_> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["name"].as_str().unwrap().to_owned())
            .collect();
        (names.join(" "), page["next"].as_str().map(str::to_owned))
    };
    assert_eq!(names(""), ("ann bob cat root".to_owned(), None));
    assert_eq!(names("n=2"), ("ann bob".to_owned(), Some("bob".to_owned())));
    assert_eq!(names("n=2&after=bob"), ("cat root".to_owned(), None));
    assert_eq!(names("after=root"), (String::new(), None));
    for query in [
        "n=0",
        "n=1000",
        "n=-1",
        "n=x",
        "n=",
        "n=1&n=2",
        "sort=password",
        "after=a&after=b",
    ] {
        world.does(&ROOT, "GET", &format!("/users?{query}"), None, 422);
    }
    world.does(&ROOT, "GET", "/audit?after=x", None, 422);
}

/// No answer is kept, guessed at or framed by a browser.
#[test]
fn sec_s52_s53_headers_of_every_answer() {
    let world = World::new("");
    let paths = [
        ("GET", "", 200),
        ("GET", "/me", 401),
        ("GET", "/none", 404),
        ("DELETE", "", 405),
    ];
    for (method, path, status) in paths {
        let answer = world.send(&Who::Nobody, method, path, None);
        assert_eq!(answer.status, status);
        let expected = [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'",
            ),
            ("referrer-policy", "no-referrer"),
        ];
        for (name, value) in expected {
            assert_eq!(answer.header(name), Some(value), "{method} {path}");
        }
    }
}

/// Where there is no index, there is nothing.
#[test]
fn without_an_index_there_is_no_api() {
    let server = crate::harness::server::Server::start();
    let answer = server.client.get("/api/v1");
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("cache-control"), None);
}
