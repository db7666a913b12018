//! Cookies of browsers, and whether it is a page of ours that asks.

use std::time::Duration;

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};

use crate::api::request;
use crate::auth::RequestSource;
use crate::auth::credentials::Secret;

/// What a browser signs in with.
pub(super) const SESSION: &str = "layerhouse_session";

/// What a browser is to keep, or to forget.
pub(super) struct Cookie<'a> {
    pub(super) name: &'a str,
    /// Absent, it is forgotten.
    pub(super) value: Option<&'a Secret>,
    pub(super) path: &'a str,
    pub(super) lifetime: Duration,
    pub(super) same_site: &'a str,
}

impl Cookie<'_> {
    /// `Set-Cookie`
    pub(super) fn header(&self, source: &RequestSource) -> HeaderValue {
        let mut text = format!("{}=", self.name).into_bytes();
        let seconds = match self.value {
            Some(value) => {
                text.extend_from_slice(value.expose());
                self.lifetime.as_secs()
            }
            None => 0,
        };
        let (path, same_site) = (self.path, self.same_site);
        let attributes =
            format!("; Max-Age={seconds}; Path={path}; HttpOnly; SameSite={same_site}");
        text.extend_from_slice(attributes.as_bytes());
        if source.base_url().starts_with("https://") {
            text.extend_from_slice(b"; Secure");
        }
        // What we seal and what we make up are letters and digits; a path of the operator's may not be.
        let mut value =
            HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("a="));
        value.set_sensitive(true);
        value
    }
}

/// `Set-Cookie` for a session.
pub(super) fn session(secret: &Secret, lifetime: Duration, source: &RequestSource) -> HeaderValue {
    let cookie = Cookie {
        name: SESSION,
        value: Some(secret),
        path: "/",
        lifetime,
        same_site: "Strict",
    };
    cookie.header(source)
}

/// The cookie of this name; none if several claim to be it.
pub(super) fn find(headers: &HeaderMap, name: &str) -> Option<Secret> {
    let lines = headers.get_all(header::COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let values = pairs.filter_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(name.as_bytes())?;
        value.strip_prefix(b"=")
    });
    let values: Vec<_> = values.take(2).collect();
    match values[..] {
        [value] => Some(Secret::new(value)),
        _ => None,
    }
}

/// A browser says where the page is that asks, and lets no page say otherwise.
pub(super) fn is_own_page(headers: &HeaderMap, source: &RequestSource) -> bool {
    let url = source.base_url();
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", &url));
    let host = rest.split('/').next().unwrap_or_default();
    match request::text(headers, &HeaderName::from_static("sec-fetch-site")) {
        Some(site) => site == "same-origin",
        None => request::text(headers, &header::ORIGIN)
            .is_some_and(|origin| origin.eq_ignore_ascii_case(&format!("{scheme}://{host}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies() {
        let check = |lines: &[&str], expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            for line in lines {
                let line = HeaderValue::from_str(line).expect("a header");
                headers.append(header::COOKIE, line);
            }
            let found = find(&headers, SESSION);
            let found = found
                .as_ref()
                .map(|secret| String::from_utf8_lossy(secret.expose()));
            assert_eq!(found.as_deref(), expected, "{lines:?}");
        };
        check(&[], None);
        check(&["a=b"], None);
        check(&["layerhouse_session=lhs_x"], Some("lhs_x"));
        check(&["a=b; layerhouse_session=lhs_x;c"], Some("lhs_x"));
        check(&["a=b", "layerhouse_session=lhs_x"], Some("lhs_x"));
        check(&["xlayerhouse_session=lhs_x"], None);
        check(&["layerhouse_session"], None);
        check(&["layerhouse_session=a; layerhouse_session=b"], None);
        check(&["layerhouse_session=a", "layerhouse_session=b"], None);
    }
}
