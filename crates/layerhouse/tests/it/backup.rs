//! Backups: made while the server serves, checked, pruned, and restored into a directory that is as good.

use std::fs;
use std::path::{Path, PathBuf};

use layerhouse::{BackupError, backup_list, backup_prune, backup_restore, backup_verify};
use serde_json::{Value, json};

use crate::harness::console::ask;
use crate::harness::database;
use crate::harness::files::quick_directory;
use crate::harness::http::Client;
use crate::harness::images;
use crate::harness::machine::Machine;
use crate::harness::process::Process;
use crate::harness::server::Server;

fn create(server: &Server, to: &Path, copies: bool) -> Value {
    let place = json!({ "to": to, "copy": copies });
    let (status, made) = ask(&server.root(), "POST", "/backups", Some(&place));
    assert_eq!(status, 201, "{made}");
    made
}

/// Restores the newest backup, or that of a time, and serves it.
fn restored(from: &Path, at: Option<&str>, root: &Path) -> Process {
    let restored = backup_restore(from, at, root, false).unwrap();
    assert!(restored.missing.is_empty(), "{restored:?}");
    assert!(restored.report.findings.is_empty(), "{}", restored.report);
    Process::start(root, &[])
}

fn manifest(client: &Client, tag: &str) -> Option<String> {
    let answer = client.get(&format!("/v2/acme/web/manifests/{tag}"));
    (answer.status == 200).then(|| answer.text())
}

/// The files of the blobs of a pool.
fn pool(place: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![place.join("blobs")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn a_backup_is_restored_as_it_was() {
    if database::is_served() {
        return;
    }
    for copies in [false, true] {
        let server = Server::start();
        let directory = quick_directory();
        let (place, client) = (directory.path().join("backups"), server.client);
        let first = images::push_image(&client, "acme/web", "v1", "abcd");
        // A session is of the server that has its bytes.
        let upload = client.send("POST", "/v2/acme/web/blobs/uploads/", &[], b"");
        let made = create(&server, &place, copies);
        assert_eq!(made["name"], "2027-01-15T08-00-00.000Z");
        assert_eq!((&made["blobs"], &made["new_blobs"]), (&json!(2), &json!(2)));
        assert_eq!((&made["tags"], &made["missing"]), (&json!(1), &json!([])));

        let second = images::push_image(&client, "acme/web", "v2", "efgh");
        images::push_image(&client, "acme/web", "v1", "efgh");
        let made = create(&server, &place, copies);
        assert_eq!((&made["blobs"], &made["new_blobs"]), (&json!(3), &json!(1)));
        assert_eq!(made["new_bytes"], 4);
        assert_eq!(pool(&place).len(), 3, "each once");
        let listed = backup_list(&place).unwrap();
        let names: Vec<_> = listed.iter().map(|backup| backup.name.as_str()).collect();
        assert_eq!(
            names,
            ["2027-01-15T08-00-00.000Z", "2027-01-15T08-00-00.001Z"]
        );
        let verified = backup_verify(&place).unwrap();
        assert_eq!((verified.backups, verified.blobs), (2, 3));
        assert!(verified.findings.is_empty(), "{verified:?}");

        let (new, old) = (directory.path().join("new"), directory.path().join("old"));
        let process = restored(&place, None, &new);
        assert_eq!(manifest(&process.client, "v1").as_ref(), Some(&second));
        assert_eq!(manifest(&process.client, "v2").as_ref(), Some(&second));
        images::push_image(&process.client, "acme/web", "v3", "and goes on");
        assert!(process.terminate().0.success());
        let at = Some("2027-01-15T08:00:00.000Z");
        let process = restored(&place, at, &old);
        assert_eq!(manifest(&process.client, "v1").as_ref(), Some(&first));
        assert_eq!(manifest(&process.client, "v2"), None);
        let gone = process.client.get(upload.header("location").unwrap());
        assert_eq!(gone.status, 404);
        assert!(process.terminate().0.success());
        for root in [new, old] {
            let report = layerhouse::verify(&root, None).unwrap();
            assert!(report.findings.is_empty(), "{report}");
            assert_eq!(report.stale_links, 0, "its start wrote them");
        }
    }
}

/// Names of refused places, and what is said.
#[test]
fn places_that_cannot_be_are_refused_with_words() {
    if database::is_served() {
        return;
    }
    let server = Server::start();
    images::push_image(&server.client, "acme/web", "v1", "abcd");
    let directory = quick_directory();
    let check = |to: &Path, expected: u16, words: &str| {
        let place = json!({ "to": to });
        let (status, said) = ask(&server.root(), "POST", "/backups", Some(&place));
        assert_eq!(status, expected, "{}: {said}", to.display());
        let message = said["errors"][0]["message"].as_str().unwrap();
        assert!(message.contains(words), "{message}");
    };
    check(
        &server.root().join("backups"),
        422,
        "inside the data directory",
    );
    check(server.directory(), 422, "contains the data directory");
    check(Path::new("backups"), 422, "from the root on");
    fs::write(directory.path().join("mine"), "a file").unwrap();
    check(directory.path(), 409, "other things");
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(server.root(), &link).unwrap();
    check(
        &link.join("layerhouse/backups"),
        422,
        "inside the data directory",
    );
    assert!(!server.root().join("backups").exists());

    let place = directory.path().join("backups");
    create(&server, &place, true);
    let full = directory.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("file"), "").unwrap();
    let refused = |at, root: &Path| backup_restore(&place, at, root, false).unwrap_err();
    assert!(matches!(refused(None, &full), BackupError::NotEmpty(_)));
    // Whichever is in the other, what is said names the directory of backups.
    for (root, words) in [
        (place.join("in"), "contains"),
        (directory.path().to_owned(), "is inside"),
    ] {
        let said = refused(None, &root).to_string();
        let expected = format!("{} {words} the data directory", place.display());
        assert!(said.starts_with(&expected), "{said}");
    }
    let other = directory.path().join("other");
    assert!(matches!(
        refused(Some("2026"), &other),
        BackupError::NoSuchBackup(_)
    ));
    assert!(matches!(
        refused(Some("noon"), &other),
        BackupError::NoTime(_)
    ));
    assert!(!other.exists());
    let foreign = backup_list(directory.path()).unwrap_err();
    assert!(
        foreign.to_string().contains("holds no backups"),
        "{foreign}"
    );
}

/// Over the network nobody names paths of the server's machine, whatever they may otherwise.
#[test]
fn backups_are_made_at_the_console_alone() {
    let server = Server::start();
    let place = json!({ "to": "/tmp/nothing" }).to_string();
    let headers = [("Content-Type", "application/json")];
    let answer = server
        .client
        .send("POST", "/api/v1/backups", &headers, place.as_bytes());
    assert_eq!(answer.status, 404);
}

#[test]
fn what_the_source_lacks_is_said_by_name() {
    if database::is_served() {
        return;
    }
    let mut server = Server::start();
    server.may_complain();
    let directory = quick_directory();
    let place = directory.path().join("backups");
    images::push_image(&server.client, "acme/web", "v1", "abcd");
    let (gone, wrong) = (
        images::push_blob(&server.client, "acme/web", "gone"),
        images::push_blob(&server.client, "acme/web", "wrong"),
    );
    fs::remove_file(server.blob_path(&gone)).unwrap();
    fs::write(server.blob_path(&wrong), "wr0ng").unwrap();
    let made = create(&server, &place, true);
    let missing = made["missing"].as_array().unwrap();
    let named = |digest: &str| missing.iter().any(|one| one["digest"] == digest);
    assert!(
        missing.len() == 2 && named(&gone) && named(&wrong),
        "{made}"
    );
    let verified = backup_verify(&place).unwrap();
    assert_eq!(verified.findings.len(), 2, "{verified:?}");
    assert!(verified.findings[0].contains("incomplete"), "{verified:?}");
    let root = directory.path().join("root");
    let restored = backup_restore(&place, None, &root, false).unwrap();
    assert_eq!(restored.missing.len(), 2);
    assert_eq!(restored.report.findings.len(), 2, "{}", restored.report);
    // The source knows of it, and pushes heal both.
    let (_, scrub) = ask(&server.root(), "GET", "/scrub", None);
    assert_eq!(scrub["damaged"].as_array().unwrap().len(), 2, "{scrub}");
    images::push_blob(&server.client, "acme/web", "gone");
    images::push_blob(&server.client, "acme/web", "wrong");
    assert_eq!(create(&server, &place, true)["missing"], json!([]));
    assert!(backup_verify(&place).unwrap().findings.is_empty());
}

/// A pool rots, too: what a check finds, the next backup brings again.
#[test]
fn a_damaged_pool_is_found_and_healed() {
    if database::is_served() {
        return;
    }
    let server = Server::start();
    let directory = quick_directory();
    let place = directory.path().join("backups");
    images::push_image(&server.client, "acme/web", "v1", "abcd");
    create(&server, &place, true);
    let blob = images::digest("abcd");
    let (_, hex) = blob.split_once(':').unwrap();
    let file = place.join("blobs/sha256").join(&hex[..2]).join(hex);
    fs::write(&file, "abce").unwrap();
    let verified = backup_verify(&place).unwrap();
    assert_eq!(verified.findings.len(), 2, "{verified:?}");
    assert!(verified.findings[0].contains(&blob), "{verified:?}");
    create(&server, &place, true);
    assert!(backup_verify(&place).unwrap().findings.is_empty());

    // And so does the copy of a database.
    let name = &backup_list(&place).unwrap()[0].name;
    let database = place.join("snapshots").join(name).join("database.db");
    let mut bytes = fs::read(&database).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&database, bytes).unwrap();
    let verified = backup_verify(&place).unwrap();
    assert!(
        verified.findings[0].contains("its database is damaged"),
        "{verified:?}"
    );
    let root = directory.path().join("root");
    let refused = backup_restore(&place, Some(name), &root, false).unwrap_err();
    assert!(matches!(refused, BackupError::Unusable { .. }), "{refused}");
    let refused = backup_prune(&place, 2).unwrap_err();
    assert!(
        refused.to_string().contains("nothing was removed"),
        "{refused}"
    );
}

#[test]
fn old_backups_go_with_what_only_they_need() {
    if database::is_served() {
        return;
    }
    let server = Server::start();
    let directory = quick_directory();
    let place = directory.path().join("backups");
    let tag = "/v2/acme/web/manifests/";
    for (number, layer) in ["one", "two", "three"].into_iter().enumerate() {
        let manifest = images::push_image(&server.client, "acme/web", "v1", layer);
        create(&server, &place, false);
        if number == 0 {
            let path = format!("{tag}{}", images::digest(manifest));
            assert_eq!(server.client.send("DELETE", &path, &[], b"").status, 202);
        }
    }
    assert_eq!(pool(&place).len(), 4);
    let pruned = backup_prune(&place, 1).unwrap();
    assert_eq!((pruned.removed.len(), pruned.kept.len()), (2, 1));
    // What was deleted can come back for a while, so that its layer is in the last one, too.
    assert_eq!(pruned.blobs, 0);
    assert!(backup_verify(&place).unwrap().findings.is_empty());
    fs::write(place.join("blobs/sha256/00").join("0".repeat(64)), "").unwrap_or_else(|_| {
        fs::create_dir_all(place.join("blobs/sha256/00")).unwrap();
        fs::write(place.join("blobs/sha256/00").join("0".repeat(64)), "").unwrap();
    });
    assert_eq!(backup_prune(&place, 1).unwrap().blobs, 1);
}

/// A restoration that did not end leaves a directory that nobody serves.
#[test]
fn half_a_restoration_is_not_served() {
    if database::is_served() {
        return;
    }
    let server = Server::start();
    let directory = quick_directory();
    let (place, root) = (
        directory.path().join("backups"),
        directory.path().join("root"),
    );
    images::push_image(&server.client, "acme/web", "v1", "abcd");
    create(&server, &place, false);
    backup_restore(&place, None, &root, true).unwrap();
    fs::write(root.join("layerhouse/restoring"), "").unwrap();
    let refused = Process::try_start(&root, &[]).err().unwrap();
    assert!(refused.log.contains("restore it again"), "{}", refused.log);
}

/// On a server that runs and on one that is stopped.
#[test]
fn commands_say_how_it_went() {
    let machine = Machine::new();
    let directory = quick_directory();
    let place = directory.path().join("backups");
    let to = place.to_str().unwrap();
    let server = machine.serve();
    images::push_image(&server.client, "acme/web", "v1", "abcd");
    let made = machine.does(&format!("backup create --to {to}"), "");
    assert!(made.contains("new-blobs     2"), "{made}");
    assert!(server.terminate().0.success());
    let made = machine.does(&format!("backup create --copy --to {to}"), "");
    assert!(made.contains("new-blobs     0"), "{made}");
    let run = |arguments: &[&str]| {
        let (status, said) = crate::harness::process::output(arguments, &[]);
        (status.code().unwrap(), said)
    };
    let (code, listed) = run(&["backup", "list", "--from", to]);
    assert_eq!((code, listed.lines().count()), (0, 3), "{listed}");
    assert_eq!(run(&["backup", "verify", "--from", to]).0, 0);
    let root = directory.path().join("new");
    let new = root.to_str().unwrap();
    let (code, said) = run(&["backup", "restore", "--from", to, "--root", new]);
    assert!(code == 0 && said.contains("sound"), "{said}");
    let (code, said) = run(&["backup", "restore", "--from", to, "--root", new]);
    assert!(code == 5 && said.contains("is not empty"), "{said}");
    let (code, said) = run(&["backup", "prune", "--from", to, "--keep", "1"]);
    assert!(code == 0 && said.contains("removed: "), "{said}");
    let (code, _) = run(&["backup", "list", "--from", new]);
    assert_eq!(code, 5);
    let hidden = fs::metadata(root.join("layerhouse/layerhouse.db")).unwrap();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&hidden.permissions()) & 0o77,
        0
    );
}
