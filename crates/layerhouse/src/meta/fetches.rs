//! Blobs that one process of several fetches from an upstream, so that the others wait for it. Nothing is decided by these
//! rows that would be wrong if two fetched the same: the second publication takes the place of the first.

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;

use super::transaction::Transaction;
use crate::clock::Timestamp;
use crate::fault::Fault;

/// When somebody must have said that it lives to be believed: from, to. What was said later than now was said by the
/// clock of another server.
pub(crate) type Lately = (Timestamp, Timestamp);

/// Gives a fetch to `holder`, if nobody has it who said `lately` that it lives; whether it was given.
pub(crate) fn take(
    tx: &Transaction<'_>,
    (copy, digest): (&RepositoryName, &Digest),
    holder: &str,
    now: Timestamp,
    lately: Lately,
) -> Result<bool, Fault> {
    let rows = tx.execute(
        "INSERT INTO fetches (copy, digest, holder, renewed_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (copy, digest) DO UPDATE SET holder = excluded.holder, renewed_at = excluded.renewed_at
         WHERE fetches.renewed_at < $5 OR $6 < fetches.renewed_at",
        &[
            copy.as_str().into(),
            digest.as_str().into(),
            holder.into(),
            now.0.into(),
            lately.0.0.into(),
            lately.1.0.into(),
        ],
    )?;
    Ok(rows == 1)
}

/// Whether somebody has the fetch who said `lately` that it lives.
pub(crate) fn is_held(
    tx: &Transaction<'_>,
    (copy, digest): (&RepositoryName, &Digest),
    lately: Lately,
) -> Result<bool, Fault> {
    let held = tx.query_one(
        "SELECT 1 FROM fetches WHERE copy = $1 AND digest = $2 AND $3 <= renewed_at AND renewed_at <= $4",
        &[
            copy.as_str().into(),
            digest.as_str().into(),
            lately.0.0.into(),
            lately.1.0.into(),
        ],
        |_| Ok(()),
    )?;
    Ok(held.is_some())
}

/// Says that `holder` lives.
pub(crate) fn renew(
    tx: &Transaction<'_>,
    (copy, digest): (&RepositoryName, &Digest),
    holder: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    tx.run(
        "UPDATE fetches SET renewed_at = $4 WHERE copy = $1 AND digest = $2 AND holder = $3",
        &[
            copy.as_str().into(),
            digest.as_str().into(),
            holder.into(),
            now.0.into(),
        ],
    )
}

/// Gives a fetch back, if `holder` has it; those of processes that died go with it, once they are `old`.
pub(crate) fn release(
    tx: &Transaction<'_>,
    (copy, digest): (&RepositoryName, &Digest),
    holder: &str,
    old: Timestamp,
) -> Result<(), Fault> {
    tx.run(
        "DELETE FROM fetches WHERE (copy = $1 AND digest = $2 AND holder = $3) OR renewed_at < $4",
        &[
            copy.as_str().into(),
            digest.as_str().into(),
            holder.into(),
            old.0.into(),
        ],
    )
}
