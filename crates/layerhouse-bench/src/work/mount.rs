//! Blobs of one repository mounted into others that do not have them.

use std::sync::Arc;

use super::{Scene, setup};
use crate::arguments;
use crate::content::{Blob, Material, mix};
use crate::drive::{Done, Work};
use crate::http::Failure;
use crate::http::client::Client;
use crate::measure::{Case, runner};

const BLOB_BYTES: u64 = 1024;

#[derive(Clone)]
struct Mount {
    repository: String,
    blobs: Arc<[Blob]>,
    /// Begins the names of the repositories mounted into.
    prefix: String,
}

impl Work for Mount {
    async fn turn(&self, client: &mut Client, turn: u64) -> Result<Done, Failure> {
        let into = format!("{}{}", self.prefix, turn / self.blobs.len() as u64);
        let blob = &self.blobs[setup::index(turn, self.blobs.len())];
        client.mount(&self.repository, &into, &blob.digest).await?;
        Ok(Done::of(0, 1))
    }
}

pub(crate) fn prepare(scene: &Scene, arguments: &arguments::Mount) -> Result<Vec<Case>, String> {
    scene.only_registries("mount")?;
    let material = Material::new(scene.seed, BLOB_BYTES);
    let blobs: Arc<[Blob]> = (0..arguments.blobs)
        .map(|number| material.blob(number))
        .collect();
    setup::blobs(scene, &blobs)?;
    let runners = scene.origins.iter().map(|origin| {
        let repository = scene.repository.clone();
        let blobs = Arc::clone(&blobs);
        let salt = mix(scene.seed);
        runner(origin, move |round| Mount {
            prefix: format!("{repository}/mount-{salt:016x}/{round}-"),
            repository: repository.clone(),
            blobs: Arc::clone(&blobs),
        })
    });
    Ok(vec![Case {
        title: format!("mount: × {} clients", arguments.clients),
        load: scene.load(arguments.clients, &arguments.length),
        warms: false,
        shows_seconds: false,
        runners: runners.collect(),
    }])
}
