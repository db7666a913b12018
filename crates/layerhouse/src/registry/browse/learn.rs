//! Reads what was pushed, once, behind the push: how large a pull of it is, what it runs on, when it was built.
//!
//! Which manifests are to be read is a queue that triggers fill (`image_queue`), so whoever adds one need not know
//! of this; a crash, or years without this release, leave them there.

use std::sync::Arc;

use layerhouse_oci::descriptor::{Descriptor, Platform};
use layerhouse_oci::digest::Digest;
use layerhouse_oci::manifest::Manifest;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::kind::{Kind, is_image_config};
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::browse::images::{self as rows, Queued};
use crate::meta::browse::tags::Facts;
use crate::meta::database::Durability;
use crate::meta::repositories::RepositoryId;
use crate::registry::{Registry, blocking};

/// Manifests of one round: their rows are written in one transaction, some 5 ms, for pushes wait behind it.
const MANIFESTS_MAX: usize = 128;
/// Tags of earlier releases that are given their keys in one transaction.
const TAGS_MAX: usize = 500;
/// Images of an index that are looked at, those of indexes within it included; no more have platforms that anybody
/// reads.
const CHILDREN_MAX: usize = 1_000;
/// Indexes within indexes.
const DEPTH_MAX: usize = 3;
/// Platforms that are kept of an index, and the bytes of each.
const PLATFORMS_MAX: usize = 64;
const PLATFORM_PART_BYTES_MAX: usize = 32;

/// The part of an image's config that is of interest.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    os: String,
    architecture: String,
    variant: String,
    created: Option<String>,
}

/// How much may still be read for one manifest.
struct Budget {
    children: usize,
    depth: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            children: CHILDREN_MAX,
            depth: DEPTH_MAX,
        }
    }
}

/// A manifest that was read.
struct Learned {
    facts: Facts,
    awaits: Option<Digest>,
}

impl Registry {
    /// One round of reading what was pushed; whether there may be more to do.
    ///
    /// Not flushed: what a power cut takes is read again, for it is in the queue again.
    ///
    /// # Errors
    /// The database failed; nothing was done.
    pub(crate) async fn learn_images(self: &Arc<Self>) -> Result<bool, Fault> {
        let registry = Arc::clone(self);
        let read = move || registry.read_queued();
        let learned = blocking(read).await??;
        let progress = self.database.read(rows::version_progress)?;
        if learned.is_empty() && progress.is_none() {
            return Ok(false);
        }
        let write = move |tx: &meta::transaction::Transaction<'_>| {
            for (queued, learned) in &learned {
                rows::learn(tx, queued, &learned.facts, learned.awaits.as_ref())?;
            }
            if let Some(after) = &progress {
                rows::key_versions(tx, after, TAGS_MAX)?;
            }
            Ok::<_, Fault>(())
        };
        let written = self.database.write_lasting(Durability::Remade, write);
        written.await.map(|()| true)
    }

    fn read_queued(&self) -> Result<Vec<(Queued, Learned)>, Fault> {
        let queued = self.database.read(|tx| rows::queued(tx, MANIFESTS_MAX))?;
        let mut learned = Vec::with_capacity(queued.len());
        for queued in queued {
            let read =
                self.read_facts(queued.repository, &queued.digest, &mut Budget::default())?;
            // It may be gone by now, and its row with it.
            if let Some(read) = read {
                learned.push((queued, read));
            }
        }
        Ok(learned)
    }

    /// What a manifest and its config say; `None` if it is not there. Blocks.
    fn read_facts(
        &self,
        repository: RepositoryId,
        digest: &Digest,
        budget: &mut Budget,
    ) -> Result<Option<Learned>, Fault> {
        let content = self
            .database
            .read(|tx| rows::content(tx, repository, digest))?;
        let Some(content) = content else {
            return Ok(None);
        };
        // What was damaged on the disk is told where it is pulled.
        let Ok(manifest) = Manifest::parse(&content, None) else {
            return Ok(Some(Learned::nothing()));
        };
        let learned = if manifest.kind.is_index() {
            self.read_index(repository, &manifest, budget)?
        } else {
            self.read_image(repository, &manifest)?
        };
        Ok(Some(learned))
    }

    fn read_image(&self, repository: RepositoryId, image: &Manifest) -> Result<Learned, Fault> {
        let kind = Kind::of(image);
        let image_bytes = pulled_bytes(image);
        let mut learned = Learned {
            facts: Facts {
                kind: kind.as_str().to_owned(),
                image_bytes,
                largest_bytes: image_bytes,
                platforms: String::new(),
                created_at: None,
            },
            awaits: None,
        };
        let config = image.config.as_ref();
        let Some(config) = config.filter(|config| is_image_config(config.media_type.as_str()))
        else {
            return Ok(learned);
        };
        let is_here = |tx: &meta::transaction::Transaction<'_>| {
            meta::blobs::is_linked(tx, repository, &config.digest)
        };
        if !self.database.read(is_here)? {
            learned.awaits = Some(config.digest.clone());
            return Ok(learned);
        }
        let config = self.read_config(&config.digest)?;
        learned.facts.created_at = config.created.as_deref().and_then(time);
        // What only looks like an image says of no platform what somebody could run there.
        if kind == Kind::Image {
            let platform = shown(&config.os, &config.architecture, &config.variant);
            learned.facts.platforms = platform.unwrap_or_default();
        }
        Ok(learned)
    }

    /// A config of an image; nothing, if it cannot be read, which is told where it is pulled.
    /// A store that does not answer may do so later.
    fn read_config(&self, digest: &Digest) -> Result<Config, Fault> {
        let content = match self.read_checked(digest) {
            Err(fault) if fault.kind() == FaultKind::Unavailable => return Err(fault),
            Err(fault) => {
                tracing::warn!(%fault, %digest, "the config of an image could not be read");
                None
            }
            Ok(content) => content,
        };
        let content = content.unwrap_or_default();
        Ok(serde_json::from_slice(&content).unwrap_or_default())
    }

    fn read_index(
        &self,
        repository: RepositoryId,
        index: &Manifest,
        budget: &mut Budget,
    ) -> Result<Learned, Fault> {
        let mut learned = Learned::nothing();
        Kind::of(index).as_str().clone_into(&mut learned.facts.kind);
        let mut platforms: Vec<String> = Vec::new();
        for child in &index.manifests {
            if budget.children == 0 {
                break;
            }
            budget.children -= 1;
            let known = |tx: &meta::transaction::Transaction<'_>| {
                rows::facts(tx, repository, &child.digest)
            };
            let facts = match self.database.read(known)? {
                None if 0 < budget.depth => {
                    budget.depth -= 1;
                    let read = self.read_facts(repository, &child.digest, budget)?;
                    budget.depth += 1;
                    read.map(|read| read.facts)
                }
                known => known,
            };
            let image_bytes = facts.as_ref().map_or(0, |facts| facts.image_bytes);
            let total = &mut learned.facts.image_bytes;
            *total = total.saturating_add(image_bytes);
            let largest = &mut learned.facts.largest_bytes;
            *largest = image_bytes.max(*largest);
            let created_at = facts.as_ref().and_then(|facts| facts.created_at);
            learned.facts.created_at = learned.facts.created_at.max(created_at);
            let of_facts = facts.iter().flat_map(|facts| facts.platforms.split(','));
            if let Some(platform) = &child.platform {
                platforms.extend(of_platform(platform));
            } else {
                let said = of_facts.filter(|text| !text.is_empty());
                platforms.extend(said.map(str::to_owned));
            }
        }
        let mut kept: Vec<String> = Vec::new();
        for platform in platforms {
            if kept.len() < PLATFORMS_MAX && !kept.contains(&platform) {
                kept.push(platform);
            }
        }
        learned.facts.platforms = kept.join(",");
        Ok(learned)
    }
}

impl Learned {
    fn nothing() -> Self {
        Self {
            facts: Facts {
                kind: Kind::Artifact.as_str().to_owned(),
                image_bytes: 0,
                largest_bytes: 0,
                platforms: String::new(),
                created_at: None,
            },
            awaits: None,
        }
    }
}

/// Config and layers, each once: an image may name a layer twice, and nobody pulls it twice.
fn pulled_bytes(image: &Manifest) -> u64 {
    let mut blobs: Vec<&Descriptor> = image.config.iter().chain(&image.layers).collect();
    blobs.sort_by(|one, other| one.digest.cmp(&other.digest));
    blobs.dedup_by(|one, other| one.digest == other.digest);
    let sizes = blobs.iter().map(|blob| blob.size);
    sizes.fold(0, u64::saturating_add)
}

/// A platform as an index names it; none for what builders put beside images.
pub(crate) fn of_platform(platform: &Platform) -> Option<String> {
    let variant = platform.variant.as_deref().unwrap_or_default();
    shown(&platform.os, &platform.architecture, variant)
}

/// `linux/arm64/v8`; `None` if it is not said, or not with characters that such names have.
fn shown(os: &str, architecture: &str, variant: &str) -> Option<String> {
    let is_good = |part: &str| {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        part.len() <= PLATFORM_PART_BYTES_MAX && part.bytes().all(is_allowed)
    };
    let is_known = |part: &str| !part.is_empty() && part != "unknown";
    let is_whole = is_known(os) && is_known(architecture);
    if !is_whole || ![os, architecture, variant].into_iter().all(is_good) {
        return None;
    }
    Some(match variant {
        "" => format!("{os}/{architecture}"),
        variant => format!("{os}/{architecture}/{variant}"),
    })
}

/// A time of RFC 3339. Builds that are to give the same bytes each time say 1970, which is no time either.
fn time(text: &str) -> Option<Timestamp> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let at_ms = i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()?;
    (0 < at_ms).then_some(Timestamp(at_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_shown() {
        let check = |parts: (&str, &str, &str), expected: Option<&str>| {
            assert_eq!(
                shown(parts.0, parts.1, parts.2).as_deref(),
                expected,
                "{parts:?}"
            );
        };
        check(("linux", "amd64", ""), Some("linux/amd64"));
        check(("linux", "arm64", "v8"), Some("linux/arm64/v8"));
        check(("", "amd64", ""), None);
        check(("unknown", "unknown", ""), None);
        check(("linux", "amd64,x", ""), None);
        check(("linux", "<b>", ""), None);
        check(("linux", &"a".repeat(33), ""), None);
    }

    #[test]
    fn times_are_read() {
        assert_eq!(
            time("2026-11-22T07:00:00.5Z"),
            Some(Timestamp(1_795_330_800_500))
        );
        assert_eq!(
            time("2026-11-22T09:00:00+02:00"),
            Some(Timestamp(1_795_330_800_000))
        );
        for text in [
            "",
            "yesterday",
            "0001-01-01T00:00:00Z",
            "1970-01-01T00:00:00Z",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
