//! What is noted while a configuration is read: problems, warnings, and each value with its origin.

use std::cell::RefCell;
use std::fmt;

use super::tree::Origin;

/// One value that holds, whether or not it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Where it stands: `http`, `addr`; the entries of a list are `[0]`, `[1]`.
    pub(crate) path: Vec<String>,
    /// In YAML, on one line; `<hidden>` for a secret.
    pub value: String,
    pub(crate) origin: Origin,
    /// To see whether a secret changed; never shown.
    pub(crate) fingerprint: u64,
}

impl Said {
    /// The key as people write it: `notifications.endpoints[0].url`.
    #[must_use]
    pub fn key(&self) -> String {
        join(&self.path)
    }

    /// Nobody said it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.origin == Origin::Default
    }

    /// Where it was said.
    #[must_use]
    pub fn origin(&self) -> String {
        self.origin.to_string()
    }
}

/// Segments as one key.
pub(super) fn join(path: &[String]) -> String {
    let mut joined = String::new();
    for segment in path {
        if !joined.is_empty() && !segment.starts_with('[') {
            joined.push('.');
        }
        joined.push_str(segment);
    }
    joined
}

/// Collects what is noted.
#[derive(Debug, Default)]
pub(super) struct Notes {
    problems: RefCell<Vec<String>>,
    warnings: RefCell<Vec<String>>,
    said: RefCell<Vec<Said>>,
}

impl Notes {
    pub(super) fn problem(&self, problem: impl fmt::Display) {
        self.problems.borrow_mut().push(problem.to_string());
    }

    pub(super) fn warning(&self, warning: impl fmt::Display) {
        self.warnings.borrow_mut().push(warning.to_string());
    }

    pub(super) fn said(&self, said: Said) {
        let mut all = self.said.borrow_mut();
        all.retain(|before| before.path != said.path);
        all.push(said);
    }

    pub(super) fn into_parts(self) -> (Vec<String>, Vec<String>, Vec<Said>) {
        (
            self.problems.into_inner(),
            self.warnings.into_inner(),
            self.said.into_inner(),
        )
    }
}

/// The name that was meant, probably.
pub(super) fn similar<'names>(
    name: &str,
    names: impl Iterator<Item = &'names str>,
) -> Option<String> {
    /// `rootdir` for `rootdirectory` has 0.91, `maks` for `max` 0.86, and 1 is the same.
    const LIKENESS_MIN: f64 = 0.85;
    let lower = name.to_lowercase();
    let slips_max = 1 + lower.len() / 5;
    names
        .filter_map(|known| {
            let other = known.to_lowercase();
            let slips = strsim::damerau_levenshtein(&lower, &other);
            let likeness = strsim::jaro_winkler(&lower, &other);
            // A short name is a slip or two from every other one.
            let is_slip = slips <= slips_max && slips < lower.len().min(other.len()) / 2;
            (is_slip || LIKENESS_MIN <= likeness).then_some((likeness, known))
        })
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, known)| known.to_owned())
}

/// `; did you mean …?`, or nothing.
pub(super) fn did_you_mean(similar: Option<String>) -> String {
    similar.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}
