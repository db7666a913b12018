//! The operator's files about upstreams: authorities, and a `config.json` of Docker's.

use std::path::Path;

/// Longer files are neither.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A file's content.
///
/// # Errors
/// Why it cannot be read.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let file = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !file.is_file() {
        return Err("is no file".to_owned());
    }
    if FILE_BYTES_MAX < file.len() {
        return Err("has more than 4 MiB".to_owned());
    }
    std::fs::read(path).map_err(|error| error.to_string())
}
