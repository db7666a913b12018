//! S41, I9: thousands of connections at once, of clients that are slow, idle or busy, hold memory but no
//! threads, and others are served as if they were not there. `LAYERHOUSE_TEST_SLOW_CLIENTS=3000` and
//! `LAYERHOUSE_TEST_IDLE_CLIENTS=10000` have more of them come, which other tests beside them would feel.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;

use rustix::process::{Resource, getrlimit};

use super::super::harness::http::{Client, Connection, read_response};
use super::super::harness::images::{push_blob, push_image};
use super::super::harness::process::Process;
use super::ledger::location;
use super::load::usage;
use super::{noise, quick_directory, rounds, skip, stop_soundly};

/// So many threads are those of a server that does nothing, with room for a disk's.
const THREADS_MAX: usize = 80;

/// Descriptors that the other tests of this process need at the same time.
const SPARED: usize = 4096;

/// As many as wanted, or as descriptors allow to each of the two tests.
fn at_most(wanted: usize) -> Option<usize> {
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).expect("64 bits"));
    let allowed = limit.saturating_sub(SPARED) / 8 * 5;
    if allowed < 1000 {
        skip(&format!("only {limit} descriptors may be open"));
        return None;
    }
    Some(wanted.min(allowed))
}

/// Runs a test against a server that takes them all.
fn with_server(test: impl FnOnce(&Process)) {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let file = directory.path().join("config.yml");
    // Three quarters may come from one address. Nobody is let go because the machine is busy.
    let connections = "{ max: 16000, head: 5m, idle: 5m, stall: 5m }";
    let configuration = format!("version: 0.1\nlayerhouse: {{ connections: {connections} }}\n");
    fs::write(&file, configuration).expect("it can be written");
    let (shown, file) = (root.to_string_lossy(), file.to_string_lossy());
    let process = Process::try_run(&["--root", &shown, "--config", &file], &[]);
    let process = process.unwrap_or_else(|refused| panic!("{refused:?}"));
    test(&process);
    stop_soundly(process, &root);
}

fn assert_few_threads(process: &Process) {
    let (_, threads, _) = usage(process.id());
    assert!(threads < THREADS_MAX, "{threads} threads");
}

/// Whoever is not slow pulls and pushes.
fn assert_serves(client: &Client, name: &str) {
    let manifest = push_image(client, "acme/quick", name, name);
    let answer = client.get(&format!("/v2/acme/quick/manifests/{name}"));
    assert_eq!(answer.text(), manifest);
}

#[test]
fn sec_s41_slow_readers_and_writers_hold_no_threads() {
    let Some(slow) = at_most(rounds("LAYERHOUSE_TEST_SLOW_CLIENTS", 1000)) else {
        return;
    };
    with_server(|process| {
        let client = process.client;
        // More than sockets hold for a reader that takes nothing.
        let blob = push_blob(&client, "acme/web", noise(1, 8 << 20));
        let get = format!("GET /v2/acme/web/blobs/{blob} HTTP/1.1\r\nHost: r\r\n\r\n");
        let begin = |number: usize| -> TcpStream {
            let mut stream = client.connect();
            if number.is_multiple_of(3) {
                let session =
                    location(&client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b""));
                let head =
                    format!("PATCH {session} HTTP/1.1\r\nHost: r\r\nContent-Length: 10\r\n\r\nabc");
                stream.write_all(head.as_bytes()).expect("it listens");
            } else {
                stream.write_all(get.as_bytes()).expect("it listens");
                stream.read_exact(&mut [0; 100]).expect("it answers");
            }
            stream
        };
        let begin = &begin;
        let streams: Vec<TcpStream> = thread::scope(|scope| {
            let parts: Vec<_> = (0..4)
                .map(|part| {
                    scope.spawn(move || (part..slow).step_by(4).map(begin).collect::<Vec<_>>())
                })
                .collect();
            parts
                .into_iter()
                .flat_map(|part| part.join().expect("each is let in"))
                .collect()
        });
        assert_eq!(streams.len(), slow);
        assert_few_threads(process);
        for number in 0..10 {
            assert_serves(&client, &format!("v{number}"));
        }
        assert_few_threads(process);
        // Who goes on is served: the rest of a body that was begun.
        let mut writer = &streams[0];
        writer.write_all(b"defghij").expect("it is open");
        let answer = read_response(&mut writer, false).expect("it answers");
        assert_eq!((answer.status, answer.header("range")), (202, Some("0-9")));
    });
}

#[test]
fn inv_i9_hundreds_are_served_among_thousands() {
    let Some(many) = at_most(rounds("LAYERHOUSE_TEST_IDLE_CLIENTS", 3000)) else {
        return;
    };
    with_server(|process| {
        let client = process.client;
        let blob = push_blob(&client, "acme/web", noise(1, 64 << 10));
        let open = || {
            let mut connection = client.open();
            assert_eq!(connection.get("/v2/").status, 200);
            connection
        };
        let open = |count: usize| -> Vec<Connection> {
            thread::scope(|scope| {
                let some = |part| (part..count).step_by(4).map(|_| open()).collect::<Vec<_>>();
                let parts: Vec<_> = (0..4).map(|part| scope.spawn(move || some(part))).collect();
                let parts = parts.into_iter();
                parts
                    .flat_map(|part| part.join().expect("each is let in"))
                    .collect()
            })
        };
        let mut idle = open(many);
        assert_few_threads(process);
        let mut active = open(idle.len() / 10);
        let get = format!("GET /v2/acme/web/blobs/{blob} HTTP/1.1\r\nHost: r\r\n\r\n");
        for _ in 0..2 {
            for connection in &mut active {
                connection.write(get.as_bytes()).expect("it is open");
            }
            for connection in &mut active {
                let answer = connection.read().expect("it answers");
                assert_eq!((answer.status, answer.body.len()), (200, 64 << 10));
            }
        }
        assert_serves(&client, "v1");
        assert_few_threads(process);
        for connection in idle.iter_mut().step_by(100) {
            assert_eq!(connection.get("/v2/").status, 200);
        }
    });
}
