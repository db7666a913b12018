//! Referrers: what names a manifest as its subject, filtered, paged and with the fallback tag folded in.

use std::collections::BTreeSet;

use layerhouse_oci::media_type::{OCI_INDEX, OCI_MANIFEST};
use serde_json::{Value, json};

use crate::harness::http::{Client, Response};
use crate::harness::images;
use crate::harness::process::Process;
use crate::harness::server::Server;
use crate::harness::transcript::{Transcript, check, check_answer};

#[test]
fn referrers_of_nothing_are_none() {
    let none = format!(
        "200  '{{\"manifests\":[],\"mediaType\":\"{OCI_INDEX}\",\"schemaVersion\":2}}'  Content-Type: {OCI_INDEX}  Link: -"
    );
    check(&format!(
        "GET   /v2/acme/none/referrers/$sha256(x)    {none}  OCI-Filters-Applied: -
         GET   /v2/acme/none/referrers/$sha512(x)    {none}
         GET   /v2/acme/none/referrers/$sha256(x)?artifactType=application/x   {none}  OCI-Filters-Applied: artifactType
         GET   /v2/acme/none/referrers/sha256:x      400  DIGEST_INVALID
         GET   /v2/acme/none/referrers/latest        400  DIGEST_INVALID
         GET   /v2/acme/none/referrers/              400  DIGEST_INVALID
         GET   /v2/Acme/none/referrers/$sha256(x)    400  NAME_INVALID
         PUT   /v2/acme/none/referrers/$sha256(x)    405  UNSUPPORTED",
    ));
}

#[test]
fn referrers_are_described_and_filtered() {
    let server = Server::start();
    let client = &server.client;
    let image = images::push_image(client, "acme/web", "v1", "abcd");
    let subject = images::descriptor(OCI_MANIFEST, &image);
    let signature = images::referrer(&subject, "application/x.signature", 1).to_string();
    // Without an artifact type an image's is the media type of its config.
    let mut plain = images::image("{}", &["abcd"]);
    plain["subject"] = subject.clone();
    let plain = plain.to_string();
    let mut bundle = images::index(&[]);
    bundle["artifactType"] = json!("application/x.bundle");
    bundle["subject"] = subject;
    let bundle = bundle.to_string();
    for manifest in [&signature, &plain, &bundle] {
        let digest = images::digest(manifest);
        let answer = images::push_manifest(client, "acme/web", &digest, manifest);
        assert_eq!(answer.status, 201);
        assert_eq!(answer.header("oci-subject"), Some(&*images::digest(&image)));
    }
    let mut described = [
        descriptor(
            OCI_MANIFEST,
            &signature,
            "application/x.signature",
            json!({ "number": "1" }),
        ),
        descriptor(OCI_MANIFEST, &plain, images::CONFIG, Value::Null),
        descriptor(OCI_INDEX, &bundle, "application/x.bundle", Value::Null),
    ];
    let path = format!("/v2/acme/web/referrers/{}", images::digest(&image));
    for one in &described {
        let artifact_type = one["artifactType"].as_str().unwrap().replace('+', "%2B");
        let answer = client.get(&format!("{path}?artifactType={artifact_type}"));
        assert_eq!(answer.header("oci-filters-applied"), Some("artifactType"));
        assert_eq!(manifests(&answer), std::slice::from_ref(one));
    }
    described.sort_by_key(|one| one["digest"].to_string());
    let answer = client.get(&path);
    assert_eq!(answer.header("oci-filters-applied"), None);
    assert_eq!(manifests(&answer), described);
    assert!(manifests(&client.get(&format!("{path}?artifactType=application/x"))).is_empty());
    // They belong to their repository, and go when they are deleted.
    assert!(manifests(&client.get(&path.replace("web", "api"))).is_empty());
    let gone = format!("/v2/acme/web/manifests/{}", images::digest(&plain));
    assert_eq!(client.send("DELETE", &gone, &[], b"").status, 202);
    assert_eq!(manifests(&client.get(&path)).len(), 2);
}

/// Clients that found no referrers API kept an index of them under a tag named like the subject.
#[test]
fn the_fallback_tag_is_folded_in() {
    let server = Server::start();
    let client = &server.client;
    let image = images::push_image(client, "acme/web", "v1", "abcd");
    let subject = images::descriptor(OCI_MANIFEST, &image);
    let new = images::referrer(&subject, "application/x.new", 1).to_string();
    let mut old = images::image("{}", &[]);
    old["artifactType"] = json!("application/x.old");
    let old = old.to_string();
    for manifest in [&new, &old] {
        let digest = images::digest(manifest);
        assert_eq!(
            images::push_manifest(client, "acme/web", &digest, manifest).status,
            201
        );
    }
    let listed = [
        descriptor(
            OCI_MANIFEST,
            &new,
            "application/x.new",
            json!({ "number": "1" }),
        ),
        descriptor(
            OCI_MANIFEST,
            &old,
            "application/x.old",
            json!({ "by": "hand" }),
        ),
    ];
    let fallback = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed });
    let tag = images::digest(&image).replace(':', "-");
    let answer = images::push_manifest(client, "acme/web", &tag, &fallback.to_string());
    assert_eq!(answer.status, 201);
    let path = format!("/v2/acme/web/referrers/{}", images::digest(&image));
    let mut expected = listed.clone();
    expected.sort_by_key(|one| one["digest"].to_string());
    assert_eq!(manifests(&client.get(&path)), expected);
    let answer = client.get(&format!("{path}?artifactType=application/x.old"));
    assert_eq!(manifests(&answer), [listed[1].clone()]);
}

/// S26: a flood of referrers is served in pages of at most 4 MiB, to the end, each of them once.
#[test]
fn sec_s26_a_flood_of_referrers_is_paged() {
    const WRITERS: usize = 50;
    const EACH: usize = 10_000 / WRITERS;
    let server = Server::start();
    let client = server.client;
    images::push_blob(&client, "acme/web", "{}");
    let subject = images::descriptor(OCI_MANIFEST, "a subject that is not there");
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let subject = &subject;
            scope.spawn(move || {
                let mut connection = client.open();
                for number in 0..EACH {
                    let kind = if number % 10 == 0 {
                        "application/x.rare"
                    } else {
                        "application/x"
                    };
                    let manifest = images::referrer(subject, kind, writer * EACH + number);
                    let manifest = manifest.to_string();
                    let path = format!("/v2/acme/web/manifests/{}", images::digest(&manifest));
                    let answer = connection.send("PUT", &path, &[], manifest.as_bytes());
                    assert_eq!(answer.status, 201, "{}", answer.text());
                }
            });
        }
    });
    let path = format!(
        "/v2/acme/web/referrers/{}",
        subject["digest"].as_str().unwrap()
    );
    let all = all_pages(&client, path.clone());
    assert_eq!(all.len(), WRITERS * EACH);
    let rare = all_pages(&client, format!("{path}?artifactType=application/x.rare"));
    assert_eq!(rare.len(), WRITERS * EACH.div_ceil(10));
    assert!(rare.is_subset(&all));
}

/// S26: a page is bounded by bytes too: annotations are as long as their writer likes.
#[test]
fn sec_s26_long_annotations_make_short_pages() {
    let server = Server::start();
    let client = &server.client;
    images::push_blob(client, "acme/web", "{}");
    let subject = images::descriptor(OCI_MANIFEST, "a subject that is not there");
    for (number, pad_bytes) in [1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 7 << 20]
        .iter()
        .enumerate()
    {
        let mut manifest = images::referrer(&subject, "application/x", number);
        manifest["annotations"]["pad"] = json!("x".repeat(*pad_bytes));
        let manifest = manifest.to_string();
        let answer =
            images::push_manifest(client, "acme/web", &images::digest(&manifest), &manifest);
        assert_eq!(answer.status, 201);
    }
    let path = format!(
        "/v2/acme/web/referrers/{}",
        subject["digest"].as_str().unwrap()
    );
    assert_eq!(all_pages(client, path).len(), 6);
}

/// S26: what a page leaves out is not held in memory on the way.
#[test]
fn sec_s26_a_page_costs_no_more_than_it_holds() {
    let directory = tempfile::TempDir::new().unwrap();
    let process = Process::start(directory.path(), &[]);
    images::push_blob(&process.client, "acme/web", "{}");
    let subject = images::descriptor(OCI_MANIFEST, "a subject that is not there");
    let pad = "x".repeat(6 << 20);
    for number in 0..20 {
        let mut manifest = images::referrer(&subject, "application/x", number);
        manifest["annotations"]["pad"] = json!(pad);
        let manifest = manifest.to_string();
        let digest = images::digest(&manifest);
        let answer = images::push_manifest(&process.client, "acme/web", &digest, &manifest);
        assert_eq!(answer.status, 201);
    }
    let before = peak_bytes(process.id());
    let path = format!(
        "/v2/acme/web/referrers/{}",
        subject["digest"].as_str().unwrap()
    );
    assert_eq!(process.client.get(&path).status, 200);
    // The kernel counts in batches, so the peak it shows may even have gone down.
    let grown = peak_bytes(process.id()).saturating_sub(before);
    assert!(grown < 32 << 20, "one page took {grown} bytes of memory");
}

/// Every page to the end: the digests, none of them twice, in order.
fn all_pages(client: &Client, first: String) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut next = Some(first);
    while let Some(path) = next {
        let answer = client.get(&path);
        assert_eq!(answer.status, 200);
        check_answer("GET", &answer, std::path::Path::new("/nowhere")).unwrap();
        assert!(
            answer.body.len() <= 4 << 20,
            "a page has {} bytes",
            answer.body.len()
        );
        let page = manifests(&answer);
        assert!(page.len() <= 1000);
        for descriptor in page {
            let digest = descriptor["digest"].as_str().unwrap().to_owned();
            assert!(
                seen.last().is_none_or(|last| *last < digest),
                "{digest} is out of order"
            );
            seen.insert(digest);
        }
        next = answer.header("link").map(|link| {
            let (target, relation) = link.split_once('>').unwrap();
            assert_eq!(relation, "; rel=\"next\"");
            target.trim_start_matches('<').to_owned()
        });
    }
    seen
}

/// The most memory that a process ever had resident.
fn peak_bytes(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes << 10
}

fn manifests(answer: &Response) -> Vec<Value> {
    let index: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(index["mediaType"], OCI_INDEX);
    assert_eq!(answer.header("content-type"), Some(OCI_INDEX));
    index["manifests"].as_array().unwrap().clone()
}

fn descriptor(media_type: &str, content: &str, artifact_type: &str, annotations: Value) -> Value {
    let mut descriptor = images::descriptor(media_type, content);
    descriptor["artifactType"] = json!(artifact_type);
    if !annotations.is_null() {
        descriptor["annotations"] = annotations;
    }
    descriptor
}

/// A transcript of it all: pushed before its subject, listed, unlisted.
#[test]
fn a_referrer_comes_and_goes() {
    let image = images::image("{}", &[]).to_string();
    let subject = images::descriptor(OCI_MANIFEST, &image);
    let note = images::referrer(&subject, "application/x.note", 1).to_string();
    let listed = format!(
        "'{{\"manifests\":[{{\"annotations\":{{\"number\":\"1\"}},\"artifactType\":\"application/x.note\",\"digest\":\"{}\",\"mediaType\":\"{OCI_MANIFEST}\",\"size\":{}}}],…'",
        images::digest(&note),
        note.len()
    );
    Transcript::start()
        .given("image", image)
        .given("note", note)
        .run(&format!(
            "POST   /v2/acme/web/blobs/uploads/?digest=$sha256({{}})  '{{}}'  201
         PUT    /v2/acme/web/manifests/note  $note            201
         GET    /v2/acme/web/referrers/$sha256($image)        200  {listed}
         DELETE /v2/acme/web/manifests/note                   202
         GET    /v2/acme/web/referrers/$sha256($image)        200  {listed}
         restart
         GET    /v2/acme/web/referrers/$sha256($image)        200  {listed}
         DELETE /v2/acme/web/manifests/$sha256($note)         202
         GET    /v2/acme/web/referrers/$sha256($image)        200  '{{\"manifests\":[],…'",
        ));
}
