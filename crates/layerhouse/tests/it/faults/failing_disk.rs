//! F03, F04, F06: every durable step fails once; a failed sync is never tried again; a file system
//! turns read-only.

use super::super::harness::http::Client;
use super::super::harness::images::{push_blob, push_image};
use super::super::harness::process::Process;
use super::crash::{STEPS_LOGGED, steps};
use super::ledger::Ledger;
use super::mount::{FileSystem, Mount};
use super::scenario::everything;
use super::{noise, quick_directory, skip, stop_soundly};

/// Runs the scenario as often as it has steps; each time another one fails with this error.
fn sweep(errno: &str) {
    for number in 1.. {
        if !fail_at(errno, number) {
            return;
        }
        assert!(number < 1000, "the scenario does not end");
    }
}

/// Whether the step was reached.
fn fail_at(errno: &str, number: usize) -> bool {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let plan = format!("{errno}@{number}");
    let process = Process::start(&root, &[("LAYERHOUSE_FAULTS", &plan), STEPS_LOGGED]);
    let operations = everything();
    let mut ledger = Ledger::new("acme/web");
    let mut failed = Vec::new();
    for operation in &operations {
        if let Err(failure) = operation.run(&process.client, &mut ledger, false) {
            // What comes after the first failure may also lack what that one was to bring.
            assert!(
                !failed.is_empty() || failure.is_fault(),
                "{plan}: {failure}"
            );
            assert!(
                !format!("{failure}").contains(&*root.to_string_lossy()),
                "{failure}"
            );
            failed.push(operation);
        }
    }
    assert_eq!(process.client.get("/healthz").status, 200, "{plan}");
    if !failed.is_empty() {
        // The accident is over, so this is as good as it will be.
        ledger.check(&process.client);
    }
    let (status, log) = process.terminate();
    assert!(status.success(), "{plan}: {status}: {log}");
    let taken = steps(&log).len();

    let process = Process::start(&root, &[]);
    ledger.check(&process.client);
    ledger.upload = None;
    for operation in failed {
        if let Err(failure) = operation.run(&process.client, &mut ledger, true) {
            panic!("after {plan}: {failure}");
        }
    }
    ledger.resume(&process.client, false);
    ledger.check(&process.client);
    stop_soundly(process, &root);
    number <= taken
}

#[test]
fn fault_f04_every_durable_step_may_fail() {
    sweep("EIO");
}

#[test]
fn fault_f03_every_durable_step_may_find_the_disk_full() {
    sweep("ENOSPC");
}

/// The number of the first step of this name after an image was pushed.
fn step_after_an_image(name: &str) -> usize {
    let directory = quick_directory();
    let plan = ("LAYERHOUSE_FAULTS", "kill@1000000");
    let root = directory.path().join("root");
    let process = Process::start(&root, &[plan, STEPS_LOGGED]);
    push_image(&process.client, "acme/web", "v1", "a layer");
    // The link files are written, so what follows is the next push.
    let (_, log) = process.terminate();
    let before = steps(&log).len();
    let process = Process::start(&root, &[plan, STEPS_LOGGED]);
    push_blob(&process.client, "acme/web", "another");
    let (_, log) = process.terminate();
    let found = steps(&log).into_iter().find(|(_, found)| found == name);
    let (number, _) = found.expect("a push takes it");
    assert!(number <= before, "a push has no more steps than an image");
    number
}

#[test]
fn fault_f04_a_failed_sync_is_never_tried_again() {
    for name in ["stage.sync", "publish.sync", "database.commit"] {
        let number = step_after_an_image(name);
        let directory = quick_directory();
        let root = directory.path().join("root");
        let process = Process::start(&root, &[]);
        let manifest = push_image(&process.client, "acme/web", "v1", "a layer");
        stop_soundly(process, &root);

        let plan = format!("EIO@{number}");
        let process = Process::start(&root, &[("LAYERHOUSE_FAULTS", &plan), STEPS_LOGGED]);
        let client = process.client;
        let digest = super::super::harness::images::digest("another");
        let push = format!("/v2/acme/web/blobs/uploads/?digest={digest}");
        assert_eq!(
            client.send("POST", &push, &[], b"another").status,
            503,
            "{name}"
        );
        assert_refuses_pushes(&client, &manifest, name);
        let pulled = client.get("/v2/acme/web/manifests/v1");
        assert_eq!(
            (pulled.status, pulled.text()),
            (200, manifest.clone()),
            "{name}"
        );
        assert_eq!(
            client.get(&format!("/v2/acme/web/blobs/{digest}")).status,
            404,
            "{name}"
        );
        let (status, log) = process.terminate();
        assert!(status.success(), "{name}: {log}");
        let syncs = ["stage.sync", "publish.sync"];
        let mut later = steps(&log).into_iter().skip(number);
        let again = later.find(|(_, step)| syncs.contains(&step.as_str()));
        assert_eq!(again, None, "{name} failed as step {number}");

        let process = Process::start(&root, &[]);
        assert_eq!(process.client.get("/readyz").status, 200, "{name}");
        push_image(&process.client, "acme/web", "v2", "another");
        stop_soundly(process, &root);
    }
}

/// No way of pushing is open, those of pulling are, and the probes say so.
fn assert_refuses_pushes(client: &Client, manifest: &str, when: &str) {
    let requests: [(&str, &str, &[u8]); 4] = [
        ("POST", "/v2/acme/web/blobs/uploads/", b""),
        (
            "POST",
            "/v2/acme/other/blobs/uploads/?from=acme/web&mount=\
             sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            b"",
        ),
        ("PUT", "/v2/acme/web/manifests/v9", manifest.as_bytes()),
        ("GET", "/readyz", b""),
    ];
    for (method, path, body) in requests {
        let answer = client.send(method, path, &[], body);
        assert_eq!(
            answer.status,
            503,
            "{when}: {method} {path}: {}",
            answer.text()
        );
    }
    assert_eq!(client.get("/healthz").status, 200, "{when}");
    assert_eq!(
        client.get("/v2/acme/web/manifests/v1").status,
        200,
        "{when}"
    );
    assert_eq!(
        client.get("/v2/acme/web/manifests/v9").status,
        404,
        "{when}"
    );
    assert_eq!(client.get("/v2/_catalog").status, 200, "{when}");
}

/// The disk below a file system has less room than it says, so writing back fails: the real thing.
#[test]
fn fault_f04_a_device_that_cannot_take_what_was_written() {
    let Some(mount) = Mount::on_small_memory(64, 24) else {
        return;
    };
    let root = mount.path().join("root");
    let process = Process::start(&root, &[]);
    let client = process.client;
    let manifest = push_image(&client, "acme/web", "v1", "a layer");
    let layer = noise(4, 30 << 20);
    let digest = super::super::harness::images::digest(&layer);
    let push = format!("/v2/acme/web/blobs/uploads/?digest={digest}");
    let answer = client.send("POST", &push, &[], &layer);
    // Kernels differ in whether a sync then says EIO or ENOSPC. Only the first ends all pushes; of the
    // other it is enough that these bytes are given up.
    assert!(
        matches!(answer.status, 503 | 507),
        "{}: {}",
        answer.status,
        answer.text()
    );
    assert_eq!(
        client.get(&format!("/v2/acme/web/blobs/{digest}")).status,
        404
    );
    if answer.status == 503 {
        assert_refuses_pushes(&client, &manifest, "the device failed");
    }
    let pulled = client.get("/v2/acme/web/manifests/v1");
    assert_eq!((pulled.status, pulled.text()), (200, manifest));
    let (status, log) = process.terminate();
    assert!(status.success(), "{log}");
}

#[test]
fn fault_f06_a_file_system_that_turns_read_only_still_serves_pulls() {
    let Some(mount) = Mount::new(FileSystem::Ext4, 256, "errors=remount-ro") else {
        return;
    };
    let root = mount.path().join("root");
    let process = Process::start(&root, &[]);
    let client = process.client;
    let manifest = push_image(&client, "acme/web", "v1", "a layer");
    let session = client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b"");
    let session = super::ledger::location(&session);
    assert_eq!(client.send("PATCH", &session, &[], b"some").status, 202);
    if !mount.fail_and_turn_read_only() {
        return skip("this kernel has no trigger_fs_error");
    }
    let when = "the file system is read-only";
    assert_refuses_pushes(&client, &manifest, when);
    let answer = client.send("PATCH", &session, &[], b" more");
    assert_eq!(answer.status, 503, "{}", answer.text());
    let pulled = client.get("/v2/acme/web/manifests/v1");
    assert_eq!((pulled.status, pulled.text()), (200, manifest.clone()));
    let (status, log) = process.terminate();
    assert!(status.success(), "{status}: {log}");

    // Repaired, it goes on.
    mount.remount();
    let process = Process::start(&root, &[]);
    assert_eq!(process.client.get("/readyz").status, 200);
    push_image(&process.client, "acme/web", "v2", "another");
    let pulled = process.client.get("/v2/acme/web/manifests/v1");
    assert_eq!((pulled.status, pulled.text()), (200, manifest));
    stop_soundly(process, &root);
}
