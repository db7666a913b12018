//! Certificates and keys from PEM, with words for what people get wrong.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::clock::Timestamp;

/// Longest file; a chain of ten certificates with RSA keys has 20 KiB. A bundle of all the world's
/// authorities has 250.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// A certificate with its key: what a handshake needs, and from when to when it is good.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    /// What clients may dislike about the certificate.
    pub(super) warnings: Vec<String>,
}

/// Which of the two files is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Certificate,
    Key,
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let read = || -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        File::open(path)?
            .take(FILE_BYTES_MAX + 1)
            .read_to_end(&mut content)?;
        Ok(content)
    };
    let content = read().map_err(|error| {
        let kind = error.kind();
        if kind == io::ErrorKind::NotFound {
            "there is no such file".to_owned()
        } else if kind == io::ErrorKind::PermissionDenied {
            "it may not be read by the user that the registry runs as".to_owned()
        } else {
            error.to_string()
        }
    })?;
    if FILE_BYTES_MAX < content.len() as u64 {
        return Err("it is too large for a file of certificates".to_owned());
    }
    Ok(content)
}

/// All certificates of a text; at least one.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let found = read.map_err(|error| format!("it is damaged PEM: {error}"))?;
    if !found.is_empty() {
        return Ok(found);
    }
    Err(if has(text, "PRIVATE KEY-----") {
        "it holds a key, but no certificate: are certificate and key swapped?".to_owned()
    } else {
        not_pem(text, "certificate", "x509")
    })
}

fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    if has(text, "-----BEGIN ENCRYPTED PRIVATE KEY-----") || has(text, "Proc-Type: 4,ENCRYPTED") {
        return Err(
            "the key is encrypted, and nobody is there to type its password: decrypt it with \
             openssl pkey -in FILE -out NEW"
                .to_owned(),
        );
    }
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(key),
        Err(rustls::pki_types::pem::Error::NoItemsFound) => {
            Err(if has(text, "-----BEGIN CERTIFICATE-----") {
                "it holds a certificate, but no key: are certificate and key swapped?".to_owned()
            } else {
                not_pem(text, "private key", "pkey")
            })
        }
        // Never the text itself, which may be the key's.
        Err(_) => Err("it is damaged PEM".to_owned()),
    }
}

fn not_pem(text: &[u8], what: &str, command: &str) -> String {
    // DER begins with a SEQUENCE.
    if text.first() == Some(&0x30) {
        format!(
            "it is DER, not PEM: convert it with openssl {command} -inform DER -in FILE -out NEW"
        )
    } else if has(text, "-----BEGIN ") {
        format!("it has no {what}")
    } else {
        "it is not PEM".to_owned()
    }
}

fn has(text: &[u8], words: &str) -> bool {
    text.windows(words.len())
        .any(|found| found == words.as_bytes())
}

/// Puts certificates and key together, or says what is wrong with which.
pub(super) fn pair(
    certificate: Result<Vec<u8>, String>,
    key: Result<Vec<u8>, String>,
    now: Timestamp,
    provider: &CryptoProvider,
) -> Result<Pair, Vec<(Part, String)>> {
    let chain = certificate.and_then(|text| certificates(&text));
    let key = key.and_then(|text| private_key(&text));
    let (chain, key) = match (chain, key) {
        (Ok(chain), Ok(key)) => (chain, key),
        (chain, key) => {
            let chain = chain.err().map(|problem| (Part::Certificate, problem));
            let key = key.err().map(|problem| (Part::Key, problem));
            return Err(chain.into_iter().chain(key).collect());
        }
    };
    let key = provider.key_provider.load_private_key(key).map_err(|_| {
        let problem = "of a kind that is not spoken; RSA (2048 to 8192 bits), ECDSA (P-256, P-384, \
                       P-521) and Ed25519 are";
        vec![(Part::Key, problem.to_owned())]
    })?;
    let certified = CertifiedKey::new(chain, key);
    if certified.keys_match().is_err() {
        return Err(vec![mismatch(&certified)]);
    }
    look(Arc::new(certified), now).map_err(|problem| vec![(Part::Certificate, problem)])
}

/// The key is not the first certificate's: whether it is that of another one in the chain.
fn mismatch(certified: &CertifiedKey) -> (Part, String) {
    let is_of = |certificate: &CertificateDer<'static>| {
        let other = CertifiedKey::new(vec![certificate.clone()], Arc::clone(&certified.key));
        other.keys_match().is_ok()
    };
    if certified.cert.iter().skip(1).any(is_of) {
        let problem = "the one that the key belongs to must come first, then those that signed it";
        (Part::Certificate, problem.to_owned())
    } else {
        let problem = "it does not belong to the certificate";
        (Part::Key, problem.to_owned())
    }
}

/// From when to when a chain is good, and what is odd about it.
fn look(key: Arc<CertifiedKey>, now: Timestamp) -> Result<Pair, String> {
    let mut warnings = Vec::new();
    let mut chain = Vec::new();
    for der in &key.cert {
        let (_, certificate) = X509Certificate::from_der(der)
            .map_err(|error| format!("it cannot be understood: {error}"))?;
        chain.push(certificate);
    }
    for certificate in &chain {
        let (from, until) = validity(certificate);
        let (name, validity) = (certificate.subject(), certificate.validity());
        if until < now {
            let end = validity.not_after;
            warnings.push(format!("{name} expired on {end}: clients refuse it"));
        } else if now < from {
            let start = validity.not_before;
            warnings.push(format!(
                "{name} is good from {start} on: until then clients refuse it"
            ));
        }
    }
    for two in chain.windows(2) {
        let (issuer, next) = (two[0].issuer(), two[1].subject());
        if issuer != next {
            warnings.push(format!("in its chain, {next} stands where {issuer} should"));
        }
    }
    let leaf = chain.first().ok_or("it is empty")?;
    let names = leaf.subject_alternative_name().ok().flatten();
    if names.is_none_or(|names| names.value.general_names.is_empty()) {
        warnings.push(
            "it names no host (subjectAltName), and clients look nowhere else: make it anew with \
             openssl req -addext subjectAltName=DNS:HOST"
                .to_owned(),
        );
    }
    let (not_before, not_after) = validity(leaf);
    Ok(Pair {
        key,
        not_before,
        not_after,
        warnings,
    })
}

/// The first and the last moment at which it is good.
fn validity(certificate: &X509Certificate<'_>) -> (Timestamp, Timestamp) {
    let validity = certificate.validity();
    let moment = |seconds: i64| Timestamp(seconds.saturating_mul(1000));
    (
        moment(validity.not_before.timestamp()),
        moment(validity.not_after.timestamp()),
    )
}
