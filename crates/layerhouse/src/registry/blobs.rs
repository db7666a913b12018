//! Blobs as a caller sees them: linked in a repository, whole, and hashing to their digest.

use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::{future::Future, pin::Pin};

use bytes::Bytes;
use layerhouse_oci::digest::{Digest, Hasher};
use layerhouse_oci::name::RepositoryName;
use tokio::task::JoinHandle;

use super::cache::{Key, LinkedBlob};
use super::events::{Action, Target, Thing};
use super::objects::UNKNOWN_STORE;
use super::policies::guard::Refused;
use super::policies::quota;
use super::{Registry, blocking};
use crate::auth::{Granted, GrantedBrowse, Pull, Push};
use crate::blobs::objects::read::ObjectReader;
use crate::blobs::read::{BlobFile, Window};
use crate::blobs::redirection::{Place, Redirection};
use crate::blobs::stretch::Stretch;
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::links::Link;
use crate::metrics;

/// A file that this process has not hashed yet is hashed before it is served, up to this size: 40 ms.
/// A larger one is hashed while it is served, and the connection is cut if it is damaged.
pub(super) const HASHED_FIRST_MAX_BYTES: u64 = 64 << 20;

/// A blob, open.
#[derive(Debug)]
pub(crate) struct BlobContent {
    pub(crate) digest: Digest,
    source: Source,
}

/// Where the bytes of a blob are.
#[derive(Debug)]
enum Source {
    File {
        file: BlobFile,
        /// It must be hashed while it is read.
        is_unverified: bool,
    },
    Object {
        key: Arc<str>,
        size_bytes: u64,
    },
}

/// Why a blob was not mounted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MountBlobError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Registry {
    /// The blob of this digest in a repository; `None` if it is not linked there, or if its bytes are
    /// missing or damaged: then a client that asks before it pushes sends them again.
    ///
    /// `is_whole` says that all of it will be read, from the start.
    ///
    /// # Errors
    /// The disk or the database failed.
    pub(crate) async fn pull_blob(
        self: &Arc<Self>,
        pull: &Granted<Pull>,
        digest: &Digest,
        is_whole: bool,
    ) -> Result<Option<BlobContent>, Fault> {
        let Some(linked) = self.linked(pull.repository(), digest)? else {
            return Ok(None);
        };
        let size_bytes = linked.size_bytes;
        if let Some(key) = linked.object_key {
            return Ok(Some(BlobContent {
                digest: digest.clone(),
                source: Source::Object { key, size_bytes },
            }));
        }
        let file = self.store.open_blob(digest)?;
        if file.is_none()
            && let Some(moved) = self.moved(digest, size_bytes)?
        {
            return Ok(Some(moved));
        }
        let found_bytes = file.as_ref().map(BlobFile::size_bytes);
        let is_whole_file = has_size(digest, size_bytes, found_bytes);
        let Some(mut file) = file.filter(|_| is_whole_file) else {
            return Ok(None);
        };
        let mut is_unverified = !self.verified.contains(digest, file.version());
        if is_unverified && !(is_whole && HASHED_FIRST_MAX_BYTES < file.size_bytes()) {
            // Not the one that was opened above: a push may have put another in its place.
            let Some(hashed) = self.verify_file(digest).await? else {
                return self.moved(digest, size_bytes);
            };
            file = hashed;
            is_unverified = false;
        }
        Ok(Some(BlobContent {
            digest: digest.clone(),
            source: Source::File {
                file,
                is_unverified,
            },
        }))
    }

    /// What a blob is whose file is gone, if it became an object since its row was looked at.
    fn moved(&self, digest: &Digest, size_bytes: u64) -> Result<Option<BlobContent>, Fault> {
        let key = self.object_key(digest)?;
        Ok(key.map(|key| {
            let key = Arc::from(key);
            let source = Source::Object { key, size_bytes };
            let digest = digest.clone();
            BlobContent { digest, source }
        }))
    }

    /// The key of the object that a blob is; `None` for a file.
    ///
    /// # Errors
    /// The database failed.
    pub(super) fn object_key(&self, digest: &Digest) -> Result<Option<String>, Fault> {
        if !self.store.has_buckets() {
            return Ok(None);
        }
        self.database.read(|tx| meta::objects::key(tx, digest))
    }

    /// Where a client can read a blob by itself, if it is to; for some minutes.
    ///
    /// # Errors
    /// There are no keys to sign the address with, or the store does not give them.
    pub(crate) async fn blob_address(
        &self,
        content: &BlobContent,
    ) -> Result<Option<String>, Fault> {
        let redirection = self.redirection.load();
        let now = self.clock.now();
        let objects = match &content.source {
            Source::Object { key, .. } => self.store.objects_of(key),
            Source::File { .. } => self.store.objects(),
        };
        match (&content.source, objects) {
            // What `middleware` says is said of what `storage` names.
            (Source::Object { key, .. }, Some(objects)) if objects.name().is_some() => {
                if objects.redirects() {
                    objects.address(key).await.map(Some)
                } else {
                    Ok(None)
                }
            }
            (Source::Object { key, .. }, Some(objects)) => {
                let is_wanted = objects.redirects() && !redirection.is_elsewhere();
                let own = if is_wanted {
                    Some(objects.address(key).await?)
                } else {
                    None
                };
                let (below_root, key) = (objects.below_root(key), objects.in_bucket(key));
                redirection.lead(own, Place { below_root, key }, now)
            }
            (Source::File { .. }, None) if redirection.is_elsewhere() => {
                let layout = self.store.layout();
                let path = layout.blob(&content.digest);
                let below_root = path.strip_prefix(layout.root()).unwrap_or(&path);
                let below_root = &*below_root.to_string_lossy();
                let key = below_root;
                redirection.lead(None, Place { below_root, key }, now)
            }
            // Beside a bucket, the servers that are named have what the bucket has.
            (Source::File { .. } | Source::Object { .. }, _) => Ok(None),
        }
    }

    /// Sends pulls where `redirection` says, from now on.
    pub(crate) fn redirect_by(&self, redirection: Redirection) {
        self.redirection.store(Arc::new(redirection));
    }

    /// The size in bytes of a blob in a repository; `None` as [`Registry::pull_blob`]. Whoever is told that it
    /// is there can rely on it for a while: it is not collected.
    ///
    /// # Errors
    /// The disk or the database failed.
    pub(crate) async fn blob_size(
        &self,
        pull: &Granted<Pull>,
        digest: &Digest,
    ) -> Result<Option<u64>, Fault> {
        let repository = pull.repository();
        if self.is_shared() {
            return self.promise_to_all(repository, digest).await;
        }
        // There is room for so many promises: none is for what is not there.
        if self.linked_size(repository, digest)?.is_none() {
            return Ok(None);
        }
        // Before the look that counts: a review sees the promise, or is seen by it.
        while !self.promises.give(repository, digest, self.clock.moment()) {
            let _lease = self.leases.take(digest).await;
        }
        match self.linked_size(repository, digest)? {
            Some(size_bytes) if self.is_whole(digest, size_bytes)? => Ok(Some(size_bytes)),
            _ => Ok(None),
        }
    }

    /// As [`Registry::blob_size`], where another process may collect: what waits to be reviewed is promised in its row.
    /// That is a commit, so a row that was written a moment ago is left as it is.
    async fn promise_to_all(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, Fault> {
        let Some(linked) = self.linked(repository, digest)? else {
            return Ok(None);
        };
        let now = self.clock.now();
        let again_after = self.limits.collection.promised_again_after();
        let is_due = linked
            .promised_at
            .is_some_and(|at| at.after(again_after) <= now);
        if is_due {
            let (name, digest) = (repository.clone(), digest.clone());
            let promised = self
                .database
                .write(move |tx| meta::reviews::promise(tx, &name, &digest, now));
            if !promised.await? {
                return Ok(None);
            }
        }
        // Of what is in no queue nothing is written down: it would have to be queued first, and waits then.
        let is_whole = linked.object_key.is_some() || self.is_whole(digest, linked.size_bytes)?;
        Ok(is_whole.then_some(linked.size_bytes))
    }

    /// The size of a blob in a repository as it was pushed.
    pub(super) fn linked_size(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<u64>, Fault> {
        let linked = self.linked(repository, digest)?;
        Ok(linked.map(|linked| linked.size_bytes))
    }

    fn linked(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<LinkedBlob>, Fault> {
        let key = Key::blob(repository, digest);
        let generation = self.database.generation();
        let known = self.cache.blob(generation, &key);
        if let Some(blob) = known.filter(|blob| !self.may_be_collected(blob)) {
            return Ok(Some(blob));
        }
        let looked = self
            .database
            .read(|tx| meta::reviews::look(tx, repository, digest))?;
        let Some(looked) = looked else {
            return Ok(None);
        };
        let blob = LinkedBlob {
            size_bytes: looked.size_bytes,
            object_key: looked.object_key.map(Arc::from),
            promised_at: looked.promised_at,
        };
        self.cache.keep_blob(generation, key, &blob);
        Ok(Some(blob))
    }

    /// Whether another process may have collected a blob that waits for its review, before its commit is noticed here.
    fn may_be_collected(&self, blob: &LinkedBlob) -> bool {
        let promise = self.limits.collection.promise;
        let is_over = |at: Timestamp| at.after(promise) <= self.clock.now();
        self.is_shared() && blob.promised_at.is_some_and(is_over)
    }

    /// Whether there is a published file that is as long as it was; it is not opened. Of an object the row is
    /// believed: to ask the store would cost each push a request for each of its layers.
    pub(super) fn is_whole(&self, digest: &Digest, size_bytes: u64) -> Result<bool, Fault> {
        if self.object_key(digest)?.is_some() {
            return Ok(true);
        }
        let found_bytes = self.store.blob_size(digest)?;
        // It may have been moved since.
        let is_moved = found_bytes.is_none() && self.object_key(digest)?.is_some();
        Ok(is_moved || has_size(digest, size_bytes, found_bytes))
    }

    /// Hashes a published file once for all who wait for it; the file, if it is good.
    ///
    /// It is a task of its own: a client that goes away neither ends it nor lets go of the lease
    /// while a thread still hashes.
    async fn verify_file(self: &Arc<Self>, digest: &Digest) -> Result<Option<BlobFile>, Fault> {
        let (registry, digest) = (Arc::clone(self), digest.clone());
        let hashing = tokio::spawn(async move {
            let _lease = registry.leases.take(&digest).await;
            let Some(file) = registry.store.open_blob(&digest)? else {
                return Ok(None);
            };
            let version = file.version();
            if registry.verified.contains(&digest, version) {
                return Ok(Some(file));
            }
            let _turn = registry.hashing.acquire().await;
            let (store, asked) = (Arc::clone(&registry.store), digest.clone());
            let is_good = blocking(move || store.rehash(&asked)).await??;
            match is_good {
                Some(true) => registry.verified.insert(&digest, version),
                Some(false) => {
                    registry.withdraw(&digest, version).await?;
                }
                None => {}
            }
            Ok((is_good == Some(true)).then_some(file))
        });
        let joined = hashing.await;
        joined.map_err(|error| Fault::new(FaultKind::Other, "hashing a blob", error))?
    }

    /// A reader of the bytes from `first` to before `end`; `None` if they are there no more.
    ///
    /// # Errors
    /// The object store does not answer.
    pub(crate) async fn read_blob(
        self: &Arc<Self>,
        content: BlobContent,
        first: u64,
        end: u64,
    ) -> Result<Option<BlobReader>, Fault> {
        let BlobContent { digest, source } = content;
        let key = match source {
            Source::File {
                file,
                is_unverified,
            } => {
                let hasher = is_unverified.then(|| Hasher::new(digest.algorithm()));
                let reader = FileReader::new(self, digest, file, first..end);
                return Ok(Some(BlobReader::File(Box::new(FileReader {
                    hasher,
                    ..reader
                }))));
            }
            Source::Object { key, size_bytes } => {
                let object = (&key, size_bytes);
                if let Some(file) = self.find_cached(&digest, object, end - first).await {
                    let reader = FileReader::new(self, digest, file, first..end);
                    return Ok(Some(BlobReader::File(Box::new(FileReader {
                        is_cached: true,
                        ..reader
                    }))));
                }
                key
            }
        };
        let Some(objects) = self.store.objects_of(&key) else {
            let what = format!("reading blob {digest}: {UNKNOWN_STORE}");
            return Err(Fault::plain(FaultKind::Unavailable, what));
        };
        let reader = objects.open_range(&key, first..end).await?;
        // It may have been collected since its row was looked at.
        if reader.is_none() && self.object_key(&digest)?.as_deref() == Some(&*key) {
            tracing::error!(%digest, %key, "a blob's object is missing; push it again to heal it");
            let registry = Arc::clone(self);
            // The row says so from then on, and whoever pushes sends it.
            tokio::spawn(async move {
                if let Err(fault) = registry.look_again(&digest).await {
                    tracing::error!(%digest, %fault, "a missing blob could not be taken note of");
                }
            });
        }
        Ok(reader.map(BlobReader::Object))
    }

    /// A reader of all bytes of a blob that is an object with this key, or a file; `None` if it is there no more, or not as
    /// long as it should be.
    ///
    /// # Errors
    /// The disk or the object store does not give it.
    pub(super) async fn read_anywhere(
        self: &Arc<Self>,
        digest: &Digest,
        object_key: Option<&str>,
        size_bytes: u64,
    ) -> Result<Option<BlobReader>, Fault> {
        if let Some(key) = object_key {
            let Some(objects) = self.store.objects_of(key) else {
                return Ok(None);
            };
            let reader = objects.open_range(key, 0..size_bytes).await?;
            return Ok(reader.map(BlobReader::Object));
        }
        let file = self.store.open_blob(digest)?;
        let file = file.filter(|file| file.size_bytes() == size_bytes);
        Ok(file.map(|file| {
            let reader = FileReader::new(self, digest.clone(), file, 0..size_bytes);
            BlobReader::File(Box::new(reader))
        }))
    }

    /// Links a blob that another repository has (end-11); whether it could be done.
    ///
    /// No right to the source, no such source and no such blob are all one answer.
    ///
    /// # Errors
    /// A quota is used up, or the disk or the database failed.
    pub(crate) async fn mount_blob(
        &self,
        push: &Granted<Push>,
        digest: &Digest,
        from: MountSource,
    ) -> Result<bool, MountBlobError> {
        self.store.check_room()?;
        let _lease = self.leases.take(digest).await;
        let size_bytes = self.database.read(|tx| match &from {
            MountSource::Repository(pull) => {
                meta::blobs::size_in(tx, pull.repository().as_str(), digest)
            }
            MountSource::Anywhere(_) => meta::blobs::size_anywhere(tx, digest),
        })?;
        let Some(size_bytes) = size_bytes else {
            return Ok(false);
        };
        if !self.is_whole(digest, size_bytes)? {
            return Ok(false);
        }
        let now = self.clock.now();
        let (repository, digest) = (push.repository().clone(), digest.clone());
        let teller = self.blob_teller(push, Action::Mount, now);
        let told = teller.clone();
        let policies = self.policies.load_full();
        let is_mounted = self
            .database
            .write(move |tx| {
                // The source may have gone since it was looked at; the lease keeps the bytes.
                let is_there = match &from {
                    MountSource::Repository(pull) => {
                        meta::blobs::size_in(tx, pull.repository().as_str(), &digest)?
                    }
                    MountSource::Anywhere(_) => meta::blobs::size_anywhere(tx, &digest)?,
                }
                .is_some();
                if is_there {
                    if let Some(teller) = &teller {
                        let digest = &digest;
                        let thing = Thing::Blob { digest, size_bytes };
                        let mut target = Target::new(&repository, thing);
                        target.from = from.repository();
                        teller.append(tx, &target)?;
                    }
                    let repository_id = meta::repositories::find_or_create(tx, &repository, now)?;
                    let place = (&repository, repository_id);
                    if quota::link(tx, &policies, place, &digest, now)?? {
                        meta::links::mark_stale(tx, &repository, &Link::Layer(digest))?;
                    }
                }
                Ok::<_, MountBlobError>(is_there)
            })
            .await?;
        if is_mounted {
            self.told(told.as_ref());
        }
        self.links_wanted.notify_one();
        Ok(is_mounted)
    }
}

/// Whether a published file is as long as it was.
fn has_size(digest: &Digest, size_bytes: u64, found_bytes: Option<u64>) -> bool {
    match found_bytes {
        Some(found_bytes) if found_bytes == size_bytes => return true,
        Some(found_bytes) => tracing::error!(
            %digest,
            size_bytes,
            found_bytes,
            "a blob's file has the wrong size; push it again to heal it"
        ),
        None => tracing::error!(%digest, "a blob's file is missing; push it again to heal it"),
    }
    false
}

/// Where a mount may take a blob from.
#[derive(Clone, Debug)]
pub(crate) enum MountSource {
    /// `from=`, and the caller may pull there.
    Repository(Granted<Pull>),
    /// No `from`: whichever repository has it, for a caller who may see them all.
    Anywhere(#[expect(dead_code, reason = "a proof is shown, not read")] GrantedBrowse),
}

impl MountSource {
    fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Repository(pull) => Some(pull.repository()),
            Self::Anywhere(_) => None,
        }
    }
}

impl BlobContent {
    pub(crate) fn size_bytes(&self) -> u64 {
        match &self.source {
            Source::File { file, .. } => file.size_bytes(),
            Source::Object { size_bytes, .. } => *size_bytes,
        }
    }
}

/// A window on its way from the disk, and the hash with it in it.
type Reading = JoinHandle<std::io::Result<(Bytes, Option<Hasher>)>>;

/// Reads a blob.
#[derive(Debug)]
pub(crate) enum BlobReader {
    File(Box<FileReader>),
    Object(ObjectReader),
}

/// Reads a file window by window: from the page cache where it stands, else on a thread that may wait.
#[derive(Debug)]
pub(crate) struct FileReader {
    registry: Arc<Registry>,
    digest: Digest,
    file: BlobFile,
    /// It is one of the cache, and the blob is an object.
    is_cached: bool,
    at: u64,
    end: u64,
    /// For a blob that is hashed while it is read.
    hasher: Option<Hasher>,
    reading: Option<Reading>,
}

/// What comes next of a blob.
#[derive(Debug)]
pub(crate) enum Piece {
    Window(Bytes),
    /// In the page cache: the kernel can send it.
    Stretch(Stretch),
}

impl BlobReader {
    /// Bytes still to come.
    pub(crate) fn remaining_bytes(&self) -> u64 {
        match self {
            Self::File(reader) => reader.end - reader.at,
            Self::Object(reader) => reader.remaining_bytes(),
        }
    }

    /// The next window, or a stretch that needs none; as [`BlobReader::poll_window`].
    pub(crate) fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece, Fault>>> {
        match self {
            Self::File(reader) => reader.poll_piece(context),
            Self::Object(reader) => reader.poll_next(context).map_ok(Piece::Window),
        }
    }

    /// The next window; `None` at the end. After an error the answer cannot be completed.
    pub(crate) fn poll_window(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Fault>>> {
        match self {
            Self::File(reader) => reader.poll_window(context),
            Self::Object(reader) => reader.poll_next(context),
        }
    }
}

impl FileReader {
    /// Of bytes that need not be hashed.
    fn new(registry: &Arc<Registry>, digest: Digest, file: BlobFile, bytes: Range<u64>) -> Self {
        Self {
            registry: Arc::clone(registry),
            digest,
            file,
            is_cached: false,
            at: bytes.start,
            end: bytes.end,
            hasher: None,
            reading: None,
        }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Piece, Fault>>> {
        if self.reading.is_none() && self.hasher.is_none() {
            let Self { digest, file, .. } = &*self;
            if let Some(stretch) = file.cached_stretch(digest, self.at, self.end) {
                self.at += stretch.length() as u64;
                return Poll::Ready(Some(Ok(Piece::Stretch(stretch))));
            }
        }
        self.poll_window(context).map_ok(Piece::Window)
    }

    fn poll_window(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        if self.at == self.end {
            return Poll::Ready(None);
        }
        if self.reading.is_none() {
            let buffers = self.registry.store.buffers();
            if self.hasher.is_none() {
                match self.file.cached_window(buffers, self.at, self.end) {
                    Ok(Window::Ready(window)) => return Poll::Ready(Some(Ok(self.pass(window)))),
                    Ok(Window::OnDisk) => {}
                    Err(error) => return Poll::Ready(Some(Err(self.broken(error)))),
                }
            }
            self.reading = Some(self.read_from_disk());
        }
        let reading = self.reading.as_mut().expect("it was begun above");
        let result = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        Poll::Ready(Some(match result {
            Ok(Ok((window, hasher))) => {
                self.hasher = hasher;
                let window = self.pass(window);
                // The last window is held back until the whole is known to be good.
                if self.at == self.end && !self.settle() {
                    return Poll::Ready(Some(Err(Fault::plain(
                        FaultKind::Damaged,
                        format!("blob {} does not hash to its digest", self.digest),
                    ))));
                }
                Ok(window)
            }
            Ok(Err(error)) => Err(self.broken(error)),
            Err(error) => Err(Fault::new(FaultKind::Other, "reading a blob", error)),
        }))
    }

    fn read_from_disk(&mut self) -> Reading {
        let file = self.file.clone();
        let store = Arc::clone(&self.registry.store);
        let (at, end) = (self.at, self.end);
        let mut hasher = self.hasher.take();
        tokio::task::spawn_blocking(move || {
            let timed = store.actions().time(metrics::Action::Reader);
            let window = file.window(store.buffers(), at, end)?;
            drop(timed);
            if let Some(hasher) = &mut hasher {
                hasher.update(&window);
            }
            Ok((window, hasher))
        })
    }

    fn pass(&mut self, window: Bytes) -> Bytes {
        self.at += window.len() as u64;
        assert!(self.at <= self.end, "a window ends where it was told to");
        window
    }

    /// At the end of a blob that was hashed on the way: whether it is good.
    fn settle(&mut self) -> bool {
        let Some(hasher) = self.hasher.take() else {
            return true;
        };
        let version = self.file.version();
        let is_good = hasher.finish() == self.digest;
        if is_good {
            self.registry.verified.insert(&self.digest, version);
        } else {
            let (registry, digest) = (Arc::clone(&self.registry), self.digest.clone());
            tokio::spawn(async move {
                let _lease = registry.leases.take(&digest).await;
                if let Err(fault) = registry.withdraw(&digest, version).await {
                    tracing::error!(%digest, %fault, "a damaged blob could not be taken note of");
                }
            });
        }
        is_good
    }

    fn broken(&self, error: std::io::Error) -> Fault {
        if self.is_cached {
            self.registry.drop_cached(&self.digest);
        }
        Fault::io(format!("reading blob {}", self.digest), error)
    }
}

#[cfg(test)]
mod tests {
    use layerhouse_oci::digest::Algorithm;

    use crate::registry::collection::simulation::pull;
    use crate::registry::house::House;

    use super::*;

    #[tokio::test]
    async fn what_is_not_there_is_not_promised() {
        let house = House::build().await;
        let (registry, granted) = (&house.registry, pull(&house.name));
        let missing = Digest::of(Algorithm::Sha256, b"never pushed");
        let is_promised = |digest| {
            let moment = registry.clock.moment();
            registry.promises.is_given(&house.name, digest, moment)
        };
        for (digest, is_there) in [(&missing, false), (&house.digest, true)] {
            assert!(!is_promised(digest));
            let asked = registry.blob_size(&granted, digest).await;
            assert_eq!(asked.expect("it can be asked").is_some(), is_there);
            assert_eq!(is_promised(digest), is_there);
        }
        registry.close();
    }
}
