//! Many clients that pull all of one image at the same time, as a fleet does that starts it.

use std::sync::Arc;

use super::{Scene, setup};
use crate::arguments;
use crate::drive::{Done, Load, Until, Work};
use crate::http::Failure;
use crate::http::client::{Client, Expect};
use crate::http::origin::Origin;
use crate::image::{Image, layer_lengths};
use crate::measure::{Case, runner};
use crate::units::show_size;

use super::pull::Requests;

/// One operation is the whole image: manifest, config, every layer.
#[derive(Clone)]
struct Whole(Requests);

impl Work for Whole {
    async fn turn(&self, client: &mut Client, _turn: u64) -> Result<Done, Failure> {
        let mut done = Done::default();
        for (request, expect) in self.0.0.iter() {
            done.bytes += client.fetch(request, expect, None).await?;
            done.requests += 1;
        }
        Ok(done)
    }
}

pub(crate) fn prepare(scene: &Scene, arguments: &arguments::Storm) -> Result<Vec<Case>, String> {
    let lengths = layer_lengths(arguments.image_size, arguments.layers)?;
    let image = Image::shaped(scene.seed, &lengths);
    let tag = "storm".to_owned();
    let images: Arc<[(String, Image)]> = Arc::from([(tag, image)]);
    setup::images(scene, &images)?;
    let (tag, image) = &images[0];
    let runners = scene.origins.iter().map(|origin| {
        let whole = Whole(requests(scene, origin, tag, image, arguments.hash));
        runner(origin, move |_| whole.clone())
    });
    Ok(vec![Case {
        title: format!(
            "storm: {} clients each pull an image of {} in {} layers",
            arguments.clients,
            show_size(arguments.image_size),
            arguments.layers
        ),
        load: all_at_once(scene, arguments.clients),
        warms: false,
        shows_seconds: true,
        runners: runners.collect(),
    }])
}

/// Each client does one operation, which includes connecting.
pub(super) fn all_at_once(scene: &Scene, clients: u64) -> Load {
    Load {
        clients,
        threads: scene.threads,
        until: Until::Operations(clients),
        connected: false,
    }
}

fn requests(scene: &Scene, origin: &Origin, tag: &str, image: &Image, hash: bool) -> Requests {
    let repository = &scene.repository;
    let path = origin.manifest_path(repository, tag, &image.digest);
    let mut expect = Expect::length(image.manifest.len() as u64);
    expect.digest = hash.then(|| image.digest.clone());
    let mut requests = vec![(Client::prepare(origin, "GET", &path), expect)];
    for blob in [&image.config].into_iter().chain(&image.layers) {
        let path = origin.blob_path(repository, &blob.digest);
        let mut expect = Expect::length(blob.length);
        expect.digest = hash.then(|| blob.digest.clone());
        requests.push((Client::prepare(origin, "GET", &path), expect));
    }
    Requests(requests.into())
}
