//! Looking at backups without a registry: what there is, whether it is good, and removing the oldest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use layerhouse_oci::digest::{Algorithm, Digest};
use serde::Serialize;

use super::{BackupError, Description, Listed, describe};
use crate::blobs::pool::Pool;
use crate::fault::Fault;
use crate::meta::snapshot::Snapshot;

/// What a check of a directory of backups found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    pub backups: u64,
    /// Blobs of all of them, each hashed once.
    pub blobs: u64,
    pub bytes: u64,
    /// In words; nothing here means that each backup has all it needs.
    pub findings: Vec<String>,
}

/// What was removed with old backups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// Their names.
    pub removed: Vec<String>,
    pub kept: Vec<String>,
    /// Of blobs that no other backup names.
    pub blobs: u64,
    pub bytes: u64,
}

/// The backups of a directory, the oldest first.
///
/// # Errors
/// It is none.
pub fn backup_list(place: &Path) -> Result<Vec<Listed>, BackupError> {
    let pool = Pool::open(place)?;
    let listed = pool.snapshots().into_iter().map(|name| Listed {
        description: describe(&pool, &name),
        name,
    });
    Ok(listed.collect())
}

/// Hashes all that a directory of backups has, and compares with what each backup needs. Blobs that do not hash
/// to their digests are set aside, so that the next backup brings good ones.
///
/// # Errors
/// It is no directory of backups, or cannot be read.
pub fn backup_verify(place: &Path) -> Result<Verified, BackupError> {
    let pool = Pool::open(place)?;
    let mut verified = Verified::default();
    let mut bad = BTreeMap::new();
    pool.each_blob(|digest, size_bytes| {
        verified.blobs += 1;
        verified.bytes += size_bytes;
        let why = match Pool::hash(&pool.blob(digest), digest.algorithm()) {
            Ok(Some(actual)) if actual == *digest => return Ok(()),
            Ok(Some(_)) if pool.set_aside(digest) => {
                "does not hash to its digest, and was set aside: the next backup brings it again"
            }
            Ok(Some(_)) => "does not hash to its digest",
            Ok(None) => "is gone",
            Err(_) => "cannot be read",
        };
        bad.insert(digest.clone(), why);
        Ok(())
    })?;
    for name in pool.snapshots() {
        verified.backups += 1;
        if let Err(why) = check(&pool, &name, &bad, &mut verified.findings) {
            verified.findings.push(format!("backup {name}: {why}"));
        }
    }
    for (digest, why) in bad {
        verified.findings.push(format!("blob {digest} {why}"));
    }
    Ok(verified)
}

/// What one backup needs and is not there.
fn check(
    pool: &Pool,
    name: &str,
    bad: &BTreeMap<Digest, &'static str>,
    findings: &mut Vec<String>,
) -> Result<(), String> {
    let description = describe(pool, name)?;
    let snapshot = sound(pool, name, &description)?;
    let told: BTreeSet<&str> = description
        .missing
        .iter()
        .map(|missing| missing.digest.as_str())
        .collect();
    for missing in &description.missing {
        let (digest, why) = (&missing.digest, &missing.why);
        if digest.parse().is_ok_and(|digest| !is_there(pool, &digest)) {
            findings.push(format!(
                "backup {name} is incomplete: it never had blob {digest}: {why}"
            ));
        }
    }
    let mut blobs = 0;
    let counted = snapshot.each_blob(|digest, size_bytes| {
        blobs += 1;
        let is_good = pool.has(digest, size_bytes) && !bad.contains_key(digest);
        if !is_good && !told.contains(digest.as_str()) {
            findings.push(format!("backup {name} has lost blob {digest}"));
        }
        Ok::<_, Fault>(())
    });
    counted.map_err(|fault| fault.to_string())?;
    if blobs != description.blobs {
        return Err(format!(
            "its database names {blobs} blobs, its description {}",
            description.blobs
        ));
    }
    Ok(())
}

fn is_there(pool: &Pool, digest: &Digest) -> bool {
    matches!(Pool::hash(&pool.blob(digest), digest.algorithm()), Ok(Some(actual)) if actual == *digest)
}

/// The database of a backup, if it is what it was.
pub(super) fn sound(
    pool: &Pool,
    name: &str,
    description: &Description,
) -> Result<Snapshot, String> {
    let path = pool.database(name);
    let actual = Pool::hash(&path, Algorithm::Sha256).map_err(|fault| fault.to_string())?;
    let actual = actual.ok_or("its database is missing")?;
    if actual.as_str() != description.database_digest {
        return Err(
            "its database is damaged: it does not hash to what its description says".into(),
        );
    }
    let snapshot = Snapshot::open(&path).map_err(|fault| fault.to_string())?;
    let problems = snapshot.check().map_err(|fault| fault.to_string())?;
    match problems.first() {
        None => Ok(snapshot),
        Some(problem) => Err(format!("its database is damaged: {problem}")),
    }
}

/// Removes all backups but the newest `keep`, and the blobs that only they name. Blobs are removed only if every
/// backup that stays can be read.
///
/// # Errors
/// It is no directory of backups, another backup is being made, or one that stays cannot be read.
pub fn backup_prune(place: &Path, keep: usize) -> Result<Pruned, BackupError> {
    // Not to be made where there is none.
    drop(Pool::open(place)?);
    let pool = Pool::create(place)?;
    let names = pool.snapshots();
    let (old, kept) = names.split_at(names.len().saturating_sub(keep));
    let mut needed = BTreeSet::new();
    for name in kept {
        let unusable = |why: String| BackupError::Unusable {
            name: name.clone(),
            why: format!("{why}; nothing was removed"),
        };
        let description = describe(&pool, name).map_err(unusable)?;
        let snapshot = sound(&pool, name, &description).map_err(unusable)?;
        snapshot.each_blob(|digest, _| {
            needed.insert(digest.clone());
            Ok::<_, Fault>(())
        })?;
    }
    let mut pruned = Pruned {
        kept: kept.to_vec(),
        ..Pruned::default()
    };
    for name in old {
        pool.remove_snapshot(name)?;
        pruned.removed.push(name.clone());
    }
    let mut unneeded = Vec::new();
    pool.each_blob(|digest, size_bytes| {
        if !needed.contains(digest) {
            unneeded.push((digest.clone(), size_bytes));
        }
        Ok(())
    })?;
    for (digest, size_bytes) in unneeded {
        pool.remove_blob(&digest)?;
        pruned.blobs += 1;
        pruned.bytes += size_bytes;
    }
    Ok(pruned)
}
