//! F17–F20: collection runs all the time and without a grace while clients push, beside damage, and among
//! things that only hang together by names in manifests. Nothing that is needed goes, and what goes is gone for
//! whoever asks.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use layerhouse_oci::media_type::{OCI_INDEX, OCI_MANIFEST};

use super::super::harness::http::Client;
use super::super::harness::images::{
    descriptor, digest, image, index, push_blob, push_image, push_manifest, referrer,
};
use super::super::harness::process::Process;
use super::crash::wait_until;
use super::{
    assert_sound, blob_path, noise, quick_directory, rounds, skip, start_configured, stop_soundly,
};

/// Rounds as often as they can be, and nothing waits for longer than a client may take.
const EAGER: &str =
    "layerhouse: { collection: { interval: 1ms, grace: 0s, promise: 200ms, undelete: 0s } }";
const PROMISE: Duration = Duration::from_millis(200);

fn start(directory: &Path) -> Process {
    start_configured(directory, EAGER)
}

/// Pushes a blob that nothing needs and waits until it is collected: what went before it is decided, too.
pub(super) fn await_collection(client: &Client, root: &Path) {
    thread::sleep(2 * PROMISE);
    let marker = format!("collected before {:?}", Instant::now());
    let path = blob_path(root, &push_blob(client, "acme/marker", marker));
    wait_until("the marker is collected", || !path.exists());
}

fn status(client: &Client, path: &str) -> u16 {
    client.get(&format!("/v2/acme/web/{path}")).status
}

/// One client of F17: what it pushes into its own repository, of layers that all push, mount and delete.
fn push_beside(client: &Client, worker: usize, until: Instant) -> usize {
    let name = format!("acme/w{worker}");
    let mut pushed = 0;
    while Instant::now() < until {
        pushed += 1;
        let layers: Vec<String> = (0..3)
            .map(|layer| format!("shared layer {}", (pushed * 7 + worker + layer * 3) % 9))
            .collect();
        let layers: Vec<&str> = layers.iter().map(String::as_str).collect();
        let mut manifest = image("{}", &layers);
        manifest["annotations"] = serde_json::json!({ "by": format!("{worker} {pushed}") });
        let manifest = manifest.to_string();
        let since = Instant::now();
        for content in layers.iter().chain(["{}"].iter()) {
            let wanted = digest(content);
            let head = format!("/v2/{name}/blobs/{wanted}");
            if client.send("HEAD", &head, &[], b"").status == 200 {
                continue;
            }
            let from = format!("acme/w{}", (worker + 1) % 6);
            let mount = format!("/v2/{name}/blobs/uploads/?mount={wanted}&from={from}");
            let mounted = client.send("POST", &mount, &[], b"");
            match mounted.status {
                201 => {}
                202 => {
                    let session = super::ledger::location(&mounted);
                    let put = format!("{session}?digest={wanted}");
                    let put = client.send("PUT", &put, &[], content.as_bytes());
                    assert_eq!(put.status, 201, "{}", put.text());
                }
                status => panic!("{mount}: {status} {}", mounted.text()),
            }
        }
        let tag = format!("t{}", pushed % 2);
        let put = push_manifest(client, &name, &tag, &manifest);
        // On a machine that stood still meanwhile.
        let is_late = PROMISE < since.elapsed() && put.status == 404;
        if is_late {
            continue;
        }
        assert_eq!(put.status, 201, "{}", put.text());
        let path = |reference: &str| format!("/v2/{name}/manifests/{reference}");
        assert_eq!(client.get(&path(&tag)).text(), manifest);
        for content in layers.iter().chain(["{}"].iter()) {
            let pulled = client.get(&format!("/v2/{name}/blobs/{}", digest(content)));
            assert_eq!((pulled.status, pulled.text().as_str()), (200, *content));
        }
        // The image stays under one of the tags, under none, or not at all.
        let again = push_manifest(client, &name, "moved", &manifest);
        assert_eq!(
            again.status,
            201,
            "what it needs is needed: {}",
            again.text()
        );
        if pushed.is_multiple_of(3) {
            let gone = client.send("DELETE", &path(&tag), &[], b"");
            assert_eq!(gone.status, 202, "{}", gone.text());
        } else {
            let gone = client.send("DELETE", &path(&digest(&manifest)), &[], b"");
            assert_eq!(gone.status, 202, "{}", gone.text());
            for reference in ["moved", &tag, &digest(&manifest)] {
                assert_eq!(client.get(&path(reference)).status, 404);
            }
        }
    }
    pushed
}

#[test]
fn fault_f17_collection_beside_pushes_loses_nothing() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let process = start(directory.path());
    let client = process.client;
    let seconds = rounds("LAYERHOUSE_TEST_COLLECTION_SECONDS", 5) as u64;
    let until = Instant::now() + Duration::from_secs(seconds);
    let workers: Vec<_> = (0..6)
        .map(|worker| thread::spawn(move || push_beside(&client, worker, until)))
        .collect();
    let pushed: Vec<usize> = workers
        .into_iter()
        .map(|worker| worker.join().expect("no client saw a failure"))
        .collect();
    assert!(pushed.iter().all(|pushed| 3 < *pushed), "{pushed:?}");
    await_collection(&client, &root);
    stop_soundly(process, &root);
    let report = super::survey(&root);
    assert_eq!(
        (report.unlinked_blobs, report.deleted_manifests),
        (0, 0),
        "{report}"
    );
}

/// Whoever has an upload open keeps what may belong to its image, and holds nobody else up.
#[test]
fn fault_f17_an_open_upload_does_not_hold_up_the_collector() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let process = start(directory.path());
    let client = process.client;
    let kept = push_blob(&client, "acme/web", "pushed before the upload");
    let session = client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b"");
    let session = super::ledger::location(&session);
    for _ in 0..2 {
        await_collection(&client, &root);
        assert!(blob_path(&root, &kept).exists());
    }
    assert_eq!(client.send("DELETE", &session, &[], b"").status, 204);
    wait_until("it is collected", || !blob_path(&root, &kept).exists());
    stop_soundly(process, &root);
}

/// Manifests that hang together, by their names, and their layers.
struct Family {
    /// In the order in which they were pushed.
    members: Vec<(&'static str, String)>,
}

const FAMILY_LAYERS: [&str; 5] = ["child 1", "child 2", "child 3", "untagged", "tagged child"];

impl Family {
    /// Two indexes, an index in one of them, a child of both, one with a tag of its own, a chain of referrers,
    /// and an image that nothing names.
    fn push(client: &Client) -> Self {
        // While an upload is open nothing of the repository goes before what needs it comes.
        let session = client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b"");
        let session = super::ledger::location(&session);
        push_blob(client, "acme/web", "{}");
        let mut family = Self {
            members: Vec::new(),
        };
        for layer in FAMILY_LAYERS {
            push_blob(client, "acme/web", layer);
            let tag = (layer == "tagged child").then_some("own");
            family.put(client, layer, tag, image("{}", &[layer]).to_string());
        }
        let inner = index(&[family.get("child 3")]).to_string();
        family.put(client, "inner", None, inner);
        let mut outer = index(&[family.get("child 1"), family.get("child 2")]);
        let entries = outer["manifests"].as_array_mut().expect("a list");
        entries.push(descriptor(OCI_INDEX, family.get("inner")));
        family.put(client, "outer", Some("v1"), outer.to_string());
        let second = index(&[family.get("tagged child"), family.get("child 1")]).to_string();
        family.put(client, "second", Some("second"), second);
        let subject = descriptor(OCI_INDEX, family.get("outer"));
        let signature = referrer(&subject, "application/vnd.example.signature", 1).to_string();
        family.put(client, "signature", None, signature);
        let subject = descriptor(OCI_MANIFEST, family.get("signature"));
        let timestamp = referrer(&subject, "application/vnd.example.timestamp", 2).to_string();
        family.put(client, "timestamp", None, timestamp);
        assert_eq!(client.send("DELETE", &session, &[], b"").status, 204);
        family
    }

    fn put(&mut self, client: &Client, name: &'static str, tag: Option<&str>, manifest: String) {
        let by_digest = digest(&manifest);
        let answer = push_manifest(client, "acme/web", tag.unwrap_or(&by_digest), &manifest);
        assert_eq!(answer.status, 201, "{name}: {}", answer.text());
        self.members.push((name, manifest));
    }

    fn get(&self, name: &str) -> &str {
        let found = self.members.iter().find(|(found, _)| *found == name);
        &found.expect("it is of the family").1
    }

    fn path(&self, name: &str) -> String {
        format!("/v2/acme/web/manifests/{}", digest(self.get(name)))
    }

    fn delete(&self, client: &Client, name: &str, expected: u16) {
        let answer = client.send("DELETE", &self.path(name), &[], b"");
        assert_eq!(answer.status, expected, "{name}: {}", answer.text());
    }

    /// All members are there but these, and all layers but theirs.
    fn assert_gone(&self, client: &Client, gone: &[&str], when: &str) {
        for (name, _) in &self.members {
            let expected = if gone.contains(name) { 404 } else { 200 };
            assert_eq!(
                client.get(&self.path(name)).status,
                expected,
                "{when}: {name}"
            );
        }
        for layer in FAMILY_LAYERS {
            let expected = if gone.contains(&layer) { 404 } else { 200 };
            let found = status(client, &format!("blobs/{}", digest(layer)));
            assert_eq!(found, expected, "{when}: the layer of {layer}");
        }
    }
}

#[test]
fn fault_f18_what_hangs_on_something_live_is_kept() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let process = start(directory.path());
    let client = process.client;
    let family = Family::push(&client);
    await_collection(&client, &root);
    family.assert_gone(&client, &[], "all is named, or was pushed by its digest");

    let untag = client.send("DELETE", "/v2/acme/web/manifests/v1", &[], b"");
    assert_eq!(untag.status, 202);
    await_collection(&client, &root);
    family.assert_gone(
        &client,
        &[],
        "an index without a tag is there by its digest",
    );
    for child in ["child 1", "inner", "tagged child"] {
        family.delete(&client, child, 405);
    }

    family.delete(&client, "outer", 202);
    let await_end = |name: &str| {
        wait_until("what hung on it went", || {
            client.get(&family.path(name)).status == 404
        });
        await_collection(&client, &root);
    };
    await_end("timestamp");
    let mut gone = vec![
        "outer",
        "child 2",
        "inner",
        "child 3",
        "signature",
        "timestamp",
    ];
    family.assert_gone(
        &client,
        &gone,
        "its own went with it, and what others need stayed",
    );

    family.delete(&client, "second", 202);
    await_end("child 1");
    gone.extend(["second", "child 1"]);
    family.assert_gone(&client, &gone, "what had a tag of its own stays");
    stop_soundly(process, &root);
}

#[test]
fn fault_f19_collection_goes_on_beside_damage() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let process = start_configured(
        directory.path(),
        "layerhouse: { collection: { enabled: false } }",
    );
    let client = process.client;
    let live: Vec<String> = (0..8)
        .map(|number| {
            push_image(
                &client,
                "acme/web",
                &format!("v{number}"),
                &format!("live {number}"),
            )
        })
        .collect();
    let garbage: Vec<String> = (0..8)
        .map(|number| push_blob(&client, "acme/web", format!("garbage {number}")))
        .collect();
    stop_soundly(process, &root);
    let data = |content: &str| blob_path(&root, &digest(content));
    // Gone, cut short, changed, in the way, and what cannot be removed: of both what is needed and what is not.
    for kind in ["live", "garbage"] {
        fs::remove_file(data(&format!("{kind} 0"))).expect("it is there");
        fs::write(data(&format!("{kind} 1")), "").expect("it can be written");
        fs::write(data(&format!("{kind} 2")), "xxxx").expect("it can be written");
        let whole = data(&format!("{kind} 3"));
        fs::remove_dir_all(whole.parent().expect("it has one")).expect("it is there");
        fs::remove_file(data(&format!("{kind} 4"))).expect("it is there");
        fs::create_dir_all(data(&format!("{kind} 4")).join("in the way")).expect("it is ours");
    }

    let process = start(directory.path());
    let client = process.client;
    for number in [0, 1, 2, 3, 5, 6, 7] {
        let path = data(&format!("garbage {number}"));
        wait_until(&format!("garbage {number} is collected"), || !path.exists());
        assert_eq!(status(&client, &format!("blobs/{}", garbage[number])), 404);
    }
    assert_eq!(status(&client, &format!("blobs/{}", garbage[4])), 404);
    let mut others: BTreeSet<usize> = (0..8).collect();
    for (number, manifest) in live.iter().enumerate() {
        let path = format!("/v2/acme/web/manifests/v{number}");
        let pulled = client.get(&path);
        assert_eq!(
            (pulled.status, pulled.text().as_str()),
            (200, manifest.as_str())
        );
        if number < 5 {
            others.remove(&number);
            let blob = status(
                &client,
                &format!("blobs/{}", digest(format!("live {number}"))),
            );
            assert!(matches!(blob, 404 | 500), "live {number}: {blob}");
        }
    }
    for number in others {
        let blob = client.get(&format!(
            "/v2/acme/web/blobs/{}",
            digest(format!("live {number}"))
        ));
        assert_eq!((blob.status, blob.text()), (200, format!("live {number}")));
    }
    // What is put right is right: by pushes, and by whoever takes away what was in the way.
    for kind in ["live", "garbage"] {
        let _ = fs::remove_dir_all(data(&format!("{kind} 4")));
    }
    for number in 0..5 {
        push_blob(&client, "acme/web", format!("live {number}"));
    }
    for (number, manifest) in live.iter().enumerate() {
        push_image(
            &client,
            "acme/web",
            &format!("v{number}"),
            &format!("live {number}"),
        );
        assert_eq!(
            client
                .get(&format!("/v2/acme/web/manifests/v{number}"))
                .text(),
            *manifest
        );
    }
    await_collection(&client, &root);
    let (stopped, log) = process.terminate();
    assert!(stopped.success(), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    assert!(
        log.contains(&garbage[4]),
        "what cannot be removed is reported: {log}"
    );
    let process = start(directory.path());
    await_collection(&process.client, &root);
    let (stopped, log) = process.terminate();
    assert!(stopped.success(), "{log}");
    assert_sound(&root);
    assert_eq!(super::survey(&root).unlinked_blobs, 0);
}

/// A file that cannot be removed when its blob is collected is removed by a later round.
#[test]
fn fault_f19_what_cannot_be_removed_is_tried_again() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let process = start(directory.path());
    let client = process.client;
    let stuck = push_blob(&client, "acme/web", "stuck");
    let file = blob_path(&root, &stuck);
    let chattr = |how: &str| {
        let changed = Command::new("chattr").arg(how).arg(&file).output();
        changed.is_ok_and(|output| output.status.success())
    };
    if !chattr("+i") {
        return skip("no file can be made immutable here");
    }
    let path = format!("blobs/{stuck}");
    wait_until("it is collected", || status(&client, &path) == 404);
    await_collection(&client, &root);
    assert!(file.exists());
    stop_soundly_but_for_removals(process, &root, 1);
    let process = start(directory.path());
    await_collection(&process.client, &root);
    assert!(chattr("-i"));
    wait_until("it is removed", || !file.exists());
    await_collection(&process.client, &root);
    stop_soundly(process, &root);
    assert_eq!(super::survey(&root).removals, 0);
}

/// As [`stop_soundly`], with so many files that wait for a start to remove them.
fn stop_soundly_but_for_removals(process: Process, root: &Path, removals: u64) {
    let (status, log) = process.terminate();
    assert!(status.success(), "{log}");
    let report = super::survey(root);
    assert!(report.findings.is_empty(), "{report}");
    assert_eq!(report.removals, removals, "{report}");
}

/// "There already" is what the disk says, right after a collection, too: in this process and in the next.
#[test]
fn fault_f20_what_was_collected_is_pushed_again() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let mut process = start(directory.path());
    for round in 0..4 {
        let client = process.client;
        let content = String::from_utf8_lossy(&noise(round, 3000)).into_owned();
        let path = format!("/v2/acme/web/blobs/{}", digest(&content));
        for again in 0..3 {
            let manifest = push_image(&client, "acme/web", "v1", &content);
            // All caches know it.
            assert_eq!(client.get(&path).text(), content);
            assert_eq!(client.send("HEAD", &path, &[], b"").status, 200);
            let by_digest = format!("/v2/acme/web/manifests/{}", digest(&manifest));
            assert_eq!(client.send("DELETE", &by_digest, &[], b"").status, 202);
            let file = blob_path(&root, &digest(&content));
            if again == 1 {
                // Without a process that remembers anything.
                process.kill();
                process = start(directory.path());
            }
            wait_until("it is collected", || !file.exists());
            let client = process.client;
            assert_eq!(client.send("HEAD", &path, &[], b"").status, 404);
            assert_eq!(client.get(&path).status, 404);
            let mount = format!(
                "/v2/acme/other/blobs/uploads/?mount={}&from=acme/web",
                digest(&content)
            );
            let mounted = client.send("POST", &mount, &[], b"");
            assert_eq!(mounted.status, 202);
            let session = super::ledger::location(&mounted);
            assert_eq!(client.send("DELETE", &session, &[], b"").status, 204);
            let refused = push_manifest(&client, "acme/web", "v1", &manifest);
            assert_eq!(refused.status, 404, "{}", refused.text());
            if again == 1 {
                break;
            }
        }
    }
    stop_soundly(process, &root);
}
