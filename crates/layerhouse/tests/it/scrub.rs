//! The scrub: what rots on the disk is found without anybody asking for it, and only that.

use std::fs;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::console::ask;
use crate::harness::database;
use crate::harness::http::Client;
use crate::harness::images;
use crate::harness::machine::Machine;
use crate::harness::server::Server;

const CONFIGURATION: &str =
    "http: { debug: { addr: '127.0.0.1:0', prometheus: { enabled: true } } }";

/// Blobs of no image stay.
const KEEPS: &str = "collection: { enabled: false }";

/// A number of the scrub's: `bytes_total`, `found_total{what="damaged"}`.
fn number(server: &Server, name: &str) -> u64 {
    let metrics = server.debug().get("/metrics").text();
    let prefix = format!("layerhouse_scrub_{name} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&prefix));
    line.map_or(0, |value| value.parse().expect("a whole number"))
}

/// Lets time pass until a pass of the period is over.
fn pass(server: &Server) {
    let before = number(server, "finished_timestamp_seconds");
    for _ in 0..2000 {
        if number(server, "finished_timestamp_seconds") != before {
            return;
        }
        server.advance(Duration::from_mins(15));
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("no pass ends");
}

/// The same, over all that is stored now.
fn whole_pass(server: &Server) {
    // What was verified in the last half of the period is left out.
    server.advance(Duration::from_hours(4 * 24));
    pass(server);
}

/// Changes a byte, and nothing else that a look at the file's times would see.
fn flip(server: &Server, digest: &str, at: u64) {
    let path = server.blob_path(digest);
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    file.set_modified(modified).unwrap();
}

fn head(client: &Client, digest: &str) -> u16 {
    let path = format!("/v2/acme/web/blobs/{digest}");
    client.send("HEAD", &path, &[], b"").status
}

#[test]
fn fault_f08_one_pass_finds_all_that_is_damaged() {
    let mut server = Server::configured(&format!("{CONFIGURATION}\nlayerhouse: {{ {KEEPS} }}"));
    server.may_complain();
    let client = server.client;
    let sizes = [
        1,
        100,
        4095,
        4096,
        4097,
        300_000,
        1 << 20,
        (1 << 20) + 1,
        3_000_000,
    ];
    let blobs: Vec<(String, String)> = (0..90)
        .map(|number| {
            let content = format!("{number:09}").repeat(sizes[number % sizes.len()] / 9 + 1);
            (images::push_blob(&client, "acme/web", &content), content)
        })
        .collect();
    // A third is left alone; of the others each is damaged in its own way.
    let mut damaged = Vec::new();
    for (number, (digest, content)) in blobs.iter().enumerate() {
        let path = server.blob_path(digest);
        match number % 6 {
            0 => flip(&server, digest, 0),
            1 => flip(&server, digest, content.len() as u64 - 1),
            2 => fs::remove_file(&path).unwrap(),
            3 => fs::write(&path, &content[1..]).unwrap(),
            _ => continue,
        }
        damaged.push(digest.clone());
    }
    whole_pass(&server);
    assert_eq!(damaged.len(), 60);
    assert_eq!(number(&server, "found_total{what=\"damaged\"}"), 60);
    assert_eq!(number(&server, "found_total{what=\"unreadable\"}"), 0);
    for (digest, _) in &blobs {
        let expected = if damaged.contains(digest) { 404 } else { 200 };
        assert_eq!(head(&client, digest), expected, "{digest}");
    }
    // They are pushed again, and the next pass has nothing to say.
    for (digest, content) in &blobs {
        assert_eq!(images::push_blob(&client, "acme/web", content), *digest);
    }
    whole_pass(&server);
    assert_eq!(number(&server, "found_total{what=\"damaged\"}"), 60);
    let kept = fs::read_dir(server.root().join("layerhouse/quarantine")).unwrap();
    assert_eq!(kept.count(), 45, "what was removed is not there to be kept");
}

#[test]
fn a_restart_goes_on_where_the_scrub_was() {
    let configuration = format!(
        "{CONFIGURATION}\nlayerhouse: {{ {KEEPS}, scrub: {{ period: 40h, rate: 128 KiB }} }}"
    );
    let mut server = Server::configured(&configuration);
    let client = server.client;
    for number in 0..100 {
        images::push_blob(&client, "acme/web", format!("{number:05}").repeat(20_000));
    }
    // Half of them, and a bit: a batch is written down when it is over.
    let total = 100 * 100_000;
    server.advance(Duration::from_hours(21));
    while number(&server, "bytes_total") < 7_000_000 {
        server.advance(Duration::from_secs(2));
        std::thread::sleep(Duration::from_millis(1));
    }
    let before = number(&server, "bytes_total");
    server.restart();
    pass(&server);
    let after = number(&server, "bytes_total");
    assert!(before < total, "it was not over: {before}");
    assert!(after < total / 2, "it did not begin anew: {after}");
    assert!(total <= before + after, "nothing was left out");
}

/// Damaged manifests are made good from their copies, and copies from manifests.
#[test]
fn manifests_and_their_copies_mend_each_other() {
    if database::is_served() {
        return;
    }
    let mut server = Server::configured(&format!("{CONFIGURATION}\nlayerhouse: {{ {KEEPS} }}"));
    server.may_complain();
    let manifests: Vec<String> = (0..4)
        .map(|number| {
            images::push_image(&server.client, "acme/web", &format!("v{number}"), "layer")
        })
        .collect();
    let digests: Vec<String> = manifests.iter().map(images::digest).collect();
    assert!(
        digests.windows(2).all(|pair| pair[0] == pair[1]),
        "one image"
    );
    let other = images::push_image(&server.client, "acme/web", "other", "another layer");
    server.restart();

    // A copy, and a row.
    flip(&server, &digests[0], 5);
    server.stop();
    let database = server.root().join("layerhouse/layerhouse.db");
    let mut bytes = fs::read(&database).unwrap();
    let found = bytes
        .windows(other.len())
        .position(|window| window == other.as_bytes());
    let digit = other.find("sha256:").unwrap() + 10;
    bytes[found.unwrap() + digit] ^= 1;
    fs::write(&database, bytes).unwrap();
    server.restart();
    let path = "/v2/acme/web/manifests/other";
    assert_eq!(server.client.get(path).status, 500);
    whole_pass(&server);
    assert_eq!(server.client.get(path).text(), other);
    assert_eq!(number(&server, "found_total{what=\"repaired\"}"), 2);
    assert_eq!(number(&server, "found_total{what=\"damaged\"}"), 0);
    // Its end proves that the copy is good, too.
}

/// A blob whose bytes are a manifest's is made again.
#[test]
fn a_blob_that_is_a_manifest_is_made_again() {
    let mut server = Server::configured(&format!("{CONFIGURATION}\nlayerhouse: {{ {KEEPS} }}"));
    server.may_complain();
    let manifest = images::push_image(&server.client, "acme/web", "v1", "layer");
    let digest = images::push_blob(&server.client, "acme/web", &manifest);
    // The manifest's copy is written behind, and would make the file good.
    server.restart();
    flip(&server, &digest, 3);
    whole_pass(&server);
    assert_eq!(head(&server.client, &digest), 200);
    let path = format!("/v2/acme/web/blobs/{digest}");
    assert_eq!(server.client.get(&path).text(), manifest);
    assert_eq!(number(&server, "found_total{what=\"repaired\"}"), 1);
}

#[test]
fn what_was_pushed_lately_is_left_out() {
    let configuration =
        format!("{CONFIGURATION}\nlayerhouse: {{ {KEEPS}, scrub: {{ period: 4d }} }}");
    let server = Server::configured(&configuration);
    images::push_blob(&server.client, "acme/web", "first");
    server.advance(Duration::from_mins(11));
    std::thread::sleep(Duration::from_millis(20));
    pass(&server);
    assert_eq!(number(&server, "blobs_total"), 0, "hashed as it was pushed");
    while number(&server, "blobs_total") == 0 {
        pass(&server);
    }
    assert_eq!(number(&server, "blobs_total"), 1);
}

/// How the scrub is, once the pass that was asked for is over.
fn run(server: &Server, wanted: &Value) -> Value {
    let (status, begun) = ask(&server.root(), "POST", "/scrub/runs", Some(wanted));
    assert_eq!(status, 201, "{begun}");
    for _ in 0..2000 {
        let (_, state) = ask(&server.root(), "GET", "/scrub", None);
        let passes = state["passes"].as_array().unwrap();
        let pass = passes
            .iter()
            .find(|pass| pass["id"] == begun["id"])
            .unwrap();
        if !pass["finished_at"].is_null() {
            return state;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("the pass does not end");
}

#[test]
fn who_asks_is_told_what_is_damaged_and_who_misses_it() {
    if database::is_served() {
        return;
    }
    let mut server = Server::start();
    server.may_complain();
    let client = server.client;
    images::push_image(&client, "acme/web", "v1", "layer");
    images::push_image(&client, "acme/web", "v2", "layer");
    images::push_image(&client, "acme/api", "v1", "layer");
    images::push_image(&client, "acme/api", "v2", "another");
    let state = run(&server, &json!({}));
    let pass = &state["passes"][0];
    assert_eq!(pass["why"], "asked");
    assert_eq!((&pass["blobs"], &pass["damaged"]), (&json!(3), &json!(0)));
    assert_eq!(state["damaged"], json!([]));

    let digest = images::digest("layer");
    fs::remove_file(server.blob_path(&digest)).unwrap();
    flip(&server, &images::digest("another"), 2);
    let state = run(&server, &json!({ "repository": "acme/web" }));
    assert_eq!(state["passes"][0]["repository"], "acme/web");
    assert_eq!(state["passes"][0]["blobs"], 2, "{state}");
    let damaged = state["damaged"].as_array().unwrap();
    assert_eq!(damaged.len(), 1, "{state}");
    assert_eq!(damaged[0]["digest"], digest);
    let affected = json!([
        { "repository": "acme/api", "tag": "v1" },
        { "repository": "acme/web", "tag": "v1" },
        { "repository": "acme/web", "tag": "v2" },
    ]);
    assert_eq!(damaged[0]["affected"], affected);
    let state = run(&server, &json!({}));
    assert_eq!(state["damaged"].as_array().unwrap().len(), 2, "{state}");
    images::push_blob(&client, "acme/web", "layer");
    images::push_blob(&client, "acme/web", "another");
    assert_eq!(run(&server, &json!({}))["damaged"], json!([]));

    let (status, said) = ask(
        &server.root(),
        "POST",
        "/scrub/runs",
        Some(&json!({ "repository": "acme/none" })),
    );
    assert_eq!(status, 404, "{said}");
    let (status, _) = ask(
        &server.root(),
        "POST",
        "/scrub/runs",
        Some(&json!({ "repository": "Acme" })),
    );
    assert_eq!(status, 422);
}

#[test]
fn the_command_waits_for_its_end() {
    let machine = Machine::new();
    let server = machine.serve();
    images::push_image(&server.client, "acme/web", "v1", "layer");
    let shown = machine.does("scrub --now", "");
    assert!(shown.contains("asked"), "{shown}");
    assert!(server.terminate().0.success());
    let shown = machine.does("scrub", "");
    assert_eq!(shown.lines().count(), 2, "{shown}");
    let digest = images::digest("layer");
    let hex = digest.strip_prefix("sha256:").unwrap();
    let blobs = machine.root().join("docker/registry/v2/blobs/sha256");
    let file = blobs.join(&hex[..2]).join(hex).join("data");
    fs::write(&file, "LAYER").unwrap();
    let ran = machine.run(&["scrub", "--now", "--repository", "acme/web"], "");
    assert_eq!(ran.code, Some(6), "{ran:?}");
    assert!(
        ran.out.contains(&digest) && ran.out.contains("acme/web:v1"),
        "{ran:?}"
    );
    let server = machine.serve();
    images::push_blob(&server.client, "acme/web", "layer");
    assert!(server.terminate().0.success());
    machine.does("scrub", "");
}

/// What repositories hold is counted by the sizes in the rows: a size that was wrong is mended with the count.
#[test]
fn a_blob_that_was_adopted_cut_short_counts_whole_when_it_is_whole_again() {
    if database::is_served() {
        return;
    }
    let mut server = Server::configured(&format!("{CONFIGURATION}\nlayerhouse: {{ {KEEPS} }}"));
    server.may_complain();
    // Of no image: nothing says how long they should be.
    let contents = ["it is pushed again", "it is put back by hand"];
    let mut paths = Vec::new();
    for content in contents {
        let digest = images::push_blob(&server.client, "acme/web", content);
        images::push_blob(&server.client, "acme/other", content);
        paths.push(server.blob_path(&digest));
    }
    server.stop();
    for path in &paths {
        fs::write(path, b"it is").unwrap();
    }
    fs::remove_file(server.root().join("layerhouse/layerhouse.db")).unwrap();
    server.restart();
    images::push_blob(&server.client, "acme/web", contents[0]);
    fs::write(&paths[1], contents[1]).unwrap();
    whole_pass(&server);
    for content in contents {
        assert_eq!(head(&server.client, &images::digest(content)), 200);
    }
    server.stop();
    let report = crate::harness::database::verify(&server.root()).unwrap();
    assert!(report.findings.is_empty(), "{report}");
}
