//! Copies of other registries obey visibility: those of a public upstream are everyone's, those of a private one
//! are shown to those with a role (S04, S17).

use serde_json::{Value, json};

use super::house::{House, PASSWORD, alike, of, parsed, with_section};
use crate::faults::crash::wait_until;
use crate::harness::http::Response;
use crate::harness::upstream::{Guard, Image, Upstream};

const NGINX: &str = "library/nginx";

struct Fixture {
    house: House,
    upstream: Upstream,
    image: Image,
}

impl Fixture {
    /// `up1` with these keys, and the people of [`House::new`].
    fn new(keys: &str) -> Self {
        let upstream = Upstream::start();
        let image = upstream.give_image(NGINX, "latest", "canary-of-a-copy");
        let url = upstream.url();
        let comma = if keys.is_empty() { "" } else { ", " };
        let section = format!(
            "mirror: {{upstreams: [{{name: up1, url: \"{url}\"{comma}{keys}}}], default: up1}}"
        );
        let mut house = House::configured(&with_section("", &section), "");
        house.server.may_complain();
        Self {
            house,
            upstream,
            image,
        }
    }

    fn paths(&self) -> Vec<String> {
        let image = &self.image;
        let mut paths = Vec::new();
        for (repository, ns) in [("up1/library/nginx", ""), (NGINX, "?ns=up1"), (NGINX, "")] {
            for rest in [
                "manifests/latest".to_owned(),
                format!("manifests/{}", image.digest),
                format!("blobs/{}", image.layer),
                "tags/list".to_owned(),
                format!("referrers/{}", image.digest),
            ] {
                paths.push(format!("/v2/{repository}/{rest}{ns}"));
            }
        }
        paths
    }

    fn get(&self, path: &str, authorization: &str) -> Response {
        self.house.send("GET", path, authorization, b"")
    }
}

#[test]
fn copies_of_a_public_upstream_are_everyones() {
    let fixture = Fixture::new("");
    for path in fixture.paths() {
        let answer = fixture.get(&path, "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    // As Docker does it, which asks for a token first.
    let token = fixture.house.access("", &["repository:library/nginx:pull"]);
    let answer = fixture.get("/v2/library/nginx/manifests/latest", &token);
    assert_eq!(answer.text(), fixture.image.manifest);
}

/// An upstream with a login is private unless it says otherwise: nobody learns by us what it tells only us.
#[test]
fn sec_s04_index_copies_of_a_private_upstream_are_not_everyones() {
    let fixture = Fixture::new("username: ann, password: secret-of-ann");
    fixture.upstream.guard(Guard::basic("ann", "secret-of-ann"));
    // Cold, and once an administrator has it.
    for is_warm in [false, true] {
        let before = fixture.upstream.count("");
        for path in fixture.paths() {
            let nobody = fixture.get(&path, "");
            assert_eq!(nobody.status, 401, "{path}: {}", nobody.text());
            let stranger = fixture.get(&path, &of("otto"));
            assert!(
                matches!(stranger.status, 401 | 403 | 404),
                "{path}: {}",
                stranger.text()
            );
            for answer in [&nobody, &stranger] {
                let said = format!("{answer:?}");
                assert!(
                    !said.contains("canary") && !said.contains("secret-of-ann"),
                    "{said}"
                );
            }
            let granted = fixture.house.access(
                &of("otto"),
                &[
                    "repository:up1/library/nginx:pull",
                    "repository:library/nginx:pull",
                ],
            );
            let answer = fixture.get(&path, &granted);
            assert!(
                matches!(answer.status, 401 | 403 | 404),
                "{path}: {}",
                answer.text()
            );
        }
        assert_eq!(
            fixture.upstream.count(""),
            before,
            "{is_warm}: nobody was asked for strangers"
        );
        for path in fixture.paths() {
            let answer = fixture.get(&path, &fixture.house.root);
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        }
    }
}

/// Private and missing, byte by byte, in an upstream that one may not see.
#[test]
fn sec_s17_index_a_copy_looks_like_what_is_not_there() {
    let fixture = Fixture::new("visibility: private");
    let root = fixture.house.root.clone();
    assert_eq!(
        fixture
            .get("/v2/up1/library/nginx/manifests/latest", &root)
            .status,
        200
    );
    for authorization in [String::new(), of("otto")] {
        for rest in ["manifests/latest", "tags/list"] {
            let ask = |name: &str| {
                let path = format!("/v2/up1/library/{name}/{rest}");
                alike(fixture.get(&path, &authorization), name)
            };
            assert_eq!(ask("nginx"), ask("redis"), "{rest}");
        }
        let catalog = fixture.get("/v2/_catalog", &authorization);
        assert!(!catalog.text().contains("nginx"), "{}", catalog.text());
        let search = fixture.get("/v1/search?q=nginx", &authorization);
        assert!(!search.text().contains("up1"), "{}", search.text());
    }
}

/// Whom an administrator gives a role on the copies sees them.
#[test]
fn a_login_that_is_said_to_be_public_is() {
    let keys = "username: ann, password: secret-of-ann, visibility: public";
    let fixture = Fixture::new(keys);
    fixture.upstream.guard(Guard::basic("ann", "secret-of-ann"));
    for path in fixture.paths() {
        let answer = fixture.get(&path, "");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
}

/// Repositories of this registry are what they were beside a mirror, for all.
#[test]
fn sec_s04_index_private_repositories_are_not_asked_for_elsewhere() {
    let fixture = Fixture::new("");
    let house = &fixture.house;
    house.push("acme/private", "v1", "canary-of-acme");
    // The upstream has one of the same name.
    fixture.upstream.give_image("acme/private", "v1", "theirs");
    for authorization in [String::new(), of("otto")] {
        let answer = fixture.get("/v2/acme/private/manifests/v1", &authorization);
        assert!(
            matches!(answer.status, 401 | 403 | 404),
            "{}",
            answer.text()
        );
    }
    assert_eq!(
        fixture.upstream.count("acme/private"),
        0,
        "its name was told to nobody"
    );
    let answer = fixture.get("/v2/acme/private/manifests/v1", &of("rita"));
    let manifest: Value = parsed(&answer);
    assert_eq!(manifest["schemaVersion"], json!(2));
    assert!(
        !answer
            .text()
            .contains(&crate::harness::images::digest("theirs"))
    );
}

/// Names in a namespace of this registry are its own: what is missing there looks as what is private, and no
/// upstream hears of either (S17; and nobody can put an image of theirs in the place of one of ours).
#[test]
fn sec_s17_index_a_default_upstream_does_not_tell_what_is_private_here() {
    let fixture = Fixture::new("");
    let house = &fixture.house;
    house.push("acme/private", "v1", "canary-of-acme");
    fixture.upstream.give_image("acme/missing", "v1", "theirs");
    for authorization in [String::new(), of("otto")] {
        for rest in ["manifests/v1", "tags/list"] {
            let ask = |name: &str| {
                let path = format!("/v2/acme/{name}/{rest}");
                alike(fixture.get(&path, &authorization), name)
            };
            assert_eq!(ask("private"), ask("missing"), "{rest}");
        }
    }
    assert_eq!(fixture.upstream.count("/v2/acme/"), 0);
}

/// Whoever is called as an upstream is does not own what is kept of it.
#[test]
fn sec_s04_index_an_account_named_like_an_upstream_owns_no_copies() {
    for kind in ["user", "organization"] {
        let fixture = Fixture::new("visibility: private");
        let house = &fixture.house;
        let answer = if kind == "user" {
            let user = json!({ "name": "up1", "password": PASSWORD });
            house.try_ask("POST", "/users", &house.root, &user)
        } else {
            house.try_ask("PUT", "/organizations/up1", &of("otto"), &json!({}))
        };
        let owner = if kind == "user" {
            of("up1")
        } else {
            of("otto")
        };
        assert!(
            answer.status == 201 || answer.status / 100 == 4,
            "{}",
            answer.text()
        );
        let root = fixture.get("/v2/up1/library/nginx/manifests/latest", &house.root);
        assert_eq!(root.status, 200, "{}", root.text());
        for path in fixture.paths() {
            let answer = fixture.get(&path, &owner);
            assert_ne!(answer.status, 200, "{kind}: {path}");
        }
    }
}

/// Nobody mounts into a repository of theirs what they may not pull.
#[test]
fn sec_s04_index_copies_are_not_mounted_by_strangers() {
    let fixture = Fixture::new("visibility: private");
    let house = &fixture.house;
    for path in fixture.paths() {
        assert_eq!(fixture.get(&path, &house.root).status, 200);
    }
    let layer = &fixture.image.layer;
    let mount = |authorization: &str| {
        let path = format!("/v2/otto/web/blobs/uploads/?mount={layer}&from=up1/library/nginx");
        house.send("POST", &path, authorization, b"")
    };
    let scopes = [
        "repository:otto/web:pull,push",
        "repository:up1/library/nginx:pull",
    ];
    for authorization in [of("otto"), house.access(&of("otto"), &scopes)] {
        let answer = mount(&authorization);
        assert_eq!(answer.status, 202, "an upload instead: {}", answer.text());
        let path = format!("/v2/otto/web/blobs/{layer}");
        assert_eq!(fixture.get(&path, &of("otto")).status, 404);
    }
    // By its digest alone, in a copy of another repository of the same upstream, neither.
    let path = format!("/v2/up1/library/other/blobs/{layer}");
    assert_ne!(fixture.get(&path, &of("otto")).status, 200);
}

/// What an operator says of an upstream holds for the copies that are here already.
#[test]
fn sec_s04_index_visibility_that_changes_holds_for_copies() {
    let mut fixture = Fixture::new("");
    for path in fixture.paths() {
        assert_eq!(fixture.get(&path, "").status, 200, "{path}");
    }
    let url = fixture.upstream.url();
    for (visibility, is_public) in [("private", false), ("public", true), ("private", false)] {
        let section = format!(
            "mirror: {{upstreams: [{{name: up1, url: \"{url}\", visibility: {visibility}}}], default: up1}}"
        );
        let text = format!(
            "layerhouse: {{index: {{{}}}}}\n",
            with_section("", &section)
        );
        fixture.house.server.reload(&text);
        let expected = if is_public { 200 } else { 401 };
        let is_so = || fixture.get(&fixture.paths()[0], "").status == expected;
        wait_until("the copies are shown as configured", is_so);
        for path in fixture.paths() {
            let answer = fixture.get(&path, "");
            assert_eq!(answer.status, expected, "{visibility}: {path}");
        }
    }
}
