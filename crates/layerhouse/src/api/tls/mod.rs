//! TLS (`http.tls`): what is spoken, with whose certificate, and who is let in.

mod acme;
mod clients;
mod files;
mod handshake;
mod pem;
mod suites;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};

use self::acme::Acme;
use self::files::{FileCertificate, Paths, Stamps};
pub(super) use self::handshake::{SecureStream, Secured};
use self::pem::Pair;
use crate::clock::{Clock, Random, Timestamp};
use crate::config::meaning::{Certificate, Tls as Settings};

/// What TLS connections are made with; a reload replaces it for those to come.
pub(crate) struct Tls {
    clock: Clock,
    random: Random,
    state: ArcSwap<State>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Tls")
    }
}

struct State {
    /// With the order of suites that is ours, for clients that are as fast with either AES.
    config: Arc<ServerConfig>,
    /// With that of the client.
    client_order: Arc<ServerConfig>,
    source: Source,
    /// Whether a certificate that a client shows was verified: only then it says who they are.
    verifies_clients: bool,
}

/// Where the certificate comes from.
#[derive(Clone)]
enum Source {
    Files(Arc<FileCertificate>),
    Acme(Arc<Acme>),
}

/// What is to be said about the settings: what makes them useless, and what only makes them odd.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) problems: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

/// Reads all that the settings name, as a start would, and changes nothing.
pub(crate) fn check(settings: &Settings, now: Timestamp) -> Checked {
    let mut checked = Checked::default();
    prepare(settings, now, &mut checked);
    checked
}

/// The settings with everything read that they name.
struct Prepared {
    provider: Arc<CryptoProvider>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// Absent with ACME.
    files: Option<(Paths, Stamps, Pair)>,
}

/// `None` if there are problems.
fn prepare(settings: &Settings, now: Timestamp, checked: &mut Checked) -> Option<Prepared> {
    let Checked { problems, warnings } = checked;
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = suites::choose(
        &settings.cipher_suites,
        settings.only_1_3,
        problems,
        warnings,
    );
    let provider = Arc::new(provider);
    let verifier = clients::verifier(
        &settings.client_cas,
        settings.client_auth,
        &provider,
        problems,
    );
    let files = match &settings.certificate {
        Certificate::Files { certificate, key } => {
            let (certificate, key) = (certificate.clone(), key.clone());
            let paths = Paths { certificate, key };
            // Before they are read, so that a change meanwhile is seen later.
            let stamps = paths.stamps();
            match paths.read(now, &provider) {
                Ok(pair) => {
                    warnings.extend(pair.warnings.iter().cloned());
                    Some((paths, stamps, pair))
                }
                Err(wrong) => {
                    problems.extend(wrong);
                    None
                }
            }
        }
        Certificate::Acme { cache, hosts, .. } => {
            acme::check(cache, hosts, problems);
            None
        }
    };
    problems.is_empty().then_some(Prepared {
        provider,
        verifier,
        files,
    })
}

impl Tls {
    /// Reads certificates and authorities; with ACME, begins to ask for certificates.
    ///
    /// # Errors
    /// All that is wrong, a line each.
    pub(crate) fn start(
        settings: &Settings,
        has_http2: bool,
        clock: Clock,
        random: Random,
    ) -> Result<Self, String> {
        let state = State::new(settings, has_http2, &clock, &random, None)?;
        Ok(Self {
            clock,
            random,
            state: ArcSwap::from_pointee(state),
        })
    }

    /// Reads everything again, for connections to come.
    ///
    /// # Errors
    /// What is wrong; then all stays as it was.
    pub(crate) fn reload(&self, settings: &Settings, has_http2: bool) -> Result<(), String> {
        let current = self.state.load_full();
        let acme = match &current.source {
            Source::Acme(acme) => Some(acme),
            Source::Files(_) => None,
        };
        let state = State::new(settings, has_http2, &self.clock, &self.random, acme)?;
        self.state.store(Arc::new(state));
        Ok(())
    }

    /// Until when the certificate is good that is served now; with ACME, the first to end.
    pub(crate) fn certificate_expiry(&self) -> Option<Timestamp> {
        match &self.state.load().source {
            Source::Files(certificate) => Some(certificate.not_after()),
            Source::Acme(acme) => acme.not_after(),
        }
    }
}

impl State {
    /// `acme` goes on if the settings are the ones that it has.
    fn new(
        settings: &Settings,
        has_http2: bool,
        clock: &Clock,
        random: &Random,
        acme: Option<&Arc<Acme>>,
    ) -> Result<Self, String> {
        let mut checked = Checked::default();
        let prepared = prepare(settings, clock.now(), &mut checked);
        for warning in &checked.warnings {
            tracing::warn!("{warning}");
        }
        let Some(prepared) = prepared else {
            return Err(checked.problems.join("\n"));
        };
        let Prepared {
            provider,
            verifier,
            files,
        } = prepared;
        let versions = if settings.only_1_3 {
            &[&TLS13][..]
        } else {
            &[&TLS13, &TLS12]
        };
        let time = Arc::new(Time(clock.clone()));
        let builder = ServerConfig::builder_with_details(Arc::clone(&provider), time)
            .with_protocol_versions(versions)
            .map_err(|error| format!("http.tls: {error}"))?;
        let asks_clients = verifier.is_some();
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let source = match files {
            Some((paths, stamps, pair)) => Source::Files(Arc::new(FileCertificate::new(
                paths,
                stamps,
                pair,
                provider,
                clock.clone(),
            ))),
            None => match acme.filter(|acme| acme.has_settings(&settings.certificate)) {
                Some(acme) => Source::Acme(Arc::clone(acme)),
                None => Source::Acme(Arc::new(Acme::start(
                    &settings.certificate,
                    provider,
                    clock.clone(),
                    random.clone(),
                )?)),
            },
        };
        let resolver: Arc<dyn ResolvesServerCert> = match &source {
            Source::Files(certificate) => Arc::clone(certificate) as _,
            Source::Acme(acme) => acme.resolver(),
        };
        let mut config = builder.with_cert_resolver(resolver);
        config.alpn_protocols = if has_http2 {
            vec![b"h2".to_vec(), b"http/1.1".to_vec()]
        } else {
            vec![b"http/1.1".to_vec()]
        };
        if asks_clients {
            // A session that is resumed is one whose certificate nobody looks at again, and each renews
            // the next: an expired one would stay good. So every handshake is a whole one.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        } else {
            // Clients come back with a ticket and need no second handshake.
            config.ticketer = aws_lc_rs::Ticketer::new()
                .map_err(|error| format!("no key for session tickets can be made: {error}"))?;
        }
        let client_order = Arc::new(config.clone());
        config.ignore_client_order = true;
        Ok(Self {
            config: Arc::new(config),
            client_order,
            source,
            verifies_clients: asks_clients && settings.client_auth.verifies(),
        })
    }
}

/// Our clock, by which the certificates of clients are judged.
#[derive(Debug)]
struct Time(Clock);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let now_ms = u64::try_from(self.0.now().0).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(now_ms)))
    }
}
