//! No parser takes longer than its input is long: a megabyte of what makes others slow.

use std::hint::black_box;
use std::time::{Duration, Instant};

use layerhouse_oci::accept::negotiate;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::manifest::Manifest;
use layerhouse_oci::media_type::{ManifestKind, MediaType};
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::range::{ContentRange, resolve};
use layerhouse_oci::reference::Reference;
use layerhouse_oci::route::Route;
use layerhouse_oci::upload_id::UploadId;

const LENGTH_BYTES: usize = 1 << 20;

/// What would take a quadratic parser hours takes a linear one milliseconds, even without
/// optimization; the rest of this is for busy machines.
const PATIENCE: Duration = Duration::from_secs(10);

fn check(patterns: &[&str], parse: impl Fn(&str)) {
    for pattern in patterns {
        let text = pattern.repeat(LENGTH_BYTES / pattern.len());
        let start = Instant::now();
        parse(&text);
        assert!(
            start.elapsed() < PATIENCE,
            "{pattern:?} took {:?}",
            start.elapsed()
        );
    }
}

#[test]
fn names_are_read_in_linear_time() {
    let patterns = ["a", "a-", "-", "__", "a/", "../", "0", "a:", "\0", "é"];
    check(&patterns, |text| {
        assert!(text.parse::<RepositoryName>().is_err());
        assert!(text.parse::<Reference>().is_err());
        assert!(text.parse::<Digest>().is_err());
        assert!(format!("sha256:{text}").parse::<Digest>().is_err());
        assert!(text.parse::<UploadId>().is_err());
    });
}

#[test]
fn paths_are_read_in_linear_time() {
    let patterns = [
        "a/",
        "/",
        "%2f",
        "%252e",
        "%",
        "blobs/uploads/",
        "/tags/list",
        "é",
    ];
    check(&patterns, |text| {
        assert!(Route::parse("GET", text).is_err());
        assert!(Route::parse("GET", &format!("/v2/{text}/tags/list")).is_err());
        assert!(Route::parse("GET", &format!("/v2/a/manifests/{text}")).is_err());
    });
}

#[test]
fn headers_are_read_in_linear_time() {
    check(&["9", "9-", "-", "0-1,", " "], |text| {
        assert!(text.parse::<ContentRange>().is_err());
        black_box(resolve(text, 10));
        black_box(resolve(&format!("bytes={text}"), 10));
    });
    check(&["a", "/", ";", "a/b,", "a/b;q=0,", " "], |text| {
        let _ = black_box(format!("{text}/").parse::<MediaType>());
        assert!(format!("a/b;{text}").parse::<MediaType>().is_ok());
        black_box(negotiate(&[text], ManifestKind::OciIndex, true));
    });
}

#[test]
fn manifests_are_read_in_linear_time() {
    let patterns = ["[", "{\"a\":", "\"a\":1,", "1,", "{},", "\\u0061", " ", "9"];
    check(&patterns, |text| {
        for opening in ["", "[", "{", "{\"a\":", "\""] {
            assert!(Manifest::parse(format!("{opening}{text}").as_bytes(), None).is_err());
        }
    });
    let with_keys = |count: usize| {
        let keys: Vec<_> = (0..count).map(|key| format!("\"{key}\":0")).collect();
        format!(
            "{{\"schemaVersion\":2,\"manifests\":[],\"x\":{{{}}}}}",
            keys.join(",")
        )
    };
    assert!(Manifest::parse(with_keys(100_000).as_bytes(), None).is_ok());
    assert!(Manifest::parse(with_keys(200_000).as_bytes(), None).is_err());
}
