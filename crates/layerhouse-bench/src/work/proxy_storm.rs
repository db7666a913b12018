//! A storm through a mirror that does not have the image yet. It is cold once only, so there is one round.

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;
use serde_json::Value;

use super::Scene;
use super::storm::all_at_once;
use crate::arguments;
use crate::drive::{Done, Work};
use crate::http::Failure;
use crate::http::client::{Client, Expect};
use crate::measure::{Case, runner};

#[derive(Clone)]
struct Mirrored {
    name: String,
    reference: String,
    os: String,
    architecture: String,
    hash: bool,
}

impl Work for Mirrored {
    async fn turn(&self, client: &mut Client, _turn: u64) -> Result<Done, Failure> {
        let mut done = Done::default();
        let mut manifest = self.manifest(client, &self.reference, &mut done).await?;
        if let Some(children) = manifest["manifests"].as_array() {
            let child = children
                .iter()
                .find(|child| self.fits(&child["platform"]))
                .ok_or(Failure::Malformed("an index without the platform"))?;
            let (digest, _) = described(child)?;
            manifest = self.manifest(client, digest.as_str(), &mut done).await?;
        }
        let layers = manifest["layers"]
            .as_array()
            .ok_or(Failure::Malformed("a manifest without layers"))?;
        for descriptor in [&manifest["config"]].into_iter().chain(layers) {
            let (digest, size) = described(descriptor)?;
            let path = client.origin().blob_path(&self.name, &digest);
            let request = Client::prepare(client.origin(), "GET", &path);
            let mut expect = Expect::length(size);
            expect.digest = self.hash.then_some(digest);
            let (received, first_byte) = client.fetch_timed(&request, &expect).await?;
            done.bytes += received;
            done.requests += 1;
            // Of the config nobody waits for long.
            if descriptor != &manifest["config"] {
                done.first_byte = done.first_byte.or(first_byte);
            }
        }
        Ok(done)
    }
}

impl Mirrored {
    async fn manifest(
        &self,
        client: &mut Client,
        reference: &str,
        done: &mut Done,
    ) -> Result<Value, Failure> {
        let path = format!("/v2/{}/manifests/{reference}", self.name);
        let request = Client::prepare(client.origin(), "GET", &path);
        let expect = Expect {
            status: 200,
            length: None,
            digest: None,
        };
        let mut bytes = Vec::new();
        done.bytes += client.fetch(&request, &expect, Some(&mut bytes)).await?;
        done.requests += 1;
        serde_json::from_slice(&bytes).map_err(|_| Failure::Malformed("a manifest not of JSON"))
    }

    fn fits(&self, platform: &Value) -> bool {
        platform["os"] == *self.os && platform["architecture"] == *self.architecture
    }
}

fn described(descriptor: &Value) -> Result<(Digest, u64), Failure> {
    let wrong = || Failure::Malformed("a descriptor without digest and size");
    let digest = descriptor["digest"].as_str().ok_or_else(wrong)?;
    let digest = digest.parse().map_err(|_| wrong())?;
    Ok((digest, descriptor["size"].as_u64().ok_or_else(wrong)?))
}

pub(crate) fn prepare(
    scene: &Scene,
    arguments: &arguments::ProxyStorm,
) -> Result<Vec<Case>, String> {
    scene.only_registries("proxy-storm")?;
    if arguments.common.rounds.is_some_and(|rounds| rounds != 1) {
        return Err("a mirror is empty for one round only".to_owned());
    }
    let image = &arguments.image;
    let (name, reference) = match image.split_once('@') {
        Some(pair) => pair,
        None => image.rsplit_once(':').unwrap_or((image, "latest")),
    };
    let said = |error: &dyn std::fmt::Display| format!("`{image}`: {error}");
    let name: RepositoryName = name.parse().map_err(|error| said(&error))?;
    let reference: Reference = reference.parse().map_err(|error| said(&error))?;
    if let (true, Reference::Digest(digest)) = (arguments.hash, &reference)
        && digest.algorithm() != layerhouse_oci::digest::Algorithm::Sha256
    {
        return Err("--hash compares SHA-256 only".to_owned());
    }
    let (os, architecture) = arguments
        .platform
        .split_once('/')
        .ok_or("a platform is OS/ARCHITECTURE, as linux/amd64")?;
    let work = Mirrored {
        name: name.to_string(),
        reference: reference.to_string(),
        os: os.to_owned(),
        architecture: architecture.to_owned(),
        hash: arguments.hash,
    };
    let runners = scene.origins.iter().map(|origin| {
        let work = work.clone();
        runner(origin, move |_| work.clone())
    });
    Ok(vec![Case {
        title: format!(
            "proxy-storm: {} clients each pull {image} through a mirror",
            arguments.clients
        ),
        load: all_at_once(scene, arguments.clients),
        warms: false,
        shows_seconds: true,
        runners: runners.collect(),
    }])
}
