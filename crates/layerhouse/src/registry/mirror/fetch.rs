//! Fetching a blob: from the upstream into a stage, on again with `Range` where it broke off, verified, published
//! as a file or as an object. Where several processes would, one does, and the others read along (`follow.rs`).

use std::sync::Arc;
use std::time::Duration;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::upload_id::UploadId;
use tokio::sync::SemaphorePermit;

use super::arrival::{Arrival, Head};
use super::fetch_lease::{Claimed, Waiting};
use super::pour::{Poured, lost};
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

/// How often in a row a fetch goes on where it broke off without having got much further.
pub(super) const RETRIES_MAX: u32 = 4;
/// What is much. An upstream that breaks off sooner every time is given up: it would be asked thousands of times for
/// one layer, and Docker Hub counts.
pub(super) const PROGRESS_BYTES: u64 = 1 << 20;
/// Before the first of them; each waits twice as long as the one before.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// A fetch under way.
pub(super) struct Fetch {
    pub(super) registry: Arc<Registry>,
    pub(super) source: Source,
    pub(super) digest: Digest,
    pub(super) arrival: Arc<Arrival>,
}

/// A blob as far as it is here.
pub(super) struct Staged {
    id: UploadId,
    /// Absent until somebody began to send it, and while it is written to.
    pub(super) stage: Option<Stage>,
    /// If who sends it said so.
    size_bytes: Option<u64>,
    /// All of it is here, and is what it should be.
    verified: Option<VerifiedBlob>,
}

impl Staged {
    pub(super) fn held_bytes(&self) -> u64 {
        self.stage.as_ref().map_or(0, Stage::held_bytes)
    }

    /// Whether clients may be reading it.
    pub(super) fn is_begun(&self) -> bool {
        self.stage.is_some()
    }

    pub(super) fn is_verified(&self) -> bool {
        self.verified.is_some()
    }
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
        let registry = &self.registry;
        let id = UploadId::from_random(registry.random.bits());
        let mut staged = Staged {
            id: id.clone(),
            stage: None,
            size_bytes: None,
            verified: None,
        };
        let result = self.bring(&mut staged).await;
        drop(staged);
        let store = Arc::clone(&registry.store);
        blocking(move || store.remove_stage(&id)).await?;
        result
    }

    /// Fetches it, or reads along while another process does.
    async fn bring(&self, staged: &mut Staged) -> Result<(), MirrorError> {
        let mut waiting = self.registry.is_shared().then(Waiting::begin);
        loop {
            let is_elsewhere = waiting
                .as_ref()
                .is_some_and(|waiting| self.alive().is_some() && !self.is_tired(staged, waiting));
            // Before the lease: others can fetch what would only wait here. Who only reads along or publishes needs none.
            let turn = if is_elsewhere || staged.is_verified() {
                None
            } else {
                self.turn().await?
            };
            let Some(waiting) = &mut waiting else {
                return self.fetch(staged, turn).await;
            };
            let claimed = if is_elsewhere {
                Claimed::Elsewhere
            } else {
                self.claim(staged, waiting).await
            };
            match claimed {
                Claimed::Ours(lease) => {
                    let fetch = async {
                        // Who had it may have published it since we looked.
                        if self.is_here().await? && self.is_completed(staged).await? {
                            return Ok(());
                        }
                        self.fetch(staged, turn).await
                    };
                    let result = tokio::select! {
                        result = fetch => result,
                        never = lease.renew() => match never {},
                    };
                    lease.release().await;
                    return result;
                }
                Claimed::Unknown => {
                    let fetched = self.fetch(staged, turn).await;
                    let is_refused = matches!(fetched, Err(MirrorError::Upstream(_)));
                    if !is_refused || self.alive().is_none() {
                        return fetched;
                    }
                    // Whom we did not wait for any longer may still bring it.
                    *waiting = Waiting::begin();
                }
                Claimed::Elsewhere => drop(turn),
            }
            let tried = self.follow(staged, waiting).await?;
            let tried = tried.as_deref();
            if self.wait_for_others(staged, waiting, tried).await? {
                if self.is_completed(staged).await? {
                    return Ok(());
                }
                let turn = self.turn().await?;
                return self.fetch(staged, turn).await;
            }
        }
    }

    /// One of the fetches that this upstream has at once.
    async fn turn(&self) -> Result<Option<SemaphorePermit<'_>>, MirrorError> {
        tokio::select! {
            turn = self.source.served.fetches.acquire() => Ok(turn.ok()),
            () = self.given_up() => Err(given_up()),
        }
    }

    /// Waits until it is to be given up.
    pub(super) async fn given_up(&self) {
        let finishes = self.source.mirror.settings.finishes;
        self.arrival.given_up(finishes).await;
    }

    /// Fetches the blob, or what is missing of it, and publishes it.
    async fn fetch(
        &self,
        staged: &mut Staged,
        turn: Option<SemaphorePermit<'_>>,
    ) -> Result<(), MirrorError> {
        if !staged.is_verified() {
            let upstream = &self.source.served.upstream;
            let blob = if staged.is_begun() {
                let held_bytes = staged.held_bytes();
                // Nothing but the last look at it may be missing.
                if staged.size_bytes == Some(held_bytes) {
                    self.verify(staged).await?;
                    return self.finish(staged, turn).await;
                }
                self.go_on(held_bytes, None, &mut 0).await?
            } else {
                tokio::select! {
                    blob = upstream.blob(&self.source.repository, &self.digest, 0) => blob?,
                    () = self.given_up() => return Err(given_up()),
                }
            };
            self.begin(staged, blob.size_bytes).await?;
            self.receive(staged, blob).await?;
            self.verify(staged).await?;
        }
        self.finish(staged, turn).await
    }

    /// Makes the stage, if there is none, for a blob of which who sends it says its size; clients can read it from now on.
    ///
    /// # Errors
    /// It has another size than its manifest or somebody else said, or more than a blob may; or there is no room.
    pub(super) async fn begin(
        &self,
        staged: &mut Staged,
        sent: Option<u64>,
    ) -> Result<(), MirrorError> {
        let Self { source, digest, .. } = self;
        let registry = &self.registry;
        let said = match staged.size_bytes {
            Some(size_bytes) => Some(size_bytes),
            None => registry
                .database
                .read(|tx| meta::mirror::absent_size(tx, &source.copy, digest))?,
        };
        let size_bytes = sent.or(said);
        if let (Some(sent), Some(said)) = (sent, said)
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
        if staged.is_begun() {
            return Ok(());
        }
        registry.store.check_room()?;
        let store = Arc::clone(&registry.store);
        let (id, algorithm) = (staged.id.clone(), digest.algorithm());
        let opened = blocking(move || {
            let stage = Stage::open_file(&store, &id, algorithm)?;
            let file = stage.shared()?;
            Ok::<_, Fault>((stage, file))
        });
        let (stage, file) = opened.await??;
        // Of one without bytes there is nothing to wait for but whether it is right.
        if let Some(size_bytes) = size_bytes.filter(|size_bytes| 0 < *size_bytes) {
            self.arrival.begin(Head { size_bytes, file });
        }
        staged.stage = Some(stage);
        staged.size_bytes = size_bytes;
        Ok(())
    }

    /// How long it may become.
    pub(super) fn length_bytes_max(&self, staged: &Staged) -> u64 {
        let bytes_max = self.registry.limits.blob_bytes_max;
        staged.size_bytes.unwrap_or(bytes_max)
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
        staged: &mut Staged,
        mut blob: UpstreamBlob,
    ) -> Result<(), MirrorError> {
        let Self { source, digest, .. } = self;
        let length_bytes_max = self.length_bytes_max(staged);
        let size_bytes = staged.size_bytes;
        let mut retries = 0;
        loop {
            let before = staged.held_bytes();
            let stage = staged.stage.take().ok_or_else(lost)?;
            let (stage, poured) = self
                .pour(stage, &mut blob, length_bytes_max, self.given_up())
                .await?;
            let held_bytes = stage.held_bytes();
            staged.stage = Some(stage);
            let broken = match poured {
                Poured::Ended if size_bytes.is_none_or(|size_bytes| held_bytes == size_bytes) => {
                    return Ok(());
                }
                Poured::Ended => None,
                Poured::Broken(error) => Some(error),
                Poured::TooLong => {
                    let what = format!("blob {digest} is longer than {length_bytes_max} bytes");
                    return Err(source.invalid(&what));
                }
                Poured::Stopped => return Err(given_up()),
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
                () = self.given_up() => return Err(given_up()),
            }
        }
        Err(match broken {
            Some(error) => error.into(),
            None => source.invalid(&format!("blob {digest} ends after {held_bytes} bytes")),
        })
    }

    /// All of it is staged: if it is what it should be, whoever reads it gets the end.
    pub(super) async fn verify(&self, staged: &mut Staged) -> Result<(), MirrorError> {
        let Self { source, digest, .. } = self;
        let (wanted, mut stage) = (digest.clone(), staged.stage.take().ok_or_else(lost)?);
        let (stage, verified) = blocking(move || {
            let verified = stage.verify(&wanted);
            (stage, verified)
        })
        .await?;
        staged.stage = Some(stage);
        match verified? {
            Ok(blob) => staged.verified = Some(blob),
            Err(mismatch) => {
                let what = format!("blob {digest} hashes to {}", mismatch.actual);
                return Err(source.invalid(&what));
            }
        }
        self.arrival.verified();
        Ok(())
    }

    async fn finish(
        &self,
        staged: &mut Staged,
        turn: Option<SemaphorePermit<'_>>,
    ) -> Result<(), MirrorError> {
        // Who had the fetch before may have published it and died.
        if self.registry.is_shared() && self.is_here().await? {
            return Ok(());
        }
        if self.registry.bucket_for(&self.source.copy).is_some() {
            // A bucket that is slow keeps nobody from what the upstream has.
            drop(turn);
        }
        let (Some(stage), Some(blob)) = (staged.stage.take(), staged.verified.clone()) else {
            return Err(lost().into());
        };
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
