//! Upstreams of these tests' own, on this machine.

mod answers;
mod outages;
mod paths;
mod server;
mod sign_in;
mod tls;

use std::time::Duration;

use layerhouse_oci::digest::{Algorithm, Digest};
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;

use super::*;
use crate::auth::credentials::Secret;
use crate::auth::rights::Visibility;
use crate::clock::Timestamp;
use crate::config::meaning::Network;
use crate::config::meaning::mirror::UpstreamLogin;

/// For manifests of these tests.
const BYTES_MAX: usize = 1000;

/// An endpoint that may lead to this machine.
fn endpoint(url: &str) -> mirror::Endpoint {
    let private = [("127.0.0.0", 8), ("::1", 128)].map(|(address, prefix_bits)| Network {
        address: address.parse().expect("an address"),
        prefix_bits,
    });
    mirror::Endpoint {
        url: url.to_owned(),
        login: UpstreamLogin::Anonymous,
        auth_hosts: Vec::new(),
        ca: None,
        proxy: None,
        private: private.to_vec(),
        is_host_trusted: false,
        patience: Duration::from_secs(20),
        stall: Duration::from_secs(20),
    }
}

fn password() -> UpstreamLogin {
    UpstreamLogin::Password {
        user: "u".to_owned(),
        password: Secret::new(*b"hunter2"),
    }
}

fn open(endpoints: Vec<mirror::Endpoint>) -> (Upstream, Clock) {
    let clock = Clock::manual(Timestamp(1_000_000));
    let settings = mirror::Upstream {
        name: "corp".to_owned(),
        endpoints,
        has_library: false,
        allow: Vec::new(),
        deny: Vec::new(),
        visibility: Visibility::Public,
        budget_bytes: None,
        fetches_max: 1,
    };
    let upstream = Upstream::open(&settings, &clock).expect("the settings are good");
    (upstream, clock)
}

fn name() -> RepositoryName {
    "library/nginx".parse().expect("a name")
}

fn by_tag() -> Reference {
    "1.27".parse().expect("a reference")
}

fn digest_of(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}

async fn all(mut blob: UpstreamBlob) -> Result<Vec<u8>, UpstreamError> {
    let mut content = Vec::new();
    while let Some(chunk) = blob.next().await {
        content.extend_from_slice(&chunk?);
    }
    assert!(blob.next().await.is_none());
    Ok(content)
}

/// Who waits for an upstream may do so in a task of its own.
#[test]
fn answers_can_be_awaited_anywhere() {
    fn check<Value: Send>(_: &Value) {}
    let (upstream, _) = open(vec![endpoint("http://127.0.0.1:1")]);
    let (name, reference, digest) = (name(), by_tag(), digest_of(b""));
    let tag: Tag = "1".parse().expect("a tag");
    check(&upstream.manifest(&name, &reference, 1));
    check(&upstream.tag_digest(&name, &tag));
    check(&upstream.blob_size(&name, &digest));
    check(&upstream.blob(&name, &digest, 0));
    check(&upstream.tags(&name, 1, None));
    check(&upstream.referrers(&name, &digest, 1));
    check(&async move {
        upstream
            .blob(&name, &digest, 0)
            .await
            .map(async |mut blob| blob.next().await.is_some())
    });
}
