//! Connections: clients that only hold them open are let go while others are served (S41), and there are
//! never more than configured (I9).
//!
//! How long a socket is waited for is real time, so the limits here are half a second and one: far more
//! than an honest client on loopback takes even on a busy machine, and short enough for a test.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::http::{Connection, read_response};
use crate::harness::images;
use crate::harness::server::Server;

const IMPATIENT: &str =
    "layerhouse: { connections: { max: 512, head: 500ms, stall: 1s, idle: 1s } }";

/// Whether the server ends the connection, perhaps after an answer: within 5 s, a limit of the test.
fn is_let_go(stream: &mut TcpStream) -> bool {
    stream
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

#[test]
fn sec_s41_slow_clients_are_let_go_while_pulls_go_on() {
    let server = Server::configured(IMPATIENT);
    let client = server.client;
    images::push_image(&client, "acme/web", "v1", "abcd");
    // A reader that takes nothing must have more before it than the socket's buffers hold.
    let large = images::push_blob(&client, "acme/web", vec![7; 24 << 20]);
    let opened = client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b"");
    let upload = opened.header("location").unwrap();

    let begin = Instant::now();
    let mut waiting = Vec::new();
    for number in 0..40 {
        let mut slow = client.connect();
        let mut slow_head = client.connect();
        slow_head
            .write_all(b"GET /v2/ HTTP/1.1\r\nHost: regi")
            .unwrap();
        let mut idle = client.open();
        assert_eq!(idle.get("/v2/").status, 200);
        if number == 0 {
            let head =
                format!("PATCH {upload} HTTP/1.1\r\nHost: r\r\nContent-Length: 10\r\n\r\nabc");
            slow.write_all(head.as_bytes()).unwrap();
        } else if number < 4 {
            let get = format!("GET /v2/acme/web/blobs/{large} HTTP/1.1\r\nHost: r\r\n\r\n");
            slow.write_all(get.as_bytes()).unwrap();
        } else {
            let head = b"PUT /v2/acme/web/manifests/v1 HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab";
            slow.write_all(head).unwrap();
        }
        waiting.push((slow, slow_head, idle));
    }
    // As long as they are held, and longer, pulls go on.
    let mut pulls = client.open();
    while begin.elapsed() < Duration::from_millis(2500) {
        assert_eq!(pulls.get("/v2/acme/web/manifests/v1").status, 200);
        assert_eq!(client.get("/v2/").status, 200);
    }
    for (number, (mut slow, mut slow_head, mut idle)) in waiting.into_iter().enumerate() {
        assert!(
            is_let_go(&mut slow_head),
            "a head that does not end ({number})"
        );
        assert!(
            is_let_go(&mut slow),
            "a body or a reader that stalls ({number})"
        );
        assert!(idle.read().is_err(), "an idle connection ({number})");
    }
    // What the slow body brought is kept, and its session is free again.
    let status = client.get(upload);
    assert_eq!((status.status, status.header("range")), (204, Some("0-2")));
}

/// Before the first request, too, a client must say something and go on.
#[test]
fn sec_s41_silent_clients_are_let_go() {
    let server = Server::configured(IMPATIENT);
    for said in [
        &b""[..],
        b"G",
        b"\r\n",
        b"PRI * HT",
        b"PRI * HTTP/2.0\r\n\r\n",
    ] {
        let mut stream = server.client.connect();
        stream.write_all(said).unwrap();
        let told = String::from_utf8_lossy(said);
        assert!(is_let_go(&mut stream), "a client that only said {told:?}");
    }
}

/// A client that reads nothing is let go although it sent a whole request.
#[test]
fn sec_s41_a_reader_that_stalls_is_cut_off() {
    let server = Server::configured(IMPATIENT);
    let content = vec![7; 24 << 20];
    let digest = images::push_blob(&server.client, "acme/web", &content);
    let mut stream = server.client.connect();
    let get = format!("GET /v2/acme/web/blobs/{digest} HTTP/1.1\r\nHost: r\r\n\r\n");
    stream.write_all(get.as_bytes()).unwrap();
    let begin = Instant::now();
    let mut others = server.client.open();
    while begin.elapsed() < Duration::from_millis(2500) {
        assert_eq!(others.get("/v2/").status, 200);
    }
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received);
    assert!(
        received.len() < content.len(),
        "the whole blob was waiting for a reader that slept"
    );
}

/// HTTP/2: who keeps the windows of many streams shut takes nothing of their answers, and is let go.
#[test]
fn sec_s41_windows_that_stay_shut_are_cut_off() {
    let server = Server::configured(IMPATIENT);
    let digest = images::push_blob(&server.client, "acme/web", vec![7; 1 << 20]);
    let path = format!("/v2/acme/web/blobs/{digest}");
    // SETTINGS_INITIAL_WINDOW_SIZE is 1.
    let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1];
    let mut bytes = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings].concat();
    for stream in 0..64_u8 {
        // GET, http, and by their names in the static table :path and :authority (RFC 7541, A).
        let path_bytes = u8::try_from(path.len()).unwrap();
        let head = [&[0x82, 0x86, 4, path_bytes], path.as_bytes(), b"\x01\x01r"].concat();
        let length = u8::try_from(head.len()).unwrap();
        // HEADERS with END_STREAM and END_HEADERS.
        bytes.extend([0, 0, length, 1, 5, 0, 0, 0, stream * 2 + 1]);
        bytes.extend(head);
    }
    let mut client = server.client.connect();
    client.write_all(&bytes).unwrap();
    let patience = Duration::from_secs(5);
    client.set_read_timeout(Some(patience)).unwrap();
    let mut received = Vec::new();
    let ended = client.read_to_end(&mut received);
    let is_held = ended
        .is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    assert!(!is_held, "a client that takes nothing holds its streams");
    // A byte of DATA for each stream: the answers had begun.
    let first_bytes = received
        .windows(10)
        .filter(|frame| frame.starts_with(&[0, 0, 1, 0]) && frame.ends_with(&[7]));
    assert_eq!(first_bytes.count(), 64);
}

/// The debug address has few places; who asks there and does not read must not hold one.
#[test]
fn sec_s41_a_debug_reader_that_stalls_is_cut_off() {
    let server = Server::configured(&format!(
        "http: {{ debug: {{ addr: '127.0.0.1:0', prometheus: {{ enabled: true }} }} }}\n{IMPATIENT}"
    ));
    let mut stream = server.debug().connect();
    let patience = Duration::from_secs(5);
    stream.set_write_timeout(Some(patience)).unwrap();
    let requests = "GET /metrics HTTP/1.1\r\nHost: r\r\n\r\n".repeat(100);
    let error = loop {
        if let Err(error) = stream.write_all(requests.as_bytes()) {
            break error;
        }
    };
    let is_held = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
    assert!(!is_held, "a client that reads nothing holds its place");
    assert_eq!(server.debug().get("/metrics").status, 200);
}

/// Slower than the limits in all, never for long at a time: an honest push over a thin line survives.
#[test]
fn sec_s41_a_slow_honest_push_survives() {
    let server = Server::configured(IMPATIENT);
    let client = server.client;
    let content = vec![9_u8; 20 * (10 << 10)];
    let digest = images::digest(&content);
    let mut stream = client.connect();
    let head = format!(
        "POST /v2/acme/web/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: r\r\nContent-Length: {}\r\n\r\n",
        content.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let begin = Instant::now();
    let mut others = client.open();
    for (number, piece) in (1..).zip(content.chunks(10 << 10)) {
        stream.write_all(piece).unwrap();
        while begin.elapsed() < Duration::from_millis(100) * number {
            assert_eq!(others.get("/v2/").status, 200);
        }
    }
    assert_eq!(read_response(&mut stream, false).unwrap().status, 201);
    assert_eq!(
        client.get(&format!("/v2/acme/web/blobs/{digest}")).body,
        content
    );
}

/// I9: beyond the bound a connection is told to come back, and places are given back.
#[test]
fn inv_i9_connections_are_bounded() {
    // One address may hold three quarters of them.
    let server = Server::configured("layerhouse: { connections: { max: 8 } }");
    let client = server.client;
    let mut held: Vec<Connection> = (0..6).map(|_| client.open()).collect();
    for connection in &mut held {
        assert_eq!(connection.get("/v2/").status, 200);
    }
    for _ in 0..20 {
        let answer = client.try_send("GET", "/v2/", &[], b"");
        // The server closes without reading, which may reset the connection under the answer.
        if let Ok(answer) = answer {
            assert_eq!(answer.status, 503);
            assert_eq!(answer.header("retry-after"), Some("5"));
            assert!(answer.text().contains("UNAVAILABLE"));
        }
    }
    for connection in &mut held {
        assert_eq!(
            connection.get("/v2/").status,
            200,
            "those who are in stay in"
        );
    }
    drop(held);
    let begin = Instant::now();
    let is_served = || {
        client
            .try_send("GET", "/v2/", &[], b"")
            .is_ok_and(|answer| answer.status == 200)
    };
    while !is_served() {
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "places are not given back"
        );
    }
}
