//! Pushes of things that the server does not have: every operation's bytes are new.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::json;

use super::{Scene, setup};
use crate::arguments::{self, Pushed};
use crate::content::{Blob, Material, mix};
use crate::drive::{Done, Work, set_up};
use crate::http::Failure;
use crate::http::client::Client;
use crate::image::Image;
use crate::measure::{Case, runner};
use crate::units::show_size;

#[derive(Clone)]
struct Push {
    kind: Pushed,
    material: Material,
    chunk: Option<u64>,
    repositories: Arc<[String]>,
    /// Of the run and the round: with the turn it makes numbers that come once.
    salt: u64,
    /// What manifests need, where only they are pushed.
    base: Arc<Image>,
}

impl Push {
    fn repository(&self, turn: u64) -> &str {
        &self.repositories[setup::index(turn, self.repositories.len())]
    }
}

impl Work for Push {
    async fn turn(&self, client: &mut Client, turn: u64) -> Result<Done, Failure> {
        let repository = self.repository(turn);
        let number = mix(self.salt.wrapping_add(turn));
        match self.kind {
            Pushed::Blob => {
                let blob = self.material.blob(number);
                let requests = client.push_blob(repository, &blob, self.chunk).await?;
                let bytes = blob.length;
                Ok(Done::of(bytes, requests))
            }
            Pushed::Image => {
                let image = Image::of(vec![self.material.blob(number)]);
                let mut requests = 1;
                for blob in image.layers.iter().chain([&image.config]) {
                    requests += client.push_blob(repository, blob, self.chunk).await?;
                }
                let manifest = Blob::of(&image.manifest);
                let tag = format!("t{number:016x}");
                client.push_manifest(repository, &tag, &manifest).await?;
                let bytes = image.length();
                Ok(Done::of(bytes, requests))
            }
            Pushed::Manifest => {
                let mut text = String::from_utf8_lossy(&self.base.manifest).into_owned();
                let annotation = json!({ "number": format!("{number:016x}") });
                // The base ends with the brace of its object.
                text.pop();
                let _ = write!(text, ",\"annotations\":{annotation}}}");
                let manifest = Blob::of(text.as_bytes());
                let tag = format!("t{number:016x}");
                client.push_manifest(repository, &tag, &manifest).await?;
                let bytes = manifest.length;
                Ok(Done::of(bytes, 1))
            }
        }
    }
}

/// Gives every repository what its manifests will need.
#[derive(Clone)]
struct Bases(Push);

impl Work for Bases {
    async fn turn(&self, client: &mut Client, turn: u64) -> Result<Done, Failure> {
        let base = &self.0.base;
        for blob in base.layers.iter().chain([&base.config]) {
            client
                .push_blob(self.0.repository(turn), blob, None)
                .await?;
        }
        Ok(Done::default())
    }
}

pub(crate) fn prepare(scene: &Scene, arguments: &arguments::Push) -> Result<Vec<Case>, String> {
    scene.only_registries("push")?;
    let (size_default, what) = match arguments.kind {
        Pushed::Blob => (16 << 20, "blobs"),
        Pushed::Image => (16 << 10, "images (layer, config, manifest) with layers"),
        Pushed::Manifest => (16 << 10, "manifests of images with layers"),
    };
    if arguments.kind == Pushed::Manifest && arguments.chunk.is_some() {
        return Err("manifests are not pushed in chunks".to_owned());
    }
    let size = arguments.size.unwrap_or(size_default);
    if size < 8 {
        return Err("fewer than 8 bytes are not new every time".to_owned());
    }
    let material = Material::new(scene.seed, size);
    let repositories = (0..arguments.repositories)
        .map(|number| format!("{}/push-{number}", scene.repository))
        .collect();
    let work = Push {
        kind: arguments.kind,
        base: Arc::new(Image::of(vec![material.blob(0)])),
        material,
        chunk: arguments.chunk,
        repositories,
        salt: mix(scene.seed),
    };
    let mut title = format!(
        "push: {what} of {} × {} clients",
        show_size(size),
        arguments.clients
    );
    if let Some(chunk) = arguments.chunk {
        let _ = write!(title, ", in chunks of {}", show_size(chunk));
    }
    if 1 < arguments.repositories {
        let _ = write!(title, ", {} repositories", arguments.repositories);
    }
    let mut runners = Vec::new();
    for origin in &scene.origins {
        if arguments.kind == Pushed::Manifest {
            set_up(Bases(work.clone()), origin, arguments.repositories)?;
        }
        let work = work.clone();
        runners.push(runner(origin, move |round| {
            let mut work = work.clone();
            // Turns of a round are far fewer than 2^40.
            work.salt = work.salt.wrapping_add(u64::from(round) << 40);
            work
        }));
    }
    Ok(vec![Case {
        title,
        load: scene.load(arguments.clients, &arguments.length),
        warms: false,
        shows_seconds: false,
        runners,
    }])
}
