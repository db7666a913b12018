//! `/auth/token`: Docker's token specification in both of its forms, and what its tokens open.

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use layerhouse::clock::Random;
use layerhouse::htpasswd_line;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::http::{Client, Response};
use crate::harness::images;
use crate::harness::server::Server;

pub(super) const PASSWORD: &str = "correct horse";

/// A server with the users ann and bob, who have nothing but their namespaces.
struct Fixture {
    server: Server,
    directory: TempDir,
}

pub(super) fn users(path: &Path, names: &[&str]) {
    let random = Random::seeded(5);
    let line = |name: &&str| htpasswd_line(name, PASSWORD, 4, &random).unwrap() + "\n";
    fs::write(path, names.iter().map(line).collect::<String>()).unwrap();
}

fn configuration(directory: &Path, index: &str) -> String {
    let path = directory.join("htpasswd");
    format!(
        "auth: {{htpasswd: {{realm: r, path: {}}}}}
layerhouse: {{index: {{htpasswdrole: none, {index}}}}}",
        path.display()
    )
}

impl Fixture {
    fn new(index: &str) -> Self {
        let directory = TempDir::new().unwrap();
        users(&directory.path().join("htpasswd"), &["ann", "bob"]);
        Self {
            server: Server::configured(&configuration(directory.path(), index)),
            directory,
        }
    }

    /// The same users under other settings.
    fn reconfigure(&mut self, index: &str) {
        let configuration = configuration(self.directory.path(), index);
        self.server.reconfigure(&configuration);
    }

    fn client(&self) -> &Client {
        &self.server.client
    }

    fn get(&self, query: &str, user: Option<&str>) -> Response {
        let authorization = user.map(|user| basic(user, PASSWORD));
        let headers: Vec<_> = authorization
            .iter()
            .map(|value| ("Authorization", &**value))
            .collect();
        self.client()
            .send("GET", &format!("/auth/token?{query}"), &headers, b"")
    }

    fn post(&self, form: &str) -> Response {
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        self.client()
            .send("POST", "/auth/token", &headers, form.as_bytes())
    }

    /// A token of a user for scopes.
    fn token(&self, user: Option<&str>, scopes: &[&str]) -> String {
        let query: Vec<_> = scopes
            .iter()
            .map(|scope| format!("scope={scope}"))
            .collect();
        let answer = self.get(&query.join("&"), user);
        assert_eq!(answer.status, 200, "{}", answer.text());
        text(&body(&answer)["token"])
    }

    fn status(&self, method: &str, path: &str, token: &str) -> u16 {
        let authorization = format!("Bearer {token}");
        let headers = [("Authorization", &*authorization)];
        self.client().send(method, path, &headers, b"").status
    }

    /// Pushes a small image as somebody.
    fn push(&self, user: &str, repository: &str) {
        let token = self.token(Some(user), &[&format!("repository:{repository}:pull,push")]);
        push(self.client(), repository, &token);
    }
}

pub(super) fn push(client: &Client, repository: &str, token: &str) {
    let authorization = format!("Bearer {token}");
    let headers = [
        ("Authorization", &*authorization),
        ("Content-Type", "application/vnd.oci.image.manifest.v1+json"),
    ];
    let path = format!(
        "/v2/{repository}/blobs/uploads/?digest={}",
        images::digest("{}")
    );
    let answer = client.send("POST", &path, &headers[..1], b"{}");
    if answer.status == 202 {
        // registry:2 wants two requests.
        let location = answer.header("location").unwrap();
        let (_, path) = location.split_once("/v2/").unwrap();
        let digest = images::digest("{}");
        let path = format!("/v2/{path}&digest={digest}");
        let answer = client.send("PUT", &path, &headers[..1], b"{}");
        assert_eq!(answer.status, 201, "{}", answer.text());
    } else {
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    let path = format!("/v2/{repository}/manifests/v1");
    let image = images::image("{}", &[]).to_string();
    let answer = client.send("PUT", &path, &headers, image.as_bytes());
    assert_eq!(answer.status, 201, "{}", answer.text());
}

pub(super) fn basic(user: &str, password: &str) -> String {
    format!(
        "Basic {}",
        BASE64_STANDARD.encode(format!("{user}:{password}"))
    )
}

pub(super) fn body(answer: &Response) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", answer.text()))
}

pub(super) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .to_owned()
}

/// Header (0) or claims (1) of a token.
pub(super) fn part(token: &str, at: usize) -> Value {
    let part = token.split('.').nth(at).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

#[test]
fn the_first_form() {
    let fixture = Fixture::new("tokens: {issuer: us, service: here}");
    let challenged = fixture.client().get("/v2/ann/web/manifests/v1");
    assert_eq!(challenged.status, 401);
    assert_eq!(
        challenged.header("www-authenticate"),
        Some(
            r#"Bearer realm="http://registry/auth/token",service="here",scope="repository:ann/web:pull""#
        )
    );
    let query = "account=ann&client_id=docker&offline_token=true&service=here\
                 &scope=repository:ann/web:pull,push,delete&scope=repository:bob/x:pull%20registry:catalog:*";
    let answer = fixture.get(query, Some("ann"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let content = body(&answer);
    assert_eq!(content["token"], content["access_token"]);
    assert_eq!(content["expires_in"], 300);
    assert_eq!(content["issued_at"], "2027-01-15T08:00:00Z");
    assert!(text(&content["refresh_token"]).starts_with("lhi_"));
    assert!(content.get("scope").is_none());

    let token = text(&content["token"]);
    let header = part(&token, 0);
    assert_eq!(
        (&header["alg"], &header["typ"]),
        (&json!("ES256"), &json!("JWT"))
    );
    assert_eq!(header["x5c"].as_array().map(Vec::len), Some(1));
    let claims = part(&token, 1);
    assert_eq!(claims["iss"], "us");
    assert_eq!(claims["aud"], "here");
    assert_eq!(claims["sub"], "ann");
    assert_eq!(claims["iat"], 1_800_000_000);
    assert_eq!(claims["nbf"], 1_800_000_000);
    assert_eq!(claims["exp"], 1_800_000_300);
    assert!(claims["jti"].is_string());
    assert_eq!(
        claims["access"],
        json!([
            {"type": "repository", "name": "ann/web", "actions": ["pull", "push", "delete"]},
            {"type": "registry", "name": "catalog", "actions": ["*"]},
        ])
    );

    // It opens what it lists, and what it does not list it does not.
    assert_eq!(fixture.status("GET", "/v2/", &token), 200);
    push(fixture.client(), "ann/web", &token);
    assert_eq!(
        fixture.status("GET", "/v2/ann/web/manifests/v1", &token),
        200
    );
    assert_eq!(fixture.status("GET", "/v2/_catalog", &token), 200);
    assert_eq!(
        fixture.status("GET", "/v2/ann/other/tags/list", &token),
        401
    );
    assert_eq!(
        fixture.status("DELETE", "/v2/ann/web/manifests/v1", &token),
        202
    );
}

#[test]
fn the_second_form() {
    let fixture = Fixture::new("");
    let scope = "repository:ann/web:push,pull+repository:bob/web:pull";
    let form = format!(
        "grant_type=password&client_id=docker&service=layerhouse&scope={scope}&access_type=offline\
         &username=ann&password=correct+horse"
    );
    let answer = fixture.post(&form);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let content = body(&answer);
    assert_eq!(content["scope"], "repository:ann/web:push,pull");
    let refresh = text(&content["refresh_token"]);
    push(fixture.client(), "ann/web", &text(&content["access_token"]));

    // What Docker does from then on.
    let form = format!(
        "grant_type=refresh_token&client_id=docker&service=layerhouse&scope=repository:ann/web:pull\
         &refresh_token={refresh}"
    );
    let answer = fixture.post(&form);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let content = body(&answer);
    assert!(
        content.get("refresh_token").is_none(),
        "it was not asked for"
    );
    let token = text(&content["access_token"]);
    assert_eq!(fixture.status("GET", "/v2/ann/web/tags/list", &token), 200);
    assert_eq!(
        fixture.status("DELETE", "/v2/ann/web/manifests/v1", &token),
        401
    );
    let again = body(&fixture.post(&format!("{form}&access_type=offline")));
    assert_eq!(text(&again["refresh_token"]), refresh);

    // It is good for this alone.
    assert_eq!(fixture.status("GET", "/v2/", &refresh), 401);
    let headers = [("Authorization", &*basic("ann", &refresh))];
    assert_eq!(
        fixture.client().send("GET", "/v2/", &headers, b"").status,
        401
    );
}

#[test]
fn what_is_not_asked_for_well() {
    let fixture = Fixture::new("");
    let check = |form: &str, status: u16, message: &str| {
        let answer = fixture.post(form);
        let said = text(&body(&answer)["errors"][0]["message"]);
        assert_eq!((answer.status, &*said), (status, message), "{form}");
    };
    check("", 400, "grant_type is missing");
    check(
        "grant_type=x",
        400,
        "grant_type must be password or refresh_token",
    );
    check(
        "grant_type=password&username=ann",
        400,
        "password is missing",
    );
    check("grant_type=password&password=x", 400, "username is missing");
    check("grant_type=refresh_token", 400, "refresh_token is missing");
    let refused = "wrong user name, password or token";
    check("grant_type=refresh_token&refresh_token=x", 401, refused);
    check("grant_type=password&username=ann&password=x", 401, refused);
    check(
        "grant_type=password&username=nobody&password=x",
        401,
        refused,
    );
    check(
        "grant_type=password&username=ann&password=correct+horse&service=x",
        400,
        "this token service issues none for the service that was named",
    );
    check(
        &format!("a={}", "b".repeat(32 << 10)),
        413,
        "a form has at most 32768 bytes",
    );
    let many = "scope=repository:a:pull&".repeat(65);
    let answer = fixture.get(&many, None);
    assert_eq!(answer.status, 400, "{}", answer.text());
    for method in ["HEAD", "PUT", "DELETE"] {
        let answer = fixture.client().send(method, "/auth/token", &[], b"");
        assert_eq!(
            (answer.status, answer.header("allow")),
            (405, Some("GET, POST"))
        );
    }
    let answer = fixture.client().send("POST", "/auth/jwks.json", &[], b"");
    assert_eq!(
        (answer.status, answer.header("allow")),
        (405, Some("GET, HEAD"))
    );
}

/// One answer to all credentials that are not good, and an end to guessing.
#[test]
fn sec_s14_wrong_credentials() {
    let fixture = Fixture::new("");
    let send = |authorization: &str| {
        let headers = [("Authorization", authorization)];
        let mut answer = fixture.client().send("GET", "/auth/token", &headers, b"");
        answer.headers.retain(|(name, _)| name != "date");
        answer
    };
    let refused = send(&basic("ann", "wrong"));
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.header("www-authenticate"),
        Some(r#"Basic realm="layerhouse""#)
    );
    assert_eq!(
        refused.text(),
        "{\"errors\":[{\"code\":\"UNAUTHORIZED\",\"message\":\"wrong user name, password or token\"}]}\n"
    );
    let token = fixture.token(Some("ann"), &[]);
    for authorization in [
        basic("nobody", PASSWORD),
        basic("", PASSWORD),
        "Basic !!".to_owned(),
        "Bearer x".to_owned(),
        format!("Bearer {token}"),
    ] {
        assert_eq!(send(&authorization), refused, "{authorization}");
    }
    let guess = |number: u32| send(&basic("ann", &number.to_string())).status;
    let busy = (0..100).map(guess).find(|status| *status != 401);
    assert_eq!(busy, Some(429));
    let answer = fixture.post("grant_type=password&username=ann&password=101");
    assert_eq!(answer.status, 429);
    assert!(answer.header("retry-after").is_some());
}

/// Who did not sign in gets what is public, and who did no more than is theirs.
#[test]
fn scopes_that_nobody_may_have_are_dropped() {
    let mut fixture = Fixture::new("visibility: public");
    fixture.push("ann", "ann/open");
    let granted = |fixture: &Fixture, user: Option<&str>, scopes: &[&str]| {
        let token = fixture.token(user, scopes);
        let claims = part(&token, 1);
        let entries = claims["access"].as_array().unwrap();
        let shown = |entry: &Value| {
            let actions: Vec<_> = entry["actions"]
                .as_array()
                .unwrap()
                .iter()
                .map(text)
                .collect();
            format!(
                "{}:{}:{}",
                text(&entry["type"]),
                text(&entry["name"]),
                actions.join(",")
            )
        };
        entries.iter().map(shown).collect::<Vec<_>>()
    };
    let all = [
        "repository:ann/open:pull,push",
        "repository:ann/none:*",
        "repository:nginx:push",
        "repository:registry:5000/ann/open:pull",
        "registry:catalog:*",
        "registry:other:*",
        "nonsense",
        "thing:ann/open:pull",
    ];
    let of_nobody = ["repository:ann/open:pull", "registry:catalog:*"];
    assert_eq!(granted(&fixture, None, &all), of_nobody);
    assert_eq!(granted(&fixture, Some("bob"), &all), of_nobody);
    assert_eq!(
        granted(&fixture, Some("ann"), &all),
        [
            "repository:ann/open:pull,push",
            "repository:ann/none:pull,push,delete",
            "registry:catalog:*",
        ]
    );
    assert_eq!(
        granted(&fixture, None, &["registry:catalog:search,x"]),
        ["registry:catalog:search"]
    );
    let token = fixture.token(None, &["repository:ann/open:pull"]);
    assert!(part(&token, 1).get("layerhouse").is_none());
    assert_eq!(part(&token, 1)["sub"], "");
    assert_eq!(
        fixture.status("GET", "/v2/ann/open/manifests/v1", &token),
        200
    );
    assert_eq!(
        fixture.status("POST", "/v2/ann/open/blobs/uploads/", &token),
        401
    );

    // By either name, and under the name that was asked for.
    let token = fixture.token(Some("ann"), &["repository:library/ann:pull,push"]);
    assert_eq!(part(&token, 1)["access"], json!([]));

    fixture.reconfigure("visibility: public, anonymous: none");
    let refused = fixture.get("scope=repository:ann/open:pull", None);
    assert_eq!(refused.status, 401);
    assert_eq!(
        fixture.status("GET", "/v2/ann/open/manifests/v1", &token),
        401
    );
}

/// Tokens end with what they were made from, at once (S11), and with their time.
#[test]
fn sec_s11_a_user_who_is_gone() {
    let fixture = Fixture::new("");
    fixture.push("ann", "ann/web");
    let answer = fixture.get(
        "offline_token=true&scope=repository:ann/web:pull",
        Some("ann"),
    );
    let content = body(&answer);
    let (token, refresh) = (text(&content["token"]), text(&content["refresh_token"]));
    let path = "/v2/ann/web/manifests/v1";
    assert_eq!(fixture.status("GET", path, &token), 200);

    fixture.server.advance(Duration::from_secs(299));
    assert_eq!(fixture.status("GET", path, &token), 200);
    fixture.server.advance(Duration::from_secs(1));
    assert_eq!(fixture.status("GET", path, &token), 401);

    let form =
        format!("grant_type=refresh_token&refresh_token={refresh}&scope=repository:ann/web:pull");
    let fresh = text(&body(&fixture.post(&form))["access_token"]);
    assert_eq!(fixture.status("GET", path, &fresh), 200);
    users(&fixture.directory.path().join("htpasswd"), &["bob"]);
    fixture.server.advance(Duration::from_secs(1));
    assert_eq!(fixture.status("GET", path, &fresh), 401);
    assert_eq!(fixture.post(&form).status, 401);
    users(&fixture.directory.path().join("htpasswd"), &["ann", "bob"]);
    fixture.server.advance(Duration::from_secs(1));
    assert_eq!(fixture.post(&form).status, 200);
}

#[test]
fn refresh_tokens_end_when_nobody_uses_them() {
    const DAY: Duration = Duration::from_hours(24);
    let mut fixture = Fixture::new("");
    let refresh = text(&body(&fixture.get("offline_token=true", Some("ann")))["refresh_token"]);
    let form = format!("grant_type=refresh_token&refresh_token={refresh}");
    for _ in 0..3 {
        fixture.server.advance(60 * DAY);
        assert_eq!(fixture.post(&form).status, 200);
        // What was noted is written by then.
        fixture.server.restart();
    }
    fixture.server.advance(90 * DAY);
    assert_eq!(fixture.post(&form).status, 401);
}

/// Keys follow one another, and what is signed is believed throughout.
#[test]
fn keys_rotate() {
    let mut fixture = Fixture::new("tokens: {rotation: 1h, algorithm: eddsa}");
    let kids = |fixture: &Fixture| -> Vec<String> {
        let set = body(&fixture.client().get("/auth/jwks.json"));
        set["keys"]
            .as_array()
            .unwrap()
            .iter()
            .map(|key| text(&key["kid"]))
            .collect()
    };
    let before = kids(&fixture);
    assert_eq!(before.len(), 4, "two keys by two names: {before:?}");
    let token = fixture.token(Some("ann"), &[]);
    assert_eq!(part(&token, 0)["alg"], "EdDSA");
    assert_eq!(text(&part(&token, 0)["kid"]), before[0]);

    fixture.server.advance(Duration::from_secs(3600 - 10));
    let old = fixture.token(Some("ann"), &[]);
    fixture.server.advance(Duration::from_secs(10));
    let new = fixture.token(Some("ann"), &[]);
    assert_eq!(
        text(&part(&new, 0)["kid"]),
        before[2],
        "the successor was shown before"
    );
    for token in [&old, &new] {
        assert_eq!(fixture.status("GET", "/v2/", token), 200);
    }
    fixture.server.restart();
    for token in [&old, &new] {
        assert_eq!(fixture.status("GET", "/v2/", token), 200);
    }
    let during = kids(&fixture);
    assert_eq!(during.len(), 6);
    assert!(before.iter().all(|kid| during.contains(kid)));
    fixture.server.advance(Duration::from_mins(8));
    let after = kids(&fixture);
    assert_eq!(after.len(), 4);
    assert!(!after.contains(&before[0]));
}

#[test]
fn tokens_for_other_registries() {
    let fixture = Fixture::new("tokens: {services: [other, third]}");
    let answer = fixture.get(
        "service=other&scope=repository:ann/web:pull,push&scope=registry:catalog:*",
        Some("ann"),
    );
    let token = text(&body(&answer)["token"]);
    assert_eq!(part(&token, 1)["aud"], "other");
    assert_eq!(
        part(&token, 1)["access"],
        json!([{"type": "repository", "name": "ann/web", "actions": ["pull", "push"]}]),
        "the other registry shows all names to whoever may see some"
    );
    assert_eq!(
        fixture.status("GET", "/v2/", &token),
        401,
        "it is not for us"
    );
}

/// S01: what our own keys did not sign, for us, in this time.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of forgeries")]
fn sec_s01_forged_tokens_of_our_own() {
    let fixture = Fixture::new("");
    fixture.push("ann", "ann/web");
    let good = fixture.token(Some("ann"), &["repository:ann/web:pull"]);
    let path = "/v2/ann/web/tags/list";
    assert_eq!(fixture.status("GET", path, &good), 200);
    let parts: Vec<&str> = good.split('.').collect();
    let (header, claims) = (part(&good, 0), part(&good, 1));
    let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let with_header = |change: &dyn Fn(&mut Value)| {
        let mut header = header.clone();
        change(&mut header);
        format!("{}.{}.{}", encode(&header), parts[1], parts[2])
    };
    let with_claims = |change: &dyn Fn(&mut Value)| {
        let mut claims = claims.clone();
        change(&mut claims);
        format!("{}.{}.{}", parts[0], encode(&claims), parts[2])
    };
    let mallory = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let sign = |header: &Value, claims: &Value| {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &mallory.serialize_der());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let random = aws_lc_rs::rand::SystemRandom::new();
        let signature = key.unwrap().sign(&random, signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    };
    let own_jwk = {
        let point = mallory.public_key_raw();
        json!({
            "kty": "EC", "crv": "P-256",
            "x": BASE64_URL_SAFE_NO_PAD.encode(&point[1..33]),
            "y": BASE64_URL_SAFE_NO_PAD.encode(&point[33..]),
        })
    };
    let own_certificate = {
        let params = rcgen::CertificateParams::new(vec!["layerhouse".to_owned()]).unwrap();
        BASE64_STANDARD.encode(params.self_signed(&mallory).unwrap().der())
    };
    let jwks = body(&fixture.client().get("/auth/jwks.json"));
    let hmac = {
        let header = json!({"typ": "JWT", "alg": "HS256", "kid": header["kid"]});
        let signed = format!("{}.{}", encode(&header), parts[1]);
        let key = fixture.client().get("/auth/certificate.pem").body;
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
        let tag = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag))
    };
    let with = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        header
    };
    let forged = [
        ("other key, same kid", sign(&header, &claims)),
        ("its own jwk", sign(&with("jwk", own_jwk.clone()), &claims)),
        (
            "its own certificate",
            sign(&with("x5c", json!([own_certificate])), &claims),
        ),
        (
            "no kid",
            sign(&json!({"alg": "ES256", "x5c": header["x5c"]}), &claims),
        ),
        ("none", with_header(&|header| header["alg"] = json!("none"))),
        (
            "another algorithm",
            with_header(&|header| header["alg"] = json!("EdDSA")),
        ),
        ("hmac", hmac),
        ("crit", with_header(&|header| header["crit"] = json!(["x"]))),
        (
            "the successor's kid",
            with_header(&|header| header["kid"] = jwks["keys"][2]["kid"].clone()),
        ),
        (
            "more access",
            with_claims(&|claims| claims["access"][0]["actions"] = json!(["pull", "push"])),
        ),
        (
            "another subject",
            with_claims(&|claims| claims["sub"] = json!("bob")),
        ),
        (
            "later",
            with_claims(&|claims| claims["exp"] = json!(1_900_000_000)),
        ),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("a fourth part", format!("{good}.{}", parts[2])),
        ("padded", format!("{good}=")),
        ("nothing", "..".to_owned()),
    ];
    let refused = {
        let headers = [("Authorization", "Bearer canary")];
        let mut answer = fixture.client().send("GET", path, &headers, b"");
        answer.headers.retain(|(name, _)| name != "date");
        answer
    };
    assert_eq!(refused.status, 401);
    for (name, token) in forged {
        let authorization = format!("Bearer {token}");
        let headers = [("Authorization", &*authorization)];
        let mut answer = fixture.client().send("GET", path, &headers, b"");
        answer.headers.retain(|(name, _)| name != "date");
        assert_eq!(answer, refused, "{name}");
    }
    assert_eq!(fixture.status("GET", path, &good), 200);
}

#[test]
fn without_the_index_there_is_no_token_service() {
    let server = Server::start();
    for path in ["/auth/token", "/auth/jwks.json", "/auth/certificate.pem"] {
        assert_eq!(server.client.get(path).status, 404);
    }
}

#[test]
fn it_moves_with_the_prefix() {
    let directory = TempDir::new().unwrap();
    users(&directory.path().join("htpasswd"), &["ann"]);
    let configuration = configuration(directory.path(), "");
    let server = Server::configured(&format!("http: {{prefix: /hub/}}\n{configuration}"));
    let challenge = server.client.get("/hub/v2/");
    let challenge = challenge.header("www-authenticate").unwrap();
    assert!(
        challenge.contains("realm=\"http://registry/hub/auth/token\""),
        "{challenge}"
    );
    assert_eq!(server.client.get("/hub/auth/token").status, 200);
    assert_eq!(server.client.get("/auth/token").status, 404);
}
