//! Keys that sign tokens: from certificates and from a set of JSON web keys, never from a token.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use layerhouse_oci::strict_json::{Json, Object};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::json::text;

/// How a token may be signed (RFC 7518, 3.1): with a private key. `none` and those with a shared secret
/// are no member, so that nothing can choose them (S01).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

impl Algorithm {
    pub(crate) const ALL: [(&'static str, Self); 10] = [
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
        ("PS256", Self::Ps256),
        ("PS384", Self::Ps384),
        ("PS512", Self::Ps512),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("ES512", Self::Es512),
        ("EdDSA", Self::EdDsa),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(own, _)| *own == name);
        found.map(|(_, algorithm)| *algorithm)
    }

    /// How to verify with a key of this kind; `None` if the two do not belong together.
    fn verifier(self, kind: Kind) -> Option<&'static dyn VerificationAlgorithm> {
        let (own, verifier): (Kind, &'static dyn VerificationAlgorithm) = match self {
            Self::Rs256 => (Kind::Rsa, &signature::RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => (Kind::Rsa, &signature::RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => (Kind::Rsa, &signature::RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => (Kind::Rsa, &signature::RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => (Kind::Rsa, &signature::RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => (Kind::Rsa, &signature::RSA_PSS_2048_8192_SHA512),
            Self::Es256 => (Kind::P256, &signature::ECDSA_P256_SHA256_FIXED),
            Self::Es384 => (Kind::P384, &signature::ECDSA_P384_SHA384_FIXED),
            Self::Es512 => (Kind::P521, &signature::ECDSA_P521_SHA512_FIXED),
            Self::EdDsa => (Kind::Ed25519, &signature::ED25519),
        };
        (own == kind).then_some(verifier)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    P521,
    Ed25519,
}

impl Kind {
    /// For the curves: JWK's name, object identifier in DER, bytes of a coordinate.
    const CURVES: [(Self, &'static str, &'static [u8], usize); 3] = [
        (
            Self::P256,
            "P-256",
            &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
            32,
        ),
        (Self::P384, "P-384", &[0x2b, 0x81, 4, 0, 0x22], 48),
        (Self::P521, "P-521", &[0x2b, 0x81, 4, 0, 0x23], 66),
    ];
}

const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    kind: Kind,
    /// SubjectPublicKeyInfo (RFC 5280, 4.1.2.7).
    spki: Vec<u8>,
    /// What a token may call it: by the one form and the other, and as its own set does.
    pub(crate) ids: Vec<String>,
    /// The one algorithm that it is for, if its set says so.
    only: Option<Algorithm>,
}

impl Key {
    /// The key of a certificate in DER.
    pub(crate) fn of_certificate(der: &[u8]) -> Result<Self, String> {
        let (rest, certificate) =
            X509Certificate::from_der(der).map_err(|_| "it is not a certificate")?;
        if !rest.is_empty() {
            return Err("bytes stand behind it".to_owned());
        }
        Self::of_spki(certificate.public_key())
    }

    fn of_spki(spki: &SubjectPublicKeyInfo<'_>) -> Result<Self, String> {
        let unknown = "its key is none of RSA, P-256, P-384, P-521 and Ed25519";
        let bits = &spki.subject_public_key.data;
        let algorithm = spki.algorithm.algorithm.as_bytes();
        if algorithm == ED25519 {
            return Self::ed25519(bits);
        }
        if algorithm == EC_PUBLIC_KEY {
            let parameters = spki.algorithm.parameters.as_ref();
            let curve = parameters.map_or(&[][..], |parameters| parameters.data);
            let found = Kind::CURVES.iter().find(|(_, _, oid, _)| *oid == curve);
            let (kind, ..) = found.ok_or(unknown)?;
            return Self::curve(*kind, bits);
        }
        match spki.parsed() {
            Ok(PublicKey::RSA(key)) if algorithm == RSA_ENCRYPTION => {
                Self::rsa(key.modulus, key.exponent)
            }
            _ => Err(unknown.to_owned()),
        }
    }

    /// A member of `keys` (RFC 7517, 4); `None` for one that cannot have signed a token.
    pub(crate) fn of_jwk(jwk: &Object) -> Result<Option<Self>, String> {
        if text(jwk, "use").is_some_and(|purpose| purpose != "sig") {
            return Ok(None);
        }
        let bytes = |name: &str| {
            text(jwk, name)
                .and_then(|text| URL_SAFE_NO_PAD.decode(text).ok())
                .ok_or_else(|| format!("{name} is not base64url"))
        };
        let curve = text(jwk, "crv").unwrap_or_default();
        let mut key = match text(jwk, "kty") {
            Some("RSA") => Self::rsa(&bytes("n")?, &bytes("e")?)?,
            Some("EC") => {
                let found = Kind::CURVES.iter().find(|(_, name, ..)| *name == curve);
                let Some((kind, _, _, size)) = found else {
                    return Ok(None);
                };
                let (x, y) = (bytes("x")?, bytes("y")?);
                if x.len() != *size || y.len() != *size {
                    return Err("x and y are not as long as the curve has them".to_owned());
                }
                Self::curve(*kind, &[&[4][..], &x, &y].concat())?
            }
            Some("OKP") if curve == "Ed25519" => Self::ed25519(&bytes("x")?)?,
            _ => return Ok(None),
        };
        if let Some(name) = text(jwk, "alg") {
            let Some(algorithm) = Algorithm::named(name) else {
                return Ok(None);
            };
            key.only = Some(algorithm);
        }
        key.ids.extend(text(jwk, "kid").map(str::to_owned));
        Ok(Some(key))
    }

    fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, String> {
        let [modulus, exponent] = [modulus, exponent].map(|number| {
            let zeros = number.iter().take_while(|byte| **byte == 0).count();
            &number[zeros..]
        });
        if modulus.len() < 256 || 1024 < modulus.len() || exponent.is_empty() {
            return Err("an RSA key has 2048 bits or more".to_owned());
        }
        let numbers = [integer(modulus), integer(exponent)].concat();
        let algorithm = [der(6, RSA_ENCRYPTION), der(5, &[])].concat();
        let thumb = format!(
            r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
            URL_SAFE_NO_PAD.encode(exponent),
            URL_SAFE_NO_PAD.encode(modulus)
        );
        Self::new(Kind::Rsa, &algorithm, &der(0x30, &numbers), &thumb)
    }

    /// `point` is uncompressed: 4, x, y.
    fn curve(kind: Kind, point: &[u8]) -> Result<Self, String> {
        let found = Kind::CURVES.iter().find(|(own, ..)| *own == kind);
        let (_, name, curve, size) = found.ok_or("no curve")?;
        let Some((4, coordinates)) = point.split_first().map(|(first, rest)| (*first, rest)) else {
            return Err("its point is compressed".to_owned());
        };
        if coordinates.len() != 2 * size {
            return Err("its point is not as long as the curve has them".to_owned());
        }
        let (x, y) = coordinates.split_at(*size);
        let algorithm = [der(6, EC_PUBLIC_KEY), der(6, curve)].concat();
        let thumb = format!(
            r#"{{"crv":"{name}","kty":"EC","x":"{}","y":"{}"}}"#,
            URL_SAFE_NO_PAD.encode(x),
            URL_SAFE_NO_PAD.encode(y)
        );
        Self::new(kind, &algorithm, point, &thumb)
    }

    fn ed25519(point: &[u8]) -> Result<Self, String> {
        if point.len() != 32 {
            return Err("an Ed25519 key has 32 bytes".to_owned());
        }
        let thumb = format!(
            r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#,
            URL_SAFE_NO_PAD.encode(point)
        );
        Self::new(Kind::Ed25519, &der(6, ED25519), point, &thumb)
    }

    fn new(kind: Kind, algorithm: &[u8], bits: &[u8], thumb: &str) -> Result<Self, String> {
        let bits = [&[0][..], bits].concat();
        let spki = der(0x30, &[der(0x30, algorithm), der(3, &bits)].concat());
        let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, thumb.as_bytes()));
        let ids = vec![thumbprint, fingerprint(&spki)];
        let key = Self {
            kind,
            spki,
            ids,
            only: None,
        };
        let is_sound = Algorithm::ALL
            .iter()
            .filter_map(|(_, algorithm)| algorithm.verifier(kind))
            .any(|verifier| signature::ParsedPublicKey::new(verifier, &key.spki).is_ok());
        if is_sound {
            Ok(key)
        } else {
            Err("its numbers are no key".to_owned())
        }
    }

    /// Whether the key made the signature, by an algorithm that is for it.
    pub(crate) fn verifies(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        self.only.is_none_or(|only| only == algorithm)
            && algorithm.verifier(self.kind).is_some_and(|verifier| {
                let key = UnparsedPublicKey::new(verifier, &self.spki);
                key.verify(signed, signature).is_ok()
            })
    }
}

/// Keys of a set (RFC 7517, 5); those for other purposes are left out.
///
/// # Errors
/// It is no set, one of the keys is broken, or none can have signed a token.
pub(crate) fn of_set(set: &Json) -> Result<Vec<Key>, String> {
    let Json::Object(set) = set else {
        return Err("it is not a set of keys: {\"keys\": […]}".to_owned());
    };
    let Some(Json::Array(members)) = set.get("keys") else {
        return Err("it is not a set of keys: there is no list \"keys\"".to_owned());
    };
    let mut keys = Vec::new();
    for (number, member) in (1..).zip(members) {
        let Json::Object(member) = member else {
            return Err(format!("key {number} is not an object"));
        };
        let key = Key::of_jwk(member).map_err(|problem| format!("key {number}: {problem}"))?;
        keys.extend(key);
    }
    if keys.is_empty() {
        return Err("it has no RSA, EC or Ed25519 key that signs".to_owned());
    }
    Ok(keys)
}

/// As libtrust names a key: 240 bits of the digest, in base32, four letters to a group.
fn fingerprint(spki: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = digest(&SHA256, spki);
    let mut letters = Vec::new();
    for five in digest.as_ref()[..30].chunks(5) {
        let bits = five
            .iter()
            .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        letters.extend((0..8).rev().map(|at| {
            let five_bits = usize::try_from(bits >> (5 * at) & 31).unwrap_or(0);
            char::from(LETTERS[five_bits])
        }));
    }
    let groups: Vec<String> = letters
        .chunks(4)
        .map(|group| group.iter().collect())
        .collect();
    groups.join(":")
}

/// A value of ASN.1 in DER, of less than 64 KiB.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len())
        .unwrap_or(u16::MAX)
        .to_be_bytes();
    let mut value = vec![tag];
    match (high, low) {
        (0, 0..128) => value.push(low),
        (0, _) => value.extend([0x81, low]),
        (_, _) => value.extend([0x82, high, low]),
    }
    value.extend_from_slice(content);
    value
}

/// A number above zero without leading zeros.
fn integer(number: &[u8]) -> Vec<u8> {
    if number.first().is_some_and(|first| 128 <= *first) {
        der(2, &[&[0], number].concat())
    } else {
        der(2, number)
    }
}
