//! Whether the tree that was here before the database has been read into rows.

use super::Transaction;
use crate::clock::Timestamp;
use crate::fault::Fault;

/// What an adoption came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Adopted {
    pub(crate) manifests: u64,
    pub(crate) tags: u64,
    /// Entries that were damaged or unknown, and left as they are.
    pub(crate) skipped: u64,
}

/// Whether it was finished.
pub(crate) fn is_finished(tx: &Transaction<'_>) -> Result<bool, Fault> {
    tx.exists("SELECT 1 FROM adoptions LIMIT 1", &[])
}

/// Records that it was.
pub(crate) fn finish(tx: &Transaction<'_>, adopted: Adopted, now: Timestamp) -> Result<(), Fault> {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX).into();
    tx.execute(
        "INSERT INTO adoptions (finished_at, manifests, tags, skipped) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
        &[
            now.0.into(),
            count(adopted.manifests),
            count(adopted.tags),
            count(adopted.skipped),
        ],
    )?;
    Ok(())
}
