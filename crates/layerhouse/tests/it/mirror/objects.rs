//! Copies whose bytes are in a bucket: they pass through a file while they come, and are read meanwhile.

use super::replicas::two;
use super::{COPY, LATEST, NGINX, section, wait_until};
use crate::faults::noise;
use crate::harness::bucket::Bucket;
use crate::harness::pull::Pull;
use crate::harness::server::Server;
use crate::harness::upstream::{Trouble, Upstream};

pub(super) const STREAMED: &str = "redirect: {disable: true}";
/// Three parts, the last of one byte.
const SIZE: usize = (10 << 20) + 1;
const ASKED: &str = "GET /v2/library/nginx/blobs/";

/// In this order, for what is named last goes first.
pub(super) fn start(storage: &str) -> (Bucket, Upstream, Server) {
    let (bucket, upstream) = (Bucket::start(), Upstream::start());
    let mirror = section(&[("up1", &upstream.url(), "")], "up1", "");
    let server = Server::configured(&format!("{}\n{mirror}", bucket.configuration(storage)));
    (bucket, upstream, server)
}

pub(super) fn blob(digest: &str) -> String {
    format!("{COPY}/blobs/{digest}")
}

fn staged(server: &Server) -> usize {
    let stages = server.root().join("layerhouse/uploads");
    std::fs::read_dir(stages).expect("a directory").count()
}

#[test]
fn a_copy_is_read_while_it_comes_and_kept_in_the_bucket() {
    let (bucket, upstream, mut server) = start(STREAMED);
    let content = noise(61, SIZE);
    let digest = upstream.give_blob(NGINX, &content);
    upstream.once(ASKED, Trouble::Stalls { after: SIZE / 2 });
    let mut pull = Pull::begin(&server.client, &blob(&digest), &[]);
    pull.read_up_to(SIZE / 4)
        .expect("it comes while it arrives");
    upstream.open();
    assert!(pull.finish().expect("all of it comes") == content);
    wait_until("it is in the bucket", || bucket.holds(&digest));
    wait_until("nothing is left of it here", || staged(&server) == 0);
    assert_eq!(bucket.open_parts(), 0);
    let part = server.client.send(
        "GET",
        &blob(&digest),
        &[("Range", "bytes=5242879-5242882")],
        b"",
    );
    assert_eq!(part.status, 206);
    assert!(part.body == content[5_242_879..5_242_883]);
    server.restart();
    assert!(server.client.get(&blob(&digest)).body == content);
    assert_eq!(upstream.count("GET "), 1);
    let image = upstream.give_image(NGINX, "latest", "a layer");
    assert_eq!(server.client.get(LATEST).text(), image.manifest);
    let layer = blob(&image.layer);
    assert_eq!(server.client.get(&layer).text(), "a layer");
    // An empty one, too.
    let empty = upstream.give_blob(NGINX, b"");
    assert_eq!(server.client.get(&blob(&empty)).status, 200);
}

#[test]
fn clients_are_sent_to_the_bucket_for_what_is_there() {
    let (bucket, upstream, server) = start("redirect: {disable: false}");
    let content = noise(62, 1000);
    let digest = upstream.give_blob(NGINX, &content);
    assert!(
        server.client.get(&blob(&digest)).body == content,
        "from us while it comes"
    );
    wait_until("it is in the bucket", || bucket.holds(&digest));
    wait_until("clients are sent there", || {
        server.client.get(&blob(&digest)).status == 307
    });
    assert_eq!(upstream.count(ASKED), 1);
}

/// Who reads it gets it; it is fetched again by who asks later.
#[test]
fn what_the_bucket_does_not_take_is_not_kept() {
    let (bucket, upstream, mut server) = start(STREAMED);
    server.may_complain();
    for (number, size) in [1000, SIZE].into_iter().enumerate() {
        let content = noise(63 + number as u64, size);
        let digest = upstream.give_blob(NGINX, &content);
        bucket.refuse("PUT /images/", usize::MAX);
        assert!(server.client.get(&blob(&digest)).body == content);
        wait_until("it is given up", || staged(&server) == 0);
        assert!(!bucket.holds(&digest));
        assert_eq!(bucket.open_parts(), 0, "no parts stay behind");
        bucket.mend();
        upstream.drain();
        wait_until("it is fetched again", || {
            server.client.get(&blob(&digest)).body == content && bucket.holds(&digest)
        });
        assert_eq!(upstream.count(ASKED), 1);
    }
}

/// An object that is gone is fetched again, by one process or by one of several.
#[test]
fn what_the_bucket_lost_is_fetched_again() {
    let (bucket, upstream, mut alone) = start(STREAMED);
    alone.may_complain();
    loses_and_heals(&alone, (&bucket, &upstream));
    if let Some((bucket, upstream, mut first, mut second)) = two() {
        first.may_complain();
        second.may_complain();
        loses_and_heals(&first, (&bucket, &upstream));
        loses_and_heals(&second, (&bucket, &upstream));
    }
}

fn loses_and_heals(server: &Server, (bucket, upstream): (&Bucket, &Upstream)) {
    upstream.drain();
    let content = noise(67, 1000);
    let digest = upstream.give_blob(NGINX, &content);
    assert!(server.client.get(&blob(&digest)).body == content);
    wait_until("it is in the bucket", || bucket.holds(&digest));
    let ours = bucket.keys();
    for key in ours {
        std::fs::remove_file(bucket.path(&key)).expect("it can be removed");
    }
    upstream.drain();
    wait_until("it is fetched again", || {
        let answer = server.client.get(&blob(&digest));
        answer.status == 200 && answer.body == content && bucket.holds(&digest)
    });
    assert_eq!(upstream.count(ASKED), 1);
}
