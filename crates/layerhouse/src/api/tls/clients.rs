//! Whether clients must show a certificate, and whose.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};

use super::pem;
use crate::config::meaning::ClientAuth;

/// Who is let in; `None` without a problem if there are no authorities, as with registry:2.
pub(super) fn verifier(
    authorities: &[PathBuf],
    mode: ClientAuth,
    provider: &Arc<CryptoProvider>,
    problems: &mut Vec<String>,
) -> Option<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for path in authorities {
        if let Err(problem) = add(&mut roots, path) {
            problems.push(format!("http.tls.clientcas: {}: {problem}", path.display()));
        }
    }
    if roots.is_empty() {
        return None;
    }
    let any = |is_mandatory| {
        let verifier: Arc<dyn ClientCertVerifier> = Arc::new(AnyCertificate {
            is_mandatory,
            hints: roots.subjects(),
            provider: Arc::clone(provider),
        });
        Some(verifier)
    };
    let roots = Arc::new(roots.clone());
    let verified = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    let built = match mode {
        ClientAuth::Request => return any(false),
        ClientAuth::RequireAny => return any(true),
        ClientAuth::VerifyIfGiven => verified.allow_unauthenticated().build(),
        ClientAuth::RequireAndVerify => verified.build(),
    };
    let failed = |error| problems.push(format!("http.tls.clientcas: {error}"));
    built.map_err(failed).ok()
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    for certificate in pem::certificates(&pem::read(path)?)? {
        let added = roots.add(certificate);
        added.map_err(|error| format!("an authority cannot be used: {error}"))?;
    }
    Ok(())
}

/// Takes whatever certificate a client shows. That the client has its key is checked all the same, so
/// that what it shows is its own.
#[derive(Debug)]
struct AnyCertificate {
    is_mandatory: bool,
    /// By these a client may choose among its certificates.
    hints: Vec<DistinguishedName>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
