//! What is private looks like what is not there, on whatever way it is asked for (S04, S17).

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::house::{House, alike, bearer, limit, of, parsed};
use crate::harness::endpoints;
use crate::harness::http::Response;
use crate::harness::images;

/// What stands in the private repository, and nowhere else.
pub(super) const SECRET: &str = "canary-of-a-layer";
pub(super) const TAG: &str = "canary-tag";

pub(super) struct Fixture {
    pub(super) house: House,
    /// Digests of the private manifest and of its layer.
    pub(super) manifest: String,
    pub(super) blob: String,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let house = House::new();
        let manifest = house.push("acme/private", TAG, SECRET);
        house.push("acme/public", "v1", "shown");
        house.visibility("acme/public", "public");
        Self {
            manifest: images::digest(&manifest),
            blob: images::digest(SECRET),
            house,
        }
    }

    /// Those who may not see it, by what they sign in with.
    fn strangers(&self) -> Vec<(&'static str, String)> {
        let house = &self.house;
        let whole = "repository:acme/private:pull,push,delete";
        let narrow = house.token("olga", &limit("acme/public", &["pull", "push", "delete"]));
        let robot = house.robot("otto", "ci", "writer");
        vec![
            ("nobody", String::new()),
            ("nobody's token", house.access("", &[whole])),
            ("otto", of("otto")),
            ("otto's token", house.access(&of("otto"), &[whole])),
            ("otto's robot", bearer(&robot)),
            ("olga's token for elsewhere", bearer(&narrow)),
        ]
    }

    fn tells(&self, answer: &Response) -> bool {
        let mut said = answer.text();
        for (name, value) in &answer.headers {
            let _ = write!(said, "\n{name}: {value}");
        }
        let hex = |digest: &str| digest.split_once(':').expect("a digest").1.to_owned();
        [SECRET, TAG, &hex(&self.manifest), &hex(&self.blob)]
            .iter()
            .any(|secret| said.contains(*secret))
    }
}

/// By every way to write its name that a proxy, a router or a file system may have other ideas of.
#[test]
fn sec_s04_index_no_way_leads_to_what_is_private() {
    let fixture = Fixture::new();
    let Fixture {
        house,
        manifest,
        blob,
    } = &fixture;
    let starts = [
        "/v2/acme/private",
        "/v2//acme/private",
        "/v2/acme//private",
        "//v2/acme/private",
        "/V2/acme/private",
        "/v2/ACME/private",
        "/v2/acme/PRIVATE",
        "/v2/acme/%70rivate",
        "/v2/acme%2fprivate",
        "/v2/acme%2Fprivate",
        "/v2/acme%252fprivate",
        "/v2%2facme/private",
        "/%76%32/acme/private",
        "/v2/acme/./private",
        "/v2/./acme/private",
        "/v2/acme/%2e/private",
        "/v2/acme/public/../private",
        "/v2/acme/public/%2e%2e/private",
        "/v2/acme/public%2f..%2fprivate",
        "/v2/../v2/acme/private",
        "/v2/acme/private;x=1",
        "/v2/acme/private/",
        "/v2/acme/private%00",
        "/v2/acme/private%20",
        "/v2/acme\\private",
        "/v2/library/acme/private",
        "/v2/acme/public/blobs/../../private",
        "http://registry/v2/acme/private",
        "http://acme/v2/acme/private",
    ];
    let ends = [
        format!("manifests/{TAG}"),
        format!("manifests/{manifest}"),
        format!("blobs/{blob}"),
        "tags/list".to_owned(),
        "tags/list/".to_owned(),
        "tags/list?n=10".to_owned(),
        format!("referrers/{manifest}"),
        format!("manifests/{TAG}/"),
        format!("manifests/{TAG}?ns=docker.io"),
        format!("blobs/{blob}?from=acme/public"),
    ];
    for (who, authorization) in fixture.strangers() {
        for start in starts {
            for end in &ends {
                for method in ["GET", "HEAD"] {
                    let path = format!("{start}/{end}");
                    let answer = house.send(method, &path, &authorization, b"");
                    let refused = matches!(answer.status, 400 | 401 | 404);
                    assert!(refused, "{who}: {method} {path}: {}", answer.status);
                    assert!(!fixture.tells(&answer), "{who}: {method} {path}");
                }
            }
        }
    }
    // Those who may come by the same ways, where these are ways at all.
    for start in [
        "/v2/acme/private",
        "/v2/acme/%70rivate",
        "/v2/acme%2fprivate",
    ] {
        let path = format!("{start}/manifests/{TAG}");
        assert_eq!(house.send("GET", &path, &of("rita"), b"").status, 200);
    }
}

/// Headers that have others answer with something else.
#[test]
fn sec_s04_index_no_header_leads_to_what_is_private() {
    let fixture = Fixture::new();
    let client = fixture.house.server.client;
    let own = format!("/v2/acme/private/blobs/{}", fixture.blob);
    let etag = format!("\"{}\"", fixture.blob);
    let headers = [
        ("Range", "bytes=0-3"),
        ("Range", "bytes=-4"),
        ("Range", "bytes=0-0,2-3"),
        ("If-None-Match", &*etag),
        ("If-None-Match", "*"),
        ("If-Range", &*etag),
        ("Accept", "*/*"),
        ("X-Original-URL", &*own),
        ("X-Rewrite-URL", &*own),
        ("X-Forwarded-Prefix", "/v2/acme/private"),
        ("X-Forwarded-User", "root"),
        ("X-Remote-User", "root"),
        ("Remote-User", "root"),
        ("X-HTTP-Method-Override", "GET"),
        ("OCI-Namespace", "acme"),
        ("Cookie", "layerhouse_session=root"),
    ];
    let manifest = format!("/v2/acme/private/manifests/{TAG}");
    for path in [&*own, &*manifest, "/v2/acme/private/tags/list"] {
        for header in headers {
            for method in ["GET", "HEAD", "OPTIONS"] {
                let answer = client.send(method, path, &[header], b"");
                let expected = if method == "OPTIONS" { 204 } else { 401 };
                assert_eq!(answer.status, expected, "{method} {path} {header:?}");
                assert!(!fixture.tells(&answer) || method == "OPTIONS", "{header:?}");
            }
        }
    }
}

/// Lists, of which everyone sees their part.
#[test]
fn sec_s04_index_lists_do_not_name_it() {
    let fixture = Fixture::new();
    let house = &fixture.house;
    for (who, authorization) in fixture.strangers() {
        let paths = [
            "/v2/_catalog".to_owned(),
            "/v2/_catalog?n=1".to_owned(),
            "/v2/_catalog?n=1&last=acme/privat".to_owned(),
            "/v2/_catalog?last=acme/private".to_owned(),
            "/v2/acme/public/tags/list".to_owned(),
            format!("/v2/acme/public/referrers/{}", fixture.manifest),
            format!("/v2/acme/public/manifests/{}", fixture.manifest),
            format!("/v2/acme/public/blobs/{}", fixture.blob),
            "/v1/search?q=private".to_owned(),
            "/v1/search?q=".to_owned(),
            "/api/v1/search?q=private".to_owned(),
            "/api/v1/search?q=canary".to_owned(),
            "/api/v1/repositories".to_owned(),
            "/api/v1/namespaces/acme/repositories".to_owned(),
            "/api/v1/repositories/acme/private".to_owned(),
            "/api/v1/repositories/acme/private/tags".to_owned(),
        ];
        for path in paths {
            let answer = house.send("GET", &path, &authorization, b"");
            assert!(answer.status < 500, "{who}: {path}: {}", answer.status);
            let text = answer.text();
            let names_it = answer.status == 200 && text.contains("acme/private");
            assert!(!names_it, "{who}: {path}: {text}");
            assert!(
                !text.contains(SECRET) && !text.contains(TAG),
                "{who}: {path}: {text}"
            );
            let link = answer.header("link").unwrap_or_default();
            assert!(!link.contains("private"), "{who}: {path}: {link}");
        }
    }
    let seen = house.send("GET", "/v2/_catalog?n=1", &of("rita"), b"");
    assert_eq!(parsed(&seen), json!({"repositories": ["acme/private"]}));
}

/// S17: private and missing, byte by byte, for all who may not see the one.
#[test]
fn sec_s17_index_private_looks_like_missing() {
    let fixture = Fixture::new();
    let house = &fixture.house;
    let endpoints = endpoints::of(&fixture.manifest, &fixture.blob);
    for (who, authorization) in fixture.strangers() {
        for endpoint in &endpoints {
            let ask = |name: &str| {
                let path = endpoint.path(name);
                alike(
                    house.send(endpoint.method, &path, &authorization, b""),
                    name,
                )
            };
            let (there, missing) = (ask("acme/private"), ask("acme/missing"));
            assert_eq!(
                there, missing,
                "{who}: {} {}",
                endpoint.method, endpoint.rest
            );
            assert_eq!(there.status, 401);
            // In a namespace that is not there it is the same.
            let nowhere = ask("nope/private");
            assert_eq!(
                there, nowhere,
                "{who}: {} {}",
                endpoint.method, endpoint.rest
            );
        }
    }
}

/// S17, over the API: of a repository and of a namespace that one may not see.
#[test]
fn sec_s17_index_the_api_does_not_tell_either() {
    let fixture = Fixture::new();
    let house = &fixture.house;
    for (who, authorization) in fixture.strangers() {
        for (method, body, rest) in [
            ("GET", Value::Null, ""),
            ("PATCH", json!({"visibility": "public"}), ""),
            ("PATCH", json!({"description": "canary"}), ""),
            ("GET", Value::Null, "/-/access"),
            (
                "GET",
                Value::Null,
                "/-/access/explain?account=rita&action=pull",
            ),
            ("PUT", Value::Null, "/-/star"),
            ("DELETE", Value::Null, "/-/star"),
            ("DELETE", Value::Null, ""),
        ] {
            let ask = |name: &str| {
                let path = format!("/repositories/{name}{rest}");
                alike(house.try_ask(method, &path, &authorization, &body), name)
            };
            let there = ask("acme/private");
            assert_eq!(there, ask("acme/missing"), "{who}: {method} {rest}");
            assert!((400..500).contains(&there.status), "{who}: {method} {rest}");
        }
        for rest in ["", "/members", "/teams", "/teams/crew"] {
            let ask = |name: &str| {
                let path = format!("/organizations/{name}{rest}");
                alike(
                    house.try_ask("GET", &path, &authorization, &Value::Null),
                    name,
                )
            };
            assert_eq!(ask("acme").status / 100, 4, "{who}: {rest}");
            assert_eq!(ask("acme"), ask("nope"), "{who}: {rest}");
        }
    }
}
