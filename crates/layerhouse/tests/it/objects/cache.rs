//! Files of blobs that are objects: what is pulled again comes from this machine, as long as the rows say so, and it is
//! what its digest says.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::{STREAMED, content, wait_until};
use crate::harness::bucket::Bucket;
use crate::harness::images::{digest, push_blob};
use crate::harness::process::output;
use crate::harness::server::Server;

const DEBUG: &str =
    "http: {debug: {addr: '127.0.0.1:0', prometheus: {enabled: true, path: /metrics}}}";
const OBJECTS: &str = "/images/of/registry/layerhouse/blobs/";

/// A server whose blobs are objects, with a cache of 16 MiB.
fn start(bucket: &Bucket) -> Server {
    let more = format!("{STREAMED}\n{DEBUG}\nlayerhouse: {{cache: {{size: 16 MiB}}}}");
    Server::configured(&bucket.configuration(&more))
}

fn path(digest: &str) -> String {
    format!("/v2/acme/web/blobs/{digest}")
}

/// A number of the cache's.
fn number(server: &Server, series: &str) -> u64 {
    let text = server.debug().get("/metrics").text();
    let name = format!("layerhouse_blob_cache_{series} ");
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(&name));
    value.map_or(0, |value| value.parse().unwrap())
}

/// How often objects were read since the last call.
fn reads(bucket: &Bucket) -> usize {
    let came = bucket.came();
    let asked = format!("GET {OBJECTS}");
    came.iter().filter(|came| came.starts_with(&asked)).count()
}

/// The file of a blob in the cache.
fn file(server: &Server, digest: &str) -> PathBuf {
    let (algorithm, hex) = digest.split_once(':').unwrap();
    let cache = server.root().join("layerhouse/cache").join(algorithm);
    cache.join(&hex[..2]).join(hex)
}

/// Pulls a blob until it comes without the store.
fn pull_until_cached(server: &Server, bucket: &Bucket, digest: &str, whole: &[u8]) {
    wait_until(server, Duration::ZERO, || {
        bucket.came();
        assert!(server.client.get(&path(digest)).body == whole);
        reads(bucket) == 0
    });
}

#[test]
fn what_is_pulled_again_comes_from_a_file() {
    let bucket = Bucket::start();
    let server = start(&bucket);
    let client = server.client;
    // From then on the cache is there.
    let first = push_blob(&client, "acme/web", "the first");
    pull_until_cached(&server, &bucket, &first, b"the first");
    let (held, hits) = (
        number(&server, "held_bytes"),
        number(&server, "requests_total{result=\"hit\"}"),
    );
    assert_eq!((held, hits), (4096, 1));

    let whole = content(3_000_000);
    let digest = push_blob(&client, "acme/web", &whole);
    reads(&bucket);
    assert!(client.get(&path(&digest)).body == whole);
    let part = client.send("GET", &path(&digest), &[("Range", "bytes=2999990-")], b"");
    assert_eq!((part.status, &*part.body), (206, &whole[2_999_990..]));
    wait_until(&server, Duration::ZERO, || file(&server, &digest).exists());
    assert_eq!(reads(&bucket), 3, "two pulls, and what fills it in");
    let misses = number(&server, "bytes_total{result=\"miss\"}");
    bucket.refuse("", usize::MAX);
    for _ in 0..3 {
        assert!(client.get(&path(&digest)).body == whole);
    }
    for (range, first, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=1000-2500000", 1000, 2_500_001),
        ("bytes=-7", 2_999_993, 3_000_000),
    ] {
        let part = client.send("GET", &path(&digest), &[("Range", range)], b"");
        assert_eq!(part.status, 206, "{range}");
        assert!(part.body == whole[first..end], "{range}");
    }
    let described = client.send("HEAD", &path(&digest), &[], b"");
    assert_eq!(described.header("content-length"), Some("3000000"));
    assert_eq!(reads(&bucket), 0);
    assert_eq!(number(&server, "requests_total{result=\"hit\"}"), hits + 6);
    assert_eq!(number(&server, "bytes_total{result=\"miss\"}"), misses);
    assert!(9_000_000 < number(&server, "bytes_total{result=\"hit\"}"));
    bucket.mend();
}

#[test]
fn sha512_and_nothing() {
    let bucket = Bucket::start();
    let server = start(&bucket);
    let client = server.client;
    let sha512 = layerhouse_oci::digest::Digest::of(
        layerhouse_oci::digest::Algorithm::Sha512,
        b"under another name",
    );
    let to = format!("/v2/acme/web/blobs/uploads/?digest={sha512}");
    assert_eq!(
        client.send("POST", &to, &[], b"under another name").status,
        201
    );
    pull_until_cached(&server, &bucket, sha512.as_str(), b"under another name");
    assert!(file(&server, sha512.as_str()).exists());
    let empty = push_blob(&client, "acme/web", "");
    for _ in 0..3 {
        assert_eq!(client.get(&path(&empty)).body, b"");
    }
}

/// A walk over everything fills nothing in.
#[test]
fn what_is_pulled_once_is_left_alone() {
    let bucket = Bucket::start();
    // Nobody else reads or removes objects when time passes.
    let quiet = "collection: {enabled: false}, scrub: {enabled: false}";
    let more = format!("{STREAMED}\n{DEBUG}\nlayerhouse: {{{quiet}, cache: {{size: 16 MiB}}}}");
    let server = Server::configured(&bucket.configuration(&more));
    let first = push_blob(&server.client, "acme/web", "the first");
    pull_until_cached(&server, &bucket, &first, b"the first");
    for number in 0..20 {
        let blob = format!("number {number}");
        let digest = push_blob(&server.client, "acme/web", &blob);
        assert_eq!(server.client.get(&path(&digest)).text(), blob);
    }
    assert_eq!(reads(&bucket), 20);
    // Half a day later they come for the first time again.
    server.advance(Duration::from_hours(13));
    for number in 0..20 {
        let digest = digest(format!("number {number}"));
        server.client.get(&path(&digest));
    }
    assert_eq!(reads(&bucket), 20);
    pull_until_cached(&server, &bucket, &first, b"the first");
    assert_eq!(number(&server, "held_bytes"), 4096);
}

#[test]
fn the_cache_is_bounded() {
    const LARGEST: usize = 4 << 20;
    let bucket = Bucket::start();
    let server = start(&bucket);
    let client = server.client;
    let whole = content(LARGEST + 10);
    let blobs: Vec<_> = (0..6).map(|at| &whole[at..at + LARGEST]).collect();
    let digests: Vec<_> = blobs
        .iter()
        .map(|blob| push_blob(&client, "acme/web", blob))
        .collect();
    let larger = &whole[..=LARGEST];
    let too_large = push_blob(&client, "acme/web", larger);
    for at in 0..5 {
        pull_until_cached(&server, &bucket, &digests[at], blobs[at]);
        // Pulled again before the next comes: it stays.
        pull_until_cached(&server, &bucket, &digests[0], blobs[0]);
        bucket.came();
        assert!(client.get(&path(&too_large)).body == larger);
        assert_eq!(reads(&bucket), 1, "it would push out too much");
    }
    let is_there = |at: usize| file(&server, &digests[at]).exists();
    assert!(is_there(0) && !is_there(1) && is_there(2) && is_there(3) && is_there(4));
    assert_eq!(number(&server, "held_bytes"), 16 << 20);
    assert_eq!(number(&server, "evictions_total"), 1);
    // What was evicted is pulled from the store, and comes back.
    pull_until_cached(&server, &bucket, &digests[1], blobs[1]);
    assert_eq!(number(&server, "held_bytes"), 16 << 20);
    assert!(!file(&server, &too_large).exists());
}

#[test]
fn a_restart_keeps_it_and_damage_is_not_served() {
    let bucket = Bucket::start();
    let mut server = start(&bucket);
    server.may_complain();
    let whole = content(100_000);
    let blobs = [&whole[..90_000], &whole[1..90_001], &whole[2..90_002]];
    let digests = blobs.map(|blob| push_blob(&server.client, "acme/web", blob));
    for (digest, blob) in digests.iter().zip(blobs) {
        pull_until_cached(&server, &bucket, digest, blob);
    }
    let files = digests.each_ref().map(|digest| file(&server, digest));
    server.stop();
    fs::write(&files[1], &whole[3..90_003]).unwrap();
    fs::write(&files[2], &whole[2..4096]).unwrap();
    let left = server.root().join("layerhouse/cache/fresh/3");
    fs::write(&left, "half of a file").unwrap();
    server.restart();
    pull_until_cached(&server, &bucket, &digests[0], blobs[0]);
    assert!(!left.exists());
    // They are read from the store at once, and come again.
    for (at, digest) in digests.iter().enumerate().skip(1) {
        bucket.came();
        assert!(server.client.get(&path(digest)).body == blobs[at]);
        assert_eq!(reads(&bucket), 1);
        assert!(!files[at].exists());
        pull_until_cached(&server, &bucket, digest, blobs[at]);
        assert!(fs::read(&files[at]).unwrap() == blobs[at]);
    }
    // One that somebody changes or removes while it is served, too.
    fs::write(&files[0], &whole[3..90_003]).unwrap();
    assert!(server.client.get(&path(&digests[0])).body == blobs[0]);
    fs::remove_file(&files[1]).unwrap();
    assert!(server.client.get(&path(&digests[1])).body == blobs[1]);
    pull_until_cached(&server, &bucket, &digests[1], blobs[1]);
}

/// One that is too large to be hashed first comes from the store meanwhile.
#[test]
fn a_large_file_is_hashed_behind_a_pull() {
    let bucket = Bucket::start();
    let more = format!("{STREAMED}\n{DEBUG}\nlayerhouse: {{cache: {{size: 300 MiB}}}}");
    let mut server = Server::configured(&bucket.configuration(&more));
    let whole = content((64 << 20) + 1);
    let digest = push_blob(&server.client, "acme/web", &whole);
    pull_until_cached(&server, &bucket, &digest, &whole);
    let small = push_blob(&server.client, "acme/web", "small");
    pull_until_cached(&server, &bucket, &small, b"small");
    server.restart();
    pull_until_cached(&server, &bucket, &small, b"small");
    assert!(server.client.get(&path(&digest)).body == whole);
    assert_eq!(reads(&bucket), 1);
    pull_until_cached(&server, &bucket, &digest, &whole);
}

#[test]
fn what_the_rows_do_not_have_is_not_served() {
    let bucket = Bucket::start();
    let server = start(&bucket);
    let client = server.client;
    let digest = push_blob(&client, "acme/web", "content");
    pull_until_cached(&server, &bucket, &digest, b"content");
    let elsewhere = format!("/v2/other/web/blobs/{digest}");
    assert_eq!(client.get(&elsewhere).status, 404);
    let mount = format!("/v2/other/web/blobs/uploads/?mount={digest}&from=acme/web");
    assert_eq!(client.send("POST", &mount, &[], b"").status, 201);
    bucket.came();
    assert_eq!(client.get(&elsewhere).text(), "content");
    assert_eq!(client.send("DELETE", &path(&digest), &[], b"").status, 202);
    assert_eq!(client.get(&path(&digest)).status, 404);
    assert_eq!(client.get(&elsewhere).text(), "content");
    assert_eq!(reads(&bucket), 0);
}

/// An object that is found damaged when it is to be cached is as one that the scrub found.
#[test]
fn a_damaged_object_is_withdrawn() {
    let bucket = Bucket::start();
    let mut server = start(&bucket);
    server.may_complain();
    let first = push_blob(&server.client, "acme/web", "the first");
    pull_until_cached(&server, &bucket, &first, b"the first");
    let before = bucket.keys();
    let digest = push_blob(&server.client, "acme/web", "content");
    let keys = bucket.keys();
    let key = keys.iter().find(|key| !before.contains(key)).unwrap();
    fs::write(bucket.path(key), "CONTENT").unwrap();
    let head = || server.client.send("HEAD", &path(&digest), &[], b"").status;
    wait_until(&server, Duration::ZERO, || {
        server.client.get(&path(&digest));
        head() == 404
    });
    assert!(!file(&server, &digest).exists());
    push_blob(&server.client, "acme/web", "content");
    pull_until_cached(&server, &bucket, &digest, b"content");
}

/// What is in the way of a cache is in the way of nothing else.
#[test]
fn pulls_go_on_without_a_directory() {
    let bucket = Bucket::start();
    let places = tempfile::TempDir::new().unwrap();
    let (taken, free) = (places.path().join("taken"), places.path().join("free"));
    fs::write(&taken, "a file").unwrap();
    let more = |place: &PathBuf| {
        format!(
            "{STREAMED}\n{DEBUG}\nlayerhouse: {{cache: {{size: 16 MiB, directory: {}}}}}",
            place.display()
        )
    };
    let configuration = bucket.configuration(&more(&taken));
    let named = places.path().join("config.yml");
    fs::write(&named, format!("version: 0.1\n{configuration}\n")).unwrap();
    let (_, said) = output(&["check", &named.to_string_lossy()], &[]);
    assert!(
        said.contains("layerhouse.cache.directory: nothing can be cached there"),
        "{said}"
    );
    let mut server = Server::configured(&configuration);
    server.may_complain();
    let digest = push_blob(&server.client, "acme/web", "content");
    bucket.came();
    for _ in 0..4 {
        assert_eq!(server.client.get(&path(&digest)).text(), "content");
    }
    assert_eq!(reads(&bucket), 4);
    assert_eq!(server.client.get("/readyz").status, 200);
    fs::remove_file(&taken).unwrap();
    wait_until(&server, Duration::from_mins(1), || {
        server.client.get(&path(&digest));
        number(&server, "held_bytes") == 4096
    });
    // Somebody throws all of it away, or puts something else in its place.
    fs::remove_dir_all(&taken).unwrap();
    pull_until_cached(&server, &bucket, &digest, b"content");
    fs::remove_dir_all(&taken).unwrap();
    fs::write(&taken, "a file").unwrap();
    let other = push_blob(&server.client, "acme/web", "other");
    for _ in 0..4 {
        assert_eq!(server.client.get(&path(&other)).text(), "other");
        assert_eq!(server.client.get(&path(&digest)).text(), "content");
    }
    assert_eq!(server.client.get("/readyz").status, 200);
    // Two processes have two caches.
    let theirs = Bucket::start();
    let first = Server::configured(&theirs.configuration(&more(&free)));
    let digest = push_blob(&first.client, "acme/web", "theirs");
    pull_until_cached(&first, &theirs, &digest, b"theirs");
    server.reconfigure(&bucket.configuration(&more(&free)));
    for _ in 0..4 {
        assert_eq!(server.client.get(&path(&other)).text(), "other");
    }
    assert_eq!(number(&server, "held_bytes"), 0);
    assert_eq!(number(&first, "held_bytes"), 4096);
}

#[test]
fn pulls_that_are_sent_to_the_store_cache_nothing() {
    let bucket = Bucket::start();
    let more = format!("{DEBUG}\nlayerhouse: {{cache: {{size: 16 MiB}}}}");
    let more = format!("redirect: {{disable: false}}\n{more}");
    let server = Server::configured(&bucket.configuration(&more));
    let digest = push_blob(&server.client, "acme/web", "content");
    for _ in 0..4 {
        assert_eq!(server.client.get(&path(&digest)).status, 307);
    }
    assert_eq!(number(&server, "requests_total{result=\"miss\"}"), 0);
    assert_eq!(number(&server, "held_bytes"), 0);
}
