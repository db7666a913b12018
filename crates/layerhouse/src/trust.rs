//! Whom clients in TLS believe: the operator's authorities, or the system's.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_platform_verifier::BuilderVerifierExt;

/// A client that believes these authorities, in PEM, and no others; without any, those of the system.
///
/// # Errors
/// A sentence: there is no certificate, or one that cannot be used.
pub(crate) fn verifying(authorities: Option<&[u8]>) -> Result<ClientConfig, String> {
    let Some(pem) = authorities else {
        let builder = builder()?
            .with_platform_verifier()
            .map_err(|error| error.to_string())?;
        return Ok(builder.with_no_client_auth());
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| format!("it is not PEM: {error}"))?;
        let added = roots.add(certificate);
        added.map_err(|error| format!("an authority cannot be used: {error}"))?;
    }
    if roots.is_empty() {
        return Err("it has no certificate (PEM, BEGIN CERTIFICATE)".to_owned());
    }
    let builder = builder()?.with_root_certificates(roots);
    Ok(builder.with_no_client_auth())
}

/// A client that is to be told whom it believes.
///
/// # Errors
/// Our own cryptography does not know the versions of TLS.
pub(crate) fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())
}
