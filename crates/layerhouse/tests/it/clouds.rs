//! Blobs in Google's storage and in Azure's: the ways in and out that are not those of S3. Google's is the store that
//! the tests of S3 have, which is shown what Google wants to see; Azure's is its emulator, where one runs. And the same at
//! a server of S3 that is not the one of the tests, where one runs.

use std::fs;
use std::time::Duration;

use crate::harness::azure::Container;
use crate::harness::bucket::Bucket;
use crate::harness::images::{digest, push_blob, push_image};
use crate::harness::outside::Outside;
use crate::harness::server::Server;
use crate::harness::transcript::Transcript;
use crate::harness::transport::Transport;
use crate::objects::{content, follow, wait_until};

/// Pulls come from us.
const STREAMED: &str = "redirect: {disable: true}";

/// Somebody's bucket.
trait Cloud {
    fn configuration(&self, more: &str) -> String;
    fn keys(&self) -> Vec<String>;
    fn write(&self, key: &str, content: &[u8]);
    fn remove(&self, key: &str);
}

impl Cloud for Bucket {
    fn configuration(&self, more: &str) -> String {
        Bucket::configuration(self, more)
    }
    fn keys(&self) -> Vec<String> {
        let mut keys = Bucket::keys(self);
        // What its store notes of an object.
        keys.retain(|key| !key.contains("/.") && !key.starts_with('.'));
        keys
    }
    fn write(&self, key: &str, content: &[u8]) {
        fs::write(self.path(key), content).unwrap();
    }
    fn remove(&self, key: &str) {
        fs::remove_file(self.path(key)).unwrap();
    }
}

impl Cloud for Container {
    fn configuration(&self, more: &str) -> String {
        Container::configuration(self, more)
    }
    fn keys(&self) -> Vec<String> {
        Container::keys(self)
    }
    fn write(&self, key: &str, content: &[u8]) {
        Container::write(self, key, content);
    }
    fn remove(&self, key: &str) {
        Container::remove(self, key);
    }
}

impl Cloud for Outside {
    fn configuration(&self, more: &str) -> String {
        Outside::configuration(self, more)
    }
    fn keys(&self) -> Vec<String> {
        Outside::keys(self)
    }
    fn write(&self, key: &str, content: &[u8]) {
        Outside::write(self, key, content);
    }
    fn remove(&self, key: &str) {
        Outside::remove(self, key);
    }
}

fn blobs_become_objects(cloud: &dyn Cloud) {
    let configuration = cloud.configuration(STREAMED);
    let mut transcript = Transcript::over(&[Transport::Plain], &configuration);
    transcript.run(
        "POST  /v2/acme/web/blobs/uploads/?digest=$sha256(abcd)  'abcd'    201  Docker-Content-Digest: $sha256(abcd)
         HEAD  /v2/acme/web/blobs/$sha256(abcd)                            200  Content-Length: 4
         GET   /v2/acme/web/blobs/$sha256(abcd)                            200  'abcd'
         GET   /v2/acme/web/blobs/$sha256(abcd)  Range: bytes=1-2          206  'bc'  Content-Range: bytes 1-2/4
         GET   /v2/acme/web/blobs/$sha256(abcd)  Range: bytes=-1           206  'd'
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256()                201
         GET   /v2/acme/web/blobs/$sha256()                                200  ''
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256(nope)  'abcd'    400  DIGEST_INVALID
         POST  /v2/acme/web/blobs/uploads/                                 202
         PUT   $upload?digest=$sha512(xyz)  'xyz'                          201
         POST  /v2/acme/api/blobs/uploads/?mount=$sha256(abcd)&from=acme/web   201
         restart
         GET   /v2/acme/api/blobs/$sha256(abcd)                            200  'abcd'",
    );
    let keys = cloud.keys();
    assert_eq!(keys.len(), 3, "{keys:?}");
    let is_ours = |key: &String| key.starts_with("of/registry/layerhouse/blobs/");
    assert!(keys.iter().all(is_ours), "{keys:?}");
}

fn chunks_arrive_over_restarts(cloud: &dyn Cloud) {
    let configuration = cloud.configuration(STREAMED);
    let whole = content(11_000_003);
    let mut transcript = Transcript::over(&[Transport::Plain], &configuration)
        .given("whole", whole.clone())
        .given("first", &whole[..1])
        .given("second", &whole[1..6_000_000])
        .given("third", &whole[6_000_000..10_900_000])
        .given("rest", &whole[10_900_000..]);
    transcript.run(
        "POST  /v2/acme/web/blobs/uploads/           202
         PATCH $upload  0-0 $first                   202  Range: 0-0
         restart
         PATCH $upload  1-5999999 $second            202  Range: 0-5999999
         restart
         GET   $upload                               204  Range: 0-5999999
         PATCH $upload  streamed $third              202  Range: 0-10899999
         restart
         PUT   $upload?digest=$sha256($whole)  $rest   201
         GET   $upload                               404  BLOB_UPLOAD_UNKNOWN
         restart
         GET   /v2/acme/web/blobs/$sha256($whole)    200  $whole
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256($whole)  $whole  201
         GET   /v2/acme/web/blobs/$sha256($whole)    200  $whole
         POST  /v2/acme/web/blobs/uploads/           202
         PATCH $upload  $whole                       202
         DELETE $upload                              204
         GET   $upload                               404  BLOB_UPLOAD_UNKNOWN",
    );
    assert_eq!(cloud.keys().len(), 2, "the same twice");
}

fn pulls_are_sent_to_the_store(cloud: &dyn Cloud, signature: &str) {
    let server = Server::configured(&cloud.configuration(""));
    let whole = content(300_000);
    let digest = push_blob(&server.client, "acme/web", &whole);
    let path = format!("/v2/acme/web/blobs/{digest}");
    let mut answer = server.client.get(&path);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(follow(&answer, "").body == whole);
    let part = follow(&answer, "Range: bytes=10-19\r\n");
    assert_eq!((part.status, &*part.body), (206, &whole[10..20]));
    // It is the signature that lets them in.
    let location = answer
        .headers
        .iter_mut()
        .find(|(name, _)| name == "location");
    let (_, location) = location.unwrap();
    let at = location.find(signature).unwrap() + signature.len();
    let other = if location[at..].starts_with('0') {
        "1"
    } else {
        "0"
    };
    location.replace_range(at..=at, other);
    assert_eq!(follow(&answer, "").status, 403);
}

fn collected_blobs_leave(cloud: &dyn Cloud) {
    let more =
        "delete: {enabled: true}\nlayerhouse: {collection: {grace: 0s, promise: 0s, undelete: 0s}}";
    let server = Server::configured(&cloud.configuration(more));
    let image = digest(push_image(&server.client, "acme/web", "v1", "layer"));
    push_blob(&server.client, "acme/web", "the same bytes, twice");
    push_blob(&server.client, "acme/web", "the same bytes, twice");
    let held = cloud.keys().len();
    assert_eq!(held, 4, "config, layer, and two objects of one blob");
    let path = format!("/v2/acme/web/manifests/{image}");
    assert_eq!(server.client.send("DELETE", &path, &[], b"").status, 202);
    wait_until(&server, Duration::from_mins(2), || cloud.keys().is_empty());
}

fn the_scrub_finds_what_is_damaged_or_missing(cloud: &dyn Cloud) {
    let more = format!("{STREAMED}\nlayerhouse: {{collection: {{enabled: false}}}}");
    let mut server = Server::configured(&cloud.configuration(&more));
    server.may_complain();
    let client = server.client;
    let damaged = push_blob(&client, "acme/web", content(2_000_000));
    cloud.write(&cloud.keys()[0], &content(1_999_999));
    let known = cloud.keys();
    let missing = push_blob(&client, "acme/web", "missing");
    for key in cloud.keys() {
        if !known.contains(&key) {
            cloud.remove(&key);
        }
    }
    let sound = push_blob(&client, "acme/web", "sound");
    let head = |digest: &str| {
        let path = format!("/v2/acme/web/blobs/{digest}");
        client.send("HEAD", &path, &[], b"").status
    };
    assert_eq!((head(&damaged), head(&missing)), (200, 200));
    wait_until(&server, Duration::from_hours(2), || {
        (head(&damaged), head(&missing)) == (404, 404)
    });
    assert_eq!(head(&sound), 200);
    push_blob(&client, "acme/web", content(2_000_000));
    push_blob(&client, "acme/web", "missing");
    assert_eq!((head(&damaged), head(&missing)), (200, 200));
}

/// The store made an object of the parts, and the answer that said so was lost: asked again, it knows no such parts.
fn parts_that_are_an_object_already_are_one(bucket: &Bucket) {
    let configuration = bucket.configuration(STREAMED);
    let mut transcript =
        Transcript::over(&[Transport::Plain], &configuration).given("whole", content(6_000_000));
    transcript.run(
        "POST  /v2/acme/web/blobs/uploads/           202
         PATCH $upload  $whole                       202",
    );
    bucket.came();
    bucket.lose_answer("POST /images/");
    transcript.run(
        "PUT   $upload?digest=$sha256($whole)        201
         GET   /v2/acme/web/blobs/$sha256($whole)    200  $whole",
    );
    let came = bucket.came();
    let completions = came.iter().filter(|one| one.starts_with("POST "));
    assert_eq!(completions.count(), 2, "{came:?}");
}

#[test]
fn s3_parts_that_are_an_object_already_are_one() {
    parts_that_are_an_object_already_are_one(&Bucket::start());
}

#[test]
fn google_parts_that_are_an_object_already_are_one() {
    parts_that_are_an_object_already_are_one(&Bucket::of_google());
}

#[test]
fn google_what_cannot_be_used_is_refused() {
    let bucket = Bucket::of_google();
    let mut server = Server::start();
    let key = bucket.configuration("");
    let other = key.replace("bucket: images", "bucket: nothing");
    let refusal = server.refusal(&other);
    assert!(refusal.contains("does not exist"), "{refusal}");
    let other = key.replace("account.json", "missing.json");
    let refusal = server.refusal(&other);
    assert!(refusal.contains("missing.json"), "{refusal}");
    server.restart();
}

#[test]
fn google_blobs_become_objects() {
    blobs_become_objects(&Bucket::of_google());
}

#[test]
fn google_chunks_arrive_over_restarts() {
    let bucket = Bucket::of_google();
    chunks_arrive_over_restarts(&bucket);
    assert_eq!(bucket.open_parts(), 0);
}

#[test]
fn google_pulls_are_sent_to_the_store() {
    pulls_are_sent_to_the_store(&Bucket::of_google(), "X-Goog-Signature=");
}

#[test]
fn google_collected_blobs_leave() {
    collected_blobs_leave(&Bucket::of_google());
}

#[test]
fn google_the_scrub_finds_what_is_damaged_or_missing() {
    the_scrub_finds_what_is_damaged_or_missing(&Bucket::of_google());
}

#[test]
fn azure_blobs_become_objects() {
    if let Some(container) = Container::make("become") {
        blobs_become_objects(&container);
    }
}

#[test]
fn azure_chunks_arrive_over_restarts() {
    if let Some(container) = Container::make("chunks") {
        chunks_arrive_over_restarts(&container);
    }
}

#[test]
fn azure_pulls_are_sent_to_the_store() {
    if let Some(container) = Container::make("redirected") {
        pulls_are_sent_to_the_store(&container, "sig=");
    }
}

#[test]
fn azure_collected_blobs_leave() {
    if let Some(container) = Container::make("collected") {
        collected_blobs_leave(&container);
    }
}

#[test]
fn azure_the_scrub_finds_what_is_damaged_or_missing() {
    if let Some(container) = Container::make("scrubbed") {
        the_scrub_finds_what_is_damaged_or_missing(&container);
    }
}

/// The blocks became a blob, and the answer that said so was lost: they wait no more, and Azure calls that a bad list.
#[test]
fn azure_blocks_that_are_a_blob_already_are_one() {
    let Some(container) = Container::make("twice") else {
        return;
    };
    let whole = content(6_000_000);
    let configuration = container.configuration(STREAMED);
    let mut transcript =
        Transcript::over(&[Transport::Plain], &configuration).given("whole", whole.clone());
    let send = "POST  /v2/acme/web/blobs/uploads/           202
                PATCH $upload  $whole                       202";
    transcript.run(send);
    let waiting = container.keys_with_waiting();
    let blocks = container.waiting_blocks(&waiting[0]);
    assert_eq!((waiting.len(), blocks.len()), (1, 1), "{waiting:?}");
    assert_eq!(container.keys(), Vec::<String>::new());
    container.commit(&waiting[0], &blocks);
    transcript.run(
        "restart
         PUT   $upload?digest=$sha256($whole)        201
         GET   /v2/acme/web/blobs/$sha256($whole)    200  $whole",
    );
    assert_eq!(container.keys(), waiting);
    // As long, and something else.
    transcript.run(send);
    let known = waiting;
    let mut waiting = container.keys_with_waiting();
    waiting.retain(|key| !known.contains(key));
    container.commit(&waiting[0], &container.waiting_blocks(&waiting[0]));
    container.write(&waiting[0], &vec![7; whole.len()]);
    transcript.may_complain();
    transcript.run("PUT   $upload?digest=$sha256($whole)        500");
}

/// The start says what is wrong, and does not wait for whoever comes first.
#[test]
fn azure_what_cannot_be_used_is_refused() {
    let Some(container) = Container::make("refused") else {
        return;
    };
    let mut server = Server::start();
    let other = container.configured("nothing", "a2V5", "");
    let refusal = server.refusal(&other);
    assert!(refusal.contains("refuses us"), "{refusal}");
    assert!(!refusal.contains("a2V5"), "{refusal}");
    let key = container.configuration("");
    let other = key.replace("container: refused", "container: nothing");
    let refusal = server.refusal(&other);
    assert!(refusal.contains("does not exist"), "{refusal}");
    server.restart();
}

#[test]
fn outside_blobs_become_objects() {
    if let Some(bucket) = Outside::make("become") {
        blobs_become_objects(&bucket);
    }
}

#[test]
fn outside_chunks_arrive_over_restarts() {
    if let Some(bucket) = Outside::make("chunks") {
        chunks_arrive_over_restarts(&bucket);
        assert_eq!(bucket.open_parts(), []);
    }
}

#[test]
fn outside_pulls_are_sent_to_the_store() {
    if let Some(bucket) = Outside::make("redirected") {
        pulls_are_sent_to_the_store(&bucket, "X-Amz-Signature=");
    }
}

#[test]
fn outside_collected_blobs_leave() {
    if let Some(bucket) = Outside::make("collected") {
        collected_blobs_leave(&bucket);
    }
}

#[test]
fn outside_the_scrub_finds_what_is_damaged_or_missing() {
    if let Some(bucket) = Outside::make("scrubbed") {
        the_scrub_finds_what_is_damaged_or_missing(&bucket);
    }
}

/// The parts became an object, and the answer that said so was lost: the store knows no such parts any more.
#[test]
fn outside_parts_that_are_an_object_already_are_one() {
    let Some(bucket) = Outside::make("twice") else {
        return;
    };
    let whole = content(6_000_000);
    let configuration = bucket.configuration(STREAMED);
    let mut transcript =
        Transcript::over(&[Transport::Plain], &configuration).given("whole", whole.clone());
    let send = "POST  /v2/acme/web/blobs/uploads/           202
                PATCH $upload  $whole                       202";
    transcript.run(send);
    let [(key, upload)] = &bucket.open_parts()[..] else {
        panic!("one upload in parts: {:?}", bucket.open_parts());
    };
    assert_eq!(bucket.keys(), Vec::<String>::new());
    bucket.complete(key, upload, &whole);
    transcript.run(
        "restart
         PUT   $upload?digest=$sha256($whole)        201
         GET   /v2/acme/web/blobs/$sha256($whole)    200  $whole",
    );
    assert_eq!(bucket.keys(), std::slice::from_ref(key));
    // As long, and something else.
    transcript.run(send);
    let (key, upload) = &bucket.open_parts()[0];
    bucket.complete(key, upload, &whole);
    bucket.write(key, &vec![7; whole.len()]);
    transcript.may_complain();
    transcript.run("PUT   $upload?digest=$sha256($whole)        500");
}

/// The start says what is wrong, and does not wait for whoever comes first.
#[test]
fn outside_what_cannot_be_used_is_refused() {
    let Some(bucket) = Outside::make("refused") else {
        return;
    };
    let mut server = Server::start();
    let refusal = server.refusal(&bucket.configured("wrong-one", ""));
    assert!(refusal.contains("refuses us"), "{refusal}");
    assert!(!refusal.contains("wrong-one"), "{refusal}");
    let other = bucket.configuration("").replace("bucket: ", "bucket: no-");
    let refusal = server.refusal(&other);
    assert!(refusal.contains("does not exist"), "{refusal}");
    server.restart();
}
