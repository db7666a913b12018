//! Bytes as objects of a store that others keep: S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage.
//!
//! An object's key is an id that is used once, and the row says which blob it is: nothing is copied or renamed
//! when an upload is finished, nothing is listed to find a blob, and no two writers meet at a key. A key says which
//! bucket it is in: `//archive/images/…` is `images/…` in the one that is called `archive`, and one that does not begin
//! with `//` is in the one without a name. Calls block like those of the files, but for those that `async` says of.

mod copy;
pub(crate) mod read;
pub(crate) mod sending;
mod service;
pub(crate) mod settings;
pub(crate) mod stage;
pub(crate) mod survey;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use layerhouse_oci::upload_id::UploadId;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Error, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload,
};
use settings::{Bucket, Service};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};
use crate::metrics::{Action, StorageActions};

/// How long a client may use an address that it was sent to: as with registry:2.
const REDIRECT_VALID: Duration = Duration::from_mins(20);
/// What we keep under the root that the operator named.
const OWN: &str = "layerhouse/blobs";
/// What says whose bucket this is.
const MARK: &str = "layerhouse/registry";

/// The objects of one registry, in one bucket.
pub(crate) struct Objects {
    /// `//archive/`: what keys of it begin with, and objects in it do not; empty for the bucket without a name.
    prefix: String,
    store: Box<dyn service::Store>,
    actions: Arc<StorageActions>,
    bucket: Bucket,
    attributes: Attributes,
    runtime: Threads,
    /// Of files that are copied: MiB that may be in memory.
    copying: Arc<Semaphore>,
    /// Of pushes into all buckets: MiB of parts that are sent while more comes.
    sending: Arc<Semaphore>,
    pace: sending::Pace,
}

/// What waits for answers of the store.
enum Threads {
    /// Those that serve.
    Shared(Handle),
    /// A command has none.
    Own(Runtime),
}

/// An object that is there.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) key: String,
    pub(crate) size_bytes: u64,
    /// By the store's clock.
    pub(crate) written_at: Timestamp,
}

impl fmt::Debug for Objects {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bucket.fmt(out)
    }
}

impl Objects {
    /// Gets ready to ask a bucket; it is not asked yet. `sending` is the room that all buckets have for parts of pushes.
    ///
    /// # Errors
    /// What is said of it cannot be.
    pub(crate) fn open(
        name: Option<&str>,
        bucket: &Bucket,
        actions: Arc<StorageActions>,
        sending: Arc<Semaphore>,
    ) -> Result<Self, Fault> {
        let mut attributes = Attributes::new();
        if let Service::S3(s3) = &bucket.service
            && let Some(class) = &s3.storage_class
        {
            attributes.insert(Attribute::StorageClass, class.clone().into());
        }
        let runtime = match Handle::try_current() {
            Ok(handle) => Threads::Shared(handle),
            Err(_) => Threads::Own(own_runtime()?),
        };
        Ok(Self {
            prefix: name.map(prefix_of).unwrap_or_default(),
            store: service::open(bucket)?,
            actions,
            bucket: bucket.clone(),
            attributes,
            runtime,
            copying: Arc::new(Semaphore::new(copy::MIB_MAX as usize)),
            sending,
            pace: sending::Pace::default(),
        })
    }

    /// Looks whether the bucket is one that we can use.
    ///
    /// # Errors
    /// There is no such bucket, or it refuses us. A store that does not answer now is no error: it may when somebody
    /// asks.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let refused = |what: &str, error: &Error| {
            let (name, root) = (&self.bucket.name, &self.bucket.root);
            let what = format!("the bucket {name} (rootdirectory {root:?}) {what}: {error}");
            Fault::plain(FaultKind::Other, what)
        };
        let own = self.path(OWN);
        let first = self.wait(async { self.store.list(Some(&own)).next().await });
        match first.map(|found| found.map_err(service::told)) {
            None | Some(Ok(_)) => Ok(()),
            Some(Err(error @ Error::NotFound { .. })) => Err(refused("does not exist", &error)),
            Some(Err(error @ (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }))) => {
                Err(refused("refuses us", &error))
            }
            Some(Err(error)) => {
                tracing::error!(bucket = self.bucket.name, %error, "the object store does not answer");
                Ok(())
            }
        }
    }

    /// The id of a database that stands in the bucket, and the bucket's name behind it, if it has one; `None` if there is
    /// no mark.
    ///
    /// # Errors
    /// The store does not answer, or refuses us.
    pub(crate) fn mark(&self) -> Result<Option<String>, Fault> {
        let path = self.path(MARK);
        let read = self.wait(async {
            match self.store.get(&path).await {
                Ok(found) => found.bytes().await.map(Some),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let read = read.map_err(|error| unreachable("looking whose bucket it is", error))?;
        Ok(read.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()))
    }

    /// Whether the store answers, and has a bucket of ours.
    ///
    /// # Errors
    /// It does not, or refuses us; the bucket is gone, or was never looked at because the store did not answer.
    pub(crate) fn probe(&self) -> Result<(), Fault> {
        if self.mark()?.is_some() {
            return Ok(());
        }
        let what = format!(
            "{} has no object layerhouse/registry: it is gone or another one, or the store did not answer at the \
             start; a start looks again",
            self.place()
        );
        Err(Fault::plain(FaultKind::Unavailable, what))
    }

    /// Writes down which bucket it is.
    ///
    /// # Errors
    /// The store does not take it.
    pub(crate) fn set_mark(&self, id: &str) -> Result<(), Fault> {
        let key = self.key_at(&self.path(MARK));
        let mark = self.mark_of(id);
        self.put(&key, vec![Bytes::from(format!("{mark}\n"))])
    }

    /// Whether there is any object that we, or another like us, wrote.
    ///
    /// # Errors
    /// The store does not answer.
    pub(crate) fn has_any(&self) -> Result<bool, Fault> {
        let own = self.path(OWN);
        match self.wait(async { self.store.list(Some(&own)).next().await }) {
            None => Ok(false),
            Some(Ok(_)) => Ok(true),
            Some(Err(error)) => Err(unreachable("listing objects", error)),
        }
    }

    /// What stands in it, if it is the one of this name of the database with this id.
    pub(crate) fn mark_of(&self, id: &str) -> String {
        self.name()
            .map_or_else(|| id.to_owned(), |name| format!("{id} {name}"))
    }

    /// What it is called; `None` for the one without a name.
    pub(crate) fn name(&self) -> Option<&str> {
        bucket_of(&self.prefix)
    }

    /// The bucket, as a person names it.
    pub(crate) fn place(&self) -> String {
        self.bucket.place()
    }

    /// Whether pulls are sent to the store itself.
    pub(crate) fn redirects(&self) -> bool {
        self.bucket.redirects
    }

    /// The key of an upload's bytes.
    pub(super) fn key_of(&self, upload: &UploadId, writer: Option<&str>) -> String {
        match writer {
            Some(writer) => self.key(&format!("{upload}.{writer}")),
            None => self.key(upload.as_str()),
        }
    }

    fn key(&self, name: &str) -> String {
        self.key_at(&self.path(&format!("{OWN}/{name}")))
    }

    /// The key of what is there in the bucket.
    fn key_at(&self, path: &Path) -> String {
        format!("{}{path}", self.prefix)
    }

    /// A key as the bucket has it.
    pub(crate) fn in_bucket<'a>(&self, key: &'a str) -> &'a str {
        key.strip_prefix(&self.prefix).unwrap_or(key)
    }

    /// A key without the root that the operator named.
    pub(crate) fn below_root<'a>(&self, key: &'a str) -> &'a str {
        let key = self.in_bucket(key);
        let below = key.strip_prefix(self.path("").as_ref()).unwrap_or(key);
        below.trim_start_matches('/')
    }

    fn path(&self, below: &str) -> Path {
        verbatim(&format!("{}/{below}", self.bucket.root))
    }

    fn path_of(&self, key: &str) -> Path {
        verbatim(self.in_bucket(key))
    }

    /// How long an object is; `None` if there is none.
    ///
    /// # Errors
    /// The store does not answer.
    pub(crate) fn size_bytes(&self, key: &str) -> Result<Option<u64>, Fault> {
        let _timed = self.actions.time(Action::Stat);
        match self.wait(self.store.head(&self.path_of(key))) {
            Ok(found) => Ok(Some(found.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(unreachable("looking at an object", error)),
        }
    }

    /// Writes an object whole.
    ///
    /// # Errors
    /// The store does not take it.
    pub(crate) fn put(&self, key: &str, content: Vec<Bytes>) -> Result<(), Fault> {
        let _timed = self.actions.time(Action::PutContent);
        let options = PutOptions {
            attributes: self.attributes.clone(),
            ..PutOptions::default()
        };
        let payload = PutPayload::from_iter(content);
        self.wait(self.store.put_opts(&self.path_of(key), payload, options))
            .map(drop)
            .map_err(|error| unreachable("writing an object", error))
    }

    fn begin_parts(&self, key: &str) -> Result<String, Fault> {
        let options = PutMultipartOptions {
            attributes: self.attributes.clone(),
            ..PutMultipartOptions::default()
        };
        let path = self.path_of(key);
        self.wait(self.store.create_multipart_opts(&path, options))
            .map_err(|error| unreachable("beginning an object", error))
    }

    /// Makes the parts an object of so many bytes; whether it was there already, and the parts were not.
    fn end_parts(
        &self,
        (key, multipart): (&str, &str),
        parts: Vec<String>,
        size_bytes: u64,
    ) -> Result<bool, Fault> {
        let (path, multipart) = (self.path_of(key), multipart.to_owned());
        let parts = parts.into_iter().map(|content_id| PartId { content_id });
        let _timed = self.actions.time(Action::Move);
        let ending = self
            .store
            .complete_multipart(&path, &multipart, parts.collect());
        match self.wait(ending).map_err(service::told) {
            Ok(_) => Ok(false),
            // It was done before, and the answer did not reach us.
            Err(Error::NotFound { .. }) if self.size_bytes(key)? == Some(size_bytes) => Ok(true),
            // Another part came behind one of ours.
            Err(error) if service::is_of_other_parts(&error) => Err(Fault::new(
                FaultKind::Damaged,
                "completing an object",
                error,
            )),
            Err(error) => Err(unreachable("completing an object", error)),
        }
    }

    /// Gives parts up, which cost their space until then.
    fn give_up(&self, key: &str, multipart: &str) {
        let (path, multipart) = (self.path_of(key), multipart.to_owned());
        match self.wait(self.store.abort_multipart(&path, &multipart)) {
            Ok(()) | Err(Error::NotFound { .. }) => {}
            Err(error) => tracing::warn!(key, %error, "the parts of an upload were left behind"),
        }
    }

    /// Removes objects; those that are there no more.
    ///
    /// # Errors
    /// The store does not answer at all.
    pub(crate) fn remove(&self, keys: &[String]) -> Result<Vec<String>, Fault> {
        let _timed = self.actions.time(Action::Delete);
        let paths: Vec<_> = keys.iter().map(|key| Ok(self.path_of(key))).collect();
        self.wait(async {
            let mut removing = self.store.delete_stream(stream::iter(paths).boxed());
            let (mut gone, mut failed) = (Vec::new(), None);
            while let Some(removed) = removing.next().await {
                match removed {
                    Ok(path) => gone.push(self.key_at(&path)),
                    Err(Error::NotFound { path, .. }) => {
                        gone.push(format!("{}{path}", self.prefix));
                    }
                    Err(error) => failed = Some(error),
                }
            }
            match failed {
                Some(error) if gone.is_empty() => Err(unreachable("removing objects", error)),
                Some(error) => {
                    tracing::warn!(%error, "an object could not be removed yet");
                    Ok(gone)
                }
                None => Ok(gone),
            }
        })
    }

    /// Calls `see` for each object of ours.
    ///
    /// # Errors
    /// The store does not answer, or `see` fails.
    pub(crate) fn each(
        &self,
        mut see: impl FnMut(Found) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let path = self.path(OWN);
        let mut listing = self.store.list(Some(&path));
        let next = |error| unreachable("listing objects", error);
        while let Some(found) = self.wait(listing.try_next()).map_err(next)? {
            see(Found {
                key: self.key_at(&found.location),
                size_bytes: found.size,
                written_at: Timestamp(found.last_modified.timestamp_millis()),
            })?;
        }
        Ok(())
    }

    /// An address at which whoever knows it can read the object for a while.
    ///
    /// # Errors
    /// There are no keys to sign it with.
    pub(crate) async fn address(&self, key: &str) -> Result<String, Fault> {
        let path = self.path_of(key);
        let signing = self
            .store
            .signed_url(http::Method::GET, &path, REDIRECT_VALID);
        let address = signing.await;
        address
            .map(String::from)
            .map_err(|error| unreachable("signing the address of an object", error))
    }

    fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        match &self.runtime {
            Threads::Shared(handle) => handle.block_on(answer),
            Threads::Own(runtime) => runtime.block_on(answer),
        }
    }

    fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        match &self.runtime {
            Threads::Shared(handle) => handle.spawn(work),
            // It goes on while somebody waits for an answer.
            Threads::Own(runtime) => runtime.spawn(work),
        }
    }
}

fn own_runtime() -> Result<Runtime, Fault> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::io("starting a runtime", error))
}

/// The key as it is: made from a path, it would be escaped where S3 advises against a character of the root, which
/// registry:2 does not do.
fn verbatim(key: &str) -> Path {
    Path::parse(key).unwrap_or_else(|_| Path::from(key))
}

fn prefix_of(name: &str) -> String {
    format!("//{name}/")
}

/// The bucket that a key is in, by its name; `None` for the one without.
pub(crate) fn bucket_of(key: &str) -> Option<&str> {
    key.strip_prefix("//")
        .and_then(|rest| rest.split_once('/'))
        .map(|(name, _)| name)
}

/// The store does not answer, or not as it should: whatever it is, it is not ours to mend.
fn unreachable(doing: &'static str, error: Error) -> Fault {
    Fault::new(FaultKind::Unavailable, doing, error)
}
