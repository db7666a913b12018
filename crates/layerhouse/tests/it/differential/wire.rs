//! One request to an address, in clear or over TLS, with every byte of the answer.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::harness::http::{Response, read_response};

/// No answer takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// What every request calls the registry.
pub(super) const HOST: &str = "registry.example";

/// An answer that cannot be read, such as one that is shorter than it says.
const BROKEN: Response = Response {
    status: 0,
    headers: Vec::new(),
    body: Vec::new(),
};

/// Where a registry listens, and how it is spoken to.
#[derive(Clone)]
pub(super) struct Wire {
    pub(super) address: SocketAddr,
    pub(super) tls: Option<Arc<ClientConfig>>,
}

impl Wire {
    /// Sends a request on a connection of its own and reads the whole answer.
    pub(super) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(String, String)],
        body: &[u8],
    ) -> io::Result<Response> {
        let tcp = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        let has = |name: &str| {
            headers
                .iter()
                .any(|(found, _)| found.eq_ignore_ascii_case(name))
        };
        if !has("host") {
            let _ = write!(head, "Host: {HOST}\r\n");
        }
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if !has("content-length")
            && !has("transfer-encoding")
            && !matches!(method, "GET" | "HEAD" | "OPTIONS")
        {
            let _ = write!(head, "Content-Length: {}\r\n", body.len());
        }
        head.push_str("\r\n");
        match &self.tls {
            None => exchange(tcp, &head, body, method),
            Some(config) => {
                let name = ServerName::try_from(HOST).map_err(io::Error::other)?;
                let session =
                    ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
                exchange(StreamOwned::new(session, tcp), &head, body, method)
            }
        }
    }
}

fn exchange(
    mut stream: impl Read + Write,
    head: &str,
    body: &[u8],
    method: &str,
) -> io::Result<Response> {
    stream.write_all(head.as_bytes())?;
    // A server that refuses early may close before it read all.
    let _ = stream.write_all(body).and_then(|()| stream.flush());
    read_response(&mut stream, method == "HEAD").or(Ok(BROKEN))
}
