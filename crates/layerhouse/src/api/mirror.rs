//! Reads of other registries' repositories: which a request means, and what an upstream's failure is to a client.

use http::header::{self, HeaderName, HeaderValue};
use http::{Request, StatusCode};
use layerhouse_oci::digest::Digest;
use layerhouse_oci::error_code::Code;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;
use layerhouse_oci::route::Route;
use serde_json::Value;

use super::error::ApiError;
use super::{Answer, Call, Settings, request};
use crate::auth::issue::scopes::Scope;
use crate::auth::{Granted, Pull};
use crate::outbound::upstream::error::UpstreamError;
use crate::registry::Registry;
use crate::registry::mirror::MirrorError;
use crate::registry::mirror::manifests::{Found, Freshness};
use crate::registry::mirror::routing::{Place, RoutingError, Source};
use crate::registry::pages::{Page, PageQuery};

/// RFC 7234, 5.5; caches of today ignore it, people and logs do not.
const WARNING: HeaderName = HeaderName::from_static("warning");

/// Where a request leads.
pub(super) enum Through {
    /// To what was pushed here.
    Hosted,
    /// To a copy; the route names it.
    Copy(Source),
    /// It would write where copies are.
    Refused(ApiError),
}

/// Where a request leads; the route's name becomes the one that its repository has here.
pub(super) fn resolve<B>(
    registry: &Registry,
    settings: &Settings,
    route: &mut Route,
    request: &Request<B>,
) -> Result<Through, ApiError> {
    let is_read = is_read(route);
    let Some(asked) = route.repository_mut() else {
        return Ok(Through::Hosted);
    };
    let Some(mirror) = registry.mirror() else {
        settings.name(asked);
        return Ok(Through::Hosted);
    };
    let mut hosted = asked.clone();
    settings.name(&mut hosted);
    let is_own = registry.is_own(&mirror, &hosted)?;
    if !is_read {
        let is_refused = mirror.is_copy(&hosted) && (!is_own || mirror.settings.is_proxy);
        let is_delete = matches!(
            route,
            Route::DeleteManifest { .. } | Route::DeleteBlob { .. }
        );
        if let Some(asked) = route.repository_mut() {
            *asked = hosted;
        }
        // What is deleted of a copy is fetched again by who pulls it.
        return Ok(if is_refused && (!is_delete || mirror.settings.is_proxy) {
            Through::Refused(read_only(mirror.settings.is_proxy))
        } else {
            Through::Hosted
        });
    }
    let ns = request::query(request, "ns");
    match mirror.resolve(asked, ns.as_deref().filter(|ns| !ns.is_empty()), is_own)? {
        Place::Hosted => {
            *asked = hosted;
            Ok(Through::Hosted)
        }
        Place::Copy(mut source) => {
            settings.name(&mut source.copy);
            asked.clone_from(&source.copy);
            Ok(Through::Copy(source))
        }
    }
}

/// Docker asks for a token by the name that it was given, whatever the challenge says: the token is for the copy, too,
/// that such a name leads to. What of it its holder may do is decided there.
pub(super) fn add_copies(
    registry: &Registry,
    settings: &Settings,
    scopes: &mut Vec<Scope>,
) -> Result<(), ApiError> {
    let Some(mirror) = registry.mirror() else {
        return Ok(());
    };
    let mut copies = Vec::new();
    for scope in scopes.iter() {
        let wants_pull = scope.kind == "repository" && scope.actions.iter().any(|is| is == "pull");
        let Some(asked) = scope.name.parse().ok().filter(|_| wants_pull) else {
            continue;
        };
        let mut hosted: RepositoryName = asked;
        let asked = hosted.clone();
        settings.name(&mut hosted);
        let is_own = registry.is_own(&mirror, &hosted)?;
        if let Ok(Place::Copy(mut source)) = mirror.resolve(&asked, None, is_own) {
            settings.name(&mut source.copy);
            if source.copy != asked {
                copies.push(Scope {
                    name: source.copy.as_str().to_owned(),
                    actions: vec!["pull".to_owned()],
                    ..scope.clone()
                });
            }
        }
    }
    scopes.extend(copies);
    Ok(())
}

fn is_read(route: &Route) -> bool {
    match route {
        Route::Base
        | Route::Preflight
        | Route::Catalog
        | Route::ListTags { .. }
        | Route::ListReferrers { .. }
        | Route::PullManifest { .. }
        | Route::PullBlob { .. } => true,
        Route::PushManifest { .. }
        | Route::DeleteManifest { .. }
        | Route::DeleteBlob { .. }
        | Route::StartUpload { .. }
        | Route::UploadStatus { .. }
        | Route::PushChunk { .. }
        | Route::FinishUpload { .. }
        | Route::CancelUpload { .. } => false,
    }
}

fn read_only(is_proxy: bool) -> ApiError {
    let message = if is_proxy {
        "this registry is a mirror (proxy.remoteurl) and takes no pushes; push to the registry that it mirrors"
    } else {
        "copies of another registry are kept under this name, so nothing can be pushed to it; push under another"
    };
    let allow = HeaderValue::from_static("GET, HEAD");
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, message)
        .with(header::ALLOW, allow)
}

/// The manifest that a request means, and whether it may be old.
pub(super) async fn manifest(
    call: &Call,
    pull: &Granted<Pull>,
    source: &Source,
    reference: &Reference,
) -> Result<Found, ApiError> {
    let registry = &call.api.registry;
    let found = registry.pull_manifest_through(pull, source, reference);
    found
        .await
        .map_err(|error| failed(source, &error, Code::ManifestUnknown))
}

/// Tells a client that what it gets may be old.
pub(super) fn warn(answer: &mut Answer, freshness: Freshness) {
    let warning = match freshness {
        Freshness::Fresh => return,
        Freshness::Stale => "110 - \"Response is Stale\"",
        Freshness::Offline => "112 - \"Disconnected Operation\"",
    };
    let warning = HeaderValue::from_static(warning);
    answer.headers_mut().insert(WARNING, warning);
}

/// A page of the upstream's tags; of the copy's, if it cannot be asked.
pub(super) async fn tags(
    call: &Call,
    pull: &Granted<Pull>,
    source: &Source,
    query: PageQuery<'_>,
) -> Result<Page<String>, ApiError> {
    let registry = &call.api.registry;
    let listed = registry.list_tags_through(pull, source, query).await;
    listed.map_err(|error| failed(source, &error, Code::NameUnknown))
}

/// The descriptors of the upstream's referrers; absent, if it cannot be asked or does not know of any.
pub(super) async fn referrers(
    call: &Call,
    source: &Source,
    subject: &Digest,
    artifact_type: Option<&str>,
) -> Option<Vec<Value>> {
    let index = call.api.registry.referrers_through(source, subject).await?;
    let mut index: Value = serde_json::from_slice(&index).ok()?;
    let Value::Array(mut manifests) = index["manifests"].take() else {
        return None;
    };
    if let Some(wanted) = artifact_type {
        manifests.retain(|manifest| manifest["artifactType"] == wanted);
    }
    Some(manifests)
}

/// A failure of an upstream's; `unknown` is what is said of what it does not have.
pub(super) fn failed(source: &Source, error: &MirrorError, unknown: Code) -> ApiError {
    let message = error.to_string();
    let answer = |status, code| ApiError::new(status, code, message.clone());
    match error {
        MirrorError::Fault(fault) => ApiError::of_fault(fault),
        MirrorError::Absent { .. } | MirrorError::Offline => answer(StatusCode::NOT_FOUND, unknown),
        MirrorError::Invalid { .. } => answer(StatusCode::BAD_GATEWAY, Code::Unavailable),
        MirrorError::Upstream(error) => match error {
            // Registries say that we may not of what is not there, too; and it is not the client's to mend.
            UpstreamError::NotFound(_) | UpstreamError::Denied(_) => {
                answer(StatusCode::NOT_FOUND, unknown)
            }
            UpstreamError::RateLimited { retry_after, .. } => {
                let wait = retry_after.map_or(60, |wait| wait.as_secs().max(1));
                answer(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests)
                    .with(header::RETRY_AFTER, HeaderValue::from(wait))
            }
            UpstreamError::Slow(_) => answer(StatusCode::GATEWAY_TIMEOUT, Code::Unavailable),
            UpstreamError::Unreachable(_)
            | UpstreamError::Broken(_)
            | UpstreamError::Forbidden(_)
            | UpstreamError::Invalid(_) => answer(StatusCode::BAD_GATEWAY, Code::Unavailable),
        },
    }
    .with_detail(serde_json::json!({ "upstream": source.served.name() }))
    .with_reason(&message)
}

impl From<RoutingError> for ApiError {
    fn from(error: RoutingError) -> Self {
        let message = error.to_string();
        match error {
            RoutingError::UnknownUpstream { .. } => {
                Self::new(StatusCode::NOT_FOUND, Code::NameUnknown, message)
            }
            RoutingError::NotServed { .. } => {
                Self::new(StatusCode::FORBIDDEN, Code::Denied, message)
            }
            RoutingError::TooLong { .. } => {
                Self::new(StatusCode::BAD_REQUEST, Code::NameInvalid, message)
            }
        }
    }
}
