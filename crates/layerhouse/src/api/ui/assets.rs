//! Files that pages need: one style, one script, one picture. They are part of the binary, and their address
//! has the digest of what they are, so that browsers keep them.

use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use layerhouse_oci::digest::{Algorithm, Digest};

use crate::api::Answer;
use crate::api::body::ResponseBody;

struct Asset {
    name: &'static str,
    media_type: &'static str,
    content: &'static [u8],
    /// The same in gzip.
    gzip: Bytes,
    /// The first digits of its digest.
    version: String,
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    let asset = |name, media_type, content: &'static [u8]| Asset {
        name,
        media_type,
        content,
        gzip: super::gzip(content, Compression::best()).into(),
        version: Digest::of(Algorithm::Sha256, content).hex()[..12].to_owned(),
    };
    [
        asset(
            "style.css",
            "text/css; charset=utf-8",
            include_bytes!("assets/style.css"),
        ),
        asset(
            "script.js",
            "text/javascript; charset=utf-8",
            include_bytes!("assets/script.js"),
        ),
        asset(
            "icon.svg",
            "image/svg+xml",
            include_bytes!("assets/icon.svg"),
        ),
    ]
});

/// Where a file of ours is, behind the operator's prefix.
pub(super) fn path(file: &str) -> String {
    let asset = ASSETS.iter().find(|asset| asset.name == file);
    let version = asset.map_or("none", |asset| &asset.version);
    format!("{}/assets/{version}/{file}", super::ROOT)
}

/// Answers a request for a file. One of an earlier release is gone: who has its page loads that anew.
pub(super) fn answer(version: &str, file: &str, accepts_gzip: bool) -> Answer {
    let found = ASSETS
        .iter()
        .find(|asset| asset.name == file && asset.version == version);
    let Some(asset) = found else {
        let mut answer = super::super::plain(StatusCode::NOT_FOUND, "there is no such file\n");
        let uncached = HeaderValue::from_static("no-store");
        answer.headers_mut().insert(header::CACHE_CONTROL, uncached);
        return answer;
    };
    let content = if accepts_gzip {
        asset.gzip.clone()
    } else {
        Bytes::from_static(asset.content)
    };
    let mut answer = Response::new(ResponseBody::Whole(content));
    let headers = answer.headers_mut();
    if accepts_gzip {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let kept = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(asset.media_type),
    );
    headers.insert(header::CACHE_CONTROL, kept);
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    answer
}

/// A small picture in the colour of the text around it, 16 units wide and high; none for an unknown name.
pub(super) fn icon(name: &str) -> String {
    let path = match name {
        "copy" => "M5 5V2h9v9h-3M2 5h9v9H2z",
        "search" => "M7 2a5 5 0 1 0 0 10A5 5 0 0 0 7 2m4 9 4 4",
        "tag" => "M2 2h6l6 6-6 6-6-6zM5 5h.01",
        "star" => "m8 2 1.8 3.9 4.2.5-3.1 2.9.8 4.2L8 11.4l-3.7 2.1.8-4.2L2 6.4l4.2-.5z",
        "lock" => "M4 7h8v7H4zM5.5 7V5a2.5 2.5 0 0 1 5 0v2",
        "globe" => "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M2 8h12M8 2c4 4 4 8 0 12-4-4-4-8 0-12",
        "check" => "m3 8 4 4 6-8",
        "warning" => "m8 2 6.5 12h-13zM8 7v3m0 2v.01",
        "trash" => "M3 4h10M6 4V2h4v2M4.5 4l.5 10h6l.5-10",
        "history" => "M2.5 5.5A6 6 0 1 1 2 8M2 3v3h3M8 5v3l2 2",
        "layers" => "m8 2 6 3-6 3-6-3zM2 8l6 3 6-3M2 11l6 3 6-3",
        "box" => "m8 2 6 3v6l-6 3-6-3V5zM2 5l6 3 6-3M8 8v6",
        "user" => "M8 8a3 3 0 1 0 0-6 3 3 0 0 0 0 6m-6 6c0-3 3-4 6-4s6 1 6 4",
        "shield" => "M8 2 3 4v4c0 3 2 5 5 6 3-1 5-3 5-6V4z",
        _ => return String::new(),
    };
    format!(
        "<svg class=\"icon\" viewBox=\"0 0 16 16\" width=\"16\" height=\"16\" aria-hidden=\"true\" focusable=\"false\"><path d=\"{path}\"/></svg>"
    )
}
