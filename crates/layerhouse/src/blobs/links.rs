//! registry:2's link files and its copies of manifests: written behind the rows, so that a registry:2
//! can take the directory over and the rows can be made again from it (invariant I10).
//!
//! No file is synced by itself: what a power cut takes back is still marked stale in the database, for
//! the marks of a batch go after one sync of them all.

use std::fs;
use std::io;
use std::path::Path;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;

use super::Store;
use crate::fault::Fault;
use crate::metrics::Action;

impl Store {
    /// Makes the link of a blob in a repository be there, or not.
    ///
    /// # Errors
    /// The disk is full or failed.
    pub(crate) fn write_layer_link(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        is_present: bool,
    ) -> Result<(), Fault> {
        let directory = self.layout().layer_link(repository, digest);
        self.set_link(&directory, is_present.then_some(digest))
    }

    /// Makes the link of a manifest in a repository be there, or not.
    ///
    /// # Errors
    /// The disk is full or failed.
    pub(crate) fn write_manifest_link(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        is_present: bool,
    ) -> Result<(), Fault> {
        let directory = self.layout().manifest_link(repository, digest);
        self.set_link(&directory, is_present.then_some(digest))
    }

    /// Makes a tag's files say what it points at, or removes them.
    ///
    /// # Errors
    /// The disk is full or failed.
    pub(crate) fn write_tag_link(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        target: Option<&Digest>,
    ) -> Result<(), Fault> {
        let directory = self.layout().tag(repository, tag);
        let Some(target) = target else {
            let _timed = self.actions.time(Action::Delete);
            return ignore_missing(fs::remove_dir_all(&directory))
                .map_err(|error| Fault::io("removing a tag's link files", error));
        };
        let index = directory
            .join("index")
            .join(target.algorithm().name())
            .join(target.hex());
        self.set_link(&index, Some(target))?;
        self.set_link(&directory.join("current"), Some(target))
    }

    /// Writes a manifest's bytes as registry:2 keeps them, unless they are there.
    ///
    /// # Errors
    /// The disk is full or failed.
    pub(crate) fn write_manifest_copy(&self, digest: &Digest, content: &[u8]) -> Result<(), Fault> {
        let path = self.layout().blob(digest);
        // After a power cut a file may have its length and not its bytes.
        if self.read(&path).is_ok_and(|found| found == content) {
            return Ok(());
        }
        self.replace(&path, content)
    }

    /// The bytes of a manifest's copy, if they can be read.
    pub(crate) fn manifest_copy(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.read(&self.layout().blob(digest)).ok()
    }

    /// Makes what was written here durable, before the marks go that would have it written again.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn sync_links(&self) -> Result<(), Fault> {
        fs::File::open(self.layout().repositories())
            .and_then(|directory| Ok(rustix::fs::syncfs(directory)?))
            .map_err(|error| Fault::io("syncing link files", error))
    }

    /// Makes a link file name its target, or be gone.
    fn set_link(&self, directory: &Path, target: Option<&Digest>) -> Result<(), Fault> {
        let path = directory.join("link");
        if let Some(digest) = target {
            let content = digest.as_str().as_bytes();
            if self.read(&path).is_ok_and(|found| found == content) {
                return Ok(());
            }
            return self.replace(&path, content);
        }
        let _timed = self.actions.time(Action::Delete);
        ignore_missing(fs::remove_file(&path))
            .and_then(|()| ignore_missing(fs::remove_dir(directory)))
            .map_err(|error| Fault::io("removing a link file", error))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let _timed = self.actions.time(Action::GetContent);
        fs::read(path)
    }

    /// Writes a small file so that a reader sees the old content or the new.
    fn replace(&self, path: &Path, content: &[u8]) -> Result<(), Fault> {
        // One job writes links, one file at a time.
        let fresh = self.layout().scratch().join("link");
        let _timed = self.actions.time(Action::PutContent);
        let write = || -> io::Result<()> {
            self.steps.take("link.write")?;
            if let Some(directory) = path.parent() {
                fs::create_dir_all(directory)?;
            }
            fs::write(&fresh, content)?;
            fs::rename(&fresh, path)
        };
        write().map_err(|error| Fault::io("writing a link file", error))
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
