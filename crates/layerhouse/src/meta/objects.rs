//! Which blobs are objects of a store, and which objects are to go.

use layerhouse_oci::digest::Digest;

use super::limit;
use super::transaction::Transaction;
use crate::clock::Timestamp;
use crate::fault::Fault;

/// What the keys of objects in buckets with names begin with; and what follows them all, in the order of bytes.
const NAMED: &str = "//";
const BEHIND_NAMED: &str = "/0";

/// The key of the object that a blob is; `None` if there is no such blob, or it is a file.
pub(crate) fn key(tx: &Transaction<'_>, digest: &Digest) -> Result<Option<String>, Fault> {
    let found = tx.query_one(
        "SELECT object_key FROM blobs WHERE digest = $1",
        &[digest.as_str().into()],
        |row| row.optional_text(0),
    )?;
    Ok(found.flatten())
}

/// The blob that was just recorded is this object, or a file; `is_new` if it was not there before. As [`put`].
pub(crate) fn settle(
    tx: &Transaction<'_>,
    digest: &Digest,
    key: Option<&str>,
    (is_new, due): (bool, Timestamp),
) -> Result<(), Fault> {
    match key {
        _ if !is_new => put(tx, digest, key, due),
        Some(key) => point(tx, digest, key, due),
        None => Ok(()),
    }
}

/// The bytes of a blob that was there before are in this object from now on, or in its file. What they were in is removed
/// when it is `due`, or, a file, by the next collection.
pub(crate) fn put(
    tx: &Transaction<'_>,
    digest: &Digest,
    key: Option<&str>,
    due: Timestamp,
) -> Result<(), Fault> {
    let Some(key) = key else {
        let values = [digest.as_str().into(), due.0.into()];
        tx.run(
            "INSERT INTO object_removals (object_key, due_at)
             SELECT object_key, $2 FROM blobs WHERE digest = $1 AND object_key IS NOT NULL
             ON CONFLICT (object_key) DO NOTHING",
            &values,
        )?;
        return tx.run(
            "UPDATE blobs SET object_key = NULL WHERE digest = $1 AND object_key IS NOT NULL",
            &values[..1],
        );
    };
    tx.run(
        "INSERT INTO removals (digest) SELECT digest FROM blobs WHERE digest = $1 AND object_key IS NULL
         ON CONFLICT DO NOTHING",
        &[digest.as_str().into()],
    )?;
    point(tx, digest, key, due)
}

/// The blob is this object from now on. What it was before is removed when it is `due`, for somebody may
/// read it still. The caller saw that there is a row.
pub(crate) fn point(
    tx: &Transaction<'_>,
    digest: &Digest,
    key: &str,
    due: Timestamp,
) -> Result<(), Fault> {
    let values = [digest.as_str().into(), key.into(), due.0.into()];
    tx.run(
        "INSERT INTO object_removals (object_key, due_at)
         SELECT object_key, $3 FROM blobs
         WHERE digest = $1 AND object_key IS NOT NULL AND object_key <> $2
         ON CONFLICT (object_key) DO NOTHING",
        &values,
    )?;
    tx.run(
        "UPDATE blobs SET object_key = $2 WHERE digest = $1",
        &values[..2],
    )?;
    // It may have been given up before what was tried then came true after all.
    tx.run(
        "DELETE FROM object_removals WHERE object_key = $1",
        &[key.into()],
    )
}

/// The object that the blob was is not there, or not what it should be; whether it was the blob's still.
/// What there is of it is removed when it is `due`.
pub(crate) fn withdraw(
    tx: &Transaction<'_>,
    digest: &Digest,
    key: &str,
    (now, due): (Timestamp, Timestamp),
) -> Result<bool, Fault> {
    // Damaged in the same moment: without a key and good it would be a file.
    let rows = tx.execute(
        "UPDATE blobs SET object_key = NULL, damaged_at = $3 WHERE digest = $1 AND object_key = $2",
        &[digest.as_str().into(), key.into(), now.0.into()],
    )?;
    if rows == 1 {
        remove_later(tx, key, due)?;
    }
    Ok(rows == 1)
}

/// The object of a blob whose row goes in this transaction is to go, too.
pub(super) fn remove_with(tx: &Transaction<'_>, digest: &Digest) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO object_removals (object_key, due_at)
         SELECT object_key, 0 FROM blobs WHERE digest = $1 AND object_key IS NOT NULL
         ON CONFLICT (object_key) DO NOTHING",
        &[digest.as_str().into()],
    )
}

/// An object is to go when it is `due`.
pub(crate) fn remove_later(tx: &Transaction<'_>, key: &str, due: Timestamp) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO object_removals (object_key, due_at) VALUES ($1, $2)
         ON CONFLICT (object_key) DO NOTHING",
        &[key.into(), due.0.into()],
    )
}

/// Objects of the bucket of this name, or of the one without, that are to go by now; at most so many.
pub(crate) fn due(
    tx: &Transaction<'_>,
    bucket: Option<&str>,
    now: Timestamp,
    rows: usize,
) -> Result<Vec<String>, Fault> {
    let Some(bucket) = bucket else {
        return tx.query(
            "SELECT object_key FROM object_removals
             WHERE due_at <= $1 AND (object_key < $2 OR object_key >= $3) ORDER BY object_key LIMIT $4",
            &[
                now.0.into(),
                NAMED.into(),
                BEHIND_NAMED.into(),
                limit(rows),
            ],
            |row| row.text(0),
        );
    };
    let (first, behind) = keys_of(bucket);
    tx.query(
        "SELECT object_key FROM object_removals
         WHERE due_at <= $1 AND object_key >= $2 AND object_key < $3 ORDER BY object_key LIMIT $4",
        &[
            now.0.into(),
            first.as_str().into(),
            behind.as_str().into(),
            limit(rows),
        ],
        |row| row.text(0),
    )
}

/// The first key that a bucket of this name could have, and what follows all of its keys.
fn keys_of(bucket: &str) -> (String, String) {
    (format!("{NAMED}{bucket}/"), format!("{NAMED}{bucket}0"))
}

/// An object is gone.
pub(crate) fn end_removal(tx: &Transaction<'_>, key: &str) -> Result<(), Fault> {
    tx.run(
        "DELETE FROM object_removals WHERE object_key = $1",
        &[key.into()],
    )
}

/// Has an object removed when it is `due` that no row knows; unless one does by now, or the upload that writes it is open.
pub(crate) fn remove_left_over(
    tx: &Transaction<'_>,
    key: &str,
    due: Timestamp,
) -> Result<(), Fault> {
    let name = key.rsplit('/').next().unwrap_or(key);
    let (upload, _) = name.split_once('.').unwrap_or((name, ""));
    let is_open = tx.exists("SELECT 1 FROM uploads WHERE id = $1", &[upload.into()])?;
    if is_open || is_accounted(tx, key)? {
        return Ok(());
    }
    remove_later(tx, key, due)
}

/// Whether a blob is this object, or it is to go.
pub(crate) fn is_accounted(tx: &Transaction<'_>, key: &str) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM blobs WHERE object_key = $1
         UNION ALL SELECT 1 FROM object_removals WHERE object_key = $1",
        &[key.into()],
    )
}

/// The id that stands in the bucket of this database; `None` while it has none.
pub(crate) fn bucket(tx: &Transaction<'_>) -> Result<Option<String>, Fault> {
    tx.query_one("SELECT id FROM buckets", &[], |row| row.text(0))
}

/// From now on this database has a bucket with an id; `new`, unless it has one already.
pub(crate) fn give_bucket(tx: &Transaction<'_>, new: &str) -> Result<String, Fault> {
    if let Some(id) = bucket(tx)? {
        return Ok(id);
    }
    tx.run("INSERT INTO buckets (id) VALUES ($1)", &[new.into()])?;
    Ok(new.to_owned())
}

/// When the objects of the bucket were listed last.
pub(crate) fn listed_at(tx: &Transaction<'_>) -> Result<Option<Timestamp>, Fault> {
    let found = tx.query_one("SELECT listed_at FROM buckets", &[], |row| {
        row.optional_int(0)
    })?;
    Ok(found.flatten().map(Timestamp))
}

/// They were listed then.
pub(crate) fn set_listed_at(tx: &Transaction<'_>, now: Timestamp) -> Result<(), Fault> {
    tx.run("UPDATE buckets SET listed_at = $1", &[now.0.into()])
}

/// Blobs that are files, and good as far as is known; so many of them at most.
pub(crate) fn files(tx: &Transaction<'_>, rows: usize) -> Result<Vec<Digest>, Fault> {
    tx.query(
        "SELECT digest FROM blobs WHERE object_key IS NULL AND damaged_at IS NULL LIMIT $1",
        &[limit(rows)],
        |row| row.parsed(0),
    )
}

/// Whether any blob is an object of the bucket of this name, or of the one without.
pub(crate) fn has_any_in(tx: &Transaction<'_>, name: Option<&str>) -> Result<bool, Fault> {
    let Some(name) = name else {
        return tx.exists(
            "SELECT 1 FROM blobs WHERE object_key < $1 OR object_key >= $2 LIMIT 1",
            &[NAMED.into(), BEHIND_NAMED.into()],
        );
    };
    let (first, behind) = keys_of(name);
    tx.exists(
        "SELECT 1 FROM blobs WHERE object_key >= $1 AND object_key < $2 LIMIT 1",
        &[first.as_str().into(), behind.as_str().into()],
    )
}

/// The names of the buckets that have objects which are blobs.
pub(crate) fn bucket_names(tx: &Transaction<'_>) -> Result<Vec<String>, Fault> {
    let mut names = Vec::new();
    let mut first = NAMED.to_owned();
    loop {
        let found = tx.query_one(
            "SELECT object_key FROM blobs WHERE object_key >= $1 AND object_key < $2 ORDER BY object_key LIMIT 1",
            &[first.as_str().into(), BEHIND_NAMED.into()],
            |row| row.text(0),
        )?;
        let Some(key) = found else {
            return Ok(names);
        };
        let name = key[NAMED.len()..].split('/').next().unwrap_or_default();
        first = keys_of(name).1;
        names.push(name.to_owned());
    }
}

/// Whether there is such a blob, good as far as is known, and it is this object, or a file.
pub(crate) fn is_sound_at(
    tx: &Transaction<'_>,
    digest: &Digest,
    key: Option<&str>,
) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM blobs
         WHERE digest = $1 AND damaged_at IS NULL AND COALESCE(object_key, '') = $2",
        &[digest.as_str().into(), key.unwrap_or_default().into()],
    )
}

/// A blob and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) digest: Digest,
    pub(crate) size_bytes: u64,
    /// `None` for a file.
    pub(crate) object_key: Option<String>,
    pub(crate) repository: String,
}

/// Blobs that are good as far as is known, behind `after` in the order of their digests: `blobs` of them at most, each
/// once for every repository that has it. Those that none has are left out.
pub(crate) fn located(
    tx: &Transaction<'_>,
    after: &str,
    blobs: usize,
) -> Result<Vec<Located>, Fault> {
    tx.query(
        "SELECT blobs.digest, blobs.size, blobs.object_key, repositories.name
         FROM (SELECT digest, size, object_key FROM blobs
               WHERE digest > $1 AND damaged_at IS NULL ORDER BY digest LIMIT $2) AS blobs
         JOIN repository_blobs ON repository_blobs.digest = blobs.digest
         JOIN repositories ON repositories.id = repository_blobs.repository_id
         ORDER BY blobs.digest, repositories.name",
        &[after.into(), limit(blobs)],
        |row| {
            Ok(Located {
                digest: row.parsed(0)?,
                size_bytes: super::blobs::bytes(row.int(1)?),
                object_key: row.optional_text(2)?,
                repository: row.text(3)?,
            })
        },
    )
}

/// The last digest of the same page; `None` if there is none.
pub(crate) fn last_located(
    tx: &Transaction<'_>,
    after: &str,
    blobs: usize,
) -> Result<Option<String>, Fault> {
    let found = tx.query_one(
        "SELECT MAX(digest) FROM (SELECT digest FROM blobs
               WHERE digest > $1 AND damaged_at IS NULL ORDER BY digest LIMIT $2) AS blobs",
        &[after.into(), limit(blobs)],
        |row| row.optional_text(0),
    )?;
    Ok(found.flatten())
}
