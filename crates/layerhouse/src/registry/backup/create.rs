//! Making a backup of a registry that serves.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use layerhouse_oci::digest::{Algorithm, Digest};

use super::{BackupError, Description, FORMAT, Missing, absolute, name_of, no_room, part};
use crate::blobs::pool::{Bring, Brought, Pool};
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::snapshot::{Made, Snapshot};
use crate::registry::{Registry, blocking};

/// A backup that was made.
#[derive(Clone, Debug)]
pub(crate) struct Created {
    pub(crate) name: String,
    pub(crate) description: Description,
    pub(crate) taken_at: Timestamp,
    /// What the source lacks, to be looked at again there.
    lacking: Vec<Digest>,
}

/// Tells the thread that copies when nobody waits for it any more.
#[derive(Debug, Default)]
struct Cancel(Arc<AtomicBool>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Registry {
    /// Makes a backup in a directory of backups: all that was acknowledged before. Files are shared with the
    /// data directory where that can be, unless it `copies`. It is given up when whoever asked does not wait
    /// for it.
    ///
    /// # Errors
    /// As [`BackupError`] says; then there is no backup. Blobs whose bytes are missing are none: the
    /// description names them.
    pub(crate) async fn back_up(
        self: &Arc<Self>,
        place: PathBuf,
        copies: bool,
    ) -> Result<Created, BackupError> {
        if self.store.has_buckets() {
            let what = "the blobs are objects of a bucket, which a backup here would not have: let the store \
                        keep versions of them, and copy the database (docs/how-to/object-storage.md)";
            return Err(BackupError::Place(what.to_owned()));
        }
        let place = absolute(&place);
        if self.database.file().is_none() {
            return Err(BackupError::Place(
                "the database is a PostgreSQL's: copy it with pg_dump first, and then the data directory".to_owned(),
            ));
        }
        let how = if copies { Bring::Copy } else { Bring::Link };
        let cancel = Cancel::default();
        // Until all that the copy of the database names is brought.
        let hold = self.hold_bytes().await;
        let (registry, is_cancelled) = (Arc::clone(self), Arc::clone(&cancel.0));
        // A task of its own: who gives up waiting ends the copying, but a backup that has its name by then is
        // taken note of, and leases are not let go of while what it lacks is looked at.
        let task = tokio::spawn(async move {
            let (making, directory) = (Arc::clone(&registry), place.clone());
            let created = blocking(move || {
                let _hold = hold;
                making.back_up_into(&directory, how, &is_cancelled)
            });
            let created = created.await??;
            registry.note_backup(&created, &place).await?;
            Ok(created)
        });
        let joined = task.await;
        joined.map_err(|error| Fault::new(FaultKind::Other, "making a backup", error))?
    }

    /// Looks again at what a backup lacks, and remembers that it was made.
    async fn note_backup(self: &Arc<Self>, created: &Created, place: &Path) -> Result<(), Fault> {
        for digest in &created.lacking {
            self.look_again(digest).await?;
        }
        let description = &created.description;
        let made = Made {
            taken_at: created.taken_at,
            place: place.display().to_string(),
            blobs: description.blobs,
            bytes: description.bytes,
            new_blobs: description.new_blobs,
            new_bytes: description.new_bytes,
            missing: description.missing.len() as u64,
        };
        self.database
            .write(move |tx| meta::snapshot::remember(tx, &made))
            .await?;
        tracing::info!(
            name = created.name,
            blobs = description.blobs,
            new_blobs = description.new_blobs,
            new_bytes = description.new_bytes,
            missing = description.missing.len(),
            "a backup was made"
        );
        Ok(())
    }

    fn back_up_into(
        &self,
        place: &Path,
        how: Bring,
        is_cancelled: &AtomicBool,
    ) -> Result<Created, BackupError> {
        part(place, self.store.layout().root())?;
        let mut pool = Pool::create(place)?;
        let taken = pool.snapshots();
        // Two in one millisecond have two names all the same.
        let mut taken_at = self.clock.now();
        while taken.contains(&name_of(taken_at)) {
            taken_at = Timestamp(taken_at.0 + 1);
        }
        let name = name_of(taken_at);
        let created = self.fill(&mut pool, &name, taken_at, how, is_cancelled);
        created.map_err(|fault| {
            pool.give_up(&name);
            if fault.kind() == FaultKind::DiskFull {
                pool.take_back();
            }
            no_room(place, fault)
        })
    }

    fn fill(
        &self,
        pool: &mut Pool,
        name: &str,
        taken_at: Timestamp,
        how: Bring,
        is_cancelled: &AtomicBool,
    ) -> Result<Created, Fault> {
        let database = pool.begin(name)?;
        self.database.copy_to(&database)?;
        let digest = Pool::hash(&database, Algorithm::Sha256)?.ok_or_else(|| {
            Fault::plain(FaultKind::Other, "the copy of the database is gone again")
        })?;
        let snapshot = Snapshot::open(&database)?;
        let held = snapshot.held()?;
        let mut description = Description {
            format: FORMAT,
            layerhouse: env!("CARGO_PKG_VERSION").to_owned(),
            taken_at: taken_at.rfc3339().unwrap_or_default(),
            database_bytes: crate::blobs::length(&database)?,
            database_digest: digest.to_string(),
            repositories: held.repositories,
            manifests: held.manifests,
            tags: held.tags,
            blobs: 0,
            bytes: 0,
            new_blobs: 0,
            new_bytes: 0,
            missing: Vec::new(),
        };
        let mut lacking = Vec::new();
        snapshot.each_blob(|digest, size_bytes| {
            if is_cancelled.load(Ordering::Relaxed) {
                return Err(Fault::plain(FaultKind::Stopping, "the backup was given up"));
            }
            description.blobs += 1;
            description.bytes += size_bytes;
            match pool.bring(&self.store, digest, size_bytes, how, is_cancelled)? {
                Brought::Known => {}
                Brought::New => {
                    description.new_blobs += 1;
                    description.new_bytes += size_bytes;
                }
                Brought::Bad(why) => {
                    tracing::error!(%digest, why, "a blob is not in the backup");
                    lacking.push(digest.clone());
                    description.missing.push(Missing {
                        digest: digest.to_string(),
                        why: why.to_owned(),
                    });
                }
            }
            Ok::<_, Fault>(())
        })?;
        pool.sync()?;
        let text = serde_json::to_string_pretty(&description)
            .map_err(|error| Fault::new(FaultKind::Other, "describing a backup", error))?;
        pool.publish(name, &text)?;
        Ok(Created {
            name: name.to_owned(),
            description,
            taken_at,
            lacking,
        })
    }
}
