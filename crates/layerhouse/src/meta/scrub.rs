//! How far the hashing of what is stored is, and what it found.

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;

use super::blobs::{bytes, resize, size};
use super::repositories::RepositoryId;
use super::transaction::Engine;
use super::{Row, Transaction, Value, limit};
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};

/// Passes that are remembered.
pub(super) const PASSES_KEPT: usize = 20;

/// Why there is a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It was time.
    Period,
    /// Somebody wants to know.
    Asked,
}

impl Why {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Period => "period",
            Self::Asked => "asked",
        }
    }
}

/// What a pass is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Blobs,
    Manifests,
}

impl Phase {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Blobs => "blobs",
            Self::Manifests => "manifests",
        }
    }
}

/// What a pass did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Bytes hashed, of blobs and of manifests.
    pub(crate) bytes: u64,
    pub(crate) blobs: u64,
    pub(crate) manifests: u64,
    /// Changed or missing, and not repaired.
    pub(crate) damaged: u64,
    /// The disk did not give them.
    pub(crate) unreadable: u64,
    pub(crate) repaired: u64,
}

/// A walk over all that is stored, or over one repository.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    pub(crate) id: i64,
    pub(crate) why: Why,
    pub(crate) repository: Option<RepositoryId>,
    pub(crate) started_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
    /// Blobs that were verified at this time or later are left out.
    pub(crate) due_before: Timestamp,
    pub(crate) phase: Phase,
    /// The last row that was looked at; blobs have the digest alone.
    pub(crate) cursor: (i64, String),
    /// What there was to hash when it began.
    pub(crate) total_bytes: u64,
    pub(crate) counts: Counts,
}

/// A blob that is to be hashed.
#[derive(Clone, Debug)]
pub(crate) struct DueBlob {
    pub(crate) digest: Digest,
    pub(crate) size_bytes: u64,
    /// It is known to be damaged or missing.
    pub(crate) is_damaged: bool,
}

/// A manifest that is to be hashed.
#[derive(Clone, Debug)]
pub(crate) struct DueManifest {
    pub(crate) repository_id: RepositoryId,
    pub(crate) repository: RepositoryName,
    pub(crate) digest: Digest,
    pub(crate) content: Vec<u8>,
}

const PASS: &str = "SELECT id, why, repository_id, started_at, finished_at, due_before, phase,
    cursor_repository, cursor_digest, total_bytes, bytes, blobs, manifests, damaged, unreadable, repaired
    FROM scrub_passes WHERE finished_at IS NULL ORDER BY why, id LIMIT 1";

pub(super) fn pass(row: &Row<'_>) -> Result<Pass, Fault> {
    let count = |column| row.int(column).map(bytes);
    Ok(Pass {
        id: row.int(0)?,
        why: match row.text(1)?.as_str() {
            "period" => Why::Period,
            "asked" => Why::Asked,
            _ => return Err(Fault::plain(FaultKind::Damaged, "a pass of unknown kind")),
        },
        repository: row.optional_int(2)?.map(RepositoryId),
        started_at: Timestamp(row.int(3)?),
        finished_at: row.optional_int(4)?.map(Timestamp),
        due_before: Timestamp(row.int(5)?),
        phase: match row.text(6)?.as_str() {
            "blobs" => Phase::Blobs,
            "manifests" => Phase::Manifests,
            _ => return Err(Fault::plain(FaultKind::Damaged, "a pass of unknown phase")),
        },
        cursor: (row.int(7)?, row.text(8)?),
        total_bytes: count(9)?,
        counts: Counts {
            bytes: count(10)?,
            blobs: count(11)?,
            manifests: count(12)?,
            damaged: count(13)?,
            unreadable: count(14)?,
            repaired: count(15)?,
        },
    })
}

/// The pass that is to be gone on with: one that was asked for before that of the period.
pub(crate) fn open_pass(tx: &Transaction<'_>) -> Result<Option<Pass>, Fault> {
    tx.query_one(PASS, &[], pass)
}

/// When the last pass of the period began.
pub(crate) fn last_period(tx: &Transaction<'_>) -> Result<Option<Timestamp>, Fault> {
    tx.query_one(
        "SELECT started_at FROM scrub_passes WHERE why = 'period' ORDER BY id DESC LIMIT 1",
        &[],
        |row| Ok(Timestamp(row.int(0)?)),
    )
}

/// Bytes that a pass has to hash from its cursor on; reads the rows of all blobs and manifests.
pub(crate) fn rest_bytes(
    tx: &Transaction<'_>,
    repository: Option<RepositoryId>,
    due_before: Timestamp,
    now: Timestamp,
) -> Result<u64, Fault> {
    let sum = |row: &Row<'_>| row.int(0).map(bytes);
    let (blobs, manifests) = if let Some(repository) = repository {
        let id = repository.0.into();
        (
            tx.query_one(
                "SELECT COALESCE(SUM(blobs.size), 0) FROM repository_blobs
                 JOIN blobs ON blobs.digest = repository_blobs.digest
                 WHERE repository_blobs.repository_id = $1
                   AND (blobs.verified_at < $2 OR $3 < blobs.verified_at)",
                &[id, due_before.0.into(), now.0.into()],
                sum,
            )?,
            tx.query_one(
                "SELECT COALESCE(SUM(size), 0) FROM manifests WHERE repository_id = $1",
                &[id],
                sum,
            )?,
        )
    } else {
        (
            tx.query_one(
                "SELECT COALESCE(SUM(size), 0) FROM blobs WHERE verified_at < $1 OR $2 < verified_at",
                &[due_before.0.into(), now.0.into()],
                sum,
            )?,
            tx.query_one("SELECT COALESCE(SUM(size), 0) FROM manifests", &[], sum)?,
        )
    };
    Ok(blobs.unwrap_or(0) + manifests.unwrap_or(0))
}

/// Begins a pass, unless one of the same extent is open; its id.
pub(crate) fn begin(
    tx: &Transaction<'_>,
    why: Why,
    repository: Option<RepositoryId>,
    due_before: Timestamp,
    total_bytes: u64,
    now: Timestamp,
) -> Result<i64, Fault> {
    let of: Value<'_> = repository.map(|id| id.0).into();
    let open = tx.query_one(
        "SELECT id FROM scrub_passes
         WHERE finished_at IS NULL AND why = $1 AND COALESCE(repository_id, 0) = COALESCE($2, 0)",
        &[why.as_str().into(), of],
        |row| row.int(0),
    )?;
    if let Some(open) = open {
        return Ok(open);
    }
    let id = super::next_id(tx, "SELECT COALESCE(MAX(id), 0) FROM scrub_passes", now)?;
    tx.run(
        "INSERT INTO scrub_passes (id, why, repository_id, started_at, due_before, phase,
             cursor_repository, cursor_digest, total_bytes, bytes, blobs, manifests, damaged, unreadable,
             repaired)
         VALUES ($1, $2, $3, $4, $5, 'blobs', 0, '', $6, 0, 0, 0, 0, 0, 0)",
        &[
            id.into(),
            why.as_str().into(),
            of,
            now.0.into(),
            due_before.0.into(),
            size(total_bytes).into(),
        ],
    )?;
    Ok(id)
}

/// Writes down how far a pass is, and whether it is over.
pub(crate) fn save(tx: &Transaction<'_>, pass: &Pass) -> Result<(), Fault> {
    let counts = &pass.counts;
    tx.run(
        "UPDATE scrub_passes SET phase = $2, cursor_repository = $3, cursor_digest = $4, bytes = $5,
             blobs = $6, manifests = $7, damaged = $8, unreadable = $9, repaired = $10, finished_at = $11
         WHERE id = $1",
        &[
            pass.id.into(),
            pass.phase.as_str().into(),
            pass.cursor.0.into(),
            pass.cursor.1.as_str().into(),
            size(counts.bytes).into(),
            size(counts.blobs).into(),
            size(counts.manifests).into(),
            size(counts.damaged).into(),
            size(counts.unreadable).into(),
            size(counts.repaired).into(),
            pass.finished_at.map(|at| at.0).into(),
        ],
    )?;
    if pass.finished_at.is_some() {
        tx.run(
            "DELETE FROM scrub_passes WHERE finished_at IS NOT NULL AND id NOT IN
                 (SELECT id FROM scrub_passes ORDER BY id DESC LIMIT $1)",
            &[limit(PASSES_KEPT)],
        )?;
    }
    Ok(())
}

/// The next blobs of a pass, in the order of their digests. One that was verified in the future, because the
/// clock was wrong once, is due.
pub(crate) fn due_blobs(
    tx: &Transaction<'_>,
    pass: &Pass,
    now: Timestamp,
    at_most: usize,
) -> Result<Vec<DueBlob>, Fault> {
    let read = |row: &Row<'_>| {
        Ok(DueBlob {
            digest: row.parsed(0)?,
            size_bytes: bytes(row.int(1)?),
            is_damaged: row.optional_int(2)?.is_some(),
        })
    };
    let after = pass.cursor.1.as_str().into();
    let (due, now) = (pass.due_before.0.into(), now.0.into());
    match pass.repository {
        None => tx.query(
            "SELECT digest, size, damaged_at FROM blobs
             WHERE $1 < digest AND (verified_at < $2 OR $3 < verified_at) ORDER BY digest LIMIT $4",
            &[after, due, now, limit(at_most)],
            read,
        ),
        Some(repository) => tx.query(
            "SELECT blobs.digest, blobs.size, blobs.damaged_at FROM repository_blobs
             JOIN blobs ON blobs.digest = repository_blobs.digest
             WHERE repository_blobs.repository_id = $5 AND $1 < repository_blobs.digest
               AND (blobs.verified_at < $2 OR $3 < blobs.verified_at)
             ORDER BY repository_blobs.digest LIMIT $4",
            &[after, due, now, limit(at_most), repository.0.into()],
            read,
        ),
    }
}

/// One blob, to be hashed whenever it was.
pub(crate) fn due_blob(tx: &Transaction<'_>, digest: &Digest) -> Result<Option<DueBlob>, Fault> {
    tx.query_one(
        "SELECT digest, size, damaged_at FROM blobs WHERE digest = $1",
        &[digest.as_str().into()],
        |row| {
            Ok(DueBlob {
                digest: row.parsed(0)?,
                size_bytes: bytes(row.int(1)?),
                is_damaged: row.optional_int(2)?.is_some(),
            })
        },
    )
}

/// The next manifests of a pass, in the order of repositories and digests.
pub(crate) fn due_manifests(
    tx: &Transaction<'_>,
    pass: &Pass,
    at_most: usize,
) -> Result<Vec<DueManifest>, Fault> {
    let read = |row: &Row<'_>| {
        Ok(DueManifest {
            repository_id: RepositoryId(row.int(0)?),
            repository: row.parsed(1)?,
            digest: row.parsed(2)?,
            content: row.bytes(3)?,
        })
    };
    let (last_repository, last_digest) = &pass.cursor;
    let after = [
        (*last_repository).into(),
        last_digest.as_str().into(),
        limit(at_most),
    ];
    match pass.repository {
        None => tx.query(
            "SELECT manifests.repository_id, repositories.name, manifests.digest, manifests.content
             FROM manifests JOIN repositories ON repositories.id = manifests.repository_id
             WHERE (manifests.repository_id, manifests.digest) > ($1, $2)
             ORDER BY manifests.repository_id, manifests.digest LIMIT $3",
            &after,
            read,
        ),
        Some(repository) => tx.query(
            "SELECT manifests.repository_id, repositories.name, manifests.digest, manifests.content
             FROM manifests JOIN repositories ON repositories.id = manifests.repository_id
             WHERE manifests.repository_id = $4 AND (manifests.repository_id, manifests.digest) > ($1, $2)
             ORDER BY manifests.digest LIMIT $3",
            &[after[0], after[1], after[2], repository.0.into()],
            read,
        ),
    }
}

/// The blob's file hashed to its digest at this time, and has this length.
pub(crate) fn found_sound(
    tx: &Transaction<'_>,
    digest: &Digest,
    size_bytes: u64,
    hashed_at: Timestamp,
) -> Result<(), Fault> {
    resize(tx, digest, size_bytes)?;
    // Damage that was found while it was hashed stays.
    tx.run(
        "UPDATE blobs SET verified_at = $2,
             damaged_at = CASE WHEN damaged_at <= $2 THEN NULL ELSE damaged_at END
         WHERE digest = $1",
        &[digest.as_str().into(), hashed_at.0.into()],
    )?;
    forget(tx, digest, None)
}

/// The blob's bytes are damaged or missing; whether that is news.
pub(crate) fn found_damaged(
    tx: &Transaction<'_>,
    digest: &Digest,
    now: Timestamp,
) -> Result<bool, Fault> {
    let rows = tx.execute(
        "UPDATE blobs SET damaged_at = $2
         WHERE digest = $1 AND damaged_at IS NULL AND object_key IS NULL",
        &[digest.as_str().into(), now.0.into()],
    )?;
    Ok(rows == 1)
}

/// Notes what is wrong; whether that is news.
pub(crate) fn note(
    tx: &Transaction<'_>,
    digest: &Digest,
    manifest_of: Option<RepositoryId>,
    said: &str,
    now: Timestamp,
) -> Result<bool, Fault> {
    let rows = tx.execute(
        "INSERT INTO scrub_findings (digest, repository_id, said, found_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (digest, repository_id) DO NOTHING",
        &[
            digest.as_str().into(),
            manifest_of.map_or(0, |id| id.0).into(),
            said.into(),
            now.0.into(),
        ],
    )?;
    Ok(rows == 1)
}

/// Nothing is wrong with it any more.
pub(crate) fn forget(
    tx: &Transaction<'_>,
    digest: &Digest,
    manifest_of: Option<RepositoryId>,
) -> Result<(), Fault> {
    tx.run(
        "DELETE FROM scrub_findings WHERE digest = $1 AND repository_id = $2",
        &[
            digest.as_str().into(),
            manifest_of.map_or(0, |id| id.0).into(),
        ],
    )?;
    Ok(())
}

/// Forgets what was found of things that are gone, or that were pushed again since.
pub(crate) fn forget_gone(tx: &Transaction<'_>) -> Result<(), Fault> {
    tx.run(
        "DELETE FROM scrub_findings WHERE NOT EXISTS
             (SELECT 1 FROM blobs WHERE scrub_findings.repository_id = 0
                AND blobs.digest = scrub_findings.digest
                AND blobs.verified_at <= scrub_findings.found_at)
           AND NOT EXISTS
             (SELECT 1 FROM manifests WHERE manifests.repository_id = scrub_findings.repository_id
                AND manifests.digest = scrub_findings.digest)",
        &[],
    )?;
    Ok(())
}

/// Gives a manifest its content back.
pub(crate) fn repair_manifest(
    tx: &Transaction<'_>,
    manifest: &DueManifest,
    content: &[u8],
) -> Result<(), Fault> {
    tx.run(
        "UPDATE manifests SET content = $3, size = $4 WHERE repository_id = $1 AND digest = $2",
        &[
            manifest.repository_id.0.into(),
            manifest.digest.as_str().into(),
            content.into(),
            size(content.len() as u64).into(),
        ],
    )?;
    forget(tx, &manifest.digest, Some(manifest.repository_id))
}

/// What repositories say of a manifest's content; some of it may be damaged.
pub(crate) fn contents(tx: &Transaction<'_>, digest: &Digest) -> Result<Vec<Vec<u8>>, Fault> {
    /// If so many are damaged, the next ones are, too.
    const CONTENTS_MAX: usize = 16;
    tx.query(
        "SELECT content FROM manifests WHERE digest = $1 LIMIT $2",
        &[digest.as_str().into(), limit(CONTENTS_MAX)],
        |row| row.bytes(0),
    )
}

/// Whether the link files of a manifest wait to be written.
pub(crate) fn is_stale(
    tx: &Transaction<'_>,
    repository: &RepositoryName,
    manifest: &Digest,
) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM stale_links WHERE repository = $1 AND kind = 'manifest' AND name = $2",
        &[repository.as_str().into(), manifest.as_str().into()],
    )
}

/// What the engine itself finds wrong, by a look that does not compare indexes with tables.
pub(crate) fn check_pages(tx: &Transaction<'_>) -> Result<Vec<String>, Fault> {
    let Engine::Sqlite(_) = tx.engine() else {
        return Ok(Vec::new());
    };
    let mut found = tx.query("PRAGMA quick_check(20)", &[], |row| row.text(0))?;
    found.retain(|line| line != "ok");
    Ok(found)
}
