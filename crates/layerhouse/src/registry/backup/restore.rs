//! Making a data directory of a backup.

use std::path::Path;

use layerhouse_oci::digest::Digest;

use super::{BackupError, Missing, absolute, check, describe, newest_at, no_room, part};
use crate::blobs::pool::{Bring, Brought, Pool};
use crate::blobs::{OpenError, Store};
use crate::clock::Clock;
use crate::fault::{Fault, FaultKind};
use crate::health::Health;
use crate::meta;
use crate::meta::database::Database;
use crate::registry::verify::{Report, verify};
use crate::steps::Steps;

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The backup.
    pub name: String,
    pub blobs: u64,
    pub bytes: u64,
    /// Blobs that the backup names and does not have.
    pub missing: Vec<Missing>,
    /// What a check of the new directory found.
    pub report: Report,
}

/// Makes a data directory of the newest backup, or of the newest one that is not newer than `at`, and checks it:
/// every row, every byte. With `links`, its files are those of the backups, where the file system can.
///
/// # Errors
/// As [`BackupError`] says; the directory is empty then.
pub fn backup_restore(
    place: &Path,
    at: Option<&str>,
    root: &Path,
    links: bool,
) -> Result<Restored, BackupError> {
    let root = &absolute(root);
    let pool = Pool::open(place)?;
    part(pool.directory(), root)?;
    let names = pool.snapshots();
    let name = newest_at(&names, at)?;
    let unusable = |why| BackupError::Unusable {
        name: name.to_owned(),
        why,
    };
    let description = describe(&pool, name).map_err(unusable)?;
    let snapshot = check::sound(&pool, name, &description).map_err(unusable)?;
    if !crate::blobs::is_vacant(root)? {
        return Err(BackupError::NotEmpty(root.display().to_string()));
    }
    let how = if links { Bring::Link } else { Bring::Copy };
    let filled = fill(&pool, name, &snapshot, root, how);
    let (blobs, bytes, missing) = match filled {
        Ok(filled) => filled,
        Err(fault) => {
            crate::blobs::vacate(root);
            return Err(no_room(root, fault));
        }
    };
    let report = verify(root, None).map_err(of_open)?;
    Ok(Restored {
        name: name.to_owned(),
        blobs,
        bytes,
        missing,
        report,
    })
}

fn fill(
    pool: &Pool,
    name: &str,
    snapshot: &meta::snapshot::Snapshot,
    root: &Path,
    how: Bring,
) -> Result<(u64, u64, Vec<Missing>), Fault> {
    let store = Store::open(root, Steps::default(), Health::default(), 0, 0);
    let store = store.map_err(|error| match error {
        OpenError::Fault(fault) => fault,
        OpenError::InUse { .. } => Fault::new(FaultKind::Other, "opening the new directory", error),
    })?;
    // A server that is started on half of it would take it for all.
    store.mark_restoring()?;
    let (mut blobs, mut bytes) = (0, 0);
    let (mut missing, mut lost): (Vec<Missing>, Vec<Digest>) = (Vec::new(), Vec::new());
    snapshot.each_blob(|digest, size_bytes| {
        match store.place(pool, digest, size_bytes, how)? {
            Brought::New | Brought::Known => {
                blobs += 1;
                bytes += size_bytes;
            }
            Brought::Bad(why) => {
                lost.push(digest.clone());
                missing.push(Missing {
                    digest: digest.to_string(),
                    why: why.to_owned(),
                });
            }
        }
        Ok::<_, Fault>(())
    })?;
    store.place_database(&pool.database(name))?;
    let path = store.layout().database();
    let database = Database::open(&path, Steps::default(), Health::default())?;
    let settled = database
        .bulk()
        .and_then(|bulk| meta::snapshot::settle(bulk, &lost, Clock::system().now()));
    database.close();
    settled?;
    store.hide_database()?;
    store.end_restoring()?;
    Ok((blobs, bytes, missing))
}

fn of_open(error: OpenError) -> BackupError {
    match error {
        OpenError::Fault(fault) => BackupError::Fault(fault),
        OpenError::InUse { .. } => BackupError::Place(error.to_string()),
    }
}
