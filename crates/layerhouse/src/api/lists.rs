//! Lists: `_catalog`, `tags/list` (end-8), `referrers` (end-12), a page at a time.

use http::header::{self, HeaderName, HeaderValue};
use http::{Request, StatusCode};
use layerhouse_oci::digest::Digest;
use layerhouse_oci::error_code::Code;
use layerhouse_oci::media_type::OCI_INDEX;
use serde_json::{Value, json};

use super::blobs::set;
use super::error::ApiError;
use super::{Answer, Call, mirror, request};
use crate::auth::{Granted, GrantedBrowse, Pull};
use crate::meta::manifests::Referrer;
use crate::registry::mirror::routing::Source;
use crate::registry::pages::PageQuery;

/// Repositories on a page when the client does not say, as registry:2.
const CATALOG_PAGE: usize = 100;

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// GET `/v2/_catalog?n&last`.
pub(super) fn catalog<B>(
    call: &Call,
    browse: &GrantedBrowse,
    request: &Request<B>,
) -> Result<Answer, ApiError> {
    let last = request::query(request, "last");
    let limit_max = call.settings.catalog_max;
    let limit = page_limit(request, CATALOG_PAGE, limit_max)?;
    let page = call.api.registry.list_repositories(
        browse,
        PageQuery {
            after: last.as_deref(),
            limit,
        },
    )?;
    let content = json!({ "repositories": page.items });
    let mut answer = list(&content);
    if page.has_more
        && let Some(last) = page.items.last()
    {
        link_next(
            call,
            &mut answer,
            "/v2/_catalog",
            &[("last", last), ("n", &limit.to_string())],
        );
    }
    Ok(answer)
}

/// GET `/v2/<name>/tags/list?n&last` (end-8).
pub(super) async fn tags<B>(
    call: &Call,
    pull: &Granted<Pull>,
    source: Option<&Source>,
    request: &Request<B>,
) -> Result<Answer, ApiError> {
    let last = request::query(request, "last");
    let limit_max = call.settings.tags_max;
    let limit = page_limit(request, limit_max, limit_max)?;
    let query = PageQuery {
        after: last.as_deref(),
        limit,
    };
    let page = match source {
        Some(source) => Box::pin(mirror::tags(call, pull, source, query)).await?,
        None => call.api.registry.list_tags(pull, query)?.ok_or_else(|| {
            ApiError::new(
                StatusCode::NOT_FOUND,
                Code::NameUnknown,
                "there is no such repository",
            )
        })?,
    };
    let name = pull.repository().as_str();
    let mut answer = list(&json!({ "name": name, "tags": page.items }));
    if page.has_more
        && let Some(last) = page.items.last()
    {
        let path = format!("/v2/{name}/tags/list");
        link_next(
            call,
            &mut answer,
            &path,
            &[("last", last), ("n", &limit.to_string())],
        );
    }
    Ok(answer)
}

/// GET `/v2/<name>/referrers/<digest>?artifactType` (end-12).
pub(super) async fn referrers<B>(
    call: &Call,
    pull: &Granted<Pull>,
    source: Option<&Source>,
    subject: &Digest,
    request: &Request<B>,
) -> Result<Answer, ApiError> {
    let last = request::query(request, "last");
    // A media type has no space, but many have a plus, which a query may mean by one.
    let artifact_type = request::query(request, "artifactType").map(|text| text.replace(' ', "+"));
    if let Some(source) = source
        && let Some(manifests) = Box::pin(mirror::referrers(
            call,
            source,
            subject,
            artifact_type.as_deref(),
        ))
        .await
    {
        return Ok(referrers_index(&manifests, artifact_type.is_some()));
    }
    let registry = &call.api.registry;
    let page = registry.list_referrers(pull, subject, artifact_type.as_deref(), last.as_deref())?;
    let manifests: Vec<Value> = page.items.iter().map(descriptor).collect();
    let mut answer = referrers_index(&manifests, artifact_type.is_some());
    if page.has_more
        && let Some(last) = page.items.last()
    {
        let path = format!("/v2/{}/referrers/{subject}", pull.repository());
        let mut query = vec![("last", last.digest.as_str())];
        query.extend(
            artifact_type
                .as_deref()
                .map(|artifact_type| ("artifactType", artifact_type)),
        );
        link_next(call, &mut answer, &path, &query);
    }
    Ok(answer)
}

fn referrers_index(manifests: &[Value], is_filtered: bool) -> Answer {
    let content = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests });
    let content = content.to_string().into_bytes();
    let mut answer = super::json(StatusCode::OK, OCI_INDEX, content);
    if is_filtered {
        let filters = HeaderValue::from_static("artifactType");
        answer.headers_mut().insert(FILTERS_APPLIED, filters);
    }
    answer
}

fn descriptor(referrer: &Referrer) -> Value {
    let mut descriptor = json!({
        "mediaType": referrer.media_type,
        "digest": referrer.digest.as_str(),
        "size": referrer.size_bytes,
    });
    if let Some(artifact_type) = &referrer.artifact_type {
        descriptor["artifactType"] = json!(artifact_type);
    }
    if let Some(annotations) = &referrer.annotations
        && let Ok(annotations) = serde_json::from_str::<Value>(annotations)
    {
        descriptor["annotations"] = annotations;
    }
    descriptor
}

/// `n`: how many the client wants, never more than a page.
fn page_limit<B>(
    request: &Request<B>,
    default: usize,
    limit_max: usize,
) -> Result<usize, ApiError> {
    let Some(text) = request::query(request, "n") else {
        return Ok(default.min(limit_max));
    };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            Code::PaginationNumberInvalid,
            "n is how many entries to list: a whole number",
        ));
    }
    // A number too long to be read is more than a page, too.
    Ok(text.parse().unwrap_or(limit_max).min(limit_max))
}

/// `Link: <…>; rel="next"` (RFC 8288); a path alone, which clients resolve against the request.
fn link_next(call: &Call, answer: &mut Answer, path: &str, query: &[(&str, &str)]) {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query)
        .finish();
    let path = call.settings.http.outer_path(path);
    set(
        answer,
        header::LINK,
        &format!("<{path}?{query}>; rel=\"next\""),
    );
}

/// Ends with a line feed, as registry:2's lists do: people read them in terminals.
fn list(content: &Value) -> Answer {
    let content = format!("{content}\n").into_bytes();
    super::json(StatusCode::OK, "application/json", content)
}
