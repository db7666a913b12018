//! Parts of a push that are on their way to the store while its next bytes come.

use std::sync::Arc;

use bytes::Bytes;
use object_store::{Error, PutPayload};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::settings::PART_BYTES_MAX;
use super::stage::Mark;
use super::{Objects, unreachable};
use crate::fault::{Fault, FaultKind};
use crate::metrics::Action;

/// Parts of one push on their way while the next is gathered.
pub(super) const PARTS_AT_ONCE: usize = 4;
/// Such parts of all pushes of a process, in MiB: two of the largest with the batch that filled them, or 14 of 10 MiB.
pub(crate) const MIB_MAX: u32 = 160;
const _: () = assert!(2 * ((PART_BYTES_MAX >> 20) + 1) <= MIB_MAX as u64);

/// What the store calls a part, or `None` if it knows nothing of those before.
pub(super) type Put = Result<Option<String>, Fault>;

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
            let put = objects.store.put_part(&path, &multipart, number, payload);
            match put.await {
                Ok(part) => Ok(Some(part.content_id)),
                Err(Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(unreachable("writing a part of an object", error)),
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
        self.wait(put).map_err(lost)?
    }
}
