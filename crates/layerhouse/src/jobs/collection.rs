//! Collects what nothing needs, all the time and a little at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::{Moment, Timestamp};
use crate::fault::FaultKind;
use crate::registry::Registry;
use crate::registry::collection::How;

/// A machine that slept, or whose clock was set: more than rounds are apart.
const JUMP_MIN: Duration = Duration::from_mins(10);
/// Somebody may set the clock back when they see it: what the jump would end lives on for so long.
const CAUTION: Duration = Duration::from_hours(1);
/// Longest pause after a piece of work, whatever it took.
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// Collects until it is told to stop.
pub(super) async fn run(registry: Arc<Registry>, mut stop: watch::Receiver<bool>) {
    let interval = registry.collection_interval();
    let mut watch = Watch::begin(&registry);
    if watch.is_cautious(registry.clock().moment()) {
        tracing::info!(
            "no tag moved for long: in case the clock is wrong, nothing is collected for an hour"
        );
    }
    loop {
        tokio::select! {
            () = registry.clock().sleep(interval) => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => return,
        }
        let (moment, now) = registry.clock().moment_and_now();
        if let Some(jump) = watch.look(moment, now) {
            tracing::warn!(
                seconds = jump.as_secs(),
                "the clock went forward; nothing is collected for an hour, in case it goes back"
            );
        }
        if watch.is_cautious(moment) {
            continue;
        }
        let told = stop.clone();
        let is_over = move || *told.borrow();
        match registry.collect(How::default(), pause, is_over).await {
            Ok(collected) if 0 < collected.blobs + collected.manifests => tracing::info!(
                manifests = collected.manifests,
                links = collected.links,
                blobs = collected.blobs,
                size_bytes = collected.bytes,
                "what nobody needs was collected"
            ),
            Ok(_) => {}
            // The look at `stop` above comes next.
            Err(fault) if fault.kind() == FaultKind::Stopping => {}
            Err(fault) => tracing::warn!(%fault, "collection goes on at the next round"),
        }
    }
}

/// Half of the time is the others'.
fn pause(worked: Duration) -> Duration {
    worked.min(PAUSE_MAX)
}

/// Notices that the machine's clock does not go as time does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    moment: Moment,
    now: Timestamp,
    cautious_since: Option<Moment>,
}

impl Watch {
    /// Begins on a server that starts: where no tag moved for long, as its clock has it, that is not believed
    /// at once.
    pub(super) fn begin(registry: &Registry) -> Self {
        let (moment, now) = registry.clock().moment_and_now();
        let mut watch = Self::new(moment, now);
        let is_doubtful = registry.seems_long_ago().unwrap_or_else(|fault| {
            tracing::warn!(%fault, "whether the clock is right cannot be known");
            true
        });
        watch.cautious_since = is_doubtful.then_some(moment);
        watch
    }

    fn new(moment: Moment, now: Timestamp) -> Self {
        Self {
            moment,
            now,
            cautious_since: None,
        }
    }

    /// How far the clock jumped forward since the last look, if that is far.
    pub(super) fn look(&mut self, moment: Moment, now: Timestamp) -> Option<Duration> {
        let expected = self.now.after(moment.since(self.moment));
        let jump = now.since(expected);
        (self.moment, self.now) = (moment, now);
        let jump = (JUMP_MIN <= jump).then_some(jump);
        if jump.is_some() {
            self.cautious_since = Some(moment);
        }
        jump
    }

    pub(super) fn is_cautious(&self, moment: Moment) -> bool {
        self.cautious_since
            .is_some_and(|since| moment.since(since) < CAUTION)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_jumps_is_not_believed_for_an_hour() {
        let minute = Duration::from_mins(1);
        let start = Timestamp(1_000_000_000);
        let mut watch = Watch::new(Moment::ZERO, start);
        let at = |minutes| Moment::ZERO.after(minute * minutes);
        assert_eq!(watch.look(at(1), start.after(minute)), None);
        let year = Duration::from_hours(365 * 24);
        let jumped = start.after(year);
        assert!(watch.look(at(2), jumped.after(minute * 2)).is_some());
        assert!(watch.is_cautious(at(2)) && watch.is_cautious(at(61)));
        assert!(!watch.is_cautious(at(62)));
        // Back again: nothing seems old by that.
        assert_eq!(watch.look(at(63), start.after(minute * 63)), None);
    }
}
