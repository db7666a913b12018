//! F01, F03, F04: the collector dies or fails at each of its durable steps, and goes on where it was: at the next
//! start, or, after a full disk, without one. What is needed is there all the time.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::super::harness::http::Client;
use super::super::harness::images::{digest, push_blob, push_image};
use super::crash::{STEPS_LOGGED, steps, wait_until};
use super::{
    blob_path, copy, noise, quick_directory, start_with, stop_soundly, survey, try_start_with,
};

/// Nothing waits; the log is read by [`steps`].
const EAGER: &str = "log: { formatter: json }\n\
     layerhouse: { collection: { interval: 5ms, grace: 0s, promise: 1ms, undelete: 0s } }";
const LIVE: usize = 3;
const GARBAGE: usize = 5;

/// A directory with images that are there, images that were deleted, and blobs that nothing needed, before
/// anything is collected.
struct Before {
    directory: TempDir,
    live: Vec<String>,
}

impl Before {
    fn new() -> Self {
        let directory = quick_directory();
        let off = "layerhouse: { collection: { enabled: false } }";
        let process = start_with(directory.path(), off, &[]);
        let client = process.client;
        let live = (0..LIVE)
            .map(|number| push_image(&client, "acme/web", &format!("v{number}"), &live(number)))
            .collect();
        for number in 0..GARBAGE {
            let tag = format!("g{number}");
            let manifest = push_image(&client, "acme/web", &tag, &deleted(number));
            let path = format!("/v2/acme/web/manifests/{}", digest(manifest));
            assert_eq!(client.send("DELETE", &path, &[], b"").status, 202);
            push_blob(&client, "acme/other", unneeded(number));
        }
        stop_soundly(process, &directory.path().join("root"));
        Self { directory, live }
    }

    /// A copy of it to collect.
    fn copy(&self) -> (TempDir, PathBuf) {
        let directory = quick_directory();
        let root = directory.path().join("root");
        copy(&self.directory.path().join("root"), &root);
        (directory, root)
    }

    /// Also while one step fails, which may be that of a read: then the next try succeeds.
    fn assert_serves(&self, client: &Client, when: &str) {
        let get = |path: &str| match client.get(path) {
            failed if 500 <= failed.status => client.get(path),
            answer => answer,
        };
        for (number, manifest) in self.live.iter().enumerate() {
            let path = format!("/v2/acme/web/manifests/v{number}");
            assert_eq!(get(&path).text(), *manifest, "{when}");
            for content in [live(number), "{}".to_owned()] {
                let blob = get(&format!("/v2/acme/web/blobs/{}", digest(&content)));
                assert_eq!((blob.status, blob.text()), (200, content), "{when}");
            }
        }
    }

    /// Starts the server, waits until all is collected, and proves it sound.
    fn finish(&self, directory: &Path, root: &Path, when: &str) {
        let process = start_with(directory, EAGER, &[]);
        self.assert_serves(&process.client, when);
        wait_until("all is collected", || is_collected(root));
        self.assert_serves(&process.client, when);
        stop_soundly(process, root);
        let report = survey(root);
        let left = (
            report.deleted_manifests,
            report.unlinked_blobs,
            report.removals,
        );
        assert_eq!(left, (0, 0, 0), "{when}: {report}");
        assert_eq!(report.blobs, LIVE as u64 + 1, "{when}: {report}");
    }
}

fn live(number: usize) -> String {
    format!("live {number}")
}

fn deleted(number: usize) -> String {
    format!("deleted {number}")
}

fn unneeded(number: usize) -> String {
    format!("unneeded {number}")
}

fn is_collected(root: &Path) -> bool {
    let mut gone = (0..GARBAGE).flat_map(|number| [deleted(number), unneeded(number)]);
    gone.all(|content| !blob_path(root, &digest(content)).exists())
}

/// Lets the server die before each of its steps, one after the other; the names of those steps.
pub(super) fn die_everywhere() -> Vec<String> {
    let before = Before::new();
    let mut visited = Vec::new();
    for number in 1.. {
        assert!(number < 500, "the collection does not end");
        let (directory, root) = before.copy();
        let plan = format!("kill@{number}");
        let variables = [("LAYERHOUSE_FAULTS", plan.as_str()), STEPS_LOGGED];
        // On a busy machine it collects, and dies, before it says where it listens.
        let (status, log) = match try_start_with(directory.path(), EAGER, &variables) {
            Ok(process) => {
                let client = process.client;
                wait_until("it dies or has done", || {
                    is_collected(&root) || client.try_send("GET", "/healthz", &[], b"").is_err()
                });
                process.terminate()
            }
            Err(died) => (died.status, died.log),
        };
        let fatal = steps(&log).into_iter().find(|(at, _)| *at == number);
        before.finish(directory.path(), &root, &plan);
        match fatal {
            Some((_, step)) if !status.success() => visited.push(step),
            _ => return visited,
        }
    }
    visited
}

/// Whether the step was reached: it failed so, once.
fn fail_at(before: &Before, errno: &str, number: usize) -> bool {
    let (directory, root) = before.copy();
    let plan = format!("{errno}@{number}");
    let variables = [("LAYERHOUSE_FAULTS", plan.as_str()), STEPS_LOGGED];
    let process = start_with(directory.path(), EAGER, &variables);
    let client = process.client;
    before.assert_serves(&client, &plan);
    let is_forgiven = errno == "ENOSPC";
    if is_forgiven {
        // Room is found again, nobody restarts anything: collection, deletes and pushes go on.
        wait_until("all is collected", || is_collected(&root));
        let path = "/v2/acme/web/manifests/another";
        let mut tries = 0;
        while client.send("HEAD", path, &[], b"").status != 200 {
            tries += 1;
            assert!(tries < 4, "{plan}: no push gets through");
            push_what_may_fail(&client);
        }
        let deleted = client.send("DELETE", path, &[], b"");
        assert!(
            matches!(deleted.status, 202 | 507),
            "{plan}: {}",
            deleted.text()
        );
    } else {
        // After a device error nothing is written, and all is served.
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    before.assert_serves(&client, &plan);
    let (status, log) = process.terminate();
    assert!(status.success(), "{plan}: {log}");
    assert!(!log.contains("panicked"), "{plan}: {log}");
    if is_forgiven {
        before.drop_another(directory.path());
    }
    before.finish(directory.path(), &root, &plan);
    number <= steps(&log).len()
}

/// An image, of which any request may meet the full disk.
fn push_what_may_fail(client: &Client) {
    let layer = noise(7, 2000);
    let manifest = super::super::harness::images::image("{}", &[]).to_string();
    for content in [&layer[..], b"{}"] {
        let path = format!("/v2/acme/web/blobs/uploads/?digest={}", digest(content));
        let pushed = client.send("POST", &path, &[], content);
        assert!(matches!(pushed.status, 201 | 507), "{}", pushed.text());
    }
    let answer = client.send(
        "PUT",
        "/v2/acme/web/manifests/another",
        &[],
        manifest.as_bytes(),
    );
    // What it needs may be collected at once, here.
    assert!(
        matches!(answer.status, 201 | 404 | 507),
        "{}",
        answer.text()
    );
}

impl Before {
    /// Takes away what was pushed to see whether pushes go on.
    fn drop_another(&self, directory: &Path) {
        let process = start_with(directory, EAGER, &[]);
        let client = process.client;
        let manifest = super::super::harness::images::image("{}", &[]).to_string();
        let path = format!("/v2/acme/web/manifests/{}", digest(manifest));
        let deleted = client.send("DELETE", &path, &[], b"");
        assert!(matches!(deleted.status, 202 | 404), "{}", deleted.text());
        let root = directory.join("root");
        let layer = blob_path(&root, &digest(noise(7, 2000)));
        wait_until("it is collected", || !layer.exists());
        self.assert_serves(&client, "afterwards");
        stop_soundly(process, &root);
    }
}

fn sweep(errno: &str) {
    let before = Before::new();
    for number in 1.. {
        if !fail_at(&before, errno, number) {
            assert!(20 < number, "the steps were not counted: {number}");
            return;
        }
        assert!(number < 500, "the collection does not end");
    }
}

#[test]
fn fault_f03_every_step_of_a_collection_may_find_the_disk_full() {
    sweep("ENOSPC");
}

#[test]
fn fault_f04_every_step_of_a_collection_may_fail() {
    sweep("EIO");
}
