//! Taking stock of what a registry:2 left in a bucket: all its keys in one listing, in pages, and small objects
//! many at a time. Nothing is written.
//!
//! A store lists keys in the order of their bytes, so blobs come before repositories, and what is of one repository
//! comes together: `_` begins no part of a name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt};

use super::{Objects, unreachable};
use crate::blobs::survey::{LINK_BYTES_MAX, Strange, TagFiles};
use crate::fault::{Fault, FaultKind};

/// Where a registry:2 keeps all that it has.
const OF_REGISTRY: &str = "docker/registry/v2";
const REPOSITORIES: &str = "repositories/";
/// What a registry:2 calls its objects that may be empty.
const FILES: [&str; 2] = ["data", "link"];
/// Objects that are read at once: their bytes are in memory together, 256 MiB of manifests at worst.
const READ_TOGETHER: usize = 32;
const _: () = assert!(READ_TOGETHER * (8 << 20) <= 256 << 20);

/// A blob of a registry:2.
#[derive(Clone, Debug)]
pub(crate) struct SurveyedObject {
    pub(crate) digest: Digest,
    pub(crate) key: String,
    pub(crate) size_bytes: u64,
}

/// What the keys say of a repository; what their objects say is not read yet.
#[derive(Clone, Debug)]
pub(crate) struct SurveyedRepository {
    pub(crate) name: RepositoryName,
    pub(crate) layers: BTreeSet<Digest>,
    pub(crate) manifests: BTreeSet<Digest>,
    pub(crate) tags: BTreeMap<Tag, SurveyedTag>,
    pub(crate) strange: Vec<Strange>,
}

/// What the keys say of a tag.
#[derive(Clone, Debug, Default)]
pub(crate) struct SurveyedTag {
    /// When its link was written, in milliseconds since the epoch; `None` if it has none.
    moved_ms: Option<i64>,
    /// What it ever pointed at, and when it last began to.
    index: Vec<(Digest, i64)>,
}

/// What became of reading a small object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Small {
    Content(Vec<u8>),
    Missing,
    /// It has so many bytes.
    TooLarge(u64),
}

/// The keys of a registry:2, from the first to the last.
pub(crate) struct Survey<'a> {
    objects: &'a Objects,
    /// What all keys begin with.
    root: String,
    listing: BoxStream<'static, object_store::Result<ObjectMeta>>,
    /// What comes next, if it was looked at.
    next: Option<Entry>,
    /// The repository that came last.
    last: String,
}

/// An object, by its key below registry:2's root.
#[derive(Clone, Debug)]
struct Entry {
    below: String,
    size_bytes: u64,
    written_ms: i64,
}

impl Objects {
    /// The first key of a registry:2, if one filled the bucket.
    ///
    /// # Errors
    /// The store does not answer.
    pub(crate) fn of_registry(&self) -> Result<Option<String>, Fault> {
        let root = self.path(OF_REGISTRY);
        match self.wait(async { self.store.list(Some(&root)).next().await }) {
            None => Ok(None),
            Some(Ok(found)) => Ok(Some(found.location.into())),
            Some(Err(error)) => Err(unreachable("looking for a registry:2", error)),
        }
    }

    /// Begins to list what a registry:2 left.
    pub(crate) fn survey(&self) -> Survey<'_> {
        let root = self.path(OF_REGISTRY);
        Survey {
            objects: self,
            // At the end it is asked again.
            listing: self.store.list(Some(&root)).fuse().boxed(),
            root: format!("{root}/"),
            next: None,
            last: String::new(),
        }
    }

    /// The key under which a registry:2 keeps a blob, or a manifest.
    pub(crate) fn key_in_registry(&self, digest: &Digest) -> String {
        let hex = digest.hex();
        let algorithm = digest.algorithm().name();
        let below = format!("{OF_REGISTRY}/blobs/{algorithm}/{}/{hex}/data", &hex[..2]);
        self.path(&below).into()
    }

    /// Whether the link of a blob in a repository names it; each with its digest, in any number.
    ///
    /// # Errors
    /// The store does not answer.
    pub(crate) fn layer_links<'a>(
        &'a self,
        name: &'a RepositoryName,
        digests: impl IntoIterator<Item = &'a Digest> + 'a,
    ) -> impl Iterator<Item = Result<(Digest, Result<(), Strange>), Fault>> + 'a {
        self.links(format!("{name}/_layers"), digests)
    }

    /// The same for the links of manifests.
    ///
    /// # Errors
    /// The store does not answer.
    pub(crate) fn manifest_links<'a>(
        &'a self,
        name: &'a RepositoryName,
        digests: impl IntoIterator<Item = &'a Digest> + 'a,
    ) -> impl Iterator<Item = Result<(Digest, Result<(), Strange>), Fault>> + 'a {
        self.links(format!("{name}/_manifests/revisions"), digests)
    }

    fn links<'a>(
        &'a self,
        place: String,
        digests: impl IntoIterator<Item = &'a Digest> + 'a,
    ) -> impl Iterator<Item = Result<(Digest, Result<(), Strange>), Fault>> + 'a {
        let keys = digests.into_iter().map(move |digest| {
            let (algorithm, hex) = (digest.algorithm().name(), digest.hex());
            let below = format!("{OF_REGISTRY}/{REPOSITORIES}{place}/{algorithm}/{hex}/link");
            (digest.clone(), self.path(&below).into())
        });
        let read = self.read_many(keys, LINK_BYTES_MAX);
        read.map(move |read| {
            let (digest, key, read) = read?;
            let said = match said(read) {
                Ok(said) if said == digest => Ok(()),
                Ok(_) => Err("it names another digest"),
                Err(why) => Err(why),
            };
            Ok((digest, said.map_err(|why| Strange::new(key.into(), why))))
        })
    }

    /// What the link of each tag says; an error is why it says nothing.
    ///
    /// # Errors
    /// The store does not answer.
    pub(crate) fn survey_tags<'a>(
        &'a self,
        name: &'a RepositoryName,
        tags: impl IntoIterator<Item = (&'a Tag, &'a SurveyedTag)> + 'a,
    ) -> impl Iterator<Item = Result<(Tag, Result<TagFiles, &'static str>), Fault>> + 'a {
        let keys = tags.into_iter().map(move |(tag, surveyed)| {
            let below = format!("{OF_REGISTRY}/{REPOSITORIES}{name}/_manifests/tags/{tag}");
            let key = self.path(&format!("{below}/current/link")).into();
            ((tag, surveyed), key)
        });
        let read = self.read_many(keys, LINK_BYTES_MAX);
        read.map(|read| {
            let ((tag, surveyed), _, read) = read?;
            Ok((
                tag.clone(),
                said(read).map(|current| surveyed.with(current)),
            ))
        })
    }

    /// The objects that registry:2 keeps under these digests, if they have at most `bytes_max`.
    ///
    /// # Errors
    /// The store does not answer.
    pub(crate) fn contents<'a>(
        &'a self,
        digests: impl IntoIterator<Item = &'a Digest> + 'a,
        bytes_max: u64,
    ) -> impl Iterator<Item = Result<(&'a Digest, Small), Fault>> + 'a {
        let keys = digests
            .into_iter()
            .map(|digest| (digest, self.key_in_registry(digest)));
        let read = self.read_many(keys, bytes_max);
        read.map(|read| read.map(|(digest, _, small)| (digest, small)))
    }

    /// Reads objects, some at once; each with what it was asked for as, in the same order.
    fn read_many<'a, T: 'a>(
        &'a self,
        keys: impl Iterator<Item = (T, String)> + 'a,
        bytes_max: u64,
    ) -> impl Iterator<Item = Result<(T, String, Small), Fault>> + 'a {
        let reading = stream::iter(keys)
            .map(move |(of, key)| async move {
                let read = self.read_small(&key, bytes_max).await;
                read.map(|small| (of, key, small))
            })
            .buffered(READ_TOGETHER);
        self.each_of(Box::pin(reading))
    }

    fn each_of<'a, T: 'a>(
        &'a self,
        mut reading: impl Stream<Item = T> + Unpin + 'a,
    ) -> impl Iterator<Item = T> + 'a {
        std::iter::from_fn(move || self.wait(reading.next()))
    }

    async fn read_small(&self, key: &str, bytes_max: u64) -> Result<Small, Fault> {
        let read = async {
            let found = self.store.get(&self.path_of(key)).await?;
            if bytes_max < found.meta.size {
                return Ok(Small::TooLarge(found.meta.size));
            }
            let content = found.bytes().await?;
            Ok(Small::Content(content.to_vec()))
        };
        match read.await {
            Err(Error::NotFound { .. }) => Ok(Small::Missing),
            read => read.map_err(|error| unreachable("reading an object of registry:2", error)),
        }
    }
}

impl SurveyedTag {
    /// What there is to say, once its link was read.
    fn with(&self, current: Digest) -> TagFiles {
        let mut before = self.index.clone();
        before.retain(|(digest, _)| *digest != current);
        before.sort_by_key(|(_, moved_ms)| *moved_ms);
        TagFiles {
            current,
            moved_ms: self.moved_ms.unwrap_or(0),
            before,
        }
    }
}

impl Survey<'_> {
    /// The next blob, or what is none among them; `None` when repositories begin.
    ///
    /// # Errors
    /// The store does not answer, or lists in another order.
    pub(crate) fn next_blob(&mut self) -> Result<Option<Result<SurveyedObject, Strange>>, Fault> {
        let is_blob = self
            .peek()?
            .is_some_and(|entry| entry.below.as_str() < REPOSITORIES);
        let Some(entry) = self.next.take_if(|_| is_blob) else {
            return Ok(None);
        };
        let key = format!("{}{}", self.root, entry.below);
        Ok(Some(match digest_of_blob(&entry.below) {
            Some(digest) if self.objects.key_in_registry(&digest) == key => Ok(SurveyedObject {
                digest,
                key,
                size_bytes: entry.size_bytes,
            }),
            _ => Err(self.strange(&entry.below, "this is not a blob")),
        }))
    }

    /// The next repository, or what is of none; `None` at the end. Blobs come before.
    ///
    /// # Errors
    /// The store does not answer, or lists in another order.
    pub(crate) fn next_repository(
        &mut self,
    ) -> Result<Option<Result<SurveyedRepository, Strange>>, Fault> {
        loop {
            let Some(entry) = self.peek()? else {
                return Ok(None);
            };
            let below = entry.below.clone();
            if below.as_str() < REPOSITORIES {
                return Err(out_of_order(&below));
            }
            let Some((prefix, name)) = repository_of(&below) else {
                self.next = None;
                return Ok(Some(Err(self.strange(&below, "this is of no repository"))));
            };
            if prefix <= self.last.as_str() {
                return Err(out_of_order(&below));
            }
            prefix.clone_into(&mut self.last);
            let Ok(name) = name.parse() else {
                while self.next_below(prefix)?.is_some() {}
                let why = "this is no name of a repository";
                return Ok(Some(Err(self.strange(name, why))));
            };
            let found = self.repository(name, prefix)?;
            if !found.is_empty() {
                return Ok(Some(Ok(found)));
            }
        }
    }

    fn repository(
        &mut self,
        name: RepositoryName,
        prefix: &str,
    ) -> Result<SurveyedRepository, Fault> {
        let mut found = SurveyedRepository {
            name,
            layers: BTreeSet::new(),
            manifests: BTreeSet::new(),
            tags: BTreeMap::new(),
            strange: Vec::new(),
        };
        while let Some(entry) = self.next_below(prefix)? {
            if let Err(why) = found.take(&entry.below[prefix.len()..], &entry) {
                let strange = self.strange(&entry.below, why);
                found.strange.push(strange);
            }
        }
        Ok(found)
    }

    fn next_below(&mut self, prefix: &str) -> Result<Option<Entry>, Fault> {
        let is_below = self
            .peek()?
            .is_some_and(|entry| entry.below.starts_with(prefix));
        Ok(self.next.take_if(|_| is_below))
    }

    fn peek(&mut self) -> Result<Option<&Entry>, Fault> {
        while self.next.is_none() {
            let Some(found) = self.objects.wait(self.listing.next()) else {
                return Ok(None);
            };
            let found = found.map_err(|error| unreachable("listing objects", error))?;
            let below = found.location.as_ref().strip_prefix(self.root.as_str());
            // Consoles of stores make empty objects for what they show as folders.
            let is_folder = |below: &str| found.size == 0 && !FILES.contains(&last_part(below));
            if let Some(below) = below.filter(|below| !is_folder(below)) {
                self.next = Some(Entry {
                    below: below.to_owned(),
                    size_bytes: found.size,
                    written_ms: found.last_modified.timestamp_millis(),
                });
            }
        }
        Ok(self.next.as_ref())
    }

    fn strange(&self, below: &str, why: &str) -> Strange {
        Strange::new(PathBuf::from(format!("{}{below}", self.root)), why)
    }
}

impl SurveyedRepository {
    /// What only a directory of uploads is left of is none.
    fn is_empty(&self) -> bool {
        self.layers.is_empty()
            && self.manifests.is_empty()
            && self.tags.is_empty()
            && self.strange.is_empty()
    }

    /// Takes in what a key says; an error is why it says nothing. `below` begins behind the `_`.
    fn take(&mut self, below: &str, entry: &Entry) -> Result<(), &'static str> {
        let digest = |algorithm: &str, hex: &str| {
            let digest = format!("{algorithm}:{hex}").parse::<Digest>();
            digest.map_err(|_| "no digest's link")
        };
        let parts: Vec<&str> = below.split('/').collect();
        match parts[..] {
            ["layers", algorithm, hex, "link"] => {
                self.layers.insert(digest(algorithm, hex)?);
            }
            ["manifests", "revisions", algorithm, hex, "link"] => {
                self.manifests.insert(digest(algorithm, hex)?);
            }
            // Of the first schema, by registries of long ago.
            ["manifests", "revisions", _, _, "signatures", ..] => {}
            ["manifests", "tags", tag, ref rest @ ..] => {
                let tag: Tag = tag.parse().map_err(|_| "this is no tag")?;
                let tag = self.tags.entry(tag).or_default();
                match *rest {
                    ["current", "link"] => tag.moved_ms = Some(entry.written_ms),
                    ["index", algorithm, hex, "link"] => {
                        // A damaged one is no loss but of history: it is not read.
                        tag.index.push((digest(algorithm, hex)?, entry.written_ms));
                    }
                    _ => return Err("this is no link of a tag"),
                }
            }
            ["layers" | "manifests", ..] => return Err("this is no link"),
            // Uploads, and whatever else has no name of a repository.
            _ => {}
        }
        Ok(())
    }
}

/// The digest that a blob's key says it has.
fn digest_of_blob(below: &str) -> Option<Digest> {
    let parts: Vec<&str> = below.split('/').collect();
    match parts[..] {
        ["blobs", algorithm, _, hex, "data"] => format!("{algorithm}:{hex}").parse().ok(),
        _ => None,
    }
}

/// What the keys of a repository begin with, and its name; `None` if the key is of none.
fn repository_of(below: &str) -> Option<(&str, &str)> {
    let names = below.strip_prefix(REPOSITORIES)?;
    // The slash before may be the one that names begin behind.
    let end = below[REPOSITORIES.len() - 1..].find("/_")?;
    let prefix = &below[..=REPOSITORIES.len() + end];
    Some((prefix, &names[..end.saturating_sub(1)]))
}

fn last_part(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

/// What a link says.
fn said(read: Small) -> Result<Digest, &'static str> {
    match read {
        Small::Content(content) => {
            let text = str::from_utf8(&content).ok();
            let digest = text.and_then(|text| text.trim().parse().ok());
            digest.ok_or("its link says no digest")
        }
        Small::Missing => Err("there is no link"),
        Small::TooLarge(_) => Err("its link is none"),
    }
}

/// Whatever is listed late would be taken for missing.
fn out_of_order(key: &str) -> Fault {
    let what = format!(
        "the object store lists keys in another order than that of their bytes ({key} comes late): what a registry:2 left \
         there cannot be taken over"
    );
    Fault::plain(FaultKind::Other, what)
}
