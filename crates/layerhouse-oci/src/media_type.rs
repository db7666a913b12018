//! Media types: what bytes are said to be, and which of them are manifests.

use std::str::FromStr;

use crate::text::through_text;

/// `application/vnd.oci.image.manifest.v1+json`
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// `application/vnd.oci.image.index.v1+json`
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Docker image manifest, schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's older form of an index.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker image manifest, schema 1: refused.
pub const DOCKER_SCHEMA1: &str = "application/vnd.docker.distribution.manifest.v1+json";
/// Docker image manifest, schema 1, signed: refused.
pub const DOCKER_SCHEMA1_SIGNED: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
/// The config or layer of an artifact that has none (image-spec, "Guidance for an Empty Descriptor").
pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// A media type without parameters: `type/subtype`.
///
/// Each half has 1 to 127 bytes: first `[A-Za-z0-9]`, then also `!#$&-^_.+` (RFC 6838, section
/// 4.2); 3 to 255 in all. Reading one drops surrounding space and parameters such as
/// `; charset=utf-8`, which change nothing for manifests. Case is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaType(Box<str>);

/// Why a text is not a media type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaTypeError {
    /// No `/`, or nothing on one side of it.
    #[error("a media type is `type/subtype`")]
    Shape,
    /// Too long.
    #[error("a media type has up to 127 bytes on each side of the `/`, not {bytes}")]
    Length {
        /// How long the longer half is.
        bytes: usize,
    },
    /// A byte that no media type has there, or a control byte in its parameters.
    #[error("byte {at} cannot stand there in a media type")]
    Byte {
        /// The offset in the whole text, from 0.
        at: usize,
    },
}

impl FromStr for MediaType {
    type Err = MediaTypeError;
    fn from_str(text: &str) -> Result<Self, MediaTypeError> {
        let is_control = |byte: u8| byte.is_ascii_control() && byte != b'\t';
        if let Some(at) = text.bytes().position(is_control) {
            return Err(MediaTypeError::Byte { at });
        }
        let essence = text.split(';').next().unwrap_or(text);
        let indent = essence.len() - essence.trim_start_matches([' ', '\t']).len();
        let essence = essence.trim_matches([' ', '\t']);
        let (kind, subtype) = essence.split_once('/').ok_or(MediaTypeError::Shape)?;
        for (half, start) in [(kind, indent), (subtype, indent + kind.len() + 1)] {
            match half.len() {
                0 => return Err(MediaTypeError::Shape),
                1..=127 => (),
                bytes => return Err(MediaTypeError::Length { bytes }),
            }
            let fits = |(at, byte): (usize, u8)| {
                byte.is_ascii_alphanumeric() || 0 < at && b"!#$&-^_.+".contains(&byte)
            };
            if let Some(at) = half.bytes().enumerate().position(|place| !fits(place)) {
                return Err(MediaTypeError::Byte { at: start + at });
            }
        }
        Ok(Self(essence.into()))
    }
}

through_text!(MediaType);

impl MediaType {
    /// The text, without parameters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The manifests that can be pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ManifestKind {
    /// An OCI image manifest, which artifacts use as well.
    OciManifest,
    /// An OCI image index.
    OciIndex,
    /// A Docker image manifest, schema 2.
    DockerManifest,
    /// Docker's older form of an index.
    DockerList,
}

impl ManifestKind {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::OciManifest,
        Self::OciIndex,
        Self::DockerManifest,
        Self::DockerList,
    ];

    /// The media type that says so.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::OciManifest => OCI_MANIFEST,
            Self::OciIndex => OCI_INDEX,
            Self::DockerManifest => DOCKER_MANIFEST,
            Self::DockerList => DOCKER_LIST,
        }
    }

    /// The kind with exactly this media type.
    #[must_use]
    pub fn from_media_type(media_type: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.media_type() == media_type)
    }

    /// Whether it lists manifests rather than layers.
    #[must_use]
    pub const fn is_index(self) -> bool {
        match self {
            Self::OciIndex | Self::DockerList => true,
            Self::OciManifest | Self::DockerManifest => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::{assert_one_door, told};

    fn check(text: &str, expected: &str) {
        assert_eq!(told::<MediaType>(text), expected, "{text:?}");
    }

    #[test]
    fn media_types_follow_the_grammar() {
        let shape = "a media type is `type/subtype`";
        let byte = |at| format!("byte {at} cannot stand there in a media type");
        check(OCI_MANIFEST, OCI_MANIFEST);
        check("text/x-a.b+c!#$&^_", "text/x-a.b+c!#$&^_");
        check("Application/JSON", "Application/JSON");
        check("application/json; charset=utf-8", "application/json");
        check(" \tapplication/json\t ;", "application/json");
        check("", shape);
        check(";", shape);
        check("json", shape);
        check("/", shape);
        check("a/", shape);
        check("/a", shape);
        check("*/*", &byte(0));
        check("a/b/c", &byte(3));
        check(" a/b c", &byte(4));
        check("a/.b", &byte(2));
        check("a/b, c/d", &byte(3));
        check("a/b\r\n", &byte(3));
        check("a/b; x=\0", &byte(7));
        check("a/bé", &byte(3));
    }

    #[test]
    fn each_half_has_up_to_127_bytes() {
        let longest = format!("{0}/{0}", "a".repeat(127));
        assert_eq!(longest.len(), 255);
        check(&longest, &longest);
        let long = "a media type has up to 127 bytes on each side of the `/`, not 128";
        check(&format!("{longest}a"), long);
        check(&format!("a{longest}"), long);
    }

    #[test]
    fn kinds_have_one_media_type_each() {
        for kind in ManifestKind::ALL {
            assert_eq!(ManifestKind::from_media_type(kind.media_type()), Some(kind));
            check(kind.media_type(), kind.media_type());
            assert_eq!(
                ManifestKind::from_media_type(&kind.media_type().to_uppercase()),
                None
            );
        }
        for other in [DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED, OCI_EMPTY, ""] {
            assert_eq!(ManifestKind::from_media_type(other), None);
        }
    }

    proptest! {
        #[test]
        fn printing_gives_the_type_back(text in "[ \t]{0,2}[a-z]{1,3}/[a-zA-Z0-9!#$&^_.+ -]{1,9}(;\\PC{0,9})?") {
            assert_one_door::<MediaType>(&text);
            if let Ok(media_type) = text.parse::<MediaType>() {
                prop_assert!(text.trim_start().starts_with(media_type.as_str()));
            }
        }
    }
}
