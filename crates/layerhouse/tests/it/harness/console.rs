//! Asks the API over the console of a data directory that is served.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use super::http::{PATIENCE, Response, read_response};

/// Sends a request to a path of the server, and a body of JSON if there is one.
pub(crate) fn send(root: &Path, method: &str, path: &str, body: Option<&Value>) -> Response {
    try_send(root, method, path, body).expect("an answer")
}

/// The same to a server that may die meanwhile.
pub(crate) fn try_send(
    root: &Path,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> io::Result<Response> {
    let mut stream = UnixStream::connect(root.join("layerhouse/admin.sock"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let content = body.map(Value::to_string).unwrap_or_default();
    let kind = body.map_or("", |_| "Content-Type: application/json\r\n");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: console\r\nConnection: close\r\n{kind}Content-Length: {}\r\n\r\n",
        content.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(content.as_bytes())?;
    read_response(&mut stream, method == "HEAD")
}

/// What the API answers to a path behind `/api/v1`: its status, and what it says.
pub(crate) fn ask(root: &Path, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let answer = send(root, method, &format!("/api/v1{path}"), body);
    let said = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    (answer.status, said)
}
