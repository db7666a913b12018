//! F05: the disk cannot read what it holds (EIO). Only who wants just that is told so; everything else is
//! served, and pushed, and the operator is told what is lost.

use super::super::harness::images::{digest, push_blob, push_image};
use super::super::harness::process::Process;
use super::mount::Mount;
use super::{blob_path, noise, skip, survey};

#[test]
fn fault_f05_an_unreadable_blob_holds_up_no_other() {
    let Some(mount) = Mount::on_small_memory(64, 60) else {
        return;
    };
    let root = mount.path().join("root");
    let process = Process::start(&root, &[]);
    let client = process.client;
    let manifest = push_image(&client, "acme/web", "v1", "a layer");
    let sound = noise(1, 500_000);
    let sound_digest = push_blob(&client, "acme/web", &sound);
    // Hashed in this process already, so that nothing is read before it is served; the other is not.
    let lost = noise(2, 3_000_000);
    let lost_digest = push_blob(&client, "acme/web", &lost);
    let path = format!("/v2/acme/web/blobs/{lost_digest}");
    assert!(client.get(&path).body == lost);
    let Some(gone) = mount.lose(&blob_path(&root, &lost_digest)) else {
        return skip("there is no filefrag");
    };

    for round in 0..3 {
        // What was written behind it meanwhile made a hole of it, which reads as zeros.
        gone.lose_again();
        // Never the right length with other bytes, never a clean end.
        if let Ok(pulled) = client.try_send("GET", &path, &[], b"") {
            assert!(500 <= pulled.status, "{round}: {}", pulled.status);
        }
        let range = [("Range", "bytes=2000000-2000010")];
        if let Ok(pulled) = client.try_send("GET", &path, &range, b"") {
            // The file may have another piece elsewhere, which can be read.
            let is_right = pulled.status == 206 && pulled.body == lost[2_000_000..=2_000_010];
            assert!(is_right || 500 <= pulled.status, "{round}: {pulled:?}");
        }
        let pulled = client.get("/v2/acme/web/manifests/v1");
        assert_eq!((pulled.status, pulled.text()), (200, manifest.clone()));
        let other = client.get(&format!("/v2/acme/web/blobs/{sound_digest}"));
        assert!(other.status == 200 && other.body == sound);
        // One sector that cannot be read is no reason to refuse pushes.
        let tag = format!("then{round}");
        push_image(&client, "acme/web", &tag, &format!("pushed {round}"));
        assert_eq!(client.get("/readyz").status, 200);
    }
    gone.lose_again();
    let (status, log) = process.terminate();
    assert!(status.success(), "{log}");
    assert!(log.contains(&lost_digest), "the operator is told: {log}");
    let report = survey(&root);
    let about: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| !finding.what.contains(&lost_digest) && finding.invariant != "I10")
        .collect();
    assert!(about.is_empty(), "{report}");
    assert!(!report.findings.is_empty(), "{report}");
    drop(gone);

    // After a start, when nothing of it is known to be good: the same, and a push heals.
    let process = Process::start(&root, &[]);
    let client = process.client;
    if let Ok(pulled) = client.try_send("GET", &path, &[], b"") {
        assert!(matches!(pulled.status, 404 | 500..), "{}", pulled.status);
    }
    assert_eq!(push_blob(&client, "acme/web", &lost), digest(&lost));
    let healed = client.get(&path);
    assert!(
        healed.status == 200 && healed.body == lost,
        "a push heals: {}",
        healed.status
    );
    assert_eq!(client.get("/v2/acme/web/manifests/v1").text(), manifest);
    let (status, log) = process.terminate();
    assert!(status.success(), "{log}");
}

/// A disk that comes back (a cable, a path to it) has lost nothing.
#[test]
fn fault_f05_what_can_be_read_again_is_served_again() {
    let Some(mount) = Mount::on_small_memory(64, 60) else {
        return;
    };
    let root = mount.path().join("root");
    let process = Process::start(&root, &[]);
    let client = process.client;
    let content = noise(3, 3_000_000);
    let digest = push_blob(&client, "acme/web", &content);
    let path = format!("/v2/acme/web/blobs/{digest}");
    let Some(gone) = mount.lose(&blob_path(&root, &digest)) else {
        return skip("there is no filefrag");
    };
    if let Ok(pulled) = client.try_send("GET", &path, &[], b"") {
        assert!(500 <= pulled.status, "{}", pulled.status);
    }
    gone.find_again();
    let pulled = client.get(&path);
    assert!(
        pulled.status == 200 && pulled.body == content,
        "{}",
        pulled.status
    );
    super::stop_soundly(process, &root);
}
