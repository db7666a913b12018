//! What another process of this registry has of a blob that it fetches, while it comes there.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use layerhouse_oci::digest::Digest;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Client, Response};

use super::upstream::blob::continuation;
use super::{OutboundError, parse};

/// A process that cannot be reached is done without.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// As long as upstreams may bring nothing, if nobody says otherwise.
const STALL_MAX: Duration = Duration::from_secs(30);
/// What another server at that address would not say.
const DIGEST: &str = "docker-content-digest";

/// Asks other processes of this registry; connections are kept and used again.
#[derive(Debug, Default)]
pub(crate) struct Replicas {
    /// By whether they speak TLS; made when first needed, for the roots are read from files.
    clients: Mutex<[Option<Client>; 2]>,
}

/// The bytes of a blob, as they come. Neither their digest nor their length is compared with anything.
pub(crate) struct ReplicaBlob {
    /// Of the whole blob.
    pub(crate) size_bytes: u64,
    response: Response,
}

impl Replicas {
    /// A blob that the process at `address` (`http://10.0.0.5:5000`) fetches, from an offset on. `token` is what it
    /// says to those who may read along. It answers when its upstream does.
    ///
    /// # Errors
    /// It cannot be reached, or does not fetch it any more.
    pub(crate) async fn blob(
        &self,
        address: &str,
        (digest, token): (&Digest, &str),
        from: u64,
    ) -> Result<ReplicaBlob, OutboundError> {
        let url = parse(&format!("{address}/internal/fetches/{digest}"))?;
        let client = self.client(url.scheme() == "https")?;
        let mut request = client.get(url).bearer_auth(token);
        if 0 < from {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let response = request.send().await?;
        let said = |name: &str| response.headers().get(name)?.to_str().ok();
        let range = said(CONTENT_RANGE.as_str());
        let size_bytes = match (response.status().as_u16(), from) {
            (200, 0) => response.content_length(),
            (206, _) => continuation(range, from).map_err(OutboundError::Request)?,
            (status, _) => return Err(OutboundError::Request(format!("it answers {status}"))),
        };
        if said(DIGEST) != Some(digest.as_str()) {
            let problem = "it is no process of this registry".to_owned();
            return Err(OutboundError::Request(problem));
        }
        let without = || OutboundError::Request("it does not say how long the blob is".to_owned());
        Ok(ReplicaBlob {
            size_bytes: size_bytes.ok_or_else(without)?,
            response,
        })
    }

    fn client(&self, has_tls: bool) -> Result<Client, OutboundError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let client = &mut clients[usize::from(has_tls)];
        if let Some(client) = client {
            return Ok(client.clone());
        }
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .http1_only()
            // It is beside us, whatever the environment has for requests to others.
            .no_proxy()
            .connect_timeout(CONNECT_PATIENCE)
            .read_timeout(STALL_MAX)
            .user_agent(concat!("layerhouse/", env!("CARGO_PKG_VERSION")));
        if !has_tls {
            // A machine without certificates can speak plain HTTP all the same.
            builder = builder.tls_certs_only([]);
        }
        Ok(client.insert(builder.build()?).clone())
    }
}

impl ReplicaBlob {
    /// The next bytes; `None` when it ended them.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, OutboundError>> {
        let chunk = self.response.chunk().await.transpose()?;
        Some(chunk.map_err(OutboundError::from))
    }
}
