//! Parts of a push that are on their way to the store while its next bytes come.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use object_store::{Error, PutPayload};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::service::{SILENCE_MAX, is_answered};
use super::settings::PART_BYTES_MAX;
use super::stage::Mark;
use super::{Objects, unreachable};
use crate::fault::{Fault, FaultKind};
use crate::metrics::Action;

/// Parts of one push on their way while the next is gathered, at most.
const PARTS_AT_ONCE: usize = 4;
/// A part that takes longer says that the link has no room for more of them: together they would be given up where one
/// alone arrives.
const SLOW: Duration = Duration::from_secs(SILENCE_MAX.as_secs() / 8);
/// Such parts of all pushes of a process, in MiB: two of the largest with the batch that filled them, or 14 of 10 MiB.
pub(crate) const MIB_MAX: u32 = 160;
const _: () = assert!(2 * ((PART_BYTES_MAX >> 20) + 1) <= MIB_MAX as u64);

/// How many parts of a push go to a bucket at once: one at first, more as they arrive soon.
#[derive(Debug)]
pub(super) struct Pace(AtomicUsize);

impl Default for Pace {
    fn default() -> Self {
        Self(AtomicUsize::new(1))
    }
}

impl Pace {
    pub(super) fn at_once(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn note(&self, took: Duration, has_arrived: bool) {
        let next = if has_arrived && took < SLOW {
            PARTS_AT_ONCE.min(self.at_once() + 1)
        } else {
            1
        };
        // Of two at once one may be lost: the next says the same.
        self.0.store(next, Ordering::Relaxed);
    }
}

/// What came of a part.
#[derive(Debug)]
pub(super) enum Put {
    /// What the store calls it.
    Arrived(String),
    /// The store knows nothing of the parts before.
    Gone,
    Refused(Fault),
    /// It may arrive yet.
    Unknown(Fault),
}

/// A part on its way, on a task of its own: it arrives, or does not, whatever becomes of the push.
pub(super) struct OnItsWay {
    pub(super) put: JoinHandle<Put>,
    pub(super) size_bytes: u64,
    /// Where the push stood before it: what is gone back to if it does not arrive.
    pub(super) before: Mark,
}

impl OnItsWay {
    /// Whether it arrived, or will not.
    pub(super) fn is_done(&self) -> bool {
        self.put.is_finished()
    }

    /// Waits until it is; what came of it does not matter any more.
    pub(super) async fn end(self) {
        let _ = self.put.await;
    }
}

impl Objects {
    /// Memory for a part that is sent while more comes, if there is any. Nobody waits for it: who did would hold a part
    /// in memory meanwhile, as who sends it at once.
    pub(super) fn room(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let mib = u32::try_from(bytes.div_ceil(1 << 20)).ok()?;
        let room = Arc::clone(&self.sending).try_acquire_many_owned(mib);
        room.ok()
    }

    /// Sends a part, numbered from 0, that stands behind `before`.
    pub(super) fn send_part(
        self: &Arc<Self>,
        (key, multipart): (&str, &str),
        number: usize,
        (content, size_bytes): (Vec<Bytes>, u64),
        before: Mark,
        room: Option<OwnedSemaphorePermit>,
    ) -> OnItsWay {
        let objects = Arc::clone(self);
        let (path, multipart) = (self.path_of(key), multipart.to_owned());
        let payload = PutPayload::from_iter(content);
        let put = self.spawn(async move {
            // Given back with the bytes.
            let _room = room;
            let _timed = objects.actions.time(Action::Writer);
            let begun = Instant::now();
            let put = objects.store.put_part(&path, &multipart, number, payload);
            let put = put.await;
            objects.pace.note(begun.elapsed(), put.is_ok());
            let fault = |error| unreachable("writing a part of an object", error);
            match put {
                Ok(part) => Put::Arrived(part.content_id),
                Err(Error::NotFound { .. }) => Put::Gone,
                Err(error) if is_answered(&error) => Put::Refused(fault(error)),
                Err(error) => Put::Unknown(fault(error)),
            }
        });
        OnItsWay {
            put,
            size_bytes,
            before,
        }
    }

    /// Waits for a part.
    pub(super) fn wait_for(&self, put: JoinHandle<Put>) -> Put {
        let lost = |error| Fault::new(FaultKind::Other, "writing a part of an object", error);
        self.wait(put)
            .unwrap_or_else(|error| Put::Unknown(lost(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_go_together_while_they_arrive_soon() {
        let pace = Pace::default();
        assert_eq!(pace.at_once(), 1);
        for expected in [2, 3, 4, 4] {
            pace.note(Duration::from_millis(100), true);
            assert_eq!(pace.at_once(), expected);
        }
        pace.note(SLOW, true);
        assert_eq!(pace.at_once(), 1);
        pace.note(Duration::ZERO, true);
        pace.note(Duration::from_millis(100), false);
        assert_eq!(pace.at_once(), 1);
    }
}
