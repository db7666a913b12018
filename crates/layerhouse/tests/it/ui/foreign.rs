//! S53: pages of others change nothing here, whoever their readers are.

use super::{FORMS, OWN};
use crate::auth::htpasswd::line;
use crate::harness::files;
use crate::harness::http::Client;
use crate::harness::images;
use crate::harness::server::Server;

/// What a browser says of a page that is not ours, and what a program that says nothing.
const STRANGE: [&[(&str, &str)]; 9] = [
    &[],
    &[("Origin", "http://elsewhere")],
    &[("Origin", "null")],
    &[("Origin", "https://registry")],
    &[("Origin", "http://registry:81")],
    &[("Sec-Fetch-Site", "cross-site")],
    &[("Sec-Fetch-Site", "same-site")],
    &[("Sec-Fetch-Site", "none")],
    &[
        ("Sec-Fetch-Site", "cross-site"),
        ("Origin", "http://registry"),
    ],
];

fn check(client: &Client, credentials: &[(&str, &str)]) {
    for path in FORMS {
        for strange in STRANGE {
            let mut headers = credentials.to_vec();
            headers.extend_from_slice(strange);
            headers.push(("Content-Type", "application/x-www-form-urlencoded"));
            let form = b"tag=v1&lang=en&name=x&user=x&password=x";
            let answer = client.send("POST", path, &headers, form);
            assert_eq!(answer.status, 403, "{path} {strange:?}");
            assert_eq!(answer.header("set-cookie"), None, "{path} {strange:?}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
            assert!(
                answer.text().contains("CROSS_SITE"),
                "{path}: {}",
                answer.text()
            );
        }
        // From our own page it is another matter, whatever it says.
        let mut headers = credentials.to_vec();
        headers.extend_from_slice(&OWN);
        let answer = client.send("POST", path, &headers, b"");
        assert!(!answer.text().contains("CROSS_SITE"), "{path}");
    }
}

#[test]
fn sec_s53_an_open_registry() {
    let server = Server::start();
    images::push_image(&server.client, "acme/web", "v1", "layer");
    check(&server.client, &[]);
    let tags = server.client.get("/v2/acme/web/tags/list").text();
    assert!(tags.contains("v1"), "{tags}");
}

#[test]
fn sec_s53_a_password_that_the_browser_remembers() {
    let users = files::quick_directory();
    let path = users.path().join("htpasswd");
    std::fs::write(&path, line("ann", "open sesame")).unwrap();
    let configuration = format!("auth: {{htpasswd: {{realm: r, path: {}}}}}", path.display());
    let server = Server::configured(&configuration);
    let authorization = crate::auth::basic("ann", "open sesame");
    check(&server.client, &[("Authorization", &authorization)]);
}

#[test]
fn sec_s53_a_session() {
    let house = crate::index::house::House::new();
    house.push("acme/web", "v1", "layer");
    let cookie = format!("layerhouse_session={}", house.session("olga"));
    // `SameSite=Strict` keeps it from most of these; ports of one host are one site.
    check(&house.server.client, &[("Cookie", &cookie)]);
    let about = house.rule(
        "GET",
        "/repositories/acme/web",
        &serde_json::Value::Null,
        200,
    );
    assert_eq!(about["visibility"], "private");
}
