//! The two programs as processes, started with the same command line, file and environment.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_mins(1);

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// Docker's, as Debian packages it.
    Registry2,
    Layerhouse,
}

impl Program {
    fn path(self) -> &'static str {
        match self {
            Self::Registry2 => "docker-registry",
            Self::Layerhouse => env!("CARGO_BIN_EXE_layerhouse"),
        }
    }
}

/// Whether there is a registry:2 to compare with.
pub(crate) fn is_registry2_installed() -> bool {
    let mut command = Command::new(Program::Registry2.path());
    let output = command.arg("--version").stdin(Stdio::null()).output();
    output.is_ok_and(|output| output.status.success())
}

/// A running registry; killed when dropped.
pub(crate) struct Registry {
    program: Program,
    child: Child,
    directory: PathBuf,
    config: PathBuf,
    environment: Vec<(String, String)>,
    pub(crate) address: SocketAddr,
}

impl Registry {
    /// Starts `serve <config>` with its data, its log and nothing else in `directory`.
    ///
    /// # Errors
    /// What it wrote, if it ended instead.
    pub(crate) fn start(
        program: Program,
        directory: &Path,
        config: &Path,
        environment: &[(String, String)],
    ) -> Result<Self, String> {
        let address = free_address();
        let root = directory.join("root");
        fs::create_dir_all(&root).expect("the directory is ours");
        let mut environment = environment.to_vec();
        // As in a container, for which the file was not written either.
        for (name, value) in [
            ("REGISTRY_HTTP_ADDR", address.to_string()),
            (
                "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY",
                root.to_string_lossy().into_owned(),
            ),
        ] {
            environment.push((name.to_owned(), value));
        }
        let mut registry = Self {
            child: run(program, directory, config, &environment),
            program,
            directory: directory.to_owned(),
            config: config.to_owned(),
            environment,
            address,
        };
        registry.wait_until_it_listens()?;
        Ok(registry)
    }

    /// SIGTERM, and the same start again, perhaps with one more variable.
    pub(crate) fn restart(&mut self, change: Option<(&str, &str)>) {
        let change = change.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.environment.extend(change);
        let id = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let _ = self.child.wait();
        self.child = run(
            self.program,
            &self.directory,
            &self.config,
            &self.environment,
        );
        self.wait_until_it_listens().expect("it started before");
    }

    fn wait_until_it_listens(&mut self) -> Result<(), String> {
        let began = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            let ended = self.child.try_wait().expect("it is our child");
            if let Some(status) = ended {
                return Err(format!("{status}\n{}", self.log()));
            }
            if PATIENCE < began.elapsed() {
                return Err(format!("it does not listen\n{}", self.log()));
            }
            // Nobody would wake it; but the processors are the registries' for a moment.
            std::thread::park_timeout(Duration::from_millis(2));
        }
        Ok(())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap_or_default()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(
    program: Program,
    directory: &Path,
    config: &Path,
    environment: &[(String, String)],
) -> Child {
    let log = File::create(directory.join("log")).expect("the directory is ours");
    let errors = log.try_clone().expect("one more handle");
    let mut command = Command::new(program.path());
    command.arg("serve").arg(config).env_clear();
    for (name, value) in environment {
        command.env(name, value);
    }
    let command = command.current_dir(directory).stdin(Stdio::null());
    let command = command.stdout(log).stderr(errors);
    command.spawn().expect("the program is there")
}

/// An address that nobody else takes between now and the start: each call has a loopback host of its own,
/// and the port was free there.
pub(crate) fn free_address() -> SocketAddr {
    static HOSTS: AtomicU32 = AtomicU32::new(0);
    let number = HOSTS.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let host = SocketAddr::from(([127, 77, number[2], number[3]], 0));
    let listener = TcpListener::bind(host);
    let listener = listener.expect("all of 127.0.0.0/8 is this machine");
    listener.local_addr().expect("it is bound")
}
