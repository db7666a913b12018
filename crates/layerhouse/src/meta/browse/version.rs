//! What a tag is sorted by among versions: a text that compares byte by byte as semver.org (2.0.0, section 11)
//! has versions compare, so that an index has them in their order.
//!
//! Lenient, for tags of images are: `1`, `v1.2`, `1.2.3.4` and `2024.01.05` are versions as well, what is missing is
//! 0, and `1.2.3-alpine` comes before `1.2.3`, as a release candidate would.

/// A number of at most 128 digits: how many digits, in two characters, then the digits.
fn push_number(key: &mut String, digits: &str) {
    let digits = digits.trim_start_matches('0');
    let count = u8::try_from(digits.len()).expect("a tag has at most 128 bytes");
    key.push(char::from(b'0' + count / 64));
    key.push(char::from(b'0' + count % 64));
    key.push_str(digits);
}

/// Before a release, the release itself, and what has more numbers, in this order.
const BEFORE_RELEASE: char = '(';
const RELEASE: char = ')';
const MORE: char = '.';
/// The end of what stands before a release, a number there, and a word; all of them less than what a word has.
const END: char = '!';
const NUMBER: char = '#';
const WORD: char = '$';

/// The key of a tag; empty if it names no version. At most 640 bytes, for a tag has at most 128.
pub(crate) fn key(tag: &str) -> String {
    of_version(tag).unwrap_or_default()
}

fn of_version(tag: &str) -> Option<String> {
    let text = tag.strip_prefix(['v', 'V']).unwrap_or(tag);
    let (core, before) = match text.split_once(['-', '_']) {
        Some((core, before)) => (core, Some(before)),
        None => (text, None),
    };
    let mut key = String::new();
    let numbers: Vec<&str> = core.split('.').collect();
    if tag.len() > 128 || !numbers.iter().all(|number| is_number(number)) {
        return None;
    }
    let at_least_three = numbers
        .iter()
        .chain(["0"; 2].iter())
        .take(numbers.len().max(3));
    for (at, number) in at_least_three.enumerate() {
        if 3 <= at {
            key.push(MORE);
        }
        push_number(&mut key, number);
    }
    let Some(before) = before else {
        key.push(RELEASE);
        return Some(key);
    };
    key.push(BEFORE_RELEASE);
    for part in before.split('.') {
        if part.is_empty() {
            return None;
        }
        if is_number(part) {
            key.push(NUMBER);
            push_number(&mut key, part);
        } else {
            key.push(WORD);
            key.push_str(part);
        }
    }
    key.push(END);
    Some(key)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_versions_are_greater() {
        let chain = [
            "latest",
            "0",
            "0.9.99",
            "1.0.0-1",
            "1.0.0-2",
            "1.0.0-11",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-alphabet",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "v1.0.0-rc.1",
            "1",
            "1.0.0.1-rc",
            "1.0.0.1",
            "1.0.0.2",
            "1.0.1",
            "v1.2",
            "1.2.1",
            "1.10.0",
            "2",
            "18.04",
            "2024.01.05",
            "20240105",
            "18446744073709551616.0.0",
        ];
        let keys: Vec<String> = chain.iter().map(|tag| key(tag)).collect();
        for (pair, tags) in keys.windows(2).zip(chain.windows(2)) {
            assert!(pair[0] < pair[1], "{tags:?}: {pair:?}");
        }
        assert!(keys.iter().all(|key| key.is_ascii()));
    }

    #[test]
    fn other_tags_have_none() {
        for tag in [
            "latest",
            "",
            "v",
            "1.2.x",
            "1..2",
            ".1",
            "1.",
            "vv1",
            "1.2.3-",
            "1.2.3-a..b",
            "7f3a",
            "-1",
            "a1.2.3",
        ] {
            assert_eq!(key(tag), "", "{tag}");
        }
    }

    #[test]
    fn what_is_missing_is_nothing() {
        for tag in ["1", "1.0", "1.0.0", "v1", "V1.0.0", "01.0"] {
            assert_eq!(key(tag), "0110000)", "{tag}");
        }
        assert!(key("1.".repeat(64).trim_end_matches('.')).len() <= 640);
    }
}
