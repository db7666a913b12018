//! Where pulls are sent instead of to the store itself (`middleware.storage`): to another server that has the same
//! bytes, to the store by another name, or to CloudFront.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;

use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};

/// What stands in a path as it is.
const IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// One change of the address; a list of them is made from the first to the last, each of what came of those before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Another server that has what we have; its address, without a slash at its end.
    Server(String),
    /// The same address by another name, so far as it is given.
    Rewrite(Rewrite),
    CloudFront(CloudFront),
}

impl Change {
    /// Whether whoever knows the address needs nothing else.
    pub(crate) fn is_unsigned(&self) -> bool {
        match self {
            Self::Server(_) => true,
            Self::Rewrite(_) | Self::CloudFront(_) => false,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rewrite {
    pub(crate) scheme: Option<String>,
    /// Host, and maybe port.
    pub(crate) host: Option<String>,
    /// What the path loses at its beginning, if it begins so.
    pub(crate) path_prefix: Option<String>,
}

/// A distribution of CloudFront's before a bucket of S3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CloudFront {
    /// Its address, without a slash at its end.
    pub(crate) base: String,
    /// The file of the RSA key that signs.
    pub(crate) key: PathBuf,
    /// What CloudFront calls that key.
    pub(crate) key_id: String,
    /// How long an address is good.
    pub(crate) valid: Duration,
}

/// What is pulled, as those know it who are asked for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// Its path below the directory, or below the `rootdirectory` of the bucket.
    pub(crate) below_root: &'a str,
    /// The same with that, in a bucket.
    pub(crate) key: &'a str,
}

/// All changes, with the keys that they sign with.
#[derive(Default)]
pub(crate) struct Redirection {
    steps: Vec<Step>,
}

enum Step {
    Server(String),
    Rewrite(Rewrite),
    CloudFront(CloudFront, Box<KeyPair>),
}

impl Redirection {
    /// Reads the keys.
    ///
    /// # Errors
    /// A key cannot be read, or is none; the message names the file.
    pub(crate) fn open(changes: &[Change]) -> Result<Self, Fault> {
        let open = |change: &Change| {
            Ok(match change {
                Change::Server(base) => Step::Server(base.clone()),
                Change::Rewrite(rewrite) => Step::Rewrite(rewrite.clone()),
                Change::CloudFront(front) => {
                    Step::CloudFront(front.clone(), Box::new(read_key(&front.key)?))
                }
            })
        };
        let steps = changes.iter().map(open).collect::<Result<_, Fault>>()?;
        Ok(Self { steps })
    }

    /// Whether the address does not depend on the store's own, which need not be made then.
    pub(crate) fn is_elsewhere(&self) -> bool {
        let is_base = |step: &Step| matches!(step, Step::Server(_) | Step::CloudFront(..));
        self.steps.iter().any(is_base)
    }

    /// Where a pull is sent, given the store's own address if it has one; `None` to nowhere.
    ///
    /// # Errors
    /// A key does not sign.
    pub(crate) fn lead(
        &self,
        own: Option<String>,
        place: Place<'_>,
        now: Timestamp,
    ) -> Result<Option<String>, Fault> {
        let mut address = own;
        for step in &self.steps {
            address = match step {
                Step::Server(base) => Some(format!("{base}/{}", encoded(place.below_root))),
                Step::Rewrite(rewrite) => address.map(|address| rewritten(rewrite, &address)),
                Step::CloudFront(front, key) => Some(signed(front, key, place.key, now)?),
            };
        }
        Ok(address)
    }
}

fn encoded(path: &str) -> String {
    utf8_percent_encode(path, IN_PATHS).to_string()
}

fn rewritten(rewrite: &Rewrite, address: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap_or(("https", address));
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, rest) = rest.split_at(end);
    let (path, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let prefix = rewrite.path_prefix.as_deref().unwrap_or_default();
    let path = path.strip_prefix(prefix).unwrap_or(path);
    let slash = if path.starts_with('/') { "" } else { "/" };
    let scheme = rewrite.scheme.as_deref().unwrap_or(scheme);
    let host = rewrite.host.as_deref().unwrap_or(host);
    format!("{scheme}://{host}{slash}{path}{query}")
}

/// A signed address with a canned policy (AWS, "Create a signed URL using a canned policy"). registry:2 signs with
/// SHA-1, which CloudFront takes where no algorithm is named.
fn signed(front: &CloudFront, key: &KeyPair, path: &str, now: Timestamp) -> Result<String, Fault> {
    let address = format!("{}/{}", front.base, encoded(path));
    let until = now.after(front.valid).0.div_euclid(1000);
    let policy = format!(
        "{{\"Statement\":[{{\"Resource\":\"{address}\",\"Condition\":{{\"DateLessThan\":{{\"AWS:EpochTime\":{until}}}}}}}]}}"
    );
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        policy.as_bytes(),
        &mut signature,
    )
    .map_err(|_| Fault::plain(FaultKind::Other, "CloudFront's key does not sign"))?;
    let signature = STANDARD.encode(signature);
    let signature: String = signature
        .chars()
        .map(|one| match one {
            '+' => '-',
            '=' => '_',
            '/' => '~',
            other => other,
        })
        .collect();
    let key_id = &front.key_id;
    Ok(format!(
        "{address}?Expires={until}&Signature={signature}&Key-Pair-Id={key_id}&Hash-Algorithm=SHA256"
    ))
}

fn read_key(path: &Path) -> Result<KeyPair, Fault> {
    let shown = path.display();
    let text = fs::read(path)
        .map_err(|error| Fault::io(format!("reading the key of CloudFront, {shown}"), error))?;
    let none = || {
        let what = format!("{shown}, the key of CloudFront, is no RSA key in PEM");
        Fault::plain(FaultKind::Other, what)
    };
    match PrivateKeyDer::from_pem_slice(&text).map_err(|_| none())? {
        PrivateKeyDer::Pkcs1(der) => KeyPair::from_der(der.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(der) => KeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Sec1(_) | _ => return Err(none()),
    }
    .map_err(|_| none())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place {
        below_root: "layerhouse/blobs/id",
        key: "a team/layerhouse/blobs/id",
    };

    fn check(changes: &[Change], own: Option<&str>, expected: Option<&str>) {
        let redirection = Redirection::open(changes).expect("no keys");
        let found = redirection.lead(own.map(str::to_owned), PLACE, Timestamp(0));
        assert_eq!(found.expect("nothing is signed").as_deref(), expected);
    }

    #[test]
    fn addresses_are_changed_in_their_order() {
        let server = Change::Server("https://cdn.example.com/of".to_owned());
        let rewrite = |scheme: Option<&str>, host: Option<&str>, prefix: Option<&str>| {
            Change::Rewrite(Rewrite {
                scheme: scheme.map(str::to_owned),
                host: host.map(str::to_owned),
                path_prefix: prefix.map(str::to_owned),
            })
        };
        let own = "http://store:9000/images/a/b?sig=%2F/images";
        let at_server = "https://cdn.example.com/of/layerhouse/blobs/id";
        check(&[], Some(own), Some(own));
        check(&[], None, None);
        check(std::slice::from_ref(&server), Some(own), Some(at_server));
        check(std::slice::from_ref(&server), None, Some(at_server));
        check(&[rewrite(None, None, None)], Some(own), Some(own));
        check(&[rewrite(Some("https"), None, None)], None, None);
        check(
            &[rewrite(Some("https"), Some("cdn"), Some("/images"))],
            Some(own),
            Some("https://cdn/a/b?sig=%2F/images"),
        );
        check(
            &[rewrite(None, None, Some("/images/"))],
            Some(own),
            Some("http://store:9000/a/b?sig=%2F/images"),
        );
        check(&[rewrite(None, None, Some("/other"))], Some(own), Some(own));
        check(
            &[rewrite(None, Some("x"), None), server.clone()],
            Some(own),
            Some(at_server),
        );
        check(
            &[server, rewrite(None, Some("x"), None)],
            Some(own),
            Some("https://x/of/layerhouse/blobs/id"),
        );
    }
}
