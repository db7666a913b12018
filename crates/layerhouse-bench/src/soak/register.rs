//! Tags that all clients write: what a reader may see of them. Pure.
//!
//! A write that was answered before another began is before it. A read sees a write that had begun, and that
//! no other came after entirely before the read began. Reads, too, have their order: who asks later never sees
//! an older write. A write in doubt, because the server was killed in it, may be seen or not.

use std::time::Instant;

use layerhouse_oci::digest::Digest;

/// What a write gives a tag: a manifest that no other write gives, or nothing (a delete).
pub(super) type Value = Option<Digest>;

/// All writes of one tag, in the order in which they were begun.
#[derive(Debug, Default)]
pub(super) struct Register {
    writes: Vec<Write>,
    /// The latest beginning of a write that was seen or answered before some moment is kept per read.
    seen: Vec<Seen>,
}

#[derive(Debug)]
struct Write {
    value: Value,
    begun: Instant,
    /// When it was answered; never, if it is under way or in doubt.
    ended: Option<Instant>,
    is_refused: bool,
}

/// A read that was answered, and the write that it saw, if there is only one of its value.
#[derive(Debug)]
struct Seen {
    ended: Instant,
    write: usize,
}

/// Writes and reads that are kept: older ones can decide nothing any more.
const KEPT: usize = 400;

impl Register {
    /// Somebody is about to write; the number of the write.
    pub(super) fn begin(&mut self, value: Value, now: Instant) -> Instant {
        self.writes.push(Write {
            value,
            begun: now,
            ended: None,
            is_refused: false,
        });
        now
    }

    /// The write that began then was answered.
    pub(super) fn end(&mut self, begun: Instant, value: &Value, now: Instant, is_done: bool) {
        if let Some(write) = self.find(begun, value) {
            write.ended = Some(now);
            write.is_refused = !is_done;
        }
    }

    fn find(&mut self, begun: Instant, value: &Value) -> Option<&mut Write> {
        self.writes
            .iter_mut()
            .rev()
            .find(|write| write.begun == begun && write.value == *value)
    }

    /// Whether no reader may see the value any more: another write came after it entirely.
    pub(super) fn is_over(&self, value: &Value, now: Instant) -> bool {
        let writes = || self.writes.iter().enumerate();
        let mut of_value = writes().filter(|(_, write)| write.value == *value);
        of_value.all(|(_, write)| {
            write
                .ended
                .is_some_and(|ended| self.is_overwritten(ended, now))
        })
    }

    /// Whether some write began after `ended` and was answered before `before`.
    fn is_overwritten(&self, ended: Instant, before: Instant) -> bool {
        self.writes.iter().any(|other| {
            !other.is_refused
                && ended < other.begun
                && other.ended.is_some_and(|other_ended| other_ended < before)
        })
    }

    /// Takes a read down.
    ///
    /// # Errors
    /// What the reader saw, and must not have.
    pub(super) fn read(
        &mut self,
        value: &Value,
        begun: Instant,
        ended: Instant,
    ) -> Result<(), String> {
        let may_see = |write: &Write| {
            !write.is_refused
                && write.value == *value
                && write.begun <= ended
                && !write
                    .ended
                    .is_some_and(|write_ended| self.is_overwritten(write_ended, begun))
        };
        let is_untouched = self
            .writes
            .iter()
            .filter(|write| !write.is_refused)
            .all(|write| write.ended.is_none_or(|ended| begun < ended));
        let fitting: Vec<usize> = (0..self.writes.len())
            .filter(|number| may_see(&self.writes[*number]))
            .collect();
        if fitting.is_empty() && !(value.is_none() && is_untouched) {
            let known = self.writes.iter().any(|write| write.value == *value);
            return Err(if known {
                "it had been overwritten before the read began".to_owned()
            } else {
                "nobody wrote it".to_owned()
            });
        }
        // A value that only one write gives is that write's: then no earlier read saw a later write.
        let of_value = self.writes.iter().filter(|write| write.value == *value);
        if value.is_some() && of_value.count() == 1 && fitting.len() == 1 {
            let number = fitting[0];
            let write = &self.writes[number];
            let went_back = self.seen.iter().any(|seen| {
                let earlier = &self.writes[seen.write];
                seen.ended < begun
                    && write
                        .ended
                        .is_some_and(|write_ended| write_ended < earlier.begun)
            });
            if went_back {
                return Err("an earlier read saw a later write".to_owned());
            }
            self.seen.push(Seen {
                ended,
                write: number,
            });
        }
        self.forget();
        Ok(())
    }

    /// Drops what is too old to decide anything: but never the last write that was answered.
    fn forget(&mut self) {
        if self.seen.len() < KEPT && self.writes.len() < KEPT {
            return;
        }
        let gone = self.writes.len().saturating_sub(KEPT / 2);
        self.writes.drain(..gone);
        self.seen.retain(|seen| gone <= seen.write);
        let half = self.seen.len().saturating_sub(KEPT / 2);
        self.seen.drain(..half);
        for seen in &mut self.seen {
            seen.write -= gone;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use layerhouse_oci::digest::Algorithm;

    use super::*;

    fn digest(number: u8) -> Digest {
        Digest::of(Algorithm::Sha256, &[number])
    }

    struct Case {
        register: Register,
        zero: Instant,
    }

    impl Case {
        fn new() -> Self {
            Self {
                register: Register::default(),
                zero: Instant::now(),
            }
        }

        fn at(&self, second: u64) -> Instant {
            self.zero + Duration::from_secs(second)
        }

        fn write(&mut self, value: &Value, begun: u64, ended: Option<u64>) {
            let (begun, ended) = (self.at(begun), ended.map(|ended| self.at(ended)));
            self.register.begin(value.clone(), begun);
            if let Some(ended) = ended {
                self.register.end(begun, value, ended, true);
            }
        }

        fn read(&mut self, value: &Value, begun: u64, ended: u64) -> bool {
            let (begun, ended) = (self.at(begun), self.at(ended));
            self.register.read(value, begun, ended).is_ok()
        }
    }

    #[test]
    fn a_read_sees_the_last_write_or_one_beside_it() {
        let mut case = Case::new();
        assert!(case.read(&None, 0, 1), "nothing was written");
        case.write(&Some(digest(1)), 2, Some(3));
        assert!(!case.read(&None, 4, 5), "it was written");
        assert!(case.read(&Some(digest(1)), 4, 5));
        case.write(&Some(digest(2)), 6, Some(9));
        assert!(case.read(&Some(digest(1)), 7, 8), "the second is under way");
        assert!(case.read(&Some(digest(2)), 7, 8));
        assert!(!case.read(&Some(digest(1)), 10, 11), "overwritten");
        assert!(!case.read(&Some(digest(3)), 10, 11), "never written");
        assert!(case.register.is_over(&Some(digest(1)), case.at(12)));
        assert!(!case.register.is_over(&Some(digest(2)), case.at(12)));
    }

    #[test]
    fn a_refused_delete_leaves_a_tag_that_never_was() {
        let mut case = Case::new();
        let begun = case.at(1);
        case.register.begin(None, begun);
        let ended = case.at(2);
        case.register.end(begun, &None, ended, false);
        assert!(case.read(&None, 3, 4), "nothing was written");
        case.write(&Some(digest(1)), 5, Some(6));
        assert!(!case.read(&None, 7, 8), "it was written");
    }

    #[test]
    fn a_write_in_doubt_may_be_seen_or_not() {
        let mut case = Case::new();
        case.write(&Some(digest(1)), 1, Some(2));
        case.write(&Some(digest(2)), 3, None);
        assert!(case.read(&Some(digest(1)), 10, 11));
        assert!(case.read(&Some(digest(2)), 12, 13));
        case.write(&None, 14, Some(15));
        assert!(case.read(&None, 16, 17));
        assert!(!case.read(&Some(digest(1)), 16, 17));
    }

    #[test]
    fn reads_do_not_go_back() {
        let mut case = Case::new();
        case.write(&Some(digest(1)), 1, Some(2));
        case.write(&Some(digest(2)), 3, Some(20));
        assert!(case.read(&Some(digest(2)), 4, 5));
        assert!(
            !case.read(&Some(digest(1)), 6, 7),
            "the later write was seen"
        );
    }
}
