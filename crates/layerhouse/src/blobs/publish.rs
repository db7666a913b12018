//! Publishing: staged, verified and synced bytes get their digest for a name; and the way back.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use layerhouse_oci::digest::Digest;
use rustix::io::Errno;

use super::read::FileVersion;
use super::stage::{Stage, VerifiedBlob};
use super::{Store, make_directories, sync_directory};
use crate::fault::Fault;
use crate::metrics::Action;

impl Store {
    /// Gives a synced stage its digest for a second name, durably; the caller holds the digest's
    /// lease, writes the row next, and then removes the staging name.
    ///
    /// A link and not a rename: until the row is committed the staging name says that the file under
    /// `blobs/` is not accounted for, so a crash in between leaks nothing. What was there under the
    /// digest is replaced: a push heals a damaged copy.
    ///
    /// # Errors
    /// The disk is full or failed; nothing was published.
    pub(crate) fn publish(&self, stage: &Stage, blob: &VerifiedBlob) -> Result<(), Fault> {
        if stage.object_key().is_some() {
            // Synced, it is under its key.
            return Ok(());
        }
        let _timed = self.actions.time(Action::Move);
        let publish = || -> io::Result<()> {
            let staged = self.layout().stage(stage.upload());
            let directory = self.layout().blob_directory(blob.digest());
            let data = directory.join("data");
            self.steps.take("publish.directory")?;
            // Synced below, with the link: one flush of the journal makes both durable.
            match fs::create_dir(&directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            self.steps.take("publish.link")?;
            match fs::hard_link(&staged, &data) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    let fresh = self.layout().scratch().join(stage.upload().as_str());
                    fs::hard_link(&staged, &fresh)?;
                    fs::rename(&fresh, &data)?;
                }
                Err(error) if has_no_links(&error) => fs::rename(&staged, &data)?,
                Err(error) => return Err(error),
            }
            // Whatever had the name before.
            self.open_files.remove(blob.digest());
            self.steps.take("publish.sync")?;
            sync_directory(&directory)?;
            // Even if the directory was there: whoever made it may have died before this.
            directory.parent().map_or(Ok(()), sync_directory)
        };
        publish().map_err(|error| self.note(Fault::io("publishing a blob", error)))
    }

    /// Publishes bytes that were made again, durably; the caller holds the digest's lease and hashed them.
    ///
    /// # Errors
    /// The disk is full or failed.
    pub(crate) fn put_back(&self, digest: &Digest, content: &[u8]) -> Result<(), Fault> {
        let _timed = self.actions.time(Action::PutContent);
        let put = || -> io::Result<()> {
            let directory = self.layout().blob_directory(digest);
            let fresh = self.layout().scratch().join(digest.hex());
            let mut file = File::create(&fresh)?;
            file.write_all(content)?;
            file.sync_all()?;
            make_directories(&directory)?;
            fs::rename(&fresh, directory.join("data"))?;
            self.open_files.remove(digest);
            sync_directory(&directory)
        };
        put().map_err(|error| self.note(Fault::io("putting a blob back", error)))
    }

    /// Removes published bytes; the caller holds the digest's lease and saw that no row names them. Whether
    /// there are none any more.
    pub(crate) fn unpublish(&self, digest: &Digest) -> bool {
        let _timed = self.actions.time(Action::Delete);
        let directory = self.layout().blob_directory(digest);
        // Open, it would keep its space on the disk, and some file systems its name: nobody may have opened
        // it again when it is removed.
        self.open_files.remove(digest);
        let removed = fs::remove_file(directory.join("data"));
        self.open_files.remove(digest);
        match removed {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(%digest, %error, "a blob's file could not be removed");
                return false;
            }
        }
        // Fails while something else is in it, which is then not ours to remove.
        let _ = fs::remove_dir(directory);
        true
    }

    /// Removes the files of collected blobs; the caller holds their leases, and no row names them. Those that
    /// could not be removed. Blocks.
    ///
    /// # Errors
    /// The disk failed: it is not known whether they are gone.
    pub(crate) fn remove_collected(&self, digests: &[Digest]) -> Result<Vec<Digest>, Fault> {
        let mut left = Vec::new();
        for digest in digests {
            let stepped = self.steps.take("collect.unlink");
            stepped.map_err(|error| self.note(Fault::io("removing a collected blob", error)))?;
            if !self.unpublish(digest) {
                left.push(digest.clone());
            }
        }
        // Before it is forgotten that they are to go: a flush of the database's log may be of its bytes alone, and
        // a power cut after it would bring the files back that nobody knows of any more.
        let changed: BTreeSet<PathBuf> = digests
            .iter()
            .map(|digest| {
                let directory = self.layout().blob_directory(digest);
                let above = directory.parent().map(Path::to_owned);
                above.filter(|_| !directory.exists()).unwrap_or(directory)
            })
            .collect();
        for directory in changed {
            sync_directory(&directory)
                .map_err(|error| self.note(Fault::io("syncing after a removal", error)))?;
        }
        Ok(left)
    }

    /// Takes a damaged file out of service, if it is still the one that was hashed; the caller holds
    /// the digest's lease. The next push of the digest puts a good one there. Whether it was moved away.
    pub(crate) fn quarantine(&self, digest: &Digest, hashed: FileVersion) -> bool {
        match self.open_blob(digest) {
            Ok(Some(current)) if current.version() == hashed => {}
            Ok(_) => return false,
            Err(fault) => {
                tracing::error!(%digest, %fault, "a damaged blob could not be moved away");
                return false;
            }
        }
        let kept = self
            .layout()
            .quarantine()
            .join(digest.as_str().replace(':', "-"));
        match fs::rename(self.layout().blob(digest), &kept) {
            Ok(()) => {
                self.open_files.remove(digest);
                tracing::error!(
                    %digest,
                    kept = %kept.display(),
                    "a blob is damaged and was taken out of service; push it again to heal it"
                );
                true
            }
            Err(error) => {
                tracing::error!(%digest, %error, "a damaged blob could not be moved away");
                false
            }
        }
    }
}

/// Some file systems (FAT, some network ones) have no links: there a crash may leave one blob that no
/// row names, which `verify` lists.
fn has_no_links(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw_os_error),
        Some(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK)
    )
}
