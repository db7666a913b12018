//! Which values are not to be shown, and how they are told apart all the same.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

/// What a secret is shown as.
pub(super) const HIDDEN: &str = "<hidden>";

/// Tells two values apart, to see that a secret changed without keeping it; keyed by the process, so
/// that it tells nothing to whoever sees it.
pub(super) fn fingerprint(value: &str) -> u64 {
    static KEY: OnceLock<RandomState> = OnceLock::new();
    KEY.get_or_init(RandomState::new).hash_one(value)
}

/// Whether the values of a key are shown to nobody.
pub(super) fn is_secret(key: &str) -> bool {
    const WORDS: [&str; 9] = [
        "password",
        "secret",
        "token",
        "auth",
        "credential",
        "cookie",
        "apikey",
        "accesskey",
        "connectionstring",
    ];
    const KEYS: [&str; 4] = [
        "accountkey",
        "licensekey",
        "privatekey",
        "tempurlcontainerkey",
    ];
    let key = key.to_lowercase();
    !matches!(
        key.as_str(),
        "authurl" | "authversion" | "clientauth" | "authhosts" | "v4auth"
    ) && !key.starts_with("access-control-")
        && (KEYS.contains(&key.as_str())
            || key.ends_with("-key")
            || WORDS.iter().any(|word| key.contains(word)))
}

/// A URL without the password in it.
pub(super) fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match authority.rsplit_once('@') {
        Some((user, _)) => format!("{scheme}://{HIDDEN}{}", &rest[user.len()..]),
        None => text.to_owned(),
    }
}
