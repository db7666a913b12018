//! F12, F27, I9: more clients than descriptors, a stop while clients push, and what it all may take.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::super::harness::http::{Client, read_response};
use super::super::harness::images::{digest, push_blob, push_image};
use super::super::harness::process::Process;
use super::crash::wait_until;
use super::ledger::{Ledger, location};
use super::scenario::push_images;
use super::{noise, quick_directory, skip, stop_soundly};

/// A server that may open so many descriptors.
fn start_limited(arguments: &[&str], descriptors: usize) -> Option<Process> {
    let is_there = Command::new("prlimit").arg("--version").output().is_ok();
    if !is_there {
        skip("there is no prlimit");
        return None;
    }
    let mut command = Command::new("prlimit");
    command
        .arg(format!("--nofile={descriptors}"))
        .arg(env!("CARGO_BIN_EXE_layerhouse"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(arguments);
    Some(Process::spawn(command, &[]).unwrap_or_else(|refused| panic!("{refused:?}")))
}

/// Opens connections that say nothing, then asks among them; the server must come back.
fn crowd(configuration: &str) {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let file = directory.path().join("config.yml");
    fs::write(&file, format!("version: 0.1\n{configuration}\n")).expect("it can be written");
    let (shown, file) = (root.to_string_lossy(), file.to_string_lossy());
    let arguments = ["--root", &*shown, "--config", &*file];
    let Some(process) = start_limited(&arguments, 128) else {
        return;
    };
    let client = process.client;
    let manifest = push_image(&client, "acme/web", "v1", "a layer");
    // Some wait to be accepted, and the kernel lets only so many wait.
    let patience = Duration::from_millis(500);
    let connect = || TcpStream::connect_timeout(&client.address, patience).ok();
    let idle: Vec<_> = (0..500).map_while(|_| connect()).collect();
    assert!(128 < idle.len(), "{} connections", idle.len());
    // Each is served, turned away with words, or has to wait; none ends the server.
    let asking: Vec<_> = (0..20)
        .map(|_| {
            thread::spawn(move || {
                let mut stream = TcpStream::connect_timeout(&client.address, patience).ok()?;
                stream
                    .set_read_timeout(Some(4 * patience))
                    .expect("above zero");
                let request = b"GET /v2/acme/web/manifests/v1 HTTP/1.1\r\nHost: registry\r\n\r\n";
                let _ = std::io::Write::write_all(&mut stream, request);
                read_response(&mut stream, false)
                    .ok()
                    .map(|answer| answer.status)
            })
        })
        .collect();
    for asked in asking {
        let status = asked.join().expect("a client only asks");
        assert!(matches!(status, None | Some(200 | 503)), "{status:?}");
    }
    drop(idle);
    wait_until("it serves again", || {
        client
            .try_send("GET", "/v2/acme/web/manifests/v1", &[], b"")
            .is_ok_and(|answer| answer.status == 200 && answer.text() == manifest)
    });
    push_image(&client, "acme/web", "v2", "another");
    stop_soundly(process, &root);
}

#[test]
fn fault_f12_more_clients_than_connections_are_turned_away() {
    crowd("");
}

#[test]
fn fault_f12_running_out_of_descriptors_ends_nothing() {
    // More than the limit leaves room for, so that accepting and opening fail.
    crowd("layerhouse: { connections: { max: 2000 } }");
}

#[test]
fn fault_f27_a_stop_under_load_loses_nothing_acknowledged() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let file = directory.path().join("config.yml");
    let drain = Duration::from_secs(2);
    let configuration = "version: 0.1\nlayerhouse: { connections: { drain: 2s } }\n";
    fs::write(&file, configuration).expect("it can be written");
    let (shown, file) = (root.to_string_lossy(), file.to_string_lossy());
    let arguments = ["--root", &*shown, "--config", &*file];
    let process = Process::try_run(&arguments, &[]).unwrap_or_else(|refused| panic!("{refused:?}"));
    let client = process.client;
    push_image(&client, "acme/web", "v1", "a layer");

    // A session between two chunks, and one in the middle of a chunk that never ends.
    let content = noise(1, 300_000);
    let between = open(&client, &content[..100_000]);
    let within = open(&client, &content[..100_000]);
    let mut stuck = client.open();
    let head =
        format!("PATCH {within} HTTP/1.1\r\nHost: registry\r\nContent-Length: 200000\r\n\r\n");
    stuck.write(head.as_bytes()).expect("it listens");
    stuck
        .write(&content[100_000..150_000])
        .expect("it takes bytes");

    let pushing: Vec<_> = (0..12)
        .map(|number| {
            thread::spawn(move || push_images(&client, &format!("acme/p{number}"), number + 1))
        })
        .collect();
    let stopped = AtomicBool::new(false);
    let (ended, told) = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stopped.load(Ordering::SeqCst) {
                    // Refused is as good as whole: only half an answer would be wrong.
                    let path = "/v2/acme/web/manifests/v1";
                    if let Ok(answer) = client.try_send("GET", path, &[], b"") {
                        assert!(matches!(answer.status, 200 | 503), "{}", answer.text());
                    }
                }
            });
        }
        thread::sleep(Duration::from_millis(500));
        let began = Instant::now();
        let (status, log) = process.terminate();
        let took = began.elapsed();
        stopped.store(true, Ordering::SeqCst);
        assert!(status.success(), "{status}: {log}");
        assert!(
            took < drain + Duration::from_secs(8),
            "the stop took {took:?}"
        );
        let told: Vec<Ledger> = pushing
            .into_iter()
            .map(|client| client.join().expect("a client only pushes"))
            .collect();
        (log, told)
    });
    assert!(!ended.contains("panicked"), "{ended}");
    super::assert_sound(&root);

    let process = Process::start(&root, &[]);
    let client = process.client;
    for mut ledger in told {
        assert!(0 < ledger.acknowledged(), "all clients had their turn");
        ledger.check(&client);
        ledger.resume(&client, false);
        ledger.check(&client);
    }
    for session in [between, within] {
        let status = client.get(&session);
        assert_eq!(status.status, 204, "{}", status.text());
        let held_bytes = super::ledger::held_bytes(&status);
        assert!((100_000..=150_000).contains(&held_bytes), "{held_bytes}");
        let put = format!("{session}?digest={}", digest(&content));
        let answer = client.send("PUT", &put, &[], &content[held_bytes..]);
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
    stop_soundly(process, &root);
}

/// A session that holds these bytes.
fn open(client: &Client, content: &[u8]) -> String {
    let location = location(&client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b""));
    assert_eq!(client.send("PATCH", &location, &[], content).status, 202);
    location
}

#[test]
fn inv_i9_large_blobs_and_slow_readers_take_bounded_memory() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let process = Process::start(&root, &[]);
    let client = process.client;
    // 8 pushes of 24 MiB at once, then 32 readers who each take some and stop.
    let pushing: Vec<_> = (0..8)
        .map(|seed| thread::spawn(move || push_blob(&client, "acme/web", noise(seed, 24 << 20))))
        .collect();
    let digests: Vec<_> = pushing
        .into_iter()
        .map(|client| client.join().expect("a push succeeds"))
        .collect();
    let mut readers = Vec::new();
    for number in 0..32 {
        let mut stream = client.connect();
        let path = format!("/v2/acme/web/blobs/{}", digests[number % digests.len()]);
        let request = format!("GET {path} HTTP/1.1\r\nHost: registry\r\n\r\n");
        std::io::Write::write_all(&mut stream, request.as_bytes()).expect("it listens");
        stream.read_exact(&mut [0; 1000]).expect("it answers");
        readers.push(stream);
    }
    let (peak_kib, threads, files) = usage(process.id());
    assert!(peak_kib < 128 << 10, "{peak_kib} KiB at the highest");
    assert!(threads < 80, "{threads} threads");
    assert!(files < 32 * 2 + 64, "{files} descriptors");
    drop(readers);
    wait_until("descriptors come back", || usage(process.id()).2 < 40);
    stop_soundly(process, &root);
}

/// Of a process: peak memory in KiB, threads, descriptors.
pub(super) fn usage(id: u32) -> (usize, usize, usize) {
    let status = fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let number = |name: &str| -> usize {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.expect("the kernel tells")
    };
    let files = fs::read_dir(format!("/proc/{id}/fd"))
        .expect("it runs")
        .count();
    (number("VmHWM:"), number("Threads:"), files)
}
