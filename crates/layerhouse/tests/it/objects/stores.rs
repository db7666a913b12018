//! Several buckets, each with the repositories whose blobs go there; and blobs that are brought there while they are
//! pulled.

use std::fs;
use std::time::Duration;

use super::{content, wait_until};
use crate::harness::bucket::Bucket;
use crate::harness::http::Client;
use crate::harness::images::{digest, push_blob, push_image};
use crate::harness::server::Server;
use crate::harness::transcript::Transcript;
use crate::harness::transport::Transport;

/// What keeps the harness from giving a server a bucket.
const FILES: &str = "# Blobs are files, and in no s3: of all tests.";
const AT_ONCE: &str = "collection: {grace: 0s, promise: 0s, undelete: 0s}";

fn stores(entries: &[String], more: &str) -> String {
    let entries: Vec<String> = entries.iter().map(|entry| format!("  - {entry}")).collect();
    format!("layerhouse:\n  {more}\n  stores:\n{}", entries.join("\n"))
}

fn is_file(server: &Server, digest: &str) -> bool {
    server.blob_path(digest).exists()
}

fn pulled(client: &Client, repository: &str, digest: &str) -> Vec<u8> {
    let answer = client.get(&format!("/v2/{repository}/blobs/{digest}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.body
}

#[test]
fn each_repository_has_its_store() {
    let bucket = Bucket::start();
    let cold = bucket.store("cold", "[ml/**, '*/archive'], except: [ml/disk/*]");
    let fast = bucket.store("fast", "[ml/prod/*]");
    let whole = content(13_000_003);
    // The first that fits counts.
    let configuration = stores(&[fast, cold], "");
    let mut transcript = Transcript::over(&[Transport::Plain], &configuration)
        .given("whole", whole.clone())
        .given("first", &whole[..6_000_000])
        .given("second", &whole[6_000_000..]);
    transcript.run(
        "POST  /v2/ml/train/blobs/uploads/?digest=$sha256(cold)  'cold'      201
         POST  /v2/acme/archive/blobs/uploads/                               202
         PATCH $upload  0-5999999 $first                                     202
         restart
         PATCH $upload  6000000-13000002 $second                             202
         PUT   $upload?digest=$sha512($whole)                                201
         POST  /v2/ml/prod/llm/blobs/uploads/?digest=$sha256(fast)  'fast'   201
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256(other)  'other'    201
         POST  /v2/ml/disk/llm/blobs/uploads/?digest=$sha256(kept)  'kept'   201
         GET   /v2/ml/disk/llm/blobs/$sha256(kept)                           200  'kept'
         GET   /v2/ml/train/blobs/$sha256(cold)                              200  'cold'
         GET   /v2/acme/archive/blobs/$sha512($whole)                        200  $whole
         GET   /v2/acme/archive/blobs/$sha512($whole)  Range: bytes=0-1      206
         GET   /v2/ml/prod/llm/blobs/$sha256(fast)                           200  'fast'
         GET   /v2/acme/web/blobs/$sha256(other)                             200  'other'
         POST  /v2/acme/web/blobs/uploads/?mount=$sha256(cold)&from=ml/train  201
         GET   /v2/acme/web/blobs/$sha256(cold)                              200  'cold'
         POST  /v2/ml/train/blobs/uploads/                                   202
         PATCH $upload  $first                                               202
         DELETE $upload                                                      204",
    );
    assert_eq!(
        (bucket.keys_of("cold").len(), bucket.keys_of("fast").len()),
        (2, 1)
    );
    assert_eq!(bucket.open_parts(), 0);
    let server = transcript.servers().next().unwrap();
    assert!(is_file(server, &digest("other")) && !is_file(server, &digest("fast")));
    assert!(is_file(server, &digest("kept")));
}

#[test]
fn blobs_are_moved_while_they_are_pulled() {
    let bucket = Bucket::start();
    let more = format!("{AT_ONCE}\n  scrub: {{enabled: false}}");
    let mut server = Server::configured(&format!("{FILES}\nlayerhouse:\n  {more}"));
    let whole = "0123456789".repeat(1_100_000);
    for (repository, tag, layer) in [
        ("ml/train", "large", &*whole),
        ("ml/train", "small", "layer"),
        ("ml/train", "shared", "shared"),
        ("acme/web", "shared", "shared"),
        ("acme/web", "other", "another layer"),
    ] {
        push_image(&server.client, repository, tag, layer);
    }
    let (large, layer, shared) = (digest(&whole), digest("layer"), digest("shared"));
    assert!(is_file(&server, &large) && is_file(&server, &layer));

    server.reconfigure(&stores(&[bucket.store("cold", "[ml/**]")], &more));
    let client = server.client;
    wait_until(&server, Duration::ZERO, || {
        assert!(pulled(&client, "ml/train", &large) == whole.as_bytes());
        bucket.keys_of("cold").len() == 2
    });
    assert!(bucket.holds(&large) && bucket.holds(&layer));
    // What they were before goes with a collection, or an hour later; what repositories share stays, their config too.
    wait_until(&server, Duration::from_mins(2), || {
        assert_eq!(pulled(&client, "ml/train", &layer), b"layer");
        !is_file(&server, &large) && !is_file(&server, &layer)
    });
    assert!(is_file(&server, &shared) && is_file(&server, &digest("another layer")));
    assert_eq!(pulled(&client, "ml/train", &shared), b"shared");

    // From one bucket to another, and back to where all others are.
    let left = bucket.store("cold", "[]");
    server.reconfigure(&stores(
        &[bucket.store("new", "[ml/train]"), left.clone()],
        &more,
    ));
    let client = server.client;
    wait_until(&server, Duration::from_mins(2), || {
        assert!(pulled(&client, "ml/train", &large) == whole.as_bytes());
        bucket.keys_of("cold").is_empty() && bucket.keys_of("new").len() == 2
    });
    server.reconfigure(&stores(&[bucket.store("new", "[]")], &more));
    let client = server.client;
    wait_until(&server, Duration::from_mins(2), || {
        assert!(pulled(&client, "ml/train", &large) == whole.as_bytes());
        bucket.keys().iter().all(|key| !key.starts_with("of/new/")) && is_file(&server, &large)
    });
    // It has nothing any more, so it may go.
    server.reconfigure(&format!("{FILES}\nlayerhouse:\n  {more}"));
    assert!(pulled(&server.client, "ml/train", &large) == whole.as_bytes());
}

#[test]
fn what_is_pushed_again_elsewhere_is_there() {
    let bucket = Bucket::start();
    let mut server = Server::configured(&stores(
        &[bucket.store("cold", "[ml/**]")],
        &format!("{AT_ONCE}\n  storage: {{move: false}}"),
    ));
    push_image(&server.client, "acme/web", "v1", "the same");
    let blob = digest("the same");
    assert!(is_file(&server, &blob));
    push_image(&server.client, "ml/train", "v1", "the same");
    assert_eq!(bucket.keys_of("cold").len(), 2);
    let client = server.client;
    wait_until(&server, Duration::from_mins(2), || !is_file(&server, &blob));
    assert_eq!(pulled(&client, "acme/web", &blob), b"the same");
    push_image(&server.client, "acme/web", "v1", "the same");
    assert!(is_file(&server, &blob));
    wait_until(&server, Duration::from_mins(2), || {
        bucket.keys_of("cold").is_empty()
    });
    server.restart();
    assert_eq!(pulled(&server.client, "ml/train", &blob), b"the same");
}

#[test]
fn a_store_that_has_blobs_must_be_named() {
    let bucket = Bucket::start();
    let named = stores(&[bucket.store("cold", "[ml/**]")], "storage: {move: false}");
    let mut server = Server::configured(&named);
    push_blob(&server.client, "ml/train", "cold");
    let refusal = server.refusal(FILES);
    assert!(refusal.contains("blobs in the store cold"), "{refusal}");
    // Nor may it be another bucket.
    let other = Bucket::start();
    let elsewhere = stores(&[other.store("cold", "[ml/**]")], "storage: {move: false}");
    let refusal = server.refusal(&elsewhere);
    assert!(
        refusal.contains("not the bucket that the database knows"),
        "{refusal}"
    );
    // Nor have another's name: each would take what the other has for left over.
    let renamed = bucket.store("new", "[ml/**]").replace("of/new", "of/cold");
    let entries = [bucket.store("cold", "[]"), renamed];
    let refusal = server.refusal(&stores(&entries, "storage: {move: false}"));
    assert!(
        refusal.contains("another store of this registry (cold)"),
        "{refusal}"
    );
    // Nor one with objects that nobody knows.
    bucket.put("of/full/layerhouse/blobs/somebody", "else's");
    let entries = [bucket.store("cold", "[]"), bucket.store("full", "[]")];
    let refusal = server.refusal(&stores(&entries, "storage: {move: false}"));
    assert!(
        refusal.contains("objects that the database does not know"),
        "{refusal}"
    );
    server.reconfigure(&named);
    assert_eq!(pulled(&server.client, "ml/train", &digest("cold")), b"cold");
}

#[test]
fn a_store_that_fails_keeps_no_other_from_serving() {
    let bucket = Bucket::start();
    let mut server = Server::configured(&stores(&[bucket.store("cold", "[ml/**]")], ""));
    server.may_complain();
    push_blob(&server.client, "ml/train", "cold");
    push_blob(&server.client, "acme/web", "web");
    bucket.refuse("", usize::MAX);
    let post = |repository: &str| {
        let path = format!("/v2/{repository}/blobs/uploads/?digest={}", digest("more"));
        server.client.send("POST", &path, &[], b"more").status
    };
    assert_eq!((post("ml/train"), post("acme/web")), (503, 201));
    assert_eq!(pulled(&server.client, "acme/web", &digest("web")), b"web");
    assert_eq!(server.client.get("/readyz").status, 200);
    let path = format!("/v2/ml/train/blobs/{}", digest("cold"));
    assert_eq!(server.client.get(&path).status, 503);
    bucket.mend();
    assert_eq!(pulled(&server.client, "ml/train", &digest("cold")), b"cold");
}

/// A damaged blob is not spread.
#[test]
fn damage_is_not_moved() {
    let bucket = Bucket::start();
    let more = "scrub: {enabled: false}";
    let mut server = Server::configured(&stores(&[bucket.store("cold", "[ml/**]")], more));
    server.may_complain();
    let damaged = push_blob(&server.client, "ml/train", "damaged");
    let key = bucket.keys_of("cold").remove(0);
    fs::write(bucket.path(&key), "d4m4ged").unwrap();
    let sound = push_blob(&server.client, "ml/train", "sound");
    let entries = [bucket.store("new", "[ml/**]"), bucket.store("cold", "[]")];
    server.reconfigure(&stores(&entries, more));
    wait_until(&server, Duration::ZERO, || {
        !bucket.keys_of("new").is_empty()
    });
    // It waits for what is on its way.
    server.stop();
    let moved: Vec<_> = bucket
        .keys_of("new")
        .iter()
        .map(|key| fs::read(bucket.path(key)).unwrap())
        .collect();
    assert_eq!(moved, [b"sound"]);
    assert!(bucket.path(&key).exists() && bucket.holds(&sound) && !bucket.holds(&damaged));
    server.leave_unverified();
}

#[test]
fn files_follow_into_the_bucket_that_is_named_later() {
    let bucket = Bucket::start();
    let mut server = Server::configured(FILES);
    push_image(&server.client, "acme/web", "v1", "layer");
    let layer = digest("layer");
    assert!(is_file(&server, &layer));
    let more =
        format!("redirect: {{disable: true}}\nlayerhouse:\n  {AT_ONCE}\n  storage: {{move: true}}");
    server.reconfigure(&bucket.configuration(&more));
    let client = server.client;
    wait_until(&server, Duration::from_mins(2), || {
        assert_eq!(pulled(&client, "acme/web", &layer), b"layer");
        bucket.holds(&layer) && !is_file(&server, &layer)
    });
    // Beside that bucket there may be others.
    let entry = bucket.store("cold", "[acme/*]");
    let more = format!("{more}\n  stores: [{entry}]");
    server.reconfigure(&bucket.configuration(&more));
    let client = server.client;
    wait_until(&server, Duration::from_mins(2), || {
        assert_eq!(pulled(&client, "acme/web", &layer), b"layer");
        bucket.keys().len() == 2 && bucket.keys_of("cold").len() == 2
    });
}
