//! What another registry tells through `/v2/` alone, as the pages show it. Eight requests at once, each page some
//! dozens; what has a digest is kept, and what may change is kept for as long as somebody clicks from page to page.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use http::StatusCode;
use http::header::{self, HeaderValue};
use layerhouse_oci::descriptor::Descriptor;
use layerhouse_oci::digest::{Algorithm, Digest};
use layerhouse_oci::manifest::Manifest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;
use layerhouse_oci::tag::Tag;
use moka::sync::Cache;
use tokio::sync::Semaphore;

use super::super::browse::here::{layers, pairs};
use super::super::browse::model::{Image, ImageConfig, Referrer, TagRow, Variant};
use crate::api::v1::problem::{Code, Problem};
use crate::outbound::upstream::Upstream;
use crate::outbound::upstream::error::UpstreamError;
use crate::outbound::upstream::tend::{Catalog, Deleted};
use crate::registry::browse::kind::{self, Kind};
use crate::registry::browse::learn::of_platform;

/// Requests to the registry at once.
const AT_ONCE_MAX: usize = 8;
/// Repositories, and tags of one of them, that are listed: ten pages of most registries.
pub(super) const REPOSITORIES_MAX: usize = 10_000;
pub(super) const TAGS_MAX: usize = 10_000;
const TAGS_PAGE: usize = 1_000;
/// Tags of a repository that are looked at to say which others name an image.
pub(super) const ALIASES_MAX: usize = 100;
/// Images of an index that are looked at.
const VARIANTS_MAX: usize = 24;
const MANIFEST_BYTES_MAX: usize = 4 << 20;
const CONFIG_BYTES_MAX: usize = 4 << 20;
/// Manifests and configs that are kept, in bytes.
const KEPT_BYTES_MAX: u64 = 32 << 20;
/// Lists that are kept, and for how long.
const LISTS_MAX: u64 = 64;
const LISTS_PATIENCE: Duration = Duration::from_secs(30);
/// Digests of tags that are kept.
const DIGESTS_MAX: u64 = 20_000;
/// Of each, the platform whose size is shown.
const USUAL_PLATFORM: &str = "linux/amd64";

/// Tags of a repository, in the registry's order.
#[derive(Debug, Default)]
pub(super) struct Tags {
    pub(super) names: Vec<Tag>,
    /// There are more.
    pub(super) is_cut: bool,
}

/// What refers to an image.
#[derive(Debug, Default)]
pub(super) struct Referrers {
    pub(super) rows: Vec<Referrer>,
    pub(super) is_cut: bool,
}

/// Which tags have to do with some digests.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    /// Tags that name them.
    pub(super) named: BTreeMap<Digest, Vec<Tag>>,
    /// Tags of indexes that name them, and break without them.
    pub(super) needing: BTreeMap<Digest, Vec<Tag>>,
    /// Not all tags were looked at.
    pub(super) is_cut: bool,
}

/// A manifest as it is there, under its digest.
#[derive(Clone)]
struct Found {
    digest: Digest,
    content: Bytes,
}

impl Found {
    fn manifest(&self) -> Option<Manifest> {
        Manifest::parse(&self.content, None).ok()
    }
}

/// Another registry.
pub(super) struct Source {
    upstream: Upstream,
    turns: Semaphore,
    /// By repository and digest: what one login may see of one repository says nothing of others.
    contents: Cache<String, Bytes>,
    catalogs: Cache<(), Arc<Catalog>>,
    tags: Cache<String, Arc<Tags>>,
    /// By repository and tag.
    digests: Cache<String, Digest>,
}

impl Source {
    pub(super) fn new(upstream: Upstream) -> Self {
        let lists = Cache::builder()
            .max_capacity(LISTS_MAX)
            .time_to_live(LISTS_PATIENCE);
        Self {
            upstream,
            turns: Semaphore::new(AT_ONCE_MAX),
            contents: Cache::builder()
                .max_capacity(KEPT_BYTES_MAX)
                .weigher(|key: &String, content: &Bytes| {
                    u32::try_from(key.len() + content.len()).unwrap_or(u32::MAX)
                })
                .build(),
            catalogs: Cache::builder()
                .max_capacity(1)
                .time_to_live(LISTS_PATIENCE)
                .build(),
            tags: lists.build(),
            digests: Cache::builder()
                .max_capacity(DIGESTS_MAX)
                .time_to_live(LISTS_PATIENCE)
                .build(),
        }
    }

    /// Asks when it is its turn; what is not there is `None`.
    async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, UpstreamError>>,
    ) -> Result<Option<T>, Problem> {
        let _turn = self.turns.acquire().await;
        match question.await {
            Ok(answer) => Ok(Some(answer)),
            Err(UpstreamError::NotFound(_)) => Ok(None),
            Err(error) => Err(problem(&error)),
        }
    }

    /// The repositories that it lists.
    ///
    /// # Errors
    /// It does not say, or not to us: 404 for a registry that has no list at all.
    pub(super) async fn catalog(&self) -> Result<Arc<Catalog>, Problem> {
        if let Some(kept) = self.catalogs.get(&()) {
            return Ok(kept);
        }
        let found = self.ask(self.upstream.catalog(REPOSITORIES_MAX)).await?;
        let mut catalog = found.ok_or_else(Problem::not_found)?;
        catalog.names.sort_unstable();
        catalog.names.dedup();
        let catalog = Arc::new(catalog);
        self.catalogs.insert((), Arc::clone(&catalog));
        Ok(catalog)
    }

    /// The tags of a repository; `None` if there is no such repository.
    ///
    /// # Errors
    /// It does not say.
    pub(super) async fn tags(
        &self,
        repository: &RepositoryName,
    ) -> Result<Option<Arc<Tags>>, Problem> {
        if let Some(kept) = self.tags.get(repository.as_str()) {
            return Ok(Some(kept));
        }
        let mut tags = Tags::default();
        let mut last: Option<Tag> = None;
        while tags.names.len() < TAGS_MAX {
            let behind = last.as_ref().map(Tag::as_str);
            let page = self.upstream.tags(repository, TAGS_PAGE, behind);
            let Some(page) = self.ask(page).await? else {
                return Ok(None);
            };
            let is_whole = page.len() == TAGS_PAGE;
            let next = page.last().cloned();
            tags.names.extend(page);
            if !is_whole || next == last {
                break;
            }
            last = next;
        }
        tags.is_cut = TAGS_MAX <= tags.names.len();
        let tags = Arc::new(tags);
        let key = repository.as_str().to_owned();
        self.tags.insert(key, Arc::clone(&tags));
        Ok(Some(tags))
    }

    /// The digest of a tag, without its manifest if the registry says it so.
    async fn digest(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<Digest>, Problem> {
        let key = format!("{repository}:{tag}");
        if let Some(kept) = self.digests.get(&key) {
            return Ok(Some(kept));
        }
        let said = self.ask(self.upstream.tag_digest(repository, tag)).await?;
        let digest = match said {
            None => return Ok(None),
            Some(Some(digest)) => digest,
            Some(None) => {
                let reference = Reference::Tag(tag.clone());
                let whole = self
                    .upstream
                    .manifest(repository, &reference, MANIFEST_BYTES_MAX);
                let Some(whole) = self.ask(whole).await? else {
                    return Ok(None);
                };
                let digest = Digest::of(Algorithm::Sha256, &whole.content);
                self.keep(repository, &digest, &whole.content);
                digest
            }
        };
        self.digests.insert(key, digest.clone());
        Ok(Some(digest))
    }

    fn keep(&self, repository: &RepositoryName, digest: &Digest, content: &Bytes) {
        let key = format!("{repository}@{digest}");
        self.contents.insert(key, content.clone());
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<Found>, Problem> {
        let digest = match reference {
            Reference::Digest(digest) => digest.clone(),
            Reference::Tag(tag) => match self.digest(repository, tag).await? {
                Some(digest) => digest,
                None => return Ok(None),
            },
        };
        if let Some(content) = self.contents.get(&format!("{repository}@{digest}")) {
            return Ok(Some(Found { digest, content }));
        }
        let reference = Reference::Digest(digest.clone());
        let asked = self
            .upstream
            .manifest(repository, &reference, MANIFEST_BYTES_MAX);
        let found = self.ask(asked).await?;
        Ok(found.map(|found| {
            self.keep(repository, &digest, &found.content);
            Found {
                digest,
                content: found.content,
            }
        }))
    }

    /// The config's bytes, where an image has one.
    ///
    /// # Errors
    /// It does not say.
    pub(super) async fn config(
        &self,
        repository: &RepositoryName,
        image: &Image,
    ) -> Result<Option<Vec<u8>>, Problem> {
        let manifest = Manifest::parse(&image.content, None).ok();
        let config = manifest.and_then(|manifest| manifest.config);
        let Some(config) = config else {
            return Ok(None);
        };
        let content = self.config_of(repository, &config).await?;
        Ok(content.map(|content| content.to_vec()))
    }

    async fn config_of(
        &self,
        repository: &RepositoryName,
        config: &Descriptor,
    ) -> Result<Option<Bytes>, Problem> {
        if CONFIG_BYTES_MAX as u64 <= config.size {
            return Ok(None);
        }
        let key = format!("{repository}@{}", config.digest);
        if let Some(kept) = self.contents.get(&key) {
            return Ok(Some(kept));
        }
        let asked = self
            .upstream
            .small_blob(repository, &config.digest, CONFIG_BYTES_MAX);
        let found = self.ask(asked).await?;
        if let Some(content) = &found {
            self.contents.insert(key, content.clone());
        }
        Ok(found)
    }

    /// Rows for tags, in their order; what is gone meanwhile is left out.
    ///
    /// # Errors
    /// It does not say.
    pub(super) async fn rows(
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
    pub(super) async fn image(
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
    pub(super) async fn referrers(
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

    /// Of the first hundred tags of a repository as they are now, those of each of these digests, and those of indexes
    /// that name one of them; whether there are more tags.
    ///
    /// # Errors
    /// It does not say.
    pub(super) async fn aliases(
        &self,
        repository: &RepositoryName,
        digests: &BTreeSet<Digest>,
    ) -> Result<Aliases, Problem> {
        self.tags.invalidate(repository.as_str());
        let tags = self.tags(repository).await?.unwrap_or_default();
        let looked = tags.names.iter().take(ALIASES_MAX);
        let found = looked.map(|tag| async move {
            let Some(digest) = self.digest_now(repository, tag).await? else {
                return Ok(None);
            };
            let reference = Reference::Digest(digest.clone());
            // Kept from the list of tags, mostly; one that cannot be read names nothing that can be shown.
            let content = self.manifest(repository, &reference).await.ok().flatten();
            let manifest = content.and_then(|found| found.manifest());
            Ok::<_, Problem>(Some((tag.clone(), digest, manifest)))
        });
        let mut aliases = Aliases {
            is_cut: tags.is_cut || ALIASES_MAX < tags.names.len(),
            ..Aliases::default()
        };
        for (tag, digest, manifest) in try_join_all(found).await?.into_iter().flatten() {
            let children = manifest.iter().flat_map(|manifest| &manifest.manifests);
            let needed = children.map(|child| &child.digest);
            for child in needed.filter(|child| digests.contains(child)) {
                let needing = aliases.needing.entry(child.clone()).or_default();
                needing.push(tag.clone());
            }
            if digests.contains(&digest) {
                aliases.named.entry(digest).or_default().push(tag);
            }
        }
        Ok(aliases)
    }

    /// The digest that a reference stands for now, whatever was kept.
    ///
    /// # Errors
    /// It does not say.
    pub(super) async fn digest_now(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<Digest>, Problem> {
        self.digests.invalidate(&format!("{repository}:{tag}"));
        self.digest(repository, tag).await
    }

    /// Forgets what may have changed.
    pub(super) fn forget(&self) {
        self.catalogs.invalidate_all();
        self.tags.invalidate_all();
        self.digests.invalidate_all();
        // A manifest that is deleted is not to be shown either.
        self.contents.invalidate_all();
    }

    /// Deletes a tag, or a manifest with all its tags.
    ///
    /// # Errors
    /// It does not say, or there is nothing to delete.
    pub(super) async fn delete(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<Deleted>, Problem> {
        self.ask(self.upstream.delete(repository, reference)).await
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

/// What the registry did not answer, as a page says it.
fn problem(error: &UpstreamError) -> Problem {
    let message = error.to_string();
    let unavailable = |status| Problem::new(status, Code::Unavailable, message.clone());
    match error {
        UpstreamError::NotFound(_) => Problem::absent(message),
        UpstreamError::Denied(_) => Problem::denied(message),
        UpstreamError::RateLimited { retry_after, .. } => {
            let problem = unavailable(StatusCode::SERVICE_UNAVAILABLE);
            match retry_after {
                Some(after) => {
                    let seconds = HeaderValue::from(after.as_secs().max(1));
                    problem.with(header::RETRY_AFTER, seconds)
                }
                None => problem,
            }
        }
        UpstreamError::Slow(_) => unavailable(StatusCode::GATEWAY_TIMEOUT),
        UpstreamError::Unreachable(_)
        | UpstreamError::Broken(_)
        | UpstreamError::Forbidden(_)
        | UpstreamError::Invalid(_) => unavailable(StatusCode::BAD_GATEWAY),
    }
}
