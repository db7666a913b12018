//! Repository names.

use std::str::FromStr;

use crate::text::through_text;

/// The name of a repository: `acme/web`.
///
/// 1 to 255 bytes: components parted by `/`, each of runs of `[a-z0-9]` parted by one `.`, one or
/// two `_`, or any number of `-` (distribution-spec, "Pulling manifests"; the length is that of
/// the clients). A component may well be `blobs` or `manifests`. Names become no file paths.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(Box<str>);

/// Why a text is not the name of a repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty or too long.
    #[error("a repository name has 1 to 255 bytes, not {bytes}")]
    Length {
        /// How long the text is.
        bytes: usize,
    },
    /// Upper case: the mistake most often made.
    #[error("byte {at} of the repository name is upper case; names are lower case")]
    UpperCase {
        /// The offset, from 0.
        at: usize,
    },
    /// A byte that no name contains.
    #[error("byte {at} cannot stand in a repository name: it takes a-z, 0-9, `.`, `_`, `-`, `/`")]
    Byte {
        /// The offset, from 0.
        at: usize,
    },
    /// `.`, `_`, `-` or `/` at the start, at the end, or beside one that it does not go with.
    #[error("the separator at byte {at} of the repository name does not part letters or digits")]
    Separator {
        /// The offset, from 0, of the first byte that is one too many.
        at: usize,
    },
}

/// What the bytes so far end with.
#[derive(Clone, Copy)]
enum Ends {
    /// Nothing or a `/`: a component must begin.
    Open,
    Alphanumeric,
    Underscore,
    Dashes,
    /// A `.` or `__`, which nothing prolongs.
    Closed,
}

impl FromStr for RepositoryName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        if !(1..=255).contains(&text.len()) {
            return Err(NameError::Length { bytes: text.len() });
        }
        let mut ends = Ends::Open;
        for (at, byte) in text.bytes().enumerate() {
            ends = match (byte, ends) {
                (b'a'..=b'z' | b'0'..=b'9', _) => Ends::Alphanumeric,
                (b'/', Ends::Alphanumeric) => Ends::Open,
                (b'_', Ends::Alphanumeric) => Ends::Underscore,
                (b'-', Ends::Alphanumeric | Ends::Dashes) => Ends::Dashes,
                (b'.', Ends::Alphanumeric) | (b'_', Ends::Underscore) => Ends::Closed,
                (b'/' | b'_' | b'-' | b'.', _) => return Err(NameError::Separator { at }),
                (b'A'..=b'Z', _) => return Err(NameError::UpperCase { at }),
                _ => return Err(NameError::Byte { at }),
            };
        }
        match ends {
            Ends::Alphanumeric => Ok(Self(text.into())),
            Ends::Open | Ends::Underscore | Ends::Dashes | Ends::Closed => {
                let at = text.len() - 1;
                Err(NameError::Separator { at })
            }
        }
    }
}

through_text!(RepositoryName);

impl RepositoryName {
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
        assert_eq!(told::<RepositoryName>(text), expected, "{text:?}");
    }

    #[test]
    fn names_follow_the_grammar() {
        for name in [
            "a",
            "0",
            "acme/web",
            "a/b/c/d/e/f",
            "a.b_c__d-e--f---g/h",
            "library/busybox",
            "a/blobs/uploads",
            "tags/list",
            "manifests",
        ] {
            check(name, name);
        }
        for (name, at) in [
            ("/a", 0),
            ("a/", 1),
            ("a//b", 2),
            (".a", 0),
            ("a.", 1),
            ("a..b", 2),
            ("../a", 0),
            ("a/../b", 2),
            ("a/./b", 2),
            ("a.-b", 2),
            ("_uploads", 0),
            ("a___b", 3),
            ("a_", 1),
            ("a__", 2),
            ("a_.b", 2),
            ("-a", 0),
            ("a-", 1),
            ("a-_b", 2),
            ("a-/b", 2),
        ] {
            let separator = "does not part letters or digits";
            check(
                name,
                &format!("the separator at byte {at} of the repository name {separator}"),
            );
        }
        check(
            "acme/Web",
            "byte 5 of the repository name is upper case; names are lower case",
        );
        for (name, at) in [
            ("a b", 1),
            ("a\0", 1),
            ("%2e%2e", 0),
            ("é", 0),
            ("a:5000/b", 1),
            ("a\\b", 1),
        ] {
            let takes = "it takes a-z, 0-9, `.`, `_`, `-`, `/`";
            check(
                name,
                &format!("byte {at} cannot stand in a repository name: {takes}"),
            );
        }
    }

    #[test]
    fn names_have_1_to_255_bytes() {
        check(&"a".repeat(255), &"a".repeat(255));
        check("", "a repository name has 1 to 255 bytes, not 0");
        check(
            &"a".repeat(256),
            "a repository name has 1 to 255 bytes, not 256",
        );
    }

    /// The grammar of the distribution-spec, word for word.
    const GRAMMAR: &str = "[a-z0-9]{1,9}((\\.|_|__|-{1,4})[a-z0-9]{1,9}){0,3}(\\/[a-z0-9]{1,9}((\\.|_|__|-{1,4})[a-z0-9]{1,9}){0,3}){0,3}";

    /// The grammar once more, told by splitting rather than by walking.
    fn is_name(text: &str) -> bool {
        let is_alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_component = |part: &str| {
            let bytes = part.as_bytes();
            let ends = [bytes.first(), bytes.last()];
            let mut separators = bytes.split(|byte| is_alphanumeric(*byte));
            ends.into_iter()
                .all(|end| end.is_some_and(|byte| is_alphanumeric(*byte)))
                && separators.all(|run| {
                    matches!(run, b"" | b"." | b"_" | b"__") || run.iter().all(|byte| *byte == b'-')
                })
        };
        (1..=255).contains(&text.len()) && text.split('/').all(is_component)
    }

    proptest! {
        #[test]
        fn what_the_spec_makes_is_a_name(text in GRAMMAR) {
            prop_assume!(text.len() <= 255);
            prop_assert_eq!(told::<RepositoryName>(&text), &*text);
            assert_one_door::<RepositoryName>(&text);
        }

        #[test]
        fn names_mutated_stay_total(text in GRAMMAR, at in any::<prop::sample::Index>(), byte in 0_u8..128) {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let text = String::from_utf8(bytes).expect("ASCII in place of ASCII");
            assert_one_door::<RepositoryName>(&text);
            prop_assert_eq!(text.parse::<RepositoryName>().is_ok(), is_name(&text), "{:?}", text);
        }
    }
}
