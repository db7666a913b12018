//! Deleting: tags, manifests, repositories. What is deleted can be had again for a while (`undelete.rs`), and
//! its space comes back after that (`collection`). Every way to delete ends here, whoever asks.

use std::sync::Arc;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;
use layerhouse_oci::tag::Tag;

use super::Registry;
use super::events::{Target, Thing};
use super::note::Doer;
use super::policies::guard::{self, Place, Refused};
use crate::auth::{Delete, Granted};
use crate::clock::Timestamp;
use crate::config::meaning::policies::Policies;
use crate::fault::Fault;
use crate::meta;
use crate::meta::deleted::{Deed, Why};
use crate::meta::links::Link;
use crate::meta::repositories::RepositoryId;

/// Why a manifest or tag was not removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeleteManifestError {
    #[error("there is no such manifest or tag in this repository")]
    Unknown,
    #[error("index {index} of this repository needs the manifest; delete the index first")]
    Needed { index: Digest },
    #[error("the tag {tag} was moved meanwhile")]
    Moved { tag: Tag },
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a blob's link was not removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeleteBlobError {
    #[error("there is no such blob in this repository")]
    Unknown,
    #[error("manifest {manifest} of this repository needs the blob; delete the manifest first")]
    Needed { manifest: Digest },
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Why a repository was not deleted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeleteRepositoryError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Removes a tag alone; what it pointed at, if it was there.
pub(crate) fn remove_tag(
    tx: &meta::transaction::Transaction<'_>,
    repository: &RepositoryName,
    id: RepositoryId,
    tag: &Tag,
    by: &str,
    now: Timestamp,
) -> Result<Option<Digest>, Fault> {
    let removed = meta::tags::remove(tx, id, tag, by, now)?;
    meta::links::mark_stale(tx, repository, &Link::Tag(tag.clone()))?;
    Ok(removed)
}

/// Deletes a manifest and every tag that points at it; whether it was there. The caller made sure that no
/// index needs it ([`meta::manifests::needed_by`]).
pub(crate) fn discard(
    tx: &meta::transaction::Transaction<'_>,
    repository: &RepositoryName,
    id: RepositoryId,
    digest: &Digest,
    deed: Deed<'_>,
) -> Result<bool, Fault> {
    meta::links::mark_tags_stale(tx, repository, id, digest)?;
    meta::tags::remove_pointing_at(tx, id, digest, deed.by, deed.at)?;
    let was_there = meta::deleted::discard(tx, id, digest, deed)?;
    meta::links::mark_stale(tx, repository, &Link::Manifest(digest.clone()))?;
    Ok(was_there)
}

/// Removes a manifest of a copy, and every tag that points at it, for good: whoever wants it has it fetched again.
/// Whether it was there. The caller made sure that no index needs it. Its blobs wait for the collection as if they had
/// since `since`.
pub(crate) fn evict(
    tx: &meta::transaction::Transaction<'_>,
    repository: &RepositoryName,
    id: RepositoryId,
    digest: &Digest,
    (by, now, since): (&str, Timestamp, Timestamp),
) -> Result<bool, Fault> {
    meta::links::mark_tags_stale(tx, repository, id, digest)?;
    meta::tags::remove_pointing_at(tx, id, digest, by, now)?;
    let was_there = meta::mirror::evict(tx, id, digest, since)?;
    meta::links::mark_stale(tx, repository, &Link::Manifest(digest.clone()))?;
    Ok(was_there)
}

/// Deletes a repository with all that it has; `false` if it is not there.
pub(crate) fn discard_repository(
    tx: &meta::transaction::Transaction<'_>,
    repository: &RepositoryName,
    by: &str,
    now: Timestamp,
) -> Result<bool, Fault> {
    let Some(id) = meta::repositories::find(tx, repository)? else {
        return Ok(false);
    };
    if meta::repositories::deleted_at(tx, id)?.is_some() {
        return Ok(false);
    }
    meta::links::mark_all_stale(tx, repository, id)?;
    meta::tags::remove_all(tx, id, by, now)?;
    let deed = Deed {
        by,
        why: Why::Repository,
        at: now,
    };
    meta::deleted::discard_all(tx, id, deed)?;
    meta::blobs::hide_all(tx, id, now)?;
    meta::repositories::set_deleted(tx, id, Some(now))?;
    Ok(true)
}

/// Whether a tag, or a manifest with its tags, may be deleted as things stand.
pub(super) fn check(
    tx: &meta::transaction::Transaction<'_>,
    policies: &Policies,
    (repository, id): Place<'_>,
    reference: &Reference,
) -> Result<(), DeleteManifestError> {
    guard::check_delete(tx, policies, (repository, id), reference)??;
    match reference {
        Reference::Tag(_) => Ok(()),
        Reference::Digest(digest) => match meta::manifests::needed_by(tx, id, digest)? {
            Some(index) => Err(DeleteManifestError::Needed { index }),
            None => Ok(()),
        },
    }
}

impl Registry {
    /// Removes a tag alone, or a manifest by digest and every tag that points at it (end-9).
    ///
    /// # Errors
    /// As [`DeleteManifestError`] says.
    pub(crate) async fn delete_manifest(
        &self,
        delete: &Granted<Delete>,
        reference: &Reference,
    ) -> Result<(), DeleteManifestError> {
        self.delete_seen(delete, reference, None).await
    }

    /// The same, for somebody who saw that the tag points at `seen`.
    ///
    /// # Errors
    /// As [`DeleteManifestError`] says.
    pub(crate) async fn delete_seen(
        &self,
        delete: &Granted<Delete>,
        reference: &Reference,
        seen: Option<Digest>,
    ) -> Result<(), DeleteManifestError> {
        self.store.check_healthy()?;
        self.make_room_for_delete();
        let now = self.clock.now();
        let (repository, reference) = (delete.repository().clone(), reference.clone());
        let actor = delete.identity().clone();
        let teller = self.delete_teller(delete, now);
        let told = teller.clone();
        let policies = self.policies.load_full();
        self.database
            .write(move |tx| {
                let id = meta::repositories::find(tx, &repository)?
                    .ok_or(DeleteManifestError::Unknown)?;
                check(tx, &policies, (&repository, id), &reference)?;
                if let (Some(seen), Reference::Tag(tag)) = (&seen, &reference)
                    && meta::tags::find(tx, id, tag)?.is_some_and(|now| now != *seen)
                {
                    return Err(DeleteManifestError::Moved { tag: tag.clone() });
                }
                if let Some(teller) = &teller {
                    teller.append_delete(tx, &repository, id, &reference)?;
                }
                let is_found = match reference {
                    Reference::Tag(tag) => {
                        remove_tag(tx, &repository, id, &tag, actor.name(), now)?.is_some()
                    }
                    Reference::Digest(digest) => {
                        let deed = Deed {
                            by: actor.name(),
                            why: Why::Request,
                            at: now,
                        };
                        discard(tx, &repository, id, &digest, deed)?
                    }
                };
                if is_found {
                    Ok(())
                } else {
                    Err(DeleteManifestError::Unknown)
                }
            })
            .await?;
        self.told(told.as_ref());
        self.links_wanted.notify_one();
        Ok(())
    }

    /// Removes a blob from a repository (end-10). Its bytes are collected when no repository has it.
    ///
    /// # Errors
    /// As [`DeleteBlobError`] says.
    pub(crate) async fn delete_blob(
        &self,
        delete: &Granted<Delete>,
        digest: &Digest,
    ) -> Result<(), DeleteBlobError> {
        self.store.check_healthy()?;
        self.make_room_for_delete();
        let (repository, digest) = (delete.repository().clone(), digest.clone());
        let now = self.clock.now();
        let teller = self.delete_teller(delete, now);
        let told = teller.clone();
        self.database
            .write(move |tx| {
                let id =
                    meta::repositories::find(tx, &repository)?.ok_or(DeleteBlobError::Unknown)?;
                if let Some(manifest) = meta::blobs::needed_by(tx, id, &digest)? {
                    return Err(DeleteBlobError::Needed { manifest });
                }
                let was_there = if meta::blobs::is_needed_by_deleted(tx, id, &digest)? {
                    meta::blobs::hide(tx, id, &digest, now)?
                } else {
                    meta::blobs::unlink(tx, id, &digest, now)?
                };
                if !was_there {
                    return Err(DeleteBlobError::Unknown);
                }
                if let Some(teller) = &teller {
                    let thing = Thing::Gone { digest: &digest };
                    teller.append(tx, &Target::new(&repository, thing))?;
                }
                Ok(meta::links::mark_stale(
                    tx,
                    &repository,
                    &Link::Layer(digest),
                )?)
            })
            .await?;
        self.told(told.as_ref());
        self.links_wanted.notify_one();
        Ok(())
    }

    /// Deletes a repository with all that it has, for whom the caller let do it; whether it was there.
    ///
    /// # Errors
    /// As [`DeleteRepositoryError`] says.
    pub(crate) async fn delete_repository(
        self: &Arc<Self>,
        repository: &RepositoryName,
        by: impl Into<Doer>,
    ) -> Result<bool, DeleteRepositoryError> {
        let Doer { name: by, note } = by.into();
        self.store.check_healthy()?;
        self.make_room_for_delete();
        let (repository, now) = (repository.clone(), self.clock.now());
        let policies = self.policies.load_full();
        let was_there = self
            .database
            .write(move |tx| {
                if let Some(id) = meta::repositories::find_present(tx, &repository)? {
                    guard::check_delete_all(tx, &policies, (&repository, id))??;
                }
                let was_there = discard_repository(tx, &repository, &by, now)?;
                if was_there {
                    note.write(tx)?;
                }
                Ok::<_, DeleteRepositoryError>(was_there)
            })
            .await?;
        self.links_wanted.notify_one();
        Ok(was_there)
    }
}
