//! Which of several processes fetches a blob: one, which says so in a row while it does. The others read along where they
//! can reach it (`follow.rs`), wait until it is published, and give it to their clients from the store after that. Two may
//! fetch the same for a while: it costs traffic.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;

use super::MirrorError;
use super::fetch::{Fetch, Staged, given_up};
use crate::clock::{Clock, Moment, Timestamp};
use crate::fault::Fault;
use crate::meta;
use crate::meta::fetches::{Holder, Lately};
use crate::registry::objects::claims_at;
use crate::registry::{Registry, blocking};

/// How often who fetches says that it lives.
const RENEWAL: Duration = Duration::from_secs(3);
/// Who was silent for so long died, and the next one fetches.
const SILENCE_MAX: Duration = Duration::from_secs(12);
/// Between two looks whether anything was committed elsewhere.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// Looks at that, between two at who fetches.
const LOOKS: u32 = 4;
/// Rounds of those until who could not be followed is asked again.
const FOLLOWED_AGAIN: u32 = 5;
/// Clients and what balances them give up on an answer that does not begin (haproxy's examples and containerd after 5
/// minutes): after so long it is fetched a second time, and they read it while it comes.
const WAIT_MAX: Duration = Duration::from_mins(2);
/// Rows of those who died go after so long.
const OLD: Duration = Duration::from_hours(1);

/// The lease of a fetch.
pub(super) struct FetchLease {
    registry: Arc<Registry>,
    copy: RepositoryName,
    digest: Digest,
    holder: String,
}

/// Since when others are waited for.
pub(super) struct Waiting {
    clock: Clock,
    began: Moment,
}

/// Who is to fetch.
pub(super) enum Claimed {
    /// This process.
    Ours(FetchLease),
    Elsewhere,
    /// The database does not say, or it took too long: the upstream is asked all the same.
    Unknown,
}

impl Waiting {
    pub(super) fn begin() -> Self {
        // The network does not wait for the clock of a test.
        let clock = Clock::system();
        let began = clock.moment();
        Self { clock, began }
    }

    pub(super) fn is_too_long(&self) -> bool {
        WAIT_MAX <= self.clock.moment().since(self.began)
    }
}

impl Fetch {
    /// Makes this process the one that fetches the blob, unless another one does.
    pub(super) async fn claim(&self, staged: &Staged, waiting: &Waiting) -> Claimed {
        let lease = self.lease();
        if self.is_tired(staged, waiting) {
            let (copy, digest) = (&lease.copy, &lease.digest);
            tracing::info!(%copy, %digest, "a blob that another process fetches is fetched here, too");
            return Claimed::Unknown;
        }
        match lease.take().await {
            Ok(true) => {
                self.arrival.show_to(&lease.holder);
                Claimed::Ours(lease)
            }
            Ok(false) => Claimed::Elsewhere,
            Err(fault) => {
                tracing::debug!(%fault, "a blob is fetched, perhaps by two processes");
                Claimed::Unknown
            }
        }
    }

    /// Waits until another process published the blob (true), or there may be something to do: nobody fetches it any more,
    /// or somebody does who may be followed. `tried` is who could not be a moment ago.
    ///
    /// # Errors
    /// All who wanted it left, or the server stops.
    pub(super) async fn wait_for_others(
        &self,
        staged: &Staged,
        waiting: &Waiting,
        tried: Option<&str>,
    ) -> Result<bool, MirrorError> {
        // Who got all of it may leave.
        let finishes = self.source.mirror.settings.finishes || staged.is_verified();
        let database = &self.registry.database;
        let mut seen = None;
        for round in 1_u32.. {
            for _ in 0..LOOKS {
                let elsewhere = Some(database.elsewhere());
                // What cannot be asked right now is asked again.
                if seen != elsewhere && matches!(self.is_here().await, Ok(true)) {
                    return Ok(true);
                }
                seen = elsewhere;
                tokio::select! {
                    () = tokio::time::sleep(LOOK_INTERVAL) => {}
                    () = self.arrival.given_up(finishes) => return Err(given_up()),
                }
            }
            let has_work = match self.holder() {
                Ok(Some(holder)) if self.lives(&holder) => {
                    let is_new = tried != Some(holder.name.as_str());
                    let may_follow = holder.address.is_some() && !staged.is_verified();
                    may_follow && (is_new || FOLLOWED_AGAIN <= round)
                }
                Ok(_) => true,
                Err(_) => false,
            };
            if has_work || self.is_tired(staged, waiting) {
                break;
            }
        }
        Ok(false)
    }

    /// Whether others were waited for long enough, by somebody who would read it while it comes.
    pub(super) fn is_tired(&self, staged: &Staged, waiting: &Waiting) -> bool {
        waiting.is_too_long() && self.arrival.is_awaited() && !staged.is_verified()
    }

    /// Who fetches the blob, or died while it did.
    pub(super) fn holder(&self) -> Result<Option<Holder>, Fault> {
        let key = (&self.source.copy, &self.digest);
        self.registry
            .database
            .read(|tx| meta::fetches::holder(tx, key))
    }

    /// The same, for who has bytes to take meanwhile.
    pub(super) async fn holder_meanwhile(&self) -> Result<Option<Holder>, Fault> {
        let (registry, digest) = (Arc::clone(&self.registry), self.digest.clone());
        let copy = self.source.copy.clone();
        let found = blocking(move || {
            let key = (&copy, &digest);
            registry.database.read(|tx| meta::fetches::holder(tx, key))
        });
        found.await?
    }

    /// Who fetches the blob, if anybody does.
    pub(super) fn alive(&self) -> Option<Holder> {
        let holder = self.holder().ok().flatten()?;
        self.lives(&holder).then_some(holder)
    }

    /// Whether somebody said lately that it lives.
    pub(super) fn lives(&self, holder: &Holder) -> bool {
        let now = claims_at(&self.registry.database, self.registry.clock.now());
        holder.lives(lately(now))
    }

    fn lease(&self) -> FetchLease {
        FetchLease {
            registry: Arc::clone(&self.registry),
            copy: self.source.copy.clone(),
            digest: self.digest.clone(),
            holder: self.registry.random.uuid(),
        }
    }
}

impl FetchLease {
    fn now(&self) -> Timestamp {
        claims_at(&self.registry.database, self.registry.clock.now())
    }

    async fn take(&self) -> Result<bool, Fault> {
        let (copy, digest, holder) = self.names();
        let (now, address) = (self.now(), self.registry.copying.address.get().cloned());
        let taken = self.registry.database.write_apart(move |tx| {
            let holder = (holder.as_str(), address.as_deref());
            meta::fetches::take(tx, (&copy, &digest), holder, now, lately(now))
        });
        taken.await
    }

    /// Says that this process lives, for as long as it is waited for.
    pub(super) async fn renew(&self) -> Infallible {
        loop {
            tokio::time::sleep(RENEWAL).await;
            let (copy, digest, holder) = self.names();
            let now = self.now();
            let renewed = self
                .registry
                .database
                .write_apart(move |tx| meta::fetches::renew(tx, (&copy, &digest), &holder, now));
            if let Err(fault) = renewed.await {
                tracing::debug!(%fault, "another process may fetch the same blob");
            }
        }
    }

    /// Lets another process fetch it, if it does not find it.
    pub(super) async fn release(self) {
        let (copy, digest, holder) = self.names();
        let old = self.now().before(OLD);
        let released = self
            .registry
            .database
            .write_apart(move |tx| meta::fetches::release(tx, (&copy, &digest), &holder, old));
        if let Err(fault) = released.await {
            tracing::debug!(%fault, "others fetch the blob a little later, if it did not come");
        }
    }

    fn names(&self) -> (RepositoryName, Digest, String) {
        (self.copy.clone(), self.digest.clone(), self.holder.clone())
    }
}

fn lately(now: Timestamp) -> Lately {
    (now.before(SILENCE_MAX), now.after(SILENCE_MAX))
}
