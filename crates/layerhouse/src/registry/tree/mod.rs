//! Reads the link tree of a registry:2 in pieces, on a thread of its own, while the rows of the pieces
//! before are written: files are read and hashed on one core, rows written on another.
//!
//! Only what the rows do not say yet is read, so that to go on after an interruption, or to look again,
//! costs little more than the listing of directories.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::SyncSender;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;

use super::manifest_rules::ManifestRules;
use super::manifests::{MANIFEST_BYTES_MAX, Needs, read};
use crate::blobs::Store;
use crate::blobs::survey::{BlobFiles, LinkFile, Strange, TagFiles};
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
    pub(super) store: &'a Store,
    pub(super) database: &'a Database,
    /// Also look for what the rows say and the tree does not.
    pub(super) finds_gone: bool,
}

impl Tree<'_> {
    /// Reads these repositories and gives them to `pieces`, until nobody takes them any more.
    ///
    /// # Errors
    /// The database failed; a part of the tree that cannot be read is skipped.
    pub(super) fn read(
        &self,
        names: &[RepositoryName],
        pieces: &SyncSender<Piece>,
    ) -> Result<(), Fault> {
        let blobs = self.store.blob_files()?;
        for name in names {
            let reading = Reading {
                tree: self,
                blobs: &blobs,
                name,
                pieces,
            };
            reading.repository()?;
        }
        Ok(())
    }
}

/// One repository that is being read.
struct Reading<'a> {
    tree: &'a Tree<'a>,
    blobs: &'a BlobFiles<'a>,
    name: &'a RepositoryName,
    pieces: &'a SyncSender<Piece>,
}

impl Reading<'_> {
    fn give(&self, piece: Piece) -> Result<(), Fault> {
        // The writer failed and says why.
        let stopped = |_| Fault::plain(FaultKind::Stopping, "nobody writes what is read");
        self.pieces.send(piece).map_err(stopped)
    }

    fn skip(&self, what: String) -> Result<(), Fault> {
        self.give(Piece::Skipped(what))
    }

    fn repository(&self) -> Result<(), Fault> {
        self.give(Piece::Repository(self.name.clone()))?;
        let (rows, stale) = self.tree.database.read(|tx| {
            let rows = match meta::repositories::find(tx, self.name)? {
                Some(id) => meta::adoptions::linked(tx, id)?,
                None => Linked::default(),
            };
            let stale = meta::links::stale_in(tx, self.name)?;
            Ok::<_, Fault>((rows, BTreeSet::from_iter(stale)))
        })?;
        let (mut layers, mut manifests, mut tags) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for link in self.tree.store.survey_links(self.name) {
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
        if self.tree.finds_gone {
            let lost = rows.layers.iter();
            let lost = lost.filter(|digest| self.tree.store.is_blob_gone(digest));
            self.give(Piece::Lost(lost.cloned().collect()))?;
        }
        self.manifests(&manifests, &rows, &sizes)?;
        self.tags(&tags, &rows)?;
        if !self.tree.finds_gone {
            return Ok(());
        }
        let (store, name) = (self.tree.store, self.name);
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
            match self.blobs.size_bytes(digest) {
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
        let (mut batch, mut batch_bytes, mut known) = (Vec::new(), 0, 0);
        for digest in manifests {
            if rows.manifests.contains(digest) {
                known += 1;
                continue;
            }
            let manifest = self
                .blobs
                .read(digest, MANIFEST_BYTES_MAX as u64)
                .and_then(|content| {
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
        for tag in tags {
            // To go on where it stopped, adoption trusts what it wrote; another look does not.
            if !self.tree.finds_gone && rows.tags.contains_key(tag) {
                continue;
            }
            match self.tree.store.survey_tag(self.name, tag) {
                Ok(files) if rows.tags.get(tag) == Some(&files.current) => {}
                Ok(files) => batch.push((tag.clone(), files)),
                Err(_)
                    if self.tree.store.is_tag_gone(self.name, tag)
                        && rows.tags.contains_key(tag) => {}
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
            let Some(size_bytes) =
                given_bytes.or_else(|| self.reading.blobs.size_bytes(digest).ok())
            else {
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
                        "blob {digest} is damaged: its file has {size_bytes} bytes, manifest {} says \
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
        let is_damaged = match self.reading.tree.store.rehash(digest) {
            Ok(is_whole) => is_whole == Some(false),
            Err(fault) => {
                self.reading.skip(fault.to_string())?;
                false
            }
        };
        self.hashed.insert(digest.clone(), is_damaged);
        Ok(is_damaged)
    }
}
