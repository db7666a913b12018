//! Whether a configuration's file is another one than before.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// A file, and how it was when it was looked at last.
#[derive(Clone, Debug)]
pub struct Watch {
    path: PathBuf,
    seen: Option<Stamp>,
    /// It was another one at the last look, and may be in the middle of being written.
    is_fresh: bool,
}

/// Device, inode, time of the last change, size. Symbolic links are followed, so the links that
/// Kubernetes turns when a ConfigMap changes give another inode.
type Stamp = (u64, u64, i64, i64, u64);

impl Watch {
    /// Looks at a file for the first time.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let mut watch = Self {
            path,
            seen: None,
            is_fresh: false,
        };
        watch.accept();
        watch
    }

    /// Takes it as it is now, for whoever reads it in any case.
    pub fn accept(&mut self) {
        self.has_changed();
        self.is_fresh = false;
    }

    /// Whether it became another one, and was the same at two looks since: an editor that writes in
    /// place leaves it half written for a moment. One that is gone for now has not changed.
    pub fn has_changed(&mut self) -> bool {
        let Ok(found) = fs::metadata(&self.path) else {
            return false;
        };
        let (changed, nanoseconds) = (found.mtime(), found.mtime_nsec());
        let stamp = (found.dev(), found.ino(), changed, nanoseconds, found.size());
        if self.seen.replace(stamp) != Some(stamp) {
            self.is_fresh = true;
            return false;
        }
        std::mem::take(&mut self.is_fresh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_takes_its_place_is_seen() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let path = directory.path().join("config.yml");
        let write = |text: &str| {
            let new = directory.path().join("new");
            fs::write(&new, text).expect("it can be written");
            fs::rename(&new, &path).expect("it can be renamed");
        };
        write("a");
        let mut watch = Watch::new(path.clone());
        assert!(!watch.has_changed());
        write("ab");
        assert!(!watch.has_changed());
        assert!(watch.has_changed());
        assert!(!watch.has_changed());
        write("abc");
        assert!(!watch.has_changed());
        write("abcd");
        assert!(!watch.has_changed());
        assert!(watch.has_changed());
        fs::remove_file(&path).expect("it is there");
        assert!(!watch.has_changed());
        write("abcde");
        assert!(!watch.has_changed());
        assert!(watch.has_changed());
    }
}
