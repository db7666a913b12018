//! Files that an operator may change under a running server: read again when they do, and kept as they
//! were when the new ones are wrong.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// Someone reads: nobody else does until they are done, however long the disk takes, so that what
    /// was read earlier never takes the place of what was read later.
    is_refreshing: AtomicBool,
    current: ArcSwap<T>,
}

/// What was known of the files when they were last looked at.
struct Seen {
    checked_at: Timestamp,
    stamps: Vec<Option<Stamp>>,
    /// Why the last look failed, if it did, so that it is said once.
    fault: Option<String>,
}

/// Why files say nothing.
enum Fault {
    /// They cannot be read now: open files may have run out. Tried again though nothing changed.
    Unread(String),
    Wrong(String),
}

/// Says at its end that nobody reads any more, panic or not.
struct Refreshing<'a>(&'a AtomicBool);

impl Drop for Refreshing<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
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
        let value = read(&paths, parse).map_err(|fault| match fault {
            Fault::Unread(error) | Fault::Wrong(error) => error,
        })?;
        Ok(Self {
            paths,
            parse,
            clock: clock.clone(),
            seen: Mutex::new(Seen {
                checked_at: clock.now(),
                stamps,
                fault: None,
            }),
            is_refreshing: AtomicBool::new(false),
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

    /// Whether it is this caller's turn to look; then nobody else does until [`Self::refresh`] is done.
    fn is_due(&self) -> bool {
        let now = self.clock.now();
        let mut seen = self.seen();
        // A clock that was set back must not stop the looking.
        let is_due = now < seen.checked_at || CHECK_EVERY <= now.since(seen.checked_at);
        if !is_due || self.is_refreshing.swap(true, Ordering::Acquire) {
            return false;
        }
        seen.checked_at = now;
        true
    }

    fn refresh(&self) {
        let _refreshing = Refreshing(&self.is_refreshing);
        // Before the read: what is written during it is another content the next time.
        let stamps = stamps(&self.paths);
        if self.seen().stamps == stamps {
            return;
        }
        let result = read(&self.paths, self.parse);
        let files: Vec<_> = self.paths.iter().map(|path| path.display()).collect();
        let mut seen = self.seen();
        match result {
            Ok(value) => {
                self.current.store(Arc::new(value));
                seen.stamps = stamps;
                seen.fault = None;
                tracing::info!(?files, "read again");
            }
            Err(Fault::Wrong(error)) => {
                seen.stamps = stamps;
                tracing::warn!(?files, %error, "the changed file is wrong; what it said before counts");
                seen.fault = Some(error);
            }
            // The stamps are still those of what counts: the next look reads again.
            Err(Fault::Unread(error)) => {
                if seen.fault.as_ref() != Some(&error) {
                    tracing::warn!(?files, %error, "the changed file cannot be read; what it said before counts");
                    seen.fault = Some(error);
                }
            }
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
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

fn read<T>(paths: &[PathBuf], parse: Parse<T>) -> Result<T, Fault> {
    let read = |path: &PathBuf| -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        let file = fs::File::open(path)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content)?;
        if FILE_BYTES_MAX < content.len() as u64 {
            let problem = "it is larger than 16 MiB";
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
        }
        Ok(content)
    };
    let mut contents = Vec::new();
    for path in paths {
        let fault = |error: io::Error| {
            let text = format!("{}: {error}", path.display());
            if error.kind() == io::ErrorKind::FileTooLarge {
                Fault::Wrong(text)
            } else {
                Fault::Unread(text)
            }
        };
        contents.push(read(path).map_err(fault)?);
    }
    parse(&contents).map_err(|problem| {
        let paths: Vec<_> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        Fault::Wrong(format!("{}: {problem}", paths.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(path: &std::path::Path, clock: &Clock) -> Arc<Watched<String>> {
        let parse =
            |files: &[Vec<u8>]| String::from_utf8(files[0].clone()).map_err(|_| String::new());
        Arc::new(Watched::open(vec![path.to_owned()], parse, clock).expect("a file"))
    }

    #[tokio::test]
    async fn what_could_not_be_read_is_tried_again() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("file");
        fs::write(&path, "one").expect("written");
        let clock = Clock::manual(Timestamp(1_000_000));
        let watched = watched(&path, &clock);
        // What stands there can be looked at and not be read, and looks the same when it could be.
        fs::write(&path, "other").expect("written");
        let stamps = stamps(&watched.paths);
        let result: Result<String, _> = read(&[directory.path().to_owned()], watched.parse);
        assert!(matches!(result, Err(Fault::Unread(_))));
        fs::rename(&path, directory.path().join("aside")).expect("renamed");
        fs::create_dir(&path).expect("a directory");
        for _ in 0..2 {
            clock.advance(CHECK_EVERY);
            assert_eq!(*watched.current().await, "one");
            assert_ne!(watched.seen().stamps, super::stamps(&watched.paths));
            assert_ne!(watched.seen().stamps, stamps);
        }
        fs::remove_dir(&path).expect("removed");
        fs::rename(directory.path().join("aside"), &path).expect("renamed");
        clock.advance(CHECK_EVERY);
        assert_eq!(*watched.current().await, "other");
        assert!(watched.seen().fault.is_none());
    }

    #[tokio::test]
    async fn one_reads_at_a_time() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("file");
        fs::write(&path, "one").expect("written");
        let clock = Clock::manual(Timestamp(1_000_000));
        let watched = watched(&path, &clock);
        clock.advance(CHECK_EVERY);
        assert!(watched.is_due());
        clock.advance(CHECK_EVERY);
        assert!(!watched.is_due(), "the disk of the first one hangs");
        watched.refresh();
        assert!(watched.is_due());
    }
}
