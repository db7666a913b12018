//! Work that outlives a request. Each job calls `registry` as `api` does, and ends when told to.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::registry::Registry;

/// Between two looks for abandoned uploads.
const PURGE_INTERVAL: Duration = Duration::from_mins(1);
/// Before a failed write of link files is tried again: a full disk is not freed sooner.
const LINKS_BACKOFF: Duration = Duration::from_secs(5);

/// Starts the jobs; each stops soon after `stop` becomes true.
pub(crate) fn start(registry: &Arc<Registry>, stop: &watch::Receiver<bool>) -> JoinSet<()> {
    let mut jobs = JoinSet::new();
    jobs.spawn(write_links(Arc::clone(registry), stop.clone()));
    jobs.spawn(purge_uploads(Arc::clone(registry), stop.clone()));
    jobs
}

/// Keeps registry:2's link files as the rows are; the last round comes after the stop.
async fn write_links(registry: Arc<Registry>, mut stop: watch::Receiver<bool>) {
    loop {
        let is_last = *stop.borrow();
        let result = write_all_links(&registry).await;
        if let Err(fault) = &result {
            tracing::warn!(%fault, "link files could not be written; they are kept for later");
        }
        if is_last {
            return;
        }
        let pause = async {
            match result {
                Ok(()) => registry.links_wanted().await,
                Err(_) => tokio::time::sleep(LINKS_BACKOFF).await,
            }
        };
        tokio::select! {
            () = pause => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => {}
        }
    }
}

async fn write_all_links(registry: &Registry) -> Result<(), crate::fault::Fault> {
    while 0 < registry.write_links().await? {}
    Ok(())
}

/// Gives back the space of uploads that nobody goes on with.
async fn purge_uploads(registry: Arc<Registry>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = registry.clock().sleep(PURGE_INTERVAL) => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => return,
        }
        registry.purge_uploads().await;
    }
}
