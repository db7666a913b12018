//! `layerhouse.index.mtls`: who shows a certificate is signed in by it.

use std::fmt::Write as _;
use std::io::{Read, Write as _};

use serde_json::Value;
use tempfile::TempDir;

use super::outside::{ACME, write};
use crate::harness::server::Server;
use crate::harness::tls::{Authority, GOOD, Greeting, Issued, TlsClient};

struct Fixture {
    server: Server,
    authority: Authority,
    files: TempDir,
}

impl Fixture {
    fn new(client_auth: &str, more: &str) -> Self {
        let files = TempDir::new().unwrap();
        let authority = Authority::new("the test's authority");
        let (certificate, key) = authority.issue_local().write(files.path());
        let bundle = files.path().join("clients.pem");
        std::fs::write(&bundle, authority.pem()).unwrap();
        let configuration = format!(
            "http: {{tls: {{certificate: {}, key: {}, clientcas: [{}], clientauth: {client_auth}}}}}
layerhouse: {{index: {{{more}}}}}",
            certificate.display(),
            key.display(),
            bundle.display(),
        );
        Self {
            server: Server::configured(&configuration),
            authority,
            files,
        }
    }

    /// Sends a request; the status, and the body as JSON.
    fn send(
        &self,
        shown: Option<&Issued>,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (u16, Value) {
        let greeting = Greeting {
            certificate: shown,
            ..Greeting::default()
        };
        let address = self.server.client.address;
        let client = TlsClient::greeting(address, &self.authority, &greeting);
        let mut connection = client.connect().unwrap();
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        let stream = connection.stream();
        stream
            .write_all(format!("{head}Content-Length: 0\r\n\r\n").as_bytes())
            .unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    fn issue(&self, name: &str) -> Issued {
        self.authority.issue(name, &[], GOOD)
    }
}

const MTLS: &str = "mtls: {from: cn}";
const UPLOAD: &str = "/v2/ann/web/blobs/uploads/";

#[test]
fn a_certificate_signs_in() {
    let fixture = Fixture::new("verify-client-cert-if-given", MTLS);
    let ann = fixture.issue("Ann");
    let bob = fixture.issue("bob");
    assert_eq!(fixture.send(None, "GET", "/v2/", &[]).0, 401);
    for _ in 0..2 {
        assert_eq!(fixture.send(Some(&ann), "GET", "/v2/", &[]).0, 200);
    }
    // Directly, and with a token, as Docker goes about it.
    assert_eq!(fixture.send(Some(&ann), "POST", UPLOAD, &[]).0, 202);
    assert_eq!(fixture.send(Some(&bob), "POST", UPLOAD, &[]).0, 401);
    let path = "/auth/token?offline_token=true&scope=repository:ann/web:pull,push";
    let (status, answer) = fixture.send(Some(&ann), "GET", path, &[]);
    assert_eq!(status, 200);
    assert!(answer.get("refresh_token").is_none());
    let token = format!("Bearer {}", answer["token"].as_str().unwrap());
    assert_eq!(
        fixture
            .send(None, "POST", UPLOAD, &[("Authorization", &token)])
            .0,
        202
    );
    // Who shows both is whom they say; wrong ones are not made good by a certificate.
    let wrong = crate::auth::basic("ann", "wrong");
    assert_eq!(
        fixture
            .send(Some(&ann), "GET", "/v2/", &[("Authorization", &wrong)])
            .0,
        401
    );
}

#[test]
fn certificates_that_name_nobody_here() {
    let mut fixture = Fixture::new("require-and-verify-client-cert", MTLS);
    fixture.server.may_complain();
    let odd = fixture.issue("Odd, Name");
    assert_eq!(fixture.send(Some(&odd), "GET", "/v2/", &[]).0, 401);
    let reserved = fixture.issue("admin");
    assert_eq!(fixture.send(Some(&reserved), "GET", "/v2/", &[]).0, 401);
    write(&mut fixture.server, ACME);
    let taken = fixture.issue("acme");
    assert_eq!(fixture.send(Some(&taken), "GET", "/v2/", &[]).0, 401);
}

#[test]
fn what_a_proxy_shows_is_not_its_clients() {
    let fixture = Fixture::new("verify-client-cert-if-given", MTLS);
    let proxy = fixture.issue("proxy");
    let headers = [("X-Forwarded-For", "203.0.113.7")];
    assert_eq!(fixture.send(Some(&proxy), "GET", "/v2/", &headers).0, 401);
    assert_eq!(fixture.send(Some(&proxy), "GET", "/v2/", &[]).0, 200);
}

#[test]
fn without_the_setting_a_certificate_is_a_way_in_and_no_name() {
    let fixture = Fixture::new("require-and-verify-client-cert", "");
    let ann = fixture.issue("ann");
    assert_eq!(fixture.send(Some(&ann), "GET", "/v2/", &[]).0, 401);
    assert!(fixture.files.path().exists());
}
