//! What a deletion would do, before it is done: what goes, what stays and why, and which bytes come back when. The
//! checks are those of `deletion.rs`, the decisions those of `collection/verdict.rs`; nothing is changed.
//!
//! What comes back is what this deletion frees if nothing else happens: no push, no other deletion. What waits to
//! be collected already comes back anyway and is not counted.

mod freed;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use layerhouse_oci::digest::{Algorithm, Digest};
use layerhouse_oci::reference::Reference;
use layerhouse_oci::tag::Tag;

use self::freed::Going;
use super::browse::kind::is_image_config;
use super::collection::verdict::Because;
use super::deletion::{self, DeleteManifestError};
use super::policies::guard::{self, Place, Refused};
use super::{Collecting, Registry};
use crate::auth::{Delete, Granted};
use crate::clock::Timestamp;
use crate::config::meaning::policies::Policies;
use crate::fault::Fault;
use crate::meta;
use crate::meta::repositories::RepositoryId;
use crate::meta::transaction::Transaction;

/// Tags that may be chosen together; of more, the first. A posted form has room for twice as many fields.
pub(crate) const CHOSEN_MAX: usize = 1000;
/// What is listed of tags, of manifests that go, and of those that stay; the numbers are of all.
const LISTED_MAX: usize = 100;
/// Manifests of a repository are counted up to here.
const COUNTED_MAX: usize = 1_000_000;

/// What is to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Tags; with the images that have no other tag then, if that is wished.
    Tags { tags: Vec<Tag>, with_images: bool },
    /// A manifest with all its tags.
    Manifest(Digest),
    /// A repository with all that it has.
    Repository,
}

/// A manifest that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Goes {
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
    pub(crate) artifact_type: Option<String>,
    /// It goes with what it came with, when that cannot be restored any more.
    pub(crate) is_along: bool,
}

impl Goes {
    /// What it is: its artifact type, where that says more than its media type.
    pub(crate) fn said_type(&self) -> &str {
        let own = self.artifact_type.as_deref();
        own.filter(|kind| !is_image_config(kind))
            .unwrap_or(&self.media_type)
    }
}

/// A manifest that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stays {
    pub(crate) digest: Digest,
    pub(crate) why: Why,
}

/// Why a manifest stays, and how it is found then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Other tags point at it, so many; some of them.
    OtherTags(u64, Vec<Tag>),
    /// An index needs it.
    InIndex(Digest),
    /// No tag points at it then: it is found by its digest alone, and keeps its bytes.
    ByDigest,
    /// It came with what goes, and has or had a tag of its own.
    Companion { is_referrer: bool, is_tagged: bool },
}

/// What stands in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// An index needs the manifest.
    Needed { index: Digest },
    /// A policy.
    Refused(Refused),
}

/// Bytes that a deletion frees, and those that it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Freed {
    pub(crate) blobs: u64,
    pub(crate) bytes: u64,
    /// Of what goes, but needed by other images of the repository.
    pub(crate) shared_here_bytes: u64,
    /// Of what goes, but other repositories have it, too.
    pub(crate) shared_elsewhere_bytes: u64,
    /// There is more than was looked at: the numbers are the least.
    pub(crate) is_cut: bool,
    /// When the last of it may go; absent if nothing does.
    pub(crate) at: Option<Timestamp>,
}

/// What a deletion would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Preview {
    /// Tags that go, and where they point; the first of them.
    pub(crate) tags: Vec<(Tag, Digest)>,
    pub(crate) tag_count: u64,
    /// Tags that were chosen and are not there.
    pub(crate) absent: Vec<Tag>,
    /// The first of the manifests that go: those that are asked for, then those that go along.
    pub(crate) manifests: Vec<Goes>,
    pub(crate) manifest_count: u64,
    /// How many of them go along, later.
    pub(crate) along_count: u64,
    /// The first of those that stay although something of theirs goes.
    pub(crate) stays: Vec<Stays>,
    pub(crate) stays_count: u64,
    pub(crate) obstacles: Vec<Obstacle>,
    pub(crate) freed: Freed,
    /// Images that would have no tag, and may go with their tags.
    pub(crate) untagged_count: u64,
    /// Bytes that come back if they do; 0 where they do anyway.
    pub(crate) untagged_bytes: u64,
    /// When a retention policy deletes them if they do not; absent if none does.
    pub(crate) untagged_until: Option<Timestamp>,
    /// Until then all of it can be had again.
    pub(crate) undelete_until: Timestamp,
    /// Whether the server collects by itself.
    pub(crate) collects: bool,
    /// What is done, one after the other; tags with what they pointed at. Empty for a whole repository.
    pub(crate) steps: Vec<(Reference, Option<Digest>)>,
}

impl Preview {
    /// Of nothing yet.
    fn new(now: Timestamp, rules: Collecting) -> Self {
        Self {
            tags: Vec::new(),
            tag_count: 0,
            absent: Vec::new(),
            manifests: Vec::new(),
            manifest_count: 0,
            along_count: 0,
            stays: Vec::new(),
            stays_count: 0,
            obstacles: Vec::new(),
            freed: Freed::default(),
            untagged_count: 0,
            untagged_bytes: 0,
            untagged_until: None,
            undelete_until: now.after(rules.undelete),
            collects: rules.is_enabled,
            steps: Vec::new(),
        }
    }

    /// Tells a preview from another of the same target: what goes and what stays, whatever the time.
    pub(crate) fn fingerprint(&self) -> String {
        use std::fmt::Write as _;
        let mut said = String::new();
        for (tag, digest) in &self.tags {
            let _ = writeln!(said, "tag {tag} {digest}");
        }
        for (reference, seen) in &self.steps {
            let seen = seen.as_ref().map(Digest::as_str);
            let _ = writeln!(said, "step {reference} {seen:?}");
        }
        for goes in &self.manifests {
            let _ = writeln!(said, "manifest {}", goes.digest);
        }
        let counts = (self.tag_count, self.manifest_count, self.stays_count);
        let _ = writeln!(said, "{counts:?} {}", self.obstacles.len());
        Digest::of(Algorithm::Sha256, said.as_bytes()).hex()[..24].to_owned()
    }

    fn list_stays(&mut self, digest: &Digest, why: Why) {
        self.stays_count += 1;
        if self.stays.len() < LISTED_MAX {
            let digest = digest.clone();
            self.stays.push(Stays { digest, why });
        }
    }

    fn list_tag(&mut self, tag: Tag, digest: Digest) {
        if self.tags.len() < LISTED_MAX {
            self.tags.push((tag, digest));
        }
    }
}

/// A preview while it is made.
struct Making<'a> {
    tx: &'a Transaction<'a>,
    policies: &'a Policies,
    place: Place<'a>,
    preview: Preview,
}

impl Registry {
    /// What a deletion would do at this moment; `None` if there is nothing of it. Takes some 20 µs for each tag
    /// that is chosen and each blob that goes, of which it looks at 20,000.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn preview_deletion(
        &self,
        delete: &Granted<Delete>,
        target: &Target,
    ) -> Result<Option<Preview>, Fault> {
        let (rules, now) = (self.limits.collection, self.clock.now());
        let policies = self.policies.load_full();
        let repository = delete.repository();
        self.database.read(|tx| {
            let Some(id) = meta::repositories::find_present(tx, repository)? else {
                return Ok(None);
            };
            let mut making = Making {
                tx,
                policies: &policies,
                place: (repository, id),
                preview: Preview::new(now, rules),
            };
            let mut going = Going::new(tx, id, rules, now);
            let is_there = match target {
                Target::Tags { tags, with_images } => {
                    let untagged = making.tags(tags, *with_images)?;
                    if *with_images {
                        making.companions(&mut going, untagged)?;
                    } else {
                        let mut also = Going::new(tx, id, rules, now);
                        also.add(untagged)?;
                        making.preview.untagged_bytes = also.freed()?.bytes;
                    }
                    if policies.bar.is_none() {
                        let retention = policies.retention(repository);
                        let after = retention.and_then(|retention| retention.untagged_after);
                        making.preview.untagged_until = after.map(|after| now.after(after));
                    }
                    !making.preview.tags.is_empty()
                }
                Target::Manifest(digest) => {
                    let is_there = making.manifest(digest)?;
                    let gone = is_there.then(|| digest.clone());
                    making.companions(&mut going, gone.into_iter().collect())?;
                    is_there
                }
                Target::Repository => {
                    making.repository()?;
                    going.add_all();
                    true
                }
            };
            making.preview.freed = going.freed()?;
            Ok(is_there.then_some(making.preview))
        })
    }
}

impl Making<'_> {
    fn id(&self) -> RepositoryId {
        self.place.1
    }

    /// Notes what stands in the way of a deletion; whether nothing does.
    fn check(&mut self, reference: &Reference) -> Result<bool, Fault> {
        let obstacle = match deletion::check(self.tx, self.policies, self.place, reference) {
            Ok(()) => return Ok(true),
            Err(DeleteManifestError::Needed { index }) => Obstacle::Needed { index },
            Err(DeleteManifestError::Refused(refused)) => Obstacle::Refused(refused),
            Err(DeleteManifestError::Fault(fault)) => return Err(fault),
            Err(DeleteManifestError::Unknown | DeleteManifestError::Moved { .. }) => {
                return Ok(false);
            }
        };
        if self.preview.obstacles.len() < LISTED_MAX && !self.preview.obstacles.contains(&obstacle)
        {
            self.preview.obstacles.push(obstacle);
        }
        Ok(false)
    }

    /// Looks at tags; the manifests that would have none, which go with them if that is wished.
    fn tags(&mut self, chosen: &[Tag], with_images: bool) -> Result<Vec<Digest>, Fault> {
        let mut by_digest: BTreeMap<Digest, Vec<Tag>> = BTreeMap::new();
        let chosen: BTreeSet<&Tag> = chosen.iter().take(CHOSEN_MAX).collect();
        for tag in chosen {
            match meta::tags::find(self.tx, self.id(), tag)? {
                None => self.preview.absent.push(tag.clone()),
                Some(digest) => {
                    self.preview.tag_count += 1;
                    self.preview.list_tag(tag.clone(), digest.clone());
                    by_digest.entry(digest).or_default().push(tag.clone());
                }
            }
        }
        let mut untagged = Vec::new();
        for (digest, tags) in by_digest {
            let why = self.why_stays(&digest, &tags)?;
            let may_go = matches!(why, Why::ByDigest);
            self.preview.untagged_count += u64::from(may_go);
            if may_go {
                untagged.push(digest.clone());
            }
            if with_images && may_go {
                let reference = Reference::Digest(digest);
                self.check(&reference)?;
                self.preview.steps.push((reference, None));
                continue;
            }
            for tag in tags {
                let reference = Reference::Tag(tag);
                self.check(&reference)?;
                let step = (reference, Some(digest.clone()));
                self.preview.steps.push(step);
            }
            self.preview.list_stays(&digest, why);
        }
        Ok(untagged)
    }

    /// What keeps a manifest that loses these of its tags.
    fn why_stays(&self, digest: &Digest, lost: &[Tag]) -> Result<Why, Fault> {
        /// Other tags that are named.
        const NAMED_MAX: usize = 5;
        let (tx, id) = (self.tx, self.id());
        // Between two statements others move tags.
        let others = meta::tags::count_pointing_at(tx, id, digest)?;
        let others = others.saturating_sub(lost.len() as u64);
        if 0 < others {
            let mut some = meta::tags::pointing_at(tx, id, digest, lost.len() + NAMED_MAX)?;
            some.retain(|tag| !lost.contains(tag));
            some.truncate(NAMED_MAX);
            return Ok(Why::OtherTags(others, some));
        }
        Ok(match meta::manifests::needed_by(tx, id, digest)? {
            Some(index) => Why::InIndex(index),
            None => Why::ByDigest,
        })
    }

    /// Looks at a manifest with its tags; whether it is there.
    fn manifest(&mut self, digest: &Digest) -> Result<bool, Fault> {
        let (tx, id) = (self.tx, self.id());
        if !meta::manifests::exists(tx, id, digest)? {
            return Ok(false);
        }
        self.preview.tag_count = meta::tags::count_pointing_at(tx, id, digest)?;
        for tag in meta::tags::pointing_at(tx, id, digest, LISTED_MAX)? {
            self.preview.list_tag(tag, digest.clone());
        }
        let reference = Reference::Digest(digest.clone());
        self.check(&reference)?;
        self.preview.steps.push((reference, None));
        Ok(true)
    }

    /// Lists manifests that go, what goes along with them and what of that stays.
    fn companions(&mut self, going: &mut Going<'_>, asked: Vec<Digest>) -> Result<(), Fault> {
        let asked_count = asked.len() as u64;
        let listed: Vec<Digest> = asked.iter().take(LISTED_MAX).cloned().collect();
        let stays = going.add(asked)?;
        self.preview.manifest_count = going.len() as u64;
        self.preview.along_count = self.preview.manifest_count.saturating_sub(asked_count);
        for digest in listed {
            self.list_goes(digest, false)?;
        }
        for digest in going.along(LISTED_MAX) {
            self.list_goes(digest, true)?;
        }
        for (companion, because) in stays {
            let why = match because {
                Because::InIndex(index) => Why::InIndex(index),
                Because::IsTagged => Why::Companion {
                    is_referrer: companion.is_referrer,
                    is_tagged: true,
                },
                Because::WasTagged | Because::CameLater => Why::Companion {
                    is_referrer: companion.is_referrer,
                    is_tagged: false,
                },
            };
            self.preview.list_stays(&companion.digest, why);
        }
        Ok(())
    }

    fn list_goes(&mut self, digest: Digest, is_along: bool) -> Result<(), Fault> {
        if self.preview.manifests.len() < LISTED_MAX
            && let Some((media_type, artifact_type)) =
                meta::manifests::types(self.tx, self.id(), &digest)?
        {
            self.preview.manifests.push(Goes {
                digest,
                media_type,
                artifact_type,
                is_along,
            });
        }
        Ok(())
    }

    /// Looks at a whole repository.
    fn repository(&mut self) -> Result<(), Fault> {
        let (tx, id) = (self.tx, self.id());
        if let Err(refused) = guard::check_delete_all(tx, self.policies, self.place)? {
            self.preview.obstacles.push(Obstacle::Refused(refused));
        }
        self.preview.tag_count = meta::tags::count_in(tx, id, COUNTED_MAX as u64)?;
        for (tag, digest) in meta::tags::with_digests(tx, id, LISTED_MAX)? {
            self.preview.list_tag(tag, digest);
        }
        let (count, first) = meta::manifests::some_of(tx, id, LISTED_MAX, COUNTED_MAX)?;
        self.preview.manifest_count = count;
        for digest in first {
            self.list_goes(digest, false)?;
        }
        Ok(())
    }
}
