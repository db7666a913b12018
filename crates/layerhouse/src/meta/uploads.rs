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
    tx.execute(
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

/// Forgets a session.
pub(crate) fn close(tx: &Transaction<'_>, id: &UploadId) -> Result<(), Fault> {
    tx.execute("DELETE FROM uploads WHERE id = $1", &[id.as_str().into()])?;
    Ok(())
}

/// Every open session; `registry` bounds their number.
pub(crate) fn all(tx: &Transaction<'_>) -> Result<Vec<StoredUpload>, Fault> {
    tx.query(
        "SELECT id, repository, principal, started_at FROM uploads",
        &[],
        |row| {
            Ok(StoredUpload {
                id: row.parsed(0)?,
                repository: row.parsed(1)?,
                principal: row.text(2)?,
                started_at: Timestamp(row.int(3)?),
            })
        },
    )
}
