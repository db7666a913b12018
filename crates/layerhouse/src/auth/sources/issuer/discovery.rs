//! What an issuer says of itself (OpenID Connect Discovery 1.0, 4): where its keys are, where people sign in
//! and where codes become tokens.

use std::time::Duration;

use layerhouse_oci::strict_json::{self, Json, Object};

use crate::auth::token::json::{as_texts, optional, text};
use crate::outbound::Outbound;
use crate::outbound::exchange::{Question, is_safe_url};

/// How long it is believed.
pub(super) const GOOD_FOR: Duration = Duration::from_hours(1);
/// And how long it is left alone after it did not answer.
pub(super) const SILENT_FOR: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(10);
/// A hundred keys with their certificates.
const BYTES_MAX: usize = 512 << 10;

/// What counts of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) jwks_url: String,
    /// Where browsers are sent; absent, there is no such sign-in.
    pub(crate) sign_in_url: Option<String>,
    pub(crate) token_url: Option<String>,
    pub(crate) takes_secret_as: SecretForm,
}

/// How a token endpoint takes a client's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SecretForm {
    /// `client_secret_basic`, which is the default.
    Basic,
    /// `client_secret_post`
    Form,
}

/// Asks an issuer about itself.
///
/// # Errors
/// A sentence.
pub(super) async fn ask(outbound: &Outbound, issuer: &str) -> Result<Metadata, String> {
    let url = format!(
        "{}/.well-known/openid-configuration",
        issuer.trim_end_matches('/')
    );
    let content = fetch(outbound, &url).await?;
    read(&content, issuer).map_err(|problem| format!("{url}: {problem}"))
}

/// Asks for a set of keys.
///
/// # Errors
/// A sentence.
pub(super) async fn keys(outbound: &Outbound, url: &str) -> Result<Vec<u8>, String> {
    fetch(outbound, url).await
}

async fn fetch(outbound: &Outbound, url: &str) -> Result<Vec<u8>, String> {
    let question = Question {
        url,
        form: None,
        basic: None,
        patience: PATIENCE,
        bytes_max: BYTES_MAX,
    };
    let reply = outbound.ask(question).await;
    let reply = reply.map_err(|error| format!("{url}: {error}"))?;
    match reply.status {
        200 => Ok(reply.body.to_vec()),
        status => Err(format!("{url}: it answers {status}")),
    }
}

/// Every URL must be one that secrets may go to (S30), and the issuer the one that was asked: a document
/// of another one would have us believe its keys (RFC 8414, 3.3).
fn read(content: &[u8], issuer: &str) -> Result<Metadata, String> {
    let document = match strict_json::parse(content) {
        Ok(Json::Object(document)) => document,
        Ok(_) => return Err("it is no object".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    if text(&document, "issuer") != Some(issuer) {
        let named = text(&document, "issuer").unwrap_or_default();
        return Err(format!("it is of the issuer {named:?}"));
    }
    let methods = optional(&document, "token_endpoint_auth_methods_supported", as_texts);
    let methods = methods.ok().flatten().unwrap_or_default();
    let takes_basic = methods.is_empty() || methods.contains(&"client_secret_basic");
    Ok(Metadata {
        jwks_url: url(&document, "jwks_uri")?.ok_or("it has no jwks_uri")?,
        sign_in_url: url(&document, "authorization_endpoint")?,
        token_url: url(&document, "token_endpoint")?,
        takes_secret_as: if takes_basic {
            SecretForm::Basic
        } else {
            SecretForm::Form
        },
    })
}

fn url(document: &Object, name: &str) -> Result<Option<String>, String> {
    let Some(url) = text(document, name) else {
        return Ok(None);
    };
    if is_safe_url(url) {
        Ok(Some(url.to_owned()))
    } else {
        Err(format!("its {name} is not a URL that begins with https://"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://id.example.com";

    /// S30
    #[test]
    fn sec_s30_documents_lead_to_https_alone() {
        let check = |more: &str, expected: Option<&str>| {
            let document = format!(r#"{{"issuer":"{ISSUER}"{more}}}"#);
            let found = read(document.as_bytes(), ISSUER);
            assert_eq!(found.as_ref().err().map(String::as_str), expected, "{more}");
        };
        check(r#","jwks_uri":"https://id.example.com/keys""#, None);
        check(r#","jwks_uri":"https://keys.example.net/""#, None);
        check("", Some("it has no jwks_uri"));
        let problem = |name: &str| format!("its {name} is not a URL that begins with https://");
        for url in [
            "http://id.example.com/",
            "http://169.254.169.254/",
            "ftp://id.example.com/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "//id.example.com",
            "",
        ] {
            check(
                &format!(r#","jwks_uri":"{url}""#),
                Some(&problem("jwks_uri")),
            );
            for name in ["token_endpoint", "authorization_endpoint"] {
                let keys = r#","jwks_uri":"https://id.example.com/keys""#;
                check(&format!(r#"{keys},"{name}":"{url}""#), Some(&problem(name)));
            }
        }
    }

    #[test]
    fn documents_are_of_the_issuer_that_was_asked() {
        for issuer in ["https://evil.example.com", "https://id.example.com/", ""] {
            let document =
                format!(r#"{{"issuer":"{issuer}","jwks_uri":"https://x.example.com/"}}"#);
            assert!(read(document.as_bytes(), ISSUER).is_err(), "{issuer}");
        }
        assert!(read(b"[]", ISSUER).is_err());
        assert!(read(b"<html>", ISSUER).is_err());
    }
}
