//! Jobs that one process of several does: the one that leads.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::registry::Registry;

/// Starts them.
pub(super) struct Led<'a> {
    jobs: &'a mut JoinSet<()>,
    registry: &'a Arc<Registry>,
    stop: &'a watch::Receiver<bool>,
}

impl<'a> Led<'a> {
    pub(super) fn new(
        jobs: &'a mut JoinSet<()>,
        registry: &'a Arc<Registry>,
        stop: &'a watch::Receiver<bool>,
    ) -> Self {
        Self {
            jobs,
            registry,
            stop,
        }
    }

    pub(super) fn spawn<Job: Future<Output = ()> + Send + 'static>(
        &mut self,
        job: impl Fn(Arc<Registry>, watch::Receiver<bool>) -> Job + Send + Sync + 'static,
    ) {
        let (registry, stop) = (Arc::clone(self.registry), self.stop.clone());
        self.jobs.spawn(run(registry, stop, job));
    }
}

/// Runs `job` whenever this process leads, and has it stop when it does not any more, or is told to `stop`.
async fn run<Job: Future<Output = ()>>(
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
