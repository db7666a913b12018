//! Patterns with stars, for names of repositories and tags.

use std::str::FromStr;

/// Longer patterns say nothing: a name has 255 bytes at most.
const PATTERN_BYTES_MAX: usize = 256;
/// A bit for each place in a pattern, the one behind its end included.
const WORDS: usize = PATTERN_BYTES_MAX / 64 + 1;

/// `*` stands for any text without a slash, `**` for any text, all else for itself; the whole of a name must
/// fit.
///
/// A name is looked at once, byte by byte, beside the set of places in the pattern that can have been
/// reached: no pattern makes it go back (S47). A byte takes some twenty operations on words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Glob {
    text: Box<str>,
    /// Bytes before the first star: most names do not begin with them.
    plain_bytes: usize,
    /// Parts behind them, of which no two stars are neighbours.
    parts: usize,
    /// Where each byte stands in those parts.
    bytes: Box<[(u8, Places)]>,
    /// Where stars of either kind stand, and those that take slashes.
    stars: Places,
    wide_stars: Places,
}

/// A set of places in a pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Places([u64; WORDS]);

impl Places {
    fn add(&mut self, place: usize) {
        self.0[place / 64] |= 1 << (place % 64);
    }

    fn has(&self, place: usize) -> bool {
        self.0[place / 64] >> (place % 64) & 1 == 1
    }

    fn and(mut self, other: &Self) -> Self {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word &= other;
        }
        self
    }

    fn or(mut self, other: &Self) -> Self {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word |= other;
        }
        self
    }

    /// Each place, one on.
    fn next(mut self) -> Self {
        let mut carried = 0;
        for word in &mut self.0 {
            let highest = *word >> 63;
            *word = *word << 1 | carried;
            carried = highest;
        }
        self
    }
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
        let plain = &self.text.as_bytes()[..self.plain_bytes];
        let Some(rest) = name.as_bytes().strip_prefix(plain) else {
            return false;
        };
        let mut reached = Places::default();
        reached.add(0);
        reached = self.skip_stars(reached);
        for byte in rest {
            let found = self.bytes.iter().find(|(own, _)| own == byte);
            let stepped =
                found.map_or_else(Places::default, |(_, places)| reached.and(places).next());
            let stars = if *byte == b'/' {
                &self.wide_stars
            } else {
                &self.stars
            };
            reached = self.skip_stars(stepped.or(&reached.and(stars)));
        }
        reached.has(self.parts)
    }

    /// A star may stand for nothing.
    fn skip_stars(&self, reached: Places) -> Places {
        reached.or(&reached.and(&self.stars).next())
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
        let plain_bytes = text.find('*').unwrap_or(text.len());
        let (mut stars, mut wide_stars) = (Places::default(), Places::default());
        let mut bytes: Vec<(u8, Places)> = Vec::new();
        let mut parts = 0;
        let mut is_behind_star = false;
        for byte in text[plain_bytes..].bytes() {
            if byte == b'*' && is_behind_star {
                // Two stars or more are one that takes slashes, too.
                wide_stars.add(parts - 1);
                continue;
            }
            is_behind_star = byte == b'*';
            if is_behind_star {
                stars.add(parts);
            } else {
                let at = bytes.iter().position(|(own, _)| *own == byte);
                let at = at.unwrap_or_else(|| {
                    bytes.push((byte, Places::default()));
                    bytes.len() - 1
                });
                bytes[at].1.add(parts);
            }
            parts += 1;
        }
        Ok(Self {
            text: text.into(),
            plain_bytes,
            parts,
            bytes: bytes.into(),
            stars,
            wide_stars,
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
