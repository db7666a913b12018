//! F25: a database of an older release is brought up to date, whole or not at all, wherever that is cut
//! short; one of a newer release is refused with words and left as it is, unless that release allowed to go back.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::super::harness::http::Client;
use super::super::harness::images::push_image;
use super::super::harness::process::Process;
use super::{assert_sound, quick_directory, run, stop_soundly};

/// The steps there are, as they were released, in their order.
fn migrations() -> Vec<String> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/meta/migrations");
    let mut files: Vec<PathBuf> = fs::read_dir(place)
        .expect("the sources are here")
        .map(|entry| entry.expect("it can be read").path())
        .collect();
    files.sort();
    let text = |path: &PathBuf| fs::read_to_string(path).expect("SQL is text");
    files.iter().map(text).collect()
}

fn database(root: &Path) -> PathBuf {
    root.join("layerhouse/layerhouse.db")
}

fn schema(root: &Path) -> i64 {
    let database = Connection::open(database(root)).expect("it is a database");
    let version = database.query_row("PRAGMA user_version", [], |row| row.get(0));
    version.expect("every database has one")
}

/// A directory with an image, its database as the release with this many steps left it.
fn directory_of(release: usize, root: &Path) -> String {
    let process = Process::start(root, &[]);
    let manifest = push_image(&process.client, "acme/web", "v1", "a layer");
    stop_soundly(process, root);
    let newer = root.join("layerhouse/newer.db");
    fs::rename(database(root), &newer).expect("it is closed");
    let older = Connection::open(database(root)).expect("it can be made");
    for step in &migrations()[..release] {
        older.execute_batch(step).expect("it was released");
    }
    older
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL;
             PRAGMA foreign_keys = OFF;
             PRAGMA user_version = {release};
             ATTACH '{}' AS newer;",
            newer.display()
        ))
        .expect("both are databases");
    let mut statement = older
        // What a virtual table keeps in tables of its own is made when that is written to.
        .prepare("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite%'")
        .expect("every database has it");
    let tables: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .expect("it can be read")
        .map(|name| name.expect("it is text"))
        .collect();
    drop(statement);
    let columns_of = |place: &str, table: &str| -> Vec<String> {
        let sql = format!("SELECT name FROM pragma_table_info('{table}', '{place}')");
        let mut statement = older.prepare(&sql).expect("it is SQL");
        let names = statement
            .query_map([], |row| row.get(0))
            .expect("it can be read");
        names.map(|name| name.expect("it is text")).collect()
    };
    for table in tables {
        let newer = columns_of("newer", &table);
        let mut columns = columns_of("main", &table);
        columns.retain(|column| newer.contains(column));
        let columns = columns.join(", ");
        if columns.is_empty() {
            continue;
        }
        older
            .execute_batch(&format!(
                "INSERT OR REPLACE INTO main.{table} ({columns}) SELECT {columns} FROM newer.{table};"
            ))
            .expect("what a release wrote stands in its tables");
    }
    older.close().expect("nothing is open");
    fs::remove_file(newer).expect("it is not needed");
    manifest
}

fn serves(client: &Client, manifest: &str) {
    let answer = client.get("/v2/acme/web/manifests/v1");
    assert_eq!((answer.status, answer.text().as_str()), (200, manifest));
    let pushed = push_image(client, "acme/web", "v2", "another");
    assert_eq!(client.get("/v2/acme/web/manifests/v2").text(), pushed);
}

/// An operator who checks with the new binary can still start the old one.
fn refuses_to_look(root: &Path, release: usize, known: usize) {
    let before = fs::read(database(root)).expect("it is closed");
    let text = root.to_string_lossy();
    for look in [
        run(&["verify", "--root", &text]),
        run(&["rebuild", "--dry-run", "--root", &text]),
    ] {
        let said = String::from_utf8_lossy(&look.stderr);
        let words = format!("has schema {release} and this release wants schema {known}");
        assert!(!look.status.success() && said.contains(&words), "{said}");
    }
    let after = fs::read(database(root)).expect("it is closed");
    assert!(before == after, "the database was changed");
}

#[test]
fn fault_f25_an_upgrade_may_be_cut_short_at_every_step() {
    let known = migrations().len();
    for release in 1..known {
        for at in 1.. {
            let directory = quick_directory();
            let root = directory.path().join("root");
            let manifest = directory_of(release, &root);
            assert_eq!(
                schema(&root),
                i64::try_from(release).expect("a small number")
            );
            if at == 1 {
                refuses_to_look(&root, release, known);
            }
            let accident = format!("kill@{at}");
            // While there are steps to take the process dies before it listens.
            let is_cut_short = at <= known - release;
            match Process::try_start(&root, &[("LAYERHOUSE_FAULTS", &accident)]) {
                Ok(mut process) => {
                    process.kill();
                    assert!(!is_cut_short, "schema {release}, step {at}");
                }
                Err(refused) => assert!(is_cut_short || !refused.status.success(), "{refused:?}"),
            }
            if is_cut_short {
                // Whole steps, as many as were committed.
                let expected = release + at - 1;
                assert_eq!(
                    schema(&root),
                    i64::try_from(expected).expect("a small number")
                );
            }
            let process = Process::start(&root, &[]);
            serves(&process.client, &manifest);
            stop_soundly(process, &root);
            assert_eq!(schema(&root), i64::try_from(known).expect("a small number"));
            if !is_cut_short {
                break;
            }
        }
    }
}

#[test]
fn fault_f25_a_step_that_fails_is_not_half_taken() {
    let known = migrations().len();
    let directory = quick_directory();
    let root = directory.path().join("root");
    let manifest = directory_of(known - 1, &root);
    for accident in ["ENOSPC@1", "EIO@1", "EROFS@1"] {
        let refused = Process::try_start(&root, &[("LAYERHOUSE_FAULTS", accident)])
            .err()
            .expect("the step failed");
        assert_eq!(refused.status.code(), Some(1), "{}", refused.log);
        assert_eq!(
            schema(&root),
            i64::try_from(known - 1).expect("a small number")
        );
    }
    let process = Process::start(&root, &[]);
    serves(&process.client, &manifest);
    stop_soundly(process, &root);
}

/// What an older release meets after an upgrade: it says what to do, and does nothing.
#[test]
fn fault_f25_a_database_from_the_future_is_refused_with_words() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let process = Process::start(&root, &[]);
    let manifest = push_image(&process.client, "acme/web", "v1", "a layer");
    stop_soundly(process, &root);
    let known = schema(&root);
    for future in [known + 1, i64::from(i32::MAX), -1] {
        let set = |version: i64| {
            let database = Connection::open(database(&root)).expect("it is a database");
            let sql = format!("PRAGMA user_version = {version}");
            database.execute_batch(&sql).expect("it can be written");
        };
        set(future);
        let before = fs::read(database(&root)).expect("it is closed");
        let refused = Process::try_start(&root, &[])
            .err()
            .expect("it is from the future");
        assert_eq!(refused.status.code(), Some(1), "{}", refused.log);
        let root_text = root.to_string_lossy();
        let verified = run(&["verify", "--root", &root_text]);
        let rebuilt = run(&["rebuild", "--root", &root_text]);
        for said in [
            refused.log,
            String::from_utf8_lossy(&verified.stderr).into_owned(),
            String::from_utf8_lossy(&rebuilt.stderr).into_owned(),
        ] {
            for words in [
                &format!("has schema {future} and this release knows schemas up to {known}"),
                "start that release or a later one",
                "put back the copy of the data directory",
            ] {
                assert!(said.contains(words), "{words}: {said}");
            }
        }
        let after = fs::read(database(&root)).expect("it is closed");
        assert!(before == after, "the database was changed");
        set(known);
    }
    // The newer release, or the copy from before, goes on where it was.
    let process = Process::start(&root, &[]);
    serves(&process.client, &manifest);
    stop_soundly(process, &root);
    assert_sound(&root);
}

/// What a step of the next release does, that the release before it can go on beside.
fn next_step(schema: i64, oldest: i64) -> String {
    format!(
        "ALTER TABLE repositories ADD COLUMN flavour TEXT NOT NULL DEFAULT 'plain';
         CREATE TABLE flavours (name TEXT NOT NULL PRIMARY KEY);
         UPDATE compatibility SET schema = {schema}, oldest = {oldest};
         PRAGMA user_version = {schema};"
    )
}

#[test]
fn fault_f25_back_to_the_release_before_where_the_newer_one_allows_it() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let process = Process::start(&root, &[]);
    let manifest = push_image(&process.client, "acme/web", "v1", "a layer");
    stop_soundly(process, &root);
    let known = schema(&root);
    let change = |sql: &str| {
        let database = Connection::open(database(&root)).expect("it is a database");
        database.execute_batch(sql).expect("it can be written");
    };
    change(&next_step(known + 1, known));
    let process = Process::start(&root, &[]);
    serves(&process.client, &manifest);
    let pushed = push_image(&process.client, "acme/other", "v1", "a third layer");
    let (status, log) = process.terminate();
    assert!(status.success(), "{log}");
    assert!(log.contains("a newer release was here"), "{log}");
    assert_sound(&root);
    assert_eq!(schema(&root), known + 1, "nothing was taken back");

    // The newer release finds what was pushed meanwhile, and its own.
    let read = |sql: &str| {
        let database = Connection::open(database(&root)).expect("it is a database");
        database.query_row(sql, [], |row| row.get::<_, i64>(0))
    };
    let plain = read("SELECT COUNT(*) FROM repositories WHERE flavour = 'plain'");
    assert_eq!(plain, Ok(2));

    // A release later what the one before needed is gone, and so is the way back.
    change(&format!("UPDATE compatibility SET oldest = {}", known + 1));
    let refused = Process::try_start(&root, &[]).err();
    let refused = refused.expect("it needs a newer one");
    let words = format!(
        "has schema {} and this release knows schemas up to {known}",
        known + 1
    );
    assert!(refused.log.contains(&words), "{}", refused.log);
    change(&format!("UPDATE compatibility SET oldest = {known}"));
    let process = Process::start(&root, &[]);
    assert_eq!(
        process.client.get("/v2/acme/other/manifests/v1").text(),
        pushed
    );
    stop_soundly(process, &root);
}
