//! What this registry's own tables tell, as the pages show it. All of it blocks: called where that is allowed.

use std::collections::BTreeMap;

use layerhouse_oci::descriptor::Descriptor;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::manifest::Manifest;
use layerhouse_oci::reference::Reference;

use super::super::visit::Visit;
use super::model::{
    Image, ImageConfig, Layer, Pair, Referrer, RepositoryRow, TagRow, Uses, Variant,
};
use crate::api::v1::problem::Problem;
use crate::auth::directory::Viewer;
use crate::auth::rights::Visibility;
use crate::auth::{Granted, Pull};
use crate::registry::Registry;
use crate::registry::browse::kind::{self, Kind};
use crate::registry::browse::{images, repositories, tags};

/// Referrers of one image that are shown, on all levels together, and levels.
const REFERRERS_MAX: usize = 100;
const DEPTH_MAX: usize = 4;

pub(in crate::api::ui) fn repository_row(
    visit: &Visit,
    viewer: &Viewer,
    row: repositories::RepositoryRow,
) -> RepositoryRow {
    let own = row.visibility.as_deref();
    let is_private =
        own.unwrap_or(viewer.default_visibility().as_str()) == Visibility::Private.as_str();
    RepositoryRow {
        name: row.name.to_string(),
        description: (!row.description.is_empty()).then_some(row.description),
        tags: Some(row.tags),
        size_bytes: Some(row.linked_bytes),
        pulls: visit.shell.has_accounts.then_some(row.pulls),
        stars: visit.shell.has_accounts.then_some(row.stars),
        pushed_at: row.last_pushed_at,
        pulled_at: row.last_pulled_at,
        // Without accounts nothing is private or public.
        is_private: visit.shell.has_accounts.then_some(is_private),
    }
}

pub(in crate::api::ui) fn tag_row(row: tags::TagRow) -> TagRow {
    let facts = row.facts;
    let is_index = facts
        .as_ref()
        .is_some_and(|facts| facts.image_bytes != facts.largest_bytes);
    let shown = row.aliases.len() as u64;
    TagRow {
        name: row.name.to_string(),
        digest: Some(row.digest.to_string()),
        aliases: row.aliases.iter().map(ToString::to_string).collect(),
        aliases_more: row.alias_count.saturating_sub(shown),
        kind: facts.as_ref().map(|facts| facts.kind),
        size_bytes: facts.as_ref().map(|facts| facts.largest_bytes),
        total_bytes: facts
            .as_ref()
            .filter(|_| is_index)
            .map(|facts| facts.image_bytes),
        platforms: facts.map(|facts| facts.platforms).unwrap_or_default(),
        pushed_at: Some(row.moved_at),
        pushed_by: row.moved_by,
        pulled_at: row.pulled_at,
        is_signed: Some(row.is_signed),
        has_sbom: Some(row.has_sbom),
    }
}

/// An image with its config; `None` if it is not there.
///
/// # Errors
/// The database or the disk failed.
pub(in crate::api::ui) fn image(
    registry: &Registry,
    pull: &Granted<Pull>,
    reference: &Reference,
) -> Result<Option<Image>, Problem> {
    let Some(found) = registry.image(pull, reference)? else {
        return Ok(None);
    };
    // What cannot be read although it was stored is shown as the bytes that it is.
    let manifest = Manifest::parse(&found.content, None).ok();
    let config = manifest
        .as_ref()
        .and_then(|manifest| manifest.config.as_ref());
    let config = match config {
        Some(config) => registry.image_config(pull, &config.digest)?,
        None => None,
    };
    let config = config.and_then(|bytes| ImageConfig::read(&bytes));
    let facts = found.facts.as_ref();
    let kind = facts.map(|facts| facts.kind);
    let kind = kind.or_else(|| manifest.as_ref().map(Kind::of));
    let shown = found.tags.len() as u64;
    let media_type = found.kind.media_type().to_owned();
    Ok(Some(Image {
        digest: found.digest.to_string(),
        kind: kind.unwrap_or(Kind::Artifact),
        media_type,
        manifest_bytes: found.content.len() as u64,
        size_bytes: facts.map(|facts| facts.image_bytes),
        built_at: facts.and_then(|facts| facts.created_at),
        // What calls itself nothing is of the type of its config, which of an image says nothing.
        artifact_type: found
            .artifact_type
            .filter(|kind| !kind::is_image_config(kind)),
        pushed_at: Some(found.pushed_at),
        pulled_at: found.pulled_at,
        is_signed: Some(found.is_signed),
        has_sbom: Some(found.has_sbom),
        tags: found.tags.iter().map(ToString::to_string).collect(),
        tags_more: found.tag_count.saturating_sub(shown),
        parents: found.parents.iter().map(ToString::to_string).collect(),
        referrers: Some(found.referrers),
        variants: found.children.into_iter().map(variant).collect(),
        subject: manifest
            .as_ref()
            .and_then(|manifest| manifest.subject.as_ref())
            .map(|subject| subject.digest.to_string()),
        annotations: manifest
            .as_ref()
            .and_then(|manifest| manifest.annotations.as_ref())
            .map(pairs)
            .unwrap_or_default(),
        layers: manifest
            .as_ref()
            .map(|manifest| layers(&manifest.layers, config.as_ref()))
            .unwrap_or_default(),
        config,
        content: found.content.to_vec(),
    }))
}

fn variant(child: images::Child) -> Variant {
    let kind = child.facts.as_ref().map(|facts| facts.kind);
    // Builders put attestations beside images, for a platform called unknown.
    let platform = child
        .platform
        .filter(|platform| !platform.starts_with("unknown"));
    Variant {
        digest: child.digest.to_string(),
        platform,
        kind,
        size_bytes: child.facts.map(|facts| facts.largest_bytes),
        is_here: child.is_here,
    }
}

/// Texts by name as pages list them.
pub(in crate::api::ui) fn pairs(texts: &BTreeMap<String, String>) -> Vec<Pair> {
    let pairs = texts.iter().map(|(name, value)| Pair {
        name: name.clone(),
        value: value.clone(),
    });
    pairs.collect()
}

/// Layers with the steps that made them, if there is one for each.
pub(in crate::api::ui) fn layers(
    descriptors: &[Descriptor],
    config: Option<&ImageConfig>,
) -> Vec<Layer> {
    let steps = config.map(|config| config.history.as_slice());
    let made = steps.into_iter().flatten().filter(|step| step.has_layer);
    let commands: Vec<&str> = made.map(|step| step.command.as_str()).collect();
    let is_told = commands.len() == descriptors.len();
    let layer = |(at, descriptor): (usize, &Descriptor)| {
        let command = commands.get(at).filter(|_| is_told);
        let title = descriptor
            .annotations
            .as_ref()
            .and_then(|annotations| annotations.get("org.opencontainers.image.title"));
        Layer {
            digest: descriptor.digest.to_string(),
            media_type: descriptor.media_type.as_str().to_owned(),
            size_bytes: descriptor.size,
            command: command
                .map(|command| (*command).to_owned())
                .filter(|command| !command.is_empty()),
            title: title.cloned(),
            uses: None,
        }
    };
    descriptors.iter().enumerate().map(layer).collect()
}

/// Finds out who else has the layers, as far as the visitor may know.
///
/// # Errors
/// The database failed.
pub(in crate::api::ui) fn add_uses(
    registry: &Registry,
    viewer: &Viewer,
    pull: &Granted<Pull>,
    layers: &mut [Layer],
) -> Result<(), Problem> {
    let digests: Vec<Digest> = layers
        .iter()
        .filter_map(|layer| layer.digest.parse().ok())
        .collect();
    for found in registry.layer_uses(viewer, pull, &digests)? {
        let digest = found.digest.to_string();
        for layer in layers.iter_mut().filter(|layer| layer.digest == digest) {
            layer.uses = Some(Uses {
                images: found.images,
                repositories: found.repositories.iter().map(ToString::to_string).collect(),
            });
        }
    }
    Ok(())
}

/// What refers to a manifest, what refers to that, and so on; whether there is more than is shown.
///
/// # Errors
/// The database failed.
pub(in crate::api::ui) fn referrers(
    registry: &Registry,
    pull: &Granted<Pull>,
    subject: &Digest,
) -> Result<(Vec<Referrer>, bool), Problem> {
    let mut walk = Walk {
        registry,
        pull,
        left: REFERRERS_MAX,
        is_cut: false,
    };
    let found = walk.below(subject, DEPTH_MAX)?;
    Ok((found, walk.is_cut))
}

struct Walk<'a> {
    registry: &'a Registry,
    pull: &'a Granted<Pull>,
    /// How many more are shown.
    left: usize,
    is_cut: bool,
}

impl Walk<'_> {
    fn below(&mut self, subject: &Digest, depth: usize) -> Result<Vec<Referrer>, Problem> {
        let page = self
            .registry
            .list_referrers(self.pull, subject, None, None)?;
        self.is_cut |=
            page.has_more || self.left < page.items.len() || (depth == 0 && !page.items.is_empty());
        if depth == 0 {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for item in page.items {
            if self.left == 0 {
                break;
            }
            self.left -= 1;
            let annotations = item.annotations.as_deref().unwrap_or_default();
            let annotations: BTreeMap<String, String> =
                serde_json::from_str(annotations).unwrap_or_default();
            let kind = item.artifact_type.as_deref().and_then(kind::of_type);
            found.push(Referrer {
                kind: kind.unwrap_or(Kind::Artifact),
                artifact_type: item.artifact_type,
                size_bytes: item.size_bytes,
                annotations: pairs(&annotations),
                referrers: self.below(&item.digest, depth - 1)?,
                digest: item.digest.to_string(),
            });
        }
        Ok(found)
    }
}
