//! Every request of the API below a repository, for tests that try them all with all kinds of callers.

use std::collections::BTreeSet;

use layerhouse_oci::route::Route;

use super::images;

/// The session of nobody.
pub(crate) const UPLOAD: &str = "00000000-0000-4000-8000-000000000000";

/// One request, as far as it is the same in every repository.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) method: &'static str,
    /// What stands behind the repository's name, query included.
    pub(crate) rest: String,
    /// The rights that it needs, as scopes name them.
    pub(crate) needed: &'static [&'static str],
}

impl Endpoint {
    pub(crate) fn path(&self, repository: &str) -> String {
        format!("/v2/{repository}/{}", self.rest)
    }
}

/// The rights that a route needs, and its place among all there are: one that is not here does not compile.
fn needed(route: &Route) -> (usize, &'static [&'static str]) {
    const PULL: &[&str] = &["pull"];
    const PUSH: &[&str] = &["pull", "push"];
    const DELETE: &[&str] = &["delete"];
    match route {
        Route::ListTags { .. } => (0, PULL),
        Route::ListReferrers { .. } => (1, PULL),
        Route::PullManifest { .. } => (2, PULL),
        Route::PullBlob { .. } => (3, PULL),
        Route::PushManifest { .. } => (4, PUSH),
        Route::StartUpload { .. } => (5, PUSH),
        Route::UploadStatus { .. } => (6, PUSH),
        Route::PushChunk { .. } => (7, PUSH),
        Route::FinishUpload { .. } => (8, PUSH),
        Route::CancelUpload { .. } => (9, PUSH),
        Route::DeleteManifest { .. } => (10, DELETE),
        Route::DeleteBlob { .. } => (11, DELETE),
        Route::Base | Route::Catalog | Route::Preflight => panic!("in no repository"),
    }
}

/// Routes below a repository.
const ROUTES: usize = 12;

/// Every request below a repository, for a manifest tagged `v1` and a blob of these digests.
pub(crate) fn of(manifest: &str, blob: &str) -> Vec<Endpoint> {
    let pulls = [
        "tags/list".to_owned(),
        format!("referrers/{manifest}"),
        "manifests/v1".to_owned(),
        format!("manifests/{manifest}"),
        format!("blobs/{blob}"),
    ];
    let mut requests: Vec<(&str, String)> = Vec::new();
    for rest in pulls {
        requests.extend([("GET", rest.clone()), ("HEAD", rest)]);
    }
    let session = format!("blobs/uploads/{UPLOAD}");
    requests.extend([
        ("PUT", "manifests/v2".to_owned()),
        ("PUT", format!("manifests/{manifest}")),
        ("POST", "blobs/uploads/".to_owned()),
        ("POST", format!("blobs/uploads/?digest={blob}")),
        ("POST", format!("blobs/uploads/?mount={blob}")),
        ("GET", session.clone()),
        ("HEAD", session.clone()),
        ("PATCH", session.clone()),
        ("PUT", format!("{session}?digest={blob}")),
        ("DELETE", session),
        ("DELETE", "manifests/v1".to_owned()),
        ("DELETE", format!("manifests/{manifest}")),
        ("DELETE", format!("blobs/{blob}")),
    ]);
    let mut met = BTreeSet::new();
    let endpoints = requests.into_iter().map(|(method, rest)| {
        let path = format!("/v2/any/{rest}");
        let path = path.split_once('?').map_or(&*path, |(path, _)| path);
        let route = Route::parse(method, path).expect("a request of the API");
        let (place, needed) = needed(&route);
        met.insert(place);
        Endpoint {
            method,
            rest,
            needed,
        }
    });
    let endpoints = endpoints.collect();
    assert_eq!(met.len(), ROUTES, "one route is not asked for");
    endpoints
}

/// The same where nothing is.
pub(crate) fn all() -> Vec<Endpoint> {
    let digest = images::digest("abcd");
    of(&digest, &digest)
}
