//! Pulls of blobs: every byte, by every way that bytes take to a client, and what becomes of them when the
//! file or the client goes away meanwhile.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write};

use rustix::fs::{Advice, fadvise};
use tempfile::TempDir;

use crate::harness::http::{Client, Response, read_response};
use crate::harness::images;
use crate::harness::server::Server;
use crate::harness::tls::{Authority, Greeting, TlsClient};

/// Larger than what the sockets of a connection hold.
const LARGE_BYTES: usize = 40 << 20;
/// By the kernel from its page cache, and through our memory.
const WAYS: [&str; 2] = ["", "layerhouse: { storage: { mapped: false } }"];

/// Bytes of which each page tells where it stands.
fn content(length: usize) -> Vec<u8> {
    let mut content = vec![0; length];
    for (number, page) in (1_u32..).zip(content.chunks_mut(4096)) {
        let bytes = number.wrapping_mul(2_654_435_761).to_be_bytes();
        page.fill(bytes[0]);
        let told = page.len().min(bytes.len());
        page[..told].copy_from_slice(&bytes[..told]);
    }
    content
}

/// A server with one blob: its path, and what is in it.
fn serving(configuration: &str, length: usize) -> (Server, String, String, Vec<u8>) {
    let server = Server::configured(configuration);
    let content = content(length);
    let digest = images::push_blob(&server.client, "acme/web", &content);
    let path = format!("/v2/acme/web/blobs/{digest}");
    (server, path, digest, content)
}

/// Says whether they are the same without printing megabytes.
fn same(answer: &Response, expected: &[u8], told: &str) {
    assert_eq!(answer.body.len(), expected.len(), "{told}: length");
    if answer.body != expected {
        let wrong = answer.body.iter().zip(expected).position(|(a, b)| a != b);
        panic!("{told}: the first wrong byte is at {wrong:?}");
    }
}

/// A file that the kernel sends is mapped, and stays open.
#[test]
fn the_fast_path_is_taken_unless_it_is_switched_off() {
    let is_mapped = |configuration| {
        let (server, path, digest, content) = serving(configuration, 1 << 20);
        same(&server.client.get(&path), &content, configuration);
        let maps = fs::read_to_string("/proc/self/maps").expect("this is Linux");
        let hex = digest.strip_prefix("sha256:").expect("it is SHA-256");
        let root = server.root().display().to_string();
        maps.lines()
            .any(|line| line.contains(hex) && line.contains(&root))
    };
    let is_switched_off = std::env::var("LAYERHOUSE_TEST_MAPPED").as_deref() == Ok("false");
    assert_eq!(is_mapped(WAYS[0]), !is_switched_off);
    assert!(!is_mapped(WAYS[1]));
}

#[test]
fn every_byte_of_every_length() {
    const MIB: usize = 1 << 20;
    for configuration in WAYS {
        let server = Server::configured(configuration);
        let lengths = [
            0,
            1,
            16 << 10,
            64 << 10,
            (64 << 10) + 1,
            MIB - 1,
            MIB,
            MIB + 1,
            2 * MIB + 100_000,
        ];
        // One connection for all: nothing is left on it, and nothing is missing.
        let mut connection = server.client.open();
        for length in lengths {
            let content = content(length);
            let digest = images::push_blob(&server.client, "acme/web", &content);
            let path = format!("/v2/acme/web/blobs/{digest}");
            let told = format!("{length} bytes, {configuration:?}");
            for _ in 0..2 {
                let answer = connection.get(&path);
                assert_eq!(answer.status, 200, "{told}");
                same(&answer, &content, &told);
            }
            let ranges = [
                (0, 0),
                (0, length / 2),
                (length / 3, length / 2),
                (length.saturating_sub(1), length),
                (5000, length.saturating_sub(1)),
                (5000, 5000 + MIB),
            ];
            for (first, last) in ranges {
                if length <= first || last < first {
                    continue;
                }
                let end = (last + 1).min(length);
                let range = format!("bytes={first}-{last}");
                let answer = connection.send("GET", &path, &[("Range", &range)], b"");
                assert_eq!(answer.status, 206, "{told}: {range}");
                same(&answer, &content[first..end], &format!("{told}: {range}"));
            }
            assert_eq!(connection.get("/v2/").status, 200, "{told}");
        }
    }
}

#[test]
fn requests_in_one_packet_are_answered_in_turn() {
    for configuration in WAYS {
        let (server, path, _, large) = serving(configuration, (3 << 20) + 77);
        let small = images::push_blob(&server.client, "acme/web", "abcd");
        let small_path = format!("/v2/acme/web/blobs/{small}");
        let mut requests = String::new();
        for (path, range) in [
            (&path, ""),
            (&small_path, ""),
            (&path, "Range: bytes=1000000-2999999\r\n"),
            (&path, ""),
            (&small_path, ""),
        ] {
            let _ = write!(requests, "GET {path} HTTP/1.1\r\nHost: r\r\n{range}\r\n");
        }
        let mut connection = server.client.open();
        connection.write(requests.as_bytes()).unwrap();
        for expected in [
            &large[..],
            b"abcd",
            &large[1_000_000..3_000_000],
            &large,
            b"abcd",
        ] {
            same(&connection.read().unwrap(), expected, configuration);
        }
    }
}

/// Has the kernel forget a file, as it does when memory is short.
fn evict(server: &Server, digest: &str) {
    let file = File::open(server.blob_path(digest)).unwrap();
    file.sync_all().unwrap();
    fadvise(&file, 0, None, Advice::DontNeed).unwrap();
}

#[test]
fn what_left_the_page_cache_is_read_again() {
    for configuration in WAYS {
        let (server, path, digest, content) = serving(configuration, LARGE_BYTES);
        evict(&server, &digest);
        same(&server.client.get(&path), &content, "before the answer");
        // And while a reader pauses.
        let mut stream = Paused::begin(&server.client, &path);
        evict(&server, &digest);
        same(&stream.rest().unwrap(), &content, "in its middle");
    }
}

/// A pull whose client has read a little and then paused.
struct Paused {
    stream: Box<dyn Read>,
    head: Vec<u8>,
}

impl Paused {
    fn begin(client: &Client, path: &str) -> Self {
        let mut stream = client.connect();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: r\r\n\r\n").unwrap();
        Self::on(Box::new(stream))
    }

    fn on(mut stream: Box<dyn Read>) -> Self {
        let mut head = vec![0; 1000];
        stream.read_exact(&mut head).unwrap();
        Self { stream, head }
    }

    /// Reads on to the end of the answer; an error if it has none.
    fn rest(&mut self) -> io::Result<Response> {
        read_response(&mut self.head.chain(&mut self.stream), false)
    }
}

#[test]
fn a_file_that_is_removed_meanwhile_is_served_to_its_end() {
    for configuration in WAYS {
        let (mut server, path, digest, content) = serving(configuration, LARGE_BYTES);
        server.may_complain();
        let mut paused = Paused::begin(&server.client, &path);
        fs::remove_file(server.blob_path(&digest)).unwrap();
        same(&paused.rest().unwrap(), &content, "the pull that had begun");
        assert_eq!(server.client.get(&path).status, 404, "the next");
        assert_eq!(server.client.send("HEAD", &path, &[], b"").status, 404);
        images::push_blob(&server.client, "acme/web", &content);
        same(&server.client.get(&path), &content, "healed");
    }
}

#[test]
fn a_file_that_is_replaced_meanwhile_is_served_to_its_end_and_then_not_at_all() {
    for configuration in WAYS {
        let (mut server, path, digest, content) = serving(configuration, LARGE_BYTES);
        server.may_complain();
        let mut paused = Paused::begin(&server.client, &path);
        let other = server.directory().join("other");
        fs::write(&other, vec![7; LARGE_BYTES]).unwrap();
        fs::rename(&other, server.blob_path(&digest)).unwrap();
        same(&paused.rest().unwrap(), &content, "the pull that had begun");
        assert_eq!(server.client.get(&path).status, 404, "the next");
        images::push_blob(&server.client, "acme/web", &content);
        same(&server.client.get(&path), &content, "healed");
    }
}

/// Cuts a blob's file short while pulls of it are paused; `begin` begins one.
fn cut_short<Pull>(
    server: &mut Server,
    digest: &str,
    begin: impl FnOnce(&Client) -> Pull,
    whole: impl FnOnce(Pull) -> bool,
    told: &str,
) {
    server.may_complain();
    server.leave_unverified();
    let pull = begin(&server.client);
    let path = server.blob_path(digest);
    // Published files may be read-only to all but root.
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(100_000).unwrap();
    assert!(!whole(pull), "{told}: a clean end of a file cut short");
    let path = format!("/v2/acme/web/blobs/{digest}");
    assert_eq!(server.client.get(&path).status, 404, "{told}: it lives");
}

#[test]
fn a_file_that_is_cut_short_meanwhile_cuts_the_answer() {
    for configuration in WAYS {
        let (mut server, path, digest, _) = serving(configuration, LARGE_BYTES);
        let begin = |client: &Client| Paused::begin(client, &path);
        let whole = |mut pull: Paused| pull.rest().is_ok();
        cut_short(&mut server, &digest, begin, whole, configuration);
    }
}

#[test]
fn a_file_that_is_cut_short_meanwhile_cuts_the_answer_over_tls() {
    for configuration in WAYS {
        let files = TempDir::new().unwrap();
        let authority = Authority::new("the test's authority");
        let (certificate, key) = authority.issue_local().write(files.path());
        let mut server = Server::configured(&format!(
            "http: {{ tls: {{ certificate: {}, key: {} }} }}\n{configuration}",
            certificate.display(),
            key.display()
        ));
        server.may_complain();
        server.leave_unverified();
        let client = TlsClient::greeting(server.client.address, &authority, &Greeting::default());
        let content = content(LARGE_BYTES);
        let digest = images::digest(&content);
        let upload = format!("/v2/acme/web/blobs/uploads/?digest={digest}");
        assert_eq!(
            client.try_send("POST", &upload, &content).unwrap().status,
            201
        );
        let path = format!("/v2/acme/web/blobs/{digest}");
        same(&client.try_get(&path).unwrap(), &content, configuration);

        let mut connection = client.connect().unwrap();
        write!(
            connection.stream(),
            "GET {path} HTTP/1.1\r\nHost: r\r\n\r\n"
        )
        .unwrap();
        let mut head = vec![0; 1000];
        connection.stream().read_exact(&mut head).unwrap();
        let file = File::options().write(true).open(server.blob_path(&digest));
        file.unwrap().set_len(100_000).unwrap();
        let rest = read_response(&mut head.chain(connection.stream()), false);
        assert!(
            rest.is_err(),
            "{configuration}: a clean end of a file cut short"
        );
        assert_eq!(client.try_get(&path).unwrap().status, 404, "it lives");
    }
}

/// A pull over HTTP/2 in the clear, frame by frame.
struct Http2Pull {
    stream: std::net::TcpStream,
    body: Vec<u8>,
}

impl Http2Pull {
    /// Asks, with windows that are wide open, and reads the first data.
    fn begin(client: &Client, path: &str) -> Self {
        let mut stream = client.connect();
        let mut request = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let widest = 0x7fff_ffff_u32.to_be_bytes();
        // SETTINGS_INITIAL_WINDOW_SIZE, and the connection's window.
        request.extend(frame(4, 0, 0, &[&[0, 4], &widest[..]].concat()));
        let more = (0x7fff_ffff_u32 - 65_535).to_be_bytes();
        request.extend(frame(8, 0, 0, &more));
        // GET, http, and two names of the static table with values that are not of it.
        let mut head = vec![0x82, 0x86];
        for (name, value) in [(0x04, path), (0x01, "r")] {
            let length = u8::try_from(value.len()).unwrap();
            assert!(length < 127, "longer ones are written otherwise");
            head.extend([name, length]);
            head.extend(value.as_bytes());
        }
        // END_HEADERS and END_STREAM.
        request.extend(frame(1, 5, 1, &head));
        stream.write_all(&request).unwrap();
        let mut pull = Self {
            stream,
            body: Vec::new(),
        };
        while pull.body.is_empty() {
            pull.next().unwrap();
        }
        pull
    }

    /// Reads a frame: whether the answer goes on behind it; an error if it will not.
    fn next(&mut self) -> io::Result<bool> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head)?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut payload)?;
        let (kind, flags) = (head[3], head[4]);
        match kind {
            0 => self.body.extend(payload),
            // RST_STREAM and GOAWAY.
            3 | 7 => return Err(io::ErrorKind::ConnectionReset.into()),
            _ => {}
        }
        Ok(!(kind <= 1 && flags & 1 == 1))
    }

    fn rest(mut self) -> io::Result<Vec<u8>> {
        while self.next()? {}
        Ok(self.body)
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head, &stream.to_be_bytes()[..], payload].concat()
}

#[test]
fn http2_has_its_bytes_and_is_cut_with_the_file() {
    for configuration in WAYS {
        let (mut server, path, digest, content) = serving(configuration, LARGE_BYTES);
        let pulled = Http2Pull::begin(&server.client, &path).rest().unwrap();
        assert!(pulled == content, "{configuration}: wrong bytes");
        let begin = |client: &Client| Http2Pull::begin(client, &path);
        let whole = |pull: Http2Pull| pull.rest().is_ok();
        cut_short(&mut server, &digest, begin, whole, configuration);
    }
}

#[test]
fn clients_that_go_away_in_the_middle_harm_nobody() {
    for configuration in WAYS {
        let (server, path, _, content) = serving(configuration, LARGE_BYTES);
        let gone: Vec<Paused> = (0..20)
            .map(|_| Paused::begin(&server.client, &path))
            .collect();
        let mut stays = Paused::begin(&server.client, &path);
        drop(gone);
        same(&stays.rest().unwrap(), &content, configuration);
        same(&server.client.get(&path), &content, configuration);
    }
}
