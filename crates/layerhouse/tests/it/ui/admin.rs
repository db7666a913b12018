//! Pages of administration: what administrators see and do there, and that others do not.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{OWN, PAGE, location};
use crate::harness::http::Response;
use crate::harness::images;
use crate::harness::server::Server;
use crate::index::house::{House, bearer};

/// Every page, and a word of ours that it must have.
const PAGES: [(&str, &str); 18] = [
    ("", "All is well"),
    ("/users", "olga"),
    ("/users/olga", "Delete the user"),
    ("/robots", "acme+ci"),
    ("/organizations", "acme"),
    ("/invitations", "No invitation is open"),
    ("/access", "Repositories without a slash"),
    ("/storage", "Who uses the disk"),
    ("/collection", "Collect now"),
    ("/retention", "The configuration has no policies"),
    ("/deleted", "Nothing was deleted"),
    ("/scrub", "There was no pass yet"),
    ("/mirrors", "No mirror is configured"),
    ("/audit", "user.create"),
    ("/health", "Plain HTTP is spoken"),
    ("/doctor", "Nothing is wrong"),
    ("/config", "Filter as you type"),
    ("/config?all=yes", "storage.delete.enabled"),
];

fn look(house: &House, path: &str, authorization: &str) -> Response {
    let path = format!("/ui/admin{path}");
    let headers = [PAGE, ("Authorization", authorization)];
    let headers = if authorization.is_empty() {
        &headers[..1]
    } else {
        &headers
    };
    house.server.client.send("GET", &path, headers, b"")
}

/// What an administrator sees.
#[track_caller]
fn page(house: &House, path: &str) -> String {
    let answer = look(house, path, &house.root);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.text()
}

fn send(house: &House, path: &str, authorization: &str, form: &str) -> Response {
    let path = format!("/ui/admin{path}");
    let mut headers = vec![
        PAGE,
        ("Authorization", authorization),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    headers.extend(OWN);
    let client = house.server.client;
    client.send("POST", &path, &headers, form.as_bytes())
}

/// What an administrator does, and where that leads.
#[track_caller]
fn does(house: &House, path: &str, form: &str, to: &str) {
    let answer = send(house, path, &house.root, form);
    assert_eq!(answer.status, 303, "{path}: {}", answer.text());
    assert_eq!(location(&answer), format!("/ui/admin{to}"));
}

/// What an administrator is refused, in words.
#[track_caller]
fn refused(house: &House, path: &str, form: &str, status: u16, words: &str) {
    let answer = send(house, path, &house.root, form);
    let text = answer.text();
    assert_eq!(answer.status, status, "{path}: {text}");
    assert!(
        text.contains("role=\"alert\"") && text.contains(words),
        "{text}"
    );
}

fn with_a_robot() -> House {
    let house = House::new();
    let robot = json!({ "name": "ci" });
    house.rule("POST", "/namespaces/acme/robots", &robot, 201);
    house
}

#[test]
fn administrators_see_every_page_and_nobody_else_does() {
    let house = with_a_robot();
    let otto = bearer(&house.token("otto", &Value::Null));
    for (path, word) in PAGES {
        let text = page(&house, path);
        assert!(text.contains(word), "{path} has no {word}: {text}");
        let answer = look(&house, path, &otto);
        assert_eq!(answer.status, 403, "{path}");
        assert!(!answer.text().contains(word), "{path}");
        let answer = look(&house, path, "");
        assert_eq!(answer.status, 303, "{path}");
        assert!(location(&answer).starts_with("/ui/login?next="), "{path}");
        for authorization in [&*otto, ""] {
            let answer = send(&house, path, authorization, "do=enable&repository=acme/web");
            assert!([401, 403, 405].contains(&answer.status), "{path}");
        }
    }
    assert_eq!(look(&house, "/none", &house.root).status, 404);
    assert_eq!(look(&house, "/users/nobody", &house.root).status, 404);
}

#[test]
fn without_accounts_there_is_no_administration() {
    let server = Server::start();
    for path in ["", "/users", "/none"] {
        let answer = server
            .client
            .send("GET", &format!("/ui/admin{path}"), &[PAGE], b"");
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains("This registry has no accounts"));
    }
}

#[test]
fn users_are_made_changed_and_deleted() {
    let house = House::new();
    let form = "name=vera&full_name=Vera+%3Cb%3E&email=&password=correct+horse+battery";
    does(&house, "/users", form, "/users?said=admin_user_made");
    refused(&house, "/users", form, 409, "vera");
    let text = page(&house, "/users?filter=ve");
    assert!(text.contains("Vera &#60;b&#62;"), "{text}");
    assert!(!text.contains(">olga<"), "{text}");
    assert!(page(&house, "/users?filter=olga").contains(">olga<"));
    assert!(page(&house, "/users?filter=zzz").contains("Nobody is called so"));

    let said = "/users/vera?said=admin_user_changed";
    let find = || house.rule("GET", "/users/vera", &Value::Null, 200);
    for (deed, field, is) in [
        ("disable", "is_disabled", true),
        ("enable", "is_disabled", false),
        ("raise", "is_admin", true),
        ("lower", "is_admin", false),
    ] {
        does(&house, "/users/vera", &format!("do={deed}"), said);
        assert_eq!(find()[field], is, "{deed}");
    }
    let form = "do=password&password=another+horse+battery";
    let to = "/users/vera?said=admin_password_set";
    does(&house, "/users/vera", form, to);
    refused(
        &house,
        "/users/vera",
        "do=password&password=x",
        422,
        "password",
    );
    refused(
        &house,
        "/users/vera",
        "do=delete&name=olga",
        422,
        "type the name",
    );
    does(
        &house,
        "/users/vera",
        "do=delete&name=vera",
        "/users?said=admin_user_deleted",
    );
    house.rule("GET", "/users/vera", &Value::Null, 404);
}

#[test]
fn organizations_robots_and_invitations() {
    let house = with_a_robot();
    let form = "name=umbra&description=dark&owner=otto";
    let to = "/organizations?said=admin_organization_made";
    does(&house, "/organizations", form, to);
    refused(&house, "/organizations", form, 409, "umbra");
    assert!(page(&house, "/organizations").contains("umbra"));

    let to = "/robots?said=admin_robot_changed";
    does(&house, "/robots", "robot=acme%2Bci&do=disable", to);
    assert!(page(&house, "/robots?namespace=acme").contains("disabled"));

    // The code is shown once, and nobody keeps that page.
    let answer = send(
        &house,
        "/invitations",
        &house.root,
        "email=v@example.com&days=7",
    );
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let text = answer.text();
    let code = text
        .split("<code>")
        .nth(1)
        .and_then(|rest| rest.split('<').next());
    let code = code.expect("a code").to_owned();
    assert!(!page(&house, "/invitations").contains(&code));
    let open = house.rule("GET", "/invitations", &Value::Null, 200);
    assert_eq!(open["items"][0]["expires_at"], "2027-01-22T08:00:00Z");
    let id = open["items"][0]["id"].as_str().unwrap();
    let to = "/invitations?said=admin_invitation_revoked";
    does(&house, "/invitations", &format!("revoke={id}"), to);
    assert!(page(&house, "/invitations").contains("No invitation is open"));
}

#[test]
fn questions_about_access_are_answered() {
    let house = House::new();
    house.push("acme/web", "v1", "layer");
    let ask = |account: &str, action: &str| {
        page(
            &house,
            &format!("/access?account={account}&action={action}&repository=acme/web"),
        )
    };
    let text = ask("will", "push");
    assert!(text.contains("They are writer of acme"), "{text}");
    assert!(text.contains("</svg> Yes"), "{text}");
    let text = ask("otto", "pull");
    assert!(
        text.contains(">No<") && text.contains("Nothing gives them"),
        "{text}"
    );
    let answer = look(
        &house,
        "/access?account=none&repository=acme/none",
        &house.root,
    );
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("role=\"alert\""));

    let form = "pattern=nginx&who=otto&role=writer";
    does(&house, "/access", form, "/access?said=admin_grant_made");
    let text = page(&house, "/access");
    assert!(text.contains("nginx") && text.contains("otto"), "{text}");
    let grants = house.rule("GET", "/grants", &Value::Null, 200);
    let id = grants["items"][0]["id"].as_str().unwrap();
    let to = "/access?said=admin_grant_revoked";
    does(&house, "/access", &format!("revoke={id}"), to);
    assert!(page(&house, "/access").contains("Nobody has a grant"));
}

#[test]
fn runs_run() {
    let house = House::configured("", "storage: { delete: { enabled: true } }");
    house.push("acme/web", "v1", "layer");
    let text = page(&house, "/collection");
    assert!(text.contains("Nothing would go"), "{text}");
    house.rule("DELETE", "/repositories/acme/web", &Value::Null, 204);
    let text = page(&house, "/deleted");
    assert!(text.contains("acme/web"), "{text}");
    let to = "/deleted?said=admin_repository_back";
    does(&house, "/deleted", "repository=acme/web", to);
    house.rule("GET", "/repositories/acme/web", &Value::Null, 200);

    // The plan is made as the run is, and the run is compared with it.
    house.rule("DELETE", "/repositories/acme/web", &Value::Null, 204);
    let text = page(&house, "/collection?empty_trash=yes&now=yes");
    assert!(
        text.contains("name=\"empty_trash\" value=\"yes\" checked"),
        "{text}"
    );
    let answer = send(
        &house,
        "/collection",
        &house.root,
        "empty_trash=yes&now=yes",
    );
    assert_eq!(answer.status, 303, "{}", answer.text());
    let to = location(&answer).strip_prefix("/ui/admin").unwrap();
    assert!(
        to.starts_with("/collection?said=admin_collected&planned=1."),
        "{to}"
    );
    let text = page(&house, to);
    assert!(text.contains("beside its plan"), "{text}");
    let state = house.rule("GET", "/collection", &Value::Null, 200);
    assert_eq!(state["last"]["manifests"], 1);
    let events = house.rule("GET", "/audit", &Value::Null, 200);
    assert_eq!(events["items"][0]["action"], "collection.run");
    assert_eq!(events["items"][0]["actor"], "root");
    assert!(page(&house, "/audit?actor=root").contains("collection.run"));

    does(
        &house,
        "/scrub",
        "repository=",
        "/scrub?said=admin_scrub_begun",
    );
    let began = Instant::now();
    while !page(&house, "/scrub").contains("ended") {
        assert!(began.elapsed() < Duration::from_secs(20), "no pass ends");
        house.server.advance(Duration::from_secs(1));
        std::thread::sleep(Duration::from_millis(5));
    }
    refused(&house, "/scrub", "repository=acme/none", 404, "acme/none");

    let to = "/retention?said=admin_retained&done=0.0.0";
    does(&house, "/retention", "repository=", to);
    assert!(page(&house, to).contains("0 tags and 0 manifests went"));
    refused(&house, "/mirrors", "do=warm&reference=x", 404, "mirror");
}

#[test]
fn what_is_stored_is_drawn() {
    let house = House::new();
    house.push("acme/web", "v1", "layer");
    assert!(page(&house, "/storage").contains("measured once an hour"));
    let began = Instant::now();
    let mut text = String::new();
    while !text.contains("class=\"picture line\"") {
        assert!(began.elapsed() < Duration::from_secs(20), "{text}");
        house.server.advance(Duration::from_mins(30));
        std::thread::sleep(Duration::from_millis(5));
        text = page(&house, "/storage");
    }
    assert!(text.contains("class=\"picture treemap\""), "{text}");
    assert!(text.contains("/ui/n/acme\">acme</a>"), "{text}");
    assert!(!text.contains("style="), "{text}");
}

/// S50
#[test]
fn sec_s50_pages_show_no_secret() {
    let house = House::configured(
        "",
        "redis: { password: canary }
notifications: { endpoints: [{ name: a, url: 'http://u:canary@127.0.0.1:9/?k=canary', disabled: true, headers: { Authorization: [canary] } }] }",
    );
    for path in ["/config", "/config?all=yes", "/health", "/doctor", ""] {
        let text = page(&house, path);
        assert!(!text.contains("canary"), "{path}: {text}");
    }
    assert!(page(&house, "/config").contains("&#60;hidden&#62;"));
}

#[test]
fn pages_speak_chinese() {
    let house = with_a_robot();
    for (path, word) in [
        ("", "一切正常"),
        ("/users", "用户"),
        ("/storage", "空间占用分布"),
    ] {
        let lang = if path.contains('?') { '&' } else { '?' };
        let text = page(&house, &format!("{path}{lang}lang=zh-CN"));
        assert!(text.contains(word), "{text}");
        assert!(text.contains("<html lang=\"zh-CN\""), "{text}");
    }
}

#[test]
fn clients_are_helped() {
    let server = Server::start();
    images::push_image(&server.client, "acme/web", "v1", "layer");
    let help = |path: &str| {
        let answer = server
            .client
            .send("GET", &format!("/ui/help{path}"), &[PAGE], b"");
        assert_eq!(answer.status, 200, "{path}");
        answer.text()
    };
    let contents = help("");
    for client in [
        "docker",
        "podman",
        "nerdctl",
        "containerd",
        "kubernetes",
        "k3s",
        "cri-o",
        "buildx",
        "skopeo",
        "crane",
        "helm",
        "oras",
        "cosign",
        "github-actions",
        "mirror",
        "close",
    ] {
        assert!(
            contents.contains(&format!("/ui/help/{client}\"")),
            "{client}"
        );
        let text = help(&format!("/{client}"));
        // The host that was asked stands in the commands.
        assert!(text.contains("registry"), "{client}: {text}");
        for place in ["{host}", "{url}", "{space}", "{name}", "{plain_http}"] {
            assert!(!text.contains(place), "{client}: {text}");
        }
        // Code is the same in every language.
        let codes = |text: &str| -> Vec<String> {
            let parts = text.split("<code>").skip(1);
            parts
                .map(|part| part.split("</code>").next().unwrap().to_owned())
                .collect()
        };
        let chinese = help(&format!("/{client}?lang=zh"));
        assert_ne!(chinese, text, "{client}");
        assert_eq!(codes(&chinese), codes(&text), "{client}");
    }
    assert!(help("/docker").contains("insecure-registries"));
    // Behind TLS nobody is told to do without.
    let headers = [PAGE, ("X-Forwarded-Proto", "https")];
    let safe = Server::configured("http: { host: 'https://registry.example.com' }");
    let answer = safe.client.send("GET", "/ui/help/docker", &headers, b"");
    assert!(!answer.text().contains("insecure-registries"));
    assert!(answer.text().contains("registry.example.com/demo/nginx"));
    let answer = server.client.send("GET", "/ui/help/none", &[PAGE], b"");
    assert_eq!(answer.status, 404);
}
