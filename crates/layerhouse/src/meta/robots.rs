//! Robots: accounts called `<namespace>+<name>`.

use super::accounts::{Account, AccountId, by_id};
use super::{Transaction, limit};
use crate::fault::Fault;

/// Robots of a namespace after `after` in byte order of their names, at most `rows` of them.
pub(crate) fn list(
    tx: &Transaction<'_>,
    namespace: &str,
    after: &str,
    rows: usize,
) -> Result<Vec<Account>, Fault> {
    // `,` is the byte behind `+`.
    let (begin, end) = (format!("{namespace}+"), format!("{namespace},"));
    let after = after.max(begin.as_str());
    let ids = tx.query(
        "SELECT id FROM accounts
         WHERE kind = 'robot' AND name > $1 AND name < $2 ORDER BY name LIMIT $3",
        &[after.into(), end.as_str().into(), limit(rows)],
        |row| Ok(AccountId(row.int(0)?)),
    )?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.extend(by_id(tx, id)?);
    }
    Ok(found)
}

/// Removes all robots of a namespace.
pub(crate) fn delete_all(tx: &Transaction<'_>, namespace: &str) -> Result<(), Fault> {
    let (begin, end) = (format!("{namespace}+"), format!("{namespace},"));
    tx.run(
        "DELETE FROM accounts WHERE kind = 'robot' AND name > $1 AND name < $2",
        &[begin.as_str().into(), end.as_str().into()],
    )
}
