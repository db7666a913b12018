//! Uploads: every way in, every way to do it wrong, and what becomes of those that are left.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::http::read_response;
use crate::harness::server::Server;
use crate::harness::transcript::{Transcript, check, check_configured};

#[test]
fn a_blob_in_one_request() {
    check(
        "POST  /v2/acme/web/blobs/uploads/?digest=$sha256(abcd)  'abcd'     201  Location: /v2/acme/web/blobs/$sha256(abcd)  Docker-Content-Digest: $sha256(abcd)  Content-Length: 0
         GET   /v2/acme/web/blobs/$sha256(abcd)                             200  'abcd'
         POST  /v2/acme/web/blobs/uploads?digest=$sha512(abcd)  'abcd'      201  Location: /v2/acme/web/blobs/$sha512(abcd)
         GET   /v2/acme/web/blobs/$sha512(abcd)                             200  'abcd'
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256()                 201
         GET   /v2/acme/web/blobs/$sha256()                                 200  ''  Content-Length: 0
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256(xyz)  streamed 'xyz'  201
         GET   /v2/acme/web/blobs/$sha256(xyz)                              200  'xyz'
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256(abcd)  'abcx'     400  DIGEST_INVALID
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256(nope)  'abcx'     400  DIGEST_INVALID
         GET   /v2/acme/web/blobs/$sha256(nope)                             404  BLOB_UNKNOWN
         GET   /v2/acme/web/blobs/$sha256(abcx)                             404  BLOB_UNKNOWN
         POST  /v2/acme/web/blobs/uploads/?digest=md5:abcd  'abcd'          400  DIGEST_INVALID
         POST  /v2/acme/web/blobs/uploads/?digest=  'abcd'                  400  DIGEST_INVALID",
    );
}

#[test]
fn a_session_closed_by_one_put() {
    check(
        "POST  /v2/acme/web/blobs/uploads/                202  Location: /v2/acme/web/blobs/uploads/…  Range: 0-0  Docker-Upload-UUID: …  Content-Length: 0
         PUT   $upload?digest=$sha256(abcd)  'abcd'       201  Location: /v2/acme/web/blobs/$sha256(abcd)  Docker-Content-Digest: $sha256(abcd)
         GET   $upload                                    404  BLOB_UPLOAD_UNKNOWN
         GET   /v2/acme/web/blobs/$sha256(abcd)           200  'abcd'
         POST  /v2/acme/web/blobs/uploads/                202
         PUT   $upload?digest=$sha512(abcd)  'abcd'       201  Docker-Content-Digest: $sha512(abcd)
         GET   /v2/acme/web/blobs/$sha512(abcd)           200  'abcd'
         POST  /v2/acme/web/blobs/uploads/                202
         PUT   $upload?digest=$sha256(xyz)  streamed 'xyz'  201
         POST  /v2/acme/web/blobs/uploads/                202
         PUT   $upload?digest=$sha256()                   201
         POST  /v2/acme/web/blobs/uploads/                202
         PUT   $upload?_state=x&digest=$sha256(abcd)  0-3 'abcd'  201",
    );
}

#[test]
fn chunks_arrive_in_order() {
    check(
        "POST  /v2/acme/web/blobs/uploads/              202
         GET   $upload                                  204  Range: 0-0  Location: /v2/acme/web/blobs/uploads/…
         PATCH $upload  0-3 'abcd'                      202  Range: 0-3  Location: $upload  Docker-Upload-UUID: …
         PATCH $upload  8-9 'ij'                        416  BLOB_UPLOAD_INVALID  Range: 0-3  Location: $upload
         PATCH $upload  2-5 'cdef'                      416  BLOB_UPLOAD_INVALID  Range: 0-3
         PATCH $upload  0-3 'abcd'                      416  BLOB_UPLOAD_INVALID  Range: 0-3
         GET   $upload                                  204  Range: 0-3
         PATCH $upload  4-7 'efgh'                      202  Range: 0-7
         PATCH $upload  Content-Range: bytes 8-8/10  'i'  202  Range: 0-8
         PUT   $upload?digest=$sha256(abcdefghij)  8-9 'ij'   416  BLOB_UPLOAD_INVALID  Range: 0-8
         PUT   $upload?digest=$sha256(abcdefghij)  9-9 'j'    201
         GET   /v2/acme/web/blobs/$sha256(abcdefghij)   200  'abcdefghij'
         PATCH $upload  'k'                             404  BLOB_UPLOAD_UNKNOWN",
    );
}

#[test]
fn chunks_without_a_range_are_appended() {
    check(
        "POST  /v2/acme/web/blobs/uploads/            202
         PATCH $upload  streamed 'abcdefgh'           202  Range: 0-7
         PATCH $upload  'ij'                          202  Range: 0-9
         PATCH $upload  ''                            202  Range: 0-9
         PATCH $upload  streamed 'k'                  202  Range: 0-10
         PUT   $upload?digest=$sha256(abcdefghijk)    201
         GET   /v2/acme/web/blobs/$sha256(abcdefghijk)  200  'abcdefghijk'",
    );
}

#[test]
fn ranges_that_lie_are_refused_and_change_nothing() {
    check(
        "POST  /v2/acme/web/blobs/uploads/              202
         PATCH $upload  0-3 'abcd'                      202  Range: 0-3
         PATCH $upload  4-7 'efg'                       400  SIZE_INVALID
         PATCH $upload  4-7 'efghi'                     400  SIZE_INVALID
         PATCH $upload  4-7 ''                          400  SIZE_INVALID
         PATCH $upload  streamed 4-7 'efg'              400  SIZE_INVALID
         PATCH $upload  streamed 4-7 'efghi'            400  SIZE_INVALID
         PATCH $upload  7-4 'efgh'                      400  RANGE_INVALID
         PATCH $upload  Content-Range: four  'e'        400  RANGE_INVALID
         PATCH $upload  Content-Range: -4  'e'          400  RANGE_INVALID
         PATCH $upload  Content-Range: 4-  'e'          400  RANGE_INVALID
         PATCH $upload  Content-Range: +4-4  'e'        400  RANGE_INVALID
         PATCH $upload  Content-Range: bytes */9  'e'   400  RANGE_INVALID
         PATCH $upload  4-18446744073709551615 'e'      400  RANGE_INVALID
         PATCH $upload  4-18446744073709551614 'e'      400  SIZE_INVALID
         PATCH $upload  18446744073709551614-18446744073709551614 'e'  416  BLOB_UPLOAD_INVALID
         PUT   $upload?digest=$sha256(abcd)  4-7 'efg'  400  SIZE_INVALID
         GET   $upload                                  204  Range: 0-3
         PATCH $upload  streamed 4-7 'efgh'             202  Range: 0-7
         PUT   $upload?digest=$sha256(abcdefgh)         201",
    );
}

#[test]
fn a_wrong_digest_publishes_nothing_and_ends_the_session() {
    check(
        "POST  /v2/acme/web/blobs/uploads/                202
         PATCH $upload  'abcd'                            202
         PUT   $upload                                    400  DIGEST_INVALID
         PUT   $upload?digest=abcd                        400  DIGEST_INVALID
         PUT   $upload?digest=SHA256:abcd                 400  DIGEST_INVALID
         GET   $upload                                    204  Range: 0-3
         PUT   $upload?digest=$sha256(nope)               400  DIGEST_INVALID
         GET   $upload                                    404  BLOB_UPLOAD_UNKNOWN
         PUT   $upload?digest=$sha256(abcd)  'abcd'       404  BLOB_UPLOAD_UNKNOWN
         GET   /v2/acme/web/blobs/$sha256(nope)           404  BLOB_UNKNOWN
         GET   /v2/acme/web/blobs/$sha256(abcd)           404  BLOB_UNKNOWN
         GET   /v2/_catalog                               200  '{\"repositories\":[]}'",
    );
}

#[test]
fn a_session_can_be_cancelled() {
    check(
        "POST   /v2/acme/web/blobs/uploads/    202
         PATCH  $upload  'abcd'                202
         DELETE $upload                        204
         DELETE $upload                        404  BLOB_UPLOAD_UNKNOWN
         GET    $upload                        404  BLOB_UPLOAD_UNKNOWN
         PATCH  $upload  'efgh'                404  BLOB_UPLOAD_UNKNOWN
         restart
         GET    $upload                        404  BLOB_UPLOAD_UNKNOWN
         GET    /v2/acme/web/blobs/uploads/00000000-0000-4000-8000-000000000000   404  BLOB_UPLOAD_UNKNOWN
         GET    /v2/acme/web/blobs/uploads/nonsense    404  BLOB_UPLOAD_UNKNOWN
         GET    /v2/acme/web/blobs/uploads/            405  UNSUPPORTED  Allow: POST, OPTIONS",
    );
}

#[test]
fn an_upload_goes_on_after_a_restart() {
    check(
        "POST  /v2/acme/web/blobs/uploads/          202
         PATCH $upload  0-3 'abcd'                  202  Range: 0-3
         restart
         GET   $upload                              204  Range: 0-3
         PATCH $upload  3-4 'de'                    416  BLOB_UPLOAD_INVALID  Range: 0-3
         PATCH $upload  4-5 'ef'                    202  Range: 0-5
         restart
         restart
         PUT   $upload?digest=$sha256(abcdefg)  6-6 'g'  201
         restart
         GET   $upload                              404
         GET   /v2/acme/web/blobs/$sha256(abcdefg)  200  'abcdefg'",
    );
}

/// Opens an upload and sends it the first half of a body of 512 KiB, which is then being written.
fn given_writer() -> (Transcript, TcpStream) {
    let mut transcript = Transcript::plain().given("whole", vec![b'w'; 512 << 10]);
    transcript.run("POST  /v2/acme/web/blobs/uploads/  202");
    let mut writer = transcript.servers().next().unwrap().client.connect();
    let upload = transcript.text("upload");
    let head =
        format!("PATCH {upload} HTTP/1.1\r\nHost: registry\r\nContent-Length: 524288\r\n\r\n");
    writer.write_all(head.as_bytes()).unwrap();
    writer.write_all(&vec![b'w'; 256 << 10]).unwrap();
    // A full batch is on the disk, so the request has begun.
    transcript.run("eventually GET $upload  204  Range: 0-262143");
    (transcript, writer)
}

#[test]
fn an_upload_has_one_writer() {
    let (mut transcript, mut writer) = given_writer();
    transcript.run(
        "PATCH  $upload  'x'                       409  BLOB_UPLOAD_INVALID  Retry-After: 5
         PATCH  $upload  9-9 'x'                   409  BLOB_UPLOAD_INVALID
         PUT    $upload?digest=$sha256(abcd)       409  BLOB_UPLOAD_INVALID
         DELETE $upload                            409  BLOB_UPLOAD_INVALID
         GET    $upload                            204",
    );
    writer.write_all(&vec![b'w'; 256 << 10]).unwrap();
    assert_eq!(read_response(&mut writer, false).unwrap().status, 202);
    transcript.run(
        "GET    $upload                            204  Range: 0-524287
         PUT    $upload?digest=$sha256($whole)     201
         GET    /v2/acme/web/blobs/$sha256($whole)  200  $whole",
    );
}

#[test]
fn a_body_that_breaks_off_can_be_gone_on_with() {
    let (mut transcript, mut writer) = given_writer();
    writer.write_all(b"wwww").unwrap();
    drop(writer);
    transcript = transcript.given("rest", vec![b'w'; (256 << 10) - 4]);
    transcript.run(
        "eventually GET $upload                            204  Range: 0-262147
         eventually PATCH $upload  262148-524287 $rest     202  Range: 0-524287
         PUT    $upload?digest=$sha256($whole)             201",
    );
}

#[test]
fn the_number_of_sessions_is_bounded() {
    check_configured(
        "layerhouse: { uploads: { max: 2 } }",
        "POST   /v2/acme/web/blobs/uploads/        202
         POST   /v2/acme/api/blobs/uploads/        202
         POST   /v2/acme/web/blobs/uploads/        429  TOOMANYREQUESTS  Retry-After: 5
         POST   /v2/acme/web/blobs/uploads/?digest=$sha256(abcd)  'abcd'  429  TOOMANYREQUESTS
         DELETE $upload                            204
         POST   /v2/acme/web/blobs/uploads/?digest=$sha256(abcd)  'abcd'  201
         POST   /v2/acme/web/blobs/uploads/?digest=$sha256(abcd)  'abcx'  400
         POST   /v2/acme/web/blobs/uploads/        202
         PUT    $upload?digest=$sha256(abcd)  'abcx'  400
         POST   /v2/acme/web/blobs/uploads/        202
         POST   /v2/acme/web/blobs/uploads/        429",
    );
}

#[test]
fn the_size_of_a_blob_is_bounded() {
    check_configured(
        "layerhouse: { uploads: { blob: 8 B, held: 8 B } }",
        "POST   /v2/acme/web/blobs/uploads/             202
         PATCH  $upload  'abcdefghi'                    413  SIZE_INVALID
         PATCH  $upload  streamed 'abcdefghi'           413  SIZE_INVALID
         GET    $upload                                 204  Range: 0-0
         PATCH  $upload  'abcd'                         202  Range: 0-3
         PATCH  $upload  streamed 'efghi'               413  SIZE_INVALID
         PUT    $upload?digest=$sha256(abcdefghi)  'efghi'  413  SIZE_INVALID
         GET    $upload                                 204  Range: 0-3
         PUT    $upload?digest=$sha256(abcdefgh)  'efgh'  201
         POST   /v2/acme/web/blobs/uploads/?digest=$sha256(abcdefghi)  'abcdefghi'           413  SIZE_INVALID
         POST   /v2/acme/web/blobs/uploads/?digest=$sha256(abcdefghi)  streamed 'abcdefghi'  413  SIZE_INVALID
         GET    /v2/acme/web/blobs/$sha256(abcdefghi)   404",
    );
}

#[test]
fn the_bytes_of_all_sessions_are_bounded() {
    let configuration = "layerhouse: { uploads: { blob: 8 B, held: 8 B } }";
    check_configured(
        configuration,
        "POST   /v2/acme/web/blobs/uploads/             202
         PATCH  $upload  'abcdefgh'                     202
         POST   /v2/acme/web/blobs/uploads/             429  TOOMANYREQUESTS  Retry-After: 5
         DELETE $upload                                 204
         POST   /v2/acme/web/blobs/uploads/             202",
    );
    // Sessions that were opened while there was room fill it together, not each for itself.
    let mut transcript = Transcript::configured(configuration);
    transcript.run("POST  /v2/acme/web/blobs/uploads/  202");
    let first = transcript.text("upload").to_owned();
    transcript.run(
        "POST   /v2/acme/web/blobs/uploads/             202
         PATCH  $upload  'abcdefgh'                     202",
    );
    // Sixteen bytes are not held where eight may be.
    transcript.run(&format!("PATCH  {first}  'abcdefgh'  429"));
    transcript.run("PUT  $upload?digest=$sha256(abcdefgh)  201");
}

#[test]
fn sessions_that_nobody_goes_on_with_are_purged() {
    check(
        "POST   /v2/acme/web/blobs/uploads/   202
         advance 3540s
         PATCH  $upload  'abcd'               202
         advance 3540s
         GET    $upload                       204  Range: 0-3
         PATCH  $upload  'efgh'               202
         advance 3660s
         eventually GET $upload               404  BLOB_UPLOAD_UNKNOWN
         restart
         GET    $upload                       404  BLOB_UPLOAD_UNKNOWN",
    );
    check_configured(
        "layerhouse: { uploads: { idle: 10m, age: 1h } }",
        "POST   /v2/acme/web/blobs/uploads/   202
         advance 590s
         PATCH  $upload  'a'                  202
         advance 590s
         PATCH  $upload  'b'                  202
         advance 590s
         PATCH  $upload  'c'                  202
         advance 590s
         PATCH  $upload  'd'                  202
         advance 590s
         PATCH  $upload  'e'                  202
         advance 590s
         PATCH  $upload  'f'                  202
         advance 90s
         eventually GET $upload               404  BLOB_UPLOAD_UNKNOWN",
    );
}

#[test]
fn a_writer_at_work_is_not_purged() {
    let (mut transcript, mut writer) = given_writer();
    transcript.run(
        "POST   /v2/acme/web/blobs/uploads/   202
         advance 700000s
         eventually GET $upload               404",
    );
    writer.write_all(&vec![b'w'; 256 << 10]).unwrap();
    assert_eq!(read_response(&mut writer, false).unwrap().status, 202);
}

/// F21: bytes are back where they were, and no file is left.
#[test]
fn fault_f21_abandoned_uploads_give_their_space_back() {
    let server = Server::start();
    let staged = || {
        std::fs::read_dir(server.root().join("layerhouse/uploads"))
            .unwrap()
            .count()
    };
    let content = vec![7; 10_000];
    for _ in 0..200 {
        let answer = server
            .client
            .send("POST", "/v2/acme/web/blobs/uploads/", &[], b"");
        let upload = answer.header("location").unwrap().to_owned();
        let head =
            format!("PATCH {upload} HTTP/1.1\r\nHost: registry\r\nContent-Length: 20000\r\n\r\n");
        let mut stream = server.client.connect();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&content).unwrap();
    }
    let begin = Instant::now();
    while staged() < 200 && begin.elapsed() < Duration::from_secs(20) {
        std::thread::yield_now();
    }
    assert_eq!(staged(), 200);
    server.advance(Duration::from_hours(2));
    while staged() != 0 && begin.elapsed() < Duration::from_secs(20) {
        // Some still notice that their client went away, and begin to be idle only then.
        server.advance(Duration::from_hours(1));
        std::thread::yield_now();
    }
    assert_eq!(staged(), 0);
}

/// A delete on a full disk gave the space up that is held back for it: it is taken again, whatever is
/// said of purging.
#[test]
fn the_reserve_comes_back_without_a_purge() {
    for purging in ["{enabled: false}", "{dryrun: true, interval: 24h}"] {
        let configuration = format!("storage: {{maintenance: {{uploadpurging: {purging}}}}}");
        let server = Server::configured(&configuration);
        let reserve = server.root().join("layerhouse/reserve");
        let held_bytes = || std::fs::metadata(&reserve).unwrap().len();
        let before = held_bytes();
        if before == 0 {
            // The disk has no room for it.
            continue;
        }
        std::fs::write(&reserve, b"").unwrap();
        let began = Instant::now();
        let mut advanced = Duration::ZERO;
        while held_bytes() < before {
            assert!(
                began.elapsed() < Duration::from_secs(20) && advanced < Duration::from_hours(20),
                "{purging}"
            );
            server.advance(Duration::from_secs(1));
            advanced += Duration::from_secs(1);
            std::thread::yield_now();
        }
    }
}
