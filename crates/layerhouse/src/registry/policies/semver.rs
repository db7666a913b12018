//! Versions as semver.org has them (2.0.0), and which of two is the later one.

use std::cmp::Ordering;

/// `1.2.3`, perhaps with `-rc.1` behind it. What stands behind a `+` has no say, and no tag has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Version<'a> {
    /// Major, minor, patch: digits without zeros before them.
    core: [&'a str; 3],
    /// Before a release; empty for the release itself.
    before: Vec<&'a str>,
}

impl<'a> Version<'a> {
    /// The version that a tag names; a `v` may stand before it.
    pub(super) fn of_tag(tag: &'a str) -> Option<Self> {
        let text = tag.strip_prefix('v').unwrap_or(tag);
        let (core, before) = match text.split_once('-') {
            Some((core, before)) => (core, before.split('.').collect()),
            None => (text, Vec::new()),
        };
        let mut numbers = core.split('.');
        let core = [numbers.next()?, numbers.next()?, numbers.next()?];
        let is_good = |part: &&str| is_identifier(part) && (!is_digits(part) || is_number(part));
        let is_version = numbers.next().is_none()
            && core.iter().all(|number| is_number(number))
            && before.iter().all(is_good);
        is_version.then_some(Self { core, before })
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_number(text: &str) -> bool {
    is_digits(text) && !text.is_empty() && (text == "0" || !text.starts_with('0'))
}

fn is_identifier(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_allowed)
}

/// Digits of any length, without zeros before them.
fn compare_numbers(one: &str, other: &str) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| one.cmp(other))
}

fn compare_identifiers(one: &str, other: &str) -> Ordering {
    match (is_digits(one), is_digits(other)) {
        (true, true) => compare_numbers(one, other),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => one.cmp(other),
    }
}

/// Precedence (semver.org, section 11).
impl Ord for Version<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let core = self.core.iter().zip(&other.core);
        let core = core
            .map(|(one, other)| compare_numbers(one, other))
            .find(|order| order.is_ne());
        if let Some(order) = core {
            return order;
        }
        match (self.before.is_empty(), other.before.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => {
                let parts = self.before.iter().zip(&other.before);
                parts
                    .map(|(one, other)| compare_identifiers(one, other))
                    .find(|order| order.is_ne())
                    .unwrap_or_else(|| self.before.len().cmp(&other.before.len()))
            }
        }
    }
}

impl PartialOrd for Version<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::meta::browse::version::key;

    #[test]
    fn versions_are_strict() {
        let good = [
            "0.0.0",
            "1.2.3",
            "v1.2.3",
            "1.2.3-rc.1",
            "1.2.3--",
            "1.2.3-0a",
            "99999999999999999999.0.0",
        ];
        let bad = [
            "",
            "v",
            "1",
            "1.2",
            "1.2.3.4",
            "01.2.3",
            "1.02.3",
            "1.2.3-",
            "1.2.3-01",
            "1.2.3-a..b",
            "1.2.x",
            "V1.2.3",
            "vv1.2.3",
            "1.2.3_a",
            "latest",
            "-1.2.3",
        ];
        for text in good {
            assert!(Version::of_tag(text).is_some(), "{text}");
        }
        for text in bad {
            assert!(Version::of_tag(text).is_none(), "{text}");
        }
    }

    /// The chain of section 11, and numbers that no machine word holds.
    #[test]
    fn later_ones_are_greater() {
        let chain = [
            "0.9.99",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "v1.0.0",
            "1.0.1",
            "1.2.0",
            "v1.10.0",
            "2.0.0",
            "18446744073709551616.0.0",
        ];
        let versions: Vec<_> = chain
            .iter()
            .filter_map(|tag| Version::of_tag(tag))
            .collect();
        assert_eq!(versions.len(), chain.len());
        assert!(versions.is_sorted_by(|one, other| one < other));
    }

    proptest! {
        /// The text that the database sorts tags by puts versions in the same order.
        #[test]
        fn keys_of_tags_compare_as_versions(
            one in r"v?(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]?)\.(0|[1-9][0-9]?)(-(0|[1-9][0-9]?|[a-cA-C-]{1,3}|[0-9][a-c])(\.(0|[1-9][0-9]?|[a-c-]{1,3})){0,3})?",
            other in r"v?(0|[1-9][0-9]{0,3})\.(0|[1-9])\.(0|[1-9])(-(0|[1-9][0-9]?|[a-cA-C-]{1,3})(\.(0|[1-9][0-9]?|[a-c-]{1,3})){0,3})?",
            tail in r"(-(0|[1-9][0-9]?|[a-c-]{1,3})(\.(0|[1-9][0-9]?|[a-c-]{1,3})){0,3})?",
        ) {
            // Seldom the same numbers by chance.
            let core = one.split('-').next().unwrap_or_default();
            for other in [other, format!("{core}{tail}")] {
                let (Some(a), Some(b)) = (Version::of_tag(&one), Version::of_tag(&other)) else {
                    return Err(TestCaseError::fail("these are versions"));
                };
                prop_assert_eq!(key(&one).cmp(&key(&other)), a.cmp(&b), "{} {}", one, other);
            }
        }
    }
}
