//! F01, F04: what comes of an upload whose publication was interrupted between the link under its
//! digest and the row. Its staging file and the published one are then the same file.

use super::super::harness::http::Client;
use super::super::harness::images::{digest, push_blob};
use super::super::harness::process::Process;
use super::crash::{STEPS_LOGGED, steps};
use super::ledger::location;
use super::{noise, quick_directory, stop_soundly};

/// Pushes a blob, then again through a session, as far as the server lets it; where the session is.
fn push_twice(client: &Client, content: &[u8]) -> String {
    let digest = push_blob(client, "acme/web", content);
    let start = client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b"");
    let location = location(&start);
    assert_eq!(client.send("PATCH", &location, &[], content).status, 202);
    let _ = client.try_send("PUT", &format!("{location}?digest={digest}"), &[], b"");
    location
}

/// The number of the second step of a name while a blob is pushed twice.
fn second_step(name: &str, content: &[u8]) -> usize {
    let directory = quick_directory();
    let process = Process::start(
        &directory.path().join("root"),
        &[("LAYERHOUSE_FAULTS", "kill@1000000"), STEPS_LOGGED],
    );
    push_twice(&process.client, content);
    let (_, log) = process.terminate();
    let numbers = steps(&log).into_iter().filter(|(_, found)| found == name);
    numbers.map(|(number, _)| number).nth(1).expect("a second push takes the same steps")
}

fn check(accident: &str, step: &str) {
    let content = noise(3, 5000);
    let digest = digest(&content);
    // Link files are written whenever the job comes to it, so a step's number may differ by some.
    let near = second_step(step, &content);
    for number in near - 2..=near + 2 {
        let directory = quick_directory();
        let root = directory.path().join("root");
        let plan = format!("{accident}@{number}");
        let mut process = Process::start(&root, &[("LAYERHOUSE_FAULTS", &plan)]);
        let location = push_twice(&process.client, &content);
        if process.is_dead() || accident == "kill" {
            process.kill();
            process = Process::start(&root, &[]);
        }
        // A confused client goes on with what it thinks is half an upload.
        let _ = process.client.try_send("PATCH", &location, &[], b"more, and not of this blob");
        let pulled = process.client.get(&format!("/v2/acme/web/blobs/{digest}"));
        assert_eq!(pulled.status, 200, "{plan}: {}", pulled.text());
        assert!(pulled.body == content, "{plan}: a session wrote into a published blob");
        let _ = process.client.try_send("DELETE", &location, &[], b"");
        stop_soundly(process, &root);
    }
}

#[test]
fn fault_f01_a_killed_publication_leaves_no_way_to_write_to_the_blob() {
    check("kill", "publish.sync");
}

#[test]
fn fault_f12_a_failed_publication_leaves_no_way_to_write_to_the_blob() {
    check("EMFILE", "publish.sync");
}

#[test]
fn fault_f06_a_commit_in_doubt_leaves_no_way_to_write_to_the_blob() {
    check("EROFS", "database.committed");
}
