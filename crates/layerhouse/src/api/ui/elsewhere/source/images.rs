//! What manifests and configs of the other registry say, as the pages show it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use http::StatusCode;
use layerhouse_oci::descriptor::Descriptor;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::manifest::Manifest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;
use layerhouse_oci::tag::Tag;

use super::{Found, MANIFEST_BYTES_MAX, Source};
use crate::api::ui::browse::here::{layers, pairs};
use crate::api::ui::browse::model::{Image, ImageConfig, Referrer, TagRow, Variant};
use crate::api::v1::problem::Problem;
use crate::registry::browse::kind::{self, Kind};
use crate::registry::browse::learn::of_platform;

/// Images of an index that are looked at.
const VARIANTS_MAX: usize = 24;
/// Of each, the platform whose size is shown.
const USUAL_PLATFORM: &str = "linux/amd64";

/// What refers to an image.
#[derive(Debug, Default)]
pub(in crate::api::ui::elsewhere) struct Referrers {
    pub(in crate::api::ui::elsewhere) rows: Vec<Referrer>,
    pub(in crate::api::ui::elsewhere) is_cut: bool,
}

impl Source {
    /// Rows for tags, in their order; what is gone meanwhile is left out.
    ///
    /// # Errors
    /// It does not say.
    pub(in crate::api::ui::elsewhere) async fn rows(
        &self,
        repository: &RepositoryName,
        tags: &[Tag],
    ) -> Result<Vec<TagRow>, Problem> {
        let rows = try_join_all(tags.iter().map(|tag| self.row(repository, tag))).await?;
        let mut rows: Vec<TagRow> = rows.into_iter().flatten().collect();
        // Of the tags that are shown, for nothing says which others there are.
        let digests: Vec<(Option<String>, String)> = rows
            .iter()
            .map(|row| (row.digest.clone(), row.name.clone()))
            .collect();
        for row in &mut rows {
            let same = digests
                .iter()
                .filter(|(digest, name)| *digest == row.digest && *name != row.name);
            row.aliases = same.map(|(_, name)| name.clone()).collect();
        }
        Ok(rows)
    }

    async fn row(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagRow>, Problem> {
        let Some(digest) = self.digest(repository, tag).await? else {
            return Ok(None);
        };
        let reference = Reference::Digest(digest.clone());
        let found = match self.manifest(repository, &reference).await {
            Ok(Some(found)) => Some(found),
            Ok(None) => return Ok(None),
            // One that the registry cannot send is no reason to show none, and may be why somebody is here.
            Err(problem) if problem.status() == StatusCode::BAD_GATEWAY => None,
            Err(problem) => return Err(problem),
        };
        let manifest = found.as_ref().and_then(Found::manifest);
        let variants = manifest.as_ref().map(variants_of).unwrap_or_default();
        let mut size_bytes = manifest.as_ref().and_then(own_bytes);
        if let Some(usual) = usual(&variants) {
            let reference = Reference::Digest(usual);
            // One that is missing there has no size, and is no reason to show nothing.
            if let Ok(Some(image)) = self.manifest(repository, &reference).await {
                size_bytes = image.manifest().as_ref().and_then(own_bytes);
            }
        }
        let mut platforms: BTreeSet<String> = variants
            .iter()
            .filter_map(|variant| variant.platform.clone())
            .collect();
        let kind = manifest.as_ref().map(Kind::of);
        let config = manifest.and_then(|manifest| manifest.config);
        if let Some(config) = config.filter(|_| kind == Some(Kind::Image))
            && let Ok(Some(content)) = self.config_of(repository, &config).await
        {
            platforms.extend(ImageConfig::read(&content).and_then(|config| config.platform));
        }
        Ok(Some(TagRow {
            name: tag.to_string(),
            digest: Some(digest.to_string()),
            aliases: Vec::new(),
            aliases_more: 0,
            kind,
            platforms: platforms.into_iter().collect(),
            size_bytes,
            total_bytes: None,
            pushed_at: None,
            pushed_by: None,
            pulled_at: None,
            is_signed: None,
            has_sbom: None,
        }))
    }

    /// An image with its config; `None` if it is not there.
    ///
    /// # Errors
    /// It does not say.
    pub(in crate::api::ui::elsewhere) async fn image(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<Image>, Problem> {
        let Some(found) = self.manifest(repository, reference).await? else {
            return Ok(None);
        };
        let Some(manifest) = found.manifest() else {
            return Ok(Some(unread(&found)));
        };
        let config = match &manifest.config {
            Some(config) => self.config_of(repository, config).await?,
            None => None,
        };
        let config = config.and_then(|bytes| ImageConfig::read(&bytes));
        let mut variants = variants_of(&manifest);
        let looked = variants.iter().take(VARIANTS_MAX).map(|variant| async {
            let digest = variant.digest.parse().ok()?;
            let reference = Reference::Digest(digest);
            Some(self.manifest(repository, &reference).await)
        });
        let looked = join_all(looked).await;
        for (variant, looked) in variants.iter_mut().zip(looked) {
            match looked {
                Some(Ok(Some(found))) => {
                    let manifest = found.manifest();
                    variant.kind = manifest.as_ref().map(Kind::of);
                    variant.size_bytes = manifest.as_ref().and_then(own_bytes);
                }
                Some(Ok(None)) => variant.is_here = false,
                // Not known, so it may be there.
                Some(Err(_)) | None => {}
            }
        }
        let annotations = manifest.annotations.as_ref().map(pairs);
        Ok(Some(Image {
            kind: Kind::of(&manifest),
            media_type: manifest.kind.media_type().to_owned(),
            artifact_type: manifest.artifact_type.clone(),
            size_bytes: own_bytes(&manifest),
            subject: manifest
                .subject
                .as_ref()
                .map(|subject| subject.digest.to_string()),
            annotations: annotations.unwrap_or_default(),
            layers: layers(&manifest.layers, config.as_ref()),
            variants,
            config,
            ..unread(&found)
        }))
    }

    /// What refers to an image, by the referrers API or, where there is none, by the tag that stands for it.
    ///
    /// # Errors
    /// It does not say.
    pub(in crate::api::ui::elsewhere) async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Referrers, Problem> {
        const SHOWN_MAX: usize = 100;
        let asked = self
            .upstream
            .referrers(repository, subject, MANIFEST_BYTES_MAX);
        let content = if let Some(content) = self.ask(asked).await? {
            Some(content)
        } else {
            self.tagged_referrers(repository, subject).await?
        };
        let index = content.and_then(|content| Manifest::parse(&content, None).ok());
        let manifests = index.map(|index| index.manifests).unwrap_or_default();
        Ok(Referrers {
            is_cut: SHOWN_MAX < manifests.len(),
            rows: manifests.iter().take(SHOWN_MAX).map(referrer).collect(),
        })
    }

    /// Distribution-spec, "Referrers Tag Schema".
    async fn tagged_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Option<Bytes>, Problem> {
        let tag = format!("{}-{}", subject.algorithm().name(), subject.hex());
        let Ok(tag) = tag.parse() else {
            return Ok(None);
        };
        let found = self.manifest(repository, &Reference::Tag(tag)).await?;
        Ok(found.map(|found| found.content))
    }
}

/// What is known of a manifest that cannot be read.
fn unread(found: &Found) -> Image {
    Image {
        digest: found.digest.to_string(),
        kind: Kind::Artifact,
        media_type: String::new(),
        artifact_type: None,
        manifest_bytes: found.content.len() as u64,
        size_bytes: None,
        pushed_at: None,
        pulled_at: None,
        built_at: None,
        is_signed: None,
        has_sbom: None,
        tags: Vec::new(),
        tags_more: 0,
        parents: Vec::new(),
        referrers: None,
        subject: None,
        annotations: Vec::new(),
        variants: Vec::new(),
        layers: Vec::new(),
        config: None,
        content: found.content.to_vec(),
    }
}

/// Layers and config; none for an index.
fn own_bytes(manifest: &Manifest) -> Option<u64> {
    if manifest.kind.is_index() {
        return None;
    }
    let mut blobs: BTreeMap<&Digest, u64> = BTreeMap::new();
    for blob in manifest.layers.iter().chain(&manifest.config) {
        blobs.insert(&blob.digest, blob.size);
    }
    Some(
        blobs
            .values()
            .fold(0, |sum, size| sum.saturating_add(*size)),
    )
}

fn variants_of(manifest: &Manifest) -> Vec<Variant> {
    let variant = |child: &Descriptor| Variant {
        digest: child.digest.to_string(),
        platform: child.platform.as_ref().and_then(of_platform),
        kind: None,
        size_bytes: None,
        is_here: true,
    };
    manifest.manifests.iter().map(variant).collect()
}

/// The image whose size stands for all.
fn usual(variants: &[Variant]) -> Option<Digest> {
    let has = |variant: &&Variant| variant.platform.is_some();
    let is_usual = |variant: &&Variant| variant.platform.as_deref() == Some(USUAL_PLATFORM);
    let found = variants.iter().find(is_usual);
    let found = found.or_else(|| variants.iter().find(has));
    found.and_then(|variant| variant.digest.parse().ok())
}

fn referrer(descriptor: &Descriptor) -> Referrer {
    let kind = descriptor.artifact_type.as_deref().and_then(kind::of_type);
    Referrer {
        digest: descriptor.digest.to_string(),
        kind: kind.unwrap_or(Kind::Artifact),
        artifact_type: descriptor.artifact_type.clone(),
        size_bytes: descriptor.size,
        annotations: descriptor
            .annotations
            .as_ref()
            .map(pairs)
            .unwrap_or_default(),
        referrers: Vec::new(),
    }
}
