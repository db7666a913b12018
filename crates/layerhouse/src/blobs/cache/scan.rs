//! What an earlier process left in the directory of a cache.

use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use layerhouse_oci::digest::{Algorithm, Digest};

/// Where files are while they are filled.
pub(super) const FRESH: &str = "fresh";

/// The files with their lengths, the least recently used first, as far as the file system tells: most move the time of
/// the last read once a day.
pub(super) fn files(directory: &Path) -> io::Result<Vec<(Digest, u64)>> {
    let mut found = Vec::new();
    for algorithm in Algorithm::ALL {
        for prefix in entries(&directory.join(algorithm.name()))? {
            for entry in entries(&prefix.path())? {
                let name = format!(
                    "{}:{}",
                    algorithm.name(),
                    entry.file_name().to_string_lossy()
                );
                let metadata = entry.metadata()?;
                let (Ok(digest), true) = (name.parse::<Digest>(), metadata.is_file()) else {
                    let path = entry.path();
                    tracing::warn!(path = %path.display(), "an unknown entry was left alone");
                    continue;
                };
                let read = (metadata.atime(), metadata.atime_nsec());
                let written = (metadata.mtime(), metadata.mtime_nsec());
                found.push((read.max(written), digest, metadata.len()));
            }
        }
    }
    found.sort_unstable();
    let files = found.into_iter().map(|(_, digest, size)| (digest, size));
    Ok(files.collect())
}

/// None where there is no directory.
fn entries(directory: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.collect(),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}
