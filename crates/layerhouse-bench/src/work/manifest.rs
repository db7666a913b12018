//! Small answers: manifests by tag and by digest, heads, configs.

use std::sync::Arc;

use super::pull::Requests;
use super::{Scene, setup};
use crate::arguments::{self, Small};
use crate::content::Material;
use crate::http::client::{Client, Expect};
use crate::http::origin::Origin;
use crate::image::Image;
use crate::measure::{Case, runner};

const ALL: [(Small, &str); 5] = [
    (Small::Tag, "manifest: GET by tag"),
    (Small::Digest, "manifest: GET by digest"),
    (Small::HeadManifest, "manifest: HEAD by tag"),
    (Small::HeadBlob, "blob: HEAD"),
    (Small::Config, "config blob of 1 KiB: GET"),
];

/// Bytes of the one layer, which nobody pulls here.
const LAYER_BYTES: u64 = 4096;

pub(crate) fn prepare(scene: &Scene, arguments: &arguments::Manifest) -> Result<Vec<Case>, String> {
    let material = Material::new(scene.seed, LAYER_BYTES);
    let image = |number| {
        let image = Image::of(vec![material.blob(number)]);
        (format!("v{number}"), image)
    };
    let images: Arc<[(String, Image)]> = (0..arguments.images).map(image).collect();
    setup::images(scene, &images)?;
    let wanted =
        |(kind, _): &&(Small, &str)| arguments.only.is_empty() || arguments.only.contains(kind);
    let case = |(kind, title): &(Small, &str)| Case {
        title: format!("{title} × {} connections", arguments.connections),
        load: scene.load(arguments.connections, &arguments.length),
        warms: true,
        shows_seconds: false,
        runners: scene
            .origins
            .iter()
            .map(|origin| {
                let requests = requests(scene, origin, *kind, &images);
                runner(origin, move |_| requests.clone())
            })
            .collect(),
    };
    Ok(ALL.iter().filter(wanted).map(case).collect())
}

fn requests(scene: &Scene, origin: &Origin, kind: Small, images: &[(String, Image)]) -> Requests {
    let repository = &scene.repository;
    let request = |(tag, image): &(String, Image)| {
        let manifest = |reference: &str| origin.manifest_path(repository, reference, &image.digest);
        let config = || origin.blob_path(repository, &image.config.digest);
        let manifest_length = image.manifest.len() as u64;
        let (method, path, length) = match kind {
            Small::Tag => ("GET", manifest(tag), manifest_length),
            Small::Digest => ("GET", manifest(image.digest.as_str()), manifest_length),
            Small::HeadManifest => ("HEAD", manifest(tag), manifest_length),
            Small::HeadBlob => ("HEAD", config(), image.config.length),
            Small::Config => ("GET", config(), image.config.length),
        };
        (
            Client::prepare(origin, method, &path),
            Expect::length(length),
        )
    };
    Requests(images.iter().map(request).collect())
}
