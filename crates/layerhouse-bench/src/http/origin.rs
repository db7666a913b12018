//! A server as its clients need it: resolved, with TLS and credentials, and the paths of things.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use layerhouse_oci::digest::Digest;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::server::{Files, Server};

/// Shared by all clients of a server.
pub(crate) struct Origin {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) authority: String,
    pub(crate) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) files: Option<Files>,
    /// How long nothing may move.
    pub(crate) patience: Duration,
    /// Receive bodies into memory even where they are only counted.
    pub(crate) copy: bool,
}

/// The header of HTTP Basic; it has no `Debug`, so it cannot be printed by accident.
#[derive(Clone)]
pub(crate) struct Credentials(String);

impl Credentials {
    pub(crate) fn basic(user: &str, password: &str) -> Self {
        let pair = STANDARD.encode(format!("{user}:{password}"));
        Self(format!("Authorization: Basic {pair}\r\n"))
    }

    /// The whole header line, with its end.
    pub(crate) fn line(&self) -> &str {
        &self.0
    }
}

impl Origin {
    pub(crate) fn of(
        server: &Server,
        tls: Option<&Arc<ClientConfig>>,
        credentials: Option<&Credentials>,
        patience: Duration,
        copy: bool,
    ) -> Result<Self, String> {
        let url = &server.url;
        let bare = url.host.trim_start_matches('[').trim_end_matches(']');
        let address = (bare, url.port)
            .to_socket_addrs()
            .map_err(|error| format!("{}: {error}", url.authority()))?
            .next()
            .ok_or_else(|| format!("{} has no address", url.authority()))?;
        let tls = match tls.filter(|_| url.tls) {
            None => None,
            Some(settings) => {
                let name = ServerName::try_from(bare.to_owned())
                    .map_err(|error| format!("{bare}: {error}"))?;
                Some((Arc::clone(settings), name))
            }
        };
        Ok(Self {
            name: server.name.clone(),
            address,
            authority: url.authority(),
            tls,
            credentials: credentials.cloned(),
            files: server.files.clone(),
            patience,
            copy,
        })
    }

    pub(crate) fn blob_path(&self, repository: &str, digest: &Digest) -> String {
        match &self.files {
            Some(files) => files.path(digest),
            None => format!("/v2/{repository}/blobs/{digest}"),
        }
    }

    /// A server of files has no tags: there, the manifest's file is asked for.
    pub(crate) fn manifest_path(
        &self,
        repository: &str,
        reference: &str,
        digest: &Digest,
    ) -> String {
        match &self.files {
            Some(files) => files.path(digest),
            None => format!("/v2/{repository}/manifests/{reference}"),
        }
    }
}
