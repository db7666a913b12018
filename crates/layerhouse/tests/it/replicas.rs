//! Several processes on one database and one bucket (`LAYERHOUSE_TEST_POSTGRES`); without a PostgreSQL there is nothing
//! to see here.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::harness::bucket::Bucket;
use crate::harness::database;
use crate::harness::files::quick_directory;
use crate::harness::http::Client;
use crate::harness::images::{digest, image, push_blob, push_image, push_manifest};
use crate::harness::process::Process;
use crate::harness::server::Server;

/// Pulls come from us; what nobody needs goes soon.
const STREAMED: &str = "redirect: {disable: true}\n  delete: {enabled: true}";
/// What one of them changed, all of them show within so long: it is a second, and this is for a busy machine.
const SEEN_WITHIN: Duration = Duration::from_secs(5);
/// For certain: without a look for a second, nothing that is remembered counts.
const KNOWN_WITHIN: Duration = Duration::from_secs(2);
/// Who leads is missed within 12 s, and looked for each 3.
const TAKEN_OVER_WITHIN: Duration = Duration::from_mins(1);

/// Three of them; the first one goes last.
struct Replicas {
    others: Vec<Server>,
    first: Server,
    _bucket: Bucket,
}

impl Replicas {
    fn start(more: &str) -> Option<Self> {
        if !database::is_served() {
            return None;
        }
        let bucket = Bucket::start();
        let first = Server::configured(&bucket.configuration(&format!("{STREAMED}\n{more}")));
        Some(Self {
            others: vec![first.replica(11), first.replica(12)],
            first,
            _bucket: bucket,
        })
    }

    fn clients(&self) -> Vec<Client> {
        let all = std::iter::once(&self.first).chain(&self.others);
        all.map(|server| server.client).collect()
    }
}

fn until(limit: Duration, what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < limit, "it is not so: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn content(length: usize) -> Vec<u8> {
    (0u32..)
        .flat_map(|number| (number.wrapping_mul(2_654_435_761)).to_le_bytes())
        .take(length)
        .collect()
}

#[test]
fn chunks_of_one_upload_go_to_any_replica() {
    let Some(replicas) = Replicas::start("") else {
        return;
    };
    let clients = replicas.clients();
    let whole = content(17_000_001);
    let open = |client: &Client| {
        let opened = client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b"");
        assert_eq!(opened.status, 202, "{}", opened.text());
        opened.header("location").unwrap().to_owned()
    };
    let upload = open(&clients[0]);
    let mut sent = 0;
    for (turn, length) in [1, 4_000_000, 5_300_000, 200_000, 6_000_000]
        .into_iter()
        .enumerate()
    {
        let range = format!("{sent}-{}", sent + length - 1);
        let headers = [("Content-Range", range.as_str())];
        let client = &clients[(turn + 1) % 3];
        let answer = client.send("PATCH", &upload, &headers, &whole[sent..sent + length]);
        assert_eq!(answer.status, 202, "{}", answer.text());
        sent += length;
        for client in &clients {
            let held = client.get(&upload);
            assert_eq!(
                (held.status, held.header("range")),
                (204, Some(&*format!("0-{}", sent - 1)))
            );
        }
    }
    let digest = digest(&whole);
    let path = format!("{upload}?digest={digest}");
    let answer = clients[1].send("PUT", &path, &[], &whole[sent..]);
    assert_eq!(answer.status, 201, "{}", answer.text());
    for client in &clients {
        assert_eq!(client.get(&upload).status, 404);
        assert!(client.get(&format!("/v2/acme/web/blobs/{digest}")).body == whole);
    }
    // Given up by another than took it in.
    let upload = open(&clients[0]);
    let answer = clients[1].send("PATCH", &upload, &[], &whole[..6_000_000]);
    assert_eq!(answer.status, 202);
    assert_eq!(clients[2].send("DELETE", &upload, &[], b"").status, 204);
    assert_eq!(clients[0].get(&upload).status, 404);
}

/// Of a chunk that became several parts at once none is on its way when its client is answered.
#[test]
fn a_chunk_of_many_parts_is_gone_on_with_elsewhere() {
    let Some(replicas) = Replicas::start("") else {
        return;
    };
    let clients = replicas.clients();
    let whole = content(50_000_001);
    let opened = clients[0].send("POST", "/v2/acme/web/blobs/uploads/", &[], b"");
    let upload = opened.header("location").unwrap().to_owned();
    let mut sent = 0;
    for (client, length) in clients.iter().zip([3_000_000, 16_000_000, 11_000_000]) {
        let answer = client.send("PATCH", &upload, &[], &whole[sent..sent + length]);
        assert_eq!(answer.status, 202, "{}", answer.text());
        sent += length;
    }
    let digest = digest(&whole);
    let path = format!("{upload}?digest={digest}");
    let answer = clients[0].send("PUT", &path, &[], &whole[sent..]);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let blob = clients[1].get(&format!("/v2/acme/web/blobs/{digest}"));
    assert!(blob.body == whole);
}

#[test]
fn what_one_changes_all_show() {
    let Some(replicas) = Replicas::start("") else {
        return;
    };
    let clients = replicas.clients();
    let tag = "/v2/acme/web/manifests/v1";
    let all_show = |what: &str, is_so: &dyn Fn(&Client) -> bool| {
        until(SEEN_WITHIN, what, || clients.iter().all(is_so));
    };
    for round in 0..4 {
        let writer = &clients[round % 3];
        let image = push_image(writer, "acme/web", "v1", &format!("layer {round}"));
        // Who answered shows it at once.
        assert_eq!(writer.get(tag).text(), image);
        all_show("the tag moved", &|client| client.get(tag).text() == image);
    }
    let image = digest(clients[0].get(tag).body);
    let path = format!("/v2/acme/web/manifests/{image}");
    assert_eq!(clients[2].send("DELETE", &path, &[], b"").status, 202);
    assert_eq!(clients[2].get(tag).status, 404);
    all_show("the image is deleted", &|client| {
        client.get(&path).status == 404
    });
}

/// A token that was taken back, on a replica that had decided on it and remembers.
#[test]
fn a_right_that_is_taken_ends_on_all() {
    let Some(replicas) = Replicas::start("layerhouse: {index: {}}") else {
        return;
    };
    let clients = replicas.clients();
    // Any of the codes that the three showed is good.
    let code = replicas.first.setup_code();
    let body =
        json!({ "name": "ada", "password": "correct horse battery", "code": code }).to_string();
    let made = clients[1].send(
        "POST",
        "/api/v1/users",
        &[("Content-Type", "application/json")],
        body.as_bytes(),
    );
    assert_eq!(made.status, 201, "{}", made.text());
    let basic = (
        "Authorization",
        "Basic YWRhOmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ==",
    );
    let token_for = |client: &Client, scope: &str| {
        let answer = client.send("GET", &format!("/auth/token?scope={scope}"), &[basic], b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        format!("Bearer {}", answer["token"].as_str().unwrap())
    };
    // Signed by one, believed by the others.
    let token = token_for(&clients[0], "repository:ada/web:pull,push");
    let pull = |client: &Client| {
        let headers = [("Authorization", token.as_str())];
        client
            .send("GET", "/v2/ada/web/tags/list", &headers, b"")
            .status
    };
    let opened = clients[2].send(
        "POST",
        "/v2/ada/web/blobs/uploads/",
        &[("Authorization", token.as_str())],
        b"",
    );
    assert_eq!(opened.status, 202, "{}", opened.text());
    let location = opened.header("location").unwrap();
    let path = format!("{location}?digest={}", digest("{}"));
    let pushed = clients[0].send("PUT", &path, &[("Authorization", token.as_str())], b"{}");
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    for client in &clients {
        until(SEEN_WITHIN, "it may be pulled", || pull(client) == 200);
    }
    let body = json!({ "is_disabled": true }).to_string();
    let other =
        json!({ "name": "eve", "password": "correct horse battery", "is_admin": true }).to_string();
    let json = ("Content-Type", "application/json");
    let made = clients[0].send("POST", "/api/v1/users", &[basic, json], other.as_bytes());
    assert_eq!(made.status, 201, "{}", made.text());
    let eve = (
        "Authorization",
        "Basic ZXZlOmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ==",
    );
    let changed = clients[1].send("PATCH", "/api/v1/users/ada", &[eve, json], body.as_bytes());
    assert_eq!(changed.status, 200, "{}", changed.text());
    for client in &clients {
        until(SEEN_WITHIN, "ada may not pull", || pull(client) == 401);
    }
}

/// What a client was told by one is not collected by another.
#[test]
fn a_promise_of_one_binds_all() {
    let more = "layerhouse: {collection: {grace: 0s, promise: 60h, undelete: 0s, interval: 1s}}";
    let Some(replicas) = Replicas::start(more) else {
        return;
    };
    let clients = replicas.clients();
    let hours = |hours| Duration::from_hours(hours);
    let quarters = |quarters: u64| Duration::from_mins(15 * quarters);
    let untold = push_blob(&clients[0], "acme/web", "untold");
    // Each is promised by one alone, and one of those leads.
    let told: Vec<String> = (0..clients.len())
        .map(|number| push_blob(&clients[0], "acme/web", format!("told by {number}")))
        .collect();
    let path = |digest: &str| format!("/v2/acme/web/blobs/{digest}");
    let is_gone = |digest: &str| {
        // So that rounds of collection come.
        replicas.first.advance(Duration::from_millis(100));
        // All are asked, whoever collects: who still remembers it says 404 as well, and finds nothing wrong.
        let statuses = clients
            .iter()
            .map(|client| client.get(&path(digest)).status);
        statuses
            .collect::<Vec<_>>()
            .iter()
            .all(|status| *status == 404)
    };
    let tell = || {
        for (client, digest) in clients.iter().zip(&told) {
            assert_eq!(client.send("HEAD", &path(digest), &[], b"").status, 200);
        }
    };
    replicas.first.advance(hours(49));
    let witness = push_blob(&clients[0], "acme/web", "witness");
    replicas.first.advance(quarters(3));
    tell();
    // Too soon to be written down again, and a promise all the same: it ends half an hour after the witness goes.
    replicas.first.advance(quarters(3));
    tell();
    replicas.first.advance(hours(15));
    until(TAKEN_OVER_WITHIN, "what nobody asked for goes", || {
        is_gone(&untold)
    });
    replicas.first.advance(hours(44) + quarters(3));
    until(TAKEN_OVER_WITHIN, "the witness goes", || is_gone(&witness));
    for digest in &told {
        assert_eq!(clients[2].get(&path(digest)).status, 200, "it was promised");
    }
    replicas.first.advance(hours(10));
    for digest in &told {
        until(TAKEN_OVER_WITHIN, "the promise ends", || is_gone(digest));
        // Whoever asks is told the truth, and sends it.
        assert_eq!(clients[1].send("HEAD", &path(digest), &[], b"").status, 404);
    }
}

/// A write of a tag: when it began and was answered, and what it wrote.
struct Written {
    began: Instant,
    answered: Instant,
    digest: String,
}

/// 64 writers of one tag, spread over all: the history has each that was answered once, in an order that nobody can
/// contradict who saw one answered before another began; and who reads sees nothing older than what all were to know.
#[test]
fn the_history_of_a_tag_is_one() {
    const WRITERS: usize = 64;
    const ROUNDS: usize = 8;
    let Some(replicas) = Replicas::start("") else {
        return;
    };
    let clients = replicas.clients();
    push_blob(&clients[0], "acme/web", "{}");
    let written = Mutex::new(Vec::new());
    let read = Mutex::new(Vec::new());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (reader, client) in clients.iter().enumerate() {
            let (read, is_over) = (&read, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let answer = client.get("/v2/acme/web/manifests/v1");
                    if answer.status == 200 {
                        let what = digest(answer.body);
                        let ended = Instant::now();
                        read.lock().unwrap().push((reader, began, ended, what));
                    }
                }
            });
        }
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (client, written) = (&clients[writer % 3], &written);
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let mut image = image("{}", &[]);
                        image["annotations"] = json!({ "by": format!("{writer} {round}") });
                        let image = image.to_string();
                        let began = Instant::now();
                        let answer = push_manifest(client, "acme/web", "v1", &image);
                        assert_eq!(answer.status, 201, "{}", answer.text());
                        let answered = Instant::now();
                        let digest = digest(&image);
                        written.lock().unwrap().push(Written {
                            began,
                            answered,
                            digest,
                        });
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let history = database::texts(
        &replicas.first.root(),
        "SELECT to_digest FROM tag_events WHERE to_digest IS NOT NULL ORDER BY id",
    );
    let written = written.into_inner().unwrap();
    assert_eq!(history.len(), written.len());
    let place = |digest: &str| {
        history
            .iter()
            .position(|found| found == digest)
            .expect("it is in the history")
    };
    let mut placed: Vec<(usize, &Written)> = written
        .iter()
        .map(|write| (place(&write.digest), write))
        .collect();
    placed.sort_by_key(|(place, _)| *place);
    let mut latest_beginning = placed[0].1.began;
    for (at, (found, write)) in placed.iter().enumerate() {
        assert_eq!(at, *found, "each is there once");
        // Those before it in the history began before it was answered.
        assert!(
            latest_beginning <= write.answered,
            "{at} was answered before one that precedes it began"
        );
        latest_beginning = latest_beginning.max(write.began);
    }
    let mut last_seen = [0; 3];
    for (reader, began, ended, what) in read.into_inner().unwrap() {
        let at = place(&what);
        assert!(last_seen[reader] <= at, "what one replica shows went back");
        last_seen[reader] = at;
        assert!(placed[at].1.began <= ended, "read before it was written");
        // The next one in the history was answered so long before that all knew.
        if let Some((_, next)) = placed.get(at + 1) {
            assert!(
                began <= next.answered + KNOWN_WITHIN,
                "{what} was read {:?} after the next was answered",
                began - next.answered
            );
        }
    }
    let last = history.last().unwrap();
    for client in &clients {
        until(SEEN_WITHIN, "all show the last", || {
            digest(client.get("/v2/acme/web/manifests/v1").body) == *last
        });
    }
}

/// A process of the registry that a test kills.
struct Killed {
    directory: TempDir,
    process: Process,
}

impl Killed {
    fn start(bucket: &Bucket, url: &str) -> Self {
        let directory = quick_directory();
        let file = directory.path().join("config.yml");
        let more = format!(
            "{STREAMED}\nlayerhouse: {{collection: {{grace: 4s, promise: 4s, undelete: 0s, interval: 1s}}}}"
        );
        let text = format!("version: 0.1\n{}\n", bucket.configuration(&more));
        fs::write(&file, text).unwrap();
        let process = Self::run(&directory, url);
        Self { directory, process }
    }

    fn run(directory: &TempDir, url: &str) -> Process {
        let (file, root) = (
            directory.path().join("config.yml"),
            directory.path().join("root"),
        );
        let arguments = [
            "--config",
            &file.to_string_lossy(),
            "--root",
            &root.to_string_lossy(),
        ];
        let started = Process::try_run(&arguments, &[("LAYERHOUSE_DATABASE", url)]);
        started.unwrap_or_else(|refused| panic!("{refused:?}"))
    }
}

/// Sends it to one replica after the other until one answers with what is wanted, as clients behind a proxy do.
fn try_all(clients: &[Client], turn: usize, work: impl Fn(&Client) -> bool) {
    let began = Instant::now();
    for attempt in turn.. {
        if work(&clients[attempt % clients.len()]) {
            return;
        }
        assert!(
            began.elapsed() < Duration::from_mins(1),
            "no replica does it"
        );
    }
}

fn try_push(client: &Client, tag: &str, layer: &str) -> bool {
    let is_blob = |content: &str| {
        let path = format!("/v2/acme/web/blobs/uploads/?digest={}", digest(content));
        client
            .try_send("POST", &path, &[], content.as_bytes())
            .is_ok_and(|answer| answer.status == 201)
    };
    let manifest = image("{}", &[layer]).to_string();
    let path = format!("/v2/acme/web/manifests/{tag}");
    let headers = [("Content-Type", "application/vnd.oci.image.manifest.v1+json")];
    is_blob("{}")
        && is_blob(layer)
        && client
            .try_send("PUT", &path, &headers, manifest.as_bytes())
            .is_ok_and(|answer| answer.status == 201)
}

/// One after the other dies in the middle of pushes, and comes back, whichever leads: nothing that was acknowledged is lost,
/// and what was deleted goes.
#[test]
fn a_replica_that_dies_is_not_missed() {
    if !database::is_served() {
        return;
    }
    let bucket = Bucket::start();
    let home = quick_directory();
    let url = database::url_of(home.path()).unwrap();
    // Together, on a database and a bucket that know nothing of each other.
    let mut all: Vec<Killed> = std::thread::scope(|scope| {
        let starting: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| Killed::start(&bucket, &url)))
            .collect();
        starting
            .into_iter()
            .map(|one| one.join().unwrap())
            .collect()
    });
    let pushed = Mutex::new(Vec::new());
    for round in 0..3 {
        let clients: Vec<Client> = all.iter().map(|one| one.process.client).collect();
        let killed = round % 3;
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (clients, pushed) = (&clients, &pushed);
                scope.spawn(move || {
                    for number in 0..12 {
                        let tag = format!("r{round}-{worker}-{number}");
                        let layer = format!("layer of {tag}");
                        try_all(clients, worker + number, |client| {
                            try_push(client, &tag, &layer)
                        });
                        pushed.lock().unwrap().push((tag, layer));
                    }
                });
            }
            until(Duration::from_mins(1), "some were pushed", || {
                round * 48 + 8 < pushed.lock().unwrap().len()
            });
            all[killed].process.kill();
        });
        all[killed].process = Killed::run(&all[killed].directory, &url);
    }
    let clients: Vec<Client> = all.iter().map(|one| one.process.client).collect();
    let pushed = pushed.into_inner().unwrap();
    assert_eq!(pushed.len(), 144);
    for (number, (tag, layer)) in pushed.iter().enumerate() {
        let client = &clients[number % 3];
        let path = format!("/v2/acme/web/manifests/{tag}");
        let pushed = image("{}", &[layer]).to_string();
        until(SEEN_WITHIN, tag, || client.get(&path).text() == pushed);
        let path = format!("/v2/acme/web/blobs/{}", digest(layer));
        assert_eq!(client.get(&path).text(), *layer, "{tag}");
    }
    sound(&home.path().join("before"), &bucket, &url);
    for (number, (tag, layer)) in pushed.iter().enumerate() {
        let path = format!(
            "/v2/acme/web/manifests/{}",
            digest(image("{}", &[layer]).to_string())
        );
        assert_eq!(
            clients[number % 3].send("DELETE", &path, &[], b"").status,
            202,
            "{tag}"
        );
    }
    // Objects of pushes that a kill broke off wait for a day.
    until(TAKEN_OVER_WITHIN, "whoever leads collects", || {
        database::texts(home.path(), "SELECT digest FROM blobs").is_empty()
    });
    for one in all {
        let (status, log) = one.process.terminate();
        assert!(status.success(), "{log}");
    }
    sound(&home.path().join("after"), &bucket, &url);
    database::remove(home.path());
}

/// Nothing is found by `verify`, from a directory that never was a replica's.
fn sound(root: &Path, bucket: &Bucket, url: &str) {
    let file = root.with_extension("yml");
    fs::write(
        &file,
        format!("version: 0.1\n{}\n", bucket.configuration("")),
    )
    .unwrap();
    let arguments = ["verify", "--config", &file.to_string_lossy()];
    let variables = [
        ("LAYERHOUSE_DATABASE", url),
        ("LAYERHOUSE_DIRECTORY", &root.to_string_lossy()),
    ];
    let (status, said) = crate::harness::process::output(&arguments, &variables);
    assert!(status.success(), "{said}");
}
