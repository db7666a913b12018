//! The certificate of two PEM files, read again when they change: tools that renew certificates need not
//! tell us.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
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
    /// Set while a thread looks: a disk that hangs holds one, and what it read in the end is not older
    /// than what is served.
    is_looking: AtomicBool,
    read: Mutex<LastRead>,
}

/// What became of the last read.
#[derive(Debug)]
enum LastRead {
    /// It gave the certificate that is served; the files need no other look while they are these.
    Good(Stamps),
    /// These problems were told. Perhaps the disk failed for a moment, so it is tried again.
    Bad(Stamps, Vec<String>),
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
            is_looking: AtomicBool::new(false),
            read: Mutex::new(LastRead::Good(stamps)),
            current: ArcSwap::from_pointee(pair),
            paths,
            provider,
            clock,
        }
    }

    pub(super) fn not_after(&self) -> Timestamp {
        self.current.load().not_after
    }

    /// Looks whether the files have changed, unless that was done in this second, or is being done.
    pub(super) async fn refresh(self: &Arc<Self>) {
        let now_s = second(&self.clock);
        if self.looked_at_s.load(Ordering::SeqCst) == now_s
            || self.is_looking.swap(true, Ordering::SeqCst)
        {
            return;
        }
        let looking = Looking(Arc::clone(self));
        self.looked_at_s.store(now_s, Ordering::SeqCst);
        let look = move || {
            let certificate = &looking.0;
            let read = |now| certificate.paths.read(now, &certificate.provider);
            certificate.read_if_changed(read);
        };
        let _ = tokio::task::spawn_blocking(look).await;
    }

    /// A pair that is not good changes nothing: while files are replaced, one is new and one is old.
    fn read_if_changed(&self, read: impl FnOnce(Timestamp) -> Result<Pair, Vec<String>>) {
        // Before they are read, so that a change meanwhile is one.
        let stamps = self.paths.stamps();
        let mut last = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(&*last, LastRead::Good(good) if *good == stamps) {
            return;
        }
        *last = match read(self.clock.now()) {
            Ok(pair) => {
                for warning in &pair.warnings {
                    tracing::warn!("{warning}");
                }
                tracing::info!(certificate = %self.paths.certificate.display(), "a new certificate is served");
                self.current.store(Arc::new(pair));
                LastRead::Good(stamps)
            }
            Err(problems) => {
                let is_told = matches!(&*last, LastRead::Bad(bad, told) if *bad == stamps && *told == problems);
                for problem in problems.iter().filter(|_| !is_told) {
                    tracing::warn!("{problem}; the certificate from before is still served");
                }
                LastRead::Bad(stamps, problems)
            }
        };
    }
}

/// While one lives, nobody else looks.
struct Looking(Arc<FileCertificate>);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.is_looking.store(false, Ordering::SeqCst);
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::crypto::aws_lc_rs;
    use tempfile::TempDir;

    use super::*;

    fn write(paths: &Paths) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = vec!["localhost".to_owned()];
        let made = rcgen::CertificateParams::new(names).and_then(|made| made.self_signed(&key));
        fs::write(&paths.certificate, made.expect("a certificate").pem()).expect("there is room");
        fs::write(&paths.key, key.serialize_pem()).expect("there is room");
    }

    /// A certificate from files that were replaced since.
    fn replaced() -> (TempDir, Arc<FileCertificate>) {
        let files = TempDir::new().expect("a directory");
        let path = |name| files.path().join(name);
        let (certificate, key) = (path("server.crt"), path("server.key"));
        let paths = Paths { certificate, key };
        write(&paths);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let clock = Clock::manual(Timestamp(1_700_000_000_000));
        let stamps = paths.stamps();
        let pair = paths.read(clock.now(), &provider).expect("it is good");
        fs::remove_file(&paths.key).expect("it is there");
        write(&paths);
        let certificate = FileCertificate::new(paths, stamps, pair, provider, clock);
        (files, Arc::new(certificate))
    }

    fn served(certificate: &FileCertificate) -> Arc<CertifiedKey> {
        Arc::clone(&certificate.current.load().key)
    }

    #[test]
    fn a_read_that_failed_is_tried_again() {
        let (_files, certificate) = replaced();
        let before = served(&certificate);
        certificate.read_if_changed(|_| Err(vec!["too many open files".to_owned()]));
        assert!(Arc::ptr_eq(&before, &served(&certificate)));
        let read = |now| certificate.paths.read(now, &certificate.provider);
        certificate.read_if_changed(read);
        assert!(!Arc::ptr_eq(&before, &served(&certificate)));
        certificate.read_if_changed(|_| panic!("what was good is not read again"));
    }

    #[tokio::test]
    async fn one_looks_at_a_time() {
        let (_files, certificate) = replaced();
        let before = served(&certificate);
        let second = Duration::from_secs(1);
        certificate.is_looking.store(true, Ordering::SeqCst);
        let hanging = Looking(Arc::clone(&certificate));
        certificate.clock.advance(second);
        certificate.refresh().await;
        assert!(Arc::ptr_eq(&before, &served(&certificate)));
        drop(hanging);
        certificate.refresh().await;
        assert!(!Arc::ptr_eq(&before, &served(&certificate)));
        let now = served(&certificate);
        write(&certificate.paths);
        certificate.refresh().await;
        assert!(
            Arc::ptr_eq(&now, &served(&certificate)),
            "within the second"
        );
    }
}
