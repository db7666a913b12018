//! Random operations against a model in memory: of one upload session (S45), and of the whole registry.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::Config;
use serde_json::{Value, json};

use crate::harness::images;
use crate::harness::server::Server;
use crate::harness::transcript::{check_answer, error_code, in_chunks};

/// One request to an upload session.
#[derive(Clone, Debug)]
enum Step {
    /// A chunk of this many bytes; where it says to go, as first and last byte, lies at these distances
    /// from where it should go and end.
    Chunk {
        bytes: usize,
        lie: Option<(i64, i64)>,
        is_streamed: bool,
    },
    Finish {
        bytes: usize,
        lie: Option<(i64, i64)>,
        is_right: bool,
    },
    Status,
    Cancel,
    Restart,
}

fn lie() -> impl Strategy<Value = Option<(i64, i64)>> {
    prop_oneof![
        3 => Just(None),
        4 => Just(Some((0, 0))),
        1 => (-3_i64..4, -3_i64..4).prop_map(Some),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..40_usize, lie(), any::<bool>())
            .prop_map(|(bytes, lie, is_streamed)| Step::Chunk { bytes, lie, is_streamed }),
        1 => (0..40_usize, lie(), any::<bool>())
            .prop_map(|(bytes, lie, is_right)| Step::Finish { bytes, lie, is_right }),
        2 => Just(Step::Status),
        1 => prop_oneof![4 => Just(Step::Restart), 1 => Just(Step::Cancel)],
    ]
}

fn proptest_config(cases: u32) -> Config {
    Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 100,
        ..Config::default()
    }
}

/// What the specification says of a chunk: its status, and whether it is appended.
fn place(held: usize, bytes: usize, range: Option<(i64, i64)>) -> Result<(), u16> {
    let Some((first, last)) = range else {
        return Ok(());
    };
    if first < 0 || last < first {
        return Err(400);
    }
    if usize::try_from(last - first + 1).unwrap() != bytes {
        // Nothing would be appended either way; which is said depends on whether the length is known.
        return Err(if usize::try_from(first).unwrap() == held {
            400
        } else {
            0
        });
    }
    if usize::try_from(first).unwrap() == held {
        Ok(())
    } else {
        Err(416)
    }
}

proptest! {
    #![proptest_config(proptest_config(24))]

    /// S45: whatever is sent, the session holds what the model holds, and only that is published.
    #[test]
    fn sec_s45_an_upload_session_is_as_its_model(steps in prop::collection::vec(step(), 1..30)) {
        let mut server = Server::start();
        let opened = server.client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b"");
        let upload = opened.header("location").unwrap().to_owned();
        // Bytes held by the session; none once it ended.
        let mut held: Option<Vec<u8>> = Some(Vec::new());
        let mut published = None;
        let mut sent: u8 = 0;
        for step in steps {
            let client = server.client;
            match step {
                Step::Chunk { bytes, lie, is_streamed } => {
                    let body: Vec<u8> = (0..bytes).map(|_| { sent = sent.wrapping_add(1); sent }).collect();
                    let at = held.as_ref().map_or(0, Vec::len);
                    let range = lie.map(|lie| said(at, bytes, lie));
                    let mut headers = headers(range);
                    let encoded = if is_streamed { in_chunks(&body, 7) } else { body.clone() };
                    if is_streamed {
                        headers.push(("Transfer-Encoding", "chunked".to_owned()));
                    }
                    let answer = client.send("PATCH", &upload, &borrowed(&headers), &encoded);
                    check_answer("PATCH", &answer, &server.root()).unwrap();
                    match (&mut held, place(at, bytes, range)) {
                        // A range that cannot be read is refused before the session is looked for.
                        (None, _) => prop_assert!(matches!(answer.status, 404 | 400), "{}", answer.status),
                        (Some(held), Ok(())) => {
                            prop_assert_eq!(answer.status, 202);
                            held.extend(body);
                            let end = held.len().saturating_sub(1);
                            prop_assert_eq!(answer.header("range").unwrap(), format!("0-{end}"));
                        }
                        (Some(_), Err(0)) => prop_assert!(matches!(answer.status, 400 | 416)),
                        (Some(_), Err(status)) => prop_assert_eq!(answer.status, status),
                    }
                }
                Step::Finish { bytes, lie, is_right } => {
                    let body = vec![b'z'; bytes];
                    let at = held.as_ref().map_or(0, Vec::len);
                    let range = lie.map(|lie| said(at, bytes, lie));
                    let whole = [held.clone().unwrap_or_default(), body.clone()].concat();
                    let digest = images::digest(if is_right { &whole[..] } else { b"something else" });
                    let path = format!("{upload}?digest={digest}");
                    let answer = client.send("PUT", &path, &borrowed(&headers(range)), &body);
                    check_answer("PUT", &answer, &server.root()).unwrap();
                    match (held.is_some(), place(at, bytes, range)) {
                        (false, _) => prop_assert!(matches!(answer.status, 404 | 400)),
                        (true, Ok(())) => {
                            prop_assert_eq!(answer.status, if is_right { 201 } else { 400 });
                            held = None;
                            published = is_right.then_some((digest, whole)).or(published);
                        }
                        (true, Err(0)) => prop_assert!(matches!(answer.status, 400 | 416)),
                        (true, Err(status)) => prop_assert_eq!(answer.status, status),
                    }
                }
                Step::Status => {}
                Step::Cancel => {
                    let answer = client.send("DELETE", &upload, &[], b"");
                    prop_assert_eq!(answer.status, if held.take().is_some() { 204 } else { 404 });
                }
                Step::Restart => server.restart(),
            }
            let answer = server.client.get(&upload);
            match &held {
                None => prop_assert_eq!(answer.status, 404),
                Some(held) => {
                    let end = held.len().saturating_sub(1);
                    prop_assert_eq!(answer.header("range").unwrap(), format!("0-{end}"));
                }
            }
        }
        let catalog = server.client.get("/v2/_catalog").text();
        match published {
            None => prop_assert_eq!(catalog, "{\"repositories\":[]}\n"),
            Some((digest, content)) => {
                let pulled = server.client.get(&format!("/v2/acme/web/blobs/{digest}"));
                prop_assert_eq!(pulled.body, content);
            }
        }
    }
}

/// The range that a chunk claims: right but for the lie.
fn said(held: usize, bytes: usize, lie: (i64, i64)) -> (i64, i64) {
    let first = i64::try_from(held).unwrap() + lie.0;
    (first, i64::try_from(held + bytes).unwrap() - 1 + lie.1)
}

fn headers(range: Option<(i64, i64)>) -> Vec<(&'static str, String)> {
    range
        .map(|(first, last)| ("Content-Range", format!("{first}-{last}")))
        .into_iter()
        .collect()
}

fn borrowed<'a>(headers: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    headers
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

const REPOSITORIES: [&str; 2] = ["acme/api", "acme/web"];
const CONTENTS: [&str; 3] = ["{}", "layer one", "layer two"];

/// One request to the registry; indices choose among what there is.
#[derive(Clone, Debug)]
enum Act {
    PushBlob {
        repository: usize,
        blob: usize,
    },
    Mount {
        to: usize,
        blob: usize,
        has_source: bool,
    },
    /// An image of the first content as config and one layer.
    PushImage {
        repository: usize,
        layer: usize,
        tag: Option<usize>,
    },
    /// An index of images: those of these layers.
    PushIndex {
        repository: usize,
        layers: Vec<usize>,
        tag: Option<usize>,
    },
    DeleteTag {
        repository: usize,
        tag: usize,
    },
    DeleteManifest {
        repository: usize,
        which: Index,
    },
    DeleteBlob {
        repository: usize,
        blob: usize,
    },
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    let repository = 0..REPOSITORIES.len();
    let blob = 0..CONTENTS.len();
    let tag = 0..3_usize;
    let maybe_tag = prop::option::of(tag.clone());
    prop_oneof![
        6 => (repository.clone(), blob.clone()).prop_map(|(repository, blob)| Act::PushBlob { repository, blob }),
        2 => (repository.clone(), blob.clone(), any::<bool>())
            .prop_map(|(to, blob, has_source)| Act::Mount { to, blob, has_source }),
        6 => (repository.clone(), 0..4_usize, maybe_tag.clone())
            .prop_map(|(repository, layer, tag)| Act::PushImage { repository, layer, tag }),
        3 => (repository.clone(), prop::collection::vec(0..4_usize, 0..3), maybe_tag)
            .prop_map(|(repository, layers, tag)| Act::PushIndex { repository, layers, tag }),
        2 => (repository.clone(), tag).prop_map(|(repository, tag)| Act::DeleteTag { repository, tag }),
        3 => (repository.clone(), any::<Index>())
            .prop_map(|(repository, which)| Act::DeleteManifest { repository, which }),
        2 => (repository, blob).prop_map(|(repository, blob)| Act::DeleteBlob { repository, blob }),
        1 => Just(Act::Restart),
    ]
}

/// What a repository should have, by digest.
#[derive(Clone, Debug, Default)]
struct Repository {
    exists: bool,
    blobs: BTreeSet<String>,
    /// Content, and the digests that it needs: blobs of images, manifests of indexes.
    manifests: BTreeMap<String, (String, Vec<String>)>,
    tags: BTreeMap<String, String>,
}

impl Repository {
    fn needs(&self, digest: &str) -> bool {
        self.manifests
            .values()
            .any(|(_, needed)| needed.iter().any(|needed| needed == digest))
    }

    /// Takes a manifest if all that it needs is here; the status.
    fn push(&mut self, content: &str, needed: Vec<String>, tag: Option<usize>) -> u16 {
        let has =
            |digest: &String| self.blobs.contains(digest) || self.manifests.contains_key(digest);
        if !needed.iter().all(has) {
            return 404;
        }
        let digest = images::digest(content);
        if let Some(tag) = tag {
            self.tags.insert(format!("t{tag}"), digest.clone());
        }
        self.exists = true;
        self.manifests.insert(digest, (content.to_owned(), needed));
        201
    }
}

/// The fourth image's layer is never pushed.
fn layer(number: usize) -> &'static str {
    CONTENTS.get(number).copied().unwrap_or("never pushed")
}

fn image_of(number: usize) -> (String, Vec<String>) {
    let needed = vec![images::digest("{}"), images::digest(layer(number))];
    (images::image("{}", &[layer(number)]).to_string(), needed)
}

proptest! {
    #![proptest_config(proptest_config(16))]

    #[test]
    fn the_registry_is_as_its_model(acts in prop::collection::vec(act(), 1..60)) {
        let mut server = Server::start();
        let mut model: [Repository; 2] = Default::default();
        for act in acts {
            let client = server.client;
            let (answer, expected) = match act {
                Act::Restart => {
                    server.restart();
                    continue;
                }
                Act::PushBlob { repository, blob } => {
                    let digest = images::digest(CONTENTS[blob]);
                    let path = format!("/v2/{}/blobs/uploads/?digest={digest}", REPOSITORIES[repository]);
                    model[repository].exists = true;
                    model[repository].blobs.insert(digest);
                    (client.send("POST", &path, &[], CONTENTS[blob].as_bytes()), 201)
                }
                Act::Mount { to, blob, has_source } => {
                    let digest = images::digest(CONTENTS[blob]);
                    let from = 1 - to;
                    let mut path = format!("/v2/{}/blobs/uploads/?mount={digest}", REPOSITORIES[to]);
                    if has_source {
                        path = format!("{path}&from={}", REPOSITORIES[from]);
                    }
                    let is_there = model[from].blobs.contains(&digest)
                        || !has_source && model[to].blobs.contains(&digest);
                    if is_there {
                        model[to].exists = true;
                        model[to].blobs.insert(digest);
                    }
                    (client.send("POST", &path, &[], b""), if is_there { 201 } else { 202 })
                }
                Act::PushImage { repository, layer, tag } => {
                    let (content, needed) = image_of(layer);
                    let expected = model[repository].push(&content, needed, tag);
                    (push(&server, repository, &content, tag), expected)
                }
                Act::PushIndex { repository, layers, tag } => {
                    let children: Vec<String> = layers.iter().map(|layer| image_of(*layer).0).collect();
                    let needed = children.iter().map(images::digest).collect();
                    let children: Vec<&str> = children.iter().map(String::as_str).collect();
                    let content = images::index(&children).to_string();
                    let expected = model[repository].push(&content, needed, tag);
                    (push(&server, repository, &content, tag), expected)
                }
                Act::DeleteTag { repository, tag } => {
                    let is_there = model[repository].tags.remove(&format!("t{tag}")).is_some();
                    let path = format!("/v2/{}/manifests/t{tag}", REPOSITORIES[repository]);
                    (client.send("DELETE", &path, &[], b""), if is_there { 202 } else { 404 })
                }
                Act::DeleteManifest { repository, which } => {
                    let manifests = &model[repository].manifests;
                    let digest = if manifests.is_empty() {
                        images::digest("none")
                    } else {
                        manifests.keys().nth(which.index(manifests.len())).unwrap().clone()
                    };
                    let path = format!("/v2/{}/manifests/{digest}", REPOSITORIES[repository]);
                    let expected = if manifests.is_empty() {
                        404
                    } else if model[repository].needs(&digest) {
                        405
                    } else {
                        model[repository].manifests.remove(&digest);
                        model[repository].tags.retain(|_, pointed| *pointed != digest);
                        202
                    };
                    (client.send("DELETE", &path, &[], b""), expected)
                }
                Act::DeleteBlob { repository, blob } => {
                    let digest = images::digest(CONTENTS[blob]);
                    let path = format!("/v2/{}/blobs/{digest}", REPOSITORIES[repository]);
                    // Needed and not there cannot both be.
                    let expected = if model[repository].needs(&digest) {
                        405
                    } else if model[repository].blobs.remove(&digest) {
                        202
                    } else {
                        404
                    };
                    (client.send("DELETE", &path, &[], b""), expected)
                }
            };
            prop_assert_eq!(answer.status, expected, "{:?}", error_code(&answer));
            check_answer("PUT", &answer, &server.root()).unwrap();
        }
        for restarts in [false, true] {
            if restarts {
                server.restart();
            }
            compare(&server, &model)?;
        }
    }
}

fn push(
    server: &Server,
    repository: usize,
    content: &str,
    tag: Option<usize>,
) -> crate::harness::http::Response {
    let reference = tag.map_or_else(|| images::digest(content), |tag| format!("t{tag}"));
    images::push_manifest(
        &server.client,
        REPOSITORIES[repository],
        &reference,
        content,
    )
}

/// Every list and every body.
fn compare(server: &Server, model: &[Repository; 2]) -> Result<(), TestCaseError> {
    let client = &server.client;
    let names: Vec<&str> = REPOSITORIES
        .into_iter()
        .zip(model)
        .filter(|(_, model)| model.exists)
        .map(|(name, _)| name)
        .collect();
    prop_assert_eq!(
        client.get("/v2/_catalog").text(),
        format!("{}\n", json!({ "repositories": names }))
    );
    let mut digests: BTreeSet<String> = CONTENTS.iter().map(images::digest).collect();
    digests.extend(
        model
            .iter()
            .flat_map(|repository| repository.manifests.keys().cloned()),
    );
    for (name, model) in REPOSITORIES.into_iter().zip(model) {
        let listed = client.get(&format!("/v2/{name}/tags/list"));
        if model.exists {
            let listed: Value = serde_json::from_slice(&listed.body).unwrap();
            let tags: Vec<&String> = model.tags.keys().collect();
            prop_assert_eq!(listed, json!({ "name": name, "tags": tags }));
        } else {
            prop_assert_eq!(listed.status, 404);
        }
        for (tag, digest) in &model.tags {
            let pulled = client.get(&format!("/v2/{name}/manifests/{tag}"));
            prop_assert_eq!(pulled.text(), model.manifests[digest].0.clone());
        }
        for digest in &digests {
            let pulled = client.get(&format!("/v2/{name}/manifests/{digest}"));
            let manifest = model.manifests.get(digest);
            prop_assert_eq!(pulled.status, if manifest.is_some() { 200 } else { 404 });
            if let Some((content, _)) = manifest {
                prop_assert_eq!(pulled.text(), content.clone());
            }
            let pulled = client.get(&format!("/v2/{name}/blobs/{digest}"));
            let is_there = model.blobs.contains(digest);
            prop_assert_eq!(pulled.status, if is_there { 200 } else { 404 });
            check_answer("GET", &pulled, &server.root()).unwrap();
        }
    }
    Ok(())
}
