//! What a token of an issuer claims, and whether it is for us and of now (OpenID Connect Core 1.0, 3.1.3.7).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::auth::sources::SourceError;
use crate::auth::token::jws::Jws;
use crate::clock::Timestamp;

/// How far the issuer's clock and ours may be apart.
const LEEWAY_S: i64 = 60;

/// What must stand in a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) audience: &'a str,
    /// What we sent along when the sign-in began; then `azp` must be us, too.
    pub(crate) nonce: Option<&'a str>,
}

/// Why a token is not believed. For the log: who shows it learns nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("it is no token, or its claims cannot be read")]
    Unreadable,
    #[error("its algorithm is not one that was allowed")]
    Algorithm,
    #[error("no key of the issuer's made its signature")]
    Signature,
    #[error("it is of another issuer")]
    Issuer,
    #[error("it is for another audience")]
    Audience,
    #[error("it was issued for another party (azp)")]
    Party,
    #[error("it is of another time")]
    Time,
    #[error("it is of another sign-in (nonce)")]
    Nonce,
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// What a token claims.
#[derive(Clone, Debug)]
pub(crate) struct Claims(Map<String, Value>);

impl Claims {
    /// The claims of a token that was read strictly already: no name is there twice.
    pub(super) fn read(jws: &Jws<'_>) -> Option<Self> {
        let encoded = jws.signed.split(|byte| *byte == b'.').nth(1)?;
        Self::decode(encoded)
    }

    /// What a token says whose signature nobody looked at: enough to know who must.
    pub(crate) fn unverified(token: &[u8]) -> Option<Self> {
        let jws = Jws::parse(token)?;
        Self::read(&jws)
    }

    fn decode(encoded: &[u8]) -> Option<Self> {
        let content = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        serde_json::from_slice(&content).ok().map(Self)
    }

    pub(super) fn hold(
        &self,
        issuer: &str,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Result<(), TokenError> {
        if self.text("iss") != Some(issuer) {
            return Err(TokenError::Issuer);
        }
        let audience = self.texts("aud");
        if !audience.contains(&expected.audience) {
            return Err(TokenError::Audience);
        }
        if expected.nonce.is_some() {
            let party = self.text("azp");
            let is_ours = party.is_none_or(|party| party == expected.audience);
            // A token for several must say whose it is.
            if !is_ours || (1 < audience.len() && party.is_none()) {
                return Err(TokenError::Party);
            }
        }
        let now_s = now.0.div_euclid(1000);
        let expires = self.date("exp").ok_or(TokenError::Time)?;
        let is_begun = |name| match self.0.get(name) {
            None => true,
            Some(_) => self.date(name).is_some_and(|date| date - LEEWAY_S <= now_s),
        };
        if expires + LEEWAY_S < now_s || !is_begun("nbf") || !is_begun("iat") {
            return Err(TokenError::Time);
        }
        match expected.nonce {
            Some(nonce) if self.text("nonce") != Some(nonce) => Err(TokenError::Nonce),
            _ => Ok(()),
        }
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let text = self.0.get(name)?.as_str()?;
        Some(text).filter(|text| !text.is_empty())
    }

    /// A text, or all texts of a list.
    pub(crate) fn texts(&self, name: &str) -> Vec<&str> {
        match self.0.get(name) {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// A claim in the form that rules compare: a text as it is, numbers and booleans as they are written.
    /// What is inside of others is reached by a path with slashes, in the form of RFC 6901.
    pub(crate) fn plain(&self, name: &str) -> Option<String> {
        let value = match name.strip_prefix('/') {
            None => self.0.get(name)?,
            Some(path) => {
                let mut parts = path.split('/');
                let mut value = self.0.get(&unescaped(parts.next()?))?;
                for part in parts {
                    value = value.get(unescaped(part))?;
                }
                value
            }
        };
        match value {
            Value::String(text) => Some(text.clone()),
            Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    pub(crate) fn is_true(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some(Value::Bool(is_true)) => *is_true,
            // Some providers write it so.
            Some(Value::String(text)) => text == "true",
            _ => false,
        }
    }

    /// Seconds since 1970; some issuers write fractions.
    fn date(&self, name: &str) -> Option<i64> {
        let value = self.0.get(name)?;
        let whole = value.as_i64();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "what no date is saturates, and is of another time"
        )]
        whole
            .or_else(|| value.as_f64().map(|date| date as i64))
            .map(|date| date.clamp(0, 1 << 40))
    }
}

fn unescaped(part: &str) -> String {
    part.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn claims(json: &str) -> Claims {
        Claims(serde_json::from_str(json).expect("an object"))
    }

    #[test]
    fn claims_hold_for_us_and_now() {
        let check = |json: &str, nonce: Option<&str>, expected: Result<(), TokenError>| {
            let expected_of = Expected {
                audience: "us",
                nonce,
            };
            let found = claims(json).hold("them", &expected_of, NOW);
            assert_eq!(found, expected, "{json}");
        };
        let with = |more: &str| format!(r#"{{"iss":"them","aud":"us","exp":1800000100{more}}}"#);
        check(&with(""), None, Ok(()));
        check(&with(r#","nonce":"n""#), Some("n"), Ok(()));
        check(&with(r#","nonce":"m""#), Some("n"), Err(TokenError::Nonce));
        check(&with(""), Some("n"), Err(TokenError::Nonce));
        check(&with(r#","azp":"us","nonce":"n""#), Some("n"), Ok(()));
        check(
            &with(r#","azp":"other","nonce":"n""#),
            Some("n"),
            Err(TokenError::Party),
        );
        check(&with(r#","azp":"other""#), None, Ok(()));
        check(&with(r#","nbf":1800000060"#), None, Ok(()));
        check(&with(r#","nbf":1800000061"#), None, Err(TokenError::Time));
        check(&with(r#","iat":1800000061"#), None, Err(TokenError::Time));
        check(&with(r#","iat":"now""#), None, Err(TokenError::Time));
        check(&with(r#","iat":1799999999.5"#), None, Ok(()));
        let check = |json: &str, expected| check(json, None, Err(expected));
        check(
            r#"{"iss":"they","aud":"us","exp":1800000100}"#,
            TokenError::Issuer,
        );
        check(r#"{"aud":"us","exp":1800000100}"#, TokenError::Issuer);
        check(
            r#"{"iss":"them","aud":"them","exp":1800000100}"#,
            TokenError::Audience,
        );
        check(
            r#"{"iss":"them","aud":[],"exp":1800000100}"#,
            TokenError::Audience,
        );
        check(r#"{"iss":"them","exp":1800000100}"#, TokenError::Audience);
        check(
            r#"{"iss":"them","aud":"us","exp":1799999939}"#,
            TokenError::Time,
        );
        check(r#"{"iss":"them","aud":"us"}"#, TokenError::Time);
        check(
            r#"{"iss":"them","aud":"us","exp":"1800000100"}"#,
            TokenError::Time,
        );
    }

    #[test]
    fn a_token_for_several_says_whose_it_is() {
        let check = |azp: &str, expected: Result<(), TokenError>| {
            let json =
                format!(r#"{{"iss":"them","aud":["us","api"],"exp":1800000100,"nonce":"n"{azp}}}"#);
            let wanted = Expected {
                audience: "us",
                nonce: Some("n"),
            };
            assert_eq!(claims(&json).hold("them", &wanted, NOW), expected, "{azp}");
        };
        check(r#","azp":"us""#, Ok(()));
        check(r#","azp":"api""#, Err(TokenError::Party));
        check("", Err(TokenError::Party));
    }

    #[test]
    fn claims_within_claims() {
        let claims = claims(r#"{"a":{"b/c":{"d":"e"}},"n":7,"t":true,"l":["x"]}"#);
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(claims.plain(name).as_deref(), expected, "{name}");
        };
        check("/a/b~1c/d", Some("e"));
        check("/a/x", None);
        check("a", None);
        check("n", Some("7"));
        check("t", Some("true"));
        check("l", None);
    }
}
