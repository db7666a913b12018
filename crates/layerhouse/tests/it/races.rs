//! Many clients at once: one copy of one digest (F15), one history of one tag (F16, I3).

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::harness::Over;
use crate::harness::images;
use crate::harness::server::Server;

const WRITERS: usize = 64;

#[test]
fn fault_f15_one_digest_pushed_at_once_is_one_blob() {
    let server = Server::start();
    let client = server.client;
    for round in 0..4_usize {
        let content = format!("round {round} ").repeat(9000);
        let digest = images::digest(&content);
        let barrier = Barrier::new(WRITERS);
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (content, digest, barrier) = (&content, &digest, &barrier);
                scope.spawn(move || {
                    let repository = format!("acme/r{}", writer % 3);
                    let body = content.as_bytes();
                    barrier.wait();
                    let post = format!("/v2/{repository}/blobs/uploads/");
                    let pushed = if writer % 2 == 0 {
                        client.send("POST", &format!("{post}?digest={digest}"), &[], body)
                    } else {
                        let opened = client.send("POST", &post, &[], b"");
                        let upload = opened.header("location").unwrap();
                        client.send("PUT", &format!("{upload}?digest={digest}"), &[], body)
                    };
                    assert_eq!(pushed.status, 201, "{}", pushed.text());
                    let pulled = client.get(&format!("/v2/{repository}/blobs/{digest}"));
                    assert_eq!((pulled.status, pulled.body.len()), (200, body.len()));
                });
            }
        });
    }
    // What was staged and lost the race is gone.
    let staged = std::fs::read_dir(server.root().join("layerhouse/uploads"))
        .unwrap()
        .count();
    assert_eq!(staged, 0);
}

/// F16, I3: a reader sees what some writer put there and nothing older than it saw before its writer
/// was answered; never that there is nothing.
#[test]
fn inv_i3_tags_are_always_something_that_was_pushed() {
    const TAGS: usize = 4;
    const ROUNDS: usize = 6;
    let server = Server::start();
    let client = server.client;
    images::push_blob(&client, "acme/web", "{}");
    let manifest = |writer: usize, round: usize| {
        let mut image = images::image("{}", &[]);
        image["annotations"] = serde_json::json!({ "by": format!("{writer} {round}") });
        image.to_string()
    };
    let path = |tag: usize| format!("/v2/acme/web/manifests/t{tag}");
    let names: Vec<String> = (0..TAGS).map(path).collect();
    for name in &names {
        assert_eq!(
            client
                .send("PUT", name, &[], manifest(0, 0).as_bytes())
                .status,
            201
        );
    }
    let writing = AtomicUsize::new(WRITERS);
    let (names, writing, manifest) = (&names, &writing, &manifest);
    let reads: usize = std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || {
                let mut connection = client.open();
                let name = &names[writer % TAGS];
                for round in 1..=ROUNDS {
                    let content = manifest(writer, round);
                    let answer = connection.send("PUT", name, &[], content.as_bytes());
                    assert_eq!(answer.status, 201, "{}", answer.text());
                    let digest = images::digest(&content);
                    let by_digest = format!("/v2/acme/web/manifests/{digest}");
                    assert_eq!(connection.get(&by_digest).text(), content);
                }
                writing.fetch_sub(1, Ordering::SeqCst);
            });
        }
        let readers: Vec<_> = (0..8_usize)
            .map(|reader| {
                scope.spawn(move || {
                    let mut connection = client.open();
                    let mut last = vec![0; WRITERS];
                    let mut reads = 0;
                    while writing.load(Ordering::SeqCst) != 0 {
                        let answer = connection.get(&names[reader % TAGS]);
                        assert_eq!(answer.status, 200, "{}", answer.text());
                        let digest = answer.header("docker-content-digest").unwrap();
                        assert_eq!(images::digest(&answer.body), digest);
                        let image: serde_json::Value =
                            serde_json::from_slice(&answer.body).unwrap();
                        let by = image["annotations"]["by"].as_str().unwrap().to_owned();
                        let (writer, round) = by.split_once(' ').unwrap();
                        let writer: usize = writer.parse().unwrap();
                        let round: usize = round.parse().unwrap();
                        // Each writer's pushes of a tag are seen in their order.
                        assert!(last[writer] <= round, "an older push came back");
                        last[writer] = round;
                        reads += 1;
                    }
                    reads
                })
            })
            .collect();
        readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .sum()
    });
    assert!(WRITERS < reads, "only {reads} reads ran beside the writers");
    for (tag, name) in names.iter().enumerate() {
        // The last word has a writer that had nothing more to say.
        let image: serde_json::Value = serde_json::from_slice(&client.get(name).body).unwrap();
        let by = image["annotations"]["by"].as_str().unwrap().to_owned();
        let (writer, round) = by.split_once(' ').unwrap();
        assert_eq!(writer.parse::<usize>().unwrap() % TAGS, tag);
        assert_eq!(round.parse::<usize>().unwrap(), ROUNDS);
    }
}

/// F16 with deletes: a tag is there or it is not, and can be pushed and deleted again whatever ran.
#[test]
fn fault_f16_tags_survive_deletes_that_race() {
    let server = Server::start();
    let client = server.client;
    images::push_blob(&client, "acme/web", "{}");
    let image = images::image("{}", &[]).to_string();
    let (tag, digest) = ("/v2/acme/web/manifests/v1", images::digest(&image));
    let by_digest = format!("/v2/acme/web/manifests/{digest}");
    std::thread::scope(|scope| {
        for writer in 0..16_usize {
            let (image, by_digest) = (&image, &by_digest);
            scope.spawn(move || {
                let mut connection = client.open();
                for _ in 0..12 {
                    let (status, allowed) = match writer % 4 {
                        0 => (connection.send("DELETE", tag, &[], b"").status, [202, 404]),
                        1 => (
                            connection.send("DELETE", by_digest, &[], b"").status,
                            [202, 404],
                        ),
                        2 => (connection.get(tag).status, [200, 404]),
                        _ => (
                            connection.send("PUT", tag, &[], image.as_bytes()).status,
                            [201, 201],
                        ),
                    };
                    assert!(allowed.contains(&status), "{status}");
                }
            });
        }
    });
    assert_eq!(client.send("PUT", tag, &[], image.as_bytes()).status, 201);
    assert_eq!(client.get(tag).text(), image);
    assert_eq!(client.send("DELETE", &by_digest, &[], b"").status, 202);
    assert_eq!(client.get(tag).status, 404);
    assert_eq!(
        client.get("/v2/acme/web/tags/list").text().trim_end(),
        r#"{"name":"acme/web","tags":[]}"#
    );
}

/// Whoever writes to a session while it is finished writes before its blob is published, or nowhere:
/// the published file was the staged one a moment ago.
#[test]
fn a_chunk_beside_the_end_of_its_upload_never_reaches_the_blob() {
    let server = Server::start();
    let client = server.client;
    for round in 0..60_usize {
        let content = format!("content of round {round}");
        let digest = images::digest(&content);
        let opened = client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b"");
        let upload = opened.header("location").unwrap();
        let held = client.send("PATCH", upload, &[], content.as_bytes());
        assert_eq!(held.status, 202);
        let finished = std::thread::scope(|scope| {
            let late = scope.spawn(|| client.send("PATCH", upload, &[], b"too late"));
            let finished = client.send("PUT", &format!("{upload}?digest={digest}"), &[], b"");
            let late = late.join().unwrap().status;
            assert!(matches!(late, 202 | 404 | 409), "{late}");
            finished.status
        });
        // Behind the chunk the upload has another digest; beside it, it was busy.
        assert!(matches!(finished, 201 | 400 | 409), "{finished}");
        let path = format!("/v2/acme/web/blobs/{digest}");
        let pulled = client.get(&path);
        if finished == 201 {
            assert_eq!(pulled.text(), content);
        } else {
            assert_eq!(pulled.status, 404);
            client.send("DELETE", upload, &[], b"");
        }
    }
    let staged = std::fs::read_dir(server.root().join("layerhouse/uploads"))
        .unwrap()
        .count();
    assert_eq!(staged, 0);
}

/// I1: of a delete and a push that need the same blob one comes first, and what can be read then has
/// all that it needs.
#[test]
fn inv_i1_a_blob_does_not_go_from_under_a_manifest() {
    let server = Server::start();
    let client = server.client;
    for round in 0..40_usize {
        let config = format!("{{\"round\":{round}}}");
        let digest = images::push_blob(&client, "acme/web", &config);
        let manifest = images::image(&config, &[]).to_string();
        let blob = format!("/v2/acme/web/blobs/{digest}");
        let (deleted, pushed) = std::thread::scope(|scope| {
            let deleting = scope.spawn(|| client.send("DELETE", &blob, &[], b"").status);
            let pushed = images::push_manifest(&client, "acme/web", "v1", &manifest).status;
            (deleting.join().unwrap(), pushed)
        });
        assert!(
            matches!((deleted, pushed), (202, 404) | (405, 201)),
            "{deleted} {pushed}"
        );
        let expected = if pushed == 201 { 200 } else { 404 };
        assert_eq!(client.get(&blob).status, expected);
    }
}

/// Pulls are answered from memory between commits: what a change made untrue is gone from there before
/// the change is answered, however many ask for it meanwhile.
#[test]
fn a_change_is_seen_as_soon_as_it_is_answered() {
    const ROUNDS: usize = 40;
    let server = Server::start();
    let client = server.client;
    let digest = images::push_blob(&client, "acme/web", "{}");
    let unused = images::push_blob(&client, "acme/web", "nobody needs it");
    let tag = "/v2/acme/web/manifests/t";
    let blob = format!("/v2/acme/web/blobs/{unused}");
    let mount = format!("/v2/acme/web/blobs/uploads/?mount={unused}&from=acme/other");
    images::push_blob(&client, "acme/other", "nobody needs it");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut connection = client.open();
                while !is_over.load(Ordering::SeqCst) {
                    connection.get(tag);
                    connection.send("HEAD", &blob, &[], b"");
                }
            });
        }
        // Also if an assertion fails.
        let _over = Over(&is_over);
        let mut connection = client.open();
        for round in 0..ROUNDS {
            let mut image = images::image("{}", &[]);
            image["annotations"] = serde_json::json!({ "round": round.to_string() });
            let content = image.to_string();
            let pushed = connection.send("PUT", tag, &[], content.as_bytes());
            assert_eq!(pushed.status, 201, "{}", pushed.text());
            assert_eq!(connection.get(tag).text(), content);
            assert_eq!(connection.send("DELETE", tag, &[], b"").status, 202);
            assert_eq!(connection.get(tag).status, 404);

            assert_eq!(connection.send("HEAD", &blob, &[], b"").status, 200);
            assert_eq!(connection.send("DELETE", &blob, &[], b"").status, 202);
            assert_eq!(connection.send("HEAD", &blob, &[], b"").status, 404);
            assert_eq!(connection.send("POST", &mount, &[], b"").status, 201);
        }
    });
    assert_eq!(
        client.get(&format!("/v2/acme/web/blobs/{digest}")).status,
        200
    );
}
