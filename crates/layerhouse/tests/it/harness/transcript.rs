//! Transcripts: what is sent and what must come back, a request to a line.
//!
//! ```text
//! POST  /v2/acme/web/blobs/uploads/          202
//! PATCH $upload  0-3 'abcd'                  202  Range: 0-3
//! PATCH $upload  8-9 'ij'                    416  BLOB_UPLOAD_INVALID
//! PUT   $upload?digest=$sha256(abcd)         201  Docker-Content-Digest: $sha256(abcd)
//! GET   /v2/acme/web/blobs/$sha256(abcd)  Range: bytes=1-2    206  'bc'
//! ```
//!
//! A line is a method, a path and columns, parted by two spaces or more. Before the status stand headers
//! (`Name: value`) and the body: `'text'` or the name of a content (`$image`), perhaps after
//! `Content-Range` numbers (`0-3`) and after `streamed`, which sends it in chunks of unknown number.
//! After the status stand an error code, headers and the body that must come back; `…` at the end means
//! that more may follow, `Name: -` that the header must not be there.
//!
//! `$upload` is the `Location` of the last upload that was opened, `$next` the target of the last
//! `Link`; `$sha256(text)` and `$sha256($image)` are digests. Lines of their own are `restart`,
//! `advance 90s`; a line that begins with `eventually` is repeated until it holds.
//!
//! Beyond what a line says, every answer is checked as [`check_answer`] tells. Each line is sent over every
//! [`Transport`], each to a server of its own, and all answers must be the same: servers share seed and clock,
//! so even ids are.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use layerhouse_oci::digest::{Algorithm, Digest};
use serde_json::Value;

use super::http::{Client, Response};
use super::server::Server;
use super::transport::{Transport, comparable};

/// Runs a transcript against a server of its own, without a configuration.
pub(crate) fn check(transcript: &str) {
    Transcript::start().run(transcript);
}

/// The same with a configuration, in YAML.
pub(crate) fn check_configured(configuration: &str, transcript: &str) {
    Transcript::configured(configuration).run(transcript);
}

/// A server for each transport, and what is known of them so far.
pub(crate) struct Transcript {
    stages: Vec<Stage>,
    contents: BTreeMap<String, Vec<u8>>,
    texts: BTreeMap<&'static str, String>,
}

struct Stage {
    transport: Transport,
    server: Server,
}

impl Transcript {
    pub(crate) fn start() -> Self {
        Self::configured("")
    }

    pub(crate) fn configured(configuration: &str) -> Self {
        Self::over(&Transport::ALL, configuration)
    }

    /// In the clear alone, for a test that also writes bytes of its own.
    pub(crate) fn plain() -> Self {
        Self::over(&[Transport::Plain], "")
    }

    pub(crate) fn over(transports: &[Transport], configuration: &str) -> Self {
        let stages = transports.iter().map(|&transport| Stage {
            transport,
            server: Server::over(transport, configuration),
        });
        Self {
            stages: stages.collect(),
            contents: BTreeMap::new(),
            texts: BTreeMap::new(),
        }
    }

    /// Those of all transports.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &Server> {
        self.stages.iter().map(|stage| &stage.server)
    }

    /// Restarts with another configuration.
    pub(crate) fn reconfigure(&mut self, configuration: &str) {
        for stage in &mut self.stages {
            stage.server.reconfigure(configuration);
        }
    }

    /// For a test that gives the servers reason to log warnings and errors.
    pub(crate) fn may_complain(&mut self) {
        for stage in &mut self.stages {
            stage.server.may_complain();
        }
    }

    /// Names a content, to be sent and expected as `$name`.
    pub(crate) fn given(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.contents.insert(name.to_owned(), content.into());
        self
    }

    /// Runs a transcript; panics at the first line whose answer is another.
    pub(crate) fn run(&mut self, transcript: &str) {
        for line in transcript
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            if let Err(problem) = self.line(line) {
                panic!("\n    {line}\n{problem}");
            }
        }
    }

    /// What a variable stands for by now.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.texts
            .get(name)
            .unwrap_or_else(|| panic!("no ${name} is known yet"))
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        if line == "restart" {
            for stage in &mut self.stages {
                stage.server.restart();
            }
            return Ok(());
        }
        if let Some(duration) = line.strip_prefix("advance ") {
            let seconds = duration.trim().trim_end_matches('s').parse();
            let duration = Duration::from_secs(seconds.expect("advance 90s"));
            for server in self.servers() {
                server.advance(duration);
            }
            return Ok(());
        }
        let repeated = line.strip_prefix("eventually ");
        let request = self.parse(repeated.unwrap_or(line).trim_start());
        let mut first: Option<Response> = None;
        for Stage { transport, server } in &self.stages {
            let answer = request
                .play(server, repeated.is_some())
                .map_err(|problem| format!("over {transport:?}: {problem}"))?;
            let answer = comparable(answer);
            let expected = first.get_or_insert_with(|| answer.clone());
            if *expected != answer {
                let (expected, found) = (show(expected), show(&answer));
                let other = self.stages[0].transport;
                return Err(format!(
                    "over {transport:?} {found}\nbut over {other:?} {expected}"
                ));
            }
        }
        if let Some(answer) = first {
            self.remember(&request, &answer);
        }
        Ok(())
    }

    fn remember(&mut self, request: &Request, answer: &Response) {
        if request.method == "POST"
            && answer.status == 202
            && let Some(location) = answer.header("location")
        {
            self.texts.insert("upload", location.to_owned());
        }
        if let Some(link) = answer.header("link") {
            let target = link.strip_prefix('<').and_then(|link| link.split_once('>'));
            let target = target.expect("a Link names its target");
            self.texts.insert("next", target.0.to_owned());
        }
    }

    fn parse(&self, line: &str) -> Request {
        let (method, rest) = line.split_once(' ').expect("a method and a path");
        let columns = columns(rest);
        let status_at = columns
            .iter()
            .position(|column| {
                column.len() == 3 && column.bytes().all(|byte| byte.is_ascii_digit())
            })
            .expect("a status, two spaces from what stands beside it");
        let mut request = Request {
            method: method.to_owned(),
            path: self.expand(columns[0]),
            status: columns[status_at].parse().expect("three digits"),
            ..Request::default()
        };
        for column in &columns[1..status_at] {
            if let Some((name, value)) = header(column) {
                request.headers.push((name.to_owned(), self.expand(value)));
            } else {
                self.parse_body(column, &mut request);
            }
        }
        for column in &columns[status_at + 1..] {
            if let Some((name, value)) = header(column) {
                request
                    .expected_headers
                    .push((name.to_ascii_lowercase(), self.expand(value)));
            } else if column.starts_with(['\'', '$']) {
                request.expected_body = Some(self.content(column));
            } else {
                request.code = Some((*column).to_owned());
            }
        }
        request
    }

    /// `[streamed] [first-last] 'text'` or `$name`.
    fn parse_body(&self, column: &str, request: &mut Request) {
        let mut rest = column;
        if let Some(after) = rest.strip_prefix("streamed ") {
            request
                .headers
                .push(("Transfer-Encoding".to_owned(), "chunked".to_owned()));
            rest = after;
        }
        if rest.starts_with(|first: char| first.is_ascii_digit()) {
            let (range, after) = rest.split_once(' ').expect("a body after its range");
            request
                .headers
                .push(("Content-Range".to_owned(), range.to_owned()));
            rest = after;
        }
        request.body = self.content(rest);
        if column.starts_with("streamed") {
            request.body = in_chunks(&request.body, 3);
        }
    }

    fn content(&self, text: &str) -> Vec<u8> {
        match text
            .strip_prefix('\'')
            .and_then(|text| text.strip_suffix('\''))
        {
            Some(text) => self.expand(text).into_bytes(),
            None => self
                .named(text.strip_prefix('$').expect("'text' or $name"))
                .to_vec(),
        }
    }

    fn named(&self, name: &str) -> &[u8] {
        self.contents
            .get(name)
            .unwrap_or_else(|| panic!("nothing is called {name}"))
    }

    /// Puts values in the place of `$upload`, `$next` and `$sha256(…)`.
    fn expand(&self, text: &str) -> String {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            let end = after
                .find(|at: char| !at.is_ascii_alphanumeric())
                .unwrap_or(after.len());
            let (name, behind) = after.split_at(end);
            let algorithm = match name {
                "sha256" => Some(Algorithm::Sha256),
                "sha512" => Some(Algorithm::Sha512),
                _ => None,
            };
            if let Some(algorithm) = algorithm {
                let (argument, behind) = behind[1..].split_once(')').expect("a closing bracket");
                let content = match argument.strip_prefix('$') {
                    Some(name) => self.named(name),
                    None => argument.as_bytes(),
                };
                expanded.push_str(Digest::of(algorithm, content).as_str());
                rest = behind;
            } else {
                expanded.push_str(self.text(name));
                rest = behind;
            }
        }
        expanded + rest
    }
}

/// A line: what is sent, and what must come back.
#[derive(Default)]
struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    status: u16,
    code: Option<String>,
    expected_headers: Vec<(String, String)>,
    expected_body: Option<Vec<u8>>,
}

impl Request {
    /// Sends it, if need be until the answer is as expected, and checks all that the line says.
    fn play(&self, server: &Server, is_repeated: bool) -> Result<Response, String> {
        let mut answer = self.send(server.client);
        if is_repeated {
            let begin = Instant::now();
            while self.compare(&answer).is_err() && begin.elapsed() < Duration::from_secs(20) {
                // Jobs run on the server's clock; one that had not yet begun to wait is woken too.
                server.advance(Duration::from_secs(1));
                std::thread::yield_now();
                answer = self.send(server.client);
            }
        }
        self.compare(&answer)
            .and_then(|()| check_answer(&self.method, &answer, &server.root()))
            .and_then(|()| self.compare_head(&answer, server.client))
            .map_err(|problem| format!("{problem}\n{}", show(&answer)))?;
        Ok(answer)
    }

    fn send(&self, client: Client) -> Response {
        self.send_as(&self.method, client)
    }

    fn send_as(&self, method: &str, client: Client) -> Response {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        client.send(method, &self.path, &headers, &self.body)
    }

    fn compare(&self, answer: &Response) -> Result<(), String> {
        if answer.status != self.status {
            return Err(format!("the status is {}", answer.status));
        }
        if let Some(expected) = &self.code {
            let found = error_code(answer);
            if found.as_deref() != Some(expected) {
                return Err(format!("the code is {found:?}"));
            }
        }
        for (name, expected) in &self.expected_headers {
            let found = answer.header(name);
            let is_as_expected = match (found, expected.strip_suffix('…')) {
                (None, _) => expected == "-",
                (Some(found), Some(prefix)) => found.starts_with(prefix),
                (Some(found), None) => found == expected,
            };
            if !is_as_expected {
                return Err(format!("the header {name} is {found:?}, not {expected:?}"));
            }
        }
        let Some(expected) = &self.expected_body else {
            return Ok(());
        };
        // JSON of the registry's own ends with a line feed, which a line cannot say.
        let is_json = answer.header("content-type") == Some("application/json");
        let body = match answer.body.strip_suffix(b"\n") {
            Some(body) if is_json => body,
            _ => &answer.body,
        };
        let is_as_expected = match expected.strip_suffix("…".as_bytes()) {
            Some(prefix) => body.starts_with(prefix),
            None => body == *expected,
        };
        if is_as_expected {
            Ok(())
        } else {
            Err("the body is another".to_owned())
        }
    }

    /// HEAD answers as GET does, without the body.
    fn compare_head(&self, answer: &Response, client: Client) -> Result<(), String> {
        let is_plain = self.headers.iter().all(|(name, _)| name == "Accept");
        if self.method != "GET" || !is_plain || !matches!(answer.status, 200 | 204 | 404) {
            return Ok(());
        }
        let head = self.send_as("HEAD", client);
        for name in [
            "content-length",
            "content-type",
            "docker-content-digest",
            "etag",
            "range",
        ] {
            if answer.header(name) != head.header(name) {
                return Err(format!("HEAD says {name} is {:?}", head.header(name)));
            }
        }
        if head.status == answer.status {
            Ok(())
        } else {
            Err(format!("HEAD gives {}", head.status))
        }
    }
}

/// What holds for every answer: it says that a registry gave it; a refusal is an error body by which a
/// client can act and names no path of the server's; content hashes to the digest beside it.
pub(crate) fn check_answer(method: &str, answer: &Response, root: &Path) -> Result<(), String> {
    let ensure = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    let version = answer.header("docker-distribution-api-version");
    ensure(
        version == Some("registry/2.0"),
        "there is no Docker-Distribution-API-Version",
    )?;
    let root = root.to_string_lossy();
    let names_root = answer.text().contains(&*root)
        || answer
            .headers
            .iter()
            .any(|(_, value)| value.contains(&*root));
    ensure(!names_root, "the answer names the data directory")?;
    if 400 <= answer.status && method != "HEAD" {
        let is_json = answer.header("content-type") == Some("application/json");
        ensure(is_json, "an error is not JSON")?;
        let code = error_code(answer).ok_or("an error has no code")?;
        let is_code = code
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        ensure(is_code, "the code is not one")?;
        let body: Value = serde_json::from_slice(&answer.body).expect("it has a code");
        let message = body["errors"][0]["message"].as_str().unwrap_or("");
        ensure(!message.is_empty(), "an error says nothing")?;
    }
    if let (200, "GET", Some(digest)) = (
        answer.status,
        method,
        answer.header("docker-content-digest"),
    ) {
        let digest: Digest = digest
            .parse()
            .map_err(|_| "Docker-Content-Digest is no digest")?;
        let is_good = Digest::of(digest.algorithm(), &answer.body) == digest;
        ensure(is_good, "the bytes are not those of the digest")?;
    }
    Ok(())
}

/// The first error's code.
pub(crate) fn error_code(answer: &Response) -> Option<String> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    body["errors"][0]["code"].as_str().map(str::to_owned)
}

/// A body in transfer chunks of this size.
pub(crate) fn in_chunks(body: &[u8], chunk_bytes: usize) -> Vec<u8> {
    let mut encoded = Vec::new();
    for chunk in body.chunks(chunk_bytes) {
        encoded.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        encoded.extend_from_slice(chunk);
        encoded.extend_from_slice(b"\r\n");
    }
    encoded.extend_from_slice(b"0\r\n\r\n");
    encoded
}

/// Parts at two spaces or more, but not within quotes.
pub(crate) fn columns(line: &str) -> Vec<&str> {
    let mut columns = Vec::new();
    let mut begin = 0;
    let mut is_quoted = false;
    for (at, byte) in line.bytes().enumerate() {
        is_quoted ^= byte == b'\'';
        if !is_quoted && line.as_bytes()[at..].starts_with(b"  ") {
            columns.push(line[begin..at].trim());
            begin = at;
        }
    }
    columns.push(line[begin..].trim());
    columns.retain(|column| !column.is_empty());
    columns
}

pub(crate) fn header(column: &str) -> Option<(&str, &str)> {
    let (name, value) = column.split_once(':')?;
    let is_name = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_name.then(|| (name, value.trim()))
}

fn show(answer: &Response) -> String {
    let mut shown = format!("the answer was {}\n", answer.status);
    for (name, value) in &answer.headers {
        let _ = writeln!(shown, "    {name}: {value}");
    }
    let body: String = answer.text().chars().take(600).collect();
    shown + "    " + &body
}
