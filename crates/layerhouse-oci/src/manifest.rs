//! Manifests: what pushed bytes are, and which blobs and manifests they need.
//!
//! The bytes themselves are kept and served as they came. What is read from them here decides what
//! must be present and what garbage collection keeps, so it must be what every client reads, too:
//! anything that two clients may read in two ways is refused.

use std::collections::BTreeMap;

use crate::descriptor::Descriptor;
use crate::fields::{FieldError, Fields, Place};
use crate::media_type::{DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED, ManifestKind, MediaType};
use crate::strict_json::{self, Json, JsonError};

/// The most descriptors in one manifest: config, layers, manifests and subject together.
///
/// An image has up to 127 layers; the largest indexes have some thousand manifests.
pub const DESCRIPTORS_MAX: usize = 10_000;
const _: () = assert!(12 * DESCRIPTORS_MAX <= strict_json::VALUES_MAX);

/// A manifest, as far as a registry must understand it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Which of the four; a function of the bytes alone.
    pub kind: ManifestKind,
    /// The config of an image; none for an index.
    pub config: Option<Descriptor>,
    /// The layers of an image; none for an index, and perhaps none for an artifact.
    pub layers: Vec<Descriptor>,
    /// The manifests of an index; none for an image.
    pub manifests: Vec<Descriptor>,
    /// What it refers to; it need not exist. None in the kinds of Docker, which have no subject.
    pub subject: Option<Descriptor>,
    /// What the referrers API shows: `artifactType`, else for images the media type of the config.
    pub artifact_type: Option<String>,
    /// Free remarks, which the referrers API shows as well.
    pub annotations: Option<BTreeMap<String, String>>,
}

/// Why bytes are not a manifest that can be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON, or JSON that readers understand differently.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// JSON, but not an object.
    #[error("a manifest is a JSON object")]
    NotAnObject,
    /// Docker image manifest of schema 1.
    #[error("manifests of schema 1 are not kept here; push with Docker 1.10 or later")]
    Schema1,
    /// The version that all four kinds have is missing or another.
    #[error("`schemaVersion` of the manifest must be 2")]
    SchemaVersion,
    /// A type of manifest that is not one of the four.
    #[error(
        "`{media_type}` is not a manifest that is kept here; these are: {}",
        supported()
    )]
    UnknownMediaType {
        /// What the body or the `Content-Type` says.
        media_type: MediaType,
    },
    /// The body and the request do not agree.
    #[error("the manifest says it is `{body}`, the Content-Type says `{header}`")]
    MediaTypeMismatch {
        /// `mediaType` of the body.
        body: MediaType,
        /// `Content-Type` of the request.
        header: MediaType,
    },
    /// A manifest of Docker must name its type.
    #[error("a manifest pushed as `{}` must say so in its `mediaType`", .kind.media_type())]
    MissingMediaType {
        /// What the `Content-Type` says.
        kind: ManifestKind,
    },
    /// Nothing says what it is, and it looks like none.
    #[error("the manifest has no `mediaType`, and neither `config` and `layers` nor `manifests`")]
    UnknownStructure,
    /// More descriptors than [`DESCRIPTORS_MAX`].
    #[error("the manifest has {count} descriptors; {DESCRIPTORS_MAX} are allowed")]
    TooManyDescriptors {
        /// How many.
        count: usize,
    },
    /// A field is wrong.
    #[error("{at}: {error}")]
    Field {
        /// The object it is in.
        at: Place,
        /// What is wrong.
        error: FieldError,
    },
}

fn supported() -> String {
    ManifestKind::ALL.map(ManifestKind::media_type).join(", ")
}

const ROOT: Place = Place {
    list: "the manifest",
    index: None,
};

/// Every field that some kind of manifest has; `fsLayers` and `history` are of schema 1.
const KNOWN: [&str; 10] = [
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "subject",
    "annotations",
    "fsLayers",
    "history",
];

/// What must not be in an image manifest, and what not in an index: a client that expects the
/// other kind would find one (CVE-2021-41190).
const NOT_IN_IMAGE: [&str; 3] = ["manifests", "fsLayers", "history"];
const NOT_IN_INDEX: [&str; 4] = ["config", "layers", "fsLayers", "history"];

impl Manifest {
    /// The manifest that `bytes` are, pushed as `content_type`.
    ///
    /// The kind is `mediaType` of the body, with which `content_type` must agree. Without one it
    /// is an OCI manifest with `config` and `layers` or an OCI index with `manifests`. The same
    /// bytes are thus never accepted as two kinds. A field of the other kind is refused, as is a
    /// field known but for its case. Unknown fields are allowed (image-spec, "Extensibility").
    ///
    /// # Errors
    /// [`ManifestError`], which says what is wrong and where: 400, `MANIFEST_INVALID`.
    pub fn parse(bytes: &[u8], content_type: Option<&MediaType>) -> Result<Self, ManifestError> {
        // Before the body is read: that of schema 1 is not even strict JSON at times.
        if let Some(header) = content_type {
            known_kind(header)?;
        }
        let Json::Object(object) = strict_json::parse(bytes)? else {
            return Err(ManifestError::NotAnObject);
        };
        let fields = Fields::new(object, &KNOWN).map_err(at(ROOT))?;
        match fields.get("schemaVersion") {
            Some(Json::Unsigned(2)) => (),
            Some(Json::Unsigned(1)) => return Err(ManifestError::Schema1),
            _ => return Err(ManifestError::SchemaVersion),
        }
        let kind = kind(&fields, content_type)?;
        check_structure(&fields, kind).map_err(at(ROOT))?;
        read(fields, kind)
    }
}

/// Which kind the fields are of.
fn kind(fields: &Fields, content_type: Option<&MediaType>) -> Result<ManifestKind, ManifestError> {
    let body = fields.media_type("mediaType").map_err(at(ROOT))?;
    match (body, content_type) {
        (Some(body), header) => {
            let kind = known_kind(&body)?;
            // Parameters, which parsing drops, would make it another type for some clients.
            if fields.text("mediaType").map_err(at(ROOT))? != Some(body.as_str()) {
                let error = FieldError::Type {
                    field: "mediaType",
                    expected: "a media type without parameters",
                };
                return Err(at(ROOT)(error));
            }
            match header {
                Some(header) if *header != body => Err(ManifestError::MediaTypeMismatch {
                    body,
                    header: header.clone(),
                }),
                _ => Ok(kind),
            }
        }
        (None, Some(header)) => match known_kind(header)? {
            kind @ (ManifestKind::DockerManifest | ManifestKind::DockerList) => {
                Err(ManifestError::MissingMediaType { kind })
            }
            kind @ (ManifestKind::OciManifest | ManifestKind::OciIndex) => Ok(kind),
        },
        (None, None) if fields.get("config").is_some() => Ok(ManifestKind::OciManifest),
        (None, None) if fields.get("manifests").is_some() => Ok(ManifestKind::OciIndex),
        (None, None) => Err(ManifestError::UnknownStructure),
    }
}

fn known_kind(media_type: &MediaType) -> Result<ManifestKind, ManifestError> {
    match media_type.as_str() {
        DOCKER_SCHEMA1 | DOCKER_SCHEMA1_SIGNED => Err(ManifestError::Schema1),
        text => ManifestKind::from_media_type(text).ok_or(ManifestError::UnknownMediaType {
            media_type: media_type.clone(),
        }),
    }
}

/// Checks that the fields which set the kinds apart are those of `kind`.
fn check_structure(fields: &Fields, kind: ManifestKind) -> Result<(), FieldError> {
    let (needed, unexpected, holder): (&[_], &[_], _) = if kind.is_index() {
        (&["manifests"], &NOT_IN_INDEX, "an index")
    } else {
        (&["config", "layers"], &NOT_IN_IMAGE, "an image manifest")
    };
    for &field in unexpected {
        if fields.get(field).is_some() {
            return Err(FieldError::Unexpected { field, holder });
        }
    }
    for &field in needed {
        if fields.get(field).is_none() {
            return Err(FieldError::Missing { field });
        }
    }
    Ok(())
}

/// Reads the rest, once the kind is known and the structure fits it.
fn read(mut fields: Fields, kind: ManifestKind) -> Result<Manifest, ManifestError> {
    let is_oci = matches!(kind, ManifestKind::OciManifest | ManifestKind::OciIndex);
    let config = fields.take("config");
    let subject = fields.take("subject").filter(|_| is_oci);
    let layers = fields.take_array("layers").map_err(at(ROOT))?;
    let manifests = fields.take_array("manifests").map_err(at(ROOT))?;
    let singles = usize::from(config.is_some()) + usize::from(subject.is_some());
    let count = singles + layers.len() + manifests.len();
    if DESCRIPTORS_MAX < count {
        return Err(ManifestError::TooManyDescriptors { count });
    }
    let config = config.map(|value| single("config", value)).transpose()?;
    let named = fields.take_text("artifactType").map_err(at(ROOT))?;
    let of_config = || Some(config.as_ref()?.media_type.to_string());
    Ok(Manifest {
        kind,
        artifact_type: named.filter(|_| is_oci).or_else(of_config),
        layers: list("layers", layers)?,
        manifests: list("manifests", manifests)?,
        subject: subject.map(|value| single("subject", value)).transpose()?,
        annotations: fields.take_annotations("annotations").map_err(at(ROOT))?,
        config,
    })
}

fn single(list: &'static str, value: Json) -> Result<Descriptor, ManifestError> {
    Descriptor::read(value).map_err(at(Place { list, index: None }))
}

fn list(list: &'static str, values: Vec<Json>) -> Result<Vec<Descriptor>, ManifestError> {
    let descriptor = |(index, value)| {
        let index = Some(index);
        Descriptor::read(value).map_err(at(Place { list, index }))
    };
    values.into_iter().enumerate().map(descriptor).collect()
}

fn at(place: Place) -> impl Fn(FieldError) -> ManifestError {
    move |error| ManifestError::Field { at: place, error }
}

#[cfg(test)]
mod tests;
