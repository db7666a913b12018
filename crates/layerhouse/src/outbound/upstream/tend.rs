//! What people who look after a registry ask of it, and mirrors do not: which repositories it has, and to
//! delete.

use bytes::Bytes;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;
use reqwest::Method;

use super::Upstream;
use super::attempts::Attempts;
use super::content::{list_repositories, read_whole};
use super::endpoint::Question;
use super::error::UpstreamError;
use super::resource::Resource;

/// The names of repositories, as far as they were asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Catalog {
    /// In the registry's order.
    pub(crate) names: Vec<RepositoryName>,
    /// There are more.
    pub(crate) is_cut: bool,
}

/// What became of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deleted {
    Yes,
    /// The registry does not delete that: it has this status for it.
    Unsupported(u16),
}

impl Upstream {
    /// The first `n` repositories that the registry lists.
    ///
    /// # Errors
    /// See [`UpstreamError`]; many registries list nothing to anybody.
    pub(crate) async fn catalog(&self, n: usize) -> Result<Catalog, UpstreamError> {
        let mut attempts = Attempts::default();
        for endpoint in &self.endpoints {
            match list_repositories(endpoint, n).await {
                Ok(catalog) => return Ok(catalog),
                Err(error) => attempts.failed(error)?,
            }
        }
        Err(attempts.over())
    }

    /// The whole of a small blob: at most `bytes_max` bytes, which have its digest.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub(crate) async fn small_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        bytes_max: usize,
    ) -> Result<Bytes, UpstreamError> {
        let path = format!("blobs/{}", digest.as_str());
        let mut attempts = Attempts::default();
        for endpoint in &self.endpoints {
            let question = Question::get(repository, &path);
            match read_whole(endpoint, &question, bytes_max).await {
                Ok(content) if Digest::of(digest.algorithm(), &content) == *digest => {
                    return Ok(content);
                }
                Ok(_) => attempts.failed(UpstreamError::Invalid(
                    format!("{}: what it sends is not {digest}", self.settings.name).into(),
                ))?,
                Err(error) => attempts.failed(error)?,
            }
        }
        Err(attempts.over())
    }

    /// Deletes a manifest by its digest, or a tag by its name; the first endpoint is asked, and no other.
    ///
    /// # Errors
    /// See [`UpstreamError`].
    pub(crate) async fn delete(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Deleted, UpstreamError> {
        let path = format!("manifests/{}", reference.as_str());
        let question = Question {
            method: Method::DELETE,
            resource: Resource::Delete(repository),
            ..Question::get(repository, &path)
        };
        let mut endpoints = self.endpoints.iter();
        let endpoint = endpoints.next().expect("an upstream has an endpoint");
        let answer = endpoint.ask(&question).await?;
        match answer.status() {
            200..=299 => Ok(Deleted::Yes),
            // registry:2 takes a tag for a digest that is wrong.
            status @ (400 | 405 | 501) => Ok(Deleted::Unsupported(status)),
            status => {
                let problem = format!("it answers {status}, which is no answer to that");
                Err(answer.fail(answer.asked.invalid(problem)))
            }
        }
    }
}
