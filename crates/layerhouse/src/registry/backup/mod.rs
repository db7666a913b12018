//! Backups: all that is acknowledged at one moment, in another directory, made while clients push and pull.
//!
//! A directory of backups has each blob once and a small snapshot for each backup: a copy of the database, which
//! names the blobs, and a description. Bytes are held on the disk, then the database is copied, then what the
//! copy names is brought: so every blob of the copy is there. The snapshot gets its name last.

pub(crate) mod check;
pub(crate) mod create;
pub(crate) mod restore;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::blobs::pool::{Pool, PoolError};
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};

/// The form of descriptions and of the directory.
const FORMAT: u32 = 1;

/// A blob that a backup lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// What it is called.
    pub digest: String,
    /// Why it is not there.
    pub why: String,
}

/// What is written of a backup beside its database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Of this description; another one is refused.
    pub format: u32,
    /// The release that made it.
    pub layerhouse: String,
    /// The moment that it is of, as RFC 3339 has it.
    pub taken_at: String,
    /// Bytes of the copy of the database…
    pub database_bytes: u64,
    /// …and what they hash to, as a digest.
    pub database_digest: String,
    /// How much it holds.
    pub repositories: u64,
    pub manifests: u64,
    pub tags: u64,
    pub blobs: u64,
    pub bytes: u64,
    /// What no backup before it in the directory had.
    pub new_blobs: u64,
    pub new_bytes: u64,
    /// Blobs that it names and that could not be brought: with any, it is incomplete.
    pub missing: Vec<Missing>,
}

/// One backup of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// What it is called, in the order of time.
    pub name: String,
    /// What is written of it; an error says why that cannot be read.
    pub description: Result<Description, String>,
}

/// Why nothing came of a backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{0} is inside the data directory; a disk that fails would take both")]
    Inside(String),
    #[error("{0} contains the data directory; name a directory of its own")]
    Around(String),
    #[error("{0}")]
    Place(String),
    #[error(
        "there is no room in {place} for the backup, and what was copied was removed again: {fault}"
    )]
    NoRoom { place: String, fault: Fault },
    #[error("there is no backup {0}; `layerhouse backup list` names them")]
    NoSuchBackup(String),
    #[error("{0} is no time; write 2027-01-15, 2027-01-15T08:00 or 2027-01-15T08:00:00Z")]
    NoTime(String),
    #[error("the backup {name} cannot be used: {why}")]
    Unusable { name: String, why: String },
    #[error("{0} is not empty; a backup is restored into a directory that is, or into a new one")]
    NotEmpty(String),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<PoolError> for BackupError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Fault(fault) => Self::Fault(fault),
            PoolError::Foreign(_) | PoolError::Absent(_) | PoolError::InUse(_) => {
                Self::Place(error.to_string())
            }
        }
    }
}

/// What a backup of this moment is called: names stand in the order of time, and every file system takes them.
fn name_of(now: Timestamp) -> String {
    let second = now.second().rfc3339().unwrap_or_else(|| now.0.to_string());
    let milliseconds = now.0.rem_euclid(1000);
    let second = second.trim_end_matches('Z').replace(':', "-");
    format!("{second}.{milliseconds:03}Z")
}

/// The newest of these names that is not newer than `at`: a day, a minute or a second is meant whole.
fn newest_at<'a>(names: &'a [String], at: Option<&str>) -> Result<&'a str, BackupError> {
    let Some(at) = at else {
        let newest = names.last().map(String::as_str);
        return newest.ok_or_else(|| BackupError::NoSuchBackup("yet".to_owned()));
    };
    let is_time = |byte: u8| byte.is_ascii_digit() || b"-T:.Z".contains(&byte);
    if at.len() < 4 || !at.bytes().all(is_time) {
        return Err(BackupError::NoTime(at.to_owned()));
    }
    let wanted = at.trim_end_matches('Z').replace(':', "-");
    let is_not_newer = |name: &&String| {
        // Bytes: somebody may have put a name of their own among them.
        let shown = name.trim_end_matches('Z').as_bytes();
        shown[..shown.len().min(wanted.len())] <= *wanted.as_bytes()
    };
    let found = names.iter().rev().find(is_not_newer);
    found
        .map(String::as_str)
        .ok_or_else(|| BackupError::NoSuchBackup(format!("of {at} or before")))
}

fn describe(pool: &Pool, name: &str) -> Result<Description, String> {
    let text = pool.description(name).map_err(|fault| fault.to_string())?;
    let description: Description =
        serde_json::from_str(&text).map_err(|error| format!("its description: {error}"))?;
    if description.format != FORMAT {
        let format = description.format;
        return Err(format!(
            "it is of format {format}, this release knows {FORMAT}"
        ));
    }
    Ok(description)
}

/// Refuses directories of which one is in the other.
fn part(place: &Path, root: &Path) -> Result<(), BackupError> {
    let (real, real_root) = (
        crate::blobs::real_path(place),
        crate::blobs::real_path(root),
    );
    let shown = || place.display().to_string();
    if real.starts_with(&real_root) {
        return Err(BackupError::Inside(shown()));
    }
    if real_root.starts_with(&real) {
        return Err(BackupError::Around(shown()));
    }
    Ok(())
}

fn no_room(place: &Path, fault: Fault) -> BackupError {
    if fault.kind() == FaultKind::DiskFull {
        let place = place.display().to_string();
        return BackupError::NoRoom { place, fault };
    }
    BackupError::Fault(fault)
}

/// A path as others see it, wherever they stand.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_the_order_of_time() {
        let first = name_of(Timestamp(1_800_000_000_000));
        assert_eq!(first, "2027-01-15T08-00-00.000Z");
        assert!(first < name_of(Timestamp(1_800_000_000_070)));
        assert!(name_of(Timestamp(1_800_000_000_999)) < name_of(Timestamp(1_800_000_001_000)));
    }

    #[test]
    fn times_name_the_newest_that_is_not_newer() {
        let names: Vec<String> = [0, 500, 3_600_000, 86_400_000]
            .map(|later| name_of(Timestamp(1_800_000_000_000 + later)))
            .to_vec();
        let check = |at: Option<&str>, expected: Option<usize>| {
            let found = newest_at(&names, at).ok();
            assert_eq!(found, expected.map(|at| &*names[at]), "{at:?}");
        };
        check(None, Some(3));
        check(Some("2027-01-15"), Some(2));
        check(Some("2027-01-15T08"), Some(1));
        check(Some("2027-01-15T08:00:00Z"), Some(1));
        check(Some("2027-01-15T08:00:00.000Z"), Some(0));
        check(Some("2027-01-15T08-00-00.000Z"), Some(0));
        check(Some("2027-01-15T08:59:59Z"), Some(1));
        check(Some("2028"), Some(3));
        check(Some("2027-01-14"), None);
        check(Some("yesterday"), None);
        check(Some(""), None);
        // Somebody's own, which is no time: cut in the middle of a letter it would be no text.
        let with_own = [names[0].clone(), "abcä".to_owned()];
        let found = newest_at(&with_own, Some("2027")).expect("one is of then");
        assert_eq!(found, names[0]);
    }
}
