//! What is kept of other registries, looked after: what takes too much room goes, and what the operator wants here
//! is fetched before anybody asks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::collection::Watch;
use crate::clock::Moment;
use crate::config::meaning::mirror::{Sync, Warm};
use crate::fault::FaultKind;
use crate::registry::Registry;
use crate::registry::mirror::Mirror;
use crate::registry::mirror::evict::Evicted;

/// Between two looks whether something is to be done.
const INTERVAL: Duration = Duration::from_mins(1);
/// Between two looks at all that is kept, though nothing was fetched: for what is too old, and for the metrics. With
/// 50,000 manifests of 10 blobs each, a look takes 2 to 5 s of one core.
const LOOK_INTERVAL: Duration = Duration::from_mins(10);
/// A look at all that is kept takes at most a tenth of the time, however often something is fetched.
const REST: u32 = 9;

/// Lets copies go: those that are too much when something was fetched, those that are too old every ten minutes; and
/// what was left of either a minute later.
pub(super) async fn evict(registry: Arc<Registry>, mut stop: watch::Receiver<bool>) {
    let mut watch = Watch::begin(&registry);
    let mut last = registry.clock().moment();
    let mut is_wanted = false;
    loop {
        tokio::select! {
            () = registry.clock().sleep(INTERVAL) => {}
            () = registry.eviction_wanted() => is_wanted = true,
            _ = stop.wait_for(|is_stopping| *is_stopping) => return,
        }
        let (moment, now) = registry.clock().moment_and_now();
        // That the clock went forward is said by the collection.
        watch.look(moment, now);
        let is_due = LOOK_INTERVAL <= moment.since(last);
        if is_due {
            last = moment;
        }
        let by_age = is_due && !watch.is_cautious(moment);
        let Some(mirror) = registry.mirror() else {
            continue;
        };
        // What another process fetched rings nowhere.
        is_wanted |= registry.is_shared() && mirror.settings.has_budget();
        if !is_due && !is_wanted {
            continue;
        }
        let began = Instant::now();
        let told = stop.clone();
        let evicted = registry
            .evict(&mirror, by_age, move || *told.borrow())
            .await;
        let is_done = |evicted: &Evicted| evicted.skipped == 0;
        is_wanted = !evicted.as_ref().is_ok_and(is_done);
        match evicted {
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

/// When something was last done; what is configured anew was never done.
struct Done<T>(Vec<(T, Moment)>);

impl<T: Clone + PartialEq> Done<T> {
    /// Those of `wanted` that were not done within their interval; they are taken for done `now`.
    fn due(&mut self, wanted: &[T], interval: fn(&T) -> Duration, now: Moment) -> Vec<T> {
        self.0.retain(|(done, _)| wanted.contains(done));
        let mut due = Vec::new();
        for one in wanted {
            match self.0.iter_mut().find(|(done, _)| done == one) {
                Some((_, at)) if now.since(*at) < interval(one) => continue,
                Some((_, at)) => *at = now,
                None => self.0.push((one.clone(), now)),
            }
            due.push(one.clone());
        }
        due
    }
}

/// Fetches what `warm` and `sync` of the configuration say, as often as they say, one after the other; for the first
/// time right after the start. What the configuration says is looked up each minute.
pub(super) async fn fetch(registry: Arc<Registry>, mut stop: watch::Receiver<bool>) {
    let (mut warmed, mut synced) = (Done(Vec::new()), Done(Vec::new()));
    loop {
        let now = registry.clock().moment();
        let work = async {
            let Some(mirror) = registry.mirror() else {
                return;
            };
            let settings = &mirror.settings;
            for entry in warmed.due(&settings.warm, |entry| entry.interval, now) {
                warm(&registry, &entry).await;
            }
            for entry in synced.due(&settings.sync, |entry| entry.interval, now) {
                sync(&registry, &mirror, &entry).await;
            }
        };
        // Whatever is on its way is given up with the others' then, and cleaned up.
        tokio::select! {
            () = work => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => return,
        }
        tokio::select! {
            () = registry.clock().sleep(INTERVAL) => {}
            _ = stop.wait_for(|is_stopping| *is_stopping) => return,
        }
    }
}

async fn warm(registry: &Arc<Registry>, entry: &Warm) {
    for image in &entry.images {
        match registry.warm(image, &entry.platforms).await {
            Ok(warmed) if warmed.was_fresh() => {}
            Ok(warmed) => tracing::info!(
                %image,
                manifests = warmed.manifests,
                blobs = warmed.blobs,
                size_bytes = warmed.bytes,
                "an image was fetched, as layerhouse.mirror.warm says"
            ),
            Err(error) => tracing::warn!(%image, %error, "an image could not be fetched"),
        }
    }
}

async fn sync(registry: &Arc<Registry>, mirror: &Arc<Mirror>, entry: &Sync) {
    let Sync { from, to, .. } = entry;
    match registry.sync(mirror, entry).await {
        Ok(synced) if synced.tags == 0 => {}
        Ok(synced) => tracing::info!(
            %from,
            %to,
            tags = synced.tags,
            size_bytes = synced.fetched.bytes,
            "tags were copied, as layerhouse.mirror.sync says"
        ),
        Err(error) => tracing::warn!(%from, %to, error, "tags could not be copied"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_due_at_once_and_after_their_interval() {
        let interval = |minutes: &u64| Duration::from_mins(*minutes);
        let at = |minutes: u64| Moment::ZERO.after(Duration::from_mins(minutes));
        let mut done = Done(Vec::new());
        assert_eq!(done.due(&[5, 60], interval, at(0)), [5, 60]);
        assert_eq!(done.due(&[5, 60], interval, at(4)), [0; 0]);
        assert_eq!(done.due(&[5, 60], interval, at(5)), [5]);
        // One that was left out for a while is new.
        assert_eq!(done.due(&[7], interval, at(6)), [7]);
        assert_eq!(done.due(&[5, 7], interval, at(7)), [5]);
    }
}
