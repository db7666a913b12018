//! Several processes that mirror one registry: one fetches, the others read along, and go on where it stopped.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::objects::{STREAMED, blob, start};
use super::{NGINX, section, wait_until};
use crate::faults::noise;
use crate::harness::bucket::Bucket;
use crate::harness::console::ask;
use crate::harness::database;
use crate::harness::http::Client;
use crate::harness::pull::Pull;
use crate::harness::server::Server;
use crate::harness::upstream::{Trouble, Upstream};

/// Three parts, the last of one byte.
const SIZE: usize = (10 << 20) + 1;
const HALF: usize = SIZE / 2;
const ASKED: &str = "GET /v2/library/nginx/blobs/";

/// Two processes on one database and bucket (`LAYERHOUSE_TEST_POSTGRES`).
pub(super) fn two() -> Option<(Bucket, Upstream, Server, Server)> {
    if !database::is_served() {
        return None;
    }
    let (bucket, upstream, first) = start(STREAMED);
    let second = first.replica(21);
    Some((bucket, upstream, first, second))
}

#[test]
fn replicas_fetch_a_blob_once() {
    let Some((_bucket, upstream, first, second)) = two() else {
        return;
    };
    let content = noise(65, SIZE);
    let digest = upstream.give_blob(NGINX, &content);
    upstream.once(ASKED, Trouble::Stalls { after: SIZE / 2 });
    let mut pull = Pull::begin(&first.client, &blob(&digest), &[]);
    pull.read_up_to(SIZE / 4)
        .expect("it comes while it arrives");
    std::thread::scope(|scope| {
        let elsewhere = |client: Client| {
            let (path, content) = (blob(&digest), &content);
            scope.spawn(move || assert!(client.get(&path).body == *content))
        };
        let all: Vec<_> = (0..8).map(|_| elsewhere(second.client)).collect();
        wait_until("the second process waits for the first", || {
            let (_, said) = ask(&second.root(), "GET", "/mirror", None);
            said["fetches"] == 1
        });
        upstream.open();
        for one in all {
            one.join().expect("it comes");
        }
    });
    assert!(pull.finish().expect("all of it comes") == content);
    assert_eq!(upstream.count(ASKED), 1);
    wait_until("nobody fetches any more", || {
        database::texts(&first.root(), "SELECT digest FROM fetches").is_empty()
    });
}

/// One that said a while ago that it fetches, and died.
#[test]
fn who_died_while_it_fetched_is_followed() {
    let Some((_bucket, upstream, first, second)) = two() else {
        return;
    };
    let digest = upstream.give_blob(NGINX, b"of one that died");
    let dead = format!(
        "INSERT INTO fetches (copy, digest, holder, renewed_at)
         SELECT 'up1/library/nginx', '{digest}', 'dead', (EXTRACT(EPOCH FROM now()) * 1000)::BIGINT - 11000"
    );
    database::change(&first.root(), &dead);
    assert_eq!(second.client.get(&blob(&digest)).text(), "of one that died");
    assert_eq!(upstream.count(ASKED), 1);
}

#[test]
fn the_others_read_along() {
    let Some((bucket, upstream, first, second)) = two() else {
        return;
    };
    let content = noise(68, SIZE);
    let digest = upstream.give_blob(NGINX, &content);
    upstream.once(ASKED, Trouble::Stalls { after: HALF });
    let mut ours = Pull::begin(&first.client, &blob(&digest), &[]);
    ours.read_up_to(HALF / 2).expect("it comes");
    let mut theirs = Pull::begin(&second.client, &blob(&digest), &[]);
    theirs
        .read_up_to(HALF / 2)
        .expect("it comes there, too, while the first waits for the rest");
    // Who asked first may leave: another process reads.
    drop(ours);
    upstream.open();
    assert!(theirs.finish().expect("all of it comes") == content);
    assert_eq!(upstream.count(ASKED), 1);
    wait_until("it is in the bucket", || bucket.holds(&digest));
    let counts = |server: &Server| {
        let (_, said) = ask(&server.root(), "GET", "/mirror", None);
        let counts = &said["upstreams"][0]["counts"];
        (
            counts["fetched_bytes"].clone(),
            counts["relayed_bytes"].clone(),
        )
    };
    assert_eq!(counts(&first), (SIZE.into(), 0.into()));
    assert_eq!(counts(&second), (0.into(), SIZE.into()));
}

/// S23
#[test]
fn sec_s23_nobody_else_reads_along() {
    let Some((_bucket, upstream, first, _second)) = two() else {
        return;
    };
    let content = noise(69, SIZE);
    let digest = upstream.give_blob(NGINX, &content);
    upstream.once(ASKED, Trouble::Stalls { after: HALF });
    let mut pull = Pull::begin(&first.client, &blob(&digest), &[]);
    pull.read_up_to(HALF / 2).expect("it comes");
    let names = database::texts(&first.root(), "SELECT holder FROM fetches");
    let token = format!("Bearer {}", names[0]);
    let path = format!("/internal/fetches/{digest}");
    let refuses = |method: &str, path: &str, said: &str| {
        let headers = [("Authorization", said)];
        let headers = if said.is_empty() {
            &headers[..0]
        } else {
            &headers
        };
        let answer = first.client.send(method, path, headers, b"");
        assert_eq!(answer.status, 404, "{method} {path} {said}");
    };
    refuses("GET", &path, "");
    refuses("GET", &path, "Bearer");
    refuses("GET", &path, "Bearer ");
    refuses("GET", &path, &token[..token.len() - 1]);
    refuses("GET", &path, &token.replace("Bearer", "Basic"));
    refuses("POST", &path, &token);
    refuses("GET", "/internal/fetches/", &token);
    refuses("GET", "/internal/fetches/latest", &token);
    let last = if digest.ends_with('0') { '1' } else { '0' };
    let other = format!("{}{last}", &digest[..digest.len() - 1]);
    refuses("GET", &format!("/internal/fetches/{other}"), &token);
    let headers = [("Authorization", token.as_str()), ("Range", "bytes=5-9")];
    let mut part = Pull::begin(&first.client, &path, &headers);
    assert_eq!(part.read_up_to(4).expect("it comes"), &content[5..9]);
    upstream.open();
    assert_eq!(part.finish().expect("its end, too"), &content[5..10]);
    assert!(pull.finish().expect("all of it comes") == content);
    wait_until("it is published", || {
        let answer = first.client.send("GET", &path, &headers, b"");
        answer.status == 404
    });
}

/// What stands where others read along, and does as it is told.
struct Leader {
    address: String,
    /// Offsets that it was asked to send from.
    asked: Arc<Mutex<Vec<usize>>>,
}

/// How much it sends, and whether the connection stays open then.
#[derive(Clone, Copy)]
enum Sends {
    Until(usize),
    UntilAndNoMore(usize),
    Nothing,
    /// What any server has at its root.
    Page,
}

impl Leader {
    fn start(content: &[u8], sends: Sends) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let asked: Arc<Mutex<Vec<usize>>> = Arc::default();
        let (noted, content) = (Arc::clone(&asked), content.to_vec());
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                let stream = stream.expect("a connection");
                let (digest, from) = asked_for(&stream);
                noted.lock().expect("nobody panicked").push(from);
                kept.push(answer(stream, &content, (&digest, from, sends)));
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<usize> {
        self.asked.lock().expect("nobody panicked").clone()
    }

    /// Writes down that it fetches a blob.
    fn fetches(&self, server: &Server, digest: &str, name: &str) {
        let (address, now) = (&self.address, NOW);
        let row = format!(
            "INSERT INTO fetches (copy, digest, holder, renewed_at, address)
             VALUES ('up1/library/nginx', '{digest}', '{name}', {now}, '{address}')
             ON CONFLICT (copy, digest) DO UPDATE
             SET holder = excluded.holder, renewed_at = excluded.renewed_at, address = excluded.address"
        );
        database::change(&server.root(), &row);
    }
}

/// As late as it is believed, so that nobody dies of a slow machine.
const NOW: &str = "(EXTRACT(EPOCH FROM now()) * 1000)::BIGINT + 10000";

/// Says that nobody who fetches anything was heard of for long.
fn all_die(server: &Server) {
    database::change(&server.root(), "UPDATE fetches SET renewed_at = 0");
}

/// A digest, and the offset to send from.
fn asked_for(mut stream: &TcpStream) -> (String, usize) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a request");
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8(head).expect("text").to_lowercase();
    let path = head.strip_prefix("get /internal/fetches/");
    let (digest, _) = path
        .and_then(|path| path.split_once(' '))
        .expect("a digest");
    assert!(head.contains("authorization: bearer "), "{head}");
    let range = head.split_once("range: bytes=").map(|(_, rest)| rest);
    let from = range.and_then(|rest| rest.split_once("-\r\n"));
    let from = from.map_or(0, |(from, _)| from.parse().expect("a number"));
    (digest.to_owned(), from)
}

/// The connection, if it stays open.
fn answer(
    mut stream: TcpStream,
    content: &[u8],
    (digest, from, sends): (&str, usize, Sends),
) -> Option<TcpStream> {
    let (until, stays) = match sends {
        Sends::Until(until) => (until, false),
        Sends::UntilAndNoMore(until) => (until, true),
        Sends::Nothing => {
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            return None;
        }
        Sends::Page => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
            return None;
        }
    };
    let (size, last) = (content.len(), content.len() - 1);
    let head = if from == 0 {
        "200 OK".to_owned()
    } else {
        format!("206 Partial Content\r\nContent-Range: bytes {from}-{last}/{size}")
    };
    let length = size - from;
    // Who reads may leave before the end.
    let _ = write!(
        stream,
        "HTTP/1.1 {head}\r\nDocker-Content-Digest: {digest}\r\nContent-Length: {length}\r\n\r\n"
    );
    let _ = stream.write_all(&content[from.min(until)..until]);
    if !stays {
        let _ = stream.shutdown(Shutdown::Both);
    }
    stays.then_some(stream)
}

#[test]
fn who_read_along_goes_on_where_the_other_died() {
    for sends in [Sends::Until(HALF), Sends::UntilAndNoMore(HALF)] {
        let Some((bucket, upstream, first, second)) = two() else {
            return;
        };
        let content = noise(70, SIZE);
        let digest = upstream.give_blob(NGINX, &content);
        let leader = Leader::start(&content, sends);
        leader.fetches(&first, &digest, "dead");
        let mut pull = Pull::begin(&second.client, &blob(&digest), &[]);
        pull.read_up_to(HALF - 1).expect("it comes");
        assert_eq!(upstream.count(ASKED), 0);
        all_die(&first);
        assert!(pull.finish().expect("all of it comes") == content);
        let asked = upstream.asked(ASKED);
        let ranges: Vec<_> = asked.iter().map(|one| one.header("range")).collect();
        assert_eq!(ranges, [Some(format!("bytes={HALF}-").as_str())]);
        wait_until("it is in the bucket", || bucket.holds(&digest));
        wait_until("nothing is left", || {
            database::texts(&first.root(), "SELECT digest FROM fetches").is_empty()
        });
    }
}

/// Another process fetches it next, and is followed from there on, whether the one before broke off or says nothing
/// more; then that dies, too, when all of it is here.
#[test]
fn the_next_who_fetches_it_is_followed() {
    // The second is asked again and again, until that is given up.
    for (sends, times) in [(Sends::UntilAndNoMore(HALF), 1), (Sends::Until(HALF), 5)] {
        let Some((bucket, upstream, first, second)) = two() else {
            return;
        };
        let content = noise(71, SIZE);
        let digest = upstream.give_blob(NGINX, &content);
        let dead = Leader::start(&content, sends);
        dead.fetches(&first, &digest, "dead");
        let mut pull = Pull::begin(&second.client, &blob(&digest), &[]);
        pull.read_up_to(HALF - 1).expect("it comes");
        wait_until("it was asked", || dead.asked().len() == times);
        let next = Leader::start(&content, Sends::Until(SIZE));
        next.fetches(&first, &digest, "next");
        assert!(pull.finish().expect("all of it comes") == content);
        assert_eq!(next.asked(), [HALF]);
        assert!(!bucket.holds(&digest), "whoever fetches it publishes it");
        all_die(&first);
        wait_until("it is in the bucket", || bucket.holds(&digest));
        assert_eq!(upstream.count(ASKED), 0);
    }
}

/// Who has the beginning of what was published meanwhile has the end from there.
#[test]
fn the_end_comes_from_the_bucket() {
    let Some((_bucket, upstream, first, second)) = two() else {
        return;
    };
    let content = noise(76, SIZE);
    let digest = upstream.give_blob(NGINX, &content);
    let leader = Leader::start(&content, Sends::Until(HALF));
    leader.fetches(&first, &digest, "elsewhere");
    let mut pull = Pull::begin(&second.client, &blob(&digest), &[]);
    pull.read_up_to(HALF - 1).expect("it comes");
    // What one copy has, others of its upstream have, too.
    upstream.give_blob("library/other", &content);
    let other = format!("/v2/up1/library/other/blobs/{digest}");
    assert!(first.client.get(&other).body == content);
    assert!(pull.finish().expect("all of it comes") == content);
    assert_eq!(upstream.count(ASKED), 0);
}

/// What another process sends is believed as little as an upstream.
#[test]
fn sec_s23_what_another_process_sends_is_hashed() {
    let Some((bucket, upstream, first, mut second)) = two() else {
        return;
    };
    second.may_complain();
    let content = noise(72, SIZE);
    let digest = upstream.give_blob(NGINX, &content);
    let leader = Leader::start(&noise(73, SIZE), Sends::Until(SIZE));
    leader.fetches(&first, &digest, "liar");
    let pull = Pull::begin(&second.client, &blob(&digest), &[]);
    assert!(pull.finish().is_err(), "cut before its last byte");
    assert_eq!(upstream.count(ASKED), 0);
    assert!(!bucket.holds(&digest));
    all_die(&first);
    assert!(second.client.get(&blob(&digest)).body == content);
}

/// One that cannot be read from is waited for.
#[test]
fn who_cannot_be_followed_is_waited_for() {
    for sends in [Sends::Nothing, Sends::Page] {
        let Some((_bucket, upstream, first, second)) = two() else {
            return;
        };
        let content = noise(74, 1000);
        let digest = upstream.give_blob(NGINX, &content);
        let leader = Leader::start(&content, sends);
        leader.fetches(&first, &digest, "elsewhere");
        std::thread::scope(|scope| {
            let pull = scope.spawn(|| second.client.get(&blob(&digest)));
            wait_until("it is asked", || !leader.asked().is_empty());
            assert_eq!(upstream.count(ASKED), 0);
            all_die(&first);
            assert!(pull.join().expect("it is answered").body == content);
        });
        assert_eq!(upstream.count(ASKED), 1);
    }
}

/// With `advertise: none` nobody is told where to read along.
#[test]
fn who_does_not_advertise_is_waited_for() {
    if !database::is_served() {
        return;
    }
    let (bucket, upstream) = (Bucket::start(), Upstream::start());
    let mirror = section(&[("up1", &upstream.url(), "")], "up1", "");
    let mirror = mirror.replace("layerhouse: {", "layerhouse: { advertise: none,");
    let storage = bucket.configuration(STREAMED);
    let server = Server::configured(&format!("{storage}\n{mirror}"));
    let digest = upstream.give_blob(NGINX, noise(75, SIZE));
    upstream.once(ASKED, Trouble::Stalls { after: HALF });
    let mut pull = Pull::begin(&server.client, &blob(&digest), &[]);
    pull.read_up_to(HALF / 2).expect("it comes");
    let without = "SELECT digest FROM fetches WHERE address IS NULL";
    assert_eq!(database::texts(&server.root(), without), [digest]);
    upstream.open();
    pull.finish().expect("all of it comes");
}
