//! Certificates over ACME, from a real authority: Pebble, which Let's Encrypt tests its own with.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;

use crate::harness::process::Process;
use crate::harness::tls::{Authority, Greeting, TlsClient};

/// The authority, killed when dropped.
struct Pebble {
    child: Child,
    acme: SocketAddr,
    management: SocketAddr,
    /// Signs the certificate of its own interface.
    authority: Authority,
}

impl Drop for Pebble {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

impl Pebble {
    /// `None` if it is not installed. It looks for registries at `port`.
    fn start(directory: &Path, port: u16) -> Option<Self> {
        let authority = Authority::new("pebble's own");
        let (certificate, key) = authority.issue_local().write(directory);
        fs::write(directory.join("trusted.pem"), authority.pem()).unwrap();
        let (acme, management) = (free_address(), free_address());
        let config = serde_json::json!({ "pebble": {
            "listenAddress": acme.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": certificate,
            "privateKey": key,
            "httpPort": 1,
            "tlsPort": port,
        }});
        let file = directory.join("pebble.json");
        fs::write(&file, config.to_string()).unwrap();
        let child = Command::new("pebble")
            .arg("-config")
            .arg(&file)
            // No waiting before it looks, and no errors by chance: three in a row end an order.
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let pebble = Self {
            child,
            acme,
            management,
            authority,
        };
        let root = "/roots/0";
        eventually("pebble does not start", || pebble.manage(root));
        Some(pebble)
    }

    fn manage(&self, path: &str) -> Option<String> {
        let client = TlsClient::new(self.management, &self.authority);
        let answer = client.try_get(path).ok()?;
        (answer.status == 200).then(|| answer.text())
    }

    /// By which its certificates are trusted.
    fn root(&self) -> CertificateDer<'static> {
        let text = self.manage("/roots/0").unwrap();
        CertificateDer::from_pem_slice(text.as_bytes()).unwrap()
    }
}

/// What others do in their own time is waited for.
fn eventually<T>(what: &str, attempt: impl Fn() -> Option<T>) -> T {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_mins(1) {
        if let Some(found) = attempt() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{what}");
}

/// The binary, at `address`, with certificates from the authority at `acme`.
fn serve(directory: &Path, address: SocketAddr, acme: SocketAddr) -> Process {
    let config = directory.join("config.yml");
    let cache = directory.join("cache");
    let text = format!(
        "version: 0.1\nhttp:\n  tls:\n    letsencrypt:\n      cachefile: {}\n      \
         email: someone@example.com\n      hosts: [localhost]\n      \
         directoryurl: https://localhost:{}/dir\n",
        cache.display(),
        acme.port()
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_layerhouse"));
    command
        .args(["serve", "--listen", &address.to_string(), "--root"])
        .arg(directory.join("root"))
        .arg("--config")
        .arg(&config);
    let trusted = directory.join("trusted.pem");
    let variables = [("SSL_CERT_FILE", &*trusted.to_string_lossy())];
    Process::spawn(command, &variables).unwrap_or_else(|refused| panic!("{refused:?}"))
}

#[test]
fn certificates_come_from_a_real_authority() {
    let directory = TempDir::new().unwrap();
    let address = free_address();
    let Some(pebble) = Pebble::start(directory.path(), address.port()) else {
        eprintln!("skipped: pebble is not installed (scripts/install-clients)");
        return;
    };
    let root = pebble.root();
    let process = serve(directory.path(), address, pebble.acme);
    let client = TlsClient::trusting(address, root, &Greeting::default());
    let first = eventually("there is no certificate", || client.connect().ok());
    assert_eq!(client.try_get("/v2/").unwrap().status, 200);
    // For no other host is one shown or asked for.
    assert!(client.connect_to("other.example").is_err());

    let cache = directory.path().join("cache");
    let mut names: Vec<String> = fs::read_dir(&cache)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["acme_account+key", "localhost"]);
    for name in names {
        let metadata = fs::metadata(cache.join(name)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }
    let (status, log) = process.terminate();
    assert!(status.success());
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");

    // What is kept is served at once, though there is no authority to ask.
    let acme = pebble.acme;
    drop(pebble);
    let _process = serve(directory.path(), address, acme);
    let again = client.connect().unwrap();
    assert_eq!(again.shown(), first.shown());
}

/// Nobody answers where the authority should be: there is no certificate, and a word why.
#[test]
fn an_authority_that_is_away_is_said() {
    let directory = TempDir::new().unwrap();
    fs::write(
        directory.path().join("trusted.pem"),
        Authority::new("nobody's").pem(),
    )
    .unwrap();
    let process = serve(directory.path(), free_address(), free_address());
    let address = process.client.address;
    let client = TlsClient::new(address, &Authority::new("nobody's"));
    assert!(client.connect().is_err());
    let (status, log) = process.terminate();
    assert!(status.success());
    assert!(log.contains("no certificate: the account at"), "{log}");
}
