//! `layerhouse.policies`: what may be pushed where, and what stays there.

mod command;
mod immutable;
mod names;
mod quotas;
mod retention;
mod untouched;

use serde_json::{Value, json};

use crate::harness::console::ask;
use crate::harness::images;
use crate::harness::server::Server;

/// One policy for `acme/…`, whose retention runs when it is asked to.
fn configuration(policy: &str) -> String {
    format!(
        "layerhouse: {{ retention: {{ interval: 87600h }}, policies: [
            {{ repositories: ['acme/**'], {policy} }} ] }}"
    )
}

/// A manifest of its own.
fn image(name: &str) -> Value {
    let mut image = images::image("{}", &[]);
    image["annotations"] = json!({ "name": name });
    image
}

/// Pushes a manifest to `acme/web`; its digest.
fn push(server: &Server, reference: &str, manifest: &Value) -> String {
    let manifest = manifest.to_string();
    images::push_blob(&server.client, "acme/web", "{}");
    let answer = images::push_manifest(&server.client, "acme/web", reference, &manifest);
    assert_eq!(answer.status, 201, "{reference}: {}", answer.text());
    images::digest(&manifest)
}

/// The same under its digest.
fn push_untagged(server: &Server, manifest: &Value) -> String {
    push(server, &images::digest(manifest.to_string()), manifest)
}

/// The tag that cosign gives a signature.
fn signature_of(digest: &str) -> String {
    format!("{}.sig", digest.replace(':', "-"))
}

fn status(server: &Server, reference: &str) -> u16 {
    let path = format!("/v2/acme/web/manifests/{reference}");
    server.client.get(&path).status
}

fn tags(server: &Server) -> Vec<String> {
    let list = server.client.get("/v2/acme/web/tags/list");
    let list: Value = serde_json::from_slice(&list.body).unwrap();
    let tags = list["tags"].as_array().unwrap().iter();
    tags.map(|tag| tag.as_str().unwrap().to_owned()).collect()
}

/// What a run would remove: `tags why`, or the digest's beginning where there are none.
fn preview(server: &Server) -> Vec<String> {
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let path = format!("/retention/plan?n=2{after}");
        let (status, page) = ask(&server.root(), "GET", &path, None);
        assert_eq!(status, 200, "{page}");
        for entry in page["items"].as_array().unwrap() {
            let tags = entry["tags"].as_array().unwrap().iter();
            let mut tags: Vec<_> = tags.map(|tag| tag.as_str().unwrap()).collect();
            if tags.is_empty() {
                tags.push(entry["digest"].as_str().unwrap());
            }
            found.push(format!(
                "{} {}",
                tags.join(","),
                entry["why"].as_str().unwrap()
            ));
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return found,
        }
    }
}

/// Runs retention: tags and manifests that went, and what was skipped.
fn run(server: &Server) -> (u64, u64, u64) {
    let (status, run) = ask(&server.root(), "POST", "/retention/runs", Some(&json!({})));
    assert_eq!(status, 200, "{run}");
    let count = |key: &str| run[key].as_u64().unwrap();
    (count("tags"), count("manifests"), count("skipped"))
}
