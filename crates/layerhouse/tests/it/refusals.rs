//! I8: thousands of requests that are refused, and every answer and every file is as before.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::harness::files::tree;
use crate::harness::http::Response;
use crate::harness::images;
use crate::harness::server::Server;
use crate::harness::transcript::Transcript;

const GIVEN: &str = "
    POST   /v2/acme/web/blobs/uploads/?digest=$sha256({})  '{}'      201
    POST   /v2/acme/web/blobs/uploads/?digest=$sha256(abcd)  'abcd'  201
    PUT    /v2/acme/web/manifests/v1  $image                         201
    PUT    /v2/acme/web/manifests/all  $index                        201
    POST   /v2/acme/web/blobs/uploads/                               202
    PATCH  $upload  'held'                                           202";

/// Each of them may come at any time, and as often as it likes.
const REFUSED: &str = "
    PUT    /v2/acme/web/manifests/v1                                             400  MANIFEST_INVALID
    PUT    /v2/acme/web/manifests/v1  '{}'                                       400  MANIFEST_INVALID
    PUT    /v2/acme/web/manifests/v1  $lies                                      404  MANIFEST_BLOB_UNKNOWN
    PUT    /v2/acme/new/manifests/v1  $lies                                      404  MANIFEST_BLOB_UNKNOWN
    PUT    /v2/acme/new/manifests/v1  $image                                     404  MANIFEST_BLOB_UNKNOWN
    PUT    /v2/acme/new/manifests/v1  $index                                     404  MANIFEST_BLOB_UNKNOWN
    PUT    /v2/acme/web/manifests/v1  Content-Type: text/plain  $image           400  MANIFEST_INVALID
    PUT    /v2/acme/web/manifests/v1  Content-Type: text  $image                 400  MANIFEST_INVALID
    PUT    /v2/acme/web/manifests/.v1  $image                                    400  TAG_INVALID
    PUT    /v2/Acme/web/manifests/v1  $image                                     400  NAME_INVALID
    PUT    /v2/acme/web/manifests/$sha256(none)  $image                          400  DIGEST_INVALID
    POST   /v2/acme/web/manifests/v1  $image                                     405  UNSUPPORTED
    BREW   /v2/acme/web/manifests/v1  'coffee'                                   405  UNSUPPORTED
    DELETE /v2/acme/web/manifests/none                                           404  MANIFEST_UNKNOWN
    DELETE /v2/acme/new/manifests/v1                                             404  MANIFEST_UNKNOWN
    DELETE /v2/acme/web/manifests/$sha256(none)                                  404  MANIFEST_UNKNOWN
    DELETE /v2/acme/web/manifests/$sha256($image)                                405  UNSUPPORTED
    DELETE /v2/acme/web/blobs/$sha256(abcd)                                      405  UNSUPPORTED
    DELETE /v2/acme/web/blobs/$sha256(none)                                      404  BLOB_UNKNOWN
    DELETE /v2/acme/new/blobs/$sha256(abcd)                                      404  BLOB_UNKNOWN
    DELETE /v2/_catalog                                                          405  UNSUPPORTED
    POST   /v2/acme/web/blobs/uploads/?digest=$sha256(none)  'abcd'              400  DIGEST_INVALID
    POST   /v2/acme/new/blobs/uploads/?digest=$sha256(none)  'abcd'              400  DIGEST_INVALID
    POST   /v2/acme/web/blobs/uploads/?digest=sha256:0  'abcd'                   400  DIGEST_INVALID
    POST   /v2/acme/web/blobs/uploads/?mount=sha256:0&from=acme/web              400  DIGEST_INVALID
    POST   /v2/acme//web/blobs/uploads/                                          400  NAME_INVALID
    PATCH  $upload  9-12 'abcd'                                                  416  BLOB_UPLOAD_INVALID
    PATCH  $upload  4-9 'abcd'                                                   400  SIZE_INVALID
    PATCH  $upload  streamed 4-9 'abcd'                                          400  SIZE_INVALID
    PATCH  $upload  Content-Range: junk  'abcd'                                  400  RANGE_INVALID
    PUT    $upload  'abcd'                                                       400  DIGEST_INVALID
    PUT    $upload?digest=x  'abcd'                                              400  DIGEST_INVALID
    PUT    $upload?digest=$sha256(none)  9-12 'abcd'                             416  BLOB_UPLOAD_INVALID
    DELETE /v2/acme/web/blobs/uploads/00000000-0000-4000-8000-000000000000       404  BLOB_UPLOAD_UNKNOWN
    GET    /v2/acme/web/tags/list?n=x                                            400  PAGINATION_NUMBER_INVALID
    GET    /v2/acme/web/blobs/$sha256(none)                                      404  BLOB_UNKNOWN";

#[test]
fn inv_i8_refused_requests_change_nothing() {
    let image = images::image("{}", &["abcd"]).to_string();
    let mut transcript = Transcript::start()
        .given("index", images::index(&[&image]).to_string())
        .given("lies", images::image("missing", &["abcd"]).to_string())
        .given("image", image);
    transcript.run(GIVEN);
    // Link files are written behind the answer.
    let begin = Instant::now();
    for server in transcript.servers() {
        let repositories = server.root().join("docker/registry/v2/repositories");
        while !repositories
            .join("acme/web/_manifests/tags/all/current/link")
            .exists()
        {
            assert!(
                begin.elapsed() < Duration::from_secs(20),
                "no link file comes"
            );
        }
    }
    let before = snapshots(&transcript);
    let lines: Vec<&str> = REFUSED
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let mut runner = TestRunner::deterministic();
    let order = prop::collection::vec(0..lines.len(), 2000);
    for line in order.new_tree(&mut runner).unwrap().current() {
        transcript.run(lines[line]);
    }
    for (before, after) in before.iter().zip(snapshots(&transcript)) {
        assert_eq!(before.0, after.0);
        assert_eq!(before.1, after.1);
    }
}

type Snapshot = (Vec<Response>, std::collections::BTreeMap<String, Vec<u8>>);

/// Those of the servers of all transports.
fn snapshots(transcript: &Transcript) -> Vec<Snapshot> {
    let snapshots = transcript
        .servers()
        .map(|server| snapshot(server, transcript.text("upload")));
    snapshots.collect()
}

/// Every answer to a GET, and every file but the database's journal.
fn snapshot(server: &Server, upload: &str) -> Snapshot {
    let (blob, image) = (
        images::digest("abcd"),
        images::digest(images::image("{}", &["abcd"]).to_string()),
    );
    let answers = [
        "/v2/_catalog",
        "/v2/acme/web/tags/list",
        "/v2/acme/web/manifests/v1",
        "/v2/acme/web/manifests/all",
        &format!("/v2/acme/web/manifests/{image}"),
        &format!("/v2/acme/web/blobs/{blob}"),
        &format!("/v2/acme/web/referrers/{image}"),
        upload,
    ]
    .map(|path| {
        let mut answer = server.client.get(path);
        answer.headers.retain(|(name, _)| name != "date");
        answer
    });
    let journal = [
        "layerhouse/layerhouse.db-wal",
        "layerhouse/layerhouse.db-shm",
    ];
    (answers.to_vec(), tree(&server.root(), &journal))
}
