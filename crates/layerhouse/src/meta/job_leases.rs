//! What several processes share beside the registry itself: which of them does what only one is to do at a time, and the
//! key of their seals. Nothing is decided by a lease that would be
//! wrong if two had it for a while: every transaction looks again.

use super::transaction::Transaction;
use crate::fault::Fault;

/// Who does it, and how often it said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobLease {
    pub(crate) holder: String,
    pub(crate) renewals: i64,
}

/// Who has the lease of this name; `None` if nobody ever had it, or gave it back.
pub(crate) fn find(tx: &Transaction<'_>, name: &str) -> Result<Option<JobLease>, Fault> {
    tx.query_one(
        "SELECT holder, renewals FROM job_leases WHERE name = $1",
        &[name.into()],
        |row| {
            Ok(JobLease {
                holder: row.text(0)?,
                renewals: row.int(1)?,
            })
        },
    )
}

/// Gives the lease to `holder`, if it still is as it was `seen`; whether it was given.
pub(crate) fn take(
    tx: &Transaction<'_>,
    name: &str,
    holder: &str,
    seen: Option<&JobLease>,
) -> Result<bool, Fault> {
    let rows = match seen {
        None => tx.execute(
            "INSERT INTO job_leases (name, holder, renewals) VALUES ($1, $2, 0) ON CONFLICT (name) DO NOTHING",
            &[name.into(), holder.into()],
        )?,
        Some(seen) => tx.execute(
            "UPDATE job_leases SET holder = $2, renewals = renewals + 1
             WHERE name = $1 AND holder = $3 AND renewals = $4",
            &[
                name.into(),
                holder.into(),
                seen.holder.as_str().into(),
                seen.renewals.into(),
            ],
        )?,
    };
    Ok(rows == 1)
}

/// Says that `holder` lives; whether it still has the lease.
pub(crate) fn renew(tx: &Transaction<'_>, name: &str, holder: &str) -> Result<bool, Fault> {
    let rows = tx.execute(
        "UPDATE job_leases SET renewals = renewals + 1 WHERE name = $1 AND holder = $2",
        &[name.into(), holder.into()],
    )?;
    Ok(rows == 1)
}

/// Gives the lease back, if `holder` has it.
pub(crate) fn release(tx: &Transaction<'_>, name: &str, holder: &str) -> Result<(), Fault> {
    tx.run(
        "DELETE FROM job_leases WHERE name = $1 AND holder = $2",
        &[name.into(), holder.into()],
    )
}

/// The key that seals what clients keep: `new`, if there was none.
pub(crate) fn sealing_key(tx: &Transaction<'_>, new: &[u8]) -> Result<Vec<u8>, Fault> {
    tx.run(
        "INSERT INTO sealing_keys (id, key) VALUES (1, $1) ON CONFLICT (id) DO NOTHING",
        &[new.into()],
    )?;
    let found = tx.query_one("SELECT key FROM sealing_keys WHERE id = 1", &[], |row| {
        row.bytes(0)
    })?;
    Ok(found.unwrap_or_default())
}
