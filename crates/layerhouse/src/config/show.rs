//! A configuration as its operator sees it: with the origin of each value, without secrets.

use std::fmt::Write;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::meaning::{Auth, Certificate, Config};
use super::notes::Said;
use crate::blobs::objects::settings::{Gcs, GcsKey, Service};
use crate::blobs::redirection;

/// What [`Running::reload`](crate::Running::reload) takes over; all else waits for the next start.
const LIVE: [&str; 20] = [
    "auth",
    "layerhouse.auth",
    "log",
    "loglevel",
    "notifications",
    "health",
    "http.tls",
    "http.http2",
    "http.prefix",
    "http.host",
    "http.relativeurls",
    "http.headers",
    "layerhouse.http.trustedproxies",
    "layerhouse.policies",
    "layerhouse.retention",
    "storage.delete",
    "storage.maintenance.readonly",
    "catalog",
    "tags",
    "validation",
];

/// A key whose value is another one than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub key: String,
    /// It holds from the next start on.
    pub needs_restart: bool,
}

/// The values that a server goes by: those of its last reload, and of its start where a reload changes nothing.
#[derive(Clone, Debug)]
pub(crate) struct Effective {
    now: Arc<[Said]>,
    start: Arc<[Said]>,
}

/// One of them, for who looks after the server. Secrets are hidden.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EffectiveValue {
    pub(crate) key: String,
    /// In YAML, on one line.
    pub(crate) value: String,
    /// Where it was said.
    pub(crate) origin: String,
    pub(crate) is_default: bool,
    /// It was said since the start, and holds from the next start on.
    pub(crate) waits_for_restart: bool,
}

impl Effective {
    /// Of a server that starts, or that was started with `before`.
    pub(crate) fn new(config: &Config, before: Option<&Self>) -> Self {
        let now: Arc<[Said]> = config.said.as_slice().into();
        let start = before.map_or_else(|| Arc::clone(&now), |before| Arc::clone(&before.start));
        Self { now, start }
    }

    /// All of them, by key.
    pub(crate) fn values(&self) -> Vec<EffectiveValue> {
        let value = |said: &Said| {
            let key = said.key();
            let before = self.start.iter().find(|start| start.path == said.path);
            let is_as_before = before.is_some_and(|before| before.fingerprint == said.fingerprint);
            EffectiveValue {
                value: without_query(&said.value),
                origin: said.origin(),
                is_default: said.is_default(),
                waits_for_restart: !is_as_before && !is_live(&key),
                key,
            }
        };
        let mut values: Vec<_> = self.now.iter().map(value).collect();
        values.sort_by(|one, other| one.key.cmp(&other.key));
        values
    }
}

/// A URL without its query, where webhooks have their keys (S50).
fn without_query(value: &str) -> String {
    match value.split_once('?') {
        Some((before, _)) if before.contains("://") => {
            let quote = value
                .chars()
                .next()
                .filter(|first| matches!(first, '"' | '\''));
            let end = quote.map(String::from).unwrap_or_default();
            format!("{before}?<hidden>{end}")
        }
        _ => value.to_owned(),
    }
}

/// Whether a reload takes a key over.
fn is_live(key: &str) -> bool {
    LIVE.iter().any(|live| {
        key.strip_prefix(live)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    })
}

impl Config {
    /// `key = value (origin)`, a line each; with `all`, of values that nobody said, too.
    #[must_use]
    pub fn origins(&self, all: bool) -> String {
        let mut lines = String::new();
        for said in &self.said {
            if all || !said.is_default() {
                let (key, value, origin) = (said.key(), &said.value, said.origin());
                let _ = writeln!(lines, "{key} = {value}  ({origin})");
            }
        }
        lines
    }

    /// The whole of it as a file that means the same, but for secrets.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut yaml = String::new();
        if self.said.iter().all(|said| said.path != ["version"]) {
            yaml.push_str("version: 0.1\n");
        }
        let entries: Vec<_> = self
            .said
            .iter()
            .map(|said| (&said.path[..], said))
            .collect();
        write_section(&mut yaml, &entries, 0, false);
        yaml
    }

    /// The keys in which another configuration differs.
    #[must_use]
    pub fn changes(&self, other: &Self) -> Vec<Change> {
        let is_in = |said: &Said, all: &[Said]| {
            let same = |one: &&Said| one.path == said.path;
            all.iter()
                .find(same)
                .is_some_and(|one| one.fingerprint == said.fingerprint)
        };
        let gone = self.said.iter().filter(|said| !is_in(said, &other.said));
        let new = other.said.iter().filter(|said| !is_in(said, &self.said));
        let mut keys: Vec<_> = gone.chain(new).map(Said::key).collect();
        keys.sort();
        keys.dedup();
        let change = |key: String| Change {
            needs_restart: !is_live(&key),
            key,
        };
        keys.into_iter().map(change).collect()
    }

    /// The files that it names and that cannot be read, a sentence each.
    #[must_use]
    pub fn unreadable_files(&self) -> Vec<String> {
        let mut named: Vec<(&str, &Path)> = Vec::new();
        if let Some(tls) = &self.tls {
            if let Certificate::Files { certificate, key } = &tls.certificate {
                named.push(("http.tls.certificate", certificate));
                named.push(("http.tls.key", key));
            }
            let authorities = tls.client_cas.iter();
            named.extend(authorities.map(|path| ("http.tls.clientcas", path.as_path())));
        }
        let default = self.buckets.default.iter();
        let default = default.map(|bucket| ("storage.gcs.keyfile", bucket));
        let others = self.buckets.named.values();
        let others = others.map(|bucket| ("layerhouse.stores: gcs.keyfile", bucket));
        for (key, bucket) in default.chain(others) {
            if let Service::Gcs(Gcs {
                key: Some(GcsKey::File(path)),
            }) = &bucket.service
            {
                named.push((key, path));
            }
        }
        for change in &self.redirection {
            if let redirection::Change::CloudFront(front) = change {
                named.push(("middleware.storage.options.privatekey", &front.key));
            }
        }
        let mut may_be_made = None;
        match &self.auth {
            Auth::None | Auth::Silly { .. } => {}
            Auth::Htpasswd { path, .. } => {
                named.push(("auth.htpasswd.path", path));
                may_be_made = Some(path.as_path());
            }
            Auth::Token(token) => {
                let bundle = token.root_cert_bundle.iter();
                named.extend(bundle.map(|path| ("auth.token.rootcertbundle", path.as_path())));
                let jwks = token.jwks.iter();
                named.extend(jwks.map(|path| ("auth.token.jwks", path.as_path())));
            }
        }
        let problem = |(key, path): (&str, &Path)| match File::open(path) {
            Err(error) if error.kind() != ErrorKind::NotFound || may_be_made != Some(path) => {
                Some(format!("{key}: {}: {error}", path.display()))
            }
            Ok(_) | Err(_) => None,
        };
        named.into_iter().filter_map(problem).collect()
    }
}

/// Entries with the same first segment, in the order of their first.
fn write_section(yaml: &mut String, entries: &[(&[String], &Said)], depth: usize, in_list: bool) {
    let mut done: Vec<&String> = Vec::new();
    for (path, _) in entries {
        let Some(first) = path.first() else { continue };
        if done.contains(&first) {
            continue;
        }
        let is_item = first.starts_with('[');
        // The first key of an item stands behind its dash.
        if !(in_list && done.is_empty()) {
            yaml.push_str(&"  ".repeat(depth));
        }
        done.push(first);
        let below: Vec<_> = entries
            .iter()
            .filter(|(path, _)| path.first() == Some(first))
            .map(|(path, said)| (&path[1..], *said))
            .collect();
        if is_item {
            yaml.push_str("- ");
        } else {
            yaml.push_str(&super::reader::quoted(first));
            yaml.push(':');
        }
        if let [([], said)] = below[..] {
            let space = if is_item { "" } else { " " };
            let _ = writeln!(yaml, "{space}{}  # {}", said.value, said.origin());
            continue;
        }
        if !is_item {
            yaml.push('\n');
        }
        write_section(yaml, &below, depth + 1, is_item);
    }
}
