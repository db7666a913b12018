//! `health`: checks that fail take the registry out of service, as with registry:2, and say so.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::server::Server;

const DEBUG: &str = "http:\n  debug:\n    addr: 127.0.0.1:0\n";

/// Lets time pass until `/debug/health` says this.
fn await_health(server: &Server, expected: &Value) {
    let mut found = Value::Null;
    for _ in 0..20_000 {
        server.advance(Duration::from_secs(1));
        let answer = server.debug().get("/debug/health");
        found = serde_json::from_slice(&answer.body).unwrap();
        let status = if found == json!({}) { 200 } else { 503 };
        assert_eq!(answer.status, status);
        let content_type = answer.header("content-type");
        assert_eq!(content_type, Some("application/json; charset=utf-8"));
        if found == *expected {
            return;
        }
        std::thread::yield_now();
    }
    panic!("{found} is not {expected}");
}

#[test]
fn a_file_takes_the_registry_out_of_service() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("down");
    let shown = file.display();
    let mut server = Server::configured(&format!(
        "{DEBUG}health:\n  file:\n    - file: {shown}\n      interval: 1s\n      threshold: 3"
    ));
    server.may_complain();
    await_health(&server, &json!({}));
    fs::write(&file, "").unwrap();
    await_health(&server, &json!({ shown.to_string(): "file exists" }));
    for (method, path) in [
        ("GET", "/v2/"),
        ("GET", "/"),
        ("HEAD", "/v2/acme/web/manifests/v1"),
        ("PUT", "/v2/acme/web/manifests/v1"),
        ("POST", "/v2/acme/web/blobs/uploads/"),
        ("DELETE", "/v2/acme/web/manifests/v1"),
        ("OPTIONS", "/v2/"),
        ("GET", "/nothing"),
    ] {
        let answer = server.client.send(method, path, &[], b"");
        assert_eq!(answer.status, 503, "{method} {path}");
        if method != "HEAD" {
            let expected = json!({ "errors": [{
                "code": "UNAVAILABLE",
                "message": "service unavailable",
                "detail": "health check failed: please see /debug/health",
            }]});
            let found: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(found, expected, "{method} {path}");
        }
    }
    // Ours: a supervisor that restarts what is not alive must not restart this.
    assert_eq!(server.client.get("/healthz").status, 200);
    assert_eq!(server.client.get("/readyz").status, 503);
    fs::remove_file(&file).unwrap();
    await_health(&server, &json!({}));
    assert_eq!(server.client.get("/v2/").status, 200);
    assert_eq!(server.client.get("/readyz").status, 200);
}

/// Answers every HTTP request with the status of the moment.
fn answer_with(status: &Arc<AtomicU16>) -> (u16, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (status, served) = (Arc::clone(status), listener.try_clone().unwrap());
    std::thread::spawn(move || {
        for stream in served.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).to_lowercase();
            let is_asked_well = head.starts_with("head /up ") && head.contains("x-check: 7\r\n");
            let status = if is_asked_well {
                status.load(Ordering::SeqCst)
            } else {
                400
            };
            let _ = write!(stream, "HTTP/1.1 {status} X\r\nConnection: close\r\n\r\n");
        }
    });
    (port, listener)
}

#[test]
fn what_others_answer_is_checked() {
    let status = Arc::new(AtomicU16::new(204));
    let (port, _listener) = answer_with(&status);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed_address = closed.local_addr().unwrap();
    let uri = format!("http://user:canary@127.0.0.1:{port}/up");
    let mut server = Server::configured(&format!(
        "{DEBUG}health:
  storagedriver:
    enabled: true
    interval: 1s
    threshold: 2
  http:
    - uri: {uri}
      headers: {{X-Check: ['7']}}
      statuscode: 204
      timeout: 10s
      interval: 1s
      threshold: 1
  tcp:
    - addr: {closed_address}
      timeout: 10s
      interval: 1s
      threshold: 1"
    ));
    server.may_complain();
    await_health(&server, &json!({}));
    status.store(500, Ordering::SeqCst);
    let shown = format!("http://127.0.0.1:{port}/up");
    let problem = "downstream service returned unexpected status: 500";
    await_health(&server, &json!({ shown: problem }));
    status.store(204, Ordering::SeqCst);
    await_health(&server, &json!({}));
    drop(closed);
    for _ in 0..20_000 {
        server.advance(Duration::from_secs(1));
        let text = server.debug().get("/debug/health").text();
        if text.contains(&format!("connection to {closed_address} failed")) {
            return;
        }
    }
    panic!("a closed port is not seen");
}

#[test]
fn a_reload_changes_the_checks() {
    let directory = TempDir::new().unwrap();
    let (first, second) = (directory.path().join("1"), directory.path().join("2"));
    let checking = |file: &std::path::Path| {
        let shown = file.display();
        format!("{DEBUG}health:\n  file:\n    - file: {shown}\n      interval: 1s")
    };
    let failing = |file: &std::path::Path| json!({ file.display().to_string(): "file exists" });
    let mut server = Server::configured(&checking(&first));
    server.may_complain();
    fs::write(&first, "").unwrap();
    await_health(&server, &failing(&first));
    server.reload(&checking(&second));
    await_health(&server, &json!({}));
    fs::write(&second, "").unwrap();
    await_health(&server, &failing(&second));
    server.reload(DEBUG);
    await_health(&server, &json!({}));
    assert_eq!(server.client.get("/v2/").status, 200);
}
