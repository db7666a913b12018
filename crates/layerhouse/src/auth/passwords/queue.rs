//! Who waits for the core that hashes: not more than are served soon, nor all from one place, and with
//! room kept for those who are known.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Hashes that may wait for the core: at cost 10 and 60 ms the last one is served after 4 s.
pub(super) const MAX: usize = 64;
/// Those among them that only logins that were good before may take.
pub(super) const RESERVED: usize = MAX / 4;
/// Those that strangers of one place may have waiting: a few places cannot keep out all others.
pub(super) const SHARE: usize = MAX / 8;

#[derive(Default)]
pub(super) struct Queue(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    known: usize,
    strangers: usize,
    strangers_by_place: HashMap<String, usize>,
}

/// A place in the queue, until it is dropped.
pub(super) struct Queued<'a> {
    queue: &'a Queue,
    /// Of a stranger.
    place: Option<String>,
}

impl Queue {
    /// A place in the queue, if there is one for them.
    pub(super) fn enter(&self, place: &str, is_known: bool) -> Option<Queued<'_>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if MAX <= waiting.known + waiting.strangers {
            return None;
        }
        if is_known {
            waiting.known += 1;
            return Some(Queued {
                queue: self,
                place: None,
            });
        }
        let own = waiting.strangers_by_place.get(place).copied().unwrap_or(0);
        if MAX - RESERVED <= waiting.strangers || SHARE <= own {
            return None;
        }
        waiting.strangers += 1;
        waiting.strangers_by_place.insert(place.to_owned(), own + 1);
        Some(Queued {
            queue: self,
            place: Some(place.to_owned()),
        })
    }
}

#[cfg(test)]
impl Queue {
    pub(super) fn count(&self) -> usize {
        let waiting = self.0.lock().expect("no panic");
        waiting.known + waiting.strangers
    }

    pub(super) fn places(&self) -> usize {
        self.0.lock().expect("no panic").strangers_by_place.len()
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let mut waiting = self.queue.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(place) = &self.place else {
            waiting.known -= 1;
            return;
        };
        waiting.strangers -= 1;
        if let Some(own) = waiting.strangers_by_place.get_mut(place) {
            *own -= 1;
            if *own == 0 {
                waiting.strangers_by_place.remove(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_has_an_eighth_of_the_queue() {
        let queue = Queue::default();
        let own: Vec<_> = (0..SHARE).map(|_| queue.enter("a", false)).collect();
        assert!(own.iter().all(Option::is_some));
        assert!(queue.enter("a", false).is_none());
        assert!(
            queue.enter("a", true).is_some(),
            "who is known is no guesser"
        );
        assert!(queue.enter("b", false).is_some());
        drop(own);
        assert!(queue.enter("a", false).is_some());
        assert_eq!((queue.count(), queue.places()), (0, 0));
    }

    #[test]
    fn strangers_leave_room_for_who_is_known() {
        let queue = Queue::default();
        let strangers: Vec<_> = (0..MAX)
            .filter_map(|number| queue.enter(&number.to_string(), false))
            .collect();
        assert_eq!(strangers.len(), MAX - RESERVED);
        let known: Vec<_> = (0..MAX).filter_map(|_| queue.enter("a", true)).collect();
        assert_eq!(known.len(), RESERVED);
        drop(strangers);
        assert_eq!(queue.count(), RESERVED);
    }
}
