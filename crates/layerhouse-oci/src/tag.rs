//! Tags.

use std::str::FromStr;

use crate::text::through_text;

/// A movable name for one manifest of one repository.
///
/// 1 to 128 bytes: first `[a-zA-Z0-9_]`, then `[a-zA-Z0-9._-]` (distribution-spec, "Pulling
/// manifests").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Box<str>);

/// Why a text is not a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// Empty or too long.
    #[error("a tag has 1 to 128 bytes, not {bytes}")]
    Length {
        /// How long the text is.
        bytes: usize,
    },
    /// A byte that no tag has there.
    #[error("byte {at} cannot stand there in a tag")]
    Byte {
        /// The offset, from 0.
        at: usize,
    },
}

impl FromStr for Tag {
    type Err = TagError;
    fn from_str(text: &str) -> Result<Self, TagError> {
        if !(1..=128).contains(&text.len()) {
            return Err(TagError::Length { bytes: text.len() });
        }
        let fits = |(at, byte): (usize, u8)| match byte {
            b'.' | b'-' => 0 < at,
            _ => byte.is_ascii_alphanumeric() || byte == b'_',
        };
        match text.bytes().enumerate().position(|place| !fits(place)) {
            Some(at) => Err(TagError::Byte { at }),
            None => Ok(Self(text.into())),
        }
    }
}

through_text!(Tag);

impl Tag {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::{assert_one_door, told};

    fn check(text: &str, expected: &str) {
        assert_eq!(told::<Tag>(text), expected, "{text:?}");
    }

    #[test]
    fn tags_follow_the_grammar() {
        for tag in [
            "latest",
            "_",
            "0",
            "v1.2.3-rc.1_linux",
            "A",
            "a..b",
            "a--",
            "list",
            "uploads",
        ] {
            check(tag, tag);
        }
        check("v1/x", "byte 2 cannot stand there in a tag");
        check(".x", "byte 0 cannot stand there in a tag");
        check("-x", "byte 0 cannot stand there in a tag");
        check("v1 ", "byte 2 cannot stand there in a tag");
        check("v1+x", "byte 2 cannot stand there in a tag");
        check("é", "byte 0 cannot stand there in a tag");
        check("a\0", "byte 1 cannot stand there in a tag");
    }

    #[test]
    fn tags_have_1_to_128_bytes() {
        check(&"a".repeat(128), &"a".repeat(128));
        check("", "a tag has 1 to 128 bytes, not 0");
        check(&"a".repeat(129), "a tag has 1 to 128 bytes, not 129");
    }

    proptest! {
        #[test]
        fn what_the_spec_makes_is_a_tag(text in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}") {
            prop_assert_eq!(told::<Tag>(&text), &*text);
        }

        #[test]
        fn printing_gives_the_text_back(text in "[a-z._/:é -]{0,6}") {
            assert_one_door::<Tag>(&text);
        }
    }
}
