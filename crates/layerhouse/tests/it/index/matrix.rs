//! S02, S12: every request of the registry, by every kind of caller, on what is public, private and not there,
//! against what the caller's role may do.

use std::collections::BTreeSet;

use serde_json::Value;

use super::house::{House, PASSWORD, bearer, limit, of};
use crate::auth::basic;
use crate::auth::service::{Signer, claims, on};
use crate::harness::endpoints::{self, Endpoint};
use crate::harness::images;

const PUBLIC: &str = "acme/public";
const PRIVATE: &str = "acme/private";
/// Nobody pushes there: what is tried is refused for other reasons.
const MISSING: &str = "acme/missing";

/// What a caller may do in the three repositories, in scopes' words.
type Rights = [&'static str; 3];

const NOTHING: Rights = ["", "", ""];
const SEES_PUBLIC: Rights = ["pull", "", ""];
const READS: Rights = ["pull"; 3];
const WRITES: Rights = ["pull push"; 3];
const MAINTAINS: Rights = ["pull push delete"; 3];

/// Somebody who asks.
struct Kind {
    name: String,
    authorization: String,
    cookie: Option<String>,
    rights: Rights,
    /// Each try costs a password's hash: one repository will do.
    is_dear: bool,
}

fn kind(name: impl Into<String>, authorization: impl Into<String>, rights: Rights) -> Kind {
    Kind {
        name: name.into(),
        authorization: authorization.into(),
        cookie: None,
        rights,
        is_dear: false,
    }
}

/// A house with something public and something private in it.
fn house() -> House {
    let house = House::configured("tokens: {services: [other]}", "");
    for (repository, layer) in [(PUBLIC, "shown"), (PRIVATE, "hidden")] {
        house.push(repository, "kept", layer);
    }
    house.visibility(PUBLIC, "public");
    house
}

/// Requests that change nothing, whoever sends them: for what is nowhere.
fn endpoints() -> Vec<Endpoint> {
    let digest = images::digest("nowhere");
    endpoints::of(&digest, &digest)
}

/// Compares what is answered with the table, request by request.
fn check(house: &House, kinds: &[Kind]) {
    let mut tries = 0;
    for kind in kinds {
        let places = [PUBLIC, PRIVATE, MISSING].into_iter().zip(kind.rights);
        for (repository, rights) in places.take(if kind.is_dear { 1 } else { 3 }) {
            let rights: BTreeSet<_> = rights.split(' ').collect();
            for endpoint in endpoints() {
                let place = house.place();
                let mut headers = vec![("X-Forwarded-For", &*place)];
                if !kind.authorization.is_empty() {
                    headers.push(("Authorization", &kind.authorization));
                }
                if let Some(cookie) = &kind.cookie {
                    headers.push(("Cookie", cookie));
                }
                let path = endpoint.path(repository);
                let client = house.server.client;
                let answer = client.send(endpoint.method, &path, &headers, b"");
                let may = endpoint.needed.iter().all(|right| rights.contains(right));
                let name = &kind.name;
                let shown = format!("{name}: {} {path}: {}", endpoint.method, answer.status);
                assert!(answer.status < 500, "{shown}");
                assert_ne!(answer.status, 403, "{shown}");
                assert_eq!(answer.status != 401, may, "{shown}");
                tries += 1;
            }
        }
    }
    assert!(tries != 0);
}

#[test]
fn sec_s02_index_passwords_and_tokens() {
    let house = house();
    let robot = house.robot("acme", "ci", "writer");
    let strange = house.robot("otto", "ci", "writer");
    let narrow = limit(PRIVATE, &["pull", "push"]);
    let narrow = house.token("olga", &narrow);
    let idle = house.token("olga", &limit("otto/*", &["pull", "push", "delete"]));
    let mut kinds = vec![
        kind("nobody", "", SEES_PUBLIC),
        kind("nobody, as podman says it", basic("", ""), SEES_PUBLIC),
        kind("otto, to whom all is strange", of("otto"), SEES_PUBLIC),
        kind("rita, reader", of("rita"), READS),
        kind("will, writer", of("will"), WRITES),
        kind("max, maintainer", of("max"), MAINTAINS),
        kind("olga, owner", of("olga"), MAINTAINS),
        kind("root, administrator", of("root"), MAINTAINS),
        kind("root's token", &*house.root, MAINTAINS),
        kind("a robot", basic("acme+ci", &robot), WRITES),
        kind("a robot's secret alone", bearer(&robot), WRITES),
        kind("another's robot", basic("otto+ci", &strange), SEES_PUBLIC),
        kind(
            "a robot's secret under another name",
            basic("olga", &robot),
            NOTHING,
        ),
        kind(
            "a token for one repository",
            basic("olga", &narrow),
            ["pull", "pull push", ""],
        ),
        kind("the same alone", bearer(&narrow), ["pull", "pull push", ""]),
        kind("a token for elsewhere", basic("olga", &idle), SEES_PUBLIC),
        kind(
            "a token under another name",
            basic("root", &narrow),
            NOTHING,
        ),
    ];
    for (name, _) in super::house::MEMBERS {
        let token = house.token(name, &Value::Null);
        let rights = match name {
            "rita" => READS,
            "will" => WRITES,
            _ => MAINTAINS,
        };
        kinds.push(kind(format!("{name}'s token"), basic(name, &token), rights));
    }
    check(&house, &kinds);
}

#[test]
fn sec_s02_index_what_is_not_good_opens_nothing() {
    let house = house();
    let refresh = house.refresh_token(&of("olga"));
    let session = house.session("olga");
    house.user("dora");
    house.member("acme", "dora", "maintainer");
    let token = house.token("dora", &Value::Null);
    let issued = house.access(&of("dora"), &[&format!("repository:{PUBLIC}:pull,push")]);
    house.disable("dora", true);
    let elsewhere = house.send(
        "GET",
        &format!("/auth/token?service=other&scope=repository:{PUBLIC}:pull"),
        &of("olga"),
        b"",
    );
    let elsewhere = super::house::text(&super::house::parsed(&elsewhere)["token"]);
    let signer = Signer::new("ES256");
    let claims = claims(&on(PUBLIC, &["pull", "push", "delete"])).to_string();
    let header = serde_json::json!({ "x5c": Signer::x5c(&[&signer]) });
    let dear = |name: &str, user: &str, password: &str| Kind {
        is_dear: true,
        ..kind(name, basic(user, password), NOTHING)
    };
    let with_cookie = |name: &str, rights| Kind {
        cookie: Some(format!("layerhouse_session={session}")),
        ..kind(name, "", rights)
    };
    let mut kinds = vec![
        dear("a wrong password", "olga", "wrong password"),
        dear("an unknown name", "nobody", PASSWORD),
        dear("who is disabled", "dora", PASSWORD),
        dear("no password", "olga", ""),
        kind(
            "the token of who is disabled",
            basic("dora", &token),
            NOTHING,
        ),
        kind("a token that was issued before", issued, NOTHING),
        kind("a token for another service", bearer(&elsewhere), NOTHING),
        kind(
            "a token of another service",
            bearer(&signer.token(&header, &claims)),
            NOTHING,
        ),
        kind("what Docker keeps", basic("olga", &refresh), NOTHING),
        kind("the same alone", bearer(&refresh), NOTHING),
        kind("a session", basic("olga", &session), NOTHING),
        kind("the same alone", bearer(&session), NOTHING),
        with_cookie("a cookie, which is no credential here", SEES_PUBLIC),
        kind("what is no scheme", "Digest olga", NOTHING),
        kind("what is no token", bearer("lhp_x"), NOTHING),
    ];
    let mut both = kind("two of them", of("olga"), NOTHING);
    both.authorization = format!("{}, {}", of("olga"), of("root"));
    kinds.push(both);
    check(&house, &kinds);
}

/// Access tokens: what is in the list, what the role allows, and nothing else.
#[test]
fn sec_s02_index_scopes() {
    const SETS: [&str; 8] = [
        "",
        "pull",
        "push",
        "pull,push",
        "delete",
        "pull,delete",
        "push,delete",
        "pull,push,delete",
    ];
    let house = house();
    let everywhere = |actions: &str| {
        let scope = |name| format!("repository:{name}:{actions}");
        [PUBLIC, PRIVATE, MISSING].map(scope)
    };
    let access = |who: &str, scopes: &[String]| {
        let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
        house.access(who, &scopes)
    };
    let mut kinds = Vec::new();
    for set in SETS {
        // Owned by the process until its end, as the other rights are.
        let rights: &'static str = String::leak(set.replace(',', " "));
        let token = access(&of("olga"), &everywhere(set));
        kinds.push(kind(format!("olga for {set:?}"), token, [rights; 3]));
    }
    let whole = everywhere("*");
    let robot = house.robot("acme", "ci", "reader");
    let narrow = house.token("olga", &limit(PRIVATE, &["delete"]));
    for (who, authorization, rights) in [
        ("nobody", String::new(), SEES_PUBLIC),
        ("otto", of("otto"), SEES_PUBLIC),
        ("rita", of("rita"), READS),
        ("will", of("will"), WRITES),
        ("max", of("max"), MAINTAINS),
        ("root", house.root.clone(), ["", "", ""]),
        ("a robot", basic("acme+ci", &robot), READS),
        ("a token's", basic("olga", &narrow), ["pull", "delete", ""]),
    ] {
        // The token service takes names with passwords or tokens, as Docker does.
        if who == "root" {
            let answer = house.token_answer(&authorization, &[&whole[0]], "");
            assert_eq!(answer.status, 401, "a token makes no tokens");
            continue;
        }
        let token = access(&authorization, &whole);
        kinds.push(kind(format!("{who} for all"), token, rights));
    }
    for scope in [
        "registry:catalog:*",
        "repository:acme/publi:pull,push,delete",
        "repository:acme/public/x:pull,push,delete",
        "repository:acme/*:*",
        "repository:*:*",
        "repository:ACME/PUBLIC:*",
        "repository(plugin):acme/none:*",
        "registry:acme/public:*",
        "repository:registry:5000/acme/public:*",
    ] {
        let token = house.access(&of("olga"), &[scope]);
        kinds.push(kind(format!("olga for {scope}"), token, NOTHING));
    }
    check(&house, &kinds);
}

/// `/v2/` and the catalog, which are in no repository.
#[test]
fn sec_s02_index_beside_repositories() {
    let house = house();
    let catalog = house.access(&of("rita"), &["registry:catalog:*"]);
    let strange = house.access(&of("otto"), &["registry:catalog:*"]);
    let nobody = house.access("", &["registry:catalog:*"]);
    let pulls = house.access(&of("rita"), &[&format!("repository:{PRIVATE}:pull")]);
    let narrow = house.token("olga", &limit(PUBLIC, &["pull"]));
    let blind = house.token("olga", &limit(PRIVATE, &["push"]));
    let all = Some("acme/private acme/public");
    let shown = Some("acme/public");
    for (name, authorization, base, expected) in [
        ("nobody", String::new(), 401, shown),
        ("nobody's token", nobody, 200, shown),
        ("otto", of("otto"), 200, shown),
        ("otto's token", strange, 200, shown),
        ("rita", of("rita"), 200, all),
        ("rita's token", catalog, 200, all),
        ("rita's token to pull", pulls, 200, None),
        ("root", house.root.clone(), 200, all),
        ("a narrow token", basic("olga", &narrow), 200, shown),
        (
            "a token that pulls nothing",
            basic("olga", &blind),
            200,
            shown,
        ),
        (
            "a wrong password",
            basic("olga", "wrong password"),
            401,
            None,
        ),
    ] {
        let status = house.send("GET", "/v2/", &authorization, b"").status;
        assert_eq!(status, base, "{name}");
        for query in ["", "?n=1000", "?n=1000&last=a"] {
            let path = format!("/v2/_catalog{query}");
            let answer = house.send("GET", &path, &authorization, b"");
            let Some(expected) = expected else {
                assert_eq!(answer.status, 401, "{name}");
                continue;
            };
            let names = super::house::parsed(&answer)["repositories"].clone();
            let names: Vec<String> = serde_json::from_value(names).unwrap();
            assert_eq!(names.join(" "), expected, "{name}");
        }
    }
}
