//! Reads images behind pushes, so that lists need not: a push waits for nothing here.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::fault::FaultKind;
use crate::registry::Registry;

/// Between two looks for what was pushed: a lookup of some 20 µs.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Between two rounds: pushes that wait for the same writer go first.
const ROUND_PAUSE: Duration = Duration::from_millis(10);

/// Reads until it is told to stop; what is left is read after the next start.
pub(super) async fn learn(registry: Arc<Registry>, mut stop: watch::Receiver<bool>) {
    loop {
        let has_more = match registry.learn_images().await {
            Ok(has_more) => has_more,
            // The look at `stop` below comes next.
            Err(fault) if fault.kind() == FaultKind::Stopping => false,
            Err(fault) => {
                tracing::warn!(%fault, "what was pushed could not be read; it is tried again");
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
