//! Who changed what: rows that are added and never changed.

use super::Transaction;
use crate::clock::Timestamp;
use crate::fault::Fault;

/// A change to be written down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewEvent<'a> {
    pub(crate) actor: &'a str,
    /// `user.create`
    pub(crate) action: &'a str,
    /// What was changed: the name of an account, a namespace, a repository.
    pub(crate) subject: &'a str,
    /// Where the actor was.
    pub(crate) address: &'a str,
    /// JSON.
    pub(crate) detail: &'a str,
}

/// Writes a change down, in its transaction.
pub(crate) fn add(tx: &Transaction<'_>, event: &NewEvent<'_>, now: Timestamp) -> Result<(), Fault> {
    let id = super::next_id(tx, "SELECT COALESCE(MAX(id), 0) FROM audit_events", now)?;
    tx.execute(
        "INSERT INTO audit_events (id, happened_at, actor, action, subject, address, detail)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            id.into(),
            now.0.into(),
            event.actor.into(),
            event.action.into(),
            event.subject.into(),
            event.address.into(),
            event.detail.into(),
        ],
    )
    .map(|_| ())
}
