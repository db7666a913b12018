//! Reading published bytes: windows of a file, from the page cache where the caller stands, from the
//! disk on a thread that may wait.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use layerhouse_oci::digest::Digest;
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::Store;
use crate::fault::Fault;
use crate::metrics::Action;

/// A window: large enough that system calls do not count, small enough for the cache of a core.
const WINDOW_BYTES: usize = 256 << 10;
/// Windows kept for the next reader: 16 MiB.
const IDLE_BUFFERS_MAX: usize = 64;

/// A published blob, open for reading: it stays readable when it is removed or replaced meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct BlobFile {
    file: Arc<File>,
    size_bytes: u64,
    version: FileVersion,
}

/// Which file it is, and in which state: differs when anybody wrote to it or put another in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileVersion {
    inode: u64,
    size_bytes: u64,
    modified_ns: (i64, i64),
}

/// Buffers between uses: memory touched for the first time costs more than the copy into it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// A buffer that goes back to its pool when the last window of it is dropped.
struct Pooled {
    buffer: Vec<u8>,
    used_bytes: usize,
    pool: Buffers,
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.used_bytes]
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        let mut idle = self.pool.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_BUFFERS_MAX {
            idle.push(std::mem::take(&mut self.buffer));
        }
    }
}

impl Buffers {
    fn take(&self, used_bytes: usize) -> Pooled {
        let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffer = idle.unwrap_or_default();
        if buffer.len() < used_bytes {
            // A small blob needs no whole window.
            buffer.resize(used_bytes, 0);
        }
        Pooled {
            buffer,
            used_bytes,
            pool: self.clone(),
        }
    }
}

/// What a look into the page cache gave.
pub(crate) enum Window {
    Ready(Bytes),
    /// Read it on a thread that may wait.
    OnDisk,
}

impl BlobFile {
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(crate) fn version(&self) -> FileVersion {
        self.version
    }

    /// The bytes from `first` to before `end`, at most a window, if they are in the page cache.
    ///
    /// # Errors
    /// The disk failed, or the file is shorter than it was.
    pub(crate) fn cached_window(
        &self,
        buffers: &Buffers,
        first: u64,
        end: u64,
    ) -> io::Result<Window> {
        let mut buffer = buffers.take(window_bytes(first, end));
        let wanted_bytes = buffer.used_bytes;
        let mut slices = [IoSliceMut::new(&mut buffer.buffer[..wanted_bytes])];
        match preadv2(&self.file, &mut slices, first, ReadWriteFlags::NOWAIT) {
            Ok(0) => Err(shorter()),
            Ok(length) => {
                buffer.used_bytes = length;
                Ok(Window::Ready(Bytes::from_owner(buffer)))
            }
            // Not cached, or a file system that cannot tell.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => Ok(Window::OnDisk),
            Err(error) => Err(error.into()),
        }
    }

    /// The same from the disk; blocks.
    ///
    /// # Errors
    /// The disk failed, or the file is shorter than it was.
    pub(crate) fn window(&self, buffers: &Buffers, first: u64, end: u64) -> io::Result<Bytes> {
        let mut buffer = buffers.take(window_bytes(first, end));
        let wanted_bytes = buffer.used_bytes;
        self.file
            .read_exact_at(&mut buffer.buffer[..wanted_bytes], first)
            .map_err(|error| {
                if error.kind() == io::ErrorKind::UnexpectedEof {
                    shorter()
                } else {
                    error
                }
            })?;
        Ok(Bytes::from_owner(buffer))
    }
}

fn window_bytes(first: u64, end: u64) -> usize {
    usize::try_from(end - first)
        .unwrap_or(usize::MAX)
        .min(WINDOW_BYTES)
}

fn shorter() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the file is shorter than its row says",
    )
}

impl Store {
    pub(crate) fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// Opens published bytes; `None` if there are none.
    ///
    /// # Errors
    /// The file system does not answer, or descriptors ran out: an outage is not an absence.
    pub(crate) fn open_blob(&self, digest: &Digest) -> Result<Option<BlobFile>, Fault> {
        let doing = "opening a blob";
        let _timed = self.actions.time(Action::Reader);
        self.steps
            .take("read.open")
            .map_err(|error| Fault::io(doing, error))?;
        let file = match File::open(self.layout().blob(digest)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Fault::io(doing, error)),
        };
        let metadata = file.metadata().map_err(|error| Fault::io(doing, error))?;
        let version = FileVersion {
            inode: metadata.ino(),
            size_bytes: metadata.len(),
            modified_ns: (metadata.mtime(), metadata.mtime_nsec()),
        };
        Ok(Some(BlobFile {
            file: Arc::new(file),
            size_bytes: metadata.len(),
            version,
        }))
    }
}
