//! What goes over an upstream's connections.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use super::super::sink::read_request;
use super::{Asked, Goods, Guard, Shared, State, Trouble};

/// Bytes that are written at once.
const PIECE_BYTES: usize = 64 << 10;

/// Takes connections until the upstream is dead; then the port is free.
pub(super) fn accept(listener: TcpListener, tls: Option<Arc<ServerConfig>>, shared: &Shared) {
    let shared = Arc::clone(shared);
    let scheme = if tls.is_some() { "https" } else { "http" };
    let address = listener.local_addr().expect("it listens");
    let own = format!("{scheme}://{address}");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut state = shared.0.lock().expect("nobody panicked");
            if state.is_dead {
                break;
            }
            state.connections += 1;
            let number = state.connections;
            let socket = stream.try_clone().expect("a descriptor is left");
            state.open.insert(number, socket);
            drop(state);
            let (shared, tls, own) = (Arc::clone(&shared), tls.clone(), own.clone());
            thread::spawn(move || {
                let socket = stream.try_clone().expect("a descriptor is left");
                let talk = Talk {
                    shared: &shared,
                    own: &own,
                    socket: &socket,
                };
                let _ = match tls {
                    None => talk.serve(stream),
                    Some(config) => {
                        let session = ServerConnection::new(config).expect("a whole config");
                        talk.serve(StreamOwned::new(session, stream))
                    }
                };
                let _ = socket.shutdown(Shutdown::Both);
                let mut state = shared.0.lock().expect("nobody panicked");
                state.open.remove(&number);
            });
        }
        drop(listener);
        let mut state = shared.0.lock().expect("nobody panicked");
        state.connections = usize::MAX;
        drop(state);
        shared.1.notify_all();
    });
}

/// Has the other end read RST instead of FIN.
pub(super) fn reset(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
    let _ = stream.shutdown(Shutdown::Both);
}

/// A connection.
struct Talk<'a> {
    shared: &'a Shared,
    own: &'a str,
    socket: &'a TcpStream,
}

/// An answer as it should be.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    content: Vec<u8>,
}

impl Answer {
    fn json(status: u16, content: String) -> Self {
        Self {
            status,
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            content: content.into_bytes(),
        }
    }

    fn error(status: u16, code: &str) -> Self {
        let body = json!({ "errors": [{ "code": code, "message": "the upstream's own words" }] });
        Self::json(status, body.to_string())
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        let is_other = |(found, _): &(String, String)| !found.eq_ignore_ascii_case(name);
        self.headers.retain(is_other);
        self.headers.push((name.to_owned(), value.into()));
    }
}

impl Talk<'_> {
    /// Answers one request after the other; an error ends the connection.
    fn serve(&self, mut stream: impl Read + Write) -> io::Result<()> {
        while let Some((head, _)) = read_request(&mut stream) {
            let asked = read(&head);
            let (answer, trouble) = {
                let mut state = self.shared.0.lock().expect("nobody panicked");
                if state.is_dead {
                    return Ok(());
                }
                state.asked.push(asked.clone());
                let trouble = trouble_for(&mut state, &asked.line);
                let answer = answer(&state, self.own, &asked);
                (answer, trouble)
            };
            self.shared.1.notify_all();
            self.tell(&mut stream, &asked, answer, trouble.as_ref())?;
        }
        Ok(())
    }

    fn tell(
        &self,
        stream: &mut impl Write,
        asked: &Asked,
        mut answer: Answer,
        trouble: Option<&Trouble>,
    ) -> io::Result<()> {
        let is_head = asked.line.starts_with("HEAD ");
        match trouble {
            Some(Trouble::Silent) => {
                self.stand_still();
                return Err(io::ErrorKind::Other.into());
            }
            Some(Trouble::Closes) => return Err(io::ErrorKind::Other.into()),
            Some(Trouble::Answer {
                status, headers, ..
            }) => {
                answer.status = *status;
                answer.headers.clear();
                for line in headers.lines() {
                    let (name, value) = line.split_once(": ").expect("a header");
                    answer.set(name, value);
                }
            }
            Some(Trouble::Redirect { status, location }) => {
                answer.status = *status;
                answer.set("Location", location);
            }
            _ => {}
        }
        if let Some(trouble) = trouble {
            answer.content = trouble.content(&answer.content);
        }
        let total = answer.content.len();
        // Errors and redirections are not cut to a range.
        if answer.status == 200
            && let Some(first) = first_of_range(asked)
            && first < total
            && trouble != Some(&Trouble::IgnoresRange)
        {
            answer.status = 206;
            let said = if trouble == Some(&Trouble::WrongRange) {
                first + 1
            } else {
                first
            };
            answer.set(
                "Content-Range",
                format!("bytes {said}-{}/{total}", total - 1),
            );
            answer.content.drain(..first);
        }
        let is_chunked = matches!(
            trouble,
            Some(Trouble::Chunked | Trouble::ChunkedBreaksOff { .. })
        );
        if is_chunked {
            answer.set("Transfer-Encoding", "chunked");
        } else {
            answer.set("Content-Length", answer.content.len().to_string());
        }
        if let Some(Trouble::Header { name, value }) = trouble {
            answer.set(name, *value);
        }
        let mut head = format!("HTTP/1.1 {} As told\r\n", answer.status);
        for (name, value) in &answer.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        stream.flush()?;
        if is_head {
            return Ok(());
        }
        self.send(stream, &answer.content, trouble)
    }

    /// The body.
    fn send(
        &self,
        stream: &mut impl Write,
        content: &[u8],
        trouble: Option<&Trouble>,
    ) -> io::Result<()> {
        let cut = |after: usize| content.split_at(after.min(content.len()));
        match trouble {
            Some(Trouble::BreaksOff { after }) => {
                stream.write_all(cut(*after).0)?;
                stream.flush()?;
                Err(io::ErrorKind::Other.into())
            }
            Some(Trouble::Resets { after }) => {
                stream.write_all(cut(*after).0)?;
                stream.flush()?;
                // What is on its way would be thrown away by the other end's kernel with the RST.
                thread::sleep(Duration::from_millis(100));
                reset(self.socket);
                Err(io::ErrorKind::Other.into())
            }
            Some(Trouble::Stalls { after }) => {
                let (before, behind) = cut(*after);
                stream.write_all(before)?;
                stream.flush()?;
                self.stand_still();
                stream.write_all(behind)?;
                stream.flush()
            }
            Some(Trouble::Paced { bytes_per_second }) => {
                for piece in content.chunks(bytes_per_second.div_ceil(20)) {
                    stream.write_all(piece)?;
                    stream.flush()?;
                    thread::sleep(Duration::from_millis(50));
                }
                Ok(())
            }
            Some(Trouble::Chunked) => {
                write_chunks(stream, content)?;
                stream.write_all(b"0\r\n\r\n")?;
                stream.flush()
            }
            Some(Trouble::ChunkedBreaksOff { after }) => {
                write_chunks(stream, cut(*after).0)?;
                stream.flush()?;
                Err(io::ErrorKind::Other.into())
            }
            _ => {
                stream.write_all(content)?;
                stream.flush()
            }
        }
    }

    /// Until somebody opens it, or it dies.
    fn stand_still(&self) {
        let (state, changed) = &**self.shared;
        let mut state = state.lock().expect("nobody panicked");
        let before = state.opened;
        state.waiting += 1;
        changed.notify_all();
        while state.opened == before && !state.is_dead {
            state = changed.wait(state).expect("nobody panicked");
        }
        state.waiting -= 1;
    }
}

fn read(head: &str) -> Asked {
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    let target = first.rsplit_once(' ').map_or(first, |(target, _)| target);
    let (line, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    Asked {
        line: line.to_owned(),
        query: query.to_owned(),
        headers: headers.collect(),
    }
}

fn trouble_for(state: &mut State, line: &str) -> Option<Trouble> {
    let at = state
        .orders
        .iter()
        .position(|order| line.contains(&order.part))?;
    let order = &mut state.orders[at];
    let trouble = order.trouble.clone();
    if let Some(times) = &mut order.times {
        *times -= 1;
        if *times == 0 {
            state.orders.remove(at);
        }
    }
    Some(trouble)
}

/// What a registry that does nothing wrong answers.
fn answer(state: &State, own: &str, asked: &Asked) -> Answer {
    let path = asked.line.split_once(' ').map_or("", |(_, path)| path);
    if path == "/token" {
        let (status, body) = Guard::answer(state.guard.as_ref(), asked);
        return Answer::json(status, body);
    }
    let challenge = state.guard.as_ref();
    if let Some(challenge) = challenge.and_then(|guard| guard.challenge(own, asked)) {
        let mut answer = Answer::error(401, "UNAUTHORIZED");
        answer.set("WWW-Authenticate", challenge);
        return answer;
    }
    if path == "/v2/" {
        return Answer::json(200, "{}".to_owned());
    }
    if let Some(Goods {
        content,
        media_type,
    }) = state.goods.get(path)
    {
        let digest = super::images::digest(content);
        return Answer {
            status: 200,
            headers: vec![
                ("Content-Type".to_owned(), media_type.clone()),
                ("Docker-Content-Digest".to_owned(), digest),
            ],
            content: content.clone(),
        };
    }
    if let Some(repository) = path.strip_suffix("/tags/list") {
        return tags(state, repository.trim_start_matches("/v2/"), &asked.query);
    }
    if let Some((repository, subject)) = path.split_once("/referrers/") {
        return referrers(state, repository, subject);
    }
    let code = if path.contains("/blobs/") {
        "BLOB_UNKNOWN"
    } else {
        "MANIFEST_UNKNOWN"
    };
    Answer::error(404, code)
}

/// A page of tags, with the next one in `Link`.
fn tags(state: &State, repository: &str, query: &str) -> Answer {
    let Some(all) = state.tags.get(repository) else {
        return Answer::error(404, "NAME_UNKNOWN");
    };
    let mut n = usize::MAX;
    let mut last = String::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "n" => n = value.parse().expect("a number"),
            "last" => last = value.into_owned(),
            _ => {}
        }
    }
    let n = n.min(state.page_max.unwrap_or(n));
    let mut page: Vec<&String> = all.iter().filter(|tag| last < **tag).collect();
    let is_more = n < page.len();
    page.truncate(n);
    let body = json!({ "name": repository, "tags": page });
    let mut answer = Answer::json(200, body.to_string());
    if is_more && let Some(last) = page.last() {
        let target = format!("/v2/{repository}/tags/list?n={n}&last={last}");
        answer.set("Link", format!("<{target}>; rel=\"next\""));
    }
    answer
}

fn referrers(state: &State, repository: &str, subject: &str) -> Answer {
    let beginning = format!("{repository}/manifests/sha256:");
    let mut found = Vec::new();
    for (path, goods) in &state.goods {
        let manifest: Value = serde_json::from_slice(&goods.content).unwrap_or_default();
        if path.starts_with(&beginning) && manifest["subject"]["digest"] == subject {
            let mut descriptor = super::images::descriptor(&goods.media_type, &goods.content);
            descriptor["artifactType"] = manifest["artifactType"].clone();
            found.push(descriptor);
        }
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": layerhouse_oci::media_type::OCI_INDEX,
        "manifests": found,
    });
    let mut answer = Answer::json(200, index.to_string());
    answer.set("Content-Type", layerhouse_oci::media_type::OCI_INDEX);
    answer
}

/// `bytes=N-`: the only form that a mirror has use for.
fn first_of_range(asked: &Asked) -> Option<usize> {
    let range = asked.header("range")?.strip_prefix("bytes=")?;
    range.split_once('-')?.0.parse().ok()
}

fn write_chunks(stream: &mut impl Write, content: &[u8]) -> io::Result<()> {
    for piece in content.chunks(PIECE_BYTES) {
        stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes())?;
        stream.write_all(piece)?;
        stream.write_all(b"\r\n")?;
    }
    Ok(())
}
