//! Blobs: whole and in part, known and unknown, deleted and needed.

use crate::harness::images;
use crate::harness::server::Server;
use crate::harness::transcript::{Transcript, check};

#[test]
fn a_blob_is_described_as_it_is_served() {
    check(
        "POST  /v2/acme/web/blobs/uploads/?digest=$sha256(abcd)  'abcd'  201
         GET   /v2/acme/web/blobs/$sha256(abcd)   200  'abcd'  Content-Length: 4  Content-Type: application/octet-stream  Docker-Content-Digest: $sha256(abcd)  ETag: \"$sha256(abcd)\"  Accept-Ranges: bytes  Cache-Control: max-age=31536000  X-Content-Type-Options: nosniff
         HEAD  /v2/acme/web/blobs/$sha256(abcd)   200  ''  Content-Length: 4  Docker-Content-Digest: $sha256(abcd)
         HEAD  /v2/acme/web/blobs/$sha256(efgh)   404  ''
         GET   /v2/acme/web/blobs/$sha256(efgh)   404  BLOB_UNKNOWN
         GET   /v2/acme/api/blobs/$sha256(abcd)   404  BLOB_UNKNOWN
         PUT   /v2/acme/web/blobs/$sha256(abcd)   405  UNSUPPORTED  Allow: GET, HEAD, DELETE, OPTIONS
         restart
         GET   /v2/acme/web/blobs/$sha256(abcd)   200  'abcd'",
    );
}

#[test]
fn sec_s46_one_range_is_served_several_are_the_whole() {
    let mut transcript = Transcript::start();
    transcript
        .run("POST  /v2/acme/web/blobs/uploads/?digest=$sha256(0123456789)  '0123456789'  201");
    for (range, expected) in [
        (
            "bytes=0-3",
            "206  '0123'  Content-Range: bytes 0-3/10  Content-Length: 4",
        ),
        ("bytes=4-", "206  '456789'  Content-Range: bytes 4-9/10"),
        ("bytes=-3", "206  '789'  Content-Range: bytes 7-9/10"),
        ("bytes=0-", "206  '0123456789'  Content-Range: bytes 0-9/10"),
        ("bytes=9-9", "206  '9'  Content-Range: bytes 9-9/10"),
        ("bytes=5-99", "206  '56789'  Content-Range: bytes 5-9/10"),
        (
            "bytes=-99",
            "206  '0123456789'  Content-Range: bytes 0-9/10",
        ),
        ("bytes=10-", "416  RANGE_INVALID  Content-Range: bytes */10"),
        (
            "bytes=10-12",
            "416  RANGE_INVALID  Content-Range: bytes */10",
        ),
        ("bytes=-0", "416  RANGE_INVALID  Content-Range: bytes */10"),
        ("bytes=18446744073709551615-", "416  RANGE_INVALID"),
        (
            "bytes=0-18446744073709551615",
            "206  '0123456789'  Content-Range: bytes 0-9/10",
        ),
        ("bytes=99999999999999999999999-", "416  RANGE_INVALID"),
        ("bytes=-99999999999999999999999", "206  '0123456789'"),
        ("bytes=0-1,3-4", "200  '0123456789'  Content-Range: -"),
        ("bytes=3-1", "200  '0123456789'"),
        ("bytes=a-b", "200  '0123456789'"),
        ("bytes=", "200  '0123456789'"),
        ("lines=0-1", "200  '0123456789'"),
    ] {
        transcript.run(&format!(
            "GET  /v2/acme/web/blobs/$sha256(0123456789)  Range: {range}  {expected}"
        ));
    }
    transcript.run(
        "HEAD  /v2/acme/web/blobs/$sha256(0123456789)  Range: bytes=0-3  200  Content-Length: 10
         GET   /v2/acme/web/blobs/$sha256(0123456789)  Range: bytes=0-3  If-Range: \"$sha256(0123456789)\"  206  '0123'
         GET   /v2/acme/web/blobs/$sha256(0123456789)  Range: bytes=0-3  If-Range: \"$sha256(other)\"       200  '0123456789'
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256()               201
         GET   /v2/acme/web/blobs/$sha256()  Range: bytes=0-              416  Content-Range: bytes */0
         GET   /v2/acme/web/blobs/$sha256()  Range: bytes=-1              200  ''",
    );
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    check(
        "POST  /v2/acme/web/blobs/uploads/?digest=$sha256(abcd)  'abcd'  201
         GET   /v2/acme/web/blobs/$sha256(abcd)  If-None-Match: \"$sha256(abcd)\"             304  ''  ETag: \"$sha256(abcd)\"
         GET   /v2/acme/web/blobs/$sha256(abcd)  If-None-Match: \"x\", W/\"$sha256(abcd)\"    304
         GET   /v2/acme/web/blobs/$sha256(abcd)  If-None-Match: *                             304
         GET   /v2/acme/web/blobs/$sha256(abcd)  If-None-Match: \"$sha256(efgh)\"             200  'abcd'
         GET   /v2/acme/web/blobs/$sha256(efgh)  If-None-Match: \"$sha256(efgh)\"             404  BLOB_UNKNOWN
         GET   /v2/acme/api/blobs/$sha256(abcd)  If-None-Match: \"$sha256(abcd)\"             404  BLOB_UNKNOWN",
    );
}

#[test]
fn a_blob_is_deleted_unless_a_manifest_needs_it() {
    let image = images::image("{}", &["abcd"]).to_string();
    Transcript::start().given("image", image).run(
        "POST   /v2/acme/web/blobs/uploads/?digest=$sha256(abcd)  'abcd'  201
         POST   /v2/acme/web/blobs/uploads/?digest=$sha256({})  '{}'  201
         POST   /v2/acme/api/blobs/uploads/?digest=$sha256(abcd)  'abcd'  201
         DELETE /v2/acme/api/blobs/$sha256(abcd)      202  Docker-Content-Digest: $sha256(abcd)
         DELETE /v2/acme/api/blobs/$sha256(abcd)      404  BLOB_UNKNOWN
         GET    /v2/acme/api/blobs/$sha256(abcd)      404  BLOB_UNKNOWN
         GET    /v2/acme/web/blobs/$sha256(abcd)      200  'abcd'
         PUT    /v2/acme/web/manifests/v1  $image     201
         DELETE /v2/acme/web/blobs/$sha256(abcd)      405  UNSUPPORTED
         DELETE /v2/acme/web/blobs/$sha256({})        405  UNSUPPORTED
         DELETE /v2/acme/web/manifests/v1             202
         DELETE /v2/acme/web/blobs/$sha256(abcd)      405  UNSUPPORTED
         DELETE /v2/acme/web/manifests/$sha256($image)  202
         DELETE /v2/acme/web/blobs/$sha256(abcd)      202
         GET    /v2/acme/web/blobs/$sha256(abcd)      404
         DELETE /v2/acme/none/blobs/$sha256(abcd)     404  BLOB_UNKNOWN
         restart
         GET    /v2/acme/web/blobs/$sha256(abcd)      404
         GET    /v2/acme/web/blobs/$sha256({})        200  '{}'
         POST   /v2/acme/web/blobs/uploads/?digest=$sha256(abcd)  'abcd'  201
         GET    /v2/acme/web/blobs/$sha256(abcd)      200  'abcd'",
    );
}

/// I4: whatever the size, whole or in ranges, before and after a restart: the bytes that were pushed.
#[test]
fn inv_i4_bytes_under_a_digest_hash_to_it() {
    const WINDOW: usize = 256 << 10;
    let mut server = Server::start();
    let sizes = [0, 1, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW + 7];
    let pattern = |size: usize| (0..=250_u8).cycle().take(size).collect::<Vec<_>>();
    let pushed: Vec<(String, Vec<u8>)> = sizes
        .map(|size| {
            let content = pattern(size);
            (
                images::push_blob(&server.client, "acme/web", &content),
                content,
            )
        })
        .into();
    for is_restarted in [false, true] {
        if is_restarted {
            server.restart();
        }
        for (digest, content) in &pushed {
            let path = format!("/v2/acme/web/blobs/{digest}");
            let whole = server.client.get(&path);
            assert_eq!(images::digest(&whole.body), *digest);
            for first in [0, content.len() / 2, content.len().saturating_sub(1)] {
                let range = format!("bytes={first}-");
                let part = server.client.send("GET", &path, &[("Range", &range)], b"");
                let expected = if content.is_empty() { 416 } else { 206 };
                assert_eq!(part.status, expected);
                if expected == 206 {
                    assert_eq!(part.body, content[first..]);
                }
            }
        }
    }
}
