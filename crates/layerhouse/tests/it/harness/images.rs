//! Manifests and what they need, made and pushed for tests whose subject is something else.

use layerhouse_oci::digest::{Algorithm, Digest};
use layerhouse_oci::media_type::{OCI_INDEX, OCI_MANIFEST};
use serde_json::{Value, json};

use super::http::{Client, Response};

pub(crate) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The SHA-256 digest of bytes.
pub(crate) fn digest(content: impl AsRef<[u8]>) -> String {
    Digest::of(Algorithm::Sha256, content.as_ref()).to_string()
}

pub(crate) fn descriptor(media_type: &str, content: impl AsRef<[u8]>) -> Value {
    let content = content.as_ref();
    json!({ "mediaType": media_type, "digest": digest(content), "size": content.len() })
}

/// An OCI manifest with this config and these layers.
pub(crate) fn image(config: &str, layers: &[&str]) -> Value {
    let layers: Vec<Value> = layers
        .iter()
        .map(|layer| descriptor(LAYER, layer))
        .collect();
    json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(CONFIG, config),
        "layers": layers,
    })
}

/// An OCI index of manifests, which are given as pushed.
pub(crate) fn index(manifests: &[&str]) -> Value {
    let manifests: Vec<Value> = manifests
        .iter()
        .map(|manifest| descriptor(OCI_MANIFEST, manifest))
        .collect();
    json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests })
}

/// A manifest of no bytes of its own that names `subject`; `number` tells it from others.
pub(crate) fn referrer(subject: &Value, artifact_type: &str, number: usize) -> Value {
    let mut manifest = image("{}", &[]);
    manifest["artifactType"] = json!(artifact_type);
    manifest["subject"] = subject.clone();
    manifest["annotations"] = json!({ "number": number.to_string() });
    manifest
}

/// Pushes a blob in one request; its digest.
pub(crate) fn push_blob(client: &Client, repository: &str, content: impl AsRef<[u8]>) -> String {
    let digest = digest(&content);
    let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
    let answer = client.send("POST", &path, &[], content.as_ref());
    assert_eq!(answer.status, 201, "{}", answer.text());
    digest
}

/// Pushes a manifest under a tag or digest.
pub(crate) fn push_manifest(
    client: &Client,
    repository: &str,
    reference: &str,
    manifest: &str,
) -> Response {
    let path = format!("/v2/{repository}/manifests/{reference}");
    // As clients do; a body that is no manifest at all says nothing of its type.
    let parsed: Option<Value> = serde_json::from_str(manifest).ok();
    let media_type = parsed.as_ref().and_then(|body| body["mediaType"].as_str());
    let headers: Vec<_> = media_type
        .map(|text| ("Content-Type", text))
        .into_iter()
        .collect();
    client.send("PUT", &path, &headers, manifest.as_bytes())
}

/// Pushes an image of two blobs under a tag; the manifest's text.
pub(crate) fn push_image(client: &Client, repository: &str, tag: &str, layer: &str) -> String {
    push_blob(client, repository, "{}");
    push_blob(client, repository, layer);
    let manifest = image("{}", &[layer]).to_string();
    let answer = push_manifest(client, repository, tag, &manifest);
    assert_eq!(answer.status, 201, "{}", answer.text());
    manifest
}
