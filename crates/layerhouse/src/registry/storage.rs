//! How much is stored, measured from time to time and written down, so that somebody sees the disk fill.

use std::sync::Arc;
use std::time::Duration;

use super::{Registry, blocking};
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta;
use crate::meta::storage::Sample;

/// Between two samples.
pub(crate) const INTERVAL: Duration = Duration::from_hours(1);
/// Samples older than this are thinned to one a day.
const HOURLY_FOR: Duration = Duration::from_hours(7 * 24);
/// Older ones go.
const KEPT_FOR: Duration = Duration::from_hours(2 * 365 * 24);
/// Most samples there are: those of a week by the hour and those of two years by the day, and some more where a
/// server was started often.
const SAMPLES_MAX: usize = 2000;
const _: () = assert!(7 * 24 + 2 * 365 < SAMPLES_MAX);

impl Registry {
    /// Measures how much is stored and writes it down; older samples are thinned.
    ///
    /// # Errors
    /// The database failed, or the file system does not answer.
    pub(crate) async fn sample_storage(self: &Arc<Self>) -> Result<(), Fault> {
        let registry = Arc::clone(self);
        let sample = blocking(move || registry.measure_storage()).await??;
        let (daily, gone) = (sample.at.before(HOURLY_FOR), sample.at.before(KEPT_FOR));
        let keep = move |tx: &meta::transaction::Transaction<'_>| {
            meta::storage::keep(tx, &sample)?;
            meta::storage::thin(tx, daily, gone)
        };
        self.database.write(keep).await
    }

    /// Reads all rows of blobs: where it may wait.
    fn measure_storage(&self) -> Result<Sample, Fault> {
        let at = self.clock.now();
        let gone = at.before(self.limits.collection.undelete);
        let (stored, deleted) = self.database.read(|tx| {
            let stored = meta::storage::stored_bytes(tx)?;
            Ok::<_, Fault>((stored, meta::reviews::held_by_deleted(tx, gone)?))
        })?;
        Ok(Sample {
            at,
            unique_bytes: stored.0,
            logical_bytes: stored.1,
            deleted_bytes: deleted.1,
            uploads_bytes: self.sessions.held_bytes(),
            free_bytes: self.store.free_bytes()?,
        })
    }

    /// When the last sample was taken.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn sampled_storage_at(&self) -> Result<Option<Timestamp>, Fault> {
        self.database.read(meta::storage::newest)
    }

    /// All samples, the oldest first. Blocks for milliseconds.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn storage_samples(&self) -> Result<Vec<Sample>, Fault> {
        let read = |tx: &meta::transaction::Transaction<'_>| meta::storage::list(tx, SAMPLES_MAX);
        self.database.list(read)
    }
}
