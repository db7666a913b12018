//! A server within the test's process: its own directory, port, clock and seed.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use layerhouse::clock::{Clock, Random, Timestamp};
use layerhouse::config::meaning::Config;
use layerhouse::config::{Arguments, Surroundings};
use layerhouse::{Environment, OpenError, Report, Running, StartError, start, verify_configured};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tracing::{Dispatch, Level};

use super::bucket::{self, Bucket};
use super::database;
use super::files::quick_directory;
use super::http::Client;
use super::tls::Issued;
use super::transport::{self, Transport};
use super::variables_of_all;

/// 2027-01-15T08:00:00Z.
const BEGINNING: Timestamp = Timestamp(1_800_000_000_000);

/// A running server; when it is dropped, its data directory is proved sound.
pub(crate) struct Server {
    directory: TempDir,
    /// The root whose database it has, where that is another's.
    replica_of: Option<PathBuf>,
    transport: Transport,
    /// Its certificate, where it speaks TLS.
    certificate: Option<TempDir>,
    configuration: String,
    /// Where its bytes are, if the configuration does not say.
    bucket: Option<Arc<Bucket>>,
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
        Self::over(Transport::Plain, configuration)
    }

    /// The same over TLS and HTTP/2, too; these have their directory in memory, for what is on the disk is
    /// no matter of theirs.
    pub(crate) fn over(transport: Transport, configuration: &str) -> Self {
        let directory = match transport {
            Transport::Plain => TempDir::new().expect("a temporary directory"),
            Transport::Tls | Transport::Http2 => quick_directory(),
        };
        // One sequence over all restarts: ids that came back would meet their own sessions.
        let world = (Clock::manual(BEGINNING), Random::seeded(7));
        let configuration = format!("version: 0.1\n{configuration}\n");
        let bucket = bucket::is_given().then(|| Arc::new(Bucket::start()));
        Self::begin(directory, (None, bucket), transport, world, configuration)
    }

    /// Another process of the same registry, as far as a test can tell: its own directory, the same database, bucket
    /// and clock. It must go before this one.
    pub(crate) fn replica(&self, seed: u64) -> Self {
        let world = (self.clock.clone(), Random::seeded(seed));
        Self::begin(
            quick_directory(),
            (Some(self.root()), self.bucket.clone()),
            self.transport,
            world,
            self.configuration.clone(),
        )
    }

    fn begin(
        directory: TempDir,
        (replica_of, bucket): (Option<PathBuf>, Option<Arc<Bucket>>),
        transport: Transport,
        (clock, random): (Clock, Random),
        configuration: String,
    ) -> Self {
        let complaints = Complaints::default();
        let log = log_to(&complaints);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            // Each server's threads log for it alone; the guard's end is the thread's.
            .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&log)))
            .enable_all()
            .build()
            .expect("threads for a runtime");
        let certificate = transport.has_tls().then(|| {
            let directory = TempDir::new().expect("a temporary directory");
            transport::certificate().write(directory.path());
            directory
        });
        let mut server = Self {
            directory,
            replica_of,
            transport,
            certificate,
            configuration,
            bucket,
            clock,
            random,
            runtime,
            running: None,
            client: Client::new(([127, 0, 0, 1], 0).into()),
            verifies: true,
            complaints,
            may_complain: false,
        };
        server.run();
        server
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

    /// Whether there is a file, or an object, of a blob.
    pub(crate) fn holds(&self, digest: &str) -> bool {
        match &self.bucket {
            None => self.blob_path(digest).exists(),
            Some(bucket) => bucket.holds(digest),
        }
    }

    /// Its debug address (`http.debug.addr`).
    pub(crate) fn debug(&self) -> Client {
        let running = self.running.as_ref().expect("it runs");
        Client::new(running.debug_address().expect("it is configured"))
    }

    /// What makes the first administrator (`layerhouse.index`).
    pub(crate) fn setup_code(&self) -> String {
        self.offered_code().expect("it has no administrator yet")
    }

    /// The same, while there is none.
    pub(crate) fn offered_code(&self) -> Option<String> {
        self.running.as_ref().expect("it runs").setup_code()
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Somebody sets the machine's clock forward, or back, by so many days; no time passes.
    pub(crate) fn set_clock(&self, by_days: i64) {
        self.clock.set(by_days * 24 * 60 * 60 * 1000);
    }

    pub(crate) fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.stop());
        }
    }

    /// Stops and starts on the same directory, on another port.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.run();
    }

    fn run(&mut self) {
        let running = self.try_start().expect("it starts");
        let address = running.address().tcp().expect("a TCP port");
        self.client = Client::over(self.transport, address);
        self.running = Some(running);
    }

    /// Starts on the directory of this one, which was stopped.
    pub(crate) fn try_start(&self) -> Result<Running, StartError> {
        let environment = Environment {
            clock: self.clock.clone(),
            random: self.random.clone(),
        };
        let config = self.load();
        self.runtime.block_on(async {
            let began = Instant::now();
            loop {
                match start(&config, environment.clone()).await {
                    // A task of the one before, or a child of this process that has its descriptors until it runs
                    // its program, may hold the directory for another moment.
                    Err(StartError::Open(OpenError::InUse { .. }))
                        if began.elapsed() < Duration::from_secs(20) =>
                    {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    started => break started,
                }
            }
        })
    }

    /// What a start says that is refused, with another configuration, in YAML, below `version: 0.1`; the server is stopped.
    pub(crate) fn refusal(&mut self, configuration: &str) -> String {
        self.stop();
        let other = format!("version: 0.1\n{configuration}\n");
        let own = std::mem::replace(&mut self.configuration, other);
        let refused = self.try_start().expect_err("it is refused");
        self.configuration = own;
        refused.to_string()
    }

    fn load(&self) -> Config {
        load(
            self.directory.path(),
            self.replica_of.as_deref(),
            self.certificate.as_ref().map(TempDir::path),
            self.bucket.as_deref(),
            &self.configuration,
        )
    }

    /// Restarts with another configuration, in YAML, below `version: 0.1`.
    pub(crate) fn reconfigure(&mut self, configuration: &str) {
        self.configuration = format!("version: 0.1\n{configuration}\n");
        self.restart();
    }

    /// Has the running server take over another configuration, in YAML, below `version: 0.1`.
    pub(crate) fn reload(&mut self, configuration: &str) {
        self.configuration = format!("version: 0.1\n{configuration}\n");
        let config = self.load();
        let running = self.running.as_ref().expect("it runs");
        let _threads = self.runtime.enter();
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
        // What others write right now is proved when the last one goes.
        if self.replica_of.is_some() {
            return;
        }
        if self.verifies && !std::thread::panicking() {
            let report = survey(&self.load());
            assert!(report.findings.is_empty(), "{report}");
            assert_eq!(
                report.left_objects, 0,
                "a bucket holds what rows know: {report}"
            );
            assert_eq!(
                report.stale_links, 0,
                "a clean stop leaves no link file behind: {report}"
            );
        }
        database::remove(&self.root());
    }
}

/// What `verify` finds. A process that another test just started has our descriptors, the lock with them,
/// until it runs its binary.
fn survey(config: &Config) -> Report {
    for _ in 0..100 {
        match verify_configured(config) {
            Ok(report) => return report,
            Err(OpenError::InUse { .. }) => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => panic!("the directory can be read: {error}"),
        }
    }
    panic!("{} stays in use", config.root.display());
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

fn load(
    directory: &Path,
    replica_of: Option<&Path>,
    certificate: Option<&Path>,
    bucket: Option<&Bucket>,
    configuration: &str,
) -> Config {
    let file = directory.join("config.yml");
    fs::write(&file, configuration).expect("the directory can be written");
    let arguments = Arguments {
        listen: Some("127.0.0.1:0".to_owned()),
        root: Some(directory.join("root")),
        config: Some(file),
    };
    let mut surroundings = Surroundings::default();
    let mut set = |name: &str, value: &OsStr| {
        let variables = &mut surroundings.variables;
        variables.insert(name.into(), value.to_string_lossy().into_owned());
    };
    // As without a configuration: what most tests are about is not registry:2's defaults.
    if !configuration.contains("delete:") {
        set("REGISTRY_STORAGE_DELETE_ENABLED", "true".as_ref());
    }
    if let Some((name, value)) = variables_of_all() {
        set(name, value.as_ref());
    }
    let says_where = ["filesystem:", "s3:", "gcs:", "azure:", "inmemory:"];
    if let Some(bucket) = bucket
        && !says_where
            .iter()
            .any(|driver| configuration.contains(driver))
    {
        for (name, value) in bucket.variables() {
            set(name, value.as_ref());
        }
    }
    let root = directory.join("root");
    if let Some(url) = database::url_of(replica_of.unwrap_or(&root)) {
        set("LAYERHOUSE_DATABASE", url.as_ref());
    }
    if let Some(directory) = certificate {
        let (certificate, key) = Issued::paths(directory);
        set("REGISTRY_HTTP_TLS_CERTIFICATE", certificate.as_os_str());
        set("REGISTRY_HTTP_TLS_KEY", key.as_os_str());
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
