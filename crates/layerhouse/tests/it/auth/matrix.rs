//! S02, S17: every route with every right, and what may not be seen looks like what is not there.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::basic;
use super::service::{Signer, claims, on};
use super::undated;
use crate::harness::endpoints::{self, Endpoint};
use crate::harness::http::Response;
use crate::harness::images;
use crate::harness::server::Server;

struct Fixture {
    server: Server,
    signer: Signer,
    _directory: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let bundle = directory.path().join("bundle.pem");
        let signer = Signer::new("EdDSA");
        fs::write(&bundle, &signer.pem).unwrap();
        let configuration = format!(
            "auth: {{token: {{realm: r, service: service, issuer: issuer, rootcertbundle: {}}}}}",
            bundle.display()
        );
        Self {
            server: Server::configured(&configuration),
            signer,
            _directory: directory,
        }
    }

    fn authorization(&self, access: &Value) -> String {
        let header = json!({ "kid": self.signer.thumbprint() });
        format!(
            "Bearer {}",
            self.signer.token(&header, &claims(access).to_string())
        )
    }

    fn send(&self, method: &str, path: &str, access: &Value) -> Response {
        let authorization = self.authorization(access);
        let headers = [("Authorization", &*authorization)];
        undated(self.server.client.send(method, path, &headers, b""))
    }
}

#[test]
fn sec_s02_every_route_with_every_right() {
    const ACTIONS: [&str; 4] = ["pull", "push", "delete", "*"];
    let fixture = Fixture::new();
    for Endpoint {
        method,
        rest,
        needed,
    } in endpoints::all()
    {
        let path = format!("/v2/acme/web/{rest}");
        for set in 0..16_usize {
            let actions: Vec<&str> = (0..4)
                .filter(|at| set >> at & 1 == 1)
                .map(|at| ACTIONS[at])
                .collect();
            let is_enough =
                actions.contains(&"*") || needed.iter().all(|one| actions.contains(one));
            let answer = fixture.send(method, &path, &on("acme/web", &actions));
            assert_eq!(
                answer.status != 401,
                is_enough,
                "{method} {rest} {actions:?}"
            );
        }
        let everything = json!(["*", "pull", "push", "delete"]);
        for (kind, name) in [
            ("repository", "acme/we"),
            ("repository", "acme/web/x"),
            ("repository", "acme"),
            ("repository", "acme/*"),
            ("repository", "*"),
            ("repository", "ACME/WEB"),
            ("registry", "catalog"),
            ("registry", "acme/web"),
            ("", "acme/web"),
        ] {
            let access = json!([{"type": kind, "name": name, "actions": everything}]);
            let answer = fixture.send(method, &path, &access);
            assert_eq!(answer.status, 401, "{method} {rest} {kind}:{name}");
        }
    }
    for (actions, status) in [
        (json!(["*"]), 200),
        (json!(["pull"]), 401),
        (json!([]), 401),
    ] {
        let access = json!([{"type": "registry", "name": "catalog", "actions": actions}]);
        assert_eq!(fixture.send("GET", "/v2/_catalog", &access).status, status);
    }
    assert_eq!(
        fixture
            .send("GET", "/v2/_catalog", &on("catalog", &["*"]))
            .status,
        401
    );
}

/// What belongs to one method of signing in is no way in with another, and none is not one.
#[test]
fn sec_s02_every_route_without_a_right() {
    let fixture = Fixture::new();
    let client = &fixture.server.client;
    let users = super::htpasswd::Fixture::new("layerhouse: {auth: {anonymous: pull}}");
    for Endpoint {
        method,
        rest,
        needed,
    } in endpoints::all()
    {
        let path = format!("/v2/acme/web/{rest}");
        let plain = basic("ann", "x");
        for headers in [
            &[][..],
            &[("Authorization", &*plain)],
            &[("Cookie", "token=x")],
        ] {
            assert_eq!(
                client.send(method, &path, headers, b"").status,
                401,
                "{method} {rest}"
            );
        }
        let anonymous = users.server.client.send(method, &path, &[], b"").status;
        assert_eq!(anonymous != 401, needed == ["pull"], "{method} {rest}");
        let bearer = fixture.authorization(&on("acme/web", &["*"]));
        let headers = [("Authorization", &*bearer)];
        assert_eq!(
            users
                .server
                .client
                .send(method, &path, &headers, b"")
                .status,
            401
        );
    }
}

/// S17: of two repositories that a token is not for, one is there.
#[test]
fn sec_s17_forbidden_looks_like_missing() {
    let fixture = Fixture::new();
    let everything = on("acme/web", &["*"]);
    let digest = images::digest("abcd");
    let path = format!("/v2/acme/web/blobs/uploads/?digest={digest}");
    let authorization = fixture.authorization(&everything);
    let headers = [("Authorization", &*authorization)];
    assert_eq!(
        fixture
            .server
            .client
            .send("POST", &path, &headers, b"abcd")
            .status,
        201
    );
    for Endpoint {
        method,
        rest,
        needed,
    } in endpoints::all()
    {
        let elsewhere = on("acme/own", &["*"]);
        let partly = |name| {
            let actions = ["pull", "push", "delete"];
            let others: Vec<_> = actions
                .into_iter()
                .filter(|one| !needed.contains(one))
                .collect();
            on(name, &others)
        };
        for rights in [
            elsewhere,
            json!([]),
            json!([partly("acme/web")[0], partly("acme/non")[0]]),
        ] {
            let [there, missing] = ["acme/web", "acme/non"].map(|name| {
                let mut answer = fixture.send(method, &format!("/v2/{name}/{rest}"), &rights);
                for (_, value) in &mut answer.headers {
                    *value = value.replace(name, "acme/any");
                }
                answer.body = answer.text().replace(name, "acme/any").into_bytes();
                answer
            });
            assert_eq!(there, missing, "{method} {rest}");
            assert_eq!(there.status, 401);
        }
    }
}
