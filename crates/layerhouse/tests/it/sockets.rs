//! What is listened on beside TCP ports: a socket file, and what systemd passes.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::harness::http::{Response, read_response};

/// The binary, killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn terminate(mut self) {
        let id = rustix::process::Pid::from_child(&self.0);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The arguments that serve on `http`, on data directory `root`.
    fn arguments(&self, root: &str, http: &str) -> Vec<String> {
        let file = self.path(&format!("{root}.yml"));
        let root = self.path(root);
        let text = format!(
            "version: 0.1\nhttp: {http}\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\n",
            root.display()
        );
        fs::write(&file, text).unwrap();
        let file = file.to_string_lossy().into_owned();
        vec!["serve".to_owned(), "--config".to_owned(), file]
    }

    /// Serves on the socket file; what it said if it did not start.
    fn serve(&self, root: &str, socket: &Path) -> Result<Running, String> {
        let http = format!("{{ net: unix, addr: {} }}", socket.display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_layerhouse"));
        command.args(self.arguments(root, &http));
        spawn(command).map(|(running, _)| running)
    }
}

/// Runs until it said its first line, which comes back; or what it complained of.
fn spawn(mut command: Command) -> Result<(Running, String), String> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut running = Running(child.unwrap());
    let mut line = String::new();
    let mut out = BufReader::new(running.0.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    let mut log = running.0.stderr.take().unwrap();
    if line.is_empty() {
        let mut text = String::new();
        log.read_to_string(&mut text).unwrap();
        return Err(text);
    }
    // Kept reading, or the process would find its output closed.
    std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    Ok((running, line))
}

fn get(stream: &mut (impl Read + Write), path: &str) -> Response {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: registry\r\n\r\n").unwrap();
    read_response(stream, false).unwrap()
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

#[test]
fn a_socket_file_is_listened_on() {
    let place = Place::new();
    let socket = place.path("registry.sock");
    let running = place.serve("one", &socket).unwrap();
    let mut stream = UnixStream::connect(&socket).unwrap();
    assert_eq!(get(&mut stream, "/v2/").status, 200);
    assert_eq!(get(&mut stream, "/v2/_catalog").status, 200);

    // A live one is left alone.
    let refused = place.serve("two", &socket).err().unwrap();
    assert!(
        refused.contains("another process listens there"),
        "{refused}"
    );
    assert_eq!(get(&mut stream, "/v2/").status, 200);

    // One whose process died is made anew.
    drop(running);
    assert!(is_socket(&socket));
    let running = place.serve("one", &socket).unwrap();
    let mut stream = UnixStream::connect(&socket).unwrap();
    assert_eq!(get(&mut stream, "/v2/").status, 200);
    drop(stream);
    running.terminate();
    assert!(!is_socket(&socket), "a clean stop leaves no file");

    // What is no socket is never removed.
    fs::write(&socket, "important").unwrap();
    let refused = place.serve("one", &socket).err().unwrap();
    assert!(refused.contains("is no socket"), "{refused}");
    assert_eq!(fs::read_to_string(&socket).unwrap(), "important");
}

/// Opens sockets as systemd does, and becomes the server.
const PASS: &str = r#"
import os, socket, sys
passed = []
for kind, address in (("tcp", sys.argv[1]), ("unix", sys.argv[2])):
    family = socket.AF_INET if kind == "tcp" else socket.AF_UNIX
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.bind(("127.0.0.1", 0) if kind == "tcp" else address)
    opened.listen(16)
    passed.append(opened)
fds = [os.dup2(os.dup(one.fileno()), 20 + at) for at, one in enumerate(passed)]
for at, fd in enumerate(fds):
    os.dup2(fd, 3 + at, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)))
os.execv(sys.argv[3], sys.argv[3:])
"#;

#[test]
fn sockets_of_systemd_are_listened_on() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: python3 is not there to open sockets as systemd does");
        return;
    }
    let place = Place::new();
    let arguments = place.arguments("one", "{ net: systemd }");
    let socket = place.path("registry.sock");
    let mut command = Command::new("python3");
    command
        .args(["-c", PASS, "tcp", &socket.to_string_lossy()])
        .arg(env!("CARGO_BIN_EXE_layerhouse"))
        .args(&arguments);
    let (running, line) = spawn(command).unwrap();
    let (_, address) = line.trim().rsplit_once("://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    assert_eq!(get(&mut stream, "/v2/").status, 200);
    let mut stream = UnixStream::connect(&socket).unwrap();
    assert_eq!(get(&mut stream, "/v2/").status, 200);
    drop(stream);
    running.terminate();
    assert!(is_socket(&socket), "the file is systemd's");

    let mut command = Command::new(env!("CARGO_BIN_EXE_layerhouse"));
    let refused = spawn_error(command.args(&arguments));
    assert!(refused.contains("LISTEN_FDS"), "{refused}");
}

fn spawn_error(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}
