//! `auth.token`: tokens of another service (S01).

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use aws_lc_rs::hmac;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::service::{NOW, Signer, claims, encode, on};
use super::undated;
use crate::harness::http::Response;
use crate::harness::images;
use crate::harness::server::Server;

struct Fixture {
    server: Server,
    bundle: PathBuf,
    set: PathBuf,
    _directory: TempDir,
}

const PATH: &str = "/v2/acme/web/tags/list";

impl Fixture {
    /// A server that believes the certificates and the keys.
    fn new(certificates: &[&Signer], set: &Value, more: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let bundle = directory.path().join("bundle.pem");
        let jwks = directory.path().join("jwks.json");
        let mut configuration =
            "auth: {token: {service: service, issuer: issuer, realm: 'https://tokens/t'".to_owned();
        if !certificates.is_empty() {
            let pem: Vec<_> = certificates.iter().map(|signer| &*signer.pem).collect();
            fs::write(&bundle, pem.join("")).unwrap();
            let _ = write!(configuration, ", rootcertbundle: {}", bundle.display());
        }
        if !set.is_null() {
            fs::write(&jwks, json!({ "keys": set }).to_string()).unwrap();
            let _ = write!(configuration, ", jwks: {}", jwks.display());
        }
        let _ = write!(configuration, "{more}}}}}");
        Self {
            server: Server::configured(&configuration),
            bundle,
            set: jwks,
            _directory: directory,
        }
    }

    fn get(&self, path: &str, token: &str) -> Response {
        let authorization = format!("Bearer {token}");
        let headers = [("Authorization", &*authorization)];
        undated(self.server.client.send("GET", path, &headers, b""))
    }

    /// Let in: there is no such repository, and that may be said.
    fn accepts(&self, token: &str) -> bool {
        let status = self.get(PATH, token).status;
        assert!(matches!(status, 404 | 401), "{status}");
        status == 404
    }
}

fn good() -> String {
    claims(&on("acme/web", &["pull"])).to_string()
}

#[test]
fn keys_of_all_kinds_by_all_names() {
    for algorithm in ["RS256", "ES256", "EdDSA"] {
        let signer = Signer::new(algorithm);
        let mut own = signer.jwk();
        own["kid"] = json!("own");
        let bundled = Fixture::new(&[&signer], &Value::Null, "");
        let listed = Fixture::new(&[], &json!([own]), "");
        for fixture in [&bundled, &listed] {
            for id in [signer.thumbprint(), signer.fingerprint()] {
                let token = signer.token(&json!({ "kid": id }), &good());
                // The second time from memory.
                assert!(
                    fixture.accepts(&token) && fixture.accepts(&token),
                    "{algorithm} {id}"
                );
            }
            assert!(
                !fixture.accepts(&signer.token(&json!({}), &good())),
                "no name, no chain"
            );
        }
        assert!(listed.accepts(&signer.token(&json!({"kid": "own"}), &good())));
        let chain = json!({ "x5c": Signer::x5c(&[&signer]) });
        assert!(
            bundled.accepts(&signer.token(&chain, &good())),
            "{algorithm}"
        );
        assert!(
            !listed.accepts(&signer.token(&chain, &good())),
            "a set has no roots"
        );
    }
}

#[test]
fn chains_lead_to_a_root() {
    let root = Signer::new("ES256");
    let middle = root.below(|params| {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "middle");
    });
    let leaf = middle.below(|_| {});
    let direct = root.below(|_| {});
    let old = root.below(|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    let early = root.below(|params| params.not_before = rcgen::date_time_ymd(2040, 1, 1));
    let for_clients = root.below(|params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::EmailProtection];
    });
    let fixture = Fixture::new(&[&root], &Value::Null, "");
    let check = |signer: &Signer, chain: &[&Signer], expected: bool, why: &str| {
        let token = signer.token(
            &json!({ "x5c": Signer::x5c(chain), "kid": "unknown" }),
            &good(),
        );
        assert_eq!(fixture.accepts(&token), expected, "{why}");
    };
    check(&direct, &[&direct], true, "of the root");
    check(&direct, &[&direct, &root], true, "with the root");
    check(&leaf, &[&leaf, &middle], true, "over another");
    check(&for_clients, &[&for_clients], true, "for any use");
    check(&leaf, &[&leaf], false, "a gap");
    check(&old, &[&old], false, "expired");
    check(&early, &[&early], false, "not yet valid");
    check(&leaf, &[&direct], false, "the key of another certificate");
    check(&direct, &[], false, "an empty chain");
    let foreign = Signer::new("ES256");
    check(&foreign, &[&foreign], false, "made by itself");
    check(
        &foreign,
        &[&foreign, &root],
        false,
        "made by itself, with the root behind it",
    );
    check(
        &foreign.below(|_| {}),
        &[&foreign],
        false,
        "from a foreign root",
    );
    let below_leaf = direct.below(|_| {});
    check(
        &below_leaf,
        &[&below_leaf, &direct],
        false,
        "signed by what is no authority",
    );
}

/// What is remembered of a chain ends with its first certificate that does.
#[test]
fn a_remembered_chain_ends_in_time() {
    let root = Signer::new("ES256");
    let now = time::OffsetDateTime::from_unix_timestamp(i64::try_from(NOW).unwrap()).unwrap();
    let leaf = root.below(|params| params.not_after = now + time::Duration::seconds(10));
    let fixture = Fixture::new(&[&root], &Value::Null, "");
    let token = leaf.token(&json!({ "x5c": Signer::x5c(&[&leaf]) }), &good());
    assert!(fixture.accepts(&token) && fixture.accepts(&token));
    fixture.server.advance(Duration::from_secs(10));
    assert!(fixture.accepts(&token), "to the last second");
    fixture.server.advance(Duration::from_secs(1));
    assert!(!fixture.accepts(&token), "the token itself is still good");
}

/// S01: CVE-2025-24976 and all that was ever tried; one identical answer.
#[test]
#[expect(clippy::too_many_lines, reason = "one table, whose refusals are one")]
fn sec_s01_forged_tokens_are_all_refused_alike() {
    let rsa = Signer::new("RS256");
    let ec = Signer::new("ES256");
    let mallory = Signer::new("ES256");
    let mut listed = ec.jwk();
    listed["kid"] = json!("ec");
    let fixture = Fixture::new(&[&rsa], &json!([listed]), "");
    let rsa_kid = json!({ "kid": rsa.thumbprint() });
    assert!(fixture.accepts(&rsa.token(&rsa_kid, &good())));
    assert!(fixture.accepts(&ec.token(&json!({"kid": "ec"}), &good())));

    let refused = fixture.get(PATH, "canary");
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.header("www-authenticate"),
        Some(
            r#"Bearer realm="https://tokens/t",service="service",scope="repository:acme/web:pull",error="invalid_token""#
        )
    );
    let mut forged: Vec<(&str, String)> = Vec::new();

    // Keys that the token brings along.
    let jwk = mallory.jwk();
    let mut named = jwk.clone();
    named["kid"] = json!("ec");
    forged.push(("jwk", mallory.token(&json!({ "jwk": jwk }), &good())));
    forged.push((
        "jwk of that name",
        mallory.token(&json!({"kid": "ec", "jwk": named}), &good()),
    ));
    forged.push((
        "jwk whose kid is trusted",
        mallory.token(&json!({"kid": rsa.thumbprint(), "jwk": jwk}), &good()),
    ));
    forged.push((
        "kid with another key",
        mallory.token(&json!({"kid": "ec"}), &good()),
    ));
    forged.push((
        "kid with a chain of its own",
        mallory.token(
            &json!({"kid": "ec", "x5c": Signer::x5c(&[&mallory])}),
            &good(),
        ),
    ));
    let urls = json!({"jku": "https://mallory/", "x5u": "https://mallory/"});
    forged.push(("jku and x5u", mallory.token(&urls, &good())));
    forged.push((
        "own chain",
        mallory.token(&json!({"x5c": Signer::x5c(&[&mallory])}), &good()),
    ));

    // Algorithms.
    let unsigned = |header: Value| format!("{}.{}.", encode(header.to_string()), encode(good()));
    for none in ["none", "None", "NONE", ""] {
        forged.push(("none", unsigned(json!({"alg": none, "kid": "ec"}))));
    }
    for secret in [
        rsa.public_key(),
        rsa.pem.clone().into_bytes(),
        rsa.certificate.clone(),
    ] {
        let header = json!({"alg": "HS256", "kid": rsa.thumbprint()});
        let signed = format!("{}.{}", encode(header.to_string()), encode(good()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let tag = hmac::sign(&key, signed.as_bytes());
        forged.push((
            "HS256 with the public key",
            format!("{signed}.{}", encode(tag)),
        ));
    }
    for algorithm in ["RS384", "PS256", "ES256", "EdDSA", "rs256"] {
        let header = json!({"alg": algorithm, "kid": rsa.thumbprint()});
        forged.push(("another algorithm", rsa.token(&header, &good())));
    }
    let crit = json!({"kid": "ec", "crit": ["exp"], "exp": 1});
    forged.push(("crit", ec.token(&crit, &good())));

    // Claims.
    for (name, value) in [
        ("iss", json!("other")),
        ("iss", Value::Null),
        ("iss", json!(["issuer"])),
        ("aud", json!("other")),
        ("aud", json!([])),
        ("aud", json!(["other", 1])),
        ("aud", json!({"service": 1})),
        ("aud", Value::Null),
        ("exp", json!(NOW - 61)),
        ("exp", Value::Null),
        ("exp", json!((NOW + 300).to_string())),
        ("exp", json!(-1)),
        ("nbf", json!(NOW + 61)),
        ("nbf", json!("0")),
        ("sub", json!(7)),
        ("access", json!({})),
        (
            "access",
            json!([{"type": "repository", "name": "acme/web", "actions": "pull"}]),
        ),
    ] {
        let mut claims = claims(&on("acme/web", &["pull"]));
        claims[name] = value;
        forged.push((name, ec.token(&json!({"kid": "ec"}), &claims.to_string())));
    }
    let twice = good().replacen('{', "{\"exp\":1,", 1);
    forged.push(("a claim twice", ec.token(&json!({"kid": "ec"}), &twice)));
    let nested = good().replace("\"type\"", "\"name\":\"x\",\"type\"");
    forged.push((
        "a right's name twice",
        ec.token(&json!({"kid": "ec"}), &nested),
    ));

    // The form.
    let token = ec.token(&json!({"kid": "ec"}), &good());
    let parts: Vec<&str> = token.split('.').collect();
    let header = r#"{"alg":"ES256","kid":"ec","kid":"ec"}"#;
    let signed = format!("{}.{}", encode(header), parts[1]);
    let signature = encode(ec.sign(signed.as_bytes()));
    forged.push(("a header twice", format!("{signed}.{signature}")));
    let other = encode(good().replace("pull", "push"));
    forged.push(("other claims", format!("{}.{other}.{}", parts[0], parts[2])));
    forged.push(("no signature", format!("{}.{}", parts[0], parts[1])));
    forged.push(("an empty signature", format!("{}.{}.", parts[0], parts[1])));
    forged.push(("four parts", format!("{token}.{}", parts[2])));
    forged.push(("padding", format!("{token}==")));
    forged.push(("cut", token[..token.len() - 2].to_owned()));
    forged.push(("too long", format!("{}.{}", "a".repeat(25 << 10), parts[1])));
    forged.push(("dots", "..".to_owned()));

    for (why, token) in forged {
        assert_eq!(fixture.get(PATH, &token), refused, "{why}");
    }
}

#[test]
fn clocks_may_differ_by_a_minute() {
    let signer = Signer::new("EdDSA");
    let fixture = Fixture::new(&[&signer], &Value::Null, "");
    let header = json!({ "kid": signer.thumbprint() });
    let token = |exp: u64, nbf: u64| {
        let mut claims = claims(&on("acme/web", &["pull"]));
        claims["exp"] = json!(exp);
        claims["nbf"] = json!(nbf);
        signer.token(&header, &claims.to_string())
    };
    assert!(fixture.accepts(&token(NOW - 59, 0)));
    assert!(fixture.accepts(&token(NOW + 9, NOW + 59)));
    let short = token(NOW + 1, NOW);
    assert!(fixture.accepts(&short));
    fixture.server.advance(Duration::from_secs(61));
    assert!(fixture.accepts(&short));
    fixture.server.advance(Duration::from_secs(1));
    assert!(!fixture.accepts(&short), "a remembered token ends, too");
}

#[test]
fn keys_change_under_a_running_server() {
    let [old, new] = ["ES256"; 2].map(Signer::new);
    let mut fixture = Fixture::new(&[&old], &json!([old.jwk()]), "");
    fixture.server.may_complain();
    let [old_token, new_token] =
        [&old, &new].map(|signer| signer.token(&json!({"kid": signer.thumbprint()}), &good()));
    assert!(fixture.accepts(&old_token) && !fixture.accepts(&new_token));
    fs::write(&fixture.bundle, &new.pem).unwrap();
    fixture.server.advance(Duration::from_secs(1));
    assert!(fixture.accepts(&old_token) && fixture.accepts(&new_token));
    fs::write(&fixture.set, json!({"keys": [new.jwk()]}).to_string()).unwrap();
    fixture.server.advance(Duration::from_secs(1));
    assert!(!fixture.accepts(&old_token) && fixture.accepts(&new_token));
    fs::write(&fixture.set, "{").unwrap();
    fs::write(&fixture.bundle, "").unwrap();
    fixture.server.advance(Duration::from_secs(1));
    assert!(fixture.accepts(&new_token), "bad files change nothing");
}

#[test]
fn audiences_subjects_and_algorithms() {
    let signer = Signer::new("ES256");
    let header = json!({ "kid": signer.thumbprint() });
    let fixture = Fixture::new(&[&signer], &Value::Null, "");
    let with = |name: &str, value: Value| {
        let mut claims = claims(&on("acme/web", &["pull"]));
        claims[name] = value;
        signer.token(&header, &claims.to_string())
    };
    assert!(fixture.accepts(&with("aud", json!(["other", "service"]))));
    for subject in [json!(""), Value::Null] {
        assert!(fixture.accepts(&with("sub", subject)), "nobody by name");
    }
    assert!(fixture.accepts(&with("nbf", Value::Null)));
    let token = with("sub", json!("ann"));
    let strict = Fixture::new(
        &[&signer],
        &Value::Null,
        ", signingalgorithms: [RS256, HS256]",
    );
    assert!(fixture.accepts(&token) && !strict.accepts(&token));
}

#[test]
fn the_base_needs_a_token_and_nothing_more() {
    let signer = Signer::new("EdDSA");
    let fixture = Fixture::new(&[&signer], &Value::Null, "");
    let header = json!({ "kid": signer.thumbprint() });
    for access in [json!([]), Value::Null, on("acme/web", &[])] {
        let token = signer.token(&header, &claims(&access).to_string());
        assert_eq!(fixture.get("/v2/", &token).status, 200);
        let refused = fixture.get(PATH, &token);
        assert_eq!(refused.status, 401);
        let challenge = refused.header("www-authenticate").unwrap();
        assert!(
            challenge.ends_with(r#",error="insufficient_scope""#),
            "{challenge}"
        );
    }
    let without = fixture.server.client.get("/v2/");
    let challenge = Some(r#"Bearer realm="https://tokens/t",service="service""#);
    assert_eq!(without.header("www-authenticate"), challenge);
    let basic = super::basic("a", "b");
    let headers = [("Authorization", &*basic)];
    let basic = fixture.server.client.send("GET", "/v2/", &headers, b"");
    assert_eq!(
        basic.header("www-authenticate"),
        challenge,
        "no token, no error"
    );
}

#[test]
fn the_realm_may_be_where_the_client_asked() {
    let signer = Signer::new("EdDSA");
    let more = ", autoredirect: true, autoredirectpath: /my/token";
    let fixture = Fixture::new(&[&signer], &Value::Null, more);
    assert_eq!(
        fixture.server.client.get("/v2/").header("www-authenticate"),
        Some(r#"Bearer realm="https://registry/my/token",service="service""#)
    );
}

/// S07: a mount whose source may not be read is one whose source is not there; the challenge asks for it.
#[test]
fn mounts_need_the_right_to_pull_where_the_blob_is() {
    let signer = Signer::new("EdDSA");
    let fixture = Fixture::new(&[&signer], &Value::Null, "");
    let client = &fixture.server.client;
    let send = |path: &str, access: &Value, body: &[u8]| {
        let header = json!({ "kid": signer.thumbprint() });
        let token = signer.token(&header, &claims(access).to_string());
        let authorization = format!("Bearer {token}");
        client.send("POST", path, &[("Authorization", &authorization)], body)
    };
    let digest = images::digest("abcd");
    let push = on("acme/from", &["pull", "push"]);
    let path = format!("/v2/acme/from/blobs/uploads/?digest={digest}");
    assert_eq!(send(&path, &push, b"abcd").status, 201);
    let path = format!("/v2/acme/to/blobs/uploads/?mount={digest}&from=acme/from");
    let challenge = client.send("POST", &path, &[], b"");
    let challenge = challenge.header("www-authenticate").unwrap();
    let scope = r#"scope="repository:acme/to:pull,push repository:acme/from:pull""#;
    assert!(challenge.ends_with(scope), "{challenge}");
    let target = on("acme/to", &["pull", "push"]);
    assert_eq!(send(&path, &target, b"").status, 202);
    let anywhere = path.replace("&from=acme/from", "");
    assert_eq!(
        send(&anywhere, &target, b"").status,
        202,
        "nor where it is not named"
    );
    let both = json!([target[0], on("acme/from", &["pull"])[0]]);
    assert_eq!(send(&path, &both, b"").status, 201);
}

#[test]
fn keys_that_cannot_be_read_are_no_start() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("keys");
    for (key, content, expected) in [
        ("rootcertbundle", None, "auth.token: rootcertbundle: "),
        ("rootcertbundle", Some("x"), "no certificate"),
        ("jwks", Some("{}"), "there is no list"),
        (
            "jwks",
            Some(r#"{"keys": [{"kty": "oct", "k": "eA"}]}"#),
            "no RSA, EC or Ed25519 key",
        ),
        (
            "jwks",
            Some(r#"{"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}"#),
            "key 1: an RSA key",
        ),
    ] {
        let _ = fs::remove_file(&file);
        if let Some(content) = content {
            fs::write(&file, content).unwrap();
        }
        let config = directory.path().join("config.yml");
        let text = format!(
            "version: 0.1\nauth: {{token: {{realm: r, service: s, issuer: i, {key}: {}}}}}",
            file.display()
        );
        fs::write(&config, text).unwrap();
        let root = directory.path().join("root");
        let arguments = [
            "--root",
            &*root.to_string_lossy(),
            "--config",
            &*config.to_string_lossy(),
        ];
        let refused = crate::harness::process::Process::try_run(&arguments, &[])
            .err()
            .unwrap();
        assert!(refused.log.contains(expected), "{}", refused.log);
    }
}
