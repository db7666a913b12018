//! Work that outlives a request. Each job calls `registry` as `api` does, and ends when told to.

pub(crate) mod accounts;
pub(crate) mod checks;
mod collection;
mod images;
pub(crate) mod index_repositories;
mod lead;
mod mirror;
mod notifications;
mod placement;
mod retention;
mod scrub;
mod storage;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::meaning::Notifications;
use crate::registry::Registry;
use crate::registry::links::LinksRound;

/// Between two looks for abandoned uploads.
const PURGE_INTERVAL: Duration = Duration::from_mins(1);
/// Between two looks whether there is room for the reserve again.
const RESERVE_INTERVAL: Duration = Duration::from_mins(1);
/// Between two rounds of link files: each ends with a sync of the file system, which should serve
/// many; and a full disk is not freed sooner.
const LINKS_PAUSE: Duration = Duration::from_secs(5);

/// Starts the jobs; each stops soon after `stop` becomes true.
pub(crate) fn start(
    registry: &Arc<Registry>,
    wanted: &watch::Receiver<Notifications>,
    stop: &watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut jobs = JoinSet::new();
    jobs.spawn(write_links(Arc::clone(registry), stop.clone()));
    jobs.spawn(hold_reserve(Arc::clone(registry), stop.clone()));
    jobs.spawn(retention::note_pulls(Arc::clone(registry), stop.clone()));
    jobs.spawn(notifications::write_pulls(
        Arc::clone(registry),
        stop.clone(),
    ));
    jobs.spawn(notifications::deliver(
        Arc::clone(registry),
        wanted.clone(),
        stop.clone(),
    ));
    // One of several processes does these.
    let mut led = lead::Led::new(&mut jobs, registry, stop);
    led.spawn(purge_uploads);
    if registry.collects() {
        led.spawn(collection::run);
    }
    led.spawn(retention::run);
    led.spawn(images::learn);
    led.spawn(mirror::evict);
    led.spawn(mirror::fetch);
    led.spawn(scrub::run);
    if registry.moves_blobs() {
        led.spawn(placement::run);
    }
    led.spawn(storage::sample);
    led.spawn(notifications::bound_outbox);
    jobs
}

/// Keeps registry:2's link files as the rows are; the last round comes after the stop.
async fn write_links(registry: Arc<Registry>, mut stop: watch::Receiver<bool>) {
    loop {
        let is_last = *stop.borrow();
        let round = registry.write_links().await;
        if let Err(fault) = &round {
            tracing::warn!(%fault, "link files could not be written; they are kept for later");
        }
        if is_last {
            return;
        }
        let pause = async {
            let nothing = LinksRound::default();
            if round.as_ref().ok() != Some(&nothing) {
                tokio::time::sleep(LINKS_PAUSE).await;
            }
            if round.is_ok_and(|round| round.failed == 0) {
                registry.links_wanted().await;
            }
        };
        tokio::select! {
            () = pause => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => {}
        }
    }
}

/// Gives back the space of uploads that nobody goes on with.
async fn purge_uploads(registry: Arc<Registry>, mut stop: watch::Receiver<bool>) {
    let interval = registry.dry_purge_interval().unwrap_or(PURGE_INTERVAL);
    loop {
        tokio::select! {
            () = registry.clock().sleep(interval) => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => return,
        }
        registry.purge_uploads().await;
    }
}

/// Holds space back for the database again, once a disk that was full is not; and forgets uploads that other processes may
/// have ended. Whether uploads are purged, and how often, is no matter of this.
async fn hold_reserve(registry: Arc<Registry>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = registry.clock().sleep(RESERVE_INTERVAL) => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => return,
        }
        registry.refill_reserve().await;
        registry.set_down_all();
    }
}
