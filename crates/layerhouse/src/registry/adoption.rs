//! Taking over the directory or the bucket of a registry:2: its links are read into rows at the first start, and
//! those of a directory read again by `rebuild` after a registry:2 changed them.
//!
//! Files and objects stay as they are, so that registry:2 can have them back. What is damaged or unknown is
//! said, counted and left alone. Interrupted, it goes on behind the last commit: what the rows say
//! already is not read again. The same makes the rows anew when the database was lost (invariant I10).

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;

use super::Registry;
use super::manifests::{missing, write_rows};
use super::objects::check_mark;
use super::tree::{Damaged, Gone, PIECES_MAX, Piece, ReadManifest, Source, Tree};
use super::turn::Turn;
use crate::blobs::Store;
use crate::blobs::objects::Objects;
use crate::blobs::objects::survey::Survey;
use crate::blobs::survey::{Strange, TagFiles};
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::adoptions::Adopted;
use crate::meta::database::Bulk;
use crate::meta::links::Link;
use crate::meta::repositories::RepositoryId;

/// Entries written between two commits: few enough that little is done again after a crash.
const COMMIT_ENTRIES: usize = 8192;
/// As whom registry:2 moved the tags of before.
const ACTOR: &str = "before adoption";
/// Between two words about how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

impl Registry {
    /// Reads the tree into rows, unless that was done before. Blocks.
    ///
    /// # Errors
    /// The disk, the object store or the database failed, or the bucket does not answer, which may have a tree; the
    /// next start goes on.
    pub(super) fn adopt(&self, is_bucket_known: bool) -> Result<(), Fault> {
        if self.database.read(meta::adoptions::is_finished)? {
            return Ok(());
        }
        if !is_bucket_known {
            // Who pushed to it meanwhile would have begun another registry in it.
            let what = "the object store does not answer, and before the first start it is to be known whether a \
                        registry:2 filled the bucket: start again when it does";
            return Err(Fault::plain(FaultKind::Unavailable, what));
        }
        while let Some(turn) = self.wait_for_turn()? {
            match self.adopt_now(&turn) {
                Err(fault) if self.give_turn_back(&turn) => return Err(fault),
                Err(_) => {}
                Ok(()) => return Ok(()),
            }
        }
        Ok(())
    }

    fn adopt_now(&self, turn: &Turn) -> Result<(), Fault> {
        let (names, strange) = self.store.survey_repositories();
        if !names.is_empty() {
            tracing::warn!(
                repositories = names.len(),
                "the directory was filled by another registry, or the database was lost: its link \
                 files are read into rows"
            );
        }
        let mut writer = Writer {
            bulk: self.database.bulk()?,
            turn,
            now: self.clock.now(),
            actor: ACTOR,
            commits: true,
            uncommitted: 0,
            committed: Instant::now(),
            changes: Changes::default(),
            listener: &|change| {
                if let Change::Skipped(what) = change {
                    tracing::warn!(what, "an entry was not adopted, and left as it is");
                }
            },
        };
        for strange in &strange {
            writer.skip(strange);
        }
        let source = Source::Directory {
            store: &self.store,
            names: &names,
            finds_gone: false,
        };
        let began = Instant::now();
        let mut manifests = writer.take_in(self.tree(source))?;
        writer.commit()?;
        writer.note_unlinked(&self.store)?;
        let of_registry = match self.store.objects() {
            Some(objects) => objects.of_registry()?.map(|first| (objects, first)),
            None => None,
        };
        if let (Some(objects), None) = (self.store.objects(), &of_registry) {
            let place = objects.place();
            tracing::info!(
                place,
                "the bucket begins without what a registry:2 would have left"
            );
        }
        if let Some((objects, first)) = &of_registry {
            tracing::info!(
                first,
                "a registry:2 filled the bucket: its keys are read into rows, and stay as they are"
            );
            manifests += self.adopt_bucket(&mut writer, objects)?;
        }
        if let Some((objects, _)) = &of_registry {
            check_mark(&self.database, objects)?;
        }
        let Writer { bulk, changes, .. } = writer;
        let adopted = Adopted {
            manifests,
            tags: changes.tags_added,
            skipped: changes.skipped,
        };
        let now = self.clock.now();
        bulk.finish(|tx| {
            turn.keep(tx)?;
            meta::adoptions::forget_copies_of_manifests(tx)?;
            meta::adoptions::finish(tx, adopted, now)?;
            queue_unneeded(tx, adopted.skipped, now)?;
            turn.end(tx)
        })?;
        let adopted_what = match (names.is_empty(), &of_registry) {
            (_, Some(_)) => "the bucket is adopted",
            (false, None) => "the directory is adopted",
            (true, None) => return Ok(()),
        };
        let Adopted { tags, skipped, .. } = adopted;
        let seconds = began.elapsed().as_secs();
        tracing::info!(manifests, tags, skipped, seconds, "{adopted_what}");
        Ok(())
    }

    /// Reads the keys of a registry:2 into rows; how many manifests there are.
    fn adopt_bucket(&self, writer: &mut Writer<'_>, objects: &Objects) -> Result<u64, Fault> {
        let mut survey = objects.survey();
        writer.note_objects(&mut survey)?;
        // Sizes are asked of the rows.
        writer.commit()?;
        let manifests = writer.take_in(self.tree(Source::Bucket(objects, survey)))?;
        writer.commit()?;
        Ok(manifests)
    }

    fn tree<'a>(&'a self, source: Source<'a>) -> Tree<'a> {
        Tree {
            source,
            database: &self.database,
        }
    }
}

/// Has reviewed what nothing needs. What was skipped may need it: then all of it stays, until an operator says
/// otherwise.
pub(super) fn queue_unneeded(
    tx: &meta::transaction::Transaction<'_>,
    skipped: u64,
    now: Timestamp,
) -> Result<(), Fault> {
    if skipped == 0 {
        meta::reviews::queue_unneeded(tx, now)?;
    }
    Ok(())
}

/// What became of an entry, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Removed(String),
    Moved(String),
    /// The tree says that it is gone, and something that stays needs it.
    Kept(String),
    Skipped(String),
}

/// How much became of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) layers_added: u64,
    pub(super) manifests_added: u64,
    pub(super) tags_added: u64,
    pub(super) layers_removed: u64,
    pub(super) manifests_removed: u64,
    pub(super) tags_removed: u64,
    pub(super) tags_moved: u64,
    /// Files that no link names and no row knew.
    pub(super) files_found: u64,
    /// Rows of such files that are there no more.
    pub(super) files_lost: u64,
    pub(super) kept: u64,
    pub(super) skipped: u64,
}

/// Writes rows as the pieces of a tree say.
pub(super) struct Writer<'a> {
    pub(super) bulk: Bulk,
    pub(super) turn: &'a Turn,
    pub(super) now: Timestamp,
    /// As whom tags are moved.
    pub(super) actor: &'static str,
    /// Now and then, so that an interruption costs little; else the caller does once.
    pub(super) commits: bool,
    pub(super) uncommitted: usize,
    /// The last time.
    pub(super) committed: Instant,
    pub(super) changes: Changes,
    pub(super) listener: &'a dyn Fn(Change),
}

/// Which repository the pieces are of.
struct Place {
    name: RepositoryName,
    /// `None` until it has a row.
    id: Option<RepositoryId>,
}

impl Writer<'_> {
    /// Takes in all that the tree says of its repositories, while a thread reads ahead; how many manifests it has.
    ///
    /// # Errors
    /// The database failed, or the object store.
    pub(super) fn take_in(&mut self, tree: Tree<'_>) -> Result<u64, Fault> {
        let mut progress = Progress::new(&tree.source);
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(PIECES_MAX);
            let reader = scope.spawn(move || tree.read(&sender));
            let written = self.write_pieces(&receiver, &mut progress);
            // A reader whose writer failed ends.
            drop(receiver);
            let read = reader.join().unwrap_or_else(|_| {
                let doing = "the thread that reads the tree panicked";
                Err(Fault::plain(FaultKind::Other, doing))
            });
            written.and(read)
        })?;
        Ok(progress.manifests)
    }

    fn write_pieces(
        &mut self,
        pieces: &Receiver<Piece>,
        progress: &mut Progress,
    ) -> Result<(), Fault> {
        let mut place = None;
        loop {
            let piece = match pieces.recv_timeout(PROGRESS_INTERVAL) {
                Ok(piece) => piece,
                Err(RecvTimeoutError::Timeout) => {
                    progress.tell();
                    self.commit_if_due()?;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            if let Piece::Strange(strange) = piece {
                self.skip(&strange);
                continue;
            }
            if let Piece::Repository(name) = piece {
                progress.repositories += 1;
                let id = self.bulk.change(|tx| meta::repositories::find(tx, &name))?;
                place = Some(Place { name, id });
                continue;
            }
            let place = place.as_mut().expect("pieces follow their repository");
            match piece {
                Piece::Layers(layers) => self.layers(place, &layers)?,
                Piece::Damaged(damaged) => self.damaged(place, &damaged)?,
                Piece::Lost(lost) => self.lost(place, &lost)?,
                Piece::Manifests(manifests) => {
                    progress.manifests += manifests.len() as u64;
                    self.manifests(place, &manifests)?;
                }
                Piece::Tags(tags) => self.tags(place, &tags)?,
                Piece::Known(manifests) => progress.manifests += manifests,
                Piece::Skipped(what) => {
                    self.note(Change::Skipped(format!("{}: {what}", place.name)));
                }
                Piece::Gone(gone) => self.gone(place, gone)?,
                Piece::Repository(_) | Piece::Strange(_) => {}
            }
            progress.tell();
            self.commit_if_due()?;
        }
    }

    fn commit_if_due(&mut self) -> Result<(), Fault> {
        let is_due =
            COMMIT_ENTRIES <= self.uncommitted || self.turn.is_due(self.committed.elapsed());
        if self.commits && is_due {
            self.commit()?;
        }
        Ok(())
    }

    pub(super) fn commit(&mut self) -> Result<(), Fault> {
        self.uncommitted = 0;
        self.committed = Instant::now();
        if self.turn.is_shared() {
            self.bulk.change(|tx| self.turn.keep(tx))?;
        }
        self.bulk.commit()
    }

    /// Takes note of what is left as it is.
    pub(super) fn skip(&mut self, Strange { path, why }: &Strange) {
        self.note(Change::Skipped(format!("{}: {why}", path.display())));
    }

    pub(super) fn note(&mut self, change: Change) {
        let count = match change {
            // Counted by what it was.
            Change::Removed(_) => None,
            Change::Moved(_) => Some(&mut self.changes.tags_moved),
            Change::Kept(_) => Some(&mut self.changes.kept),
            Change::Skipped(_) => Some(&mut self.changes.skipped),
        };
        if let Some(count) = count {
            *count += 1;
        }
        (self.listener)(change);
    }

    /// The repository's row, made now if need be.
    fn id(&mut self, place: &mut Place) -> Result<RepositoryId, Fault> {
        if let Some(id) = place.id {
            return Ok(id);
        }
        let now = self.now;
        let id = self
            .bulk
            .change(|tx| meta::repositories::find_or_create(tx, &place.name, now))?;
        place.id = Some(id);
        Ok(id)
    }

    fn layers(&mut self, place: &mut Place, layers: &[(Digest, u64)]) -> Result<(), Fault> {
        if layers.is_empty() {
            return Ok(());
        }
        let (id, now) = (self.id(place)?, self.now);
        self.bulk.change(|tx| {
            layers.iter().try_for_each(|(digest, size_bytes)| {
                // Nobody hashed it yet: the first read will.
                meta::adoptions::note_blob(tx, digest, *size_bytes)?;
                meta::adoptions::link(tx, id, digest, now)
            })
        })?;
        self.changes.layers_added += layers.len() as u64;
        self.uncommitted += layers.len();
        Ok(())
    }

    /// Writes the manifests that have all they need.
    fn manifests(&mut self, place: &mut Place, manifests: &[ReadManifest]) -> Result<(), Fault> {
        if manifests.is_empty() {
            return Ok(());
        }
        let (id, now) = (self.id(place)?, self.now);
        let lacking = self.bulk.change(|tx| {
            let mut lacking = Vec::new();
            for (manifest, needs) in manifests {
                if let Some(missing) = missing(tx, Some(id), needs)?.into_iter().next() {
                    lacking.push((&manifest.digest, missing));
                    continue;
                }
                write_rows(tx, id, manifest, needs, now)?;
            }
            Ok(lacking)
        })?;
        self.changes.manifests_added += (manifests.len() - lacking.len()) as u64;
        self.uncommitted += manifests.len();
        for (manifest, missing) in lacking {
            let name = &place.name;
            let what = format!("{name}: manifest {manifest} needs {missing}, not there");
            self.note(Change::Skipped(what));
        }
        Ok(())
    }

    fn tags(&mut self, place: &mut Place, tags: &[(Tag, TagFiles)]) -> Result<(), Fault> {
        if tags.is_empty() {
            return Ok(());
        }
        let id = self.id(place)?;
        for (tag, files) in tags {
            self.tag(place, id, tag, files)?;
        }
        self.uncommitted += tags.len();
        Ok(())
    }

    fn tag(
        &mut self,
        place: &Place,
        id: RepositoryId,
        tag: &Tag,
        files: &TagFiles,
    ) -> Result<(), Fault> {
        let (actor, now, current) = (self.actor, self.now, &files.current);
        // Nobody moved a tag in the future, whatever a file says.
        let at = |moved_ms: i64| Timestamp(moved_ms.min(now.0));
        let before = self.bulk.change(|tx| {
            if !meta::manifests::exists(tx, id, current)? {
                return Ok(None);
            }
            if let Some(before) = meta::tags::find(tx, id, tag)? {
                meta::tags::move_tag(tx, id, tag, current, actor, now)?;
                return Ok(Some(Some(before)));
            }
            let mut from = None;
            for (digest, moved_ms) in &files.before {
                let moved = at(*moved_ms);
                meta::tags::record(tx, id, tag, from, Some(digest), actor, moved)?;
                from = Some(digest);
            }
            meta::tags::move_tag(tx, id, tag, current, actor, at(files.moved_ms))?;
            Ok(Some(None))
        })?;
        let name = &place.name;
        match before {
            None => {
                let what = format!("{name}:{tag} points at {current}, not there");
                self.note(Change::Skipped(what));
            }
            Some(Some(before)) => {
                self.note(Change::Moved(format!(
                    "{name}:{tag} from {before} to {current}"
                )));
            }
            Some(None) => self.changes.tags_added += 1,
        }
        Ok(())
    }

    /// Takes the link of damaged bytes away, unless a manifest needs them that was adopted before.
    fn damaged(&mut self, place: &Place, damaged: &Damaged) -> Result<(), Fault> {
        let Some(id) = place.id else { return Ok(()) };
        let (name, digest, now) = (&place.name, &damaged.digest, self.now);
        let is_unlinked = self.bulk.change(|tx| {
            let is_needed = meta::blobs::needed_by(tx, id, digest)?.is_some();
            Ok(!is_needed && meta::adoptions::unlink(tx, id, digest, now)?)
        })?;
        if is_unlinked && damaged.was_given {
            self.changes.layers_added -= 1;
        } else if is_unlinked {
            self.changes.layers_removed += 1;
            self.note(Change::Removed(format!("blob {digest} of {name}")));
        }
        self.note(Change::Skipped(format!("{name}: {}", damaged.what)));
        Ok(())
    }

    /// Removes blobs without bytes and the manifests that need them, as if they were adopted only now.
    fn lost(&mut self, place: &Place, lost: &[Digest]) -> Result<(), Fault> {
        let Some(id) = place.id else { return Ok(()) };
        let now = self.now;
        for blob in lost {
            let manifests = self
                .bulk
                .change(|tx| meta::adoptions::needing_blob(tx, id, blob))?;
            for manifest in manifests {
                while let Some(tag) = self
                    .bulk
                    .change(|tx| meta::adoptions::tagged_by(tx, id, &manifest))?
                {
                    self.remove_tag(place, id, &tag)?;
                }
                let why = format!(", which needs the missing bytes of {blob}");
                self.remove_manifest(place, id, &manifest, &why)?;
            }
            self.bulk
                .change(|tx| meta::adoptions::unlink(tx, id, blob, now).map(drop))?;
            self.changes.layers_removed += 1;
            let name = &place.name;
            self.note(Change::Removed(format!("blob {blob} of {name}")));
        }
        Ok(())
    }

    fn remove_tag(&mut self, place: &Place, id: RepositoryId, tag: &Tag) -> Result<(), Fault> {
        let (name, actor, now) = (&place.name, self.actor, self.now);
        let before = self
            .bulk
            .change(|tx| meta::tags::remove(tx, id, tag, actor, now))?;
        if let Some(before) = before {
            self.changes.tags_removed += 1;
            self.note(Change::Removed(format!(
                "{name}:{tag}, which pointed at {before}"
            )));
        }
        Ok(())
    }

    /// Indexes that name it do without it from now on: so they are adopted, too, when it is not there.
    fn remove_manifest(
        &mut self,
        place: &Place,
        id: RepositoryId,
        digest: &Digest,
        why: &str,
    ) -> Result<(), Fault> {
        let was_there = self.bulk.change(|tx| {
            meta::adoptions::begin_absence(tx, id, digest)?;
            meta::manifests::remove(tx, id, digest)
        })?;
        if was_there {
            self.changes.manifests_removed += 1;
            let name = &place.name;
            let what = format!("manifest {digest} of {name}{why}");
            self.note(Change::Removed(what));
        }
        Ok(())
    }

    /// Removes the rows whose link files were removed, but for manifests with tags and blobs of manifests
    /// that stay. The link files of those are written again at the next start.
    fn gone(&mut self, place: &Place, gone: Gone) -> Result<(), Fault> {
        let Some(id) = place.id else { return Ok(()) };
        let (name, now) = (&place.name, self.now);
        for tag in gone.tags {
            self.remove_tag(place, id, &tag)?;
        }
        for digest in gone.manifests {
            let tag = self
                .bulk
                .change(|tx| meta::adoptions::tagged_by(tx, id, &digest))?;
            if let Some(tag) = tag {
                let what = format!("manifest {digest} of {name}, which tag {tag} needs");
                self.keep(name, &Link::Manifest(digest), what)?;
            } else {
                self.remove_manifest(place, id, &digest, "")?;
            }
        }
        for digest in gone.layers {
            let (needed_by, was_linked) = self.bulk.change(|tx| {
                let by = meta::blobs::needed_by(tx, id, &digest)?;
                let was_linked = by.is_none() && meta::adoptions::unlink(tx, id, &digest, now)?;
                Ok((by, was_linked))
            })?;
            if let Some(by) = needed_by {
                let what = format!("blob {digest} of {name}, which manifest {by} needs");
                self.keep(name, &Link::Layer(digest), what)?;
            } else if was_linked {
                self.changes.layers_removed += 1;
                self.note(Change::Removed(format!("blob {digest} of {name}")));
            }
        }
        Ok(())
    }

    fn keep(&mut self, name: &RepositoryName, link: &Link, what: String) -> Result<(), Fault> {
        self.bulk
            .change(|tx| meta::links::mark_stale(tx, name, link))?;
        self.note(Change::Kept(what));
        Ok(())
    }

    /// Gives rows to the blobs of a bucket, linked or not; to copies of manifests, too, until all manifests are known.
    fn note_objects(&mut self, survey: &mut Survey<'_>) -> Result<(), Fault> {
        let (mut looked_at, mut told) = (0_u64, Instant::now());
        while let Some(found) = survey.next_blob()? {
            looked_at += 1;
            if PROGRESS_INTERVAL <= told.elapsed() {
                told = Instant::now();
                tracing::info!(objects = looked_at, "the bucket is listed");
            }
            match found {
                Ok(blob) => {
                    self.bulk.change(|tx| {
                        meta::adoptions::note_object(tx, &blob.digest, blob.size_bytes, &blob.key)
                    })?;
                    self.uncommitted += 1;
                }
                Err(strange) => self.skip(&strange),
            }
            self.commit_if_due()?;
        }
        Ok(())
    }

    /// Files that no repository links are known, too, so that they can be collected.
    ///
    /// # Errors
    /// The database failed.
    pub(super) fn note_unlinked(&mut self, store: &Store) -> Result<(), Fault> {
        let mut strange = Vec::new();
        let (mut looked_at, mut told) = (0_u64, Instant::now());
        store.survey_blobs(
            |blob| {
                looked_at += 1;
                if PROGRESS_INTERVAL <= told.elapsed() {
                    told = Instant::now();
                    tracing::info!(files = looked_at, "files that no link names are looked for");
                }
                let is_new = self.bulk.change(|tx| {
                    Ok(!meta::manifests::exists_anywhere(tx, &blob.digest)?
                        && meta::adoptions::note_blob(tx, &blob.digest, blob.size_bytes)?)
                })?;
                if is_new {
                    self.changes.files_found += 1;
                    self.uncommitted += 1;
                }
                self.commit_if_due()
            },
            |path| strange.push(format!("{}: this is not a blob", path.display())),
        )?;
        for what in strange {
            self.note(Change::Skipped(what));
        }
        Ok(())
    }

    /// Forgets blobs that no repository links and whose files were removed.
    ///
    /// # Errors
    /// The database failed.
    pub(super) fn forget_lost(&mut self, store: &Store) -> Result<(), Fault> {
        for digest in self.bulk.change(meta::adoptions::unlinked_blobs)? {
            if store.is_blob_gone(&digest) {
                self.bulk
                    .change(|tx| meta::adoptions::forget_blob(tx, &digest))?;
                self.changes.files_lost += 1;
            }
        }
        Ok(())
    }
}

/// How far it is, said every second: nobody should wonder whether it hangs.
struct Progress {
    repositories: u64,
    manifests: u64,
    /// How many of both there are, if that is known before they are read.
    of: Option<(u64, u64)>,
    began: Instant,
    told: Instant,
}

impl Progress {
    fn new(source: &Source<'_>) -> Self {
        let now = Instant::now();
        let of = match source {
            Source::Directory { store, names, .. } => {
                let manifests = names.iter().map(|name| store.count_manifests(name)).sum();
                Some((names.len() as u64, manifests))
            }
            Source::Bucket(..) => None,
        };
        Self {
            repositories: 0,
            manifests: 0,
            of,
            began: now,
            told: now,
        }
    }

    fn tell(&mut self) {
        if self.told.elapsed() < PROGRESS_INTERVAL {
            return;
        }
        self.told = Instant::now();
        let elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (of_repositories, of) = self.of.unzip();
        tracing::info!(
            manifests = self.manifests,
            of,
            repositories = self.repositories,
            of_repositories,
            per_second = self.manifests.saturating_mul(1000) / elapsed_ms.max(1),
            "links are read into rows"
        );
    }
}
