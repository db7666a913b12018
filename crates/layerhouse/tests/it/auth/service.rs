//! A token service: makes keys, certificates and tokens, good ones and others.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, PublicKeyData,
    SignatureAlgorithm,
};
use serde_json::{Value, json};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

/// The moment that the servers of the tests begin at, in seconds.
pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key that signs, and its certificate.
pub(crate) struct Signer {
    pub(crate) algorithm: &'static str,
    key: KeyPair,
    params: CertificateParams,
    /// In DER.
    pub(crate) certificate: Vec<u8>,
    pub(crate) pem: String,
}

impl Signer {
    pub(crate) fn new(algorithm: &'static str) -> Self {
        let kind: &SignatureAlgorithm = match algorithm {
            "RS256" => &rcgen::PKCS_RSA_SHA256,
            "ES256" => &rcgen::PKCS_ECDSA_P256_SHA256,
            "EdDSA" => &rcgen::PKCS_ED25519,
            _ => panic!("no key for {algorithm}"),
        };
        let key = KeyPair::generate_for(kind).unwrap();
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, algorithm);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self {
            algorithm,
            certificate: certificate.der().to_vec(),
            pem: certificate.pem(),
            key,
            params,
        }
    }

    /// Another key, with a certificate that this one signed and that changes in time may be given.
    pub(crate) fn below(&self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::new(vec!["tokens".to_owned()]).unwrap();
        change(&mut params);
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).unwrap();
        Self {
            algorithm: "ES256",
            certificate: certificate.der().to_vec(),
            pem: certificate.pem(),
            key,
            params,
        }
    }

    pub(crate) fn public_key(&self) -> Vec<u8> {
        self.key.subject_public_key_info()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let pkcs8 = self.key.serialize_der();
        let random = SystemRandom::new();
        match self.algorithm {
            "RS256" => {
                let key = RsaKeyPair::from_pkcs8(&pkcs8).unwrap();
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            "ES256" => EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pkcs8)
                .unwrap()
                .sign(&random, message)
                .unwrap()
                .as_ref()
                .to_vec(),
            _ => Ed25519KeyPair::from_pkcs8(&pkcs8)
                .unwrap()
                .sign(message)
                .as_ref()
                .to_vec(),
        }
    }

    /// A token with this header (its `alg` is ours if it has none) and these claims, as they are.
    pub(crate) fn token(&self, header: &Value, claims: &str) -> String {
        let mut header = header.clone();
        if header.get("alg").is_none() {
            header["alg"] = json!(self.algorithm);
        }
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims));
        let signature = self.sign(signed.as_bytes());
        format!("{signed}.{}", encode(signature))
    }

    /// The public key as a member of a set, without an id.
    pub(crate) fn jwk(&self) -> Value {
        let spki = self.public_key();
        match self.algorithm {
            "RS256" => {
                let (_, spki) = SubjectPublicKeyInfo::from_der(&spki).unwrap();
                let Ok(PublicKey::RSA(key)) = spki.parsed() else {
                    panic!("an RSA key");
                };
                json!({"e": encode(key.exponent), "kty": "RSA", "n": encode(&key.modulus[1..])})
            }
            "ES256" => {
                let (x, y) = spki[spki.len() - 64..].split_at(32);
                json!({"crv": "P-256", "kty": "EC", "x": encode(x), "y": encode(y)})
            }
            _ => {
                json!({"crv": "Ed25519", "kty": "OKP", "x": encode(&spki[spki.len() - 32..])})
            }
        }
    }

    /// RFC 7638; serde_json keeps the members sorted.
    pub(crate) fn thumbprint(&self) -> String {
        encode(digest(&SHA256, self.jwk().to_string().as_bytes()))
    }

    /// libtrust's, bit by bit.
    pub(crate) fn fingerprint(&self) -> String {
        let digest = digest(&SHA256, &self.public_key());
        let bits: Vec<u8> = digest.as_ref()[..30]
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
            .collect();
        let letters: Vec<char> = bits
            .chunks(5)
            .map(|five| five.iter().fold(0, |sum, bit| sum << 1 | bit))
            .map(|value| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[usize::from(value)]))
            .collect();
        let groups: Vec<String> = letters
            .chunks(4)
            .map(|four| four.iter().collect())
            .collect();
        groups.join(":")
    }

    /// As `x5c` has certificates.
    pub(crate) fn x5c(chain: &[&Self]) -> Value {
        let chain = chain
            .iter()
            .map(|signer| STANDARD.encode(&signer.certificate));
        json!(chain.collect::<Vec<_>>())
    }
}

/// Good claims, with this list of rights.
pub(crate) fn claims(access: &Value) -> Value {
    json!({
        "iss": "issuer",
        "aud": "service",
        "sub": "ann",
        "exp": NOW + 300,
        "nbf": NOW - 10,
        "iat": NOW - 10,
        "access": access,
    })
}

/// The right to do this in a repository.
pub(crate) fn on(repository: &str, actions: &[&str]) -> Value {
    json!([{"type": "repository", "name": repository, "actions": actions}])
}
