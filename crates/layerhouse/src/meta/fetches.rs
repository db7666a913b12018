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

/// Who fetches a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// What it calls itself in this fetch; whoever knows it may read along.
    pub(crate) name: String,
    /// Where: `http://10.0.0.5:5000`. One that died may stand beside the name of a release that knew of none.
    pub(crate) address: Option<String>,
    renewed_at: Timestamp,
}

impl Holder {
    /// Whether it said `lately` that it lives.
    pub(crate) fn lives(&self, lately: Lately) -> bool {
        (lately.0..=lately.1).contains(&self.renewed_at)
    }
}

/// Gives a fetch to `holder`, if nobody has it who said `lately` that it lives; whether it was given.
pub(crate) fn take(
    tx: &Transaction<'_>,
    (copy, digest): (&RepositoryName, &Digest),
    (holder, address): (&str, Option<&str>),
    now: Timestamp,
    lately: Lately,
) -> Result<bool, Fault> {
    let rows = tx.execute(
        "INSERT INTO fetches (copy, digest, holder, renewed_at, address) VALUES ($1, $2, $3, $4, $7)
         ON CONFLICT (copy, digest) DO UPDATE
         SET holder = excluded.holder, renewed_at = excluded.renewed_at, address = excluded.address
         WHERE fetches.renewed_at < $5 OR $6 < fetches.renewed_at",
        &[
            copy.as_str().into(),
            digest.as_str().into(),
            holder.into(),
            now.0.into(),
            lately.0.0.into(),
            lately.1.0.into(),
            address.into(),
        ],
    )?;
    Ok(rows == 1)
}

/// Who has the fetch, or had it and died.
pub(crate) fn holder(
    tx: &Transaction<'_>,
    (copy, digest): (&RepositoryName, &Digest),
) -> Result<Option<Holder>, Fault> {
    tx.query_one(
        "SELECT holder, address, renewed_at FROM fetches WHERE copy = $1 AND digest = $2",
        &[copy.as_str().into(), digest.as_str().into()],
        |row| {
            Ok(Holder {
                name: row.text(0)?,
                address: row.optional_text(1)?,
                renewed_at: Timestamp(row.int(2)?),
            })
        },
    )
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
