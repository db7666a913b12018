//! Blobs in an object store: every way in and out, over restarts, and while the store fails.

mod adoption;
mod cache;
mod parts;
mod stores;

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::harness::bucket::Bucket;
use crate::harness::database;
use crate::harness::http::{Client, Response, read_response};
use crate::harness::images::{digest, push_blob, push_image};
use crate::harness::server::Server;
use crate::harness::transcript::Transcript;
use crate::harness::transport::Transport;

/// Pulls come from us.
const STREAMED: &str = "redirect: {disable: true}";

fn transcript(bucket: &Bucket) -> Transcript {
    Transcript::over(&[Transport::Plain], &bucket.configuration(STREAMED))
}

/// Bytes that differ from one another, so that parts cannot be mistaken.
pub(crate) fn content(length: usize) -> Vec<u8> {
    (0u32..)
        .flat_map(|number| (number.wrapping_mul(2_654_435_761)).to_le_bytes())
        .take(length)
        .collect()
}

/// Goes where a pull was sent.
pub(crate) fn follow(answer: &Response, range: &str) -> Response {
    assert_eq!(answer.status, 307, "{}", answer.text());
    let location = answer.header("location").unwrap();
    let rest = location.strip_prefix("http://").unwrap();
    let (host, _) = rest.split_once('/').unwrap();
    let path = &rest[host.len()..];
    let mut stream = Client::new(host.parse().unwrap()).connect();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{range}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    read_response(&mut stream, false).unwrap()
}

#[test]
fn blobs_become_objects() {
    let bucket = Bucket::start();
    let mut transcript = transcript(&bucket);
    transcript.run(
        "POST  /v2/acme/web/blobs/uploads/?digest=$sha256(abcd)  'abcd'    201  Docker-Content-Digest: $sha256(abcd)
         HEAD  /v2/acme/web/blobs/$sha256(abcd)                            200  Content-Length: 4
         GET   /v2/acme/web/blobs/$sha256(abcd)                            200  'abcd'
         GET   /v2/acme/web/blobs/$sha256(abcd)  Range: bytes=1-2          206  'bc'  Content-Range: bytes 1-2/4
         GET   /v2/acme/web/blobs/$sha256(abcd)  Range: bytes=7-           416  RANGE_INVALID
         POST  /v2/acme/web/blobs/uploads/?digest=$sha512(abcd)  'abcd'    201
         GET   /v2/acme/web/blobs/$sha512(abcd)                            200  'abcd'
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256()                201
         GET   /v2/acme/web/blobs/$sha256()                                200  ''
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256(nope)  'abcd'    400  DIGEST_INVALID
         POST  /v2/acme/web/blobs/uploads/                                 202
         PUT   $upload?digest=$sha512(xyz)  'xyz'                          201
         POST  /v2/acme/api/blobs/uploads/?mount=$sha256(abcd)&from=acme/web   201
         GET   /v2/acme/api/blobs/$sha256(abcd)                            200  'abcd'
         restart
         GET   /v2/acme/api/blobs/$sha256(abcd)                            200  'abcd'",
    );
    let keys = bucket.keys();
    assert_eq!(keys.len(), 4, "{keys:?}");
    let is_ours = |key: &String| key.starts_with("of/registry/layerhouse/blobs/");
    assert!(keys.iter().all(is_ours), "{keys:?}");
}

#[test]
fn chunks_of_odd_sizes_arrive_over_restarts() {
    let bucket = Bucket::start();
    let whole = content(13_000_003);
    let mut transcript = transcript(&bucket)
        .given("whole", whole.clone())
        .given("first", &whole[..1])
        .given("second", &whole[1..6_000_000])
        .given("third", &whole[6_000_000..6_100_000])
        .given("fourth", &whole[6_100_000..11_400_000])
        .given("rest", &whole[11_400_000..]);
    transcript.run(
        "POST  /v2/acme/web/blobs/uploads/           202
         PATCH $upload  0-0 $first                   202  Range: 0-0
         restart
         PATCH $upload  1-5999999 $second            202  Range: 0-5999999
         GET   $upload                               204  Range: 0-5999999
         restart
         GET   $upload                               204  Range: 0-5999999
         PATCH $upload  6000001-6100000 $third       416  BLOB_UPLOAD_INVALID  Range: 0-5999999
         PATCH $upload  Content-Range: bytes 6000000-11399998/13000003  $fourth  400  SIZE_INVALID
         PATCH $upload  6000000-6099999 $third       202  Range: 0-6099999
         PATCH $upload  streamed $fourth             202  Range: 0-11399999
         restart
         PUT   $upload?digest=$sha256($whole)  $rest   201
         GET   $upload                               404  BLOB_UPLOAD_UNKNOWN
         restart
         GET   /v2/acme/web/blobs/$sha256($whole)    200  $whole
         POST  /v2/acme/web/blobs/uploads/           202
         PATCH $upload  $whole                       202
         PUT   $upload?digest=$sha512($whole)        201
         GET   /v2/acme/web/blobs/$sha512($whole)    200  $whole",
    );
    assert_eq!(bucket.keys().len(), 2);
    assert_eq!(bucket.open_parts(), 0);
}

#[test]
fn pulls_are_sent_to_the_store() {
    let bucket = Bucket::start();
    let server = Server::configured(&bucket.configuration(""));
    let whole = content(300_000);
    let digest = push_blob(&server.client, "acme/web", &whole);
    bucket.came();
    let path = format!("/v2/acme/web/blobs/{digest}");
    let answer = server.client.get(&path);
    assert_eq!(
        bucket.came(),
        Vec::<String>::new(),
        "the store need not be asked"
    );
    assert_eq!(answer.header("docker-content-digest"), Some(&*digest));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(follow(&answer, "").body == whole);
    let part = follow(&answer, "Range: bytes=10-19\r\n");
    assert_eq!((part.status, &*part.body), (206, &whole[10..20]));
    let head = server.client.send("HEAD", &path, &[], b"");
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("300000"))
    );
    // Whoever may not pull is not sent anywhere.
    let missing = server.client.get(&format!("/v2/other/web/blobs/{digest}"));
    assert_eq!(missing.status, 404);
}

#[test]
fn what_nobody_goes_on_with_is_given_up() {
    let bucket = Bucket::start();
    let mut transcript = transcript(&bucket).given("whole", content(6_000_000));
    transcript.run(
        "POST   /v2/acme/web/blobs/uploads/           202
         PATCH  $upload  $whole                       202",
    );
    assert_eq!(bucket.open_parts(), 1);
    transcript.run("DELETE $upload  204");
    assert_eq!(bucket.open_parts(), 0);
    transcript.run(
        "POST   /v2/acme/web/blobs/uploads/           202
         PATCH  $upload  $whole                       202
         restart
         eventually GET $upload                       404  BLOB_UPLOAD_UNKNOWN
         POST   /v2/acme/web/blobs/uploads/?digest=$sha256(x)  $whole  400  DIGEST_INVALID
         POST   /v2/acme/web/blobs/uploads/           202
         PATCH  $upload  $whole                       202
         PUT    $upload?digest=$sha256(x)             400  DIGEST_INVALID
         GET    $upload                               404  BLOB_UPLOAD_UNKNOWN",
    );
    assert_eq!(bucket.open_parts(), 0);
    assert_eq!(bucket.keys(), Vec::<String>::new());
}

#[test]
fn collected_blobs_leave_the_bucket() {
    let bucket = Bucket::start();
    let more =
        "delete: {enabled: true}\nlayerhouse: {collection: {grace: 0s, promise: 0s, undelete: 0s}}";
    let server = Server::configured(&bucket.configuration(more));
    let image = digest(push_image(&server.client, "acme/web", "v1", "layer"));
    push_blob(&server.client, "acme/web", "the same bytes, twice");
    push_blob(&server.client, "acme/web", "the same bytes, twice");
    let held = bucket.keys().len();
    assert_eq!(held, 4, "config, layer, and two objects of one blob");
    let path = format!("/v2/acme/web/manifests/{image}");
    assert_eq!(server.client.send("DELETE", &path, &[], b"").status, 202);
    wait_until(&server, Duration::from_mins(2), || bucket.keys().is_empty());
}

#[test]
fn a_store_that_fails_loses_nothing() {
    let bucket = Bucket::start();
    let mut transcript = transcript(&bucket)
        .given("whole", content(6_000_000))
        .given("first", &content(6_000_000)[..3_000_000])
        .given("second", &content(6_000_000)[3_000_000..]);
    transcript.may_complain();
    transcript.run(
        "POST  /v2/acme/web/blobs/uploads/?digest=$sha256(kept)  'kept'  201
         POST  /v2/acme/web/blobs/uploads/           202
         PATCH $upload  0-2999999 $first             202",
    );
    // Once is tried again, and nobody hears of it.
    bucket.refuse("PUT /images/", 1);
    transcript.run("POST  /v2/acme/web/blobs/uploads/?digest=$sha256(abcd)  'abcd'  201");
    let upload = transcript.text("upload").to_owned();
    bucket.refuse("", usize::MAX);
    transcript.run(&format!(
        "POST  /v2/acme/web/blobs/uploads/?digest=$sha256(x)  'x'  503  UNAVAILABLE  Retry-After: 5
         PATCH {upload}  3000000-5999999 $second      503  UNAVAILABLE  Retry-After: 5
         HEAD  /v2/acme/web/blobs/$sha256(kept)       200"
    ));
    let client = transcript.servers().next().unwrap().client;
    assert_eq!(client.get("/readyz").status, 503);
    bucket.mend();
    transcript.run(&format!(
        "GET   /v2/acme/web/blobs/$sha256(x)          404
         GET   /v2/acme/web/blobs/$sha256(kept)       200  'kept'
         GET   {upload}                               204"
    ));
    // What came before the part that the store refused is kept, and the client is told how much that is.
    let held = client.get(&upload);
    let last: usize = held.header("range").unwrap()[2..].parse().unwrap();
    assert!((2_999_999..5_242_880).contains(&last), "{last}");
    let rest = &content(6_000_000)[last + 1..];
    let answer = client.send("PATCH", &upload, &[], rest);
    assert_eq!(
        (answer.status, answer.header("range")),
        (202, Some("0-5999999"))
    );
    bucket.refuse("POST /images/", usize::MAX);
    transcript.run(&format!(
        "PUT   {upload}?digest=$sha256($whole)        503  UNAVAILABLE"
    ));
    bucket.mend();
    transcript.run(&format!(
        "PUT   {upload}?digest=$sha256($whole)        201
         GET   /v2/acme/web/blobs/$sha256($whole)     200  $whole"
    ));
}

#[test]
fn a_missing_object_is_healed_by_a_push() {
    let bucket = Bucket::start();
    let mut server = Server::configured(&bucket.configuration(STREAMED));
    server.may_complain();
    let digest = push_blob(&server.client, "acme/web", "content");
    for key in bucket.keys() {
        fs::remove_file(bucket.path(&key)).unwrap();
    }
    let path = format!("/v2/acme/web/blobs/{digest}");
    assert_eq!(server.client.get(&path).status, 404);
    // Whoever asks before it pushes is told the truth from then on.
    wait_until(&server, Duration::ZERO, || {
        server.client.send("HEAD", &path, &[], b"").status == 404
    });
    push_blob(&server.client, "acme/web", "content");
    assert_eq!(server.client.get(&path).body, b"content");
}

#[test]
fn a_directory_knows_its_bucket() {
    let bucket = Bucket::start();
    let mut server = Server::configured(&bucket.configuration(STREAMED));
    push_blob(&server.client, "acme/web", "content");
    server.stop();
    let refusal = database::verify(&server.root()).unwrap_err().to_string();
    assert!(refusal.contains("s3://images/of/registry"), "{refusal}");
    // A blob that was a file before is pulled still.
    let other = Bucket::start();
    let mut server = Server::start();
    let digest = push_blob(&server.client, "acme/web", "a file");
    server.reconfigure(&other.configuration(STREAMED));
    let path = format!("/v2/acme/web/blobs/{digest}");
    assert_eq!(server.client.get(&path).body, b"a file");
    assert_eq!(other.keys(), Vec::<String>::new());
}

/// Who comes with another database, and be it an empty one, would take all objects for left over.
#[test]
fn a_bucket_knows_its_database() {
    let bucket = Bucket::start();
    let server = Server::configured(&bucket.configuration(STREAMED));
    push_blob(&server.client, "acme/web", "content");
    let mut other = Server::start();
    let refusal = other.refusal(&bucket.configuration(STREAMED));
    assert!(
        refusal.contains("the bucket of another database"),
        "{refusal}"
    );
    // Nothing came of that.
    other.restart();
    let mark = bucket.path("of/registry/layerhouse/registry");
    fs::remove_file(&mark).unwrap();
    let refusal = other.refusal(&bucket.configuration(STREAMED));
    assert!(
        refusal.contains("objects that the database does not know"),
        "{refusal}"
    );
    other.restart();
    fs::write(&mark, "of another").unwrap();
    let mut server = server;
    let refusal = server.refusal(&bucket.configuration(STREAMED));
    assert!(
        refusal.contains("not the bucket that the database knows"),
        "{refusal}"
    );
    server.leave_unverified();
}

/// A bucket that answers, and is another or empty, has no objects that are missing.
#[test]
fn nothing_is_missing_in_a_bucket_that_is_another() {
    let bucket = Bucket::start();
    let mut server = Server::configured(&bucket.configuration(STREAMED));
    server.may_complain();
    let digest = push_blob(&server.client, "acme/web", "content");
    let mark = bucket.path("of/registry/layerhouse/registry");
    let object = bucket.path(&bucket.keys()[0]);
    let (away, said) = (object.with_extension("away"), fs::read(&mark).unwrap());
    fs::rename(&object, &away).unwrap();
    fs::remove_file(&mark).unwrap();
    let path = format!("/v2/acme/web/blobs/{digest}");
    for _ in 0..3 {
        assert_eq!(server.client.get(&path).status, 404);
        std::thread::sleep(Duration::from_millis(50));
    }
    fs::rename(&away, &object).unwrap();
    fs::write(&mark, said).unwrap();
    assert_eq!(server.client.get(&path).body, b"content");
    assert_eq!(server.client.send("HEAD", &path, &[], b"").status, 200);
}

#[test]
fn images_are_described_and_pulled() {
    let bucket = Bucket::start();
    let server = Server::configured(&bucket.configuration(STREAMED));
    let image = push_image(&server.client, "acme/web", "v1", "layer");
    let path = "/v2/acme/web/manifests/v1";
    assert_eq!(server.client.get(path).text(), image);
    assert_eq!(server.client.get("/ui/r/acme/web/-/tags").status, 200);
}

#[test]
fn what_is_asked_of_the_store_is_timed() {
    let bucket = Bucket::start();
    let debug = "http: {debug: {addr: '127.0.0.1:0', prometheus: {enabled: true}}}";
    let server = Server::configured(&bucket.configuration(&format!("{STREAMED}\n{debug}")));
    let blob = push_blob(&server.client, "acme/web", "content");
    push_blob(&server.client, "acme/web", content(11_000_000));
    server.client.get(&format!("/v2/acme/web/blobs/{blob}"));
    let told = server.debug().get("/metrics").text();
    for action in ["PutContent", "Writer", "Reader"] {
        let series = format!(
            "registry_storage_action_seconds_count{{action=\"{action}\",driver=\"s3aws\"}}"
        );
        assert!(told.contains(&series), "{series}: {told}");
    }
}

/// Lets time pass until something holds.
pub(crate) fn wait_until(server: &Server, step: Duration, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(30), "it never holds");
        server.advance(step);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_scrub_finds_objects_that_are_damaged_or_missing() {
    let bucket = Bucket::start();
    let more = format!("{STREAMED}\nlayerhouse: {{collection: {{enabled: false}}}}");
    let mut server = Server::configured(&bucket.configuration(&more));
    server.may_complain();
    let client = server.client;
    let damaged = push_blob(&client, "acme/web", content(2_000_000));
    fs::write(bucket.path(&bucket.keys()[0]), content(1_999_999)).unwrap();
    let known = bucket.keys();
    let missing = push_blob(&client, "acme/web", "missing");
    for key in bucket.keys() {
        if !known.contains(&key) {
            fs::remove_file(bucket.path(&key)).unwrap();
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

#[test]
fn objects_that_no_row_knows_are_removed() {
    let bucket = Bucket::start();
    let server = Server::configured(&bucket.configuration(STREAMED));
    push_image(&server.client, "acme/web", "v1", "layer");
    let known = bucket.keys();
    // To the server's clock the store's files are of last year.
    let stray = bucket.path("of/registry/layerhouse/blobs/stray");
    fs::write(&stray, "left by a crash").unwrap();
    let apart = bucket.path("of/registry/layerhouse/other");
    fs::write(&apart, "not ours").unwrap();
    wait_until(&server, Duration::from_mins(30), || !stray.exists());
    assert!(apart.exists());
    fs::remove_file(apart).unwrap();
    assert_eq!(bucket.keys(), known);
}
