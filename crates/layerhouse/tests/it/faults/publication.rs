//! F01, F04: what comes of an upload whose publication was interrupted between the link under its
//! digest and the row. Its staging file and the published one are then the same file.

use std::path::Path;

use super::super::harness::http::{Client, Response};
use super::super::harness::images::digest;
use super::super::harness::process::Process;
use super::crash::{STEPS_LOGGED, steps};
use super::ledger::location;
use super::{noise, quick_directory, stop_soundly};

/// Pushes a blob, then again through a session, as far as the server lets it: whether the blob was
/// acknowledged, and where the session is, if there is one.
fn push_twice(client: &Client, content: &[u8]) -> (bool, Option<String>) {
    let claimed = digest(content);
    let send = |method, path: &str, body| client.try_send(method, path, &[], body).ok();
    let is_created = |answer: Option<Response>| answer.is_some_and(|answer| answer.status == 201);
    let post = format!("/v2/acme/web/blobs/uploads/?digest={claimed}");
    let is_acknowledged = is_created(send("POST", &post, content));
    let start = send("POST", "/v2/acme/web/blobs/uploads/", b"");
    let Some(start) = start.filter(|start| start.status == 202) else {
        return (is_acknowledged, None);
    };
    let location = location(&start);
    let _ = send("PATCH", &location, content);
    let finished = is_created(send("PUT", &format!("{location}?digest={claimed}"), b""));
    (is_acknowledged || finished, Some(location))
}

/// The process, or a new one if it died.
fn alive(mut process: Process, root: &Path) -> Process {
    if process.client.try_send("GET", "/healthz", &[], b"").is_ok() {
        return process;
    }
    process.kill();
    Process::start(root, &[])
}

/// Has every step fail in this way, one run each; then a confused client goes on with what it thinks is
/// half an upload.
fn check(accident: &str) {
    let content = noise(3, 5000);
    let path = format!("/v2/acme/web/blobs/{}", digest(&content));
    let mut number = 0;
    let mut is_reached = true;
    while is_reached {
        number += 1;
        let directory = quick_directory();
        let root = directory.path().join("root");
        let plan = format!("{accident}@{number}");
        let mut process = Process::start(&root, &[("LAYERHOUSE_FAULTS", &plan), STEPS_LOGGED]);
        let (is_acknowledged, session) = push_twice(&process.client, &content);
        process = alive(process, &root);
        if let Some(session) = session {
            let _ = process
                .client
                .try_send("PATCH", &session, &[], b"more, not of this blob");
        }
        // A pull takes steps too, so it may be what the accident waits for; then the next one is not.
        let pulled = loop {
            process = alive(process, &root);
            match process.client.try_send("GET", &path, &[], b"") {
                Ok(answer) if answer.status < 500 => break answer,
                _ => {}
            }
        };
        assert!(
            pulled.status == 200 || !is_acknowledged,
            "{plan}: {}",
            pulled.text()
        );
        assert!(
            pulled.status == 404 || pulled.body == content,
            "{plan}: {}",
            pulled.status
        );
        let (status, log) = process.terminate();
        is_reached =
            !status.success() || !log.contains("durable step") || { number <= steps(&log).len() };
        // Killed while it stopped, it has link files left to write.
        stop_soundly(Process::start(&root, &[]), &root);
    }
    assert!(15 < number, "two pushes take more steps than {number}");
}

#[test]
fn fault_f01_a_killed_publication_leaves_no_way_to_write_to_the_blob() {
    check("kill");
}

#[test]
fn fault_f12_a_failed_publication_leaves_no_way_to_write_to_the_blob() {
    check("EMFILE");
}

#[test]
fn fault_f06_a_publication_in_doubt_leaves_no_way_to_write_to_the_blob() {
    check("EROFS");
}
