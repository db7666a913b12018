//! A server within the test's process: its own directory, port, clock and seed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use layerhouse::clock::{Clock, Random, Timestamp};
use layerhouse::config::{Arguments, Config};
use layerhouse::{Environment, Running, start, verify};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::http::Client;

/// 2027-01-15T08:00:00Z.
const BEGINNING: Timestamp = Timestamp(1_800_000_000_000);

/// A running server; when it is dropped, its data directory is proved sound.
pub(crate) struct Server {
    directory: TempDir,
    configuration: String,
    clock: Clock,
    runtime: Runtime,
    running: Option<Running>,
    pub(crate) client: Client,
    verifies: bool,
}

impl Server {
    /// A server with no configuration.
    pub(crate) fn start() -> Self {
        Self::configured("")
    }

    /// A server with this text, in YAML, below `version: 0.1`.
    pub(crate) fn configured(configuration: &str) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads for a runtime");
        let clock = Clock::manual(BEGINNING);
        let configuration = format!("version: 0.1\n{configuration}\n");
        let running = run(&runtime, directory.path(), &configuration, &clock);
        let client = Client::new(running.address());
        let running = Some(running);
        Self { directory, configuration, clock, runtime, running, client, verifies: true }
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
        let running = run(&self.runtime, self.directory.path(), &self.configuration, &self.clock);
        self.client = Client::new(running.address());
        self.running = Some(running);
    }

    /// Restarts with another configuration, in YAML, below `version: 0.1`.
    pub(crate) fn reconfigure(&mut self, configuration: &str) {
        self.configuration = format!("version: 0.1\n{configuration}\n");
        self.restart();
    }

    /// For a test that damages the directory on purpose and says itself what `verify` must find.
    pub(crate) fn leave_unverified(&mut self) {
        self.verifies = false;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        if self.verifies && !std::thread::panicking() {
            let report = verify(&self.root()).expect("the directory can be read");
            assert!(report.findings.is_empty(), "{report}");
            assert_eq!(report.stale_links, 0, "a clean stop leaves no link file behind: {report}");
        }
    }
}

fn run(runtime: &Runtime, directory: &Path, configuration: &str, clock: &Clock) -> Running {
    let file = directory.join("config.yml");
    fs::write(&file, configuration).expect("the directory can be written");
    let arguments = Arguments {
        listen: Some("127.0.0.1:0".to_owned()),
        root: Some(directory.join("root")),
        config: Some(file),
    };
    let config = Config::load(&arguments).expect("a valid configuration");
    let environment = Environment { clock: clock.clone(), random: Random::seeded(7) };
    runtime.block_on(start(&config, environment)).expect("it starts")
}
