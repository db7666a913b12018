//! Which blobs are worth a place in the cache.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use layerhouse_oci::digest::Digest;

use crate::clock::Moment;

/// Blobs of one generation: two of them take 1 MiB.
const GENERATION_MAX: usize = 32_768;
/// What pulls everything once a day is to find nothing remembered of the day before.
const GENERATION_AGE: Duration = Duration::from_hours(6);

/// Remembers which blobs were pulled a while ago, and lets in those that are pulled again.
///
/// So a walk over all that is stored, which comes once to each blob, fills nothing in and evicts nothing. To count
/// further (`TinyLFU`) would also weigh what comes against what goes; but what goes was pulled twice itself.
#[derive(Debug, Default)]
pub(super) struct Doorkeeper {
    /// Digests by their hash, with a key of this process's own: nobody can make two that are taken for one.
    hasher: RandomState,
    young: HashSet<u64>,
    old: HashSet<u64>,
    young_since: Option<Moment>,
}

impl Doorkeeper {
    /// Whether a blob that is pulled now was pulled before, within 6 to 12 hours.
    pub(super) fn admits(&mut self, digest: &Digest, now: Moment) -> bool {
        let since = *self.young_since.get_or_insert(now);
        let age = now.since(since);
        if GENERATION_AGE <= age || GENERATION_MAX <= self.young.len() {
            self.old = std::mem::take(&mut self.young);
            self.young_since = Some(now);
        }
        if 2 * GENERATION_AGE <= age {
            self.old.clear();
        }
        let hash = self.hasher.hash_one(digest);
        !self.young.insert(hash) || self.old.contains(&hash)
    }
}

#[cfg(test)]
mod tests {
    use layerhouse_oci::digest::Algorithm;

    use super::*;

    fn digest(number: usize) -> Digest {
        Digest::of(Algorithm::Sha256, &number.to_le_bytes())
    }

    #[test]
    fn the_second_pull_is_let_in() {
        let mut doorkeeper = Doorkeeper::default();
        let mut check = |number, hours, expected| {
            let now = Moment::ZERO.after(Duration::from_hours(hours));
            let is_let_in = doorkeeper.admits(&digest(number), now);
            assert_eq!(is_let_in, expected, "{number} after {hours} h");
        };
        check(1, 0, false);
        check(2, 0, false);
        check(1, 1, true);
        // It goes on being let in, until it is filled in.
        check(1, 1, true);
        check(2, 7, true);
        // Once a day is once.
        check(3, 8, false);
        check(3, 32, false);
        check(3, 56, false);
        check(3, 57, true);
        // Pulled once in the generation before the last.
        check(4, 57, false);
        check(5, 63, false);
        check(5, 69, true);
        check(4, 69, false);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut doorkeeper = Doorkeeper::default();
        for number in 0..3 * GENERATION_MAX {
            assert!(!doorkeeper.admits(&digest(number), Moment::ZERO));
            assert!(doorkeeper.young.len() <= GENERATION_MAX);
            assert!(doorkeeper.old.len() <= GENERATION_MAX);
        }
        assert!(doorkeeper.admits(&digest(3 * GENERATION_MAX - 1), Moment::ZERO));
        assert!(!doorkeeper.admits(&digest(0), Moment::ZERO));
    }
}
