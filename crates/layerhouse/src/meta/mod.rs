//! Facts, in SQL, and SQL only here. A function is one sentence about data; `registry` decides which
//! of them make a transaction.
//!
//! One SQL text serves every engine, so statements keep to what SQLite and PostgreSQL share: `$n`
//! parameters, ids and times from the application, `ON CONFLICT`, `RETURNING`, keyset paging.
//! Operations are plain functions that wait for nothing but the database: SQLite runs a read in 5 µs
//! where it stands, and what asks a server lets another thread do the work of this one meanwhile (`database.rs`).

pub(crate) mod accounts;
pub(crate) mod adoptions;
pub(crate) mod audit;
pub(crate) mod blobs;
pub(crate) mod browse;
pub(crate) mod counts;
pub(crate) mod damages;
pub(crate) mod database;
pub(crate) mod deleted;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod fetches;
pub(crate) mod grants;
pub(crate) mod history;
pub(crate) mod invitations;
pub(crate) mod job_leases;
pub(crate) mod links;
pub(crate) mod manifests;
pub(crate) mod measured;
pub(crate) mod members;
mod migrations;
pub(crate) mod mirror;
pub(crate) mod moving;
pub(crate) mod namespaces;
pub(crate) mod objects;
pub(crate) mod pages;
pub(crate) mod postgres;
pub(crate) mod repositories;
pub(crate) mod retention;
pub(crate) mod reviews;
pub(crate) mod robots;
pub(crate) mod scrub;
pub(crate) mod search;
pub(crate) mod shown;
pub(crate) mod signing_keys;
pub(crate) mod snapshot;
mod sqlite;
pub(crate) mod standing;
pub(crate) mod stars;
#[cfg(test)]
mod statements_tests;
pub(crate) mod storage;
pub(crate) mod tags;
pub(crate) mod teams;
pub(crate) mod tokens;
pub(crate) mod transaction;
pub(crate) mod untagged;
pub(crate) mod uploads;
pub(crate) mod verify;

use transaction::{Row, Transaction, Value};

use crate::fault::Fault;

/// Whether the database answers.
pub(crate) fn ping(tx: &Transaction<'_>) -> Result<(), Fault> {
    tx.exists("SELECT 1 FROM repositories LIMIT 1", &[])
        .map(|_| ())
}

/// An id above every other, of which `highest` asks for the greatest: the time with room for 2²⁰ rows in each
/// millisecond, so that ids need no sequence and grow with time.
fn next_id(
    tx: &Transaction<'_>,
    highest: &'static str,
    now: crate::clock::Timestamp,
) -> Result<i64, Fault> {
    let highest = tx.query_one(highest, &[], |row| row.int(0))?.unwrap_or(0);
    Ok((now.0 << 20).max(highest + 1))
}

/// A bound on rows as a parameter.
fn limit(rows: usize) -> Value<'static> {
    Value::Int(i64::try_from(rows).unwrap_or(i64::MAX))
}
