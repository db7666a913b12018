//! Objects through the hash: read from the store as a client would, at the scrub's pace.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use layerhouse_oci::digest::{Digest, Hasher};

use super::pace::Pace;
use super::{Reading, SLICE_BYTES, Verdict, Version};
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::registry::objects::{DAMAGED_KEPT, UNKNOWN_STORE};
use crate::registry::{Registry, blocking};

impl Registry {
    /// Reads an object through, pausing on the way; an error is why the store did not give it. A store that
    /// does not answer at all ends the round.
    pub(super) async fn read_object(
        self: &Arc<Self>,
        digest: &Digest,
        key: String,
        pace: &mut Pace,
        speed: u64,
        hashed_bytes: &mut u64,
    ) -> Result<Result<Reading, String>, Fault> {
        let Some(objects) = self.store.objects_of(&key).cloned() else {
            return Ok(Err(UNKNOWN_STORE.to_owned()));
        };
        let asked = (Arc::clone(&objects), key.clone());
        let Some(size_bytes) = blocking(move || asked.0.size_bytes(&asked.1)).await?? else {
            return Ok(Ok(Reading::Missing(Some(key))));
        };
        let Some(mut reader) = objects.open_range(&key, 0..size_bytes).await? else {
            return Ok(Ok(Reading::Missing(Some(key))));
        };
        let mut hasher = Hasher::new(digest.algorithm());
        loop {
            let began = Instant::now();
            let (mut slice, mut slice_bytes) = (Vec::<Bytes>::new(), 0);
            while slice_bytes < SLICE_BYTES {
                match poll_fn(|context| reader.poll_next(context)).await {
                    Some(Ok(bytes)) => {
                        slice_bytes += bytes.len() as u64;
                        slice.push(bytes);
                    }
                    Some(Err(fault)) if fault.kind() == FaultKind::Damaged => {
                        return Ok(Err(fault.to_string()));
                    }
                    Some(Err(fault)) => return Err(fault),
                    None => break,
                }
            }
            let is_end = slice_bytes < SLICE_BYTES;
            hasher = blocking(move || {
                for bytes in &slice {
                    hasher.update(bytes);
                }
                hasher
            })
            .await?;
            self.scrub_numbers.add_bytes(slice_bytes);
            *hashed_bytes += slice_bytes;
            if is_end {
                return Ok(Ok(Reading::Whole {
                    actual: hasher.finish(),
                    version: Version::Object(key),
                    size_bytes,
                }));
            }
            if let Some(pause) = pace.pause(slice_bytes, began.elapsed(), speed) {
                self.clock.sleep(pause).await;
            }
        }
    }

    /// The row names an object no more that is missing or damaged, if it still is the one that was looked at;
    /// the caller holds the digest's lease. `None` if it is not.
    pub(super) async fn withdraw_object(
        &self,
        digest: &Digest,
        key: String,
    ) -> Result<Option<Verdict>, Fault> {
        let (withdrawn, now) = (digest.clone(), self.clock.now());
        let times = (now, now.after(DAMAGED_KEPT));
        let shown = key.clone();
        let is_withdrawn = self
            .database
            .write(move |tx| meta::objects::withdraw(tx, &withdrawn, &key, times))
            .await?;
        if !is_withdrawn {
            return Ok(None);
        }
        tracing::error!(
            %digest,
            key = shown,
            "a blob is missing or damaged in the object store; push it again to heal it"
        );
        self.settle_damage(digest, true).await.map(Some)
    }
}
