//! `layerhouse user|org|team|robot|token|acl|repo|invitation|audit`: on a server that runs and on one that is
//! stopped, with the same outcome.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;

use serde_json::Value;

use crate::auth::basic;
use crate::harness::images;
use crate::harness::machine::{Machine, words};
use crate::harness::process::Process;

const PASSWORD: &str = "correct horse";

/// Pushes a small image with a name and a secret; the status of the last request.
fn push(server: &Process, repository: &str, user: &str, secret: &str) -> u16 {
    let authorization = basic(user, secret);
    let headers = [
        ("Authorization", &*authorization),
        ("Content-Type", "application/vnd.oci.image.manifest.v1+json"),
    ];
    let path = format!(
        "/v2/{repository}/blobs/uploads/?digest={}",
        images::digest("{}")
    );
    let status = server.client.send("POST", &path, &headers, b"{}").status;
    if status != 201 {
        return status;
    }
    let manifest = images::image("{}", &[]).to_string();
    let path = format!("/v2/{repository}/manifests/v1");
    server
        .client
        .send("PUT", &path, &headers, manifest.as_bytes())
        .status
}

/// What an operator does in the first days. `between` has a repository pushed by a robot.
fn first_days(machine: &Machine, between: impl FnOnce(&str)) {
    let out = machine.does(
        "user create root --admin --email root@example.com",
        PASSWORD,
    );
    assert!(
        out.contains("admin") && out.contains("root@example.com"),
        "{out}"
    );
    machine.does("user create ann", PASSWORD);
    machine.does("user create bob --no-password", "");
    machine.does("org create acme --owner ann", "");
    machine.does("org member set acme bob reader", "");
    machine.does("team create acme/core", "");
    machine.does("team add acme/core bob", "");
    machine.does("acl grant acme/* writer --team acme/core", "");
    let secret = machine.does("robot create acme+ci --expires 90d", "");
    machine.does("acl grant acme/web writer --to acme+ci", "");
    between(secret.trim());

    let users = machine.does("user list -o json", "");
    let users: Value = serde_json::from_str(&users).unwrap();
    let told = |user: &Value| format!("{} {}", user["name"], user["is_admin"]);
    let users: Vec<_> = users.as_array().unwrap().iter().map(told).collect();
    assert_eq!(users, ["\"ann\" false", "\"bob\" false", "\"root\" true"]);
    let members = machine.does("org member list acme", "");
    let columns = |line: &str| words(line)[..2].join(" ");
    let members: Vec<_> = members.lines().map(columns).collect();
    assert_eq!(members, ["USER ROLE", "ann owner", "bob reader"]);

    let list = machine.does("repo list acme", "");
    assert!(list.contains("acme/web  private (default)"), "{list}");
    machine.does("repo visibility acme/web public", "");
    let shown = machine.does("repo show acme/web", "");
    assert!(shown.contains("public\n"), "{shown}");
    let access = machine.does("acl show acme/web", "");
    for line in [
        "ann             owner   is owner of acme",
        "bob             reader  is reader of acme",
        "team acme/core  writer  was made writer of acme/* as one of acme/core",
        "acme+ci         writer  was made writer of acme/web",
    ] {
        assert!(access.contains(line), "{access}");
    }
    let answer = machine.does("acl test bob push acme/web", "");
    assert!(answer.contains("as one of acme/core"), "{answer}");
    let ran = machine.run(&words("acl test bob delete acme/web"), "");
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(ran.out.starts_with("allowed  no\n"), "{ran:?}");
    machine.does("acl revoke acme/* --team acme/core", "");
    let ran = machine.run(&words("acl test bob push acme/web"), "");
    assert_eq!(ran.code, Some(5), "{ran:?}");

    let token = machine.does("token create ann laptop --limit acme/*=pull", "");
    assert!(
        token.starts_with("lhp_") && token.trim().len() == 56,
        "{token}"
    );
    let tokens = machine.does("token list ann -o json", "");
    let tokens: Value = serde_json::from_str(&tokens).unwrap();
    let id = tokens[0]["id"].as_str().unwrap();
    machine.does(&format!("token revoke ann {id}"), "");
    assert_eq!(machine.does("token list ann -o json", ""), "[]\n");

    let code = machine.does("invitation create --email eve@example.com", "");
    assert!(code.starts_with("lhv_"), "{code}");
    machine.does("user passwd ann", "correct mule");
    machine.does("user disable bob", "");
    machine.does("user delete bob --yes", "");
    machine.does("robot delete acme+ci --yes", "");
    let events = machine.does("audit list --subject acme -o json", "");
    let events: Value = serde_json::from_str(&events).unwrap();
    let told = |event: &Value| format!("{} {}", event["actor"], event["action"]);
    let events: Vec<_> = events.as_array().unwrap().iter().map(told).collect();
    assert_eq!(events.len(), 7, "{events:?}");
    assert_eq!(events[6], "\"console\" \"organization.create\"");
}

#[test]
fn on_a_server_that_runs() {
    let machine = Machine::with_accounts();
    let server = machine.serve();
    first_days(&machine, |secret| {
        assert_eq!(push(&server, "acme/web", "acme+ci", secret), 201);
        // It may push there, and nowhere else.
        assert_ne!(push(&server, "acme/api", "acme+ci", secret), 201);
    });
    let (status, _) = server.terminate();
    assert!(status.success());
    assert!(!machine.root().join("layerhouse/admin.sock").exists());
}

#[test]
fn on_a_server_that_is_stopped() {
    let machine = Machine::with_accounts();
    first_days(&machine, |secret| {
        let server = machine.serve();
        assert_eq!(push(&server, "acme/web", "acme+ci", secret), 201);
        let (status, _) = server.terminate();
        assert!(status.success());
    });
}

/// A change holds for the server that runs at once: S11.
#[test]
fn sec_s11_what_is_taken_back_is_gone_at_once() {
    let machine = Machine::with_accounts();
    let server = machine.serve();
    machine.does("user create ann", PASSWORD);
    assert_eq!(push(&server, "ann/web", "ann", PASSWORD), 201);
    machine.does("user disable ann", "");
    assert_eq!(push(&server, "ann/web", "ann", PASSWORD), 401);
    machine.does("user enable ann", "");
    assert_eq!(push(&server, "ann/web", "ann", PASSWORD), 201);
    let secret = machine.does("robot create ann+ci", "");
    machine.does("acl grant ann/* writer --to ann+ci", "");
    assert_eq!(push(&server, "ann/web", "ann+ci", secret.trim()), 201);
    let rotated = machine.does("robot rotate ann+ci", "");
    assert_eq!(push(&server, "ann/web", "ann+ci", secret.trim()), 401);
    assert_eq!(push(&server, "ann/web", "ann+ci", rotated.trim()), 201);
    machine.does("acl revoke ann/* --to ann+ci", "");
    assert_ne!(push(&server, "ann/web", "ann+ci", rotated.trim()), 201);
    assert!(server.terminate().0.success());
}

/// S50: a secret is shown to who made it, and nowhere and never again.
#[test]
fn sec_s50_secrets_are_shown_once() {
    let machine = Machine::with_accounts();
    machine.does("user create ann", PASSWORD);
    let shown = [
        machine.does("robot create ann+ci", ""),
        machine.does("token create ann laptop", ""),
        machine.does("invitation create", ""),
        machine.does("robot rotate ann+ci", ""),
    ];
    let mut said = String::new();
    for line in [
        "user show ann -o json",
        "robot list ann -o json",
        "token list ann -o json",
        "invitation list -o json",
        "audit list -o json",
    ] {
        said += &machine.does(line, "");
    }
    for secret in shown.iter().map(|shown| shown.trim()).chain([PASSWORD]) {
        assert!(!said.contains(secret), "{said}");
        for entry in fs::read_dir(machine.root().join("layerhouse")).unwrap() {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap_or_default();
            let is_in = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!is_in, "{} has {secret}", path.display());
        }
    }
}

#[test]
fn it_says_what_is_wrong() {
    let machine = Machine::with_accounts();
    let server = machine.serve();
    machine.does("user create root --admin", PASSWORD);
    machine.does("user create ann", PASSWORD);
    machine.does("org create acme --owner ann", "");
    for (line, input, code, says) in [
        // What cannot be.
        ("user create", "", 2, "<NAME>"),
        ("user create Ann", PASSWORD, 2, "upper case"),
        ("user create a", PASSWORD, 2, "2 to 64"),
        ("user create library", PASSWORD, 2, "reserved"),
        ("user create eve", "short", 2, "at least 8"),
        ("user create eve", "", 2, "standard input"),
        ("org member set acme ann boss", "", 2, "owner"),
        ("robot create ci", "", 2, "NAMESPACE+NAME"),
        (
            "token create ann x --limit acme/*=own",
            "",
            2,
            "pull, push, delete",
        ),
        ("token create ann x --expires 1y", "", 2, "90d"),
        ("acl grant acme/* writer", "", 2, "--to"),
        ("acl grant acme/** writer --to ann", "", 2, "pattern"),
        ("acl grant acme/* owner --to ann", "", 2, "member"),
        ("repo visibility acme/web open", "", 2, "public"),
        // Nobody is there to ask.
        ("user delete ann", "", 2, "--yes"),
        // What is not there.
        ("user show eve", "", 3, "eve"),
        ("user passwd eve", PASSWORD, 3, "eve"),
        ("robot rotate acme+ci", "", 3, "acme+ci"),
        ("token revoke ann 7", "", 3, "token"),
        ("repo show acme/web", "", 3, ""),
        ("acl revoke acme/* --to ann", "", 3, "ann"),
        ("org member set acme eve reader", "", 3, "eve"),
        ("team members acme/core", "", 3, "core"),
        // What things as they are do not allow.
        ("user create ann", PASSWORD, 5, "taken"),
        ("org create ann", "", 5, "taken"),
        ("user demote root", "", 5, "last administrator"),
        ("user disable root", "", 5, "last administrator"),
        ("org member remove acme ann", "", 5, "last owner"),
        ("org member set acme ann reader", "", 5, "last owner"),
        ("user delete ann --yes", "", 5, "acme"),
    ] {
        let (found, said) = machine.refuses(line, input);
        assert_eq!(found, code, "{line}: {said}");
        assert!(said.contains(says), "{line}: {said}");
    }
    // A secret on the command line is none that is taken.
    let (code, _) = machine.refuses("user create eve --password hunter22222", "");
    assert_eq!(code, 2);
    assert!(server.terminate().0.success());
}

#[test]
fn without_the_index_it_says_how_to_switch_it_on() {
    let mut machine = Machine::with_accounts();
    machine.has_accounts = false;
    let says = |machine: &Machine| {
        let (code, said) = machine.refuses("user list", "");
        assert_eq!(code, 1, "{said}");
        assert!(
            said.contains("layerhouse:\n") && said.contains("index: {}"),
            "{said}"
        );
    };
    says(&machine);
    assert!(!machine.root().exists(), "it makes nothing");
    let server = Process::start(&machine.root(), &[]);
    says(&machine);
    // As if it were on: the server that runs knows nothing of it.
    machine.has_accounts = true;
    let (code, said) = machine.refuses("user list", "");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("restart it with layerhouse.index"), "{said}");
    assert!(server.terminate().0.success());
}

#[test]
fn the_console_is_the_operators() {
    let machine = Machine::with_accounts();
    let mut server = machine.serve();
    let socket = machine.root().join("layerhouse/admin.sock");
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A server that was killed leaves the file behind; the next takes its place.
    server.kill();
    assert!(socket.exists());
    machine.does("user list", "");
    let server = machine.serve();
    machine.does("user list", "");
    if fs::metadata(machine.root()).unwrap().uid() == 0 {
        // Even where the file is open to all.
        for (path, mode) in [
            (machine.directory(), 0o755),
            (&machine.root(), 0o755),
            (&machine.root().join("layerhouse"), 0o755),
            (&socket, 0o666),
        ] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        let output = machine.command(&["user", "list"]).uid(65534).output();
        match output {
            // The binary stands where they cannot read it.
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
            Ok(output) => {
                assert!(!output.status.success() && output.stdout.is_empty());
            }
        }
    } else {
        eprintln!("skipped: only root can be another user");
    }
    assert!(server.terminate().0.success());
}

/// S16: nothing begins with a password, and the code of the first start is good once.
#[test]
fn sec_s16_a_fresh_server_has_no_default_administrator() {
    let machine = Machine::with_accounts();
    let code_of = |output: &str| {
        let at = output.find("lhu_")?;
        Some(output[at..at + 56].to_owned())
    };
    let start = || {
        let server = machine.serve();
        let (output, log) = server.outputs();
        assert!(!log.contains("lhu_"), "{log}");
        code_of(&output)
    };
    let (first, second) = (start().unwrap(), start().unwrap());
    assert_ne!(first, second);
    let server = machine.serve();
    for (user, password) in [
        ("admin", "admin"),
        ("root", "root"),
        ("admin", "Harbor12345"),
    ] {
        let authorization = basic(user, password);
        let headers = [("Authorization", &*authorization)];
        let answer = server.client.send("GET", "/api/v1/users", &headers, b"");
        assert_eq!(answer.status, 401);
    }
    assert_eq!(machine.does("user list -o json", ""), "[]\n");
    let sign_up = |code: &str| {
        let form =
            format!("{{\"name\": \"boss\", \"password\": \"{PASSWORD}\", \"code\": \"{code}\"}}");
        let headers = [("Content-Type", "application/json")];
        let client = server.client;
        client.send("POST", "/api/v1/users", &headers, form.as_bytes())
    };
    // Those of the starts before are over.
    for code in [&first, &second] {
        assert_eq!(sign_up(code).status, 403);
    }
    let (output, _) = server.outputs();
    let third = code_of(&output).unwrap();
    assert!(
        machine
            .does("user create boss --admin", PASSWORD)
            .contains("boss")
    );
    let server = machine.serve();
    let headers = [("Content-Type", "application/json")];
    let form =
        format!("{{\"name\": \"eve\", \"password\": \"{PASSWORD}\", \"code\": \"{third}\"}}");
    let client = server.client;
    let answer = client.send("POST", "/api/v1/users", &headers, form.as_bytes());
    assert_eq!(answer.status, 403);
    let (output, _) = server.outputs();
    assert_eq!(code_of(&output), None, "there is an administrator");
}

/// With the file of a registry:2, requests are logged to standard output: a command's is its own.
#[test]
fn nothing_is_printed_beside_what_was_asked_for() {
    let machine = Machine::with_accounts();
    let config = machine.directory().join("config.yml");
    let root = machine.root();
    let storage = format!(
        "storage: {{filesystem: {{rootdirectory: {}}}}}",
        root.display()
    );
    fs::write(&config, format!("version: 0.1\n{storage}\n")).unwrap();
    let with = |line: &str| format!("{line} --config {}", config.display());
    machine.does(&with("user create root --admin"), PASSWORD);
    let secret = machine.does(&with("token create root laptop"), "");
    let is_alone = secret.starts_with("lhp_") && secret.trim_end().len() == 56;
    assert!(is_alone, "{secret}");
    let shown = machine.does(&with("user show root -o json"), "");
    assert!(serde_json::from_str::<Value>(&shown).is_ok(), "{shown}");
}
