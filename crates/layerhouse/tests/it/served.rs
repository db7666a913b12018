//! What is different where a PostgreSQL keeps the facts (`LAYERHOUSE_TEST_POSTGRES`); without one there is
//! nothing to see here.

use std::time::{Duration, Instant};

use layerhouse::{Direction, StartError, migrate};

use crate::harness::database;
use crate::harness::files::quick_directory;
use crate::harness::images::{digest, push_image};
use crate::harness::process::Process;
use crate::harness::server::Server;

/// A database that cannot be reached is a 503 that says when to come back, soon; when it is there again, all goes
/// on.
#[test]
fn without_its_database_a_registry_says_so() {
    if !database::is_served() {
        return;
    }
    let mut server = Server::start();
    server.may_complain();
    let digest = digest(push_image(&server.client, "acme/web", "v1", "layer"));
    database::shut(&server.root(), true);
    let began = Instant::now();
    for (method, path) in [
        ("GET", "/v2/acme/web/manifests/v2".to_owned()),
        ("GET", "/v2/acme/web/tags/list".to_owned()),
        ("POST", "/v2/acme/web/blobs/uploads/".to_owned()),
    ] {
        // Connections that stood before are found out once each.
        let answer = server.client.send(method, &path, &[], b"");
        assert_eq!(answer.status, 503, "{method} {path}: {}", answer.text());
        assert!(answer.header("retry-after").is_some(), "{method} {path}");
    }
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    database::shut(&server.root(), false);
    let path = format!("/v2/acme/web/manifests/{digest}");
    let back = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        server.client.send("GET", &path, &[], b"").status == 200
    });
    assert!(back, "it never came back");
    push_image(&server.client, "acme/web", "v2", "other layer");
}

/// There and back, with everything in it; and whoever forgets that it moved is told.
#[test]
fn a_database_moves_there_and_back() {
    if !database::is_served() {
        return;
    }
    let mut server = Server::start();
    let digest = digest(push_image(&server.client, "acme/web", "v1", "layer"));
    push_image(&server.client, "acme/web", "v2", "other layer");
    server.stop();
    let (root, place) = (
        server.root(),
        database::place_of(&server.root()).expect("a place"),
    );
    let there = migrate(&root, &place, Direction::ToDirectory).unwrap();
    assert!(10 < there, "{there} rows");
    let refused = migrate(&root, &place, Direction::ToDirectory).unwrap_err();
    assert!(
        refused.to_string().contains("has a database already"),
        "{refused}"
    );
    let report = layerhouse::verify(&root, None).unwrap();
    assert!(report.findings.is_empty(), "{report}");
    // The directory has its own now: a start that is told otherwise is refused, and changes nothing.
    let Err(StartError::Open(refused)) = server.try_start() else {
        panic!("it started with another database");
    };
    assert!(
        refused.to_string().contains("layerhouse migrate --to"),
        "{refused}"
    );
    // The same rows are there still: copied again, they are the same.
    let again = migrate(&root, &place, Direction::ToServer).unwrap();
    assert_eq!(again, there);
    server.restart();
    let path = format!("/v2/acme/web/manifests/{digest}");
    assert_eq!(server.client.send("GET", &path, &[], b"").status, 200);
    let tags = server
        .client
        .send("GET", "/v2/acme/web/tags/list", &[], b"");
    assert_eq!(
        tags.text(),
        "{\"name\":\"acme/web\",\"tags\":[\"v1\",\"v2\"]}\n"
    );
}

/// What breaks off in the middle is gone on with, by another process as well.
#[test]
fn a_move_that_breaks_off_goes_on() {
    if !database::is_served() {
        return;
    }
    let directory = quick_directory();
    let root = directory.path().join("root");
    let process = Process::start(&root, &[]);
    push_image(&process.client, "acme/web", "v1", "layer");
    process.terminate();
    let place = database::place_of(&root).expect("a place");
    let change = |sql| {
        let file = rusqlite::Connection::open(root.join("layerhouse/layerhouse.db")).unwrap();
        file.execute_batch(sql).unwrap();
    };
    // A row that no other engine could have.
    change("UPDATE tag_events SET happened_at = 'never'");
    for _ in 0..2 {
        migrate(&root, &place, Direction::ToServer).unwrap_err();
        let report = layerhouse::verify(&root, None).unwrap();
        assert!(report.findings.is_empty(), "{report}");
    }
    change("UPDATE tag_events SET happened_at = 1");
    migrate(&root, &place, Direction::ToServer).unwrap();
    let report = layerhouse::verify(&root, Some(&place)).unwrap();
    assert!(report.findings.is_empty(), "{report}");
    // Nobody begins anew beside it by mistake.
    let refused = Process::try_start(&root, &[]).err().expect("it is refused");
    assert!(
        refused.log.contains("no layerhouse.database is configured"),
        "{}",
        refused.log
    );
    database::remove(&root);
}
