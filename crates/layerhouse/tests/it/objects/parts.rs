//! Parts of one push that go to the store while its next bytes come: that they do, and what is left of a push when one of
//! them fails or its client goes away.

use std::io::Write;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::{STREAMED, content};
use crate::harness::bucket::Bucket;
use crate::harness::database;
use crate::harness::http::Client;
use crate::harness::images::{digest, push_blob};
use crate::harness::server::Server;
use crate::harness::transcript::in_chunks;

const PARTS: &str = "PUT /images/";
/// The smallest part, which is what the bucket is given.
const PART_BYTES: usize = 5 << 20;

fn open(client: &Client) -> String {
    let opened = client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b"");
    assert_eq!(opened.status, 202, "{}", opened.text());
    opened.header("location").unwrap().to_owned()
}

/// How many bytes an upload holds.
fn held_bytes(client: &Client, upload: &str) -> usize {
    let held = client.get(upload);
    assert_eq!(held.status, 204, "{}", held.text());
    let range = held.header("range").unwrap();
    range.strip_prefix("0-").unwrap().parse::<usize>().unwrap() + 1
}

/// Parts that arrive soon, as many go together from then on as may.
fn quicken(client: &Client) {
    push_blob(client, "acme/other", content(24_000_000));
}

fn append(client: &Client, upload: &str, chunk: &[u8]) -> u16 {
    client.send("PATCH", upload, &[], chunk).status
}

#[test]
fn parts_of_a_push_go_together() {
    let bucket = Bucket::start();
    let server = Server::configured(&bucket.configuration(STREAMED));
    let whole = content(18_000_000);
    let alone = bucket.hold(PARTS);
    thread::scope(|scope| {
        let pushing = scope.spawn(|| push_blob(&server.client, "acme/web", content(12_000_000)));
        bucket.wait_for(PARTS, 1);
        drop(alone);
        pushing.join().unwrap();
    });
    quicken(&server.client);
    let held = bucket.hold(PARTS);
    let digest = thread::scope(|scope| {
        let pushing = scope.spawn(|| push_blob(&server.client, "acme/web", &whole));
        // Three that are full, and what is left; none of them has arrived.
        bucket.wait_for(PARTS, 4);
        drop(held);
        pushing.join().unwrap()
    });
    let blob = server.client.get(&format!("/v2/acme/web/blobs/{digest}"));
    assert!(blob.body == whole);
    assert_eq!(bucket.open_parts(), 0);
}

/// There is room for 26 such parts, and each of these has four.
#[test]
fn pushes_for_which_there_is_no_room_go_on() {
    let bucket = Bucket::start();
    let server = Server::configured(&bucket.configuration(STREAMED));
    let whole = content(22_000_000);
    quicken(&server.client);
    let held = bucket.hold(PARTS);
    thread::scope(|scope| {
        let pushing: Vec<_> = (0..9)
            .map(|_| scope.spawn(|| push_blob(&server.client, "acme/web", &whole)))
            .collect();
        bucket.wait_for(PARTS, 26);
        drop(held);
        for push in pushing {
            push.join().unwrap();
        }
    });
    let path = format!("/v2/acme/web/blobs/{}", digest(&whole));
    assert!(server.client.get(&path).body == whole);
}

#[test]
fn a_part_that_fails_while_the_next_come_is_sent_again() {
    let bucket = Bucket::start();
    let mut server = Server::configured(&bucket.configuration(STREAMED));
    server.may_complain();
    let client = server.client;
    let whole = content(28_000_000);
    for failing in [1, 3, 5] {
        let upload = open(&client);
        assert_eq!(append(&client, &upload, &whole[..3_000_000]), 202);
        bucket.refuse_part(failing);
        assert_eq!(append(&client, &upload, &whole[3_000_000..]), 503);
        bucket.mend();
        let held = held_bytes(&client, &upload);
        if failing == 1 {
            assert_eq!(held, 3_000_000, "what it held before");
        } else {
            let before = failing - 1;
            let parts = before * PART_BYTES..before * (PART_BYTES + (1 << 20));
            assert!(parts.contains(&held), "{before} parts: {held}");
        }
        assert_eq!(append(&client, &upload, &whole[held..27_000_000]), 202);
        finish(&client, &upload, &whole, 27_000_000);
    }
    assert_eq!(bucket.open_parts(), 0);
}

#[test]
fn a_last_chunk_whose_parts_fail_can_be_sent_again() {
    let bucket = Bucket::start();
    let mut server = Server::configured(&bucket.configuration(STREAMED));
    server.may_complain();
    let client = server.client;
    let whole = content(18_000_000);
    let upload = open(&client);
    assert_eq!(append(&client, &upload, &whole[..7_000_000]), 202);
    let path = format!("{upload}?digest={}", digest(&whole));
    for failing in 2..=4 {
        bucket.refuse_part(failing);
        let refused = client.send("PUT", &path, &[], &whole[7_000_000..]);
        assert_eq!(refused.status, 503, "{}", refused.text());
        bucket.mend();
        assert_eq!(held_bytes(&client, &upload), 7_000_000, "as before");
    }
    finish(&client, &upload, &whole, 7_000_000);
}

/// Who hears that it failed comes again at once, and must not be told that somebody writes.
#[test]
fn an_upload_is_free_before_its_client_hears_that_it_failed() {
    let bucket = Bucket::start();
    let mut server = Server::configured(&bucket.configuration(STREAMED));
    server.may_complain();
    let client = server.client;
    let whole = content(18_000_000);
    quicken(&client);
    let upload = open(&client);
    assert_eq!(append(&client, &upload, &whole[..7_000_000]), 202);
    let path = format!("{upload}?digest={}", digest(&whole));
    // The last one, which is sent when all of the request came.
    bucket.refuse_part(4);
    let held = bucket.hold(PARTS);
    thread::scope(|scope| {
        let (answer, answered) = mpsc::channel();
        let rest = &whole[7_000_000..];
        scope.spawn(move || answer.send(client.send("PUT", &path, &[], rest).status));
        bucket.wait_for(PARTS, 3);
        let locked = database::lock(&server.root());
        drop(held);
        let early = answered.recv_timeout(Duration::from_secs(1));
        assert_eq!(early, Err(mpsc::RecvTimeoutError::Timeout));
        drop(locked);
        assert_eq!(answered.recv(), Ok(503));
    });
    bucket.mend();
    finish(&client, &upload, &whole, 7_000_000);
}

/// What was to come in one request is given up, and no part comes to the store behind that.
#[test]
fn a_push_whose_part_fails_leaves_nothing() {
    let bucket = Bucket::start();
    let mut server = Server::configured(&bucket.configuration(STREAMED));
    server.may_complain();
    let whole = content(18_000_000);
    let path = format!("/v2/acme/web/blobs/uploads/?digest={}", digest(&whole));
    bucket.refuse_part(2);
    let refused = server.client.send("POST", &path, &[], &whole);
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(bucket.open_parts(), 0);
    bucket.mend();
    push_blob(&server.client, "acme/web", &whole);
    assert_eq!(bucket.open_parts(), 0);
}

/// A chunk that is not what it said takes back parts, and be they on their way.
#[test]
fn parts_of_a_chunk_that_was_too_short_are_replaced() {
    let bucket = Bucket::start();
    let server = Server::configured(&bucket.configuration(STREAMED));
    let client = server.client;
    let (wrong, whole) = (vec![7; 12_000_000], content(13_000_000));
    let upload = open(&client);
    let headers = [
        ("Content-Range", "0-12999999"),
        ("Transfer-Encoding", "chunked"),
    ];
    let chunked = in_chunks(&wrong, 1 << 20);
    let refused = client.send("PATCH", &upload, &headers, &chunked);
    assert_eq!(refused.status, 400, "{}", refused.text());
    finish(&client, &upload, &whole, 0);
}

/// Else what it sent would take the place of what the next request sends.
#[test]
fn an_upload_is_busy_until_what_its_client_left_arrived() {
    let bucket = Bucket::start();
    let mut server = Server::configured(&bucket.configuration(STREAMED));
    server.may_complain();
    let client = server.client;
    let whole = content(18_000_000);
    quicken(&client);
    let upload = open(&client);
    let held = bucket.hold(PARTS);
    let mut stream = client.connect();
    let request = format!("PATCH {upload} HTTP/1.1\r\nHost: r\r\nContent-Length: 18000000\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream.write_all(&whole[..12_000_000]).unwrap();
    bucket.wait_for(PARTS, 2);
    drop(stream);
    is_busy_until(&client, &upload, || drop(held));
    assert_eq!(held_bytes(&client, &upload), 12_000_000);
    finish(&client, &upload, &whole, 12_000_000);
}

fn is_busy_until(client: &Client, upload: &str, end: impl FnOnce()) {
    for _ in 0..20 {
        assert_eq!(append(client, upload, b""), 409);
    }
    end();
    let began = Instant::now();
    while append(client, upload, b"") == 409 {
        assert!(began.elapsed() < Duration::from_secs(30), "it is busy");
        thread::sleep(Duration::from_millis(5));
    }
}

fn finish(client: &Client, upload: &str, whole: &[u8], held: usize) {
    let digest = digest(whole);
    let path = format!("{upload}?digest={digest}");
    let finished = client.send("PUT", &path, &[], &whole[held..]);
    assert_eq!(finished.status, 201, "{}", finished.text());
    let blob = client.get(&format!("/v2/acme/web/blobs/{digest}"));
    assert!(blob.body == whole);
}
