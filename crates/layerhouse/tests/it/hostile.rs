//! Hostile text where it is read: long names (S47), paths that lead elsewhere (S48), lines for the log
//! (S49), and floods of questions (S57).

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::files::tree;
use crate::harness::http::statuses;
use crate::harness::images;
use crate::harness::process::Process;
use crate::harness::server::Server;

/// S47: names are read in one pass, however they are made.
#[test]
fn sec_s47_long_names_are_read_fast() {
    let server = Server::start();
    let mut connection = server.client.open();
    let begin = Instant::now();
    let mut sent = 0;
    for unit in [
        "a",
        "a-",
        "a__",
        "a.",
        "a/",
        "-",
        "_",
        "%2e",
        "a-/",
        "aaaaaaaa__",
        ".",
    ] {
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
        assert!(
            answer.body.len() < 4096,
            "an answer is no echo of a long request: {field}"
        );
        sent += 1;
    }
    // 10 ms each on a machine of our own; the rest is for one that is busy.
    assert!(
        begin.elapsed() < Duration::from_millis(100) * sent,
        "{:?}",
        begin.elapsed()
    );
}

/// S48: no path leads out of the root, and none to what is not a blob, a manifest or a list in it.
#[test]
fn sec_s48_no_path_leads_elsewhere() {
    let mut server = Server::start();
    images::push_image(&server.client, "acme/web", "v1", "abcd");
    let canary = server.directory().join("canary");
    fs::write(&canary, "nobody may read or write this").unwrap();
    let before = tree(server.directory(), &["root"]);
    let digest = images::digest("abcd");
    let id = "00000000-0000-4000-8000-000000000000";
    let long = "a".repeat(300);
    let parts = [
        "..",
        "../..",
        "../../../../../canary",
        "..%2f..%2f..%2fcanary",
        "%2e%2e/%2e%2e",
        "%252e%252e%252f",
        "..%5c..",
        "..\\..",
        ".",
        "%00",
        "a%00b",
        "_uploads",
        "_manifests",
        "_layers",
        "a/_uploads/b",
        "%c0%ae%c0%ae",
        "%e2%80%ae",
        "\u{e9}",
        "%F0%9F%8D%8B",
        "a;b",
        "a b",
        "a%20b",
        "a%0d%0ab",
        "~root",
        "/etc/passwd",
        "//",
        "C:",
        "con",
        "a:b",
        "@",
        "*",
        "?",
        &long,
        "A",
        "%41",
        "-",
        "a-",
        "%",
        "%zz",
        "%2",
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
                let head =
                    format!("{method} {path} HTTP/1.1\r\nHost: r\r\nContent-Length: 1\r\n\r\nx");
                let answers = statuses(&server.client, head.as_bytes());
                let (first, rest) = answers.split_first().expect("an answer");
                let is_base =
                    matches!(part, "/" | "//" | "." | "?" | "*") || !path.starts_with("/v2/");
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
    assert_eq!(
        tree(server.directory(), &["root"]),
        before,
        "something was written outside"
    );
    // Link files are written behind the answers, the last ones when it stops.
    server.stop();
    let repositories = server.root().join("docker/registry/v2/repositories");
    let names: Vec<_> = fs::read_dir(repositories)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
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
        format!(
            "/v2/x%22%7d%0a{}/tags/list",
            "%7b%22level%22%3a%22ERROR%22%7d"
        ),
        "/v2/_catalog?n=%0a%0d".to_owned(),
    ];
    for agent in &agents {
        for path in &paths {
            let answer = process
                .client
                .send("GET", path, &[("User-Agent", agent)], b"");
            assert!(
                matches!(answer.status, 200 | 400 | 404),
                "{}",
                answer.status
            );
        }
    }
    let (status, log) = process.terminate();
    assert!(status.success(), "{log}");
    let mut requests = 0;
    for line in log.lines() {
        let event: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(
            line.chars().all(|character| !character.is_control()),
            "{line:?}"
        );
        assert!(line.len() < 4096, "{} bytes", line.len());
        assert_eq!(event["level"], "info", "{line}");
        requests += usize::from(event["msg"] == "request");
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
                let _ = write!(requests, "GET {path} HTTP/1.1\r\nHost: r\r\n\r\n");
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
    assert!(
        after < before + (4 << 20),
        "{before} bytes before, {after} after"
    );
    assert!(after < 128 << 20, "{after} bytes resident");
}

fn resident_bytes(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes << 10
}
