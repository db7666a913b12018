//! Brings blobs to the buckets that the configuration has for them: at the start, and what was linked or unlinked since,
//! each hour.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::registry::Registry;

/// Between two looks at all blobs: with a million links a look takes seconds of one reader.
const INTERVAL: Duration = Duration::from_hours(1);

pub(super) async fn run(registry: Arc<Registry>, mut stop: watch::Receiver<bool>) {
    loop {
        let told = stop.clone();
        match registry.move_blobs(move || *told.borrow()).await {
            Ok(moved) if moved.blobs == 0 && moved.failed == 0 => {}
            Ok(moved) => tracing::info!(
                blobs = moved.blobs,
                bytes = moved.bytes,
                failed = moved.failed,
                "blobs were moved to where they are to be"
            ),
            Err(fault) => tracing::warn!(%fault, "blobs are moved later"),
        }
        tokio::select! {
            () = registry.clock().sleep(INTERVAL) => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => return,
        }
    }
}
