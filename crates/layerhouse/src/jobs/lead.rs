//! Jobs that one process of several does: the one that leads.

use std::sync::Arc;

use tokio::sync::watch;

use crate::registry::Registry;

/// Runs `job` whenever this process leads, and has it stop when it does not any more, or is told to `stop`.
pub(super) async fn run<Job: Future<Output = ()>>(
    registry: Arc<Registry>,
    mut stop: watch::Receiver<bool>,
    job: impl Fn(Arc<Registry>, watch::Receiver<bool>) -> Job,
) {
    let mut leads = registry.leads();
    loop {
        tokio::select! {
            // Its other end lives as long as the registry.
            _ = leads.wait_for(|leads| *leads) => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => return,
        }
        let (end, is_ending) = watch::channel(false);
        let run = job(Arc::clone(&registry), is_ending);
        tokio::pin!(run);
        tokio::select! {
            () = &mut run => return,
            _ = leads.wait_for(|leads| !*leads) => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => {}
        }
        end.send_replace(true);
        run.await;
        if *stop.borrow() {
            return;
        }
    }
}
