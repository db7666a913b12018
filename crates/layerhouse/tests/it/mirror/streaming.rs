//! Many clients, one fetch: whoever asks for what is under way joins it, reads what has arrived, and waits for
//! the rest at the upstream's pace (S34).

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use super::{COPY, LATEST, Mirror, NGINX};
use crate::faults::noise;
use crate::harness::images;
use crate::harness::pull::Pull;
use crate::harness::upstream::Trouble;

const SIZE: usize = 4 << 20;
const HALF: usize = SIZE / 2;

/// A mirror whose upstream stands still after half of a blob; the blob, its digest and path.
fn stuck(more: &str) -> (Mirror, Vec<u8>, String) {
    let mirror = Mirror::configured("", more);
    let content = noise(1, SIZE);
    let digest = mirror.upstream.give_blob(NGINX, &content);
    mirror.upstream.once(
        "GET /v2/library/nginx/blobs/",
        Trouble::Stalls { after: HALF },
    );
    let path = format!("{COPY}/blobs/{digest}");
    (mirror, content, path)
}

/// What certainly comes through of the half: the rest may wait for a full window.
const ENOUGH: usize = HALF - (512 << 10);

#[test]
fn sec_s34_fifty_clients_cause_one_fetch_and_read_along() {
    let (mirror, content, path) = stuck("");
    let client = mirror.server.client;
    let halves = Barrier::new(51);
    thread::scope(|scope| {
        let pulls: Vec<_> = (0..50)
            .map(|_| {
                let (halves, path) = (&halves, &path);
                scope.spawn(move || {
                    let mut pull = Pull::begin(&client, path, &[]);
                    assert_eq!(pull.head.status, 200);
                    assert_eq!(pull.head.header("content-length"), Some(&*SIZE.to_string()));
                    pull.read_up_to(ENOUGH).expect("it comes while it arrives");
                    halves.wait();
                    pull.finish().expect("all of it comes")
                })
            })
            .collect();
        // All have their halves before the upstream goes on.
        halves.wait();
        mirror.upstream.open();
        for pull in pulls {
            assert!(
                pull.join().unwrap() == content,
                "the bytes are the upstream's"
            );
        }
    });
    assert_eq!(mirror.upstream.count("GET /v2/library/nginx/blobs/"), 1);
    assert!(mirror.pull(&path).body == content);
    assert_eq!(mirror.upstream.count("GET /v2/library/nginx/blobs/"), 1);
}

#[test]
fn sec_s34_ranges_join_the_fetch() {
    let (mirror, content, path) = stuck("");
    let client = mirror.server.client;
    let mut first = Pull::begin(&client, &path, &[]);
    first.read_up_to(1).unwrap();
    mirror.upstream.wait_until_stuck(1);
    // What is there is served at once, but for the last byte: until the whole is verified no answer ends well.
    let mut early = Pull::begin(&client, &path, &[("Range", "bytes=1000-1999")]);
    assert_eq!(early.head.status, 206);
    assert_eq!(
        early.head.header("content-range"),
        Some(&*format!("bytes 1000-1999/{SIZE}"))
    );
    early.read_up_to(999).unwrap();
    // What is not yet, is waited for.
    let (from, last) = (SIZE - 1000, SIZE - 1);
    let late = Pull::ask(&client, &path, &[("Range", &format!("bytes={from}-"))]);
    let across = Pull::ask(&client, &path, &[("Range", &format!("bytes=100-{last}"))]);
    let suffix = Pull::ask(&client, &path, &[("Range", "bytes=-10")]);
    let beyond = client.send("GET", &path, &[("Range", &format!("bytes={SIZE}-"))], b"");
    assert_eq!(beyond.status, 416, "{}", beyond.text());
    mirror.upstream.open();
    assert!(early.finish().unwrap() == content[1000..2000]);
    let late = Pull::answered(late).unwrap();
    assert_eq!(late.head.status, 206);
    assert!(late.finish().unwrap() == content[from..]);
    assert!(Pull::answered(across).unwrap().finish().unwrap() == content[100..]);
    assert!(Pull::answered(suffix).unwrap().finish().unwrap() == content[SIZE - 10..]);
    assert!(first.finish().unwrap() == content);
    assert_eq!(mirror.upstream.count("GET /v2/library/nginx/blobs/"), 1);
}

/// A range of what is not here at all: the whole is fetched, for the next will want another part.
#[test]
fn a_range_of_a_cold_blob_is_served() {
    let mirror = Mirror::start();
    let content = noise(2, SIZE);
    let digest = mirror.upstream.give_blob(NGINX, &content);
    let path = format!("{COPY}/blobs/{digest}");
    let client = mirror.server.client;
    let part = client.send("GET", &path, &[("Range", "bytes=3000000-3000009")], b"");
    assert_eq!(part.status, 206, "{}", part.text());
    assert!(part.body == content[3_000_000..3_000_010]);
    assert!(mirror.pull(&path).body == content);
    assert_eq!(mirror.upstream.count("GET "), 1);
}

#[test]
fn the_first_who_leaves_does_not_stop_the_others() {
    let (mirror, content, path) = stuck("background: false");
    let client = mirror.server.client;
    let mut first = Pull::begin(&client, &path, &[]);
    first.read_up_to(ENOUGH).unwrap();
    let mut second = Pull::begin(&client, &path, &[]);
    second.read_up_to(ENOUGH).unwrap();
    drop(first);
    let mut third = Pull::begin(&client, &path, &[]);
    third.read_up_to(ENOUGH).unwrap();
    mirror.upstream.open();
    assert!(second.finish().unwrap() == content);
    assert!(third.finish().unwrap() == content);
    assert_eq!(mirror.upstream.count("GET /v2/library/nginx/blobs/"), 1);
}

/// The last who leaves: it is fetched to its end all the same, if that is wanted.
#[test]
fn a_fetch_that_nobody_waits_for_is_finished_in_the_background() {
    let (mirror, content, path) = stuck("background: true");
    let client = mirror.server.client;
    let mut only = Pull::begin(&client, &path, &[]);
    only.read_up_to(1000).unwrap();
    mirror.upstream.wait_until_stuck(1);
    drop(only);
    mirror.upstream.open();
    assert!(mirror.pull(&path).body == content);
    assert_eq!(mirror.upstream.count("GET /v2/library/nginx/blobs/"), 1);
}

/// A client that reads slowly has the others wait for nothing.
#[test]
fn sec_s34_a_slow_client_slows_nobody_down() {
    let mirror = Mirror::start();
    let content = noise(3, 32 << 20);
    let digest = mirror.upstream.give_blob(NGINX, &content);
    let path = format!("{COPY}/blobs/{digest}");
    let client = mirror.server.client;
    // It asks first, and reads nothing.
    let slow = Pull::ask(&client, &path, &[]);
    mirror
        .upstream
        .wait_until_asked("GET /v2/library/nginx/blobs/", 1);
    for _ in 0..3 {
        assert!(mirror.pull(&path).body == content);
    }
    let slow = Pull::answered(slow).unwrap();
    assert!(slow.finish().unwrap() == content);
    assert_eq!(mirror.upstream.count("GET "), 1);
}

/// Everything of a cold image at once, by many.
#[test]
fn sec_s34_two_hundred_cold_pulls_ask_once_for_each_part() {
    let mirror = Mirror::start();
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    let client = mirror.server.client;
    let config = images::digest("{}");
    let begin = Barrier::new(200);
    thread::scope(|scope| {
        for _ in 0..200 {
            scope.spawn(|| {
                begin.wait();
                let manifest = client.get(LATEST);
                assert_eq!(manifest.text(), image.manifest);
                for digest in [&config, &image.layer] {
                    let blob = client.get(&format!("{COPY}/blobs/{digest}"));
                    assert_eq!(images::digest(&blob.body), *digest);
                }
            });
        }
    });
    let asked = mirror.upstream.drain();
    let gets = asked
        .iter()
        .filter(|line| line.starts_with("GET /v2/library"));
    assert_eq!(gets.count(), 3, "{asked:#?}");
    assert!(asked.len() <= 6, "{asked:#?}");
}

#[test]
fn heads_say_the_size() {
    let mirror = Mirror::start();
    let content = noise(4, 100_000);
    let digest = mirror.upstream.give_blob(NGINX, &content);
    let path = format!("{COPY}/blobs/{digest}");
    let client = mirror.server.client;
    for is_cold in [true, false] {
        let head = client.send("HEAD", &path, &[], b"");
        assert_eq!(head.status, 200, "{is_cold}");
        assert_eq!(head.header("content-length"), Some("100000"), "{is_cold}");
        assert_eq!(
            head.header("docker-content-digest"),
            Some(&*digest),
            "{is_cold}"
        );
        if is_cold {
            assert_eq!(mirror.upstream.count("GET "), 0, "no bytes for a HEAD");
            mirror.pull(&path);
        }
    }
    let missing = format!("{COPY}/blobs/{}", images::digest("none"));
    assert_eq!(client.send("HEAD", &missing, &[], b"").status, 404);
    let empty = mirror.upstream.give_blob(NGINX, "");
    let path = format!("{COPY}/blobs/{empty}");
    assert_eq!(mirror.pull(&path).body, b"");
    assert_eq!(mirror.pull(&path).body, b"");
}

/// An upstream that does not say how long a blob is.
#[test]
fn a_blob_in_chunks_of_unknown_number() {
    let mirror = Mirror::start();
    let content = noise(5, 300_000);
    let digest = mirror.upstream.give_blob(NGINX, &content);
    mirror.upstream.always("/blobs/", Trouble::Chunked);
    let path = format!("{COPY}/blobs/{digest}");
    for _ in 0..2 {
        assert!(mirror.pull(&path).body == content);
    }
    assert_eq!(mirror.upstream.count("GET "), 1);
}

/// An upstream is not asked for everything at once.
#[test]
fn fetches_at_once_are_bounded() {
    let mirror = Mirror::configured("fetches: 2", "");
    let client = mirror.server.client;
    let contents: Vec<Vec<u8>> = (0..6).map(|seed| noise(100 + seed, 100_000)).collect();
    let digests: Vec<String> = contents
        .iter()
        .map(|content| mirror.upstream.give_blob(NGINX, content))
        .collect();
    mirror
        .upstream
        .always("GET ", Trouble::Stalls { after: 1000 });
    thread::scope(|scope| {
        let pulls: Vec<_> = digests
            .iter()
            .map(|digest| scope.spawn(move || client.get(&format!("{COPY}/blobs/{digest}"))))
            .collect();
        mirror.upstream.wait_until_stuck(2);
        // More would have come by now; that they do not is what this is about.
        thread::sleep(Duration::from_millis(300));
        assert_eq!(mirror.upstream.count("GET "), 2);
        mirror.upstream.heal();
        mirror.upstream.open();
        for (pull, content) in pulls.into_iter().zip(&contents) {
            assert!(pull.join().unwrap().body == *content);
        }
    });
}
