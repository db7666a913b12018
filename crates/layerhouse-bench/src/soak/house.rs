//! The server under test: started with a configuration of ours, killed, started again, watched.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::world::World;
use crate::http::client::Answer;
use crate::http::head;

/// How long a start or a stop may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the server is told: nothing waits longer than it must.
///
/// `promise` is how long a client may take from HEAD to its manifest, `undelete` how long what was deleted
/// can be had again.
pub(super) const PROMISE: Duration = Duration::from_secs(5);
pub(super) const UNDELETE: Duration = Duration::from_secs(10);

/// Every blob is hashed again within this.
const SCRUB: &str = "  scrub: { period: 30s, rate: 64MiB }\n";

#[derive(Debug)]
pub(super) struct House {
    pub(super) binary: PathBuf,
    pub(super) directory: PathBuf,
    pub(super) address: SocketAddr,
    /// The name of the data directory within `directory`.
    data: &'static str,
    child: Option<Child>,
}

/// Of the process, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    /// How long it ran.
    pub(super) age: Duration,
    /// Since the soak began.
    pub(super) at: Duration,
    pub(super) resident_bytes: u64,
    pub(super) descriptors: u64,
}

impl House {
    /// Prepares a directory, which must be empty or not there.
    pub(super) fn new(binary: &Path, directory: &Path) -> Result<Self, String> {
        fs::create_dir_all(directory).map_err(|error| said(directory, &error))?;
        let mut entries = fs::read_dir(directory).map_err(|error| said(directory, &error))?;
        if entries.next().is_some() {
            return Err(format!("{} is not empty", directory.display()));
        }
        // The same port in every life, so that clients find it again.
        let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let house = Self {
            binary: binary.to_owned(),
            directory: directory.to_owned(),
            address: address.map_err(|error| format!("no free port: {error}"))?,
            data: "data",
            child: None,
        };
        house.configure()?;
        Ok(house)
    }

    fn configure(&self) -> Result<(), String> {
        let path = self.directory.join("config.yml");
        fs::write(&path, self.configuration()).map_err(|error| said(&path, &error))
    }

    /// Serves another directory from the next start on.
    pub(super) fn move_to(&mut self, data: &'static str) -> Result<(), String> {
        self.data = data;
        self.configure()
    }

    fn configuration(&self) -> String {
        format!(
            "version: 0.1\n\
             log: {{ accesslog: {{ disabled: true }}, level: warn }}\n\
             storage:\n  filesystem: {{ rootdirectory: {} }}\n  delete: {{ enabled: true }}\n\
             http: {{ addr: {} }}\n\
             layerhouse:\n  collection: {{ interval: 100ms, grace: 0s, promise: {}s, undelete: {}s }}\n\
             {SCRUB}  uploads: {{ idle: 20s }}\n",
            self.root().display(),
            self.address,
            PROMISE.as_secs(),
            UNDELETE.as_secs(),
        )
    }

    pub(super) fn root(&self) -> PathBuf {
        self.directory.join(self.data)
    }

    fn log(&self) -> Result<File, String> {
        let path = self.directory.join("server.log");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        file.map_err(|error| said(&path, &error))
    }

    /// Starts it and waits until it answers; how long that took.
    pub(super) fn start(&mut self) -> Result<Duration, String> {
        let begun = Instant::now();
        let child = Command::new(&self.binary)
            .arg("serve")
            .arg("--config")
            .arg(self.directory.join("config.yml"))
            .stdin(Stdio::null())
            .stdout(self.log()?)
            .stderr(self.log()?)
            .spawn()
            .map_err(|error| said(&self.binary, &error))?;
        let child = self.child.insert(child);
        loop {
            if answers(self.address) {
                return Ok(begun.elapsed());
            }
            if let Ok(Some(status)) = child.try_wait() {
                return Err(format!("the server ended at its start: {status}"));
            }
            if PATIENCE < begun.elapsed() {
                return Err("the server does not answer".to_owned());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it ended although nobody told it to.
    pub(super) fn ended(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok().flatten()?;
        Some(format!("the server ended by itself: {status}"))
    }

    /// SIGKILL, and the end.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM, and a clean end within the time that it is given.
    pub(super) fn stop(&mut self) -> Result<(), String> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        if let Some(id) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(id, Signal::TERM);
        }
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("the server stopped with {status}")),
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
                Err(error) => return Err(format!("the server cannot be waited for: {error}")),
            }
        }
        let _ = child.kill();
        let _ = child.wait();
        Err("the server does not stop".to_owned())
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Runs another command of the binary to its end.
    pub(super) fn command(&self, arguments: &[&str]) -> io::Result<Output> {
        Command::new(&self.binary)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a process uses now; nothing if it is gone.
pub(super) fn sample(id: u32, age: Duration, at: Duration) -> Option<Sample> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = resident.split_ascii_whitespace().next()?.parse().ok()?;
    let descriptors = fs::read_dir(format!("/proc/{id}/fd")).ok()?.count() as u64;
    Some(Sample {
        age,
        at,
        resident_bytes: kib << 10,
        descriptors,
    })
}

/// A request to the API over the administrators' socket; `body` is JSON, or nothing.
pub(super) fn ask_console(root: &Path, method: &str, path: &str, body: &str) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(root.join("layerhouse/admin.sock"))?;
    stream.set_read_timeout(Some(10 * PATIENCE))?;
    let kind = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/json\r\n"
    };
    let request = format!(
        "{method} /api/v1{path} HTTP/1.1\r\nHost: console\r\nConnection: close\r\n\
         {kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let broken = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let parsed = head::parse(&bytes).ok().flatten().ok_or_else(broken)?;
    let (head, body) = bytes.split_at(parsed.length);
    if let head::Framing::Length(length) = parsed.framing
        && (body.len() as u64) < length
    {
        return Err(broken());
    }
    Ok(Answer::new(parsed.status, head, body.to_vec()))
}

fn answers(address: SocketAddr) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n")?;
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        Ok(start.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

fn said(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// Kills the server again and again, and starts it. Every fourth life is twice as long: long enough for what
/// is done only once a minute.
pub(super) fn kill_again_and_again(
    house: &mut House,
    world: &World,
    every: Duration,
    lives: &mut Vec<Sample>,
) -> Result<u64, String> {
    let begun = Instant::now();
    let mut kills = 0;
    while !world.is_over() {
        let born = Instant::now();
        let length = if kills % 4 == 3 { 2 * every } else { every };
        while born.elapsed() < length && !world.is_over() {
            world.rest(Duration::from_secs(1));
            if let Some(ended) = house.ended() {
                world.end();
                return Err(ended);
            }
            let id = house.id();
            lives.extend(id.and_then(|id| sample(id, born.elapsed(), begun.elapsed())));
        }
        if world.is_over() {
            break;
        }
        world.turn();
        house.kill();
        kills += 1;
        if let Err(error) = house.start() {
            world.end();
            return Err(error);
        }
        world.turn();
    }
    Ok(kills)
}
