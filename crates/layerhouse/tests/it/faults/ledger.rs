//! What a client was told, and what it does not know: after an accident every key holds one of the
//! values that the answers allow.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::time::Instant;

use super::super::harness::http::{Client, Response};
use super::super::harness::images::digest;

/// A name in the ledger's repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Blob(String),
    Manifest(String),
    Tag(String),
}

/// What a request changes: the digest that the key then holds, or nothing.
pub(super) type Effect = (Key, Option<String>);

/// Everything one client did in one repository.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    pub(super) repository: String,
    allowed: BTreeMap<Key, BTreeSet<Option<String>>>,
    /// The upload that is under way.
    pub(super) upload: Option<Upload>,
    /// When a key got its value, and what was allowed before.
    history: Vec<(Instant, Key, BTreeSet<Option<String>>)>,
}

/// An upload session whose client knows where it is.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    pub(super) location: String,
    pub(super) content: Vec<u8>,
    pub(super) acknowledged_bytes: usize,
}

/// Why a request did not do what it was to do.
#[derive(Debug)]
pub(super) enum Failure {
    Broken(io::Error),
    Refused {
        request: String,
        status: u16,
        message: String,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(error) => write!(out, "the connection broke: {error}"),
            Self::Refused {
                request,
                status,
                message,
            } => write!(out, "{request}: {status} {message}"),
        }
    }
}

impl Failure {
    /// The server said that it is its own fault.
    pub(super) fn is_fault(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if 500 <= *status)
    }
}

impl Ledger {
    pub(super) fn new(repository: &str) -> Self {
        Self {
            repository: repository.to_owned(),
            allowed: BTreeMap::new(),
            upload: None,
            history: Vec::new(),
        }
    }

    /// Keys that were given a value, or lost it, and that was answered.
    pub(super) fn acknowledged(&self) -> usize {
        self.history.len()
    }

    /// The power went at this moment: an answer that came later would never have been heard.
    ///
    /// It matters, for a file system that is being shut down may say of a sync that it was done: ext4
    /// does if the journal's commit was aborted just before the sync came to wait for it.
    pub(super) fn forget_since(&mut self, moment: Instant) {
        for (at, key, before) in &self.history {
            if moment <= *at
                && let Some(allowed) = self.allowed.get_mut(key)
            {
                allowed.extend(before.iter().cloned());
            }
        }
    }

    pub(super) fn acknowledge(&mut self, effects: Vec<Effect>) {
        let now = Instant::now();
        for (key, value) in effects {
            if let (Key::Manifest(digest), None) = (&key, &value) {
                self.untag(digest, false);
            }
            let before = self.allowed.insert(key.clone(), BTreeSet::from([value]));
            self.history
                .push((now, key, before.unwrap_or_else(|| BTreeSet::from([None]))));
        }
    }

    /// The request failed or was not answered: it may have been done or not.
    pub(super) fn doubt(&mut self, effects: Vec<Effect>) {
        for (key, value) in effects {
            if let (Key::Manifest(digest), None) = (&key, &value) {
                self.untag(digest, true);
            }
            let allowed = self
                .allowed
                .entry(key)
                .or_insert_with(|| BTreeSet::from([None]));
            allowed.insert(value);
        }
    }

    /// A manifest takes the tags along that point at it.
    fn untag(&mut self, digest: &str, is_in_doubt: bool) {
        let target = Some(digest.to_owned());
        let now = Instant::now();
        for (key, allowed) in &mut self.allowed {
            if matches!(key, Key::Tag(_)) && allowed.contains(&target) {
                self.history.push((now, key.clone(), allowed.clone()));
                allowed.insert(None);
                if !is_in_doubt {
                    allowed.remove(&target);
                }
            }
        }
    }

    /// Sends a request of this repository; anything but the expected answers is a failure.
    pub(super) fn request(
        &self,
        client: &Client,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        expected: &[u16],
    ) -> Result<Response, Failure> {
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/v2/{}/{path}", self.repository)
        };
        let answer = client
            .try_send(method, &path, headers, body)
            .map_err(Failure::Broken)?;
        if expected.contains(&answer.status) {
            return Ok(answer);
        }
        Err(Failure::Refused {
            request: format!("{method} {path}"),
            status: answer.status,
            message: answer.text(),
        })
    }

    /// Proves that every key holds what the answers allow, with the right bytes.
    pub(super) fn check(&self, client: &Client) {
        for (key, allowed) in &self.allowed {
            let found = self.look(client, key);
            assert!(
                allowed.contains(&found),
                "{key:?} holds {found:?}, allowed: {allowed:?}"
            );
        }
    }

    fn look(&self, client: &Client, key: &Key) -> Option<String> {
        let path = match key {
            Key::Blob(digest) => format!("blobs/{digest}"),
            Key::Manifest(reference) | Key::Tag(reference) => format!("manifests/{reference}"),
        };
        let answer = client.get(&format!("/v2/{}/{path}", self.repository));
        match answer.status {
            200 => {
                let found = digest(&answer.body);
                let said = answer.header("docker-content-digest");
                assert_eq!(
                    said,
                    Some(found.as_str()),
                    "{key:?}: other bytes than it says"
                );
                Some(found)
            }
            404 => None,
            status => panic!("{key:?}: {status} {}", answer.text()),
        }
    }

    /// Goes on with the upload that was interrupted, or begins it again; it must succeed.
    ///
    /// A killed process loses no byte that was acknowledged; `loses_bytes` says that a power cut may.
    pub(super) fn resume(&mut self, client: &Client, loses_bytes: bool) {
        let Some(upload) = self.upload.take() else {
            return;
        };
        let claimed = digest(&upload.content);
        let key = Key::Blob(claimed.clone());
        let status = client.get(&upload.location);
        let (location, held_bytes) = match status.status {
            204 => (upload.location.clone(), held_bytes(&status)),
            404 => {
                // Finished after all, or ended by the accident: then it begins anew.
                let start = self
                    .request(client, "POST", "blobs/uploads/", &[], b"", &[202])
                    .expect("a new upload can be begun");
                (location(&start), 0)
            }
            other => panic!("GET {}: {other} {}", upload.location, status.text()),
        };
        if status.status == 204 && !loses_bytes {
            assert!(
                upload.acknowledged_bytes <= held_bytes,
                "{held_bytes} held, {upload:?}"
            );
        }
        assert!(
            held_bytes <= upload.content.len(),
            "{held_bytes} bytes held of {upload:?}"
        );
        let rest = &upload.content[held_bytes..];
        let path = format!("{location}?digest={claimed}");
        let answer = client.send("PUT", &path, &[], rest);
        if loses_bytes && answer.status == 400 {
            // A file may have got its new length and not its bytes: the digest tells, and the client
            // begins again.
            let path = format!("blobs/uploads/?digest={claimed}");
            self.request(client, "POST", &path, &[], &upload.content, &[201])
                .expect("the blob can be pushed again");
        } else {
            assert_eq!(answer.status, 201, "{path}: {}", answer.text());
        }
        self.acknowledge(vec![(key, Some(claimed))]);
    }
}

/// Where the session of an answer is.
pub(super) fn location(answer: &Response) -> String {
    answer
        .header("location")
        .expect("a session has a location")
        .to_owned()
}

/// The bytes that a session holds; our chunks are never of one byte, which `0-0` could mean.
pub(super) fn held_bytes(answer: &Response) -> usize {
    let last: usize = answer
        .header("range")
        .and_then(|range| range.strip_prefix("0-"))
        .and_then(|last| last.parse().ok())
        .expect("a session says how far it came");
    if last == 0 { 0 } else { last + 1 }
}
