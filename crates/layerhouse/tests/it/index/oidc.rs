//! `layerhouse.index.oidc`: people who sign in with a browser, at a provider of the test's.

use std::time::Duration;

use serde_json::{Value, json};

use super::outside::{ACME, ask, json as body, may_push, write};
use crate::auth::service::{NOW, Signer, encode};
use crate::harness::http::Response;
use crate::harness::provider::Provider;
use crate::harness::server::Server;

const LOGIN: &str = "/auth/oidc/corp/login";
const CALLBACK: &str = "/auth/oidc/corp/callback";

struct Fixture {
    server: Server,
    provider: Provider,
}

/// A browser that was sent to the provider.
struct Away {
    /// What it keeps.
    cookie: String,
    /// What it was sent with.
    query: Vec<(String, String)>,
}

impl Away {
    fn get(&self, name: &str) -> &str {
        let found = self.query.iter().find(|(own, _)| own == name);
        found.map_or("", |(_, value)| value)
    }
}

impl Fixture {
    fn new(more: &str) -> Self {
        let provider = Provider::start();
        let server = Server::configured(&configuration(&provider, more));
        Self { server, provider }
    }

    fn leave(&self, query: &str) -> Away {
        let answer = self.server.client.get(&format!("{LOGIN}{query}"));
        assert_eq!(answer.status, 303, "{}", answer.text());
        let location = answer.header("location").unwrap();
        let (address, query) = location.split_once('?').unwrap();
        assert_eq!(address, format!("{}/authorize", self.provider.url()));
        let cookie = answer.header("set-cookie").unwrap();
        let attributes = "; Max-Age=600; Path=/auth/oidc/corp/; HttpOnly; SameSite=Lax";
        let cookie = cookie.strip_suffix(attributes).expect(cookie).to_owned();
        let pairs = form_urlencoded::parse(query.as_bytes());
        Away {
            cookie,
            query: pairs.into_owned().collect(),
        }
    }

    /// Has the provider give this token, and comes back.
    fn arrive_with(&self, away: &Away, token: &str) -> Response {
        self.provider.answer(200, &json!({ "id_token": token }));
        self.arrive(&away.cookie, away.get("state"))
    }

    fn arrive(&self, cookie: &str, state: &str) -> Response {
        let path = format!("{CALLBACK}?code=c-1&state={state}");
        let headers = [("Cookie", cookie)];
        let answer = self.server.client.send("GET", &path, &headers, b"");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
        answer
    }

    /// Signs in as somebody.
    fn sign_in(&self, subject: &str, more: &Value) -> Response {
        let away = self.leave("");
        let mut claims = self.provider.claims(subject, more);
        claims["nonce"] = json!(away.get("nonce"));
        self.arrive_with(&away, &self.provider.token(&claims))
    }
}

fn configuration(provider: &Provider, more: &str) -> String {
    format!(
        "layerhouse: {{index: {{oidc: [{{name: corp, title: Corp, issuer: '{}', clientid: layerhouse, \
         clientsecret: 'of the & client'{more}}}]}}}}",
        provider.url()
    )
}

fn ann() -> Value {
    json!({ "preferred_username": "Ann", "name": "Ann Lee", "email": "ann@example.com" })
}

/// The session that an answer gives.
fn session(answer: &Response) -> Option<String> {
    let cookies = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "set-cookie");
    let mut sessions = cookies.filter(|(_, value)| value.starts_with("layerhouse_session=lhs_"));
    let (_, value) = sessions.next()?;
    assert!(value.contains("; HttpOnly; SameSite=Strict"), "{value}");
    value.split(';').next().map(str::to_owned)
}

#[test]
fn a_browser_signs_in_and_makes_a_token_for_docker() {
    let fixture = Fixture::new("");
    let away = fixture.leave("");
    assert_eq!(away.get("response_type"), "code");
    assert_eq!(away.get("client_id"), "layerhouse");
    assert_eq!(away.get("scope"), "openid profile email");
    assert_eq!(away.get("code_challenge_method"), "S256");
    assert_eq!(
        away.get("redirect_uri"),
        format!("http://registry{CALLBACK}")
    );
    let mut claims = fixture.provider.claims("s-1", &ann());
    claims["nonce"] = json!(away.get("nonce"));
    let answer = fixture.arrive_with(&away, &fixture.provider.token(&claims));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("Signed in as ann"));
    assert!(answer.text().contains("docker login registry -u ann"));
    // The code was brought with the proof that it was asked for here, and with the client's secret.
    let asked = fixture.provider.asked("/token").remove(0);
    let verifier = asked.body.split("code_verifier=").nth(1).unwrap();
    let verifier = verifier.split('&').next().unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    assert_eq!(away.get("code_challenge"), encode(digest));
    let basic = crate::auth::basic("layerhouse", "of+the+%26+client");
    assert!(asked.head.contains(&basic), "{}", asked.head);
    // The page's form makes a token, for the page alone (S53).
    let session = session(&answer).unwrap();
    let make = |headers: &[(&str, &str)]| {
        let client = &fixture.server.client;
        client.send("POST", "/auth/oidc/token", headers, b"")
    };
    let (cookie, own) = (("Cookie", &*session), ("Origin", "http://registry"));
    for headers in [
        vec![cookie],
        vec![own],
        vec![cookie, ("Origin", "http://evil.example.com")],
        vec![cookie, ("Origin", "null")],
        vec![cookie, own, ("Sec-Fetch-Site", "cross-site")],
        vec![("Cookie", "layerhouse_session=lhs_x"), own],
    ] {
        assert_eq!(make(&headers).status, 401, "{headers:?}");
    }
    let page = make(&[cookie, own]).text();
    let token = page
        .split("<pre>")
        .nth(1)
        .unwrap()
        .split('<')
        .next()
        .unwrap();
    assert!(token.starts_with("lhp_"), "{page}");
    assert!(may_push(&fixture.server.client, "ann", token, "ann/web"));
    // The same person comes back under another name, and is who they were.
    let renamed = json!({ "preferred_username": "annabel" });
    assert!(fixture.sign_in("s-1", &renamed).text().contains("as ann<"));
}

#[test]
fn pages_speak_chinese() {
    let fixture = Fixture::new("");
    let headers = [("Accept-Language", "zh-CN,zh;q=0.9,en;q=0.8")];
    let answer = fixture.server.client.send("GET", CALLBACK, &headers, b"");
    assert_eq!(answer.status, 400);
    assert!(
        answer.text().contains("使用 Corp 登录"),
        "{}",
        answer.text()
    );
    assert!(answer.text().contains("lang=\"zh-CN\""));
    assert_eq!(answer.header("vary"), Some("accept-language"));
}

#[test]
fn tokens_that_are_not_for_this_sign_in() {
    let fixture = Fixture::new("");
    let (provider, other) = (&fixture.provider, Signer::new("ES256"));
    let one = json!({ "kid": "one" });
    let check = |what: &str, token: &dyn Fn(&Value) -> String, expected: u16| {
        let away = fixture.leave("");
        let mut claims = provider.claims("s-1", &ann());
        claims["nonce"] = json!(away.get("nonce"));
        let answer = fixture.arrive_with(&away, &token(&claims));
        assert_eq!(answer.status, expected, "{what}: {}", answer.text());
        assert_eq!(session(&answer).is_some(), expected == 200, "{what}");
    };
    let with = |name: &'static str, value: Value| {
        move |claims: &Value| {
            let mut claims = claims.clone();
            claims[name] = value.clone();
            provider.token(&claims)
        }
    };
    check("good", &|claims| provider.token(claims), 200);
    check("nonce", &with("nonce", json!("other")), 400);
    check("no nonce", &with("nonce", json!(null)), 400);
    check(
        "issuer",
        &with("iss", json!("https://evil.example.com")),
        400,
    );
    check("audience", &with("aud", json!("other")), 400);
    check(
        "audiences",
        &with("aud", json!(["layerhouse", "other"])),
        400,
    );
    check("party", &with("azp", json!("other")), 400);
    check("expired", &with("exp", json!(NOW - 61)), 400);
    check("no end", &with("exp", json!(null)), 400);
    check("from the future", &with("iat", json!(NOW + 120)), 400);
    check("no subject", &with("sub", json!("")), 403);
    check("no name", &with("preferred_username", json!(null)), 403);
    check(
        "odd name",
        &with("preferred_username", json!("../admin")),
        403,
    );
    check(
        "another key",
        &|claims| other.token(&one, &claims.to_string()),
        400,
    );
    let none = |claims: &Value| {
        let header = encode(json!({"alg": "none"}).to_string());
        format!("{header}.{}.", encode(claims.to_string()))
    };
    check("alg none", &none, 400);
    let hs256 = |claims: &Value| {
        let header = encode(json!({"alg": "HS256", "kid": "one"}).to_string());
        let signed = format!("{header}.{}", encode(claims.to_string()));
        // With the public key as the secret, which everyone has.
        let key = provider.signer.public_key();
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
        let tag = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", encode(tag))
    };
    check("alg HS256", &hs256, 400);
    check("no token", &|_| String::new(), 400);
    check("good again", &|claims| provider.token(claims), 200);
}

#[test]
fn sign_ins_that_were_begun_elsewhere() {
    let fixture = Fixture::new("");
    let away = fixture.leave("");
    let other = fixture.leave("");
    let cookie = |text: &str| format!("layerhouse_oidc={text}");
    for (cookie, state) in [
        (String::new(), away.get("state")),
        (away.cookie.clone(), ""),
        (away.cookie.clone(), "other"),
        (away.cookie.clone(), other.get("state")),
        (cookie("x"), away.get("state")),
        (
            format!("{}; {}", away.cookie, other.cookie),
            away.get("state"),
        ),
    ] {
        let answer = fixture.arrive(&cookie, state);
        assert_eq!(answer.status, 400, "{cookie} {state}");
        assert!(answer.text().contains("href=\"/auth/oidc/corp/login\""));
    }
    assert!(
        fixture.provider.asked("/token").is_empty(),
        "no code was brought"
    );
    fixture.server.advance(Duration::from_mins(10));
    assert_eq!(fixture.arrive(&away.cookie, away.get("state")).status, 400);
    let refused = format!("{CALLBACK}?error=access_denied&state={}", away.get("state"));
    assert_eq!(fixture.server.client.get(&refused).status, 400);
    for path in [
        "/auth/oidc/other/login",
        "/auth/oidc/corp/",
        "/auth/oidc/corp",
    ] {
        assert_eq!(fixture.server.client.get(path).status, 404, "{path}");
    }
    let posted = fixture.server.client.send("POST", LOGIN, &[], b"");
    assert_eq!(posted.status, 405);
}

#[test]
fn keys_change_and_strangers_do_not_make_us_ask() {
    let fixture = Fixture::new("");
    let provider = &fixture.provider;
    let two = Signer::new("EdDSA");
    let sign_in = |signer: &Signer, id: &str| {
        let away = fixture.leave("");
        let mut claims = provider.claims("s-1", &ann());
        claims["nonce"] = json!(away.get("nonce"));
        claims["exp"] = json!(NOW + 9000);
        let token = signer.token(&json!({ "kid": id }), &claims.to_string());
        fixture.arrive_with(&away, &token).status
    };
    let asked = || provider.asked("/keys").len();
    assert_eq!(sign_in(&provider.signer, "one"), 200);
    provider.publish(&[(&provider.signer, "one"), (&two, "two")]);
    for id in ["a", "b", "c"] {
        assert_eq!(sign_in(&two, id), 400);
    }
    assert_eq!(asked(), 1, "it was asked just now");
    fixture.server.advance(Duration::from_secs(30));
    assert_eq!(sign_in(&two, "two"), 200);
    assert_eq!(asked(), 2);
    // What was taken back is not believed for long.
    provider.publish(&[(&two, "two")]);
    assert_eq!(sign_in(&provider.signer, "one"), 200);
    fixture.server.advance(Duration::from_hours(1));
    assert_eq!(sign_in(&provider.signer, "one"), 400);
    assert_eq!(sign_in(&two, "two"), 200);
}

/// S30: our secret goes to the endpoint that the issuer names for itself, over TLS.
#[test]
fn sec_s30_no_secret_goes_where_a_stranger_says() {
    for (name, value) in [
        ("token_endpoint", "http://evil.example.com/token"),
        ("jwks_uri", "http://169.254.169.254/latest"),
        ("authorization_endpoint", "http://evil.example.com/"),
        ("issuer", "https://evil.example.com"),
    ] {
        let mut fixture = Fixture::new("");
        fixture.server.may_complain();
        fixture.provider.say(name, json!(value));
        let answer = fixture.server.client.get(LOGIN);
        assert_eq!(answer.status, 503, "{name}");
        assert!(answer.header("set-cookie").is_none());
    }
}

/// S31: nor on, where one redirects.
#[test]
fn sec_s31_no_secret_follows_a_redirection() {
    let mut fixture = Fixture::new("");
    fixture.server.may_complain();
    let stranger = Provider::start();
    let to = format!("{}/token", stranger.url());
    fixture.provider.redirect("/token", &to);
    let answer = fixture.sign_in("s-1", &ann());
    assert_eq!(answer.status, 503);
    assert!(session(&answer).is_none());
    assert!(stranger.asked("/token").is_empty());
    let fixture = Fixture::new("");
    let mut server = fixture.server;
    server.may_complain();
    let to = format!("{}/.well-known/openid-configuration", stranger.url());
    fixture
        .provider
        .redirect("/.well-known/openid-configuration", &to);
    assert_eq!(server.client.get(LOGIN).status, 503);
    assert!(
        stranger
            .asked("/.well-known/openid-configuration")
            .is_empty()
    );
}

/// S36
#[test]
fn sec_s36_people_go_on_to_a_path_of_ours() {
    let fixture = Fixture::new("");
    let check = |path: &str, expected: Option<&str>| {
        let query: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("return", path)
            .finish();
        let away = fixture.leave(&format!("?{query}"));
        let mut claims = fixture.provider.claims("s-1", &ann());
        claims["nonce"] = json!(away.get("nonce"));
        let answer = fixture.arrive_with(&away, &fixture.provider.token(&claims));
        assert_eq!(answer.status, 200);
        assert!(answer.header("location").is_none());
        let page = answer.text();
        let refresh = page.split("content=\"0; url=").nth(1);
        let found = refresh.and_then(|rest| rest.split('"').next());
        assert_eq!(found, expected, "{path:?}");
    };
    check("/ui/acme", Some("/ui/acme"));
    check("/ui?a=\"b", Some("/ui?a=&quot;b"));
    for path in [
        "//evil",
        "/\\evil",
        "https:evil",
        "https://evil/",
        "/\t/evil",
        "javascript:x",
        "",
    ] {
        check(path, None);
    }
}

#[test]
fn who_may_sign_in() {
    let fixture = Fixture::new(", allowedgroups: [staff], alloweddomains: [Example.com]");
    let check = |more: Value, expected: u16| {
        let mut claims = json!({
            "preferred_username": "ann", "email": "ann@example.com", "email_verified": true,
            "groups": ["staff", "x"],
        });
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        assert_eq!(fixture.sign_in("s-1", &claims).status, expected, "{more}");
    };
    check(json!({}), 200);
    check(json!({"groups": "staff"}), 200);
    check(json!({"groups": ["x"]}), 403);
    check(json!({"groups": null}), 403);
    check(json!({"email_verified": false}), 403);
    check(json!({"email_verified": null}), 403);
    check(json!({"email": "ann@evil.com"}), 403);
    check(json!({"email": "ann@example.com.evil.com"}), 403);
    check(json!({"email": "ann@example.com@evil.com"}), 403);
    check(json!({"email": null}), 403);
}

#[test]
fn names_that_are_others() {
    let mut fixture =
        Fixture::new(", usernameclaim: email, usernamepattern: '([^@]+)@example[.]com'");
    fixture.server.may_complain();
    let mail = |text: &str| json!({ "email": text, "email_verified": true });
    let ann = fixture.sign_in("s-1", &mail("ann@example.com"));
    assert!(ann.text().contains("Signed in as ann"), "{}", ann.text());
    // Somebody else of that name is not Ann, and gets no name of their own.
    assert_eq!(fixture.sign_in("s-2", &mail("ann@example.com")).status, 403);
    assert_eq!(
        fixture.sign_in("s-3", &mail("bob@evil.example")).status,
        403
    );
    let unverified = json!({ "email": "carol@example.com" });
    assert_eq!(fixture.sign_in("s-4", &unverified).status, 403);
    assert_eq!(
        fixture.sign_in("s-5", &mail("admin@example.com")).status,
        403
    );
}

/// S11
#[test]
fn sec_s11_groups_of_the_provider_are_replaced() {
    let mut fixture = Fixture::new(", teams: [{group: developers, team: acme/dev}]");
    write(&mut fixture.server, ACME);
    let in_groups = |groups: &[&str]| {
        let mut claims = ann();
        claims["groups"] = json!(groups);
        claims
    };
    let answer = fixture.sign_in("s-1", &in_groups(&["developers", "other"]));
    let session = session(&answer).unwrap();
    let headers = [("Cookie", &*session), ("Origin", "http://registry")];
    let client = &fixture.server.client;
    let page = client
        .send("POST", "/auth/oidc/token", &headers, b"")
        .text();
    let token = page
        .split("<pre>")
        .nth(1)
        .unwrap()
        .split('<')
        .next()
        .unwrap();
    assert!(may_push(client, "ann", token, "acme/web"));
    fixture.sign_in("s-1", &in_groups(&["other"]));
    assert!(!may_push(client, "ann", token, "acme/web"));
    fixture.sign_in("s-1", &in_groups(&["developers"]));
    assert!(may_push(client, "ann", token, "acme/web"));
    fixture.sign_in("s-1", &ann());
    assert!(
        !may_push(client, "ann", token, "acme/web"),
        "no groups are none"
    );
    let _ = body(&ask(client, "ann", token, ""));
}

#[test]
fn a_provider_that_is_away() {
    let mut fixture = Fixture::new("");
    fixture.server.may_complain();
    let away = fixture.leave("");
    fixture.provider.answer(500, &json!({}));
    assert_eq!(fixture.arrive(&away.cookie, away.get("state")).status, 503);
    let away = fixture.leave("");
    fixture
        .provider
        .answer(400, &json!({"error": "invalid_grant"}));
    assert_eq!(fixture.arrive(&away.cookie, away.get("state")).status, 400);
}

#[test]
fn nothing_is_there_without_a_provider() {
    for configuration in ["", "layerhouse: {index: {}}"] {
        let server = Server::configured(configuration);
        for path in [LOGIN, CALLBACK, "/auth/oidc/token"] {
            assert_eq!(server.client.get(path).status, 404, "{path}");
        }
    }
}
