//! One function for each parser of foreign bytes: it takes any bytes and asserts what must hold.
//!
//! That nothing panics is the least of it. What is read must print as it was read, every way of
//! asking must give one answer, and what is accepted is compared with a second, simpler reading.
//! `fuzz_targets/` hands these functions to libFuzzer; `tests/smoke.rs` runs them on stable.
#![expect(
    clippy::missing_panics_doc,
    reason = "a panic is how a target reports what it found"
)]

use std::borrow::Cow;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use layerhouse::config::Surroundings;
use layerhouse::config::meaning::Config;
use layerhouse_oci::accept::{Negotiated, negotiate};
use layerhouse_oci::descriptor::Descriptor;
use layerhouse_oci::digest::{Algorithm, Digest, Hasher};
use layerhouse_oci::manifest::{DESCRIPTORS_MAX, Manifest};
use layerhouse_oci::media_type::{ManifestKind, MediaType};
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::range::{ContentRange, Requested, resolve};
use layerhouse_oci::reference::Reference;
use layerhouse_oci::route::{Route, RouteError};
use layerhouse_oci::tag_at::TagAt;
use layerhouse_oci::upload_id::UploadId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Takes any bytes; panics if something does not hold.
pub type Target = fn(&[u8]);

/// Every target by its name, which its seeds and its binary share.
pub const TARGETS: [(&str, Target); 19] = [
    ("accept", accept),
    ("address", address),
    ("authorization", authorization),
    ("challenge", challenge),
    ("config", config),
    ("digest", digest),
    ("docker_config", docker_config),
    ("keys", keys),
    ("manifest", manifest),
    ("markdown", markdown),
    ("media_type", media_type),
    ("name", name),
    ("range", range),
    ("reference", reference),
    ("route", route),
    ("scopes", scopes),
    ("token", token),
    ("upload_id", upload_id),
    ("users", users),
];

/// An address of a page, or what leads to one.
pub fn address(data: &[u8]) {
    layerhouse::fuzzed_pages::address(data);
}

/// A README.
pub fn markdown(data: &[u8]) {
    layerhouse::fuzzed_pages::markdown(data);
}

/// A request line: method, space, path.
pub fn route(data: &[u8]) {
    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let text = text(data);
    let (method, path) = text.split_once(' ').unwrap_or(("GET", &text));
    let parsed = Route::parse(method, path);
    match &parsed {
        Ok(route) => {
            assert_eq!(
                route.clone().repository_mut().is_some(),
                path_of(route).is_some()
            );
            if let Some(path) = path_of(route) {
                assert_eq!(Route::parse(method, &path).as_ref(), Ok(route), "{path}");
                let encode = |encoded, byte| format!("{encoded}%{byte:02X}");
                let encoded = path.bytes().fold(String::new(), encode);
                assert_eq!(Route::parse(method, &encoded).as_ref(), Ok(route), "{path}");
            }
        }
        Err(RouteError::NotFound) => {
            for method in METHODS {
                assert_eq!(Route::parse(method, path), parsed);
            }
        }
        Err(RouteError::MethodNotAllowed { allow }) => {
            assert!(!allow.split(", ").any(|allowed| allowed == method));
            for allowed in allow.split(", ") {
                assert_ne!(Route::parse(allowed, path), parsed);
            }
        }
        Err(
            RouteError::Name(_)
            | RouteError::Reference(_)
            | RouteError::Digest(_)
            | RouteError::Upload(_),
        ) => assert_eq!(Route::parse("OPTIONS", path), Ok(Route::Preflight)),
    }
}

/// The path that asks for `route`, if it is about a repository.
fn path_of(route: &Route) -> Option<String> {
    Some(match route {
        Route::Base | Route::Catalog | Route::Preflight => return None,
        Route::ListTags { repository } => format!("/v2/{repository}/tags/list"),
        Route::ListReferrers {
            repository,
            subject,
        } => {
            format!("/v2/{repository}/referrers/{subject}")
        }
        Route::PullManifest {
            repository,
            reference,
        }
        | Route::PushManifest {
            repository,
            reference,
        }
        | Route::DeleteManifest {
            repository,
            reference,
        } => format!("/v2/{repository}/manifests/{reference}"),
        Route::PullBlob { repository, digest } | Route::DeleteBlob { repository, digest } => {
            format!("/v2/{repository}/blobs/{digest}")
        }
        Route::StartUpload { repository } => format!("/v2/{repository}/blobs/uploads/"),
        Route::UploadStatus { repository, upload }
        | Route::PushChunk { repository, upload }
        | Route::FinishUpload { repository, upload }
        | Route::CancelUpload { repository, upload } => {
            format!("/v2/{repository}/blobs/uploads/{upload}")
        }
    })
}

/// A configuration file.
pub fn config(data: &[u8]) {
    let text = text(data);
    // A name to listen on would be looked up, and no fuzzer should ask the network.
    if text.contains("addr") {
        return;
    }
    let read = |text: &str| Config::parse("file", text, &Surroundings::default());
    match read(&text) {
        Ok(config) => {
            let printed = config.to_yaml();
            if printed.contains("<hidden>") {
                return;
            }
            let again = read(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
            assert_eq!(printed.lines().count(), again.to_yaml().lines().count());
        }
        Err(error) => assert!(!error.problems.is_empty()),
    }
}

/// The name of a repository.
pub fn name(data: &[u8]) {
    let text = text(data);
    if let Some(repository) = one_door::<RepositoryName>(&text) {
        assert_eq!(repository.as_str(), text);
        assert!((1..=255).contains(&text.len()));
        for component in text.split('/') {
            let is_end =
                |byte: Option<&u8>| byte.is_some_and(|byte| b"_.-".binary_search(byte).is_err());
            let bytes = component.as_bytes();
            assert!(is_end(bytes.first()) && is_end(bytes.last()), "{text}");
            assert!(!component.contains("..") && !component.contains("___"));
        }
        let path = format!("/v2/{text}/tags/list");
        assert_eq!(
            Route::parse("GET", &path),
            Ok(Route::ListTags { repository })
        );
    }
}

/// A tag or a digest.
pub fn reference(data: &[u8]) {
    let text = text(data);
    if let Some(reference) = one_door::<Reference>(&text) {
        assert_eq!(reference.as_str(), text);
        match &reference {
            Reference::Tag(tag) => {
                assert!(tag.as_str().len() <= 128 && !text.contains(':'));
                if let Some(past) = TagAt::parse(tag) {
                    assert!(text.starts_with(past.tag.as_str()));
                    // A day may be written without its time, which takes 8 bytes.
                    if let Ok(printed) = past.to_string().parse() {
                        assert_eq!(TagAt::parse(&printed), Some(past));
                    } else {
                        assert!(120 < text.len());
                    }
                }
            }
            Reference::Digest(digest) => assert_eq!(digest.as_str(), text),
        }
        let parsed = Route::parse("GET", &format!("/v2/a/manifests/{text}"));
        let repository = "a".parse().expect("a name");
        assert_eq!(
            parsed,
            Ok(Route::PullManifest {
                repository,
                reference
            })
        );
    }
}

/// A digest; and bytes to digest, wherever they are split.
pub fn digest(data: &[u8]) {
    let text = text(data);
    if let Some(digest) = one_door::<Digest>(&text) {
        assert_eq!(digest.as_str(), text);
        assert_eq!(
            text,
            format!("{}:{}", digest.algorithm().name(), digest.hex())
        );
        assert_eq!(digest.hex().len(), digest.algorithm().hex_length());
        assert_eq!(digest.hex(), digest.hex().to_lowercase());
    }
    let middle = data.first().map_or(0, |byte| usize::from(*byte)) % (data.len() + 1);
    for algorithm in Algorithm::ALL {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(&data[..middle]);
        hasher.update(&data[middle..]);
        assert_eq!(hasher.hashed_bytes(), data.len() as u64);
        assert_eq!(hasher.finish(), Digest::of(algorithm, data));
    }
}

/// The id of an upload.
pub fn upload_id(data: &[u8]) {
    let text = text(data);
    if let Some(upload) = one_door::<UploadId>(&text) {
        assert_eq!(upload.as_str(), text);
        let parts: Vec<_> = text.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
    }
    if let Some(random) = data.first_chunk() {
        let upload = UploadId::from_random(u128::from_be_bytes(*random));
        assert_eq!(one_door::<UploadId>(upload.as_str()), Some(upload));
    }
}

/// A `Content-Type`.
pub fn media_type(data: &[u8]) {
    let text = text(data);
    if let Some(media_type) = one_door::<MediaType>(&text) {
        let printed = media_type.as_str();
        assert!((3..=255).contains(&printed.len()) && printed.is_ascii());
        assert!(text.trim_start_matches([' ', '\t']).starts_with(printed));
        assert_eq!(printed.matches('/').count(), 1);
    }
}

/// The size of a blob in decimal, a space, and a `Range` or `Content-Range`.
pub fn range(data: &[u8]) {
    let text = text(data);
    let (size, header) = text.split_once(' ').unwrap_or(("10", &text));
    let size_bytes = size.parse().unwrap_or(u64::MAX);
    if let Requested::Part { first, last } = resolve(header, size_bytes) {
        assert!(first <= last && last < size_bytes);
        assert_eq!(
            resolve(&format!("bytes={first}-{last}"), size_bytes),
            Requested::Part { first, last }
        );
    }
    if let Ok(range) = header.parse::<ContentRange>() {
        assert!(range.first <= range.last && range.last < u64::MAX);
        assert_eq!(range.length_bytes() - 1, range.last - range.first);
        assert_eq!(range.to_string().parse().as_ref(), Ok(&range));
        // As the range of a pull it names the same bytes.
        let (first, last) = (range.first, range.last);
        assert_eq!(
            resolve(&format!("bytes={range}"), u64::MAX),
            Requested::Part { first, last }
        );
    }
}

/// `Accept` headers, one to a line; their length chooses which manifest is asked for.
pub fn accept(data: &[u8]) {
    let text = text(data);
    let lines: Vec<_> = text.lines().collect();
    let stored = ManifestKind::ALL[data.len() % ManifestKind::ALL.len()];
    let by_tag = negotiate(&lines, stored, true);
    let by_digest = negotiate(&lines, stored, false);
    let is_replaced = by_tag == Negotiated::PlatformChild;
    if stored == ManifestKind::DockerList {
        // By digest nothing may take its place.
        assert_eq!(by_digest, Negotiated::AsStored);
    } else {
        // An index that may be replaced is the one difference.
        assert_eq!(by_tag != by_digest, is_replaced);
    }
    assert!(!is_replaced || stored.is_index());
    assert_ne!(by_digest, Negotiated::PlatformChild);
    let is_refused = by_digest == Negotiated::NotAcceptable;
    assert!(!is_refused || stored != ManifestKind::DockerManifest);
    // How the entries are spread over headers changes nothing, and one more accepts more.
    let joined = lines.join(",");
    assert_eq!(negotiate(&[&joined], stored, true), by_tag);
    let more = format!("{joined},{}", stored.media_type());
    assert_eq!(negotiate(&[&more], stored, false), Negotiated::AsStored);
}

/// A manifest.
pub fn manifest(data: &[u8]) {
    let untyped = Manifest::parse(data, None);
    let mut accepted = 0;
    for kind in ManifestKind::ALL {
        let content_type: MediaType = kind.media_type().parse().expect("a media type");
        if let Ok(manifest) = Manifest::parse(data, Some(&content_type)) {
            assert_eq!(manifest.kind, kind);
            assert_eq!(untyped.as_ref(), Ok(&manifest), "the type changes nothing");
            accepted += 1;
        }
    }
    assert!(accepted <= 1, "the same bytes are two kinds");
    let Ok(manifest) = untyped else {
        assert_eq!(accepted, 0);
        return;
    };
    assert_eq!(accepted, 1);
    let singles = manifest.config.iter().chain(&manifest.subject);
    let lists = manifest.layers.iter().chain(&manifest.manifests);
    let count = singles.chain(lists).count();
    assert!(count <= DESCRIPTORS_MAX);
    assert_eq!(manifest.config.is_some(), !manifest.kind.is_index());
    assert!(manifest.manifests.is_empty() || manifest.layers.is_empty());

    let other: Value = serde_json::from_slice(data).expect("strict JSON is JSON");
    assert_eq!(other["schemaVersion"], 2);
    for (field, own) in [
        ("layers", &manifest.layers),
        ("manifests", &manifest.manifests),
    ] {
        let others = other[field].as_array().map_or(&[][..], |values| values);
        assert_eq!(own.len(), others.len());
        for (own, other) in own.iter().zip(others) {
            assert_same(own, other);
        }
    }
    if let Some(config) = &manifest.config {
        assert_same(config, &other["config"]);
    }
    if let Some(subject) = &manifest.subject {
        assert_same(subject, &other["subject"]);
    }
}

/// Asserts that another reader of JSON sees the same descriptor.
fn assert_same(own: &Descriptor, other: &Value) {
    assert_eq!(other["digest"], own.digest.as_str());
    assert_eq!(other["size"].as_i64(), i64::try_from(own.size).ok());
    let media_type = other["mediaType"].as_str().expect("a text");
    assert_eq!(media_type.parse().as_ref(), Ok(&own.media_type));
}

/// Foreign bytes as text, whatever they are.
fn text(data: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(data)
}

/// What `text` is read as; asserts that printing and serde agree with `FromStr`.
fn one_door<T>(text: &str) -> Option<T>
where
    T: FromStr<Err: Debug> + Display + Serialize + DeserializeOwned + PartialEq + Debug,
{
    let value = text.parse::<T>().ok();
    assert_eq!(serde_json::from_value(Value::from(text)).ok(), value);
    if let Some(value) = &value {
        let printed = value.to_string();
        assert_eq!(printed.parse::<T>().as_ref().ok(), Some(value));
        let json = serde_json::to_value(value).expect("a text has a JSON form");
        assert_eq!(json, printed);
    }
    value
}

/// The value of `Authorization`.
pub fn authorization(data: &[u8]) {
    layerhouse::fuzzed::authorization(data);
}

/// A file of users.
pub fn users(data: &[u8]) {
    layerhouse::fuzzed::users(data);
}

/// What a token is asked for.
pub fn scopes(data: &[u8]) {
    layerhouse::fuzzed::scopes(data);
}

/// A token, or its claims.
pub fn token(data: &[u8]) {
    layerhouse::fuzzed::token(data);
}

/// A set of keys, or certificates.
pub fn keys(data: &[u8]) {
    layerhouse::fuzzed::keys(data);
}

/// The value of `WWW-Authenticate`, as an upstream sends it.
pub fn challenge(data: &[u8]) {
    layerhouse::fuzzed_upstream::challenge(data);
}

/// A `config.json` of Docker's.
pub fn docker_config(data: &[u8]) {
    layerhouse::fuzzed_upstream::docker_config(data);
}
