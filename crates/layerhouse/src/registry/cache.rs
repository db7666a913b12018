//! What pulls looked up since the last commit, in memory: who is asked for one image by a hundred machines
//! looks it up once.
//!
//! Every commit ends all of it, for the generation of the database is part of each answer: a link or tag
//! that is gone is gone from here before its removal is answered, whoever removed it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;

use crate::clock::Timestamp;
use crate::meta::manifests::StoredManifest;

/// Parts with a lock each, so that threads seldom wait for each other.
const SHARDS: usize = 16;
/// Of one part: 16 MiB in all.
const SHARD_BYTES_MAX: usize = 1 << 20;
/// A larger manifest would push out all others.
const MANIFEST_BYTES_MAX: usize = SHARD_BYTES_MAX / 4;
/// What an entry takes beside its text and content.
const ENTRY_BYTES: usize = 256;

/// An answer of the database.
#[derive(Clone, Debug)]
enum Fact {
    /// Its content hashed to its digest.
    Manifest(Arc<StoredManifest>),
    /// That is linked.
    Blob(LinkedBlob),
}

/// A blob as the rows have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LinkedBlob {
    pub(super) size_bytes: u64,
    /// Of the object that it is; `None` for a file.
    pub(super) object_key: Option<Arc<str>>,
    /// As its row says; `None` if its link waits for no review.
    pub(super) promised_at: Option<Timestamp>,
}

/// What names a fact: no repository has a `:`, `@` or `#` in its name.
#[derive(Debug)]
pub(super) struct Key(String);

impl Key {
    pub(super) fn manifest(repository: &RepositoryName, reference: &Reference) -> Self {
        Self(match reference {
            Reference::Tag(tag) => joined(repository, ":", tag.as_str()),
            Reference::Digest(digest) => joined(repository, "@", digest.as_str()),
        })
    }

    pub(super) fn blob(repository: &RepositoryName, digest: &Digest) -> Self {
        Self(joined(repository, "#", digest.as_str()))
    }
}

fn joined(repository: &RepositoryName, mark: &str, name: &str) -> String {
    [repository.as_str(), mark, name].concat()
}

/// Facts of one generation of the database, bounded in bytes.
#[derive(Debug, Default)]
pub(super) struct Cache {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Shard {
    generation: u64,
    bytes: usize,
    facts: HashMap<String, Fact>,
}

impl Cache {
    /// A manifest as the database of this generation has it.
    pub(super) fn manifest(&self, generation: u64, key: &Key) -> Option<Arc<StoredManifest>> {
        match self.shard(key).facts_of(generation)?.get(&key.0)? {
            Fact::Manifest(manifest) => Some(Arc::clone(manifest)),
            Fact::Blob(_) => None,
        }
    }

    /// A blob as the database of this generation has it.
    pub(super) fn blob(&self, generation: u64, key: &Key) -> Option<LinkedBlob> {
        match self.shard(key).facts_of(generation)?.get(&key.0)? {
            Fact::Blob(blob) => Some(blob.clone()),
            Fact::Manifest(_) => None,
        }
    }

    /// Keeps a manifest that was read after the database's `generation` was asked for.
    pub(super) fn keep_manifest(&self, generation: u64, key: Key, manifest: &Arc<StoredManifest>) {
        let content_bytes = manifest.content.len();
        if content_bytes <= MANIFEST_BYTES_MAX {
            let fact = Fact::Manifest(Arc::clone(manifest));
            self.shard(&key).keep(generation, key, fact, content_bytes);
        }
    }

    /// Keeps a blob, as [`Cache::keep_manifest`].
    pub(super) fn keep_blob(&self, generation: u64, key: Key, blob: &LinkedBlob) {
        let key_bytes = blob.object_key.as_ref().map_or(0, |key| key.len());
        let fact = Fact::Blob(blob.clone());
        self.shard(&key).keep(generation, key, fact, key_bytes);
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, Shard> {
        let hash = self.hasher.hash_one(&key.0);
        let at = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        let shard = &self.shards[at];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn facts_of(&self, generation: u64) -> Option<&HashMap<String, Fact>> {
        (self.generation == generation).then_some(&self.facts)
    }

    fn keep(&mut self, generation: u64, key: Key, fact: Fact, content_bytes: usize) {
        // One who looked before the last commit brings what was true then.
        if generation < self.generation {
            return;
        }
        let bytes = ENTRY_BYTES + key.0.len() + content_bytes;
        if self.generation < generation || SHARD_BYTES_MAX < self.bytes + bytes {
            self.facts.clear();
            self.bytes = 0;
            self.generation = generation;
        }
        // Of two who looked before a commit was noticed that another process made, the one that is here may know more.
        if let Entry::Vacant(place) = self.facts.entry(key.0) {
            place.insert(fact);
            self.bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use layerhouse_oci::digest::Algorithm;
    use layerhouse_oci::media_type::ManifestKind;

    use super::*;

    fn manifest(length: usize) -> Arc<StoredManifest> {
        let content = vec![b'x'; length];
        Arc::new(StoredManifest {
            digest: Digest::of(Algorithm::Sha256, &content),
            kind: ManifestKind::OciManifest,
            content: content.into(),
        })
    }

    fn key(name: &str, tag: &str) -> Key {
        let tag = Reference::Tag(tag.parse().expect("a tag"));
        Key::manifest(&name.parse().expect("a name"), &tag)
    }

    #[test]
    fn a_commit_ends_what_was_known() {
        let cache = Cache::default();
        cache.keep_manifest(7, key("a", "v1"), &manifest(10));
        assert!(cache.manifest(7, &key("a", "v1")).is_some());
        assert!(cache.manifest(8, &key("a", "v1")).is_none());
        assert!(cache.manifest(7, &key("a", "v2")).is_none());

        cache.keep_manifest(8, key("a", "v1"), &manifest(11));
        // It looked before the commit, and was slow.
        cache.keep_manifest(7, key("a", "v1"), &manifest(10));
        let found = cache.manifest(8, &key("a", "v1")).expect("it was kept");
        assert_eq!(found.content.len(), 11);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let cache = Cache::default();
        let large = manifest(MANIFEST_BYTES_MAX);
        for number in 0..20 * SHARDS {
            cache.keep_manifest(1, key("a", &format!("v{number}")), &large);
        }
        for shard in &cache.shards {
            let shard = shard.lock().expect("no panic");
            let held_bytes: usize = shard.facts.len() * MANIFEST_BYTES_MAX;
            assert!(held_bytes <= SHARD_BYTES_MAX, "{held_bytes}");
        }
        cache.keep_manifest(1, key("a", "large"), &manifest(MANIFEST_BYTES_MAX + 1));
        assert!(cache.manifest(1, &key("a", "large")).is_none());
    }

    #[test]
    fn blobs_and_manifests_of_one_digest_are_two() {
        let cache = Cache::default();
        let repository: RepositoryName = "a".parse().expect("a name");
        let digest = Digest::of(Algorithm::Sha256, b"x");
        let linked = LinkedBlob {
            size_bytes: 1,
            object_key: None,
            promised_at: None,
        };
        cache.keep_blob(1, Key::blob(&repository, &digest), &linked);
        let manifest = Key::manifest(&repository, &Reference::Digest(digest.clone()));
        assert!(cache.manifest(1, &manifest).is_none());
        let blob = Key::blob(&repository, &digest);
        assert_eq!(cache.blob(1, &blob), Some(linked));
    }
}
