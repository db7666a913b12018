//! Brings a database's schema up to date: numbered steps, only ever appended.

use rusqlite::Connection;

use super::database_fault;
use crate::fault::{Fault, FaultKind};

/// Every step there has been; a database's `user_version` counts those it has taken.
const STEPS: [&str; 3] = [
    include_str!("migrations/0001_core.sql"),
    include_str!("migrations/0002_adoption.sql"),
    include_str!("migrations/0003_absent_children.sql"),
];

/// Takes the steps that this database has not taken, each in a transaction of its own.
///
/// # Errors
/// A step fails, or the database was written by a newer release.
pub(super) fn run(connection: &Connection) -> Result<(), Fault> {
    let fault = |error| database_fault("migrating the database", error);
    let taken: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(fault)?;
    let taken = usize::try_from(taken).unwrap_or(usize::MAX);
    if STEPS.len() < taken {
        return Err(Fault::plain(
            FaultKind::Other,
            format!(
                "the database has schema {taken}, this release knows up to {}: start the newer \
                 release that wrote it",
                STEPS.len()
            ),
        ));
    }
    for (index, step) in STEPS.iter().enumerate().skip(taken) {
        let number = index + 1;
        connection
            .execute_batch(&format!(
                "BEGIN; {step}; PRAGMA user_version = {number}; COMMIT;"
            ))
            .map_err(fault)?;
    }
    Ok(())
}
