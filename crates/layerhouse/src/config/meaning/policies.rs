//! `layerhouse.policies` and `layerhouse.retention`: what may be pushed where, and what stays there.

use std::time::Duration;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;
use regex::Regex;

use super::glob::Glob;

/// The policies of a registry.
#[derive(Clone, Debug)]
pub(crate) struct Policies {
    /// In the order of the list.
    pub(crate) entries: Vec<Policy>,
    /// Between two looks for what retention lets go.
    pub(crate) interval: Duration,
    /// What of the configuration keeps everything where it is, retention or not (S18).
    pub(crate) bar: Option<&'static str>,
}

/// One entry of the list.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// Its key, as messages name it: `layerhouse.policies[0]`.
    pub(crate) key: String,
    /// At least one.
    pub(crate) repositories: Vec<Glob>,
    pub(crate) retention: Option<Retention>,
    pub(crate) immutable: Option<Immutable>,
    pub(crate) quota: Option<Quota>,
    /// `tag_names`: what new tags may be called.
    pub(crate) tag_names: Option<TagSet>,
}

/// Which tags and manifests stay.
#[derive(Clone, Debug, Default)]
pub(crate) struct Retention {
    /// A tag stays if one of them keeps it; absent, every tag does.
    pub(crate) keep: Option<Vec<KeepRule>>,
    /// A manifest that nothing holds goes after this; absent, it goes with its last tag, and stays if it
    /// never had one.
    pub(crate) untagged_after: Option<Duration>,
}

/// Keeps some of the tags that it is about; if it does not say which of them, all.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeepRule {
    pub(crate) tags: TagSet,
    /// So many that were pushed last.
    pub(crate) newest: Option<usize>,
    /// So many of the highest versions.
    pub(crate) semver_newest: Option<usize>,
    pub(crate) pushed_within: Option<Duration>,
    /// Pulled, or pushed, within this.
    pub(crate) pulled_within: Option<Duration>,
}

/// Tags by their names: those that fit one of the patterns or the expression; all, if there is neither.
#[derive(Clone, Debug, Default)]
pub(crate) struct TagSet {
    pub(crate) globs: Vec<Glob>,
    /// Anchored at both ends.
    pub(crate) regex: Option<Regex>,
    /// As the operator wrote it.
    pub(crate) regex_text: Option<String>,
}

/// Tags that, once pushed, neither move nor go.
#[derive(Clone, Debug)]
pub(crate) struct Immutable {
    pub(crate) tags: Vec<Glob>,
    pub(crate) except: Vec<Glob>,
}

/// What repositories may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// Bytes of linked blobs.
    pub(crate) size_bytes: Option<u64>,
    pub(crate) tags: Option<u64>,
    pub(crate) per: Per,
}

/// What a quota is counted over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Per {
    /// Each repository by itself.
    Repository,
    /// All repositories with the same first component, be they the policy's or not.
    Namespace,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            interval: Duration::from_hours(1),
            bar: None,
        }
    }
}

impl Policies {
    /// The entries that are about a repository.
    pub(crate) fn of<'a>(
        &'a self,
        repository: &'a RepositoryName,
    ) -> impl Iterator<Item = &'a Policy> {
        let entries = self.entries.iter();
        entries.filter(|entry| entry.covers(repository))
    }

    /// What decides which tags of a repository stay: the first entry that says so.
    pub(crate) fn retention(&self, repository: &RepositoryName) -> Option<&Retention> {
        let mut entries = self.entries.iter().filter(|entry| entry.covers(repository));
        entries.find_map(|entry| entry.retention.as_ref())
    }

    /// Whether any repository has tags that go by themselves.
    pub(crate) fn have_retention(&self) -> bool {
        self.entries.iter().any(|entry| entry.retention.is_some())
    }
}

impl Policy {
    fn covers(&self, repository: &RepositoryName) -> bool {
        let mut patterns = self.repositories.iter();
        patterns.any(|pattern| pattern.fits(repository.as_str()))
    }
}

impl TagSet {
    /// Whether the tag is one of them.
    pub(crate) fn has(&self, tag: &Tag) -> bool {
        let name = tag.as_str();
        let is_all = self.globs.is_empty() && self.regex.is_none();
        is_all
            || self.globs.iter().any(|glob| glob.fits(name))
            || self
                .regex
                .as_ref()
                .is_some_and(|regex| regex.is_match(name))
    }

    /// For people: `v*, main or the expression [0-9]+`.
    pub(crate) fn words(&self) -> String {
        let globs: Vec<&str> = self.globs.iter().map(Glob::as_str).collect();
        let globs = globs.join(", ");
        match (&self.regex_text, globs.is_empty()) {
            (Some(regex), true) => format!("the expression {regex}"),
            (Some(regex), false) => format!("{globs} or the expression {regex}"),
            (None, _) => globs,
        }
    }
}

impl Immutable {
    /// The pattern that keeps the tag where it is, if one does.
    pub(crate) fn pattern(&self, tag: &Tag) -> Option<&Glob> {
        let name = tag.as_str();
        let pattern = self.tags.iter().find(|glob| glob.fits(name))?;
        let is_excepted = self.except.iter().any(|glob| glob.fits(name));
        (!is_excepted).then_some(pattern)
    }
}

/// The manifest that a tag in cosign's form belongs to: `sha256-<64 hex digits>`, and perhaps `.sig`, `.att`
/// or `.sbom`.
pub(crate) fn owner(tag: &Tag) -> Option<Digest> {
    const HEX: usize = 64;
    let rest = tag.as_str().strip_prefix("sha256-")?;
    let (hex, suffix) = rest.split_at_checked(HEX)?;
    let is_whole = suffix.is_empty() || suffix.len() > 1 && suffix.starts_with('.');
    let digest = format!("sha256:{hex}").parse().ok()?;
    is_whole.then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_signatures_name_what_they_belong_to() {
        let hex = "ab".repeat(32);
        let check = |tag: &str, expected: bool| {
            let tag: Tag = tag.parse().expect("a tag");
            let expected = expected.then(|| format!("sha256:{hex}").parse().expect("a digest"));
            assert_eq!(owner(&tag), expected, "{tag}");
        };
        check(&format!("sha256-{hex}"), true);
        check(&format!("sha256-{hex}.sig"), true);
        check(&format!("sha256-{hex}.att"), true);
        check(&format!("sha256-{hex}.sbom"), true);
        check(&format!("sha256-{hex}."), false);
        check(&format!("sha256-{hex}x"), false);
        check(&format!("sha256-{}", &hex[1..]), false);
        check(&format!("sha256-{}", hex.to_uppercase()), false);
        check(&format!("sha512-{hex}"), false);
        check("sha256-", false);
        check("v1", false);
    }
}
