//! Who we are to an endpoint, as its operator said it, or a `config.json` of Docker's does.

use std::collections::HashMap;
use std::path::Path;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::files;
use crate::config::meaning::mirror::UpstreamLogin;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// What Docker Hub's registry is called in such files.
const HUB: &str = "registry-1.docker.io";
const HUB_NAMES: [&str; 3] = ["index.docker.io", "docker.io", HUB];

/// What is told to an endpoint, or to its token service. Not to be printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credential {
    Basic {
        user: String,
        password: String,
    },
    /// The registry itself takes it.
    Bearer(String),
    /// The token service gives tokens for it (`identitytoken`).
    Refresh(String),
}

/// The credential that holds now; a file is read each time, for it is seldom asked for and may change.
///
/// # Errors
/// What is wrong with the file, and with what it says of this host.
pub(super) fn current(login: &UpstreamLogin, host: &str) -> Result<Option<Credential>, String> {
    let text = |secret: &[u8]| {
        let text = str::from_utf8(secret).map(str::to_owned);
        text.map_err(|_| "the login is not text".to_owned())
    };
    match login {
        UpstreamLogin::Anonymous => Ok(None),
        UpstreamLogin::Password { user, password } => Ok(Some(Credential::Basic {
            user: user.clone(),
            password: text(password.expose())?,
        })),
        UpstreamLogin::Token(token) => Ok(Some(Credential::Bearer(text(token.expose())?))),
        UpstreamLogin::File(path) => from_file(path, host).map(Some),
    }
}

fn from_file(path: &Path, host: &str) -> Result<Credential, String> {
    let wrong = |problem: String| format!("credentials: {}: {problem}", path.display());
    let json = files::read(path).map_err(wrong)?;
    find(&json, host).map_err(|error| wrong(error.to_string()))
}

/// Why a file says nothing of a host that we can use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FindError {
    #[error("is no config.json of Docker's")]
    Form,
    #[error("has no login for {0}; make one with docker login")]
    Missing(String),
    #[error("has an entry for {0} that nobody can read")]
    Entry(String),
    #[error(
        "leaves the login for {0} to a credential helper, which we do not start; say username and password"
    )]
    Helper(String),
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: HashMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: HashMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    #[serde(rename = "identitytoken")]
    identity_token: String,
    #[serde(rename = "registrytoken")]
    registry_token: String,
}

/// What a `config.json` says of a host, which may have a port. Pure.
pub(super) fn find(json: &[u8], host: &str) -> Result<Credential, FindError> {
    let file: File = serde_json::from_slice(json).map_err(|_| FindError::Form)?;
    let is_same = |key: &str| {
        let key = key.split_once("://").map_or(key, |(_, rest)| rest);
        let key = key.split('/').next().unwrap_or(key);
        key.eq_ignore_ascii_case(host) || host == HUB && HUB_NAMES.contains(&key)
    };
    // Exact ones first, so that the order of a map decides nothing.
    let mut entries: Vec<_> = file.auths.iter().filter(|(key, _)| is_same(key)).collect();
    entries.sort_by_key(|(key, _)| (key.as_str() != host, key.as_str()));
    let has_helper = !file.store.is_empty() || file.helpers.keys().any(|key| is_same(key));
    for (_, entry) in &entries {
        if let Some(credential) = credential(entry, host)? {
            return Ok(credential);
        }
    }
    if has_helper {
        return Err(FindError::Helper(host.to_owned()));
    }
    Err(FindError::Missing(host.to_owned()))
}

fn credential(entry: &Entry, host: &str) -> Result<Option<Credential>, FindError> {
    if !entry.registry_token.is_empty() {
        return Ok(Some(Credential::Bearer(entry.registry_token.clone())));
    }
    if !entry.identity_token.is_empty() {
        return Ok(Some(Credential::Refresh(entry.identity_token.clone())));
    }
    if !entry.username.is_empty() && !entry.password.is_empty() {
        return Ok(Some(Credential::Basic {
            user: entry.username.clone(),
            password: entry.password.clone(),
        }));
    }
    if entry.auth.is_empty() {
        return Ok(None);
    }
    let wrong = || FindError::Entry(host.to_owned());
    let decoded = BASE64.decode(entry.auth.trim()).map_err(|_| wrong())?;
    let decoded = String::from_utf8(decoded).map_err(|_| wrong())?;
    let (user, password) = decoded.split_once(':').ok_or_else(wrong)?;
    // Old clients end it so.
    let password = password.trim_end_matches('\0');
    if user.is_empty() || password.is_empty() {
        return Err(wrong());
    }
    Ok(Some(Credential::Basic {
        user: user.to_owned(),
        password: password.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_docker_are_read() {
        let check = |json: &str, host: &str, expected: &str| {
            let found = match find(json.as_bytes(), host) {
                Ok(Credential::Basic { user, password }) => format!("basic {user} {password}"),
                Ok(Credential::Bearer(token)) => format!("bearer {token}"),
                Ok(Credential::Refresh(token)) => format!("refresh {token}"),
                Err(error) => error.to_string(),
            };
            assert_eq!(found, expected, "{json} {host}");
        };
        // u:p
        let hub = r#"{"auths": {"https://index.docker.io/v1/": {"auth": "dTpw"}}}"#;
        check(hub, "registry-1.docker.io", "basic u p");
        let missing = "has no login for quay.io; make one with docker login";
        check(hub, "quay.io", missing);
        let two = r#"{"auths": {"http://quay.io": {"auth": "YTpi"}, "quay.io": {"auth": "dTpw"}}}"#;
        check(two, "quay.io", "basic u p");
        let port = r#"{"auths": {"registry.example:5000": {"username": "u", "password": "p:q"}}}"#;
        check(port, "registry.example:5000", "basic u p:q");
        check(
            port,
            "registry.example",
            "has no login for registry.example; make one with docker login",
        );
        let refresh = r#"{"auths": {"quay.io": {"auth": "dTo=", "identitytoken": "i"}}}"#;
        check(refresh, "quay.io", "refresh i");
        let bearer = r#"{"auths": {"quay.io": {"registrytoken": "r", "identitytoken": "i"}}}"#;
        check(bearer, "quay.io", "bearer r");
        let unpadded = r#"{"auths": {"quay.io": {"auth": "dTpwcQ"}}}"#;
        check(unpadded, "quay.io", "basic u pq");
        let old = r#"{"auths": {"quay.io": {"auth": "dTpwAAA="}}}"#;
        check(old, "quay.io", "basic u p");
        let helper = "leaves the login for quay.io to a credential helper, which we do not start; say \
                      username and password";
        check(
            r#"{"auths": {"quay.io": {}}, "credsStore": "desktop"}"#,
            "quay.io",
            helper,
        );
        check(r#"{"credHelpers": {"quay.io": "pass"}}"#, "quay.io", helper);
        check(r#"{"auths": {"quay.io": {}}}"#, "quay.io", missing);
        let entry = "has an entry for quay.io that nobody can read";
        check(
            r#"{"auths": {"quay.io": {"auth": "dQ=="}}}"#,
            "quay.io",
            entry,
        );
        check(r#"{"auths": {"quay.io": {"auth": "!"}}}"#, "quay.io", entry);
        check(
            r#"{"auths": {"quay.io": {"auth": "Og=="}}}"#,
            "quay.io",
            entry,
        );
        check("{}", "quay.io", missing);
        check("1", "quay.io", "is no config.json of Docker's");
        check("", "quay.io", "is no config.json of Docker's");
    }
}
