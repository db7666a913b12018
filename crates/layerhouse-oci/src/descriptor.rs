//! Descriptors: how a manifest names what it needs (image-spec, "OCI Content Descriptors").

use std::collections::BTreeMap;

use serde::Serialize;

use crate::digest::Digest;
use crate::fields::{FieldError, Fields};
use crate::media_type::MediaType;
use crate::strict_json::{Json, Object};

/// A blob or manifest as another manifest names it.
///
/// What it says is a claim of whoever pushed it. It is written as JSON in the form of the
/// image-spec; the `data` of the original, if it had any, is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the bytes are.
    pub media_type: MediaType,
    /// The digest of the bytes.
    pub digest: Digest,
    /// How many bytes, up to `i64::MAX`.
    pub size: u64,
    /// What kind of artifact a manifest is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Free remarks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// Where else the bytes are said to be. Nothing here ever fetches them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// What an image of an index runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// What an image runs on; texts as pushed, empty if they were missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`.
    pub architecture: String,
    /// `v8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Layers that registries need not have (image-spec, "Non-Distributable Layers").
const NOT_DISTRIBUTABLE: [&str; 5] = [
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
];

const KNOWN: [&str; 8] = [
    "mediaType",
    "digest",
    "size",
    "urls",
    "annotations",
    "data",
    "artifactType",
    "platform",
];

const PLATFORM_KNOWN: [&str; 6] = [
    "architecture",
    "os",
    "os.version",
    "os.features",
    "variant",
    "features",
];

impl Descriptor {
    /// Whether the bytes must be here before a manifest that names them: false for the layers
    /// that clients leave with their vendor.
    #[must_use]
    pub fn is_distributable(&self) -> bool {
        !NOT_DISTRIBUTABLE.contains(&self.media_type.as_str())
    }

    /// The descriptor that `value` is, if it is an object.
    pub(crate) fn read(value: Json) -> Result<Self, FieldError> {
        let Json::Object(object) = value else {
            return Err(FieldError::NotAnObject);
        };
        let mut fields = Fields::new(object, &KNOWN)?;
        let field = "mediaType";
        Ok(Self {
            media_type: fields
                .media_type(field)?
                .ok_or(FieldError::Missing { field })?,
            digest: fields.digest("digest")?,
            size: fields.size("size")?,
            artifact_type: fields.take_text("artifactType")?,
            annotations: fields.take_annotations("annotations")?,
            urls: fields.take_texts("urls")?,
            platform: fields
                .take_object("platform")?
                .map(Platform::read)
                .transpose()?,
        })
    }
}

impl Platform {
    fn read(object: Object) -> Result<Self, FieldError> {
        let mut fields = Fields::new(object, &PLATFORM_KNOWN)?;
        Ok(Self {
            os: fields.take_text("os")?.unwrap_or_default(),
            architecture: fields.take_text("architecture")?.unwrap_or_default(),
            variant: fields.take_text("variant")?,
        })
    }
}
