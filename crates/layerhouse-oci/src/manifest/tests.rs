//! What is a manifest and what is not, as tables, and what holds for all of them.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::media_type::{DOCKER_LIST, DOCKER_MANIFEST, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST};
use crate::strict_json::DEPTH_MAX;

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

fn descriptor(media_type: &str) -> Value {
    let digest = format!("sha256:{}", "5".repeat(64));
    json!({"mediaType": media_type, "digest": digest, "size": 7})
}

fn image(media_type: Option<&str>) -> Value {
    let config = descriptor(CONFIG);
    let layers = [descriptor(LAYER)];
    let mut manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
    if let Some(media_type) = media_type {
        manifest["mediaType"] = media_type.into();
    }
    manifest
}

fn index(media_type: Option<&str>) -> Value {
    let mut manifest = json!({"schemaVersion": 2, "manifests": [descriptor(OCI_MANIFEST)]});
    if let Some(media_type) = media_type {
        manifest["mediaType"] = media_type.into();
    }
    manifest
}

fn with(mut manifest: Value, field: &str, value: Value) -> Value {
    manifest[field] = value;
    manifest
}

fn parse(body: &str, content_type: Option<&str>) -> Result<Manifest, ManifestError> {
    let content_type = content_type.map(|text| text.parse().expect("a media type"));
    Manifest::parse(body.as_bytes(), content_type.as_ref())
}

/// `expected` is the kind, or why it is refused.
fn check(body: impl std::fmt::Display, content_type: Option<&str>, expected: &str) {
    let body = body.to_string();
    let told = match parse(&body, content_type) {
        Ok(manifest) => format!("{:?}", manifest.kind),
        Err(error) => error.to_string(),
    };
    assert_eq!(told, expected, "{body} as {content_type:?}");
}

#[test]
fn the_four_kinds_are_read() {
    for content_type in [None, Some(OCI_MANIFEST)] {
        check(image(None), content_type, "OciManifest");
        check(image(Some(OCI_MANIFEST)), content_type, "OciManifest");
    }
    for content_type in [None, Some(OCI_INDEX)] {
        check(index(None), content_type, "OciIndex");
        check(index(Some(OCI_INDEX)), content_type, "OciIndex");
    }
    check(
        image(Some(DOCKER_MANIFEST)),
        Some(DOCKER_MANIFEST),
        "DockerManifest",
    );
    check(image(Some(DOCKER_MANIFEST)), None, "DockerManifest");
    check(index(Some(DOCKER_LIST)), Some(DOCKER_LIST), "DockerList");
    check(index(Some(DOCKER_LIST)), None, "DockerList");
    check(with(image(None), "layers", json!([])), None, "OciManifest");
    check(with(index(None), "manifests", json!([])), None, "OciIndex");
    check(
        with(image(None), "manifests", Value::Null),
        None,
        "OciManifest",
    );
    check(
        with(image(None), "org.example", json!([[{}]])),
        None,
        "OciManifest",
    );
    check(format!(" {}\n", image(None)), None, "OciManifest");
}

#[test]
fn body_and_content_type_agree() {
    let mismatch = |body, header| {
        format!("the manifest says it is `{body}`, the Content-Type says `{header}`")
    };
    check(
        image(Some(OCI_MANIFEST)),
        Some(DOCKER_MANIFEST),
        &mismatch(OCI_MANIFEST, DOCKER_MANIFEST),
    );
    check(
        image(Some(OCI_MANIFEST)),
        Some(OCI_INDEX),
        &mismatch(OCI_MANIFEST, OCI_INDEX),
    );
    check(
        index(Some(DOCKER_LIST)),
        Some(OCI_INDEX),
        &mismatch(DOCKER_LIST, OCI_INDEX),
    );
    let missing = |kind| format!("a manifest pushed as `{kind}` must say so in its `mediaType`");
    check(
        image(None),
        Some(DOCKER_MANIFEST),
        &missing(DOCKER_MANIFEST),
    );
    check(index(None), Some(DOCKER_LIST), &missing(DOCKER_LIST));
    let kept = format!(
        "is not a manifest that is kept here; these are: {OCI_MANIFEST}, {OCI_INDEX}, {DOCKER_MANIFEST}, {DOCKER_LIST}"
    );
    check(
        image(None),
        Some("application/json"),
        &format!("`application/json` {kept}"),
    );
    check(image(Some("a/b")), None, &format!("`a/b` {kept}"));
    check(
        image(Some(&OCI_MANIFEST.to_uppercase())),
        None,
        &format!("`{}` {kept}", OCI_MANIFEST.to_uppercase()),
    );
    let parameters = format!("{OCI_MANIFEST}; charset=utf-8");
    check(
        image(Some(&parameters)),
        None,
        "the manifest: `mediaType` must be a media type without parameters",
    );
    check(image(Some(OCI_MANIFEST)), Some(&parameters), "OciManifest");
    check(
        image(Some("")),
        None,
        "the manifest: `mediaType`: a media type is `type/subtype`",
    );
    check(
        with(image(None), "mediaType", json!(1)),
        None,
        "the manifest: `mediaType` must be a text",
    );
}

#[test]
fn schema_1_is_told_what_to_do() {
    let told = "manifests of schema 1 are not kept here; push with Docker 1.10 or later";
    let body = json!({"schemaVersion": 1, "name": "a", "tag": "b", "fsLayers": [], "history": []});
    check(&body, None, told);
    check(&body, Some(DOCKER_SCHEMA1), told);
    check(&body, Some(DOCKER_SCHEMA1_SIGNED), told);
    check("not even JSON", Some(DOCKER_SCHEMA1), told);
    check(image(Some(DOCKER_SCHEMA1)), None, told);
    check(
        with(image(None), "schemaVersion", json!(1)),
        Some(OCI_MANIFEST),
        told,
    );
    let version = "`schemaVersion` of the manifest must be 2";
    for wrong in [
        json!(3),
        json!(0),
        json!(-2),
        json!("2"),
        json!(2.0),
        Value::Null,
    ] {
        check(with(image(None), "schemaVersion", wrong), None, version);
    }
    check("{}", None, version);
}

#[test]
fn no_bytes_are_two_kinds() {
    let both = with(image(None), "manifests", json!([]));
    let in_image = "the manifest: `manifests` must not be in an image manifest";
    let in_index = |field| format!("the manifest: `{field}` must not be in an index");
    check(&both, None, in_image);
    check(&both, Some(OCI_MANIFEST), in_image);
    check(&both, Some(OCI_INDEX), &in_index("config"));
    check(
        with(index(None), "layers", json!([])),
        None,
        &in_index("layers"),
    );
    check(
        with(index(None), "config", json!({})),
        Some(OCI_INDEX),
        &in_index("config"),
    );
    check(
        with(image(Some(DOCKER_MANIFEST)), "manifests", json!([])),
        None,
        in_image,
    );
    check(
        with(index(Some(DOCKER_LIST)), "layers", json!([])),
        None,
        &in_index("layers"),
    );
    check(
        with(index(None), "fsLayers", json!([])),
        None,
        &in_index("fsLayers"),
    );
    check(
        with(image(None), "history", json!([])),
        None,
        "the manifest: `history` must not be in an image manifest",
    );
    check(image(Some(OCI_INDEX)), None, &in_index("config"));
    check(image(None), Some(OCI_INDEX), &in_index("config"));
    check(index(None), Some(OCI_MANIFEST), in_image);
    let unknown =
        "the manifest has no `mediaType`, and neither `config` and `layers` nor `manifests`";
    check(json!({"schemaVersion": 2}), None, unknown);
    check(
        json!({"schemaVersion": 2}),
        Some(OCI_INDEX),
        "the manifest: `manifests` is missing",
    );
    check(
        json!({"schemaVersion": 2}),
        Some(OCI_MANIFEST),
        "the manifest: `config` is missing",
    );
}

#[test]
fn keys_that_only_some_clients_read_are_refused() {
    let told = |at, key, field| {
        format!(
            "{at}: `{key}` must be written `{field}`: some clients read it as that, others do not"
        )
    };
    for (key, field) in [
        ("Layers", "layers"),
        ("MANIFESTS", "manifests"),
        ("manife\u{17f}ts", "manifests"),
        ("schemaversion", "schemaVersion"),
        ("FSLayers", "fsLayers"),
    ] {
        check(
            with(image(None), key, json!([])),
            None,
            &told("the manifest", key, field),
        );
    }
    let layers = json!([
        descriptor(LAYER),
        with(descriptor(LAYER), "Digest", json!("x"))
    ]);
    check(
        with(image(None), "layers", layers),
        None,
        &told("layers[1]", "Digest", "digest"),
    );
    let platform = json!({"OS": "linux"});
    let manifests = json!([with(descriptor(OCI_MANIFEST), "platform", platform)]);
    check(
        with(index(None), "manifests", manifests),
        None,
        &told("manifests[0]", "OS", "os"),
    );
    // Elsewhere, keys are whatever their authors like.
    check(
        with(image(None), "annotations", json!({"Layers": "x"})),
        None,
        "OciManifest",
    );
}

#[test]
fn json_that_readers_differ_on_is_refused() {
    let body = image(None).to_string();
    check(
        format!("\u{feff}{body}"),
        None,
        "the JSON begins with a byte order mark; it must begin with `{`",
    );
    check(
        body.replacen('{', "{\"layers\":[],", 1),
        None,
        "the key `layers` occurs twice in one object of the JSON",
    );
    let trailing = format!(
        "not JSON: trailing characters at line 1 column {}",
        body.len() + 1
    );
    check(format!("{body}{body}"), None, &trailing);
    check("[]", None, "a manifest is a JSON object");
    check("null", None, "a manifest is a JSON object");
    check(
        "",
        None,
        "not JSON: EOF while parsing a value at line 1 column 0",
    );
}

#[test]
fn descriptors_are_whole() {
    let layer = |field: &str, value: Value| {
        with(
            image(None),
            "layers",
            json!([descriptor(LAYER), with(descriptor(LAYER), field, value)]),
        )
    };
    let check_layer = |field: &str, value: Value, expected: &str| {
        check(layer(field, value), None, &format!("layers[1]: {expected}"));
    };
    check_layer("digest", Value::Null, "`digest` is missing");
    check_layer(
        "digest",
        json!("sha256:0"),
        "`digest`: a sha256 digest has 64 hex digits, not 1",
    );
    check_layer("mediaType", Value::Null, "`mediaType` is missing");
    check_layer(
        "mediaType",
        json!("x"),
        "`mediaType`: a media type is `type/subtype`",
    );
    check_layer("size", Value::Null, "`size` is missing");
    for size in [
        json!(-1),
        json!(1.0),
        json!("1"),
        json!(u64::MAX),
        json!(1_u64 << 63),
    ] {
        check_layer(
            "size",
            size,
            "`size` must be a whole number from 0 to 2^63 - 1",
        );
    }
    check_layer("urls", json!("x"), "`urls` must be an array");
    check_layer("urls", json!([1]), "`urls` must be an array of texts");
    check_layer("annotations", json!([]), "`annotations` must be an object");
    check_layer(
        "annotations",
        json!({"a": 1}),
        "`annotations` must be an object whose values are texts",
    );
    check_layer("platform", json!(1), "`platform` must be an object");
    check(layer("size", json!(0)), None, "OciManifest");
    check(layer("size", json!(i64::MAX)), None, "OciManifest");
    check(layer("urls", Value::Null), None, "OciManifest");
    check(
        with(image(None), "layers", json!([1])),
        None,
        "layers[0]: must be an object",
    );
    check(
        with(image(None), "layers", json!({})),
        None,
        "the manifest: `layers` must be an array",
    );
    check(
        with(image(None), "layers", Value::Null),
        None,
        "the manifest: `layers` is missing",
    );
    check(
        with(image(None), "config", json!({})),
        None,
        "config: `mediaType` is missing",
    );
    check(
        with(image(None), "subject", json!({})),
        None,
        "subject: `mediaType` is missing",
    );
}

#[test]
fn what_is_needed_is_read() {
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let mut layer = with(
        descriptor(foreign),
        "urls",
        json!(["https://example.com/x"]),
    );
    layer["annotations"] = json!({"b": "2", "a": "1"});
    let mut body = with(image(None), "layers", json!([descriptor(LAYER), layer]));
    body["subject"] = descriptor(OCI_MANIFEST);
    body["annotations"] = json!({"x": "y"});
    let manifest = parse(&body.to_string(), None).expect("valid");
    assert_eq!(
        manifest.config.as_ref().map(|it| it.media_type.as_str()),
        Some(CONFIG)
    );
    assert_eq!(manifest.artifact_type.as_deref(), Some(CONFIG));
    assert_eq!(manifest.subject.as_ref().map(|it| it.size), Some(7));
    assert_eq!(
        manifest.annotations.as_ref().map(|it| it["x"].as_str()),
        Some("y")
    );
    assert_eq!(manifest.manifests, []);
    let distributable: Vec<_> = manifest
        .layers
        .iter()
        .map(Descriptor::is_distributable)
        .collect();
    assert_eq!(distributable, [true, false]);
    assert_eq!(manifest.layers[1].urls, ["https://example.com/x"]);
    // A descriptor is written in the form in which it was read.
    assert_eq!(json!(manifest.layers[1]), body["layers"][1]);

    let platform = json!({"os": "linux", "architecture": "arm", "variant": "v7"});
    let child = with(descriptor(OCI_MANIFEST), "platform", platform);
    let child = with(child, "artifactType", json!("a/b"));
    let manifest = parse(
        &with(index(None), "manifests", json!([child])).to_string(),
        None,
    );
    assert_eq!(json!(manifest.expect("valid").manifests), json!([child]));
}

#[test]
fn the_artifact_type_is_that_of_the_spec() {
    let of = |body: Value| parse(&body.to_string(), None).expect("valid").artifact_type;
    assert_eq!(
        of(with(image(None), "artifactType", json!("a/b"))).as_deref(),
        Some("a/b")
    );
    assert_eq!(
        of(with(image(None), "artifactType", json!(""))).as_deref(),
        Some(CONFIG)
    );
    let empty = with(image(None), "config", descriptor(OCI_EMPTY));
    assert_eq!(of(empty).as_deref(), Some(OCI_EMPTY));
    assert_eq!(of(index(None)), None);
    assert_eq!(
        of(with(index(None), "artifactType", json!("a/b"))).as_deref(),
        Some("a/b")
    );
}

#[test]
fn manifests_of_docker_have_no_subject() {
    let body = with(
        image(Some(DOCKER_MANIFEST)),
        "subject",
        descriptor(OCI_MANIFEST),
    );
    let body = with(body, "artifactType", json!("a/b"));
    let manifest = parse(&body.to_string(), None).expect("valid");
    assert_eq!(manifest.subject, None);
    assert_eq!(manifest.artifact_type.as_deref(), Some(CONFIG));
}

#[test]
fn descriptors_and_depth_are_bounded() {
    let manifests = |count: usize| {
        with(
            index(None),
            "manifests",
            vec![descriptor(OCI_MANIFEST); count].into(),
        )
    };
    check(manifests(DESCRIPTORS_MAX), None, "OciIndex");
    let told = "the manifest has 10001 descriptors; 10000 are allowed";
    check(manifests(DESCRIPTORS_MAX + 1), None, told);
    check(
        with(manifests(DESCRIPTORS_MAX), "subject", json!({})),
        None,
        told,
    );
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let extended = |depth| {
        image(None)
            .to_string()
            .replacen('{', &format!("{{\"x\":{},", nested(depth)), 1)
    };
    check(extended(DEPTH_MAX - 1), None, "OciManifest");
    check(
        extended(DEPTH_MAX),
        None,
        "the JSON is nested more than 32 deep",
    );
}

proptest! {
    /// Whatever fields come together, the bytes are of one kind or of none.
    #[test]
    fn the_kind_is_a_function_of_the_bytes(
        media_type in prop::option::of(prop::sample::select(vec![OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST])),
        fields in prop::sample::subsequence(vec!["config", "layers", "manifests", "subject", "fsLayers", "Config"], 0..=4),
    ) {
        let mut body = json!({"schemaVersion": 2});
        if let Some(media_type) = media_type {
            body["mediaType"] = media_type.into();
        }
        for field in fields {
            body[field] = match field {
                "layers" | "manifests" | "fsLayers" => json!([]),
                _ => descriptor(CONFIG),
            };
        }
        let body = body.to_string();
        let as_kinds = ManifestKind::ALL.map(|kind| (kind, parse(&body, Some(kind.media_type()))));
        let accepted: Vec<_> = as_kinds.into_iter().filter_map(|(kind, it)| Some((kind, it.ok()?))).collect();
        prop_assert!(accepted.len() <= 1);
        for (kind, manifest) in &accepted {
            prop_assert_eq!(manifest.kind, *kind);
            prop_assert_eq!(parse(&body, None), Ok(manifest.clone()));
        }
        if let Ok(manifest) = parse(&body, None) {
            prop_assert_eq!(accepted.len(), 1);
            prop_assert_eq!(manifest.kind.is_index(), manifest.config.is_none());
        }
    }

    #[test]
    fn mutated_bytes_stay_total(at in any::<prop::sample::Index>(), byte in any::<u8>(), kind in 0_usize..4) {
        let kind = ManifestKind::ALL[kind];
        let body = if kind.is_index() { index } else { image };
        let mut bytes = body(Some(kind.media_type())).to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(manifest) = Manifest::parse(&bytes, None) {
            // Without its `mediaType`, one of Docker becomes one of OCI.
            prop_assert_eq!(manifest.kind.is_index(), kind.is_index());
        }
    }
}
