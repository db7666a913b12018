//! S50, S16: no password, code or token gets into the log, the metrics, an answer that is not its own, the
//! configuration as it is printed, or the data; and the setup code is said once.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::house::{parsed, text};
use crate::auth::basic;
use crate::harness::files::tree;
use crate::harness::http::Response;
use crate::harness::process::{Process, output};

const CONFIGURATION: &str = "version: 0.1
storage: {filesystem: {rootdirectory: ROOT}}
http: {debug: {addr: '127.0.0.1:0', prometheus: {enabled: true}}}
layerhouse:
  index:
    signup: invitation
    oidc:
      - {name: dex, issuer: 'https://127.0.0.1:1/dex', clientid: layerhouse, clientsecret: canary-of-a-client}
";

/// What must be told to nobody, and what the server said to those who asked.
struct Watch {
    process: Process,
    secrets: Vec<String>,
    /// Answers in which no secret may stand.
    answers: Vec<Response>,
}

impl Watch {
    fn start(root: &Path, config: &Path) -> Self {
        let arguments = [
            "--root",
            &*root.to_string_lossy(),
            "--config",
            &*config.to_string_lossy(),
        ];
        let process = Process::try_run(&arguments, &[("LAYERHOUSE_LOG", "trace")]);
        Self {
            process: process.unwrap(),
            secrets: vec!["canary".to_owned()],
            answers: Vec::new(),
        }
    }

    /// Asks something whose answer tells no secret.
    #[track_caller]
    fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str, status: u16) {
        let client = self.process.client;
        let answer = client.send(method, path, headers, body.as_bytes());
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        self.answers.push(answer);
    }

    /// Asks for a secret, and keeps it.
    #[track_caller]
    fn get(&mut self, method: &str, path: &str, who: &str, body: &Value, field: &str) -> String {
        let headers = [("Authorization", who), ("Content-Type", "application/json")];
        let content = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let client = self.process.client;
        let answer = client.send(method, path, &headers, content.as_bytes());
        assert!(answer.status < 300, "{method} {path}: {}", answer.text());
        let secret = text(&parsed(&answer)[field]);
        // Of an access token, each part.
        let parts = secret.split('.').map(str::to_owned);
        self.secrets.extend(parts);
        secret
    }

    fn check(&self, place: &str, text: &str) {
        for secret in &self.secrets {
            assert!(!text.contains(&**secret), "{secret} is in {place}:\n{text}");
        }
    }
}

const JSON: (&str, &str) = ("Content-Type", "application/json");
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const USERS: &str = "/api/v1/users";

/// The first administrator, after some tries: what is refused is not repeated. The code.
fn begin(watch: &mut Watch) -> String {
    let line = watch.process.wait_for_output("lhu_");
    let code: String = line[line.find("lhu_").unwrap()..]
        .chars()
        .take(56)
        .collect();
    watch.secrets.push(code.clone());
    let form = |password: &str, code: &str| {
        json!({ "name": "root", "password": password, "code": code }).to_string()
    };
    let right = form("canary-password", &code);
    let misspelt = right.replace("\"name\"", "\"nome\"");
    let second = right.replace("root", "two");
    watch.ask("POST", USERS, &[], &right, 415);
    for (content, status) in [
        (&right[..right.len() - 1], 400),
        (&misspelt, 422),
        (&form("canary", &code), 422),
        (&form("canary-password", "lhu_canary"), 403),
        (&right, 201),
        (&second, 403),
    ] {
        watch.ask("POST", USERS, &[JSON], content, status);
    }
    code
}

/// What there is to be known of the administrator.
struct Known {
    root: String,
    personal: String,
    robot: String,
    invitation: String,
    access: String,
    refresh: String,
    cookie: String,
}

fn know(watch: &mut Watch) -> Known {
    let root = basic("root", "canary-password");
    let token = json!({ "name": "x" });
    let personal = watch.get("POST", "/api/v1/me/tokens", &root, &token, "token");
    let path = "/api/v1/namespaces/root/robots";
    let machine = watch.get("POST", path, &root, &json!({ "name": "ci" }), "secret");
    let invitation = watch.get("POST", "/api/v1/invitations", &root, &json!({}), "code");
    let path = "/auth/token?service=layerhouse&scope=registry:catalog:*&offline_token=true";
    let access = watch.get("GET", path, &root, &Value::Null, "token");
    let refresh = watch.get("GET", path, &root, &Value::Null, "refresh_token");
    let form = json!({ "user": "root", "password": "canary-password" }).to_string();
    let client = watch.process.client;
    let answer = client.send("POST", "/api/v1/session", &[JSON], form.as_bytes());
    let (cookie, _) = answer
        .header("set-cookie")
        .unwrap()
        .split_once(';')
        .unwrap();
    let (_, session) = cookie.split_once('=').unwrap();
    watch.secrets.push(session.to_owned());
    watch.check("the body beside a cookie", &answer.text());
    Known {
        root,
        personal,
        robot: machine,
        invitation,
        access,
        refresh,
        cookie: cookie.to_owned(),
    }
}

/// Every way to sign in, rightly and wrongly.
fn sign_in(watch: &mut Watch, known: &Known) {
    let (personal, refresh, access) = (&known.personal, &known.refresh, &known.access);
    for (authorization, status) in [
        (known.root.clone(), 200),
        (basic("root", personal), 200),
        (basic("root+ci", &known.robot), 200),
        (format!("Bearer {access}"), 200),
        (format!("Bearer {personal}"), 200),
        (format!("Bearer {refresh}"), 401),
        (format!("Bearer {}", access.replace('.', ".canary")), 401),
        (format!("Bearer {personal}canary"), 401),
        (basic("root", "canary-wrong"), 401),
        // What people type where their name belongs.
        (basic("canary-password", "x"), 401),
        (basic(personal, ""), 401),
        ("Basic canary".to_owned(), 401),
        ("canary".to_owned(), 401),
    ] {
        let headers = [("Authorization", &*authorization)];
        watch.ask("GET", "/v2/", &headers, "", status);
        let shown = authorization.split(' ').next_back().unwrap();
        watch.secrets.push(shown.to_owned());
    }
    let begin = "service=layerhouse&client_id=x&grant_type";
    for form in [
        format!("{begin}=refresh_token&refresh_token={refresh}x"),
        format!("{begin}=password&username=root&password=canary-wrong"),
        format!("{begin}=password&username=canary-password&password=x"),
    ] {
        watch.ask("POST", "/auth/token", &[FORM], &form, 401);
    }
    let with_cookie = [("Cookie", &*known.cookie)];
    watch.ask("GET", "/api/v1/me", &with_cookie, "", 200);
}

/// Lists of what there is, and what else could tell.
fn look_around(watch: &mut Watch, known: &Known) {
    let headers = [("Authorization", &*known.root), JSON];
    let change = json!({ "old": "canary-wrong", "new": "canary-other" }).to_string();
    let client = watch.process.client;
    let answer = client.send("PUT", "/api/v1/me/password", &headers, change.as_bytes());
    watch.answers.push(answer);
    for path in [
        USERS,
        "/api/v1/me/tokens",
        "/api/v1/namespaces/root/robots",
        "/api/v1/invitations",
        "/api/v1/audit",
        "/api/v1/openapi.json",
    ] {
        watch.ask("GET", path, &headers[..1], "", 200);
    }
    let code = &known.invitation;
    let eve = json!({ "name": "eve", "password": "canary-of-eve", "code": code }).to_string();
    watch.ask("POST", USERS, &[JSON], &eve, 201);
    let metrics = watch.process.debug().get("/metrics");
    watch.answers.push(metrics);
}

#[test]
fn sec_s50_index_secrets_stay_with_who_they_are_of() {
    let directory = TempDir::new().unwrap();
    let at = |name: &str| directory.path().join(name);
    let configuration = CONFIGURATION.replace("ROOT", &at("root").to_string_lossy());
    fs::write(at("config.yml"), configuration).unwrap();
    let mut watch = Watch::start(&at("root"), &at("config.yml"));
    let code = begin(&mut watch);
    let known = know(&mut watch);
    sign_in(&mut watch, &known);
    look_around(&mut watch, &known);
    for answer in &watch.answers {
        let said = format!("{:?} {}", answer.headers, answer.text());
        watch.check("an answer", &said);
    }
    let Watch {
        process, secrets, ..
    } = watch;
    let (said, log) = process.outputs();
    assert_eq!(said.matches(&*code).count(), 1, "it is said once: {said}");
    let mut places = vec![
        ("the log".to_owned(), log),
        ("the output".to_owned(), said.replace(&code, "")),
    ];
    let files = tree(&at("root"), &[]).into_iter();
    places.extend(files.map(|(path, content)| {
        let text = String::from_utf8_lossy(&content).into_owned();
        (path, text)
    }));
    for secret in &secrets {
        for (place, text) in &places {
            assert!(!text.contains(&**secret), "{secret} is in {place}");
        }
    }
    let config = at("config.yml").to_string_lossy().into_owned();
    let print = ["config", "print", &config];
    let check = ["check", "--all", &config];
    for command in [print, check] {
        let (_, printed) = output(&command, &[]);
        assert!(printed.contains("layerhouse"), "{printed}");
        assert!(!printed.contains("canary"), "{command:?}: {printed}");
    }
}

/// S16: the code is random, and ends with the next start, or with the first administrator.
#[test]
fn sec_s16_index_begins_with_a_random_code() {
    let mut house = super::house::House::empty("", "");
    assert!(
        house
            .server
            .offered_code()
            .is_some_and(|code| code.len() == 56)
    );
    house.server.restart();
    assert_eq!(
        house.server.offered_code(),
        None,
        "there is an administrator"
    );
    let mut server = crate::harness::server::Server::configured("layerhouse: {index: {}}");
    let first = server.offered_code().unwrap();
    server.restart();
    let second = server.offered_code().unwrap();
    assert_ne!(first, second);
    let try_with = |server: &crate::harness::server::Server, code: &str| {
        let form = json!({"name": "root", "password": super::house::PASSWORD, "code": code});
        let headers = [("Content-Type", "application/json")];
        let answer = server.client.send(
            "POST",
            "/api/v1/users",
            &headers,
            form.to_string().as_bytes(),
        );
        answer.status
    };
    assert_eq!(try_with(&server, &first), 403, "it ended with its start");
    assert_eq!(try_with(&server, &second), 201);
    assert_eq!(try_with(&server, &second), 403, "it is good once");
}
