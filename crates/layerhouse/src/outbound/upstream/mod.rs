//! Speaks to another registry, as a client that pulls and, for who looks after it, deletes: the distribution
//! API, its tokens and its ways to say no. What it is asked for and what becomes of it is for `registry` to say.
//!
//! An upstream may be hostile, and so may whoever answers for its name: it is told no more of us than it
//! needs (S30, S31), leads us nowhere that the operator did not mean (S32), and has bounds for all it says.

mod address;
mod answer;
mod attempts;
pub(crate) mod blob;
mod breaker;
mod challenge;
mod content;
pub(crate) mod dial;
mod endpoint;
pub(crate) mod error;
mod files;
mod filter;
pub mod fuzzed;
mod login;
pub(crate) mod rate_limit;
mod realm;
mod redirect;
mod request;
mod resource;
mod sign_in;
pub(crate) mod state;
pub(crate) mod tend;
mod token;

use std::sync::Arc;

use bytes::Bytes;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::media_type::ManifestKind;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;
use layerhouse_oci::tag::Tag;
use reqwest::Method;

use self::attempts::Attempts;
use self::blob::UpstreamBlob;
use self::content::{list_tags, read_manifest, read_whole};
use self::dial::OpenUpstreamError;
use self::endpoint::{Endpoint, Question};
use self::error::UpstreamError;
use self::resource::Resource;
use self::state::{Tally, UpstreamState};
use crate::clock::Clock;
use crate::config::meaning::mirror;

/// Another registry. Shared by all who ask it.
pub(crate) struct Upstream {
    settings: mirror::Upstream,
    /// At least one.
    endpoints: Vec<Endpoint>,
    tally: Arc<Tally>,
}

/// A manifest as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UpstreamManifest {
    /// Byte for byte.
    pub(crate) content: Bytes,
    pub(crate) content_type: Option<String>,
}

impl Upstream {
    /// Reads the files that the settings name; connects to nobody yet.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it should be.
    pub(crate) fn open(
        settings: &mirror::Upstream,
        clock: &Clock,
    ) -> Result<Self, OpenUpstreamError> {
        let tally = Arc::new(Tally::default());
        let endpoints = settings.endpoints.iter();
        let endpoints = endpoints
            .map(|endpoint| Endpoint::open(&settings.name, endpoint, Arc::clone(&tally), clock));
        Ok(Self {
            endpoints: endpoints.collect::<Result<_, _>>()?,
            settings: settings.clone(),
            tally,
        })
    }

    pub(crate) fn settings(&self) -> &mirror::Upstream {
        &self.settings
    }

    /// How it does, for status and metrics.
    pub(crate) fn state(&self) -> UpstreamState {
        let closed: Option<Vec<_>> = self
            .endpoints
            .iter()
            .map(Endpoint::is_closed_until)
            .collect();
        self.tally
            .state(closed.and_then(|closed| closed.into_iter().min()))
    }

    /// A manifest of at most `bytes_max` bytes. One that was asked for by digest has it; another has the one that
    /// the upstream says, if it says one.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub(crate) async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        bytes_max: usize,
    ) -> Result<UpstreamManifest, UpstreamError> {
        let path = format!("manifests/{}", reference.as_str());
        let accept = accept();
        let mut attempts = Attempts::default();
        for endpoint in &self.endpoints {
            let question = Question {
                accept: Some(&accept),
                ..Question::get(repository, &path)
            };
            match read_manifest(endpoint, &question, reference, bytes_max).await {
                Ok(manifest) => return Ok(manifest),
                Err(error) => attempts.failed(error)?,
            }
        }
        Err(attempts.over())
    }

    /// The digest that a tag has, if the upstream says so without sending the manifest.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub(crate) async fn tag_digest(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<Digest>, UpstreamError> {
        let path = format!("manifests/{}", tag.as_str());
        let accept = accept();
        let mut attempts = Attempts::default();
        for endpoint in &self.endpoints {
            let question = Question {
                method: Method::HEAD,
                accept: Some(&accept),
                ..Question::get(repository, &path)
            };
            match endpoint.ask(&question).await {
                Ok(answer) if answer.status() == 200 => {
                    let digest = answer.header("docker-content-digest");
                    return Ok(digest.and_then(|digest| digest.parse().ok()));
                }
                // It does not know HEAD.
                Ok(_) => return Ok(None),
                Err(error) => attempts.failed(error)?,
            }
        }
        Err(attempts.over())
    }

    /// The size of a blob, if the upstream says so without sending it.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub(crate) async fn blob_size(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, UpstreamError> {
        let path = format!("blobs/{}", digest.as_str());
        let mut attempts = Attempts::default();
        for endpoint in &self.endpoints {
            let question = Question {
                method: Method::HEAD,
                ..Question::get(repository, &path)
            };
            match endpoint.ask(&question).await {
                Ok(answer) if answer.status() == 200 => return Ok(answer.length_bytes()),
                Ok(_) => return Ok(None),
                Err(error) => attempts.failed(error)?,
            }
        }
        Err(attempts.over())
    }

    /// A blob from an offset on; its digest is for who reads it to compute.
    ///
    /// # Errors
    /// See [`UpstreamError`]. That the blob ends before the offset is [`UpstreamError::Invalid`].
    pub(crate) async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        from: u64,
    ) -> Result<UpstreamBlob, UpstreamError> {
        let path = format!("blobs/{}", digest.as_str());
        let mut attempts = Attempts::default();
        for endpoint in &self.endpoints {
            let question = Question {
                from,
                ..Question::get(repository, &path)
            };
            let answer = endpoint.ask(&question).await;
            match answer.and_then(|answer| UpstreamBlob::begin(answer, from)) {
                Ok(blob) => return Ok(blob),
                Err(error) => attempts.failed(error)?,
            }
        }
        Err(attempts.over())
    }

    /// At most `n` tags behind `last`, in the upstream's order; none if there are no more.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub(crate) async fn tags(
        &self,
        repository: &RepositoryName,
        n: usize,
        last: Option<&str>,
    ) -> Result<Vec<Tag>, UpstreamError> {
        let number = n.to_string();
        let mut query = vec![("n", number.as_str())];
        query.extend(last.map(|last| ("last", last)));
        let mut attempts = Attempts::default();
        for endpoint in &self.endpoints {
            match list_tags(endpoint, repository, &query, (n, last)).await {
                Ok(tags) => return Ok(tags),
                Err(error) => attempts.failed(error)?,
            }
        }
        Err(attempts.over())
    }

    /// The index of what refers to a manifest: JSON of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// See [`UpstreamError`]; an upstream that does not know the API does not have it.
    pub(crate) async fn referrers(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        bytes_max: usize,
    ) -> Result<Bytes, UpstreamError> {
        let path = format!("referrers/{}", digest.as_str());
        let mut attempts = Attempts::default();
        for endpoint in &self.endpoints {
            let question = Question {
                accept: Some(ManifestKind::OciIndex.media_type()),
                ..Question::get(repository, &path)
            };
            match read_whole(endpoint, &question, bytes_max).await {
                Ok(body) => return Ok(body),
                Err(error) => attempts.failed(error)?,
            }
        }
        Err(attempts.over())
    }
}

impl<'a> Question<'a> {
    fn get(repository: &'a RepositoryName, path: &'a str) -> Self {
        Self {
            method: Method::GET,
            resource: Resource::Pull(repository),
            path,
            query: &[],
            accept: None,
            from: 0,
        }
    }
}

/// All kinds of manifests that can be kept.
fn accept() -> String {
    ManifestKind::ALL.map(ManifestKind::media_type).join(", ")
}

#[cfg(test)]
mod tests;
