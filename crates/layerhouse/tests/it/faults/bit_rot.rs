//! F08, F20: stored bytes change or vanish behind our back. Whoever asks gets the right bytes or an
//! error, never wrong bytes with 200; a push heals.

use std::fs;
use std::path::Path;

use super::super::harness::images::{digest, push_blob, push_image};
use super::super::harness::process::Process;
use super::{assert_sound, blob_path, noise, quick_directory, run, stop_soundly};

fn database(root: &Path) -> std::path::PathBuf {
    root.join("layerhouse/layerhouse.db")
}

/// Changes one byte of a file.
fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("the file is there");
    bytes[at] ^= 0xff;
    fs::write(path, bytes).expect("it can be written");
}

#[test]
fn fault_f08_a_damaged_blob_is_never_served_as_good() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let process = Process::start(&root, &[]);
    // One is hashed before it is served, the other, above 64 MiB, while it is served.
    let (small, large) = (noise(1, 100_000), noise(2, 70 << 20));
    let digests = [&small, &large].map(|content| push_blob(&process.client, "acme/web", content));
    stop_soundly(process, &root);
    for digest in &digests {
        flip(&blob_path(&root, digest), 50_000);
    }
    let report = super::survey(&root);
    let found: Vec<&str> = report
        .findings
        .iter()
        .map(|finding| finding.invariant)
        .collect();
    assert_eq!(found, ["I4", "I4"], "{report}");
    for digest in &digests {
        assert!(report.to_string().contains(digest.as_str()), "{report}");
    }

    let process = Process::start(&root, &[]);
    for (digest, content) in digests.iter().zip([&small, &large]) {
        let path = format!("/v2/acme/web/blobs/{digest}");
        for range in [None, Some("bytes=10-20"), None] {
            let headers: Vec<_> = range.map(|range| ("Range", range)).into_iter().collect();
            // A cut connection is as good as a refusal: the client knows that it has not got it.
            let pulled = process.client.try_send("GET", &path, &headers, b"");
            if let Ok(pulled) = pulled {
                assert_eq!(pulled.status, 404, "{digest} {range:?}");
            }
        }
        assert_eq!(process.client.send("HEAD", &path, &[], b"").status, 404);
        push_blob(&process.client, "acme/web", content);
        assert!(process.client.get(&path).body == *content, "a push heals");
    }
    stop_soundly(process, &root);
    let kept = super::names(&root.join("layerhouse/quarantine"));
    assert_eq!(kept.len(), 2, "the damaged files are kept: {kept:?}");
}

#[test]
fn fault_f08_a_blob_that_rots_while_it_is_served_is_noticed() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let process = Process::start(&root, &[]);
    let content = noise(3, 100_000);
    let digest = push_blob(&process.client, "acme/web", &content);
    let path = format!("/v2/acme/web/blobs/{digest}");
    assert_eq!(process.client.get(&path).status, 200);
    flip(&blob_path(&root, &digest), 7);
    assert_eq!(process.client.get(&path).status, 404);
    push_blob(&process.client, "acme/web", &content);
    assert!(process.client.get(&path).body == content, "a push heals");
    stop_soundly(process, &root);
}

#[test]
fn fault_f08_a_damaged_manifest_is_never_served_as_good() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let process = Process::start(&root, &[]);
    let manifest = push_image(&process.client, "acme/web", "v1", "a layer");
    let other = push_image(&process.client, "acme/web", "v2", "another");
    stop_soundly(process, &root);
    let bytes = fs::read(database(&root)).expect("the database is one file");
    let place = bytes
        .windows(manifest.len())
        .position(|window| window == manifest.as_bytes())
        .expect("a manifest is stored as it was received");
    // A digit of a digest: still JSON, only not what was pushed.
    let digit = manifest.find("sha256:").expect("it names a blob") + 10;
    let mut damaged = bytes;
    damaged[place + digit] ^= 1;
    fs::write(database(&root), damaged).expect("it can be written");
    let report = super::survey(&root);
    assert!(
        report
            .findings
            .iter()
            .any(|finding| finding.invariant == "I4"),
        "{report}"
    );

    let process = Process::start(&root, &[]);
    let client = process.client;
    for reference in ["v1".to_owned(), digest(&manifest)] {
        let pulled = client.get(&format!("/v2/acme/web/manifests/{reference}"));
        assert_eq!(pulled.status, 500, "{}", pulled.text());
        assert!(pulled.text().contains("push it again"), "{}", pulled.text());
    }
    assert_eq!(
        client.get("/v2/acme/web/manifests/v2").text(),
        other,
        "others are well"
    );
    assert_eq!(push_image(&client, "acme/web", "v1", "a layer"), manifest);
    assert_eq!(
        client.get("/v2/acme/web/manifests/v1").text(),
        manifest,
        "a push heals"
    );
    stop_soundly(process, &root);
}

#[test]
fn fault_f08_a_damaged_database_is_refused_with_words() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let process = Process::start(&root, &[]);
    push_image(&process.client, "acme/web", "v1", "a layer");
    stop_soundly(process, &root);
    let sound = fs::read(database(&root)).expect("the database is one file");
    let mut header = sound.clone();
    header[..100].fill(0x5a);
    let damages: [(&str, Vec<u8>); 3] = [
        ("header", header),
        ("text", b"not a database at all\n".repeat(500)),
        ("schema", {
            let mut schema = sound.clone();
            schema[100..4096].fill(0xa5);
            schema
        }),
    ];
    for (what, damaged) in damages {
        fs::write(database(&root), &damaged).expect("it can be written");
        let refused = Process::try_start(&root, &[]).err().expect(what);
        assert_eq!(refused.status.code(), Some(1), "{what}: {}", refused.log);
        let path = database(&root);
        assert!(
            refused.log.contains(&*path.to_string_lossy()),
            "{what}: {}",
            refused.log
        );
        assert!(refused.log.contains("damaged"), "{what}: {}", refused.log);
        let left = fs::read(&path).expect("it is still there");
        assert!(left == damaged, "{what}: evidence is not touched");
        let checked = run(&["verify", "--root", &root.to_string_lossy()]);
        assert_eq!(checked.status.code(), Some(1), "{what}: {checked:?}");
    }
    fs::write(database(&root), sound).expect("it can be written");
    let process = Process::start(&root, &[]);
    assert_eq!(process.client.get("/v2/acme/web/manifests/v1").status, 200);
    stop_soundly(process, &root);
}

#[test]
fn fault_f08_garbage_for_a_write_ahead_log_changes_nothing() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let process = Process::start(&root, &[]);
    let manifest = push_image(&process.client, "acme/web", "v1", "a layer");
    stop_soundly(process, &root);
    let log = root.join("layerhouse/layerhouse.db-wal");
    fs::write(&log, noise(6, 100_000)).expect("it can be written");
    let mut process = Process::start(&root, &[]);
    assert_eq!(
        process.client.get("/v2/acme/web/manifests/v1").text(),
        manifest
    );
    let later = push_image(&process.client, "acme/web", "v2", "another");
    process.kill();
    // The end of the log, which a crash may leave torn.
    let mut torn = fs::read(&log).expect("a killed process leaves its log");
    torn.extend(noise(7, 5000));
    fs::write(&log, torn).expect("it can be written");
    let process = Process::start(&root, &[]);
    assert_eq!(
        process.client.get("/v2/acme/web/manifests/v1").text(),
        manifest
    );
    assert_eq!(
        process.client.get("/v2/acme/web/manifests/v2").text(),
        later
    );
    stop_soundly(process, &root);
}

#[test]
fn fault_f20_a_push_heals_what_vanished() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let process = Process::start(&root, &[]);
    let client = process.client;
    let manifest = push_image(&client, "acme/web", "v1", "a layer");
    let gone = digest("a layer");
    let path = format!("/v2/acme/web/blobs/{gone}");
    assert_eq!(client.send("HEAD", &path, &[], b"").status, 200);
    for damage in ["file", "directory", "shorter", "empty"] {
        let data = blob_path(&root, &gone);
        match damage {
            "file" => fs::remove_file(&data).expect("it is there"),
            "directory" => {
                let directory = data.parent().expect("a blob has a directory");
                fs::remove_dir_all(directory).expect("it is there");
            }
            "shorter" => fs::write(&data, "a l").expect("it can be written"),
            _ => fs::write(&data, "").expect("it can be written"),
        }
        // What a client asks before it skips a layer is answered from the disk.
        assert_eq!(client.send("HEAD", &path, &[], b"").status, 404, "{damage}");
        assert_eq!(client.get(&path).status, 404, "{damage}");
        let mount = format!("/v2/acme/other/blobs/uploads/?mount={gone}&from=acme/web");
        assert_eq!(
            client.send("POST", &mount, &[], b"").status,
            202,
            "{damage}"
        );
        let answer =
            super::super::harness::images::push_manifest(&client, "acme/web", "v2", &manifest);
        assert_eq!(
            answer.status, 404,
            "{damage}: an image must not be taken without its layer"
        );
        push_blob(&client, "acme/web", "a layer");
        assert_eq!(client.get(&path).text(), "a layer", "{damage}");
    }
    let (status, log) = process.terminate();
    assert!(status.success(), "{log}");
    assert_sound(&root);
}
