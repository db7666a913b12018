//! Brings a database's schema up to date: numbered steps, only ever appended.
//!
//! While replicas are replaced one after the other, and after the first of them went back, the release before works
//! beside a step that it does not know. So a step adds (tables; columns that have a default), and ends with
//! `UPDATE compatibility SET schema = its number`; what nobody needs any more goes a release later, by a step that also
//! says which `oldest` release can go on from there.

use std::path::Path;

use rusqlite::{Connection, Error};

use super::sqlite::database_fault;
use super::transaction::Transaction;
use crate::fault::{Fault, FaultKind};
use crate::steps::Steps;

/// Every step there has been; a database's `user_version` counts those it has taken.
pub(super) const STEPS: [&str; 16] = [
    include_str!("migrations/0001_core.sql"),
    include_str!("migrations/0002_adoption.sql"),
    include_str!("migrations/0003_absent_children.sql"),
    include_str!("migrations/0004_events.sql"),
    include_str!("migrations/0005_index.sql"),
    include_str!("migrations/0006_search.sql"),
    include_str!("migrations/0007_collection.sql"),
    include_str!("migrations/0008_keeping.sql"),
    include_str!("migrations/0009_mirror.sql"),
    include_str!("migrations/0010_browse.sql"),
    include_str!("migrations/0011_storage_samples.sql"),
    include_str!("migrations/0012_objects.sql"),
    include_str!("migrations/0013_replicas.sql"),
    include_str!("migrations/0014_fetches.sql"),
    include_str!("migrations/0015_compatibility.sql"),
    include_str!("migrations/0016_fetch_addresses.sql"),
];

/// The commit of a step. No literal at its place, for only the start of a newer release on an older
/// database comes by.
const COMMIT: &str = "migration.commit";

/// The steps that a release must know to go on with a database whose steps it does not all know.
pub(super) const OLDEST: &str = "SELECT oldest FROM compatibility WHERE schema = $1";

/// Whether a newer release was here, which allows this one to go on.
///
/// # Errors
/// The database failed.
pub(super) fn is_ahead(tx: &Transaction<'_>) -> Result<bool, Fault> {
    let found = tx.query_one("SELECT schema FROM compatibility", &[], |row| row.int(0))?;
    Ok(found.is_some_and(|schema| i64::try_from(STEPS.len()).is_ok_and(|known| known < schema)))
}

/// How many steps a database has taken; more than are known, if the release that took them allows this one to go on.
///
/// # Errors
/// It cannot be read, or was written by a newer release that does not.
fn taken(connection: &Connection, path: &Path) -> Result<usize, Fault> {
    let found: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|error| database_fault("asking for the schema of the database", error))?;
    let known = STEPS.len();
    let mut taken = usize::try_from(found).ok();
    if taken.is_some_and(|taken| known < taken) {
        let oldest = connection.query_row(OLDEST, [found], |row| row.get::<_, i64>(0));
        match oldest {
            Ok(oldest) if usize::try_from(oldest).is_ok_and(|oldest| oldest <= known) => {}
            // This one is left behind; or the row is of another step, or there is none: nothing is said of going back.
            Ok(_) | Err(Error::QueryReturnedNoRows | Error::SqlInputError { .. }) => taken = None,
            Err(error) => return Err(database_fault("asking how far back one can go", error)),
        }
    }
    taken.ok_or_else(|| {
        Fault::plain(
            FaultKind::Other,
            format!(
                "the database {} has schema {found} and this release knows schemas up to {known}: a \
                 newer release wrote it, and nothing was changed; start that release or a later \
                 one, or put back the copy of the data directory from before the upgrade",
                path.display()
            ),
        )
    })
}

/// Refuses a database that has steps to take, and takes none.
///
/// # Errors
/// As said, or as for [`run`].
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), Fault> {
    let (found, known) = (taken(connection, path)?, STEPS.len());
    if known <= found {
        return Ok(());
    }
    Err(Fault::plain(
        FaultKind::Other,
        format!(
            "the database {} has schema {found} and this release wants schema {known}: only to look, \
             it is not brought up to date, and nothing was changed; look with the release that wrote \
             it, or start this one first, after which an older one may refuse",
            path.display()
        ),
    ))
}

/// Takes the steps that this database has not taken, each in a transaction of its own: a step is taken
/// whole or not at all, so whatever interrupts them, the next start goes on.
///
/// # Errors
/// A step fails, or the database was written by a newer release that does not allow this one to go on.
pub(super) fn run(connection: &Connection, path: &Path, journal: &Steps) -> Result<(), Fault> {
    let fault = |error| database_fault("bringing the database up to date", error);
    let (taken, known) = (taken(connection, path)?, STEPS.len());
    if known < taken {
        tracing::warn!(
            schema = taken,
            known,
            "a newer release was here, and this one goes on: what that brought is not served"
        );
    }
    if 0 < taken && taken < known {
        tracing::info!(
            from = taken,
            to = known,
            "the database is brought up to date"
        );
    }
    for (index, step) in STEPS.iter().enumerate().skip(taken) {
        let number = index + 1;
        connection
            .execute_batch(&format!("BEGIN; {step}; PRAGMA user_version = {number};"))
            .map_err(fault)?;
        if 0 < taken {
            journal
                .take(COMMIT)
                .map_err(|error| Fault::io(COMMIT, error))?;
        }
        connection.execute_batch("COMMIT").map_err(fault)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the release before is left behind by a step, if that does not say that it is.
    fn cuts_off(step: &str) -> bool {
        let words = step.to_uppercase();
        let removes = ["DROP TABLE", "DROP COLUMN", "RENAME "];
        removes.iter().any(|word| words.contains(word)) && !words.contains("OLDEST =")
    }

    #[test]
    fn steps_that_take_something_away_say_how_far_back_one_can_go() {
        assert!(cuts_off(
            "ALTER TABLE tags DROP COLUMN name; UPDATE compatibility SET schema = 17;"
        ));
        assert!(!cuts_off(
            "DROP TABLE stars; UPDATE compatibility SET schema = 17, oldest = 16;"
        ));
        for step in STEPS
            .iter()
            .skip_while(|step| !step.contains("CREATE TABLE compatibility"))
        {
            assert!(!cuts_off(step), "{step}");
        }
    }
}
