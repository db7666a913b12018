//! What is written to standard error and standard output: forms that tools parse, whatever clients send
//! (S49), no secret in any of them (S50), and no wait for who reads them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::http::{Client, Response, read_response};
use crate::harness::images;
use crate::harness::process::Process;

/// A process with this configuration, below `version: 0.1`.
fn start(directory: &Path, configuration: &str) -> Process {
    let file = directory.join("config.yml");
    fs::write(&file, format!("version: 0.1\n{configuration}\n")).unwrap();
    let root = directory.join("root");
    let arguments = [
        "--config",
        &file.to_string_lossy(),
        "--root",
        &root.to_string_lossy(),
    ];
    Process::try_run(&arguments, &[]).unwrap_or_else(|refused| panic!("{refused:?}"))
}

const HOSTILE_AGENT: &str = "x\" 200 \\ \u{9b}[31m\tforged=1 \u{202e}é";

fn ask(client: Client) -> Vec<Response> {
    let long = "a".repeat(3000);
    let paths = [
        "/v2/".to_owned(),
        "/v2/a%0d%0a%1b/tags/list".to_owned(),
        format!("/v2/{long}/tags/list?n=%0d%0a&token=canary"),
    ];
    let agent = [("User-Agent", HOSTILE_AGENT)];
    let send = |path: &String| client.send("GET", path, &agent, b"");
    paths.iter().map(send).collect()
}

/// Events of JSON by their forms: the names of time, level and message.
#[test]
fn sec_s49_json_events_have_the_names_of_their_form() {
    for (formatter, time, message, version) in [
        ("json", "time", "msg", None),
        ("logstash", "@timestamp", "message", Some("1")),
    ] {
        let directory = TempDir::new().unwrap();
        let process = start(
            directory.path(),
            &format!(
                "log:\n  formatter: {formatter}\n  fields:\n    service: registry\n    level: x"
            ),
        );
        ask(process.client);
        let (_, log) = process.outputs();
        let mut requests = 0;
        for line in log.lines() {
            assert!(line.chars().all(|shown| !shown.is_control()), "{line:?}");
            let event: Value =
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(event[time].as_str().unwrap().ends_with('Z'), "{line}");
            assert_eq!(event["service"], "registry", "{line}");
            assert_eq!(event["fields.level"], "x", "{line}");
            assert_eq!(event["@version"].as_str(), version, "{line}");
            if event[message] == "request" {
                requests += 1;
                assert_eq!(event["level"], "info", "{line}");
                assert_eq!(
                    event["agent"],
                    HOSTILE_AGENT.replace(['\t', '\u{9b}'], "\u{fffd}")
                );
                assert!(line.len() < 4096, "{} bytes", line.len());
            }
        }
        assert_eq!(requests, 3, "{log}");
    }
}

/// The pairs of a line of logrus's text.
fn pairs(line: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('=').unwrap_or_else(|| panic!("{line}"));
        assert!(!name.contains([' ', '"']), "{name:?} in {line}");
        let (value, behind) = if let Some(quoted) = behind.strip_prefix('"') {
            let mut is_escaped = false;
            let end = quoted.find(|at: char| {
                let is_end = at == '"' && !is_escaped;
                is_escaped = at == '\\' && !is_escaped;
                is_end
            });
            quoted.split_at(end.unwrap_or_else(|| panic!("no end: {line}")))
        } else {
            behind.split_at(behind.find(' ').unwrap_or(behind.len()))
        };
        pairs.push((name.to_owned(), value.to_owned()));
        rest = behind.trim_start_matches('"').trim_start_matches(' ');
    }
    pairs
}

#[test]
fn sec_s49_text_is_pairs() {
    let directory = TempDir::new().unwrap();
    let process = start(
        directory.path(),
        "log:\n  formatter: text\n  fields:\n    service: registry",
    );
    ask(process.client);
    let (_, log) = process.outputs();
    let mut requests = 0;
    for line in log.lines() {
        assert!(line.chars().all(|shown| !shown.is_control()), "{line:?}");
        let pairs = pairs(line);
        let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(&names[..3], ["time", "level", "msg"], "{line}");
        assert!(pairs.contains(&("service".to_owned(), "registry".to_owned())));
        assert!(!names.contains(&"forged"), "{line}");
        requests += usize::from(pairs[2].1 == "request");
    }
    assert_eq!(requests, 3, "{log}");
}

#[test]
fn a_level_hides_what_is_below() {
    let directory = TempDir::new().unwrap();
    let process = start(directory.path(), "log:\n  level: error");
    ask(process.client);
    let (_, log) = process.outputs();
    assert_eq!(log, "");
}

#[test]
fn sec_s49_the_access_log_is_apaches() {
    let directory = TempDir::new().unwrap();
    let process = start(directory.path(), "log:\n  accesslog:\n    disabled: false");
    images::push_blob(&process.client, "acme/web", "abcd");
    let digest = images::digest("abcd");
    process.client.get(&format!("/v2/acme/web/blobs/{digest}"));
    ask(process.client);
    let referer = [("Referer", "http://bob:canary@ui.example/\"a?b=canary")];
    process.client.send("HEAD", "/v2/", &referer, b"");
    let (output, log) = process.outputs();
    assert!(log.contains("request"), "events go on beside it: {log}");
    let lines: Vec<&str> = output
        .lines()
        .filter(|line| line.contains(" - - ["))
        .collect();
    let shown: Vec<String> = lines
        .iter()
        .map(|line| {
            assert!(
                line.bytes().all(|byte| matches!(byte, b' '..=b'~')),
                "{line:?}"
            );
            let rest = line.strip_prefix("127.0.0.1 - - [").expect(line);
            let (time, rest) = rest.split_once("] ").expect(line);
            assert_eq!(time.len(), "10/Oct/2000:13:55:36 +0000".len());
            assert!(line.len() < 4096);
            rest.to_owned()
        })
        .collect();
    assert!(!output.contains("canary"), "{output}");
    let agent = r#""x\" 200 \\ \xc2\x9b[31m\x09forged=1 \xe2\x80\xae\xc3\xa9""#;
    let count = shown.len();
    assert!(5 < count, "{output}");
    assert_eq!(
        shown[count - 5],
        format!("\"GET /v2/acme/web/blobs/{digest} HTTP/1.1\" 200 4 \"\" \"\"")
    );
    assert_eq!(
        shown[count - 4],
        format!("\"GET /v2/ HTTP/1.1\" 200 2 \"\" {agent}")
    );
    assert!(shown[count - 3].starts_with("\"GET /v2/a%0d%0a%1b/tags/list HTTP/1.1\" 400 "));
    assert_eq!(
        shown[count - 1],
        r#""HEAD /v2/ HTTP/1.1" 200 0 "http://ui.example/\"a" """#
    );
}

/// A reader of the access log that stops reading stops no request.
#[test]
fn a_full_pipe_stops_no_request() {
    /// At 1,200 bytes to a line, 64 KiB of pipe and 64 KiB at its writer are full long before the end.
    const REQUESTS: usize = 1000;
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("config.yml");
    fs::write(
        &file,
        "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: false",
    )
    .unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_layerhouse"))
        .args(["serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(&file)
        .arg("--root")
        .arg(directory.path().join("root"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::with_capacity(1, child.stdout.take().unwrap());
    let mut first = String::new();
    output.read_line(&mut first).unwrap();
    let address = first
        .trim()
        .rsplit_once("http://")
        .unwrap()
        .1
        .parse()
        .unwrap();
    let mut stream = Client::new(address).connect();
    let mut sender = stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        let agent = "a".repeat(1100);
        let request = format!("GET /v2/ HTTP/1.1\r\nHost: r\r\nUser-Agent: {agent}\r\n\r\n");
        for _ in 0..REQUESTS {
            sender.write_all(request.as_bytes()).unwrap();
        }
    });
    for _ in 0..REQUESTS {
        assert_eq!(read_response(&mut stream, false).unwrap().status, 200);
    }
    sending.join().unwrap();
    // And it comes to an end: SIGTERM waits a moment for the reader, then no more.
    drop(stream);
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).unwrap();
    assert!(!rest.is_empty());
}

/// S50: what operator and clients keep secret is in nothing that is written or shown.
#[test]
fn sec_s50_no_secret_is_written_anywhere() {
    let directory = TempDir::new().unwrap();
    let process = start(
        directory.path(),
        "log:
  level: trace
  accesslog:
    disabled: false
http:
  secret: canary-http-secret
  debug:
    addr: 127.0.0.1:0
    prometheus:
      enabled: true
health:
  http:
    - uri: http://user:canary-health-password@127.0.0.1:9/up?key=canary-health-query
      headers: {X-Token: [canary-health-header]}
      interval: 10ms
      timeout: 1s
notifications:
  endpoints:
    - name: hook
      url: http://user:canary-hook-password@127.0.0.1:9/events
      headers: {Authorization: [Bearer canary-hook-header]}
      timeout: 1s
      threshold: 1
      backoff: 1s",
    );
    let basic = "Basic Y2FuYXJ5LXVzZXI6Y2FuYXJ5LXBhc3N3b3Jk";
    let secret = "canary-header";
    let headers = [
        ("Authorization", basic),
        ("Cookie", secret),
        ("Proxy-Authorization", secret),
        ("X-Registry-Auth", secret),
        (
            "Referer",
            "http://u:canary-referer@ui.example/?t=canary-referer",
        ),
    ];
    let debug = process.debug();
    let mut shown = String::new();
    for (method, path) in [
        ("GET", "/v2/?token=canary-query&canary-query"),
        ("GET", "/v2/acme/web/tags/list?access_token=canary-query"),
        ("POST", "/v2/acme/web/blobs/uploads/?_state=canary-query"),
        ("PUT", "/v2/acme/web/manifests/v1"),
        ("BREW", "/v2/_catalog?_state=canary-query"),
    ] {
        let answer = process.client.send(method, path, &headers, b"canary-body");
        shown += &answer.text();
        let bearer = [("Authorization", "Bearer canary-token")];
        shown += &process
            .client
            .send(method, path, &bearer, b"canary-body")
            .text();
    }
    for path in [
        "/metrics",
        "/debug/health",
        "/debug/vars",
        "/debug/pprof/cmdline",
    ] {
        shown += &debug.send("GET", path, &headers, b"").text();
    }
    let (output, log) = process.outputs();
    assert!(
        log.contains("request") && output.contains("GET /v2/?token=*"),
        "{output}"
    );
    for (what, text) in [("answers", &shown), ("access log", &output), ("log", &log)] {
        for secret in ["canary", "Y2FuYXJ5"] {
            let found = text.lines().find(|line| line.contains(secret));
            assert_eq!(found, None, "a secret is in the {what}");
        }
    }
}
