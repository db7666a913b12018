//! Certificates made for a test, and a client that speaks TLS.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned,
    SupportedCipherSuite, SupportedProtocolVersion,
};

use super::http::{Response, read_response};

/// No answer takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Years in which a certificate is good.
pub(crate) const GOOD: (i32, i32) = (2020, 2090);
pub(crate) const EXPIRED: (i32, i32) = (2020, 2021);

/// Signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, in PEM.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

fn params(name: &str, hosts: &[&str], years: (i32, i32)) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    params
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = params(name, &[], GOOD);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these hosts.
    pub(crate) fn issue(&self, name: &str, hosts: &[&str], years: (i32, i32)) -> Issued {
        self.issue_for(&KeyPair::generate().unwrap(), name, hosts, years)
    }

    pub(crate) fn issue_for(
        &self,
        key: &KeyPair,
        name: &str,
        hosts: &[&str],
        years: (i32, i32),
    ) -> Issued {
        let signed = params(name, hosts, years).signed_by(key, &self.0).unwrap();
        Issued {
            certificate: signed.pem(),
            key: key.serialize_pem(),
        }
    }

    /// What a registry on loopback needs.
    pub(crate) fn issue_local(&self) -> Issued {
        self.issue("registry", &["localhost", "127.0.0.1"], GOOD)
    }
}

impl Issued {
    /// Writes both files; where they are.
    pub(crate) fn write(&self, directory: &Path) -> (PathBuf, PathBuf) {
        let paths = Self::paths(directory);
        std::fs::write(&paths.0, &self.certificate).unwrap();
        std::fs::write(&paths.1, &self.key).unwrap();
        paths
    }

    /// Where [`Issued::write`] puts certificate and key.
    pub(crate) fn paths(directory: &Path) -> (PathBuf, PathBuf) {
        (directory.join("server.crt"), directory.join("server.key"))
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }
}

/// How a client greets.
#[derive(Clone, Default)]
pub(crate) struct Greeting<'a> {
    /// All, if there is none.
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    pub(crate) suites: Vec<SupportedCipherSuite>,
    pub(crate) certificate: Option<&'a Issued>,
    pub(crate) protocols: &'a [&'a str],
}

/// Sends requests over TLS.
#[derive(Clone)]
pub(crate) struct TlsClient {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

/// A connection whose handshake is done.
pub(crate) struct TlsConnection {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl TlsClient {
    pub(crate) fn new(address: SocketAddr, authority: &Authority) -> Self {
        Self::greeting(address, authority, &Greeting::default())
    }

    pub(crate) fn greeting(
        address: SocketAddr,
        authority: &Authority,
        greeting: &Greeting<'_>,
    ) -> Self {
        Self::trusting(address, authority.0.der().clone(), greeting)
    }

    pub(crate) fn trusting(
        address: SocketAddr,
        root: CertificateDer<'static>,
        greeting: &Greeting<'_>,
    ) -> Self {
        let mut provider = aws_lc_rs::default_provider();
        if !greeting.suites.is_empty() {
            provider.cipher_suites.clone_from(&greeting.suites);
        }
        let mut roots = RootCertStore::empty();
        roots.add(root).unwrap();
        let versions = if greeting.versions.is_empty() {
            rustls::ALL_VERSIONS
        } else {
            &greeting.versions
        };
        let config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match greeting.certificate {
            None => config.with_no_client_auth(),
            Some(issued) => {
                // Not by the way that looks whether they belong together: thieves do not, either.
                let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
                let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
                let shown = CertifiedKey::new(vec![issued.der()], key);
                config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown)))
            }
        };
        config.alpn_protocols = greeting
            .protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        Self {
            address,
            config: Arc::new(config),
        }
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// Connects and shakes hands.
    pub(crate) fn connect(&self) -> io::Result<TlsConnection> {
        self.connect_to("localhost")
    }

    /// As [`TlsClient::connect`], asking for a host by name.
    pub(crate) fn connect_to(&self, host: &'static str) -> io::Result<TlsConnection> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from(host).unwrap();
        let mut session =
            ClientConnection::new(Arc::clone(&self.config), name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(TlsConnection {
            stream: StreamOwned::new(session, stream),
        })
    }

    /// One request on a connection of its own. In TLS 1.3 a client learns here that its certificate
    /// was not good enough.
    pub(crate) fn try_send(&self, method: &str, path: &str, body: &[u8]) -> io::Result<Response> {
        self.connect()?.try_send(method, path, body)
    }

    pub(crate) fn try_get(&self, path: &str) -> io::Result<Response> {
        self.try_send("GET", path, b"")
    }
}

impl TlsConnection {
    pub(crate) fn try_send(
        &mut self,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> io::Result<Response> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        let _ = write!(head, "Content-Length: {}\r\n\r\n", body.len());
        self.stream.write_all(head.as_bytes())?;
        self.stream.write_all(body)?;
        self.stream.flush()?;
        read_response(&mut self.stream, method == "HEAD")
    }

    pub(crate) fn stream(&mut self) -> &mut StreamOwned<ClientConnection, TcpStream> {
        &mut self.stream
    }

    /// The certificate that the server showed.
    pub(crate) fn shown(&self) -> CertificateDer<'static> {
        let chain = self.stream.conn.peer_certificates().unwrap();
        chain[0].clone().into_owned()
    }

    pub(crate) fn protocol(&self) -> Option<String> {
        let name = self.stream.conn.alpn_protocol()?;
        Some(String::from_utf8_lossy(name).into_owned())
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub(crate) fn version(&self) -> Option<rustls::ProtocolVersion> {
        self.stream.conn.protocol_version()
    }
}
