//! What pages say, in each language: `AREA.txt` beside this file, a block for each key with English and Chinese
//! side by side. Codes, digests and lines of the log stay English everywhere.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::LazyLock;

/// A language that all pages speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::api::ui) enum Language {
    English,
    Chinese,
}

impl Language {
    pub(in crate::api::ui) const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// As `<html lang>` and `?lang=` have it (BCP 47).
    pub(in crate::api::ui) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// What it is called by those who speak it.
    pub(in crate::api::ui) fn own_name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Chinese => "简体中文",
        }
    }

    /// The language of a tag, whatever the region: `zh`, `zh-Hans-CN`, `en-GB`.
    pub(in crate::api::ui) fn of_tag(tag: &str) -> Option<Self> {
        let primary = tag.trim().split('-').next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| {
            let own = language.tag().split('-').next().unwrap_or_default();
            own.eq_ignore_ascii_case(primary)
        })
    }

    /// The first that a browser prefers, by its `Accept-Language` (RFC 9110, 12.5.4).
    pub(in crate::api::ui) fn preferred(accept: &str) -> Option<Self> {
        /// More than any browser sends.
        const RANGES_MAX: usize = 32;
        let ranges = accept.split(',').take(RANGES_MAX).filter_map(|range| {
            let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
            let weight = match parameters.trim().strip_prefix("q=") {
                Some(text) => text.parse::<f32>().ok()?,
                None => 1.0,
            };
            Some((Self::of_tag(tag)?, weight))
        });
        let wanted = ranges.filter(|(_, weight)| 0.0 < *weight);
        // The first of equals.
        let best = wanted.reduce(|best, next| if best.1 < next.1 { next } else { best });
        best.map(|(language, _)| language)
    }
}

/// The texts of all areas.
const AREAS: [&str; 8] = [
    include_str!("shell.txt"),
    include_str!("browse.txt"),
    include_str!("change.txt"),
    include_str!("account.txt"),
    include_str!("admin.txt"),
    include_str!("help.txt"),
    include_str!("pictures.txt"),
    include_str!("elsewhere.txt"),
];

static TEXTS: LazyLock<HashMap<&'static str, [&'static str; 2]>> = LazyLock::new(|| {
    let mut texts = HashMap::new();
    for area in AREAS {
        for (key, said) in blocks(area) {
            let before = texts.insert(key, said);
            assert!(before.is_none(), "the text {key} stands there twice");
        }
    }
    texts
});

/// `[key]`, `en = …`, `zh = …`, any number of times; `#` begins a comment.
fn blocks(area: &'static str) -> Vec<(&'static str, [&'static str; 2])> {
    let mut found: Vec<(&str, [&str; 2])> = Vec::new();
    for line in area.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(key) = line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
        {
            found.push((key, ["", ""]));
            continue;
        }
        let said = found.last_mut().map(|(_, said)| said);
        let (language, text) = line.split_once('=').unwrap_or((line, ""));
        match (said, language.trim()) {
            (Some(said), "en") => said[0] = text.trim(),
            (Some(said), "zh") => said[1] = text.trim(),
            _ => panic!("no text: {line}"),
        }
    }
    found
}

/// What is said for a key, if there is such a key.
pub(in crate::api::ui) fn find(language: Language, key: &str) -> Option<&'static str> {
    let said = TEXTS.get(key)?;
    Some(match language {
        Language::English => said[0],
        Language::Chinese => said[1],
    })
}

/// What is said for a key of ours; the key itself if there is none, which a test finds.
pub(in crate::api::ui) fn text(language: Language, key: &'static str) -> &'static str {
    find(language, key).unwrap_or(key)
}

/// A text with values in the places of `{1}`, `{2}`, …
pub(in crate::api::ui) fn filled(text: &str, values: &[&dyn Display]) -> String {
    let mut parts = text.split('{');
    let mut said = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let place = part.split_once('}').and_then(|(number, rest)| {
            let place = number.parse::<usize>().ok()?.checked_sub(1)?;
            Some((values.get(place)?, rest))
        });
        if let Some((value, rest)) = place {
            said.push_str(&value.to_string());
            said.push_str(rest);
        } else {
            said.push('{');
            said.push_str(part);
        }
    }
    said
}

/// Of `one|many`, the form for a number; a text without a bar has one form.
pub(in crate::api::ui) fn numbered(text: &str, number: u64) -> &str {
    match text.split_once('|') {
        Some((one, many)) => {
            if number == 1 {
                one
            } else {
                many
            }
        }
        None => text,
    }
}

#[cfg(test)]
mod tests;
