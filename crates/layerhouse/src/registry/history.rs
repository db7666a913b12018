//! What was before: the record of tags, pulls of a tag as it was, and what was deleted and can come back.

use std::time::Duration;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;
use layerhouse_oci::tag_at::TagAt;

use super::pages::Page;
use super::{Collecting, Registry};
use crate::auth::{Granted, Pull};
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta;
use crate::meta::deleted::{DeletedManifest, Holding};
use crate::meta::history::TagEvent;
use crate::meta::manifests::StoredManifest;

/// Which part of the record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HistoryQuery<'a> {
    /// Absent for all tags of the repository.
    pub(crate) tag: Option<&'a Tag>,
    /// Events before this one.
    pub(crate) before: Option<i64>,
    /// At most so many.
    pub(crate) limit: usize,
}

/// A deleted manifest that can come back.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    pub(crate) deleted: DeletedManifest,
    /// Those that pointed at it when it was deleted.
    pub(crate) tags: Vec<Tag>,
}

impl Registry {
    /// Moves and removals of tags, the last first; `None` if there is and was no such repository.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn history(
        &self,
        pull: &Granted<Pull>,
        query: HistoryQuery<'_>,
    ) -> Result<Option<Page<TagEvent>>, Fault> {
        self.database.list(|tx| {
            let Some(id) = meta::repositories::find(tx, pull.repository())? else {
                return Ok(None);
            };
            let HistoryQuery { tag, before, limit } = query;
            let events = meta::history::list(tx, id, tag, before, limit + 1)?;
            Ok(Some(Page::cut(events, limit)))
        })
    }

    /// What a tag pointed at when the second that `at` is in was over; `None` if it was not there.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn tag_at(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        at: Timestamp,
    ) -> Result<Option<Digest>, Fault> {
        let at = end_of_second(at);
        self.database
            .read(|tx| match meta::repositories::find(tx, repository)? {
                Some(id) => meta::history::tag_at(tx, id, tag, at),
                None => Ok(None),
            })
    }
}

/// Whether a manifest of the record can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Here,
    /// It was deleted, and can come back until then.
    Deleted {
        until: Timestamp,
    },
    Gone,
}

impl Registry {
    /// Which of these manifests can be had; `None` if there is and was no such repository.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn standing(
        &self,
        pull: &Granted<Pull>,
        digests: &[&Digest],
    ) -> Result<Option<Vec<Standing>>, Fault> {
        let window = self.undelete_window();
        self.database.read(|tx| {
            let Some(id) = meta::repositories::find(tx, pull.repository())? else {
                return Ok(None);
            };
            let standing = digests.iter().map(|digest| {
                if meta::manifests::exists(tx, id, digest)? {
                    return Ok(Standing::Here);
                }
                let deleted_at = meta::deleted::deleted_at(tx, id, digest)?;
                Ok(deleted_at.map_or(Standing::Gone, |at| Standing::Deleted {
                    until: at.after(window),
                }))
            });
            standing.collect::<Result<_, Fault>>().map(Some)
        })
    }

    /// When a repository was deleted, if it is.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn repository_deleted_at(
        &self,
        pull: &Granted<Pull>,
    ) -> Result<Option<Timestamp>, Fault> {
        self.database.read(
            |tx| match meta::repositories::find(tx, pull.repository())? {
                Some(id) => meta::repositories::deleted_at(tx, id),
                None => Ok(None),
            },
        )
    }

    /// What a tag points at now.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn tag_now(&self, pull: &Granted<Pull>, tag: &Tag) -> Result<Option<Digest>, Fault> {
        self.database.read(
            |tx| match meta::repositories::find(tx, pull.repository())? {
                Some(id) => meta::tags::find(tx, id, tag),
                None => Ok(None),
            },
        )
    }

    /// For how long what was deleted can be restored.
    pub(crate) fn undelete_window(&self) -> Duration {
        self.limits.collection.undelete
    }

    /// When space comes back.
    pub(crate) fn collecting(&self) -> Collecting {
        self.limits.collection
    }

    /// Repositories of which something can come back, after a name in byte order.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn holdings(&self, after: &str, rows: usize) -> Result<Vec<Holding>, Fault> {
        self.database
            .read(|tx| meta::deleted::holdings(tx, after, rows))
    }

    /// Deleted manifests of a repository that can come back, by digest, each with the tags that it lost then;
    /// `None` if there is and was no such repository.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn deleted_manifests(
        &self,
        pull: &Granted<Pull>,
        after: Option<&Digest>,
        rows: usize,
    ) -> Result<Option<Vec<Lost>>, Fault> {
        self.database.read(|tx| {
            let Some(id) = meta::repositories::find(tx, pull.repository())? else {
                return Ok(None);
            };
            let found = meta::deleted::of_repository(tx, id, after, rows)?;
            let with_tags = found.into_iter().map(|deleted| {
                let (digest, at) = (&deleted.digest, deleted.deleted_at);
                let tags = meta::tags::removed_at(tx, id, Some(digest), at)?;
                Ok(Lost {
                    tags: tags.into_iter().map(|(tag, _)| tag).collect(),
                    deleted,
                })
            });
            with_tags.collect::<Result<_, Fault>>().map(Some)
        })
    }
}

/// The manifest that `v1.at-20270115` names where there is no tag of that name: what `v1` pointed at then, if it
/// is still there.
pub(super) fn manifest_at(
    tx: &meta::transaction::Transaction<'_>,
    repository: &RepositoryName,
    tag: &Tag,
) -> Result<Option<StoredManifest>, Fault> {
    let Some(TagAt { tag, at_seconds }) = TagAt::parse(tag) else {
        return Ok(None);
    };
    let Some(id) = meta::repositories::find(tx, repository)? else {
        return Ok(None);
    };
    let at = end_of_second(Timestamp(at_seconds * 1000));
    match meta::history::tag_at(tx, id, &tag, at)? {
        Some(digest) => meta::manifests::by_digest(tx, repository.as_str(), digest.as_str()),
        None => Ok(None),
    }
}

/// Moments are shown without parts of a second: who asks for one as it was shown means what was so after it.
fn end_of_second(at: Timestamp) -> Timestamp {
    Timestamp(at.second().0.saturating_add(999))
}
