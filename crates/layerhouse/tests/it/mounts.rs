//! Mounts: a blob of one repository in another, or an upload in its place.

use crate::harness::http::Response;
use crate::harness::images;
use crate::harness::server::Server;
use crate::harness::transcript::check;

#[test]
fn a_blob_is_mounted_from_where_it_is() {
    check(
        "POST   /v2/acme/web/blobs/uploads/?digest=$sha256(abcd)  'abcd'  201
         POST   /v2/acme/api/blobs/uploads/?mount=$sha256(abcd)&from=acme/web  201  Location: /v2/acme/api/blobs/$sha256(abcd)  Docker-Content-Digest: $sha256(abcd)
         GET    /v2/acme/api/blobs/$sha256(abcd)   200  'abcd'
         POST   /v2/acme/api/blobs/uploads/?mount=$sha256(abcd)&from=acme/web  201
         POST   /v2/acme/api/blobs/uploads/?mount=$sha256(abcd)&from=acme/api  201
         POST   /v2/acme/job/blobs/uploads/?mount=$sha256(abcd)                201
         GET    /v2/acme/job/blobs/$sha256(abcd)   200  'abcd'
         DELETE /v2/acme/web/blobs/$sha256(abcd)   202
         GET    /v2/acme/api/blobs/$sha256(abcd)   200  'abcd'
         restart
         GET    /v2/acme/api/blobs/$sha256(abcd)   200  'abcd'
         GET    /v2/acme/web/blobs/$sha256(abcd)   404",
    );
}

#[test]
fn what_cannot_be_mounted_is_uploaded() {
    check(
        "POST   /v2/acme/web/blobs/uploads/?digest=$sha256(abcd)  'abcd'  201
         POST   /v2/acme/api/blobs/uploads/?mount=$sha256(efgh)&from=acme/web   202  Location: /v2/acme/api/blobs/uploads/…  Range: 0-0
         PUT    $upload?digest=$sha256(efgh)  'efgh'                            201
         POST   /v2/acme/api/blobs/uploads/?mount=$sha256(abcd)&from=acme/none  202
         POST   /v2/acme/api/blobs/uploads/?mount=$sha256(abcd)&from=           202
         POST   /v2/acme/api/blobs/uploads/?mount=$sha256(abcd)&from=../web     202
         POST   /v2/acme/api/blobs/uploads/?mount=$sha256(none)                 202
         GET    /v2/acme/api/blobs/$sha256(abcd)                                404
         POST   /v2/acme/api/blobs/uploads/?mount=abcd&from=acme/web            400  DIGEST_INVALID
         POST   /v2/Acme/blobs/uploads/?mount=$sha256(abcd)&from=acme/web       400  NAME_INVALID",
    );
}

/// No such source, no such blob there, a name that cannot be: one answer, but for the session's id.
#[test]
fn sec_s07_a_refused_mount_does_not_say_why() {
    let server = Server::start();
    let there = images::push_blob(&server.client, "acme/secret", "abcd");
    let nowhere = images::digest("efgh");
    let answer = |query: &str| {
        let path = format!("/v2/acme/web/blobs/uploads/?mount={query}");
        without_id(server.client.send("POST", &path, &[], b""))
    };
    let expected = answer(&nowhere);
    assert_eq!(expected.status, 202);
    for query in [
        format!("{nowhere}&from=acme/secret"),
        format!("{nowhere}&from=acme/none"),
        format!("{there}&from=acme/none"),
        format!("{there}&from=acme/web"),
        format!("{there}&from=a/../b"),
        format!("{there}&from=Acme/secret"),
        format!("{there}&from="),
    ] {
        assert_eq!(answer(&query), expected, "{query}");
    }
}

/// The answer with the session's id struck out, and without the date.
fn without_id(mut answer: Response) -> Response {
    let id = answer.header("docker-upload-uuid").unwrap().to_owned();
    answer.headers.retain(|(name, _)| name != "date");
    for (_, value) in &mut answer.headers {
        *value = value.replace(&id, "<id>");
    }
    answer
}
