//! `immutable`: tags that neither move nor go.

use std::sync::Barrier;

use crate::harness::images;
use crate::harness::server::Server;
use crate::harness::transcript::Transcript;

const POLICY: &str = "layerhouse: { policies: [
    { repositories: ['acme/**'], immutable: { tags: ['v*', stable], except: ['v*-rc*'] } } ] }";

fn given() -> Transcript {
    let mut transcript = Transcript::configured(POLICY)
        .given("one", images::image("{}", &[]).to_string())
        .given("other", images::image("{}", &["a"]).to_string());
    transcript.run(
        "POST  /v2/acme/web/blobs/uploads/?digest=$sha256({})  '{}'  201
         POST  /v2/acme/web/blobs/uploads/?digest=$sha256(a)   'a'   201
         PUT   /v2/acme/web/manifests/v1       $one    201
         PUT   /v2/acme/web/manifests/v1-rc1   $one    201
         PUT   /v2/acme/web/manifests/main     $one    201",
    );
    transcript
}

#[test]
fn an_immutable_tag_does_not_move() {
    let mut transcript = given();
    transcript.run(
        "PUT   /v2/acme/web/manifests/v1       $other  403  DENIED
         GET   /v2/acme/web/manifests/v1       200  $one
         GET   /v2/acme/web/manifests/$sha256($other)  404  MANIFEST_UNKNOWN
         PUT   /v2/acme/web/manifests/v1       $one    201
         PUT   /v2/acme/web/manifests/v2       $other  201
         PUT   /v2/acme/web/manifests/v2       $one    403  DENIED
         PUT   /v2/acme/web/manifests/v1-rc1   $other  201
         PUT   /v2/acme/web/manifests/main     $other  201
         POST  /v2/other/blobs/uploads/?mount=$sha256({})&from=acme/web  201
         POST  /v2/other/blobs/uploads/?mount=$sha256(a)&from=acme/web  201
         PUT   /v2/other/manifests/v1          $one    201
         PUT   /v2/other/manifests/v1          $other  201",
    );
    // As soon as the operator says otherwise.
    transcript.reconfigure("");
    transcript.run("PUT  /v2/acme/web/manifests/v1  $other  201");
}

/// S18 (CVE-2026-41888): whatever way leads to its removal.
#[test]
fn sec_s18_an_immutable_tag_is_deleted_in_no_way() {
    let mut transcript = given();
    transcript.run(
        "DELETE /v2/acme/web/manifests/v1               403  DENIED
         DELETE /v2/acme/web/manifests/$sha256($one)    403  DENIED
         GET    /v2/acme/web/manifests/v1               200  $one
         GET    /v2/acme/web/manifests/main             200  $one
         DELETE /v2/acme/web/blobs/$sha256({})          405  UNSUPPORTED
         DELETE /v2/acme/web/manifests/v9               404  MANIFEST_UNKNOWN
         DELETE /v2/acme/web/manifests/main             202
         DELETE /v2/acme/web/manifests/v1-rc1           202
         DELETE /v2/acme/web/manifests/$sha256($one)    403  DENIED
         PUT    /v2/acme/web/manifests/main  $other     201
         DELETE /v2/acme/web/manifests/$sha256($other)  202",
    );
    transcript.reconfigure("");
    transcript.run("DELETE /v2/acme/web/manifests/$sha256($one)  202");
}

#[test]
fn who_moves_an_immutable_tag_is_told_what_to_do() {
    let server = Server::configured(POLICY);
    let one = images::push_image(&server.client, "acme/web", "v1", "a");
    let other = images::image("{}", &[]).to_string();
    let answer = images::push_manifest(&server.client, "acme/web", "v1", &other);
    let expected = format!(
        "tag v1 is immutable here (layerhouse.policies[0]: immutable v*) and stays at {}; \
         push under another tag",
        images::digest(one)
    );
    assert!(answer.text().contains(&expected), "{}", answer.text());
}

/// S03 (CVE-2026-31801): whether a tag may move is decided where it moves.
#[test]
fn sec_s03_of_two_who_create_a_tag_one_does() {
    const CLIENTS: usize = 8;
    let server = Server::configured(POLICY);
    let client = server.client;
    images::push_blob(&client, "acme/web", "{}");
    for round in 0..8_usize {
        let barrier = Barrier::new(CLIENTS);
        let tag = format!("v{round}");
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let pushing: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    let (barrier, tag) = (&barrier, &tag);
                    scope.spawn(move || {
                        let mut image = images::image("{}", &[]);
                        image["annotations"] =
                            serde_json::json!({ "by": format!("{round} {number}") });
                        barrier.wait();
                        images::push_manifest(&client, "acme/web", tag, &image.to_string()).status
                    })
                })
                .collect();
            pushing.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let created = statuses.iter().filter(|status| **status == 201).count();
        let refused = statuses.iter().filter(|status| **status == 403).count();
        assert_eq!((created, refused), (1, CLIENTS - 1), "{statuses:?}");
    }
}
