//! One image: what names it, what it names, what its config says, and who else has its layers.

use std::ops::ControlFlow;

use bytes::Bytes;
use layerhouse_oci::digest::{Algorithm, Digest};
use layerhouse_oci::manifest::Manifest;
use layerhouse_oci::media_type::ManifestKind;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;
use layerhouse_oci::tag::Tag;

use super::learn::of_platform;
use super::tags::{ImageFacts, ROWS_MAX};
use crate::auth::directory::Viewer;
use crate::auth::{Granted, Pull};
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta;
use crate::meta::browse::shared as rows;
use crate::meta::repositories::RepositoryId;
use crate::meta::transaction::Transaction;
use crate::registry::Registry;

/// An image, or whatever else a manifest is.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) digest: Digest,
    pub(crate) kind: ManifestKind,
    pub(crate) content: Bytes,
    pub(crate) artifact_type: Option<String>,
    /// Absent until it was read.
    pub(crate) facts: Option<ImageFacts>,
    pub(crate) pushed_at: Timestamp,
    /// To some minutes; absent if it never was.
    pub(crate) pulled_at: Option<Timestamp>,
    /// The first 50 by name that point at it.
    pub(crate) tags: Vec<Tag>,
    /// How many there are, up to 1,000.
    pub(crate) tag_count: u64,
    /// Indexes of this repository that name it, at most 50.
    pub(crate) parents: Vec<Digest>,
    /// The manifests that an index names, in its order, at most 1,000.
    pub(crate) children: Vec<Child>,
    /// Manifests that name it as their subject, up to 1,000; without what clients record in tags.
    pub(crate) referrers: u64,
    pub(crate) is_signed: bool,
    pub(crate) has_sbom: bool,
}

/// A manifest that an index names.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    pub(crate) digest: Digest,
    /// `linux/arm64/v8`, as the index says; absent for none, and for what builders put beside images.
    pub(crate) platform: Option<String>,
    /// Whether it is in the repository.
    pub(crate) is_here: bool,
    pub(crate) facts: Option<ImageFacts>,
}

/// Who has a layer.
#[derive(Clone, Debug)]
pub(crate) struct LayerUses {
    pub(crate) digest: Digest,
    /// Manifests of this repository, up to 1,000.
    pub(crate) images: u64,
    /// Other repositories that the viewer sees, at most 100.
    pub(crate) repositories: Vec<RepositoryName>,
    /// There may be more of them.
    pub(crate) is_capped: bool,
}

/// Tags, and indexes, that are named.
const NAMED_MAX: usize = 50;
/// What is counted no further.
const COUNTED_MAX: usize = 1_000;
/// Manifests of an index that are shown.
const CHILDREN_MAX: usize = 1_000;
/// Layers that are asked for together: images have at most 127.
const LAYERS_MAX: usize = 200;
/// Other repositories that are named for one layer.
const LINKING_MAX: usize = 100;
/// Links that are looked at for all layers together, at 2 µs each: of a base image there may be ten thousand that
/// the viewer does not see.
const LINKS_LOOKED_AT_MAX: usize = 10_000;
/// Manifests that are looked at for the beginning of a digest.
const DIGESTS_LOOKED_AT_MAX: usize = 1_000;
/// The least that is asked for: with less, every letter finds something.
const PREFIX_BYTES_MIN: usize = 6;

impl Registry {
    /// An image with what is around it; `None` if it is not there.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn image(
        &self,
        pull: &Granted<Pull>,
        reference: &Reference,
    ) -> Result<Option<Image>, Fault> {
        let name = pull.repository();
        self.database.read(|tx| {
            let stored = match reference {
                Reference::Tag(tag) => meta::manifests::by_tag(tx, name.as_str(), tag.as_str())?,
                Reference::Digest(digest) => {
                    meta::manifests::by_digest(tx, name.as_str(), digest.as_str())?
                }
            };
            let (Some(stored), Some(id)) = (stored, meta::repositories::find_present(tx, name)?)
            else {
                return Ok(None);
            };
            let digest = &stored.digest;
            // It may have gone since.
            let Some(around) = rows::around(tx, id, digest, COUNTED_MAX)? else {
                return Ok(None);
            };
            let children = if stored.kind.is_index() {
                children(tx, id, &stored.content)?
            } else {
                Vec::new()
            };
            Ok(Some(Image {
                artifact_type: around.artifact_type,
                facts: around.facts.as_ref().map(ImageFacts::read),
                pushed_at: around.pushed_at,
                pulled_at: around.pulled_at,
                tags: meta::tags::pointing_at(tx, id, digest, NAMED_MAX)?,
                tag_count: around.tags,
                parents: rows::parents(tx, id, digest, NAMED_MAX)?,
                children,
                referrers: around.referrers,
                is_signed: around.is_signed,
                has_sbom: around.has_sbom,
                kind: stored.kind,
                content: stored.content,
                digest: stored.digest,
            }))
        })
    }

    /// The config of an image, or of whatever else: a blob of the repository that is no larger than 8 MiB and hashes
    /// to its digest. `None` if it is not there, is larger, or is damaged, which is told where it is pulled.
    ///
    /// Blocks: it is read from the disk.
    ///
    /// # Errors
    /// The database or the disk failed.
    pub(crate) fn image_config(
        &self,
        pull: &Granted<Pull>,
        digest: &Digest,
    ) -> Result<Option<Vec<u8>>, Fault> {
        let name = pull.repository().as_str();
        let size_bytes = self
            .database
            .read(|tx| meta::blobs::size_in(tx, name, digest))?;
        match size_bytes {
            None => Ok(None),
            Some(_) => self.read_checked(digest),
        }
    }

    /// Who has each of these blobs; the first 200 are looked at. What the viewer does not see counts for nothing.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn layer_uses(
        &self,
        viewer: &Viewer,
        pull: &Granted<Pull>,
        layers: &[Digest],
    ) -> Result<Vec<LayerUses>, Fault> {
        let layers = &layers[..layers.len().min(LAYERS_MAX)];
        self.database.read(|tx| {
            let Some(id) = meta::repositories::find_present(tx, pull.repository())? else {
                return Ok(Vec::new());
            };
            let room = LINKS_LOOKED_AT_MAX / layers.len().max(1);
            let uses = layers
                .iter()
                .map(|layer| uses_of(tx, viewer, id, layer, room));
            uses.collect()
        })
    }

    /// Manifests whose digest begins so, and where a viewer sees them, at most `count` and [`ROWS_MAX`]; none for less
    /// than six digits. `hex` stands behind the colon.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn by_digest_prefix(
        &self,
        viewer: &Viewer,
        hex: &str,
        count: u32,
    ) -> Result<Vec<(RepositoryName, Digest)>, Fault> {
        let hex = hex.to_ascii_lowercase();
        let is_hex = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        let count = count.min(ROWS_MAX) as usize;
        let mut found = Vec::new();
        if hex.len() < PREFIX_BYTES_MIN || !is_hex || count == 0 {
            return Ok(found);
        }
        let mut looked_at = 0;
        let mut look = |name: &RepositoryName, visibility: Option<&str>, digest: Digest| {
            looked_at += 1;
            if viewer.sees(name.as_str(), visibility) {
                found.push((name.clone(), digest));
            }
            if found.len() < count && looked_at < DIGESTS_LOOKED_AT_MAX {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        };
        self.database.read(|tx| {
            for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
                let from = format!("{}:{hex}", algorithm.name());
                // `g` is behind all digits.
                rows::each_between(tx, &from, &format!("{from}g"), &mut look)?;
            }
            Ok::<_, Fault>(())
        })?;
        found.truncate(count);
        Ok(found)
    }
}

/// What an index names, and what is known of it.
fn children(tx: &Transaction<'_>, id: RepositoryId, content: &[u8]) -> Result<Vec<Child>, Fault> {
    // What was damaged on the disk is told where it is pulled.
    let Ok(index) = Manifest::parse(content, None) else {
        return Ok(Vec::new());
    };
    let named = &index.manifests[..index.manifests.len().min(CHILDREN_MAX)];
    let digests: Vec<&str> = named.iter().map(|child| child.digest.as_str()).collect();
    let known = rows::known(tx, id, &digests)?;
    let children = named
        .iter()
        .zip(known)
        .map(|(child, (is_here, facts))| Child {
            digest: child.digest.clone(),
            platform: child.platform.as_ref().and_then(of_platform),
            is_here,
            facts: facts.as_ref().map(ImageFacts::read),
        });
    Ok(children.collect())
}

fn uses_of(
    tx: &Transaction<'_>,
    viewer: &Viewer,
    id: RepositoryId,
    layer: &Digest,
    room: usize,
) -> Result<LayerUses, Fault> {
    let mut uses = LayerUses {
        digest: layer.clone(),
        images: rows::count_needing(tx, id, layer, COUNTED_MAX)?,
        repositories: Vec::new(),
        is_capped: false,
    };
    let mut looked_at = 0;
    rows::each_linking(tx, id, layer, |name, visibility| {
        looked_at += 1;
        if room < looked_at || uses.repositories.len() == LINKING_MAX {
            uses.is_capped = true;
            return ControlFlow::Break(());
        }
        if viewer.sees(name, visibility)
            && let Ok(name) = name.parse()
        {
            uses.repositories.push(name);
        }
        ControlFlow::Continue(())
    })?;
    uses.repositories.sort();
    Ok(uses)
}
