//! What the browse pages show, wherever it comes from: plain values, made by this registry's own tables or, for
//! another registry, by what its `/v2/` tells. What a registry may be unable to tell is an `Option`, and the pages
//! do without.

use crate::clock::Timestamp;
use crate::registry::browse::kind::Kind;

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

/// A tag in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api::ui) struct TagRow {
    pub(in crate::api::ui) name: String,
    pub(in crate::api::ui) digest: Option<String>,
    /// Other tags of the same digest, a few of them, and how many more there are.
    pub(in crate::api::ui) aliases: Vec<String>,
    pub(in crate::api::ui) aliases_more: u64,
    pub(in crate::api::ui) kind: Option<Kind>,
    pub(in crate::api::ui) platforms: Vec<String>,
    /// Layers and config, compressed; of an index, the largest of its images.
    pub(in crate::api::ui) size_bytes: Option<u64>,
    /// Of an index, all its images together.
    pub(in crate::api::ui) total_bytes: Option<u64>,
    pub(in crate::api::ui) pushed_at: Option<Timestamp>,
    pub(in crate::api::ui) pushed_by: Option<String>,
    pub(in crate::api::ui) pulled_at: Option<Timestamp>,
    pub(in crate::api::ui) is_signed: Option<bool>,
    pub(in crate::api::ui) has_sbom: Option<bool>,
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
    pub(in crate::api::ui) pulled_at: Option<Timestamp>,
    /// When its config says that it was built.
    pub(in crate::api::ui) built_at: Option<Timestamp>,
    pub(in crate::api::ui) is_signed: Option<bool>,
    pub(in crate::api::ui) has_sbom: Option<bool>,
    /// Tags that point at it, some of them, and how many more there are.
    pub(in crate::api::ui) tags: Vec<String>,
    pub(in crate::api::ui) tags_more: u64,
    /// Digests of indexes that name it.
    pub(in crate::api::ui) parents: Vec<String>,
    /// How many manifests refer to it.
    pub(in crate::api::ui) referrers: Option<u64>,
    /// What it refers to.
    pub(in crate::api::ui) subject: Option<String>,
    pub(in crate::api::ui) annotations: Vec<Pair>,
    /// Of an index: what it names, in its order.
    pub(in crate::api::ui) variants: Vec<Variant>,
    /// Of an image or an artifact; empty for an index.
    pub(in crate::api::ui) layers: Vec<Layer>,
    pub(in crate::api::ui) config: Option<ImageConfig>,
    /// The manifest as it was received.
    pub(in crate::api::ui) content: Vec<u8>,
}

/// A manifest that an index names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api::ui) struct Variant {
    pub(in crate::api::ui) digest: String,
    /// `linux/arm64/v8`; none if the index does not say.
    pub(in crate::api::ui) platform: Option<String>,
    pub(in crate::api::ui) kind: Option<Kind>,
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
    pub(in crate::api::ui) uses: Option<Uses>,
}

/// Who else has a layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::api::ui) struct Uses {
    /// Manifests of this repository, this one among them.
    pub(in crate::api::ui) images: u64,
    /// Other repositories that the visitor may see.
    pub(in crate::api::ui) repositories: Vec<String>,
}

impl Uses {
    /// Whether nobody else has it, as far as the visitor may know.
    pub(in crate::api::ui) fn is_only(&self) -> bool {
        self.images <= 1 && self.repositories.is_empty()
    }
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

/// What a kind is called: a key of the texts.
pub(in crate::api::ui) fn kind_key(kind: Kind) -> &'static str {
    match kind {
        Kind::Image => "browse.kind_image",
        Kind::Index => "browse.kind_index",
        Kind::Helm => "browse.kind_helm",
        Kind::Signature => "browse.kind_signature",
        Kind::Sbom => "browse.kind_sbom",
        Kind::Attestation => "browse.kind_attestation",
        Kind::Wasm => "browse.kind_wasm",
        Kind::Artifact => "browse.kind_artifact",
    }
}

impl TagRow {
    /// What it is called that it is, where that is no image.
    pub(in crate::api::ui) fn kind_key(&self) -> Option<&'static str> {
        let kind = self
            .kind
            .filter(|kind| !matches!(kind, Kind::Image | Kind::Index));
        kind.map(kind_key)
    }
}

impl Variant {
    pub(in crate::api::ui) fn kind_key(&self) -> Option<&'static str> {
        self.kind.map(kind_key)
    }
}

impl Pair {
    /// Where the value leads, if it is the address of a page.
    pub(in crate::api::ui) fn link(&self) -> Option<&str> {
        web_address(&self.value)
    }
}

/// A text that is the address of a page, and nothing else: what somebody else wrote is linked to only then.
pub(in crate::api::ui) fn web_address(text: &str) -> Option<&str> {
    const BYTES_MAX: usize = 2048;
    let is_web = ["https://", "http://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    let is_plain = |byte: u8| {
        byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'\\' | b'`')
    };
    (is_web && text.len() <= BYTES_MAX && text.bytes().all(is_plain)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_pages_are_linked_to() {
        let check = |text: &str, expected: bool| {
            assert_eq!(web_address(text).is_some(), expected, "{text}");
        };
        check("https://git.example/acme/web?x=1#y", true);
        check("http://git.example", true);
        check("javascript:alert(1)", false);
        check("https://git.example/a b", false);
        check("https://git.example/\"onclick=x", false);
        check(" https://git.example", false);
        check("git@git.example:acme/web.git", false);
        check("HTTPS://git.example", false);
    }
}
