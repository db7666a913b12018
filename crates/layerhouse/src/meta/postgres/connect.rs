//! Opens connections, in TLS where the server speaks it.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::session::{SILENCE_MAX, Session, within};
use super::{Place, Trust, words};
use crate::fault::{Fault, FaultKind};
use crate::trust;

/// Opens connections to one place.
#[derive(Clone)]
pub(in crate::meta) struct Connector {
    place: Place,
    tls: MakeRustlsConnect,
    /// A server that says nothing for so long is given up, where another one can be asked.
    silence_max: Option<Duration>,
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
            silence_max: None,
        })
    }

    /// The same to a server that is given up when it says nothing for so long.
    pub(super) fn giving_up_after(self, silence: Duration) -> Self {
        Self {
            silence_max: Some(silence),
            ..self
        }
    }

    pub(in crate::meta) fn place(&self) -> &Place {
        &self.place
    }

    /// # Errors
    /// The server does not answer, or refuses.
    pub(in crate::meta) fn connect(&self) -> Result<Session, Fault> {
        let fault = |error: tokio_postgres::Error| {
            let doing = format!("connecting to the database {}", self.place.shown());
            // Whatever it says: who asks here can only wait until somebody mended it.
            Fault::new(FaultKind::Unavailable, doing, words(&error))
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Fault::io("starting a connection to the database", error))?;
        let connecting = self.place.config.connect(self.tls.clone());
        // Also of a pooler, which has a connection at once and then waits for the server.
        let silence_max = self.silence_max.unwrap_or(SILENCE_MAX);
        let connected = match runtime.block_on(within(Some(silence_max), connecting)) {
            Ok(connected) => connected,
            Err(fault) => {
                // It may still look a name up.
                runtime.shutdown_background();
                return Err(fault);
            }
        };
        let (client, connection) = connected.map_err(fault)?;
        // Whoever waits for an answer is told when it ends.
        let connection = runtime.spawn(async move { drop(connection.await) });
        Session::new(runtime, client, connection, self.silence_max)
    }
}

fn tls(trust: &Trust) -> Result<ClientConfig, String> {
    match trust {
        Trust::Any => {
            let provider = rustls::crypto::aws_lc_rs::default_provider();
            let any = Arc::new(Any(provider.signature_verification_algorithms));
            let builder = trust::builder()?.dangerous();
            let builder = builder.with_custom_certificate_verifier(any);
            Ok(builder.with_no_client_auth())
        }
        Trust::Verified(authorities) => trust::verifying(authorities.as_deref())
            .map_err(|error| format!("sslrootcert: {error}")),
    }
}

/// Believes any certificate, as `sslmode=prefer` and `require` do: nobody listens, but somebody else may answer.
#[derive(Debug)]
struct Any(WebPkiSupportedAlgorithms);

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
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
