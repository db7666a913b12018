//! Patterns with stars, for names of repositories and tags.

use std::str::FromStr;

/// Longer patterns say nothing: a name has 255 bytes at most. With it a look takes 50 µs at the worst.
const PATTERN_BYTES_MAX: usize = 256;

/// `*` stands for any text without a slash, `**` for any text, all else for itself; the whole of a name must
/// fit.
///
/// A name is looked at once, byte by byte, beside the set of places in the pattern that can have been
/// reached: no pattern makes it go back (S47).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    text: Box<str>,
    /// No two stars are neighbours.
    parts: Box<[Part]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Byte(u8),
    /// `*`
    Within,
    /// `**`
    Across,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GlobError {
    #[error("an empty pattern fits nothing")]
    Empty,
    #[error("a pattern may have {PATTERN_BYTES_MAX} bytes at most")]
    Long,
}

impl Glob {
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole of `name` fits.
    pub(crate) fn fits(&self, name: &str) -> bool {
        let is_byte = |part: &&Part| matches!(part, Part::Byte(_));
        // Most patterns begin with a text that most names do not begin with.
        let plain = self.parts.iter().take_while(is_byte).count();
        let begins = name.as_bytes().get(..plain);
        if begins != Some(&self.text.as_bytes()[..plain]) {
            return false;
        }
        let (parts, name) = (&self.parts[plain..], &name.as_bytes()[plain..]);
        // `reached[n]`: what was seen of the name fits the first n parts.
        let mut reached = [false; PATTERN_BYTES_MAX + 1];
        reached[0] = true;
        skip_stars(parts, &mut reached);
        for byte in name {
            let mut next = [false; PATTERN_BYTES_MAX + 1];
            for (at, part) in parts.iter().enumerate() {
                match part {
                    Part::Byte(wanted) => next[at + 1] |= reached[at] && wanted == byte,
                    Part::Within => next[at] |= reached[at] && *byte != b'/',
                    Part::Across => next[at] |= reached[at],
                }
            }
            skip_stars(parts, &mut next);
            reached = next;
        }
        reached[parts.len()]
    }
}

/// A star may stand for nothing.
fn skip_stars(parts: &[Part], reached: &mut [bool]) {
    for (at, part) in parts.iter().enumerate() {
        if matches!(part, Part::Within | Part::Across) {
            reached[at + 1] |= reached[at];
        }
    }
}

impl FromStr for Glob {
    type Err = GlobError;
    fn from_str(text: &str) -> Result<Self, GlobError> {
        if text.is_empty() {
            return Err(GlobError::Empty);
        }
        if PATTERN_BYTES_MAX < text.len() {
            return Err(GlobError::Long);
        }
        let mut parts: Vec<Part> = Vec::with_capacity(text.len());
        for byte in text.bytes() {
            match (byte, parts.last_mut()) {
                // Two stars or more are one that takes slashes, too.
                (b'*', Some(last @ (Part::Within | Part::Across))) => *last = Part::Across,
                (b'*', _) => parts.push(Part::Within),
                (byte, _) => parts.push(Part::Byte(byte)),
            }
        }
        Ok(Self {
            text: text.into(),
            parts: parts.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn glob(text: &str) -> Glob {
        text.parse().expect("a pattern")
    }

    #[test]
    fn names_fit_patterns() {
        let check = |pattern: &str, name: &str, expected: bool| {
            assert_eq!(glob(pattern).fits(name), expected, "{pattern} {name}");
        };
        check("acme/web", "acme/web", true);
        check("acme/web", "acme/web2", false);
        check("acme/web", "acme/we", false);
        check("acme/*", "acme/web", true);
        check("acme/*", "acme/web/x", false);
        check("acme/*", "acme", false);
        check("acme/**", "acme/web/x", true);
        check("acme/**", "acme", false);
        check("**", "acme/web/x", true);
        check("*", "acme/web", false);
        check("*", "web", true);
        check("*/web", "acme/web", true);
        check("*/web", "acme/a/web", false);
        check("**/web", "acme/a/web", true);
        check("**/web", "web", false);
        check("acme/*-staging/**", "acme/web-staging/a/b", true);
        check("acme/*-staging/**", "acme/web/a-staging/b", false);
        check("v*", "v1.2.3", true);
        check("v*.*", "v1", false);
        check("v*.*", "v1.", true);
        check("*a*b*", "xaxbx", true);
        check("***", "a/b", true);
        check("a**b", "a/x/b", true);
    }

    /// The plain definition, exponential.
    fn slowly(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', b'*', rest @ ..] => (0..=text.len()).any(|at| slowly(rest, &text[at..])),
            [b'*', rest @ ..] => (0..=text.len())
                .take_while(|at| !text[..*at].contains(&b'/'))
                .any(|at| slowly(rest, &text[at..])),
            [first, rest @ ..] => text.first() == Some(first) && slowly(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn stars_take_what_they_may(pattern in "[ab/*]{1,8}", name in "[ab/]{0,8}") {
            let expected = slowly(pattern.as_bytes(), name.as_bytes());
            prop_assert_eq!(glob(&pattern).fits(&name), expected);
        }
    }

    /// S47: no pattern takes long.
    #[test]
    fn sec_s47_no_pattern_goes_back() {
        let name = "a".repeat(255);
        for pattern in ["*a".repeat(128), "**/".repeat(85), "**a*".repeat(64)] {
            let began = Instant::now();
            glob(&pattern).fits(&name);
            assert!(began.elapsed() < Duration::from_millis(10), "{pattern}");
        }
        assert_eq!("*".repeat(257).parse::<Glob>(), Err(GlobError::Long));
        assert_eq!("".parse::<Glob>(), Err(GlobError::Empty));
    }
}
