//! Digests: what a blob or a manifest is called by its bytes, and how that is computed.
//!
//! A parsed [`Digest`] is a claim; only a [`Hasher`] that saw the bytes makes it a fact.

use std::str::FromStr;

use sha2::Digest as _;
use sha2::digest::common::hazmat::SerializableState as _;

use crate::text::through_text;

/// A hash function that a digest may name (image-spec, "Registered algorithms").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256: 64 hex digits.
    Sha256,
    /// SHA-512: 128 hex digits.
    Sha512,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// How digests name it: `sha256` or `sha512`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The hex digits in one of its digests: two for each byte.
    #[must_use]
    pub const fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 256 / 4,
            Self::Sha512 => 512 / 4,
        }
    }
}

/// The name of bytes: `sha256:` and 64 lower-case hex digits, or `sha512:` and 128.
///
/// Only the canonical text is accepted: an upper-case digit would be a second name for the same
/// bytes, and a wrong length none at all (image-spec, "Digests").
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(Box<str>);

/// Why a text is not a digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// No `:` parts the algorithm from the hex digits.
    #[error("a digest is `sha256:` or `sha512:` and hex digits; there is no colon")]
    NoColon,
    /// The algorithm is not one of ours.
    #[error("the algorithm of a digest is sha256 or sha512, in lower case")]
    Algorithm,
    /// Too few or too many hex digits.
    #[error("a {} digest has {} hex digits, not {digits}", .algorithm.name(), .algorithm.hex_length())]
    Length {
        /// What the digest says it is.
        algorithm: Algorithm,
        /// The bytes behind the colon.
        digits: usize,
    },
    /// Not a lower-case hex digit, counted from the start of the digest.
    #[error("byte {at} of the digest is not a lower-case hex digit")]
    Byte {
        /// The offset, from 0.
        at: usize,
    },
}

impl FromStr for Digest {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (name, hex) = text.split_once(':').ok_or(DigestError::NoColon)?;
        let algorithm = Algorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or(DigestError::Algorithm)?;
        if hex.len() != algorithm.hex_length() {
            let digits = hex.len();
            return Err(DigestError::Length { algorithm, digits });
        }
        match hex.bytes().position(|byte| !is_lower_hex(byte)) {
            Some(at) => Err(DigestError::Byte {
                at: name.len() + 1 + at,
            }),
            None => Ok(Self(text.into())),
        }
    }
}

through_text!(Digest);

impl Digest {
    /// The digest of `bytes`, which are all there at once.
    #[must_use]
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The whole text, `sha256:…`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hash function it was made with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        // The two texts differ in length, and only they can be constructed.
        let sha256_length = Algorithm::Sha256.name().len() + 1 + Algorithm::Sha256.hex_length();
        if self.0.len() == sha256_length {
            Algorithm::Sha256
        } else {
            Algorithm::Sha512
        }
    }

    /// The hex digits behind the colon.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0[self.algorithm().name().len() + 1..]
    }
}

/// Computes the [`Digest`] of bytes that arrive in pieces; how they are split does not matter.
#[derive(Clone, Debug)]
pub struct Hasher {
    state: State,
    hashed_bytes: u64,
}

#[derive(Clone, Debug)]
enum State {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// A hasher that has seen no bytes.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        let state = match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
        };
        Self {
            state,
            hashed_bytes: 0,
        }
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
        self.hashed_bytes += bytes.len() as u64;
    }

    /// The digest of all bytes taken.
    #[must_use]
    pub fn finish(self) -> Digest {
        let algorithm = self.algorithm();
        match self.state {
            State::Sha256(state) => named(algorithm, &state.finalize()),
            State::Sha512(state) => named(algorithm, &state.finalize()),
        }
    }

    /// The state as bytes, for another process to go on from: an octet that names the function, how many
    /// bytes were taken (big-endian), and what the function keeps.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let (tag, state) = match &self.state {
            State::Sha256(state) => (1, state.serialize().to_vec()),
            State::Sha512(state) => (2, state.serialize().to_vec()),
        };
        let mut saved = vec![tag];
        saved.extend(self.hashed_bytes.to_be_bytes());
        saved.extend(state);
        saved
    }

    /// The hasher that was saved; `None` if these bytes are no saved state.
    #[must_use]
    pub fn restore(saved: &[u8]) -> Option<Self> {
        let (tag, rest) = saved.split_first()?;
        let (count, state) = rest.split_first_chunk::<8>()?;
        let state = match tag {
            1 => State::Sha256(sha2::Sha256::deserialize(state.try_into().ok()?).ok()?),
            2 => State::Sha512(sha2::Sha512::deserialize(state.try_into().ok()?).ok()?),
            _ => return None,
        };
        Some(Self {
            state,
            hashed_bytes: u64::from_be_bytes(*count),
        })
    }

    /// How many bytes were taken so far.
    #[must_use]
    pub fn hashed_bytes(&self) -> u64 {
        self.hashed_bytes
    }

    /// The hash function.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.state {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
        }
    }
}

fn named(algorithm: Algorithm, hash: &[u8]) -> Digest {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    assert_eq!(2 * hash.len(), algorithm.hex_length());
    let mut text = String::with_capacity(algorithm.name().len() + 1 + algorithm.hex_length());
    text.push_str(algorithm.name());
    text.push(':');
    for byte in hash {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    Digest(text.into())
}

/// Whether `byte` is one of `0-9a-f`.
pub(crate) const fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::{assert_one_door, told};

    fn check(text: &str, expected: &str) {
        assert_eq!(told::<Digest>(text), expected, "{text:?}");
    }

    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn only_the_canonical_text_is_a_digest() {
        let no_colon = "a digest is `sha256:` or `sha512:` and hex digits; there is no colon";
        let algorithm = "the algorithm of a digest is sha256 or sha512, in lower case";
        check(ABC, ABC);
        check("", no_colon);
        check("latest", no_colon);
        check(":", algorithm);
        check("md5:d41d8cd98f00b204e9800998ecf8427e", algorithm);
        check(&ABC.replace("sha256", "SHA256"), algorithm);
        check(&ABC.replace("sha256", "sha256+b64"), algorithm);
        check(&format!(" {ABC}"), algorithm);
        check("sha256:", "a sha256 digest has 64 hex digits, not 0");
        check(&ABC[..70], "a sha256 digest has 64 hex digits, not 63");
        check(
            &format!("{ABC}0"),
            "a sha256 digest has 64 hex digits, not 65",
        );
        check(
            &ABC.replace("256", "512"),
            "a sha512 digest has 128 hex digits, not 64",
        );
        check(
            &ABC.replace("ba78", "bA78"),
            "byte 8 of the digest is not a lower-case hex digit",
        );
        check(
            &ABC.replace("15ad", "15a/"),
            "byte 70 of the digest is not a lower-case hex digit",
        );
        check(
            &ABC.replace("15ad", "15é"),
            "byte 69 of the digest is not a lower-case hex digit",
        );
    }

    #[test]
    fn digests_are_those_of_the_standard() {
        assert_eq!(Digest::of(Algorithm::Sha256, b"abc").as_str(), ABC);
        assert_eq!(
            Digest::of(Algorithm::Sha512, b"abc").as_str(),
            "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        );
        assert_eq!(
            Hasher::new(Algorithm::Sha256).finish().hex(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn only_what_was_saved_is_a_state() {
        let saved = Hasher::new(Algorithm::Sha256).save();
        for cut in 0..saved.len() {
            assert!(Hasher::restore(&saved[..cut]).is_none(), "{cut}");
        }
        let mut other = saved.clone();
        other[0] = 3;
        assert!(Hasher::restore(&other).is_none());
        assert!(Hasher::restore(&[saved, vec![0]].concat()).is_none());
    }

    proptest! {
        #[test]
        fn every_split_has_one_digest(
            bytes in prop::collection::vec(any::<u8>(), 0..1000),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            for algorithm in Algorithm::ALL {
                let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
                cuts.push(0);
                cuts.push(bytes.len());
                cuts.sort_unstable();
                let mut hasher = Hasher::new(algorithm);
                for cut in cuts.windows(2) {
                    hasher.update(&bytes[cut[0]..cut[1]]);
                    hasher = Hasher::restore(&hasher.save()).expect("what was saved is a state");
                }
                prop_assert_eq!(hasher.hashed_bytes(), bytes.len() as u64);
                prop_assert_eq!(hasher.algorithm(), algorithm);
                let digest = hasher.finish();
                prop_assert_eq!(&digest, &Digest::of(algorithm, &bytes));
                prop_assert_eq!(digest.algorithm(), algorithm);
                prop_assert_eq!(digest.hex().len(), algorithm.hex_length());
                prop_assert!(digest.as_str().ends_with(digest.hex()));
                assert_one_door::<Digest>(digest.as_str());
            }
        }

        #[test]
        fn printing_gives_the_text_back(text in "(sha256:[0-9a-f]{62,65}|sha[0-9]{3}:[0-9a-fA-F]{64}|\\PC*)") {
            assert_one_door::<Digest>(&text);
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.as_str(), text);
            }
        }
    }
}
