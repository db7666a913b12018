//! `auth`: one kind of sign-in.

use std::path::PathBuf;

use crate::config::meaning::{Auth, TokenAuth};
use crate::config::reader::Section;

/// Names of RFC 7518 and 8037 that tokens may be signed with.
const ALGORITHMS: [&str; 13] = [
    "EdDSA", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512",
    "PS256", "PS384", "PS512",
];

/// `ours`: the section `layerhouse.auth`.
pub(in crate::config) fn read(root: &Section<'_>, ours: &Section<'_>) -> Auth {
    let auth = root.choice("auth");
    let anonymous = ours.word(
        "anonymous",
        &[("none", false), ("pull", true)],
        Some("none"),
    );
    let allows_anonymous_pull = anonymous == Some(true);
    let kinds = ["none", "silly", "htpasswd", "token"];
    let chosen: Vec<_> = kinds
        .into_iter()
        .filter(|kind| auth.chooses(kind))
        .collect();
    if 1 < chosen.len() {
        auth.refuse(
            "",
            format!("{} are configured; one must stay", chosen.join(" and ")),
        );
    }
    let is_htpasswd = chosen == ["htpasswd"];
    if allows_anonymous_pull && !is_htpasswd {
        ours.refuse("anonymous", "goes with auth.htpasswd alone");
    }
    match chosen.first() {
        Some(&"silly") => {
            let silly = auth.section("silly");
            Auth::Silly {
                realm: silly.text_needed("realm"),
                service: silly.text_needed("service"),
            }
        }
        Some(&"htpasswd") => {
            let htpasswd = auth.section("htpasswd");
            Auth::Htpasswd {
                realm: htpasswd.text_needed("realm"),
                path: PathBuf::from(htpasswd.text_needed("path")),
                allows_anonymous_pull,
            }
        }
        Some(&"token") => Auth::Token(token(&auth.section("token"))),
        _ => {
            auth.take_all("none");
            Auth::None
        }
    }
}

fn token(token: &Section<'_>) -> TokenAuth {
    let is_automatic = token.flag("autoredirect", false);
    let path = token.text("autoredirectpath");
    let autoredirect_path = is_automatic.then(|| path.unwrap_or_else(|| "/auth/token".to_owned()));
    if let Some(path) = &autoredirect_path
        && !path.starts_with('/')
    {
        token.refuse(
            "autoredirectpath",
            format!("{path:?} does not begin with /"),
        );
    }
    let realm = token.text("realm");
    if realm.is_none() && !is_automatic {
        token.refuse("realm", "is missing");
    }
    let root_cert_bundle = token.text("rootcertbundle").map(PathBuf::from);
    let jwks = token.text("jwks").map(PathBuf::from);
    if root_cert_bundle.is_none() && jwks.is_none() {
        token.refuse(
            "rootcertbundle",
            "is missing, and so is jwks: without either no token can be believed",
        );
    }
    let signing_algorithms = token.texts("signingalgorithms");
    for name in &signing_algorithms {
        if !ALGORITHMS.contains(&name.as_str()) {
            token.refuse(
                "signingalgorithms",
                format!("{name:?} is none of {}", ALGORITHMS.join(", ")),
            );
        }
    }
    TokenAuth {
        realm: realm.unwrap_or_default(),
        service: token.text_needed("service"),
        issuer: token.text_needed("issuer"),
        root_cert_bundle,
        jwks,
        signing_algorithms,
        autoredirect_path,
    }
}
