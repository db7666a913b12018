//! Having again what was deleted, and tags where they pointed before.

use std::collections::BTreeSet;
use std::sync::Arc;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::media_type::MediaType;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;

use super::Registry;
use super::manifest_rules::ManifestRules;
use super::manifests::{Needs, missing, read, write_rows};
use super::note::Doer;
use super::policies::guard::{self, Refused};
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::deleted::Why;
use crate::meta::links::Link;
use crate::meta::repositories::RepositoryId;
use crate::meta::tags::Before;

/// Manifests restored in one transaction, so that others need not wait for a large repository.
const RESTORED_TOGETHER: usize = 64;
/// How deep indexes may stand in indexes; the parser of manifests allows no more in a push either.
const DEPTH_MAX: usize = 32;

/// Why something did not come back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RestoreError {
    #[error("there is no such repository here, and none that was deleted and can be restored")]
    UnknownRepository,
    #[error("no manifest {digest} was deleted here that can be restored")]
    UnknownManifest { digest: Digest },
    #[error("the tag {tag} never was in this repository")]
    UnknownTag { tag: Tag },
    #[error("the tag {tag} pointed at nothing before, so there is nothing to restore")]
    NothingBefore { tag: Tag },
    #[error("manifest {digest} is gone for good: its time to be restored is over")]
    Gone { digest: Digest },
    #[error("manifest {digest} needs {missing}, which is not there any more; push that first")]
    Missing { digest: Digest, missing: Digest },
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Restored {
    pub(crate) manifests: Vec<Digest>,
    /// Tags that point somewhere again, and where.
    pub(crate) tags: Vec<(Tag, Digest)>,
}

/// One restoration: as whom, when, and where.
struct Restoring<'a> {
    repository: &'a RepositoryName,
    id: RepositoryId,
    by: &'a str,
    now: Timestamp,
    restored: Restored,
}

impl Restoring<'_> {
    /// Brings a deleted manifest back with the manifests that it needs; nothing if it is there.
    fn manifest(
        &mut self,
        tx: &meta::transaction::Transaction<'_>,
        digest: &Digest,
        depth: usize,
    ) -> Result<(), RestoreError> {
        if meta::manifests::exists(tx, self.id, digest)? {
            return Ok(());
        }
        let found = meta::deleted::content(tx, self.id, digest)?;
        let Some((content, media_type, pushed_at)) = found else {
            let digest = digest.clone();
            return Err(RestoreError::UnknownManifest { digest });
        };
        let damaged = |what: String| {
            Fault::plain(
                FaultKind::Damaged,
                format!("deleted manifest {digest} cannot be read: {what}"),
            )
        };
        let media_type: Option<MediaType> = media_type.parse().ok();
        // It was pushed by the rules of its time; what it did without then, it does without now.
        let rules = ManifestRules::of_adoption();
        let read = read(
            content.to_vec(),
            media_type.as_ref(),
            Some(digest.clone()),
            &rules,
        );
        let (manifest, mut needs) = read.map_err(|error| damaged(error.to_string()))?;
        needs.may_lack_blobs = meta::mirror::upstream_of(tx, self.id)?.is_some();
        self.settle_children(tx, digest, &mut needs, depth)?;
        for blob in &needs.blobs {
            if meta::blobs::unhide(tx, self.id, blob)? {
                meta::links::mark_stale(tx, self.repository, &Link::Layer(blob.clone()))?;
            }
        }
        if let Some(missing) = missing(tx, Some(self.id), &needs)?.into_iter().next() {
            let digest = digest.clone();
            return Err(RestoreError::Missing { digest, missing });
        }
        write_rows(tx, self.id, &manifest, &needs, pushed_at)?;
        let link = Link::Manifest(digest.clone());
        meta::links::mark_stale(tx, self.repository, &link)?;
        self.restored.manifests.push(digest.clone());
        Ok(())
    }

    /// The images of a deleted index come back with it; what it did without, it does without.
    fn settle_children(
        &mut self,
        tx: &meta::transaction::Transaction<'_>,
        digest: &Digest,
        needs: &mut Needs,
        depth: usize,
    ) -> Result<(), RestoreError> {
        let needed = meta::deleted::children(tx, self.id, digest)?;
        let all = std::mem::take(&mut needs.children);
        for child in all
            .into_iter()
            .chain(std::mem::take(&mut needs.optional_children))
        {
            if !needed.contains(&child) {
                needs.optional_children.insert(child);
                continue;
            }
            if depth < DEPTH_MAX {
                match self.manifest(tx, &child, depth + 1) {
                    Ok(()) | Err(RestoreError::UnknownManifest { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            needs.children.insert(child);
        }
        Ok(())
    }

    fn tag(
        &mut self,
        tx: &meta::transaction::Transaction<'_>,
        tag: &Tag,
        digest: &Digest,
    ) -> Result<(), Fault> {
        meta::tags::move_tag(tx, self.id, tag, digest, self.by, self.now)?;
        meta::links::mark_stale(tx, self.repository, &Link::Tag(tag.clone()))?;
        self.restored.tags.push((tag.clone(), digest.clone()));
        Ok(())
    }

    /// Where a manifest is to be that a tag will point at.
    fn target(
        &mut self,
        tx: &meta::transaction::Transaction<'_>,
        digest: &Digest,
    ) -> Result<(), RestoreError> {
        match self.manifest(tx, digest, 0) {
            Err(RestoreError::UnknownManifest { digest }) => Err(RestoreError::Gone { digest }),
            other => other,
        }
    }
}

impl Registry {
    /// Runs a restoration as one transaction.
    async fn restoring<F>(
        &self,
        repository: &RepositoryName,
        by: Doer,
        work: F,
    ) -> Result<Restored, RestoreError>
    where
        F: FnOnce(
                &mut Restoring<'_>,
                &meta::transaction::Transaction<'_>,
            ) -> Result<(), RestoreError>
            + Send
            + 'static,
    {
        self.store.check_room()?;
        let (repository, now) = (repository.clone(), self.clock.now());
        let Doer { name: by, note } = by;
        let restored = self
            .database
            .write(move |tx| {
                let id = meta::repositories::find(tx, &repository)?
                    .ok_or(RestoreError::UnknownRepository)?;
                let mut restoring = Restoring {
                    repository: &repository,
                    id,
                    by: &by,
                    now,
                    restored: Restored::default(),
                };
                work(&mut restoring, tx)?;
                note.write(tx)?;
                Ok::<_, RestoreError>(restoring.restored)
            })
            .await?;
        self.links_wanted.notify_one();
        Ok(restored)
    }

    /// Brings a deleted manifest back, and the tags that it lost by that and that are free.
    ///
    /// # Errors
    /// As [`RestoreError`] says.
    pub(crate) async fn restore_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        by: impl Into<Doer>,
    ) -> Result<Restored, RestoreError> {
        let digest = digest.clone();
        self.restoring(repository, by.into(), move |restoring, tx| {
            let deleted_at = meta::deleted::deleted_at(tx, restoring.id, &digest)?;
            let Some(deleted_at) = deleted_at else {
                return Err(RestoreError::UnknownManifest { digest });
            };
            meta::repositories::set_deleted(tx, restoring.id, None)?;
            restoring.manifest(tx, &digest, 0)?;
            for (tag, digest) in
                meta::tags::removed_at(tx, restoring.id, Some(&digest), deleted_at)?
            {
                if meta::tags::find(tx, restoring.id, &tag)?.is_none() {
                    restoring.tag(tx, &tag, &digest)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Points a tag where it pointed before: at `to`, or where it pointed last if that is not said; a manifest
    /// that was deleted comes back with it.
    ///
    /// # Errors
    /// As [`RestoreError`] says.
    pub(crate) async fn restore_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        to: Option<&Digest>,
        by: impl Into<Doer>,
    ) -> Result<Restored, RestoreError> {
        let (tag, to) = (tag.clone(), to.cloned());
        let policies = self.policies.load_full();
        self.restoring(repository, by.into(), move |restoring, tx| {
            let before = match to {
                Some(digest) => Before::At(digest),
                None => meta::tags::left_last(tx, restoring.id, &tag)?,
            };
            let digest = match before {
                Before::NoTag => return Err(RestoreError::UnknownTag { tag }),
                Before::Nothing => return Err(RestoreError::NothingBefore { tag }),
                Before::At(digest) => digest,
            };
            // A tag that is not there comes back under whatever name it had.
            if meta::tags::find(tx, restoring.id, &tag)?.is_some() {
                let place = (restoring.repository, restoring.id);
                guard::check_push(tx, &policies, place, &tag, &digest)??;
            }
            meta::repositories::set_deleted(tx, restoring.id, None)?;
            restoring.target(tx, &digest)?;
            restoring.tag(tx, &tag, &digest).map_err(RestoreError::from)
        })
        .await
    }

    /// Brings a deleted repository back: what it had when it was deleted, unless something else took its place.
    ///
    /// # Errors
    /// As [`RestoreError`] says. Manifests that cannot come back are left out, and said in the log.
    pub(crate) async fn restore_repository(
        self: &Arc<Self>,
        repository: &RepositoryName,
        by: impl Into<Doer>,
    ) -> Result<Restored, RestoreError> {
        let Doer { name: by, note } = by.into();
        let (id, deleted_at) = self.database.read(|tx| {
            let id =
                meta::repositories::find(tx, repository)?.ok_or(RestoreError::UnknownRepository)?;
            let deleted_at =
                meta::repositories::deleted_at(tx, id)?.ok_or(RestoreError::UnknownRepository)?;
            Ok::<_, RestoreError>((id, deleted_at))
        })?;
        let mut all = Restored::default();
        let mut after: Option<Digest> = None;
        loop {
            let from = after.clone();
            let page = self.database.read(|tx| {
                meta::deleted::of_repository(tx, id, from.as_ref(), RESTORED_TOGETHER)
            })?;
            let Some(last) = page.last() else { break };
            after = Some(last.digest.clone());
            let wanted: BTreeSet<Digest> = page
                .into_iter()
                .filter(|deleted| {
                    deleted.deleted_at == deleted_at && deleted.why == Why::Repository.as_str()
                })
                .map(|deleted| deleted.digest)
                .collect();
            let restored = self
                .restoring(repository, by.as_str().into(), move |restoring, tx| {
                    for digest in &wanted {
                        match restoring.manifest(tx, digest, 0) {
                            Ok(()) => {}
                            Err(RestoreError::Fault(fault)) => return Err(fault.into()),
                            Err(error) => {
                                tracing::warn!(%digest, %error, "a manifest cannot be restored");
                            }
                        }
                    }
                    Ok(())
                })
                .await?;
            all.manifests.extend(restored.manifests);
        }
        let restored = self
            .restoring(repository, Doer::noted(&by, note), move |restoring, tx| {
                meta::repositories::set_deleted(tx, restoring.id, None)?;
                for (tag, digest) in meta::tags::removed_at(tx, restoring.id, None, deleted_at)? {
                    let is_free = meta::tags::find(tx, restoring.id, &tag)?.is_none();
                    if is_free && meta::manifests::exists(tx, restoring.id, &digest)? {
                        restoring.tag(tx, &tag, &digest)?;
                    }
                }
                Ok(())
            })
            .await?;
        all.tags = restored.tags;
        Ok(all)
    }
}
