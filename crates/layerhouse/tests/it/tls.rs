//! TLS: what is spoken, with which certificate, and who is let in; over real sockets.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use rcgen::KeyPair;
use rustls::ProtocolVersion;
use rustls::crypto::aws_lc_rs::cipher_suite;
use rustls::version::{TLS12, TLS13};
use tempfile::TempDir;

use crate::harness::http::read_response;
use crate::harness::images;
use crate::harness::process::Process;
use crate::harness::server::Server;
use crate::harness::tls::{Authority, EXPIRED, GOOD, Greeting, Issued, TlsClient};

/// A server with a certificate of its own authority, and where its files are.
struct Secure {
    server: Server,
    authority: Authority,
    issued: Issued,
    files: TempDir,
}

/// The section `tls` for these files, with more keys.
fn section(certificate: &Path, key: &Path, more: &str) -> String {
    let (certificate, key) = (certificate.display(), key.display());
    format!("tls: {{ certificate: {certificate}, key: {key}{more} }}")
}

/// `more` follows within the section `tls`, `beside` within `http`.
fn secure(more: &str, beside: &str) -> Secure {
    let files = TempDir::new().unwrap();
    let authority = Authority::new("the test's authority");
    let issued = authority.issue_local();
    let (certificate, key) = issued.write(files.path());
    let section = section(&certificate, &key, more);
    Secure {
        server: Server::configured(&format!("http: {{ {section}{beside} }}")),
        authority,
        issued,
        files,
    }
}

impl Secure {
    fn client(&self) -> TlsClient {
        self.greeting(&Greeting::default())
    }

    fn greeting(&self, greeting: &Greeting<'_>) -> TlsClient {
        TlsClient::greeting(self.server.client.address, &self.authority, greeting)
    }

    fn is_served(&self, greeting: &Greeting<'_>) -> bool {
        let answer = self.greeting(greeting).try_get("/v2/");
        answer.is_ok_and(|answer| answer.status == 200)
    }
}

#[test]
fn images_go_over_tls() {
    let secure = secure("", "");
    let client = secure.client();
    let content: Vec<u8> = (0..9_000_000_u32).map(|at| (at % 251) as u8).collect();
    let digest = images::digest(&content);
    let path = format!("/v2/acme/web/blobs/uploads/?digest={digest}");
    let mut connection = client.connect().unwrap();
    assert_eq!(
        connection.try_send("POST", &path, &content).unwrap().status,
        201
    );
    let pulled = connection.try_send("GET", &format!("/v2/acme/web/blobs/{digest}"), b"");
    assert_eq!(pulled.unwrap().body, content);
}

#[test]
fn old_versions_are_refused() {
    let both = secure("", "");
    let newest = secure(", minimumtls: tls1.3", "");
    let old = Greeting {
        versions: vec![&TLS12],
        ..Greeting::default()
    };
    let connection = both.greeting(&old).connect().unwrap();
    assert_eq!(connection.version(), Some(ProtocolVersion::TLSv1_2));
    let connection = both.client().connect().unwrap();
    assert_eq!(connection.version(), Some(ProtocolVersion::TLSv1_3));
    assert!(!newest.is_served(&old));
    assert!(newest.is_served(&Greeting::default()));
}

#[test]
fn cipher_suites_can_be_chosen() {
    let chosen = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
    let secure = secure(&format!(", ciphersuites: [{chosen}]"), "");
    let with = |suite| Greeting {
        versions: vec![&TLS12],
        suites: vec![suite],
        ..Greeting::default()
    };
    assert!(secure.is_served(&with(cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)));
    assert!(!secure.is_served(&with(
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
    )));
    // As in Go, those of TLS 1.3 are not chosen among.
    assert!(secure.is_served(&Greeting {
        versions: vec![&TLS13],
        ..Greeting::default()
    }));
}

#[test]
fn clients_are_asked_for_certificates() {
    let ours = Authority::new("clients");
    let trusted = ours.issue("a client", &[], GOOD);
    let expired = ours.issue("an old client", &[], EXPIRED);
    let untrusted = Authority::new("somebody").issue("a stranger", &[], GOOD);
    let shown = [None, Some(&trusted), Some(&untrusted), Some(&expired)];
    let files = TempDir::new().unwrap();
    let bundle = files.path().join("clients.pem");
    fs::write(&bundle, ours.pem()).unwrap();
    let bundle = bundle.display();
    let check = |mode: &str, expected: [bool; 4]| {
        let secure = secure(&format!(", clientcas: [{bundle}]{mode}"), "");
        for version in [&TLS12, &TLS13] {
            let served = shown.map(|certificate| {
                secure.is_served(&Greeting {
                    versions: vec![version],
                    certificate,
                    ..Greeting::default()
                })
            });
            assert_eq!(served, expected, "{mode} {version:?}");
        }
    };
    // None, trusted, untrusted, expired.
    check(", clientauth: request-client-cert", [true; 4]);
    check(
        ", clientauth: require-any-client-cert",
        [false, true, true, true],
    );
    check(
        ", clientauth: verify-client-cert-if-given",
        [true, true, false, false],
    );
    let verified = [false, true, false, false];
    check(", clientauth: require-and-verify-client-cert", verified);
    check("", verified);
}

/// A certificate alone proves nothing: whoever shows it must have its key.
#[test]
fn a_stolen_certificate_is_no_proof() {
    let ours = Authority::new("clients");
    let trusted = ours.issue("a client", &[], GOOD);
    let thief = KeyPair::generate().unwrap();
    let stolen = Issued {
        certificate: trusted.certificate,
        key: thief.serialize_pem(),
    };
    let files = TempDir::new().unwrap();
    let bundle = files.path().join("clients.pem");
    fs::write(&bundle, ours.pem()).unwrap();
    let more = format!(
        ", clientcas: [{}], clientauth: require-any-client-cert",
        bundle.display()
    );
    let secure = secure(&more, "");
    for version in [&TLS12, &TLS13] {
        assert!(!secure.is_served(&Greeting {
            versions: vec![version],
            certificate: Some(&stolen),
            ..Greeting::default()
        }));
    }
}

#[test]
fn a_new_certificate_is_served_without_a_restart() {
    let mut secure = secure("", "");
    secure.server.may_complain();
    let client = secure.client();
    let mut before = client.connect().unwrap();
    assert_eq!(before.shown(), secure.issued.der());
    let second = Duration::from_secs(1);

    let renewed = secure.authority.issue_local();
    renewed.write(secure.files.path());
    secure.server.advance(second);
    // Another client, for a session that is resumed shows no certificate.
    assert_eq!(secure.client().connect().unwrap().shown(), renewed.der());
    assert_eq!(before.try_send("GET", "/v2/", b"").unwrap().status, 200);

    // Half of a pair, or none: the one from before goes on.
    let other = secure.authority.issue_local();
    let path = |name: &str| secure.files.path().join(name);
    fs::write(path("server.crt"), &other.certificate).unwrap();
    secure.server.advance(second);
    assert_eq!(secure.client().connect().unwrap().shown(), renewed.der());
    fs::remove_file(path("server.key")).unwrap();
    secure.server.advance(second);
    assert_eq!(secure.client().connect().unwrap().shown(), renewed.der());
    fs::write(path("server.key"), &other.key).unwrap();
    secure.server.advance(second);
    assert_eq!(secure.client().connect().unwrap().shown(), other.der());
}

#[test]
fn sessions_are_resumed() {
    let secure = secure("", "");
    for version in [&TLS12, &TLS13] {
        let client = secure.greeting(&Greeting {
            versions: vec![version],
            ..Greeting::default()
        });
        let mut first = client.connect().unwrap();
        assert_eq!(first.try_send("GET", "/v2/", b"").unwrap().status, 200);
        assert!(!first.is_resumed());
        let mut second = client.connect().unwrap();
        assert_eq!(second.try_send("GET", "/v2/", b"").unwrap().status, 200);
        assert!(second.is_resumed(), "{version:?}");
    }
}

/// A resumed session would outlive the certificate that it began with.
#[test]
fn sessions_with_certificates_are_not_resumed() {
    let ours = Authority::new("clients");
    let trusted = ours.issue("a client", &[], GOOD);
    let files = TempDir::new().unwrap();
    let bundle = files.path().join("clients.pem");
    fs::write(&bundle, ours.pem()).unwrap();
    let secure = secure(&format!(", clientcas: [{}]", bundle.display()), "");
    for version in [&TLS12, &TLS13] {
        let client = secure.greeting(&Greeting {
            versions: vec![version],
            certificate: Some(&trusted),
            ..Greeting::default()
        });
        for _ in 0..3 {
            let mut connection = client.connect().unwrap();
            let answer = connection.try_send("GET", "/v2/", b"").unwrap();
            assert_eq!(answer.status, 200);
            assert!(!connection.is_resumed(), "{version:?}");
        }
    }
}

#[test]
fn http2_is_agreed_on() {
    let check = |secure: &Secure, offered: &[&str], agreed: Option<&str>| {
        let greeting = Greeting {
            protocols: offered,
            ..Greeting::default()
        };
        let mut connection = secure.greeting(&greeting).connect().unwrap();
        assert_eq!(connection.protocol().as_deref(), agreed, "{offered:?}");
        if agreed != Some("h2") {
            assert_eq!(connection.try_send("GET", "/v2/", b"").unwrap().status, 200);
            return;
        }
        let stream = connection.stream();
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let begin = [&preface[..], &settings].concat();
        stream.write_all(&begin).unwrap();
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(head[3], 4, "SETTINGS come first");
    };
    let on = secure("", "");
    check(&on, &["h2", "http/1.1"], Some("h2"));
    check(&on, &["http/1.1"], Some("http/1.1"));
    check(&on, &[], None);
    let off = secure("", ", http2: { disabled: true }");
    check(&off, &["h2", "http/1.1"], Some("http/1.1"));
    check(&off, &[], None);
    // Nothing in common is no connection.
    assert!(!off.is_served(&Greeting {
        protocols: &["h2"],
        ..Greeting::default()
    }));
}

#[test]
fn plain_http_is_told_so() {
    let secure = secure("", "");
    for request in [
        "GET /v2/ HTTP/1.1\r\nHost: r\r\n\r\n",
        "PATCH /v2/a/blobs/uploads/1 HTTP/1.1\r\nHost: r\r\nContent-Length: 3\r\n\r\nabc",
    ] {
        let mut stream = secure.server.client.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let answer = read_response(&mut stream, false).unwrap();
        assert_eq!(answer.status, 400);
        assert_eq!(
            answer.text(),
            "Client sent an HTTP request to an HTTPS server.\n"
        );
    }
}

/// S58
#[test]
fn sec_s58_garbage_handshakes_harm_nobody() {
    let secure = secure("", "");
    let client = secure.client();
    let mut held = client.connect().unwrap();
    let greeting = {
        let config = rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
        let name = "localhost".try_into().unwrap();
        let mut session = rustls::ClientConnection::new(std::sync::Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        session.write_tls(&mut bytes).unwrap();
        bytes
    };
    let mut garbage: Vec<Vec<u8>> = vec![
        vec![],
        vec![0; 5],
        vec![0xff; 70_000],
        vec![0x16, 3, 1, 0xff, 0xff, 1],
        b"\x16\x03\x01\x00\x00".to_vec(),
        b"\x15\x03\x01\x00\x02\x02\x28".to_vec(),
        // The greeting of SSL 2.
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10".to_vec(),
        b"GE".to_vec(),
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        greeting.repeat(40),
    ];
    for at in (0..greeting.len()).step_by(7) {
        garbage.push(greeting[..at].to_vec());
        let mut changed = greeting.clone();
        changed[at] ^= 0x55;
        garbage.push(changed);
    }
    for bytes in garbage {
        let mut stream = secure.server.client.connect();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(held.try_send("GET", "/v2/", b"").unwrap().status, 200);
    assert_eq!(client.try_get("/v2/").unwrap().status, 200);
}

/// What `connections.rs` proves without TLS (S41): who does not go on with a handshake, or with what
/// comes behind it, is let go.
#[test]
fn sec_s41_slow_clients_of_tls_are_let_go() {
    let files = TempDir::new().unwrap();
    let authority = Authority::new("the test's authority");
    let (certificate, key) = authority.issue_local().write(files.path());
    let section = section(&certificate, &key, "");
    let server = Server::configured(&format!(
        "http: {{ {section} }}\nlayerhouse: {{ connections: {{ head: 500ms, stall: 1s, idle: 1s }} }}"
    ));
    let client = TlsClient::new(server.client.address, &authority);
    let content = vec![7; 24 << 20];
    let digest = images::digest(&content);
    let path = format!("/v2/acme/web/blobs/uploads/?digest={digest}");
    assert_eq!(
        client.try_send("POST", &path, &content).unwrap().status,
        201
    );

    let mut silent: Vec<_> = [&b""[..], b"\x16", b"\x16\x03\x01\x02\x00\x01", b"GET"]
        .into_iter()
        .map(|said| {
            let mut stream = server.client.connect();
            stream.write_all(said).unwrap();
            stream
        })
        .collect();
    let mut half = client.connect().unwrap();
    half.stream().write_all(b"GET /v2/ HTTP/1.1\r\n").unwrap();
    let mut reader = client.connect().unwrap();
    let get = format!("GET /v2/acme/web/blobs/{digest} HTTP/1.1\r\nHost: r\r\n\r\n");
    reader.stream().write_all(get.as_bytes()).unwrap();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(2500) {
        assert_eq!(client.try_get("/v2/").unwrap().status, 200);
    }
    for stream in &mut silent {
        assert!(is_closed(stream), "a handshake that does not go on");
    }
    assert!(is_closed(half.stream()), "a head that does not end");
    let mut received = Vec::new();
    let _ = reader.stream().read_to_end(&mut received);
    assert!(received.len() < content.len(), "a reader that took nothing");
}

fn is_closed(stream: &mut impl Read) -> bool {
    match stream.read_to_end(&mut Vec::new()) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

/// Runs the binary with these files and more of the section `tls`; what it said if it did not start.
fn refusal(certificate: &Path, key: &Path, more: &str) -> Option<String> {
    let directory = TempDir::new().unwrap();
    match start(&directory, certificate, key, more) {
        Ok(_) => None,
        Err(refused) => Some(refused.log),
    }
}

fn start(
    directory: &TempDir,
    certificate: &Path,
    key: &Path,
    more: &str,
) -> Result<Process, crate::harness::process::Refused> {
    let file = directory.path().join("config.yml");
    let section = section(certificate, key, more);
    fs::write(&file, format!("version: 0.1\nhttp: {{ {section} }}\n")).unwrap();
    let root = directory.path().join("root");
    let arguments = ["--root", &root.to_string_lossy(), "--config"];
    let file = file.to_string_lossy();
    Process::try_run(&[&arguments[..], &[&file]].concat(), &[])
}

#[test]
fn what_is_wrong_with_the_files_is_said() {
    let files = TempDir::new().unwrap();
    let authority = Authority::new("the test's authority");
    let one = authority.issue_local();
    let other = authority.issue_local();
    let write = |name: &str, content: &[u8]| {
        let path = files.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let certificate = write("server.crt", one.certificate.as_bytes());
    let key = write("server.key", one.key.as_bytes());
    let missing = files.path().join("missing");
    let text = write("notes.txt", b"certificate: see the other file\n");
    let der = write("server.der", &one.der());
    let other_key = write("other.key", other.key.as_bytes());
    let encrypted = write(
        "encrypted.key",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGj\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let damaged = write("damaged.key", &one.key.as_bytes()[..one.key.len() / 2]);
    let reversed = [authority.pem(), one.certificate.clone()].concat();
    let reversed = write("reversed.crt", reversed.as_bytes());
    let check = |certificate: &Path, key: &Path, more: &str, expected: &[&str]| {
        let log = refusal(certificate, key, more).unwrap_or_default();
        for words in expected {
            assert!(log.contains(words), "{words} is not in: {log}");
        }
        // S50
        for secret in one.key.lines().filter(|line| !line.starts_with('-')) {
            assert!(!log.contains(secret), "a key was told: {log}");
        }
    };
    check(
        &missing,
        &key,
        "",
        &["http.tls.certificate", "/missing", "no such file"],
    );
    check(
        &certificate,
        &missing,
        "",
        &["http.tls.key", "/missing", "no such file"],
    );
    check(
        &missing,
        &missing,
        "",
        &["http.tls.certificate", "http.tls.key"],
    );
    check(&text, &key, "", &["http.tls.certificate", "not PEM"]);
    check(&certificate, &text, "", &["http.tls.key", "not PEM"]);
    check(&der, &key, "", &["it is DER", "openssl x509"]);
    check(
        &key,
        &certificate,
        "",
        &["holds a key", "holds a certificate", "swapped"],
    );
    check(
        &certificate,
        &other_key,
        "",
        &["http.tls.key", "does not belong"],
    );
    check(&certificate, &encrypted, "", &["encrypted", "openssl pkey"]);
    check(&certificate, &damaged, "", &["http.tls.key", "damaged"]);
    check(&reversed, &key, "", &["must come first"]);
    let missing = format!(", clientcas: [{}]", missing.display());
    check(
        &certificate,
        &key,
        &missing,
        &["http.tls.clientcas", "no such file"],
    );
    let text = format!(", clientcas: [{}]", text.display());
    check(
        &certificate,
        &key,
        &text,
        &["http.tls.clientcas", "not PEM"],
    );
    let suites = ", ciphersuites: [TLS_NULL]";
    check(
        &certificate,
        &key,
        suites,
        &[
            "TLS_NULL is not known",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        ],
    );
}

#[test]
fn what_is_odd_about_a_certificate_is_said() {
    let authority = Authority::new("the test's authority");
    let check = |issued: &Issued, more: &str, expected: &str| {
        let directory = TempDir::new().unwrap();
        let (certificate, key) = issued.write(directory.path());
        let started = start(&directory, &certificate, &key, more);
        let (status, log) = started
            .unwrap_or_else(|refused| panic!("{refused:?}"))
            .terminate();
        assert!(status.success());
        let warnings: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("level=warning"))
            .collect();
        if expected.is_empty() {
            assert!(warnings.is_empty(), "{log}");
        } else {
            assert!(warnings.iter().any(|line| line.contains(expected)), "{log}");
        }
    };
    let hosts = ["localhost", "127.0.0.1"];
    check(&authority.issue_local(), "", "");
    check(&authority.issue("old", &hosts, EXPIRED), "", "expired on");
    check(
        &authority.issue("new", &hosts, (2089, 2090)),
        "",
        "is good from",
    );
    check(&authority.issue("nameless", &[], GOOD), "", "names no host");
    let weak = ", ciphersuites: [TLS_AES_128_GCM_SHA256, TLS_RSA_WITH_AES_128_CBC_SHA]";
    check(
        &authority.issue_local(),
        weak,
        "TLS_RSA_WITH_AES_128_CBC_SHA is too weak",
    );
}

/// RSA in both forms, the elliptic curves, Ed25519: what openssl makes.
#[test]
fn keys_of_every_kind_are_served() {
    let authority = Authority::new("the test's authority");
    let hosts = ["localhost"];
    let algorithms = [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ];
    for algorithm in algorithms {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let issued = authority.issue_for(&key, "registry", &hosts, GOOD);
        let files = TempDir::new().unwrap();
        let (certificate, key) = issued.write(files.path());
        let section = section(&certificate, &key, "");
        let server = Server::configured(&format!("http: {{ {section} }}"));
        let client = TlsClient::new(server.client.address, &authority);
        assert_eq!(client.try_get("/v2/").unwrap().status, 200, "{algorithm:?}");
    }
}
