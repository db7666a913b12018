//! Requests: what a method and a path ask for.
//!
//! Repository names contain slashes and may contain the very words that part paths, so a path is
//! read from its right end: `/v2/a/manifests/b/manifests/latest` asks for the tag `latest` of the
//! repository `a/manifests/b`. One table, `ENDPOINTS`, names all there is.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::digest::{Digest, DigestError};
use crate::name::{NameError, RepositoryName};
use crate::reference::{Reference, ReferenceError};
use crate::upload_id::{UploadId, UploadIdError};

/// What a request asks for. `GET` and `HEAD` share one route; what a query adds is left to others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// Is this a registry, and may I come in? (end-1)
    Base,
    /// Which repositories are there? (registry:2)
    Catalog,
    /// Which tags does the repository have? (end-8)
    ListTags {
        /// The repository.
        repository: RepositoryName,
    },
    /// Which manifests refer to the subject? (end-12)
    ListReferrers {
        /// The repository.
        repository: RepositoryName,
        /// What they refer to; it need not exist.
        subject: Digest,
    },
    /// A manifest, or its headers (end-3).
    PullManifest {
        /// The repository.
        repository: RepositoryName,
        /// Which manifest.
        reference: Reference,
    },
    /// Keep a manifest (end-7).
    PushManifest {
        /// The repository.
        repository: RepositoryName,
        /// The tag to set, or the digest that the bytes must have.
        reference: Reference,
    },
    /// Remove a tag, or a manifest and its tags (end-9).
    DeleteManifest {
        /// The repository.
        repository: RepositoryName,
        /// Which.
        reference: Reference,
    },
    /// A blob, or its headers (end-2).
    PullBlob {
        /// The repository.
        repository: RepositoryName,
        /// Which blob.
        digest: Digest,
    },
    /// Remove a blob from the repository (end-10).
    DeleteBlob {
        /// The repository.
        repository: RepositoryName,
        /// Which blob.
        digest: Digest,
    },
    /// Open an upload (end-4a), bring a blob at once (end-4b), or mount one (end-11).
    StartUpload {
        /// The repository.
        repository: RepositoryName,
    },
    /// How far is the upload? (end-13)
    UploadStatus {
        /// The repository.
        repository: RepositoryName,
        /// The upload.
        upload: UploadId,
    },
    /// The next chunk of an upload (end-5).
    PushChunk {
        /// The repository.
        repository: RepositoryName,
        /// The upload.
        upload: UploadId,
    },
    /// Close an upload: its blob is complete (end-6).
    FinishUpload {
        /// The repository.
        repository: RepositoryName,
        /// The upload.
        upload: UploadId,
    },
    /// Give an upload up (end-14).
    CancelUpload {
        /// The repository.
        repository: RepositoryName,
        /// The upload.
        upload: UploadId,
    },
    /// A browser asks what it may send.
    Preflight,
}

/// Why a request asks for nothing that there is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No such path, or one that is not UTF-8 or contains NUL.
    #[error("there is nothing at this path")]
    NotFound,
    /// The path is known, the method not.
    #[error("the methods of this path are {allow}")]
    MethodNotAllowed {
        /// The value of the `Allow` header.
        allow: &'static str,
    },
    /// Not the name of a repository.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Neither a tag nor a digest.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// Not a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// Not the id of an upload.
    #[error(transparent)]
    Upload(#[from] UploadIdError),
}

/// What a path looks like, apart from the names in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Base,
    Catalog,
    Tags,
    Referrers,
    Manifest,
    Blob,
    Uploads,
    Upload,
}

/// The names in a path, not yet checked.
struct Names<'a> {
    repository: &'a str,
    last: &'a str,
}

impl Names<'_> {
    fn repository(&self) -> Result<RepositoryName, RouteError> {
        Ok(self.repository.parse()?)
    }

    fn reference(&self) -> Result<Reference, RouteError> {
        Ok(self.last.parse()?)
    }

    fn digest(&self) -> Result<Digest, RouteError> {
        Ok(self.last.parse()?)
    }

    fn upload(&self) -> Result<UploadId, RouteError> {
        Ok(self.last.parse()?)
    }
}

/// One line of the table: a request that is understood.
struct Endpoint {
    /// Its ids in the distribution-spec, "Endpoints" (end-14 is later than 1.1), or whose it is.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for readers and for the test of the table")
    )]
    spec: &'static str,
    methods: &'static [&'static str],
    shape: Shape,
    route: fn(&Names<'_>) -> Result<Route, RouteError>,
}

const PULL: &[&str] = &["GET", "HEAD"];

/// Every request that is understood.
#[rustfmt::skip]
const ENDPOINTS: [Endpoint; 14] = [
    Endpoint { spec: "end-1", methods: PULL, shape: Shape::Base,
        route: |_| Ok(Route::Base) },
    Endpoint { spec: "end-2", methods: PULL, shape: Shape::Blob,
        route: |at| Ok(Route::PullBlob { repository: at.repository()?, digest: at.digest()? }) },
    Endpoint { spec: "end-3", methods: PULL, shape: Shape::Manifest,
        route: |at| Ok(Route::PullManifest { repository: at.repository()?, reference: at.reference()? }) },
    Endpoint { spec: "end-4a end-4b end-11", methods: &["POST"], shape: Shape::Uploads,
        route: |at| Ok(Route::StartUpload { repository: at.repository()? }) },
    Endpoint { spec: "end-5", methods: &["PATCH"], shape: Shape::Upload,
        route: |at| Ok(Route::PushChunk { repository: at.repository()?, upload: at.upload()? }) },
    Endpoint { spec: "end-6", methods: &["PUT"], shape: Shape::Upload,
        route: |at| Ok(Route::FinishUpload { repository: at.repository()?, upload: at.upload()? }) },
    Endpoint { spec: "end-7", methods: &["PUT"], shape: Shape::Manifest,
        route: |at| Ok(Route::PushManifest { repository: at.repository()?, reference: at.reference()? }) },
    Endpoint { spec: "end-8a end-8b", methods: PULL, shape: Shape::Tags,
        route: |at| Ok(Route::ListTags { repository: at.repository()? }) },
    Endpoint { spec: "end-9", methods: &["DELETE"], shape: Shape::Manifest,
        route: |at| Ok(Route::DeleteManifest { repository: at.repository()?, reference: at.reference()? }) },
    Endpoint { spec: "end-10", methods: &["DELETE"], shape: Shape::Blob,
        route: |at| Ok(Route::DeleteBlob { repository: at.repository()?, digest: at.digest()? }) },
    Endpoint { spec: "end-12a end-12b", methods: PULL, shape: Shape::Referrers,
        route: |at| Ok(Route::ListReferrers { repository: at.repository()?, subject: at.digest()? }) },
    Endpoint { spec: "end-13", methods: PULL, shape: Shape::Upload,
        route: |at| Ok(Route::UploadStatus { repository: at.repository()?, upload: at.upload()? }) },
    Endpoint { spec: "end-14", methods: &["DELETE"], shape: Shape::Upload,
        route: |at| Ok(Route::CancelUpload { repository: at.repository()?, upload: at.upload()? }) },
    Endpoint { spec: "registry:2", methods: PULL, shape: Shape::Catalog,
        route: |_| Ok(Route::Catalog) },
];

impl Shape {
    /// The methods of the table and `OPTIONS`, as the `Allow` header lists them.
    const fn allow(self) -> &'static str {
        match self {
            Self::Base | Self::Catalog | Self::Tags | Self::Referrers => "GET, HEAD, OPTIONS",
            Self::Blob => "GET, HEAD, DELETE, OPTIONS",
            Self::Manifest => "GET, HEAD, PUT, DELETE, OPTIONS",
            Self::Uploads => "POST, OPTIONS",
            Self::Upload => "GET, HEAD, PATCH, PUT, DELETE, OPTIONS",
        }
    }
}

impl Route {
    /// What `method` and `path` ask for; `path` is percent-encoded and without its query.
    ///
    /// The path is decoded once and before it is split, so `%2F` is a slash and `%252F` none that
    /// a name can have.
    ///
    /// # Errors
    /// [`RouteError::NotFound`] for what is no path of the API, among them all outside `/v2`;
    /// else what is wrong with the method, then with the names.
    pub fn parse(method: &str, path: &str) -> Result<Self, RouteError> {
        let path = decode(path).ok_or(RouteError::NotFound)?;
        let (shape, names) = split(&path).ok_or(RouteError::NotFound)?;
        if method == "OPTIONS" {
            return Ok(Self::Preflight);
        }
        let endpoint = ENDPOINTS
            .iter()
            .find(|endpoint| endpoint.shape == shape && endpoint.methods.contains(&method))
            .ok_or(RouteError::MethodNotAllowed {
                allow: shape.allow(),
            })?;
        (endpoint.route)(&names)
    }

    /// The repository that it is about, if it is about one; it may be given another name.
    pub fn repository_mut(&mut self) -> Option<&mut RepositoryName> {
        match self {
            Self::Base | Self::Catalog | Self::Preflight => None,
            Self::ListTags { repository }
            | Self::ListReferrers { repository, .. }
            | Self::PullManifest { repository, .. }
            | Self::PushManifest { repository, .. }
            | Self::DeleteManifest { repository, .. }
            | Self::PullBlob { repository, .. }
            | Self::DeleteBlob { repository, .. }
            | Self::StartUpload { repository }
            | Self::UploadStatus { repository, .. }
            | Self::PushChunk { repository, .. }
            | Self::FinishUpload { repository, .. }
            | Self::CancelUpload { repository, .. } => Some(repository),
        }
    }
}

/// The path as text; `None` if it is not UTF-8 or has a NUL, which no name has.
fn decode(path: &str) -> Option<Cow<'_, str>> {
    let path = percent_decode_str(path).decode_utf8().ok()?;
    (!path.contains('\0')).then_some(path)
}

/// The shape of a decoded path and the names in it; `None` if it has no shape of ours.
fn split(path: &str) -> Option<(Shape, Names<'_>)> {
    let rest = path.strip_prefix("/v2")?;
    match rest {
        "" | "/" => return named(Shape::Base, "/", ""),
        "/_catalog" => return named(Shape::Catalog, "/", ""),
        _ => (),
    }
    if let Some(before) = rest.strip_suffix("/tags/list") {
        return named(Shape::Tags, before, "");
    }
    let opening = rest.strip_suffix('/').unwrap_or(rest);
    if let Some(before) = opening.strip_suffix("/blobs/uploads") {
        return named(Shape::Uploads, before, "");
    }
    let (before, last) = rest.rsplit_once('/')?;
    let (shape, before) = [
        (Shape::Upload, "/blobs/uploads"),
        (Shape::Blob, "/blobs"),
        (Shape::Manifest, "/manifests"),
        (Shape::Referrers, "/referrers"),
    ]
    .into_iter()
    .find_map(|(shape, word)| Some((shape, before.strip_suffix(word)?)))?;
    named(shape, before, last)
}

/// `before` is the slash behind `/v2` and the repository; `/v2x` and `/v2/tags/list` lack the slash.
fn named<'a>(shape: Shape, before: &'a str, last: &'a str) -> Option<(Shape, Names<'a>)> {
    let repository = before.strip_prefix('/')?;
    Some((shape, Names { repository, last }))
}

#[cfg(test)]
mod tests;
