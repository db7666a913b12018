//! F03: the disk is full, or has no inodes left. What failed gives its space back at once; pulls and
//! deletes go on to the last byte.

use std::fs::{self, File};
use std::io::Write;

use super::super::harness::http::Client;
use super::super::harness::images::{digest, push_image};
use super::super::harness::process::Process;
use super::mount::{FileSystem, Mount};
use super::{noise, stop_soundly};

#[test]
fn fault_f03_a_layer_larger_than_the_disk_leaves_no_trace() {
    let Some(mount) = Mount::new(FileSystem::Ext4, 112, "noatime") else {
        return;
    };
    let root = mount.path().join("root");
    let process = Process::start(&root, &[]);
    let client = process.client;
    let kept = push_image(&client, "acme/web", "kept", "a layer");
    push_image(&client, "acme/web", "doomed", "another");

    let layer = noise(5, 120 << 20);
    let claimed = digest(&layer);
    let before_bytes = mount.free_bytes();
    assert!(
        (60 << 20..120 << 20).contains(&before_bytes),
        "{before_bytes} bytes are free"
    );
    let session = client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b"");
    let put = format!("{}?digest={claimed}", super::ledger::location(&session));
    assert_full(&client, &root.to_string_lossy(), "PUT", &put, &layer);
    assert_freed(&mount, before_bytes);
    let post = format!("/v2/acme/web/blobs/uploads/?digest={claimed}");
    assert_full(&client, &root.to_string_lossy(), "POST", &post, &layer);
    assert_freed(&mount, before_bytes);

    assert_pulls(&client, "kept", &kept);
    push_image(&client, "acme/web", "small", "a third");
    assert_eq!(client.get("/readyz").status, 200);

    // Somebody else takes all the rest.
    let mut filler = File::create(mount.path().join("filler")).expect("there is room");
    while filler.write_all(&[0; 4096]).is_ok() {}
    drop(filler);
    assert!(
        mount.free_bytes() < 1 << 20,
        "{} bytes are free",
        mount.free_bytes()
    );
    assert_pulls(&client, "kept", &kept);
    assert_full(
        &client,
        &root.to_string_lossy(),
        "POST",
        "/v2/acme/web/blobs/uploads/",
        b"",
    );
    assert_eq!(client.get("/readyz").status, 503);
    assert_eq!(client.get("/healthz").status, 200);
    let doomed = client.send("DELETE", "/v2/acme/web/manifests/doomed", &[], b"");
    assert_eq!(doomed.status, 202, "{}", doomed.text());
    assert_eq!(client.get("/v2/acme/web/manifests/doomed").status, 404);
    let (status, log) = process.terminate();
    assert!(status.success(), "{log}");

    // Still full, it starts; then there is room again, and it takes pushes without being told.
    let process = Process::start(&root, &[]);
    let client = process.client;
    assert_pulls(&client, "kept", &kept);
    assert_eq!(client.get("/v2/acme/web/manifests/doomed").status, 404);
    fs::remove_file(mount.path().join("filler")).expect("it is ours");
    assert_eq!(client.get("/readyz").status, 200);
    push_image(&client, "acme/web", "after", "a fourth");
    stop_soundly(process, &root);
    let report = super::survey(&root);
    assert_eq!((report.uploads, report.staged_bytes), (0, 0), "{report}");
}

#[test]
fn fault_f03_without_inodes_pulls_and_deletes_go_on() {
    let Some(mount) = Mount::new(FileSystem::Ext4Inodes(1200), 160, "noatime") else {
        return;
    };
    let root = mount.path().join("root");
    let process = Process::start(&root, &[]);
    let client = process.client;
    let kept = push_image(&client, "acme/web", "kept", "a layer");
    push_image(&client, "acme/web", "doomed", "another");
    let filler = mount.path().join("filler");
    fs::create_dir(&filler).expect("there is room");
    let made = (0..2000).take_while(|number| File::create(filler.join(number.to_string())).is_ok());
    assert!(made.count() < 2000, "the inodes run out");

    let post = format!("/v2/acme/web/blobs/uploads/?digest={}", digest("a third"));
    assert_full(&client, &root.to_string_lossy(), "POST", &post, b"a third");
    assert_pulls(&client, "kept", &kept);
    let doomed = client.send("DELETE", "/v2/acme/web/manifests/doomed", &[], b"");
    assert_eq!(doomed.status, 202, "{}", doomed.text());
    let (status, log) = process.terminate();
    assert!(status.success(), "{log}");

    let process = Process::start(&root, &[]);
    assert_pulls(&process.client, "kept", &kept);
    fs::remove_dir_all(&filler).expect("it is ours");
    push_image(&process.client, "acme/web", "after", "a third");
    stop_soundly(process, &root);
}

/// 507 that says what to do and names no path.
fn assert_full(client: &Client, root: &str, method: &str, path: &str, body: &[u8]) {
    let answer = client.send(method, path, &[], body);
    assert_eq!(answer.status, 507, "{method} {path}: {}", answer.text());
    let message = answer.text();
    assert!(message.contains("full"), "{message}");
    assert!(
        !message.contains(root) && !message.contains("layerhouse/"),
        "{message}"
    );
}

/// What a refused push took is free again, but for some pages of the database.
fn assert_freed(mount: &Mount, before_bytes: u64) {
    let free_bytes = mount.free_bytes();
    let slack_bytes = 1 << 20;
    assert!(
        before_bytes <= free_bytes + slack_bytes,
        "{before_bytes} were free, now {free_bytes}"
    );
}

fn assert_pulls(client: &Client, tag: &str, manifest: &str) {
    let pulled = client.get(&format!("/v2/acme/web/manifests/{tag}"));
    assert_eq!((pulled.status, pulled.text()), (200, manifest.to_owned()));
    let blob = client.get(&format!("/v2/acme/web/blobs/{}", digest("a layer")));
    assert_eq!((blob.status, blob.text()), (200, "a layer".to_owned()));
}
