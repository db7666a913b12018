//! Which of several processes on one database and one bucket does what one is to do: the one that leads. It says every
//! few seconds that it lives; another takes over when it was silent for long, or at once when it gave the lead back.
//!
//! Two may believe for a moment that they lead: one that was stopped, and went on. So nothing relies on it; what is
//! decided is decided in a transaction, and all transactions follow each other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::Registry;
use crate::auth::sealing::{KEY_BYTES, new_key};
use crate::clock::{Clock, Moment};
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::job_leases::JobLease;

/// There is one lease for all jobs: they are seldom, and where they run is to be seen at one place.
pub(super) const LEASE: &str = "jobs";
/// How often who leads says so, and the others look.
pub(super) const RENEWAL: Duration = Duration::from_secs(3);
/// Who was silent for so long does not lead any more.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(12);
/// Who could not say so for so long stops leading by itself: before another one begins, if its answer came in time.
const DOUBT: Duration = Duration::from_secs(8);

/// Who leads says what is old: not by a clock that is further from the database's.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(10);

/// Whether this process leads.
#[derive(Debug)]
pub(super) struct Lead {
    /// What others call this process.
    name: String,
    leads: watch::Sender<bool>,
    is_warned: AtomicBool,
}

impl Lead {
    /// One that leads from the beginning if it is `alone`.
    pub(super) fn new(name: String, alone: bool) -> Self {
        Self {
            name,
            leads: watch::Sender::new(alone),
            is_warned: AtomicBool::new(false),
        }
    }
}

/// What was seen of another's lease, and when it was last another one.
struct Observed {
    lease: JobLease,
    since: Moment,
}

impl Registry {
    /// Whether other processes may serve the same database and the same bucket: then nothing that is remembered here
    /// alone may decide what is kept.
    pub(crate) fn is_shared(&self) -> bool {
        self.store.objects().is_some() && self.database.file().is_none()
    }

    /// The key that seals what clients keep, for all processes; made by the first.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn sealing_key(&self) -> Result<[u8; KEY_BYTES], Fault> {
        let new = new_key(&self.random);
        let stored = self
            .database
            .write(move |tx| meta::job_leases::sealing_key(tx, &new))
            .await?;
        let unlike = |_| Fault::plain(FaultKind::Damaged, "the key of seals is of another length");
        stored.try_into().map_err(unlike)
    }

    /// Whether this process is the one that does what one is to do.
    pub(crate) fn leads(&self) -> watch::Receiver<bool> {
        self.lead.leads.subscribe()
    }

    /// Takes the lead when nobody has it, and keeps it, until `stop` is true.
    pub(crate) async fn keep_lead(&self, mut stop: watch::Receiver<bool>) {
        if !self.is_shared() {
            return;
        }
        // The network does not wait for the clock of a test.
        let clock = Clock::system();
        let mut observed = None;
        let mut renewed = clock.moment();
        loop {
            let round = self.round(&clock, &mut observed, &mut renewed);
            tokio::select! {
                () = round => {}
                _ = stop.wait_for(|is_stopping| *is_stopping) => return,
            }
            tokio::select! {
                () = tokio::time::sleep(RENEWAL) => {}
                _ = stop.wait_for(|is_stopping| *is_stopping) => return,
            }
        }
    }

    async fn round(&self, clock: &Clock, observed: &mut Option<Observed>, renewed: &mut Moment) {
        let asked = clock.moment();
        let leads = *self.lead.leads.borrow();
        if self.is_clock_wrong() {
            if leads {
                self.lose_lead("its clock is not the database's");
            }
            return;
        }
        if leads {
            let left = DOUBT.saturating_sub(asked.since(*renewed));
            match tokio::time::timeout(left, self.renew_lead()).await {
                Ok(Ok(true)) => *renewed = asked,
                Ok(Ok(false)) => self.lose_lead("another process leads"),
                Ok(Err(_)) | Err(_) if clock.moment().since(*renewed) < DOUBT => {}
                Ok(Err(_)) | Err(_) => self.lose_lead("the database does not answer"),
            }
            return;
        }
        match tokio::time::timeout(DOUBT, self.seek_lead(observed, asked)).await {
            // One that stood still meanwhile leads as little as one whose answer was lost.
            Ok(Ok(true)) if clock.moment().since(asked) < DOUBT => {
                *renewed = asked;
                tracing::info!("this process does the jobs of all from now on");
                self.lead.leads.send_replace(true);
            }
            Ok(Ok(_)) | Err(_) => {}
            Ok(Err(fault)) => tracing::debug!(%fault, "who leads is not known"),
        }
    }

    fn is_clock_wrong(&self) -> bool {
        let Some((_, apart)) = self.database.server_time() else {
            return false;
        };
        if apart <= CLOCKS_APART_MAX {
            return false;
        }
        if !self.lead.is_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                seconds = apart.as_secs(),
                "this machine's clock is not the database's: this process does no jobs that go by the time; set it"
            );
        }
        true
    }

    /// Lets another process lead; when no job runs here any more.
    pub(crate) async fn give_lead_back(&self) {
        if !self.is_shared() || !self.lead.leads.send_replace(false) {
            return;
        }
        let name = self.lead.name.clone();
        let given = self.write_lease(move |tx| meta::job_leases::release(tx, LEASE, &name));
        if let Err(fault) = given.await {
            tracing::debug!(%fault, "another process leads a little later");
        }
    }

    fn lose_lead(&self, why: &str) {
        tracing::info!("this process does the jobs of all no more: {why}");
        self.lead.leads.send_replace(false);
    }

    async fn renew_lead(&self) -> Result<bool, Fault> {
        let name = self.lead.name.clone();
        self.write_lease(move |tx| meta::job_leases::renew(tx, LEASE, &name))
            .await
    }

    /// Takes the lead if nobody has it, or who has it was silent since long before `now`; whether it was taken.
    async fn seek_lead(&self, observed: &mut Option<Observed>, now: Moment) -> Result<bool, Fault> {
        let lease = self.database.read(|tx| meta::job_leases::find(tx, LEASE))?;
        if let Some(lease) = &lease {
            let silence = match observed {
                Some(seen) if seen.lease == *lease => now.since(seen.since),
                _ => {
                    *observed = Some(Observed {
                        lease: lease.clone(),
                        since: now,
                    });
                    Duration::ZERO
                }
            };
            if silence < SILENCE_MAX {
                return Ok(false);
            }
        }
        let name = self.lead.name.clone();
        self.write_lease(move |tx| meta::job_leases::take(tx, LEASE, &name, lease.as_ref()))
            .await
    }

    async fn write_lease<T: Send + 'static>(
        &self,
        change: impl FnOnce(&meta::transaction::Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        self.database.write_apart(change).await
    }
}
