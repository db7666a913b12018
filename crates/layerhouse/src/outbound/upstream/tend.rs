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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deleted {
    Yes,
    /// The registry will not, and this is what it says for itself, if it says something.
    Refused(Option<String>),
}

/// What is read of why it will not, and shown of that.
const REASON_BYTES_MAX: usize = 64 << 10;
const REASON_CHARS_MAX: usize = 300;

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
            400 | 403 | 405 | 409 | 501 => {
                let (_, body) = answer.read(REASON_BYTES_MAX).await?;
                Ok(Deleted::Refused(reason(&body)))
            }
            status => {
                let problem = format!("it answers {status}, which is no answer to that");
                Err(answer.fail(answer.asked.invalid(problem)))
            }
        }
    }
}

/// The message of the first error that a registry tells (distribution-spec, "Error Codes").
fn reason(body: &[u8]) -> Option<String> {
    let told: serde_json::Value = serde_json::from_slice(body).ok()?;
    let message = told["errors"][0]["message"].as_str()?;
    let message: String = message.chars().take(REASON_CHARS_MAX).collect();
    (!message.is_empty()).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_what_registries_tell() {
        let check = |body: &str, expected: Option<&str>| {
            assert_eq!(reason(body.as_bytes()).as_deref(), expected, "{body}");
        };
        check(
            r#"{"errors":[{"code":"X","message":"it is needed"}]}"#,
            Some("it is needed"),
        );
        check(r#"{"errors":[{"code":"X","message":""}]}"#, None);
        check(r#"{"errors":[]}"#, None);
        check("<html>", None);
        let long = format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "é".repeat(1000));
        let reason = reason(long.as_bytes()).map(|reason| reason.chars().count());
        assert_eq!(reason, Some(REASON_CHARS_MAX));
    }
}
