//! `layerhouse gc`, `garbage-collect`, `history`, `restore`, `deleted`, `rm`: as they are typed, on a server that
//! runs and on one that is stopped.

use std::fs;

use serde_json::Value;

use crate::harness::images;
use crate::harness::machine::{Machine, words};
use crate::harness::process::Process;

fn blob_exists(machine: &Machine, content: &str) -> bool {
    let digest = images::digest(content);
    let hex = digest.strip_prefix("sha256:").unwrap();
    let blobs = machine.root().join("docker/registry/v2/blobs/sha256");
    blobs.join(&hex[..2]).join(hex).join("data").exists()
}

fn stop(server: Process) {
    assert!(server.terminate().0.success());
}

/// What an operator does after a mistake.
fn after_a_mistake(machine: &Machine, first: &str, second: &str) {
    let (code, said) = machine.refuses("rm acme/web:v1", "");
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("--yes"), "{said}");
    machine.does("rm acme/web:v1 --yes", "");
    assert_eq!(machine.refuses("rm acme/web:v1 --yes", "").0, 3);
    let history = machine.does("history acme/web:v1", "");
    let line = history.lines().nth(1).unwrap();
    assert_eq!(words(line)[1..3], ["console", "v1"], "{history}");
    assert!(line.ends_with("(removed)"), "{history}");
    let restored = machine.does("restore acme/web:v1", "");
    assert_eq!(restored, format!("tag v1 points at {second}\n"));
    // And further back.
    machine.does(&format!("restore acme/web:v1 --to {first}"), "");
    let tags = machine.does("tags acme/web -o json", "");
    let tags: Value = serde_json::from_str(&tags).unwrap();
    assert_eq!(tags[0]["digest"], first);

    machine.does(&format!("rm acme/web@{second} --yes"), "");
    let deleted = machine.does("deleted acme/web", "");
    assert!(
        deleted.lines().nth(1).unwrap().starts_with(second),
        "{deleted}"
    );
    let restored = machine.does(&format!("restore acme/web@{second}"), "");
    assert_eq!(restored, format!("manifest {second} is back\n"));

    machine.does("rm acme/web --yes", "");
    assert_eq!(machine.refuses("tags acme/web", "").0, 3);
    let deleted = machine.does("deleted", "");
    assert!(
        deleted.lines().nth(1).unwrap().starts_with("acme/web"),
        "{deleted}"
    );
    let restored = machine.does("restore acme/web", "");
    assert!(restored.contains("tag v1 points at"), "{restored}");
    assert_eq!(machine.does("deleted -o json", ""), "[]\n");

    for (line, code) in [
        ("restore acme/web", 3),
        ("restore acme/none", 3),
        ("restore acme/web:none", 3),
        ("restore acme/web --to sha256:ab", 2),
        ("restore acme/web:v1 --to sha256:ab", 2),
        ("restore acme/web:v1 --at noon", 2),
        ("restore localhost:5000/acme/web", 2),
        ("history acme/none", 3),
        ("rm acme/none --yes", 3),
        ("gc --plan --apply", 2),
        ("gc -n 0", 2),
    ] {
        let (found, said) = machine.refuses(line, "");
        assert_eq!(found, code, "{line}: {said}");
    }
}

fn push_two(server: &Process) -> (String, String) {
    let first = images::push_image(&server.client, "acme/web", "v1", "first");
    let second = images::push_image(&server.client, "acme/web", "v1", "second");
    (images::digest(first), images::digest(second))
}

#[test]
fn mistakes_are_undone_on_a_server_that_runs() {
    let machine = Machine::new();
    let server = machine.serve();
    let (first, second) = push_two(&server);
    after_a_mistake(&machine, &first, &second);
    stop(server);
}

#[test]
fn mistakes_are_undone_on_a_server_that_is_stopped() {
    let machine = Machine::new();
    let server = machine.serve();
    let (first, second) = push_two(&server);
    stop(server);
    after_a_mistake(&machine, &first, &second);
}

#[test]
fn what_goes_is_said_before_it_goes() {
    let machine = Machine::new();
    let server = machine.serve();
    let (first, _) = push_two(&server);
    machine.does(&format!("rm acme/web@{first} --yes"), "");
    // On a server that runs, what clients may be about to use waits.
    let collected = machine.does("gc --apply --empty-trash -o json", "");
    let collected: Value = serde_json::from_str(&collected).unwrap();
    assert_eq!(collected["manifests"], 1);
    assert_eq!(collected["blobs"], 0);
    assert!(blob_exists(&machine, "first"));
    let plan = machine.does("gc", "");
    assert!(
        plan.contains("goes now: 0 manifests, 0 links, 0 blobs: 0 B\n"),
        "{plan}"
    );
    assert!(
        plan.contains("waits:    0 manifests, 1 link, 0 blobs"),
        "{plan}"
    );
    stop(server);
    // Nobody is about to use anything there.
    let plan = machine.does("gc --plan -o json", "");
    let plan: Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan["goes"]["blobs"], 1, "{plan}");
    assert_eq!(plan["goes"]["bytes"], "first".len());
    assert!(blob_exists(&machine, "first"));
    let collected = machine.does("gc --apply", "");
    assert_eq!(collected, "collected: 0 manifests, 1 link, 1 blob: 5 B\n");
    assert!(!blob_exists(&machine, "first"));
    assert!(blob_exists(&machine, "second"));
    assert_eq!(
        machine.does("gc --apply", ""),
        "collected: 0 manifests, 0 links, 0 blobs: 0 B\n"
    );
}

/// With registry:2's own arguments and file; the lines are in its words.
#[test]
fn the_command_line_of_registry_2_works() {
    let machine = Machine::new();
    let server = machine.serve();
    let (first, second) = push_two(&server);
    stop(server);
    let config = machine.directory().join("config.yml");
    let root = machine.root();
    let storage = format!(
        "storage: {{filesystem: {{rootdirectory: {}}}}}",
        root.display()
    );
    fs::write(&config, format!("version: 0.1\n{storage}\n")).unwrap();
    let config = config.to_str().unwrap();
    let run = |arguments: &[&str]| {
        let arguments = [&["garbage-collect", config][..], arguments].concat();
        let (status, said) = crate::harness::process::output(&arguments, &[]);
        assert!(status.success(), "{arguments:?}: {said}");
        said
    };
    for arguments in [&["-d", "-m"][..], &["--dry-run", "--delete-untagged=true"]] {
        let said = run(arguments);
        let eligible = format!("acme/web: manifest eligible for deletion: {first}\n");
        assert!(said.contains(&eligible), "{said}");
        assert!(
            said.contains("0 blobs and 1 manifests eligible for deletion\n"),
            "{said}"
        );
        assert!(!said.contains(&second), "{said}");
    }
    let said = run(&["-d"]);
    assert!(
        said.contains("0 blobs and 0 manifests eligible for deletion\n"),
        "{said}"
    );
    // It can be had back for a while, so its bytes wait.
    let said = run(&["-m"]);
    assert!(said.ends_with("0 blobs deleted, 0 B came back\n"), "{said}");
    let deleted = machine.does("deleted acme/web", "");
    assert!(
        deleted.contains(&first) && deleted.contains("untagged"),
        "{deleted}"
    );
    machine.does("gc --apply --empty-trash", "");
    assert!(!blob_exists(&machine, "first"));
    let said = run(&["-q"]);
    assert_eq!(
        said,
        "\n0 blobs and 0 manifests eligible for deletion\n0 blobs deleted, 0 B came back\n"
    );
}
