//! The settings in which one signs in, and those who do not, wrongly, or without the right.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::settings::{DELETABLE, STORAGE, Setting};
use super::tokens::{self, Service};

pub(super) fn silly() -> Setting {
    let config = "
storage: {filesystem: {}, delete: {enabled: true}}
auth: {silly: {realm: 'https://silly.example/token', service: 'a service'}}
";
    Setting {
        authorization: Some("Anything at all".to_owned()),
        before: STRANGERS.to_owned(),
        ..Setting::new("silly", config, &[])
    }
}

pub(super) fn htpasswd() -> Setting {
    let environment = [
        ("REGISTRY_AUTH", "htpasswd"),
        ("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm"),
        ("REGISTRY_AUTH_HTPASSWD_PATH", "$FILES/htpasswd"),
    ];
    let basic = |pair: &str| format!("Basic {}", BASE64_STANDARD.encode(pair));
    let mut before = STRANGERS.to_owned();
    for authorization in [
        &*basic("alice:wrong"),
        &basic("alice:"),
        &basic("alice"),
        &basic("bob:secret"),
        &basic("nobody:secret"),
        &basic(":"),
        "Basic",
        "Basic !!!",
        "Bearer abcd",
        "Silly x",
        &basic("alice:secret").replace("Basic", "basic"),
    ] {
        let _ = writeln!(before, "GET  /v2/  Authorization: {authorization}");
    }
    let setting = Setting {
        authorization: Some(basic("alice:secret")),
        before,
        ..Setting::new("htpasswd", STORAGE, &environment)
    };
    let alice = bcrypt::hash_with_result("secret", 4).expect("a small cost");
    let alice = alice.format_for_version(bcrypt::Version::TwoY);
    // Bob's entry is of a kind that nothing matches.
    let bob = "bob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=";
    setting.file("htpasswd", &format!("# users\n\nalice:{alice}\n{bob}\n"));
    setting
}

pub(super) fn token() -> Setting {
    let environment = [
        ("REGISTRY_AUTH", "token"),
        ("REGISTRY_AUTH_TOKEN_REALM", "https://tokens.example/token"),
        ("REGISTRY_AUTH_TOKEN_SERVICE", "service"),
        ("REGISTRY_AUTH_TOKEN_ISSUER", "issuer"),
        ("REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE", "$FILES/root.crt"),
    ];
    let service = Service::new();
    let names = [
        "acme/web",
        "acme/api",
        "acme/parting",
        "acme/other",
        "acme/unknown",
        "acme/only",
    ];
    let odd = ["Acme/web", "Acme", "a__b", "web"];
    let mut all: Vec<_> = names
        .iter()
        .chain(&odd)
        .map(|name| tokens::access(name, &["pull", "push", "delete"]))
        .collect();
    all.push(json!({ "type": "registry", "name": "catalog", "actions": ["*"] }));
    let all = json!(all);
    let pull = json!([tokens::access("acme/web", &["pull"])]);
    let star = json!([tokens::access("acme/web", &["*"])]);
    let future = json!(4_102_444_700_u64);
    let kinds = [
        ("pull", vec![], &pull),
        ("star", vec![], &star),
        ("issuer", vec![("iss", json!("another"))], &all),
        ("audience", vec![("aud", json!("another"))], &all),
        (
            "audiences",
            vec![("aud", json!(["another", "service"]))],
            &all,
        ),
        ("expired", vec![("exp", json!(1_000_000))], &all),
        ("early", vec![("nbf", future)], &all),
        ("nothing", vec![("access", json!(null))], &all),
    ];
    let good = service.bearer(&[], &all);
    // The first character of the signature.
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let mut bearers: Vec<(&str, String)> = vec![
        ("stranger", Service::new().bearer(&[], &all)),
        ("forged", format!("{signed}.{first}{}", &signature[1..])),
    ];
    let mut before = STRANGERS.to_owned();
    for (name, changes, access) in kinds {
        bearers.push((name, service.bearer(&changes, access)));
    }
    for (name, _) in &bearers {
        for line in [
            "GET  /v2/",
            "GET  /v2/_catalog",
            "GET  /v2/acme/web/tags/list",
            "GET  /v2/acme/api/tags/list",
            "POST  /v2/acme/web/blobs/uploads/?mount=$sha256(abcd)&from=acme/api",
            "DELETE  /v2/acme/web/manifests/$sha256(abcd)",
        ] {
            let _ = writeln!(before, "{line}  Authorization: ${name}");
        }
    }
    for authorization in ["Bearer", "Bearer x.y.z", "Basic YTpi"] {
        let _ = writeln!(before, "GET  /v2/  Authorization: {authorization}");
    }
    let configured = Setting {
        authorization: Some(good),
        tokens: bearers,
        before,
        ..Setting::new("token", DELETABLE, &environment)
    };
    configured.file("root.crt", &service.certificate_pem);
    configured
}

/// What those who do not sign in ask.
const STRANGERS: &str = "
    GET     /  Authorization: -
    GET     /v2/  Authorization: -
    HEAD    /v2/  Authorization: -
    OPTIONS /v2/  Authorization: -
    GET     /v2/nothing  Authorization: -
    GET     /v2/_catalog  Authorization: -
    GET     /v2/acme/web/tags/list  Authorization: -
    GET     /v2/acme/web/manifests/v1  Authorization: -
    HEAD    /v2/acme/web/manifests/v1  Authorization: -
    PUT     /v2/acme/web/manifests/v1  Authorization: -  'x'
    DELETE  /v2/acme/web/manifests/$sha256(abcd)  Authorization: -
    GET     /v2/acme/web/blobs/$sha256(abcd)  Authorization: -
    DELETE  /v2/acme/web/blobs/$sha256(abcd)  Authorization: -
    POST    /v2/acme/web/blobs/uploads/  Authorization: -
    POST    /v2/acme/web/blobs/uploads/?mount=$sha256(abcd)&from=acme/api  Authorization: -
    PATCH   /v2/acme/web/blobs/uploads/3d0a3a4f-6f3c-4c4d-8d0e-0a4d8f1b2c3d  Authorization: -  'x'
    GET     /v2/acme/web/blobs/uploads/3d0a3a4f-6f3c-4c4d-8d0e-0a4d8f1b2c3d  Authorization: -
    DELETE  /v2/acme/web/blobs/uploads/3d0a3a4f-6f3c-4c4d-8d0e-0a4d8f1b2c3d  Authorization: -
    BREW    /v2/  Authorization: -
";
