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
    const KEYS: [&str; 5] = [
        "accountkey",
        "licensekey",
        "private_key",
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

/// A URL without the password in it, whether it stands before the host or, as databases have it, among the
/// parameters.
pub(super) fn without_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    if let Some((address, parameters)) = rest.split_once('?') {
        let parameters = parameters.split('&').map(|parameter| {
            let name = parameter.split('=').next().unwrap_or(parameter);
            if is_secret(name) {
                format!("{name}={HIDDEN}")
            } else {
                parameter.to_owned()
            }
        });
        let parameters: Vec<String> = parameters.collect();
        let address = without_password(&format!("{scheme}://{address}"));
        return format!("{address}?{}", parameters.join("&"));
    }
    // A password may have a slash in it that should have been encoded: what is hidden goes to the last @.
    match rest.rsplit_once('@') {
        Some((user, _)) => format!("{scheme}://{HIDDEN}{}", &rest[user.len()..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_urls_are_hidden_wherever_they_stand() {
        for (url, shown) in [
            ("postgres://h/d", "postgres://h/d"),
            (
                "postgres://me:secret@h/d?a=b",
                "postgres://<hidden>@h/d?a=b",
            ),
            (
                "postgres://h/d?user=me&password=se%40cret&a=b",
                "postgres://h/d?user=me&password=<hidden>&a=b",
            ),
            ("secret", "secret"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
