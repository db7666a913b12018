//! Who changes something, and what others write down of it in its transaction.

use std::fmt;

use crate::fault::Fault;
use crate::meta::transaction::Transaction;

type Write = Box<dyn FnOnce(&Transaction<'_>) -> Result<(), Fault> + Send>;

/// Written down with a change, or the change is not made.
pub(crate) struct Note(Option<Write>);

/// Who changes something.
#[derive(Debug)]
pub(crate) struct Doer {
    pub(super) name: String,
    pub(super) note: Note,
}

impl Note {
    /// Nothing is written down.
    pub(crate) fn nothing() -> Self {
        Self(None)
    }

    pub(crate) fn of(
        write: impl FnOnce(&Transaction<'_>) -> Result<(), Fault> + Send + 'static,
    ) -> Self {
        Self(Some(Box::new(write)))
    }

    pub(super) fn write(self, tx: &Transaction<'_>) -> Result<(), Fault> {
        match self.0 {
            Some(write) => write(tx),
            None => Ok(()),
        }
    }
}

impl Doer {
    /// Somebody, and what is written down of it.
    pub(crate) fn noted(name: &str, note: Note) -> Self {
        Self {
            name: name.to_owned(),
            note,
        }
    }
}

impl From<&str> for Doer {
    fn from(name: &str) -> Self {
        Self::noted(name, Note::nothing())
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Note")
    }
}
