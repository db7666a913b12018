//! The ids of upload sessions.

use std::str::FromStr;

use crate::digest::is_lower_hex;
use crate::text::through_text;

/// The id of one upload session: 128 bits as a UUID, `8-4-4-4-12` lower-case hex digits.
///
/// Whoever knows it may go on with the upload, so it is made from random bits that nobody can
/// guess. It may name a file: no text but hex digits and dashes gets here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(Box<str>);

/// Why a text is not the id of an upload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UploadIdError {
    /// Not 36 bytes.
    #[error("the id of an upload has 36 bytes, not {bytes}")]
    Length {
        /// How long the text is.
        bytes: usize,
    },
    /// Not the dash or the lower-case hex digit that stands there in a UUID.
    #[error("byte {at} cannot stand there in the id of an upload, a lower-case UUID")]
    Byte {
        /// The offset, from 0.
        at: usize,
    },
}

/// 32 hex digits and 4 dashes.
const LENGTH: usize = 36;

impl FromStr for UploadId {
    type Err = UploadIdError;
    fn from_str(text: &str) -> Result<Self, UploadIdError> {
        if text.len() != LENGTH {
            return Err(UploadIdError::Length { bytes: text.len() });
        }
        let fits = |(at, byte): (usize, u8)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => is_lower_hex(byte),
        };
        match text.bytes().enumerate().position(|place| !fits(place)) {
            Some(at) => Err(UploadIdError::Byte { at }),
            None => Ok(Self(text.into())),
        }
    }
}

through_text!(UploadId);

impl UploadId {
    /// A UUID of version 4 from 128 random bits, of which 122 survive (RFC 9562, section 5.4).
    #[must_use]
    pub fn from_random(random: u128) -> Self {
        let version = (random & !(0xf << 76)) | (0x4 << 76);
        let bits = (version & !(0x3 << 62)) | (0x2 << 62);
        let hex = format!("{bits:032x}");
        let parts = [
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..],
        ];
        Self(parts.join("-").into())
    }

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
        assert_eq!(told::<UploadId>(text), expected, "{text:?}");
    }

    #[test]
    fn only_the_canonical_text_is_an_id() {
        let id = "6b3c9a93-af5d-473f-a4ff-9710022185cd";
        let byte =
            |at| format!("byte {at} cannot stand there in the id of an upload, a lower-case UUID");
        check(id, id);
        check("", "the id of an upload has 36 bytes, not 0");
        check(
            &id.replace('-', ""),
            "the id of an upload has 36 bytes, not 32",
        );
        check(
            &format!("{{{id}}}"),
            "the id of an upload has 36 bytes, not 38",
        );
        check(&id.to_uppercase(), &byte(1));
        check(&id.replace("-473f", "4-73f"), &byte(13));
        check(&id.replace("6b3c", "../."), &byte(0));
        check(&id.replace("85cd", "85c\0"), &byte(35));
        check(&id.replace("85cd", "85é"), &byte(34));
    }

    #[test]
    fn random_bits_become_version_4() {
        assert_eq!(
            UploadId::from_random(0).as_str(),
            "00000000-0000-4000-8000-000000000000"
        );
        assert_eq!(
            UploadId::from_random(u128::MAX).as_str(),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
        let random = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
        assert_eq!(
            UploadId::from_random(random).as_str(),
            "01234567-89ab-4def-8123-456789abcdef"
        );
    }

    proptest! {
        #[test]
        fn what_is_made_is_read(random in any::<u128>()) {
            let id = UploadId::from_random(random);
            prop_assert_eq!(id.as_str().parse(), Ok(id.clone()));
            assert_one_door::<UploadId>(id.as_str());
        }

        #[test]
        fn texts_stay_total(text in "[0-9a-fA-F-]{36}|\\PC{0,40}") {
            assert_one_door::<UploadId>(&text);
        }
    }
}
