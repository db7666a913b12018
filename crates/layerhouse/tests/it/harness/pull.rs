//! A pull that is looked at while it goes on: what has arrived so far, and how it ends.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::http::{Client, Response};

/// One answer over a connection of its own, whose body is read as far as a test asks.
pub(crate) struct Pull {
    stream: BufReader<TcpStream>,
    /// Status and headers; its body stays empty.
    pub(crate) head: Response,
    pub(crate) body: Vec<u8>,
    /// Bytes still to come; `None` for a body in chunks.
    left: Option<usize>,
    /// Of the present chunk.
    chunk: usize,
    is_over: bool,
}

impl Pull {
    /// Sends the request and does not wait for an answer: the connection, for [`Pull::answered`].
    pub(crate) fn ask(client: &Client, path: &str, headers: &[(&str, &str)]) -> TcpStream {
        let mut stream = client.connect();
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: registry\r\nConnection: close\r\n");
        for (name, value) in headers {
            let _ = write!(request, "{name}: {value}\r\n");
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).expect("it listens");
        stream
    }

    /// Waits for the head of the answer.
    pub(crate) fn answered(stream: TcpStream) -> io::Result<Self> {
        let mut stream = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            lines.push(line);
        }
        let status = lines[0]
            .split(' ')
            .nth(1)
            .and_then(|text| text.parse().ok());
        let headers = lines[1..].iter().filter_map(|line| line.split_once(':'));
        let headers =
            headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
        let head = Response {
            status: status.ok_or(io::ErrorKind::InvalidData)?,
            headers: headers.collect(),
            body: Vec::new(),
        };
        let length = head.header("content-length").map(str::parse);
        let left = length.transpose().map_err(|_| io::ErrorKind::InvalidData)?;
        Ok(Self {
            stream,
            head,
            body: Vec::new(),
            left,
            chunk: 0,
            is_over: false,
        })
    }

    /// Both, where the server must answer.
    pub(crate) fn begin(client: &Client, path: &str, headers: &[(&str, &str)]) -> Self {
        let stream = Self::ask(client, path, headers);
        Self::answered(stream).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// Reads until so many bytes of the body are there, or all that come; an error is a body that is cut.
    pub(crate) fn read_up_to(&mut self, bytes: usize) -> io::Result<&[u8]> {
        let mut buffer = vec![0; 64 << 10];
        while self.body.len() < bytes && !self.is_over {
            let may = self.next_part()?;
            if may == 0 {
                self.is_over = true;
                break;
            }
            let may = may.min(buffer.len()).min(bytes - self.body.len());
            let read = self.stream.read(&mut buffer[..may])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.body.extend_from_slice(&buffer[..read]);
            match &mut self.left {
                Some(left) => *left -= read,
                None => self.chunk -= read,
            }
        }
        Ok(&self.body)
    }

    /// Bytes of the body that come before anything else; 0 at its end.
    fn next_part(&mut self) -> io::Result<usize> {
        if let Some(left) = self.left {
            return Ok(left);
        }
        while self.chunk == 0 {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim();
            if line.is_empty() {
                // What ends the chunk before.
                continue;
            }
            self.chunk = usize::from_str_radix(line, 16).map_err(|_| io::ErrorKind::InvalidData)?;
            if self.chunk == 0 {
                return Ok(0);
            }
        }
        Ok(self.chunk)
    }

    /// Reads to the end.
    pub(crate) fn finish(mut self) -> io::Result<Vec<u8>> {
        self.read_up_to(usize::MAX)?;
        Ok(self.body)
    }
}
