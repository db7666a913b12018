//! What the browse pages show, wherever it comes from: plain values, made by this registry's own tables or, for
//! another registry, by what its `/v2/` tells. What a registry may be unable to tell is an `Option`, and the pages
//! do without.

use crate::clock::Timestamp;

/// A repository in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::api::ui) struct RepositoryRow {
    pub(in crate::api::ui) name: String,
    pub(in crate::api::ui) description: Option<String>,
    pub(in crate::api::ui) tags: Option<u64>,
    /// The blobs that it links, each counted once.
    pub(in crate::api::ui) size_bytes: Option<u64>,
    pub(in crate::api::ui) pulls: Option<u64>,
    pub(in crate::api::ui) stars: Option<u64>,
    pub(in crate::api::ui) pushed_at: Option<Timestamp>,
    pub(in crate::api::ui) pulled_at: Option<Timestamp>,
    pub(in crate::api::ui) is_private: Option<bool>,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api::ui) struct Listing<T> {
    pub(in crate::api::ui) rows: Vec<T>,
    /// How many there are in all pages.
    pub(in crate::api::ui) total: Option<u64>,
    /// This page, from 1.
    pub(in crate::api::ui) page: u64,
    pub(in crate::api::ui) has_more: bool,
}

/// What kind of thing a manifest is, as people call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::api::ui) enum Kind {
    /// An image for one platform.
    Image,
    /// An index: images for several platforms.
    Index,
    /// A Helm chart.
    Chart,
    Signature,
    /// A list of what is in an image.
    Sbom,
    /// A statement on how an image was built.
    Attestation,
    /// Anything else that has an artifact type.
    Artifact,
}

/// A tag in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api::ui) struct TagRow {
    pub(in crate::api::ui) name: String,
    pub(in crate::api::ui) digest: Option<String>,
    /// Other tags of the same digest, a few of them.
    pub(in crate::api::ui) aliases: Vec<String>,
    pub(in crate::api::ui) kind: Option<Kind>,
    /// Platforms with the size that a pull for them brings.
    pub(in crate::api::ui) platforms: Vec<PlatformSize>,
    /// Layers and config, compressed; of an index, the largest of its images.
    pub(in crate::api::ui) size_bytes: Option<u64>,
    pub(in crate::api::ui) pushed_at: Option<Timestamp>,
    pub(in crate::api::ui) pushed_by: Option<String>,
    pub(in crate::api::ui) pulled_at: Option<Timestamp>,
    pub(in crate::api::ui) is_signed: Option<bool>,
    pub(in crate::api::ui) has_sbom: Option<bool>,
}

/// A platform, and what a pull for it brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api::ui) struct PlatformSize {
    pub(in crate::api::ui) platform: String,
    pub(in crate::api::ui) size_bytes: Option<u64>,
}

/// A name and what it says: of a label, an annotation, a variable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::api::ui) struct Pair {
    pub(in crate::api::ui) name: String,
    pub(in crate::api::ui) value: String,
}

/// A manifest with all that is known of it.
#[derive(Clone, Debug)]
pub(in crate::api::ui) struct Image {
    pub(in crate::api::ui) digest: String,
    pub(in crate::api::ui) kind: Kind,
    pub(in crate::api::ui) media_type: String,
    pub(in crate::api::ui) artifact_type: Option<String>,
    /// Of the manifest itself.
    pub(in crate::api::ui) manifest_bytes: u64,
    /// Layers and config, compressed; of an index, those of all its images, each blob once.
    pub(in crate::api::ui) size_bytes: Option<u64>,
    pub(in crate::api::ui) pushed_at: Option<Timestamp>,
    pub(in crate::api::ui) pushed_by: Option<String>,
    pub(in crate::api::ui) pulled_at: Option<Timestamp>,
    /// Tags that point at it, at most some hundred.
    pub(in crate::api::ui) tags: Vec<String>,
    /// Indexes that name it.
    pub(in crate::api::ui) parents: Vec<Parent>,
    /// What it refers to.
    pub(in crate::api::ui) subject: Option<String>,
    pub(in crate::api::ui) annotations: Vec<Pair>,
    /// Of an index: what it names, in its order.
    pub(in crate::api::ui) variants: Vec<Variant>,
    /// Of an image or an artifact; empty for an index.
    pub(in crate::api::ui) layers: Vec<Layer>,
    pub(in crate::api::ui) config: Option<ImageConfig>,
}

/// An index that names a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api::ui) struct Parent {
    pub(in crate::api::ui) digest: String,
    pub(in crate::api::ui) tags: Vec<String>,
}

/// A manifest that an index names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api::ui) struct Variant {
    pub(in crate::api::ui) digest: String,
    /// `linux/arm64/v8`; none if the index does not say.
    pub(in crate::api::ui) platform: Option<String>,
    pub(in crate::api::ui) kind: Kind,
    pub(in crate::api::ui) size_bytes: Option<u64>,
    /// Whether it is in this repository.
    pub(in crate::api::ui) is_here: bool,
}

/// A layer, in the order in which they are laid on each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api::ui) struct Layer {
    pub(in crate::api::ui) digest: String,
    pub(in crate::api::ui) media_type: String,
    /// As stored and pulled: compressed.
    pub(in crate::api::ui) size_bytes: u64,
    /// The command that made it, from the config's history.
    pub(in crate::api::ui) command: Option<String>,
    /// What an artifact calls it (`org.opencontainers.image.title`).
    pub(in crate::api::ui) title: Option<String>,
    /// Other manifests that have it, too, in repositories that the visitor may see.
    pub(in crate::api::ui) shared_with: Option<u64>,
}

/// What an image's config says: how it runs, and how it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::api::ui) struct ImageConfig {
    /// `linux/arm64/v8`.
    pub(in crate::api::ui) platform: Option<String>,
    /// As it says.
    pub(in crate::api::ui) created: Option<String>,
    pub(in crate::api::ui) author: Option<String>,
    pub(in crate::api::ui) user: Option<String>,
    pub(in crate::api::ui) workdir: Option<String>,
    pub(in crate::api::ui) stop_signal: Option<String>,
    pub(in crate::api::ui) entrypoint: Vec<String>,
    pub(in crate::api::ui) command: Vec<String>,
    pub(in crate::api::ui) environment: Vec<Pair>,
    pub(in crate::api::ui) ports: Vec<String>,
    pub(in crate::api::ui) volumes: Vec<String>,
    pub(in crate::api::ui) labels: Vec<Pair>,
    pub(in crate::api::ui) history: Vec<Step>,
}

/// A step of how an image was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::api::ui) struct Step {
    /// As the builder wrote it, without its shell in front.
    pub(in crate::api::ui) command: String,
    pub(in crate::api::ui) created: Option<String>,
    /// Whether it made a layer.
    pub(in crate::api::ui) has_layer: bool,
}

/// What refers to a manifest, and what refers to that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api::ui) struct Referrer {
    pub(in crate::api::ui) digest: String,
    pub(in crate::api::ui) kind: Kind,
    pub(in crate::api::ui) artifact_type: Option<String>,
    pub(in crate::api::ui) size_bytes: u64,
    pub(in crate::api::ui) annotations: Vec<Pair>,
    pub(in crate::api::ui) referrers: Vec<Referrer>,
}
