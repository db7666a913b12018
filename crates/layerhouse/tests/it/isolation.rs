//! What one repository has says nothing in another: blobs (S05), sessions (S09), names (S17).

use crate::harness::images;
use crate::harness::server::Server;
use crate::harness::transcript::Transcript;

/// S05 (CVE-2024-39897): a digest alone grants nothing, access goes through a repository.
#[test]
fn sec_s05_a_blob_is_there_only_where_it_is_linked() {
    let image = images::image("{}", &[]).to_string();
    Transcript::start().given("image", image).run(
        "POST  /v2/a/blobs/uploads/?digest=$sha256({})  '{}'                201
         PUT   /v2/a/manifests/v1  $image                                   201
         GET   /v2/a/blobs/$sha256({})                                      200  '{}'
         POST  /v2/b/blobs/uploads/?digest=$sha256()                        201
         GET   /v2/b/blobs/$sha256({})                                      404  BLOB_UNKNOWN
         GET   /v2/b/blobs/$sha256({})  Range: bytes=0-0                    404  BLOB_UNKNOWN
         GET   /v2/b/blobs/$sha256({})  If-None-Match: \"$sha256({})\"      404  BLOB_UNKNOWN
         HEAD  /v2/b/blobs/$sha256({})                                      404
         DELETE /v2/b/blobs/$sha256({})                                     404  BLOB_UNKNOWN
         POST  /v2/b/blobs/uploads/?mount=$sha256({})&from=b                202
         GET   /v2/b/manifests/$sha256($image)                              404  MANIFEST_UNKNOWN
         GET   /v2/b/blobs/$sha256($image)                                  404  BLOB_UNKNOWN
         GET   /v2/a/blobs/$sha256($image)                                  404  BLOB_UNKNOWN
         GET   /v2/a/manifests/$sha256({})                                  404  MANIFEST_UNKNOWN
         GET   /v2/b/manifests/v1                                           404  MANIFEST_UNKNOWN",
    );
}

/// S06 (CVE-2026-35172): a link that was deleted stays deleted, whoever else has the blob and reads it.
#[test]
fn sec_s06_a_deleted_link_does_not_come_back() {
    Transcript::start().run(
        "POST   /v2/a/blobs/uploads/?digest=$sha256(abcd)  'abcd'            201
         POST   /v2/b/blobs/uploads/?mount=$sha256(abcd)&from=a              201
         GET    /v2/a/blobs/$sha256(abcd)                                    200  'abcd'
         GET    /v2/b/blobs/$sha256(abcd)                                    200  'abcd'
         DELETE /v2/a/blobs/$sha256(abcd)                                    202
         GET    /v2/b/blobs/$sha256(abcd)                                    200  'abcd'
         GET    /v2/a/blobs/$sha256(abcd)                                    404  BLOB_UNKNOWN
         HEAD   /v2/a/blobs/$sha256(abcd)                                    404
         GET    /v2/b/blobs/$sha256(abcd)                                    200  'abcd'
         HEAD   /v2/a/blobs/$sha256(abcd)                                    404
         POST   /v2/a/blobs/uploads/?mount=$sha256(abcd)&from=a              202",
    );
}

/// S09 (CVE-2026-32589): a session belongs to its repository; elsewhere it is not there.
#[test]
fn sec_s09_a_session_is_of_its_repository() {
    let mut transcript = Transcript::start();
    transcript.run(
        "POST  /v2/acme/web/blobs/uploads/   202
         PATCH $upload  'abcd'               202",
    );
    let upload = transcript.text("upload").to_owned();
    let id = upload.rsplit_once('/').unwrap().1;
    for elsewhere in ["acme/api", "acme/web/x", "web"] {
        let path = format!("/v2/{elsewhere}/blobs/uploads/{id}");
        transcript.run(&format!(
            "GET    {path}                            404  BLOB_UPLOAD_UNKNOWN
             PATCH  {path}  'efgh'                    404  BLOB_UPLOAD_UNKNOWN
             PUT    {path}?digest=$sha256(abcd)       404  BLOB_UPLOAD_UNKNOWN
             DELETE {path}                            404  BLOB_UPLOAD_UNKNOWN"
        ));
    }
    for text in [id.to_uppercase(), format!("%20{id}"), "..".to_owned()] {
        transcript.run(&format!(
            "GET    /v2/acme/web/blobs/uploads/{text}    404  BLOB_UPLOAD_UNKNOWN"
        ));
    }
    transcript.run(
        "GET   $upload                                204  Range: 0-3
         PUT   $upload?digest=$sha256(abcd)           201",
    );
}

/// Ids cannot be guessed from others; the seeded source of the tests has the same form.
#[test]
fn sec_s09_session_ids_are_all_different() {
    let server = Server::start();
    let mut connection = server.client.open();
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let answer = connection.send("POST", "/v2/acme/web/blobs/uploads/", &[], b"");
        let id = answer.header("docker-upload-uuid").unwrap().to_owned();
        assert_eq!(id.len(), 36);
        ids.insert(id);
    }
    assert_eq!(ids.len(), 100);
}

/// S17: a repository that is not there, and one that has not what was asked for, answer alike.
#[test]
fn sec_s17_missing_looks_alike() {
    let server = Server::start();
    let client = &server.client;
    images::push_image(client, "acme/web", "v1", "abcd");
    let digest = images::digest("nowhere");
    let id = "00000000-0000-4000-8000-000000000000";
    for (method, rest) in [
        ("GET", format!("blobs/{digest}")),
        ("HEAD", format!("blobs/{digest}")),
        ("DELETE", format!("blobs/{digest}")),
        ("GET", format!("manifests/{digest}")),
        ("HEAD", format!("manifests/{digest}")),
        ("DELETE", format!("manifests/{digest}")),
        ("GET", "manifests/none".to_owned()),
        ("DELETE", "manifests/none".to_owned()),
        ("GET", format!("referrers/{digest}")),
        ("GET", format!("blobs/uploads/{id}")),
        ("PATCH", format!("blobs/uploads/{id}")),
        ("PUT", format!("blobs/uploads/{id}?digest={digest}")),
        ("DELETE", format!("blobs/uploads/{id}")),
        ("PUT", "manifests/v2".to_owned()),
    ] {
        let body = images::image("nowhere", &[]).to_string();
        let body = if method == "PUT" {
            body.as_bytes()
        } else {
            b""
        };
        let [there, missing] = ["acme/web", "acme/none"].map(|repository| {
            let path = format!("/v2/{repository}/{rest}");
            let mut answer = client.send(method, &path, &[], body);
            answer.headers.retain(|(name, _)| name != "date");
            answer
        });
        assert_eq!(there, missing, "{method} {rest}");
        assert!(there.status < 500);
    }
}

/// S08, I7: what a manifest lacks is said the same way whether another repository has it or nobody.
#[test]
fn inv_i7_a_missing_blob_does_not_tell_of_other_repositories() {
    let server = Server::start();
    images::push_blob(&server.client, "secret", "probed");
    images::push_blob(&server.client, "mine", "{}");
    let probe = |content: &str| {
        let manifest = images::image("{}", &[content]).to_string();
        let answer = images::push_manifest(&server.client, "mine", "v1", &manifest);
        assert_eq!(answer.status, 404);
        answer
            .text()
            .replace(&images::digest(content), "the probed digest")
    };
    assert_eq!(probe("probed"), probe("absent"));
}
