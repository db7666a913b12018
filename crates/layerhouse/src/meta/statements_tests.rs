//! Every statement of the code is prepared on both engines: what one of them does not know is found before
//! somebody runs it. The text is read from the source, where statements are literals.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::database::Database;
use super::postgres::tests::Prepared;
use super::transaction::Engine;
use crate::fault::Fault;
use crate::health::Health;
use crate::steps::Steps;

const VERBS: [&str; 5] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "];

/// Files that speak to one engine alone, or that are no statements of ours.
const APART: [&str; 6] = [
    "moving.rs",
    "measured.rs",
    "sqlite.rs",
    "migrations.rs",
    "statements_tests.rs",
    "postgres",
];

/// All string literals of the code below a directory that begin as statements do, with where they stand.
fn statements(directory: &Path, found: &mut BTreeSet<(String, &'static str)>) {
    for entry in fs::read_dir(directory).expect("the source is there") {
        let path = entry.expect("it can be read").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if APART.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            statements(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") && !name.contains("tests") {
            let text = fs::read_to_string(&path).expect("it can be read");
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            found.extend(literals(code).map(|statement| {
                let kept: &'static str = Box::leak(statement.into_boxed_str());
                (name.clone(), kept)
            }));
        }
    }
}

fn literals(code: &str) -> impl Iterator<Item = String> + '_ {
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code = lines.collect::<Vec<_>>().join("\n");
    // No statement holds a quote of this kind.
    let parts: Vec<String> = code
        .split('"')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    parts
        .into_iter()
        .map(|part| part.replace("\\\n", " "))
        .filter(|part| VERBS.iter().any(|verb| part.starts_with(verb)))
}

fn all() -> BTreeSet<(String, &'static str)> {
    let mut found = BTreeSet::new();
    let meta = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/meta");
    statements(&meta, &mut found);
    assert!(300 < found.len(), "{} statements were found", found.len());
    found
}

/// What only one engine knows, and only its branch asks for.
fn is_of_sqlite(sql: &str) -> bool {
    [
        "search_names",
        "search_texts",
        "VACUUM",
        "PRAGMA",
        "sqlite_master",
    ]
    .iter()
    .any(|word| sql.contains(word))
}

fn is_of_postgres(sql: &str) -> bool {
    ["tsquery", "tsvector"]
        .iter()
        .any(|word| sql.contains(word))
}

#[test]
fn sqlite_knows_every_statement() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let path = directory.path().join("layerhouse.db");
    let database = Database::open(&path, Steps::default(), Health::default()).expect("it opens");
    let unknown = database.read(|tx| {
        let Engine::Sqlite(connection) = tx.engine() else {
            unreachable!("it is embedded");
        };
        let mut unknown = Vec::new();
        for (file, sql) in all().iter().filter(|(_, sql)| !is_of_postgres(sql)) {
            if let Err(error) = connection.prepare(sql) {
                unknown.push(format!("{file}: {error}\n{sql}"));
            }
        }
        Ok::<_, Fault>(unknown)
    });
    let unknown = unknown.expect("it reads");
    assert!(unknown.is_empty(), "{}", unknown.join("\n\n"));
    database.close();
}

/// Where `LAYERHOUSE_TEST_POSTGRES` says; without it there is nothing to ask.
#[test]
fn postgres_knows_every_statement() {
    let Some(prepared) = Prepared::make("statements") else {
        return;
    };
    let database = prepared.connect().expect("its schema can be made");
    let mut unknown = Vec::new();
    database
        .read(|tx| {
            let Engine::Postgres(session) = tx.engine() else {
                unreachable!("it is no file");
            };
            for (file, sql) in all().iter().filter(|(_, sql)| !is_of_sqlite(sql)) {
                if let Err(fault) = session.check(sql) {
                    unknown.push(format!("{file}: {fault}\n{sql}"));
                }
            }
            Ok::<_, Fault>(())
        })
        .expect("it reads");
    database.close();
    assert!(unknown.is_empty(), "{}", unknown.join("\n\n"));
}
