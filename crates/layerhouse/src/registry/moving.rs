//! Moves the facts of a data directory to a server's database, and back. The bytes stay where they are.

use std::path::Path;
use std::time::Duration;

use super::lead;
use crate::blobs::objects::settings::Buckets;
use crate::blobs::{OpenError, Store};
use crate::clock::{Clock, Random};
use crate::config::meaning::Config;
use crate::fault::{Fault, FaultKind};
use crate::health::Health;
use crate::meta;
use crate::meta::database::Database;
use crate::meta::moving;
use crate::meta::postgres::Place;
use crate::meta::postgres::schema::Owner;
use crate::steps::Steps;

/// Between two looks whether a process says that it lives.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Where to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToDirectory,
}

/// Moves all rows between the database of a directory that no server uses and one on a server; how many.
/// What breaks off begins anew when it is called again: until the end the directory uses the database that it had.
///
/// # Errors
/// The directory is used, there is nothing to move, a database failed, or what was copied is not the same.
pub fn migrate(root: &Path, place: &Place, direction: Direction) -> Result<u64, OpenError> {
    migrate_with(root, &Buckets::default(), place, direction)
}

/// Whether no process leads the others of a bucket, which one that runs does within seconds. Blocks for some.
fn check_unserved(database: &Database, place: &Place) -> Result<(), Fault> {
    let lease = || database.read(|tx| meta::job_leases::find(tx, lead::LEASE));
    let clock = Clock::system();
    let (begun, first) = (clock.moment(), lease()?);
    let wait = if first.is_some() {
        lead::SILENCE_MAX + lead::RENEWAL * 3
    } else {
        lead::RENEWAL * 2
    };
    while clock.moment().since(begun) < wait {
        std::thread::sleep(LOOK_INTERVAL);
        if lease()? != first {
            let what = format!(
                "a process serves the database {}: stop all that do",
                place.shown()
            );
            return Err(Fault::plain(FaultKind::Other, what));
        }
    }
    Ok(())
}

/// The same for the directory and bucket that a configuration names.
///
/// # Errors
/// As [`migrate`].
pub fn migrate_configured(
    config: &Config,
    place: &Place,
    direction: Direction,
) -> Result<u64, OpenError> {
    migrate_with(&config.root, &config.buckets, place, direction)
}

fn migrate_with(
    root: &Path,
    buckets: &Buckets,
    place: &Place,
    direction: Direction,
) -> Result<u64, OpenError> {
    let store = Store::open_with(root, buckets, Steps::default(), Health::default(), 0, 0)?;
    let (steps, health) = (Steps::default(), Health::default());
    let layout = store.layout();
    // Others may serve the same.
    let is_shared = buckets.default.is_some();
    let refuse = |what: String| Err(Fault::plain(FaultKind::Other, what).into());
    match direction {
        Direction::ToServer => {
            if !layout.database().exists() {
                return refuse(format!("{} has no database to move", root.display()));
            }
            let known_as = store.known_as(Random::system().bits())?;
            if store.is_database_at(&place.shown())? {
                // It broke off after the last row was there, and may have been written to since.
                store.leave_database(&place.shown(), &known_as)?;
                return Ok(0);
            }
            let from = Database::open(&layout.database(), steps.clone(), health.clone())?;
            // One that other processes may serve right now is refused.
            let owner = Owner::Directory(known_as.clone());
            let moved = Database::connect(place, &owner, steps, health).and_then(|to| {
                if is_shared {
                    check_unserved(&to, place)?;
                }
                let moved = moving::copy(&from, &to, &from).and_then(|moved| {
                    to.give(&known_as)?;
                    Ok(moved)
                });
                to.close();
                moved
            });
            from.close();
            let moved = moved?;
            store.leave_database(&place.shown(), &known_as)?;
            Ok(moved)
        }
        Direction::ToDirectory => {
            if layout.database().exists() {
                return refuse(format!(
                    "{} has a database already, {}",
                    root.display(),
                    layout.database().display()
                ));
            }
            let from = Database::connect_current(place, steps.clone(), health.clone())?;
            let known_as = store.known_as(Random::system().bits())?;
            if is_shared {
                check_unserved(&from, place)?;
                // Whoever would serve the bucket with what is left there is refused from now on.
                from.give(&known_as)?;
            }
            let moved = Database::open(&layout.database_arriving(), steps, health).and_then(|to| {
                let moved = moving::copy(&from, &to, &to);
                to.close();
                moved
            });
            from.close();
            let moved = moved?;
            store.take_database()?;
            Ok(moved)
        }
    }
}
