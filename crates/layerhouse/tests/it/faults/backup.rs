//! F24: backups under load, and on a disk that is full. F05: a disk that does not give what is on it.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use layerhouse::{backup_restore, backup_verify};
use serde_json::json;

use super::super::harness::console::ask;
use super::super::harness::images::{push_blob, push_image};
use super::super::harness::process::Process;
use super::ledger::Ledger;
use super::mount::{FileSystem, Mount};
use super::scenario::push_images;
use super::{blob_path, noise, quick_directory, rounds, skip, stop_soundly};

/// Everything that was acknowledged before a backup was asked for is in it, whoever pushes meanwhile.
#[test]
fn fault_f24_a_backup_under_load_has_all_that_was_acknowledged() {
    let directory = quick_directory();
    let (root, place) = (
        directory.path().join("root"),
        directory.path().join("backups"),
    );
    let mut process = Process::start(&root, &[]);
    let client = process.client;
    let pushing: Vec<_> = (0..4)
        .map(|number| {
            thread::spawn(move || push_images(&client, &format!("acme/p{number}"), number + 1))
        })
        .collect();
    let mut taken = Vec::new();
    for number in 0..rounds("LAYERHOUSE_TEST_BACKUPS", 4) {
        thread::sleep(Duration::from_millis(200));
        let asked = Instant::now();
        let wanted = json!({ "to": place, "copy": number % 2 == 0 });
        let (status, made) = ask(&root, "POST", "/backups", Some(&wanted));
        assert_eq!(status, 201, "{made}");
        assert_eq!(made["missing"], json!([]), "{made}");
        taken.push((asked, made["name"].as_str().unwrap().to_owned()));
    }
    process.kill();
    let told: Vec<Ledger> = pushing
        .into_iter()
        .map(|client| client.join().expect("a client only pushes"))
        .collect();
    let verified = backup_verify(&place).unwrap();
    assert!(verified.findings.is_empty(), "{verified:?}");
    for (asked, name) in taken {
        let root = directory.path().join(&name);
        let restored = backup_restore(&place, Some(&name), &root, false).unwrap();
        assert_eq!(restored.name, name);
        assert!(restored.report.findings.is_empty(), "{}", restored.report);
        let process = Process::start(&root, &[]);
        let mut known = 0;
        for ledger in &told {
            let mut ledger = ledger.clone();
            ledger.forget_since(asked);
            known += ledger.acknowledged();
            ledger.check(&process.client);
        }
        assert!(0 < known, "there was load");
        stop_soundly(process, &root);
    }
}

#[test]
fn fault_f24_a_full_disk_leaves_no_half_backup() {
    let Some(mount) = Mount::new(FileSystem::Ext4, 24, "noatime") else {
        return;
    };
    let directory = quick_directory();
    let root = directory.path().join("root");
    let process = Process::start(&root, &[]);
    let place = mount.path().join("backups");
    push_image(&process.client, "acme/web", "v1", "a layer");
    let wanted = json!({ "to": place });
    assert_eq!(ask(&root, "POST", "/backups", Some(&wanted)).0, 201);
    let small = mount.free_bytes();
    for seed in 0..8 {
        push_blob(&process.client, "acme/web", noise(seed, 4 << 20));
    }
    let (status, said) = ask(&root, "POST", "/backups", Some(&wanted));
    assert_eq!(status, 409, "{said}");
    assert!(said.to_string().contains("no room"), "{said}");
    assert!(
        small < mount.free_bytes() + (1 << 20),
        "what was copied is removed again"
    );
    let verified = backup_verify(&place).unwrap();
    assert_eq!(
        (verified.backups, verified.findings.len()),
        (1, 0),
        "{verified:?}"
    );

    // Nor half a directory.
    let big = directory.path().join("backups");
    let wanted = json!({ "to": big, "copy": true });
    assert_eq!(ask(&root, "POST", "/backups", Some(&wanted)).0, 201);
    let new = mount.path().join("new");
    let refused = backup_restore(&big, None, &new, false).unwrap_err();
    assert!(refused.to_string().contains("no room"), "{refused}");
    assert!(super::names(&new).is_empty(), "{:?}", super::names(&new));
    stop_soundly(process, &root);
}

/// A file over another one's name, until it is dropped.
struct Bound(std::path::PathBuf);

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// One blob's sectors are bad: that one is reported, and no other is concerned.
#[test]
fn fault_f05_a_scrub_lists_what_the_disk_does_not_give() {
    let Some(mount) = Mount::new(FileSystem::Ext4, 64, "noatime") else {
        return;
    };
    let directory = quick_directory();
    let root = directory.path().join("root");
    let process = Process::start(&root, &[]);
    let content = noise(5, 40 << 20);
    let bad = push_blob(&process.client, "acme/web", &content);
    let good: Vec<String> = (0..10)
        .map(|seed| push_blob(&process.client, "acme/web", noise(seed + 10, 10_000)))
        .collect();
    // The same bytes, on a disk of which the end is torn off.
    let twin = mount.path().join("twin");
    fs::write(&twin, &content).unwrap();
    rustix::fs::syncfs(fs::File::open(&twin).unwrap()).unwrap();
    let path = blob_path(&root, &bad);
    let mut bind = Command::new("mount");
    bind.arg("--bind").arg(&twin).arg(&path);
    assert!(bind.status().unwrap().success());
    let bound = Bound(path);
    let Some(lost) = mount.lose(&twin) else {
        return skip("the place of a file on its disk cannot be found");
    };

    let wanted = json!({});
    let (status, begun) = ask(&root, "POST", "/scrub/runs", Some(&wanted));
    assert_eq!(status, 201, "{begun}");
    let mut scrub = json!(null);
    super::crash::wait_until("the pass is over", || {
        scrub = ask(&root, "GET", "/scrub", None).1;
        !scrub["passes"][0]["finished_at"].is_null()
    });
    let pass = &scrub["passes"][0];
    assert_eq!(
        (&pass["unreadable"], &pass["damaged"]),
        (&json!(1), &json!(0)),
        "{scrub}"
    );
    assert_eq!(pass["blobs"], 11, "{scrub}");
    assert_eq!(scrub["damaged"][0]["digest"], json!(bad), "{scrub}");
    assert_eq!(scrub["damaged"][0]["affected"][0]["repository"], "acme/web");
    for digest in good {
        let path = format!("/v2/acme/web/blobs/{digest}");
        assert_eq!(process.client.get(&path).status, 200);
    }
    push_image(&process.client, "acme/web", "v1", "writes go on");
    drop((bound, lost));
    stop_soundly(process, &root);
}
