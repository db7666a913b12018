//! Who changed what: rows that are added and never changed.

use super::{Row, Transaction, Value, limit};
use crate::clock::Timestamp;
use crate::fault::Fault;

/// The key of an audit event; later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AuditId(pub(crate) i64);

/// A row of `audit_events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuditEvent {
    pub(crate) id: AuditId,
    pub(crate) happened_at: Timestamp,
    pub(crate) actor: String,
    pub(crate) action: String,
    pub(crate) subject: String,
    pub(crate) address: String,
    /// A JSON object.
    pub(crate) detail: String,
}

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
    tx.run(
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
}

fn read(row: &Row<'_>) -> Result<AuditEvent, Fault> {
    Ok(AuditEvent {
        id: AuditId(row.int(0)?),
        happened_at: Timestamp(row.int(1)?),
        actor: row.text(2)?,
        action: row.text(3)?,
        subject: row.text(4)?,
        address: row.text(5)?,
        detail: row.text(6)?,
    })
}

/// Events before `before`, the last first, at most `rows` of them; those of an actor, about a subject, or both.
pub(crate) fn list(
    tx: &Transaction<'_>,
    actor: Option<&str>,
    subject: Option<&str>,
    before: Option<AuditId>,
    rows: usize,
) -> Result<Vec<AuditEvent>, Fault> {
    let before = Value::Int(before.map_or(i64::MAX, |before| before.0));
    let rows = limit(rows);
    match (actor, subject) {
        (None, None) => tx.query(
            "SELECT id, happened_at, actor, action, subject, address, detail FROM audit_events
             WHERE id < $1 ORDER BY id DESC LIMIT $2",
            &[before, rows],
            read,
        ),
        (Some(actor), None) => tx.query(
            "SELECT id, happened_at, actor, action, subject, address, detail FROM audit_events
             WHERE actor = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
            &[actor.into(), before, rows],
            read,
        ),
        (None, Some(subject)) => tx.query(
            "SELECT id, happened_at, actor, action, subject, address, detail FROM audit_events
             WHERE subject = $1 AND id < $2 ORDER BY id DESC LIMIT $3",
            &[subject.into(), before, rows],
            read,
        ),
        (Some(actor), Some(subject)) => tx.query(
            "SELECT id, happened_at, actor, action, subject, address, detail FROM audit_events
             WHERE actor = $1 AND subject = $2 AND id < $3 ORDER BY id DESC LIMIT $4",
            &[actor.into(), subject.into(), before, rows],
            read,
        ),
    }
}
