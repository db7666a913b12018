//! What a list of repositories can be sorted out by: what their newest images are, and what they are for.

use std::collections::BTreeMap;

use super::super::form::Pairs;
use super::super::visit::Visit;
use super::model::kind_key;
use crate::registry::browse::kind::Kind;
use crate::registry::browse::repositories::NewestTag;

/// Values of a facet.
const VALUES_MAX: usize = 12;
/// Whether an image is signed, as addresses have it.
const YES: &str = "yes";
const NO: &str = "no";

/// Something that what was found differs in.
#[derive(Debug)]
pub(super) struct Facet {
    pub(super) title: &'static str,
    pub(super) values: Vec<FacetValue>,
}

#[derive(Debug)]
pub(super) struct FacetValue {
    pub(super) label: String,
    pub(super) query: String,
    /// Absent if not all was looked at.
    pub(super) count: Option<u64>,
    pub(super) is_chosen: bool,
}

/// What a repository's newest image is for.
#[derive(Default)]
pub(super) struct Traits {
    kind: Option<Kind>,
    /// Operating systems and architectures, each once.
    os: Vec<String>,
    arch: Vec<String>,
    /// Absent if there is no image.
    is_signed: Option<bool>,
}

impl Traits {
    pub(super) fn of(newest: Option<&NewestTag>) -> Self {
        let Some(newest) = newest else {
            return Self::default();
        };
        let mut traits = Self {
            is_signed: Some(newest.is_signed),
            ..Self::default()
        };
        let Some(facts) = &newest.facts else {
            return traits;
        };
        traits.kind = Some(facts.kind);
        for platform in &facts.platforms {
            let mut parts = platform.split('/');
            let add = |list: &mut Vec<String>, part: Option<&str>| {
                let part =
                    part.filter(|part| !part.is_empty() && !list.iter().any(|one| one == part));
                list.extend(part.map(str::to_owned));
            };
            add(&mut traits.os, parts.next());
            add(&mut traits.arch, parts.next());
        }
        traits
    }
}

/// What was chosen.
#[derive(Clone, Debug, Default)]
pub(super) struct Chosen {
    os: Option<String>,
    arch: Option<String>,
    kind: Option<Kind>,
    is_signed: Option<bool>,
}

impl Chosen {
    /// What a query says; a word that means nothing chooses nothing.
    pub(super) fn of(query: &Pairs) -> Self {
        Self {
            os: query.get("os").map(str::to_owned),
            arch: query.get("arch").map(str::to_owned),
            kind: query.get("type").and_then(Kind::from_word),
            is_signed: match query.get("signed") {
                Some(YES) => Some(true),
                Some(NO) => Some(false),
                Some(_) | None => None,
            },
        }
    }

    pub(super) fn is_any(&self) -> bool {
        self.os.is_some() || self.arch.is_some() || self.kind.is_some() || self.is_signed.is_some()
    }

    pub(super) fn fits(&self, traits: &Traits) -> bool {
        let has = |chosen: Option<&String>, list: &[String]| {
            chosen.is_none_or(|chosen| list.contains(chosen))
        };
        has(self.os.as_ref(), &traits.os)
            && has(self.arch.as_ref(), &traits.arch)
            && self.kind.is_none_or(|kind| traits.kind == Some(kind))
            && (self.is_signed.is_none() || self.is_signed == traits.is_signed)
    }
}

/// What can be chosen, each with how many of all that was found it leaves, were it chosen alone.
pub(super) fn of(
    visit: &Visit,
    chosen: &Chosen,
    all: impl Iterator<Item = Traits>,
    is_all: bool,
) -> Vec<Facet> {
    let (mut os, mut arch) = (Counts::new(), Counts::new());
    let (mut kinds, mut signed) = (Counts::new(), Counts::new());
    for traits in all {
        let count = |counts: &mut Counts, value: &str| {
            *counts.entry(value.to_owned()).or_default() += 1;
        };
        traits.os.iter().for_each(|value| count(&mut os, value));
        traits.arch.iter().for_each(|value| count(&mut arch, value));
        if let Some(kind) = traits.kind {
            count(&mut kinds, kind.as_str());
        }
        if let Some(is_signed) = traits.is_signed {
            count(&mut signed, yes_or_no(is_signed));
        }
    }
    let shell = &visit.shell;
    let kind_label = |word: &str| match Kind::from_word(word) {
        Some(kind) => shell.t(kind_key(kind)).to_owned(),
        None => word.to_owned(),
    };
    let signed_label = |word: &str| {
        let key = if word == YES {
            "browse.signed"
        } else {
            "browse.unsigned"
        };
        shell.t(key).to_owned()
    };
    let facet = |title, name: &str, counts: Counts, chosen: Option<&str>, label: &Label<'_>| {
        let value = |(word, count): (String, u64)| {
            let is_chosen = chosen == Some(word.as_str());
            FacetValue {
                label: label(&word),
                query: visit
                    .query
                    .with(name, (!is_chosen).then_some(word.as_str())),
                count: is_all.then_some(count),
                is_chosen,
            }
        };
        Facet {
            title: shell.t(title),
            values: shown(counts, chosen).into_iter().map(value).collect(),
        }
    };
    let as_it_is = |word: &str| word.to_owned();
    let kind = chosen.kind.map(Kind::as_str);
    let (of_os, of_arch) = (chosen.os.as_deref(), chosen.arch.as_deref());
    let of_signed = chosen.is_signed.map(yes_or_no);
    let facets = [
        facet("browse.kind", "type", kinds, kind, &kind_label),
        facet("browse.os", "os", os, of_os, &as_it_is),
        facet("browse.arch", "arch", arch, of_arch, &as_it_is),
        facet(
            "browse.signature",
            "signed",
            signed,
            of_signed,
            &signed_label,
        ),
    ];
    // One value that all have does not tell anything apart, unless it was chosen.
    let tells =
        |facet: &Facet| 1 < facet.values.len() || facet.values.iter().any(|value| value.is_chosen);
    facets.into_iter().filter(tells).collect()
}

/// What a value is called.
type Label<'a> = dyn Fn(&str) -> String + 'a;

type Counts = BTreeMap<String, u64>;

/// The values that most have, and the chosen one even if none has it.
fn shown(counts: Counts, chosen: Option<&str>) -> Vec<(String, u64)> {
    let chosen = chosen.map(|chosen| (chosen.to_owned(), counts.get(chosen).copied()));
    let mut values: Vec<(String, u64)> = counts.into_iter().collect();
    values.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    values.truncate(VALUES_MAX);
    if let Some((word, count)) = chosen
        && !values.iter().any(|(value, _)| *value == word)
    {
        values.push((word, count.unwrap_or(0)));
    }
    values
}

fn yes_or_no(is_signed: bool) -> &'static str {
    if is_signed { YES } else { NO }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_value_is_shown_even_if_few_have_it() {
        let counts = || -> Counts {
            (0..20)
                .map(|number| (format!("v{number:02}"), 100 - number))
                .collect()
        };
        let values = |chosen: Option<&str>| shown(counts(), chosen);
        assert_eq!(values(None).len(), VALUES_MAX);
        assert_eq!(values(None)[0], ("v00".to_owned(), 100));
        assert_eq!(values(Some("v01")).len(), VALUES_MAX);
        assert_eq!(values(Some("v19")).last(), Some(&("v19".to_owned(), 81)));
        assert_eq!(values(Some("none")).last(), Some(&("none".to_owned(), 0)));
    }

    #[test]
    fn what_is_chosen_fits() {
        let query = |text: &str| Chosen::of(&Pairs::parse(text.as_bytes()));
        let traits = |is_signed| Traits {
            kind: Some(Kind::Image),
            os: vec!["linux".to_owned()],
            arch: vec!["amd64".to_owned(), "arm64".to_owned()],
            is_signed,
        };
        let check = |text: &str, is_any: bool, fits: [bool; 3]| {
            let chosen = query(text);
            assert_eq!(chosen.is_any(), is_any, "{text}");
            let signed = [Some(true), Some(false), None];
            assert_eq!(
                signed.map(|signed| chosen.fits(&traits(signed))),
                fits,
                "{text}"
            );
        };
        check("", false, [true; 3]);
        check("signed=yes", true, [true, false, false]);
        check("signed=no", true, [false, true, false]);
        check("signed=perhaps", false, [true; 3]);
        check("os=linux&arch=arm64&type=image", true, [true; 3]);
        check("os=windows", true, [false; 3]);
        check("type=helm", true, [false; 3]);
        check("type=nothing", false, [true; 3]);
    }
}
