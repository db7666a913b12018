//! What may not be deleted, and that a delete takes what it says and nothing else.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::Config;

use crate::harness::images;
use crate::harness::server::Server;
use crate::harness::transcript::Transcript;

/// S18 (CVE-2026-41888): one guard for every delete and, when read-only, for every write.
#[test]
fn sec_s18_what_is_switched_off_is_off_everywhere() {
    let image = images::image("{}", &[]).to_string();
    let given = "
        POST   /v2/acme/web/blobs/uploads/?digest=$sha256({})  '{}'  201
        POST   /v2/acme/web/blobs/uploads/?digest=$sha256(ab)  'ab'  201
        PUT    /v2/acme/web/manifests/v1  $image       201";
    let refused = "
        DELETE /v2/acme/web/manifests/v1               405  UNSUPPORTED
        DELETE /v2/acme/web/manifests/$sha256($image)  405  UNSUPPORTED
        DELETE /v2/acme/web/manifests/none             405  UNSUPPORTED
        DELETE /v2/acme/web/blobs/$sha256({})          405  UNSUPPORTED
        DELETE /v2/acme/web/blobs/$sha256(ab)          405  UNSUPPORTED
        DELETE /v2/acme/none/blobs/$sha256(ab)         405  UNSUPPORTED
        GET    /v2/acme/web/manifests/v1               200  $image
        GET    /v2/acme/web/blobs/$sha256(ab)          200  'ab'";
    let mut transcript = Transcript::configured("storage: { delete: { enabled: false } }")
        .given("image", image.clone());
    transcript.run(given);
    transcript.run(refused);
    // A client may still give up its own upload.
    transcript.run(
        "POST   /v2/acme/web/blobs/uploads/   202
         DELETE $upload                       204",
    );

    let mut transcript = Transcript::start().given("image", image);
    transcript.run(given);
    transcript.run("POST  /v2/acme/web/blobs/uploads/  202");
    transcript.reconfigure("storage: { maintenance: { readonly: { enabled: true } } }");
    transcript.run(refused);
    transcript.run(
        "POST   /v2/acme/web/blobs/uploads/                                  405  UNSUPPORTED
         POST   /v2/acme/web/blobs/uploads/?digest=$sha256(cd)  'cd'         405  UNSUPPORTED
         POST   /v2/acme/api/blobs/uploads/?mount=$sha256(ab)&from=acme/web  405  UNSUPPORTED
         PATCH  $upload  'abcd'                                              405  UNSUPPORTED
         PUT    $upload?digest=$sha256()                                     405  UNSUPPORTED
         DELETE $upload                                                      405  UNSUPPORTED
         PUT    /v2/acme/web/manifests/v1  $image                            405  UNSUPPORTED
         PUT    /v2/acme/web/manifests/v2  $image                            405  UNSUPPORTED
         GET    /v2/acme/web/tags/list   200  '{\"name\":\"acme/web\",\"tags\":[\"v1\"]}'",
    );
}

/// One step of many clients: tags and images are numbered.
#[derive(Clone, Copy, Debug)]
enum Step {
    Tag(usize, usize),
    DeleteTag(usize),
    DeleteManifest(usize),
    /// A delete by digest that runs against a move of this tag to that image.
    Race(usize, usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (tag, image) = (0..3_usize, 0..3_usize);
    prop_oneof![
        3 => (tag.clone(), image.clone()).prop_map(|(tag, image)| Step::Tag(tag, image)),
        1 => tag.clone().prop_map(Step::DeleteTag),
        1 => image.clone().prop_map(Step::DeleteManifest),
        2 => (image.clone(), tag, image).prop_map(|(gone, tag, image)| Step::Race(gone, tag, image)),
    ]
}

proptest! {
    #![proptest_config(Config { cases: 8, failure_persistence: None, max_shrink_iters: 50, ..Config::default() })]

    /// S19: a tag goes alone, a manifest takes all its tags along, and whatever runs against it comes
    /// either before or after.
    #[test]
    fn sec_s19_deletes_take_what_they_say(steps in prop::collection::vec(step(), 1..30)) {
        let server = Server::start();
        let client = server.client;
        images::push_blob(&client, "acme/web", "{}");
        let manifests: Vec<String> = (0..3)
            .map(|number| {
                let mut image = images::image("{}", &[]);
                image["annotations"] = serde_json::json!({ "number": number.to_string() });
                image.to_string()
            })
            .collect();
        let path = |reference: &str| format!("/v2/acme/web/manifests/{reference}");
        let tag_path = |tag: usize| path(&format!("t{tag}"));
        let digest_path = |image: usize| path(&images::digest(&manifests[image]));
        let push = |tag, image: usize| {
            client.send("PUT", &tag_path(tag), &[], manifests[image].as_bytes()).status
        };
        let delete = |path: &str| client.send("DELETE", path, &[], b"").status;
        // What should be there: images, and tags with what they point at.
        let mut images: Vec<bool> = vec![false; 3];
        let mut tags: BTreeMap<usize, usize> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Tag(tag, image) => {
                    prop_assert_eq!(push(tag, image), 201);
                    images[image] = true;
                    tags.insert(tag, image);
                }
                Step::DeleteTag(tag) => {
                    let expected = if tags.remove(&tag).is_some() { 202 } else { 404 };
                    prop_assert_eq!(delete(&tag_path(tag)), expected);
                }
                Step::DeleteManifest(image) => {
                    let expected = if images[image] { 202 } else { 404 };
                    prop_assert_eq!(delete(&digest_path(image)), expected);
                    images[image] = false;
                    tags.retain(|_, pointed| *pointed != image);
                }
                Step::Race(gone, tag, image) => {
                    let (deleted, pushed) = std::thread::scope(|scope| {
                        let deleted = scope.spawn(|| delete(&digest_path(gone)));
                        let pushed = scope.spawn(|| push(tag, image));
                        (deleted.join().unwrap(), pushed.join().unwrap())
                    });
                    prop_assert_eq!(pushed, 201);
                    prop_assert!(matches!(deleted, 202 | 404));
                    // Which came first is seen by whether the tag is there.
                    let push_last = client.get(&tag_path(tag)).status == 200;
                    let expected = images[gone] || (!push_last && gone == image);
                    prop_assert_eq!(deleted == 202, expected);
                    prop_assert!(push_last || gone == image);
                    images[gone] = false;
                    tags.retain(|_, pointed| *pointed != gone);
                    if push_last {
                        images[image] = true;
                        tags.insert(tag, image);
                    } else {
                        tags.remove(&tag);
                    }
                }
            }
            for (number, is_there) in images.iter().enumerate() {
                let status = client.get(&digest_path(number)).status;
                prop_assert_eq!(status, if *is_there { 200 } else { 404 });
            }
            for tag in 0..3 {
                let answer = client.get(&tag_path(tag));
                prop_assert_eq!(answer.status, if tags.contains_key(&tag) { 200 } else { 404 });
                if let Some(image) = tags.get(&tag) {
                    prop_assert_eq!(answer.text(), manifests[*image].clone());
                }
            }
        }
    }
}
