//! `quota`: how much repositories may hold.

use std::sync::Barrier;

use crate::harness::images;
use crate::harness::server::Server;
use crate::harness::transcript::Transcript;

fn configuration(quota: &str) -> String {
    format!("layerhouse: {{ policies: [ {{ repositories: ['acme/**'], quota: {{ {quota} }} }} ] }}")
}

/// Ten bytes each: whatever way they come.
#[test]
fn a_repository_holds_so_many_bytes() {
    let mut transcript = Transcript::configured(&configuration("size: 25 B"));
    transcript.run(
        "POST  /v2/acme/web/blobs/uploads/?digest=$sha256(0123456789)  '0123456789'  201
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256(a123456789)  'a123456789'  201
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256(b123456789)  'b123456789'  403  DENIED
         GET   /v2/acme/web/blobs/$sha256(b123456789)                  404  BLOB_UNKNOWN
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256(b123456789)  streamed 'b123456789'  403  DENIED
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256(b1234)       'b1234'       201
         POST  /v2/acme/web/blobs/uploads/                             403  DENIED
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256(a123456789)  'a123456789'  201
         POST  /v2/acme/api/blobs/uploads/?digest=$sha256(c123456789)  'c123456789'  201
         POST  /v2/acme/web/blobs/uploads/?mount=$sha256(c123456789)&from=acme/api   403  DENIED
         POST  /v2/acme/web/blobs/uploads/?mount=$sha256(a123456789)&from=acme/web   201
         POST  /v2/acme/new/blobs/uploads/?mount=$sha256(a123456789)&from=acme/web   201
         POST  /v2/other/blobs/uploads/?digest=$sha256(0123456789012345678901234567)  '0123456789012345678901234567'  201",
    );
}

/// What an upload holds counts, and an upload that was refused holds nothing.
#[test]
fn chunks_count_when_they_come() {
    let mut transcript = Transcript::configured(&configuration("size: 25 B"));
    transcript.run(
        "POST  /v2/acme/web/blobs/uploads/             202
         PATCH $upload  0-9 '0123456789'               202
         PATCH $upload  10-19 '0123456789'             202
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256(a123456789)  'a123456789'  403  DENIED
         PATCH $upload  20-29 '0123456789'             403  DENIED
         GET   $upload                                 404  BLOB_UPLOAD_UNKNOWN
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256(a123456789)  'a123456789'  201
         POST  /v2/acme/web/blobs/uploads/             202
         PATCH $upload  streamed '0123456789'          202
         PATCH $upload  streamed '0123456789'          403  DENIED
         POST  /v2/acme/web/blobs/uploads/             202
         PATCH $upload  '0123456789'                   202
         PUT   $upload?digest=$sha256(012345678901234)  '01234'  201
         POST  /v2/acme/web/blobs/uploads/             403  DENIED",
    );
}

#[test]
fn a_namespace_is_counted_together() {
    let mut transcript =
        Transcript::configured(&configuration("size: 25 B, tags: 2, per: namespace"))
            .given("one", images::image("{}", &[]).to_string())
            .given("other", images::image("{}", &["a"]).to_string());
    transcript.run(
        "POST  /v2/acme/web/blobs/uploads/?digest=$sha256(0123456789)  '0123456789'  201
         POST  /v2/acme/a/b/blobs/uploads/?digest=$sha256(0123456789)  '0123456789'  201
         POST  /v2/acme/api/blobs/uploads/?digest=$sha256(a123456789)  'a123456789'  403  DENIED
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256({})          '{}'          201
         POST  /v2/acme/api/blobs/uploads/?digest=$sha256({})          '{}'          201
         PUT   /v2/acme/web/manifests/v1  $one  201
         PUT   /v2/acme/api/manifests/v1  $one  201
         PUT   /v2/acme/api/manifests/v2  $one  403  DENIED
         PUT   /v2/acme/api/manifests/v1  $one  201
         PUT   /v2/acme/api/manifests/$sha256($one)  $one  201
         DELETE /v2/acme/web/manifests/v1       202
         PUT   /v2/acme/api/manifests/v2  $one  201",
    );
}

#[test]
fn who_is_refused_is_told_how_much_there_is() {
    let server = Server::configured(&configuration("size: 3 KiB, tags: 1"));
    images::push_blob(&server.client, "acme/web", "x".repeat(2048));
    let body = "y".repeat(2000);
    let path = format!(
        "/v2/acme/web/blobs/uploads/?digest={}",
        images::digest(&body)
    );
    let answer = server.client.send("POST", &path, &[], body.as_bytes());
    let expected = "repository acme/web holds 2 KiB of the 3 KiB that it may \
                    (layerhouse.policies[0]: quota size), and 2 KiB more is too much; delete what";
    assert!(answer.text().contains(expected), "{}", answer.text());
    images::push_image(&server.client, "acme/web", "v1", "a");
    let image = images::image("{}", &["a"]).to_string();
    let answer = images::push_manifest(&server.client, "acme/web", "v2", &image);
    let expected =
        "repository acme/web has the 1 tags that it may (layerhouse.policies[0]: quota tags)";
    assert!(answer.text().contains(expected), "{}", answer.text());
}

/// However many push at once, what is linked is never too much.
#[test]
fn of_many_at_once_as_many_get_in_as_fit() {
    const CLIENTS: usize = 12;
    const BYTES: usize = 40_000;
    let quota = format!("size: {} B, tags: 5", BYTES * 5 + BYTES / 2);
    let server = Server::configured(&configuration(&quota));
    let client = server.client;
    let barrier = Barrier::new(CLIENTS);
    let pushed: Vec<u16> = std::thread::scope(|scope| {
        let pushing: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let barrier = &barrier;
                scope.spawn(move || {
                    let body = format!("{number:04}").repeat(BYTES / 4);
                    let digest = images::digest(&body);
                    barrier.wait();
                    let path = format!("/v2/acme/web/blobs/uploads/?digest={digest}");
                    client.send("POST", &path, &[], body.as_bytes()).status
                })
            })
            .collect();
        pushing.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let taken = pushed.iter().filter(|status| **status == 201).count();
    assert!(
        pushed.iter().all(|status| [201, 403].contains(status)),
        "{pushed:?}"
    );
    // Who came while another still held what was then refused, was refused with it.
    assert!((1..=5).contains(&taken), "{pushed:?}");
    // One after the other, the rest fits.
    for number in 0..5 - taken {
        images::push_blob(
            &client,
            "acme/web",
            format!("r{number:03}").repeat(BYTES / 4),
        );
    }
    let path = format!(
        "/v2/acme/web/blobs/uploads/?digest={}",
        images::digest("z".repeat(BYTES))
    );
    assert_eq!(
        client
            .send("POST", &path, &[], "z".repeat(BYTES).as_bytes())
            .status,
        403
    );

    images::push_blob(&client, "acme/web", "{}");
    let image = images::image("{}", &[]).to_string();
    let barrier = Barrier::new(CLIENTS);
    let tagged: Vec<u16> = std::thread::scope(|scope| {
        let pushing: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (barrier, image) = (&barrier, &image);
                scope.spawn(move || {
                    barrier.wait();
                    images::push_manifest(&client, "acme/web", &format!("t{number}"), image).status
                })
            })
            .collect();
        pushing.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let taken = tagged.iter().filter(|status| **status == 201).count();
    assert_eq!(taken, 5, "{tagged:?}");
}
