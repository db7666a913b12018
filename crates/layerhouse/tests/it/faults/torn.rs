//! F07: what was being written when the power went is torn, short, or on the disk in another order. A start
//! takes all that was whole before the tear and nothing that came after it, and never anything in between.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::harness::http::Client;
use super::super::harness::images::{digest, push_blob, push_image, push_manifest};
use super::super::harness::process::Process;
use super::ledger::{held_bytes, location};
use super::{blob_path, copy, noise, quick_directory, stop_soundly, survey};

/// What is done to a staged file.
type Damage = fn(&mut Vec<u8>);

/// Of a write-ahead log of SQLite (its file format, section 4): a header, then frames of a header and a page.
const LOG_HEADER: usize = 32;
const FRAME_HEADER: usize = 24;
const PAGE: usize = 4096;
const FRAME: usize = FRAME_HEADER + PAGE;

fn log_path(root: &Path) -> PathBuf {
    root.join("layerhouse/layerhouse.db-wal")
}

fn database(root: &Path) -> PathBuf {
    root.join("layerhouse/layerhouse.db")
}

/// A push that was acknowledged, and how long the log was then.
struct Pushed {
    tag: String,
    manifest: String,
    log_bytes: usize,
}

/// A directory whose database holds `v0`, and whose log five more images; its server was killed.
fn directory_with_log(root: &Path) -> (String, Vec<Pushed>) {
    let process = Process::start(root, &[]);
    let first = push_image(&process.client, "acme/web", "v0", "layer 0");
    stop_soundly(process, root);
    let mut process = Process::start(root, &[]);
    let pushed = (1..=5)
        .map(|number| {
            let tag = format!("v{number}");
            let layer = format!("layer {number}");
            let manifest = push_image(&process.client, "acme/web", &tag, &layer);
            let log = fs::metadata(log_path(root)).expect("there is a log");
            Pushed {
                tag,
                manifest,
                log_bytes: usize::try_from(log.len()).expect("it is short"),
            }
        })
        .collect();
    process.kill();
    (first, pushed)
}

/// Whatever is served is whole: the image with everything in it, or 404.
fn is_served(client: &Client, tag: &str, manifest: &str) -> bool {
    let pulled = client.get(&format!("/v2/acme/web/manifests/{tag}"));
    if pulled.status == 404 {
        return false;
    }
    assert_eq!(
        (pulled.status, pulled.text().as_str()),
        (200, manifest),
        "{tag}"
    );
    let layer = tag.replace('v', "layer ");
    let blob = client.get(&format!("/v2/acme/web/blobs/{}", digest(&layer)));
    assert_eq!((blob.status, blob.text()), (200, layer), "{tag}");
    true
}

/// Starts a copy of the directory with this log; `torn_at` is the offset up to which the log is whole.
fn check_log(template: &Path, log: &[u8], torn_at: usize, first: &str, pushed: &[Pushed]) {
    let what = format!("torn at {torn_at} of {}", log.len());
    let directory = quick_directory();
    let root = directory.path().join("root");
    copy(template, &root);
    fs::write(log_path(&root), log).expect("it can be written");
    let process = Process::start(&root, &[]);
    let client = process.client;
    assert!(is_served(&client, "v0", first), "{what}");
    let mut is_gone = false;
    for push in pushed {
        let is_there = is_served(&client, &push.tag, &push.manifest);
        assert!(
            is_there || torn_at < push.log_bytes,
            "{what}: {} was whole before the tear",
            push.tag
        );
        assert!(
            !is_there || !is_gone,
            "{what}: {} came back alone",
            push.tag
        );
        is_gone |= !is_there;
    }
    // It goes on from there.
    for push in pushed {
        let layer = push.tag.replace('v', "layer ");
        assert_eq!(
            push_image(&client, "acme/web", &push.tag, &layer),
            push.manifest
        );
    }
    stop_soundly(process, &root);
}

#[test]
fn fault_f07_a_torn_log_keeps_what_is_before_the_tear() {
    let directory = quick_directory();
    let template = directory.path().join("root");
    let (first, pushed) = directory_with_log(&template);
    let log = fs::read(log_path(&template)).expect("a killed process leaves its log");
    assert_eq!(
        log[8..12],
        u32::try_from(PAGE).expect("small").to_be_bytes()
    );
    let last = pushed.last().expect("five were pushed").log_bytes;
    let frames = (last.min(log.len()) - LOG_HEADER) / FRAME;
    assert!(10 <= frames, "{frames} frames");
    // At the boundary, in the middle of a frame's header or page; cut off there, or with what came later on
    // the disk already and a hole before it.
    for frame in 0..frames {
        let start = LOG_HEADER + frame * FRAME;
        let torn_at = start + [0, 10, FRAME_HEADER + 1000, FRAME - 1][frame % 4];
        let damaged = match frame % 3 {
            0 => log[..torn_at].to_vec(),
            1 => {
                let mut log = log.clone();
                log[torn_at..start + FRAME].fill(0);
                log
            }
            _ => {
                let mut log = log[..start + FRAME].to_vec();
                log[torn_at..].copy_from_slice(&noise(frame as u64, start + FRAME - torn_at));
                log
            }
        };
        check_log(&template, &damaged, torn_at, &first, &pushed);
    }
    for torn_at in [0, 5, LOG_HEADER - 1, LOG_HEADER] {
        check_log(&template, &log[..torn_at], torn_at, &first, &pushed);
    }
}

/// The log goes into the database when a server stops. Of those pages any may be on the disk, others not, and
/// one of them half; the log is there until all are.
#[test]
fn fault_f07_pages_reach_the_database_in_any_order() {
    let directory = quick_directory();
    let template = directory.path().join("root");
    let (first, pushed) = directory_with_log(&template);
    let before = fs::read(database(&template)).expect("it is there");
    let log = fs::read(log_path(&template)).expect("a killed process leaves its log");
    let whole = directory.path().join("whole");
    copy(&template, &whole);
    stop_soundly(Process::start(&whole, &[]), &whole);
    let after = fs::read(database(&whole)).expect("it is there");
    assert!(before != after, "the log went into the database");
    for round in 0..8 {
        let chosen = noise(100 + round, after.len() / PAGE);
        let mut mixed = before.clone();
        mixed.resize(after.len(), 0);
        for (page, chosen) in chosen.iter().enumerate() {
            let place = page * PAGE..(page + 1) * PAGE;
            match chosen % 3 {
                0 => {}
                1 => mixed[place.clone()].copy_from_slice(&after[place]),
                _ => {
                    let half = place.start..place.start + 512 * usize::from(chosen % 8);
                    mixed[half.clone()].copy_from_slice(&after[half]);
                }
            }
        }
        if round % 2 == 0 {
            mixed.truncate(before.len().max(after.len() / 2 / PAGE * PAGE));
        }
        fs::write(database(&template), mixed).expect("it can be written");
        check_log(&template, &log, log.len(), &first, &pushed);
    }
}

/// What was staged and not synced may be there in part: its client is told how much there is, and the digest
/// tells whether it is right.
#[test]
fn fault_f07_a_torn_upload_is_never_published() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let damages: [(&str, Damage); 6] = [
        ("short", |bytes| bytes.truncate(123_456)),
        ("empty", Vec::clear),
        ("a hole", |bytes| bytes[50_000..90_000].fill(0)),
        ("its length without its bytes", |bytes| {
            bytes[130_000..].fill(0);
        }),
        ("one bit", |bytes| bytes[77_777] ^= 1),
        ("more than was sent", |bytes| bytes.extend([7; 5000])),
    ];
    for (number, (what, damage)) in damages.into_iter().enumerate() {
        let mut process = Process::start(&root, &[]);
        let content = noise(200 + number as u64, 300_000);
        let claimed = digest(&content);
        let session = location(&process.client.send(
            "POST",
            "/v2/acme/web/blobs/uploads/",
            &[],
            b"",
        ));
        let answer = process
            .client
            .send("PATCH", &session, &[], &content[..200_000]);
        assert_eq!(answer.status, 202, "{what}");
        process.kill();
        let staged: Vec<_> = fs::read_dir(root.join("layerhouse/uploads"))
            .expect("it is there")
            .map(|entry| entry.expect("it can be read").path())
            .collect();
        let [staged] = &staged[..] else {
            panic!("{what}: one upload is open: {staged:?}");
        };
        let mut bytes = fs::read(staged).expect("it is there");
        assert!(bytes == content[..200_000]);
        damage(&mut bytes);
        fs::write(staged, &bytes).expect("it can be written");

        let process = Process::start(&root, &[]);
        let client = process.client;
        let status = client.get(&session);
        assert_eq!(
            (status.status, held_bytes(&status)),
            (204, bytes.len()),
            "{what}"
        );
        let put = format!("{session}?digest={claimed}");
        let answer = client.send("PUT", &put, &[], &content[bytes.len()..]);
        let is_right = content.starts_with(&bytes);
        assert_eq!(
            answer.status,
            if is_right { 201 } else { 400 },
            "{what}: {}",
            answer.text()
        );
        let blob = format!("/v2/acme/web/blobs/{claimed}");
        assert_eq!(
            client.get(&blob).status,
            if is_right { 200 } else { 404 },
            "{what}"
        );
        push_blob(&client, "acme/web", &content);
        assert!(client.get(&blob).body == content, "{what}");
        stop_soundly(process, &root);
        assert_eq!(survey(&root).uploads, 0, "{what}");
    }
}

/// A published file that is not what was synced: a disk that says "done" and is not. Nothing can bring the
/// bytes back but a push, and until then nobody is served others.
#[test]
fn fault_f07_a_torn_blob_is_found_before_it_is_served() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let mut process = Process::start(&root, &[]);
    let content = noise(300, 150_000);
    let claimed = push_blob(&process.client, "acme/web", &content);
    let manifest = push_image(&process.client, "acme/web", "v1", "layer 1");
    process.kill();
    for torn_at in [0, 4096, 100_000, 149_999] {
        for is_short in [true, false] {
            let mut bytes = content[..torn_at].to_vec();
            if !is_short {
                bytes.resize(content.len(), 0);
            }
            fs::write(blob_path(&root, &claimed), bytes).expect("it can be written");
            let mut process = Process::start(&root, &[]);
            let client = process.client;
            let blob = format!("/v2/acme/web/blobs/{claimed}");
            assert_eq!(client.get(&blob).status, 404, "{torn_at} {is_short}");
            assert!(is_served(&client, "v1", &manifest), "others are well");
            let mut refused = super::super::harness::images::image("{}", &[]);
            refused["layers"] = serde_json::json!([{
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": claimed, "size": content.len(),
            }]);
            let refused = push_manifest(&client, "acme/web", "v2", &refused.to_string());
            assert_eq!(refused.status, 404, "{}", refused.text());
            push_blob(&client, "acme/web", &content);
            assert!(client.get(&blob).body == content, "a push heals");
            process.kill();
        }
    }
    stop_soundly(Process::start(&root, &[]), &root);
}
