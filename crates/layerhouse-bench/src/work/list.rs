//! Pages in the middle of long lists.

use std::sync::Arc;

use super::Scene;
use super::pull::Requests;
use crate::arguments;
use crate::content::Blob;
use crate::drive::{Done, Work, set_up, set_up_by};
use crate::http::Failure;
use crate::http::client::{Client, Expect};
use crate::image::Image;
use crate::measure::{Case, runner};

/// Clients that load: a registry may commit for many at once.
const CLIENTS: u64 = 64;

#[derive(Clone)]
struct Fill {
    prefix: String,
    config: Blob,
    manifest: Blob,
}

impl Fill {
    /// In the order of their numbers, which is that of lists.
    fn repository(&self, number: u64) -> String {
        format!("{}/list/{number:08}", self.prefix)
    }

    fn tagged(&self) -> String {
        format!("{}/tags", self.prefix)
    }
}

fn tag(number: u64) -> String {
    format!("v{number:08}")
}

/// The image of all tags and repositories, once, before them.
struct First(Fill);

impl Work for First {
    async fn turn(&self, client: &mut Client, _turn: u64) -> Result<Done, Failure> {
        let Fill {
            config, manifest, ..
        } = &self.0;
        let name = self.0.tagged();
        if !client.has(&name, config).await? {
            client.push_blob(&name, config, None).await?;
        }
        client.push_manifest(&name, &tag(0), manifest).await?;
        Ok(Done::default())
    }
}

struct Repositories(Fill);

impl Work for Repositories {
    async fn turn(&self, client: &mut Client, turn: u64) -> Result<Done, Failure> {
        let Fill {
            config, manifest, ..
        } = &self.0;
        let name = self.0.repository(turn);
        match client.mount(&self.0.tagged(), &name, &config.digest).await {
            // Not every registry mounts: it has begun an upload in its place.
            Err(Failure::Status { .. }) => {
                client.push_blob(&name, config, None).await?;
            }
            mounted => mounted?,
        }
        client.push_manifest(&name, "latest", manifest).await?;
        Ok(Done::default())
    }
}

struct Tags(Fill);

impl Work for Tags {
    async fn turn(&self, client: &mut Client, turn: u64) -> Result<Done, Failure> {
        let name = self.0.tagged();
        client
            .push_manifest(&name, &tag(turn), &self.0.manifest)
            .await?;
        Ok(Done::default())
    }
}

/// Asks for a page once, and looks whether the name that must be on it is.
struct Look {
    path: String,
    name: String,
}

impl Work for Look {
    async fn turn(&self, client: &mut Client, _turn: u64) -> Result<Done, Failure> {
        let request = Client::prepare(client.origin(), "GET", &self.path);
        let mut page = Vec::new();
        client.fetch(&request, &ok(), Some(&mut page)).await?;
        let page = String::from_utf8_lossy(&page);
        if page.contains(&format!("\"{}\"", self.name)) {
            Ok(Done::default())
        } else {
            Err(Failure::Malformed(
                "a page without the name that comes next",
            ))
        }
    }
}

fn ok() -> Expect {
    Expect {
        status: 200,
        length: None,
        digest: None,
    }
}

pub(crate) fn prepare(scene: &Scene, arguments: &arguments::List) -> Result<Vec<Case>, String> {
    scene.only_registries("list")?;
    // An image without layers: two requests make a repository.
    let image = Image::of(Vec::new());
    let fill = Fill {
        prefix: scene.repository.clone(),
        manifest: Blob::of(&image.manifest),
        config: image.config,
    };
    let page = arguments.page;
    let middle = arguments.repositories / 2;
    let catalog = (
        format!("/v2/_catalog?n={page}&last={}", fill.repository(middle - 1)),
        fill.repository(middle),
    );
    let middle = arguments.tags / 2;
    let tags = (
        format!(
            "/v2/{}/tags/list?n={page}&last={}",
            fill.tagged(),
            tag(middle - 1)
        ),
        tag(middle),
    );
    for origin in &scene.origins {
        if !arguments.loaded {
            set_up(First(fill.clone()), origin, 1)?;
            let repositories = Repositories(fill.clone());
            set_up_by(CLIENTS, repositories, origin, arguments.repositories)?;
            set_up_by(CLIENTS, Tags(fill.clone()), origin, arguments.tags)?;
        }
        for (path, name) in [catalog.clone(), tags.clone()] {
            set_up(Look { path, name }, origin, 1)?;
        }
    }
    let case = |title: String, path: &str| Case {
        title,
        load: scene.load(arguments.connections, &arguments.length),
        warms: true,
        shows_seconds: false,
        runners: scene
            .origins
            .iter()
            .map(|origin| {
                let request = (Client::prepare(origin, "GET", path), ok());
                let requests = Requests(Arc::from([request]));
                runner(origin, move |_| requests.clone())
            })
            .collect(),
    };
    Ok(vec![
        case(
            format!("catalog: {page} of {} repositories", arguments.repositories),
            &catalog.0,
        ),
        case(format!("tags: {page} of {}", arguments.tags), &tags.0),
    ])
}
