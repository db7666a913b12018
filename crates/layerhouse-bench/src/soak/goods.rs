//! What is pushed: images of layers that all clients share, and of layers that only one has.

use std::sync::Arc;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::media_type::{OCI_INDEX, OCI_MANIFEST};
use serde_json::{Value, json};

use super::world::Dice;
use crate::content::{Blob, Material};

/// Layers that all clients push, mount and delete, so that their digests meet: few, for many meetings.
const SHARED_LAYERS: u64 = 24;
/// Sizes of layers: most are small, as in an image; the largest takes some chunks.
const LAYER_BYTES: [u64; 5] = [700, 5_000, 40_000, 300_000, 2_500_000];

/// Where layers come from.
#[derive(Clone, Debug)]
pub(super) struct Quarry(Arc<[Material]>);

impl Quarry {
    pub(super) fn new(seed: u64) -> Self {
        let materials = LAYER_BYTES.map(|bytes| Material::new(seed, bytes));
        Self(materials.into())
    }

    /// A layer that any client may have.
    pub(super) fn shared(&self, dice: &mut Dice) -> Blob {
        let number = dice.below(SHARED_LAYERS);
        // Its size belongs to its number.
        let at = usize::try_from(number).unwrap_or(0) % (LAYER_BYTES.len() - 1);
        self.0[at].blob(number)
    }

    /// A layer that nobody has.
    pub(super) fn own(&self, dice: &mut Dice) -> Blob {
        // One in thirty is large.
        let kinds = LAYER_BYTES.len() as u64;
        let at = if dice.once_in(30) {
            kinds - 1
        } else {
            dice.below(kinds - 1)
        };
        let number = (1 << 40) + dice.below(1 << 60);
        self.0[usize::try_from(at).unwrap_or(0)].blob(number)
    }
}

/// A manifest and what it needs.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) manifest: Blob,
    pub(super) media_type: &'static str,
    /// Config and layers; none of an index.
    pub(super) blobs: Vec<Blob>,
    pub(super) children: Vec<Digest>,
    pub(super) subject: Option<Digest>,
}

impl Made {
    pub(super) fn digest(&self) -> &Digest {
        &self.manifest.digest
    }

    /// An image unlike any other.
    pub(super) fn image(quarry: &Quarry, dice: &mut Dice, subject: Option<&Self>) -> Self {
        let name = format!("{:016x}", dice.below(u64::MAX));
        let mut blobs = vec![Blob::of(json!({ "name": name }).to_string().as_bytes())];
        if dice.once_in(3) {
            // Many images have no config worth one.
            blobs = vec![Blob::of(b"{}")];
        }
        for _ in 0..=dice.below(3) {
            let layer = if dice.once_in(3) {
                quarry.own(dice)
            } else {
                quarry.shared(dice)
            };
            blobs.push(layer);
        }
        let layers: Vec<Value> = blobs[1..]
            .iter()
            .map(|layer| descriptor("application/vnd.oci.image.layer.v1.tar", layer))
            .collect();
        let mut manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor("application/vnd.oci.image.config.v1+json", &blobs[0]),
            "layers": layers,
            "annotations": { "name": name },
        });
        if let Some(subject) = subject {
            manifest["artifactType"] = json!("application/vnd.example.soak");
            manifest["subject"] = descriptor(subject.media_type, &subject.manifest);
        }
        Self {
            manifest: Blob::of(manifest.to_string().as_bytes()),
            media_type: OCI_MANIFEST,
            blobs,
            children: Vec::new(),
            subject: subject.map(|subject| subject.digest().clone()),
        }
    }

    /// An index of these images.
    pub(super) fn index(dice: &mut Dice, children: &[&Self]) -> Self {
        let manifests: Vec<Value> = children
            .iter()
            .map(|child| descriptor(child.media_type, &child.manifest))
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": manifests,
            "annotations": { "name": format!("{:016x}", dice.below(u64::MAX)) },
        });
        Self {
            manifest: Blob::of(manifest.to_string().as_bytes()),
            media_type: OCI_INDEX,
            blobs: Vec::new(),
            children: children
                .iter()
                .map(|child| child.digest().clone())
                .collect(),
            subject: None,
        }
    }
}

fn descriptor(media_type: &str, blob: &Blob) -> Value {
    json!({ "mediaType": media_type, "digest": blob.digest.as_str(), "size": blob.length })
}
