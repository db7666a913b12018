//! Two replicas on one database, where `LAYERHOUSE_TEST_POSTGRES` says; without it there is nothing to ask. They come by
//! way of `LAYERHOUSE_TEST_PGBOUNCER`, if there is one.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::Place;
use super::connect::Connector;
use super::schema::Owner;
use crate::fault::{Fault, FaultKind};
use crate::health::Health;
use crate::meta::database::Database;
use crate::meta::migrations::STEPS;
use crate::meta::transaction::Transaction;
use crate::steps::Steps;

/// A database of a test; gone with it.
pub(in crate::meta) struct Prepared {
    admin: String,
    name: String,
}

impl Prepared {
    pub(in crate::meta) fn make(test: &str) -> Option<Self> {
        let admin = std::env::var("LAYERHOUSE_TEST_POSTGRES").ok()?;
        let name = format!("layerhouse_{test}_{}", std::process::id());
        let prepared = Self { admin, name };
        prepared.say(&format!("CREATE DATABASE {}", prepared.name));
        Some(prepared)
    }

    fn say(&self, sql: &str) {
        let server = Connector::new(&parse(&self.admin)).expect("a place");
        let server = server.connect().expect("the server answers");
        server.simple(sql).expect("it is done");
    }

    /// Ends every connection of the replicas, as a server does that starts anew.
    fn end_connections(&self) {
        self.say(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
            self.name
        ));
    }

    fn place(&self) -> Place {
        let pooler = std::env::var("LAYERHOUSE_TEST_PGBOUNCER");
        let before = pooler.as_ref().unwrap_or(&self.admin);
        let (server, _) = before.rsplit_once('/').expect("a URL");
        parse(&format!("{server}/{}", self.name))
    }

    pub(in crate::meta) fn connect(&self) -> Result<Database, Fault> {
        let (steps, health) = (Steps::default(), Health::default());
        let owner = Owner::Directory("one".to_owned());
        Database::connect(&self.place(), &owner, steps, health)
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        self.say(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}

fn parse(url: &str) -> Place {
    Place::parse(url, |_| Err("no file".to_owned())).expect("a URL")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads")
}

/// Reads a number and writes the next one: two who do so at once lose one of them, unless they follow each other.
fn count_up(tx: &Transaction<'_>) -> Result<i64, Fault> {
    let sql = "SELECT created_at FROM repositories WHERE id = 1";
    let found = tx.query_one(sql, &[], |row| row.int(0))?.unwrap_or(0);
    tx.execute(
        "INSERT INTO repositories (id, name, created_at) VALUES (1, 'counted', $1)
         ON CONFLICT (id) DO UPDATE SET created_at = excluded.created_at",
        &[(found + 1).into()],
    )?;
    Ok(found + 1)
}

fn counted(tx: &Transaction<'_>) -> Result<i64, Fault> {
    let sql = "SELECT created_at FROM repositories WHERE id = 1";
    Ok(tx.query_one(sql, &[], |row| row.int(0))?.unwrap_or(0))
}

#[test]
fn a_pooler_is_seen_and_no_other_server_is_taken_for_one() {
    let Some(prepared) = Prepared::make("pooler") else {
        return;
    };
    let session = Connector::new(&prepared.place()).and_then(|place| place.connect());
    let session = session.expect("it connects");
    let is_pooler = std::env::var_os("LAYERHOUSE_TEST_PGBOUNCER").is_some();
    assert_eq!(session.is_pooled(), is_pooler);
    session.try_transaction().expect("it can be begun");
    // What holds for a connection holds for a transaction.
    session.simple(&session.beginning()).expect("it is begun");
    let said = session.query(
        "SELECT current_setting('idle_in_transaction_session_timeout')",
        &[],
    );
    let said: String = said.expect("it says")[0].get(0);
    assert_eq!(said, "15s");
    session.simple("ROLLBACK").expect("it is ended");
    let left = session.query("SELECT current_setting('statement_timeout')", &[]);
    let left: String = left.expect("it says")[0].get(0);
    assert_eq!(left, if is_pooler { "0" } else { "1min" });
}

#[test]
fn transactions_of_replicas_follow_each_other() {
    let Some(prepared) = Prepared::make("follow") else {
        return;
    };
    // Both make the schema at once.
    let (one, two) = std::thread::scope(|scope| {
        let one = scope.spawn(|| prepared.connect());
        let two = scope.spawn(|| prepared.connect());
        (one.join().expect("no panic"), two.join().expect("no panic"))
    });
    let (one, two) = (one.expect("it connects"), two.expect("it connects"));
    let runtime = runtime();
    runtime.block_on(async {
        let mut all = tokio::task::JoinSet::new();
        for at in 0..200 {
            let replica = if at % 2 == 0 {
                one.clone()
            } else {
                two.clone()
            };
            all.spawn(async move { replica.write(count_up).await });
        }
        while let Some(done) = all.join_next().await {
            done.expect("no panic").expect("it is written");
        }
    });
    assert_eq!(
        runtime
            .block_on(async { one.read(counted) })
            .expect("it reads"),
        200
    );
    one.close();
    two.close();
}

#[test]
fn what_a_replica_remembers_ends_when_another_commits() {
    let Some(prepared) = Prepared::make("watch") else {
        return;
    };
    let (one, two) = (prepared.connect(), prepared.connect());
    let (one, two) = (one.expect("it connects"), two.expect("it connects"));
    let runtime = runtime();
    runtime.block_on(async {
        let before = two.generation();
        one.write(count_up).await.expect("it is written");
        let changed = async {
            while two.generation() == before {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // Four times what it promises, for a machine that is busy.
        let waited = tokio::time::timeout(Duration::from_secs(4), changed).await;
        waited.expect("the other one sees it");
    });
    one.close();
    two.close();
}

#[test]
fn what_is_written_apart_waits_for_nobody() {
    let Some(prepared) = Prepared::make("apart") else {
        return;
    };
    let (one, two) = (prepared.connect(), prepared.connect());
    let (one, two) = (one.expect("it connects"), two.expect("it connects"));
    let runtime = runtime();
    runtime.block_on(async {
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (end, ends) = std::sync::mpsc::channel();
        let slow = tokio::spawn({
            let one = one.clone();
            async move {
                let slow = move |tx: &Transaction<'_>| {
                    let counted = count_up(tx);
                    begun.send(()).expect("it is waited for");
                    ends.recv().expect("it is told");
                    counted
                };
                one.write(slow).await
            }
        });
        begins.await.expect("it begins");
        let before = two.generation();
        let apart = two.write_apart(|tx| crate::meta::job_leases::take(tx, "jobs", "two", None));
        let taken = tokio::time::timeout(Duration::from_secs(10), apart).await;
        assert!(taken.expect("it does not wait").expect("it is written"));
        assert_eq!(two.generation(), before, "nothing is forgotten for it");
        let lease = one.read(|tx| crate::meta::job_leases::find(tx, "jobs"));
        assert_eq!(lease.expect("it reads").expect("it is there").holder, "two");
        end.send(()).expect("it waits");
        slow.await.expect("it ends").expect("it is written");
    });
    one.close();
    two.close();
}

#[test]
fn an_operation_that_fails_is_undone_alone() {
    let Some(prepared) = Prepared::make("undone") else {
        return;
    };
    let database = prepared.connect().expect("it connects");
    let runtime = runtime();
    runtime.block_on(async {
        let mut all = tokio::task::JoinSet::new();
        for at in 0..60_i64 {
            let database = database.clone();
            all.spawn(async move {
                let change = move |tx: &Transaction<'_>| -> Result<i64, Fault> {
                    let counted = count_up(tx)?;
                    match at % 3 {
                        0 => Ok(counted),
                        1 => Err(Fault::plain(FaultKind::Other, "no")),
                        // The server refuses it, and with it all that follows in this transaction.
                        _ => tx
                            .execute("INSERT INTO tags (repository_id, name, digest, moved_at) VALUES (1, 't', 'none', 0)", &[])
                            .map(|_| counted),
                    }
                };
                (at % 3 == 0, database.write(change).await.is_ok())
            });
        }
        while let Some(done) = all.join_next().await {
            let (is_good, is_kept) = done.expect("no panic");
            assert_eq!(is_good, is_kept);
        }
    });
    assert_eq!(
        runtime
            .block_on(async { database.read(counted) })
            .expect("it reads"),
        20
    );
    database.close();
}

/// What was acknowledged is there, whatever became of the connections meanwhile.
#[test]
fn connections_that_end_lose_nothing() {
    let Some(prepared) = Prepared::make("end") else {
        return;
    };
    let database = prepared.connect().expect("it connects");
    let runtime = runtime();
    let prepared = Arc::new(prepared);
    let (kept, unknown) = runtime.block_on(async {
        let (mut kept, mut unknown) = (0, 0);
        for round in 0..40 {
            let ends = (round % 4 == 0).then(|| {
                let prepared = Arc::clone(&prepared);
                tokio::task::spawn_blocking(move || prepared.end_connections())
            });
            for _ in 0..5 {
                match database.write(count_up).await {
                    Ok(_) => kept += 1,
                    Err(fault) => {
                        assert_eq!(fault.kind(), FaultKind::Unavailable, "{fault}");
                        unknown += 1;
                    }
                }
            }
            if let Some(ends) = ends {
                ends.await.expect("no panic");
            }
        }
        (kept, unknown)
    });
    // A reader that was ended is found out once.
    let found = runtime.block_on(async {
        database
            .read(counted)
            .or_else(|_: Fault| database.read(counted))
    });
    let found = found.expect("it reads");
    assert!(
        kept <= found && found <= kept + unknown,
        "{kept} {found} {unknown}"
    );
    assert!(100 < kept, "{kept} of 200 were kept");
    database.close();
}

#[test]
fn a_database_belongs_to_one_directory() {
    let Some(prepared) = Prepared::make("directory") else {
        return;
    };
    prepared.connect().expect("it connects").close();
    let other = Database::connect(
        &prepared.place(),
        &Owner::Directory("two".to_owned()),
        Steps::default(),
        Health::default(),
    );
    let said = other.err().expect("it is refused").to_string();
    assert!(said.contains("belongs to another data directory"), "{said}");
}

#[test]
fn a_release_goes_on_behind_the_next_one_where_that_allows_it() {
    let Some(prepared) = Prepared::make("schema") else {
        return;
    };
    prepared.connect().expect("it connects").close();
    let connector = Connector::new(&prepared.place()).expect("a place");
    let known = STEPS.len();
    let next = known + 1;
    let change = |sql: &str| {
        let session = connector.connect().expect("the server answers");
        session.simple(sql).expect("it is done");
    };
    let refused = || prepared.connect().err().map(|fault| fault.to_string());
    let words = format!("has schema {next} and this release knows schemas up to {known}");
    // A step that says nothing of going back.
    change(&format!("UPDATE commits SET schema = {next}"));
    assert!(refused().expect("it is refused").contains(&words));
    // One that says that the release before may go on, which is this one, or not even that.
    change(&format!("UPDATE compatibility SET schema = {next}"));
    assert_eq!(refused(), None);
    let look = Database::connect_current(&prepared.place(), Steps::default(), Health::default());
    look.expect("to look is allowed, too").close();
    change(&format!("UPDATE compatibility SET oldest = {next}"));
    assert!(refused().expect("it is refused").contains(&words));
}
