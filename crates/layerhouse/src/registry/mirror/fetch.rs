//! Fetching a blob: from the upstream into a stage, on again with `Range` where it broke off, verified, published
//! as a file or as an object.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::upload_id::UploadId;
use tokio::sync::SemaphorePermit;
use tokio::task::{JoinError, JoinHandle};

use super::arrival::{Arrival, Head};
use super::fetch_lease::{Claimed, Waiting};
use super::routing::Source;
use super::{Asked, MirrorError, What};
use crate::auth::rights::Visibility;
use crate::blobs::stage::{Stage, VerifiedBlob};
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::links::Link;
use crate::outbound::upstream::blob::UpstreamBlob;
use crate::outbound::upstream::error::UpstreamError;
use crate::registry::objects::REPLACED_KEPT;
use crate::registry::uploads::is_undone;
use crate::registry::{Registry, blocking};

/// Written at once, as of an upload.
const BATCH_BYTES: usize = 256 << 10;
/// How often in a row a fetch goes on where it broke off without having got much further.
const RETRIES_MAX: u32 = 4;
/// What is much. An upstream that breaks off sooner every time is given up: it would be asked thousands of times for
/// one layer, and Docker Hub counts.
const PROGRESS_BYTES: u64 = 1 << 20;
/// Before the first of them; each waits twice as long as the one before.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// A fetch under way.
pub(super) struct Fetch {
    pub(super) registry: Arc<Registry>,
    pub(super) source: Source,
    pub(super) digest: Digest,
    pub(super) arrival: Arc<Arrival>,
}

/// How the bytes of one answer ended.
enum Poured {
    /// The upstream says that this was all.
    Ended,
    Broken(UpstreamError),
    TooLong,
    GivenUp,
    Fault(Fault),
}

impl Fetch {
    /// Fetches, verifies and publishes the blob.
    ///
    /// # Errors
    /// It does not come, or is not what it should be; nothing is kept then.
    pub(super) async fn run(self) -> Result<(), MirrorError> {
        let result = self.run_or_fail().await;
        if let Err(error) = &result {
            let asked = Asked::blob(&self.source, &self.digest);
            if error.is_absence() {
                let now = self.registry.clock.moment();
                self.registry.copying.absent.insert(asked, now);
            } else if self.arrival.is_stopping() {
                tracing::info!(digest = %self.digest, %error, "a blob was not kept");
            } else {
                let (copy, digest) = (&self.source.copy, &self.digest);
                tracing::warn!(%copy, %digest, %error, "a blob could not be fetched");
            }
        } else if self.source.mirror.settings.has_budget() {
            self.registry.copying.eviction_wanted.notify_one();
        }
        result
    }

    async fn run_or_fail(&self) -> Result<(), MirrorError> {
        if self.is_here().await? {
            return Ok(());
        }
        let Self { source, .. } = self;
        let finishes = source.mirror.settings.finishes;
        let mut waiting = self.registry.is_shared().then(Waiting::begin);
        loop {
            // Before the lease: others can fetch what would only wait here.
            let turn = tokio::select! {
                turn = source.served.fetches.acquire() => turn.ok(),
                () = self.arrival.given_up(finishes) => return Err(given_up()),
            };
            let Some(waiting) = &mut waiting else {
                return self.fetch(turn).await;
            };
            match self.claim(waiting).await {
                Claimed::Ours(lease) => {
                    let fetch = async {
                        // Who had it may have published it since we looked.
                        if self.is_here().await? {
                            return Ok(());
                        }
                        self.fetch(turn).await
                    };
                    let result = tokio::select! {
                        result = fetch => result,
                        never = lease.renew() => match never {},
                    };
                    lease.release().await;
                    return result;
                }
                Claimed::Unknown => return self.fetch(turn).await,
                Claimed::Elsewhere => {}
            }
            drop(turn);
            if self.wait_for_others(waiting).await? {
                return Ok(());
            }
        }
    }

    /// Fetches the blob; `turn` is of the fetches that this upstream has at once.
    async fn fetch(&self, turn: Option<SemaphorePermit<'_>>) -> Result<(), MirrorError> {
        let Self { source, digest, .. } = self;
        let finishes = source.mirror.settings.finishes;
        let upstream = &source.served.upstream;
        let blob = tokio::select! {
            blob = upstream.blob(&source.repository, digest, 0) => blob,
            () = self.arrival.given_up(finishes) => return Err(given_up()),
        };
        let blob = blob?;
        let registry = &self.registry;
        let said = registry
            .database
            .read(|tx| meta::mirror::absent_size(tx, &source.copy, digest))?;
        let size_bytes = blob.size_bytes.or(said);
        if let (Some(sent), Some(said)) = (blob.size_bytes, said)
            && sent != said
        {
            let what = format!("blob {digest} has {sent} bytes, its manifest says {said}");
            return Err(source.invalid(&what));
        }
        let bytes_max = registry.limits.blob_bytes_max;
        if size_bytes.is_some_and(|size_bytes| bytes_max < size_bytes) {
            let what = format!("blob {digest} has more bytes than a blob may ({bytes_max})");
            return Err(source.invalid(&what));
        }
        registry.store.check_room()?;
        let id = UploadId::from_random(registry.random.bits());
        let store = Arc::clone(&registry.store);
        let (staged, algorithm) = (id.clone(), digest.algorithm());
        let opened = blocking(move || {
            let stage = Stage::open_file(&store, &staged, algorithm)?;
            let file = stage.shared()?;
            Ok::<_, Fault>((stage, file))
        });
        let result = match opened.await? {
            Ok((stage, file)) => {
                // Of one without bytes there is nothing to wait for but whether it is right.
                if let Some(size_bytes) = size_bytes.filter(|size_bytes| 0 < *size_bytes) {
                    self.arrival.begin(Head { size_bytes, file });
                }
                self.receive(stage, blob, size_bytes, (bytes_max, turn))
                    .await
            }
            Err(fault) => Err(fault.into()),
        };
        let store = Arc::clone(&registry.store);
        blocking(move || store.remove_stage(&id)).await?;
        result
    }

    /// Whether the copy has it by now: another fetch just ended, or another copy has it that all may see.
    pub(super) async fn is_here(&self) -> Result<bool, MirrorError> {
        let (registry, source, digest) = (&self.registry, &self.source, &self.digest);
        if let Some(size_bytes) = registry.linked_size(&source.copy, digest)?
            && registry.is_whole(digest, size_bytes)?
        {
            return Ok(true);
        }
        // What its upstream shows to us alone is not given to who knows a digest.
        if source.served.settings().visibility != Visibility::Public {
            return Ok(false);
        }
        let name = source.served.name().to_owned();
        let _lease = registry.leases.take(digest).await;
        let found = registry
            .database
            .read(|tx| meta::mirror::size_in_copies(tx, &name, digest))?;
        let Some(size_bytes) = found else {
            return Ok(false);
        };
        if !registry.is_whole(digest, size_bytes)? {
            return Ok(false);
        }
        let (copy, digest, now) = (source.copy.clone(), digest.clone(), registry.clock.now());
        let visibility = source.served.settings().visibility.as_str();
        let is_linked = registry
            .database
            .write(move |tx| {
                // It may have gone since; the lease keeps the bytes.
                if meta::mirror::size_in_copies(tx, &name, &digest)?.is_none() {
                    return Ok(false);
                }
                let id = meta::repositories::find_or_create(tx, &copy, now)?;
                meta::mirror::set_upstream(tx, id, &name, visibility)?;
                meta::blobs::link(tx, id, &digest, now)?;
                meta::links::mark_stale(tx, &copy, &Link::Layer(digest))?;
                Ok::<_, Fault>(true)
            })
            .await?;
        registry.links_wanted.notify_one();
        Ok(is_linked)
    }

    /// Receives all of it, going on where it breaks off.
    async fn receive(
        &self,
        mut stage: Stage,
        mut blob: UpstreamBlob,
        size_bytes: Option<u64>,
        (bytes_max, turn): (u64, Option<SemaphorePermit<'_>>),
    ) -> Result<(), MirrorError> {
        let Self { source, digest, .. } = self;
        let length_bytes_max = size_bytes.unwrap_or(bytes_max);
        let mut retries = 0;
        loop {
            let before = stage.held_bytes();
            let poured;
            (stage, poured) = self.pour(stage, &mut blob, length_bytes_max).await?;
            let held_bytes = stage.held_bytes();
            let broken = match poured {
                Poured::Ended if size_bytes.is_none_or(|size_bytes| held_bytes == size_bytes) => {
                    return self.finish(stage, turn).await;
                }
                Poured::Ended => None,
                Poured::Broken(error) => Some(error),
                Poured::TooLong => {
                    let what = format!("blob {digest} is longer than {length_bytes_max} bytes");
                    return Err(source.invalid(&what));
                }
                Poured::GivenUp => return Err(given_up()),
                Poured::Fault(fault) => return Err(fault.into()),
            };
            if before + PROGRESS_BYTES <= held_bytes {
                retries = 0;
            }
            blob = self.go_on(held_bytes, broken, &mut retries).await?;
        }
    }

    /// The rest of the blob, behind what is here.
    async fn go_on(
        &self,
        held_bytes: u64,
        mut broken: Option<UpstreamError>,
        retries: &mut u32,
    ) -> Result<UpstreamBlob, MirrorError> {
        let Self { source, digest, .. } = self;
        let finishes = source.mirror.settings.finishes;
        while *retries < RETRIES_MAX {
            let pause = RETRY_PAUSE * 2_u32.pow(*retries);
            *retries += 1;
            tracing::debug!(%digest, held_bytes, "a fetch goes on where it broke off");
            let upstream = &source.served.upstream;
            let again = async {
                tokio::time::sleep(pause).await;
                upstream.blob(&source.repository, digest, held_bytes).await
            };
            tokio::select! {
                blob = again => match blob {
                    Ok(blob) => return Ok(blob),
                    Err(error) => broken = Some(error),
                },
                () = self.arrival.given_up(finishes) => return Err(given_up()),
            }
        }
        Err(match broken {
            Some(error) => error.into(),
            None => source.invalid(&format!("blob {digest} ends after {held_bytes} bytes")),
        })
    }

    /// Stages what one answer brings: what came is written as soon as what came before is, so that who reads it
    /// gets all that is here, and a fast upstream is written in large batches.
    async fn pour(
        &self,
        stage: Stage,
        blob: &mut UpstreamBlob,
        length_bytes_max: u64,
    ) -> Result<(Stage, Poured), Fault> {
        let given_up = self.arrival.given_up(self.source.mirror.settings.finishes);
        tokio::pin!(given_up);
        let mut taken_bytes = stage.held_bytes();
        let (mut at_hand, mut writing) = (Some(stage), None);
        let (mut batch, mut batch_bytes) = (Vec::new(), 0);
        let end = loop {
            tokio::select! {
                biased;
                // More than a batch would only wait for the disk.
                next = blob.next(), if batch_bytes < BATCH_BYTES => match next {
                    Some(Ok(bytes)) => {
                        taken_bytes += bytes.len() as u64;
                        if length_bytes_max < taken_bytes {
                            break Poured::TooLong;
                        }
                        batch_bytes += bytes.len();
                        batch.push(bytes);
                    }
                    Some(Err(error)) => break Poured::Broken(error),
                    None => break Poured::Ended,
                },
                written = settled(&mut writing) => {
                    writing = None;
                    let (stage, result) = written?;
                    self.received(&stage);
                    if let Err(fault) = result {
                        return Ok((stage, Poured::Fault(fault)));
                    }
                    at_hand = Some(stage);
                }
                () = std::future::ready(()), if at_hand.is_some() && 0 < batch_bytes => {
                    batch_bytes = 0;
                    let frames = std::mem::take(&mut batch);
                    writing = at_hand.take().map(|stage| write(stage, frames));
                }
                () = &mut given_up => break Poured::GivenUp,
            }
        };
        let (mut stage, mut result) = match (at_hand, writing) {
            (Some(stage), _) => (stage, Ok(())),
            (None, Some(mut writing)) => settled(&mut Some(&mut writing)).await?,
            (None, None) => return Err(lost()),
        };
        if result.is_ok() && !batch.is_empty() && matches!(end, Poured::Ended | Poured::Broken(_)) {
            (stage, result) = settled(&mut Some(write(stage, batch))).await?;
        }
        self.received(&stage);
        Ok((stage, result.map_or_else(Poured::Fault, |()| end)))
    }

    /// Tells who reads it, and who counts, how much is here.
    fn received(&self, stage: &Stage) {
        let more_bytes = self.arrival.received(stage.held_bytes());
        self.source.served.numbers.add_fetched_bytes(more_bytes);
    }

    /// All of it is staged: if it is what it should be, whoever reads it gets the end, and it is published.
    async fn finish(
        &self,
        mut stage: Stage,
        turn: Option<SemaphorePermit<'_>>,
    ) -> Result<(), MirrorError> {
        let Self { source, digest, .. } = self;
        let wanted = digest.clone();
        let (stage, verified) = blocking(move || {
            let verified = stage.verify(&wanted);
            (stage, verified)
        })
        .await?;
        let blob = match verified? {
            Ok(blob) => blob,
            Err(mismatch) => {
                let what = format!("blob {digest} hashes to {}", mismatch.actual);
                return Err(source.invalid(&what));
            }
        };
        self.arrival.verified();
        if self.registry.bucket_for(&source.copy).is_some() {
            // A bucket that is slow keeps nobody from what the upstream has.
            drop(turn);
        }
        Ok(self.publish(stage, blob).await?)
    }

    /// The bytes under their digest, then the rows, both under the digest's lease; as of a push.
    async fn publish(&self, stage: Stage, blob: VerifiedBlob) -> Result<(), Fault> {
        let (registry, source) = (&self.registry, &self.source);
        // Nobody knows its key yet, so nobody is kept waiting for it.
        let key = match registry.bucket_for(&source.copy) {
            Some(bucket) => {
                let stop = self.arrival.stopped();
                Some(stage.copy_to_object(bucket, &blob, stop).await?)
            }
            None => None,
        };
        let _lease = registry.leases.take(blob.digest()).await;
        if key.is_none() {
            let (store, published, mut stage) = (Arc::clone(&registry.store), blob.clone(), stage);
            blocking(move || {
                stage.sync()?;
                store.publish(&stage, &published)
            })
            .await??;
        }
        let (copy, upstream) = (source.copy.clone(), source.served.name().to_owned());
        let visibility = source.served.settings().visibility.as_str();
        let (digest, size_bytes) = (blob.digest().clone(), blob.size_bytes());
        let (now, object) = (registry.clock.now(), key.clone());
        let written = registry
            .database
            .write(move |tx| {
                let is_new = meta::blobs::put(tx, &digest, size_bytes, now)?;
                let due = now.after(REPLACED_KEPT);
                meta::objects::settle(tx, &digest, object.as_deref(), (is_new, due))?;
                let id = meta::repositories::find_or_create(tx, &copy, now)?;
                meta::mirror::set_upstream(tx, id, &upstream, visibility)?;
                meta::blobs::link(tx, id, &digest, now)?;
                meta::links::mark_stale(tx, &copy, &Link::Layer(digest))
            })
            .await;
        let (store, digest) = (Arc::clone(&registry.store), blob.digest().clone());
        let Err(fault) = written else {
            if key.is_none() {
                let found = blocking(move || store.open_blob(&digest)).await?;
                if let Ok(Some(file)) = found {
                    registry.verified.insert(blob.digest(), file.version());
                }
            }
            registry.links_wanted.notify_one();
            return Ok(());
        };
        if let Some(key) = key {
            // If it is not known whether a row has it, it may be found among what is left over.
            if is_undone(&fault)
                && let Some(objects) = registry.store.objects_of(&key).cloned()
            {
                let removed = blocking(move || objects.remove(&[key])).await?;
                if let Err(error) = removed {
                    tracing::debug!(%error, "an object without a row is removed a day later");
                }
            }
            return Err(fault);
        }
        let is_kept = registry.is_kept_as_file(blob.digest());
        if is_undone(&fault) && matches!(is_kept, Ok(false)) {
            // No row says that the bytes exist, so they must not stay.
            blocking(move || store.unpublish(&digest)).await?;
        }
        Err(fault)
    }
}

impl Asked {
    pub(super) fn blob(source: &Source, digest: &Digest) -> Self {
        Self {
            copy: source.copy.clone(),
            what: What::Blob(digest.clone()),
        }
    }
}

pub(super) fn given_up() -> MirrorError {
    let what = "a fetch was given up, for everybody who waited for it left or the server stops";
    Fault::plain(FaultKind::Stopping, what.to_owned()).into()
}

/// A stage, and whether what was to be appended was.
type Written = (Stage, Result<(), Fault>);

/// Appends to a stage on a thread that may wait.
fn write(mut stage: Stage, frames: Vec<Bytes>) -> JoinHandle<Written> {
    tokio::task::spawn_blocking(move || {
        let result = stage.append(&frames);
        (stage, result)
    })
}

/// Waits for a stage to come back, for ever if it is not away.
async fn settled<W>(writing: &mut Option<W>) -> Result<Written, Fault>
where
    W: Future<Output = Result<Written, JoinError>> + Unpin,
{
    match writing {
        Some(writing) => writing.await.map_err(|_| lost()),
        None => std::future::pending().await,
    }
}

fn lost() -> Fault {
    Fault::plain(
        FaultKind::Other,
        "a task that writes a blob died".to_owned(),
    )
}
