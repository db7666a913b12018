//! The index: accounts, namespaces, teams, grants, tokens, and whether repositories are shown. An operation
//! demands a proof of `auth`, decides, and changes through one door, which writes down who did it.

pub(crate) mod access;
pub(crate) mod audit;
pub(crate) mod counts;
pub(crate) mod grants;
pub(crate) mod invitations;
pub mod measured;
pub(crate) mod members;
pub(crate) mod organizations;
pub(crate) mod pages;
pub(crate) mod passwords;
pub(crate) mod repositories;
pub(crate) mod robots;
pub(crate) mod search;
pub(crate) mod sessions;
pub(crate) mod setup;
pub(crate) mod sign_up;
pub(crate) mod stars;
pub(crate) mod teams;
pub(crate) mod tokens;
pub(crate) mod users;

use std::sync::Arc;

use tokio::sync::Semaphore;

use self::audit::Audit;
use self::counts::Tally;
use self::search::Searching;
use crate::auth::directory::Directory;
use crate::clock::Timestamp;
use crate::fault::{Fault, FaultKind};
use crate::meta;
use crate::meta::transaction::Transaction;

/// Rows of one page at most.
pub(crate) const PAGE_ROWS_MAX: usize = 1000;

/// The operations on accounts and what belongs to them; cheap to clone.
#[derive(Clone)]
pub(crate) struct Index {
    directory: Directory,
    /// Held while a hash of a new password is computed.
    core: Arc<Semaphore>,
    tally: Arc<Tally>,
    searching: Arc<Searching>,
}

/// What an operation was refused for, for those who tell clients: each error of this module is one of these.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sort<'a> {
    /// What was said cannot be; another request would be right.
    Invalid,
    /// What it is about is not there.
    Absent,
    /// The name belongs to somebody already.
    Taken,
    /// They may not, whatever they say.
    Forbidden,
    /// Not while other things are as they are.
    Conflict,
    /// Too much is asked at once.
    Busy(std::time::Duration),
    /// Ours.
    Fault(&'a Fault),
}

impl Index {
    pub(crate) fn new(directory: Directory) -> Self {
        Self {
            directory,
            core: Arc::new(Semaphore::new(1)),
            tally: Arc::default(),
            searching: Arc::default(),
        }
    }

    /// The same, by the settings of another directory of the same accounts.
    pub(crate) fn with(&self, directory: Directory) -> Self {
        Self {
            directory,
            core: Arc::clone(&self.core),
            tally: Arc::clone(&self.tally),
            searching: Arc::clone(&self.searching),
        }
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    fn now(&self) -> Timestamp {
        self.directory.clock().now()
    }

    /// The one door: runs `change` as a transaction with the audit of it, and has everybody decide anew.
    ///
    /// # Errors
    /// Those of `change`; then nothing of it was kept.
    pub(crate) async fn change<T, E>(
        &self,
        audit: Audit,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Fault> + Send + 'static,
    {
        let (directory, now) = (self.directory.clone(), self.now());
        let work = async move {
            let written = directory.database().write(move |tx| {
                let changed = change(tx)?;
                audit.write(tx, now)?;
                Ok(changed)
            });
            let written = written.await;
            directory.moved();
            written
        };
        // On a task of its own: who asked may go away between the commit and the word of it.
        let ended = tokio::spawn(work).await;
        ended.unwrap_or_else(|error| {
            let doing = "changing accounts";
            Err(Fault::new(FaultKind::Other, doing, error).into())
        })
    }

    /// What writes a change down that the registry makes of a repository, in the registry's transaction, and lets
    /// the repository be found as it is then. [`Directory::moved`] is to be said when that was committed.
    pub(crate) fn noting(
        &self,
        audit: Audit,
    ) -> impl FnOnce(&Transaction<'_>) -> Result<(), Fault> + Send + 'static {
        let now = self.now();
        move |tx| {
            audit.write(tx, now)?;
            let name = audit.subject.parse().ok();
            let found = name.map(|name| meta::repositories::find(tx, &name));
            match found.transpose()?.flatten() {
                Some(id) => search::document::refresh(tx, id),
                None => Ok(()),
            }
        }
    }

    /// Runs `look` on the rows as they are.
    ///
    /// # Errors
    /// Those of `look`.
    pub(crate) fn look<T, E: From<Fault>>(
        &self,
        look: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.directory.database().read(look)
    }

    /// The same for lists, which a standby of the database may answer; `look` may run a second time.
    ///
    /// # Errors
    /// Those of `look`.
    pub(crate) fn list<T, E: From<Fault>>(
        &self,
        look: impl Fn(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        self.directory.database().list(look)
    }
}

/// So many rows as were asked for, and no more than a page.
fn page(rows: usize) -> usize {
    rows.clamp(1, PAGE_ROWS_MAX)
}

#[cfg(test)]
mod tests;
