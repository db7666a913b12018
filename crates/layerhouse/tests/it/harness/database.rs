//! Where servers of these tests keep their facts: in their directories, or, if `LAYERHOUSE_TEST_POSTGRES` says
//! where a PostgreSQL is (as its superuser, `postgres://postgres@127.0.0.1:5432/postgres`), in databases there. If
//! `LAYERHOUSE_TEST_PGBOUNCER` names a pooler in the same way, servers are sent to that, and tests are not.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use layerhouse::config::database_place;
use layerhouse::{DatabasePlace, OpenError, Rebuild, RebuildReport, Report};
use postgres::{Client, NoTls};

/// The URL of the database of the server with this directory, made if need be; `None` for one that is embedded.
pub(crate) fn url_of(root: &Path) -> Option<String> {
    let admin = std::env::var("LAYERHOUSE_TEST_POSTGRES").ok()?;
    let name = name_of(root);
    let mut client = connect(&admin);
    let known = client.query("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]);
    if known.expect("it can be asked").is_empty() {
        client
            .batch_execute(&format!("CREATE DATABASE {name} STRATEGY file_copy"))
            .expect("a database can be made");
    }
    let pooler = std::env::var("LAYERHOUSE_TEST_PGBOUNCER");
    Some(at(&pooler.unwrap_or(admin), &name))
}

/// The same for a server that is a process of its own: embedded, unless `LAYERHOUSE_TEST_PROCESSES` says otherwise; tests of
/// commands and files expect that.
pub(crate) fn url_of_process(root: &Path) -> Option<String> {
    std::env::var_os("LAYERHOUSE_TEST_PROCESSES").and_then(|_| url_of(root))
}

fn at(url: &str, name: &str) -> String {
    let (server, _) = url.rsplit_once('/').expect("a URL of a database");
    format!("{server}/{name}")
}

/// Whether servers are given a PostgreSQL. What works on the file of an embedded database, looks at one after its server
/// is gone, or lets a clock run on without waiting for what is written, has nothing to do there.
pub(crate) fn is_served() -> bool {
    std::env::var_os("LAYERHOUSE_TEST_POSTGRES").is_some()
}

/// The same as a place.
pub(crate) fn place_of(root: &Path) -> Option<DatabasePlace> {
    url_of(root).map(|url| database_place(&url).expect("a URL of a database"))
}

/// The URL of the same on the streaming standby of the PostgreSQL, if `LAYERHOUSE_TEST_STANDBY` says where that is.
pub(crate) fn standby_of(root: &Path) -> Option<String> {
    let standby = std::env::var("LAYERHOUSE_TEST_STANDBY").ok()?;
    Some(at(&standby, &name_of(root)))
}

/// Removes it.
pub(crate) fn remove(root: &Path) {
    if let Ok(admin) = std::env::var("LAYERHOUSE_TEST_POSTGRES") {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", name_of(root));
        connect(&admin)
            .batch_execute(&sql)
            .expect("a database can be removed");
    }
}

fn name_of(root: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    root.hash(&mut hasher);
    format!("layerhouse_{:016x}", hasher.finish())
}

/// To the database of this directory, past whatever is before it.
fn enter(root: &Path) -> Option<Client> {
    let admin = std::env::var("LAYERHOUSE_TEST_POSTGRES").ok()?;
    url_of(root).map(|_| connect(&at(&admin, &name_of(root))))
}

pub(crate) fn connect(url: &str) -> Client {
    Client::connect(url, NoTls).expect("a PostgreSQL where LAYERHOUSE_TEST_POSTGRES says")
}

/// Lets nobody reach the database of this directory, or all again.
pub(crate) fn shut(root: &Path, is_shut: bool) {
    let admin = std::env::var("LAYERHOUSE_TEST_POSTGRES").expect("a PostgreSQL");
    let (name, allowed) = (name_of(root), !is_shut);
    connect(&admin)
        .batch_execute(&format!(
            "ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed};
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        ))
        .expect("it is done");
}

/// Changes rows of the server with this directory, which does not run.
pub(crate) fn change(root: &Path, statements: &str) {
    if let Some(mut client) = enter(root) {
        client.batch_execute(statements).expect("statements");
        return;
    }
    let path = root.join("layerhouse/layerhouse.db");
    let database = rusqlite::Connection::open(path).expect("a database");
    database.execute_batch(statements).expect("statements");
}

/// Who writes to the facts of this directory waits until what this gives is dropped.
pub(crate) fn lock(root: &Path) -> Locked {
    if let Some(mut client) = enter(root) {
        client
            .batch_execute("BEGIN; LOCK TABLE uploads IN EXCLUSIVE MODE")
            .expect("a table");
        return Locked::Served(client);
    }
    let path = root.join("layerhouse/layerhouse.db");
    let database = rusqlite::Connection::open(path).expect("a database");
    database.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    Locked::Embedded(database)
}

/// A lock, which ends with its connection.
pub(crate) enum Locked {
    Served(#[expect(dead_code, reason = "held")] Client),
    Embedded(#[expect(dead_code, reason = "held")] rusqlite::Connection),
}

/// The first column of rows of the server with this directory, as text.
pub(crate) fn texts(root: &Path, query: &str) -> Vec<String> {
    let mut client = enter(root).expect("a PostgreSQL");
    let rows = client.query(query, &[]).expect("a query");
    rows.iter().map(|row| row.get(0)).collect()
}

/// `layerhouse rebuild`, where the facts of this directory are.
pub(crate) fn rebuild(root: &Path, kind: Rebuild) -> Result<RebuildReport, OpenError> {
    layerhouse::rebuild(root, place_of(root).as_ref(), kind)
}

/// `layerhouse verify`, where the facts of the process with this directory are.
pub(crate) fn verify_process(root: &Path) -> Result<Report, OpenError> {
    let url = url_of_process(root);
    let place = url.map(|url| database_place(&url).expect("a URL of a database"));
    layerhouse::verify(root, place.as_ref())
}

/// `layerhouse verify`, where the facts of this directory are.
pub(crate) fn verify(root: &Path) -> Result<Report, OpenError> {
    layerhouse::verify(root, place_of(root).as_ref())
}
