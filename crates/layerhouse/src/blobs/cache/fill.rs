//! A file on its way into a cache: written and hashed as it comes, and there only when it is whole and right.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use layerhouse_oci::digest::{Digest, Hasher};

use super::ledger::Space;
use super::{BlobCache, make_directory};
use crate::blobs::read::FileVersion;
use crate::blobs::stage::write_all;

/// Room that is kept, and a file under a name that nobody reads; dropped, both are given back. Nothing is flushed to
/// the disk: a file that a power cut tore is hashed before it is served, and the object has it all.
#[derive(Debug)]
pub(crate) struct Fill {
    cache: Arc<BlobCache>,
    digest: Digest,
    path: PathBuf,
    file: File,
    hasher: Hasher,
    size_bytes: u64,
    /// Taken when the file is there.
    space: Option<Space>,
}

impl Fill {
    pub(super) fn begin(
        cache: &Arc<BlobCache>,
        digest: &Digest,
        size_bytes: u64,
        space: Space,
    ) -> io::Result<Self> {
        let path = cache.fresh_path();
        let mut options = OpenOptions::new();
        let made = path.parent().map_or(Ok(()), make_directory);
        let opened = made.and_then(|()| options.write(true).create_new(true).open(&path));
        let file = match opened {
            Ok(file) => file,
            Err(error) => {
                cache.lock().give_back(space);
                return Err(error);
            }
        };
        Ok(Self {
            cache: Arc::clone(cache),
            digest: digest.clone(),
            path,
            file,
            hasher: Hasher::new(digest.algorithm()),
            size_bytes,
            space: Some(space),
        })
    }

    /// Writes what came next; blocks.
    ///
    /// # Errors
    /// The disk is full or failed, or more came than was said.
    pub(crate) fn append(&mut self, batch: &[Bytes]) -> io::Result<()> {
        let batch_bytes: u64 = batch.iter().map(|bytes| bytes.len() as u64).sum();
        if self.size_bytes < self.hasher.hashed_bytes() + batch_bytes {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        write_all(&mut self.file, batch)?;
        for bytes in batch {
            self.hasher.update(bytes);
        }
        Ok(())
    }

    /// Gives the file its name, if it is what its digest says; whether it is. Blocks.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn finish(mut self) -> io::Result<bool> {
        let is_whole = self.hasher.hashed_bytes() == self.size_bytes;
        if !is_whole || self.hasher.clone().finish() != self.digest {
            return Ok(false);
        }
        // A new name changes nothing of it.
        let version = FileVersion::new(&self.file.metadata()?);
        let path = self.cache.path(&self.digest);
        path.parent().map_or(Ok(()), make_directory)?;
        fs::rename(&self.path, path)?;
        if let Some(space) = self.space.take() {
            self.cache.lock().enter(&self.digest, space, version);
        }
        Ok(true)
    }
}

impl Drop for Fill {
    fn drop(&mut self) {
        if let Some(space) = self.space.take() {
            // What cannot be removed the next start removes.
            let _ = fs::remove_file(&self.path);
            self.cache.lock().give_back(space);
        }
    }
}
