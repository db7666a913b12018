//! Reads the tree, key by key: `REGISTRY_*` and `LAYERHOUSE_*` lie over the file, every problem is
//! noted, and so is every value with its origin.
//!
//! A function that asks a [`Section`] for its keys *is* the schema: the variables that a key listens
//! to follow from its path, and what nobody asked for is unknown. So nothing has to be listed twice.

mod secrets;
mod values;

use std::cell::RefCell;

use self::secrets::{HIDDEN, fingerprint, is_secret, without_password};
use super::notes::{Notes, Said, did_you_mean, join, similar};
use super::tree::{self, Entry, Node, Origin, Value};
use super::units;
use super::variables::Variables;

/// Fields of registry:2 that are not named as their keys are, by the key's path without indexes.
const FIELD_NAMES: [(&str, &str); 6] = [
    ("notifications.events", "EVENTCONFIG"),
    ("health.file", "FILECHECKERS"),
    ("health.http", "HTTPCHECKERS"),
    ("health.tcp", "TCPCHECKERS"),
    ("log.hooks.options", "MAILOPTIONS"),
    ("compatibility.schema1.signingkeyfile", "TRUSTKEY"),
];

/// What becomes of a key that nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// As in registry:2: it is ignored, and we say so.
    Warned,
    /// It is an error.
    Refused,
}

/// A section of the configuration, with what lies over it.
pub(super) struct Section<'all> {
    notes: &'all Notes,
    variables: &'all Variables,
    path: Vec<String>,
    /// `REGISTRY_HTTP_`: what the variables of its keys begin with.
    prefix: String,
    /// Between two names of a variable.
    separator: &'static str,
    unknown: Unknown,
    /// And in the sections below.
    unknown_below: Unknown,
    entries: Vec<Entry>,
    /// Where it was said; the default if it was not.
    origin: Origin,
    /// Every key that was asked for, and where it was said.
    asked: RefCell<Vec<(String, Origin)>>,
}

/// A scalar of the file or of a variable.
struct Scalar {
    text: String,
    is_plain: bool,
    origin: Origin,
}

impl<'all> Section<'all> {
    /// The whole of a file.
    pub(super) fn root(notes: &'all Notes, variables: &'all Variables, node: Option<Node>) -> Self {
        let mut section = Self {
            notes,
            variables,
            path: Vec::new(),
            prefix: "REGISTRY_".to_owned(),
            separator: "_",
            unknown: Unknown::Warned,
            unknown_below: Unknown::Warned,
            entries: Vec::new(),
            origin: Origin::Default,
            asked: RefCell::default(),
        };
        if let Some(node) = node {
            section.fill(node, "keys");
        }
        section
    }

    /// A section over which other variables lie.
    pub(super) fn subsection(
        &self,
        key: &str,
        variables: &'all Variables,
        prefix: &str,
        separator: &'static str,
        unknown: Unknown,
    ) -> Self {
        let mut section = self.quiet(&[key]);
        section.variables = variables;
        prefix.clone_into(&mut section.prefix);
        section.separator = separator;
        section.unknown = unknown;
        section.unknown_below = unknown;
        if let Some(node) = self.file_node(key) {
            section.fill(node, "a section");
        }
        section
    }

    /// A section that is not read, to say something of its keys.
    pub(super) fn quiet(&self, path: &[&str]) -> Self {
        let mut full = self.path.clone();
        full.extend(path.iter().map(|&segment| segment.to_owned()));
        Self {
            notes: self.notes,
            variables: self.variables,
            path: full,
            prefix: String::new(),
            separator: self.separator,
            unknown: self.unknown_below,
            unknown_below: self.unknown_below,
            entries: Vec::new(),
            origin: Origin::Default,
            asked: RefCell::default(),
        }
    }

    /// A text that variables cannot say.
    pub(super) fn file_text(&self, key: &str) -> Option<String> {
        let node = self.file_node(key)?;
        match node.value {
            Value::Scalar { text, .. } => {
                self.say(key, quoted(&text), &node.origin);
                Some(text)
            }
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    fn fill(&mut self, node: Node, wanted: &str) {
        let found = node.kind();
        self.origin = node.origin;
        match node.value {
            Value::Map(entries) => self.entries = entries,
            Value::Null => {}
            Value::List(_) | Value::Scalar { .. } => {
                let at = located(&self.origin, &self.path);
                self.notes
                    .problem(format!("{at}: {found} stands where {wanted} should"));
            }
        }
    }

    fn path_of(&self, key: &str) -> Vec<String> {
        let mut path = self.path.clone();
        path.push(key.to_owned());
        path
    }

    fn variable_of(&self, key: &str) -> String {
        let path = self.path_of(key);
        let plain = path.iter().filter(|segment| !segment.starts_with('['));
        let plain = plain.map(String::as_str).collect::<Vec<_>>().join(".");
        let field = FIELD_NAMES.iter().find(|(path, _)| *path == plain);
        let field = field.map_or_else(|| key.to_uppercase(), |(_, field)| (*field).to_owned());
        format!("{}{field}", self.prefix)
    }

    /// What the file says.
    fn file_node(&self, key: &str) -> Option<Node> {
        let node = self.entries.iter().find(|entry| entry.key == key);
        let node = node.map(|entry| entry.node.clone());
        let origin = node
            .as_ref()
            .map_or(Origin::Default, |node| node.origin.clone());
        self.asked.borrow_mut().push((key.to_owned(), origin));
        node
    }

    /// What the file says, or the variable that stands for the whole of it.
    fn node(&self, key: &str) -> Option<Node> {
        let node = self.file_node(key);
        let name = self.variable_of(key);
        let node = match self.variables.take(&name) {
            Some((own, value)) => self.variable_node(own, value),
            None => node,
        };
        let node = node.filter(|node| !matches!(node.value, Value::Null));
        if let (Some(node), Some(last)) = (&node, self.asked.borrow_mut().last_mut()) {
            last.1 = node.origin.clone();
        }
        node
    }

    fn variable_node(&self, name: &str, value: &str) -> Option<Node> {
        let document = tree::parse_variable(name, value);
        for problem in document.problems {
            self.notes
                .problem(format!("{}: {}", problem.origin, problem.message));
        }
        document.node
    }

    /// Whether anything of it was said.
    pub(super) fn is_given(&self) -> bool {
        self.origin != Origin::Default
    }

    /// Whether a key was said; it counts as asked for.
    pub(super) fn has(&self, key: &str) -> bool {
        let name = self.variable_of(key);
        let below = format!("{name}{}", self.separator);
        self.node(key).is_some() || !self.variables.below(&below).is_empty()
    }

    /// Notes a problem of a key's value.
    pub(super) fn refuse(&self, key: &str, message: impl std::fmt::Display) {
        let at = self.locate(key);
        self.notes.problem(format!("{at}: {message}"));
    }

    /// Notes that a key means less, or something else, than it says.
    pub(super) fn warn(&self, key: &str, message: impl std::fmt::Display) {
        let at = self.locate(key);
        self.notes.warning(format!("{at}: {message}"));
    }

    /// Place and path of a key; `""` is the section itself.
    fn locate(&self, key: &str) -> String {
        if key.is_empty() {
            return located(&self.origin, &self.path);
        }
        let asked = self.asked.borrow();
        let asked = asked.iter().rev().find(|(asked, _)| asked == key);
        let origin = match asked {
            Some((_, origin)) if *origin != Origin::Default => origin,
            _ => &self.origin,
        };
        located(origin, &self.path_of(key))
    }

    /// Notes a value that holds.
    pub(super) fn say(&self, key: &str, value: String, origin: &Origin) {
        let fingerprint = fingerprint(&value);
        self.say_shown(key, value, fingerprint, origin);
    }

    /// Notes a value that may have a secret in it.
    fn say_shown(&self, key: &str, shown: String, fingerprint: u64, origin: &Origin) {
        let is_hidden = is_secret(key) && origin != &Origin::Default;
        let value = match (is_hidden, shown.starts_with('[')) {
            (false, _) => shown,
            (true, false) => HIDDEN.to_owned(),
            (true, true) => format!("[{HIDDEN}]"),
        };
        self.notes.said(Said {
            path: self.path_of(key),
            value,
            origin: origin.clone(),
            fingerprint,
        });
    }

    /// A section below; empty if nobody said anything.
    pub(super) fn section(&self, key: &str) -> Self {
        let node = self.node(key);
        let variable = self.variable_of(key);
        self.below(key, &variable, node)
    }

    fn below(&self, key: &str, variable: &str, node: Option<Node>) -> Self {
        let mut section = self.quiet(&[key]);
        section.prefix = format!("{variable}{}", self.separator);
        if let Some(node) = node {
            section.fill(node, "a section");
        }
        section
    }

    /// As [`Section::section`], but a bare word stands for the section of that name: `auth: none`.
    pub(super) fn choice(&self, key: &str) -> Self {
        let mut node = self.node(key);
        if let Some(Node {
            value: Value::Scalar { text, .. },
            origin,
        }) = &node
        {
            node = Some(Node {
                value: Value::Map(vec![Entry {
                    key: text.clone(),
                    key_origin: origin.clone(),
                    node: Node {
                        value: Value::Map(Vec::new()),
                        origin: origin.clone(),
                    },
                }]),
                origin: origin.clone(),
            });
        }
        let variable = self.variable_of(key);
        let mut section = self.below(key, &variable, node);
        section.unknown = Unknown::Refused;
        section
    }

    /// Whether a driver or kind was chosen: its key stands there, be it empty, or a variable of it.
    pub(super) fn chooses(&self, key: &str) -> bool {
        self.has(key) | self.entries.iter().any(|entry| entry.key == key)
    }

    /// The sections of a list: those of the file, and `…_0` and on.
    pub(super) fn sections(&self, key: &str) -> Vec<Self> {
        let nodes = self.nodes(key, "a list of sections");
        let variable = self.variable_of(key);
        let mut sections = Vec::new();
        for (index, node) in nodes.into_iter().enumerate() {
            let name = format!("{variable}{}{index}", self.separator);
            let node = match self.variables.take(&name) {
                Some((own, value)) => self.variable_node(own, value),
                None => node,
            };
            let mut section = self.below(key, &name, node);
            section.path.push(format!("[{index}]"));
            sections.push(section);
        }
        sections
    }

    /// The nodes of a list, with room for those that variables of an index add at the end.
    fn nodes(&self, key: &str, wanted: &str) -> Vec<Option<Node>> {
        let mut nodes = match self.node(key) {
            None => Vec::new(),
            Some(node) => {
                let found = node.kind();
                match node.value {
                    Value::List(nodes) => nodes.into_iter().map(Some).collect(),
                    Value::Null | Value::Scalar { .. } | Value::Map(_) => {
                        self.refuse_kind(key, &found, wanted);
                        Vec::new()
                    }
                }
            }
        };
        let variable = self.variable_of(key);
        loop {
            let name = format!("{variable}{}{}", self.separator, nodes.len());
            let below = format!("{name}{}", self.separator);
            let is_named = self.variables.is_given(&name);
            if !is_named && self.variables.below(&below).is_empty() {
                return nodes;
            }
            nodes.push(None);
        }
    }

    fn refuse_kind(&self, key: &str, found: &str, wanted: &str) {
        let found = if is_secret(key) && found != "a list" && found != "a section" {
            "something else"
        } else {
            found
        };
        self.refuse(key, format!("{found} stands where {wanted} should"));
    }

    fn scalar(&self, key: &str, wanted: &str) -> Option<Scalar> {
        let node = self.node(key)?;
        let found = node.kind();
        match node.value {
            Value::Scalar { text, is_plain } => Some(Scalar {
                text,
                is_plain,
                origin: node.origin,
            }),
            Value::Null => None,
            Value::List(_) | Value::Map(_) => {
                self.refuse_kind(key, &found, wanted);
                None
            }
        }
    }

    /// A key that is accepted, whatever is below it, and means nothing here.
    pub(super) fn ignore(&self, key: &str, meaning: &str) -> bool {
        let node = self.node(key);
        let prefix = format!("{}{}", self.variable_of(key), self.separator);
        let is_given = self.variables.take_below(&prefix) | node.is_some();
        if is_given {
            self.warn(key, meaning);
        }
        if let Some(node) = node {
            self.say_tree(key, &node);
        }
        is_given
    }

    /// As [`Section::ignore`], without a word: another message says it all.
    pub(super) fn take_all(&self, key: &str) {
        if let Some(node) = self.node(key) {
            self.say_tree(key, &node);
        }
        let prefix = format!("{}{}", self.variable_of(key), self.separator);
        self.variables.take_below(&prefix);
    }

    /// Notes all values of a tree that nobody reads.
    fn say_tree(&self, key: &str, node: &Node) {
        match &node.value {
            Value::Map(entries) if !entries.is_empty() => {
                let below = self.below(key, "", Some(node.clone()));
                for entry in entries {
                    below.say_tree(&entry.key, &entry.node);
                    below.file_node(&entry.key);
                }
            }
            Value::List(nodes) if !nodes.is_empty() => {
                for (index, node) in nodes.iter().enumerate() {
                    let mut below = self.below(key, "", None);
                    below.say_tree(&format!("[{index}]"), node);
                    below.entries.clear();
                }
            }
            Value::Map(_) => self.say(key, "{}".to_owned(), &node.origin),
            Value::List(_) => self.say(key, "[]".to_owned(), &node.origin),
            Value::Null => self.say(key, "null".to_owned(), &node.origin),
            Value::Scalar { text, is_plain } => {
                let shown = |text: &str| {
                    if *is_plain {
                        text.to_owned()
                    } else {
                        quoted(text)
                    }
                };
                let redacted = shown(&without_password(text));
                self.say_shown(key, redacted, fingerprint(&shown(text)), &node.origin);
            }
        }
    }
}

/// What nobody asked for is unknown, once everything was.
impl Drop for Section<'_> {
    fn drop(&mut self) {
        let asked = self.asked.borrow();
        for entry in &self.entries {
            if asked.iter().any(|(asked, _)| *asked == entry.key) {
                continue;
            }
            let mut path = self.path.clone();
            path.push(entry.key.clone());
            let known = asked.iter().map(|(asked, _)| asked.as_str());
            let hint = did_you_mean(similar(&entry.key, known));
            let at = &entry.key_origin;
            let key = join(&path);
            match self.unknown {
                Unknown::Refused => self
                    .notes
                    .problem(format!("{at}: {key} is not a known key{hint}")),
                Unknown::Warned => self.notes.warning(format!(
                    "{at}: {key} is not a known key and is ignored{hint}"
                )),
            }
        }
    }
}

fn located(origin: &Origin, path: &[String]) -> String {
    match (origin, path) {
        (Origin::Default, _) => join(path),
        (_, []) => origin.to_string(),
        _ => format!("{origin}: {}", join(path)),
    }
}

/// A text in YAML, in quotes if it would be something else without them.
pub(super) fn quoted(text: &str) -> String {
    let is_simple = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && text
            .chars()
            .all(|one| one.is_ascii_alphanumeric() || "_./:-+@=".contains(one))
        && !text.ends_with(':');
    let is_word = matches!(
        text.to_lowercase().as_str(),
        "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "null"
    );
    let is_duration = units::parse_duration(text).is_ok() && units::parse_integer(text).is_none();
    if (is_simple && !is_word) || is_duration && !text.is_empty() {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}
