//! `layerhouse.policies`: rules for repositories by their names; and `layerhouse.retention`: when they are kept.

use std::time::Duration;

use regex::{Regex, RegexBuilder};

use crate::config::meaning::glob::Glob;
use crate::config::meaning::policies::{
    Immutable, KeepRule, Per, Policies, Policy, Quota, Retention, TagSet,
};
use crate::config::reader::Section;

/// Entries of the list: each may be looked at for each push.
const POLICIES_MAX: usize = 1_000;
/// An expression of a few lines; compiled it may take a MiB, and the time to match is linear in the name.
const REGEX_BYTES_MAX: usize = 1 << 10;
const REGEX_COMPILED_BYTES_MAX: usize = 1 << 20;
/// Shorter is no retention any more, but a loop.
const INTERVAL_MIN: Duration = Duration::from_mins(1);

/// What stands in for a duration that was not said; nothing reads it.
const UNSAID: Duration = Duration::from_hours(24);

/// `allows_delete` and `is_read_only` hold for policies as for everyone (S18).
pub(in crate::config) fn read(
    ours: &Section<'_>,
    allows_delete: bool,
    is_read_only: bool,
) -> Policies {
    let sections = ours.sections("policies");
    if POLICIES_MAX < sections.len() {
        ours.refuse(
            "policies",
            format!(
                "has {} entries; there may be {POLICIES_MAX}",
                sections.len()
            ),
        );
    }
    let policies = sections.iter().enumerate().map(|(place, section)| Policy {
        key: format!("layerhouse.policies[{place}]"),
        ..policy(section)
    });
    let policies = Policies {
        entries: policies.collect(),
        interval: interval(ours),
        bar: if is_read_only {
            Some("the registry is read-only (storage.maintenance.readonly)")
        } else if allows_delete {
            None
        } else {
            Some("deleting is switched off (storage.delete.enabled)")
        },
    };
    if policies.have_retention() && !is_read_only && !allows_delete {
        ours.warn(
            "policies",
            "retention removes nothing while deleting is switched off (storage.delete.enabled)",
        );
    }
    policies
}

/// `layerhouse.retention.interval`: how often retention is looked after.
fn interval(ours: &Section<'_>) -> Duration {
    let retention = ours.section("retention");
    let interval = retention.duration_above_zero("interval", Duration::from_hours(1));
    if interval < INTERVAL_MIN {
        retention.refuse("interval", "must be at least 1m");
    }
    interval.max(INTERVAL_MIN)
}

fn policy(section: &Section<'_>) -> Policy {
    let repositories = repositories(section);
    let has = |key: &str| section.has(key).then(|| section.section(key));
    let retention = has("retention");
    let immutable = has("immutable");
    let quota = has("quota");
    let tag_names = has("tag_names");
    let says_nothing = [&retention, &immutable, &quota, &tag_names]
        .into_iter()
        .all(Option::is_none);
    if says_nothing {
        section.refuse(
            "",
            "says nothing: give it retention, immutable, quota or tag_names",
        );
    }
    Policy {
        key: String::new(),
        repositories,
        retention: retention.as_ref().map(self::retention),
        immutable: immutable.as_ref().and_then(self::immutable),
        quota: quota.as_ref().map(self::quota),
        tag_names: tag_names.as_ref().and_then(self::tag_names),
    }
}

fn repositories(section: &Section<'_>) -> Vec<Glob> {
    let patterns = repository_globs(section, "repositories");
    if patterns.is_empty() && section.texts("repositories").is_empty() {
        section.refuse(
            "repositories",
            "is missing: patterns such as acme/** for all below acme, or ** for all",
        );
    }
    patterns
}

/// Patterns of the names of repositories.
pub(super) fn repository_globs(section: &Section<'_>, key: &str) -> Vec<Glob> {
    /// What names are made of, and stars.
    const ALLOWED: &str = "abcdefghijklmnopqrstuvwxyz0123456789._-/*";
    globs(section, key, ALLOWED, |text| {
        if text.chars().any(char::is_uppercase) {
            format!(
                "{text:?} fits no repository: their names are in lower case; did you mean {}?",
                text.to_lowercase()
            )
        } else {
            format!("{text:?} fits no repository; write acme/web, acme/* or acme/**")
        }
    })
}

fn retention(section: &Section<'_>) -> Retention {
    let has_keep = section.has("keep");
    let rules: Vec<KeepRule> = section.sections("keep").iter().map(keep_rule).collect();
    if has_keep && rules.is_empty() {
        section.refuse(
            "keep",
            "keeps nothing, so every tag would go; leave it out to keep them all",
        );
    }
    let untagged_after = optional_duration(section, "untagged_after");
    if !has_keep && untagged_after.is_none() {
        section.refuse("", "says nothing: give it keep, untagged_after or both");
    }
    Retention {
        keep: has_keep.then_some(rules),
        untagged_after,
    }
}

fn keep_rule(section: &Section<'_>) -> KeepRule {
    KeepRule {
        tags: tag_set(section, "tags"),
        newest: optional_count(section, "newest"),
        semver_newest: optional_count(section, "semver_newest"),
        pushed_within: optional_duration(section, "pushed_within"),
        pulled_within: optional_duration(section, "pulled_within"),
    }
}

fn immutable(section: &Section<'_>) -> Option<Immutable> {
    let tags = tag_globs(section, "tags");
    let except = tag_globs(section, "except");
    if tags.is_empty() {
        section.refuse(
            "tags",
            "is missing: patterns such as v*, or \"*\" for all tags",
        );
        return None;
    }
    Some(Immutable { tags, except })
}

fn quota(section: &Section<'_>) -> Quota {
    let size_bytes = section.has("size").then(|| section.size("size", 1));
    if size_bytes == Some(0) {
        section.refuse("size", "must be more than 0 B");
    }
    let tags = optional_count(section, "tags");
    if size_bytes.is_none() && tags.is_none() {
        section.refuse("", "says nothing: give it size, tags or both");
    }
    let per = section.word(
        "per",
        &[
            ("repository", Per::Repository),
            ("namespace", Per::Namespace),
        ],
        Some("repository"),
    );
    Quota {
        size_bytes,
        tags: tags.map(|tags| tags as u64),
        per: per.unwrap_or(Per::Repository),
    }
}

fn tag_names(section: &Section<'_>) -> Option<TagSet> {
    let allowed = tag_set(section, "allow");
    if allowed.globs.is_empty() && allowed.regex.is_none() {
        section.refuse("", "says nothing: give it allow, regex or both");
        return None;
    }
    Some(allowed)
}

/// Patterns under this key, and `regex` beside it.
fn tag_set(section: &Section<'_>, key: &str) -> TagSet {
    let globs = tag_globs(section, key);
    let regex_text = section.text("regex");
    let regex = regex_text.as_deref().and_then(|text| regex(section, text));
    TagSet {
        globs,
        regex,
        regex_text,
    }
}

fn regex(section: &Section<'_>, text: &str) -> Option<Regex> {
    if REGEX_BYTES_MAX < text.len() {
        section.refuse(
            "regex",
            format!("has {} bytes; it may have {REGEX_BYTES_MAX}", text.len()),
        );
        return None;
    }
    // By itself first: a bracket too many must not be one of ours.
    let build = |text: &str| {
        RegexBuilder::new(text)
            .size_limit(REGEX_COMPILED_BYTES_MAX)
            .dfa_size_limit(REGEX_COMPILED_BYTES_MAX)
            .build()
    };
    match build(text).and_then(|_| build(&format!("^(?:{text})$"))) {
        Ok(regex) => Some(regex),
        Err(regex::Error::CompiledTooBig(_)) => {
            section.refuse(
                "regex",
                "is too large once it is compiled; repeat less in it",
            );
            None
        }
        Err(error) => {
            // The last line says what is wrong; those before point at the place.
            let error = error.to_string();
            let what = error.lines().last().unwrap_or_default();
            let what = what.trim_start_matches("error: ");
            section.refuse(
                "regex",
                format!("{text:?} is no regular expression: {what}"),
            );
            None
        }
    }
}

pub(super) fn tag_globs(section: &Section<'_>, key: &str) -> Vec<Glob> {
    /// What tags are made of, and stars.
    const ALLOWED: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-*";
    globs(section, key, ALLOWED, |text| {
        let hint = if text.contains(['^', '$', '[', '(', '\\', '+', '|']) {
            "; an expression is written under regex"
        } else {
            ""
        };
        format!("{text:?} fits no tag; write v* or main{hint}")
    })
}

fn globs(
    section: &Section<'_>,
    key: &str,
    allowed: &str,
    wrong: impl Fn(&str) -> String,
) -> Vec<Glob> {
    let mut globs = Vec::new();
    for text in section.texts(key) {
        if !text.chars().all(|one| allowed.contains(one)) {
            section.refuse(key, wrong(&text));
            continue;
        }
        match text.parse() {
            Ok(glob) => globs.push(glob),
            Err(error) => section.refuse(key, error),
        }
    }
    globs
}

fn optional_count(section: &Section<'_>, key: &str) -> Option<usize> {
    if !section.has(key) {
        return None;
    }
    let number = section.number(key, 1);
    if number < 1 {
        section.refuse(key, "must be at least 1");
    }
    Some(usize::try_from(number).unwrap_or(1).max(1))
}

fn optional_duration(section: &Section<'_>, key: &str) -> Option<Duration> {
    let is_said = section.has(key);
    is_said.then(|| section.duration_above_zero(key, UNSAID))
}
