//! One key that signs our tokens, with its certificate.
//!
//! Keys come from the library's own generator: what tests decide with a seed must not be a key.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};

use crate::auth::token::key::{Algorithm, Key};
use crate::clock::Timestamp;
use crate::config::meaning::index::SigningAlgorithm;
use crate::fault::{Fault, FaultKind};
use crate::meta::signing_keys::StoredKey;

impl SigningAlgorithm {
    /// As headers of tokens and rows of keys say it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Es256, Self::EdDsa]
            .into_iter()
            .find(|own| own.name() == name)
    }

    pub(super) fn verified_as(self) -> Algorithm {
        match self {
            Self::Es256 => Algorithm::Es256,
            Self::EdDsa => Algorithm::EdDsa,
        }
    }
}

/// A key made now, to be stored.
pub(super) struct NewKey {
    /// In PKCS #8.
    pub(super) private_key: Vec<u8>,
    /// In DER.
    pub(super) certificate: Vec<u8>,
}

impl NewKey {
    /// A key with a certificate that it signed itself.
    ///
    /// The certificate has no end that counts (RFC 5280, 4.1.2.5, has 9999 for that): whoever trusts it
    /// trusts one key by name, and stops when they take it out of their bundle.
    pub(super) fn make(algorithm: SigningAlgorithm, issuer: &str) -> Result<Self, Fault> {
        let kind = match algorithm {
            SigningAlgorithm::Es256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            SigningAlgorithm::EdDsa => &rcgen::PKCS_ED25519,
        };
        let make = || -> Result<_, rcgen::Error> {
            let key = KeyPair::generate_for(kind)?;
            let mut params = CertificateParams::default();
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, issuer);
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            let certificate = params.self_signed(&key)?;
            Ok(Self {
                private_key: key.serialize_der(),
                certificate: certificate.der().to_vec(),
            })
        };
        make().map_err(|error| Fault::new(FaultKind::Other, "making a key for tokens", error))
    }
}

/// A key that signs, or did.
pub(crate) struct SigningKey {
    pub(super) algorithm: SigningAlgorithm,
    pair: Pair,
    /// What tokens are verified with.
    pub(super) public: Key,
    /// In DER.
    certificate: Vec<u8>,
    /// What stands before the claims of each token: its header, encoded.
    pub(super) header: String,
    pub(super) created_at: Timestamp,
    /// Since when it signs no more.
    pub(super) retired_at: Option<Timestamp>,
}

enum Pair {
    Es256(EcdsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl SigningKey {
    /// Reads a stored key.
    pub(super) fn read(stored: &StoredKey) -> Result<Self, Fault> {
        let damaged = |problem: &str| {
            let doing = "reading a key for tokens";
            Fault::new(FaultKind::Damaged, doing, problem.to_owned())
        };
        let algorithm = SigningAlgorithm::named(&stored.algorithm)
            .ok_or_else(|| damaged("its algorithm is unknown"))?;
        let bytes = &stored.private_key;
        let pair = match algorithm {
            SigningAlgorithm::Es256 => {
                let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
                EcdsaKeyPair::from_pkcs8(kind, bytes).map(Pair::Es256)
            }
            SigningAlgorithm::EdDsa => Ed25519KeyPair::from_pkcs8(bytes).map(Pair::EdDsa),
        };
        let public =
            Key::of_certificate(&stored.certificate).map_err(|problem| damaged(&problem))?;
        // registry:2 and registry:3 look at the certificate first, so whoever has our bundle believes it. Others
        // look the key up in our set, where it stands under this name (RFC 7638) and under libtrust's.
        let header = json!({
            "typ": "JWT",
            "alg": algorithm.name(),
            "kid": public.ids[0],
            "x5c": [STANDARD.encode(&stored.certificate)],
        });
        Ok(Self {
            algorithm,
            pair: pair.map_err(|_| damaged("it is no private key"))?,
            public,
            certificate: stored.certificate.clone(),
            header: URL_SAFE_NO_PAD.encode(header.to_string()),
            created_at: stored.created_at,
            retired_at: stored.retired_at,
        })
    }

    /// The signature of a token, as RFC 7518 has it.
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Fault> {
        match &self.pair {
            Pair::Es256(pair) => pair
                .sign(&SystemRandom::new(), message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|error| Fault::new(FaultKind::Other, "signing a token", error)),
            Pair::EdDsa(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }

    /// Members of a set (RFC 7517), one for each name that a verifier may look for.
    pub(super) fn jwks(&self) -> Vec<Value> {
        let mut jwk = match &self.pair {
            Pair::Es256(pair) => {
                // The point is uncompressed: 4, x, y.
                let point = pair.public_key().as_ref();
                let coordinate = |from: usize| {
                    URL_SAFE_NO_PAD.encode(point.get(from..from + 32).unwrap_or_default())
                };
                json!({ "kty": "EC", "crv": "P-256", "x": coordinate(1), "y": coordinate(33) })
            }
            Pair::EdDsa(pair) => {
                let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
                json!({ "kty": "OKP", "crv": "Ed25519", "x": x })
            }
        };
        jwk["use"] = json!("sig");
        jwk["alg"] = json!(self.algorithm.name());
        let with_id = |id: &String| {
            let mut jwk = jwk.clone();
            jwk["kid"] = json!(id);
            jwk
        };
        self.public.ids.iter().map(with_id).collect()
    }

    /// Its certificate in PEM (RFC 7468).
    pub(super) fn pem(&self) -> String {
        let base64 = STANDARD.encode(&self.certificate);
        let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
        for line in base64.as_bytes().chunks(64) {
            pem.extend(line.iter().map(|byte| char::from(*byte)));
            pem.push('\n');
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }
}
