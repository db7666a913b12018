//! Stars: an account gives a repository one, or takes it back. They count for the order of a search.

use serde_json::json;

use super::audit::{Action, Audit};
use super::search::document;
use super::{Index, Sort, page};
use crate::auth::directory::Viewer;
use crate::auth::permits::{AccountPermit, RepositoryPermit};
use crate::auth::principal::AccountRef;
use crate::auth::rights::Visibility;
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::transaction::Transaction;
use crate::meta::{counts, repositories, stars};

/// A repository that somebody gave a star.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Starred {
    pub(crate) repository: String,
    pub(crate) visibility: Visibility,
    /// When.
    pub(crate) at: Timestamp,
}

/// Why a star was neither given nor taken back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StarError {
    #[error("there is no repository {0}")]
    Unknown(String),
    #[error("only who signed in with all the rights of an account gives stars")]
    NotAnAccount,
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl StarError {
    pub(crate) fn sort(&self) -> Sort<'_> {
        match self {
            Self::Unknown(_) => Sort::Absent,
            Self::NotAnAccount => Sort::Forbidden,
            Self::Fault(fault) => Sort::Fault(fault),
        }
    }
}

impl Index {
    /// Gives a repository a star, by who may pull it; the stars that it has then. One that is given already
    /// stays.
    ///
    /// # Errors
    /// As [`StarError`] says.
    pub(crate) async fn star(&self, permit: &RepositoryPermit) -> Result<i64, StarError> {
        self.change_star(permit, true).await
    }

    /// Takes a star back; the stars that the repository has then.
    ///
    /// # Errors
    /// As [`StarError`] says.
    pub(crate) async fn unstar(&self, permit: &RepositoryPermit) -> Result<i64, StarError> {
        self.change_star(permit, false).await
    }

    /// Whether who asks gave the repository a star.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn is_starred(&self, permit: &RepositoryPermit) -> Result<bool, Fault> {
        let Some(account) = permit.asker().principal().account else {
            return Ok(false);
        };
        self.look(|tx| {
            let repository = repositories::find(tx, permit.repository())?;
            repository.map_or(Ok(false), |repository| {
                stars::exists(tx, account.id, repository)
            })
        })
    }

    /// What an account gave stars and may still see, after a name in byte order. The name to go on after comes
    /// with them, while there is more.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn starred(
        &self,
        permit: &AccountPermit,
        viewer: &Viewer,
        after: &str,
        rows: usize,
    ) -> Result<(Vec<Starred>, Option<String>), Fault> {
        let (rows, account) = (page(rows), permit.account().id);
        let mut after = after.to_owned();
        let mut seen = Vec::new();
        loop {
            let found = self.list(|tx| stars::of_account(tx, account, Some(&after), rows))?;
            let is_last = found.len() < rows;
            for found in found {
                if seen.len() == rows {
                    return Ok((seen, Some(after)));
                }
                after.clone_from(&found.name);
                let own = found.visibility.as_deref();
                if viewer.sees(&found.name, own) {
                    seen.push(Starred {
                        visibility: self.directory().visibility(own),
                        repository: found.name,
                        at: found.at,
                    });
                }
            }
            if is_last {
                return Ok((seen, None));
            }
        }
    }

    async fn change_star(&self, permit: &RepositoryPermit, gives: bool) -> Result<i64, StarError> {
        let principal = permit.asker().principal();
        let account = principal.account.filter(|_| principal.limits.is_none());
        let account = account.ok_or(StarError::NotAnAccount)?;
        let action = if gives {
            Action::RepositoryStar
        } else {
            Action::RepositoryUnstar
        };
        let name = permit.repository().clone();
        let audit = Audit::by(permit.asker(), action, name.as_str(), json!({}));
        let now = self.now();
        self.change(audit, move |tx| {
            let found = repositories::find(tx, &name)?;
            let repository = found.ok_or_else(|| StarError::Unknown(name.as_str().to_owned()))?;
            Ok(change(tx, account, repository, gives, now)?)
        })
        .await
    }
}

fn change(
    tx: &Transaction<'_>,
    account: AccountRef,
    repository: repositories::RepositoryId,
    gives: bool,
    now: Timestamp,
) -> Result<i64, Fault> {
    let before = counts::find(tx, repository)?;
    if gives {
        stars::add(tx, account.id, repository, now)?;
    } else {
        stars::remove(tx, account.id, repository)?;
    }
    let after = counts::find(tx, repository)?;
    document::note_counts(tx, repository, before, after)?;
    Ok(after.stars)
}
