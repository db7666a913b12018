//! A server within the test's process: its own directory, port, clock and seed.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use layerhouse::clock::{Clock, Random, Timestamp};
use layerhouse::config::meaning::Config;
use layerhouse::config::{Arguments, Surroundings};
use layerhouse::{Environment, Running, start, verify};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tracing::{Dispatch, Level};

use super::http::Client;

/// 2027-01-15T08:00:00Z.
const BEGINNING: Timestamp = Timestamp(1_800_000_000_000);

/// A running server; when it is dropped, its data directory is proved sound.
pub(crate) struct Server {
    directory: TempDir,
    configuration: String,
    clock: Clock,
    random: Random,
    runtime: Runtime,
    running: Option<Running>,
    pub(crate) client: Client,
    verifies: bool,
    /// What it logged as a warning or worse.
    complaints: Complaints,
    may_complain: bool,
}

impl Server {
    /// A server with no configuration.
    pub(crate) fn start() -> Self {
        Self::configured("")
    }

    /// A server with this text, in YAML, below `version: 0.1`.
    pub(crate) fn configured(configuration: &str) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let complaints = Complaints::default();
        let log = log_to(&complaints);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            // Each server's threads log for it alone; the guard's end is the thread's.
            .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&log)))
            .enable_all()
            .build()
            .expect("threads for a runtime");
        let clock = Clock::manual(BEGINNING);
        // One sequence over all restarts: ids that came back would meet their own sessions.
        let random = Random::seeded(7);
        let configuration = format!("version: 0.1\n{configuration}\n");
        let running = run(&runtime, directory.path(), &configuration, &clock, &random);
        let client = Client::new(running.address().tcp().expect("a TCP port"));
        let running = Some(running);
        Self {
            directory,
            configuration,
            clock,
            random,
            runtime,
            running,
            client,
            verifies: true,
            complaints,
            may_complain: false,
        }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    /// What holds the root and the configuration, and must never hold anything else.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The published file of a digest.
    pub(crate) fn blob_path(&self, digest: &str) -> PathBuf {
        let (algorithm, hex) = digest.split_once(':').expect("a digest");
        let blobs = self.root().join("docker/registry/v2/blobs").join(algorithm);
        blobs.join(&hex[..2]).join(hex).join("data")
    }

    /// Its debug address (`http.debug.addr`).
    pub(crate) fn debug(&self) -> Client {
        let running = self.running.as_ref().expect("it runs");
        Client::new(running.debug_address().expect("it is configured"))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    pub(crate) fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.stop());
        }
    }

    /// Stops and starts on the same directory, on another port.
    pub(crate) fn restart(&mut self) {
        self.stop();
        let running = run(
            &self.runtime,
            self.directory.path(),
            &self.configuration,
            &self.clock,
            &self.random,
        );
        self.client = Client::new(running.address().tcp().expect("a TCP port"));
        self.running = Some(running);
    }

    /// Restarts with another configuration, in YAML, below `version: 0.1`.
    pub(crate) fn reconfigure(&mut self, configuration: &str) {
        self.configuration = format!("version: 0.1\n{configuration}\n");
        self.restart();
    }

    /// Has the running server take over another configuration, in YAML, below `version: 0.1`.
    pub(crate) fn reload(&mut self, configuration: &str) {
        self.configuration = format!("version: 0.1\n{configuration}\n");
        let config = load(self.directory.path(), &self.configuration);
        let running = self.running.as_ref().expect("it runs");
        running.reload(&config).expect("it can be taken over");
    }

    /// For a test that damages the directory on purpose and says itself what `verify` must find.
    pub(crate) fn leave_unverified(&mut self) {
        self.verifies = false;
    }

    /// For a test that gives the server reason to log warnings and errors.
    pub(crate) fn may_complain(&mut self) {
        self.may_complain = true;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        if !self.may_complain && !std::thread::panicking() {
            let complaints = self
                .complaints
                .0
                .lock()
                .expect("nobody panicked while logging");
            let complaints = String::from_utf8_lossy(&complaints);
            assert!(
                complaints.is_empty(),
                "it logged what it should not have to:\n{complaints}"
            );
        }
        if self.verifies && !std::thread::panicking() {
            let report = verify(&self.root()).expect("the directory can be read");
            assert!(report.findings.is_empty(), "{report}");
            assert_eq!(
                report.stale_links, 0,
                "a clean stop leaves no link file behind: {report}"
            );
        }
    }
}

/// Where a server's log is kept.
#[derive(Clone, Debug, Default)]
struct Complaints(Arc<Mutex<Vec<u8>>>);

impl Write for Complaints {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .expect("nobody panicked while logging")
            .write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn log_to(complaints: &Complaints) -> Dispatch {
    let log = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(Level::WARN);
    let complaints = complaints.clone();
    Dispatch::new(log.with_writer(move || complaints.clone()).finish())
}

fn run(
    runtime: &Runtime,
    directory: &Path,
    configuration: &str,
    clock: &Clock,
    random: &Random,
) -> Running {
    let environment = Environment {
        clock: clock.clone(),
        random: random.clone(),
    };
    runtime
        .block_on(start(&load(directory, configuration), environment))
        .expect("it starts")
}

fn load(directory: &Path, configuration: &str) -> Config {
    let file = directory.join("config.yml");
    fs::write(&file, configuration).expect("the directory can be written");
    let arguments = Arguments {
        listen: Some("127.0.0.1:0".to_owned()),
        root: Some(directory.join("root")),
        config: Some(file),
    };
    let mut surroundings = Surroundings::default();
    // As without a configuration: what most tests are about is not registry:2's defaults.
    if !configuration.contains("delete:") {
        let deletes = ("REGISTRY_STORAGE_DELETE_ENABLED", "true");
        let (name, value) = deletes;
        surroundings.variables.insert(name.into(), value.into());
    }
    // A disk that fails under the test's own clock.
    let faults = |line: &str| Some(line.strip_prefix("# LAYERHOUSE_FAULTS=")?.to_owned());
    if let Some(faults) = configuration.lines().find_map(faults) {
        let name = "LAYERHOUSE_FAULTS".to_owned();
        surroundings.variables.insert(name, faults);
    }
    let mut config = Config::load(&arguments, &surroundings).expect("a valid configuration");
    // Standard output is the test's: `logs` reads the access log of processes.
    config.log.has_access_log = false;
    config
}
