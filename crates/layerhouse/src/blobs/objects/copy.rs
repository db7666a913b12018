//! A file as an object: what is whole already goes in several parts at once, and is hashed again on its way, for it
//! was read back from a disk.

use std::fs::File;
use std::future::Future;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use layerhouse_oci::digest::Hasher;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinSet, spawn_blocking};

use super::settings::PART_BYTES_MAX;
use super::stage::PARTS_MAX;
use super::{Objects, unreachable};
use crate::blobs::stage::VerifiedBlob;
use crate::fault::{Fault, FaultKind};
use crate::metrics::Action;

/// Parts of one file on their way at once.
const PARTS_AT_ONCE: usize = 4;
/// Parts of all files that are in memory at once, in MiB: two of the largest.
pub(super) const MIB_MAX: u32 = 128;
/// Who stops waits so long for what is nearly there: an object whose writing is left alone is found a day later.
const LINGER: Duration = Duration::from_secs(3);
/// And so long for the store to forget the parts; a rule of the bucket's does it else.
const GIVE_UP_MAX: Duration = Duration::from_secs(3);

/// A part that the store has: its number and name; its memory is free again.
type Put = Result<(usize, String), Fault>;

impl Objects {
    /// Writes a file as an object, durably; `stop` ends it before its time, unless it is done soon.
    ///
    /// # Errors
    /// The file cannot be read or has other bytes, the store does not take them, or it was stopped; the store has nothing
    /// of it then, as far as it answers.
    pub(crate) async fn put_file(
        self: &Arc<Self>,
        key: &str,
        file: File,
        blob: &VerifiedBlob,
        stop: impl Future<Output = ()>,
    ) -> Result<(), Fault> {
        let copying = Copying {
            objects: Arc::clone(self),
            key: Arc::from(key),
            file: Arc::new(file),
            blob: blob.clone(),
        };
        let stop = async {
            stop.await;
            tokio::time::sleep(LINGER).await;
        };
        tokio::pin!(stop);
        let part_bytes = part_bytes(blob.size_bytes(), self.bucket.part_bytes);
        if blob.size_bytes() <= part_bytes {
            return tokio::select! {
                written = copying.whole() => written,
                () = stop => Err(stopped()),
            };
        }
        let (objects, name) = (Arc::clone(self), key.to_owned());
        let multipart = blocking(move || objects.begin_parts(&name)).await?;
        let multipart: Arc<str> = Arc::from(multipart);
        let written = tokio::select! {
            names = copying.parts(&multipart, part_bytes) => match names {
                Ok(names) => copying.complete(&multipart, names).await,
                Err(fault) => Err(fault),
            },
            () = &mut stop => Err(stopped()),
        };
        if let Err(fault) = &written {
            let was_stopped = fault.kind() == FaultKind::Stopping;
            let (objects, name) = (Arc::clone(self), key.to_owned());
            let giving_up = blocking(move || {
                objects.give_up(&name, &multipart);
                Ok(())
            });
            if was_stopped {
                let _ = tokio::time::timeout(GIVE_UP_MAX, giving_up).await;
            } else {
                tokio::select! {
                    _ = giving_up => {}
                    () = stop => {}
                }
            }
        }
        written
    }
}

/// A file on its way.
struct Copying {
    objects: Arc<Objects>,
    key: Arc<str>,
    file: Arc<File>,
    blob: VerifiedBlob,
}

impl Copying {
    async fn whole(&self) -> Result<(), Fault> {
        let size_bytes = self.blob.size_bytes();
        let _room = self.room(size_bytes).await?;
        let hasher = Hasher::new(self.blob.digest().algorithm());
        let (content, hasher) = self.read(0, size_bytes, hasher).await?;
        self.check(hasher)?;
        let (objects, key) = (Arc::clone(&self.objects), Arc::clone(&self.key));
        blocking(move || objects.put(&key, vec![content])).await
    }

    /// Sends all parts; their names, in their order.
    async fn parts(&self, multipart: &Arc<str>, part_bytes: u64) -> Result<Vec<String>, Fault> {
        let size_bytes = self.blob.size_bytes();
        let mut names = Vec::new();
        // On tasks of their own, so that what they hold is given back while the next waits for its room.
        let mut puts = JoinSet::<Put>::new();
        let mut hasher = Some(Hasher::new(self.blob.digest().algorithm()));
        let mut sent = Ok(());
        let mut first = 0;
        while let Some(so_far) = hasher.take_if(|_| first < size_bytes && sent.is_ok()) {
            let length = part_bytes.min(size_bytes - first);
            let room = self.room(length).await?;
            let content = match self.read(first, length, so_far).await {
                Ok((content, so_far)) => {
                    hasher = Some(so_far);
                    content
                }
                Err(fault) => {
                    sent = Err(fault);
                    break;
                }
            };
            first += length;
            puts.spawn(self.put(multipart, names.len(), content, room));
            names.push(String::new());
            while sent.is_ok() && PARTS_AT_ONCE <= puts.len() {
                sent = note(&mut names, puts.join_next().await);
            }
        }
        // Those that are on their way, too, when one failed: what is given up is not to come back.
        while let Some(put) = puts.join_next().await {
            let noted = note(&mut names, Some(put));
            sent = sent.and(noted);
        }
        sent?;
        let all = "what was read without a failure was hashed";
        self.check(hasher.expect(all))?;
        Ok(names)
    }

    fn put(
        &self,
        multipart: &Arc<str>,
        number: usize,
        content: Bytes,
        room: OwnedSemaphorePermit,
    ) -> impl Future<Output = Put> + Send + 'static {
        let (objects, key, multipart) = (
            Arc::clone(&self.objects),
            Arc::clone(&self.key),
            (**multipart).to_owned(),
        );
        async move {
            let _timed = objects.actions.time(Action::Writer);
            let path = objects.path_of(&key);
            let put = objects
                .store
                .put_part(&path, &multipart, number, content.into());
            let part = put
                .await
                .map_err(|error| unreachable("writing a part of an object", error))?;
            drop(room);
            Ok((number, part.content_id))
        }
    }

    async fn complete(&self, multipart: &Arc<str>, names: Vec<String>) -> Result<(), Fault> {
        let (objects, key) = (Arc::clone(&self.objects), Arc::clone(&self.key));
        let (multipart, size_bytes) = (Arc::clone(multipart), self.blob.size_bytes());
        blocking(move || {
            objects
                .end_parts((&key, &multipart), names, size_bytes)
                .map(drop)
        })
        .await
    }

    /// Memory for so many bytes, when others gave it back.
    async fn room(&self, bytes: u64) -> Result<OwnedSemaphorePermit, Fault> {
        let mib = u32::try_from(bytes.div_ceil(1 << 20)).unwrap_or(MIB_MAX);
        let room = Arc::clone(&self.objects.copying).acquire_many_owned(mib.min(MIB_MAX));
        let closed = |error| Fault::new(FaultKind::Other, "waiting for memory", error);
        room.await.map_err(closed)
    }

    /// Reads what comes next, and hashes it.
    async fn read(
        &self,
        first: u64,
        length: u64,
        mut hasher: Hasher,
    ) -> Result<(Bytes, Hasher), Fault> {
        let file = Arc::clone(&self.file);
        blocking(move || {
            let length = usize::try_from(length).expect("a part is in memory");
            let mut content = vec![0; length];
            file.read_exact_at(&mut content, first)
                .map_err(|error| Fault::io("reading staged bytes", error))?;
            hasher.update(&content);
            Ok((content.into(), hasher))
        })
        .await
    }

    /// Whether what was read is what was written.
    fn check(&self, hasher: Hasher) -> Result<(), Fault> {
        if hasher.finish() == *self.blob.digest() {
            return Ok(());
        }
        let what = "a staged blob was read back with other bytes than were written: the disk fails";
        Err(Fault::plain(FaultKind::Damaged, what))
    }
}

fn note(
    names: &mut [String],
    put: Option<Result<Put, tokio::task::JoinError>>,
) -> Result<(), Fault> {
    let lost = |error| Fault::new(FaultKind::Other, "writing a part of an object", error);
    if let Some(put) = put {
        let (number, name) = put.map_err(lost)??;
        names[number] = name;
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let done = spawn_blocking(work).await;
    done.map_err(|error| Fault::new(FaultKind::Other, "copying a file", error))?
}

fn stopped() -> Fault {
    let what = "a blob was not copied to the bucket, for the server stops";
    Fault::plain(FaultKind::Stopping, what)
}

/// How long all parts but the last are.
fn part_bytes(size_bytes: u64, wanted_bytes: u64) -> u64 {
    let parts_max = PARTS_MAX as u64;
    if size_bytes.div_ceil(wanted_bytes) <= parts_max {
        return wanted_bytes;
    }
    // What has more than 625 GiB needs larger ones.
    PART_BYTES_MAX.max(size_bytes.div_ceil(parts_max))
}

#[cfg(test)]
mod tests {
    use super::super::settings::{PART_BYTES_DEFAULT, PART_BYTES_MIN};
    use super::*;

    #[test]
    fn no_file_has_too_many_parts() {
        let bytes = |size_bytes| part_bytes(size_bytes, PART_BYTES_DEFAULT);
        assert_eq!(bytes(0), PART_BYTES_DEFAULT);
        assert_eq!(bytes(90 << 30), PART_BYTES_DEFAULT);
        assert_eq!(bytes(256 << 30), PART_BYTES_MAX);
        for size_bytes in [1, PART_BYTES_MIN, 97 << 30, 99 << 30, 624 << 30, 5 << 40] {
            for wanted in [PART_BYTES_MIN, PART_BYTES_DEFAULT, PART_BYTES_MAX] {
                let parts = size_bytes.div_ceil(part_bytes(size_bytes, wanted));
                assert!(parts <= PARTS_MAX as u64, "{size_bytes} {wanted}");
            }
        }
    }
}
