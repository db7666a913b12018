//! Directories for servers, and what is in them, to be compared with what was there before.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use tempfile::TempDir;

/// A directory in memory where there is one: where a test is of neither the disk nor power, syncing to a
/// disk proves nothing and takes most of the time.
pub(crate) fn quick_directory() -> TempDir {
    TempDir::new_in("/dev/shm")
        .or_else(|_| TempDir::new())
        .expect("a temporary directory")
}

/// Every file below a directory and what is in it, without those of some names. In a socket is nothing.
pub(crate) fn tree(directory: &Path, without: &[&str]) -> BTreeMap<String, Vec<u8>> {
    fn walk(top: &Path, at: &Path, without: &[&str], found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(at).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            let name = path
                .strip_prefix(top)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            if without.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                found.insert(format!("{name}/"), Vec::new());
                walk(top, &path, without, found);
            } else if entry.file_type().unwrap().is_socket() {
                found.insert(name, Vec::new());
            } else {
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(directory, directory, without, &mut found);
    found
}
