//! Bytes, and files only here: staged while they arrive, published under their digest, read, removed.
//!
//! `registry` owns the order in which bytes and rows are written; nothing here knows of rows. Calls
//! block: `registry` makes those that write, sync or hash from threads that may wait.

mod belonging;
pub(crate) mod cache;
pub(crate) mod layout;
pub(crate) mod links;
mod mapping;
pub(crate) mod objects;
mod open_files;
pub(crate) mod pool;
pub(crate) mod publish;
pub(crate) mod read;
pub(crate) mod redirection;
pub(crate) mod reread;
pub(crate) mod stage;
pub(crate) mod stretch;
pub(crate) mod survey;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use layerhouse_oci::digest::Algorithm;
use layout::Layout;
use objects::settings::{Bucket, Buckets};
use objects::{Objects, sending};
use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock, statvfs};
use tokio::sync::Semaphore;

use crate::fault::{Fault, FaultKind};
use crate::health::Health;
use crate::metrics::{Action, StorageActions};
use crate::steps::Steps;

/// Held back for the database while the disk is otherwise full: a delete needs a few pages of it, a
/// group of 128 deletes at 20 pages of 4 KiB needs 10 MiB.
const RESERVE_BYTES: u64 = 16 << 20;

/// The files of one registry, on one file system.
pub(crate) struct Store {
    layout: Layout,
    steps: Steps,
    /// Held for the life of the store; the kernel lets go of it when the process dies.
    lock: File,
    /// Uploads are refused when fewer bytes than this are free.
    free_bytes_min: u64,
    health: Health,
    buffers: read::Buffers,
    open_files: open_files::OpenFiles,
    /// Where new blobs go, if not into files, and to no bucket that is named.
    objects: Option<Arc<Objects>>,
    named: BTreeMap<String, Arc<Objects>>,
    /// What is asked of object stores, by their kinds.
    asked: BTreeMap<&'static str, Arc<StorageActions>>,
    actions: Arc<StorageActions>,
}

/// How much room a file system has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// That we may use.
    pub(crate) free_bytes: u64,
    pub(crate) total_bytes: u64,
    pub(crate) free_inodes: u64,
    /// 0 where the file system does not count them.
    pub(crate) total_inodes: u64,
}

/// Why a data directory cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "another layerhouse (process {holder}) serves {root}; stop it, or choose another directory \
         with --root"
    )]
    InUse { root: String, holder: String },
    #[error("{0}")]
    Fault(#[from] Fault),
}

impl Store {
    /// Opens a data directory, making what is missing, and locks it.
    ///
    /// # Errors
    /// Another process serves it, or it cannot be written.
    pub(crate) fn open(
        root: &Path,
        steps: Steps,
        health: Health,
        free_bytes_min: u64,
        open_files_max: usize,
    ) -> Result<Self, OpenError> {
        let buckets = Buckets::default();
        Self::open_with(
            root,
            &buckets,
            steps,
            health,
            free_bytes_min,
            open_files_max,
        )
    }

    /// The same, with blobs as objects of buckets; files that are there are read still.
    ///
    /// # Errors
    /// As [`Store::open`]; or the directory's blobs are in another bucket, or are in one and none is named.
    pub(crate) fn open_with(
        root: &Path,
        buckets: &Buckets,
        steps: Steps,
        health: Health,
        free_bytes_min: u64,
        open_files_max: usize,
    ) -> Result<Self, OpenError> {
        let layout = Layout::new(root);
        let doing = |path: &Path| format!("preparing {}", path.display());
        for directory in [layout.stages(), layout.scratch(), layout.quarantine()] {
            make_directories(&directory).map_err(|error| Fault::io(doing(&directory), error))?;
        }
        let lock = take_lock(&layout)?;
        if layout.restoring().exists() {
            let what = format!(
                "a backup was being restored into {} and that was not finished; empty the directory and \
                 restore it again",
                root.display()
            );
            return Err(Fault::plain(FaultKind::Other, what).into());
        }
        belonging::check_bucket(&layout, buckets.default.as_ref())?;
        let default = buckets.default.as_ref();
        let mut asked = BTreeMap::<_, Arc<StorageActions>>::new();
        let mut actions = |bucket: &Bucket| Arc::clone(asked.entry(bucket.driver()).or_default());
        let sending = Arc::new(Semaphore::new(sending::MIB_MAX as usize));
        let objects = default
            .map(|bucket| Objects::open(None, bucket, actions(bucket), Arc::clone(&sending)))
            .transpose()?;
        let named = buckets.named.iter().map(|(name, bucket)| {
            let sending = Arc::clone(&sending);
            let objects = Objects::open(Some(name), bucket, actions(bucket), sending)?;
            Ok((name.clone(), Arc::new(objects)))
        });
        let named = named.collect::<Result<_, Fault>>()?;
        make_directories(&layout.repositories())
            .and_then(|()| make_prefixes(&layout))
            .map_err(|error| Fault::io(doing(&layout.blobs()), error))?;
        empty(&layout.scratch()).map_err(|error| Fault::io(doing(&layout.scratch()), error))?;
        let store = Self {
            layout,
            steps,
            lock,
            free_bytes_min,
            health,
            buffers: read::Buffers::default(),
            open_files: open_files::OpenFiles::new(open_files_max),
            objects: objects.map(Arc::new),
            named,
            asked,
            actions: Arc::default(),
        };
        store.refill_reserve();
        Ok(store)
    }

    /// Where new blobs go that go to no bucket with a name; `None` for files.
    pub(crate) fn objects(&self) -> Option<&Arc<Objects>> {
        self.objects.as_ref()
    }

    /// A bucket by its name.
    pub(crate) fn bucket(&self, name: &str) -> Option<&Arc<Objects>> {
        self.named.get(name)
    }

    /// All buckets, the one without a name first.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = &Arc<Objects>> {
        self.objects.iter().chain(self.named.values())
    }

    /// Those that have names.
    pub(crate) fn named_buckets(&self) -> impl Iterator<Item = &Arc<Objects>> {
        self.named.values()
    }

    /// Whether any blob may be an object.
    pub(crate) fn has_buckets(&self) -> bool {
        self.buckets().next().is_some()
    }

    /// The bucket that an object is in; `None` if it is not configured.
    pub(crate) fn objects_of(&self, key: &str) -> Option<&Arc<Objects>> {
        match objects::bucket_of(key) {
            Some(name) => self.bucket(name),
            None => self.objects(),
        }
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How long what is done here takes.
    pub(crate) fn actions(&self) -> &Arc<StorageActions> {
        &self.actions
    }

    /// The same, and of the object stores of each kind, by registry:2's name of the driver.
    pub(crate) fn all_actions(&self) -> Vec<(&'static str, Arc<StorageActions>)> {
        let own = [("filesystem", Arc::clone(&self.actions))];
        let asked = self.asked.iter();
        let asked = asked.map(|(driver, actions)| (*driver, Arc::clone(actions)));
        own.into_iter().chain(asked).collect()
    }

    /// Whether the file system answers.
    ///
    /// # Errors
    /// It says that it cannot.
    pub(crate) fn check_readable(&self) -> Result<(), Fault> {
        let _timed = self.actions.time(Action::Stat);
        if let Some(objects) = &self.objects {
            objects.probe()?;
        }
        fs::metadata(self.layout.root())
            .map(drop)
            .map_err(|error| Fault::io("looking at the data directory", error))
    }

    /// Free bytes of the file system that we may use.
    ///
    /// # Errors
    /// The file system does not answer.
    pub(crate) fn free_bytes(&self) -> Result<u64, Fault> {
        let space = statvfs(self.layout.root())
            .map_err(|error| Fault::io("asking for free space", error.into()))?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    /// How much room the file system has.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn room(&self) -> Result<Room, Fault> {
        let space = statvfs(self.layout.root())
            .map_err(|error| Fault::io("asking for free space", error.into()))?;
        Ok(Room {
            free_bytes: space.f_bavail.saturating_mul(space.f_frsize),
            total_bytes: space.f_blocks.saturating_mul(space.f_frsize),
            free_inodes: space.f_favail,
            total_inodes: space.f_files,
        })
    }

    /// How many damaged files are kept.
    pub(crate) fn quarantined(&self) -> usize {
        fs::read_dir(self.layout.quarantine()).map_or(0, Iterator::count)
    }

    /// Refuses to take more bytes when the file system is nearly full or failed.
    ///
    /// # Errors
    /// As said; both name what the operator should do.
    pub(crate) fn check_room(&self) -> Result<(), Fault> {
        self.check_healthy()?;
        let free_bytes = self.free_bytes()?;
        if free_bytes < self.free_bytes_min {
            return Err(Fault::plain(
                FaultKind::DiskFull,
                format!(
                    "{free_bytes} bytes are free, {} are kept for the database",
                    self.free_bytes_min
                ),
            ));
        }
        Ok(())
    }

    /// # Errors
    /// The device failed before.
    pub(crate) fn check_healthy(&self) -> Result<(), Fault> {
        self.health.check()
    }

    /// Takes note of a fault of the files.
    fn note(&self, fault: Fault) -> Fault {
        self.health.note(fault)
    }

    /// Whether a small file can be written and removed again, for `/readyz`.
    ///
    /// # Errors
    /// The file system refused.
    pub(crate) fn probe(&self) -> Result<(), Fault> {
        self.check_healthy()?;
        if let Some(objects) = &self.objects {
            objects.probe()?;
        }
        let path = self.layout.scratch().join("probe");
        // Two probes at once are one file, which one of them removes.
        let remove = || match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        fs::write(&path, b"ready")
            .and_then(|()| remove())
            .map_err(|error| Fault::io("writing a probe file", error))
    }

    /// Gives the reserve back to the file system, so that a delete can be recorded on a full disk.
    pub(crate) fn release_reserve(&self) {
        if let Err(error) = OpenOptions::new()
            .write(true)
            .open(self.layout.reserve())
            .and_then(|file| file.set_len(0))
        {
            tracing::warn!(%error, "the reserve could not be released");
        }
    }

    /// Lets nobody but our own user read the database, its log included, which SQLite makes like it.
    ///
    /// # Errors
    /// The file system does not let us.
    pub(crate) fn hide_database(&self) -> Result<(), Fault> {
        let database = self.layout.database();
        for end in ["", "-wal"] {
            let mut path = database.clone().into_os_string();
            path.push(end);
            let hidden = fs::set_permissions(&path, Permissions::from_mode(0o600));
            match hidden {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                hidden => hidden.map_err(|error| Fault::io("hiding the database", error))?,
            }
        }
        Ok(())
    }

    /// Marks the directory as one into which a backup is being restored: nobody else opens it.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn mark_restoring(&self) -> Result<(), Fault> {
        File::create(self.layout.restoring())
            .and_then(|file| file.sync_all())
            .and_then(|()| sync_directory(&self.layout.own()))
            .map_err(|error| Fault::io("beginning to restore", error))
    }

    /// The backup is restored, and may be served.
    ///
    /// # Errors
    /// The mark cannot be removed.
    pub(crate) fn end_restoring(&self) -> Result<(), Fault> {
        sync_directory(&self.layout.blobs())
            .and_then(|()| fs::remove_file(self.layout.restoring()))
            .and_then(|()| sync_directory(&self.layout.own()))
            .map_err(|error| Fault::io("ending to restore", error))
    }

    /// Takes the reserve again, if there is room for it.
    pub(crate) fn refill_reserve(&self) {
        let fill = || -> io::Result<()> {
            if self
                .free_bytes()
                .is_ok_and(|free_bytes| free_bytes < 4 * RESERVE_BYTES)
            {
                return Ok(());
            }
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(self.layout.reserve())?;
            if file.metadata()?.len() < RESERVE_BYTES {
                fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES)?;
            }
            Ok(())
        };
        if let Err(error) = fill() {
            tracing::warn!(%error, "no space could be held back for the database");
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Closing is not enough: a child that is being started may have the descriptor for a moment.
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

fn take_lock(layout: &Layout) -> Result<File, OpenError> {
    let path = layout.lock();
    let doing = || format!("locking {}", path.display());
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|error| Fault::io(doing(), error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let holder = match holder.trim() {
                "" => "unknown".to_owned(),
                id => id.to_owned(),
            };
            return Err(OpenError::InUse {
                root: layout.root().display().to_string(),
                holder,
            });
        }
        Err(error) => return Err(Fault::io(doing(), error.into()).into()),
    }
    // Only for the message above, so a full disk is no reason not to start.
    let _ = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(file)
}

/// A path without symbolic links, as far as it exists.
pub(crate) fn real_path(path: &Path) -> PathBuf {
    for (depth, existing) in path.ancestors().enumerate() {
        if let Ok(real) = existing.canonicalize() {
            let rest = path.components().count().saturating_sub(depth);
            return path
                .components()
                .skip(rest)
                .fold(real, |real, name| real.join(name));
        }
    }
    path.to_owned()
}

/// How long a file is.
///
/// # Errors
/// It cannot be looked at.
pub(crate) fn length(path: &Path) -> Result<u64, Fault> {
    fs::metadata(path)
        .map(|metadata| metadata.len())
        .map_err(|error| Fault::io(format!("looking at {}", path.display()), error))
}

/// Whether a directory is empty, or is not there.
///
/// # Errors
/// It cannot be read.
pub(crate) fn is_vacant(directory: &Path) -> Result<bool, Fault> {
    match fs::read_dir(directory) {
        Ok(entries) => Ok(pool::is_empty(entries)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(Fault::io(
            format!("looking at {}", directory.display()),
            error,
        )),
    }
}

/// Removes what a restoration made in a directory that was empty.
pub(crate) fn vacate(root: &Path) {
    for made in ["docker", "layerhouse"] {
        let _ = fs::remove_dir_all(root.join(made));
    }
}

fn empty(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "an unknown entry was left alone");
        }
    }
    Ok(())
}

/// Makes a directory and its parents, and makes each new one durable in its parent.
fn make_directories(path: &Path) -> io::Result<()> {
    let made = match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_directories(path.parent().ok_or(error)?)?;
            fs::create_dir(path)
        }
        made => made,
    };
    match made {
        Ok(()) => path.parent().map_or(Ok(()), sync_directory),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes the directories that blobs are spread over, so that publishing never makes one that another
/// publication then takes for durable.
fn make_prefixes(layout: &Layout) -> io::Result<()> {
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let directory = layout.blobs().join(algorithm.name());
        make_directories(&directory)?;
        let mut is_new = false;
        for prefix in 0..=u8::MAX {
            match fs::create_dir(directory.join(format!("{prefix:02x}"))) {
                Ok(()) => is_new = true,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        if is_new {
            sync_directory(&directory)?;
        }
    }
    Ok(())
}

/// Without this a power cut can undo a link or a new directory although its content was synced.
fn sync_directory(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    File::open(path)?.sync_all()
}
