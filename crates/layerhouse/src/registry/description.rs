//! What an image says of itself: its annotations, and the labels of its config.

use std::collections::BTreeMap;
use std::sync::Arc;

use layerhouse_oci::descriptor::Descriptor;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::manifest::Manifest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;
use serde::Deserialize;

use super::{Registry, blocking};
use crate::fault::Fault;
use crate::meta;
use crate::meta::manifests::StoredManifest;

/// Largest config that is read: those of images have some KiB, whatever else may be called one.
const CONFIG_BYTES_MAX: u64 = 8 << 20;
/// Images of an index that are looked at for one that has a config with labels.
const IMAGES_MAX: usize = 4;

/// The part of an image's config that is of interest.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    config: Option<Container>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

impl Registry {
    /// What the image says of itself that `latest` names, or else `tag`; `None` if neither is there.
    ///
    /// Annotations of the index win over those of the image, and those over labels of the config.
    ///
    /// # Errors
    /// The database or the disk failed.
    pub(crate) async fn describe(
        self: &Arc<Self>,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<BTreeMap<String, String>>, Fault> {
        let (registry, repository, tag) = (Arc::clone(self), repository.clone(), tag.clone());
        blocking(move || registry.read_description(&repository, &tag)).await?
    }

    fn read_description(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<BTreeMap<String, String>>, Fault> {
        let name = repository.as_str();
        let stored = self.database.read(|tx| {
            let latest = meta::manifests::by_tag(tx, name, "latest")?;
            match latest {
                None => meta::manifests::by_tag(tx, name, tag.as_str()),
                latest => Ok::<_, Fault>(latest),
            }
        })?;
        let Some(manifest) = stored.as_ref().and_then(parsed) else {
            return Ok(None);
        };
        let mut said = manifest.annotations.clone().unwrap_or_default();
        let images = if manifest.kind.is_index() {
            self.images(name, &manifest)?
        } else {
            vec![manifest]
        };
        for image in images {
            for (key, value) in image.annotations.into_iter().flatten() {
                said.entry(key).or_insert(value);
            }
            let labels = match &image.config {
                Some(config) => self.labels(name, config)?,
                None => BTreeMap::new(),
            };
            let has_labels = !labels.is_empty();
            for (key, value) in labels {
                said.entry(key).or_insert(value);
            }
            if has_labels {
                break;
            }
        }
        Ok(Some(said))
    }

    /// The first images of an index that are for a platform and are here.
    fn images(&self, repository: &str, index: &Manifest) -> Result<Vec<Manifest>, Fault> {
        // Builders put attestations beside images, for a platform called unknown.
        let is_image = |child: &&Descriptor| {
            let platform = child.platform.as_ref();
            platform.is_none_or(|platform| platform.os != "unknown")
        };
        let mut images = Vec::new();
        for child in index.manifests.iter().filter(is_image).take(IMAGES_MAX) {
            let digest = child.digest.as_str();
            let look = |tx: &meta::transaction::Transaction<'_>| {
                meta::manifests::by_digest(tx, repository, digest)
            };
            let stored = self.database.read(look)?;
            images.extend(stored.as_ref().and_then(parsed));
        }
        Ok(images)
    }

    /// The labels of a config; none if it cannot be read, or is no config of an image.
    fn labels(
        &self,
        repository: &str,
        config: &Descriptor,
    ) -> Result<BTreeMap<String, String>, Fault> {
        let digest = &config.digest;
        let size_bytes = self
            .database
            .read(|tx| meta::blobs::size_in(tx, repository, digest))?;
        if size_bytes.is_none_or(|size_bytes| CONFIG_BYTES_MAX < size_bytes) {
            return Ok(BTreeMap::new());
        }
        let Some(content) = self.read_checked(digest)? else {
            return Ok(BTreeMap::new());
        };
        let config: Config = serde_json::from_slice(&content).unwrap_or_default();
        Ok(config
            .config
            .and_then(|config| config.labels)
            .unwrap_or_default())
    }

    /// A published file of at most [`CONFIG_BYTES_MAX`] whose bytes hash to its name. Blocks.
    ///
    /// # Errors
    /// The disk failed.
    pub(super) fn read_checked(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Fault> {
        let content = self.read_whole(digest)?;
        Ok(content.filter(|content| Digest::of(digest.algorithm(), content) == *digest))
    }

    /// A published file of at most [`CONFIG_BYTES_MAX`]. Blocks.
    fn read_whole(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Fault> {
        if let Some(key) = self.object_key(digest)?
            && let Some(objects) = self.store.objects_of(&key)
        {
            return objects.read_whole(&key, CONFIG_BYTES_MAX);
        }
        let file = self.store.open_blob(digest)?;
        let Some(file) = file.filter(|file| file.size_bytes() <= CONFIG_BYTES_MAX) else {
            return Ok(None);
        };
        let mut content = Vec::new();
        while (content.len() as u64) < file.size_bytes() {
            let window = file
                .window(
                    self.store.buffers(),
                    content.len() as u64,
                    file.size_bytes(),
                )
                .map_err(|error| Fault::io("reading a config", error))?;
            content.extend_from_slice(&window);
        }
        Ok(Some(content))
    }
}

fn parsed(stored: &StoredManifest) -> Option<Manifest> {
    Manifest::parse(&stored.content, None).ok()
}
