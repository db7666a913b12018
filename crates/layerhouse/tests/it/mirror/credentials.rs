//! S30: who we are to an upstream is told to that upstream and to the token service that may hear it, and to
//! nobody else, whatever the upstream says.
//!
//! Other hosts are other addresses of loopback: 127.0.0.2 is not 127.0.0.1.

use std::fmt::Write as _;
use std::time::Duration;

use layerhouse_oci::media_type::OCI_MANIFEST;

use super::{COPY, LATEST, Mirror, NGINX, section};
use crate::auth::basic;
use crate::harness::files::quick_directory;
use crate::harness::process::Process;
use crate::harness::server::Server;
use crate::harness::tls::Authority;
use crate::harness::upstream::{Guard, Trouble, Upstream};

const LOGIN: &str = "username: ann, password: secret-of-ann";
/// Both are reachable at all.
const PRIVATE: &str = "private: [127.0.0.0/8]";

fn login() -> String {
    basic("ann", "secret-of-ann")
}

/// Nobody asked this one with any credentials.
#[track_caller]
fn heard_nothing(upstream: &Upstream) {
    for asked in upstream.asked("") {
        assert_eq!(asked.header("authorization"), None, "{asked:?}");
        let said = format!("{asked:?}");
        assert!(!said.contains("secret-of-ann"), "{said}");
    }
}

#[test]
fn a_password_is_said_to_an_upstream_that_asks_for_it() {
    let mirror = Mirror::configured(LOGIN, "");
    mirror.upstream.guard(Guard::basic("ann", "secret-of-ann"));
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    assert_eq!(mirror.pull(LATEST).text(), image.manifest);
    assert_eq!(mirror.blob(&image.layer), "a layer");
}

/// The token service hears the password, the registry the token; one token for all of a repository.
#[test]
fn a_token_is_fetched_once_for_a_repository() {
    let mirror = Mirror::configured(LOGIN, "");
    mirror.upstream.guard(Guard::token("ann", "secret-of-ann"));
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    let other = mirror
        .upstream
        .give_image("library/redis", "latest", "another layer");
    mirror.pull(LATEST);
    mirror.blob(&image.layer);
    mirror.pull("/v2/up1/library/redis/manifests/latest");
    mirror.pull(&format!("/v2/up1/library/redis/blobs/{}", other.layer));
    let tokens = mirror.upstream.asked("GET /token");
    assert_eq!(tokens.len(), 2, "{tokens:#?}");
    for (asked, name) in tokens.iter().zip(["nginx", "redis"]) {
        assert_eq!(asked.header("authorization"), Some(&*login()));
        let query: Vec<_> = form_urlencoded::parse(asked.query.as_bytes()).collect();
        let has = |key: &str, value: &str| {
            query
                .iter()
                .any(|(name, said)| name == key && said == value)
        };
        assert!(
            has("scope", &format!("repository:library/{name}:pull")),
            "{query:?}"
        );
        assert!(has("service", "upstream"), "{query:?}");
    }
    for asked in mirror.upstream.asked("/v2/") {
        let brought = asked.header("authorization");
        assert!(
            brought.is_none_or(|text| text.starts_with("Bearer granted.")),
            "{asked:?}"
        );
    }
}

#[test]
fn a_token_that_ended_is_fetched_again() {
    let mirror = Mirror::configured(LOGIN, "ttl: 1s");
    let guard = |generation| Guard::Bearer {
        realm: None,
        login: Some(("ann".to_owned(), "secret-of-ann".to_owned())),
        expires_in: 120,
        generation,
    };
    mirror.upstream.guard(guard(0));
    mirror.upstream.give_image(NGINX, "latest", "a layer");
    mirror.pull(LATEST);
    // By its own word.
    mirror.server.advance(Duration::from_mins(3));
    mirror.pull(LATEST);
    assert_eq!(mirror.upstream.count("GET /token"), 2);
    // Before its time: the upstream has other keys now.
    mirror.upstream.guard(guard(1));
    mirror.server.advance(Duration::from_secs(5));
    let answer = mirror.pull(LATEST);
    assert!(!super::is_stale(&answer), "{answer:?}");
    assert_eq!(mirror.upstream.count("GET /token"), 3);
}

#[test]
fn nobody_in_particular_gets_a_token_too() {
    let mirror = Mirror::start();
    mirror.upstream.guard(Guard::anonymous_token());
    mirror.upstream.give_image(NGINX, "latest", "a layer");
    mirror.pull(LATEST);
    let asked = mirror.upstream.asked("GET /token");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("authorization"), None);
}

#[test]
fn a_configured_token_is_brought() {
    let mirror = Mirror::configured("token: abc.def-123", "");
    mirror
        .upstream
        .guard(Guard::Fixed("abc.def-123".to_owned()));
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    mirror.pull(LATEST);
    assert_eq!(mirror.blob(&image.layer), "a layer");
}

/// Where `docker login` keeps it; a login that changed is read again.
#[test]
fn a_login_out_of_dockers_file() {
    let directory = quick_directory();
    let file = directory.path().join("config.json");
    let upstream = Upstream::start();
    let write = |user: &str, password: &str| {
        let said = basic(user, password);
        let auth = said.trim_start_matches("Basic ");
        let host = upstream.url().replace("http://", "");
        let text = format!("{{\"auths\":{{\"{host}\":{{\"auth\":\"{auth}\"}}}}}}");
        std::fs::write(&file, text).unwrap();
    };
    write("ann", "secret-of-ann");
    upstream.guard(Guard::basic("ann", "secret-of-ann"));
    let image = upstream.give_image(NGINX, "latest", "a layer");
    let keys = format!("credentials: \"{}\"", file.display());
    let mut mirror = Mirror::of(upstream, &keys, "ttl: 1s, negativettl: 1s");
    mirror.server.may_complain();
    mirror.pull(LATEST);
    mirror.blob(&image.layer);
}

/// A token service elsewhere, which the upstream chose: it is asked without credentials.
#[test]
fn sec_s30_a_foreign_token_service_gets_no_password() {
    let mut mirror = Mirror::configured(&format!("{LOGIN}, {PRIVATE}"), "");
    mirror.server.may_complain();
    let service = Upstream::at("127.0.0.2");
    let realm = format!("{}/token", service.url());
    mirror.upstream.guard(Guard::token_of(realm));
    let image = mirror.upstream.give_image(NGINX, "latest", "a layer");
    // A token for everybody is good enough here.
    assert_eq!(mirror.pull(LATEST).text(), image.manifest);
    assert_eq!(service.count("GET /token"), 1);
    heard_nothing(&service);
    for asked in mirror.upstream.asked("") {
        assert_ne!(
            asked.header("authorization"),
            Some(&*login()),
            "a token was asked for"
        );
    }
}

/// Unless the operator said that it may hear it. Not over plain HTTP, for an upstream elsewhere.
#[test]
fn sec_s30_a_token_service_that_may_hear_it() {
    let keys = format!("{LOGIN}, {PRIVATE}, authhosts: [127.0.0.2]");
    let mut mirror = Mirror::configured(&keys, "");
    mirror.server.may_complain();
    let service = Upstream::at("127.0.0.2");
    mirror
        .upstream
        .guard(Guard::token_of(format!("{}/token", service.url())));
    mirror.upstream.give_image(NGINX, "latest", "a layer");
    mirror.pull(LATEST);
    heard_nothing(&service);
}

/// Realms that are no place to ask at all, or not for us.
#[test]
fn sec_s30_realms_that_are_not_asked() {
    let service = Upstream::at("127.0.0.2");
    let (url, port) = (service.url(), service.port());
    let realms = [
        format!("{url}/token"),
        format!("http://127.0.0.2:{port}/token"),
        format!("http://127.2:{port}/token"),
        format!("http://0x7f.0.0.2:{port}/token"),
        format!("http://0177.0.0.2:{port}/token"),
        format!("http://2130706434:{port}/token"),
        format!("http://[::ffff:127.0.0.2]:{port}/token"),
        format!("http://ann:secret@127.0.0.2:{port}/token"),
        format!("//127.0.0.2:{port}/token"),
        format!("ftp://127.0.0.2:{port}/token"),
        "file:///etc/passwd".to_owned(),
        "gopher://127.0.0.2/".to_owned(),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "/token".to_owned(),
        String::new(),
        "not a url".to_owned(),
    ];
    for realm in realms {
        let mirror = Mirror::troubled(&format!("{LOGIN}, timeout: 2s"), "");
        let challenge = format!("Bearer realm=\"{realm}\",service=\"upstream\"");
        mirror.upstream.guard(Guard::Challenge(challenge));
        let answer = mirror.get(LATEST);
        assert!(
            matches!(answer.status, 404 | 502 | 504),
            "{realm}: {} {}",
            answer.status,
            answer.text()
        );
        mirror.check("GET", &answer);
        assert!(
            !answer.text().contains("secret-of-ann"),
            "{}",
            answer.text()
        );
        assert_eq!(service.connections(), 0, "{realm}");
    }
}

/// A realm on the upstream's own host gets it only where nobody can read it on the way.
#[test]
fn sec_s30_not_from_https_to_http() {
    let authority = Authority::new("the test's authority");
    let directory = quick_directory();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let plain = Upstream::start();
    let upstream = Upstream::secure(&authority.issue_local());
    upstream.guard(Guard::token_of(format!("{}/token", plain.url())));
    upstream.give_image(NGINX, "latest", "a layer");
    let keys = format!("{LOGIN}, {PRIVATE}, ca: \"{}\"", ca.display());
    let mut mirror = Mirror::of(upstream, &keys, "");
    mirror.server.may_complain();
    let _ = mirror.get(LATEST);
    heard_nothing(&plain);
    for asked in mirror.upstream.asked("") {
        let brought = asked.header("authorization").unwrap_or_default();
        assert!(!brought.starts_with("Basic "), "{asked:?}");
    }
}

/// Challenges as nobody should write them: no crash, no credentials, an answer that says who.
#[test]
fn sec_s30_challenges_out_of_order() {
    for challenge in [
        "",
        "Bearer",
        "Bearer realm",
        "Bearer realm=",
        "Bearer realm=\"",
        "Bearer ,,,,=,=\"\\\"",
        "Bearer service=\"upstream\"",
        "Negotiate",
        "NTLM TlRMTVNTUAAB",
        "Digest realm=\"x\", nonce=\"y\"",
        "Basic",
    ] {
        let mirror = Mirror::troubled(LOGIN, "");
        mirror
            .upstream
            .guard(Guard::Challenge(challenge.to_owned()));
        let answer = mirror.get(LATEST);
        assert!(
            matches!(answer.status, 404 | 502),
            "{challenge}: {}",
            answer.text()
        );
        mirror.check("GET", &answer);
    }
}

/// Token services that answer as nobody should.
#[test]
fn sec_s30_token_services_out_of_order() {
    let long = format!("{{\"token\":\"{}\"}}", "x".repeat(3 << 20));
    for body in [
        Trouble::Other(b"{}".to_vec()),
        Trouble::Other(b"{\"token\": \"\"}".to_vec()),
        Trouble::Other(b"{\"token\": 7}".to_vec()),
        Trouble::Other(b"{\"token\": \"a\\r\\nX-Injected: 1\"}".to_vec()),
        Trouble::Other(b"[".to_vec()),
        Trouble::Other(long.into_bytes()),
        Trouble::page(),
        Trouble::status(500),
        Trouble::redirect("/v2/"),
        Trouble::Closes,
    ] {
        let mirror = Mirror::troubled(LOGIN, "");
        mirror.upstream.guard(Guard::token("ann", "secret-of-ann"));
        mirror.upstream.give_image(NGINX, "latest", "a layer");
        mirror.upstream.always("GET /token", body.clone());
        let answer = mirror.get(LATEST);
        assert!(
            matches!(answer.status, 404 | 502),
            "{body:?}: {}",
            answer.text()
        );
        mirror.check("GET", &answer);
        for asked in mirror.upstream.asked("") {
            assert_eq!(asked.header("x-injected"), None);
        }
        mirror.upstream.heal();
        mirror.server.advance(Duration::from_mins(5));
        mirror.pull(LATEST);
    }
}

/// Not in what clients are told, nor in what is logged at any level.
#[test]
fn sec_s30_logins_are_in_no_log_and_no_answer() {
    let directory = quick_directory();
    let upstream = Upstream::start();
    upstream.guard(Guard::token("ann", "secret-of-ann"));
    let image = upstream.give_image(NGINX, "latest", "a layer");
    let file = directory.path().join("config.yml");
    let text = format!(
        "version: 0.1\nlog: {{ level: debug }}\n{}\n",
        section(
            &[("up1", &upstream.url(), LOGIN)],
            "up1",
            "ttl: 1s, negativettl: 1s"
        )
    );
    std::fs::write(&file, text).unwrap();
    let root = directory.path().join("root");
    let (root, file) = (root.to_string_lossy(), file.to_string_lossy());
    let process = Process::try_run(&["--root", &root, "--config", &file], &[]).unwrap();
    let client = process.client;
    let mut said = String::new();
    let mut ask = |path: &str| {
        let _ = write!(said, "{:?}", client.get(path));
    };
    ask(LATEST);
    ask(&format!("{COPY}/blobs/{}", image.layer));
    upstream.guard(Guard::token("ann", "another"));
    for path in ["manifests/other", "manifests/third"] {
        ask(&format!("{COPY}/{path}"));
    }
    upstream.guard(Guard::basic("ann", "another"));
    ask(&format!("{COPY}/manifests/fourth"));
    upstream.die();
    ask(&format!("{COPY}/manifests/fifth"));
    let (out, log) = process.outputs();
    let encoded = basic("ann", "secret-of-ann").replace("Basic ", "");
    for secret in ["secret-of-ann", &encoded, "granted.0"] {
        for (place, text) in [("answers", &said), ("output", &out), ("log", &log)] {
            assert!(!text.contains(secret), "{secret} in the {place}: {text}");
        }
    }
}

/// The bytes of a private upstream are of one login: a server without it has no way to them.
#[test]
fn sec_s30_without_a_login_there_is_nothing() {
    let upstream = Upstream::start();
    upstream.guard(Guard::basic("ann", "secret-of-ann"));
    let image = upstream.give_image(NGINX, "latest", "a layer");
    let mut server = Server::configured(&section(&[("up1", &upstream.url(), "")], "up1", ""));
    server.may_complain();
    for path in [LATEST.to_owned(), format!("{COPY}/blobs/{}", image.layer)] {
        let answer = server.client.get(&path);
        assert!(
            matches!(answer.status, 404 | 502),
            "{path}: {}",
            answer.text()
        );
        assert_eq!(
            answer.header("www-authenticate"),
            None,
            "clients must not answer for us"
        );
    }
    let accept = upstream.asked("/manifests/")[0]
        .header("accept")
        .unwrap_or_default()
        .to_owned();
    assert!(accept.contains(OCI_MANIFEST), "{accept}");
}
