//! The durable steps of a write, named so that tests can stop the process or fail the disk at each.
//!
//! In service the plan is empty and a step costs one branch. `config` reads the plan from
//! `LAYERHOUSE_FAULTS`, so the crash tests drive the same binary that users run.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};

/// What goes wrong, and at which step, counted from 1 over the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accident {
    /// The process is killed before the step runs (SIGKILL: nothing is cleaned up).
    Kill { at: u64 },
    /// The step fails with this errno, once.
    Fail { at: u64, errno: Errno },
    /// Every step from this one on fails with this errno.
    FailFrom { at: u64, errno: Errno },
}

/// The steps taken so far, and the accident that waits for one of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Steps(Option<Arc<Plan>>);

#[derive(Debug)]
struct Plan {
    accident: Accident,
    taken: AtomicU64,
}

impl Steps {
    /// Reads `kill@N`, `EIO@N`, `ENOSPC@N`, `EROFS@N` or `EMFILE@N`; `@N+` means from N on.
    ///
    /// # Errors
    /// A sentence that names the forms understood.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let usage = || format!("{text:?}: write kill@N, EIO@N, ENOSPC@N, EROFS@N or EMFILE@N[+]");
        let (what, at) = text.split_once('@').ok_or_else(usage)?;
        let (at, lasting) = at.strip_suffix('+').map_or((at, false), |at| (at, true));
        let at = at.parse().map_err(|_| usage())?;
        let errno = match what {
            "kill" => None,
            "EIO" => Some(Errno::IO),
            "ENOSPC" => Some(Errno::NOSPC),
            "EROFS" => Some(Errno::ROFS),
            "EMFILE" => Some(Errno::MFILE),
            _ => return Err(usage()),
        };
        let accident = match (errno, lasting) {
            (None, _) => Accident::Kill { at },
            (Some(errno), false) => Accident::Fail { at, errno },
            (Some(errno), true) => Accident::FailFrom { at, errno },
        };
        Ok(Self(Some(Arc::new(Plan {
            accident,
            taken: AtomicU64::new(0),
        }))))
    }

    /// About to take the durable step called `name`.
    ///
    /// # Errors
    /// The planned failure, if this is its step.
    pub(crate) fn take(&self, name: &'static str) -> io::Result<()> {
        let Some(plan) = &self.0 else { return Ok(()) };
        let number = plan.taken.fetch_add(1, Ordering::SeqCst) + 1;
        tracing::debug!(number, name, "durable step");
        match plan.accident {
            Accident::Kill { at } if number == at => {
                // The log's queue dies with the process, and tests ask where that was.
                let word = serde_json::json!({
                    "level": "debug", "msg": "durable step", "number": number, "name": name,
                });
                let _ = writeln!(io::stderr(), "{word}");
                let _ = kill_process(getpid(), Signal::KILL);
                loop {
                    std::thread::park();
                }
            }
            Accident::Fail { at, errno } if number == at => Err(errno.into()),
            Accident::FailFrom { at, errno } if at <= number => Err(errno.into()),
            Accident::Kill { .. } | Accident::Fail { .. } | Accident::FailFrom { .. } => Ok(()),
        }
    }
}
