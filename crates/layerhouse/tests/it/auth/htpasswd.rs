//! `auth.htpasswd`: users of a file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use layerhouse::clock::Random;
use layerhouse::htpasswd_line;
use tempfile::TempDir;

use super::{basic, undated};
use crate::harness::http::Response;
use crate::harness::images;
use crate::harness::process::Process;
use crate::harness::server::Server;

const PASSWORD: &str = "pass:wörd";

pub(super) struct Fixture {
    pub(super) server: Server,
    pub(super) users: PathBuf,
    _directory: TempDir,
}

pub(crate) fn line(user: &str, password: &str) -> String {
    htpasswd_line(user, password, 4, &Random::seeded(3)).unwrap()
}

impl Fixture {
    /// A server with one user, `ann`, and more configuration.
    pub(super) fn new(more: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let users = directory.path().join("htpasswd");
        fs::write(&users, format!("# users\n\n{}\n", line("ann", PASSWORD))).unwrap();
        Self {
            server: Server::configured(&configuration(&users, more)),
            users,
            _directory: directory,
        }
    }

    /// Writes the file of users and lets the server look at it.
    fn write(&self, content: &str) {
        fs::write(&self.users, content).unwrap();
        self.server.advance(Duration::from_secs(1));
    }

    fn base(&self, authorization: &str) -> Response {
        let headers = [("Authorization", authorization)];
        undated(self.server.client.send("GET", "/v2/", &headers, b""))
    }

    fn signs_in(&self, user: &str, password: &str) -> bool {
        let status = self.base(&basic(user, password)).status;
        assert!(matches!(status, 200 | 401), "{status}");
        status == 200
    }
}

fn configuration(users: &Path, more: &str) -> String {
    format!(
        "auth: {{htpasswd: {{realm: 'a \"q\\ é', path: {}}}}}\n{more}",
        users.display()
    )
}

#[test]
fn right_wrong_unknown_and_malformed() {
    let fixture = Fixture::new("");
    let client = &fixture.server.client;
    let refused = undated(client.get("/v2/"));
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.header("www-authenticate"),
        Some("Basic realm=\"a \\\"q\\\\ é\"")
    );
    assert_eq!(
        refused.text(),
        r#"{"errors":[{"code":"UNAUTHORIZED","detail":null,"message":"authentication required"}]}
"#
    );
    assert_eq!(fixture.base(&basic("ann", PASSWORD)).status, 200);
    let spaced = basic("ann", PASSWORD).replace("Basic ", "bAsIc  ");
    assert_eq!(fixture.base(&spaced).status, 200);
    // S14: who is not there and who has another password hear the same, as does who says nothing good.
    for authorization in [
        basic("ann", "wrong"),
        basic("ann", ""),
        basic("ANN", PASSWORD),
        basic("bob", PASSWORD),
        basic("", ""),
        basic("# users", ""),
        "Basic".to_owned(),
        "Basic !!".to_owned(),
        "Basic YWJj".to_owned(),
        basic("ann", PASSWORD).replace("Basic", "Bearer"),
        basic("ann", PASSWORD).replace("Basic", "Digest"),
        String::new(),
    ] {
        assert_eq!(fixture.base(&authorization), refused, "{authorization}");
    }
    let right = basic("ann", PASSWORD);
    let twice = [("Authorization", &*right), ("Authorization", &*right)];
    assert_eq!(undated(client.send("GET", "/v2/", &twice, b"")), refused);
}

/// As registry:2 writes them: who may not is told what it would have been.
#[test]
fn challenges_say_what_is_asked_for() {
    let fixture = Fixture::new("");
    let client = &fixture.server.client;
    let check = |method: &str, path: &str, expected: &[(&str, &str, &str)]| {
        let answer = client.send(method, path, &[], b"");
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let expected: Vec<_> = expected
            .iter()
            .map(|(kind, name, action)| {
                serde_json::json!({"Type": kind, "Class": "", "Name": name, "Action": action})
            })
            .collect();
        assert_eq!(body["errors"][0]["detail"], serde_json::json!(expected));
        assert_eq!(answer.status, 401, "{method} {path}");
    };
    check("GET", "/v2/_catalog", &[("registry", "catalog", "*")]);
    check(
        "GET",
        "/v2/n/a/manifests/x",
        &[("repository", "n/a", "pull")],
    );
    check(
        "DELETE",
        "/v2/n/a/manifests/x",
        &[("repository", "n/a", "delete")],
    );
    let push = [("repository", "n/a", "pull"), ("repository", "n/a", "push")];
    check("PUT", "/v2/n/a/manifests/x", &push);
    let mount = format!(
        "/v2/n/a/blobs/uploads/?mount={}&from=b",
        images::digest("x")
    );
    check(
        "POST",
        &mount,
        &[push[0], push[1], ("repository", "b", "pull")],
    );
}

/// Probes of the machine's keeper, and browsers, ask without a password.
#[test]
fn what_is_open_stays_open() {
    let fixture = Fixture::new("");
    for (method, path, status) in [
        ("GET", "/", 200),
        ("GET", "/healthz", 200),
        ("GET", "/readyz", 200),
        ("OPTIONS", "/v2/", 204),
        ("OPTIONS", "/v2/acme/web/tags/list", 204),
    ] {
        let answer = fixture.server.client.send(method, path, &[], b"");
        assert_eq!(answer.status, status, "{method} {path}");
    }
}

#[test]
fn the_file_changes_under_a_running_server() {
    let mut fixture = Fixture::new("");
    fixture.server.may_complain();
    assert!(fixture.signs_in("ann", PASSWORD));
    assert!(!fixture.signs_in("bob", "b"));
    fixture.write(&line("bob", "b"));
    assert!(fixture.signs_in("bob", "b"));
    assert!(
        !fixture.signs_in("ann", PASSWORD),
        "a remembered login ends with its entry"
    );
    fixture.write("no colon\n");
    assert!(fixture.signs_in("bob", "b"), "a bad file changes nothing");
    fs::remove_file(&fixture.users).unwrap();
    fixture.server.advance(Duration::from_secs(1));
    assert!(fixture.signs_in("bob", "b"), "nor does one that is gone");
    fixture.write(&format!("{}\nplain:b\n", line("bob", "c")));
    assert!(fixture.signs_in("bob", "c"));
    assert!(!fixture.signs_in("bob", "b"));
    assert!(
        !fixture.signs_in("plain", "b"),
        "another kind of entry loads and never matches"
    );
}

#[test]
fn a_missing_file_is_made() {
    let directory = TempDir::new().unwrap();
    let users = directory.path().join("new/htpasswd");
    let config = directory.path().join("config.yml");
    fs::write(
        &config,
        format!("version: 0.1\n{}", configuration(&users, "")),
    )
    .unwrap();
    let root = directory.path().join("root");
    let arguments = [
        "--root",
        &*root.to_string_lossy(),
        "--config",
        &*config.to_string_lossy(),
    ];
    let process = Process::try_run(&arguments, &[]).unwrap();
    let text = fs::read_to_string(&users).unwrap();
    assert!(text.starts_with("docker:$2y$10$"), "{text}");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&users), mode(users.parent().unwrap())),
        (0o600, 0o700)
    );
    let client = process.client;
    let (_, log) = process.terminate();
    let event = log
        .lines()
        .find(|line| line.contains("provisioning with default user"))
        .unwrap();
    let said = |name: &str| {
        let (_, rest) = event.split_once(&format!(" {name}=")).expect("it is said");
        rest.split(' ').next().unwrap().trim_matches('"')
    };
    let password = said("password");
    assert_eq!(log.matches(password).count(), 1);
    assert_eq!((said("user"), password.len()), ("docker", 43));
    // A second start finds it, and it is the password that was said.
    let again = Process::try_run(&arguments, &[]).unwrap();
    assert_ne!(client.address, again.client.address);
    let authorization = basic("docker", password);
    let headers = [("Authorization", &*authorization)];
    assert_eq!(again.client.send("GET", "/v2/", &headers, b"").status, 200);
    assert_eq!(fs::read_to_string(&users).unwrap(), text);
}

#[test]
fn a_bad_file_is_no_start() {
    let directory = TempDir::new().unwrap();
    let users = directory.path().join("htpasswd");
    fs::write(&users, "ann:x\ncanary\n").unwrap();
    let config = directory.path().join("config.yml");
    fs::write(
        &config,
        format!("version: 0.1\n{}", configuration(&users, "")),
    )
    .unwrap();
    let root = directory.path().join("root");
    let arguments = [
        "--root",
        &*root.to_string_lossy(),
        "--config",
        &*config.to_string_lossy(),
    ];
    let refused = Process::try_run(&arguments, &[]).err().unwrap();
    assert!(
        refused.log.contains("line 2 has no colon"),
        "{}",
        refused.log
    );
    assert!(!refused.log.contains("canary"), "{}", refused.log);
    assert!(!root.exists(), "the data was not touched");
}

/// `layerhouse.auth.anonymous: pull`
#[test]
fn anyone_pulls_and_users_push() {
    let fixture = Fixture::new("layerhouse: {auth: {anonymous: pull}}");
    let client = &fixture.server.client;
    let right = basic("ann", PASSWORD);
    let digest = images::digest("abcd");
    let push = format!("/v2/acme/web/blobs/uploads/?digest={digest}");
    let pull = format!("/v2/acme/web/blobs/{digest}");
    assert_eq!(client.send("POST", &push, &[], b"abcd").status, 401);
    let headers = [("Authorization", &*right)];
    assert_eq!(client.send("POST", &push, &headers, b"abcd").status, 201);
    assert_eq!(
        client.get("/v2/").status,
        401,
        "Docker learns here how to sign in"
    );
    assert_eq!(client.send("GET", "/v2/", &headers, b"").status, 200);
    let empty = basic("", "");
    let wrong = basic("ann", "wrong");
    for path in [&*pull, "/v2/_catalog", "/v2/acme/web/tags/list"] {
        assert_eq!(client.get(path).status, 200, "{path}");
        assert_eq!(client.send("HEAD", path, &[], b"").status, 200, "{path}");
        // Podman answers a challenge with these if it has none.
        let headers = [("Authorization", &*empty)];
        assert_eq!(
            client.send("GET", path, &headers, b"").status,
            200,
            "{path}"
        );
        let headers = [("Authorization", &*wrong)];
        assert_eq!(
            client.send("GET", path, &headers, b"").status,
            401,
            "{path}"
        );
    }
    assert_eq!(client.send("DELETE", &pull, &[], b"").status, 401);
}

/// Docker Engine pulls without credentials only where it is asked for a token.
#[test]
fn anyone_gets_a_token_to_pull() {
    let fixture = Fixture::new("layerhouse: {auth: {anonymous: pull}}");
    let client = &fixture.server.client;
    let challenge = |headers: &[(&str, &str)], method: &str, path: &str| {
        let answer = client.send(method, path, headers, b"");
        assert_eq!(answer.status, 401, "{method} {path}");
        answer.header("www-authenticate").unwrap().to_owned()
    };
    let begin = r#"Bearer realm="http://registry/v2/token",service="a \"q\\ é""#;
    assert_eq!(challenge(&[], "GET", "/v2/"), begin);
    let push = "/v2/acme/web/blobs/uploads/";
    let scope = r#",scope="repository:acme/web:pull,push""#;
    assert_eq!(challenge(&[], "POST", push), format!("{begin}{scope}"));
    let token = |headers: &[(&str, &str)]| {
        let answer = client.send("GET", "/v2/token?service=x&scope=y", headers, b"");
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            answer.header("cache-control").is_some(),
            answer.status == 200
        );
        let token = body["token"]
            .as_str()
            .map(|token| format!("Bearer {token}"));
        (answer.status, token)
    };
    let [right, wrong] = [PASSWORD, "wrong"].map(|password| basic("ann", password));
    assert_eq!(token(&[("Authorization", &wrong)]), (401, None));
    let ann = token(&[("Authorization", &right)]).1.unwrap();
    let nobody = token(&[]).1.unwrap();
    // A pass is no way to get another one: it ends, and with it what it was for.
    for pass in [&ann, &nobody] {
        assert_eq!(token(&[("Authorization", pass)]), (401, None));
    }
    let forged = format!("{}x", &ann[..ann.len() - 1]);
    let status = |token: &str, method: &str, path: &str| {
        let headers = [("Authorization", token)];
        client.send(method, path, &headers, b"").status
    };
    assert_eq!(
        (status(&ann, "GET", "/v2/"), status(&ann, "POST", push)),
        (200, 202)
    );
    assert_eq!(
        (
            status(&nobody, "GET", "/v2/"),
            status(&nobody, "POST", push)
        ),
        (200, 401)
    );
    assert_eq!(status(&nobody, "GET", "/v2/acme/web/manifests/v1"), 404);
    let scoped = challenge(&[("Authorization", &nobody)], "POST", push);
    assert!(
        scoped.ends_with(r#",error="insufficient_scope""#),
        "{scoped}"
    );
    let invalid = challenge(&[("Authorization", &forged)], "GET", "/v2/");
    assert!(invalid.ends_with(r#",error="invalid_token""#), "{invalid}");
    fixture.write(&line("ann", "changed"));
    // One file says the same salt; the entry is another all the same.
    assert_eq!(
        (status(&ann, "GET", "/v2/"), status(&nobody, "GET", "/v2/")),
        (401, 200)
    );
    fixture.server.advance(Duration::from_mins(5));
    assert_eq!(status(&nobody, "GET", "/v2/"), 401);
    let closed = Fixture::new("");
    assert_eq!(closed.server.client.get("/v2/token").status, 404);
}

/// The rights come first, then the operator's switches: who may nothing learns nothing of them.
#[test]
fn sec_s18_who_may_not_delete_does_not_learn_why() {
    let fixture = Fixture::new("storage: {delete: {enabled: false}}");
    let path = "/v2/acme/web/manifests/v1";
    let client = &fixture.server.client;
    assert_eq!(client.send("DELETE", path, &[], b"").status, 401);
    let right = basic("ann", PASSWORD);
    let headers = [("Authorization", &*right)];
    assert_eq!(client.send("DELETE", path, &headers, b"").status, 405);
}
