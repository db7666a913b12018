//! Codes to sign up with, once; and the one that makes the first administrator. Known by their digests.

use super::{Row, Transaction, limit};
use crate::clock::Timestamp;
use crate::fault::Fault;

/// The key of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct InvitationId(pub(crate) i64);

/// A row of `invitations`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invitation {
    pub(crate) id: InvitationId,
    /// Whom it was sent to; empty where nobody said.
    pub(crate) email: String,
    pub(crate) is_setup: bool,
    pub(crate) created_by: String,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
}

fn read(row: &Row<'_>) -> Result<Invitation, Fault> {
    Ok(Invitation {
        id: InvitationId(row.int(0)?),
        email: row.text(1)?,
        is_setup: row.int(2)? != 0,
        created_by: row.text(3)?,
        created_at: Timestamp(row.int(4)?),
        expires_at: row.optional_int(5)?.map(Timestamp),
    })
}

/// An invitation to be.
#[derive(Clone, Debug)]
pub(crate) struct NewInvitation {
    /// Hex of the SHA-256 of its code.
    pub(crate) hash: String,
    pub(crate) email: String,
    pub(crate) is_setup: bool,
    pub(crate) created_by: String,
    pub(crate) expires_at: Option<Timestamp>,
}

/// Makes an invitation.
pub(crate) fn create(
    tx: &Transaction<'_>,
    new: &NewInvitation,
    now: Timestamp,
) -> Result<InvitationId, Fault> {
    let id = super::next_id(tx, "SELECT COALESCE(MAX(id), 0) FROM invitations", now)?;
    tx.run(
        "INSERT INTO invitations (id, hash, email, is_setup, created_by, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            id.into(),
            new.hash.as_str().into(),
            new.email.as_str().into(),
            i64::from(new.is_setup).into(),
            new.created_by.as_str().into(),
            now.0.into(),
            new.expires_at.map(|at| at.0).into(),
        ],
    )?;
    Ok(InvitationId(id))
}

/// The invitation whose code has this digest, unless it has ended.
pub(crate) fn by_hash(
    tx: &Transaction<'_>,
    hash: &str,
    now: Timestamp,
) -> Result<Option<Invitation>, Fault> {
    tx.query_one(
        "SELECT id, email, is_setup, created_by, created_at, expires_at FROM invitations
         WHERE hash = $1 AND (expires_at IS NULL OR expires_at > $2)",
        &[hash.into(), now.0.into()],
        read,
    )
}

/// Invitations of people, from the first behind `after`, at most `rows` of them.
pub(crate) fn list(
    tx: &Transaction<'_>,
    after: i64,
    rows: usize,
) -> Result<Vec<Invitation>, Fault> {
    tx.query(
        "SELECT id, email, is_setup, created_by, created_at, expires_at FROM invitations
         WHERE is_setup = 0 AND id > $1 ORDER BY id LIMIT $2",
        &[after.into(), limit(rows)],
        read,
    )
}

/// Removes an invitation; whether it was there.
pub(crate) fn delete(tx: &Transaction<'_>, id: InvitationId) -> Result<bool, Fault> {
    let removed = tx.execute("DELETE FROM invitations WHERE id = $1", &[id.0.into()])?;
    Ok(0 < removed)
}

/// Removes the codes that make a first administrator and were made `until` then.
pub(crate) fn delete_setup(tx: &Transaction<'_>, until: Timestamp) -> Result<(), Fault> {
    tx.run(
        "DELETE FROM invitations WHERE is_setup = 1 AND created_at <= $1",
        &[until.0.into()],
    )
}
