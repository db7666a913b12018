//! What accounts need now and then: when tokens were used is written, and those that ended are removed.

use std::time::Duration;

use tokio::sync::watch;

use crate::auth::directory::Directory;
use crate::auth::issue::uses;

/// Between two writes of when tokens were used.
const USES_INTERVAL: Duration = Duration::from_secs(10);
/// Writes between two looks for tokens that ended: an hour's.
const WRITES_BETWEEN_LOOKS: u32 = 360;

/// Looks after the accounts' tokens; the last round comes after the stop.
pub(crate) async fn run(directory: Directory, mut stop: watch::Receiver<bool>) {
    for round in 0_u32.. {
        let is_last = *stop.borrow();
        if let Err(fault) = directory.uses().write(&directory).await {
            tracing::warn!(%fault, "when tokens were used could not be written");
        }
        if round.is_multiple_of(WRITES_BETWEEN_LOOKS)
            && let Err(fault) = uses::remove_ended(&directory).await
        {
            tracing::warn!(%fault, "tokens that ended could not be removed");
        }
        if is_last {
            return;
        }
        tokio::select! {
            () = directory.clock().sleep(USES_INTERVAL) => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => {}
        }
    }
}
