//! The certificate of two PEM files, read again when they change: tools that renew certificates need not
//! tell us.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pem::{self, Pair, Part};
use crate::clock::{Clock, Timestamp};

/// Where certificate and key are, and what they were when they were last good.
#[derive(Debug)]
pub(super) struct FileCertificate {
    paths: Paths,
    provider: Arc<CryptoProvider>,
    clock: Clock,
    current: ArcSwap<Pair>,
    /// The second in which the files were last looked at; once in each is enough.
    looked_at_s: AtomicI64,
    /// What was read last, were it good or bad.
    read: Mutex<Stamps>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Paths {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// What differs between a file and the one that replaces it: device, inode, length, the times of the
/// last write and of the last change.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));
/// Of certificate and key; absent if there is no such file.
pub(super) type Stamps = [Option<Stamp>; 2];

impl Paths {
    /// Certificate and key, or all that is wrong with them.
    pub(super) fn read(
        &self,
        now: Timestamp,
        provider: &CryptoProvider,
    ) -> Result<Pair, Vec<String>> {
        let (certificate, key) = (pem::read(&self.certificate), pem::read(&self.key));
        let told = |(part, problem): (Part, String)| match part {
            Part::Certificate => self.of_certificate(&problem),
            Part::Key => format!("http.tls.key: {}: {problem}", self.key.display()),
        };
        let read = pem::pair(certificate, key, now, provider);
        let mut pair =
            read.map_err(|problems| problems.into_iter().map(told).collect::<Vec<_>>())?;
        for warning in &mut pair.warnings {
            *warning = self.of_certificate(warning);
        }
        Ok(pair)
    }

    fn of_certificate(&self, text: &str) -> String {
        format!(
            "http.tls.certificate: {}: {text}",
            self.certificate.display()
        )
    }

    pub(super) fn stamps(&self) -> Stamps {
        [&self.certificate, &self.key].map(|path| stamp(path))
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    let written = (found.mtime(), found.mtime_nsec());
    let changed = (found.ctime(), found.ctime_nsec());
    Some((found.dev(), found.ino(), found.len(), written, changed))
}

impl FileCertificate {
    /// Serves `pair`, which was read from these files when they had these stamps.
    pub(super) fn new(
        paths: Paths,
        stamps: Stamps,
        pair: Pair,
        provider: Arc<CryptoProvider>,
        clock: Clock,
    ) -> Self {
        Self {
            looked_at_s: AtomicI64::new(second(&clock)),
            read: Mutex::new(stamps),
            current: ArcSwap::from_pointee(pair),
            paths,
            provider,
            clock,
        }
    }

    pub(super) fn not_after(&self) -> Timestamp {
        self.current.load().not_after
    }

    /// Looks whether the files have changed, unless that was done in this second.
    pub(super) async fn refresh(self: &Arc<Self>) {
        let now_s = second(&self.clock);
        if self.looked_at_s.swap(now_s, Ordering::SeqCst) == now_s {
            return;
        }
        let this = Arc::clone(self);
        let _ = tokio::task::spawn_blocking(move || this.read_if_changed()).await;
    }

    /// A pair that is not good changes nothing: while files are replaced, one is new and one is old.
    fn read_if_changed(&self) {
        // Before they are read, so that a change meanwhile is one.
        let stamps = self.paths.stamps();
        {
            let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            if *read == stamps {
                return;
            }
            *read = stamps;
        }
        match self.paths.read(self.clock.now(), &self.provider) {
            Ok(pair) => {
                for warning in &pair.warnings {
                    tracing::warn!("{warning}");
                }
                tracing::info!(certificate = %self.paths.certificate.display(), "a new certificate is served");
                self.current.store(Arc::new(pair));
            }
            Err(problems) => {
                for problem in problems {
                    tracing::warn!("{problem}; the certificate from before is still served");
                }
            }
        }
    }
}

fn second(clock: &Clock) -> i64 {
    clock.now().0.div_euclid(1000)
}

impl ResolvesServerCert for FileCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().key))
    }
}
