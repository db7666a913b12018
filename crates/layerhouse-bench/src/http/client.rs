//! A client of a registry: keeps its connection, and knows the requests of the protocol.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use layerhouse_oci::digest::{Algorithm, Digest, Hasher};
use layerhouse_oci::media_type::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};

use super::Failure;
use super::connection::{Connection, Sink};
use super::head::{Framing, Head};
use super::origin::Origin;
use crate::content::Blob;

/// A request without a body, written once and sent often.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    what: String,
    bytes: Vec<u8>,
    is_head: bool,
}

/// What an answer must be.
#[derive(Clone, Debug)]
pub(crate) struct Expect {
    pub(crate) status: u16,
    /// Of the body, and for HEAD of the header `Content-Length`.
    pub(crate) length: Option<u64>,
    /// Hash the body and compare.
    pub(crate) digest: Option<Digest>,
}

impl Expect {
    pub(crate) fn length(length: u64) -> Self {
        Self {
            status: 200,
            length: Some(length),
            digest: None,
        }
    }
}

/// An answer, whatever it is, whole.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// An answer of these bytes of a head and a body.
    pub(crate) fn new(status: u16, head: &[u8], body: Vec<u8>) -> Self {
        let head = head.to_vec();
        Self { status, head, body }
    }

    /// The first header of this name, in whatever case, if it is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.split(|byte| *byte == b'\n').skip(1);
        lines
            .filter_map(|line| str::from_utf8(line).ok()?.split_once(':'))
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    pub(crate) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        text.chars().take(300).collect()
    }
}

pub(crate) struct Client {
    origin: Arc<Origin>,
    connection: Option<Connection>,
    /// Reused for heads of requests.
    request: String,
}

impl Client {
    pub(crate) fn new(origin: Arc<Origin>) -> Self {
        Self {
            origin,
            connection: None,
            request: String::new(),
        }
    }

    pub(crate) fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// Connects now, so that no request has to.
    pub(crate) async fn connect(&mut self) -> Result<(), Failure> {
        if self.connection.is_none() {
            self.connection = Some(Connection::open(&self.origin).await?);
        }
        Ok(())
    }

    pub(crate) fn prepare(origin: &Origin, method: &str, path: &str) -> Prepared {
        let mut bytes = String::new();
        write_head(&mut bytes, origin, method, path, "");
        bytes.push_str("\r\n");
        Prepared {
            what: format!("{method} {path}"),
            bytes: bytes.into_bytes(),
            is_head: method == "HEAD",
        }
    }

    /// Sends a request and takes its body in; the bytes of it.
    pub(crate) async fn fetch(
        &mut self,
        request: &Prepared,
        expect: &Expect,
        keep: Option<&mut Vec<u8>>,
    ) -> Result<u64, Failure> {
        self.take_in(request, expect, keep, None).await
    }

    /// The same without keeping it, and when the first byte of the body was there; a body of none has none. To
    /// look costs a system call.
    pub(crate) async fn fetch_timed(
        &mut self,
        request: &Prepared,
        expect: &Expect,
    ) -> Result<(u64, Option<Instant>), Failure> {
        let mut first_byte = None;
        let received = self
            .take_in(request, expect, None, Some(&mut first_byte))
            .await?;
        Ok((received, first_byte))
    }

    async fn take_in(
        &mut self,
        request: &Prepared,
        expect: &Expect,
        keep: Option<&mut Vec<u8>>,
        first_byte: Option<&mut Option<Instant>>,
    ) -> Result<u64, Failure> {
        let mut connection = self.ask(&request.bytes).await?;
        let reused = connection.used;
        let mut head = connection.head().await;
        if reused && matches!(head, Err(Failure::Closed | Failure::Receive(_))) {
            // Closed by the server while it was idle, as it may: HTTP lets the client ask again.
            connection = self.ask(&request.bytes).await?;
            head = connection.head().await;
        }
        let head = head?;
        self.check(&mut connection, &head, &request.what, expect.status)
            .await?;
        connection.consume(head.length);
        let mut received = 0;
        if let (Some(expected), Framing::Length(actual)) = (expect.length, head.framing) {
            same_length(actual, expected)?;
        }
        if !request.is_head {
            let mut hasher = Hasher::new(Algorithm::Sha256);
            let sink = match (keep, &expect.digest) {
                (Some(kept), _) => Sink::Keep(kept),
                (None, Some(_)) => Sink::Hash(&mut hasher),
                (None, None) => Sink::Count,
            };
            let compares = matches!(sink, Sink::Hash(_));
            if let Some(first_byte) = first_byte {
                *first_byte = connection.first_byte(head.framing).await?;
            }
            received = connection.body(head.framing, sink).await?;
            if let Some(expected) = expect.length {
                same_length(received, expected)?;
            }
            if compares && expect.digest.as_ref() != Some(&hasher.finish()) {
                return Err(Failure::Digest);
            }
        }
        self.put_back(connection, &head);
        Ok(received)
    }

    /// Sends a request with a part of a blob as its body, once; the answer, whatever it is.
    pub(crate) async fn exchange(
        &mut self,
        method: &str,
        path: &str,
        fields: &str,
        blob: &Blob,
        range: std::ops::Range<u64>,
    ) -> Result<Answer, Failure> {
        let mut request = String::new();
        write_head(&mut request, &self.origin, method, path, fields);
        let length = range.end - range.start;
        let _ = write!(request, "Content-Length: {length}\r\n\r\n");
        let mut connection = self.ask(request.as_bytes()).await?;
        let mut sent = Ok(());
        for part in blob.parts(range) {
            sent = connection.send(part).await;
            if sent.is_err() {
                break;
            }
        }
        let head = match (sent, connection.head().await) {
            (Ok(()), head) => head?,
            (Err(_), Ok(head)) if 400 <= head.status => head,
            (Err(failure), _) => return Err(failure),
        };
        let text = connection.bytes(0..head.length).to_vec();
        connection.consume(head.length);
        let mut body = Vec::new();
        if method != "HEAD" {
            connection.body(head.framing, Sink::Keep(&mut body)).await?;
        }
        self.put_back(connection, &head);
        Ok(Answer::new(head.status, &text, body))
    }

    /// The path of an answer's `Location` on this server.
    pub(crate) fn location(&self, answer: &Answer) -> Result<String, Failure> {
        let location = answer.header("location");
        let location = location.ok_or(Failure::Malformed("an answer without Location"))?;
        self.local(location).map(str::to_owned)
    }

    /// Whether a blob is in a repository.
    pub(crate) async fn has(&mut self, repository: &str, blob: &Blob) -> Result<bool, Failure> {
        let path = self.origin.blob_path(repository, &blob.digest);
        let request = Self::prepare(&self.origin, "HEAD", &path);
        match self
            .fetch(&request, &Expect::length(blob.length), None)
            .await
        {
            Ok(_) => Ok(true),
            Err(Failure::Status { status: 404, .. }) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Pushes a blob: an upload, then all of it at once, or in chunks. How many requests that took.
    pub(crate) async fn push_blob(
        &mut self,
        repository: &str,
        blob: &Blob,
        chunk: Option<u64>,
    ) -> Result<u64, Failure> {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let mut location = self.located("POST", &path, "", blob, 0..0, 202).await?;
        let mut requests = 2;
        let mut at = 0;
        while let Some(chunk) = chunk.filter(|_| at < blob.length) {
            let end = blob.length.min(at + chunk);
            let fields = format!(
                "Content-Type: application/octet-stream\r\nContent-Range: {at}-{}\r\n",
                end - 1
            );
            location = self
                .located("PATCH", &location, &fields, blob, at..end, 202)
                .await?;
            at = end;
            requests += 1;
        }
        let separator = if location.contains('?') { '&' } else { '?' };
        let path = format!("{location}{separator}digest={}", blob.digest);
        let fields = "Content-Type: application/octet-stream\r\n";
        self.located("PUT", &path, fields, blob, at..blob.length, 201)
            .await?;
        Ok(requests)
    }

    /// Pushes a manifest, whose blobs are there.
    pub(crate) async fn push_manifest(
        &mut self,
        repository: &str,
        reference: &str,
        manifest: &Blob,
    ) -> Result<(), Failure> {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let fields = format!("Content-Type: {OCI_MANIFEST}\r\n");
        self.located("PUT", &path, &fields, manifest, 0..manifest.length, 201)
            .await?;
        Ok(())
    }

    /// Makes a blob of one repository one of another as well.
    pub(crate) async fn mount(
        &mut self,
        from: &str,
        to: &str,
        digest: &Digest,
    ) -> Result<(), Failure> {
        let path = format!("/v2/{to}/blobs/uploads/?mount={digest}&from={from}");
        self.located("POST", &path, "", &Blob::of(&[]), 0..0, 201)
            .await?;
        Ok(())
    }

    /// Sends a request with a part of a blob as its body; the path of `Location`, or nothing.
    async fn located(
        &mut self,
        method: &str,
        path: &str,
        fields: &str,
        blob: &Blob,
        range: std::ops::Range<u64>,
        status: u16,
    ) -> Result<String, Failure> {
        let mut request = std::mem::take(&mut self.request);
        request.clear();
        write_head(&mut request, &self.origin, method, path, fields);
        let _ = write!(
            request,
            "Content-Length: {}\r\n\r\n",
            range.end - range.start
        );
        let asked = self.ask(request.as_bytes()).await;
        self.request = request;
        let mut connection = asked?;
        let mut sent = Ok(());
        for part in blob.parts(range) {
            sent = connection.send(part).await;
            if sent.is_err() {
                break;
            }
        }
        let head = match (sent, connection.head().await) {
            (Ok(()), head) => head?,
            // The server answered before it had read all, and that answer says why.
            (Err(_), Ok(head)) if 400 <= head.status => head,
            (Err(failure), _) => return Err(failure),
        };
        let what = || format!("{method} {path}");
        if head.status != status {
            self.check(&mut connection, &head, &what(), status).await?;
        }
        let mut location = String::new();
        if let Some(range) = head.location.clone() {
            let text = str::from_utf8(connection.bytes(range))
                .map_err(|_| Failure::Malformed("Location"))?;
            self.local(text)?.clone_into(&mut location);
        } else if status == 202 {
            return Err(Failure::Malformed("an upload without Location"));
        }
        connection.consume(head.length);
        connection.body(head.framing, Sink::Count).await?;
        self.put_back(connection, &head);
        Ok(location)
    }

    /// The path of a `Location` on this server.
    fn local<'a>(&self, location: &'a str) -> Result<&'a str, Failure> {
        let path = match location.split_once("://") {
            None => location,
            Some((_, rest)) => {
                let at = rest.find('/').unwrap_or(rest.len());
                if !rest[..at].eq_ignore_ascii_case(&self.origin.authority) {
                    return Err(Failure::Malformed("a Location on another server"));
                }
                &rest[at..]
            }
        };
        if path.starts_with('/') {
            Ok(path)
        } else {
            Err(Failure::Malformed("a Location without a path"))
        }
    }

    /// Sends a head on the kept connection, or, if that was closed meanwhile, on a new one.
    async fn ask(&mut self, request: &[u8]) -> Result<Connection, Failure> {
        if let Some(mut connection) = self.connection.take() {
            match connection.send(request).await {
                Ok(()) => return Ok(connection),
                Err(failure) if !connection.used => return Err(failure),
                Err(_) => {}
            }
        }
        let mut connection = Connection::open(&self.origin).await?;
        connection.send(request).await?;
        Ok(connection)
    }

    /// Fails with what the server says unless the status is the expected one.
    async fn check(
        &mut self,
        connection: &mut Connection,
        head: &Head,
        what: &str,
        expected: u16,
    ) -> Result<(), Failure> {
        if head.status == expected {
            return Ok(());
        }
        let mut hint = String::new();
        if let Some(range) = &head.location {
            let location = String::from_utf8_lossy(connection.bytes(range.clone()));
            let _ = write!(hint, " and leads to {location}");
        } else if head.framing != Framing::Close && !what.starts_with("HEAD") {
            let mut body = Vec::new();
            connection.consume(head.length);
            if connection
                .body(head.framing, Sink::Keep(&mut body))
                .await
                .is_ok()
            {
                let text: String = String::from_utf8_lossy(&body).chars().take(200).collect();
                let text = text.trim();
                if !text.is_empty() {
                    let _ = write!(hint, ": {text}");
                }
            }
        }
        Err(Failure::Status {
            what: what.to_owned(),
            status: head.status,
            expected,
            hint,
        })
    }

    fn put_back(&mut self, connection: Connection, head: &Head) {
        if !head.closes && head.framing != Framing::Close {
            self.connection = Some(connection);
        }
    }
}

fn same_length(actual: u64, expected: u64) -> Result<(), Failure> {
    if actual == expected {
        Ok(())
    } else {
        Err(Failure::Length { actual, expected })
    }
}

/// Everything of a request's head but its length and its end.
fn write_head(into: &mut String, origin: &Origin, method: &str, path: &str, fields: &str) {
    let authorization = origin.credentials.as_ref().map_or("", |line| line.line());
    let _ = write!(
        into,
        "{method} {path} HTTP/1.1\r\nHost: {}\r\nUser-Agent: layerhouse-bench/{}\r\n{authorization}{fields}",
        origin.authority,
        env!("CARGO_PKG_VERSION"),
    );
    if matches!(method, "GET" | "HEAD") && path.contains("/manifests/") {
        let _ = write!(
            into,
            "Accept: {OCI_MANIFEST}, {OCI_INDEX}, {DOCKER_MANIFEST}, {DOCKER_LIST}\r\n"
        );
    }
}
