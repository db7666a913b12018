//! Files that an operator may change under a running server: read again when they do, and kept as they
//! were when the new ones are wrong.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::clock::{Clock, Timestamp};

/// A file is looked at again after this long, and not before.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Largest file: 100,000 users at 100 bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Reads the contents of the files, in their order; the error is for the operator.
type Parse<T> = fn(&[Vec<u8>]) -> Result<T, String>;

/// What files say.
pub(crate) struct Watched<T> {
    paths: Vec<PathBuf>,
    parse: Parse<T>,
    clock: Clock,
    seen: Mutex<Seen>,
    current: ArcSwap<T>,
}

/// What was known of the files when they were last looked at.
struct Seen {
    checked_at: Timestamp,
    stamps: Vec<Option<Stamp>>,
}

/// Another content has another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified_ns: (i64, i64),
    changed_ns: (i64, i64),
}

impl<T: Send + Sync + 'static> Watched<T> {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// One cannot be read, or `parse` refuses them.
    pub(crate) fn open(
        paths: Vec<PathBuf>,
        parse: Parse<T>,
        clock: &Clock,
    ) -> Result<Self, String> {
        let stamps = stamps(&paths);
        let value = read(&paths, parse)?;
        Ok(Self {
            paths,
            parse,
            clock: clock.clone(),
            seen: Mutex::new(Seen {
                checked_at: clock.now(),
                stamps,
            }),
            current: ArcSwap::from_pointee(value),
        })
    }

    /// What the files say by now, or did up to a second ago.
    pub(crate) async fn current(self: &Arc<Self>) -> Arc<T> {
        if self.is_due() {
            let this = Arc::clone(self);
            // A disk that hangs must not hold the thread that serves others.
            let _ = tokio::task::spawn_blocking(move || this.refresh()).await;
        }
        self.current.load_full()
    }

    /// Whether it is this caller's turn to look.
    fn is_due(&self) -> bool {
        let now = self.clock.now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back must not stop the looking.
        let is_due = now < seen.checked_at || CHECK_EVERY <= now.since(seen.checked_at);
        if is_due {
            seen.checked_at = now;
        }
        is_due
    }

    fn refresh(&self) {
        // Before the read: what is written during it is another content the next time.
        let stamps = stamps(&self.paths);
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.stamps == stamps {
                return;
            }
            seen.stamps = stamps;
        }
        let files: Vec<_> = self.paths.iter().map(|path| path.display()).collect();
        match read(&self.paths, self.parse) {
            Ok(value) => {
                self.current.store(Arc::new(value));
                tracing::info!(?files, "read again");
            }
            Err(error) => {
                tracing::warn!(?files, %error, "the changed file is wrong; what it said before counts");
            }
        }
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |path: &PathBuf| {
        let metadata = fs::metadata(path).ok()?;
        Some(Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size_bytes: metadata.size(),
            modified_ns: (metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: (metadata.ctime(), metadata.ctime_nsec()),
        })
    };
    paths.iter().map(stamp).collect()
}

fn read<T>(paths: &[PathBuf], parse: Parse<T>) -> Result<T, String> {
    let read = |path: &PathBuf| -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        let file = fs::File::open(path)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content)?;
        if FILE_BYTES_MAX < content.len() as u64 {
            return Err(io::Error::other("it is larger than 16 MiB"));
        }
        Ok(content)
    };
    let mut contents = Vec::new();
    for path in paths {
        contents.push(read(path).map_err(|error| format!("{}: {error}", path.display()))?);
    }
    parse(&contents).map_err(|problem| {
        let paths: Vec<_> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        format!("{}: {problem}", paths.join(", "))
    })
}
