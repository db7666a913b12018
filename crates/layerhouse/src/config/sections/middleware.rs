//! `middleware`: what changes the addresses that pulls are sent to; other middlewares are accepted.

use std::path::PathBuf;
use std::time::Duration;

use crate::blobs::objects::settings::{Bucket, Service};
use crate::blobs::redirection::{Change, CloudFront, Rewrite};
use crate::config::reader::Section;

/// registry:2's `duration` of an address of CloudFront's.
const CLOUDFRONT_VALID: Duration = Duration::from_mins(20);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Redirect,
    Rewrite,
    CloudFront,
}

/// `redirects`: pulls are to be sent elsewhere at all.
pub(super) fn read(root: &Section<'_>, bucket: Option<&Bucket>, redirects: bool) -> Vec<Change> {
    let middleware = root.section("middleware");
    for key in ["registry", "repository"] {
        middleware.ignore(
            key,
            "is accepted and does nothing: no code of others is loaded",
        );
    }
    let mut changes = Vec::new();
    for section in middleware.sections("storage") {
        if section.flag("disabled", false) {
            section.take_all("name");
            section.take_all("options");
            continue;
        }
        let kinds = [
            ("redirect", Kind::Redirect),
            ("rewrite", Kind::Rewrite),
            ("cloudfront", Kind::CloudFront),
        ];
        if !section.has("name") {
            section.refuse("name", "is missing: redirect, rewrite or cloudfront");
        }
        let options = section.section("options");
        let change = match section.word("name", &kinds, None) {
            None => {
                section.take_all("options");
                None
            }
            Some(Kind::Redirect) => Some(Change::Server(address(&options, false))),
            Some(Kind::Rewrite) => rewrite(&section, &options, bucket, &changes),
            Some(Kind::CloudFront) => cloudfront(&section, &options, bucket),
        };
        changes.extend(change);
    }
    if !redirects && !changes.is_empty() {
        middleware.warn(
            "storage",
            "does nothing: storage.redirect.disable says that no pull is sent elsewhere",
        );
        changes.clear();
    }
    changes
}

/// `baseurl`, without a slash at its end. CloudFront's may lack the scheme, as in registry:2.
fn address(options: &Section<'_>, may_lack_scheme: bool) -> String {
    let mut text = options.text_needed("baseurl");
    if text.is_empty() {
        return text;
    }
    if may_lack_scheme && !text.contains("://") {
        text = format!("https://{text}");
    }
    let parsed = text.parse::<http::Uri>().ok();
    let is_plain = parsed.is_some_and(|parsed| {
        matches!(parsed.scheme_str(), Some("http" | "https")) && parsed.query().is_none()
    });
    if !is_plain || text.contains(['@', '#', '"', '\\']) {
        options.refuse(
            "baseurl",
            "is no address that paths can be put behind; write https://host/path",
        );
    }
    text.trim_end_matches('/').to_owned()
}

fn rewrite(
    section: &Section<'_>,
    options: &Section<'_>,
    bucket: Option<&Bucket>,
    before: &[Change],
) -> Option<Change> {
    let schemes = [("http", "http"), ("https", "https")];
    let scheme = options.word("scheme", &schemes, None).map(str::to_owned);
    let host = options.text("host");
    if let Some(host) = &host
        && (host.contains('@') || host.parse::<http::uri::Authority>().is_err())
    {
        options.refuse("host", "is no host; write host or host:port");
    }
    let path_prefix = options.text("trimpathprefix");
    let has_address = bucket.is_some_and(|bucket| bucket.redirects) || !before.is_empty();
    if !has_address {
        section.warn(
            "name",
            "rewrite does nothing: there is no address to rewrite, for this storage signs none",
        );
        return None;
    }
    Some(Change::Rewrite(Rewrite {
        scheme,
        host,
        path_prefix,
    }))
}

fn cloudfront(
    section: &Section<'_>,
    options: &Section<'_>,
    bucket: Option<&Bucket>,
) -> Option<Change> {
    let front = CloudFront {
        base: address(options, true),
        key: PathBuf::from(options.text_needed("privatekey")),
        key_id: options.text_needed("keypairid"),
        valid: options.duration_or("duration", CLOUDFRONT_VALID),
    };
    let is_id = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !front.key_id.bytes().all(is_id) {
        options.refuse("keypairid", "is no id of a key: letters and digits");
    }
    let filters = [
        ("none", false),
        ("", false),
        ("aws", true),
        ("awsregion", true),
    ];
    if options.word("ipfilteredby", &filters, Some("none")) == Some(true) {
        options.refuse(
            "ipfilteredby",
            "needs the list of Amazon's networks, which this release does not fetch; write none, and all clients are \
             sent to CloudFront",
        );
    }
    for key in [
        "awsregion",
        "updatefrequency",
        "updatefrenquency",
        "iprangesurl",
    ] {
        options.ignore(key, "does nothing without ipfilteredby");
    }
    let is_s3 = bucket.is_some_and(|bucket| matches!(bucket.service, Service::S3(_)));
    if !is_s3 {
        section.warn(
            "name",
            "cloudfront does nothing, as in registry:2: it reads a bucket of S3",
        );
        return None;
    }
    Some(Change::CloudFront(front))
}
