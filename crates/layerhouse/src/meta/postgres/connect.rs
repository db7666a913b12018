//! Opens connections, in TLS where the server speaks it.

use std::sync::Arc;

use postgres::Client;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::session::{Session, database_fault};
use super::{Place, Trust};
use crate::fault::{Fault, FaultKind};

/// No statement takes longer, or somebody waits for nothing.
const STATEMENT_SECONDS_MAX: u32 = 60;

/// Opens connections to one place.
#[derive(Clone)]
pub(in crate::meta) struct Connector {
    place: Place,
    tls: MakeRustlsConnect,
}

impl Connector {
    /// # Errors
    /// The authorities that it is to believe cannot be used.
    pub(in crate::meta) fn new(place: &Place) -> Result<Self, Fault> {
        let config = tls(&place.trust).map_err(|error| {
            Fault::new(FaultKind::Other, "reading whom the database may be", error)
        })?;
        Ok(Self {
            place: place.clone(),
            tls: MakeRustlsConnect::new(config),
        })
    }

    pub(in crate::meta) fn place(&self) -> &Place {
        &self.place
    }

    /// # Errors
    /// The server does not answer, or refuses.
    pub(in crate::meta) fn connect(&self) -> Result<Session, Fault> {
        let fault = |error: postgres::Error| {
            let doing = format!("connecting to the database {}", self.place.shown());
            // Whatever it says: who asks here can only wait until somebody mended it.
            Fault::new(FaultKind::Unavailable, doing, database_fault("", &error))
        };
        let mut client: Client = self.place.config.connect(self.tls.clone()).map_err(fault)?;
        // One that was begun and not ended would keep all replicas from writing.
        let settings = format!(
            "SET statement_timeout = '{STATEMENT_SECONDS_MAX}s';
             SET idle_in_transaction_session_timeout = '15s'"
        );
        client.batch_execute(&settings).map_err(fault)?;
        Ok(Session::new(client))
    }
}

fn tls(trust: &Trust) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let authorities = match trust {
        Trust::Any => {
            let any = Arc::new(Any(provider));
            let builder = builder.dangerous().with_custom_certificate_verifier(any);
            return Ok(builder.with_no_client_auth());
        }
        Trust::Verified(None) => {
            let builder = builder
                .with_platform_verifier()
                .map_err(|error| error.to_string())?;
            return Ok(builder.with_no_client_auth());
        }
        Trust::Verified(Some(authorities)) => authorities,
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authorities) {
        let certificate =
            certificate.map_err(|error| format!("sslrootcert is not PEM: {error}"))?;
        roots
            .add(certificate)
            .map_err(|error| format!("an authority of sslrootcert cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err("sslrootcert has no certificate (PEM, BEGIN CERTIFICATE)".to_owned());
    }
    let builder = builder.with_root_certificates(roots);
    Ok(builder.with_no_client_auth())
}

/// Believes any certificate, as `sslmode=prefer` and `require` do: nobody listens, but somebody else may answer.
#[derive(Debug)]
struct Any(Arc<CryptoProvider>);

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
