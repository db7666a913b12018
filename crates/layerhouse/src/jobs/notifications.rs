//! Tells the endpoints of `notifications` what happened: one task each, so that one that is slow or
//! away keeps no other waiting.
//!
//! An endpoint is told of one event after the other, in the order in which they happened, and of the
//! next only once it has the one before. What it has not is in the outbox, not in memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Timestamp;
use crate::config::meaning::{Endpoint, Notifications};
use crate::fault::Fault;
use crate::outbound::{Outbound, Post};
use crate::registry::Registry;
use crate::registry::events::Wishes;
use crate::registry::events::counters::Attempt;
use crate::registry::events::outbox::{EventId, Pulls};

const MEDIA_TYPE: &str = "application/vnd.docker.distribution.events.v2+json";

/// The longest wait for an endpoint that fails, unless its own `backoff` is longer.
const BACKOFF_MAX: Duration = Duration::from_mins(5);
/// How long a stop waits for an answer that is due; without it the event is told again after the start.
const LAST_ANSWER_MAX: Duration = Duration::from_millis(500);
/// Before the database is asked again after it failed.
const DATABASE_PAUSE: Duration = Duration::from_secs(5);
/// Between two warnings of one thing.
const SAID_AGAIN_AFTER: Duration = Duration::from_mins(1);
/// Pulls are gathered for so long, to be written together.
const PULLS_PAUSE: Duration = Duration::from_millis(50);
/// Between two looks at how much the outbox holds.
const BOUND_INTERVAL: Duration = Duration::from_mins(1);
/// Between two looks at what other processes wrote.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// Looks after which who leads drops the endpoints of others.
const AGREED_LOOKS: u32 = 10;
/// Looks at which events were too old before they are dropped.
const OLD_LOOKS_MIN: u32 = 60;

/// Writes the events of pulls; the last ones after the stop.
pub(super) async fn write_pulls(registry: Arc<Registry>, mut stop: watch::Receiver<bool>) {
    let mut said = Seldom::default();
    loop {
        let has_more = tokio::select! {
            pulls = registry.next_pulls() => {
                let has_more = pulls.are_many();
                write(&registry, pulls, &mut said).await;
                has_more
            }
            () = stopping(&mut stop) => break,
        };
        if has_more {
            continue;
        }
        tokio::select! {
            () = tokio::time::sleep(PULLS_PAUSE) => {}
            () = stopping(&mut stop) => break,
        }
    }
    while let Some(pulls) = registry.left_pulls().await {
        write(&registry, pulls, &mut said).await;
    }
}

async fn write(registry: &Registry, pulls: Pulls, said: &mut Seldom) {
    if let Err(fault) = registry.write_pulls(pulls).await
        && said.is_due(registry.clock().now())
    {
        tracing::warn!(%fault, "the events of some pulls could not be written; they are lost");
    }
}

/// What would be said each few seconds is said once a minute.
#[derive(Debug, Default)]
struct Seldom(Option<Timestamp>);

impl Seldom {
    fn is_due(&mut self, now: Timestamp) -> bool {
        let is_due = self
            .0
            // A clock that went back does not silence anything.
            .is_none_or(|said| now < said || SAID_AGAIN_AFTER <= now.since(said));
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}

/// Waits for the stop.
async fn stopping(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|is_stopping| *is_stopping).await;
}

/// Keeps the outbox within its bounds. What is too old goes once it was so at every look of an hour: a
/// clock that was wrong for a moment costs no events.
pub(super) async fn bound_outbox(registry: Arc<Registry>, mut stop: watch::Receiver<bool>) {
    let mut old_looks = 0;
    for look in 0_u32.. {
        // Processes that are restarted one after the other have another configuration each for a while.
        if look == AGREED_LOOKS
            && registry.is_shared()
            && let Err(fault) = registry.drop_other_endpoints().await
        {
            tracing::warn!(%fault, "endpoints that are told no more are kept");
        }
        match registry.bound_outbox(OLD_LOOKS_MIN <= old_looks).await {
            Ok(true) => old_looks = OLD_LOOKS_MIN.min(old_looks + 1),
            Ok(false) => old_looks = 0,
            Err(fault) => tracing::warn!(%fault, "the outbox of events could not be cleaned up"),
        }
        tokio::select! {
            () = registry.clock().sleep(BOUND_INTERVAL) => {}
            () = stopping(&mut stop) => return,
        }
    }
}

/// Tells the endpoints of a configuration, and of the next one when it changes.
pub(super) async fn deliver(
    registry: Arc<Registry>,
    mut wanted: watch::Receiver<Notifications>,
    mut stop: watch::Receiver<bool>,
) {
    let outbound = Arc::new(Outbound::default());
    let mut leads = registry.leads();
    while let Some(notifications) = configure(&registry, &mut wanted, &mut stop).await {
        let (end, is_ending) = watch::channel(false);
        let mut deliveries = JoinSet::new();
        // Another process tells them.
        let is_led = *leads.borrow_and_update();
        for endpoint in notifications.endpoints.into_iter().filter(|_| is_led) {
            let delivery = Delivery {
                registry: Arc::clone(&registry),
                outbound: Arc::clone(&outbound),
                wishes: Wishes::of(&endpoint),
                endpoint,
                failures: 0,
                delivered: None,
                said: Seldom::default(),
            };
            deliveries.spawn(delivery.run(is_ending.clone()));
        }
        let is_stopping = tokio::select! {
            // Without a sender, the server is gone.
            is_changed = wanted.changed() => is_changed.is_err(),
            is_changed = leads.changed() => is_changed.is_err(),
            () = stopping(&mut stop) => true,
        };
        end.send_replace(true);
        while let Some(ended) = deliveries.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the delivery of events failed");
            }
        }
        if is_stopping {
            return;
        }
    }
}

/// Gives the registry the newest configuration: the one to deliver by, for the next may have come since.
/// `None` if it is time to stop.
async fn configure(
    registry: &Registry,
    wanted: &mut watch::Receiver<Notifications>,
    stop: &mut watch::Receiver<bool>,
) -> Option<Notifications> {
    loop {
        let notifications = wanted.borrow_and_update().clone();
        match registry.configure_events(&notifications).await {
            Ok(()) => return Some(notifications),
            Err(fault) => tracing::error!(%fault, "the endpoints of events could not be changed"),
        }
        tokio::select! {
            () = registry.clock().sleep(DATABASE_PAUSE) => {}
            () = stopping(stop) => return None,
        }
    }
}

/// Tells one endpoint.
struct Delivery {
    registry: Arc<Registry>,
    outbound: Arc<Outbound>,
    endpoint: Endpoint,
    wishes: Wishes,
    /// In a row.
    failures: u32,
    /// Up to here the endpoint has everything, even where that could not be written down: a full disk
    /// must not have it told the same again and again.
    delivered: Option<EventId>,
    said: Seldom,
}

/// Why an event was not delivered.
struct Stopped;

impl Delivery {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut written = self.registry.events_written();
        loop {
            written.mark_unchanged();
            let pause = match self.page(&mut stop).await {
                Ok(0) => None,
                Ok(_) => continue,
                Err(End::Stopped) => return,
                Err(End::Fault(fault)) => {
                    if self.said.is_due(self.registry.clock().now()) {
                        let endpoint = &self.endpoint.name;
                        tracing::warn!(%fault, endpoint, "events could not be read or ticked off");
                    }
                    Some(DATABASE_PAUSE)
                }
            };
            let news = async {
                match pause {
                    Some(pause) => self.registry.clock().sleep(pause).await,
                    None if self.registry.is_shared() => {
                        let _ = tokio::time::timeout(LOOK_INTERVAL, written.changed()).await;
                    }
                    None => drop(written.changed().await),
                }
            };
            tokio::select! {
                () = news => {}
                () = stopping(&mut stop) => return,
            }
        }
    }

    /// Tells the next events; how many there were.
    async fn page(&mut self, stop: &mut watch::Receiver<bool>) -> Result<usize, End> {
        let name = self.endpoint.name.clone();
        let Some(ticked_off) = self.registry.events_passed(&name)? else {
            return Ok(0);
        };
        let begin = self.delivered.map_or(ticked_off, |it| it.max(ticked_off));
        let events = self.registry.events_after(begin)?;
        let count = events.len();
        let mut passed = begin;
        let mut end = Ok(count);
        for event in events {
            if self.wishes.wants(&event.action, &event.media_type)
                && self.tell(&event.body, stop).await.is_err()
            {
                end = Err(End::Stopped);
                break;
            }
            passed = event.id;
        }
        self.delivered = Some(passed);
        if ticked_off < passed {
            // Once for a page: a crash in between tells some of it again.
            self.registry.pass_events(&name, passed).await?;
        }
        end
    }

    /// Tells one event until the endpoint has it.
    async fn tell(&mut self, event: &str, stop: &mut watch::Receiver<bool>) -> Result<(), Stopped> {
        let body = Bytes::from(format!("{{\"events\":[{event}]}}"));
        let url = self.endpoint.url.to_string();
        loop {
            let problem = match self.attempt(&url, body.clone(), stop).await? {
                Ok(status) if (200..400).contains(&status) => {
                    self.count(Attempt::Delivered { status });
                    self.note_success();
                    return Ok(());
                }
                Ok(status) => {
                    self.count(Attempt::Refused { status });
                    format!("it answered {status}")
                }
                Err(problem) => {
                    self.count(Attempt::Failed);
                    problem
                }
            };
            let pause = self.note_failure(&problem);
            if *stop.borrow() {
                return Err(Stopped);
            }
            if !pause.is_zero() {
                tokio::select! {
                    () = self.registry.clock().sleep(pause) => {}
                    () = stopping(stop) => return Err(Stopped),
                }
            }
        }
    }

    /// The status of the answer, or what went wrong.
    async fn attempt(
        &self,
        url: &str,
        body: Bytes,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Result<u16, String>, Stopped> {
        let post = self.outbound.post(Post {
            url,
            media_type: MEDIA_TYPE,
            headers: &self.endpoint.headers,
            body,
        });
        let timeout = self.endpoint.timeout;
        let last_answer = async {
            stopping(stop).await;
            tokio::time::sleep(LAST_ANSWER_MAX).await;
        };
        tokio::select! {
            status = post => Ok(status.map_err(|error| error.to_string())),
            () = self.registry.clock().sleep(timeout) => {
                Ok(Err(format!("it did not answer within {timeout:?}")))
            }
            () = last_answer => Err(Stopped),
        }
    }

    fn count(&self, attempt: Attempt) {
        self.registry.count_attempt(&self.endpoint.name, attempt);
    }

    fn note_success(&mut self) {
        if self.threshold() <= self.failures {
            let endpoint = &self.endpoint.name;
            tracing::info!(
                endpoint,
                failures = self.failures,
                "events are delivered again"
            );
        }
        self.failures = 0;
    }

    /// How long to wait after one more failure; said once, when the endpoint is first left alone.
    fn note_failure(&mut self, problem: &str) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let endpoint = &self.endpoint.name;
        if self.failures == self.threshold() {
            let failures = self.failures;
            tracing::warn!(
                endpoint,
                failures,
                problem,
                "events cannot be delivered; they are kept, and tried again with growing pauses"
            );
        } else {
            tracing::debug!(endpoint, problem, "an event was not delivered");
        }
        pause_after(self.failures, self.threshold(), self.endpoint.backoff)
    }

    fn threshold(&self) -> u32 {
        self.endpoint.threshold.max(1)
    }
}

/// Why a page ended early.
enum End {
    Stopped,
    Fault(Fault),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// How long an endpoint is left alone after so many failures in a row: not at all below the threshold,
/// as in registry:2; then for `backoff`, and with each failure for twice as long, to a bound.
fn pause_after(failures: u32, threshold: u32, backoff: Duration) -> Duration {
    let Some(doublings) = failures.checked_sub(threshold) else {
        return Duration::ZERO;
    };
    let factor = 2_u32.saturating_pow(doublings.min(31));
    backoff.saturating_mul(factor).min(BACKOFF_MAX.max(backoff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_begin_at_the_threshold_and_grow_to_a_bound() {
        let check = |failures, backoff_s, expected_s| {
            let pause = pause_after(failures, 3, Duration::from_secs(backoff_s));
            assert_eq!(pause, Duration::from_secs(expected_s), "{failures}");
        };
        check(1, 10, 0);
        check(2, 10, 0);
        check(3, 10, 10);
        check(4, 10, 20);
        check(7, 10, 160);
        check(8, 10, 300);
        check(u32::MAX, 10, 300);
        check(3, 3600, 3600);
        check(9, 3600, 3600);
        check(9, 0, 0);
    }
}
