//! F11: a server in 256 MiB, page cache included, takes and gives blobs that are larger than that, several
//! at once; and fetches them from another registry while it gives them.

use std::fs;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::thread;

use layerhouse_oci::digest::{Algorithm, Hasher};
use tempfile::TempDir;

use super::super::harness::http::{Client, Response};
use super::super::harness::process::Process;
use super::cgroup::{Cgroup, Limit};
use super::ledger::location;
use super::{assert_sound, noise, rounds, skip};

const MEMORY_BYTES: usize = 256 << 20;
const PIECE_BYTES: usize = 1 << 20;
const CLIENTS: u64 = 4;

/// The bytes of one client's blob: a piece of noise again and again, each with its number before it.
struct Content {
    piece: Vec<u8>,
    pieces: usize,
}

impl Content {
    fn new(seed: u64, pieces: usize) -> Self {
        Self {
            piece: noise(seed, PIECE_BYTES),
            pieces,
        }
    }

    fn each(mut self, mut take: impl FnMut(&[u8])) {
        for number in 0..self.pieces as u64 {
            self.piece[..8].copy_from_slice(&number.to_le_bytes());
            take(&self.piece);
        }
    }
}

/// Pushes a blob without holding it; its digest.
fn push(client: Client, content: Content) -> String {
    let session = location(&client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b""));
    let mut stream = client.open();
    let length = content.pieces * PIECE_BYTES;
    let head =
        format!("PATCH {session} HTTP/1.1\r\nHost: registry\r\nContent-Length: {length}\r\n\r\n");
    stream.write(head.as_bytes()).expect("it listens");
    let mut hasher = Hasher::new(Algorithm::Sha256);
    content.each(|piece| {
        hasher.update(piece);
        stream.write(piece).expect("it takes the body");
    });
    assert_eq!(stream.read().expect("it answers").status, 202);
    let digest = hasher.finish().to_string();
    let answer = client.send("PUT", &format!("{session}?digest={digest}"), &[], b"");
    assert_eq!(answer.status, 201, "{}", answer.text());
    digest
}

/// Pulls a blob without holding it, and hashes it.
fn pull(client: Client, digest: &str) {
    let mut stream = BufReader::with_capacity(PIECE_BYTES, client.connect());
    let get =
        format!("GET /v2/acme/web/blobs/{digest} HTTP/1.1\r\nHost: r\r\nConnection: close\r\n\r\n");
    stream
        .get_mut()
        .write_all(get.as_bytes())
        .expect("it listens");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    assert!(
        head.starts_with(b"HTTP/1.1 200 "),
        "{}",
        String::from_utf8_lossy(&head)
    );
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match stream.read(&mut piece).expect("it comes whole") {
            0 => break,
            length => hasher.update(&piece[..length]),
        }
    }
    assert_eq!(hasher.finish().to_string(), digest);
}

fn start(cgroup: &Cgroup, root: &Path) -> Process {
    let mut command = cgroup.command();
    command.args(["serve", "--listen", "127.0.0.1:0", "--root"]);
    command.arg(root);
    Process::spawn(command, &[]).unwrap_or_else(|refused| panic!("{refused:?}"))
}

/// Files in memory would count as the server's.
fn directory_on_a_disk() -> Option<TempDir> {
    const TMPFS_MAGIC: rustix::fs::FsWord = 0x0102_1994;
    let made = [TempDir::new(), TempDir::new_in("/var/tmp")];
    made.into_iter().flatten().find(|directory| {
        let told = rustix::fs::statfs(directory.path());
        told.is_ok_and(|told| told.f_type != TMPFS_MAGIC)
    })
}

/// `LAYERHOUSE_TEST_LARGE_MIB=5120` for layers of 5 GiB; the directory is in `TMPDIR`.
#[test]
fn fault_f11_large_blobs_go_through_a_small_memory() {
    let pieces = rounds("LAYERHOUSE_TEST_LARGE_MIB", 320);
    let Some(directory) = directory_on_a_disk() else {
        return skip("there is no directory that is not in memory");
    };
    let space = rustix::fs::statvfs(directory.path()).expect("it is there");
    // Once here, once in the mirror.
    let wanted = 2 * CLIENTS * (pieces * PIECE_BYTES) as u64 + (128 << 20);
    if space.f_bavail * space.f_frsize < wanted {
        return skip("there is too little room on the disk");
    }
    let limit = Limit {
        first: ("memory", "memory.limit_in_bytes", MEMORY_BYTES.to_string()),
        second: ("memory.max", MEMORY_BYTES.to_string()),
    };
    let Some(cgroup) = Cgroup::new("small-memory", &limit) else {
        return;
    };
    let root = directory.path().join("root");
    let process = start(&cgroup, &root);
    let client = process.client;
    let pushing: Vec<_> = (0..CLIENTS)
        .map(|seed| thread::spawn(move || push(client, Content::new(seed, pieces))))
        .collect();
    let digests = pushing
        .into_iter()
        .map(|push| push.join().expect("it is taken"));
    let digests: Vec<String> = digests.collect();
    let (status, log) = process.terminate();
    assert!(status.success(), "{status}: {log}");

    // A new process has hashed none of them, so it reads them for that, too.
    let process = start(&cgroup, &root);
    let client = process.client;
    thread::scope(|scope| {
        for digest in &digests {
            scope.spawn(move || pull(client, digest));
        }
    });
    let answer: Response = client.get("/readyz");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (status, log) = process.terminate();
    assert!(status.success(), "{status}: {log}");
    assert_eq!(cgroup.kills(), 0);
    for digest in &digests {
        let length = fs::metadata(super::blob_path(&root, digest))
            .expect("it is there")
            .len();
        assert_eq!(length, (pieces * PIECE_BYTES) as u64);
    }
    assert_sound(&root);

    // The same bytes through a mirror that has as little.
    let upstream = Process::start(&root, &[]);
    let mirror_root = directory.path().join("mirror");
    let file = directory.path().join("mirror.yml");
    let text = format!(
        "version: 0.1\nlayerhouse: {{ mirror: {{ upstreams: [{{ name: up, url: \"http://{}\" }}], default: up }} }}\n",
        upstream.client.address
    );
    fs::write(&file, text).expect("it can be written");
    let mut command = cgroup.command();
    command.args(["serve", "--listen", "127.0.0.1:0", "--root"]);
    command.arg(&mirror_root).arg("--config").arg(&file);
    let mirror = Process::spawn(command, &[]).unwrap_or_else(|refused| panic!("{refused:?}"));
    let client = mirror.client;
    thread::scope(|scope| {
        for digest in &digests {
            scope.spawn(move || pull(client, digest));
        }
    });
    let (status, log) = mirror.terminate();
    assert!(status.success(), "{status}: {log}");
    assert_eq!(cgroup.kills(), 0);
    for digest in &digests {
        assert!(super::blob_path(&mirror_root, digest).exists());
    }
    assert_sound(&mirror_root);
}
