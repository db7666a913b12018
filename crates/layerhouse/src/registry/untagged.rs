//! Manifests without a tag: which there are, and deleting them, as `garbage-collect --delete-untagged` of
//! registry:2 does. They can be restored like all that is deleted.

use super::Registry;
use super::deletion::discard;
use crate::fault::Fault;
use crate::meta;
use crate::meta::deleted::{Deed, Why};
use crate::meta::untagged::Untagged;

/// Deleted in one transaction.
const DELETED_TOGETHER: usize = 128;

impl Registry {
    /// A page of those that no tag and no other manifest names. Those that were just pushed are left out, unless
    /// `is_now`: a client pushes the images of an index before the index, and may name them by a tag last.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn untagged(
        &self,
        is_now: bool,
        after: Option<&Untagged>,
        rows: usize,
    ) -> Result<Vec<Untagged>, Fault> {
        let now = self.clock.now();
        let until = if is_now {
            now
        } else {
            now.before(self.limits.collection.grace)
        };
        self.database
            .read(|tx| meta::untagged::list(tx, until, after, rows))
    }

    /// Deletes them; how many.
    ///
    /// # Errors
    /// The disk or the database failed.
    pub(crate) async fn delete_untagged(&self, is_now: bool, by: &str) -> Result<u64, Fault> {
        self.store.check_healthy()?;
        self.make_room_for_delete();
        let mut deleted = 0;
        let mut after: Option<Untagged> = None;
        loop {
            let page = self.untagged(is_now, after.as_ref(), DELETED_TOGETHER)?;
            let Some(last) = page.last() else {
                return Ok(deleted);
            };
            after = Some(last.clone());
            let (by, now) = (by.to_owned(), self.clock.now());
            let written = self.database.write(move |tx| {
                let deed = Deed {
                    by: &by,
                    why: Why::Untagged,
                    at: now,
                };
                let mut deleted = 0;
                for one in &page {
                    // It may have been tagged since it was listed.
                    if meta::untagged::is_still(tx, one)? {
                        let (repository, id) = (&one.repository, one.repository_id);
                        deleted += u64::from(discard(tx, repository, id, &one.digest, deed)?);
                    }
                }
                Ok::<_, Fault>(deleted)
            });
            deleted += written.await?;
            self.links_wanted.notify_one();
        }
    }
}
