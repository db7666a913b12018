//! Staged bytes: an upload while it arrives, hashed as it is written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use bytes::Bytes;
use layerhouse_oci::digest::{Algorithm, Digest, Hasher};
use layerhouse_oci::upload_id::UploadId;

use super::Store;
use super::objects::Objects;
use super::objects::stage::{Mark, ObjectStage, Saved};
use super::read::BlobFile;
use crate::fault::{Fault, FaultKind};
use crate::metrics::Action;

/// How much is read at a time when bytes are hashed once more.
const REREAD_BYTES: usize = 256 << 10;

/// An upload's bytes so far, contiguous from 0. Its writer holds it; nobody else has it.
pub(crate) struct Stage {
    store: Arc<Store>,
    upload: UploadId,
    place: Place,
    hasher: Hasher,
}

/// Where staged bytes are.
enum Place {
    File(File),
    Object(Box<ObjectStage>),
}

/// Where a stage stood, to come back to with [`Stage::rewind`].
#[derive(Clone, Debug)]
pub(crate) struct Checkpoint {
    hasher: Hasher,
    /// For an object.
    mark: Option<Mark>,
}

impl Checkpoint {
    pub(crate) fn held_bytes(&self) -> u64 {
        self.hasher.hashed_bytes()
    }
}

/// Bytes whose hash we computed and compared; only these can be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VerifiedBlob {
    digest: Digest,
    size_bytes: u64,
}

impl VerifiedBlob {
    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }
}

/// The staged bytes hash to something else than was claimed.
#[derive(Debug)]
pub(crate) struct Mismatch {
    pub(crate) actual: Digest,
}

impl Stage {
    /// Opens an upload's file, or makes it, and goes on at the end of what it holds; with a bucket, begins an object
    /// there. `writer` is who claims an upload into an object, if one must.
    ///
    /// Bytes that it holds already are hashed (1.7 GB/s), for after a restart the file is the only
    /// truth about how far the upload came: after a power cut it may be shorter than what the client
    /// was told.
    ///
    /// # Errors
    /// The file cannot be made or read.
    pub(crate) fn open(
        store: &Arc<Store>,
        upload: &UploadId,
        bucket: Option<&Arc<Objects>>,
        writer: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Self, Fault> {
        let hasher = Hasher::new(algorithm);
        if let Some(objects) = bucket {
            let stage = ObjectStage::new(objects, upload, writer, &hasher);
            return Ok(Self::over(store, upload, stage, hasher));
        }
        Self::open_file(store, upload, algorithm)
    }

    /// The same for a file, wherever blobs are: others read it while it grows ([`Stage::shared`]).
    ///
    /// # Errors
    /// The file cannot be made or read.
    pub(crate) fn open_file(
        store: &Arc<Store>,
        upload: &UploadId,
        algorithm: Algorithm,
    ) -> Result<Self, Fault> {
        let mut file = open_file(store, upload)?;
        let hasher = hash(&mut file, algorithm)
            .map_err(|error| Fault::io("reading a staging file", error))?;
        Ok(Self {
            store: Arc::clone(store),
            upload: upload.clone(),
            place: Place::File(file),
            hasher,
        })
    }

    /// Goes on with an upload into an object, of which this was written down.
    ///
    /// # Errors
    /// It is not what we write, or its bucket is configured no more.
    pub(crate) fn resume(
        store: &Arc<Store>,
        upload: &UploadId,
        writer: Option<&str>,
        saved: Saved,
    ) -> Result<Self, Fault> {
        let missing = || {
            Fault::plain(
                FaultKind::Damaged,
                "the bucket of an upload is not configured",
            )
        };
        let objects = store.objects_of(&saved.key()?).ok_or_else(missing)?;
        let (stage, hasher) = ObjectStage::resume(objects, upload, writer, saved)?;
        Ok(Self::over(store, upload, stage, hasher))
    }

    fn over(store: &Arc<Store>, upload: &UploadId, stage: ObjectStage, hasher: Hasher) -> Self {
        Self {
            store: Arc::clone(store),
            upload: upload.clone(),
            place: Place::Object(Box::new(stage)),
            hasher,
        }
    }

    /// Opens an upload's file again within one life of the process, with the hash kept meanwhile.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn reopen(
        store: &Arc<Store>,
        upload: &UploadId,
        hasher: Hasher,
    ) -> Result<Self, Fault> {
        let mut file = open_file(store, upload)?;
        let held_bytes = file
            .seek(SeekFrom::End(0))
            .map_err(|error| Fault::io("opening a staging file", error))?;
        let mut hasher = hasher;
        if held_bytes != hasher.hashed_bytes() {
            tracing::warn!(%upload, held_bytes, "a staging file changed behind our back");
            hasher = hash(&mut file, hasher.algorithm())
                .map_err(|error| Fault::io("reading a staging file", error))?;
        }
        Ok(Self {
            store: Arc::clone(store),
            upload: upload.clone(),
            place: Place::File(file),
            hasher,
        })
    }

    /// The hash so far, for [`Stage::reopen`]; the file is closed. `None` for an object: what counts of it is
    /// written down.
    pub(crate) fn into_hasher(self) -> Option<Hasher> {
        match self.place {
            Place::File(_) => Some(self.hasher),
            Place::Object(_) => None,
        }
    }

    /// What another request needs to go on with an object; `None` for a file, which says it itself.
    ///
    /// # Errors
    /// The object store does not take what must be there.
    pub(crate) fn save(&mut self) -> Result<Option<Saved>, Fault> {
        match &mut self.place {
            Place::File(_) => Ok(None),
            Place::Object(stage) => stage.save(&mut self.hasher).map(Some),
        }
    }

    /// Waits for what is on its way to an object store; a tail that can be a part goes with it.
    ///
    /// # Errors
    /// It does not arrive: the stage holds what came before, and can be saved.
    pub(crate) fn settle(&mut self) -> Result<(), Fault> {
        match &mut self.place {
            Place::File(_) => Ok(()),
            Place::Object(stage) => stage.settle(&mut self.hasher),
        }
    }

    /// What is on its way to an object store, for whoever drops the stage: see [`ObjectStage::leave`].
    pub(crate) fn leave(&mut self) -> Option<impl Future<Output = ()> + Send + use<>> {
        match &mut self.place {
            Place::File(_) => None,
            Place::Object(stage) => stage.leave(),
        }
    }

    /// The key of the object that it becomes; `None` for a file.
    pub(crate) fn object_key(&self) -> Option<&str> {
        match &self.place {
            Place::File(_) => None,
            Place::Object(stage) => Some(stage.key()),
        }
    }

    /// Gives up what is staged.
    pub(crate) fn discard(&mut self) {
        match &mut self.place {
            Place::File(_) => self.store.remove_stage(&self.upload),
            Place::Object(stage) => stage.discard(),
        }
    }

    /// The same file, for those who read what was staged while more comes.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn shared(&self) -> Result<BlobFile, Fault> {
        let path = self.store.layout().stage(&self.upload);
        let opened = File::open(path).and_then(|file| {
            let metadata = file.metadata()?;
            Ok(BlobFile::growing(file, &metadata))
        });
        opened.map_err(|error| Fault::io("opening a staging file", error))
    }

    /// Bytes staged so far.
    pub(crate) fn held_bytes(&self) -> u64 {
        self.hasher.hashed_bytes()
    }

    /// Appends bytes, all or none of them.
    ///
    /// # Errors
    /// The disk is full or failed; the stage holds what it held before. Of an object it may hold less then, down to what
    /// it held at its last checkpoint.
    pub(crate) fn append(&mut self, batch: &[Bytes]) -> Result<(), Fault> {
        let held_bytes = self.held_bytes();
        // Of an object, what is sent to its store is timed there.
        let is_file = matches!(self.place, Place::File(_));
        let timed = is_file.then(|| self.store.actions.time(Action::Writer));
        let written =
            self.store
                .steps
                .take("stage.write")
                .map_err(|error| Fault::io("writing staged bytes", error))
                .and_then(|()| self.store.check_room())
                .and_then(|()| match &mut self.place {
                    Place::File(file) => write_all(file, batch)
                        .map_err(|error| Fault::io("writing staged bytes", error)),
                    Place::Object(stage) => stage.append(batch, &mut self.hasher),
                });
        drop(timed);
        if let Err(fault) = written {
            self.cut(held_bytes);
            return Err(self.store.note(fault));
        }
        for bytes in batch {
            self.hasher.update(bytes);
        }
        let more_bytes = self.held_bytes() - held_bytes;
        self.store.actions.add_received_bytes(more_bytes);
        Ok(())
    }

    /// Where the stage stands, to come back to with [`Stage::rewind`].
    ///
    /// # Errors
    /// The object store does not take what was on its way there.
    pub(crate) fn checkpoint(&mut self) -> Result<Checkpoint, Fault> {
        let mark = match &mut self.place {
            Place::File(_) => None,
            Place::Object(stage) => Some(stage.mark(&mut self.hasher)?),
        };
        Ok(Checkpoint {
            hasher: self.hasher.clone(),
            mark,
        })
    }

    /// Drops what was appended since, when a chunk turned out not to be what it said.
    pub(crate) fn rewind(&mut self, checkpoint: Checkpoint) {
        self.cut(checkpoint.held_bytes());
        if let (Place::Object(stage), Some(mark)) = (&mut self.place, checkpoint.mark) {
            stage.rewind(mark);
        }
        self.hasher = checkpoint.hasher;
    }

    fn cut(&mut self, held_bytes: u64) {
        // An object's stage takes a batch whole or not at all, and goes back by itself.
        let Place::File(file) = &mut self.place else {
            return;
        };
        let cut = file
            .set_len(held_bytes)
            .and_then(|()| file.seek(SeekFrom::Start(held_bytes)));
        if let Err(error) = cut {
            tracing::error!(upload = %self.upload, %error, "a staging file could not be cut back");
        }
    }

    /// Compares the bytes with the digest that the client claims.
    ///
    /// # Errors
    /// [`Mismatch`] within, or the file cannot be read for another algorithm.
    pub(crate) fn verify(
        &mut self,
        claimed: &Digest,
    ) -> Result<Result<VerifiedBlob, Mismatch>, Fault> {
        // Bytes are hashed as SHA-256 when they arrive, before the client tells its algorithm.
        if claimed.algorithm() != self.hasher.algorithm() {
            self.hasher = match &mut self.place {
                Place::File(file) => hash(file, claimed.algorithm())
                    .map_err(|error| Fault::io("reading staged bytes", error))?,
                Place::Object(stage) => stage.hash(claimed.algorithm(), &mut self.hasher)?,
            };
        }
        let size_bytes = self.held_bytes();
        let actual = self.hasher.clone().finish();
        Ok(if actual == *claimed {
            Ok(VerifiedBlob {
                digest: actual,
                size_bytes,
            })
        } else {
            Err(Mismatch { actual })
        })
    }

    /// Makes the bytes durable. Without it a power cut after the 201 leaves an empty file.
    ///
    /// # Errors
    /// The disk failed; the store takes no more writes.
    pub(crate) fn sync(&mut self) -> Result<(), Fault> {
        let is_file = matches!(self.place, Place::File(_));
        let _timed = is_file.then(|| self.store.actions.time(Action::Writer));
        self.store
            .steps
            .take("stage.sync")
            .map_err(|error| Fault::io("syncing staged bytes", error))
            .and_then(|()| match &mut self.place {
                Place::File(file) => file
                    .sync_all()
                    .map_err(|error| Fault::io("syncing staged bytes", error)),
                Place::Object(stage) => stage.publish(&mut self.hasher),
            })
            .map_err(|fault| self.store.note(fault))
    }

    /// Writes a file's bytes as an object that nobody knows yet; its key. `stop` ends before its time what would take
    /// long.
    ///
    /// # Errors
    /// The file cannot be read or has other bytes, the store does not take them, or it was stopped.
    pub(crate) async fn copy_to_object(
        &self,
        objects: &Arc<Objects>,
        blob: &VerifiedBlob,
        stop: impl Future<Output = ()>,
    ) -> Result<String, Fault> {
        let Place::File(file) = &self.place else {
            let what = "what is staged is an object already";
            return Err(Fault::plain(FaultKind::Other, what));
        };
        let key = objects.key_of(&self.upload, None);
        let copied = match file.try_clone() {
            Ok(file) => objects.put_file(&key, file, blob, stop).await,
            Err(error) => Err(Fault::io("opening a staging file again", error)),
        };
        copied.map_err(|fault| self.store.note(fault))?;
        Ok(key)
    }

    pub(crate) fn upload(&self) -> &UploadId {
        &self.upload
    }
}

impl Store {
    /// Removes an upload's file; its space is free at once unless it was published.
    pub(crate) fn remove_stage(&self, upload: &UploadId) {
        let _timed = self.actions.time(Action::Delete);
        match fs::remove_file(self.layout().stage(upload)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%upload, %error, "a staging file could not be removed"),
        }
    }

    /// What the staging directory holds.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn stages(&self) -> Result<Vec<StagedFile>, Fault> {
        let _timed = self.actions.time(Action::List);
        let fault = |error| Fault::io("listing staged uploads", error);
        let mut found = Vec::new();
        for entry in fs::read_dir(self.layout().stages()).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            let metadata = entry.metadata().map_err(fault)?;
            let id = entry.file_name().to_string_lossy().parse();
            let (Ok(upload), true) = (id, metadata.is_file()) else {
                tracing::warn!(path = %entry.path().display(), "an unknown entry was left alone");
                continue;
            };
            found.push(StagedFile {
                upload,
                size_bytes: metadata.len(),
                is_linked: 1 < metadata.nlink(),
            });
        }
        Ok(found)
    }

    /// The digest of a staged file, for one whose publication was interrupted.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn staged_digest(
        &self,
        upload: &UploadId,
        algorithm: Algorithm,
    ) -> Result<Digest, Fault> {
        File::open(self.layout().stage(upload))
            .and_then(|mut file| hash(&mut file, algorithm))
            .map(Hasher::finish)
            .map_err(|error| Fault::io("reading a staged upload", error))
    }
}

/// A file in the staging directory.
#[derive(Clone, Debug)]
pub(crate) struct StagedFile {
    pub(crate) upload: UploadId,
    pub(crate) size_bytes: u64,
    /// It has a second name: its publication had begun.
    pub(crate) is_linked: bool,
}

/// An upload's own file.
fn open_file(store: &Store, upload: &UploadId) -> Result<File, Fault> {
    let open = || -> io::Result<File> {
        store.steps.take("stage.open")?;
        let path = store.layout().stage(upload);
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        let file = options.open(&path)?;
        if file.metadata()?.nlink() == 1 {
            return Ok(file);
        }
        // Its publication was interrupted after the link, over a blob that was there already: what
        // is written to the file now would be written into that blob.
        let own = store.layout().scratch().join(upload.as_str());
        match fs::remove_file(&own) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::copy(&path, &own)?;
        fs::rename(&own, &path)?;
        options.open(&path)
    };
    open().map_err(|error| Fault::io("opening a staging file", error))
}

/// Hashes a file from its start and leaves its position at the end.
pub(super) fn hash(file: &mut File, algorithm: Algorithm) -> io::Result<Hasher> {
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; REREAD_BYTES];
    file.rewind()?;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher),
            length => hasher.update(&buffer[..length]),
        }
    }
}

pub(super) fn write_all(file: &mut File, batch: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = batch.iter().map(|bytes| IoSlice::new(bytes)).collect();
    let mut rest = slices.as_mut_slice();
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => IoSlice::advance_slices(&mut rest, length),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
