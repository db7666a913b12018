//! Manifests of copies: a tag is compared with its upstream's when its time is over, a digest never; and while the
//! upstream cannot be asked, what is here is served.

use std::sync::Arc;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::media_type::{ManifestKind, MediaType};
use layerhouse_oci::reference::Reference;
use layerhouse_oci::tag::Tag;
use layerhouse_oci::tag_at::TagAt;

use super::numbers::Count;
use super::routing::Source;
use super::{Asked, MirrorError, What};
use crate::auth::{Granted, Pull};
use crate::fault::FaultKind;
use crate::meta;
use crate::meta::database::Durability;
use crate::meta::links::Link;
use crate::meta::manifests::{NewManifest, StoredManifest};
use crate::outbound::upstream::UpstreamManifest;
use crate::registry::manifest_rules::ManifestRules;
use crate::registry::manifests::{MANIFEST_BYTES_MAX, Needs, read, write_rows};
use crate::registry::{Registry, blocking, deletion};

/// Who moves the tags of copies, in their history.
pub(crate) const ACTOR: &str = "mirror";

/// A manifest of a copy.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) manifest: Arc<StoredManifest>,
    pub(crate) freshness: Freshness,
    /// It was fetched for this.
    pub(crate) is_new: bool,
}

/// Whether a copy is known to be what the upstream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    Fresh,
    /// The upstream could not be asked.
    Stale,
    /// Nobody is asked.
    Offline,
}

/// What a second look finds.
enum Meanwhile {
    /// It came.
    Settled,
    /// What the upstream's is to be compared with.
    Have(Option<Digest>),
}

/// What came of asking an upstream for a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Brought {
    /// The copy is what the upstream has.
    Unchanged,
    /// It was fetched.
    New,
}

impl Registry {
    /// The manifest that a tag or digest names in an upstream's repository: from the copy, if that is fresh or the
    /// upstream cannot be asked; `pull` is for the copy.
    ///
    /// # Errors
    /// There is no copy, and the upstream has it not or cannot be asked.
    pub(crate) async fn pull_manifest_through(
        self: &Arc<Self>,
        pull: &Granted<Pull>,
        source: &Source,
        reference: &Reference,
    ) -> Result<Found, MirrorError> {
        assert_eq!(pull.repository(), &source.copy, "a proof for the copy");
        self.copy_manifest(source, reference).await
    }

    /// The same for ourselves, who fetch before anybody asks.
    pub(super) async fn copy_manifest(
        self: &Arc<Self>,
        source: &Source,
        reference: &Reference,
    ) -> Result<Found, MirrorError> {
        let result = self.find_or_bring(source, reference).await;
        if matches!(&result, Err(error) if !error.is_absence()) {
            source.served.numbers.add(Count::Failure);
        }
        result
    }

    async fn find_or_bring(
        self: &Arc<Self>,
        source: &Source,
        reference: &Reference,
    ) -> Result<Found, MirrorError> {
        let settings = &source.mirror.settings;
        let numbers = &source.served.numbers;
        let local = match self.find_manifest(&source.copy, reference) {
            // The upstream has it whole.
            Err(fault) if fault.kind() == FaultKind::Damaged => None,
            local => local?,
        };
        let asked = Asked::manifest(source, reference);
        let found = |manifest, freshness| {
            Ok(Found {
                manifest,
                freshness,
                is_new: false,
            })
        };
        if let Some(manifest) = &local {
            let is_settled = match reference {
                Reference::Digest(_) => true,
                Reference::Tag(tag) => self.is_fresh(&asked, source) || TagAt::parse(tag).is_some(),
            };
            if is_settled || settings.is_offline {
                numbers.add(Count::ManifestHit);
                let freshness = if is_settled {
                    Freshness::Fresh
                } else {
                    Freshness::Offline
                };
                return found(Arc::clone(manifest), freshness);
            }
            if self.failed_lately(&asked, source) {
                numbers.add(Count::Stale);
                return found(Arc::clone(manifest), Freshness::Stale);
            }
        } else {
            self.check_askable(source, &asked)?;
        }
        let have = local.as_ref().map(|manifest| manifest.digest.clone());
        let bring = || {
            let (registry, source) = (Arc::clone(self), source.clone());
            let reference = reference.clone();
            async move { registry.bring_manifest(&source, &reference, have).await }
        };
        let brought = self.copying.asking.join(asked.clone(), bring).await;
        let error = match brought {
            Some(Ok(brought)) => {
                numbers.add(match brought {
                    Brought::Unchanged => Count::ManifestHit,
                    Brought::New => Count::ManifestMiss,
                });
                return match self.find_manifest(&source.copy, reference)? {
                    Some(manifest) => Ok(Found {
                        manifest,
                        freshness: Freshness::Fresh,
                        is_new: brought == Brought::New,
                    }),
                    // Somebody deleted it meanwhile.
                    None => Err(source.absent()),
                };
            }
            Some(Err(error)) => error,
            None => source.invalid("the request failed; the log says why"),
        };
        let Some(manifest) = local else {
            return Err(error);
        };
        if error.is_absence() && settings.removes_deleted {
            return Err(error);
        }
        tracing::debug!(copy = %source.copy, %reference, %error, "a copy is served that may be old");
        numbers.add(Count::Stale);
        found(manifest, Freshness::Stale)
    }

    /// Whether a tag was compared with its upstream's within the time to live.
    fn is_fresh(&self, asked: &Asked, source: &Source) -> bool {
        let compared = self.copying.fresh.get(asked);
        let ttl = source.mirror.settings.ttl;
        compared.is_some_and(|compared| self.clock.moment().since(compared) < ttl)
    }

    /// Whether asking failed a moment ago, so that it would again: clients do not wait for it each.
    fn failed_lately(&self, asked: &Asked, source: &Source) -> bool {
        self.is_known_absent(asked, source.mirror.settings.negative_ttl)
    }

    /// Asks an upstream for a manifest, unless `have` is what it has.
    async fn bring_manifest(
        self: &Arc<Self>,
        source: &Source,
        reference: &Reference,
        have: Option<Digest>,
    ) -> Result<Brought, MirrorError> {
        let asked = Asked::manifest(source, reference);
        let have = match self.came_meanwhile(&asked, source, reference, have)? {
            Meanwhile::Settled => return Ok(Brought::Unchanged),
            Meanwhile::Have(have) => have,
        };
        let result = self.compare_or_copy(source, reference, have.as_ref()).await;
        match &result {
            Ok(_) => {
                self.copying.absent.invalidate(&asked);
                if let Reference::Tag(_) = reference {
                    self.copying.fresh.insert(asked, self.clock.moment());
                }
            }
            Err(error) => {
                if error.is_absence() || have.is_some() {
                    self.copying.absent.insert(asked, self.clock.moment());
                }
                if let (Reference::Tag(tag), Some(_)) = (reference, &have)
                    && error.is_absence()
                    && source.mirror.settings.removes_deleted
                {
                    self.remove_copied_tag(source, tag).await?;
                }
            }
        }
        result
    }

    /// Looks again: another request may have brought it after whoever began this one looked.
    fn came_meanwhile(
        &self,
        asked: &Asked,
        source: &Source,
        reference: &Reference,
        have: Option<Digest>,
    ) -> Result<Meanwhile, MirrorError> {
        let found = match self.find_manifest(&source.copy, reference) {
            Err(fault) if fault.kind() == FaultKind::Damaged => None,
            found => found?,
        };
        let is_settled = match reference {
            Reference::Digest(_) => found.is_some(),
            Reference::Tag(_) => found.is_some() && self.is_fresh(asked, source),
        };
        if is_settled {
            return Ok(Meanwhile::Settled);
        }
        if found.is_none() && self.is_known_absent(asked, source.mirror.settings.negative_ttl) {
            return Err(source.absent());
        }
        let found = found.map(|manifest| manifest.digest.clone());
        Ok(Meanwhile::Have(found.or(have)))
    }

    async fn compare_or_copy(
        self: &Arc<Self>,
        source: &Source,
        reference: &Reference,
        have: Option<&Digest>,
    ) -> Result<Brought, MirrorError> {
        let upstream = &source.served.upstream;
        if let (Reference::Tag(tag), Some(have)) = (reference, have) {
            // A question costs less than the answer: Docker Hub does not count it.
            let digest = upstream.tag_digest(&source.repository, tag).await?;
            if digest.as_ref() == Some(have) {
                return Ok(Brought::Unchanged);
            }
        }
        let fetched = upstream
            .manifest(&source.repository, reference, MANIFEST_BYTES_MAX)
            .await?;
        self.keep_manifest(source, reference, fetched).await?;
        Ok(Brought::New)
    }

    /// Keeps what an upstream sent as the copy of what was asked for.
    async fn keep_manifest(
        self: &Arc<Self>,
        source: &Source,
        reference: &Reference,
        fetched: UpstreamManifest,
    ) -> Result<(), MirrorError> {
        let claimed = match reference {
            Reference::Digest(digest) => Some(digest.clone()),
            Reference::Tag(_) => None,
        };
        let (manifest, needs) = blocking(move || parse(&fetched, claimed))
            .await?
            .map_err(|problem| source.invalid(&problem))?;
        let tag = match reference {
            Reference::Tag(tag) => Some(tag.clone()),
            Reference::Digest(_) => None,
        };
        self.write_copy(source, manifest, needs, tag).await
    }

    async fn write_copy(
        self: &Arc<Self>,
        source: &Source,
        manifest: NewManifest,
        needs: Needs,
        tag: Option<Tag>,
    ) -> Result<(), MirrorError> {
        let now = self.clock.now();
        let (copy, upstream) = (source.copy.clone(), source.served.name().to_owned());
        let visibility = source.served.settings().visibility.as_str();
        // A power cut may lose it: it is fetched again then.
        self.database
            .write_lasting(Durability::ProcessDeath, move |tx| {
                let id = meta::repositories::find_or_create(tx, &copy, now)?;
                meta::mirror::set_upstream(tx, id, &upstream, visibility)?;
                write_rows(tx, id, &manifest, &needs, now)?;
                let digest = &manifest.digest;
                meta::links::mark_stale(tx, &copy, &Link::Manifest(digest.clone()))?;
                if let Some(tag) = tag {
                    meta::tags::move_tag(tx, id, &tag, digest, ACTOR, now)?;
                    meta::links::mark_stale(tx, &copy, &Link::Tag(tag))?;
                }
                Ok::<_, crate::fault::Fault>(())
            })
            .await?;
        self.links_wanted.notify_one();
        Ok(())
    }

    /// A tag that its upstream does not have any more.
    async fn remove_copied_tag(
        self: &Arc<Self>,
        source: &Source,
        tag: &Tag,
    ) -> Result<(), MirrorError> {
        let (copy, tag, now) = (source.copy.clone(), tag.clone(), self.clock.now());
        self.database
            .write(move |tx| {
                if let Some(id) = meta::repositories::find(tx, &copy)? {
                    deletion::remove_tag(tx, &copy, id, &tag, ACTOR, now)?;
                }
                Ok::<_, crate::fault::Fault>(())
            })
            .await?;
        self.links_wanted.notify_one();
        Ok(())
    }
}

/// What an upstream sent, read as strictly as a push. It may name blobs and images that are not here, and layers
/// with `urls`, which nobody fetches (S27).
fn parse(
    fetched: &UpstreamManifest,
    claimed: Option<Digest>,
) -> Result<(NewManifest, Needs), String> {
    let content_type = fetched.content_type.as_deref();
    let content_type = content_type.and_then(|text| text.parse::<MediaType>().ok());
    // Some say application/json of everything; the manifest says what it is.
    let content_type = content_type
        .filter(|media_type| ManifestKind::from_media_type(media_type.as_str()).is_some());
    let rules = ManifestRules::of_adoption();
    let read = read(
        fetched.content.to_vec(),
        content_type.as_ref(),
        claimed,
        &rules,
    );
    let (manifest, mut needs) = read.map_err(|error| error.to_string())?;
    needs.may_lack_blobs = true;
    Ok((manifest, needs))
}

impl Asked {
    pub(super) fn manifest(source: &Source, reference: &Reference) -> Self {
        Self {
            copy: source.copy.clone(),
            what: What::Manifest(reference.clone()),
        }
    }
}

impl Source {
    pub(super) fn absent(&self) -> MirrorError {
        MirrorError::Absent {
            upstream: self.served.name().to_owned(),
        }
    }

    pub(super) fn invalid(&self, what: &str) -> MirrorError {
        MirrorError::Invalid {
            upstream: self.served.name().to_owned(),
            what: what.to_owned(),
        }
    }
}
