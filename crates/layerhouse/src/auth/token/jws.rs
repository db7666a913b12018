//! A token as it comes: header, claims and signature, parted and decoded (RFC 7515, 7.1).

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use layerhouse_oci::strict_json::{self, Json, Object};

use super::json::{as_text, as_texts, optional, text};
use super::key::Algorithm;

/// Largest token. Those with a long list of repositories have some KiB; a request's head has 32.
pub(crate) const TOKEN_BYTES_MAX: usize = 24 << 10;
/// Certificates of a chain: that of the key, and three above it.
const CHAIN_MAX: usize = 4;

/// A token, of which nothing is believed yet.
#[derive(Debug)]
pub(crate) struct Jws<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
    /// Certificates in DER, the key's first.
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) claims: Object,
    /// What the signature is of.
    pub(crate) signed: &'a [u8],
    pub(crate) signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Reads a token strictly: no member twice, no other way to write the same, nothing that its
    /// reader must understand and we do not (`crit`). What a header says of keys other than by name or
    /// by certificate (`jwk`, `jku`, `x5u`) is not looked at (S01, CVE-2025-24976).
    pub(crate) fn parse(token: &'a [u8]) -> Option<Self> {
        if TOKEN_BYTES_MAX < token.len() {
            return None;
        }
        let mut parts = token.split(|byte| *byte == b'.');
        let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let signed = &token[..header.len() + 1 + claims.len()];
        let header = object(header)?;
        if header.get("crit").is_some() {
            return None;
        }
        let key_id = optional(&header, "kid", as_text).ok()?;
        let chain = optional(&header, "x5c", chain).ok()?.unwrap_or_default();
        Some(Self {
            algorithm: Algorithm::named(text(&header, "alg")?)?,
            key_id: key_id.map(str::to_owned),
            chain,
            claims: object(claims)?,
            signed,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }
}

fn object(encoded: &[u8]) -> Option<Object> {
    let text = URL_SAFE_NO_PAD.decode(encoded).ok()?;
    match strict_json::parse(&text) {
        Ok(Json::Object(object)) => Some(object),
        Ok(_) | Err(_) => None,
    }
}

fn chain(list: &Json) -> Option<Vec<Vec<u8>>> {
    let list = as_texts(list).filter(|list| list.len() <= CHAIN_MAX)?;
    list.iter().map(|text| STANDARD.decode(text).ok()).collect()
}
