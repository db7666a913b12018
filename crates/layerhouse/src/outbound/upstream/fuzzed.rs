//! What upstreams' bytes, and files about them, are read by, for the fuzz targets: what must hold, whatever
//! they are.
#![expect(
    clippy::missing_panics_doc,
    reason = "a panic is how a target reports what it found"
)]

use reqwest::Url;

use super::challenge::parse;
use super::login::{Credential, find};
use super::realm::question;
use super::resource::Resource;

/// The value of a `WWW-Authenticate` header, and what is asked of the realm that it names.
pub fn challenge(data: &[u8]) {
    let value = String::from_utf8_lossy(data);
    let Ok(endpoint) = Url::parse("https://registry.example.com") else {
        panic!("it is a URL");
    };
    let Ok(name) = "a/b".parse() else {
        panic!("it is a name");
    };
    for challenge in parse(&value) {
        assert!(!challenge.scheme.is_empty());
        assert_eq!(challenge.scheme, challenge.scheme.to_ascii_lowercase());
        let asked = question(&challenge, Resource::Pull(&name), Some(&endpoint), &[]);
        let Ok(asked) = asked else { continue };
        // S30: nobody else is told the login, and it goes over TLS.
        let host = asked.url.host_str();
        let is_own = host == Some("registry.example.com") && asked.url.scheme() == "https";
        assert!(is_own || asked.distrust.is_some(), "{}", asked.url);
        assert!(asked.scope.ends_with(":pull"), "{}", asked.scope);
        assert!(asked.url.username().is_empty() && asked.url.password().is_none());
    }
}

/// A `config.json` of Docker's.
pub fn docker_config(data: &[u8]) {
    for host in ["quay.io", "registry-1.docker.io"] {
        match find(data, host) {
            Ok(Credential::Basic { user, password }) => {
                assert!(!user.is_empty() && !password.is_empty());
            }
            Ok(Credential::Bearer(token) | Credential::Refresh(token)) => {
                assert!(!token.is_empty());
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
