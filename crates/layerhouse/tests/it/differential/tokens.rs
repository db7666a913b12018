//! A token service of the test's own: a key, the certificate that registries are told of, and tokens.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use serde_json::{Value, json};

/// Signs tokens.
pub(super) struct Service {
    key: EncodingKey,
    /// What `rootcertbundle` holds.
    pub(super) certificate_pem: String,
    /// As `x5c` has it.
    certificate: String,
}

impl Service {
    pub(super) fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
        let parameters = CertificateParams::new(["tokens.example".to_owned()]).expect("a name");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        let pem = certificate.pem();
        // The base64 of PEM is that of the DER within.
        let encoded = pem.lines().filter(|line| !line.starts_with("-----"));
        Self {
            key: EncodingKey::from_rsa_pem(key.serialize_pem().as_bytes()).expect("an RSA key"),
            certificate: encoded.collect(),
            certificate_pem: pem,
        }
    }

    /// A header's value, for claims that differ from the good ones in some.
    pub(super) fn bearer(&self, changes: &[(&str, Value)], access: &Value) -> String {
        let mut claims = json!({
            "iss": "issuer", "sub": "alice", "aud": "service", "jti": "1",
            // In 1970 and 2100.
            "iat": 1, "nbf": 1, "exp": 4_102_444_800_u64,
            "access": access,
        });
        for (name, value) in changes {
            claims[name] = value.clone();
        }
        let mut header = Header::new(Algorithm::RS256);
        header.x5c = Some(vec![self.certificate.clone()]);
        let token = encode(&header, &claims, &self.key).expect("claims are JSON");
        format!("Bearer {token}")
    }
}

/// The access that a token grants to a repository.
pub(super) fn access(repository: &str, actions: &[&str]) -> Value {
    json!({ "type": "repository", "name": repository, "actions": actions })
}
