//! S53: pages of others change nothing here, whoever their readers are.

use super::{FORMS, OWN, PAGE};
use crate::auth::basic;
use crate::auth::htpasswd::line;
use crate::harness::files;
use crate::harness::http::Client;
use crate::harness::images;
use crate::harness::server::Server;
use crate::index::house::House;

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
    let authorization = basic("ann", "open sesame");
    check(&server.client, &[("Authorization", &authorization)]);
}

#[test]
fn sec_s53_a_session() {
    let house = House::new();
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

/// A browser keeps the session to itself where a link elsewhere led here (`SameSite=Strict`): it is asked again,
/// from a page of ours, and once.
#[test]
fn links_elsewhere_find_who_signed_in() {
    let house = House::new();
    let client = house.server.client;
    let cookie = format!("layerhouse_session={}", house.session("olga"));
    let link = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
    ];
    let asks_again = |path: &str, headers: &[(&str, &str)]| {
        let answer = client.send("GET", path, headers, b"");
        let text = answer.text();
        assert!(answer.header("content-security-policy").is_some(), "{path}");
        text.contains("http-equiv=\"refresh\" content=\"0\"")
    };
    for path in ["/ui/", "/ui/r/acme/web", "/ui/me", "/ui/nothing/of/ours"] {
        assert!(asks_again(path, &link), "{path}");
        let own = [("Sec-Fetch-Site", "same-origin"), link[1]];
        assert!(!asks_again(path, &own), "{path}: in a circle");
        let kept = [link[0], link[1], ("Cookie", &*cookie)];
        assert!(!asks_again(path, &kept), "{path}: it has the cookie");
        // What is no page, and what is asked for by one, waits for nothing.
        let part = [link[0], ("Sec-Fetch-Mode", "no-cors")];
        assert!(!asks_again(path, &part), "{path}: not a page of its own");
    }
    let open = Server::start();
    let text = open.client.send("GET", "/ui/nothing", &link, b"").text();
    assert!(
        !text.contains("http-equiv=\"refresh\""),
        "there is no session"
    );
}

/// Who shows what is wrong is told so, and not sent around.
#[test]
fn wrong_credentials_lead_to_no_circle() {
    let house = House::new();
    let session = ("Cookie", "layerhouse_session=garbage".to_owned());
    let password = ("Authorization", basic("olga", "not the password"));
    let token = ("Authorization", "Bearer a.b.c".to_owned());
    for (name, value) in [session, password, token] {
        for path in ["/ui/login", "/ui/", "/ui/help", "/ui/signup"] {
            let headers = [(name, &*value), PAGE];
            let answer = house.server.client.send("GET", path, &headers, b"");
            let next = super::location(&answer);
            assert!(!next.contains("%2Fui%2Flogin"), "{name} {path}: {next}");
            assert!(path != "/ui/login" || next.is_empty(), "{name}: {next}");
        }
    }
}
