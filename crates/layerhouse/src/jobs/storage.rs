//! Writes down how much is stored, once an hour.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::registry::Registry;
use crate::registry::storage::INTERVAL;

/// A start has other work; what comes first is the first sample of a new server.
const START_PAUSE: Duration = Duration::from_mins(1);
/// After a sample that failed.
const RETRY_PAUSE: Duration = Duration::from_mins(10);

/// Samples until told to stop; a restart within the hour takes none of its own.
pub(super) async fn sample(registry: Arc<Registry>, mut stop: watch::Receiver<bool>) {
    let mut pause = START_PAUSE;
    loop {
        tokio::select! {
            () = registry.clock().sleep(pause) => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => return,
        }
        pause = match take(&registry).await {
            Ok(pause) => pause,
            Err(fault) => {
                tracing::warn!(%fault, "how much is stored could not be written down; it is tried later");
                RETRY_PAUSE
            }
        };
    }
}

/// Takes a sample, if the last is an hour old; how long to wait for the next.
async fn take(registry: &Arc<Registry>) -> Result<Duration, crate::fault::Fault> {
    let now = registry.clock().now();
    // A clock that was set back must not end the samples: what is in the future counts as none.
    let last = registry.sampled_storage_at()?.filter(|last| *last <= now);
    let age = last.map_or(INTERVAL, |last| now.since(last));
    if let Some(left) = INTERVAL.checked_sub(age).filter(|left| !left.is_zero()) {
        return Ok(left);
    }
    registry.sample_storage().await?;
    // What that took is part of the hour.
    let taken = registry.clock().now().since(now);
    Ok(INTERVAL.saturating_sub(taken))
}
