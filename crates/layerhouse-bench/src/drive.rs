//! Many clients doing one kind of work at once, on few threads, until a time or a count is reached.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{Barrier, mpsc};
use tokio::task::{JoinSet, LocalSet};

use crate::histogram::Histogram;
use crate::http::Failure;
use crate::http::client::Client;
use crate::http::origin::Origin;

/// One operation of a client, over and over.
pub(crate) trait Work: Send + Sync + 'static {
    /// Does the operation of this number; numbers are given out in order to whoever is free.
    fn turn(&self, client: &mut Client, turn: u64) -> impl Future<Output = Result<Done, Failure>>;
}

/// What an operation moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) bytes: u64,
    pub(crate) requests: u64,
    /// When the first byte of a layer was there, in work that measures it.
    pub(crate) first_byte: Option<Instant>,
}

impl Done {
    /// Of work that does not measure when the first byte comes.
    pub(crate) fn of(bytes: u64, requests: u64) -> Self {
        Self {
            bytes,
            requests,
            first_byte: None,
        }
    }
}

/// When clients stop beginning operations; what is begun is finished and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    Elapsed(Duration),
    Operations(u64),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) clients: u64,
    pub(crate) threads: u64,
    pub(crate) until: Until,
    /// Connect before the clock starts.
    pub(crate) connected: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// From the first operation to the end of the last.
    pub(crate) wall: Duration,
    pub(crate) bytes: u64,
    pub(crate) requests: u64,
    pub(crate) operations: u64,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    pub(crate) latencies: Histogram,
    /// From an operation's begin to its first byte.
    pub(crate) first_bytes: Histogram,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.requests += other.requests;
        self.operations += other.operations;
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
        self.latencies.merge(&other.latencies);
        self.first_bytes.merge(&other.first_bytes);
    }
}

/// After an error a client waits this long, so that a dead server is not stormed.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(20);

struct Shared<W> {
    work: W,
    load: Load,
    next: AtomicU64,
    /// Passed by all clients and the clock, so that they begin together.
    gate: Barrier,
}

/// Runs `work` and calls `begin` right before its first operation.
pub(crate) fn drive<W: Work>(
    work: W,
    origin: &Arc<Origin>,
    load: Load,
    begin: impl FnOnce() -> Result<(), String>,
) -> Result<Tally, String> {
    let gate = usize::try_from(load.clients + 1).map_err(|_| "too many clients")?;
    let shared = Arc::new(Shared {
        work,
        load,
        next: AtomicU64::new(0),
        gate: Barrier::new(gate),
    });
    let said = |error: std::io::Error| format!("cannot start clients: {error}");
    let threads = load.threads.clamp(1, load.clients);
    let mut workers = Vec::new();
    for thread in 0..threads {
        // Spread evenly; the first ones take the rest.
        let clients = load.clients / threads + u64::from(thread < load.clients % threads);
        let shared = Arc::clone(&shared);
        let origin = Arc::clone(origin);
        let runtime = runtime().map_err(said)?;
        let worker = thread::Builder::new()
            .name(format!("clients-{thread}"))
            .spawn(move || LocalSet::new().block_on(&runtime, worker(shared, &origin, clients)))
            .map_err(said)?;
        workers.push(worker);
    }
    let main = runtime().map_err(said)?;
    // Twice: once all are connected, and once what they cost so far is noted.
    main.block_on(shared.gate.wait());
    let noted = begin();
    if noted.is_err() {
        shared.next.store(u64::MAX / 2, Ordering::Relaxed);
    }
    let start = Instant::now();
    main.block_on(shared.gate.wait());
    let mut tally = Tally::default();
    for worker in workers {
        tally.add(worker.join().map_err(|_| "a thread of clients panicked")?);
    }
    tally.wall = start.elapsed();
    noted.map(|()| tally)
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

async fn worker<W: Work>(shared: Arc<Shared<W>>, origin: &Arc<Origin>, clients: u64) -> Tally {
    let mut set = JoinSet::new();
    for _ in 0..clients {
        set.spawn_local(client(Arc::clone(&shared), Arc::clone(origin)));
    }
    let mut tally = Tally::default();
    while let Some(one) = set.join_next().await {
        match one {
            Ok(one) => tally.add(one),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    tally
}

async fn client<W: Work>(shared: Arc<Shared<W>>, origin: Arc<Origin>) -> Tally {
    let mut client = Client::new(origin);
    let mut tally = Tally::default();
    if shared.load.connected {
        // A failure shows again, and is counted, in the first turn.
        let _ = client.connect().await;
    }
    shared.gate.wait().await;
    shared.gate.wait().await;
    let start = Instant::now();
    let mut now = start;
    loop {
        let turn = shared.next.fetch_add(1, Ordering::Relaxed);
        let goes_on = match shared.load.until {
            Until::Elapsed(limit) => now - start < limit && turn < u64::MAX / 2,
            Until::Operations(count) => turn < count,
        };
        if !goes_on {
            return tally;
        }
        let result = shared.work.turn(&mut client, turn).await;
        let then = Instant::now();
        tally.operations += 1;
        match result {
            Ok(done) => {
                tally.bytes += done.bytes;
                tally.requests += done.requests;
                tally.latencies.record(then - now);
                if let Some(first_byte) = done.first_byte {
                    tally.first_bytes.record(first_byte - now);
                }
                now = then;
            }
            Err(failure) => {
                tally.errors += 1;
                tally.first_error.get_or_insert_with(|| failure.to_string());
                client = Client::new(Arc::clone(client.origin()));
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                now = Instant::now();
            }
        }
    }
}

/// Does `count` things with a few clients, before anything is measured; the first failure ends it.
pub(crate) fn set_up<W: Work>(work: W, origin: &Arc<Origin>, count: u64) -> Result<(), String> {
    set_up_by(16, work, origin, count)
}

/// The same with so many clients.
pub(crate) fn set_up_by<W: Work>(
    clients: u64,
    work: W,
    origin: &Arc<Origin>,
    count: u64,
) -> Result<(), String> {
    if count == 0 {
        return Ok(());
    }
    let load = Load {
        clients: clients.min(count),
        threads: 2,
        until: Until::Operations(count),
        connected: false,
    };
    let tally = drive(work, origin, load, || Ok(()))?;
    match tally.first_error {
        None => Ok(()),
        Some(error) => Err(format!("{}: setting up: {error}", origin.name)),
    }
}

/// Connections that were used once and are kept open, as those of idle clients are.
pub(crate) struct Idle {
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Idle {
    /// Opens `count` connections, each of which asks for `path` once.
    pub(crate) fn open(origin: &Arc<Origin>, path: &str, count: u64) -> Result<Self, String> {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (opened, mut result) = mpsc::channel(1);
        let origin = Arc::clone(origin);
        let request = Client::prepare(&origin, "HEAD", path);
        let runtime = runtime().map_err(|error| error.to_string())?;
        let thread = thread::spawn(move || {
            runtime.block_on(async move {
                let mut clients = Vec::new();
                for number in 0..count {
                    let mut client = Client::new(Arc::clone(&origin));
                    let expect = crate::http::client::Expect {
                        status: 200,
                        length: None,
                        digest: None,
                    };
                    if let Err(failure) = client.fetch(&request, &expect, None).await {
                        let _ = opened
                            .send(Err(format!("idle connection {number}: {failure}")))
                            .await;
                        return;
                    }
                    clients.push(client);
                }
                let _ = opened.send(Ok(())).await;
                let _ = stopped.await;
            });
        });
        let idle = Self {
            stop: Some(stop),
            thread: Some(thread),
        };
        match result.blocking_recv() {
            Some(Ok(())) => Ok(idle),
            Some(Err(error)) => Err(error),
            None => Err("the thread of idle connections ended".to_owned()),
        }
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
