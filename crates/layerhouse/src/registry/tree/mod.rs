//! Reads the link tree of a registry:2 in pieces, on a thread of its own, while the rows of the pieces
//! before are written: files or objects are read and hashed on one core, rows written on another.
//!
//! Only what the rows do not say yet is read, so that to go on after an interruption, or to look again,
//! costs little more than the listing of directories, or of the bucket.

mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::SyncSender;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;
use place::{InBucket, InDirectory, Place};

use super::manifest_rules::ManifestRules;
use super::manifests::{MANIFEST_BYTES_MAX, Needs, read};
use crate::blobs::Store;
use crate::blobs::objects::Objects;
use crate::blobs::objects::survey::Survey;
use crate::blobs::survey::{LinkFile, Strange, TagFiles};
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::adoptions::Linked;
use crate::meta::database::Database;
use crate::meta::links::Link;
use crate::meta::manifests::NewManifest;

/// Entries in one piece.
const ENTRIES_MAX: usize = 256;
/// Bytes of manifests in one piece, unless a single one has more.
const BYTES_MAX: usize = 1 << 20;
/// Pieces between the reader and the writer: 8 of at most 8 MiB.
pub(super) const PIECES_MAX: usize = 8;

/// A manifest that was read from its copy, and what it needs.
pub(super) type ReadManifest = (NewManifest, Needs);

/// A part of the tree that the rows do not say.
pub(super) enum Piece {
    /// What follows is of this repository.
    Repository(RepositoryName),
    /// Blobs and their sizes.
    Layers(Vec<(Digest, u64)>),
    /// A linked blob whose bytes are others than its digest says.
    Damaged(Damaged),
    /// Blobs that the rows link and whose bytes were removed.
    Lost(Vec<Digest>),
    /// Manifests, each behind those that it needs.
    Manifests(Vec<ReadManifest>),
    Tags(Vec<(Tag, TagFiles)>),
    /// Manifests that need not be read, for the count.
    Known(u64),
    /// Damaged or unknown, and left as it is.
    Skipped(String),
    /// The same, of no repository.
    Strange(Strange),
    /// The end of a repository, and what the rows say of it and the tree does not.
    Gone(Gone),
}

/// Bytes that are not what the manifests say that need them.
pub(super) struct Damaged {
    pub(super) digest: Digest,
    /// It was given as found before its bytes were looked at.
    pub(super) was_given: bool,
    pub(super) what: String,
}

/// Links whose files were removed.
#[derive(Debug, Default)]
pub(super) struct Gone {
    pub(super) layers: Vec<Digest>,
    pub(super) manifests: Vec<Digest>,
    pub(super) tags: Vec<Tag>,
}

/// The tree, and the rows that it is compared with.
pub(super) struct Tree<'a> {
    pub(super) source: Source<'a>,
    pub(super) database: &'a Database,
}

/// Where a tree is.
pub(super) enum Source<'a> {
    Directory {
        store: &'a Store,
        names: &'a [RepositoryName],
        /// Also look for what the rows say and the tree does not.
        finds_gone: bool,
    },
    /// What is listed behind its blobs, which are rows.
    Bucket(&'a Objects, Survey<'a>),
}

impl Tree<'_> {
    /// Reads the repositories and gives them to `pieces`, until nobody takes them any more.
    ///
    /// # Errors
    /// The database failed, or the object store; a part of a directory that cannot be read is skipped.
    pub(super) fn read(self, pieces: &SyncSender<Piece>) -> Result<(), Fault> {
        let Self { source, database } = self;
        match source {
            Source::Directory {
                store,
                names,
                finds_gone,
            } => {
                let blobs = &store.blob_files()?;
                for name in names {
                    let reading = Reading {
                        database,
                        place: &InDirectory { store, blobs, name },
                        gone_from: finds_gone.then_some(store),
                        name,
                        pieces,
                    };
                    reading.repository()?;
                }
            }
            Source::Bucket(objects, mut survey) => {
                while let Some(found) = survey.next_repository()? {
                    let surveyed = match found {
                        Ok(surveyed) => surveyed,
                        Err(strange) => {
                            give(pieces, Piece::Strange(strange))?;
                            continue;
                        }
                    };
                    let name = &surveyed.name.clone();
                    let reading = Reading {
                        database,
                        place: &InBucket {
                            objects,
                            database,
                            surveyed,
                        },
                        gone_from: None,
                        name,
                        pieces,
                    };
                    reading.repository()?;
                }
            }
        }
        Ok(())
    }
}

fn give(pieces: &SyncSender<Piece>, piece: Piece) -> Result<(), Fault> {
    // The writer failed and says why.
    let stopped = |_| Fault::plain(FaultKind::Stopping, "nobody writes what is read");
    pieces.send(piece).map_err(stopped)
}

/// One repository that is being read.
struct Reading<'a> {
    database: &'a Database,
    place: &'a dyn Place,
    /// Where to look for what the rows say and the tree does not, if it is to be looked for.
    gone_from: Option<&'a Store>,
    name: &'a RepositoryName,
    pieces: &'a SyncSender<Piece>,
}

impl Reading<'_> {
    fn give(&self, piece: Piece) -> Result<(), Fault> {
        give(self.pieces, piece)
    }

    fn skip(&self, what: String) -> Result<(), Fault> {
        self.give(Piece::Skipped(what))
    }

    fn repository(&self) -> Result<(), Fault> {
        self.give(Piece::Repository(self.name.clone()))?;
        let (rows, stale) = self.database.read(|tx| {
            let rows = match meta::repositories::find(tx, self.name)? {
                Some(id) => meta::adoptions::linked(tx, id)?,
                None => Linked::default(),
            };
            let stale = meta::links::stale_in(tx, self.name)?;
            Ok::<_, Fault>((rows, BTreeSet::from_iter(stale)))
        })?;
        let (mut layers, mut manifests, mut tags) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for link in self.place.links(&rows)? {
            // What is to be written is newer than what is there.
            let is_newer_here = |link| stale.contains(&link);
            match link {
                LinkFile::Layer(digest) if is_newer_here(Link::Layer(digest.clone())) => {}
                LinkFile::Layer(digest) => drop(layers.insert(digest)),
                LinkFile::Manifest(digest) if is_newer_here(Link::Manifest(digest.clone())) => {}
                LinkFile::Manifest(digest) => drop(manifests.insert(digest)),
                LinkFile::Tag(tag) if is_newer_here(Link::Tag(tag.clone())) => {}
                LinkFile::Tag(tag) => drop(tags.insert(tag)),
                LinkFile::Strange(Strange { path, why }) => {
                    self.skip(format!("{}: {why}", path.display()))?;
                }
            }
        }
        let sizes = self.layers(&layers, &rows)?;
        if let Some(store) = self.gone_from {
            let lost = rows.layers.iter();
            let lost = lost.filter(|digest| store.is_blob_gone(digest));
            self.give(Piece::Lost(lost.cloned().collect()))?;
        }
        self.manifests(&manifests, &rows, &sizes)?;
        self.tags(&tags, &rows)?;
        let Some(store) = self.gone_from else {
            return Ok(());
        };
        let name = self.name;
        let mut gone = Gone::default();
        for digest in rows.layers.difference(&layers) {
            let is_stale = stale.contains(&Link::Layer(digest.clone()));
            if !is_stale && store.is_layer_gone(name, digest) {
                gone.layers.push(digest.clone());
            }
        }
        for digest in rows.manifests.difference(&manifests) {
            let is_stale = stale.contains(&Link::Manifest(digest.clone()));
            if !is_stale && store.is_manifest_gone(name, digest) {
                gone.manifests.push(digest.clone());
            }
        }
        for tag in rows.tags.keys() {
            let is_stale = stale.contains(&Link::Tag(tag.clone()));
            if !is_stale && store.is_tag_gone(name, tag) {
                gone.tags.push(tag.clone());
            }
        }
        self.give(Piece::Gone(gone))
    }

    /// Gives the blobs that the rows do not link, and returns them and their sizes.
    fn layers<'b>(
        &self,
        layers: &'b BTreeSet<Digest>,
        rows: &'b Linked,
    ) -> Result<BTreeMap<&'b Digest, u64>, Fault> {
        let (mut batch, mut sizes) = (Vec::new(), BTreeMap::new());
        for digest in layers.difference(&rows.layers) {
            match self.place.size_bytes(digest)? {
                Ok(size_bytes) => {
                    sizes.insert(digest, size_bytes);
                    batch.push((digest.clone(), size_bytes));
                }
                Err(why) => self.skip(format!("blob {digest} {why}"))?,
            }
            if ENTRIES_MAX <= batch.len() {
                self.give(Piece::Layers(std::mem::take(&mut batch)))?;
            }
        }
        self.give(Piece::Layers(batch))?;
        Ok(sizes)
    }

    /// In any order: an index does without an image until that comes, and for good if it is not there.
    fn manifests(
        &self,
        manifests: &BTreeSet<Digest>,
        rows: &Linked,
        sizes: &BTreeMap<&Digest, u64>,
    ) -> Result<(), Fault> {
        let mut suspects = Suspects {
            reading: self,
            sizes,
            hashed: BTreeMap::new(),
        };
        let rules = ManifestRules::of_adoption();
        let (mut batch, mut batch_bytes) = (Vec::new(), 0);
        let new: Vec<_> = manifests.difference(&rows.manifests).collect();
        let known = (manifests.len() - new.len()) as u64;
        for answer in self.place.manifests(new, MANIFEST_BYTES_MAX as u64) {
            let (digest, content) = answer?;
            let manifest = content.and_then(|content| {
                read(content, None, Some(digest.clone()), &rules)
                    .map_err(|error| format!("is not adopted: {error}"))
            });
            match manifest {
                Err(why) => self.skip(format!("manifest {digest} {why}"))?,
                Ok(manifest) => {
                    if let Some(damaged) = suspects.needed(&manifest)? {
                        self.skip(format!("manifest {digest} needs {damaged}, damaged"))?;
                        continue;
                    }
                    batch_bytes += manifest.0.content.len();
                    batch.push(manifest);
                }
            }
            if ENTRIES_MAX <= batch.len() || BYTES_MAX <= batch_bytes {
                self.give(Piece::Manifests(std::mem::take(&mut batch)))?;
                batch_bytes = 0;
            }
        }
        self.give(Piece::Known(known))?;
        self.give(Piece::Manifests(batch))?;
        Ok(())
    }

    fn tags(&self, tags: &BTreeSet<Tag>, rows: &Linked) -> Result<(), Fault> {
        let mut batch = Vec::new();
        // To go on where it stopped, adoption trusts what it wrote; another look does not.
        let is_to_read = |tag: &&Tag| self.gone_from.is_some() || !rows.tags.contains_key(*tag);
        let is_gone = |tag: &Tag| {
            let is_gone = |store: &Store| store.is_tag_gone(self.name, tag);
            rows.tags.contains_key(tag) && self.gone_from.is_some_and(is_gone)
        };
        let to_read = tags.iter().filter(is_to_read).collect();
        for answer in self.place.tags(to_read) {
            let (tag, files) = answer?;
            match files {
                Ok(files) if rows.tags.get(&tag) == Some(&files.current) => {}
                Ok(files) => batch.push((tag, files)),
                Err(_) if is_gone(&tag) => {}
                Err(why) => self.skip(format!("tag {tag}: {why}"))?,
            }
            if ENTRIES_MAX <= batch.len() {
                self.give(Piece::Tags(std::mem::take(&mut batch)))?;
            }
        }
        self.give(Piece::Tags(batch))
    }
}

/// Blobs that are not as long as a manifest says: either may be wrong, which a hash tells.
struct Suspects<'a> {
    reading: &'a Reading<'a>,
    /// Of the blobs that were given.
    sizes: &'a BTreeMap<&'a Digest, u64>,
    /// Whether they are damaged; none is hashed twice.
    hashed: BTreeMap<Digest, bool>,
}

impl Suspects<'_> {
    /// A damaged blob that this manifest needs, if one is: a truncated file, as a crash of registry:2
    /// leaves. It is given as such, once, so that it is not linked and a push heals it.
    fn needed(&mut self, (manifest, needs): &ReadManifest) -> Result<Option<Digest>, Fault> {
        for (digest, said_bytes) in &needs.sizes {
            let given_bytes = self.sizes.get(digest).copied();
            // Without a file it is missing, as the rows tell.
            let size_bytes = match given_bytes {
                Some(given_bytes) => Ok(given_bytes),
                None => self.reading.place.size_bytes(digest)?,
            };
            let Ok(size_bytes) = size_bytes else {
                continue;
            };
            if size_bytes == *said_bytes {
                continue;
            }
            let known = self.hashed.get(digest).copied();
            let is_damaged = match known {
                Some(is_damaged) => is_damaged,
                None => self.is_damaged(digest)?,
            };
            if known.is_none() && is_damaged {
                self.reading.give(Piece::Damaged(Damaged {
                    digest: digest.clone(),
                    was_given: given_bytes.is_some(),
                    what: format!(
                        "blob {digest} is damaged: it has {size_bytes} bytes, manifest {} says \
                         {said_bytes}",
                        manifest.digest
                    ),
                }))?;
            }
            if is_damaged {
                return Ok(Some(digest.clone()));
            }
        }
        Ok(None)
    }

    /// Hashes a blob. What cannot be read is said, and not taken for damaged.
    fn is_damaged(&mut self, digest: &Digest) -> Result<bool, Fault> {
        let is_damaged = match self.reading.place.is_damaged(digest)? {
            Ok(is_damaged) => is_damaged,
            Err(why) => {
                self.reading.skip(why)?;
                false
            }
        };
        self.hashed.insert(digest.clone(), is_damaged);
        Ok(is_damaged)
    }
}
