//! A server as a process of its own: the binary that users run, to be killed and started again.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::database;
use super::http::Client;
use super::variables_of_all;

/// A running process; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) client: Client,
    log: Option<JoinHandle<String>>,
    /// What of the log was read so far, and of what it said behind its first line.
    logged: Shared,
    said: Shared,
    output: Option<JoinHandle<String>>,
}

type Shared = Arc<(Mutex<String>, Condvar)>;

/// Runs a command of the binary to its end: its status, and what it said to either side.
pub(crate) fn output(arguments: &[&str], variables: &[(&str, &str)]) -> (ExitStatus, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_layerhouse"));
    command.args(arguments).envs(variables.iter().copied());
    let output = command
        .output()
        .expect("the binary was built with the tests");
    let text = [output.stdout, output.stderr].concat();
    (output.status, String::from_utf8_lossy(&text).into_owned())
}

/// How a start that failed ended.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
}

impl Process {
    /// Starts the binary on a directory with these variables; waits until it listens.
    pub(crate) fn try_start(root: &Path, variables: &[(&str, &str)]) -> Result<Self, Refused> {
        Self::try_run(&["--root", &root.to_string_lossy()], variables)
    }

    /// As [`Process::try_start`], with more arguments.
    pub(crate) fn try_run(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Self, Refused> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_layerhouse"));
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(arguments);
        Self::spawn(command, variables)
    }

    /// Runs a command that ends in our binary, for instance `prlimit` with it.
    pub(crate) fn spawn(mut command: Command, variables: &[(&str, &str)]) -> Result<Self, Refused> {
        let mut arguments = command.get_args().skip_while(|one| *one != "--root");
        let database = arguments
            .nth(1)
            .map(Path::new)
            .and_then(database::url_of_process);
        command
            .envs(variables_of_all())
            .envs(database.map(|url| ("LAYERHOUSE_DATABASE", url)))
            .envs(variables.iter().copied())
            .stdin(Stdio::null());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary was built with the tests");
        let log = BufReader::new(child.stderr.take().expect("it is piped"));
        let logged = Shared::default();
        let log = follow(log, &logged);
        let mut first = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        let _ = out.read_line(&mut first);
        let address = first
            .trim()
            .rsplit_once("://")
            .and_then(|(_, text)| text.parse().ok());
        let Some(address) = address else {
            let status = child.wait().expect("it was started");
            return Err(Refused {
                status,
                log: log.join().unwrap_or_default(),
            });
        };
        // Kept reading, or the process would find its output closed.
        let said = Shared::default();
        let output = follow(out, &said);
        Ok(Self {
            child,
            client: Client::new(address),
            log: Some(log),
            logged,
            said,
            output: Some(output),
        })
    }

    pub(crate) fn start(root: &Path, variables: &[(&str, &str)]) -> Self {
        Self::try_start(root, variables).unwrap_or_else(|refused| panic!("{refused:?}"))
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: nothing is cleaned up.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and the end of it: status and log.
    pub(crate) fn terminate(self) -> (ExitStatus, String) {
        self.signal_terminate();
        self.wait()
    }

    /// SIGTERM, and the end of it: what it wrote to standard output after its first line, and the log.
    pub(crate) fn outputs(mut self) -> (String, String) {
        let output = self.output.take().expect("nobody took it");
        let (_, log) = self.terminate();
        (output.join().unwrap_or_default(), log)
    }

    /// The ports of TCP that it listens on.
    pub(crate) fn ports(&self) -> Vec<u16> {
        let process = Path::new("/proc").join(self.id().to_string());
        let sockets: Vec<String> = std::fs::read_dir(process.join("fd"))
            .expect("it runs")
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .filter_map(|link| {
                let text = link.to_string_lossy().into_owned();
                Some(text.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
            })
            .collect();
        let mut ports = Vec::new();
        for table in ["net/tcp", "net/tcp6"] {
            let text = std::fs::read_to_string(process.join(table)).unwrap_or_default();
            for line in text.lines().skip(1) {
                let columns: Vec<&str> = line.split_whitespace().collect();
                let [_, local, _, state, _, _, _, _, _, inode, ..] = columns[..] else {
                    continue;
                };
                // 0A is LISTEN.
                if state == "0A" && sockets.iter().any(|socket| socket == inode) {
                    let (_, port) = local.rsplit_once(':').expect("an address");
                    ports.push(u16::from_str_radix(port, 16).expect("a port"));
                }
            }
        }
        ports
    }

    /// The address that it listens on beside its first.
    pub(crate) fn debug(&self) -> Client {
        let mut address = self.client.address;
        let other = |port: &u16| *port != address.port();
        let port = self.ports().into_iter().find(other);
        address.set_port(port.expect("a second address"));
        Client::new(address)
    }

    /// Waits for its end, whatever brings it: status and log.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("it was started");
        let log = self
            .log
            .take()
            .and_then(|log| log.join().ok())
            .unwrap_or_default();
        (status, log)
    }

    pub(crate) fn signal_terminate(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(id, signal);
    }

    /// Waits until it logged a line with all of these texts.
    pub(crate) fn wait_for_log(&self, texts: &[&str]) {
        wait_for(&self.logged, texts);
    }

    /// Waits until it said a line with this text, which is not logged; the line.
    pub(crate) fn wait_for_output(&self, text: &str) -> String {
        wait_for(&self.said, &[text])
    }
}

/// Reads to the end, lines as they come.
fn follow(from: impl BufRead + Send + 'static, into: &Shared) -> JoinHandle<String> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        for line in from.split(b'\n').map_while(Result::ok) {
            let mut text = into.0.lock().expect("nobody panics with it");
            text.push_str(&String::from_utf8_lossy(&line));
            text.push('\n');
            into.1.notify_all();
        }
        let text = into.0.lock().expect("nobody panics with it");
        text.clone()
    })
}

fn wait_for(shared: &Shared, texts: &[&str]) -> String {
    let has_all = |line: &&str| texts.iter().all(|text| line.contains(text));
    let is_missing = |text: &mut String| !text.lines().any(|line| has_all(&line));
    let (text, changed) = &**shared;
    let text = text.lock().expect("nobody panics with it");
    let (text, waited) = changed
        .wait_timeout_while(text, Duration::from_secs(30), is_missing)
        .expect("nobody panics with it");
    assert!(!waited.timed_out(), "no line has {texts:?}:\n{text}");
    let line = text.lines().find(has_all).expect("it was there");
    line.to_owned()
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
