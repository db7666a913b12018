//! Copying tags of an upstream's into a repository of our own, where they stay whatever becomes of the upstream: the
//! image is fetched as for `warm.rs`, its blobs are linked as a mount links them, and the tag moves as a push moves
//! it, under the same policies. Tags are never removed.

use std::collections::BTreeSet;
use std::sync::Arc;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;
use layerhouse_oci::tag::Tag;

use super::manifests::Freshness;
use super::platforms::{Wanted, is_wanted};
use super::routing::Source;
use super::warm::{Gathered, WarmError, Warmed, parse};
use super::{Mirror, MirrorError};
use crate::config::meaning::mirror::Sync;
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::links::Link;
use crate::meta::manifests::{NewManifest, StoredManifest};
use crate::outbound::upstream::error::UpstreamError;
use crate::registry::manifest_rules::ManifestRules;
use crate::registry::manifests::{Needs, PushManifestError, missing, read, write_rows};
use crate::registry::policies::guard::{self, Refused};
use crate::registry::policies::quota;
use crate::registry::{Registry, blocking};

/// Who moves the tags, in their history.
const ACTOR: &str = "sync";
/// Tags asked for at once, and all that are looked at.
const TAGS_PAGE: usize = 1_000;
const TAGS_MAX: usize = 100_000;

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Synced {
    /// Tags that were made or moved.
    pub(crate) tags: u64,
    pub(crate) fetched: Warmed,
}

/// Why a tag was not copied.
#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error(transparent)]
    Warm(#[from] WarmError),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("{to} is a copy itself; name a repository of this registry's own")]
    IsCopy { to: RepositoryName },
    #[error("blob {digest} went before it could be linked")]
    Gone { digest: Digest },
    #[error(transparent)]
    Manifest(#[from] PushManifestError),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<MirrorError> for SyncError {
    fn from(error: MirrorError) -> Self {
        Self::Warm(error.into())
    }
}

impl SyncError {
    /// Whether the next tag would meet the same.
    fn is_of_all(&self) -> bool {
        match self {
            Self::Warm(WarmError::Mirror(error)) => match error {
                MirrorError::Upstream(UpstreamError::NotFound(_) | UpstreamError::Invalid(_))
                | MirrorError::Absent { .. }
                | MirrorError::Invalid { .. } => false,
                MirrorError::Upstream(_) | MirrorError::Offline | MirrorError::Fault(_) => true,
            },
            Self::Warm(WarmError::Stale { .. } | WarmError::Fault(_))
            | Self::Fault(_)
            | Self::IsCopy { .. } => true,
            Self::Warm(_) | Self::Refused(_) | Self::Gone { .. } | Self::Manifest(_) => false,
        }
    }
}

impl Registry {
    /// Copies the tags that an entry names, as far as they differ.
    ///
    /// # Errors
    /// The upstream cannot be asked, or the disk or the database failed; in words, for the log.
    pub(crate) async fn sync(
        self: &Arc<Self>,
        mirror: &Arc<Mirror>,
        sync: &Sync,
    ) -> Result<Synced, String> {
        let name = |text: &str| {
            let name = text.parse::<RepositoryName>();
            name.map_err(|error| format!("{text:?}: {error}"))
        };
        let (from, to) = (name(&sync.from)?, name(&sync.to)?);
        let source = self.source_of(mirror, &from);
        let source = source.map_err(|error| error.to_string())?;
        if mirror.is_copy(&to) {
            return Err(SyncError::IsCopy { to }.to_string());
        }
        let mut synced = Synced::default();
        let tags = self.wanted_tags(&source, sync).await;
        for tag in tags.map_err(|error| error.to_string())? {
            match self.sync_tag(&source, &to, &tag, &sync.platforms).await {
                Ok(None) => {}
                Ok(Some(fetched)) => {
                    synced.tags += 1;
                    synced.fetched.add(fetched);
                }
                Err(error) if error.is_of_all() => return Err(format!("{tag}: {error}")),
                Err(error) => {
                    tracing::warn!(%from, %to, %tag, %error, "a tag was not copied");
                }
            }
        }
        Ok(synced)
    }

    /// The tags of an upstream's repository that an entry names.
    async fn wanted_tags(
        &self,
        source: &Source,
        sync: &Sync,
    ) -> Result<BTreeSet<Tag>, MirrorError> {
        if source.mirror.settings.is_offline {
            return Err(MirrorError::Offline);
        }
        let upstream = &source.served.upstream;
        let (mut wanted, mut looked_at) = (BTreeSet::new(), 0);
        let mut last: Option<Tag> = None;
        loop {
            let after = last.as_ref().map(Tag::as_str);
            let page = upstream.tags(&source.repository, TAGS_PAGE, after).await?;
            let end = page.last().cloned();
            looked_at += page.len();
            let fits = |tag: &Tag| sync.tags.iter().any(|glob| glob.fits(tag.as_str()));
            wanted.extend(page.into_iter().filter(fits));
            // One that lists the same again and again has no more.
            if end.is_none() || end == last {
                return Ok(wanted);
            }
            if TAGS_MAX < looked_at {
                return Err(source.invalid(&format!("it lists more than {TAGS_MAX} tags")));
            }
            last = end;
        }
    }

    /// Copies a tag; what was fetched for that, `None` if there was nothing to do.
    async fn sync_tag(
        self: &Arc<Self>,
        source: &Source,
        to: &RepositoryName,
        tag: &Tag,
        platforms: &[String],
    ) -> Result<Option<Warmed>, SyncError> {
        let reference = Reference::Tag(tag.clone());
        let found = self.copy_manifest(source, &reference).await?;
        if found.freshness == Freshness::Fresh
            && self.has_image(to, tag, found.manifest, platforms).await?
        {
            return Ok(None);
        }
        let gathered = self.gather(source, &reference, platforms).await?;
        self.store.check_room()?;
        let fetched = gathered.fetched;
        self.write_synced(&source.copy, to, tag, gathered).await?;
        Ok(Some(fetched))
    }

    /// Whether the tag points at this manifest, and all that is wanted of an index is there.
    async fn has_image(
        &self,
        to: &RepositoryName,
        tag: &Tag,
        manifest: Arc<StoredManifest>,
        platforms: &[String],
    ) -> Result<bool, SyncError> {
        let current = self.database.read(|tx| {
            let id = meta::repositories::find_present(tx, to)?;
            id.map_or(Ok(None), |id| meta::tags::find(tx, id, tag))
        })?;
        if current.as_ref() != Some(&manifest.digest) {
            return Ok(false);
        }
        let wanted: Vec<_> = platforms
            .iter()
            .filter_map(|text| Wanted::read(text))
            .collect();
        let (parsed, _) = parse(manifest).await?;
        let wanted = parsed
            .manifests
            .iter()
            .filter(|child| is_wanted(child, &wanted));
        for child in wanted {
            let reference = Reference::Digest(child.digest.clone());
            if self.find_manifest(to, &reference)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The links of the blobs, which the copy has, the manifests and the tag: one transaction, so that nothing is
    /// collected before it is needed. Leases keep the bytes until then, as of a mount.
    async fn write_synced(
        &self,
        copy: &RepositoryName,
        to: &RepositoryName,
        tag: &Tag,
        gathered: Gathered,
    ) -> Result<(), SyncError> {
        let Gathered {
            manifests, blobs, ..
        } = gathered;
        let mut leases = Vec::new();
        // In their order, as everyone takes them who takes several.
        for digest in &blobs {
            leases.push(self.leases.take(digest).await);
            let size_bytes = self.linked_size(copy, digest)?;
            if !size_bytes.map_or(Ok(false), |size_bytes| self.is_whole(digest, size_bytes))? {
                let digest = digest.clone();
                return Err(SyncError::Gone { digest });
            }
        }
        let read_all = move || {
            let rules = ManifestRules::of_adoption();
            let manifests = manifests.iter().rev();
            let manifests = manifests.map(|stored| {
                let claimed = Some(stored.digest.clone());
                read(stored.content.to_vec(), None, claimed, &rules)
            });
            manifests.collect::<Result<Vec<(NewManifest, Needs)>, _>>()
        };
        let manifests = blocking(read_all).await??;
        let (copy, to, tag) = (copy.clone(), to.clone(), tag.clone());
        let (policies, now) = (self.policies.load_full(), self.clock.now());
        self.database
            .write(move |tx| {
                let id = meta::repositories::find_or_create(tx, &to, now)?;
                if meta::mirror::upstream_of(tx, id)?.is_some() {
                    return Err(SyncError::IsCopy { to });
                }
                let Some((root, _)) = manifests.last() else {
                    let what = "an image has no manifest".to_owned();
                    return Err(Fault::plain(FaultKind::Other, what).into());
                };
                guard::check_push(tx, &policies, (&to, id), &tag, &root.digest)??;
                for digest in blobs {
                    if meta::blobs::size_in(tx, copy.as_str(), &digest)?.is_none() {
                        return Err(SyncError::Gone { digest });
                    }
                    if quota::link(tx, &policies, (&to, id), &digest, now)?? {
                        meta::links::mark_stale(tx, &to, &Link::Layer(digest))?;
                    }
                }
                for (manifest, needs) in &manifests {
                    let missing = missing(tx, Some(id), needs)?;
                    if !missing.is_empty() {
                        return Err(PushManifestError::Missing { missing }.into());
                    }
                    write_rows(tx, id, manifest, needs, now)?;
                    meta::links::mark_stale(tx, &to, &Link::Manifest(manifest.digest.clone()))?;
                }
                meta::tags::move_tag(tx, id, &tag, &root.digest, ACTOR, now)?;
                meta::links::mark_stale(tx, &to, &Link::Tag(tag))?;
                Ok(())
            })
            .await?;
        drop(leases);
        self.links_wanted.notify_one();
        Ok(())
    }
}
