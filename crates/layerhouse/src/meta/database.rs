//! The database of a registry, whichever engine it is: one writer thread that commits in groups, and readers
//! that run where the caller stands.
//!
//! A group is as many waiting operations as there are, each in a savepoint of its own, then one
//! COMMIT, and only then the answers: a group costs one flush however many pushes are in it, and no
//! answer is given before what it promises is durable.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc as threads};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{mpsc, oneshot};

use super::postgres::Place;
use super::postgres::connect::Connector;
use super::postgres::pool::Pool;
use super::postgres::schema::Owner;
use super::postgres::standby::{StandbyReads, Standbys};
use super::postgres::watch::{self, Seen};
use super::postgres::writer::PostgresWriter;
use super::postgres::{self, schema};
use super::sqlite::{Readers, SqliteWriter};
use super::transaction::{Engine, Transaction};
use super::{migrations, sqlite};
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};
use crate::health::Health;
use crate::steps::Steps;

/// Operations in one group: at 70 µs each a full group is answered in 10 ms.
const GROUP_OPERATIONS_MAX: usize = 128;
/// Operations waiting for the writer; a caller beyond them waits, which slows its client down.
const WAITING_OPERATIONS_MAX: usize = 1024;
/// Readers that are opened before they are asked for: half a millisecond of the start each.
const READERS_READY_MAX: usize = 16;

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

/// The connection that writes: begins transactions, and ends them.
pub(super) trait Writer: Send {
    /// Where statements run, once a transaction was begun.
    fn transaction(&self) -> Result<Transaction<'_>, Fault>;
    fn begin(&mut self, durability: Durability) -> Result<(), Fault>;
    /// Begins an operation that can be undone alone.
    fn begin_operation(&mut self) -> Result<(), Fault>;
    fn keep_operation(&mut self) -> Result<(), Fault>;
    fn undo_operation(&mut self) -> Result<(), Fault>;
    fn commit(&mut self) -> Result<(), Fault>;
    /// Leaves a transaction that failed, if it is still open.
    fn roll_back(&mut self) -> Result<(), Fault>;
    /// Leaves everything in good order.
    fn close(&mut self);
}

/// The database of one registry; cheap to clone.
#[derive(Clone)]
pub(crate) struct Database(Arc<Inner>);

struct Inner {
    source: Source,
    /// `None` once closed.
    writer: Mutex<Option<mpsc::Sender<Operation>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    steps: Steps,
    /// Changes with every commit, before it is answered.
    generation: Arc<AtomicU64>,
}

/// Where readers come from.
enum Source {
    Embedded(Readers),
    Served(Box<Served>),
}

/// What asks a server.
struct Served {
    pool: Arc<Pool>,
    connector: Connector,
    seen: Seen,
    standbys: Standbys,
    watches: Mutex<Vec<Watch>>,
}

/// A thread that looks what others committed, or how a standby is; it ends when the sender does.
struct Watch {
    stop: threads::Sender<()>,
    thread: JoinHandle<()>,
}

impl Watch {
    fn start(
        name: &str,
        look: impl FnOnce(&threads::Receiver<()>) + Send + 'static,
    ) -> Result<Self, Fault> {
        let (stop, stopped) = threads::channel();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || look(&stopped))
            .map_err(|error| Fault::io("starting to watch the database", error))?;
        Ok(Self { stop, thread })
    }
}

/// An operation that waits for the writer.
struct Operation {
    durability: Durability,
    /// Runs the statements; says whether to keep them, and how to answer once that is durable.
    run: Run,
}

/// Without a transaction to run in, the statements are not run: each would commit by itself.
type Run = Box<dyn FnOnce(Result<&Transaction<'_>, CommitFailure>) -> (Verdict, Answer) + Send>;

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
        let connection = sqlite::connect(path)?;
        migrations::run(&connection, path, &steps)?;
        let database = Self::embedded(SqliteWriter::new(connection), path, steps, health)?;
        // Opening one writes (SQLite gives the log the file's owner), which on a disk that hangs would
        // hold a thread that serves requests: so there is one for each of those from the beginning.
        let ready = std::thread::available_parallelism().map_or(1, NonZero::get);
        if let Source::Embedded(readers) = &database.0.source {
            readers.open(ready.min(READERS_READY_MAX))?;
        }
        Ok(database)
    }

    /// Opens a database only to look: one that an older release wrote is refused and not brought up to
    /// date, or that release could not go on with it.
    ///
    /// # Errors
    /// As said, or as for [`Database::open`].
    pub(crate) fn open_current(path: &Path, steps: Steps, health: Health) -> Result<Self, Fault> {
        let connection = sqlite::connect(path)?;
        migrations::check(&connection, path)?;
        Self::embedded(SqliteWriter::new(connection), path, steps, health)
    }

    fn embedded(
        writer: SqliteWriter,
        path: &Path,
        steps: Steps,
        health: Health,
    ) -> Result<Self, Fault> {
        let source = Source::Embedded(Readers::new(path));
        Self::start(source, writer, Arc::default(), steps, health)
    }

    /// Connects to a server and brings the schema up to date, for whoever has the bytes. Blocks.
    ///
    /// # Errors
    /// The server does not answer or refuses, what is there belongs to a newer release, or to another owner.
    pub(crate) fn connect(
        place: &Place,
        owner: &Owner,
        steps: Steps,
        health: Health,
    ) -> Result<Self, Fault> {
        Self::served(place, place.standbys(), steps, health, |session, place| {
            schema::admit(session, place, owner)?;
            schema::run(session, place)?;
            schema::claim(session, place, owner)
        })
    }

    /// The same only to look, as [`Database::open_current`].
    ///
    /// # Errors
    /// As said, or as for [`Database::connect`].
    pub(crate) fn connect_current(
        place: &Place,
        steps: Steps,
        health: Health,
    ) -> Result<Self, Fault> {
        Self::served(place, &[], steps, health, schema::check)
    }

    fn served(
        place: &Place,
        standbys: &[Place],
        steps: Steps,
        health: Health,
        prepare: impl FnOnce(&postgres::session::Session, &Place) -> Result<(), Fault>,
    ) -> Result<Self, Fault> {
        let connector = Connector::new(place)?;
        let session = connector.connect()?;
        session.try_transaction()?;
        prepare(&session, place)?;
        let seen = Seen::new();
        seen.look(&session)?;
        let (standbys, identity) = Standbys::find(&session, standbys)?;
        drop(session);
        let pool = Arc::new(Pool::new(connector.clone()));
        let (of_watch, seen_by_watch) = (connector.clone(), seen.clone());
        let watch = move |stopped: &_| watch::watch(&of_watch, &seen_by_watch, stopped);
        let mut watches = vec![Watch::start("database watch", watch)?];
        for (standby, ours) in standbys.all().iter().zip(identity.into_iter().cycle()) {
            let (standby, seen) = (Arc::clone(standby), seen.clone());
            let watch = move |stopped: &_| standby.watch(ours, &seen, stopped);
            watches.push(Watch::start("standby watch", watch)?);
        }
        let writer = PostgresWriter::new(connector.clone(), seen.clone());
        let source = Source::Served(Box::new(Served {
            pool,
            connector,
            seen: seen.clone(),
            standbys,
            watches: Mutex::new(watches),
        }));
        let generation = Arc::clone(&seen.generation);
        Self::start(source, writer, generation, steps, health)
    }

    fn start(
        source: Source,
        mut writer: impl Writer + 'static,
        generation: Arc<AtomicU64>,
        steps: Steps,
        health: Health,
    ) -> Result<Self, Fault> {
        let (sender, receiver) = mpsc::channel(WAITING_OPERATIONS_MAX);
        let steps_of_bulk = steps.clone();
        let of_writer = Arc::clone(&generation);
        let thread = std::thread::Builder::new()
            .name("database writer".to_owned())
            .spawn(move || write_groups(&mut writer, receiver, &steps, &health, &of_writer))
            .map_err(|error| Fault::io("starting the database writer", error))?;
        Ok(Self(Arc::new(Inner {
            source,
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
        let writer: Box<dyn Writer> = match &self.0.source {
            Source::Embedded(readers) => Box::new(SqliteWriter::for_many(readers.path())?),
            Source::Served(served) => {
                let seen = served.seen.clone();
                Box::new(PostgresWriter::for_many(served.connector.clone(), seen))
            }
        };
        Ok(Bulk {
            writer,
            is_open: false,
            steps: self.0.steps.clone(),
        })
    }

    /// The file of an embedded database; `None` where a server keeps it.
    pub(crate) fn file(&self) -> Option<&Path> {
        match &self.0.source {
            Source::Embedded(readers) => Some(readers.path()),
            Source::Served(_) => None,
        }
    }

    /// A number that is another one after every commit of [`Database::write`], before that returns: what
    /// was read after this was asked for is true for as long as it stays the same; of what other replicas
    /// commit, for half a second more at most.
    pub(crate) fn generation(&self) -> u64 {
        match &self.0.source {
            Source::Embedded(_) => self.0.generation.load(Ordering::Acquire),
            Source::Served(served) => served.seen.generation(),
        }
    }

    /// What time it is on the server, which all processes ask, and how far this machine's clock is from that; `None`
    /// for an embedded database, which nobody else asks.
    pub(crate) fn server_time(&self) -> Option<(Timestamp, Duration)> {
        match &self.0.source {
            Source::Embedded(_) => None,
            Source::Served(served) => Some(served.seen.server_time()),
        }
    }

    /// A number that is another one within half a second after every commit of another process: for what is
    /// remembered over commits of this one, which says itself when it changes that.
    pub(crate) fn elsewhere(&self) -> u64 {
        match &self.0.source {
            Source::Embedded(_) => 0,
            Source::Served(served) => served.seen.elsewhere(),
        }
    }

    /// Lets other processes use this database, with directories of their own, unless bytes of it are in the directory
    /// of this one. The caller saw that the bucket is the one that belongs to it. Blocks.
    ///
    /// # Errors
    /// It is another directory's by now, or the server does not answer.
    pub(crate) fn share(&self, directory: &str) -> Result<(), Fault> {
        let Source::Served(served) = &self.0.source else {
            return Ok(());
        };
        let connector = &served.connector;
        schema::share(&connector.connect()?, connector.place(), directory)
    }

    /// Gives the database to a directory, whoever had it. Blocks.
    ///
    /// # Errors
    /// The server does not answer.
    pub(crate) fn give(&self, directory: &str) -> Result<(), Fault> {
        match &self.0.source {
            Source::Embedded(_) => Ok(()),
            Source::Served(served) => schema::give(&served.connector.connect()?, directory),
        }
    }

    /// Runs `look` on a reader, here and now: in an embedded database a lookup is 5 µs, a hop to another
    /// thread 30 to 50. What waits for a server lets another thread do the work of this one.
    ///
    /// # Errors
    /// Those of `look`, and a fault if no reader can be opened.
    pub(crate) fn read<T, E: From<Fault>>(
        &self,
        look: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        match &self.0.source {
            Source::Embedded(readers) => readers.with(look),
            Source::Served(served) => waiting(|| {
                served
                    .pool
                    .with(|session| look(&Transaction::new(Engine::Postgres(session))))
            }),
        }
    }

    /// As [`Database::read`], for lists: on a standby of the server where there is one that has all commits that this process knows
    /// of, and then in one snapshot. `look` may run a second time.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub(crate) fn list<T, E: From<Fault>>(
        &self,
        look: impl Fn(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        if let Source::Served(served) = &self.0.source
            && !served.standbys.all().is_empty()
        {
            let on_standby = |session: &_| look(&Transaction::new(Engine::Postgres(session)));
            let read = waiting(|| served.standbys.read(&served.seen, on_standby));
            if let Some(listed) = read {
                return listed;
            }
        }
        self.read(look)
    }

    /// What became of lists that standbys were asked for.
    pub(crate) fn standby_reads(&self) -> StandbyReads {
        match &self.0.source {
            Source::Embedded(_) => StandbyReads::default(),
            Source::Served(served) => served.standbys.reads(),
        }
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
        let run: Run = Box::new(move |tx| {
            let result = match tx {
                Ok(tx) => catch_unwind(AssertUnwindSafe(|| {
                    let changed = change(tx)?;
                    tx.settle()?;
                    Ok(changed)
                }))
                .unwrap_or_else(|_| {
                    let doing = "a database operation panicked";
                    Err(Fault::plain(FaultKind::Other, doing).into())
                }),
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

    /// Runs statements that need not follow what others write, each by itself: those of rows that are compared and set
    /// one at a time, and that nothing else is decided by. A crash may take the last of them back. On a server nobody
    /// waits for them and they wait for nobody, and what is remembered stays.
    ///
    /// # Errors
    /// Those of `change`; what it did before stands.
    pub(crate) async fn write_apart<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault>
    where
        T: Send + 'static,
    {
        let Source::Served(served) = &self.0.source else {
            return self.write_lasting(Durability::ProcessDeath, change).await;
        };
        let pool = Arc::clone(&served.pool);
        let changed = tokio::task::spawn_blocking(move || {
            pool.with(|session| {
                let tx = Transaction::new(Engine::Postgres(session));
                let changed = change(&tx).inspect_err(|_| session.forget())?;
                tx.settle()?;
                Ok(changed)
            })
        });
        let changed = changed.await;
        changed.map_err(|error| Fault::new(FaultKind::Other, "changing the database", error))?
    }

    /// Finishes what waits and closes the database: an embedded one with its log folded into its file.
    ///
    /// Blocks: call it from a thread that may wait.
    pub(crate) fn close(&self) {
        fn take<T>(from: &Mutex<Option<T>>) -> Option<T> {
            from.lock().unwrap_or_else(PoisonError::into_inner).take()
        }
        drop(take(&self.0.writer));
        let ended = take(&self.0.thread).map(JoinHandle::join);
        match &self.0.source {
            Source::Embedded(readers) => readers.close(),
            Source::Served(served) => {
                let mut watches = served
                    .watches
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                let watches = std::mem::take(&mut *watches);
                let (stops, threads): (Vec<_>, Vec<_>) = watches
                    .into_iter()
                    .map(|watch| (watch.stop, watch.thread))
                    .unzip();
                // All at once: each may be waiting for somebody who does not answer.
                drop(stops);
                for thread in threads {
                    if thread.join().is_err() {
                        tracing::error!("a watch of the database panicked");
                    }
                }
                served.pool.close();
                served.standbys.close();
            }
        }
        if let Some(Err(_)) = ended {
            tracing::error!("the database writer panicked");
        }
    }
}

/// Runs what waits for somebody else, on a thread that may.
fn waiting<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(work)
        }
        _ => work(),
    }
}

/// Writes many rows in few transactions, one of which is open whenever something was changed. Dropped,
/// it keeps what was committed.
pub(crate) struct Bulk {
    writer: Box<dyn Writer>,
    is_open: bool,
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
        self.change_lasting(Durability::ProcessDeath, change)
    }

    fn change_lasting<T>(
        &mut self,
        durability: Durability,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if !self.is_open {
            self.writer.begin(durability)?;
            self.writer.begin_operation()?;
            self.is_open = true;
        }
        change(&self.writer.transaction()?)
    }

    /// Keeps what was changed. A power cut may still take it, but nothing before it: see
    /// [`Bulk::finish`].
    ///
    /// # Errors
    /// The commit failed, and nothing of it was kept.
    pub(crate) fn commit(&mut self) -> Result<(), Fault> {
        if !self.is_open {
            return Ok(());
        }
        self.steps
            .take(BULK_COMMIT)
            .map_err(|error| Fault::io(BULK_COMMIT, error))?;
        self.end()
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.is_open = false;
        self.writer.keep_operation()?;
        self.writer.commit()
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
        let result = self.change_lasting(Durability::PowerCut, change)?;
        self.end()?;
        Ok(result)
    }
}

/// The writer thread: takes groups until every sender is gone.
fn write_groups(
    writer: &mut impl Writer,
    mut waiting: mpsc::Receiver<Operation>,
    steps: &Steps,
    health: &Health,
    generation: &AtomicU64,
) {
    let mut held_back = None;
    while let Some(first) = held_back.take().or_else(|| waiting.blocking_recv()) {
        held_back = write_group(writer, first, &mut waiting, steps, health, generation);
    }
    writer.close();
}

/// Commits one group that begins with `first`; an operation that did not fit is handed back.
fn write_group(
    writer: &mut impl Writer,
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
        .and_then(|()| writer.begin(durability))
        .map_err(CommitFailure::from);
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
        outcome = outcome.and_then(|()| writer.begin_operation().map_err(CommitFailure::from));
        let place = match &outcome {
            Ok(()) => writer.transaction().map_err(CommitFailure::from),
            Err(failure) => Err(failure.clone()),
        };
        let (verdict, answer) = (operation.run)(place.as_ref().map_err(Clone::clone));
        drop(place);
        answers.push(answer);
        // A full disk makes SQLite abandon the whole transaction, not the savepoint alone: these
        // statements then fail, and with them the group.
        outcome = outcome.and_then(|()| {
            let ended = match verdict {
                Verdict::Keep => writer.keep_operation(),
                Verdict::Undo => writer.undo_operation(),
            };
            ended.map_err(CommitFailure::from)
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
        .and_then(|()| writer.commit().map_err(CommitFailure::from))
        .and_then(|()| step("database.committed"));
    if let Err(failure) = &outcome {
        health.note(failure.clone().into_fault());
        tracing::error!(cause = failure.message, "a group of database writes failed");
        if writer.roll_back().is_err() {
            tracing::error!("the failed group could not be rolled back");
        }
    }
    // Also after a failure: what it left is for the database to say.
    generation.fetch_add(1, Ordering::Release);
    for answer in answers {
        answer(outcome.as_ref().err());
    }
    held_back
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
}
