//! `layerhouse.index.workloads`: jobs that sign in with a token of their own system.

use std::time::Duration;

use serde_json::{Value, json};

use super::outside::{ACME, ask, begins, json as body, may_push, write};
use crate::auth::service::{NOW, Signer};
use crate::harness::provider::Provider;
use crate::harness::server::Server;

struct Fixture {
    server: Server,
    provider: Provider,
}

impl Fixture {
    fn new() -> Self {
        let provider = Provider::start();
        let mut server = Server::configured(&format!(
            "layerhouse: {{index: {{workloads: [{{name: ci, issuer: '{}', audience: registry, rules: [
               {{claims: {{repository: 'acme/*', ref: refs/heads/main}}, account: acme+ci}},
               {{claims: {{repository: 'acme/*'}}, account: acme+ci,
                limits: [{{pattern: acme/web, actions: [pull]}}, {{pattern: acme/pr, actions: [pull, push]}}]}},
               {{claims: {{repository: 'gone/*'}}, account: gone+ci}}]}}]}}}}",
            provider.url()
        ));
        write(&mut server, ACME);
        Self { server, provider }
    }

    fn claims(&self, more: &Value) -> Value {
        let mut claims = json!({
            "iss": self.provider.url(),
            "aud": "registry",
            "sub": "repo:acme/web:ref:refs/heads/main",
            "exp": NOW + 300,
            "nbf": NOW - 5,
            "repository": "acme/web",
            "ref": "refs/heads/main",
        });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    fn token(&self, more: &Value) -> String {
        self.provider.token(&self.claims(more))
    }

    fn status(&self, token: &str) -> u16 {
        ask(&self.server.client, "any", token, "").status
    }
}

#[test]
fn a_job_is_the_robot_that_a_rule_names() {
    let fixture = Fixture::new();
    let client = &fixture.server.client;
    let main = fixture.token(&json!({}));
    assert!(may_push(client, "any", &main, "acme/web"));
    assert!(may_push(client, "other", &main, "acme/other"));
    assert!(!may_push(client, "any", &main, "evil/web"));
    // In the other form, too.
    let form = format!(
        "grant_type=password&username=x&password={main}&service=layerhouse&client_id=ci\
         &access_type=offline&scope=repository:acme/web:pull,push"
    );
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = body(&client.send("POST", "/auth/token", &headers, form.as_bytes()));
    assert!(begins(
        client,
        answer["access_token"].as_str().unwrap(),
        "acme/web"
    ));
    // S11: it ends with the job.
    assert!(answer.get("refresh_token").is_none());
}

#[test]
fn limits_of_a_rule_are_the_most() {
    let fixture = Fixture::new();
    let client = &fixture.server.client;
    let branch = fixture.token(&json!({"ref": "refs/heads/feature"}));
    assert!(!may_push(client, "any", &branch, "acme/web"));
    assert!(!may_push(client, "any", &branch, "acme/other"));
    assert!(may_push(client, "any", &branch, "acme/pr"));
    let form = ask(
        client,
        "any",
        &branch,
        "offline_token=true&scope=repository:acme/web:pull,push",
    );
    assert!(body(&form).get("refresh_token").is_none());
}

#[test]
fn tokens_that_are_for_nobody_here() {
    let mut fixture = Fixture::new();
    fixture.server.may_complain();
    let check = |what: &str, token: String, expected: u16| {
        fixture.server.advance(Duration::ZERO);
        assert_eq!(fixture.status(&token), expected, "{what}");
    };
    let with = |more: Value| fixture.token(&more);
    check("good", with(json!({})), 200);
    check(
        "another's repository",
        with(json!({"repository": "evil/web"})),
        401,
    );
    check(
        "a name that goes on",
        with(json!({"repository": "acme/web/x"})),
        401,
    );
    check(
        "a name that begins so",
        with(json!({"repository": "acme2/web"})),
        401,
    );
    check("no claim", with(json!({"repository": null})), 401);
    check("a list", with(json!({"repository": [["acme/web"]]})), 401);
    check(
        "another audience",
        with(json!({"aud": "sts.example.com"})),
        401,
    );
    check("expired", with(json!({"exp": NOW - 61})), 401);
    check("not yet", with(json!({"nbf": NOW + 61})), 401);
    check(
        "another issuer",
        with(json!({"iss": "https://evil.example.com"})),
        401,
    );
    check(
        "an account that is gone",
        with(json!({"repository": "gone/x"})),
        401,
    );
    let other = Signer::new("ES256");
    let claims = fixture.claims(&json!({})).to_string();
    check(
        "another key",
        other.token(&json!({"kid": "one"}), &claims),
        401,
    );
    check(
        "an unknown key",
        other.token(&json!({"kid": "two"}), &claims),
        401,
    );
    assert_eq!(
        fixture.provider.asked("/keys").len(),
        1,
        "not asked for every name"
    );
    check("good again", with(json!({})), 200);
}

#[test]
fn an_issuer_that_is_away_makes_no_token_wrong() {
    let mut fixture = Fixture::new();
    fixture.server.may_complain();
    fixture.provider.redirect("/keys", "http://127.0.0.1:1/");
    let answer = ask(
        &fixture.server.client,
        "any",
        &fixture.token(&json!({})),
        "",
    );
    assert_eq!(answer.status, 429, "{}", answer.text());
}

#[test]
fn keys_of_a_file() {
    let directory = tempfile::TempDir::new().unwrap();
    let path = directory.path().join("jwks.json");
    let (one, two) = (Signer::new("EdDSA"), Signer::new("RS256"));
    let publish = |signer: &Signer| {
        let text = json!({"keys": [signer.jwk()]}).to_string();
        std::fs::write(&path, text).unwrap();
    };
    publish(&one);
    let mut server = Server::configured(&format!(
        "layerhouse: {{index: {{workloads: [{{name: k8s, issuer: 'https://kubernetes.default.svc', \
         audience: registry, jwksfile: '{}', rules: [{{claims: {{\
         /kubernetes.io/namespace: builds}}, account: acme+ci}}]}}]}}}}",
        path.display()
    ));
    write(&mut server, ACME);
    let claims = json!({
        "iss": "https://kubernetes.default.svc",
        "aud": ["registry"],
        "exp": NOW + 90_000,
        "kubernetes.io": {"namespace": "builds"},
    });
    let status = |signer: &Signer| {
        let token = signer.token(&json!({}), &claims.to_string());
        ask(&server.client, "k8s", &token, "").status
    };
    assert_eq!((status(&one), status(&two)), (200, 401));
    server.advance(Duration::from_hours(2));
    assert_eq!(status(&one), 200, "a file does not age");
    publish(&two);
    server.advance(Duration::from_secs(1));
    assert_eq!((status(&one), status(&two)), (401, 200));
}
