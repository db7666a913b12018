//! Whom an upstream's certificate makes it (S33).

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use super::server::{Server, answer};
use super::*;

/// An authority of our own, and a server with a certificate of its for `host`.
struct Fixture {
    server: Server,
    /// The authority, in PEM.
    authority: String,
}

async fn fixture(host: &str, is_expired: bool) -> Fixture {
    let key = || KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, key()).expect("an authority");
    let mut params = CertificateParams::new(vec![host.to_owned()]).expect("parameters");
    if is_expired {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    }
    let own = key();
    let certificate = params.signed_by(&own, &issuer).expect("a certificate");
    let private = PrivateKeyDer::try_from(own.serialize_der()).expect("a key");
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .expect("they belong together");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Fixture {
        server: Server::with_tls(acceptor, |_, _| answer(200, &[], b"content")).await,
        authority: issuer.pem(),
    }
}

#[tokio::test]
async fn sec_s33_certificates_are_always_verified() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let path = directory.path().join("ca.pem");
    let check = async |host: &str, is_expired: bool, is_ours: bool, expected: Option<&str>| {
        let fixture = fixture(host, is_expired).await;
        std::fs::write(&path, &fixture.authority).expect("it can be written");
        let (upstream, _) = open(vec![mirror::Endpoint {
            ca: is_ours.then(|| path.clone()),
            ..endpoint(&format!("https://localhost:{}", fixture.server.port))
        }]);
        let pulled = upstream.manifest(&name(), &by_tag(), BYTES_MAX).await;
        let Some(expected) = expected else {
            assert!(pulled.is_ok(), "{pulled:?}");
            return;
        };
        let error = pulled.expect_err("it is nobody we know");
        assert!(matches!(error, UpstreamError::Unreachable(_)), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
        assert!(fixture.server.lines().is_empty(), "it was asked nothing");
    };
    check("localhost", false, true, None).await;
    let hint = "; if its authority is your own, name its file in the upstream's `ca` (`--ca`)";
    check("localhost", false, false, Some(hint)).await;
    check("localhost", true, true, Some("xpired")).await;
    check("other.example", false, true, Some("not valid for name")).await;
}

#[test]
fn authorities_that_cannot_be_read_are_told_of() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let path = directory.path().join("ca.pem");
    let check = |content: Option<&str>, expected: &str| {
        if let Some(content) = content {
            std::fs::write(&path, content).expect("it can be written");
        }
        let (_, clock) = open(vec![endpoint("http://127.0.0.1:1")]);
        let settings = mirror::Endpoint {
            ca: Some(path.clone()),
            ..endpoint("https://registry.example")
        };
        let tally = Arc::new(Tally::default());
        let opened = Endpoint::open("corp", &settings, tally, &clock);
        let error = opened.err().expect("it is no authority").to_string();
        let start = format!("upstream corp: ca: {}: ", path.display());
        assert!(error.starts_with(&format!("{start}{expected}")), "{error}");
    };
    check(None, "No such file");
    check(Some(""), "has no certificate in it; it must be in PEM");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    check(
        Some(&broken.replace("AAAA", "!")),
        "is no file of certificates in PEM",
    );
}
