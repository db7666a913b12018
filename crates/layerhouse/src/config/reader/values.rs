//! The values that a key can have: text, words, flags, numbers, durations, sizes, lists, headers. What
//! is none is a problem, and the default holds.

use std::time::Duration;

use super::secrets::{fingerprint, is_secret, without_password};
use super::{Section, located, quoted};
use crate::config::notes::{did_you_mean, similar};
use crate::config::tree::{Node, Origin, Value};
use crate::config::units;

impl Section<'_> {
    /// A text; numbers and booleans are the characters that they were written with.
    pub(in crate::config) fn text(&self, key: &str) -> Option<String> {
        let scalar = self.scalar(key, "text")?;
        let shown = quoted(&without_password(&scalar.text));
        self.say_shown(
            key,
            shown,
            fingerprint(&quoted(&scalar.text)),
            &scalar.origin,
        );
        Some(scalar.text).filter(|text| !text.is_empty())
    }

    /// A text, with what holds if there is none.
    pub(in crate::config) fn text_or(&self, key: &str, default: &str) -> String {
        self.text(key).unwrap_or_else(|| {
            self.say(key, quoted(default), &Origin::Default);
            default.to_owned()
        })
    }

    /// A text without which the section cannot be.
    pub(in crate::config) fn text_needed(&self, key: &str) -> String {
        self.text(key).unwrap_or_else(|| {
            self.refuse(key, "is missing");
            String::new()
        })
    }

    /// Whether there is a secret, which may be in a file that a variable names instead:
    /// `REGISTRY_HTTP_SECRET_FILE`.
    pub(in crate::config) fn has_secret(&self, key: &str) -> bool {
        let is_direct = self.text(key).is_some();
        let name = format!("{}_FILE", self.variable_of(key));
        let Some((own, path)) = self.variables.take(&name) else {
            return is_direct;
        };
        if is_direct {
            self.refuse(key, format!("is said, and so is {own}; one must go"));
            return true;
        }
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let text = text.trim_end_matches(['\r', '\n']).to_owned();
                self.say(key, text, &Origin::Variable(own.into()));
            }
            Err(error) => self.notes.problem(format!("{own}: {path}: {error}")),
        }
        true
    }

    /// One of a few words, in any case.
    pub(in crate::config) fn word<Meaning: Clone>(
        &self,
        key: &str,
        words: &[(&'static str, Meaning)],
        default: Option<&'static str>,
    ) -> Option<Meaning> {
        let find = |word: &str| {
            let found = words.iter().find(|(own, _)| own.eq_ignore_ascii_case(word));
            found.map(|(_, meaning)| meaning.clone())
        };
        let default = || {
            let word = default?;
            self.say(key, quoted(word), &Origin::Default);
            find(word)
        };
        let names = words
            .iter()
            .map(|(word, _)| *word)
            .filter(|word| !word.is_empty());
        let wanted = format!("one of {}", names.clone().collect::<Vec<_>>().join(", "));
        let Some(scalar) = self.scalar(key, &wanted) else {
            return default();
        };
        if let Some(meaning) = find(&scalar.text) {
            self.say(key, quoted(&scalar.text), &scalar.origin);
            return Some(meaning);
        }
        let hint = did_you_mean(similar(&scalar.text, names));
        self.refuse(key, format!("{:?} is not {wanted}{hint}", scalar.text));
        default()
    }

    /// A boolean, in each of YAML's spellings.
    pub(in crate::config) fn flag(&self, key: &str, default: bool) -> bool {
        self.flag_given(key).unwrap_or_else(|| {
            self.say(key, default.to_string(), &Origin::Default);
            default
        })
    }

    /// A boolean, if it was said.
    pub(in crate::config) fn flag_given(&self, key: &str) -> Option<bool> {
        let scalar = self.scalar(key, "true or false")?;
        let flag = match scalar.text.to_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Some(true),
            "false" | "no" | "off" | "n" => Some(false),
            _ => None,
        };
        let flag = flag.filter(|_| scalar.is_plain);
        if let Some(flag) = flag {
            self.say(key, flag.to_string(), &scalar.origin);
        } else {
            let shown = if scalar.is_plain {
                scalar.text
            } else {
                format!("the text {:?}", scalar.text)
            };
            self.refuse_kind(key, &shown, "true or false");
        }
        flag
    }

    /// A whole number, maybe negative.
    pub(in crate::config) fn number(&self, key: &str, default: i64) -> i64 {
        let given = self.scalar(key, "a whole number").and_then(|scalar| {
            let number = units::parse_integer(&scalar.text).filter(|_| scalar.is_plain);
            if number.is_none() {
                self.refuse(key, format!("{:?} is not a whole number", scalar.text));
            }
            self.say(key, number?.to_string(), &scalar.origin);
            number
        });
        given.unwrap_or_else(|| {
            self.say(key, default.to_string(), &Origin::Default);
            default
        })
    }

    /// A whole number of at least 1; 0 and less mean the default, as in registry:2.
    pub(in crate::config) fn positive(&self, key: &str, default: u32) -> u32 {
        let number = self.number(key, default.into());
        if number <= 0 {
            self.say(key, default.to_string(), &Origin::Default);
            return default;
        }
        u32::try_from(number).unwrap_or_else(|_| {
            self.refuse(key, format!("{number} is too much"));
            default
        })
    }

    /// A duration in Go's form or ours; 0 is one.
    pub(in crate::config) fn duration(&self, key: &str, default: Duration) -> Duration {
        let given = self
            .scalar(key, "a duration such as 90s, 15m or 168h")
            .and_then(|scalar| match units::parse_duration(&scalar.text) {
                Ok(duration) => {
                    if !duration.is_zero() && units::parse_integer(&scalar.text).is_some() {
                        self.warn(
                            key,
                            format!(
                                "{} is read as nanoseconds, as registry:2 reads it; write {}s for seconds",
                                scalar.text, scalar.text
                            ),
                        );
                    }
                    self.say(key, units::show_duration(duration), &scalar.origin);
                    Some(duration)
                }
                Err(message) => {
                    self.refuse(key, message);
                    None
                }
            });
        given.unwrap_or_else(|| {
            self.say(key, units::show_duration(default), &Origin::Default);
            default
        })
    }

    /// As [`Section::duration`], of which 0 means the default.
    pub(in crate::config) fn duration_or(&self, key: &str, default: Duration) -> Duration {
        let duration = self.duration(key, default);
        if duration.is_zero() {
            self.say(key, units::show_duration(default), &Origin::Default);
            return default;
        }
        duration
    }

    /// A duration longer than 0, with its unit: for keys that registry:2 does not have.
    pub(in crate::config) fn duration_above_zero(&self, key: &str, default: Duration) -> Duration {
        let duration = self.duration_with_unit(key, default);
        if duration.is_zero() {
            self.refuse(key, "must be longer than 0");
        }
        duration
    }

    /// A duration with its unit, or 0: for keys that registry:2 does not have.
    pub(in crate::config) fn duration_with_unit(&self, key: &str, default: Duration) -> Duration {
        let node = self.node(key);
        if let Some(Node {
            value: Value::Scalar { text, .. },
            ..
        }) = &node
            && units::parse_integer(text).is_some_and(|number| number != 0)
        {
            self.refuse(
                key,
                format!("{text} has no unit; write {text}s for seconds"),
            );
            return default;
        }
        self.duration(key, default)
    }

    /// A size in bytes.
    pub(in crate::config) fn size(&self, key: &str, default: u64) -> u64 {
        let given = self
            .scalar(key, "a size such as 512 MiB or 5 GiB")
            .and_then(|scalar| {
                let size = units::parse_size(&scalar.text);
                if let Some(size) = size {
                    self.say(key, quoted(&units::show_size(size)), &scalar.origin);
                } else {
                    self.refuse(
                        key,
                        format!("{:?} is not a size; write 512 MiB or 5 GiB", scalar.text),
                    );
                }
                size
            });
        given.unwrap_or_else(|| {
            self.say(key, quoted(&units::show_size(default)), &Origin::Default);
            default
        })
    }

    /// A list of texts; none if nothing was said.
    pub(in crate::config) fn texts(&self, key: &str) -> Vec<String> {
        let nodes = self.nodes(key, "a list of texts (write it as [one, two])");
        let variable = self.variable_of(key);
        let mut texts = Vec::new();
        let mut origin = None;
        for (index, node) in nodes.into_iter().enumerate() {
            let name = format!("{variable}{}{index}", self.separator);
            let node = match self.variables.take(&name) {
                Some((own, value)) => self.variable_node(own, value),
                None => node,
            };
            let Some(node) = node else { continue };
            let found = node.kind();
            origin.get_or_insert(node.origin.clone());
            match node.value {
                Value::Scalar { text, .. } => texts.push(text),
                Value::Null => {}
                Value::List(_) | Value::Map(_) => {
                    let at = located(&node.origin, &self.path_of(key));
                    self.notes
                        .problem(format!("{at}[{index}]: {found} stands where text should"));
                }
            }
        }
        let list = |text: &dyn Fn(&String) -> String| {
            let texts: Vec<_> = texts.iter().map(text).collect();
            format!("[{}]", texts.join(", "))
        };
        self.say_shown(
            key,
            list(&|text| quoted(&without_password(text))),
            fingerprint(&list(&|text| quoted(text))),
            &origin.unwrap_or(Origin::Default),
        );
        texts
    }

    /// The keys of a section whose keys are the operator's own, those of variables included.
    fn own_keys(&self) -> Vec<String> {
        let mut keys: Vec<_> = self.entries.iter().map(|entry| entry.key.clone()).collect();
        for rest in self.variables.below(&self.prefix) {
            let name = rest.split(self.separator).next().unwrap_or(rest);
            if !keys.iter().any(|key| key.eq_ignore_ascii_case(name)) {
                keys.push(name.to_lowercase());
            }
        }
        keys
    }

    /// A section of texts under names of the operator's.
    pub(in crate::config) fn text_map(&self, key: &str) -> Vec<(String, String)> {
        let section = self.section(key);
        let keys = section.own_keys();
        let pairs = keys.into_iter().filter_map(|key| {
            let text = section.text(&key)?;
            Some((key, text))
        });
        pairs.collect()
    }

    /// A section of headers: lists of values under names.
    pub(in crate::config) fn headers(
        &self,
        key: &str,
    ) -> Vec<(http::HeaderName, http::HeaderValue)> {
        let section = self.section(key);
        let mut headers = Vec::new();
        for name in section.own_keys() {
            let values = section.texts(&name);
            let Ok(parsed) = name.parse::<http::HeaderName>() else {
                section.refuse(&name, "is not the name of a header");
                continue;
            };
            for value in values {
                if let Ok(mut value) = value.parse::<http::HeaderValue>() {
                    value.set_sensitive(is_secret(&name));
                    headers.push((parsed.clone(), value));
                } else {
                    section.refuse(&name, "has a value that no header can have");
                }
            }
        }
        headers
    }
}
