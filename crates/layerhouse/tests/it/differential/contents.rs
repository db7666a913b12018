//! What is sent as blobs and manifests, by the names that the lines of traffic have for it.

use layerhouse_oci::media_type::{DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX};
use serde_json::{Value, json};

use super::traffic::Contents;
use crate::harness::images;

/// All of it.
pub(super) fn all() -> Contents {
    let image = images::image("{}", &["abcd", "efgh"]).to_string();
    let small = images::image("{}", &["abcd"]).to_string();
    let docker = docker_image();
    let entries = [docker_entry(&docker)];
    let docker_list = json!({ "schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": entries });
    let mut large = images::image("{}", &["abcd"]);
    large["annotations"] = json!({ "text": "x".repeat(5 << 20) });
    let mut foreign = images::image("{}", &["abcd"]);
    foreign["layers"][0]["mediaType"] =
        json!("application/vnd.oci.image.layer.nondistributable.v1.tar");
    foreign["layers"][0]["urls"] = json!(["https://example.com/layer"]);
    let mut denied = foreign.clone();
    denied["layers"][0]["urls"] = json!(["https://example.com/no/layer"]);
    let mut unlisted = foreign.clone();
    unlisted["layers"][0]["urls"] = json!(["https://elsewhere.example/layer"]);
    let mut another_type = images::image("{}", &["abcd"]);
    another_type["mediaType"] = json!(OCI_INDEX);
    let mut old = images::image("{}", &["abcd"]);
    old["schemaVersion"] = json!(1);
    let mut big_blob: Vec<u8> = Vec::new();
    for number in 0_u32..60_000 {
        big_blob.extend_from_slice(&number.to_be_bytes());
    }
    [
        ("image", image.clone()),
        ("small", small.clone()),
        ("index", images::index(&[&image, &small]).to_string()),
        ("emptyIndex", images::index(&[]).to_string()),
        ("orphanIndex", images::index(&["never pushed"]).to_string()),
        ("orphan", images::image("{}", &["never pushed"]).to_string()),
        ("docker", docker),
        ("dockerList", docker_list.to_string()),
        ("large", large.to_string()),
        ("foreign", foreign.to_string()),
        ("denied", denied.to_string()),
        ("unlisted", unlisted.to_string()),
        ("otherType", another_type.to_string()),
        ("schema1", schema1()),
        ("oldVersion", old.to_string()),
        ("tooLarge", "x".repeat(9 << 20)),
        ("repeated", format!("{{\"schemaVersion\":2,{}", &small[1..])),
        ("pretty", format!("{small}\n")),
    ]
    .into_iter()
    .map(|(name, text)| (name, text.into_bytes()))
    .chain([("blob", big_blob)])
    .collect()
}

fn docker_image() -> String {
    let config = "application/vnd.docker.container.image.v1+json";
    let layer = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    json!({
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": images::descriptor(config, "{}"),
        "layers": [images::descriptor(layer, "abcd")],
    })
    .to_string()
}

fn docker_entry(image: &str) -> Value {
    let mut entry = images::descriptor(DOCKER_MANIFEST, image);
    entry["platform"] = json!({ "architecture": "amd64", "os": "linux" });
    entry
}

/// As Docker 1.9 pushed it, signature left out.
fn schema1() -> String {
    json!({
        "schemaVersion": 1, "name": "acme/web", "tag": "old", "architecture": "amd64",
        "fsLayers": [{ "blobSum": images::digest("abcd") }],
        "history": [{ "v1Compatibility": "{\"id\":\"x\"}" }],
    })
    .to_string()
}
