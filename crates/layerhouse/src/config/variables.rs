//! The environment, as the configuration sees it; the process' own is read here alone.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Where distributions of registry:2 and registry:3 keep their configuration.
const STANDARD_PATHS: [&str; 2] = [
    "/etc/docker/registry/config.yml",
    "/etc/distribution/config.yml",
];

/// What the world says besides the command line; tests make their own.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The environment.
    pub variables: BTreeMap<String, String>,
    /// Files that are read without being named if we stand in for `registry`.
    pub standard_paths: Vec<PathBuf>,
    /// What we were called as, without folders.
    pub program: String,
    /// systemd passed us a socket.
    pub is_activated: bool,
}

impl Surroundings {
    /// The process' own.
    #[must_use]
    pub fn system() -> Self {
        let text = |text: std::ffi::OsString| text.into_string().ok();
        let variables: BTreeMap<_, _> = std::env::vars_os()
            .filter_map(|(name, value)| Some((text(name)?, text(value)?)))
            .collect();
        let program = std::env::args_os()
            .next()
            .map(PathBuf::from)
            .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .unwrap_or_default();
        let own_id = std::process::id().to_string();
        Self {
            is_activated: variables.contains_key("LISTEN_FDS")
                && variables.get("LISTEN_PID") == Some(&own_id),
            variables,
            standard_paths: STANDARD_PATHS.map(PathBuf::from).to_vec(),
            program,
        }
    }
}

/// Variables with one prefix, by their names in capitals; and which of them meant something.
#[derive(Debug)]
pub(super) struct Variables {
    prefix: &'static str,
    given: BTreeMap<String, (String, String)>,
    used: RefCell<BTreeSet<String>>,
    /// Every name that would have meant something.
    known: RefCell<BTreeSet<String>>,
}

impl Variables {
    pub(super) fn with_prefix(surroundings: &Surroundings, prefix: &'static str) -> Self {
        let mut given = BTreeMap::new();
        for (name, value) in &surroundings.variables {
            let capitals = name.to_uppercase();
            if capitals.starts_with(prefix) {
                given.insert(capitals, (name.clone(), value.clone()));
            }
        }
        Self {
            prefix,
            given,
            used: RefCell::default(),
            known: RefCell::default(),
        }
    }

    /// The variable of this name, and that it meant something.
    pub(super) fn take(&self, name: &str) -> Option<(&str, &str)> {
        self.known.borrow_mut().insert(name.to_owned());
        let (own, value) = self.given.get(name)?;
        self.used.borrow_mut().insert(name.to_owned());
        Some((own, value))
    }

    /// Whether there is a variable of this name.
    pub(super) fn is_given(&self, name: &str) -> bool {
        self.given.contains_key(name)
    }

    /// What stands behind `prefix` in the names of variables.
    pub(super) fn below<'own>(&'own self, prefix: &str) -> Vec<&'own str> {
        let names = self.given.range(prefix.to_owned()..);
        names
            .map_while(|(name, _)| name.strip_prefix(prefix))
            .filter(|rest| !rest.is_empty())
            .collect()
    }

    /// All that begin with `prefix` meant something.
    pub(super) fn take_below(&self, prefix: &str) -> bool {
        let names: Vec<_> = self.below(prefix);
        let mut used = self.used.borrow_mut();
        used.extend(names.iter().map(|rest| format!("{prefix}{rest}")));
        !names.is_empty()
    }

    pub(super) fn is_any_used(&self) -> bool {
        !self.used.borrow().is_empty()
    }

    /// Those that meant nothing, each with a known name that it resembles.
    pub(super) fn unused(&self) -> Vec<(&str, Option<String>)> {
        let used = self.used.borrow();
        let known = self.known.borrow();
        let mut unused = Vec::new();
        for (name, (own, _)) in &self.given {
            if !used.contains(name) {
                let names = known
                    .iter()
                    .filter_map(|known| known.strip_prefix(self.prefix));
                let similar = super::notes::similar(&name[self.prefix.len()..], names);
                let similar = similar.map(|similar| format!("{}{similar}", self.prefix));
                unused.push((own.as_str(), similar));
            }
        }
        unused
    }
}
