//! What of one repository goes, and why: computed from its rows, a policy and the time.

use std::collections::HashMap;
use std::time::Duration;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::tag::Tag;

use super::semver::Version;
use crate::clock::Timestamp;
use crate::config::meaning::policies::{KeepRule, Retention, owner};
use crate::meta::retention::{ManifestRow, TagRow};

/// How old a signature in the form of a tag must be to go because what it signs is not here, where the policy
/// says nothing of manifests without a tag: tools that copy images may bring it first.
const STRAY_AGE: Duration = Duration::from_hours(24);

/// What is known of a repository. Of what does not fit together nothing is decided: somebody changed it between
/// two looks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) manifests: Vec<ManifestRow>,
    pub(crate) tags: Vec<TagRow>,
    /// Index and image.
    pub(crate) children: Vec<(Digest, Digest)>,
}

/// The same, by places in its lists.
struct Placed<'a> {
    manifests: &'a [ManifestRow],
    /// Each with the place of what it points at.
    tags: Vec<(&'a TagRow, usize)>,
    places: HashMap<&'a Digest, usize>,
    children: Vec<(usize, usize)>,
}

impl<'a> Placed<'a> {
    fn new(rows: &'a Rows) -> Self {
        let manifests = rows.manifests.iter().enumerate();
        let places: HashMap<&Digest, usize> = manifests
            .map(|(at, manifest)| (&manifest.digest, at))
            .collect();
        let place = |digest: &Digest| places.get(digest).copied();
        let tags = rows.tags.iter();
        let tags = tags.filter_map(|tag| Some((tag, place(&tag.digest)?)));
        let children = rows.children.iter();
        let children = children.filter_map(|(index, image)| Some((place(index)?, place(image)?)));
        Self {
            manifests: &rows.manifests,
            tags: tags.collect(),
            children: children.collect(),
            places,
        }
    }
}

/// Something that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// A tag alone: what it points at stays, be it for a while.
    Tag { tag: TagRow, why: Reason },
    /// A manifest, and the tags that point at it.
    Manifest {
        seen: ManifestRow,
        tags: Vec<TagRow>,
        why: Reason,
    },
}

/// Why something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// No rule keeps the tag.
    Unkept,
    /// No rule keeps any tag of the manifest, and nothing else holds it.
    LastTag,
    /// Nothing has held the manifest for long enough.
    Untagged,
    /// What it belongs to goes or is gone: an index, a subject, a signed manifest.
    Owner,
}

impl Reason {
    /// As it is told.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unkept => "unkept",
            Self::LastTag => "last-tag",
            Self::Untagged => "untagged",
            Self::Owner => "owner",
        }
    }
}

/// When the policy is asked, and since when it is known what is pulled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now: Timestamp,
    pub(crate) pulls_known_since: Timestamp,
    /// How long other processes may have known of a pull before they write it down.
    pub(crate) unheard: Duration,
}

/// What goes, what holds others before what it holds. `is_fixed` says of a tag that it may not go, whatever
/// the rules say.
pub(crate) fn decide(
    rows: &Rows,
    policy: &Retention,
    is_fixed: impl Fn(&Tag) -> bool,
    moment: Moment,
) -> Vec<Decision> {
    let rows = Placed::new(rows);
    let bond = |(tag, _): &(&TagRow, usize)| match owner(&tag.name) {
        None => Bond::None,
        Some(owner) => {
            let place = rows.places.get(&owner);
            place.map_or(Bond::Broken, |at| Bond::To(*at))
        }
    };
    let bonds: Vec<Bond> = rows.tags.iter().map(bond).collect();
    let kept = kept_tags(&rows, policy, &bonds, &is_fixed, moment);
    let holders = Holders::new(&rows, &bonds);
    let known = Known {
        rows: &rows,
        policy,
        bonds: &bonds,
        kept: &kept,
        holders: &holders,
        now: moment.now,
    };
    let stays = known.staying();
    known.decisions(&stays)
}

/// What a tag belongs to, by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bond {
    /// Nothing: it is an ordinary tag.
    None,
    /// A manifest, by its place.
    To(usize),
    /// A manifest that is not here.
    Broken,
}

/// Which tags the rules keep. Of those that belong to a manifest the rules say nothing.
fn kept_tags(
    rows: &Placed<'_>,
    policy: &Retention,
    bonds: &[Bond],
    is_fixed: impl Fn(&Tag) -> bool,
    moment: Moment,
) -> Vec<bool> {
    let mut kept: Vec<bool> = rows
        .tags
        .iter()
        .map(|(tag, _)| is_fixed(&tag.name))
        .collect();
    let Some(rules) = &policy.keep else {
        for (kept, bond) in kept.iter_mut().zip(bonds) {
            *kept |= *bond == Bond::None;
        }
        return kept;
    };
    for rule in rules {
        let fitting: Vec<usize> = (0..rows.tags.len())
            .filter(|&at| bonds[at] == Bond::None && rule.tags.has(&rows.tags[at].0.name))
            .collect();
        for at in kept_by(rows, rule, fitting, moment) {
            kept[at] = true;
        }
    }
    kept
}

/// Which of the tags that a rule is about it keeps.
fn kept_by(rows: &Placed<'_>, rule: &KeepRule, fitting: Vec<usize>, moment: Moment) -> Vec<usize> {
    let KeepRule {
        tags: _,
        newest,
        semver_newest,
        pushed_within,
        pulled_within,
    } = rule;
    let keeps_all = newest.is_none()
        && semver_newest.is_none()
        && pushed_within.is_none()
        && pulled_within.is_none();
    if keeps_all {
        return fitting;
    }
    let mut kept = Vec::new();
    if let Some(count) = newest {
        let mut newest = fitting.clone();
        newest.sort_by(|&one, &other| {
            let (one, other) = (rows.tags[one].0, rows.tags[other].0);
            let by_time = other.moved_at.cmp(&one.moved_at);
            by_time.then_with(|| other.name.cmp(&one.name))
        });
        kept.extend(newest.into_iter().take(*count));
    }
    if let Some(count) = semver_newest {
        let version = |&at: &usize| Some((Version::of_tag(rows.tags[at].0.name.as_str())?, at));
        let mut versions: Vec<_> = fitting.iter().filter_map(version).collect();
        versions.sort_by(|(one, one_at), (other, other_at)| {
            let names = (&rows.tags[*one_at].0.name, &rows.tags[*other_at].0.name);
            other.cmp(one).then_with(|| names.1.cmp(names.0))
        });
        kept.extend(versions.into_iter().take(*count).map(|(_, at)| at));
    }
    if let Some(within) = pushed_within {
        let is_new = |at: &usize| moment.now.since(rows.tags[*at].0.moved_at) <= *within;
        kept.extend(fitting.iter().copied().filter(is_new));
    }
    if let Some(within) = pulled_within {
        // Until pulls were recorded for as long, anything may have been pulled.
        let is_known = *within <= moment.now.since(moment.pulls_known_since);
        let is_used = |at: &usize| {
            let (tag, manifest) = rows.tags[*at];
            let pulled_at = rows.manifests[manifest].pulled_at;
            let used_at = pulled_at.map_or(tag.moved_at, |at| at.max(tag.moved_at));
            !is_known || moment.now.since(used_at) <= *within + moment.unheard
        };
        kept.extend(fitting.iter().copied().filter(is_used));
    }
    kept
}

/// What holds a manifest beside its own tags: indexes, its subject, what it signs.
struct Holders {
    /// By manifest, the manifests that it holds.
    held: Vec<Vec<usize>>,
    /// By manifest, whether anything holds it.
    is_held: Vec<bool>,
}

impl Holders {
    fn new(rows: &Placed<'_>, bonds: &[Bond]) -> Self {
        let count = rows.manifests.len();
        let mut holders = Self {
            held: vec![Vec::new(); count],
            is_held: vec![false; count],
        };
        let mut hold = |holder: usize, held: usize| {
            if holder != held {
                holders.held[holder].push(held);
                holders.is_held[held] = true;
            }
        };
        for &(index, image) in &rows.children {
            hold(index, image);
        }
        for (at, manifest) in rows.manifests.iter().enumerate() {
            let subject = manifest.subject.as_ref();
            if let Some(&subject) = subject.and_then(|subject| rows.places.get(subject)) {
                hold(subject, at);
            }
        }
        for ((_, manifest), bond) in rows.tags.iter().zip(bonds) {
            if let Bond::To(owner) = bond {
                hold(*owner, *manifest);
            }
        }
        holders
    }
}

/// All that the decision about each manifest looks at.
struct Known<'a> {
    rows: &'a Placed<'a>,
    policy: &'a Retention,
    bonds: &'a [Bond],
    kept: &'a [bool],
    holders: &'a Holders,
    now: Timestamp,
}

impl Known<'_> {
    /// By manifest, whether it stays: for itself, or because what holds it does.
    fn staying(&self) -> Vec<bool> {
        let mut stays = self.for_themselves();
        let mut open: Vec<usize> = (0..stays.len()).filter(|at| stays[*at]).collect();
        while let Some(holder) = open.pop() {
            for &held in &self.holders.held[holder] {
                if !stays[held] {
                    stays[held] = true;
                    open.push(held);
                }
            }
        }
        stays
    }

    /// By manifest, whether it would stay if nothing held it.
    fn for_themselves(&self) -> Vec<bool> {
        let count = self.rows.manifests.len();
        let (mut has_kept, mut loses_tag) = (vec![false; count], vec![false; count]);
        // Signatures of what is not here, some of them new.
        let (mut is_stray, mut is_new_stray) = (vec![false; count], vec![false; count]);
        let stray_age = self.policy.untagged_after.unwrap_or(STRAY_AGE);
        for ((&(tag, at), bond), kept) in self.rows.tags.iter().zip(self.bonds).zip(self.kept) {
            has_kept[at] |= kept;
            match bond {
                Bond::None => loses_tag[at] |= !kept,
                Bond::To(_) => {}
                Bond::Broken => {
                    is_stray[at] = true;
                    is_new_stray[at] |= self.now.since(tag.moved_at) < stray_age;
                }
            }
        }
        let stays = |at: usize| {
            if has_kept[at] || is_new_stray[at] {
                return true;
            }
            match self.policy.untagged_after {
                Some(after) => {
                    let row = &self.rows.manifests[at];
                    let held_until = row
                        .untagged_at
                        .map_or(row.pushed_at, |left| left.max(row.pushed_at));
                    // A tag that goes now was there until now.
                    loses_tag[at] || self.now.since(held_until) < after
                }
                // It goes with what held it; what nothing ever held is left alone.
                None => !loses_tag[at] && !is_stray[at] && !self.holders.is_held[at],
            }
        };
        (0..count).map(stays).collect()
    }

    fn decisions(&self, stays: &[bool]) -> Vec<Decision> {
        let mut decisions = Vec::new();
        let mut tags_of: HashMap<usize, Vec<TagRow>> = HashMap::new();
        for ((&(tag, at), bond), kept) in self.rows.tags.iter().zip(self.bonds).zip(self.kept) {
            if !stays[at] {
                tags_of.entry(at).or_default().push(tag.clone());
                continue;
            }
            // A manifest that stays for something else may lose tags all the same.
            let why = match bond {
                Bond::None => Reason::Unkept,
                Bond::To(owner) if !stays[*owner] => Reason::Owner,
                Bond::To(_) | Bond::Broken => continue,
            };
            if !kept {
                decisions.push(Decision::Tag {
                    tag: tag.clone(),
                    why,
                });
            }
        }
        for at in self.in_order(stays) {
            let row = &self.rows.manifests[at];
            let tags = tags_of.remove(&at).unwrap_or_default();
            let has_own_tag = tags.iter().any(|tag| owner(&tag.name).is_none());
            let why = if has_own_tag {
                Reason::LastTag
            } else if self.holders.is_held[at] || !tags.is_empty() {
                Reason::Owner
            } else {
                Reason::Untagged
            };
            decisions.push(Decision::Manifest {
                seen: row.clone(),
                tags,
                why,
            });
        }
        decisions
    }

    /// The manifests that go, each behind those that hold it.
    fn in_order(&self, stays: &[bool]) -> Vec<usize> {
        let goes = |at: &usize| !stays[*at];
        let mut waits_for = vec![0_usize; stays.len()];
        for holder in (0..stays.len()).filter(goes) {
            for &held in &self.holders.held[holder] {
                waits_for[held] += 1;
            }
        }
        let mut order = Vec::new();
        let mut free: Vec<usize> = (0..stays.len())
            .rev()
            .filter(|at| goes(at) && waits_for[*at] == 0)
            .collect();
        while let Some(at) = free.pop() {
            order.push(at);
            for &held in &self.holders.held[at] {
                waits_for[held] -= 1;
                if waits_for[held] == 0 && goes(&held) {
                    free.push(held);
                }
            }
        }
        // Those that hold each other, which takes an index whose subject is one of its images: they stay
        // where they are, for none of them can go first.
        order
    }
}

#[cfg(test)]
mod tests;
