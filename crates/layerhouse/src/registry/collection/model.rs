//! Every interleaving of collection with who asks, pushes, mounts and crashes, on one blob: checked exhaustively,
//! and checked that a protocol with a step left out would be found wanting.
//!
//! The blob is linked in repository A, where nothing needs it and its time is over, and not in B. A step here is
//! what happens at once there: a transaction, a look under a mutex, a call of the file system.

use std::time::Duration;

use layerhouse_oci::digest::{Algorithm, Digest};
use stateright::{Checker, Model, Property};

use super::verdict::{Kept, Verdict, of_blob, of_link};
use crate::clock::Timestamp;
use crate::meta::repositories::RepositoryId;
use crate::meta::reviews::{QueuedBlob, QueuedLink};
use crate::registry::Collecting;

/// What could have been forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    /// Who asks is promised nothing.
    NoPromise,
    /// The promise is given, and nobody looks whether the link is leaving.
    PromiseUnseen,
    /// The transaction that removes a link believes what was read before it.
    StaleDecision,
    /// The file goes without its lease.
    NoLease,
    /// The file goes before the row.
    FileFirst,
    /// What a crash leaves is not removed.
    NoRecovery,
}

/// Where each of them is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum At {
    Start,
    /// Waits for the lease, or has it.
    Leased,
    Second,
    Third,
    Done,
}

/// Who holds the lease of the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Who {
    Asker,
    Pusher,
    Mounter,
    Links,
    Blobs,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact that a step changes"
)]
struct State {
    // Rows.
    link_a: bool,
    link_b: bool,
    is_needed: bool,
    row: bool,
    removal: bool,
    // The disk.
    file: bool,
    staged: bool,
    // Memory.
    lease: Option<Who>,
    is_promised: bool,
    is_leaving: bool,
    // A client that asks, and then puts a manifest into A.
    asker: At,
    /// A client heard that it is there, and could not put its manifest.
    is_broken: bool,
    pusher: At,
    mounter: At,
    links: At,
    blobs: At,
    crashes: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Of(Who),
    Crash,
    /// Promises end with time.
    Forget,
}

struct Protocol(Flaw);

const RULES: Collecting = Collecting {
    is_enabled: true,
    grace: Duration::ZERO,
    promise: Duration::ZERO,
    undelete: Duration::ZERO,
    interval: Duration::ZERO,
};
const NOW: Timestamp = Timestamp(1);

fn digest() -> Digest {
    Digest::of(Algorithm::Sha256, b"blob")
}

/// What the collector decides of the link in A.
fn link_goes(state: &State) -> bool {
    let link = QueuedLink {
        repository_id: RepositoryId::for_tests(1),
        repository: "a".parse().expect("a name"),
        digest: digest(),
        size_bytes: 4,
        since: Timestamp(0),
        linked_at: Timestamp(0),
        is_needed: state.is_needed,
    };
    state.link_a && of_link(&link, Kept::default(), RULES, NOW) == Verdict::Goes
}

/// What the collector decides of the blob.
fn blob_goes(state: &State) -> bool {
    let blob = QueuedBlob {
        digest: digest(),
        size_bytes: 4,
        since: Timestamp(0),
        is_linked: state.link_a || state.link_b,
    };
    state.row && of_blob(&blob, RULES, NOW) == Verdict::Goes
}

impl State {
    /// Takes the lease, if nobody has it.
    fn lease(&mut self, who: Who) -> bool {
        if self.lease.is_some() {
            return false;
        }
        self.lease = Some(who);
        true
    }

    /// Asks for the blob (HEAD), and then puts a manifest that needs it.
    fn ask(&mut self, flaw: Flaw) -> bool {
        match self.asker {
            At::Start => {
                if flaw != Flaw::NoPromise {
                    self.is_promised = true;
                }
                if self.is_leaving && flaw != Flaw::PromiseUnseen {
                    // Waits for the lease, and begins again.
                    return self.lease.is_none();
                }
                self.asker = At::Second;
            }
            At::Second => {
                self.asker = if self.link_a { At::Third } else { At::Done };
            }
            At::Third => {
                if self.link_a {
                    self.is_needed = true;
                } else {
                    self.is_broken = true;
                }
                self.asker = At::Done;
            }
            At::Leased | At::Done => return false,
        }
        true
    }

    /// Uploads the same bytes to B.
    fn push(&mut self) -> bool {
        match self.pusher {
            At::Start => {
                self.staged = true;
                self.pusher = At::Leased;
            }
            At::Leased => {
                if !self.lease(Who::Pusher) {
                    return false;
                }
                self.pusher = At::Second;
            }
            At::Second => {
                self.file = true;
                self.pusher = At::Third;
            }
            At::Third => {
                (self.row, self.link_b) = (true, true);
                (self.staged, self.lease) = (false, None);
                self.pusher = At::Done;
            }
            At::Done => return false,
        }
        true
    }

    /// Mounts the blob of A into B.
    fn mount(&mut self) -> bool {
        match self.mounter {
            At::Start => {
                if !self.lease(Who::Mounter) {
                    return false;
                }
                self.mounter = At::Second;
            }
            At::Second => {
                self.mounter = if self.link_a && self.file {
                    At::Third
                } else {
                    self.lease = None;
                    At::Done
                };
            }
            At::Third => {
                self.link_b |= self.link_a;
                self.lease = None;
                self.mounter = At::Done;
            }
            At::Leased | At::Done => return false,
        }
        true
    }

    /// Reviews the link in A.
    fn review_link(&mut self, flaw: Flaw) -> bool {
        match self.links {
            At::Start => {
                if !link_goes(self) || !self.lease(Who::Links) {
                    return false;
                }
                self.links = At::Second;
            }
            At::Second => {
                if self.is_promised {
                    self.lease = None;
                    self.links = At::Start;
                } else {
                    self.is_leaving = true;
                    self.links = At::Third;
                }
            }
            At::Third => {
                if flaw == Flaw::StaleDecision || link_goes(self) {
                    // The foreign key of the needs would have it fail; the model lets it pass, to be found.
                    self.link_a = false;
                }
                (self.is_leaving, self.lease) = (false, None);
                self.links = At::Done;
            }
            At::Leased | At::Done => return false,
        }
        true
    }

    /// Reviews the blob.
    fn review_blob(&mut self, flaw: Flaw) -> bool {
        match self.blobs {
            At::Start => {
                if !blob_goes(self) || (flaw != Flaw::NoLease && !self.lease(Who::Blobs)) {
                    return false;
                }
                self.blobs = At::Second;
            }
            At::Second if flaw == Flaw::FileFirst => {
                self.file = false;
                self.blobs = At::Third;
            }
            At::Second => {
                if blob_goes(self) {
                    (self.row, self.removal) = (false, true);
                    self.blobs = At::Third;
                } else {
                    self.end_review(flaw);
                }
            }
            At::Third => {
                if flaw == Flaw::FileFirst {
                    self.row = false;
                }
                (self.file, self.removal) = (false, false);
                self.end_review(flaw);
            }
            At::Leased | At::Done => return false,
        }
        true
    }

    fn end_review(&mut self, flaw: Flaw) {
        if flaw != Flaw::NoLease {
            self.lease = None;
        }
        self.blobs = At::Done;
    }

    /// The process dies and starts again: rows and files stay, and recovery settles them.
    fn crash(&mut self, flaw: Flaw) {
        self.crashes += 1;
        (self.lease, self.is_leaving) = (None, false);
        // Nobody knows what was promised.
        self.is_promised = true;
        // A client whose request was cut off asks again; one that was answered goes on.
        if self.asker == At::Second {
            self.asker = At::Start;
        }
        if self.pusher != At::Start {
            self.pusher = At::Done;
        }
        (self.mounter, self.links, self.blobs) = (At::Done, At::Start, At::Start);
        if flaw != Flaw::NoRecovery {
            if (self.removal || self.staged) && !self.row {
                self.file = false;
            }
            self.removal = false;
        }
        self.staged = false;
    }

    /// Nothing is under way.
    fn is_quiet(&self) -> bool {
        self.lease.is_none() && !self.staged && !self.removal
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            link_a: true,
            link_b: false,
            is_needed: false,
            row: true,
            removal: false,
            file: true,
            staged: false,
            lease: None,
            is_promised: false,
            is_leaving: false,
            asker: At::Start,
            is_broken: false,
            pusher: At::Start,
            mounter: At::Start,
            links: At::Start,
            blobs: At::Start,
            crashes: 0,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        for who in [
            Who::Asker,
            Who::Pusher,
            Who::Mounter,
            Who::Links,
            Who::Blobs,
        ] {
            steps.push(Step::Of(who));
        }
        if state.crashes < 2 {
            steps.push(Step::Crash);
        }
        // A promise outlasts the client that it was given to.
        if state.is_promised && matches!(state.asker, At::Start | At::Done) {
            steps.push(Step::Forget);
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        let moved = match step {
            Step::Of(Who::Asker) => next.ask(self.0),
            Step::Of(Who::Pusher) => next.push(),
            Step::Of(Who::Mounter) => next.mount(),
            Step::Of(Who::Links) => next.review_link(self.0),
            Step::Of(Who::Blobs) => next.review_blob(self.0),
            Step::Crash => {
                next.crash(self.0);
                true
            }
            Step::Forget => {
                next.is_promised = false;
                true
            }
        };
        moved.then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("a row has its file", |_, state: &State| {
                !state.row || state.file
            }),
            Property::always("a link has its row", |_, state: &State| {
                state.row || !(state.link_a || state.link_b)
            }),
            Property::always("a manifest has its blob", |_, state: &State| {
                state.link_a || !state.is_needed
            }),
            Property::always("a promise is kept", |_, state: &State| !state.is_broken),
            Property::always("no file is left over", |_, state: &State| {
                !state.is_quiet() || state.row || !state.file
            }),
            Property::sometimes("the blob is collected", |_, state: &State| {
                !state.row && !state.file
            }),
            Property::sometimes("the blob is kept for who asked", |_, state: &State| {
                state.is_needed && state.links == At::Start
            }),
        ]
    }
}

#[test]
fn inv_i5_no_interleaving_takes_what_was_promised() {
    let checker = Protocol(Flaw::None).checker().spawn_bfs().join();
    assert!(
        500 < checker.unique_state_count(),
        "{}",
        checker.unique_state_count()
    );
    checker.assert_properties();
}

#[test]
fn inv_i5_every_step_of_the_protocol_is_needed() {
    for (flaw, property) in [
        (Flaw::NoPromise, "a promise is kept"),
        (Flaw::PromiseUnseen, "a promise is kept"),
        (Flaw::StaleDecision, "a manifest has its blob"),
        (Flaw::NoLease, "a row has its file"),
        (Flaw::FileFirst, "a row has its file"),
        (Flaw::NoRecovery, "no file is left over"),
    ] {
        let checker = Protocol(flaw).checker().spawn_bfs().join();
        assert!(
            checker.discovery(property).is_some(),
            "{flaw:?} goes unnoticed"
        );
    }
}
