//! The whole tool against a server of a few lines: what it counts, what it refuses, what it keeps open.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use layerhouse_bench::{Stop, run};

/// How the server answers GETs of blobs.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Honest,
    /// Closes in the middle of every other body.
    Short,
    /// Says a length that is not the blob's.
    WrongLength,
    /// Sends other bytes of the right length.
    WrongBytes,
    /// 503 to every other request.
    Failing,
    /// Without a length, in chunks.
    Chunked,
    /// Closes after every answer, without saying so.
    Closing,
}

struct Server {
    manner: Manner,
    blobs: Mutex<HashMap<String, Vec<u8>>>,
    connections: AtomicU64,
    gets: AtomicU64,
}

impl Server {
    /// Serves until the test's process ends; its URL.
    fn start(manner: Manner) -> (Arc<Self>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Arc::new(Self {
            manner,
            blobs: Mutex::default(),
            connections: AtomicU64::new(0),
            gets: AtomicU64::new(0),
        });
        let serving = Arc::clone(&server);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let serving = Arc::clone(&serving);
                thread::spawn(move || serving.serve(stream.unwrap()));
            }
        });
        (server, url)
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| 0 < *read)?;
            let mut length = 0;
            loop {
                let mut field = String::new();
                reader.read_line(&mut field).ok()?;
                if field.trim().is_empty() {
                    break;
                }
                if let Some(value) = field.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().ok()?;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let mut words = line.split(' ');
            let (method, path) = (words.next()?, words.next()?);
            self.answer(&mut stream, method, path, body)?;
        }
    }

    fn answer(
        &self,
        stream: &mut TcpStream,
        method: &str,
        path: &str,
        body: Vec<u8>,
    ) -> Option<()> {
        let simple = |status: &str, fields: &str| {
            format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n{fields}\r\n").into_bytes()
        };
        let answer = match method {
            "POST" => simple("202 Accepted", "Location: /upload?state=x\r\n"),
            "PUT" => {
                let name = path
                    .rsplit_once("digest=")
                    .map_or(path, |(_, digest)| digest);
                let name = name.rsplit('/').next()?.to_owned();
                self.blobs.lock().unwrap().insert(name, body);
                simple("201 Created", "")
            }
            _ => {
                let name = path.rsplit('/').next()?;
                let blob = self.blobs.lock().unwrap().get(name).cloned();
                match blob {
                    None => simple("404 Not Found", ""),
                    Some(blob) if method == "HEAD" => {
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", blob.len()).into()
                    }
                    Some(blob) => return self.get(stream, blob),
                }
            }
        };
        stream.write_all(&answer).ok()
    }

    fn get(&self, stream: &mut TcpStream, mut blob: Vec<u8>) -> Option<()> {
        let every_other = self.gets.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        let mut length = blob.len();
        let mut closes = false;
        match self.manner {
            Manner::Short if every_other => {
                blob.truncate(length / 2);
                closes = true;
            }
            Manner::Failing if every_other => {
                let answer = "HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nlater";
                return stream.write_all(answer.as_bytes()).ok();
            }
            Manner::Honest | Manner::Short | Manner::Failing => {}
            Manner::WrongLength => {
                blob.push(0);
                length += 1;
            }
            Manner::WrongBytes => blob[0] ^= 1,
            Manner::Chunked => {
                let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
                for part in blob.chunks(1_000) {
                    answer.extend(format!("{:x}\r\n", part.len()).bytes());
                    answer.extend(part);
                    answer.extend(b"\r\n");
                }
                answer.extend(b"0\r\n\r\n");
                return stream.write_all(&answer).ok();
            }
            Manner::Closing => closes = true,
        }
        let mut answer =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        answer.extend(blob);
        stream.write_all(&answer).ok()?;
        (!closes).then_some(())
    }
}

fn bench(line: &str) -> Result<serde_json::Value, String> {
    let arguments = ["layerhouse-bench"].into_iter().chain(line.split(' '));
    let mut out = Vec::new();
    match run(
        arguments.map(OsString::from),
        &mut out,
        &mut std::io::sink(),
    ) {
        Ok(()) => Ok(serde_json::from_slice(&out).unwrap()),
        Err(Stop::Failed(message)) => Err(message),
        Err(Stop::Usage(error)) => Err(error.to_string()),
    }
}

const PULL: &str =
    "--json --rounds 1 --count 40 --connections 2 --threads 1 --size 10000 --blobs 2";

fn pull(manner: Manner, more: &str) -> Result<serde_json::Value, String> {
    let (_, url) = Server::start(manner);
    let value = bench(&format!("pull {url} {PULL}{more}"))?;
    Ok(value["cases"][0]["servers"][0].clone())
}

#[test]
fn an_honest_server_has_no_errors_and_few_connections() {
    let (server, url) = Server::start(Manner::Honest);
    for more in ["", " --hash", " --copy"] {
        let before = server.connections.load(Ordering::Relaxed);
        let value = bench(&format!("pull {url} {PULL}{more}")).unwrap();
        let round = &value["cases"][0]["servers"][0]["rounds"][0];
        assert_eq!(round["errors"], 0, "{value}");
        assert_eq!(round["operations"], 40);
        assert_eq!(round["bytes"], 40 * 10_000);
        // Two to set up, of which both may meet a 404 and connect again, two to warm up, two to measure.
        let connections = server.connections.load(Ordering::Relaxed) - before;
        assert!(connections <= 8, "{connections} connections");
    }
}

#[test]
fn short_bodies_are_errors() {
    for more in ["", " --hash", " --copy"] {
        let server = pull(Manner::Short, more).unwrap();
        let errors = server["errors"].as_u64().unwrap();
        assert!((15..=25).contains(&errors), "{server}");
        let first = server["first_error"].as_str().unwrap();
        assert!(first.contains("ended after 5000 of 10000"), "{first}");
    }
}

#[test]
fn other_lengths_and_statuses_are_errors() {
    assert_eq!(
        pull(Manner::WrongLength, "").unwrap_err(),
        "no operation succeeded"
    );
    let server = pull(Manner::Failing, "").unwrap();
    assert!(
        (15..=25).contains(&server["errors"].as_u64().unwrap()),
        "{server}"
    );
    let first = server["first_error"].as_str().unwrap();
    assert!(first.contains("503, not 200: later"), "{first}");
}

#[test]
fn other_bytes_are_errors_when_they_are_hashed() {
    assert_eq!(pull(Manner::WrongBytes, "").unwrap()["errors"], 0);
    let error = pull(Manner::WrongBytes, " --hash").unwrap_err();
    assert_eq!(error, "no operation succeeded");
}

#[test]
fn chunked_bodies_are_read() {
    for more in ["", " --hash"] {
        assert_eq!(pull(Manner::Chunked, more).unwrap()["errors"], 0);
    }
}

#[test]
fn a_closed_connection_is_opened_again() {
    assert_eq!(pull(Manner::Closing, "").unwrap()["errors"], 0);
}

#[test]
fn two_servers_are_compared_round_by_round() {
    let (_, one) = Server::start(Manner::Honest);
    let (_, two) = Server::start(Manner::Honest);
    let own = std::process::id();
    let line = format!(
        "storm --server a={one},pid={own} --server b={two},pid={own}+children --clients 3 \
         --image-size 100KB --layers 3 --rounds 2 --json --hash"
    );
    let value = bench(&line).unwrap();
    let case = &value["cases"][0];
    assert_eq!(case["ratios"][0]["to"], "b");
    assert!(0.0 < case["ratios"][0]["rate"]["median"].as_f64().unwrap());
    for server in case["servers"].as_array().unwrap() {
        assert_eq!(server["errors"], 0, "{server}");
        assert_eq!(server["rounds"].as_array().unwrap().len(), 2);
        assert_eq!(server["rounds"][0]["operations"], 3);
        assert!(0.0 < server["median"]["peak_mib"].as_f64().unwrap());
    }
}

#[test]
fn pushes_send_every_byte() {
    let (server, url) = Server::start(Manner::Honest);
    for kind in ["blob", "image", "manifest"] {
        let line =
            format!("push {url} --kind {kind} --size 5000 --count 7 --clients 3 --rounds 1 --json");
        let value = bench(&line).unwrap();
        assert_eq!(value["cases"][0]["servers"][0]["errors"], 0, "{value}");
    }
    let blobs = server.blobs.lock().unwrap();
    let whole = |blob: &&Vec<u8>| blob.len() == 5_000;
    // 7 blobs, 7 layers, and the layer that manifests share.
    assert_eq!(blobs.values().filter(whole).count(), 15);
}

#[test]
fn a_server_of_files_is_only_read() {
    let (server, url) = Server::start(Manner::Honest);
    let files = format!("--server f={url},files=/{{hex}}");
    for load in ["push", "mount", "list"] {
        let error = bench(&format!("{load} {files}")).unwrap_err();
        assert!(error.contains("serves files only"), "{error}");
    }
    assert_eq!(server.connections.load(Ordering::Relaxed), 0);
}

#[test]
fn nobody_there_is_said_at_once() {
    // A port that was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = bench(&format!("pull http://{address}")).unwrap_err();
    assert!(error.contains("setting up: cannot connect"), "{error}");
}

/// An image that a storm pushed, through what might be a mirror: the first byte of a layer comes before the last.
#[test]
fn a_storm_through_a_mirror_says_when_the_first_byte_came() {
    let (_, url) = Server::start(Manner::Honest);
    let storm = "--json --rounds 1 --clients 1 --image-size 3000000 --layers 2";
    bench(&format!("storm {url} {storm}")).unwrap();
    for more in ["", " --hash", " --copy"] {
        let value = bench(&format!(
            "proxy-storm {url} --json --clients 4 --image bench:storm{more}"
        ));
        let value = value.unwrap();
        let server = &value["cases"][0]["servers"][0];
        assert_eq!(server["errors"], 0, "{value}");
        assert_eq!(server["rounds"][0]["operations"], 4, "{value}");
        let figure = |key: &str| server["median"][key].as_f64().unwrap();
        assert!(0.0 < figure("first_byte_p50_ms"), "{value}");
        assert!(figure("first_byte_p50_ms") <= figure("p99_ms"), "{value}");
    }
}
