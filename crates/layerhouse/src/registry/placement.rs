//! Which bucket the blobs of a repository go to, and the way there for those that are elsewhere, while they are pulled.
//!
//! A blob that repositories of several buckets share stays where it is as long as one of them has it there.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::upload_id::UploadId;

use super::objects::REPLACED_KEPT;
use super::uploads::is_undone;
use super::{Registry, blocking};
use crate::blobs::objects::{Objects, bucket_of};
use crate::blobs::stage::{Stage, VerifiedBlob};
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::objects::Located;

/// Blobs looked at together.
const LOOKED_AT: usize = 100;
/// Blobs on their way at once: each holds a part in memory.
const MOVED_AT_ONCE: usize = 4;
/// Bytes that are written together.
const BATCH_BYTES: usize = 1 << 20;

/// What has bytes, or should have them.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Keeper {
    Files,
    Bucket(Option<String>),
}

/// What a look at all blobs did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) blobs: u64,
    pub(crate) bytes: u64,
    /// Those that could not be moved now.
    pub(crate) failed: u64,
}

/// A blob that none of its repositories wants where it is.
#[derive(Clone, Debug)]
struct Misplaced {
    digest: Digest,
    size_bytes: u64,
    object_key: Option<String>,
    to: Keeper,
}

impl Registry {
    /// Where new blobs of a repository become objects; `None` for files.
    pub(super) fn bucket_for(&self, repository: &RepositoryName) -> Option<&Arc<Objects>> {
        match self.keeper_for(repository.as_str()) {
            Keeper::Files => None,
            Keeper::Bucket(name) => self.bucket(name.as_deref()),
        }
    }

    fn bucket(&self, name: Option<&str>) -> Option<&Arc<Objects>> {
        name.map_or_else(|| self.store.objects(), |name| self.store.bucket(name))
    }

    fn keeper_for(&self, repository: &str) -> Keeper {
        match self.placement.store_of(repository) {
            Some(name) => Keeper::Bucket(Some(name.to_owned())),
            None if self.store.objects().is_some() => Keeper::Bucket(None),
            None => Keeper::Files,
        }
    }

    /// Whether blobs are moved at all.
    pub(crate) fn moves_blobs(&self) -> bool {
        self.placement.moves
    }

    /// Looks at all blobs, and moves those that none of their repositories wants where they are, until `is_stopping`.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn move_blobs(
        self: &Arc<Self>,
        is_stopping: impl Fn() -> bool + Sync,
    ) -> Result<Moved, Fault> {
        let mut moved = Moved::default();
        let mut after = String::new();
        while !is_stopping() {
            let (database, from) = (self.database.clone(), after);
            // A layer that all images share is many rows.
            let (page, last) = blocking(move || {
                database.read(|tx| {
                    let page = meta::objects::located(tx, &from, LOOKED_AT)?;
                    Ok::<_, Fault>((page, meta::objects::last_located(tx, &from, LOOKED_AT)?))
                })
            })
            .await??;
            let Some(last) = last else {
                break;
            };
            after = last;
            let misplaced = misplaced(&page, |repository| self.keeper_for(repository));
            let going = misplaced.into_iter().take_while(|_| !is_stopping());
            let mut going = stream::iter(going)
                .map(|blob| self.move_one(blob, &is_stopping))
                .buffer_unordered(MOVED_AT_ONCE);
            while let Some((blob, result)) = going.next().await {
                match result {
                    Ok(true) => {
                        moved.blobs += 1;
                        moved.bytes += blob.size_bytes;
                    }
                    // It changed meanwhile; what is wrong with it is for the scrub to find.
                    Ok(false) => {}
                    Err(fault) => {
                        moved.failed += 1;
                        let digest = &blob.digest;
                        tracing::warn!(%digest, %fault, "a blob is moved later");
                    }
                }
            }
        }
        Ok(moved)
    }

    async fn move_one(
        self: &Arc<Self>,
        blob: Misplaced,
        is_stopping: &impl Fn() -> bool,
    ) -> (Misplaced, Result<bool, Fault>) {
        let copied = self.copy(&blob, is_stopping).await;
        let moved = match copied {
            Ok(Some((stage, verified))) => self.settle_move(&blob, stage, verified).await,
            Ok(None) => Ok(false),
            Err(fault) => Err(fault),
        };
        (blob, moved)
    }

    /// Stages what a blob is where it is to be, hashed; `None` if it is not there any more, not as it should be, or will not
    /// be done before a stop.
    async fn copy(
        self: &Arc<Self>,
        blob: &Misplaced,
        is_stopping: &impl Fn() -> bool,
    ) -> Result<Option<(Stage, VerifiedBlob)>, Fault> {
        let key = blob.object_key.as_deref();
        let reader = self.read_anywhere(&blob.digest, key, blob.size_bytes);
        let Some(mut reader) = reader.await? else {
            return Ok(None);
        };
        let bucket = match &blob.to {
            Keeper::Files => None,
            Keeper::Bucket(name) => self.bucket(name.as_deref()).cloned(),
        };
        let (store, algorithm) = (Arc::clone(&self.store), blob.digest.algorithm());
        let id = UploadId::from_random(self.random.bits());
        let begun = blocking(move || Stage::open(&store, &id, bucket.as_ref(), None, algorithm));
        let mut stage = begun.await??;
        loop {
            let (mut batch, mut batch_bytes) = (Vec::<Bytes>::new(), 0);
            while batch_bytes < BATCH_BYTES {
                match poll_fn(|context| reader.poll_window(context)).await {
                    Some(Ok(bytes)) => {
                        batch_bytes += bytes.len();
                        batch.push(bytes);
                    }
                    Some(Err(fault)) => {
                        discard(stage).await?;
                        let is_damaged = fault.kind() == FaultKind::Damaged;
                        return if is_damaged { Ok(None) } else { Err(fault) };
                    }
                    None => break,
                }
            }
            if batch.is_empty() {
                break;
            }
            if is_stopping() {
                discard(stage).await?;
                return Ok(None);
            }
            let (back, written) = blocking(move || {
                let written = stage.append(&batch);
                (stage, written)
            })
            .await?;
            stage = back;
            if let Err(fault) = written {
                discard(stage).await?;
                return Err(fault);
            }
        }
        let wanted = blob.digest.clone();
        let (stage, verified) = blocking(move || {
            let verified = stage.verify(&wanted).and_then(|verified| match verified {
                Ok(verified) => stage.sync().map(|()| Some(verified)),
                Err(_) => Ok(None),
            });
            (stage, verified)
        })
        .await?;
        match verified {
            Ok(Some(verified)) => Ok(Some((stage, verified))),
            Ok(None) => {
                tracing::error!(digest = %blob.digest, "a blob is damaged where it is, and is not moved");
                discard(stage).await?;
                Ok(None)
            }
            Err(fault) => {
                discard(stage).await?;
                Err(fault)
            }
        }
    }

    /// Has the row say where the bytes are now, if it still is the row that was looked at.
    async fn settle_move(
        self: &Arc<Self>,
        blob: &Misplaced,
        mut stage: Stage,
        verified: VerifiedBlob,
    ) -> Result<bool, Fault> {
        let _lease = self.leases.take(&blob.digest).await;
        let is_where_it_was = self
            .database
            .read(|tx| meta::objects::is_sound_at(tx, &blob.digest, blob.object_key.as_deref()))?;
        if !is_where_it_was {
            discard(stage).await?;
            return Ok(false);
        }
        let (store, key) = (
            Arc::clone(&self.store),
            stage.object_key().map(ToOwned::to_owned),
        );
        let (back, published) = blocking(move || {
            let published = store.publish(&stage, &verified);
            (stage, published)
        })
        .await?;
        stage = back;
        if let Err(fault) = published {
            self.undo(blob, stage).await?;
            return Err(fault);
        }
        let (digest, was_at, now) = (
            blob.digest.clone(),
            blob.object_key.clone(),
            self.clock.now(),
        );
        let written = self
            .database
            .write(move |tx| {
                if !meta::objects::is_sound_at(tx, &digest, was_at.as_deref())? {
                    return Ok(false);
                }
                let due = now.after(REPLACED_KEPT);
                meta::objects::put(tx, &digest, key.as_deref(), due)?;
                Ok::<_, Fault>(true)
            })
            .await;
        let is_moved = match written {
            Ok(is_moved) => is_moved,
            Err(fault) => {
                if is_undone(&fault) {
                    self.undo(blob, stage).await?;
                }
                // Else the row may say so after all: what no row says is found by the start, or a day later.
                return Err(fault);
            }
        };
        if !is_moved || stage.object_key().is_none() {
            // The name under which it was staged; or, another process being first, the object.
            discard(stage).await?;
        }
        Ok(is_moved)
    }

    /// Takes back what no row knows; the caller holds the digest's lease.
    async fn undo(&self, blob: &Misplaced, stage: Stage) -> Result<(), Fault> {
        if stage.object_key().is_none() && !self.is_kept_as_file(&blob.digest)? {
            let (store, digest) = (Arc::clone(&self.store), blob.digest.clone());
            blocking(move || store.unpublish(&digest)).await?;
        }
        discard(stage).await
    }
}

async fn discard(mut stage: Stage) -> Result<(), Fault> {
    blocking(move || stage.discard()).await
}

/// Those of a page that none of their repositories wants where they are.
fn misplaced(page: &[Located], keeper_for: impl Fn(&str) -> Keeper) -> Vec<Misplaced> {
    let of_one = |one: &Located, other: &Located| one.digest == other.digest;
    let blobs = page.chunk_by(of_one).filter_map(|rows| {
        let Located {
            digest,
            size_bytes,
            object_key,
            ..
        } = rows.first()?.clone();
        let at = match &object_key {
            None => Keeper::Files,
            Some(key) => Keeper::Bucket(bucket_of(key).map(str::to_owned)),
        };
        let to = rows.iter().map(|row| keeper_for(&row.repository));
        let to = leads_to(&at, to)?;
        Some(Misplaced {
            digest,
            size_bytes,
            object_key,
            to,
        })
    });
    blobs.collect()
}

/// Where a blob is to go whose repositories want it in these places; `None` for where it is.
fn leads_to(at: &Keeper, wanted: impl Iterator<Item = Keeper>) -> Option<Keeper> {
    let mut first = None;
    for place in wanted {
        if place == *at {
            return None;
        }
        first.get_or_insert(place);
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_stays() {
        let (files, cold) = (Keeper::Files, Keeper::Bucket(Some("cold".to_owned())));
        let default = Keeper::Bucket(None);
        let to = |at: &Keeper, wanted: &[&Keeper]| {
            leads_to(at, wanted.iter().map(|&place| place.clone()))
        };
        assert_eq!(to(&files, &[&files]), None);
        assert_eq!(to(&files, &[&cold]), Some(cold.clone()));
        assert_eq!(to(&files, &[&cold, &files]), None);
        assert_eq!(to(&cold, &[&files, &cold]), None);
        assert_eq!(to(&cold, &[&default, &files]), Some(default.clone()));
        assert_eq!(to(&default, &[]), None);
    }
}
