//! How many tokens a second one core issues, and what a pull with a token costs beside one without.
//!
//! `cargo bench -p layerhouse --bench token_service -- [SECONDS]`
//!
//! The server has one thread, which this keeps busy from others over connections that are kept open. The
//! password is hashed once, before: what is measured is the token.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on has failed"
)]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write, stdout};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use layerhouse::config::meaning::Config;
use layerhouse::config::{Arguments, Surroundings};
use layerhouse::{Environment, htpasswd_line, start};
use layerhouse_oci::digest::{Algorithm, Digest};
use serde_json::{Value, json};

/// Enough that the server's thread never waits for one of them.
const CONNECTIONS: usize = 8;

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_measured = arguments.iter().any(|argument| argument == "--bench");
    arguments.retain(|argument| !argument.starts_with("--"));
    // `cargo test --all-targets` runs this as well, and only wants to know that it works.
    let seconds = arguments.first().map_or(5.0, |text| text.parse().unwrap());
    let length = Duration::from_secs_f64(if is_measured { seconds } else { 0.05 });
    let directory = tempfile::TempDir::new().unwrap();
    let config = configuration(directory.path());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let running = runtime
        .block_on(start(&config, Environment::system()))
        .unwrap();
    let address = running.address().tcp().unwrap();

    let basic = format!("Basic {}", BASE64_STANDARD.encode("ann:correct horse"));
    let scope = "/auth/token?service=layerhouse&scope=repository:ann/web:pull,push";
    let answer = Connection::open(address).send("GET", scope, Some(&basic), b"");
    let content: Value = serde_json::from_slice(&answer).unwrap();
    let token = format!("Bearer {}", content["token"].as_str().unwrap());
    push(address, &token);

    let pull = "/v2/ann/web/manifests/v1";
    let issued = measure(address, length, scope, Some(&basic));
    say(&format!(
        "tokens, each of a name and a known password: {issued:.0} per second"
    ));
    let issued = measure(address, length, scope, None);
    say(&format!("tokens, each for nobody: {issued:.0} per second"));
    // One after the other and again, so that a busy machine is busy for both.
    let (mut without, mut with) = (0.0, 0.0);
    for _ in 0..4 {
        without += measure(address, length / 4, pull, None);
        with += measure(address, length / 4, pull, Some(&token));
    }
    say(&format!(
        "pulls of a manifest: {:.0} per second without a token, {:.0} with one: {:.2} times the cost",
        without / 4.0,
        with / 4.0,
        without / with
    ));
    runtime.block_on(running.stop());
}

fn configuration(directory: &Path) -> Config {
    let users = directory.join("htpasswd");
    let line = htpasswd_line("ann", "correct horse", 4, &Environment::system().random);
    fs::write(&users, line.unwrap() + "\n").unwrap();
    let file = directory.join("config.yml");
    let text = format!(
        "version: 0.1
auth: {{htpasswd: {{realm: r, path: {}}}}}
layerhouse: {{index: {{htpasswdrole: none, visibility: public}}}}
log: {{accesslog: {{disabled: true}}, level: warn}}",
        users.display()
    );
    fs::write(&file, text).unwrap();
    let arguments = Arguments {
        listen: Some("127.0.0.1:0".to_owned()),
        root: Some(directory.join("root")),
        config: Some(file),
    };
    Config::load(&arguments, &Surroundings::default()).unwrap()
}

/// Requests per second.
fn measure(address: SocketAddr, length: Duration, path: &str, authorization: Option<&str>) -> f64 {
    let answered = AtomicU64::new(0);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut connection = Connection::open(address);
                while began.elapsed() < length {
                    connection.send("GET", path, authorization, b"");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    #[expect(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
    let answered = answered.into_inner() as f64;
    answered / began.elapsed().as_secs_f64()
}

fn push(address: SocketAddr, token: &str) {
    let digest = Digest::of(Algorithm::Sha256, b"{}");
    let mut connection = Connection::open(address);
    let path = format!("/v2/ann/web/blobs/uploads/?digest={digest}");
    connection.send("POST", &path, Some(token), b"{}");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest.as_str(),
            "size": 2,
        },
        "layers": [],
    });
    let manifest = manifest.to_string();
    connection.send(
        "PUT",
        "/v2/ann/web/manifests/v1",
        Some(token),
        manifest.as_bytes(),
    );
}

/// A connection that is kept open.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// The body of an answer, which must be a good one.
    fn send(
        &mut self,
        method: &str,
        path: &str,
        authorization: Option<&str>,
        body: &[u8],
    ) -> Vec<u8> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: registry\r\n");
        if let Some(authorization) = authorization {
            let _ = write!(request, "Authorization: {authorization}\r\n");
        }
        if method == "PUT" {
            request += "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n";
        }
        let _ = write!(request, "Content-Length: {}\r\n\r\n", body.len());
        let request = [request.as_bytes(), body].concat();
        self.0.get_mut().write_all(&request).unwrap();
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        assert!(line.contains(" 20"), "{method} {path}: {line}");
        let mut length = 0;
        loop {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            let line = line.trim().to_ascii_lowercase();
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        body
    }
}

fn say(text: &str) {
    stdout().write_all(format!("{text}\n").as_bytes()).unwrap();
}
