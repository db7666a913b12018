//! What strangers' bytes are read by, for the fuzz targets: what must hold, whatever they are.
#![expect(
    clippy::missing_panics_doc,
    reason = "a panic is how a target reports what it found"
)]

use layerhouse_oci::strict_json::{self, Json};

use super::credentials::Credentials;
use super::htpasswd::users::Users;
use super::issue::scopes;
use super::token::KeySet;
use super::token::claims::Claims;
use super::token::jws::{Jws, TOKEN_BYTES_MAX};

/// The value of an `Authorization` header.
pub fn authorization(data: &[u8]) {
    match Credentials::parse(Some(data)) {
        Credentials::None => panic!("there was a header"),
        Credentials::Basic { user, password } => {
            assert!(!user.contains(':'));
            assert!(user.len() + password.expose().len() < data.len());
        }
        Credentials::Bearer(token) => {
            assert!(!token.expose().is_empty());
            assert!(
                data.windows(token.expose().len())
                    .any(|part| part == token.expose())
            );
        }
        Credentials::Unknown => {}
    }
}

/// A file of users.
pub fn users(data: &[u8]) {
    match Users::parse(data) {
        Ok(users) => {
            let (_, counts) = users.find("no such user: it has a colon");
            assert!(!counts);
        }
        Err(problem) => assert!(problem.starts_with("line "), "{problem}"),
    }
}

/// A token; and its claims, which are read only of a token whose signature is good.
pub fn token(data: &[u8]) {
    if let Some(jws) = Jws::parse(data) {
        assert!(data.len() <= TOKEN_BYTES_MAX && jws.chain.len() <= 4);
        assert!(data.starts_with(jws.signed));
        assert_eq!(jws.signed.split(|byte| *byte == b'.').count(), 2);
        let _ = Claims::read(&jws.claims);
    }
    if let Ok(Json::Object(claims)) = strict_json::parse(data)
        && let Some(claims) = Claims::read(&claims)
    {
        assert!(claims.held_bytes() < 64 * data.len() + 1024);
    }
}

/// The values of `scope` parameters, one to a line.
pub fn scopes(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(found) = scopes::parse(text.lines()) else {
        return;
    };
    let printed: Vec<_> = found.iter().map(ToString::to_string).collect();
    for (scope, text) in found.iter().zip(&printed) {
        assert!(
            !scope.actions.is_empty() && scope.name.matches(':').count() <= 1,
            "{text}"
        );
    }
    let again = scopes::parse(printed.iter().map(String::as_str));
    assert_eq!(again.as_ref(), Ok(&found), "each by itself");
    assert_eq!(scopes::parse([&*printed.join(" ")]), again, "all in one");
}

/// A set of keys, or a bundle of certificates.
pub fn keys(data: &[u8]) {
    for set in [KeySet::of_jwks(data), KeySet::of_bundle(data)] {
        assert!(set.is_err_and(|problem| !problem.is_empty()) || !data.is_empty());
    }
}
