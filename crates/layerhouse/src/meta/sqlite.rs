//! The embedded engine: one writer thread that commits in groups, and readers that run where the
//! caller stands.
//!
//! A group is as many waiting operations as there are, each in a savepoint of its own, then one
//! COMMIT, and only then the answers: a group costs one flush however many pushes are in it, and no
//! answer is given before what it promises is durable.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{mpsc, oneshot};

use super::{Transaction, database_fault, migrations};
use crate::fault::{Fault, FaultKind};
use crate::health::Health;
use crate::steps::Steps;

/// Operations in one group: at 70 µs each a full group is answered in 10 ms.
const GROUP_OPERATIONS_MAX: usize = 128;
/// Operations waiting for the writer; a caller beyond them waits, which slows its client down.
const WAITING_OPERATIONS_MAX: usize = 1024;

/// What an acknowledged write survives; each what those before it survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Durability {
    /// Nothing, as far as anybody counts on it: what a job read from other rows, and reads again. It is no
    /// durable step, for nobody is told of it.
    Remade,
    /// The death of this process: for facts that a client makes again when they are lost, such as an
    /// upload that was opened and has no bytes yet.
    ProcessDeath,
    /// A power cut: the commit is flushed to the disk first.
    PowerCut,
}

/// The database of one registry; cheap to clone.
#[derive(Clone)]
pub(crate) struct Database(Arc<Engine>);

/// Readers that are opened before they are asked for: half a millisecond of the start each.
const READERS_READY_MAX: usize = 16;

struct Engine {
    path: PathBuf,
    readers: Mutex<Vec<Connection>>,
    /// `None` once closed.
    writer: Mutex<Option<mpsc::Sender<Operation>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    steps: Steps,
    /// Changes with every commit, before it is answered.
    generation: Arc<AtomicU64>,
}

/// Writes many rows in few transactions, one of which is open whenever something was changed. Dropped,
/// it keeps what was committed.
pub(crate) struct Bulk {
    connection: Connection,
    steps: Steps,
}

/// The commit of many rows. No literal at its place, for only a start that has a tree to read comes by:
/// the scenario whose every step is killed does not.
const BULK_COMMIT: &str = "database.bulk_commit";

impl Bulk {
    /// Runs `change` in the open transaction, or begins one.
    ///
    /// # Errors
    /// Those of `change`; then nothing since the last commit may be kept.
    pub(crate) fn change<T>(
        &mut self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.connection.is_autocommit() {
            execute(&self.connection, "BEGIN IMMEDIATE").map_err(CommitFailure::into_fault)?;
        }
        change(&Transaction {
            connection: &self.connection,
        })
    }

    /// Keeps what was changed. A power cut may still take it, but nothing before it: see
    /// [`Bulk::finish`].
    ///
    /// # Errors
    /// The commit failed, and nothing of it was kept.
    pub(crate) fn commit(&mut self) -> Result<(), Fault> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        self.steps
            .take(BULK_COMMIT)
            .map_err(|error| Fault::io(BULK_COMMIT, error))?;
        execute(&self.connection, "COMMIT").map_err(CommitFailure::into_fault)
    }

    /// Commits `change` so that it and all before it survive a power cut: the flush of the log is of the
    /// whole file.
    ///
    /// # Errors
    /// Those of `change`, and a fault if the commit fails.
    pub(crate) fn finish<T>(
        mut self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.commit()?;
        self.connection
            .execute_batch("PRAGMA synchronous = FULL")
            .map_err(|error| database_fault("asking for a flush", error))?;
        let result = self.change(change)?;
        execute(&self.connection, "COMMIT").map_err(CommitFailure::into_fault)?;
        Ok(result)
    }
}

/// An operation that waits for the writer.
struct Operation {
    durability: Durability,
    /// Runs the statements; says whether to keep them, and how to answer once that is durable.
    run: Run,
}

/// Without a transaction to run in, the statements are not run: each would commit by itself.
type Run = Box<dyn FnOnce(Result<&Connection, CommitFailure>) -> (Verdict, Answer) + Send>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Keep,
    Undo,
}

/// Sends the operation's result; with a message, the commit failed and that is the result.
type Answer = Box<dyn FnOnce(Option<&CommitFailure>) + Send>;

/// Why a whole group failed.
#[derive(Clone)]
struct CommitFailure {
    kind: FaultKind,
    message: String,
}

impl CommitFailure {
    fn into_fault(self) -> Fault {
        Fault::new(self.kind, "committing", self.message)
    }
}

impl From<Fault> for CommitFailure {
    fn from(fault: Fault) -> Self {
        Self {
            kind: fault.kind(),
            message: fault.to_string(),
        }
    }
}

impl Database {
    /// Opens or creates the database file and brings its schema up to date.
    ///
    /// # Errors
    /// The file cannot be opened, is damaged, or belongs to a newer release.
    pub(crate) fn open(path: &Path, steps: Steps, health: Health) -> Result<Self, Fault> {
        let connection = connect(path)?;
        migrations::run(&connection, path, &steps)?;
        let database = Self::of(connection, path, steps, health)?;
        // Opening one writes (SQLite gives the log the file's owner), which on a disk that hangs would
        // hold a thread that serves requests: so there is one for each of those from the beginning.
        let ready = std::thread::available_parallelism().map_or(1, NonZero::get);
        for _ in 0..ready.min(READERS_READY_MAX) {
            let reader = connect(path)?;
            database.readers().push(reader);
        }
        Ok(database)
    }

    /// Opens a database only to look: one that an older release wrote is refused and not brought up to
    /// date, or that release could not go on with it.
    ///
    /// # Errors
    /// As said, or as for [`Database::open`].
    pub(crate) fn open_current(path: &Path, steps: Steps, health: Health) -> Result<Self, Fault> {
        let connection = connect(path)?;
        migrations::check(&connection, path)?;
        Self::of(connection, path, steps, health)
    }

    fn of(
        connection: Connection,
        path: &Path,
        steps: Steps,
        health: Health,
    ) -> Result<Self, Fault> {
        let (sender, receiver) = mpsc::channel(WAITING_OPERATIONS_MAX);
        let steps_of_bulk = steps.clone();
        let generation = Arc::new(AtomicU64::new(0));
        let of_writer = Arc::clone(&generation);
        let thread = std::thread::Builder::new()
            .name("database writer".to_owned())
            .spawn(move || write_groups(&connection, receiver, &steps, &health, &of_writer))
            .map_err(|error| Fault::io("starting the database writer", error))?;
        Ok(Self(Arc::new(Engine {
            path: path.to_owned(),
            readers: Mutex::new(Vec::new()),
            writer: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
            steps: steps_of_bulk,
            generation,
        })))
    }

    /// A connection for many rows at once, where the caller stands: for the work of a start, before there
    /// are requests whose changes could share a commit.
    ///
    /// # Errors
    /// No connection can be opened.
    pub(crate) fn bulk(&self) -> Result<Bulk, Fault> {
        let connection = connect(&self.0.path)?;
        // Rows in the order of their digests touch pages all over the indexes: keep those (64 MiB) and
        // fold the log into the file seldom, for both are given back at the end.
        connection
            .execute_batch(
                "PRAGMA cache_size = -65536;
                 PRAGMA wal_autocheckpoint = 16384;
                 PRAGMA synchronous = NORMAL;",
            )
            .map_err(|error| database_fault("preparing for many rows", error))?;
        Ok(Bulk {
            connection,
            steps: self.0.steps.clone(),
        })
    }

    /// Writes all that is committed into a new file, without what was removed. Blocks nobody.
    ///
    /// # Errors
    /// The disk is full or failed, or the database is damaged.
    pub(super) fn vacuum_into(&self, path: &Path) -> Result<(), Fault> {
        let doing = "copying the database";
        let connection = connect(&self.0.path)?;
        connection
            .execute("VACUUM INTO $1", [path.to_string_lossy()])
            .map(drop)
            .map_err(|error| database_fault(doing, error))
    }

    /// A number that is another one after every commit of [`Database::write`], before that returns: what
    /// was read after this was asked for is true for as long as it stays the same.
    pub(crate) fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// Runs `look` on a reader, here and now: a lookup is 5 µs, a hop to another thread 30 to 50.
    ///
    /// # Errors
    /// Those of `look`, and a fault if no reader can be opened.
    pub(crate) fn read<T, E: From<Fault>>(
        &self,
        look: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let connection = self.reader()?;
        let result = look(&Transaction {
            connection: &connection,
        });
        self.readers().push(connection);
        result
    }

    /// Runs `change` as a transaction of its own that survives a power cut, and returns its result.
    ///
    /// `change` may share a commit with others; its error undoes it alone.
    ///
    /// # Errors
    /// Those of `change`, and a fault if the commit fails: then nothing of it was kept.
    pub(crate) async fn write<T, E>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
    {
        self.write_lasting(Durability::PowerCut, change).await
    }

    /// As [`Database::write`], with the durability chosen.
    ///
    /// # Errors
    /// As [`Database::write`].
    pub(crate) async fn write_lasting<T, E>(
        &self,
        durability: Durability,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
    {
        let stopping = || Fault::plain(FaultKind::Stopping, "the database is closed");
        let (sender, receiver) = oneshot::channel();
        let run: Run = Box::new(move |connection| {
            let result = match connection {
                Ok(connection) => {
                    catch_unwind(AssertUnwindSafe(|| change(&Transaction { connection })))
                        .unwrap_or_else(|_| {
                            let doing = "a database operation panicked";
                            Err(Fault::plain(FaultKind::Other, doing).into())
                        })
                }
                Err(failure) => Err(failure.into_fault().into()),
            };
            let verdict = if result.is_ok() {
                Verdict::Keep
            } else {
                Verdict::Undo
            };
            let answer: Answer = Box::new(move |failure| {
                let result = match (result, failure) {
                    (Ok(_), Some(failure)) => Err(failure.clone().into_fault().into()),
                    (result, _) => result,
                };
                // Nobody waits for it if the client went away; the change stands all the same.
                let _ = sender.send(result);
            });
            (verdict, answer)
        });
        let writer = {
            let writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.clone().ok_or_else(stopping)?
        };
        writer
            .send(Operation { durability, run })
            .await
            .map_err(|_| stopping())?;
        drop(writer);
        receiver.await.map_err(|_| stopping())?
    }

    /// Finishes what waits, folds the write-ahead log into the database file and closes it.
    ///
    /// Blocks: call it from a thread that may wait.
    pub(crate) fn close(&self) {
        drop(
            self.0
                .writer
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let thread = self
            .0
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the database writer panicked");
        }
        self.readers().clear();
    }

    /// An idle reader, or a new one.
    ///
    /// As many come to be as threads read at once, for none is held across an await: the worker
    /// threads and at most the blocking pool bound them.
    fn reader(&self) -> Result<Connection, Fault> {
        let idle = self.readers().pop();
        idle.map_or_else(|| connect(&self.0.path), Ok)
    }

    fn readers(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.0
            .readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens one connection.
///
/// The VFS `unix-excl` keeps the index of the write-ahead log in this process's memory. With the
/// usual one it is a mapped file, and touching it after the file system turned read-only kills the
/// process with SIGBUS; it also keeps other processes from writing behind our back.
fn connect(path: &Path) -> Result<Connection, Fault> {
    let open = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags_and_vfs(path, flags, c"unix-excl")?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA busy_timeout = 10000;
             PRAGMA cache_size = -8192;
             PRAGMA journal_size_limit = 67108864;",
        )?;
        connection.set_prepared_statement_cache_capacity(128);
        // Otherwise plans follow the values that are bound, and a statement that was prepared once is
        // prepared again each time that it runs with others: ten times its work.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(connection)
    };
    open().map_err(|error| {
        let fault = database_fault("", error);
        let shown = path.display();
        if fault.kind() == FaultKind::Damaged {
            let doing = format!(
                "the database {shown} is damaged; put a backup of it in its place, or move it \
                 away: the next start makes it anew from the files beside it, without the \
                 record of who moved which tag"
            );
            return Fault::new(FaultKind::Damaged, doing, fault);
        }
        Fault::new(fault.kind(), format!("opening the database {shown}"), fault)
    })
}

/// The writer thread: takes groups until every sender is gone.
fn write_groups(
    connection: &Connection,
    mut waiting: mpsc::Receiver<Operation>,
    steps: &Steps,
    health: &Health,
    generation: &AtomicU64,
) {
    let mut held_back = None;
    while let Some(first) = held_back.take().or_else(|| waiting.blocking_recv()) {
        held_back = write_group(connection, first, &mut waiting, steps, health, generation);
    }
    // A clean stop leaves one file that any SQLite can open, and nothing to recover.
    if let Err(error) = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
        tracing::warn!(%error, "the write-ahead log could not be folded into the database");
    }
}

/// Commits one group that begins with `first`; an operation that did not fit is handed back.
fn write_group(
    connection: &Connection,
    first: Operation,
    waiting: &mut mpsc::Receiver<Operation>,
    steps: &Steps,
    health: &Health,
    generation: &AtomicU64,
) -> Option<Operation> {
    let durability = first.durability;
    // After a failed flush the log may have a gap, and what is written behind it would be lost there.
    let mut outcome = health
        .check()
        .map_err(CommitFailure::from)
        .and_then(|()| begin(connection, durability));
    let mut answers: Vec<Answer> = Vec::new();
    let mut next = Some(first);
    let mut held_back = None;
    while let Some(operation) = next.take() {
        // One that asks for less joins, and is given more: to end the group for it would cost the next
        // one a flush of its own.
        if durability < operation.durability {
            held_back = Some(operation);
            break;
        }
        outcome = outcome.and_then(|()| execute(connection, "SAVEPOINT operation"));
        let (verdict, answer) = (operation.run)(match &outcome {
            Ok(()) => Ok(connection),
            Err(failure) => Err(failure.clone()),
        });
        answers.push(answer);
        // A full disk makes SQLite abandon the whole transaction, not the savepoint alone: these
        // statements then fail, and with them the group.
        outcome = outcome.and_then(|()| match verdict {
            Verdict::Keep => execute(connection, "RELEASE operation"),
            Verdict::Undo => execute(connection, "ROLLBACK TO operation")
                .and_then(|()| execute(connection, "RELEASE operation")),
        });
        if outcome.is_ok() && answers.len() < GROUP_OPERATIONS_MAX {
            next = waiting.try_recv().ok();
        }
    }
    let step = |name| {
        if durability == Durability::Remade {
            return Ok(());
        }
        let taken = steps.take(name);
        taken.map_err(|error| CommitFailure::from(Fault::io(name, error)))
    };
    let outcome = outcome
        .and_then(|()| step("database.commit"))
        .and_then(|()| execute(connection, "COMMIT"))
        .and_then(|()| step("database.committed"));
    if let Err(failure) = &outcome {
        health.note(failure.clone().into_fault());
        tracing::error!(cause = failure.message, "a group of database writes failed");
        if !connection.is_autocommit() && execute(connection, "ROLLBACK").is_err() {
            tracing::error!("the failed group could not be rolled back");
        }
    }
    // Also after a failure: what it left is for SQLite to say.
    generation.fetch_add(1, Ordering::Release);
    for answer in answers {
        answer(outcome.as_ref().err());
    }
    held_back
}

/// Begins a transaction whose commit is flushed as its durability asks.
fn begin(connection: &Connection, durability: Durability) -> Result<(), CommitFailure> {
    // Between transactions this only says when the log is flushed; it costs no I/O. It takes effect
    // where it is prepared, so a statement kept from before would do nothing.
    let pragma = match durability {
        Durability::PowerCut => "PRAGMA synchronous = FULL",
        Durability::ProcessDeath | Durability::Remade => "PRAGMA synchronous = NORMAL",
    };
    connection
        .execute_batch(pragma)
        .map_err(|error| database_fault(pragma, error).into())
        .and_then(|()| execute(connection, "BEGIN IMMEDIATE"))
}

fn execute(connection: &Connection, sql: &'static str) -> Result<(), CommitFailure> {
    let run = || connection.prepare_cached(sql)?.raw_execute();
    match run() {
        Ok(_) => Ok(()),
        Err(error) => Err(database_fault(sql, error).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(tx: &Transaction<'_>) -> Result<i64, Fault> {
        let sql = "SELECT COUNT(*) FROM repositories";
        let counted = tx.query_one(sql, &[], |row| row.int(0))?;
        Ok(counted.unwrap_or(0))
    }

    fn insert(tx: &Transaction<'_>, id: i64) -> Result<(), Fault> {
        let name = format!("name{id}");
        let sql = "INSERT INTO repositories (id, name, created_at) VALUES ($1, $2, 0)";
        tx.execute(sql, &[id.into(), name.as_str().into()])?;
        Ok(())
    }

    /// How many groups were committed when the last of these operations ran, all of them having waited
    /// when the first did.
    fn rows_committed_before_the_last(durabilities: [Durability; 3]) -> i64 {
        let directory = tempfile::TempDir::new().expect("a directory");
        let path = directory.path().join("layerhouse.db");
        let database =
            Database::open(&path, Steps::default(), Health::default()).expect("it opens");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        let (first, second, last) = (database.clone(), database.clone(), database.clone());
        let reader = database.clone();
        let [of_first, of_second, of_last] = durabilities;
        // The first waits in the writer's thread until the others are queued behind it.
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let committed = runtime.block_on(async move {
            let first = first.write_lasting(of_first, move |tx| {
                receiver.recv().expect("the others were queued");
                insert(tx, 1)
            });
            let second = second.write_lasting(of_second, |tx| insert(tx, 2));
            let last = last.write_lasting(of_last, move |_| reader.read(count));
            let release = async move { sender.send(()).expect("the first waits for it") };
            // Polled in this order.
            let (first, second, last, ()) = tokio::join!(first, second, last, release);
            first.and(second).and(last)
        });
        database.close();
        committed.expect("it can be read")
    }

    #[test]
    fn who_asks_for_less_does_not_end_a_group() {
        use Durability::{PowerCut, ProcessDeath};
        let grouped = rows_committed_before_the_last([PowerCut, ProcessDeath, PowerCut]);
        assert_eq!(grouped, 0);
        // Who asks for more does: nothing is flushed for those before.
        let apart = rows_committed_before_the_last([ProcessDeath, ProcessDeath, PowerCut]);
        assert_eq!(apart, 2);
    }

    /// A statement of this form was prepared again at each run: its plan followed the values.
    #[test]
    fn statements_are_prepared_once_whatever_is_bound() {
        const LOOK: &str = "SELECT content FROM repositories
            JOIN manifests ON manifests.repository_id = repositories.id
            WHERE repositories.name = $1 AND manifests.digest = $2";
        let directory = tempfile::TempDir::new().expect("a directory");
        let path = directory.path().join("layerhouse.db");
        let database =
            Database::open(&path, Steps::default(), Health::default()).expect("it opens");
        let prepared_again = database.read(|tx| {
            for name in ["a", "b", "c"] {
                assert!(!tx.exists(LOOK, &[name.into(), name.into()])?);
            }
            let statement = tx.connection.prepare_cached(LOOK).expect("it was before");
            Ok::<_, Fault>(statement.get_status(rusqlite::StatementStatus::RePrepare))
        });
        assert_eq!(prepared_again.expect("it reads"), 0);
        database.close();
    }
}
