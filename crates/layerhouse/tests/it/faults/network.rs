//! F14: the network between client and server resets, goes silent or is narrow. An upload goes on from the
//! last byte that the server holds, a pull from the last that the client has, and nothing stays stuck.

use std::path::Path;
use std::time::{Duration, Instant};

use super::super::harness::http::Client;
use super::super::harness::images::{digest, push_blob, push_image};
use super::super::harness::process::Process;
use super::super::harness::proxy::{Proxy, Way, What};
use super::crash::wait_until;
use super::ledger::{held_bytes, location};
use super::load::usage;
use super::{noise, quick_directory, stop_soundly};

/// Who is silent for this long is let go.
const STALL: Duration = Duration::from_secs(1);

/// A server that does not wait a minute for the silent.
fn start(directory: &Path) -> Process {
    super::start_configured(directory, "layerhouse: { connections: { stall: 1s } }")
}

fn begin(client: &Client) -> String {
    location(&client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b""))
}

/// How far an upload came, as its client asks.
fn offset(client: &Client, session: &str) -> usize {
    let status = client.get(session);
    assert_eq!(status.status, 204, "{}", status.text());
    held_bytes(&status)
}

/// Sends what is missing until it is taken, as clients do that were cut off; how long that took.
fn go_on(client: &Client, session: &str, content: &[u8]) -> Duration {
    let begun = Instant::now();
    loop {
        let from = offset(client, session);
        let range = format!("{from}-{}", content.len() - 1);
        let headers = [("Content-Range", range.as_str())];
        let rest = &content[from..];
        if rest.is_empty() {
            return begun.elapsed();
        }
        let answer = client.send("PATCH", session, &headers, rest);
        match answer.status {
            202 => return begun.elapsed(),
            // Whoever was cut off may still be writing: its last bytes were under way.
            409 | 416 => {}
            status => panic!("{status} {}", answer.text()),
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "stuck");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn finish(client: &Client, session: &str, content: &[u8]) {
    let claimed = digest(content);
    let put = format!("{session}?digest={claimed}");
    let answer = client.send("PUT", &put, &[], b"");
    assert_eq!(answer.status, 201, "{}", answer.text());
    let pulled = client.get(&format!("/v2/acme/web/blobs/{claimed}"));
    assert!(pulled.body == content, "the bytes are those that were sent");
}

#[test]
fn fault_f14_an_upload_that_is_cut_off_goes_on() {
    let directory = quick_directory();
    let mut process = start(directory.path());
    let root = directory.path().join("root");
    for (number, what) in [What::Reset, What::Silence].into_iter().enumerate() {
        // In the head, at its end, in the first bytes, in the middle, before the last byte.
        for after_bytes in [20, 400, 3_000, 700_000, 999_999] {
            let client = process.client;
            let proxy = Proxy::to(client.address);
            let content = noise((number * 10_000_000 + after_bytes) as u64, 1_000_000);
            let session = begin(&client);
            proxy.order(Way::Up, after_bytes, what);
            if what == What::Reset {
                let range = [("Content-Range", "0-999999")];
                let broken = proxy.client.try_send("PATCH", &session, &range, &content);
                assert!(broken.is_err(), "{broken:?}");
            } else {
                // A client whose network is gone is not told so either; it dials anew.
                let mut stream = proxy.client.open();
                let head = format!(
                    "PATCH {session} HTTP/1.1\r\nHost: r\r\nContent-Length: 1000000\r\n\r\n"
                );
                stream.write(head.as_bytes()).expect("it listens");
                let _ = stream.write(&content[..999_999]);
                drop(stream);
            }
            let told = offset(&client, &session);
            assert!(told <= after_bytes, "{told} bytes of {after_bytes}");
            if after_bytes == 700_000 {
                // What it said to hold, it holds after a crash as well.
                process.kill();
                process = start(directory.path());
                let client = process.client;
                assert!(told <= offset(&client, &session));
                go_on(&client, &session, &content);
                finish(&client, &session, &content);
                continue;
            }
            let took = go_on(&client, &session, &content);
            assert!(
                took < STALL + Duration::from_secs(5),
                "{what:?} held the upload for {took:?}"
            );
            finish(&client, &session, &content);
        }
    }
    wait_until("descriptors come back", || usage(process.id()).2 < 40);
    stop_soundly(process, &root);
    let report = super::survey(&root);
    assert_eq!((report.uploads, report.staged_bytes), (0, 0), "{report}");
}

/// The answer to what was done is lost: the client asks again, and is told that it is done.
#[test]
fn fault_f14_a_lost_answer_does_no_harm() {
    let directory = quick_directory();
    let process = start(directory.path());
    let client = process.client;
    let proxy = Proxy::to(client.address);
    let content = noise(3, 50_000);
    let claimed = digest(&content);
    let session = begin(&client);
    proxy.order(Way::Down, 5, What::Reset);
    let put = format!("{session}?digest={claimed}");
    assert!(proxy.client.try_send("PUT", &put, &[], &content).is_err());
    let blob = format!("/v2/acme/web/blobs/{claimed}");
    wait_until("it is published", || client.get(&blob).status == 200);
    assert_eq!(client.get(&session).status, 404, "the upload is over");

    let manifest = push_image(&client, "acme/web", "v1", "a layer");
    for (method, path, body, then) in [
        ("PUT", "/v2/acme/web/manifests/v2", manifest.as_bytes(), 200),
        ("DELETE", "/v2/acme/web/manifests/v2", b"", 404),
    ] {
        proxy.order(Way::Down, 5, What::Reset);
        assert!(proxy.client.try_send(method, path, &[], body).is_err());
        wait_until("it is done", || client.get(path).status == then);
        let again = client.send(method, path, &[], body).status;
        assert!(matches!(again, 201 | 404), "{method}: {again}");
    }
    stop_soundly(process, &directory.path().join("root"));
}

#[test]
fn fault_f14_a_pull_that_is_cut_off_goes_on() {
    let directory = quick_directory();
    let process = start(directory.path());
    let client = process.client;
    let content = noise(4, 3_000_000);
    let claimed = push_blob(&client, "acme/web", &content);
    let path = format!("/v2/acme/web/blobs/{claimed}");
    let proxy = Proxy::to(client.address);
    let mut pulled: Vec<u8> = Vec::new();
    for what in [What::Reset, What::Silence, What::Reset] {
        proxy.order(Way::Down, 900_000, what);
        let mut stream = proxy.client.connect();
        let patience = Duration::from_millis(300);
        stream.set_read_timeout(Some(patience)).expect("above zero");
        let from = pulled.len();
        let request = format!("GET {path} HTTP/1.1\r\nHost: r\r\nRange: bytes={from}-\r\n\r\n");
        std::io::Write::write_all(&mut stream, request.as_bytes()).expect("it listens");
        let mut got = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = std::io::Read::read(&mut stream, &mut buffer) {
            got.extend_from_slice(&buffer[..read]);
        }
        let end = got.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.expect("the head came through") + 4;
        assert!(got.starts_with(b"HTTP/1.1 206"));
        assert!(got.len() <= 900_000);
        pulled.extend_from_slice(&got[end..]);
    }
    let range = format!("bytes={}-", pulled.len());
    let rest = proxy.client.send("GET", &path, &[("Range", &range)], b"");
    assert_eq!(rest.status, 206);
    pulled.extend(rest.body);
    assert!(pulled == content, "the pieces are the whole");
    wait_until("descriptors come back", || usage(process.id()).2 < 40);
    stop_soundly(process, &directory.path().join("root"));
}

/// Slow is not silent: who sends more than the least that is asked for is waited for.
#[test]
fn fault_f14_a_narrow_line_is_wide_enough() {
    let directory = quick_directory();
    let process = start(directory.path());
    let client = process.client;
    let proxy = Proxy::to(client.address);
    let content = noise(5, 150_000);
    let claimed = digest(&content);
    let narrow = What::Narrow {
        bytes_per_second: 60_000,
    };
    proxy.order(Way::Up, 300, narrow);
    let push = format!("/v2/acme/web/blobs/uploads/?digest={claimed}");
    let begun = Instant::now();
    let answer = proxy.client.send("POST", &push, &[], &content);
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert!(STALL < begun.elapsed(), "it took longer than silence may");
    proxy.order(Way::Down, 300, narrow);
    let pulled = proxy.client.get(&format!("/v2/acme/web/blobs/{claimed}"));
    assert!(pulled.body == content);
    stop_soundly(process, &directory.path().join("root"));
}
