//! What a service account proves to Google's storage: tokens and addresses, signed by its key. A store of the tests
//! lets in who proves it as Google wants it, and nobody else.

use std::fmt::Write;
use std::sync::OnceLock;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, Request, header};
use percent_encoding::percent_decode_str;
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};

const ACCOUNT: &str = "registry@project.iam.gserviceaccount.com";
/// Google signs with the name of its own host, by whatever name it is reached.
const HOST: &str = "storage.googleapis.com";

/// The key of RSA that signs, one for all tests: it takes a while to make.
pub(crate) fn key() -> &'static KeyPair {
    static KEY: OnceLock<KeyPair> = OnceLock::new();
    KEY.get_or_init(|| KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("a key"))
}

/// The key of the account as Google gives it out, for a store at this address.
pub(crate) fn key_file(address: &str) -> String {
    let key = json!({
        "type": "service_account",
        "client_email": ACCOUNT,
        "private_key_id": "of the tests",
        "private_key": key().serialize_pem(),
        "gcs_base_url": address,
    });
    key.to_string()
}

/// Whether a request shows a token or an address of the account; what is shown is taken away, so that a store that
/// knows nothing of it can answer.
pub(crate) fn admit<B>(request: &mut Request<B>) -> bool {
    let shown = request.headers_mut().remove(header::AUTHORIZATION);
    if let Some(shown) = shown {
        let token = shown
            .to_str()
            .ok()
            .and_then(|text| text.strip_prefix("Bearer "));
        return token.is_some_and(is_token);
    }
    let uri = request.uri().clone();
    let (path, query) = (uri.path(), uri.query().unwrap_or_default());
    *request.uri_mut() = path.parse().expect("it was part of one");
    request.method() == Method::GET && is_signed(path, query)
}

fn is_token(token: &str) -> bool {
    let Some((message, signature)) = token.rsplit_once('.') else {
        return false;
    };
    let claims = message.split('.').nth(1).unwrap_or_default();
    let claims = URL_SAFE_NO_PAD.decode(claims).unwrap_or_default();
    let claims: Value = serde_json::from_slice(&claims).unwrap_or_default();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    claims["iss"] == ACCOUNT && is_ours(message, &signature)
}

/// Google's "V4 signing process", for an address whose parameters need no encoding beyond what they have.
fn is_signed(path: &str, query: &str) -> bool {
    let (mut signed, mut signature) = (Vec::new(), "");
    for pair in query.split('&') {
        match pair.strip_prefix("X-Goog-Signature=") {
            Some(found) => signature = found,
            None => signed.push(pair),
        }
    }
    signed.sort_unstable();
    let value = |name: &str| {
        let found = signed.iter().find_map(|pair| pair.strip_prefix(name));
        let decoded = percent_decode_str(found.unwrap_or_default()).decode_utf8_lossy();
        decoded.into_owned()
    };
    let canonical = signed.join("&");
    let asked = format!("GET\n{path}\n{canonical}\nhost:{HOST}\n\nhost\nUNSIGNED-PAYLOAD");
    let credential = value("X-Goog-Credential=");
    let (account, scope) = credential.split_once('/').unwrap_or_default();
    let message = format!(
        "GOOG4-RSA-SHA256\n{}\n{scope}\n{}",
        value("X-Goog-Date="),
        hex(digest::digest(&digest::SHA256, asked.as_bytes()).as_ref())
    );
    let is_bounded = value("X-Goog-Expires=") == "1200";
    account == ACCOUNT && is_bounded && is_ours(&message, &unhex(signature))
}

/// Whether the key signed it, with SHA-256.
pub(crate) fn is_ours(message: &str, signature: &[u8]) -> bool {
    let public = key().der_bytes().to_vec();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)
        .verify(message.as_bytes(), signature)
        .is_ok()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    let digits = pairs.filter_map(|pair| std::str::from_utf8(pair).ok());
    digits
        .filter_map(|pair| u8::from_str_radix(pair, 16).ok())
        .collect()
}
