//! Hashes what is stored, again and again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::registry::Registry;
use crate::registry::scrub::Round;

/// Between two looks for what was asked of another process.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
/// After a round that failed.
const RETRY_PAUSE: Duration = Duration::from_mins(1);

/// Does rounds until told to stop; one that is cut off is begun again after the next start.
pub(super) async fn run(registry: Arc<Registry>, mut stop: watch::Receiver<bool>) {
    let mut scrubber = registry.scrubber();
    loop {
        let round = tokio::select! {
            round = registry.scrub_round(&mut scrubber) => round,
            _ = stop.wait_for(|is_stopping| *is_stopping) => return,
        };
        let pause = match round {
            Ok(Round::Worked) => continue,
            Ok(Round::Idle(pause)) => pause,
            Err(fault) => {
                tracing::warn!(%fault, "stored bytes could not be hashed again; it is tried later");
                Some(RETRY_PAUSE)
            }
        };
        let wait = async {
            match pause {
                // Whoever asks another process writes it down.
                _ if registry.is_shared() => tokio::time::sleep(LOOK_INTERVAL).await,
                Some(pause) => registry.clock().sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wait => {}
            () = registry.scrub_wanted() => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => return,
        }
    }
}
