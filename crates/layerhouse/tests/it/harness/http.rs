//! A small blocking HTTP/1.1 client, so that tests see every byte and can send wrong ones. What it sends as
//! a whole may also go over TLS and HTTP/2 (`transport.rs`).

use std::fmt::Write as _;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::transport::{self, Transport};

/// No answer takes longer, even on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// Sends each request on a connection of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    transport: Transport,
}

/// An answer, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case, in the order received.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The first header of this name, given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self::over(Transport::Plain, address)
    }

    pub(crate) fn over(transport: Transport, address: SocketAddr) -> Self {
        Self { address, transport }
    }

    /// A connection in the clear, for a test to write bytes of its own.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE).expect("it listens");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a time-out above zero");
        stream
            .set_write_timeout(Some(PATIENCE))
            .expect("a time-out above zero");
        stream
    }

    /// Sends a request and reads the whole answer; an error is a connection that broke.
    pub(crate) fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        if self.transport == Transport::Http2 {
            return transport::send_http2(self.address, method, path, headers, body);
        }
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        if self.transport.has_tls() {
            let mut stream = transport::within_tls(stream)?;
            exchange(&mut stream, method, path, headers, body)
        } else {
            exchange(&mut stream, method, path, headers, body)
        }
    }

    /// As [`Client::try_send`] where the server must answer.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.try_send(method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.send("GET", path, &[], b"")
    }
}

/// One request on a connection of its own, and its answer.
fn exchange(
    stream: &mut (impl Read + Write),
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Response> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: registry\r\nConnection: close\r\n");
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let has_length = headers.iter().any(|(name, _)| {
        name.eq_ignore_ascii_case("content-length")
            || name.eq_ignore_ascii_case("transfer-encoding")
    });
    if !has_length && !matches!(method, "GET" | "HEAD") {
        let _ = write!(head, "Content-Length: {}\r\n", body.len());
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    // A server that refuses early may close before it read all.
    let sent = stream.write_all(body).and_then(|()| stream.flush());
    match read_response(stream, method == "HEAD") {
        Err(error) => Err(sent.err().unwrap_or(error)),
        read => read,
    }
}

/// Sends bytes and behind them a request that asks for the end; the statuses that come back.
pub(crate) fn statuses(client: &Client, bytes: &[u8]) -> Vec<u16> {
    let mut stream = client.connect();
    let last = b"GET /healthz HTTP/1.1\r\nHost: r\r\nConnection: close\r\n\r\n";
    let _ = stream.write_all(&[bytes, &last[..]].concat());
    let mut reader = BufReader::new(stream);
    std::iter::from_fn(|| {
        read_response(&mut reader, false)
            .ok()
            .map(|answer| answer.status)
    })
    .collect()
}

/// Reads one answer from a connection.
pub(crate) fn read_response(stream: &mut impl Read, is_head: bool) -> io::Result<Response> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut lines = head.lines();
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .ok_or(io::ErrorKind::InvalidData)?;
    if status == 100 {
        return read_response(stream, is_head);
    }
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut response = Response {
        status,
        headers,
        body: Vec::new(),
    };
    if is_head || status == 204 || status == 304 {
        return Ok(response);
    }
    if response.header("transfer-encoding").is_some() {
        response.body = read_chunks(stream)?;
    } else if let Some(length) = response.header("content-length") {
        let length = length.parse().map_err(|_| io::ErrorKind::InvalidData)?;
        response.body = vec![0; length];
        stream.read_exact(&mut response.body)?;
    } else {
        stream.read_to_end(&mut response.body)?;
    }
    Ok(response)
}

/// What a body in transfer chunks says.
pub(super) fn decode_chunks(mut encoded: &[u8]) -> io::Result<Vec<u8>> {
    read_chunks(&mut encoded)
}

fn read_chunks(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        let size = String::from_utf8_lossy(&line);
        let size =
            usize::from_str_radix(size.trim(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk)?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

/// A connection that is kept open between requests.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn open(&self) -> Connection {
        Connection {
            stream: BufReader::new(self.connect()),
        }
    }
}

impl Connection {
    /// Sends a request and reads the whole answer; an error is a connection that broke.
    pub(crate) fn try_send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: registry\r\n").into_bytes();
        for (name, value) in headers {
            request.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        request.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        request.extend_from_slice(body);
        self.stream.get_mut().write_all(&request)?;
        read_response(&mut self.stream, method == "HEAD")
    }

    /// As [`Connection::try_send`] where the server must answer.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        self.try_send(method, path, headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.send("GET", path, &[], b"")
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    pub(crate) fn read(&mut self) -> io::Result<Response> {
        read_response(&mut self.stream, false)
    }
}
