//! Tokens of another service: verified with the keys that the operator named, and with no others.

pub(crate) mod claims;
pub(crate) mod json;
pub(crate) mod jws;
pub(crate) mod key;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use layerhouse_oci::strict_json;
use moka::sync::Cache;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};
use x509_parser::prelude::{FromDer, X509Certificate};

use self::claims::Claims;
use self::jws::Jws;
use self::key::{Algorithm, Key};
use super::Identity;
use super::access::Access;
use super::credentials::Secret;
use super::watched::Watched;
use crate::clock::{Clock, Timestamp};
use crate::config::meaning::TokenAuth;

/// Memory for tokens that were verified: some ten thousand.
const REMEMBERED_BYTES_MAX: u64 = 16 << 20;

/// Verifies tokens.
pub(crate) struct Tokens {
    issuer: String,
    service: String,
    algorithms: Vec<Algorithm>,
    /// From the bundle of certificates, from the set of keys.
    keys: Vec<Arc<Watched<KeySet>>>,
    clock: Clock,
    /// By the digest of the token: what it claims, and of what the keys were then.
    verified: Cache<[u8; 32], Arc<Verified>>,
}

struct Verified {
    claims: Claims,
    /// How long the certificates are good that the token is believed for, if it is for some.
    validity: Option<Validity>,
    keys: Vec<Weak<KeySet>>,
}

impl Tokens {
    /// Reads the keys.
    ///
    /// # Errors
    /// There are none, or not one algorithm that may be used with them.
    pub(crate) fn open(config: &TokenAuth, clock: &Clock) -> Result<Self, String> {
        let open = |path: &Path, parse| Watched::open(vec![path.to_owned()], parse, clock);
        let mut keys = Vec::new();
        if let Some(path) = &config.root_cert_bundle {
            let watched = open(path, |files| KeySet::of_bundle(&files[0]));
            keys.push(Arc::new(
                watched.map_err(|error| format!("rootcertbundle: {error}"))?,
            ));
        }
        if let Some(path) = &config.jwks {
            let watched = open(path, |files| KeySet::of_jwks(&files[0]));
            keys.push(Arc::new(watched.map_err(|error| format!("jwks: {error}"))?));
        }
        if keys.is_empty() {
            return Err("name the keys that sign tokens: rootcertbundle or jwks".to_owned());
        }
        let chosen = &config.signing_algorithms;
        let algorithms: Vec<_> = Algorithm::ALL
            .iter()
            .filter(|(name, _)| chosen.is_empty() || chosen.iter().any(|own| own == name))
            .map(|(_, algorithm)| *algorithm)
            .collect();
        if algorithms.is_empty() {
            let names: Vec<_> = Algorithm::ALL.iter().map(|(name, _)| *name).collect();
            return Err(format!(
                "signingalgorithms: name some of {}",
                names.join(", ")
            ));
        }
        let weigh = |_: &[u8; 32], verified: &Arc<Verified>| {
            u32::try_from(verified.claims.held_bytes() + 128).unwrap_or(u32::MAX)
        };
        Ok(Self {
            issuer: config.issuer.clone(),
            service: config.service.clone(),
            algorithms,
            keys,
            clock: clock.clone(),
            verified: Cache::builder()
                .weigher(weigh)
                .max_capacity(REMEMBERED_BYTES_MAX)
                .build(),
        })
    }

    /// Who has the token, and what they may do; `None` for every token that is not good, whatever is
    /// wrong with it.
    pub(crate) async fn verify(&self, token: &Secret) -> Option<(Identity, Access)> {
        let mut keys = Vec::new();
        for watched in &self.keys {
            keys.push(watched.current().await);
        }
        let now = self.clock.now();
        let mut id = [0; 32];
        id.copy_from_slice(digest(&SHA256, token.expose()).as_ref());
        let known = self.verified.get(&id).filter(|known| {
            let same = |(old, new): (&Weak<KeySet>, &Arc<KeySet>)| old.as_ptr() == Arc::as_ptr(new);
            let is_in_time = |validity: &Validity| validity.holds(now);
            known.keys.iter().zip(&keys).all(same) && known.validity.as_ref().is_none_or(is_in_time)
        });
        let verified = match known {
            Some(known) => known,
            None => self.verify_anew(token, id, &keys, now)?,
        };
        let claims = &verified.claims;
        if !claims.hold(&self.issuer, &self.service, now) {
            self.verified.invalidate(&id);
            return None;
        }
        Some((claims.identity(), claims.access()))
    }

    fn verify_anew(
        &self,
        token: &Secret,
        id: [u8; 32],
        keys: &[Arc<KeySet>],
        now: Timestamp,
    ) -> Option<Arc<Verified>> {
        let jws = Jws::parse(token.expose())?;
        if !self.algorithms.contains(&jws.algorithm) {
            return None;
        }
        let is_signer = |key: &Key| key.verifies(jws.algorithm, jws.signed, &jws.signature);
        let key_id = jws.key_id.as_deref();
        let named: Vec<&Key> = keys.iter().flat_map(|keys| keys.named(key_id)).collect();
        let validity = if named.is_empty() {
            let found = keys.iter().find_map(|keys| keys.certified(&jws.chain, now));
            let (key, validity) = found?;
            is_signer(&key).then_some(Some(validity))?
        } else {
            // A key that the token names is the one, and nothing else in the token is asked.
            named.into_iter().any(is_signer).then_some(None)?
        };
        let verified = Arc::new(Verified {
            claims: Claims::read(&jws.claims)?,
            validity,
            keys: keys.iter().map(Arc::downgrade).collect(),
        });
        self.verified.insert(id, Arc::clone(&verified));
        Some(verified)
    }
}

/// When all certificates of a chain are valid, in seconds since 1970: also those that its way to the root
/// does not need, which can only mean that it is verified more often than it must be.
#[derive(Clone, Copy, Debug)]
struct Validity {
    not_before: i64,
    not_after: i64,
}

impl Validity {
    const NEVER: Self = Self {
        not_before: i64::MAX,
        not_after: i64::MIN,
    };

    fn of(chain: &[Vec<u8>]) -> Option<Self> {
        let mut all = Self {
            not_before: i64::MIN,
            not_after: i64::MAX,
        };
        for der in chain {
            let (_, certificate) = X509Certificate::from_der(der).ok()?;
            let own = certificate.validity();
            all.not_before = all.not_before.max(own.not_before.timestamp());
            all.not_after = all.not_after.min(own.not_after.timestamp());
        }
        Some(all)
    }

    fn holds(&self, now: Timestamp) -> bool {
        (self.not_before..=self.not_after).contains(&now.0.div_euclid(1000))
    }
}

/// The keys of one file.
pub(crate) struct KeySet {
    keys: Vec<Key>,
    /// Places in `keys` by every id of theirs.
    by_id: HashMap<String, Vec<usize>>,
    /// Those that a chain may end at.
    roots: Vec<CertificateDer<'static>>,
    /// The same, as chains are verified with them.
    anchors: Vec<TrustAnchor<'static>>,
}

impl KeySet {
    /// Certificates in PEM, one or more.
    pub(crate) fn of_bundle(content: &[u8]) -> Result<Self, String> {
        let roots: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(content).collect();
        let roots = roots.map_err(|error| format!("it is not PEM: {error}"))?;
        if roots.is_empty() {
            return Err("it has no certificate (PEM, BEGIN CERTIFICATE)".to_owned());
        }
        let mut keys = Vec::new();
        for (number, root) in (1..).zip(&roots) {
            let key = Key::of_certificate(root);
            keys.push(key.map_err(|problem| format!("certificate {number}: {problem}"))?);
        }
        Ok(Self::new(keys, roots))
    }

    /// A set of JSON web keys.
    pub(crate) fn of_jwks(content: &[u8]) -> Result<Self, String> {
        let set = strict_json::parse(content).map_err(|error| error.to_string())?;
        Ok(Self::new(key::of_set(&set)?, Vec::new()))
    }

    fn new(keys: Vec<Key>, roots: Vec<CertificateDer<'static>>) -> Self {
        let mut by_id: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, key) in keys.iter().enumerate() {
            for id in &key.ids {
                let places = by_id.entry(id.clone()).or_default();
                if !places.contains(&at) {
                    places.push(at);
                }
            }
        }
        let anchors = roots
            .iter()
            .filter_map(|root| webpki::anchor_from_trusted_cert(root).ok())
            .map(|anchor| anchor.to_owned())
            .collect();
        Self {
            keys,
            by_id,
            roots,
            anchors,
        }
    }

    /// Keys that another service published.
    pub(crate) fn of_keys(keys: Vec<Key>) -> Self {
        Self::new(keys, Vec::new())
    }

    /// Whether a token that names a key, or none, may be of one of these.
    pub(crate) fn has(&self, id: Option<&str>) -> bool {
        id.is_none_or(|id| self.by_id.contains_key(id))
    }

    /// Whether the key that a token names made its signature; of one that names none, whether any did.
    pub(crate) fn made(&self, jws: &Jws<'_>) -> bool {
        let is_signer = |key: &Key| key.verifies(jws.algorithm, jws.signed, &jws.signature);
        match &jws.key_id {
            Some(id) => self.named(Some(id)).any(is_signer),
            None => self.keys.iter().any(is_signer),
        }
    }

    fn named(&self, id: Option<&str>) -> impl Iterator<Item = &Key> {
        let places = id.and_then(|id| self.by_id.get(id));
        places.into_iter().flatten().map(|at| &self.keys[*at])
    }

    /// The key of the first certificate, if the chain leads to a root of ours and all of it is valid;
    /// and for how long.
    fn certified(&self, chain: &[Vec<u8>], now: Timestamp) -> Option<(Key, Validity)> {
        let (first, above) = chain.split_first()?;
        if self.roots.is_empty() {
            return None;
        }
        let is_root = self
            .roots
            .iter()
            .any(|root| root.as_ref() == first.as_slice());
        let is_good = if is_root {
            // A service may sign with the certificate itself that was bundled: there is no chain then.
            Validity::of(std::slice::from_ref(first))?.holds(now)
        } else {
            let seconds = u64::try_from(now.0.div_euclid(1000)).ok()?;
            let now = Duration::from_secs(seconds);
            self.leads_to_root(first, above, UnixTime::since_unix_epoch(now))
        };
        if !is_good {
            return None;
        }
        // What nobody can read is not used on the way, and makes nothing false: but nothing is
        // remembered for it.
        let validity = Validity::of(chain).unwrap_or(Validity::NEVER);
        Some((Key::of_certificate(first).ok()?, validity))
    }

    fn leads_to_root(&self, first: &[u8], above: &[Vec<u8>], now: UnixTime) -> bool {
        let first = CertificateDer::from(first);
        let Ok(leaf) = EndEntityCert::try_from(&first) else {
            return false;
        };
        let above: Vec<_> = above
            .iter()
            .map(|der| CertificateDer::from(der.as_slice()))
            .collect();
        let algorithms = webpki::ALL_VERIFICATION_ALGS;
        leaf.verify_for_usage(algorithms, &self.anchors, &above, now, AnyUsage, None, None)
            .is_ok()
    }
}

/// Certificates of token services say that they are for TLS servers, or nothing.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}
