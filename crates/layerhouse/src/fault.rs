//! Failures that are ours: a disk, a database or the operating system did not do its part.
//!
//! Refusals that a client can act on are the error enums of each operation; everything else is a
//! [`Fault`], which says what we were doing and sorts the cause by what an operator can do about it.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;

use rustix::io::Errno;

/// What an operator can do about a [`Fault`]; `api` turns it into a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// No space, inodes or quota left: free some.
    DiskFull,
    /// The file system refuses writes.
    ReadOnly,
    /// Descriptors or threads ran out: raise the limit, or wait.
    Exhausted,
    /// Stored bytes are not what they were.
    Damaged,
    /// The device failed; what is in its cache cannot be trusted any more.
    Device,
    /// A server that we need does not answer: see to it, or wait.
    Unavailable,
    /// We are shutting down.
    Stopping,
    /// None of these: read the source.
    Other,
}

/// An operation failed through no fault of the client's.
#[derive(Debug)]
pub struct Fault {
    doing: Cow<'static, str>,
    kind: FaultKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    /// A fault of `kind` while `doing` ("syncing a staged upload").
    pub(crate) fn new(
        kind: FaultKind,
        doing: impl Into<Cow<'static, str>>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            doing: doing.into(),
            kind,
            source: Some(source.into()),
        }
    }

    /// A fault without a cause of its own.
    pub(crate) fn plain(kind: FaultKind, doing: impl Into<Cow<'static, str>>) -> Self {
        Self {
            doing: doing.into(),
            kind,
            source: None,
        }
    }

    /// An I/O error while `doing`.
    pub(crate) fn io(doing: impl Into<Cow<'static, str>>, error: io::Error) -> Self {
        Self::new(kind_of(&error), doing, error)
    }

    /// What an operator can do about it.
    #[must_use]
    pub fn kind(&self) -> FaultKind {
        self.kind
    }
}

/// Sorts an I/O error by what can be done about it.
fn kind_of(error: &io::Error) -> FaultKind {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => FaultKind::DiskFull,
        Some(Errno::ROFS) => FaultKind::ReadOnly,
        Some(Errno::MFILE | Errno::NFILE | Errno::AGAIN | Errno::NOMEM) => FaultKind::Exhausted,
        Some(Errno::IO) => FaultKind::Device,
        _ => FaultKind::Other,
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(out, "{}: {source}", self.doing),
            None => out.write_str(&self.doing),
        }
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}
