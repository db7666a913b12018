//! The doctor: what is wrong is said in words, with what to do; and what is not, is not.

use std::fs;

use serde_json::{Value, json};

use crate::harness::console::ask;
use crate::harness::database;
use crate::harness::images;
use crate::harness::machine::Machine;
use crate::harness::server::Server;

/// What is wrong, by the server's word.
fn findings(server: &Server) -> Vec<String> {
    let (status, found) = ask(&server.root(), "GET", "/doctor", None);
    assert_eq!(status, 200, "{found}");
    let findings = found["findings"].as_array().unwrap().iter();
    let shown = findings.map(|finding| {
        assert!(!finding["advice"].as_str().unwrap().is_empty(), "{finding}");
        finding["what"].as_str().unwrap().to_owned()
    });
    // How full the disk of the tests is, is no matter of theirs.
    shown.filter(|what| !what.contains("nearly full")).collect()
}

#[test]
fn what_is_wrong_is_said_with_who_misses_it() {
    if database::is_served() {
        return;
    }
    let mut server = Server::start();
    server.may_complain();
    server.leave_unverified();
    images::push_image(&server.client, "acme/web", "v1", "layer");
    images::push_image(&server.client, "acme/web", "v2", "another");
    assert_eq!(findings(&server), Vec::<String>::new());

    let (lost, stray) = (images::digest("layer"), images::digest("stray"));
    fs::remove_file(server.blob_path(&lost)).unwrap();
    let path = server.blob_path(&stray);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "stray").unwrap();
    let blobs = server.root().join("docker/registry/v2/blobs");
    fs::write(blobs.join("sha256/00/README"), "mine").unwrap();
    let found = findings(&server).join("\n");
    for said in [lost.as_str(), &stray, "README", "have no file", "in no row"] {
        assert!(found.contains(said), "{said}: {found}");
    }
    // Once it is known what it is, it is said who misses it.
    ask(&server.root(), "POST", "/scrub/runs", Some(&json!({})));
    let is_known = || {
        findings(&server)
            .iter()
            .any(|what| what.contains("(acme/web:v1)"))
    };
    let soon = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(5));
        is_known()
    });
    assert!(soon, "{:?}", findings(&server));
    assert!(!findings(&server).join("\n").contains("have no file"));

    // A backup that lacks it.
    let place = server.directory().with_extension("backups");
    let (status, _) = ask(
        &server.root(),
        "POST",
        "/backups",
        Some(&json!({ "to": place })),
    );
    assert_eq!(status, 201);
    let found = findings(&server).join("\n");
    assert!(found.contains("lacks 1 blobs"), "{found}");
    fs::remove_dir_all(place).unwrap();
}

/// On a server that runs, on a directory that none uses, and on what is none.
#[test]
fn the_command_finds_a_way_to_look() {
    let machine = Machine::new();
    let ran = machine.run(&["doctor"], "");
    assert_eq!(ran.code, Some(6), "{ran:?}");
    assert!(ran.out.contains("there is no directory"), "{ran:?}");
    let server = machine.serve();
    images::push_image(&server.client, "acme/web", "v1", "layer");
    let facts = |ran: &str| {
        let shown: Value = serde_json::from_str(ran).unwrap();
        let facts = shown["facts"].as_array().unwrap().iter();
        let named: Vec<_> = facts
            .map(|fact| fact["said"].as_str().unwrap().to_owned())
            .collect();
        named.join("\n")
    };
    let said = facts(&machine.run(&["doctor", "-o", "json"], "").out);
    assert!(
        said.contains("it serves") && said.contains("1 tags"),
        "{said}"
    );
    assert!(server.terminate().0.success());
    let said = facts(&machine.run(&["doctor", "-o", "json"], "").out);
    assert!(
        said.contains("none uses") && said.contains("1 tags"),
        "{said}"
    );

    // Somebody holds the directory whose console is not there.
    let server = machine.serve();
    fs::remove_file(machine.root().join("layerhouse/admin.sock")).unwrap();
    let ran = machine.run(&["doctor"], "");
    let holder = format!("process {} uses", server.id());
    assert!(ran.code == Some(6) && ran.out.contains(&holder), "{ran:?}");
    assert!(server.terminate().0.success());

    // A database that is none.
    let database = machine.root().join("layerhouse/layerhouse.db");
    let sound = fs::read(&database).unwrap();
    fs::write(&database, "nothing of the kind".repeat(1000)).unwrap();
    let ran = machine.run(&["doctor"], "");
    assert!(
        ran.code == Some(6) && ran.out.contains("is damaged"),
        "{ran:?}"
    );
    fs::write(&database, sound).unwrap();
}

/// A database that is lost is made anew from the files beside it, and nothing that it named is collected.
#[test]
fn fault_f22_a_lost_database_is_made_anew() {
    let machine = Machine::new();
    let server = machine.serve();
    let manifest = images::push_image(&server.client, "acme/web", "v1", "layer");
    images::push_image(&server.client, "acme/api", "v1", "another");
    assert!(server.terminate().0.success());
    let database = machine.root().join("layerhouse/layerhouse.db");
    fs::remove_file(&database).unwrap();
    let ran = machine.run(&["doctor"], "");
    assert!(
        ran.code == Some(6) && ran.out.contains("there is no database"),
        "{ran:?}"
    );
    let server = machine.serve();
    let client = server.client;
    assert_eq!(client.get("/v2/acme/web/manifests/v1").text(), manifest);
    for (repository, layer) in [("acme/web", "layer"), ("acme/api", "another")] {
        let path = format!("/v2/{repository}/blobs/{}", images::digest(layer));
        assert_eq!(client.get(&path).text(), layer);
    }
    assert!(server.terminate().0.success());
    machine.does("scrub --now", "");
}

/// What is on its way out is no stranger's: links are written, and files removed, behind the answers.
#[test]
fn files_that_are_still_to_be_removed_are_not_reported() {
    if database::is_served() {
        return;
    }
    let mut server = Server::start();
    let manifest = images::push_image(&server.client, "acme/web", "v1", "layer");
    let digest = images::digest(&manifest);
    let copy = server.blob_path(&digest);
    for _ in 0..2000 {
        if copy.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    // The copy for registry:2 goes with the next round of link files, some seconds from now.
    let path = format!("/v2/acme/web/manifests/{digest}");
    let deleted = server.client.send("DELETE", &path, &[], b"");
    assert_eq!(deleted.status, 202);
    assert!(copy.exists());
    assert_eq!(findings(&server), Vec::<String>::new());
    server.stop();

    // A crash between the commit that takes a blob's row away and the removal of its file.
    let stray = server.blob_path(&images::digest("stray"));
    fs::create_dir_all(stray.parent().unwrap()).unwrap();
    fs::write(&stray, "stray").unwrap();
    let said = |server: &Server| {
        let found = layerhouse::examine(&server.root()).ailments.into_iter();
        found.map(|one| one.what).collect::<Vec<_>>().join("\n")
    };
    assert!(said(&server).contains("in no row"), "{}", said(&server));
    let database = server.root().join("layerhouse/layerhouse.db");
    let database = rusqlite::Connection::open(database).unwrap();
    let digest = images::digest("stray");
    let noted = database.execute("INSERT INTO removals (digest) VALUES (?1)", [&digest]);
    assert_eq!(noted.unwrap(), 1);
    drop(database);
    assert!(!said(&server).contains("in no row"), "{}", said(&server));
    server.restart();
    assert!(!stray.exists());
}
