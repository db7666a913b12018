//! The directory of `http.tls.letsencrypt.cachefile`: as registry:2 keeps it (Go's `autocert.DirCache`),
//! so that neither going to it nor coming from it costs a new account or new certificates.
//!
//! `HOST` holds the key and behind it the certificate's chain, `acme_account+key` the account's key.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use instant_acme::Key;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::api::tls::pem::{self, Pair};
use crate::clock::Timestamp;

const ACCOUNT: &str = "acme_account+key";

#[derive(Clone, Debug)]
pub(super) struct Cache(PathBuf);

impl Cache {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The certificate of a host; `None` if there is none that can be used.
    pub(super) fn certificate(
        &self,
        host: &str,
        now: Timestamp,
        provider: &CryptoProvider,
    ) -> Option<Pair> {
        let path = self.0.join(host);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a kept certificate cannot be read");
                return None;
            }
        };
        match pem::pair(Ok(text.clone()), Ok(text), now, provider) {
            Ok(pair) => Some(pair),
            Err(problems) => {
                let path = path.display();
                tracing::warn!(%path, ?problems, "a kept certificate cannot be used");
                None
            }
        }
    }

    pub(super) fn keep_certificate(&self, host: &str, text: &str) -> io::Result<()> {
        self.replace(host, text)
    }

    /// The account's key, made if there is none.
    pub(super) fn account(&self) -> Result<(Key, PrivateKeyDer<'static>), String> {
        let path = self.0.join(ACCOUNT);
        let failed = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
        match fs::read(&path) {
            Ok(text) => read_key(&text).ok_or_else(|| {
                failed(&"it is no key that can be used (ECDSA P-256); move it away for a new one")
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (key, der) = Key::generate_pkcs8().map_err(|error| failed(&error))?;
                let text = to_pem("PRIVATE KEY", der.secret_pkcs8_der());
                self.replace(ACCOUNT, &text)
                    .map_err(|error| failed(&error))?;
                Ok((key, PrivateKeyDer::Pkcs8(der)))
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// Whole or not at all, and for nobody else to read.
    fn replace(&self, name: &str, text: &str) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)?;
        let staged = self.0.join(format!(".{name}.new"));
        match fs::remove_file(&staged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&staged)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&staged, self.0.join(name))?;
        File::open(&self.0)?.sync_all()
    }
}

/// Go writes the older form of SEC 1, we write PKCS#8; both can be read by both.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the account's key is ECDSA; other forms hold none"
)]
fn read_key(text: &[u8]) -> Option<(Key, PrivateKeyDer<'static>)> {
    let der = match PrivateKeyDer::from_pem_slice(text).ok()? {
        PrivateKeyDer::Pkcs8(der) => der,
        PrivateKeyDer::Sec1(der) => {
            let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let der = der.secret_sec1_der();
            let pair = EcdsaKeyPair::from_private_key_der(algorithm, der).ok()?;
            PrivatePkcs8KeyDer::from(pair.to_pkcs8v1().ok()?.as_ref().to_vec())
        }
        _ => return None,
    };
    let key = Key::from_pkcs8_der(der.clone_key()).ok()?;
    Some((key, PrivateKeyDer::Pkcs8(der)))
}

fn to_pem(kind: &str, der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len())
        .step_by(64)
        .map(|at| &text[at..text.len().min(at + 64)])
        .collect();
    format!(
        "-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_stays_the_same() {
        let directory = tempfile::tempdir().expect("a directory");
        let cache = Cache::new(&directory.path().join("new"));
        let (_, made) = cache.account().expect("it is made");
        let (_, read) = cache.account().expect("it is read");
        assert_eq!(made.secret_der(), read.secret_der());
        let metadata = fs::metadata(directory.path().join("new").join(ACCOUNT)).expect("a file");
        let permissions = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
        assert_eq!(permissions & 0o777, 0o600);
    }

    /// What Go's autocert wrote: SEC 1.
    #[test]
    fn keys_of_go_are_read() {
        let text = "-----BEGIN EC PRIVATE KEY-----\n\
            MHcCAQEEILH0PLBmPl4SykV5mSZYSJYkFZDEPzyNMtLBX+0iOmnZoAoGCCqGSM49\n\
            -----END EC PRIVATE KEY-----\n";
        assert!(read_key(text.as_bytes()).is_none(), "a damaged one");
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let der =
            aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::EcPrivateKeyRfc5915Der<'_>>::as_der(
                &pair.private_key(),
            )
            .expect("it has this form");
        let text = to_pem("EC PRIVATE KEY", der.as_ref());
        assert!(read_key(text.as_bytes()).is_some());
    }
}
