//! What a client says of itself in `Authorization`, read; and secrets, which nothing can print.

use std::fmt;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Clients pad, as RFC 4648 has it; those that do not are understood.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Bytes that no log, error or dump may show (S50).
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Box<[u8]>);

impl Secret {
    pub(crate) fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for hashing and comparing alone.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret")
    }
}

/// What a client says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Nothing.
    None,
    /// RFC 7617.
    Basic { user: String, password: Secret },
    /// RFC 6750.
    Bearer(Secret),
    /// Something that is neither.
    Unknown,
}

impl Credentials {
    /// Reads the value of `Authorization`; `None` for a request without one.
    pub(crate) fn parse(value: Option<&[u8]>) -> Self {
        let Some(value) = value else {
            return Self::None;
        };
        let mut parts = value.splitn(2, |byte| *byte == b' ');
        let scheme = parts.next().unwrap_or_default();
        let Some(rest) = parts.next().map(<[u8]>::trim_ascii) else {
            return Self::Unknown;
        };
        if scheme.eq_ignore_ascii_case(b"basic") {
            Self::basic(rest).unwrap_or(Self::Unknown)
        } else if scheme.eq_ignore_ascii_case(b"bearer") && !rest.is_empty() {
            Self::Bearer(Secret::new(rest))
        } else {
            Self::Unknown
        }
    }

    /// The name ends at the first colon: a password may have some.
    fn basic(encoded: &[u8]) -> Option<Self> {
        let decoded = BASE64.decode(encoded).ok()?;
        let colon = decoded.iter().position(|byte| *byte == b':')?;
        let user = str::from_utf8(&decoded[..colon]).ok()?.to_owned();
        let password = Secret::new(&decoded[colon + 1..]);
        Some(Self::Basic { user, password })
    }

    /// Podman and skopeo answer a challenge with these when they have none.
    pub(crate) fn are_empty(&self) -> bool {
        match self {
            Self::None => true,
            Self::Basic { user, password } => user.is_empty() && password.expose().is_empty(),
            Self::Bearer(_) | Self::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read() {
        let basic = |user: &str, password: &str| Credentials::Basic {
            user: user.to_owned(),
            password: Secret::new(password.as_bytes()),
        };
        let check = |value: &str, expected: Credentials| {
            assert_eq!(Credentials::parse(Some(value.as_bytes())), expected);
        };
        assert_eq!(Credentials::parse(None), Credentials::None);
        check("Basic YTpi", basic("a", "b"));
        check("bAsIc  YTpi ", basic("a", "b"));
        check("Basic YTpiOmM=", basic("a", "b:c"));
        check("Basic YTpiOmM", basic("a", "b:c"));
        check("Basic Og==", basic("", ""));
        check("Basic w6k6w6k=", basic("é", "é"));
        check("Bearer x.y.z", Credentials::Bearer(Secret::new(*b"x.y.z")));
        for text in [
            "",
            " ",
            "Basic",
            "Basic ",
            "Basic !!",
            "Basic YWI=",
            "Basic YTpi YTpi",
            "Basic /zpi",
            "Bearer",
            "Bearer ",
            "Digest a",
            "YTpi",
        ] {
            check(text, Credentials::Unknown);
        }
    }

    /// S50
    #[test]
    fn sec_s50_credentials_cannot_be_printed() {
        for value in ["Basic YTpjYW5hcnk=", "Bearer canary"] {
            let credentials = Credentials::parse(Some(value.as_bytes()));
            let shown = format!("{credentials:?} {credentials:#?}");
            assert!(shown.contains("Secret"), "{shown}");
            assert!(
                !shown.contains("canary") && !shown.contains("99"),
                "{shown}"
            );
        }
    }
}
