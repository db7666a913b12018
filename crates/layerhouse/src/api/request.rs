//! Reading requests: bounds of their heads, queries, the headers that matter.

use std::borrow::Cow;

use http::header::{self, HeaderName};
use http::{HeaderMap, Request, StatusCode};
use layerhouse_oci::error_code::Code;
use layerhouse_oci::range::ContentRange;

use super::error::ApiError;
use super::{HEADER_BYTES_MAX, URI_BYTES_MAX};
use crate::registry::uploads::Chunk;

/// Refuses heads that no client of a registry sends.
pub(super) fn check_size<B>(request: &Request<B>) -> Result<(), ApiError> {
    let uri_bytes = request
        .uri()
        .path_and_query()
        .map_or(0, |uri| uri.as_str().len());
    if URI_BYTES_MAX < uri_bytes {
        let message = format!("the URL has {uri_bytes} bytes; at most {URI_BYTES_MAX} are read");
        return Err(ApiError::new(
            StatusCode::URI_TOO_LONG,
            Code::NameInvalid,
            message,
        ));
    }
    let lengths = request
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len());
    let header_bytes: usize = lengths.sum();
    if HEADER_BYTES_MAX < header_bytes {
        return Err(ApiError::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Code::Unsupported,
            format!("the headers have {header_bytes} bytes; at most {HEADER_BYTES_MAX} are read"),
        ));
    }
    Ok(())
}

/// Whether the connection must end with this request, because a proxy in front may have read the end
/// of its body elsewhere and what follows may be part of it.
///
/// hyper takes `Transfer-Encoding` and drops a `Content-Length` beside it, unseen by us; after such a
/// request the connection must be closed (RFC 9112, 6.1). So it is after every one of that form:
/// a new connection costs less than the doubt.
pub(super) fn ends_connection<B>(request: &Request<B>) -> bool {
    request.headers().contains_key(header::TRANSFER_ENCODING)
}

/// The first value of a query parameter.
pub(super) fn query<'a, B>(request: &'a Request<B>, name: &str) -> Option<Cow<'a, str>> {
    let query = request.uri().query().unwrap_or("");
    form_urlencoded::parse(query.as_bytes())
        .find(|(found, _)| found == name)
        .map(|(_, value)| value)
}

/// A header as text; one that is not text counts as absent.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether the client has what `digest` names already (RFC 9110, 13.1.2).
pub(super) fn is_known(headers: &HeaderMap, digest: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'))
        .any(|tag| tag == digest || tag == "*")
}

/// What the head says of a chunk.
pub(super) fn chunk(headers: &HeaderMap) -> Result<Chunk, ApiError> {
    let range = match text(headers, &header::CONTENT_RANGE) {
        None if headers.contains_key(header::CONTENT_RANGE) => Err("it is not text".to_owned()),
        None => Ok(None),
        Some(text) => text
            .parse::<ContentRange>()
            .map(Some)
            .map_err(|error| error.to_string()),
    };
    let range = range.map_err(|problem| {
        let message = format!("Content-Range: {problem}; write it as 0-1023");
        ApiError::new(StatusCode::BAD_REQUEST, Code::RangeInvalid, message)
    })?;
    Ok(Chunk {
        range,
        length_bytes: length_bytes(headers),
    })
}

/// `Content-Length`, if the client sent it.
pub(super) fn length_bytes(headers: &HeaderMap) -> Option<u64> {
    text(headers, &header::CONTENT_LENGTH)?.parse().ok()
}
