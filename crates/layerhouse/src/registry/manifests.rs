//! Manifests: taken in when all that they need is here, served byte for byte, removed with their tags.

use std::collections::BTreeSet;
use std::sync::Arc;

use layerhouse_oci::descriptor::Descriptor;
use layerhouse_oci::digest::{Algorithm, Digest};
use layerhouse_oci::manifest::{Manifest, ManifestError};
use layerhouse_oci::media_type::MediaType;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;
use layerhouse_oci::tag::Tag;

use super::cache::Key;
use super::events::{Action, Target, Thing};
use super::manifest_rules::{ManifestRules, RuleError};
use super::policies::guard::{self, Refused};
use super::{Registry, blocking};
use crate::auth::{Granted, Pull, Push};
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::links::Link;
use crate::meta::manifests::{NewManifest, StoredManifest};
use crate::meta::repositories::RepositoryId;

/// Largest manifest: 27 indexes of 1,000 platforms at 300 bytes; the spec asks for 4 megabytes.
pub(crate) const MANIFEST_BYTES_MAX: usize = 8 << 20;
const _: () = assert!(4_000_000 <= MANIFEST_BYTES_MAX);

/// Above this a manifest is parsed where a thread may wait: at 100 MB/s it takes 0.6 ms.
const PARSED_INLINE_MAX_BYTES: usize = 64 << 10;

/// A manifest that was pushed.
#[derive(Debug)]
pub(crate) struct PushedManifest {
    pub(crate) digest: Digest,
    pub(crate) subject: Option<Digest>,
}

/// Why a manifest was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushManifestError {
    #[error(transparent)]
    Invalid(#[from] ManifestError),
    #[error(transparent)]
    Rule(#[from] RuleError),
    #[error("the manifest hashes to {actual}, it was pushed as {claimed}")]
    DigestMismatch { claimed: Digest, actual: Digest },
    #[error(
        "the manifest needs what this repository does not have: {}; push that first",
        list(missing)
    )]
    Missing { missing: Vec<Digest> },
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Fault(#[from] Fault),
}

fn list(digests: &[Digest]) -> String {
    /// A message names a few; an index may miss thousands.
    const SHOWN_MAX: usize = 8;
    let mut shown: Vec<&str> = digests.iter().take(SHOWN_MAX).map(Digest::as_str).collect();
    if SHOWN_MAX < digests.len() {
        shown.push("…");
    }
    shown.join(", ")
}

impl Registry {
    /// The manifest that a tag or digest names in a repository (end-3).
    ///
    /// # Errors
    /// The database failed, or its bytes are damaged.
    pub(crate) fn pull_manifest(
        &self,
        pull: &Granted<Pull>,
        reference: &Reference,
    ) -> Result<Option<Arc<StoredManifest>>, Fault> {
        self.find_manifest(pull.repository(), reference)
    }

    /// The same for ourselves: whoever gives it to a client has shown that the client may have it.
    pub(super) fn find_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<Arc<StoredManifest>>, Fault> {
        let key = Key::manifest(repository, reference);
        let generation = self.database.generation();
        if let Some(manifest) = self.cache.manifest(generation, &key) {
            return Ok(Some(manifest));
        }
        let name = repository.as_str();
        let found = self.database.read(|tx| match reference {
            Reference::Tag(tag) => match meta::manifests::by_tag(tx, name, tag.as_str())? {
                Some(found) => Ok(Some(found)),
                None => super::history::manifest_at(tx, repository, tag),
            },
            Reference::Digest(digest) => meta::manifests::by_digest(tx, name, digest.as_str()),
        })?;
        if let Some(manifest) = &found
            && Digest::of(manifest.digest.algorithm(), &manifest.content) != manifest.digest
        {
            return Err(Fault::plain(
                FaultKind::Damaged,
                format!(
                    "manifest {} is damaged; push it again to heal it",
                    manifest.digest
                ),
            ));
        }
        let found = found.map(Arc::new);
        if let Some(manifest) = &found {
            self.cache.keep_manifest(generation, key, manifest);
        }
        Ok(found)
    }

    /// Takes a manifest (end-7), under a tag or its digest.
    ///
    /// # Errors
    /// As [`PushManifestError`] says; nothing is kept then.
    pub(crate) async fn push_manifest(
        self: &Arc<Self>,
        push: &Granted<Push>,
        reference: &Reference,
        content_type: Option<&MediaType>,
        content: Vec<u8>,
        rules: &Arc<ManifestRules>,
    ) -> Result<PushedManifest, PushManifestError> {
        let (claimed, tag) = match reference {
            Reference::Tag(tag) => (None, Some(tag.clone())),
            Reference::Digest(digest) => (Some(digest.clone()), None),
        };
        let content_type = content_type.cloned();
        let is_small = content.len() <= PARSED_INLINE_MAX_BYTES;
        let rules = Arc::clone(rules);
        let read = move || read(content, content_type.as_ref(), claimed, &rules);
        let (manifest, needs) = if is_small {
            read()?
        } else {
            blocking(read).await??
        };
        self.store.check_room()?;
        let (registry, repository) = (Arc::clone(self), push.repository().clone());
        let (checked, manifest, needs, references) = blocking(move || {
            let checked = registry.check_needs(&repository, &needs);
            let references = registry.references(&manifest.content);
            (checked, manifest, needs, references)
        })
        .await?;
        checked?;
        let pushed = PushedManifest {
            digest: manifest.digest.clone(),
            subject: manifest.subject.clone(),
        };
        self.write_manifest_rows(push, manifest, needs, tag, references)
            .await?;
        self.links_wanted.notify_one();
        Ok(pushed)
    }

    /// Whether all that a manifest needs is in its repository, and its bytes on the disk: the rows
    /// may name a file that someone removed. What other repositories have is not looked at. Blocks.
    fn check_needs(
        &self,
        repository: &RepositoryName,
        needs: &Needs,
    ) -> Result<(), PushManifestError> {
        let missing = self.database.read(|tx| {
            let id = meta::repositories::find(tx, repository)?;
            missing(tx, id, needs)
        })?;
        if !missing.is_empty() {
            return Err(PushManifestError::Missing { missing });
        }
        let mut missing = Vec::new();
        for digest in &needs.blobs {
            let size_bytes = self
                .database
                .read(|tx| meta::blobs::size_in(tx, repository.as_str(), digest))?;
            let is_whole = match size_bytes {
                Some(size_bytes) => self.is_whole(digest, size_bytes)?,
                None => false,
            };
            if !is_whole {
                missing.push(digest.clone());
            }
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(PushManifestError::Missing { missing })
        }
    }

    async fn write_manifest_rows(
        &self,
        push: &Granted<Push>,
        manifest: NewManifest,
        needs: Needs,
        tag: Option<Tag>,
        references: Vec<Descriptor>,
    ) -> Result<(), PushManifestError> {
        let now = self.clock.now();
        let teller = self.teller(push, Action::Push, manifest.kind.media_type(), now);
        let told = teller.clone();
        let repository = push.repository().clone();
        let actor = push.identity().clone();
        let policies = self.policies.load_full();
        self.database
            .write(move |tx| {
                let repository_id = meta::repositories::find_or_create(tx, &repository, now)?;
                if let Some(tag) = &tag {
                    let place = (&repository, repository_id);
                    guard::check_push(tx, &policies, place, tag, &manifest.digest)??;
                }
                let missing = missing(tx, Some(repository_id), &needs)?;
                if !missing.is_empty() {
                    return Err(PushManifestError::Missing { missing });
                }
                let digest = &manifest.digest;
                write_rows(tx, repository_id, &manifest, &needs, now)?;
                meta::links::mark_stale(tx, &repository, &Link::Manifest(digest.clone()))?;
                if let Some(teller) = &teller {
                    let size_bytes = manifest.content.len() as u64;
                    let thing = Thing::Manifest { digest, size_bytes };
                    let mut target = Target::new(&repository, thing);
                    target.tag = tag.as_ref();
                    target.references = &references;
                    teller.append(tx, &target)?;
                }
                if let Some(tag) = tag {
                    meta::tags::move_tag(tx, repository_id, &tag, digest, actor.name(), now)?;
                    meta::links::mark_stale(tx, &repository, &Link::Tag(tag))?;
                }
                Ok::<_, PushManifestError>(())
            })
            .await?;
        self.told(told.as_ref());
        Ok(())
    }
}

/// What must be in the repository for a manifest to be readable.
#[derive(Debug, Default)]
pub(super) struct Needs {
    pub(super) blobs: BTreeSet<Digest>,
    pub(super) children: BTreeSet<Digest>,
    /// Images of an index that may be absent.
    pub(super) optional_children: BTreeSet<Digest>,
    /// How long the manifest says that its blobs are.
    pub(super) sizes: Vec<(Digest, u64)>,
    /// It is a copy: its blobs come when somebody pulls them.
    pub(super) may_lack_blobs: bool,
}

/// What a copy has of its blobs, and what is still to come.
fn need_or_lack_blobs(
    tx: &meta::transaction::Transaction<'_>,
    repository: RepositoryId,
    manifest: &Digest,
    needs: &Needs,
) -> Result<(), Fault> {
    for (blob, size_bytes) in &needs.sizes {
        if meta::blobs::is_linked(tx, repository, blob)? {
            meta::manifests::need_blob(tx, repository, manifest, blob)?;
        } else {
            meta::mirror::do_without_blob(tx, repository, manifest, blob, *size_bytes)?;
        }
    }
    Ok(())
}

/// A manifest and what it needs, which is there.
pub(super) fn write_rows(
    tx: &meta::transaction::Transaction<'_>,
    repository: RepositoryId,
    manifest: &NewManifest,
    needs: &Needs,
    now: Timestamp,
) -> Result<(), Fault> {
    let digest = &manifest.digest;
    meta::manifests::put(tx, repository, manifest, now)?;
    // Deleted before, it is there again.
    meta::deleted::forget(tx, repository, digest)?;
    if needs.may_lack_blobs {
        need_or_lack_blobs(tx, repository, digest, needs)?;
    } else {
        for blob in &needs.blobs {
            meta::manifests::need_blob(tx, repository, digest, blob)?;
        }
    }
    for child in &needs.children {
        meta::manifests::need_child(tx, repository, digest, child)?;
    }
    for child in &needs.optional_children {
        if meta::manifests::exists(tx, repository, child)? {
            meta::manifests::need_child(tx, repository, digest, child)?;
        } else {
            meta::manifests::do_without_child(tx, repository, digest, child)?;
        }
    }
    meta::manifests::end_absence(tx, repository, digest)
}

/// What the rows of a repository lack of it.
pub(super) fn missing(
    tx: &meta::transaction::Transaction<'_>,
    repository: Option<RepositoryId>,
    needs: &Needs,
) -> Result<Vec<Digest>, Fault> {
    let Some(id) = repository else {
        return Ok(needs.blobs.iter().chain(&needs.children).cloned().collect());
    };
    let mut missing = Vec::new();
    for blob in &needs.blobs {
        if !needs.may_lack_blobs && !meta::blobs::is_linked(tx, id, blob)? {
            missing.push(blob.clone());
        }
    }
    for child in &needs.children {
        if !meta::manifests::exists(tx, id, child)? {
            missing.push(child.clone());
        }
    }
    Ok(missing)
}

/// Checks a manifest's bytes and lists what it needs.
pub(super) fn read(
    content: Vec<u8>,
    content_type: Option<&MediaType>,
    claimed: Option<Digest>,
    rules: &ManifestRules,
) -> Result<(NewManifest, Needs), PushManifestError> {
    let manifest = Manifest::parse(&content, content_type)?;
    rules.check_urls(&manifest)?;
    let algorithm = claimed
        .as_ref()
        .map_or(Algorithm::Sha256, Digest::algorithm);
    let actual = Digest::of(algorithm, &content);
    if let Some(claimed) = claimed
        && claimed != actual
    {
        return Err(PushManifestError::DigestMismatch { claimed, actual });
    }
    let digest_of = |descriptor: &Descriptor| descriptor.digest.clone();
    let (optional, needed): (Vec<_>, Vec<_>) = manifest
        .manifests
        .iter()
        .partition(|child| rules.may_be_absent(child));
    // Layers that may not be distributed stay where their `urls` say; we never fetch them.
    let layers = manifest
        .layers
        .iter()
        .filter(|layer| layer.is_distributable());
    let sizes: Vec<_> = manifest
        .config
        .iter()
        .chain(layers)
        .map(|blob| (blob.digest.clone(), blob.size))
        .collect();
    let needs = Needs {
        blobs: sizes.iter().map(|(digest, _)| digest.clone()).collect(),
        sizes,
        may_lack_blobs: false,
        children: needed.into_iter().map(digest_of).collect(),
        optional_children: optional.into_iter().map(digest_of).collect(),
    };
    let annotations = manifest
        .annotations
        .as_ref()
        .map(|annotations| serde_json::to_string(annotations).expect("a map of text is JSON"));
    let new = NewManifest {
        digest: actual,
        kind: manifest.kind,
        content,
        subject: manifest.subject.as_ref().map(digest_of),
        artifact_type: manifest.artifact_type,
        annotations,
    };
    Ok((new, needs))
}
