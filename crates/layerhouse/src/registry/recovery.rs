//! What a start does about what a crash left: nothing is guessed, nothing acknowledged is touched.

use std::collections::HashMap;
use std::time::Duration;

use layerhouse_oci::digest::{Algorithm, Digest};

use super::Registry;
use super::sessions::Owner;
use crate::blobs::stage::StagedFile;
use crate::fault::Fault;
use crate::meta;

/// A registry that nobody pushed to for so long was off, or its machine's clock is wrong.
const LONG_AGO: Duration = Duration::from_hours(24);

impl Registry {
    /// Whether the machine's clock says that no tag moved for long: it may be wrong, and what seems to be
    /// old then is not.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn seems_long_ago(&self) -> Result<bool, Fault> {
        let moved_at = self.database.read(meta::tags::last_moved_at)?;
        let now = self.clock.now();
        Ok(moved_at.is_some_and(|moved_at| LONG_AGO <= now.since(moved_at)))
    }

    /// Takes up the open sessions, and clears away what belongs to none.
    pub(super) fn recover(&self) -> Result<(), Fault> {
        let uploads = self.database.read(meta::uploads::all)?;
        let mut staged: HashMap<_, StagedFile> = self
            .store
            .stages()?
            .into_iter()
            .map(|file| (file.upload.clone(), file))
            .collect();
        let is_clock_odd = self.seems_long_ago()?;
        let (moment, now) = self.clock.moment_and_now();
        for upload in uploads {
            let owner = Owner {
                repository: upload.repository,
                principal: upload.principal,
                started_at: upload.started_at,
                moment,
                age: if is_clock_odd {
                    Duration::ZERO
                } else {
                    now.since(upload.started_at)
                },
            };
            let session = self.sessions.restore(upload.id, owner);
            if self.bucket_for(&session.repository).is_some() {
                self.take_up(&session.id)?;
            } else if let Some(file) = staged.remove(&session.id) {
                if file.is_linked {
                    self.settle_publication(&file)?;
                }
                session.set_held_bytes(file.size_bytes);
            }
        }
        self.set_down_all();
        self.finish_removals()?;
        for file in staged.into_values() {
            if file.is_linked {
                self.settle_publication(&file)?;
            }
            tracing::info!(
                upload = %file.upload,
                size_bytes = file.size_bytes,
                "the bytes of an upload that nobody can go on with are removed"
            );
            self.store.remove_stage(&file.upload);
        }
        Ok(())
    }

    /// The process died while it removed the files of collected blobs. One that was pushed again has a row.
    fn finish_removals(&self) -> Result<(), Fault> {
        let removals = self.database.read(meta::reviews::removals)?;
        if removals.is_empty() {
            return Ok(());
        }
        let mut ended = Vec::new();
        for digest in removals {
            if self.is_kept_as_file(&digest)? || self.store.unpublish(&digest) {
                ended.push(digest);
            }
        }
        self.database.bulk()?.finish(|tx| {
            ended
                .iter()
                .try_for_each(|digest| meta::reviews::end_removal(tx, digest))
        })
    }

    /// Whether a row wants a file of this digest: a blob that is no object, or a manifest's copy.
    pub(super) fn is_kept_as_file(&self, digest: &Digest) -> Result<bool, Fault> {
        self.database.read(|tx| {
            let is_file =
                meta::blobs::exists(tx, digest)? && meta::objects::key(tx, digest)?.is_none();
            Ok::<_, Fault>(is_file || meta::manifests::exists_anywhere(tx, digest)?)
        })
    }

    /// The process died while it published a staged file. If the row was not committed, nobody was
    /// told that the blob exists, and no row will ever account for the file: take it back.
    fn settle_publication(&self, file: &StagedFile) -> Result<(), Fault> {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let digest = self.store.staged_digest(&file.upload, algorithm)?;
            if !self.is_kept_as_file(&digest)? {
                self.store.unpublish(&digest);
            }
        }
        Ok(())
    }
}
