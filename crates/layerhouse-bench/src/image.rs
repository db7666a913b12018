//! Images of any shape from a seed: layers, a config that names them, a manifest that needs both.

use layerhouse_oci::digest::{Algorithm, Digest};
use layerhouse_oci::media_type::OCI_MANIFEST;
use serde_json::{Value, json};

use crate::content::{Blob, Material};

const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// Layers are not archives, but registries do not look, and so their diff ids are their digests.
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
/// A config is padded to this many bytes, as small ones of real images are.
const CONFIG_BYTES: usize = 1024;

/// An image, with everything in memory but what its layers share.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(crate) config: Blob,
    pub(crate) layers: Vec<Blob>,
    pub(crate) manifest: Vec<u8>,
    pub(crate) digest: Digest,
}

impl Image {
    /// An image of these layers.
    pub(crate) fn of(layers: Vec<Blob>) -> Self {
        let config = Blob::of(&config(&layers));
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(CONFIG_TYPE, &config),
            "layers": layers.iter().map(|layer| descriptor(LAYER_TYPE, layer)).collect::<Vec<_>>(),
        });
        let manifest = manifest.to_string().into_bytes();
        Self {
            digest: Digest::of(Algorithm::Sha256, &manifest),
            config,
            layers,
            manifest,
        }
    }

    /// An image whose layers have these lengths.
    pub(crate) fn shaped(seed: u64, lengths: &[u64]) -> Self {
        let layers = (0..)
            .zip(lengths)
            .map(|(number, length)| Material::new(seed, *length).blob(number))
            .collect();
        Self::of(layers)
    }

    /// Bytes of a whole pull: manifest, config, layers.
    pub(crate) fn length(&self) -> u64 {
        let layers: u64 = self.layers.iter().map(|layer| layer.length).sum();
        self.manifest.len() as u64 + self.config.length + layers
    }
}

/// The lengths of `count` layers of together `total` bytes, each half of the one before as far as that
/// goes: images have one large layer and several small ones.
///
/// # Errors
/// Fewer than 32 bytes to a layer.
pub(crate) fn layer_lengths(total: u64, count: u64) -> Result<Vec<u64>, String> {
    if total / 32 < count || count == 0 {
        return Err(format!("{total} bytes are too few for {count} layers"));
    }
    let mut lengths = Vec::new();
    let mut rest = total;
    for left in (1..=count).rev() {
        let length = if left == 1 {
            rest
        } else {
            (rest / 2).min(rest - (left - 1) * 32).max(32)
        };
        lengths.push(length);
        rest -= length;
    }
    Ok(lengths)
}

fn descriptor(media_type: &str, blob: &Blob) -> Value {
    json!({ "mediaType": media_type, "digest": blob.digest.as_str(), "size": blob.length })
}

fn config(layers: &[Blob]) -> Vec<u8> {
    let diff_ids: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
    let mut config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Labels": { "padding": "" } },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    });
    let missing = CONFIG_BYTES.saturating_sub(config.to_string().len());
    config["config"]["Labels"]["padding"] = json!("x".repeat(missing));
    config.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_the_same_every_time() {
        let image = Image::shaped(5, &[1_000, 2_000]);
        let again = Image::shaped(5, &[1_000, 2_000]);
        assert_eq!(image.manifest, again.manifest);
        assert_eq!(image.digest, again.digest);
        assert_ne!(image.digest, Image::shaped(6, &[1_000, 2_000]).digest);
        assert_eq!(image.config.length, 1024);
        assert_eq!(image.length(), 3_000 + 1024 + image.manifest.len() as u64);
        let media_type = OCI_MANIFEST.parse().unwrap();
        layerhouse_oci::manifest::Manifest::parse(&image.manifest, Some(&media_type)).unwrap();
    }

    #[test]
    fn layers_add_up() {
        for (total, count) in [(237_000_000, 8), (64, 2), (1_000, 1), (320, 10), (500, 10)] {
            let lengths = layer_lengths(total, count).unwrap();
            assert_eq!(lengths.len() as u64, count);
            assert_eq!(lengths.iter().sum::<u64>(), total);
            assert!(lengths.iter().all(|length| 32 <= *length), "{lengths:?}");
        }
        assert!(layer_lengths(63, 2).is_err());
        assert!(layer_lengths(1_000, 0).is_err());
    }
}
