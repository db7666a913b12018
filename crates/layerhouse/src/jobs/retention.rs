//! Notes when manifests were pulled, and lets go what policies do not keep.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::collection::Watch;
use crate::fault::{Fault, FaultKind};
use crate::registry::Registry;
use crate::registry::policies::run::RetainError;

/// Between two writes of when manifests were pulled, and between two looks whether retention is due.
const INTERVAL: Duration = Duration::from_mins(1);

/// Writes down when manifests were pulled; the last round comes after the stop.
pub(super) async fn note_pulls(registry: Arc<Registry>, mut stop: watch::Receiver<bool>) {
    loop {
        let is_last = *stop.borrow();
        if let Err(fault) = registry.write_pull_notes().await {
            tracing::warn!(%fault, "when manifests were pulled could not be written; it is tried again");
        }
        if is_last {
            return;
        }
        tokio::select! {
            () = registry.clock().sleep(INTERVAL) => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => {}
        }
    }
}

/// Lets go what policies do not keep, as often as the configuration says; for the first time that long after the
/// start. The interval is looked up each minute, so that a changed one holds at once.
pub(super) async fn run(registry: Arc<Registry>, mut stop: watch::Receiver<bool>) {
    let mut watch = Watch::begin(&registry);
    if watch.is_cautious(registry.clock().moment()) && registry.retains() {
        tracing::info!(
            "no tag moved for long: in case the clock is wrong, no policy lets anything go for an hour"
        );
    }
    let mut last = registry.clock().moment();
    loop {
        tokio::select! {
            () = registry.clock().sleep(INTERVAL) => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => return,
        }
        let (moment, now) = registry.clock().moment_and_now();
        if watch.look(moment, now).is_some() && registry.retains() {
            tracing::warn!("the clock went forward; no policy lets anything go for an hour");
        }
        let is_due = registry.retention_interval() <= moment.since(last);
        if watch.is_cautious(moment) || !is_due {
            continue;
        }
        last = moment;
        match round(&registry, stop.clone()).await {
            Ok(()) => {}
            // The look at `stop` above comes next.
            Err(fault) if fault.kind() == FaultKind::Stopping => {}
            Err(fault) => tracing::warn!(%fault, "retention goes on at the next round"),
        }
    }
}

async fn round(registry: &Arc<Registry>, stop: watch::Receiver<bool>) -> Result<(), Fault> {
    registry.begin_pull_notes().await?;
    match registry.retain(None, move || *stop.borrow()).await {
        Ok(_) | Err(RetainError::Barred { .. }) => Ok(()),
        Err(RetainError::Fault(fault)) => Err(fault),
    }
}
