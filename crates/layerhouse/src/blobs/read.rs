//! Reading published bytes: windows of a file, from the page cache where the caller stands, from the
//! disk on a thread that may wait.

use std::fs::{self, File, Metadata};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use layerhouse_oci::digest::{Algorithm, Digest, Hasher};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::Store;
use super::mapping::{Mapping, may_ask};
use super::open_files::OpenFiles;
use super::stretch::Stretch;
use crate::fault::Fault;
use crate::metrics::Action;

/// A window: large enough that system calls do not count, small enough for the cache of a core.
const WINDOW_BYTES: usize = 256 << 10;
/// No window is smaller, unless the blob is.
const WINDOW_BYTES_MIN: usize = 4 << 10;
/// For each of these that readers hold already, new windows are half as large. HTTP/2 takes a window
/// before its client has room for it, so clients that keep many streams shut hold many. A fixed bound
/// would let them lock out all others; with this one they hold 192 MiB, and a page for each stream more.
const LENT_BYTES_PER_HALVING: usize = 32 << 20;
/// Windows kept for the next reader: 16 MiB.
const IDLE_BUFFERS_MAX: usize = 64;

/// A published blob, open for reading: it stays readable when it is removed or replaced meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct BlobFile {
    file: Arc<OpenFile>,
    version: FileVersion,
}

/// An open file, and its mapping if the kernel can send it by itself.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) file: File,
    pub(super) mapping: Option<Mapping>,
}

/// Which file it is, and in which state: differs when anybody wrote to it or put another in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileVersion {
    inode: u64,
    size_bytes: u64,
    modified_ns: (i64, i64),
}

impl FileVersion {
    pub(super) fn new(metadata: &Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            size_bytes: metadata.len(),
            modified_ns: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// Buffers between uses: memory touched for the first time costs more than the copy into it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffers(Arc<Pool>);

#[derive(Debug, Default)]
struct Pool {
    idle: Mutex<Vec<Vec<u8>>>,
    /// What readers and the connections that they write to hold now.
    lent_bytes: AtomicUsize,
}

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
        let Pool { idle, lent_bytes } = &*self.pool.0;
        lent_bytes.fetch_sub(self.buffer.len(), Ordering::Relaxed);
        let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_BUFFERS_MAX {
            idle.push(std::mem::take(&mut self.buffer));
        }
    }
}

impl Buffers {
    /// A buffer for the bytes from `first` to before `end`, or as many as there is room for now.
    fn take(&self, first: u64, end: u64) -> Pooled {
        let Pool { idle, lent_bytes } = &*self.0;
        let window_bytes_max = window_bytes_max(lent_bytes.load(Ordering::Relaxed));
        let wanted_bytes = usize::try_from(end - first).unwrap_or(usize::MAX);
        let used_bytes = wanted_bytes.min(window_bytes_max);
        let mut buffer = {
            let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
            // Memory is short, so that a large buffer is not spent on a small window.
            let fits = |buffer: &Vec<u8>| {
                window_bytes_max == WINDOW_BYTES || buffer.capacity() <= window_bytes_max
            };
            idle.pop_if(|buffer| fits(buffer)).unwrap_or_default()
        };
        if buffer.len() < used_bytes {
            // A small blob needs no whole window.
            buffer.reserve_exact(used_bytes - buffer.len());
            buffer.resize(used_bytes, 0);
        }
        lent_bytes.fetch_add(buffer.len(), Ordering::Relaxed);
        Pooled {
            buffer,
            used_bytes,
            pool: self.clone(),
        }
    }
}

fn window_bytes_max(lent_bytes: usize) -> usize {
    let halvings = u32::try_from(lent_bytes / LENT_BYTES_PER_HALVING).unwrap_or(u32::MAX);
    let window_bytes = WINDOW_BYTES.checked_shr(halvings).unwrap_or(0);
    window_bytes.max(WINDOW_BYTES_MIN)
}

/// What a look into the page cache gave.
pub(crate) enum Window {
    Ready(Bytes),
    /// Read it on a thread that may wait.
    OnDisk,
}

impl BlobFile {
    /// A file that is still written to; nobody maps it, and its size is not the blob's.
    pub(super) fn growing(file: File, metadata: &Metadata) -> Self {
        Self {
            file: Arc::new(OpenFile {
                file,
                mapping: None,
            }),
            version: FileVersion::new(metadata),
        }
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.version.size_bytes
    }

    pub(crate) fn version(&self) -> FileVersion {
        self.version
    }

    /// What it hashes to; blocks.
    ///
    /// # Errors
    /// The disk failed.
    pub(super) fn hash(&self, algorithm: Algorithm) -> io::Result<Digest> {
        let mut hasher = Hasher::new(algorithm);
        let mut buffer = vec![0; WINDOW_BYTES];
        let mut at = 0;
        loop {
            match self.file.file.read_at(&mut buffer, at)? {
                0 => return Ok(hasher.finish()),
                length => {
                    hasher.update(&buffer[..length]);
                    at += length as u64;
                }
            }
        }
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
        let mut buffer = buffers.take(first, end);
        let wanted_bytes = buffer.used_bytes;
        let mut slices = [IoSliceMut::new(&mut buffer.buffer[..wanted_bytes])];
        match preadv2(&self.file.file, &mut slices, first, ReadWriteFlags::NOWAIT) {
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

    /// The bytes from `first` on, before `end`, if the kernel can send them from its page cache and they
    /// are not so few that copying costs less.
    pub(crate) fn cached_stretch(&self, digest: &Digest, first: u64, end: u64) -> Option<Stretch> {
        Stretch::cached(&self.file, digest, first, end)
    }

    /// The same from the disk; blocks.
    ///
    /// # Errors
    /// The disk failed, or the file is shorter than it was.
    pub(crate) fn window(&self, buffers: &Buffers, first: u64, end: u64) -> io::Result<Bytes> {
        let mut buffer = buffers.take(first, end);
        let wanted_bytes = buffer.used_bytes;
        self.file
            .file
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

fn shorter() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the file is shorter than its row says",
    )
}

/// Opens the file of a digest, or finds it open and the same; `None` if there is none.
pub(super) fn open_kept(
    path: &Path,
    digest: &Digest,
    open_files: &OpenFiles,
) -> io::Result<Option<BlobFile>> {
    if let Some(kept) = open_files.get(digest) {
        // Somebody else may have removed or replaced it.
        match fs::metadata(path) {
            Ok(metadata) if FileVersion::new(&metadata) == kept.version => {
                return Ok(Some(kept));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(_) | Err(_) => open_files.remove(digest),
        }
    }
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    let is_kept = open_files.wants(metadata.len());
    // A file system that cannot map is read from.
    let can_map = is_kept && may_ask(path, &metadata);
    let mapping = can_map.then(|| Mapping::new(&file, metadata.len()).ok());
    let blob = BlobFile {
        file: Arc::new(OpenFile {
            file,
            mapping: mapping.flatten(),
        }),
        version: FileVersion::new(&metadata),
    };
    if is_kept {
        open_files.insert(digest, &blob);
        // Removed since it was opened: whoever did that may have looked here too early.
        if blob
            .file
            .file
            .metadata()
            .is_ok_and(|metadata| metadata.nlink() == 0)
        {
            open_files.remove(digest);
        }
    }
    Ok(Some(blob))
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
        let path = self.layout().blob(digest);
        open_kept(&path, digest, &self.open_files).map_err(|error| Fault::io(doing, error))
    }

    /// How long published bytes are; `None` if there are none.
    ///
    /// # Errors
    /// As [`Store::open_blob`].
    pub(crate) fn blob_size(&self, digest: &Digest) -> Result<Option<u64>, Fault> {
        let doing = "looking at a blob";
        let _timed = self.actions.time(Action::Stat);
        self.steps
            .take("read.open")
            .and_then(|()| fs::metadata(self.layout().blob(digest)))
            .map(|metadata| Some(metadata.len()))
            .or_else(|error| {
                let is_missing = error.kind() == io::ErrorKind::NotFound;
                is_missing
                    .then_some(None)
                    .ok_or_else(|| Fault::io(doing, error))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_nobody_takes_hold_little() {
        let buffers = Buffers::default();
        let lent = || buffers.0.lent_bytes.load(Ordering::Relaxed);
        assert_eq!(buffers.take(0, 10).used_bytes, 10);
        assert_eq!(buffers.take(0, u64::MAX).used_bytes, WINDOW_BYTES);
        assert_eq!(lent(), 0);

        // More than the streams of a hundred connections.
        let streams = 100 * 64;
        let held: Vec<Pooled> = (0..streams).map(|_| buffers.take(0, u64::MAX)).collect();
        let held_bytes: usize = held.iter().map(|pooled| pooled.buffer.capacity()).sum();
        assert_eq!(lent(), held_bytes);
        let bound = 6 * (LENT_BYTES_PER_HALVING + WINDOW_BYTES) + streams * WINDOW_BYTES_MIN;
        assert!(held_bytes <= bound, "{held_bytes} > {bound}");
        let last = held.last().expect("there are some");
        assert!(WINDOW_BYTES_MIN <= last.used_bytes, "a reader goes on");

        drop(held);
        assert_eq!(lent(), 0);
        assert_eq!(buffers.take(0, u64::MAX).used_bytes, WINDOW_BYTES);
    }
}
