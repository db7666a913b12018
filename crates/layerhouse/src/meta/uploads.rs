//! Upload sessions, so that they outlive the process.

use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::upload_id::UploadId;

use super::Transaction;
use crate::clock::Timestamp;
use crate::fault::Fault;

/// An open upload session.
#[derive(Clone, Debug)]
pub(crate) struct StoredUpload {
    pub(crate) id: UploadId,
    pub(crate) repository: RepositoryName,
    pub(crate) principal: String,
    pub(crate) started_at: Timestamp,
}

/// Records a session.
pub(crate) fn open(tx: &Transaction<'_>, upload: &StoredUpload) -> Result<(), Fault> {
    tx.run(
        "INSERT INTO uploads (id, repository, principal, started_at) VALUES ($1, $2, $3, $4)",
        &[
            upload.id.as_str().into(),
            upload.repository.as_str().into(),
            upload.principal.as_str().into(),
            upload.started_at.0.into(),
        ],
    )?;
    Ok(())
}

/// What is written down of an upload into an object.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    pub(crate) held_bytes: u64,
    /// `None` while nothing came.
    pub(crate) state: Option<(Vec<u8>, Vec<u8>)>,
}

/// A session as it is now, and when somebody last wrote to it.
pub(crate) struct Standing {
    pub(crate) upload: StoredUpload,
    pub(crate) held_bytes: u64,
    pub(crate) touched_at: Option<Timestamp>,
}

/// The session of this id, if it is open.
pub(crate) fn find(tx: &Transaction<'_>, id: &UploadId) -> Result<Option<Standing>, Fault> {
    tx.query_one(
        "SELECT id, repository, principal, started_at, held, touched_at FROM uploads WHERE id = $1",
        &[id.as_str().into()],
        |row| {
            Ok(Standing {
                upload: read_upload(row)?,
                held_bytes: super::blobs::bytes(row.int(4)?),
                touched_at: row.optional_int(5)?.map(Timestamp),
            })
        },
    )
}

/// Makes `writer` the one who writes to a session, if nobody else does; whether it is. `now` is when it was last
/// written to; how long the claim lasts is by a clock that all have who may claim it.
pub(crate) fn claim(
    tx: &Transaction<'_>,
    id: &UploadId,
    writer: &str,
    now: Timestamp,
    (from, until): (Timestamp, Timestamp),
) -> Result<bool, Fault> {
    let rows = tx.execute(
        "UPDATE uploads SET writer = $2, writer_until = $5, touched_at = $3
         WHERE id = $1 AND (writer IS NULL OR writer = $2 OR writer_until <= $4)",
        &[
            id.as_str().into(),
            writer.into(),
            now.0.into(),
            from.0.into(),
            until.0.into(),
        ],
    )?;
    Ok(rows == 1)
}

/// Keeps `writer` the one who writes to a session, if it still is; whether it is. One that gave it back does not get it
/// again by a word that it said before.
pub(crate) fn renew(
    tx: &Transaction<'_>,
    id: &UploadId,
    writer: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<bool, Fault> {
    let rows = tx.execute(
        "UPDATE uploads SET writer_until = $4, touched_at = $3 WHERE id = $1 AND writer = $2",
        &[
            id.as_str().into(),
            writer.into(),
            now.0.into(),
            until.0.into(),
        ],
    )?;
    Ok(rows == 1)
}

/// How far a session is that the caller writes to.
pub(crate) fn progress(tx: &Transaction<'_>, id: &UploadId) -> Result<Option<Progress>, Fault> {
    tx.query_one(
        "SELECT held, state, tail FROM uploads WHERE id = $1",
        &[id.as_str().into()],
        |row| {
            let (state, tail) = (row.optional_bytes(1)?, row.optional_bytes(2)?);
            Ok(Progress {
                held_bytes: super::blobs::bytes(row.int(0)?),
                state: state.map(|state| (state, tail.unwrap_or_default())),
            })
        },
    )
}

/// Writes down how far a session is, and lets the next one write; whether `writer` still was the one who
/// writes.
pub(crate) fn save(
    tx: &Transaction<'_>,
    id: &UploadId,
    writer: &str,
    progress: &Progress,
    now: Timestamp,
) -> Result<bool, Fault> {
    let (state, tail) = progress
        .state
        .as_ref()
        .map_or((super::Value::Null, super::Value::Null), |(state, tail)| {
            (state.as_slice().into(), tail.as_slice().into())
        });
    let rows = tx.execute(
        "UPDATE uploads SET held = $3, state = $4, tail = $5, touched_at = $6,
                            writer = NULL, writer_until = NULL
         WHERE id = $1 AND writer = $2",
        &[
            id.as_str().into(),
            writer.into(),
            super::blobs::size(progress.held_bytes).into(),
            state,
            tail,
            now.0.into(),
        ],
    )?;
    Ok(rows == 1)
}

/// Lets the next one write.
pub(crate) fn release(tx: &Transaction<'_>, id: &UploadId, writer: &str) -> Result<(), Fault> {
    tx.run(
        "UPDATE uploads SET writer = NULL, writer_until = NULL WHERE id = $1 AND writer = $2",
        &[id.as_str().into(), writer.into()],
    )
}

/// Nobody writes to any session: the process that did is dead.
pub(crate) fn release_all(tx: &Transaction<'_>) -> Result<(), Fault> {
    tx.run(
        "UPDATE uploads SET writer = NULL, writer_until = NULL WHERE writer IS NOT NULL",
        &[],
    )
}

/// Forgets a session, if `writer` still is the one who writes to it; whether it was forgotten.
pub(crate) fn close_claimed(
    tx: &Transaction<'_>,
    id: &UploadId,
    writer: &str,
) -> Result<bool, Fault> {
    let rows = tx.execute(
        "DELETE FROM uploads WHERE id = $1 AND writer = $2",
        &[id.as_str().into(), writer.into()],
    )?;
    Ok(rows == 1)
}

/// Forgets a session.
pub(crate) fn close(tx: &Transaction<'_>, id: &UploadId) -> Result<(), Fault> {
    tx.run("DELETE FROM uploads WHERE id = $1", &[id.as_str().into()])?;
    Ok(())
}

/// Every open session; `registry` bounds their number.
pub(crate) fn all(tx: &Transaction<'_>) -> Result<Vec<StoredUpload>, Fault> {
    tx.query(
        "SELECT id, repository, principal, started_at FROM uploads",
        &[],
        read_upload,
    )
}

/// How many sessions are open, and the bytes that they hold.
pub(crate) fn totals(tx: &Transaction<'_>) -> Result<(u64, u64), Fault> {
    let found = tx.query_one(
        "SELECT COUNT(*), COALESCE(SUM(held), 0) FROM uploads",
        &[],
        |row| {
            Ok((
                super::blobs::bytes(row.int(0)?),
                super::blobs::bytes(row.int(1)?),
            ))
        },
    )?;
    Ok(found.unwrap_or_default())
}

/// What each session holds, in bytes.
pub(crate) fn held(tx: &Transaction<'_>) -> Result<Vec<(UploadId, RepositoryName, u64)>, Fault> {
    tx.query(
        "SELECT id, repository, held FROM uploads WHERE held > 0",
        &[],
        |row| {
            let held_bytes = super::blobs::bytes(row.int(2)?);
            Ok((row.parsed(0)?, row.parsed(1)?, held_bytes))
        },
    )
}

/// Whether somebody pushes to a repository in more than one request.
pub(crate) fn any_in(tx: &Transaction<'_>, repository: &RepositoryName) -> Result<bool, Fault> {
    tx.exists(
        "SELECT 1 FROM uploads WHERE repository = $1",
        &[repository.as_str().into()],
    )
}

fn read_upload(row: &super::Row<'_>) -> Result<StoredUpload, Fault> {
    Ok(StoredUpload {
        id: row.parsed(0)?,
        repository: row.parsed(1)?,
        principal: row.text(2)?,
        started_at: Timestamp(row.int(3)?),
    })
}
