//! Which of several processes fetches a blob: one, which says so in a row while it does. The others wait until it is
//! published, and give it to their clients from the store. Two may fetch the same for a while: it costs traffic.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;

use super::MirrorError;
use super::fetch::{Fetch, given_up};
use crate::clock::{Clock, Timestamp};
use crate::fault::Fault;
use crate::meta;
use crate::registry::Registry;
use crate::registry::objects::claims_at;

/// How often who fetches says that it lives.
const RENEWAL: Duration = Duration::from_secs(3);
/// Who was silent for so long died, and the next one fetches.
const SILENCE_MAX: Duration = Duration::from_secs(12);
/// Between two looks whether it is there.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
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

/// What came of waiting.
pub(super) enum Turn {
    /// This process is to fetch it.
    Ours(FetchLease),
    /// Another process published it.
    Came,
}

impl Fetch {
    /// Waits until no other process fetches the blob, or one has.
    ///
    /// # Errors
    /// The database failed, or all who wanted it left.
    pub(super) async fn wait_for_turn(&self) -> Result<Turn, MirrorError> {
        let finishes = self.source.mirror.settings.finishes;
        // The network does not wait for the clock of a test.
        let clock = Clock::system();
        let began = clock.moment();
        let lease = FetchLease {
            registry: Arc::clone(&self.registry),
            copy: self.source.copy.clone(),
            digest: self.digest.clone(),
            holder: self.registry.random.uuid(),
        };
        loop {
            if !lease.is_elsewhere()? && lease.take().await? {
                // Who had it may have published it since we looked.
                if self.is_linked()? {
                    lease.release().await;
                    return Ok(Turn::Came);
                }
                return Ok(Turn::Ours(lease));
            }
            if WAIT_MAX <= clock.moment().since(began) {
                tracing::info!(copy = %lease.copy, digest = %lease.digest, "a blob that another process fetches is fetched here, too");
                return Ok(Turn::Ours(lease));
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
                () = self.arrival.given_up(finishes) => return Err(given_up()),
            }
            if self.is_linked()? {
                return Ok(Turn::Came);
            }
        }
    }

    /// Whether the copy has it.
    fn is_linked(&self) -> Result<bool, Fault> {
        let linked = self.registry.linked_size(&self.source.copy, &self.digest)?;
        Ok(linked.is_some())
    }
}

impl FetchLease {
    fn now(&self) -> Timestamp {
        claims_at(&self.registry.database, self.registry.clock.now())
    }

    fn is_elsewhere(&self) -> Result<bool, Fault> {
        let silent_since = self.now().before(SILENCE_MAX);
        let key = (&self.copy, &self.digest);
        self.registry
            .database
            .read(|tx| meta::fetches::is_held(tx, key, silent_since))
    }

    async fn take(&self) -> Result<bool, Fault> {
        let (copy, digest, holder) = self.names();
        let now = self.now();
        let taken = self.registry.database.write_apart(move |tx| {
            let silent_since = now.before(SILENCE_MAX);
            meta::fetches::take(tx, (&copy, &digest), &holder, now, silent_since)
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
