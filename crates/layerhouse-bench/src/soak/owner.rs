//! A client with repositories of its own: it knows what each answer must be, for nobody else writes there.
//!
//! Only time and accidents are uncertain. A blob that no manifest needs may be collected, but not as long as
//! the server's yes holds; what was deleted can be had again for a while, and may be afterwards; and of a
//! request that a kill cut short either may be true, until it is looked at: then it is known.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use layerhouse_oci::digest::{Algorithm, Digest};

use super::goods::{Made, Quarry};
use super::house::{PROMISE, UNDELETE, ask_console};
use super::talk::{Talk, Way};
use super::world::{Dice, Killed};
use crate::content::Blob;

/// Manifests of a repository beyond which the client deletes rather than pushes.
const MANIFESTS_MAX: usize = 40;
const TAGS: u64 = 8;
/// What the clocks of client and server, and the time between an answer and its arrival, may differ by.
const SLACK: Duration = Duration::from_millis(1500);

/// One client, with two repositories.
pub(super) struct Owner {
    pub(super) talk: Talk,
    dice: Dice,
    quarry: Quarry,
    root: PathBuf,
    repositories: Vec<Repository>,
    /// Uploads that were begun and left: where, of what, and how much the server said to have.
    left: Vec<Left>,
    life: u64,
}

struct Left {
    repository: usize,
    location: String,
    blob: Blob,
    acknowledged_bytes: u64,
}

#[derive(Default)]
struct Repository {
    name: String,
    /// What a tag may point at; more than one while that is in doubt.
    tags: BTreeMap<String, Vec<Option<Digest>>>,
    manifests: BTreeMap<Digest, Known>,
    /// Where tags pointed that were deleted, and not touched since.
    left: BTreeMap<String, Digest>,
    /// What manifests need that go with their subject, at a time that the server chooses.
    loose: BTreeSet<Digest>,
}

struct Known {
    made: Made,
    stand: Stand,
    /// It had a tag once: then it stays when what names it goes.
    was_tagged: bool,
    /// Tags that its deletion took along.
    lost: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    There,
    /// Deleted by a request sent at this time. (A deletion in doubt that turns out to be done, too.)
    Gone {
        at: Instant,
    },
    /// May be there or not, and is to be looked at; gone, it was deleted at this time at the earliest.
    Doubt {
        at: Instant,
    },
}

impl Repository {
    fn there(&self) -> Vec<Digest> {
        let is_there = |(_, known): &(&Digest, &Known)| known.stand == Stand::There;
        let there = self.manifests.iter().filter(is_there);
        there.map(|(digest, _)| digest.clone()).collect()
    }

    /// Whether a manifest that is there needs the blob.
    fn needs_blob(&self, digest: &Digest) -> bool {
        self.manifests.values().any(|known| {
            known.stand == Stand::There
                && known.made.blobs.iter().any(|blob| blob.digest == *digest)
        })
    }

    /// Whether a manifest that may be there needs the blob, or one that can come back.
    fn may_need_blob(&self, digest: &Digest) -> bool {
        self.manifests
            .values()
            .any(|known| known.made.blobs.iter().any(|blob| blob.digest == *digest))
    }

    /// Whether an index needs the manifest; nothing where that is in doubt.
    fn is_child(&self, digest: &Digest) -> Option<bool> {
        let parents = self
            .manifests
            .values()
            .filter(|known| known.made.children.contains(digest));
        let mut is_child = Some(false);
        for parent in parents {
            match parent.stand {
                Stand::There => return Some(true),
                Stand::Doubt { .. } => is_child = None,
                Stand::Gone { .. } => {}
            }
        }
        is_child
    }

    /// A manifest takes the tags along that point at it.
    fn untag(&mut self, digest: &Digest, is_in_doubt: bool) {
        let mut lost = Vec::new();
        for (tag, allowed) in &mut self.tags {
            if allowed.contains(&Some(digest.clone())) {
                if !is_in_doubt {
                    allowed.retain(|value| value.as_ref() != Some(digest));
                    lost.push(tag.clone());
                    self.left.remove(tag);
                }
                if !allowed.contains(&None) {
                    allowed.push(None);
                }
            }
        }
        if let Some(known) = self.manifests.get_mut(digest) {
            known.lost = lost;
        }
    }

    /// What came with a deleted manifest, and nothing else names, goes with it when that cannot be had again
    /// any more, which the server knows better.
    fn let_go_with(&mut self, digest: &Digest) {
        let children = self.manifests.get(digest);
        let children = children.map_or(Vec::new(), |known| known.made.children.clone());
        let orphans: Vec<Digest> = self
            .manifests
            .iter()
            .filter(|(orphan, known)| {
                let came_with_it =
                    known.made.subject.as_ref() == Some(digest) || children.contains(orphan);
                came_with_it && !known.was_tagged
            })
            .map(|(orphan, _)| orphan.clone())
            .collect();
        for orphan in orphans {
            self.let_go_with(&orphan);
            if let Some(known) = self.manifests.remove(&orphan) {
                let blobs = known.made.blobs.into_iter().map(|blob| blob.digest);
                self.loose.extend(blobs);
            }
            self.untag(&orphan, true);
        }
    }

    /// A deleted manifest is there again: the tags that it lost and that are free point at it, and the images
    /// of an index came with it.
    fn restored(&mut self, digest: &Digest) {
        let Some(known) = self.manifests.get_mut(digest) else {
            return;
        };
        known.stand = Stand::There;
        for tag in std::mem::take(&mut known.lost) {
            self.left.remove(&tag);
            let allowed = self.tags.entry(tag).or_insert_with(|| vec![None]);
            if allowed[..] == [None] {
                *allowed = vec![Some(digest.clone())];
            } else if allowed.contains(&None) {
                allowed.push(Some(digest.clone()));
            }
        }
        for child in known.made.children.clone() {
            if let Some(child) = self.manifests.get_mut(&child)
                && let Stand::Gone { at } = child.stand
            {
                child.stand = Stand::Doubt { at };
            }
        }
    }
}

impl Owner {
    pub(super) fn new(talk: Talk, number: u64, dice: Dice, quarry: Quarry, root: PathBuf) -> Self {
        let repositories = ["a", "b"].map(|letter| Repository {
            name: repository_of(number, letter),
            ..Repository::default()
        });
        Self {
            talk,
            dice,
            quarry,
            root,
            repositories: repositories.into(),
            left: Vec::new(),
            life: 0,
        }
    }

    /// Does one thing after the other until the soak is over; then proves that all is as it was told.
    pub(super) fn work(&mut self) {
        while !self.talk.world.is_over() {
            if self.turn().is_err() {
                // The server is killed or the soak is over.
                if self.talk.world.life().is_none() {
                    return;
                }
            }
            if self.life != self.talk.life() {
                self.life = self.talk.life();
                if self.check_all().is_ok() {
                    self.talk
                        .world
                        .count("everything looked at again after a kill");
                }
            }
        }
    }

    /// Looks at everything: it is what the answers allow.
    pub(super) fn check_all(&mut self) -> Result<(), Killed> {
        for at in 0..self.repositories.len() {
            self.settle(at)?;
            self.list_tags(at)?;
            for digest in self.repositories[at].there() {
                self.pull_image(at, &digest)?;
            }
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), Killed> {
        let at = usize::from(self.dice.once_in(3));
        self.talk.cancel_forsaken()?;
        self.settle(at)?;
        let is_full = MANIFESTS_MAX <= self.repositories[at].there().len();
        match self.dice.below(100) {
            0..=39 if is_full => self.delete_manifest(at),
            0..=3 => self.push_again(at),
            4..=8 => self.push_image(at, true),
            9..=13 => self.push_index(at),
            14..=39 => self.push_image(at, false),
            40..=54 => self.pull_tag(at),
            55..=59 => self.retag(at),
            60..=65 => self.delete_tag(at),
            66..=75 => self.delete_manifest(at),
            76..=79 => self.look_for_deleted(at),
            80..=85 => self.restore(at),
            86 => self.restore_tag(at),
            87..=90 => self.delete_blob(at),
            91 => self.leave_upload(at),
            92..=96 => self.go_on_with_upload(),
            _ => self.list_tags(at),
        }
    }

    /// Looks at what is in doubt, so that it is known.
    fn settle(&mut self, at: usize) -> Result<(), Killed> {
        let repository = &self.repositories[at];
        let name = repository.name.clone();
        let doubtful: Vec<(Digest, Instant)> = repository
            .manifests
            .iter()
            .filter_map(|(digest, known)| match known.stand {
                Stand::Doubt { at } => Some((digest.clone(), at)),
                Stand::There | Stand::Gone { .. } => None,
            })
            .collect();
        for (digest, deleted_at) in doubtful {
            let found = self.talk.pull(&format!("/v2/{name}/manifests/{digest}"))?;
            let stand = match found {
                Some(_) => Stand::There,
                None => Stand::Gone { at: deleted_at },
            };
            if let Some(known) = self.repositories[at].manifests.get_mut(&digest) {
                known.stand = stand;
            }
            if stand != Stand::There {
                self.repositories[at].untag(&digest, false);
            }
        }
        let doubtful: Vec<String> = self.repositories[at]
            .tags
            .iter()
            .filter(|(_, allowed)| 1 < allowed.len())
            .map(|(tag, _)| tag.clone())
            .collect();
        for tag in doubtful {
            self.look_at_tag(at, &tag)?;
        }
        // What cannot come back any more is forgotten.
        let now = Instant::now();
        self.repositories[at]
            .manifests
            .retain(|_, known| match known.stand {
                Stand::Gone { at } => now.duration_since(at) < 4 * UNDELETE,
                Stand::There | Stand::Doubt { .. } => true,
            });
        Ok(())
    }

    /// Pulls a tag's manifest; it is one that the answers allow, and then it is known.
    fn look_at_tag(&mut self, at: usize, tag: &str) -> Result<Option<Digest>, Killed> {
        let name = self.repositories[at].name.clone();
        let found = self.talk.pull(&format!("/v2/{name}/manifests/{tag}"))?;
        let found = found.map(|(digest, _)| digest);
        let allowed = self.repositories[at].tags.get(tag);
        let is_allowed = allowed.map_or(found.is_none(), |allowed| allowed.contains(&found));
        if !is_allowed {
            self.talk.fail(format!(
                "{name}:{tag} is {found:?}; by the answers it is one of {allowed:?}"
            ));
        }
        self.repositories[at]
            .tags
            .insert(tag.to_owned(), vec![found.clone()]);
        Ok(found)
    }

    /// Has the repository have a blob, as clients do; since when the server says that it has.
    fn bring(&mut self, at: usize, blob: &Blob) -> Result<Option<Instant>, Killed> {
        let name = self.repositories[at].name.clone();
        let path = format!("/v2/{name}/blobs/{}", blob.digest);
        let said = Instant::now();
        let asked = self.talk.ask("HEAD", &path)?;
        if !self
            .talk
            .expect(&format!("HEAD {path}"), &asked, &[200, 404])
        {
            return Ok(None);
        }
        if asked.status == 200 {
            self.talk.world.count("HEAD of a blob said yes");
            return Ok(Some(said));
        }
        if self.repositories[at].needs_blob(&blob.digest) {
            self.talk.fail(format!(
                "HEAD {path}: 404, and a manifest that is there needs it"
            ));
        }
        let other = 1 - at;
        let way = match self.dice.below(3) {
            0 => Way::AtOnce,
            1 => Way::Whole,
            _ => Way::InChunks {
                of: 1 + blob.length / (1 + self.dice.below(4)),
            },
        };
        if self.repositories[other].may_need_blob(&blob.digest) || self.dice.once_in(4) {
            let from = &self.repositories[other].name;
            let path = format!(
                "/v2/{name}/blobs/uploads/?mount={}&from={from}",
                blob.digest
            );
            let is_sure = self.repositories[other].needs_blob(&blob.digest);
            let said = Instant::now();
            let answer = self.talk.ask("POST", &path)?;
            let expected: &[u16] = if is_sure { &[201] } else { &[201, 202] };
            let what = format!(
                "mounting {} from {} to {name}",
                blob.digest, self.repositories[other].name
            );
            if !self.talk.expect(&what, &answer, expected) {
                return Ok(None);
            }
            if answer.status == 201 {
                self.talk.world.count("mounts");
                return Ok(Some(said));
            }
            let Some(location) = self.talk.location(&answer) else {
                return Ok(None);
            };
            self.talk.world.count("mounts that became uploads");
            return self.talk.fill(&what, &location, blob, way);
        }
        let said = self.talk.push_blob(&name, blob, way)?;
        self.talk.world.count(match way {
            Way::InChunks { .. } => "blobs pushed in chunks",
            Way::AtOnce | Way::Whole => "blobs pushed whole",
        });
        Ok(said)
    }

    fn push_image(&mut self, at: usize, is_referrer: bool) -> Result<(), Killed> {
        let there = self.repositories[at].there();
        let subject = is_referrer.then(|| self.dice.pick(&there)).flatten();
        let subject = subject.map(|digest| self.repositories[at].manifests[digest].made.clone());
        let made = Made::image(&self.quarry, &mut self.dice, subject.as_ref());
        let tag = format!("t{}", self.dice.below(TAGS));
        // What names a subject goes without a tag, as signatures do.
        let tag = subject.is_none().then_some(tag);
        self.push(at, &made, tag)
    }

    fn push_index(&mut self, at: usize) -> Result<(), Killed> {
        let mut children = Vec::new();
        for _ in 0..2 {
            let child = Made::image(&self.quarry, &mut self.dice, None);
            self.push(at, &child, None)?;
            children.push(child);
        }
        // One that is there already may be a child of many.
        let there = self.repositories[at].there();
        if let Some(digest) = self.dice.pick(&there) {
            children.push(self.repositories[at].manifests[digest].made.clone());
        }
        let is_there = |child: &&Made| {
            let known = self.repositories[at].manifests.get(child.digest());
            known.is_some_and(|known| known.stand == Stand::There && known.made.children.is_empty())
        };
        let children: Vec<&Made> = children.iter().filter(is_there).collect();
        if children.is_empty() {
            return Ok(());
        }
        let index = Made::index(&mut self.dice, &children);
        let tag = format!("t{}", self.dice.below(TAGS));
        self.push(at, &index, Some(tag))
    }

    /// Pushes an image that was deleted, as who has it still does.
    fn push_again(&mut self, at: usize) -> Result<(), Killed> {
        let Some((digest, _)) = self.gone(at) else {
            return Ok(());
        };
        let made = self.repositories[at].manifests[&digest].made.clone();
        if !made.children.is_empty() {
            return Ok(());
        }
        // A subject may be gone by now, and then this would go, too.
        if made.subject.is_some() {
            return Ok(());
        }
        let tag = format!("t{}", self.dice.below(TAGS));
        self.talk
            .world
            .count("images pushed again that were deleted");
        self.push(at, &made, Some(tag))
    }

    /// Pushes what the manifest needs, then the manifest, under a tag or its digest.
    fn push(&mut self, at: usize, made: &Made, tag: Option<String>) -> Result<(), Killed> {
        let mut since: Option<Instant> = None;
        for blob in &made.blobs {
            let Some(said) = self.bring(at, blob)? else {
                return Ok(());
            };
            since = Some(since.map_or(said, |since| since.min(said)));
        }
        // Some clients are slow, but not slower than they may be.
        if self.dice.once_in(20) {
            let most = u64::try_from(PROMISE.as_millis() / 2).unwrap_or(0);
            self.talk.rest(Duration::from_millis(self.dice.below(most)));
        }
        self.put(at, made, tag, since)
    }

    /// Puts a manifest; it must be taken unless what it needs was said to be there too long ago.
    fn put(
        &mut self,
        at: usize,
        made: &Made,
        tag: Option<String>,
        since: Option<Instant>,
    ) -> Result<(), Killed> {
        let name = self.repositories[at].name.clone();
        let reference = tag.clone().unwrap_or_else(|| made.digest().to_string());
        let path = format!("/v2/{name}/manifests/{reference}");
        let fields = format!("Content-Type: {}\r\n", made.media_type);
        let whole = 0..made.manifest.length;
        if let Some(tag) = &tag {
            self.repositories[at].left.remove(tag);
        }
        let sent = self.talk.send("PUT", &path, &fields, &made.manifest, whole);
        let Ok(answer) = sent else {
            let stand = match self.repositories[at].manifests.get(made.digest()) {
                Some(known) if known.stand == Stand::There => Stand::There,
                _ => Stand::Doubt { at: Instant::now() },
            };
            self.know(at, made, stand, false);
            if let Some(tag) = tag {
                let allowed = self.repositories[at].tags.entry(tag);
                let allowed = allowed.or_insert_with(|| vec![None]);
                allowed.push(Some(made.digest().clone()));
            }
            return Err(Killed);
        };
        let is_late = since.is_some_and(|since| PROMISE < since.elapsed());
        if is_late && answer.status == 404 {
            self.talk.world.count("manifests that came too late");
            return Ok(());
        }
        if self.talk.expect(&format!("PUT {path}"), &answer, &[201]) {
            self.talk.world.count(match made.media_type {
                layerhouse_oci::media_type::OCI_INDEX => "indexes pushed",
                _ if made.subject.is_some() => "referrers pushed",
                _ => "images pushed",
            });
            self.know(at, made, Stand::There, tag.is_some());
            if let Some(tag) = tag {
                let digest = made.digest().clone();
                self.repositories[at].tags.insert(tag, vec![Some(digest)]);
            }
        }
        Ok(())
    }

    fn know(&mut self, at: usize, made: &Made, stand: Stand, is_tagged: bool) {
        let before = self.repositories[at].manifests.get(made.digest());
        let known = Known {
            made: made.clone(),
            stand,
            was_tagged: is_tagged || before.is_some_and(|known| known.was_tagged),
            lost: Vec::new(),
        };
        self.repositories[at]
            .manifests
            .insert(made.digest().clone(), known);
    }

    fn retag(&mut self, at: usize) -> Result<(), Killed> {
        let there = self.repositories[at].there();
        let Some(digest) = self.dice.pick(&there) else {
            return Ok(());
        };
        let made = self.repositories[at].manifests[digest].made.clone();
        let tag = format!("t{}", self.dice.below(TAGS));
        self.talk.world.count("tags moved to what is there");
        self.put(at, &made, Some(tag), None)
    }

    fn pull_tag(&mut self, at: usize) -> Result<(), Killed> {
        let tag = format!("t{}", self.dice.below(TAGS));
        match self.look_at_tag(at, &tag)? {
            Some(digest) => self.pull_image(at, &digest),
            None => Ok(()),
        }
    }

    /// Pulls a manifest that is there, and everything that it needs.
    fn pull_image(&mut self, at: usize, digest: &Digest) -> Result<(), Killed> {
        let name = self.repositories[at].name.clone();
        let Some(known) = self.repositories[at].manifests.get(digest) else {
            // A tag that was failed before may point anywhere.
            return Ok(());
        };
        let made = known.made.clone();
        let path = format!("/v2/{name}/manifests/{digest}");
        let found = self.talk.pull(&path)?;
        if found.is_none_or(|(found, _)| found != *digest) {
            self.talk.fail(format!(
                "GET {path}: not what was pushed, which nobody deleted; {}",
                self.tell(at, digest)
            ));
            return Ok(());
        }
        for blob in &made.blobs {
            let path = format!("/v2/{name}/blobs/{}", blob.digest);
            let answer = self.talk.ask("GET", &path)?;
            let is_whole = Digest::of(Algorithm::Sha256, &answer.body) == blob.digest;
            if answer.status != 200 || !is_whole {
                self.talk.fail(format!(
                    "GET {path}: {} and {} bytes, is whole: {is_whole}; {digest} needs it",
                    answer.status,
                    answer.body.len()
                ));
            }
        }
        for child in &made.children {
            let found = self.talk.pull(&format!("/v2/{name}/manifests/{child}"))?;
            if found.is_none() {
                self.talk.fail(format!(
                    "{name}: {child} is gone, and index {digest} needs it"
                ));
            }
        }
        self.talk.world.count("images pulled, every byte hashed");
        Ok(())
    }

    fn delete_tag(&mut self, at: usize) -> Result<(), Killed> {
        let tag = format!("t{}", self.dice.below(TAGS));
        let repository = &mut self.repositories[at];
        let path = format!("/v2/{}/manifests/{tag}", repository.name);
        let allowed = repository.tags.entry(tag.clone());
        let allowed = allowed.or_insert_with(|| vec![None]).clone();
        let expected = match &allowed[..] {
            [None] => 404,
            _ => 202,
        };
        self.repositories[at].left.remove(&tag);
        let Ok(answer) = self.talk.ask("DELETE", &path) else {
            let allowed = self.repositories[at].tags.entry(tag).or_default();
            allowed.push(None);
            return Err(Killed);
        };
        self.talk
            .expect(&format!("DELETE {path}"), &answer, &[expected]);
        self.talk.world.count("tags deleted");
        if let [Some(digest)] = &allowed[..] {
            self.repositories[at]
                .left
                .insert(tag.clone(), digest.clone());
        }
        self.repositories[at].tags.insert(tag, vec![None]);
        Ok(())
    }

    fn delete_manifest(&mut self, at: usize) -> Result<(), Killed> {
        let there = self.repositories[at].there();
        let Some(digest) = self.dice.pick(&there).cloned() else {
            return Ok(());
        };
        let path = format!("/v2/{}/manifests/{digest}", self.repositories[at].name);
        let is_child = self.repositories[at].is_child(&digest) == Some(true);
        let expected = if is_child { 405 } else { 202 };
        let now = Instant::now();
        let answer = self.talk.ask("DELETE", &path);
        let is_deleted = match &answer {
            Ok(answer) => {
                let what = format!("DELETE {path}; {}", self.tell(at, &digest));
                self.talk.expect(&what, answer, &[expected]);
                answer.status == 202
            }
            Err(Killed) => false,
        };
        if is_deleted {
            self.talk.world.count("manifests deleted");
        }
        if answer.is_err() && !is_child {
            self.stand(at, &digest, Stand::Doubt { at: now });
            self.repositories[at].untag(&digest, true);
        }
        if is_deleted {
            self.stand(at, &digest, Stand::Gone { at: now });
            self.repositories[at].untag(&digest, false);
        }
        if is_deleted || answer.is_err() {
            self.repositories[at].let_go_with(&digest);
        }
        answer.map(|_| ())
    }

    /// What is known of a manifest, for who reads of a failure.
    fn tell(&self, at: usize, digest: &Digest) -> String {
        let Some(known) = self.repositories[at].manifests.get(digest) else {
            return "it is not known".to_owned();
        };
        let made = &known.made;
        format!(
            "{:?}, tagged before: {}, subject {:?}, children {:?}",
            known.stand, known.was_tagged, made.subject, made.children
        )
    }

    fn stand(&mut self, at: usize, digest: &Digest, stand: Stand) {
        if let Some(known) = self.repositories[at].manifests.get_mut(digest) {
            known.stand = stand;
        }
    }

    /// One that was deleted, and when.
    fn gone(&mut self, at: usize) -> Option<(Digest, Instant)> {
        let gone: Vec<(Digest, Instant)> = self.repositories[at]
            .manifests
            .iter()
            .filter_map(|(digest, known)| match known.stand {
                Stand::Gone { at } => Some((digest.clone(), at)),
                Stand::There | Stand::Doubt { .. } => None,
            })
            .collect();
        self.dice.pick(&gone).cloned()
    }

    /// What was deleted is gone, for whoever asks.
    fn look_for_deleted(&mut self, at: usize) -> Result<(), Killed> {
        let Some((digest, _)) = self.gone(at) else {
            return Ok(());
        };
        let path = format!("/v2/{}/manifests/{digest}", self.repositories[at].name);
        let answer = self.talk.ask("GET", &path)?;
        self.talk
            .expect(&format!("GET {path}, deleted"), &answer, &[404]);
        self.talk.world.count("looks for what was deleted");
        Ok(())
    }

    /// Has a deleted manifest back; within the window it must come, with everything that it needs.
    fn restore(&mut self, at: usize) -> Result<(), Killed> {
        let Some((digest, deleted_at)) = self.gone(at) else {
            return Ok(());
        };
        let name = self.repositories[at].name.clone();
        let life = self.talk.world.life().ok_or(Killed)?;
        let asked = ask_restore(&self.root, &name, &digest);
        // The window is the server's, and may have ended while it decided.
        let age = deleted_at.elapsed();
        let known = &self.repositories[at].manifests[&digest];
        // An image of an index may be deleted and forgotten as soon as the index is deleted.
        let lacks_child = known.made.children.iter().any(|child| {
            let child = self.repositories[at].manifests.get(child);
            child.is_some_and(|child| child.stand != Stand::There)
        });
        match asked {
            Ok(answer) if (200..300).contains(&answer.status) => {
                self.talk.world.count("manifests restored");
                self.repositories[at].restored(&digest);
                self.settle(at)?;
                self.pull_image(at, &digest)
            }
            Ok(answer) => {
                if age + SLACK < UNDELETE && !lacks_child {
                    self.talk.fail(format!(
                        "{name}: {digest}, deleted {} ms ago, cannot be had again: {} {}",
                        age.as_millis(),
                        answer.status,
                        answer.text()
                    ));
                }
                self.talk.world.count("restores that came too late");
                Ok(())
            }
            Err(error) => {
                self.stand(at, &digest, Stand::Doubt { at: deleted_at });
                if self.talk.world.is_life(life) {
                    self.talk.fail(format!("restoring {digest}: {error}"));
                }
                Err(Killed)
            }
        }
    }

    /// Has a deleted tag back: it points where it pointed before.
    fn restore_tag(&mut self, at: usize) -> Result<(), Killed> {
        let repository = &self.repositories[at];
        let is_there = |digest: &Digest| {
            let known = repository.manifests.get(digest);
            known.is_some_and(|known| known.stand == Stand::There)
        };
        let free: Vec<(String, Digest)> = repository
            .left
            .iter()
            .filter(|(tag, digest)| {
                let allowed = repository.tags.get(*tag);
                is_there(digest) && allowed.is_some_and(|allowed| allowed[..] == [None])
            })
            .map(|(tag, digest)| (tag.clone(), digest.clone()))
            .collect();
        let Some((tag, digest)) = self.dice.pick(&free).cloned() else {
            return Ok(());
        };
        let path = format!("/repositories/{}/-/tags/{tag}/restore", repository.name);
        let life = self.talk.world.life().ok_or(Killed)?;
        let asked = ask_console(&self.root, "POST", &path, "{}");
        let repository = &mut self.repositories[at];
        match asked {
            Ok(answer) => {
                if self.talk.expect(&path, &answer, &[200]) {
                    self.talk.world.count("tags restored");
                    repository.tags.insert(tag, vec![Some(digest)]);
                }
                Ok(())
            }
            Err(error) => {
                repository.tags.insert(tag, vec![None, Some(digest)]);
                if self.talk.world.is_life(life) {
                    self.talk.fail(format!("{path}: {error}"));
                }
                Err(Killed)
            }
        }
    }

    /// Removes a link that nothing needs, or is told what needs it.
    fn delete_blob(&mut self, at: usize) -> Result<(), Killed> {
        let repository = &self.repositories[at];
        let blobs: Vec<Digest> = repository
            .manifests
            .values()
            .flat_map(|known| known.made.blobs.iter().map(|blob| blob.digest.clone()))
            .collect();
        let Some(digest) = self.dice.pick(&blobs).cloned() else {
            return Ok(());
        };
        let repository = &self.repositories[at];
        let path = format!("/v2/{}/blobs/{digest}", repository.name);
        let expected: &[u16] = if repository.needs_blob(&digest) {
            &[405]
        } else if repository.loose.contains(&digest) {
            &[202, 404, 405]
        } else {
            &[202, 404]
        };
        let answer = self.talk.ask("DELETE", &path)?;
        if self
            .talk
            .expect(&format!("DELETE {path}"), &answer, expected)
            && answer.status == 202
        {
            self.talk.world.count("blobs deleted");
            let answer = self.talk.ask("HEAD", &path)?;
            self.talk
                .expect(&format!("HEAD {path}, deleted"), &answer, &[404]);
        }
        Ok(())
    }

    /// Begins an upload and goes away.
    fn leave_upload(&mut self, at: usize) -> Result<(), Killed> {
        let name = self.repositories[at].name.clone();
        let opened = self
            .talk
            .ask("POST", &format!("/v2/{name}/blobs/uploads/"))?;
        if !self.talk.expect("opening an upload", &opened, &[202]) {
            return Ok(());
        }
        let Some(location) = self.talk.location(&opened) else {
            return Ok(());
        };
        let blob = self.quarry.own(&mut self.dice);
        let half = blob.length / 2;
        let sent = self.talk.send("PATCH", &location, "", &blob, 0..half);
        let is_taken = matches!(&sent, Ok(answer) if self.talk.expect("a chunk", answer, &[202]));
        self.left.push(Left {
            repository: at,
            location,
            blob,
            acknowledged_bytes: if is_taken { half } else { 0 },
        });
        // While an upload is open nothing of its repository is collected.
        if 1 < self.left.len() {
            let Left { location, .. } = self.left.remove(0);
            let answer = self.talk.ask("DELETE", &location)?;
            self.talk
                .expect("cancelling an upload", &answer, &[204, 404]);
        }
        self.talk.world.count("uploads left half done");
        Ok(())
    }

    /// Goes on where an upload was left, perhaps in an earlier life of the server.
    fn go_on_with_upload(&mut self) -> Result<(), Killed> {
        let Some(left) = self.left.pop() else {
            return Ok(());
        };
        let status = self.talk.ask("GET", &left.location)?;
        let what = format!("going on with {}", left.location);
        if !self.talk.expect(&what, &status, &[204]) {
            return Ok(());
        }
        let range = status
            .header("range")
            .and_then(|range| range.strip_prefix("0-"));
        let last: u64 = range.and_then(|last| last.parse().ok()).unwrap_or(0);
        let held = if last == 0 { 0 } else { last + 1 };
        if held < left.acknowledged_bytes || left.blob.length < held {
            self.talk.fail(format!(
                "{what}: {held} bytes held, {} acknowledged of {}",
                left.acknowledged_bytes, left.blob.length
            ));
            return Ok(());
        }
        let path = format!("{}?digest={}", left.location, left.blob.digest);
        let rest = held..left.blob.length;
        let answer = self.talk.send("PUT", &path, "", &left.blob, rest)?;
        self.talk.expect(&what, &answer, &[201]);
        let name = &self.repositories[left.repository].name;
        let path = format!("/v2/{name}/blobs/{}", left.blob.digest);
        let answer = self.talk.ask("GET", &path)?;
        if answer.status != 200 || Digest::of(Algorithm::Sha256, &answer.body) != left.blob.digest {
            self.talk
                .fail(format!("GET {path}: {}, just pushed", answer.status));
        }
        self.talk.world.count("uploads gone on with");
        Ok(())
    }

    /// The list of tags says what the answers said.
    fn list_tags(&mut self, at: usize) -> Result<(), Killed> {
        let repository = &self.repositories[at];
        let path = format!("/v2/{}/tags/list?n=1000", repository.name);
        let sure: Vec<String> = repository
            .tags
            .iter()
            .filter(|(_, allowed)| matches!(&allowed[..], [Some(_)]))
            .map(|(tag, _)| tag.clone())
            .collect();
        let is_sure = repository.tags.values().all(|allowed| allowed.len() == 1);
        let answer = self.talk.ask("GET", &path)?;
        if answer.status == 404 && sure.is_empty() {
            return Ok(());
        }
        if !self.talk.expect(&format!("GET {path}"), &answer, &[200]) || !is_sure {
            return Ok(());
        }
        let parsed: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
        let tags = parsed.as_ref().and_then(|value| value["tags"].as_array());
        let found: Vec<String> = tags
            .into_iter()
            .flatten()
            .filter_map(|tag| tag.as_str().map(str::to_owned))
            .collect();
        if found != sure {
            self.talk
                .fail(format!("GET {path}: {found:?}, by the answers {sure:?}"));
        }
        self.talk.world.count("lists of tags");
        Ok(())
    }
}

pub(super) fn repository_of(client: u64, letter: &str) -> String {
    format!("soak/c{client}-{letter}")
}

fn ask_restore(
    root: &std::path::Path,
    repository: &str,
    digest: &Digest,
) -> std::io::Result<crate::http::client::Answer> {
    let path = format!("/repositories/{repository}/-/manifests/{digest}/restore");
    ask_console(root, "POST", &path, "")
}
