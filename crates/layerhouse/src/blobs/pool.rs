//! The files of a directory of backups: each blob once, whatever number of snapshots name it, and the snapshots.
//!
//! ```text
//! layerhouse-backup                        says what the directory is
//! blobs/sha256/ab/ab…                      the bytes of a blob
//! snapshots/2027-01-15T08-00-00.000Z/      database.db and backup.json; whole, for it got its name last
//! partial/                                 what is not whole yet
//! quarantine/                              what did not hash to its digest
//! ```

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use layerhouse_oci::digest::{Algorithm, Digest};
use rustix::fs::{FlockOperation, flock};

use super::reread::{Progress, Reread};
use super::{Store, make_directories, sync_directory};
use crate::fault::{Fault, FaultKind};

const MARK: &str = "layerhouse-backup";
const MARK_TEXT: &str = "layerhouse backup 1\n";
/// A file that changes so often while it is copied is left out.
const ATTEMPTS_MAX: usize = 3;

/// A directory of backups.
#[derive(Debug)]
pub(crate) struct Pool {
    directory: PathBuf,
    /// Directories whose entries are to be made durable.
    touched: BTreeSet<PathBuf>,
    /// Files that were added, to be taken back if there is no room for all.
    added: Vec<PathBuf>,
    _lock: Option<File>,
}

/// Why a directory of backups cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PoolError {
    #[error("{0} holds other things and no backups; name an empty directory, or a new one")]
    Foreign(String),
    #[error("{0} holds no backups; name the directory that they were made in")]
    Absent(String),
    #[error("another backup is being made in {0}; wait for its end")]
    InUse(String),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// How bytes come from one directory into another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bring {
    /// As another name of the same file, where that can be; else as a copy.
    Link,
    Copy,
}

/// What came of bringing a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Brought {
    /// It was there.
    Known,
    New,
    /// Why it could not be brought: its bytes are missing or wrong.
    Bad(&'static str),
}

impl Pool {
    /// Opens a directory to add to it, and makes it if it is not there.
    ///
    /// # Errors
    /// As [`PoolError`] says.
    pub(crate) fn create(directory: &Path) -> Result<Self, PoolError> {
        let shown = || directory.display().to_string();
        let fault = |error| Fault::io(format!("preparing {}", directory.display()), error);
        let mark = directory.join(MARK);
        if !mark.exists() {
            let is_empty = match fs::read_dir(directory) {
                Ok(entries) => is_empty(entries),
                Err(error) if error.kind() == io::ErrorKind::NotFound => true,
                Err(error) => return Err(fault(error).into()),
            };
            if !is_empty {
                return Err(PoolError::Foreign(shown()));
            }
            make_private(directory).map_err(fault)?;
        }
        for name in ["blobs", "snapshots", "partial", "quarantine"] {
            make_private(&directory.join(name)).map_err(fault)?;
        }
        fs::write(&mark, MARK_TEXT).map_err(fault)?;
        sync_directory(directory).map_err(fault)?;
        let lock = File::open(&mark).map_err(fault)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(PoolError::InUse(shown())),
            Err(error) => return Err(fault(error.into()).into()),
        }
        let pool = Self {
            _lock: Some(lock),
            ..Self::at(directory)
        };
        // What a crash left.
        for name in pool.names("partial") {
            let _ = fs::remove_dir_all(pool.directory.join("partial").join(name));
        }
        Ok(pool)
    }

    /// Opens a directory of backups to read it.
    ///
    /// # Errors
    /// As [`PoolError`] says.
    pub(crate) fn open(directory: &Path) -> Result<Self, PoolError> {
        if !directory.join(MARK).is_file() {
            return Err(PoolError::Absent(directory.display().to_string()));
        }
        Ok(Self::at(directory))
    }

    fn at(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            touched: BTreeSet::new(),
            added: Vec::new(),
            _lock: None,
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let place = self.directory.join("blobs").join(digest.algorithm().name());
        place.join(&hex[..2]).join(hex)
    }

    /// Snapshots that are whole, the oldest first.
    pub(crate) fn snapshots(&self) -> Vec<String> {
        self.names("snapshots")
    }

    fn names(&self, place: &str) -> Vec<String> {
        let entries = fs::read_dir(self.directory.join(place));
        let names = entries.into_iter().flatten().flatten();
        let mut names: Vec<String> = names
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    fn snapshot(&self, name: &str) -> PathBuf {
        self.directory.join("snapshots").join(name)
    }

    pub(crate) fn database(&self, name: &str) -> PathBuf {
        self.snapshot(name).join("database.db")
    }

    /// What is written of a snapshot.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn description(&self, name: &str) -> Result<String, Fault> {
        let path = self.snapshot(name).join("backup.json");
        fs::read_to_string(&path)
            .map_err(|error| Fault::io(format!("reading {}", path.display()), error))
    }

    /// Whether the pool has the blob, as far as its length says.
    pub(crate) fn has(&self, digest: &Digest, size_bytes: u64) -> bool {
        let found = fs::symlink_metadata(self.blob(digest));
        found.is_ok_and(|found| found.is_file() && found.len() == size_bytes)
    }

    /// Brings a blob from a store into the pool.
    ///
    /// # Errors
    /// The disk is full or failed, or `is_cancelled`.
    pub(crate) fn bring(
        &mut self,
        store: &Store,
        digest: &Digest,
        size_bytes: u64,
        how: Bring,
        is_cancelled: &AtomicBool,
    ) -> Result<Brought, Fault> {
        if self.has(digest, size_bytes) {
            return Ok(Brought::Known);
        }
        let (from, to) = (store.layout().blob(digest), self.blob(digest));
        let directory = to.parent().unwrap_or(&self.directory).to_owned();
        make_private(&directory)
            .map_err(|error| Fault::io(format!("preparing {}", directory.display()), error))?;
        let brought = bring(&from, &to, digest, size_bytes, how, is_cancelled)?;
        if brought == Brought::New {
            self.touched.insert(directory);
            self.added.push(to);
        }
        Ok(brought)
    }

    /// Makes durable what was brought.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn sync(&mut self) -> Result<(), Fault> {
        let fault = |error| Fault::io("syncing a backup", error);
        for directory in std::mem::take(&mut self.touched) {
            sync_directory(&directory).map_err(fault)?;
        }
        Ok(())
    }

    /// Takes back what was brought: there was no room for all.
    pub(crate) fn take_back(&mut self) {
        for path in std::mem::take(&mut self.added) {
            let _ = fs::remove_file(path);
        }
    }

    /// Begins a snapshot: where its database goes.
    ///
    /// # Errors
    /// The disk is full or failed.
    pub(crate) fn begin(&self, name: &str) -> Result<PathBuf, Fault> {
        let partial = self.directory.join("partial").join(name);
        let _ = fs::remove_dir_all(&partial);
        make_private(&partial)
            .map_err(|error| Fault::io(format!("making {}", partial.display()), error))?;
        Ok(partial.join("database.db"))
    }

    /// Gives a snapshot its name: from then on it is there, and whole.
    ///
    /// # Errors
    /// The disk is full or failed.
    pub(crate) fn publish(&self, name: &str, description: &str) -> Result<(), Fault> {
        let partial = self.directory.join("partial").join(name);
        let publish = || -> io::Result<()> {
            File::open(partial.join("database.db"))?.sync_all()?;
            let mut file = private(&partial.join("backup.json"))?;
            file.write_all(description.as_bytes())?;
            file.sync_all()?;
            sync_directory(&partial)?;
            fs::rename(&partial, self.snapshot(name))?;
            sync_directory(&self.directory.join("snapshots"))
        };
        publish().map_err(|error| Fault::io("publishing a backup", error))
    }

    /// Gives a snapshot up that was begun.
    pub(crate) fn give_up(&self, name: &str) {
        let _ = fs::remove_dir_all(self.directory.join("partial").join(name));
    }

    /// Removes a snapshot; the blobs stay.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn remove_snapshot(&self, name: &str) -> Result<(), Fault> {
        let away = self.directory.join("partial").join(name);
        fs::rename(self.snapshot(name), &away)
            .and_then(|()| sync_directory(&self.directory.join("snapshots")))
            .and_then(|()| fs::remove_dir_all(&away))
            .map_err(|error| Fault::io(format!("removing the backup {name}"), error))
    }

    /// What a file of the pool hashes to, or of a snapshot's database; `None` if there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn hash(path: &Path, algorithm: Algorithm) -> Result<Option<Digest>, Fault> {
        let Some(mut reading) = Reread::open(path.to_owned(), algorithm)? else {
            return Ok(None);
        };
        loop {
            match reading.step()? {
                Progress::Read(_) => {}
                Progress::Whole(actual) => return Ok(Some(actual)),
                Progress::Changed => {
                    let what = format!("{} changes while it is read", path.display());
                    return Err(Fault::plain(FaultKind::Other, what));
                }
            }
        }
    }

    /// Takes a damaged file out of the pool, so that the next backup brings a good one; whether that could
    /// be done.
    pub(crate) fn set_aside(&self, digest: &Digest) -> bool {
        let name = digest.as_str().replace(':', "-");
        fs::rename(
            self.blob(digest),
            self.directory.join("quarantine").join(name),
        )
        .is_ok()
    }

    /// Every blob of the pool, and how long it is.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub(crate) fn each_blob(
        &self,
        mut found: impl FnMut(&Digest, u64) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let fault = |error| Fault::io("listing the blobs of a backup", error);
        for algorithm in Algorithm::ALL {
            let place = self.directory.join("blobs").join(algorithm.name());
            for prefix in 0..=u8::MAX {
                let entries = match fs::read_dir(place.join(format!("{prefix:02x}"))) {
                    Ok(entries) => entries,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(fault(error)),
                };
                for entry in entries {
                    let entry = entry.map_err(fault)?;
                    let name = entry.file_name();
                    let text = format!("{}:{}", algorithm.name(), name.to_string_lossy());
                    if let Ok(digest) = text.parse() {
                        found(&digest, entry.metadata().map_err(fault)?.len())?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Removes a blob that no snapshot names.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn remove_blob(&self, digest: &Digest) -> Result<(), Fault> {
        fs::remove_file(self.blob(digest))
            .map_err(|error| Fault::io("removing a blob from a backup", error))
    }
}

impl Store {
    /// Brings a blob from a pool, durably; nobody uses the store yet.
    ///
    /// # Errors
    /// The disk is full or failed.
    pub(crate) fn place(
        &self,
        pool: &Pool,
        digest: &Digest,
        size_bytes: u64,
        how: Bring,
    ) -> Result<Brought, Fault> {
        let directory = self.layout().blob_directory(digest);
        let prepare = |error| Fault::io(format!("preparing {}", directory.display()), error);
        make_directories(&directory).map_err(prepare)?;
        let (from, to) = (pool.blob(digest), directory.join("data"));
        let brought = bring(&from, &to, digest, size_bytes, how, &AtomicBool::new(false))?;
        match brought {
            Brought::New => sync_directory(&directory).map_err(prepare)?,
            Brought::Known => {}
            Brought::Bad(_) => {
                let _ = fs::remove_dir(&directory);
            }
        }
        Ok(brought)
    }

    /// Puts a copy of a database where the store's is.
    ///
    /// # Errors
    /// The disk is full or failed.
    pub(crate) fn place_database(&self, copy: &Path) -> Result<(), Fault> {
        let place = || -> io::Result<()> {
            let fresh = self.layout().scratch().join("database");
            fs::copy(copy, &fresh)?;
            let file = OpenOptions::new().write(true).open(&fresh)?;
            file.sync_all()?;
            fs::rename(&fresh, self.layout().database())?;
            sync_directory(&self.layout().own())
        };
        place().map_err(|error| Fault::io("placing the database", error))
    }
}

/// Brings a file to another place, hashing it on the way if it is copied.
fn bring(
    from: &Path,
    to: &Path,
    digest: &Digest,
    size_bytes: u64,
    how: Bring,
    is_cancelled: &AtomicBool,
) -> Result<Brought, Fault> {
    const NOT_WHOLE: Brought = Brought::Bad("its file is not as long as it was");
    let doing = |error| Fault::io(format!("bringing blob {digest}"), error);
    let mut fresh = to.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let _ = fs::remove_file(&fresh);
    let found = match fs::symlink_metadata(from) {
        Ok(found) if found.is_file() => found,
        Ok(_) => return Ok(Brought::Bad("its file is none")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Brought::Bad("its file is missing"));
        }
        Err(_) => return Ok(Brought::Bad("its file cannot be reached")),
    };
    if found.len() != size_bytes {
        return Ok(NOT_WHOLE);
    }
    if how == Bring::Link && fs::hard_link(from, &fresh).is_ok() {
        // Not another one that was put there since.
        let linked = fs::symlink_metadata(&fresh).map_err(doing)?;
        if linked.len() != size_bytes || linked.ino() == 0 {
            let _ = fs::remove_file(&fresh);
            return Ok(NOT_WHOLE);
        }
        fs::rename(&fresh, to).map_err(doing)?;
        return Ok(Brought::New);
    }
    for _ in 0..ATTEMPTS_MAX {
        let copied = copy(from, &fresh, digest, is_cancelled);
        match copied {
            Ok(Some(true)) => {
                fs::rename(&fresh, to).map_err(doing)?;
                return Ok(Brought::New);
            }
            Ok(Some(false)) => {
                let _ = fs::remove_file(&fresh);
                return Ok(Brought::Bad("its bytes do not hash to its digest"));
            }
            Ok(None) => {}
            Err(fault) => {
                let _ = fs::remove_file(&fresh);
                return fault;
            }
        }
    }
    let _ = fs::remove_file(&fresh);
    Ok(Brought::Bad("its file changes while it is read"))
}

/// Copies a file and syncs it; whether it hashes to its digest, or nothing if it changed meanwhile. An error is
/// what to answer.
fn copy(
    from: &Path,
    fresh: &Path,
    digest: &Digest,
    is_cancelled: &AtomicBool,
) -> Result<Option<bool>, Result<Brought, Fault>> {
    let unread = || Ok(Brought::Bad("the disk does not give its bytes"));
    let write = |error| Err(Fault::io(format!("copying blob {digest}"), error));
    let mut reading = match Reread::open(from.to_owned(), digest.algorithm()) {
        Ok(Some(reading)) => reading,
        Ok(None) => return Err(Ok(Brought::Bad("its file is missing"))),
        Err(_) => return Err(unread()),
    };
    let mut file = private(fresh).map_err(write)?;
    loop {
        if is_cancelled.load(Ordering::Relaxed) {
            return Err(Err(Fault::plain(FaultKind::Stopping, "it was given up")));
        }
        match reading.step() {
            Ok(Progress::Read(_)) => file.write_all(reading.bytes()).map_err(write)?,
            Ok(Progress::Changed) => return Ok(None),
            Ok(Progress::Whole(actual)) => {
                file.sync_all().map_err(write)?;
                return Ok(Some(actual == *digest));
            }
            Err(_) => return Err(unread()),
        }
    }
}

/// A new file that its owner alone may read.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path)
}

/// A directory, and those above it, that its owner alone may look into: a backup has hashes of passwords.
fn make_private(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    directory.parent().map_or(Ok(()), sync_directory)
}

/// Whether a directory has nothing but what a file system puts there itself.
pub(crate) fn is_empty(entries: fs::ReadDir) -> bool {
    entries
        .flatten()
        .all(|entry| entry.file_name() == "lost+found")
}
