//! Fetching an image before anybody asks for it: its manifest, as fresh as a pull would get it, the images of an
//! index, and all their blobs.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::StreamExt;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::manifest::{Manifest, ManifestError};
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;

use super::manifests::Freshness;
use super::platforms::{Wanted, is_wanted};
use super::routing::{Place, RoutingError, Source};
use super::{Mirror, MirrorError};
use crate::fault::Fault;
use crate::meta::manifests::StoredManifest;
use crate::registry::{Registry, blocking};

/// Blobs of one image at once; others pull meanwhile.
const BLOBS_AT_ONCE: usize = 4;
/// Manifests of one image: an index of a thousand platforms, with what BuildKit attests of each, and room to spare.
const MANIFESTS_MAX: usize = 4_096;

/// What was fetched of an image; nothing, if all of it was here and fresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Warmed {
    pub(crate) manifests: u64,
    pub(crate) blobs: u64,
    /// Of those blobs.
    pub(crate) bytes: u64,
}

impl Warmed {
    pub(super) fn add(&mut self, more: Self) {
        self.manifests += more.manifests;
        self.blobs += more.blobs;
        self.bytes += more.bytes;
    }

    pub(crate) fn was_fresh(self) -> bool {
        self == Self::default()
    }
}

/// Why an image was not fetched, or not all of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WarmError {
    #[error("this server mirrors no other registry (layerhouse.mirror)")]
    NoMirror,
    #[error("{text:?} is no image; write docker.io/library/nginx:1.27")]
    Reference { text: String },
    #[error("{text:?} is no platform; write linux/amd64 or linux/arm/v7")]
    Platform { text: String },
    #[error("{repository} is no upstream's: name one, as docker.io/library/nginx does")]
    NotMirrored { repository: RepositoryName },
    #[error(transparent)]
    Routing(#[from] RoutingError),
    #[error("{upstream} could not be asked; what is here of the image may be old")]
    Stale { upstream: String },
    #[error("the index has no image for {platforms}")]
    NoSuchPlatform { platforms: String },
    #[error("{digest} cannot be read: {error}")]
    Invalid {
        digest: Digest,
        error: ManifestError,
    },
    #[error("the image names more than {MANIFESTS_MAX} manifests")]
    TooMany,
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// An image that is here.
pub(super) struct Gathered {
    /// Its manifest first; each index before its images.
    pub(super) manifests: Vec<Arc<StoredManifest>>,
    /// Those that all of them need.
    pub(super) blobs: BTreeSet<Digest>,
    pub(super) fetched: Warmed,
}

impl Registry {
    /// Fetches what a client would pull who names an image so: `docker.io/library/nginx:1.27`, `nginx` with a default
    /// upstream; `latest`, if nothing is said. Of an index, the images for these platforms, or all.
    ///
    /// # Errors
    /// As [`WarmError`] says; what came is kept.
    pub(crate) async fn warm(
        self: &Arc<Self>,
        reference: &str,
        platforms: &[String],
    ) -> Result<Warmed, WarmError> {
        let mirror = self.mirror().ok_or(WarmError::NoMirror)?;
        let (source, reference) = self.named(&mirror, reference)?;
        let gathered = self.gather(&source, &reference, platforms).await?;
        Ok(gathered.fetched)
    }

    /// The upstream's repository, and what of it, that somebody means.
    fn named(&self, mirror: &Arc<Mirror>, text: &str) -> Result<(Source, Reference), WarmError> {
        let (name, reference) = split(text).ok_or_else(|| WarmError::Reference {
            text: text.chars().take(300).collect(),
        })?;
        Ok((self.source_of(mirror, &name)?, reference))
    }

    /// The upstream's repository of this name.
    pub(super) fn source_of(
        &self,
        mirror: &Arc<Mirror>,
        name: &RepositoryName,
    ) -> Result<Source, WarmError> {
        let is_own = self.is_own(mirror, name)?;
        match mirror.resolve(name, None, is_own)? {
            Place::Copy(source) => Ok(source),
            Place::Hosted => Err(WarmError::NotMirrored {
                repository: name.clone(),
            }),
        }
    }

    /// Has an image here, whole but for images for other platforms.
    pub(super) async fn gather(
        self: &Arc<Self>,
        source: &Source,
        reference: &Reference,
        platforms: &[String],
    ) -> Result<Gathered, WarmError> {
        let read = |text: &String| {
            Wanted::read(text).ok_or_else(|| WarmError::Platform { text: text.clone() })
        };
        let wanted = platforms.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let mut gathered = Gathered {
            manifests: Vec::new(),
            blobs: BTreeSet::new(),
            fetched: Warmed::default(),
        };
        let mut blobs = Vec::new();
        let mut known = BTreeSet::new();
        let mut open = vec![reference.clone()];
        while let Some(reference) = open.pop() {
            let found = self.copy_manifest(source, &reference).await?;
            match found.freshness {
                Freshness::Fresh => {}
                Freshness::Stale => {
                    let upstream = source.served.name().to_owned();
                    return Err(WarmError::Stale { upstream });
                }
                Freshness::Offline => return Err(MirrorError::Offline.into()),
            }
            // As if it had been pulled: what is fetched again and again must not go in between.
            self.note_pull(&source.copy, &found.manifest.digest);
            gathered.fetched.manifests += u64::from(found.is_new);
            let (parsed, manifest) = parse(found.manifest).await?;
            known.insert(manifest.digest.clone());
            let is_first = gathered.manifests.is_empty();
            gathered.manifests.push(manifest);
            let children = parsed.manifests.iter();
            let children: Vec<_> = children.filter(|child| is_wanted(child, &wanted)).collect();
            if is_first && children.is_empty() && !parsed.manifests.is_empty() {
                let platforms = platforms.join(", ");
                return Err(WarmError::NoSuchPlatform { platforms });
            }
            for child in children {
                if known.insert(child.digest.clone()) {
                    open.push(Reference::Digest(child.digest.clone()));
                }
            }
            if MANIFESTS_MAX < known.len() {
                return Err(WarmError::TooMany);
            }
            let layers = parsed
                .layers
                .iter()
                .filter(|layer| layer.is_distributable());
            for blob in parsed.config.iter().chain(layers) {
                if gathered.blobs.insert(blob.digest.clone()) {
                    blobs.push((blob.digest.clone(), blob.size));
                }
            }
        }
        self.bring_blobs(source, blobs, &mut gathered.fetched)
            .await?;
        Ok(gathered)
    }

    async fn bring_blobs(
        self: &Arc<Self>,
        source: &Source,
        blobs: Vec<(Digest, u64)>,
        fetched: &mut Warmed,
    ) -> Result<(), MirrorError> {
        let bring = |(digest, size_bytes): (Digest, u64)| async move {
            let was_brought = self.bring_blob(source, &digest).await?;
            Ok::<_, MirrorError>(was_brought.then_some(size_bytes))
        };
        let mut brought = futures_util::stream::iter(blobs)
            .map(bring)
            .buffer_unordered(BLOBS_AT_ONCE);
        while let Some(brought) = brought.next().await {
            if let Some(size_bytes) = brought? {
                fetched.blobs += 1;
                fetched.bytes += size_bytes;
            }
        }
        Ok(())
    }
}

/// Large indexes are read where a thread may wait.
pub(super) async fn parse(
    manifest: Arc<StoredManifest>,
) -> Result<(Manifest, Arc<StoredManifest>), WarmError> {
    let (parsed, manifest) = blocking(move || {
        let parsed = Manifest::parse(&manifest.content, None);
        (parsed, manifest)
    })
    .await?;
    match parsed {
        Ok(parsed) => Ok((parsed, manifest)),
        Err(error) => Err(WarmError::Invalid {
            digest: manifest.digest.clone(),
            error,
        }),
    }
}

/// `name`, `name:tag`, `name@digest` or `name:tag@digest`, of which the digest counts.
fn split(text: &str) -> Option<(RepositoryName, Reference)> {
    let (text, digest) = match text.split_once('@') {
        Some((text, digest)) => (text, Some(digest.parse::<Digest>().ok()?)),
        None => (text, None),
    };
    let (name, tag) = match text.rsplit_once(':') {
        Some((name, tag)) => (name, tag),
        None => (text, "latest"),
    };
    let (name, tag) = (name.parse().ok()?, tag.parse().ok()?);
    Some((name, digest.map_or(Reference::Tag(tag), Reference::Digest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_named_as_clients_do() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let named = split(text);
            let shown = named
                .as_ref()
                .map(|(name, reference)| (name.as_str(), reference.as_str()));
            assert_eq!(shown, expected, "{text}");
        };
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        check("nginx", Some(("nginx", "latest")));
        check(
            "docker.io/library/nginx:1.27",
            Some(("docker.io/library/nginx", "1.27")),
        );
        check(&format!("nginx@{digest}"), Some(("nginx", digest)));
        check(&format!("nginx:1@{digest}"), Some(("nginx", digest)));
        for text in [
            "",
            ":1",
            "nginx:",
            "nginx@",
            "nginx@sha256:ab",
            "Nginx",
            "host:5000/nginx",
        ] {
            check(text, None);
        }
    }
}
