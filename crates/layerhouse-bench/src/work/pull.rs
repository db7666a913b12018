//! Blobs, whole, by as many connections as wanted.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{Scene, setup};
use crate::arguments;
use crate::content::{Blob, Material};
use crate::drive::{Done, Idle, Work};
use crate::http::Failure;
use crate::http::client::{Client, Expect, Prepared};
use crate::measure::{Case, Runner, runner};
use crate::units::show_size;

/// Requests that are sent in turn, with what their answers must be.
#[derive(Clone)]
pub(crate) struct Requests(pub(crate) Arc<[(Prepared, Expect)]>);

impl Work for Requests {
    async fn turn(&self, client: &mut Client, turn: u64) -> Result<Done, Failure> {
        let (request, expect) = &self.0[setup::index(turn, self.0.len())];
        let bytes = client.fetch(request, expect, None).await?;
        Ok(Done::of(bytes, 1))
    }
}

pub(crate) fn prepare(scene: &Scene, arguments: &arguments::Pull) -> Result<Vec<Case>, String> {
    if 0 < arguments.idle && scene.origins.len() != 1 {
        return Err("--idle is for one server: its connections would weigh on all".to_owned());
    }
    let size = arguments.size;
    let count = arguments
        .blobs
        .unwrap_or_else(|| ((64 << 20) / size).clamp(1, 16));
    let material = Material::new(scene.seed, size);
    let blobs: Arc<[Blob]> = (0..count).map(|number| material.blob(number)).collect();
    setup::blobs(scene, &blobs)?;
    let mut runners: Vec<Runner> = Vec::new();
    for origin in &scene.origins {
        let requests = blobs.iter().map(|blob| {
            let path = origin.blob_path(&scene.repository, &blob.digest);
            let mut expect = Expect::length(blob.length);
            expect.digest = arguments.hash.then(|| blob.digest.clone());
            (Client::prepare(origin, "GET", &path), expect)
        });
        let requests = Requests(requests.collect());
        let run = runner(origin, move |_| requests.clone());
        if arguments.idle == 0 {
            runners.push(run);
            continue;
        }
        let path = origin.blob_path(&scene.repository, &blobs[0].digest);
        let idle = Idle::open(origin, &path, arguments.idle)?;
        runners.push(Box::new(move |round, load, begin| {
            // Open until all rounds are done.
            let _ = &idle;
            run(round, load, begin)
        }));
    }
    let mut title = format!(
        "pull: blobs of {} × {} connections",
        show_size(size),
        arguments.connections
    );
    if 0 < arguments.idle {
        let _ = write!(title, ", {} idle", arguments.idle);
    }
    Ok(vec![Case {
        title,
        load: scene.load(arguments.connections, &arguments.length),
        warms: true,
        shows_seconds: false,
        runners,
    }])
}
