//! Asks another registry, through `/v2/` alone; `images.rs` reads what it says. Eight requests at once, each page some
//! dozens, a preview of a deletion two hundred; what has a digest is kept, and what may change is kept for as long as somebody clicks from page to page.

mod images;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
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

use super::super::browse::model::Image;
use crate::api::v1::problem::{Code, Problem};
use crate::outbound::upstream::Upstream;
use crate::outbound::upstream::error::UpstreamError;
use crate::outbound::upstream::tend::{Catalog, Deleted};

/// Requests to the registry at once.
const AT_ONCE_MAX: usize = 8;
/// Repositories, and tags of one of them, that are listed: ten pages of most registries.
pub(super) const REPOSITORIES_MAX: usize = 10_000;
pub(super) const TAGS_MAX: usize = 10_000;
const TAGS_PAGE: usize = 1_000;
/// Tags of a repository that are looked at to say which others name an image.
pub(super) const ALIASES_MAX: usize = 100;
const MANIFEST_BYTES_MAX: usize = 4 << 20;
const CONFIG_BYTES_MAX: usize = 4 << 20;
/// Manifests and configs that are kept, in bytes.
const KEPT_BYTES_MAX: u64 = 32 << 20;
/// Lists that are kept, and for how long.
const LISTS_MAX: u64 = 64;
const LISTS_PATIENCE: Duration = Duration::from_secs(30);
/// Digests of tags that are kept.
const DIGESTS_MAX: u64 = 20_000;

/// Tags of a repository, in the registry's order.
#[derive(Debug, Default)]
pub(super) struct Tags {
    pub(super) names: Vec<Tag>,
    /// There are more.
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
