//! References: how a request names a manifest.

use std::str::FromStr;

use crate::digest::{Digest, DigestError};
use crate::tag::{Tag, TagError};
use crate::text::through_text;

/// A tag or a digest. A colon decides, for no tag has one (distribution-spec, "Pulling manifests").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// Whatever manifest the tag points to now.
    Tag(Tag),
    /// The one manifest with this digest.
    Digest(Digest),
}

/// Why a text is not a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// Without a colon it would be a tag.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// With a colon it would be a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl FromStr for Reference {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.contains(':') {
            Ok(Self::Digest(text.parse()?))
        } else {
            Ok(Self::Tag(text.parse()?))
        }
    }
}

through_text!(Reference);

impl Reference {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Tag(tag) => tag.as_str(),
            Self::Digest(digest) => digest.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::{assert_one_door, told};

    fn check(text: &str, expected: &str) {
        assert_eq!(told::<Reference>(text), expected, "{text:?}");
    }

    #[test]
    fn a_colon_decides() {
        let digest = format!("sha256:{}", "0".repeat(64));
        check("latest", "latest");
        check(&digest, &digest);
        // A tag may look like a digest; clients without the referrers API rely on it.
        check(&digest.replace(':', "-"), &digest.replace(':', "-"));
        check("", "a tag has 1 to 128 bytes, not 0");
        check("v1/x", "byte 2 cannot stand there in a tag");
        check("sha256:0", "a sha256 digest has 64 hex digits, not 1");
        check(
            "a:b",
            "the algorithm of a digest is sha256 or sha512, in lower case",
        );
    }

    proptest! {
        #[test]
        fn printing_gives_the_text_back(text in "(sha256:[0-9a-f]{64}|[a-z._:]{0,9})") {
            assert_one_door::<Reference>(&text);
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(matches!(reference, Reference::Digest(_)), text.contains(':'));
            }
        }
    }
}
