//! Follows pushes for the index: repositories are found by what they and their images say, and pulls are
//! written down. All of it behind the requests: a push and a pull wait for nothing here.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::lead;
use crate::fault::Fault;
use crate::index::Index;
use crate::registry::Registry;

/// Between two looks for what was pushed: a lookup of some 20 µs.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Between two writes of what was counted.
const COUNTS_INTERVAL: Duration = Duration::from_secs(10);
/// Between two rounds: pushes that wait for the same writer go first.
const ROUND_PAUSE: Duration = Duration::from_millis(2);

/// Starts both jobs; each stops soon after `stop` becomes true.
pub(crate) fn start(
    jobs: &mut JoinSet<()>,
    registry: &Arc<Registry>,
    index: &Index,
    stop: &watch::Receiver<bool>,
) {
    let followed = index.clone();
    lead::Led::new(jobs, registry, stop)
        .spawn(move |registry, stop| follow(registry, followed.clone(), stop));
    let (of, until) = (Arc::clone(registry), stop.clone());
    jobs.spawn(write_counts(of, index.clone(), until));
}

/// Keeps what can be found as it was pushed. What is left at the stop is done after the next start.
async fn follow(registry: Arc<Registry>, index: Index, mut stop: watch::Receiver<bool>) {
    loop {
        let has_more = match round(&registry, &index).await {
            Ok(has_more) => has_more,
            Err(fault) => {
                tracing::warn!(%fault, "what was pushed could not be indexed; it is tried again");
                false
            }
        };
        let pause = async {
            if has_more {
                tokio::time::sleep(ROUND_PAUSE).await;
            } else {
                registry.clock().sleep(LOOK_INTERVAL).await;
            }
        };
        tokio::select! {
            () = pause => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => return,
        }
    }
}

/// One round; whether there may be more to do.
async fn round(registry: &Arc<Registry>, index: &Index) -> Result<bool, Fault> {
    let Some(round) = index.next_round()? else {
        return Ok(false);
    };
    let mut said = Vec::new();
    for pushed in round.pushed() {
        let labels = registry.describe(&pushed.repository, &pushed.tag).await;
        // A config that cannot be read is told where it is pulled; the others are to be found all the same.
        let labels = labels.unwrap_or_else(|fault| {
            tracing::warn!(%fault, repository = %pushed.repository, "an image could not be read");
            None
        });
        said.push((pushed, labels));
    }
    index.finish_round(round, said).await?;
    Ok(true)
}

/// Writes what was counted; the last time after the stop, when nobody pulls any more.
async fn write_counts(registry: Arc<Registry>, index: Index, mut stop: watch::Receiver<bool>) {
    loop {
        let is_last = *stop.borrow();
        if let Err(fault) = index.write_counts().await {
            tracing::warn!(%fault, "pulls could not be written down; they are kept for later");
        }
        if is_last {
            return;
        }
        tokio::select! {
            () = registry.clock().sleep(COUNTS_INTERVAL) => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => {}
        }
    }
}
