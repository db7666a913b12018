//! A cache of blobs that are objects: files of this machine, each under the digest that it hashes to, of so many
//! bytes together as the operator allows. All of it can be lost at any time.
//!
//! Whether a blob may be read, and which are worth a file, `registry` decides.

mod fill;
mod ledger;
mod scan;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fill::Fill;
use layerhouse_oci::digest::Digest;
use ledger::{Entry, Ledger, Room, Space};
use rustix::fs::{Access, AtFlags, CWD, FlockOperation, accessat, flock, statvfs};

use super::open_files::OpenFiles;
use super::read::{BlobFile, open_kept};
use crate::fault::{Fault, FaultKind};
use crate::metrics::BlobCacheNumbers;

/// Least size of a cache: less would hold no layer.
pub(crate) const CACHE_BYTES_MIN: u64 = 16 << 20;
/// A larger blob would push out too much of what is pulled more often: a part of the cache.
const PART_MAX: u64 = 4;
/// Most files: at 300 bytes each, what is known of them takes 60 MB.
const FILES_MAX: usize = 200_000;
/// Left free beside the reserve on the file system of the data directory: a database, and what a mirror fetches, grow
/// by less before the cache is looked at again.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// `layerhouse.cache`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// All files together, those on their way included.
    pub(crate) bytes_max: u64,
    /// Where the files are; absent, in the data directory.
    pub(crate) directory: Option<PathBuf>,
}

/// The data directory beside a cache.
#[derive(Clone, Debug)]
pub(crate) struct Beside {
    pub(crate) root: PathBuf,
    /// Uploads are refused there when fewer bytes are free.
    pub(crate) free_bytes_min: u64,
    /// Files that stay open between pulls, at most.
    pub(crate) open_files_max: usize,
}

/// The files of a cache. One process has it alone.
#[derive(Debug)]
pub(crate) struct BlobCache {
    directory: PathBuf,
    /// Held for the life of the cache; the kernel lets go of it when the process dies.
    lock: File,
    /// No file comes that leaves less on the file system.
    free_bytes_min: u64,
    bytes_max: u64,
    ledger: Mutex<Ledger>,
    open_files: OpenFiles,
    /// Names of files on their way.
    begun: AtomicU64,
    numbers: Arc<BlobCacheNumbers>,
}

/// A file of a cache.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) file: BlobFile,
    /// This process wrote or hashed it, and it did not change since.
    pub(crate) is_verified: bool,
    entry: Entry,
}

impl BlobCache {
    /// Opens a cache, making what is missing, and takes stock of what an earlier process left. Blocks.
    ///
    /// # Errors
    /// The directory cannot be written, or another process has it.
    pub(crate) fn open(
        settings: &Settings,
        directory: &Path,
        beside: &Beside,
        numbers: &Arc<BlobCacheNumbers>,
    ) -> Result<Self, Fault> {
        let doing = || format!("opening the cache {}", directory.display());
        let fault = |error| Fault::io(doing(), error);
        make_directory(directory).map_err(fault)?;
        let lock = take_lock(directory).map_err(fault)?;
        let Some(lock) = lock else {
            let what = format!("{}: another process has it", doing());
            return Err(Fault::plain(FaultKind::Other, what));
        };
        let is_beside = fs::metadata(directory)
            .and_then(|own| Ok(own.dev() == fs::metadata(&beside.root)?.dev()))
            .map_err(fault)?;
        let cache = Self {
            directory: directory.to_owned(),
            lock,
            free_bytes_min: if is_beside {
                beside.free_bytes_min.saturating_add(FREE_BYTES_MIN)
            } else {
                0
            },
            bytes_max: settings.bytes_max,
            ledger: Mutex::new(Ledger::new(settings.bytes_max, FILES_MAX)),
            open_files: OpenFiles::new(beside.open_files_max),
            begun: AtomicU64::new(0),
            numbers: Arc::clone(numbers),
        };
        cache.take_stock()?;
        Ok(cache)
    }

    fn take_stock(&self) -> Result<(), Fault> {
        let fault = |error| Fault::io("taking stock of the cache", error);
        let fresh = self.directory.join(scan::FRESH);
        make_directory(&fresh).map_err(fault)?;
        super::empty(&fresh).map_err(fault)?;
        for (digest, size_bytes) in scan::files(&self.directory).map_err(fault)? {
            self.lock().find(&digest, size_bytes);
        }
        loop {
            let has_surplus = self.lock().has_surplus();
            if !has_surplus || !self.evict()? {
                return self.shrink();
            }
        }
    }

    /// Bytes that it holds now.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.lock().held_bytes()
    }

    /// Whether a blob of this size may come.
    pub(crate) fn fits(&self, size_bytes: u64) -> bool {
        0 < size_bytes && size_bytes <= self.bytes_max / PART_MAX
    }

    /// Whether it has a file of this digest, which may still have to be hashed.
    pub(crate) fn holds(&self, digest: &Digest) -> bool {
        self.lock().holds(digest)
    }

    /// The file of a digest. Opens one at most, as a pull of a published file does.
    pub(crate) fn find(&self, digest: &Digest) -> Option<Found> {
        let (entry, verified) = self.lock().use_file(digest)?;
        match open_kept(&self.path(digest), digest, &self.open_files) {
            Ok(Some(file)) => Some(Found {
                is_verified: verified == Some(file.version()),
                file,
                entry,
            }),
            Ok(None) => {
                // Somebody removed it by hand.
                let mut ledger = self.lock();
                if let Some(space) = ledger.let_go(digest, entry) {
                    ledger.removed(space);
                }
                None
            }
            Err(error) => {
                tracing::debug!(%digest, %error, "a cached file could not be opened");
                None
            }
        }
    }

    /// Hashes a file that an earlier process left; the file, if it is what its digest says, and else it is removed.
    /// Blocks.
    pub(crate) fn verify(
        &self,
        digest: &Digest,
        found: Found,
        size_bytes: u64,
    ) -> Option<BlobFile> {
        let Found { file, entry, .. } = found;
        let hashed = if file.size_bytes() == size_bytes {
            file.hash(digest.algorithm()).map(Some)
        } else {
            Ok(None)
        };
        match hashed {
            Ok(Some(actual)) if actual == *digest => {
                self.lock().verify(digest, entry, file.version());
                return Some(file);
            }
            Ok(_) => tracing::warn!(
                %digest,
                "a cached file was torn or changed, and is removed; the object is read"
            ),
            Err(error) => {
                tracing::warn!(%digest, %error, "a cached file cannot be read, and is removed");
            }
        }
        self.discard(digest, entry);
        None
    }

    /// Removes the file of a digest, for it cannot be read. Blocks.
    pub(crate) fn remove(&self, digest: &Digest) {
        let found = self.lock().use_file(digest);
        if let Some((entry, _)) = found {
            self.discard(digest, entry);
        }
    }

    /// Makes room for a blob, and begins to fill it in; `None` if there is none beside other fills. Blocks.
    ///
    /// # Errors
    /// The file system is full or failed.
    pub(crate) fn begin(
        self: &Arc<Self>,
        digest: &Digest,
        size_bytes: u64,
    ) -> Result<Option<Fill>, Fault> {
        self.make_free(size_bytes)?;
        loop {
            let room = self.lock().reserve(size_bytes);
            match room {
                Room::Reserved(space) => {
                    let begun = Fill::begin(self, digest, size_bytes, space);
                    let fault = |error| Fault::io("beginning a file of the cache", error);
                    return begun.map(Some).map_err(fault);
                }
                Room::Evict(evicted, space) => self.finish_eviction(&evicted, space)?,
                Room::None => return Ok(None),
            }
        }
    }

    /// Gives space back that the database beside it needs. Blocks.
    ///
    /// # Errors
    /// The file system does not answer, or removes nothing.
    pub(crate) fn shrink(&self) -> Result<(), Fault> {
        while self.free_bytes()? < self.free_bytes_min && self.evict()? {}
        Ok(())
    }

    /// Removes files until a new one leaves enough on the file system.
    fn make_free(&self, size_bytes: u64) -> Result<(), Fault> {
        loop {
            let wanted_bytes = self.free_bytes_min + self.lock().reserved_bytes() + size_bytes;
            let free_bytes = self.free_bytes()?;
            if wanted_bytes <= free_bytes {
                return Ok(());
            }
            if !self.evict()? {
                let what = format!(
                    "{free_bytes} bytes are free in {}, and {} are left free",
                    self.directory.display(),
                    self.free_bytes_min
                );
                return Err(Fault::plain(FaultKind::DiskFull, what));
            }
        }
    }

    /// Removes the file that goes first; whether there was one.
    fn evict(&self) -> Result<bool, Fault> {
        let Some((digest, space)) = self.lock().evict() else {
            return Ok(false);
        };
        self.finish_eviction(&digest, space)?;
        Ok(true)
    }

    fn finish_eviction(&self, digest: &Digest, space: Space) -> Result<(), Fault> {
        self.unlink(digest, space)
            .map_err(|error| Fault::io("removing a file of the cache", error))?;
        self.numbers.add_eviction();
        Ok(())
    }

    fn discard(&self, digest: &Digest, entry: Entry) {
        let Some(space) = self.lock().let_go(digest, entry) else {
            return;
        };
        if let Err(error) = self.unlink(digest, space) {
            tracing::warn!(%digest, %error, "a file of the cache could not be removed");
        }
    }

    /// Who reads it reads on, and it takes its space until they end.
    fn unlink(&self, digest: &Digest, space: Space) -> io::Result<()> {
        let removed = fs::remove_file(self.path(digest));
        // Open, it would keep its space on the disk.
        self.open_files.remove(digest);
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.lock().stays(digest, space);
                Err(error)
            }
            Ok(()) | Err(_) => {
                self.lock().removed(space);
                Ok(())
            }
        }
    }

    fn free_bytes(&self) -> Result<u64, Fault> {
        // Somebody may have removed all of it.
        let space = make_directory(&self.directory)
            .and_then(|()| Ok(statvfs(&self.directory)?))
            .map_err(|error| Fault::io("asking for free space of the cache", error))?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let parts = [digest.algorithm().name(), &hex[..2], hex];
        let mut path = self.directory.clone();
        path.extend(parts);
        path
    }

    fn fresh_path(&self) -> PathBuf {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        self.directory.join(scan::FRESH).join(number.to_string())
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for BlobCache {
    fn drop(&mut self) {
        // Closing is not enough: a child that is being started may have the descriptor for a moment.
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

/// What stands in the way of a cache in this directory, which may have to be made; nothing is changed.
///
/// # Errors
/// In words.
pub(crate) fn check(directory: &Path) -> Result<(), String> {
    let problem = |error: io::Error| format!("{}: {error}", directory.display());
    for existing in directory.ancestors() {
        let existing = if existing.as_os_str().is_empty() {
            Path::new(".")
        } else {
            existing
        };
        match fs::metadata(existing) {
            Ok(metadata) if metadata.is_dir() => {
                let may = accessat(CWD, existing, Access::WRITE_OK, AtFlags::EACCESS);
                return may.map_err(|error| problem(error.into()));
            }
            Ok(_) => return Err(problem(io::ErrorKind::NotADirectory.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(problem(error)),
        }
    }
    Ok(())
}

/// Makes a directory, if there is none, and those above it: others of this machine have no right to what is in it.
fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// `None` if another process has it.
fn take_lock(directory: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true);
    let lock = options.open(directory.join("lock"))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(lock)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use layerhouse_oci::digest::Algorithm;
    use tempfile::TempDir;

    use super::*;

    const SIZE: u64 = 100_000;

    fn open(root: &TempDir, bytes_max: u64, free_bytes_min: u64) -> Arc<BlobCache> {
        let settings = Settings {
            bytes_max,
            directory: None,
        };
        let beside = Beside {
            root: root.path().to_owned(),
            free_bytes_min,
            open_files_max: 8,
        };
        let place = root.path().join("cache");
        let opened = BlobCache::open(&settings, &place, &beside, &Arc::default());
        Arc::new(opened.expect("it can be opened"))
    }

    fn content(number: u8) -> (Digest, Vec<u8>) {
        let content: Vec<u8> = (0..SIZE).map(|at| at.to_le_bytes()[0] ^ number).collect();
        (Digest::of(Algorithm::Sha256, &content), content)
    }

    fn fill(cache: &Arc<BlobCache>, number: u8) -> Digest {
        let (digest, content) = content(number);
        let begun = cache.begin(&digest, SIZE).expect("the disk works");
        let mut fill = begun.expect("there is room");
        for part in content.chunks(30_000) {
            let part = Bytes::copy_from_slice(part);
            fill.append(&[part]).expect("the disk works");
        }
        assert!(fill.finish().expect("the disk works"), "it is what it says");
        digest
    }

    /// All of a file, as a pull reads it.
    fn read(found: &Found) -> Vec<u8> {
        let buffers = super::super::read::Buffers::default();
        let window = found.file.window(&buffers, 0, SIZE);
        window.expect("it can be read").to_vec()
    }

    fn fresh(root: &TempDir) -> usize {
        let entries = fs::read_dir(root.path().join("cache").join(scan::FRESH));
        entries.expect("it is there").count()
    }

    #[test]
    fn an_evicted_file_is_read_to_its_end() {
        let root = TempDir::new().expect("a directory");
        let cache = open(&root, 2 * SIZE + 20_000, 0);
        let first = fill(&cache, 1);
        let reading = cache.find(&first).expect("it is there");
        assert!(reading.is_verified);
        fill(&cache, 2);
        fill(&cache, 3);
        assert!(cache.find(&first).is_none());
        assert!(read(&reading) == content(1).1);
        assert_eq!(cache.numbers.state(0).evictions, 1);
        assert!(cache.held_bytes() <= 2 * SIZE + 20_000);
    }

    #[test]
    fn what_does_not_hash_to_its_digest_does_not_come() {
        let root = TempDir::new().expect("a directory");
        let cache = open(&root, 1 << 20, 0);
        let (digest, mut content) = content(1);
        let begin = || cache.begin(&digest, SIZE).expect("it works").expect("room");
        content[5000] ^= 1;
        let mut wrong = begin();
        wrong.append(&[content.clone().into()]).expect("it works");
        assert!(!wrong.finish().expect("it works"));
        let mut short = begin();
        short.append(&[Bytes::from_static(b"x")]).expect("it works");
        assert_eq!(fresh(&root), 1);
        assert!(!short.finish().expect("it works"));
        let mut long = begin();
        let more = Bytes::from(vec![0; 2 * 100_000]);
        assert!(
            long.append(&[more]).is_err(),
            "no more than was kept for it"
        );
        drop(long);
        assert!(cache.find(&digest).is_none());
        assert_eq!((fresh(&root), cache.held_bytes()), (0, 0));
        assert_eq!(cache.lock().reserved_bytes(), 0);
    }

    #[test]
    fn what_another_process_left_is_hashed_first() {
        let root = TempDir::new().expect("a directory");
        let cache = open(&root, 1 << 20, 0);
        let digests = [1, 2, 3].map(|number| fill(&cache, number));
        let paths = digests.clone().map(|digest| cache.path(&digest));
        drop(cache);
        // As after a power cut: one has other bytes, one is short.
        let mut torn = content(2).1;
        let tail = torn.len() - 4096;
        torn[tail..].fill(0);
        fs::write(&paths[1], torn).expect("it can be written");
        fs::write(&paths[2], "").expect("it can be written");
        fs::write(root.path().join("cache/fresh/7"), "half").expect("it can be written");
        let cache = open(&root, 1 << 20, 0);
        assert_eq!(fresh(&root), 0);
        for (at, digest) in digests.iter().enumerate() {
            let found = cache.find(digest).expect("it was left");
            assert!(!found.is_verified);
            let is_good = cache.verify(digest, found, SIZE).is_some();
            assert_eq!((is_good, paths[at].exists()), (at == 0, at == 0));
        }
        assert!(cache.find(&digests[0]).expect("it stays").is_verified);
        // And again when it changed.
        fs::write(&paths[0], content(4).1).expect("it can be written");
        assert!(!cache.find(&digests[0]).expect("it is there").is_verified);
    }

    #[test]
    fn a_smaller_cache_keeps_what_was_used_last() {
        let root = TempDir::new().expect("a directory");
        let cache = open(&root, 1 << 20, 0);
        let digests = [1, 2, 3].map(|number| fill(&cache, number));
        drop(cache);
        let cache = open(&root, SIZE + 20_000, 0);
        assert!(cache.find(&digests[0]).is_none() && cache.find(&digests[1]).is_none());
        assert!(cache.find(&digests[2]).is_some());
    }

    #[test]
    fn a_directory_has_one_cache() {
        let root = TempDir::new().expect("a directory");
        let cache = open(&root, 1 << 20, 0);
        let settings = Settings {
            bytes_max: 1 << 20,
            directory: None,
        };
        let beside = Beside {
            root: root.path().to_owned(),
            free_bytes_min: 0,
            open_files_max: 8,
        };
        let again = || {
            let place = root.path().join("cache");
            BlobCache::open(&settings, &place, &beside, &Arc::default())
        };
        let refused = again().expect_err("it is taken").to_string();
        assert!(refused.contains("another process has it"), "{refused}");
        drop(cache);
        again().expect("it is free");
    }

    /// The database beside it goes first.
    #[test]
    fn a_full_disk_takes_no_file_and_gets_some_back() {
        let root = TempDir::new().expect("a directory");
        let mut cache = open(&root, 1 << 20, 0);
        fill(&cache, 1);
        Arc::get_mut(&mut cache)
            .expect("nobody else")
            .free_bytes_min = u64::MAX / 2;
        let (digest, _) = content(2);
        let refused = cache.begin(&digest, SIZE).expect_err("nothing is free");
        assert_eq!(refused.kind(), FaultKind::DiskFull);
        assert_eq!(cache.held_bytes(), 0, "what was there went first");
        Arc::get_mut(&mut cache)
            .expect("nobody else")
            .free_bytes_min = 0;
        fill(&cache, 1);
        Arc::get_mut(&mut cache)
            .expect("nobody else")
            .free_bytes_min = u64::MAX / 2;
        cache.shrink().expect("the disk works");
        assert_eq!(cache.held_bytes(), 0);
    }
}
