//! One connection, with the statements that were prepared on it, unless the server's is another one each time
//! (`pooler.rs`). Statements wait for their answers where they are called; those whose answers nobody needs are sent
//! with the next one, for each wait is a way to the server and back.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Row, SimpleQueryMessage};

use super::statement::Ready;
use super::{pooler, words};
use crate::fault::{Fault, FaultKind};
use crate::meta::transaction::{Kept, Value};

/// Statements sent together at most: [`join_all`] begins with so many in their order.
const TOGETHER_MAX: usize = 24;
/// How long the end of a connection waits for the server to hear of it.
const FAREWELL_MAX: Duration = Duration::from_millis(200);

/// The first word of a transaction.
pub(super) const BEGIN: &str = "BEGIN";

/// How long a hung process, or a statement, may hold up others: `statement_timeout`, and
/// `idle_in_transaction_session_timeout`. No statement takes longer than a minute, or somebody waits for nothing; a transaction
/// that was begun and not ended would keep all replicas from writing.
const BOUNDS: [&str; 2] = ["60s", "15s"];
/// The same for the work of a start.
const PATIENT: [&str; 2] = ["0", "5min"];
/// Where the server may not be told, as of what is only read, it is not waited for much longer than that: a pooler that finds
/// no server says nothing for as long as it is configured to.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(70);

/// A connection to a database.
pub(in crate::meta) struct Session {
    /// It runs where somebody waits for an answer, and what keeps the connection going with it.
    runtime: Option<Runtime>,
    client: Option<Client>,
    connection: Option<JoinHandle<()>>,
    /// By their text, of which there are as many as the code has.
    statements: RefCell<HashMap<&'static str, Ready>>,
    /// What is sent with the next statement.
    waiting: RefCell<Vec<Waiting>>,
    /// Nothing more can be expected of it.
    is_broken: Cell<bool>,
    /// Statements that failed.
    failed: Cell<u64>,
    /// The server's connection is any in each transaction: nothing is kept there.
    is_pooled: bool,
    /// It is given up when it says nothing for so long.
    silence_max: Option<Duration>,
    /// What holds for each transaction that is begun, where it cannot be said once.
    bounds: Cell<[&'static str; 2]>,
}

/// What nobody needs the answer of, unless it is refused.
enum Waiting {
    Statement(Ready, Vec<Kept>),
    Simple(String),
}

impl Session {
    /// # Errors
    /// The server does not answer.
    pub(super) fn new(
        runtime: Runtime,
        client: Client,
        connection: JoinHandle<()>,
        silence_max: Option<Duration>,
    ) -> Result<Self, Fault> {
        let told = runtime.block_on(pooler::process_told(&client));
        let mut session = Self {
            runtime: Some(runtime),
            client: Some(client),
            connection: Some(connection),
            statements: RefCell::default(),
            waiting: RefCell::default(),
            is_broken: Cell::new(false),
            failed: Cell::default(),
            is_pooled: true,
            silence_max: silence_max.or(Some(SILENCE_MAX)),
            bounds: Cell::new(BOUNDS),
        };
        // Said once, if whoever hears it is who the connection was promised.
        let [statement, idle] = BOUNDS;
        let settings = format!(
            "SELECT 1, set_config('statement_timeout', '{statement}', false),
                    set_config('idle_in_transaction_session_timeout', '{idle}', false)
             WHERE pg_backend_pid() = {told}"
        );
        session.is_pooled = session.simple(&settings)?.is_none();
        if !session.is_pooled {
            session.silence_max = silence_max;
        }
        Ok(session)
    }

    fn client(&self) -> &Client {
        self.client.as_ref().expect("it is there until the end")
    }

    /// Whether it is to be thrown away.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken.get() || self.is_closed()
    }

    /// Whether the way to the server is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.client().is_closed()
    }

    /// How many statements failed on it.
    pub(super) fn failed(&self) -> u64 {
        self.failed.get()
    }

    /// Whether the server answers on it.
    pub(super) fn answers(&self) -> bool {
        !self.is_broken() && self.simple("").is_ok()
    }

    /// Whether the server's connection is another one in each transaction, for all that is known.
    pub(super) fn is_pooled(&self) -> bool {
        self.is_pooled
    }

    /// What begins a transaction, with what is to hold in it: statements that begin with [`BEGIN`].
    pub(super) fn beginning(&self) -> String {
        if !self.is_pooled {
            return BEGIN.to_owned();
        }
        let [statement, idle] = self.bounds.get();
        format!(
            "{BEGIN}; SET LOCAL statement_timeout = '{statement}'; \
             SET LOCAL idle_in_transaction_session_timeout = '{idle}'"
        )
    }

    /// Sees that a transaction can be made at all.
    ///
    /// # Errors
    /// A pooler says that it takes single statements only (`pool_mode = statement`), or the server does not answer.
    pub(in crate::meta) fn try_transaction(&self) -> Result<(), Fault> {
        if !self.is_pooled {
            return Ok(());
        }
        // In two messages: one would be a single statement to it.
        let tried = self.simple(BEGIN).and_then(|_| self.simple("ROLLBACK"));
        tried.map(drop).map_err(|fault| {
            let doing = "beginning a transaction by way of the pooler that is before the database; it must be in \
                         session mode or in transaction mode";
            Fault::new(fault.kind(), doing, fault)
        })
    }

    /// Widens the bounds that keep a hung process from holding up others: for the work of a start.
    ///
    /// # Errors
    /// The server does not answer.
    pub(in crate::meta) fn be_patient(&self) -> Result<(), Fault> {
        self.bounds.set(PATIENT);
        if self.is_pooled {
            return Ok(());
        }
        let [statement, idle] = PATIENT;
        let settings = format!(
            "SET statement_timeout = '{statement}'; SET idle_in_transaction_session_timeout = '{idle}'"
        );
        self.simple(&settings).map(drop)
    }

    /// The number of rows that a statement changed.
    pub(in crate::meta) fn execute(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<usize, Fault> {
        const DOING: &str = "changing the database";
        let statement = self.prepare(sql)?;
        let changed = self.send(DOING, statement.execute(self.client(), values))?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    /// Runs a statement before whatever comes next; that fails if it does.
    pub(in crate::meta) fn execute_later(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<(), Fault> {
        let statement = self.prepare(sql)?;
        let kept = values.iter().map(Kept::from).collect();
        self.wait(Waiting::Statement(statement, kept))
    }

    /// The same for statements without parameters.
    pub(super) fn simple_later(&self, sql: String) -> Result<(), Fault> {
        self.wait(Waiting::Simple(sql))
    }

    fn wait(&self, waiting: Waiting) -> Result<(), Fault> {
        self.waiting.borrow_mut().push(waiting);
        if self.waiting.borrow().len() < TOGETHER_MAX {
            return Ok(());
        }
        self.flush()
    }

    /// Sends what waits, and sees that all of it was done.
    ///
    /// # Errors
    /// The first that failed.
    pub(in crate::meta) fn flush(&self) -> Result<(), Fault> {
        if self.waiting.borrow().is_empty() {
            return Ok(());
        }
        self.send("changing the database", async { Ok(()) })
    }

    /// Forgets what waits of an operation that is undone; what ends the one before and begins this one is still to be sent.
    pub(in crate::meta) fn forget(&self) {
        let is_simple = |waiting: &Waiting| matches!(waiting, Waiting::Simple(_));
        self.waiting.borrow_mut().retain(is_simple);
    }

    /// All rows of an answer.
    pub(in crate::meta) fn query(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Row>, Fault> {
        const DOING: &str = "reading the database";
        let statement = self.prepare(sql)?;
        self.send(DOING, statement.query(self.client(), values))
    }

    /// Statements without parameters, in one message; the first number that they answer.
    pub(in crate::meta) fn simple(&self, sql: &str) -> Result<Option<i64>, Fault> {
        const DOING: &str = "changing the database";
        let messages = self.send(DOING, self.client().simple_query(sql))?;
        Ok(messages.iter().find_map(|message| {
            let SimpleQueryMessage::Row(row) = message else {
                return None;
            };
            row.get(0)?.parse().ok()
        }))
    }

    /// Sends what waits and then this, together, and waits for all the answers.
    fn send<T>(
        &self,
        doing: &'static str,
        last: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Fault> {
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        let runtime = self.runtime.as_ref().expect("it is there until the end");
        let before = waiting.iter().map(|waiting| async move {
            match waiting {
                Waiting::Simple(sql) => self.client().simple_query(sql).await.map(drop),
                Waiting::Statement(statement, kept) => {
                    let values: Vec<Value<'_>> = kept.iter().map(Kept::value).collect();
                    let changed = statement.execute(self.client(), &values).await;
                    changed.map(drop)
                }
            }
        });
        // Each is sent when it is asked for the first time: in this order, and before the first answer comes.
        let all = join(join_all(before), last);
        let silence_max = self.silence_max.filter(|_| self.bounds.get() == BOUNDS);
        let answered = runtime.block_on(within(silence_max, all));
        let (before, last) = answered.inspect_err(|_| {
            self.is_broken.set(true);
            self.failed.set(self.failed.get() + 1);
        })?;
        for done in before {
            done.map_err(|error| self.fault("changing the database", &error))?;
        }
        last.map_err(|error| self.fault(doing, &error))
    }

    /// Whether the server knows a statement, and takes it whole as well, with values of the types that it finds in it.
    #[cfg(test)]
    pub(in crate::meta) fn check(&self, sql: &'static str) -> Result<(), Fault> {
        use tokio_postgres::types::Type;
        let statement = self.send("preparing", self.client().prepare(sql))?;
        let asked_for = super::statement::asked_for(sql);
        assert_eq!(asked_for, statement.params().len(), "parameters of {sql}");
        let values = statement.params().iter().map(|ty| match *ty {
            Type::INT8 | Type::INT4 | Type::INT2 | Type::BOOL | Type::NUMERIC => Value::Int(1),
            Type::BYTEA => Value::Bytes(b"1"),
            _ => Value::Text("[]"),
        });
        let values: Vec<Value<'_>> = values.collect();
        let whole = Ready::Whole(sql);
        self.simple("BEGIN")?;
        let ran = self.send("running", async {
            match whole.query(self.client(), &values).await {
                // The rows that are there do not let it: then it was understood.
                Err(error) if says_no_to_rows(&error) => Ok(()),
                ran => ran.map(drop),
            }
        });
        self.simple("ROLLBACK")?;
        ran
    }

    fn prepare(&self, sql: &'static str) -> Result<Ready, Fault> {
        if self.is_pooled {
            return Ok(Ready::Whole(sql));
        }
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let prepared = self.send("preparing", self.client().prepare(sql))?;
        let statement = Ready::Named(prepared);
        self.statements.borrow_mut().insert(sql, statement.clone());
        Ok(statement)
    }

    fn fault(&self, doing: &'static str, error: &tokio_postgres::Error) -> Fault {
        let fault = database_fault(doing, error);
        if fault.kind() == FaultKind::Unavailable {
            self.failed.set(self.failed.get() + 1);
            self.is_broken.set(true);
        }
        fault
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The server is told, if it listens.
        drop(self.client.take());
        if let (Some(runtime), Some(connection)) = (self.runtime.take(), self.connection.take()) {
            // Where others are served nothing is waited for: it sees that nobody is there any more.
            if Handle::try_current().is_err() {
                let farewell = async { tokio::time::timeout(FAREWELL_MAX, connection).await };
                let _ = runtime.block_on(farewell);
            }
            runtime.shutdown_background();
        }
    }
}

/// What the server answers, if it does so in time.
///
/// # Errors
/// It does not.
pub(super) async fn within<T>(
    silence_max: Option<Duration>,
    answer: impl Future<Output = T>,
) -> Result<T, Fault> {
    let Some(silence_max) = silence_max else {
        return Ok(answer.await);
    };
    let answered = tokio::time::timeout(silence_max, answer).await;
    let what = "the database says nothing";
    answered.map_err(|_| Fault::plain(FaultKind::Unavailable, what))
}

/// A value that means nothing where it is used, or a constraint that is broken.
#[cfg(test)]
fn says_no_to_rows(error: &tokio_postgres::Error) -> bool {
    error
        .code()
        .is_some_and(|state| state.code().starts_with("22") || state.code().starts_with("23"))
}

/// Sorts an error of the server, or of the way to it, by what an operator can do about it.
pub(super) fn database_fault(doing: &'static str, error: &tokio_postgres::Error) -> Fault {
    let kind = match error.code().map(tokio_postgres::error::SqlState::code) {
        // The connection broke, or never came to be: a server that said no says why in a code.
        None if error.is_closed() || has_io_error(error) => FaultKind::Unavailable,
        // disk_full
        Some("53100") => FaultKind::DiskFull,
        // data_corrupted, index_corrupted
        Some("XX001" | "XX002") => FaultKind::Damaged,
        // Too many connections, no memory; the server stops, starts, or is the standby after a failover; a
        // conflict that another try may not meet; a time-out.
        Some(code)
            if code.starts_with("53")
                || code.starts_with("57")
                || code.starts_with("08")
                || code.starts_with("40")
                || matches!(code, "25006" | "25P03" | "55P03") =>
        {
            FaultKind::Unavailable
        }
        None | Some(_) => FaultKind::Other,
    };
    Fault::new(kind, doing, words(error))
}

fn has_io_error(error: &tokio_postgres::Error) -> bool {
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        if source.is::<std::io::Error>() {
            return true;
        }
        next = source.source();
    }
    // "error connecting to server", "timeout waiting for server"
    error.to_string().contains("server")
}
