//! F21: clients vanish in the middle of uploads; what they sent is swept once they are idle.

use std::fs;
use std::time::Duration;

use super::super::harness::server::Server;
use super::crash::wait_until;
use super::ledger::location;
use super::{names, rounds};

#[test]
fn fault_f21_uploads_of_clients_that_vanish_are_purged() {
    let clients = rounds("LAYERHOUSE_TEST_VANISHING_CLIENTS", 200);
    let mut server = Server::configured("layerhouse: { uploads: { idle: 15m } }");
    let client = server.client;
    let mut sessions = Vec::new();
    for number in 0..clients {
        let start = client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b"");
        assert_eq!(start.status, 202, "{}", start.text());
        let location = location(&start);
        let mut connection = client.open();
        let head =
            format!("PATCH {location} HTTP/1.1\r\nHost: registry\r\nContent-Length: 9000\r\n\r\n");
        // They vanish in the head, at the start of the body, and in the middle of it.
        let sent = match number % 3 {
            0 => head[..head.len() / 2].to_owned(),
            1 => head,
            _ => head + &"x".repeat(5000),
        };
        connection.write(sent.as_bytes()).expect("it listens");
        sessions.push(location);
    }
    let staged = server.root().join("layerhouse/uploads");
    let held_bytes = || -> u64 {
        let sizes = names(&staged)
            .into_iter()
            .map(|name| fs::metadata(staged.join(name)).map_or(0, |metadata| metadata.len()));
        sizes.sum()
    };
    wait_until("what came is staged", || {
        held_bytes() == (clients / 3) as u64 * 5000
    });

    // One is gone on with in time.
    let kept = sessions.pop().expect("there are some");
    let minutes = Duration::from_mins;
    server.advance(minutes(14));
    wait_until("its writer is let go", || {
        client.send("PATCH", &kept, &[], b"more").status == 202
    });
    // On a busy machine the server may learn late that a client is gone, and the session counts from then.
    wait_until("the abandoned are purged", || {
        server.advance(minutes(2));
        let goes_on = client.send("PATCH", &kept, &[], b"more");
        assert_eq!(goes_on.status, 202, "{}", goes_on.text());
        names(&staged).len() <= 1
    });
    for session in sessions {
        assert_eq!(client.get(&session).status, 404, "{session}");
    }
    assert_eq!(client.get(&kept).status, 204);
    server.advance(minutes(16));
    wait_until("the last is purged", || names(&staged).is_empty());
    assert_eq!(client.get(&kept).status, 404);
    server.stop();
    let report = super::survey(&server.root());
    assert_eq!((report.uploads, report.staged_bytes), (0, 0), "{report}");
}
