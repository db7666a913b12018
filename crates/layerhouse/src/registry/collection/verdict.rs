//! What goes, and what waits: pure decisions, which the preview and the run share.

use layerhouse_oci::digest::Digest;

use crate::clock::Timestamp;
use crate::meta::deleted::Companion;
use crate::meta::reviews::{QueuedBlob, QueuedLink};
use crate::registry::Collecting;

/// What becomes of a thing that is reviewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Something needs it: it is not reviewed again until that changes.
    Stays,
    /// Not before then; it is looked at again.
    Waits {
        until: Timestamp,
    },
    Goes,
}

/// What keeps things that nothing needs, beside their age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// A client was told that the repository has it, and may put a manifest that needs it.
    pub(crate) is_promised: bool,
    /// Somebody is pushing to the repository.
    pub(crate) has_uploads: bool,
}

/// Whether the link of a blob goes, for no manifest needs it.
pub(crate) fn of_link(link: &QueuedLink, kept: Kept, rules: Collecting, now: Timestamp) -> Verdict {
    if link.is_needed {
        return Verdict::Stays;
    }
    if kept.is_promised {
        return Verdict::Waits {
            until: now.after(rules.promise),
        };
    }
    if kept.has_uploads {
        return Verdict::Waits {
            until: now.after(rules.grace),
        };
    }
    let until = link
        .since
        .after(rules.grace)
        .max(link.linked_at.after(rules.promise));
    goes_at(until, now)
}

/// Whether a blob goes, for no repository links it.
pub(crate) fn of_blob(blob: &QueuedBlob, rules: Collecting, now: Timestamp) -> Verdict {
    if blob.is_linked {
        return Verdict::Stays;
    }
    goes_at(blob.since.after(rules.grace), now)
}

/// Whether a deleted manifest goes for good.
pub(crate) fn of_deleted(deleted_at: Timestamp, rules: Collecting, now: Timestamp) -> Verdict {
    goes_at(deleted_at.after(rules.undelete), now)
}

/// Why a manifest stays that came with one that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Because {
    /// A tag points at it.
    IsTagged,
    /// A tag once did: somebody may know it by its digest.
    WasTagged,
    /// Another index names it.
    InIndex(Digest),
    /// It came after the other was deleted.
    CameLater,
}

/// Whether a manifest goes for good with the one that it came with, which was deleted then; `index` is another
/// index that names it.
///
/// # Errors
/// Why it stays.
pub(crate) fn of_companion(
    companion: &Companion,
    index: Option<Digest>,
    deleted_at: Timestamp,
) -> Result<(), Because> {
    match index {
        _ if companion.is_tagged => Err(Because::IsTagged),
        Some(index) => Err(Because::InIndex(index)),
        None if companion.was_tagged => Err(Because::WasTagged),
        None if deleted_at < companion.pushed_at => Err(Because::CameLater),
        None => Ok(()),
    }
}

fn goes_at(until: Timestamp, now: Timestamp) -> Verdict {
    if until <= now {
        Verdict::Goes
    } else {
        Verdict::Waits { until }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use layerhouse_oci::digest::Algorithm;

    use super::*;
    use crate::meta::repositories::RepositoryId;

    const RULES: Collecting = Collecting {
        is_enabled: true,
        grace: Duration::from_hours(1),
        promise: Duration::from_mins(30),
        undelete: Duration::from_hours(48),
        interval: Duration::from_mins(1),
    };

    fn at(minutes: i64) -> Timestamp {
        Timestamp(minutes * 60_000)
    }

    fn link(since: i64, linked: i64, is_needed: bool) -> QueuedLink {
        QueuedLink {
            repository_id: RepositoryId::for_tests(1),
            repository: "acme/web".parse().expect("a name"),
            digest: Digest::of(Algorithm::Sha256, b"layer"),
            size_bytes: 5,
            since: at(since),
            linked_at: at(linked),
            is_needed,
        }
    }

    #[test]
    fn links_wait_for_the_later_of_grace_and_promise() {
        let free = Kept::default();
        let waits = |until| Verdict::Waits { until: at(until) };
        for (since, linked, now, verdict) in [
            (0, 0, 59, waits(60)),
            (0, 0, 60, Verdict::Goes),
            (0, 50, 60, waits(80)),
            (0, 50, 80, Verdict::Goes),
            // The clock went back: what seems to be of the future is young.
            (100, 100, 0, waits(160)),
        ] {
            assert_eq!(
                of_link(&link(since, linked, false), free, RULES, at(now)),
                verdict
            );
        }
        assert_eq!(
            of_link(&link(0, 0, true), free, RULES, at(999)),
            Verdict::Stays
        );
    }

    #[test]
    fn whoever_pushes_keeps_what_is_old() {
        let old = link(0, 0, false);
        let promised = Kept {
            is_promised: true,
            has_uploads: false,
        };
        let pushing = Kept {
            is_promised: false,
            has_uploads: true,
        };
        let waits = |until| Verdict::Waits { until: at(until) };
        assert_eq!(of_link(&old, promised, RULES, at(500)), waits(530));
        assert_eq!(of_link(&old, pushing, RULES, at(500)), waits(560));
    }

    #[test]
    fn deleted_manifests_wait_for_their_window() {
        let day = 24 * 60;
        assert_eq!(
            of_deleted(at(0), RULES, at(2 * day - 1)),
            Verdict::Waits { until: at(2 * day) }
        );
        assert_eq!(of_deleted(at(0), RULES, at(2 * day)), Verdict::Goes);
    }
}
