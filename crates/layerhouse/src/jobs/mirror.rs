//! What is kept of other registries, looked after: what takes too much room goes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::collection::Watch;
use crate::fault::FaultKind;
use crate::registry::Registry;

/// Between two looks whether something is to be done.
const INTERVAL: Duration = Duration::from_mins(1);
/// A look at all that is kept takes at most a tenth of the time, however often something is fetched.
const REST: u32 = 9;

/// Lets copies go that are too much or too old: once a minute, and when something was fetched.
pub(super) async fn evict(registry: Arc<Registry>, mut stop: watch::Receiver<bool>) {
    let mut watch = Watch::begin(&registry);
    let mut last = registry.clock().moment();
    loop {
        tokio::select! {
            () = registry.clock().sleep(INTERVAL) => {}
            () = registry.eviction_wanted() => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => return,
        }
        let (moment, now) = registry.clock().moment_and_now();
        if watch.look(moment, now).is_some() {
            tracing::warn!("the clock went forward; no copy is too old for an hour");
        }
        let is_due = INTERVAL <= moment.since(last);
        if is_due {
            last = moment;
        }
        let by_age = is_due && !watch.is_cautious(moment);
        let Some(mirror) = registry.mirror() else {
            continue;
        };
        let began = Instant::now();
        let told = stop.clone();
        match registry
            .evict(&mirror, by_age, move || *told.borrow())
            .await
        {
            Ok(evicted) if 0 < evicted.manifests => tracing::info!(
                manifests = evicted.manifests,
                size_bytes = evicted.bytes,
                "copies of other registries were evicted"
            ),
            Ok(_) => {}
            // The look at `stop` above comes next.
            Err(fault) if fault.kind() == FaultKind::Stopping => {}
            Err(fault) => tracing::warn!(%fault, "eviction goes on at the next round"),
        }
        tokio::select! {
            () = tokio::time::sleep(began.elapsed() * REST) => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => return,
        }
    }
}
