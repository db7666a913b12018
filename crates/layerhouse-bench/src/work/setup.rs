//! Putting things where reads will find them, before anything is measured.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Scene;
use crate::content::Blob;
use crate::drive::{Done, Work, set_up};
use crate::http::Failure;
use crate::http::client::{Client, Expect};
use crate::image::Image;

/// How long a server of files may take to see what a registry wrote.
const FILES_PATIENCE: Duration = Duration::from_secs(15);

/// Pushes blobs that are not there yet.
struct Blobs {
    repository: String,
    blobs: Arc<[Blob]>,
}

impl Work for Blobs {
    async fn turn(&self, client: &mut Client, turn: u64) -> Result<Done, Failure> {
        let blob = &self.blobs[index(turn, self.blobs.len())];
        if !client.has(&self.repository, blob).await? {
            client.push_blob(&self.repository, blob, None).await?;
        }
        Ok(Done::default())
    }
}

/// Pushes images, each with its tag.
struct Images {
    repository: String,
    images: Arc<[(String, Image)]>,
}

impl Work for Images {
    async fn turn(&self, client: &mut Client, turn: u64) -> Result<Done, Failure> {
        let (tag, image) = &self.images[index(turn, self.images.len())];
        for blob in image.layers.iter().chain([&image.config]) {
            if !client.has(&self.repository, blob).await? {
                client.push_blob(&self.repository, blob, None).await?;
            }
        }
        let manifest = Blob::of(&image.manifest);
        client
            .push_manifest(&self.repository, tag, &manifest)
            .await?;
        Ok(Done::default())
    }
}

/// Waits until a server of files has some.
struct Wait {
    blobs: Arc<[Blob]>,
}

impl Work for Wait {
    async fn turn(&self, client: &mut Client, turn: u64) -> Result<Done, Failure> {
        let blob = &self.blobs[index(turn, self.blobs.len())];
        let path = client.origin().blob_path("", &blob.digest);
        let request = Client::prepare(client.origin(), "HEAD", &path);
        let begun = Instant::now();
        loop {
            match client
                .fetch(&request, &Expect::length(blob.length), None)
                .await
            {
                Ok(_) => return Ok(Done::default()),
                Err(Failure::Status { status: 404, .. }) if begun.elapsed() < FILES_PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(failure) => return Err(failure),
            }
        }
    }
}

/// The `turn`-th of a ring of `length`.
pub(crate) fn index(turn: u64, length: usize) -> usize {
    usize::try_from(turn % length as u64).expect("less than a length is a usize")
}

/// Makes all servers have these blobs: registries are given them, and servers of files waited for.
pub(crate) fn blobs(scene: &Scene, blobs: &Arc<[Blob]>) -> Result<(), String> {
    let count = blobs.len() as u64;
    for origin in scene.origins.iter().filter(|origin| origin.files.is_none()) {
        let work = Blobs {
            repository: scene.repository.clone(),
            blobs: Arc::clone(blobs),
        };
        set_up(work, origin, count)?;
    }
    wait(scene, blobs)
}

/// Makes all servers have these images under these tags.
pub(crate) fn images(scene: &Scene, images: &Arc<[(String, Image)]>) -> Result<(), String> {
    let count = images.len() as u64;
    for origin in scene.origins.iter().filter(|origin| origin.files.is_none()) {
        let work = Images {
            repository: scene.repository.clone(),
            images: Arc::clone(images),
        };
        set_up(work, origin, count)?;
    }
    let parts = images.iter().flat_map(|(_, image)| {
        let manifest = Blob::of(&image.manifest);
        let blobs = image.layers.iter().chain([&image.config]).cloned();
        blobs.chain([manifest]).collect::<Vec<_>>()
    });
    wait(scene, &parts.collect())
}

fn wait(scene: &Scene, blobs: &Arc<[Blob]>) -> Result<(), String> {
    for origin in scene.origins.iter().filter(|origin| origin.files.is_some()) {
        let blobs = Arc::clone(blobs);
        let count = blobs.len() as u64;
        set_up(Wait { blobs }, origin, count)?;
    }
    Ok(())
}
