//! F23, F26: what a start does about junk, about data that is not ours, about another process, and
//! about what it may not do.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::harness::images::{digest, push_image};
use super::super::harness::process::Process;
use super::{is_root, noise, quick_directory, run, skip, stop_soundly};

#[test]
fn fault_f23_junk_in_the_directory_is_reported_and_left_alone() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let process = Process::start(&root, &[]);
    let manifest = push_image(&process.client, "acme/web", "v1", "a layer");
    stop_soundly(process, &root);

    // Files and directories of all kinds of names, some of them like ours.
    let id = "0123456789abcdef0123456789abcdef";
    let uuid = "01234567-89ab-4cde-8f01-23456789abcd";
    let below = [
        "",
        "layerhouse",
        "layerhouse/uploads",
        "layerhouse/scratch",
        "layerhouse/quarantine",
        "docker",
        "docker/registry/v2",
        "docker/registry/v2/blobs",
        "docker/registry/v2/blobs/sha256",
        "docker/registry/v2/blobs/sha256/ab",
        "docker/registry/v2/repositories",
        "docker/registry/v2/repositories/acme",
        "docker/registry/v2/repositories/acme/web/_layers",
    ];
    let mut junk = Vec::new();
    for (number, place) in below.iter().enumerate() {
        let place = root.join(place);
        for name in [id, uuid, "lost+found", ".DS_Store", "\u{1f40b} _ %s\n"] {
            let (file, tree) = (place.join(name), place.join(format!("{name}.d")));
            fs::write(&file, noise(number as u64, 100 * number)).expect("it can be written");
            fs::create_dir_all(tree.join("nested")).expect("it can be written");
            fs::write(tree.join("nested/file"), "junk").expect("it can be written");
            junk.extend([file, tree]);
        }
    }
    for name in [
        "fedcba9876543210fedcba9876543210",
        "fedcba98-7654-4210-8edc-ba9876543210",
    ] {
        let tree = root.join("layerhouse/uploads").join(name);
        fs::create_dir_all(tree.join("nested")).expect("it can be written");
        junk.push(tree);
    }
    for name in ["reserve", "lock"] {
        fs::write(root.join("layerhouse").join(name), noise(8, 777)).expect("it can be written");
    }

    for _ in 0..2 {
        let process = Process::start(&root, &[]);
        let client = process.client;
        assert_eq!(client.get("/v2/acme/web/manifests/v1").text(), manifest);
        push_image(&client, "acme/web", "v2", "another");
        let catalog = client.get("/v2/_catalog").text();
        assert_eq!(catalog, "{\"repositories\":[\"acme/web\"]}\n");
        let (status, log) = process.terminate();
        assert!(status.success(), "{log}");
        assert!(
            log.contains("left alone"),
            "what is not ours is reported: {log}"
        );
    }
    // What could be the staging file or scratch of a dead process is cleared, the rest is theirs.
    let is_ours = |path: &PathBuf| {
        let parent = path.parent().expect("all are below the root");
        parent.ends_with("layerhouse/scratch") || parent.ends_with("layerhouse/uploads")
    };
    for path in junk.iter().filter(|path| !is_ours(path)) {
        assert!(path.exists(), "{} was removed", path.display());
    }
    let report = super::survey(&root);
    assert!(
        report
            .findings
            .iter()
            .all(|finding| finding.invariant == "I6"),
        "{report}"
    );
    for name in [id, "lost+found"] {
        let path = root.join("docker/registry/v2/blobs").join(name);
        assert!(
            report.to_string().contains(&*path.to_string_lossy()),
            "{report}"
        );
    }
}

#[test]
fn fault_f23_damage_in_another_registrys_directory_is_left_as_it_is() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let content = "a layer";
    let name = digest(content);
    let registry = root.join("docker/registry/v2");
    let files = [
        super::blob_path(&root, &name),
        registry
            .join("repositories/acme/web/_layers/sha256")
            .join(&name[7..])
            .join("link"),
        registry.join("repositories/acme/web/_manifests/tags/v1/current/link"),
    ];
    for file in &files {
        fs::create_dir_all(file.parent().expect("below the root")).expect("it can be written");
        fs::write(file, content).expect("it can be written");
    }
    let before = tree(&registry);
    // Nothing of it is whole: it is said, left as it is, and no reason not to serve.
    let process = Process::start(&root, &[]);
    let tags = process.client.get("/v2/acme/web/tags/list");
    assert!(matches!(tags.status, 200 | 404), "{}", tags.text());
    assert_eq!(process.client.get("/v2/acme/web/manifests/v1").status, 404);
    let (status, log) = process.terminate();
    assert!(status.success(), "{log}");
    assert!(log.contains("not adopted, and left as it is"), "{log}");
    let is_ours = |(path, _): &(&PathBuf, _)| before.contains_key(*path);
    assert!(
        tree(&registry).iter().filter(is_ours).eq(before.iter()),
        "something was changed"
    );
}

/// Every file below, and what it holds.
fn tree(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("it can be read") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                directories.push(path.clone());
                found.insert(path, Vec::new());
            } else {
                let content = fs::read(&path).expect("it can be read");
                found.insert(path, content);
            }
        }
    }
    found
}

#[test]
fn fault_f26_a_second_process_on_a_directory_is_refused() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let first = Process::start(&root, &[]);
    let manifest = push_image(&first.client, "acme/web", "v1", "a layer");
    let session = first
        .client
        .send("POST", "/v2/acme/web/blobs/uploads/", &[], b"");
    let session = super::ledger::location(&session);
    assert_eq!(
        first.client.send("PATCH", &session, &[], b"some").status,
        202
    );
    for _ in 0..3 {
        let refused = Process::try_start(&root, &[])
            .err()
            .expect("the directory is in use");
        assert_eq!(refused.status.code(), Some(1), "{}", refused.log);
        let holder = format!("process {}", first.id());
        assert!(refused.log.contains(&holder), "{holder}: {}", refused.log);
        assert!(
            refused.log.contains(&*root.to_string_lossy()),
            "{}",
            refused.log
        );
    }
    let checked = run(&["verify", "--root", &root.to_string_lossy()]);
    assert_eq!(checked.status.code(), Some(1), "{checked:?}");
    assert!(
        layerhouse::verify(&root, None).is_err(),
        "a directory in use is not looked into"
    );

    assert_eq!(
        first.client.get("/v2/acme/web/manifests/v1").text(),
        manifest
    );
    let put = format!("{session}?digest={}", digest("some more"));
    assert_eq!(first.client.send("PUT", &put, &[], b" more").status, 201);
    push_image(&first.client, "acme/web", "v2", "another");
    stop_soundly(first, &root);
}

#[test]
fn fault_f26_a_taken_port_is_named() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = holder.local_addr().expect("it is bound").to_string();
    let directory = quick_directory();
    let root = directory.path().join("root");
    let root = root.to_string_lossy();
    let output = run(&["serve", "--listen", &address, "--root", &root]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains(&address) && said.contains("the port is taken"),
        "{said}"
    );
    assert!(said.contains("--listen"), "{said}");
}

/// Our binary, run by a user who owns nothing.
fn as_nobody(root: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(env!("CARGO_BIN_EXE_layerhouse"))
        .args(["serve", "--listen", "127.0.0.1:0", "--root"])
        .arg(root);
    command
}

#[test]
fn fault_f26_a_directory_that_may_not_be_written_is_named() {
    if !is_root() {
        return skip("becoming another user needs root");
    }
    let has_setpriv = Command::new("setpriv").arg("--version").output().is_ok();
    let directory = quick_directory();
    let path = directory.path();
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(path, open).expect("it is ours");
    let binary_is_reachable = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .args([env!("CARGO_BIN_EXE_layerhouse"), "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !has_setpriv || !binary_is_reachable {
        return skip("the binary cannot be run as another user");
    }
    // A directory that is not there and cannot be made; one that is there and cannot be written; and
    // a database that was made by another user.
    let served = path.join("served");
    let process = Process::start(&served, &[]);
    push_image(&process.client, "acme/web", "v1", "a layer");
    stop_soundly(process, &served);
    fs::create_dir(path.join("there")).expect("it is ours");
    for name in ["absent", "there", "served"] {
        let root = path.join(name);
        let refused = Process::spawn(as_nobody(&root), &[])
            .err()
            .expect("it may not be written");
        assert_eq!(refused.status.code(), Some(1), "{name}: {}", refused.log);
        let says = |text: &str| assert!(refused.log.contains(text), "{name}: {}", refused.log);
        says(&root.to_string_lossy());
        says("ermission denied");
    }
    super::assert_sound(&served);
}

/// F22: a database that lost its content is made again from the tree, and nothing is lost with it.
#[test]
fn fault_f22_an_empty_database_is_made_again() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let process = Process::start(&root, &[]);
    let manifest = push_image(&process.client, "acme/web", "v1", "a layer");
    stop_soundly(process, &root);
    fs::write(root.join("layerhouse/layerhouse.db"), b"").expect("it can be written");
    let process = Process::start(&root, &[]);
    let pulled = process.client.get("/v2/acme/web/manifests/v1");
    assert_eq!(pulled.text(), manifest);
    stop_soundly(process, &root);
}

/// I11: a link file that cannot be written keeps no other from being written.
#[test]
fn inv_i11_one_bad_path_holds_up_no_link_file() {
    let directory = quick_directory();
    let root = directory.path().join("root");
    let process = Process::start(&root, &[]);
    fs::write(
        root.join("docker/registry/v2/repositories/aaa"),
        "in the way",
    )
    .expect("a file");
    push_image(&process.client, "aaa/app", "v1", "a layer");
    push_image(&process.client, "zzz/app", "v1", "a layer");
    let (status, log) = process.terminate();
    assert!(status.success(), "{log}");
    let current = "docker/registry/v2/repositories/zzz/app/_manifests/tags/v1/current/link";
    assert!(root.join(current).exists(), "{log}");
    // What is still to be written is said so, and found to be nothing worse.
    let report = layerhouse::verify(&root, None).expect("the directory can be read");
    assert!(
        report.findings.is_empty() && 0 < report.stale_links,
        "{report}"
    );
}
