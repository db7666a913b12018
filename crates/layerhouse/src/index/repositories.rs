//! Repositories, as the index lists them: which there are in a namespace, and whether they are shown to all.

use serde_json::json;

use super::audit::{Action, Audit};
use super::search::document;
use super::{Index, Sort, page};
use crate::auth::directory::Viewer;
use crate::auth::permits::RepositoryPermit;
use crate::auth::rights::{Deed, Visibility};
use crate::clock::Timestamp;
use crate::fault::Fault;
use crate::meta::repositories;
use crate::meta::shown::{self, Shown};
use crate::meta::transaction::Transaction;

/// What the index says of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repository {
    pub(crate) name: String,
    /// As it is.
    pub(crate) visibility: Visibility,
    /// Whether it was said for this one, and is not the configuration's.
    pub(crate) has_own_visibility: bool,
    pub(crate) created_at: Timestamp,
}

/// Why a repository was not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RepositoryError {
    #[error("there is no repository {0}")]
    Unknown(String),
    #[error("this takes a maintainer of {0}; ask its owner")]
    NotMaintainer(String),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl RepositoryError {
    pub(crate) fn sort(&self) -> Sort<'_> {
        match self {
            Self::Unknown(_) => Sort::Absent,
            Self::NotMaintainer(_) => Sort::Forbidden,
            Self::Fault(fault) => Sort::Fault(fault),
        }
    }
}

impl Index {
    /// A repository, for who may pull it.
    pub(crate) fn repository(
        &self,
        permit: &RepositoryPermit,
    ) -> Result<Repository, RepositoryError> {
        let found = self.look(|tx| find(tx, permit.repository().as_str()))?;
        Ok(self.show(found))
    }

    /// The repositories of a namespace, or without one, that a viewer may see, after a name in byte order. The
    /// name to go on after comes with them, while there is more.
    pub(crate) fn repositories_of(
        &self,
        viewer: &Viewer,
        namespace: Option<&str>,
        after: &str,
        rows: usize,
    ) -> Result<(Vec<Repository>, Option<String>), Fault> {
        let rows = page(rows);
        let mut after = after.to_owned();
        let mut seen = Vec::new();
        loop {
            let found = self.look(|tx| match namespace {
                Some(namespace) => shown::list(tx, namespace, &after, rows),
                None => shown::list_official(tx, &after, rows),
            })?;
            let is_last = found.len() < rows;
            for found in found {
                if seen.len() == rows {
                    return Ok((seen, Some(after)));
                }
                after.clone_from(&found.name);
                if viewer.sees(&found.name, found.visibility.as_deref()) {
                    seen.push(self.show(found));
                }
            }
            if is_last {
                return Ok((seen, None));
            }
        }
    }

    /// Shows a repository to all or hides it; without a word, the configuration decides from now on.
    pub(crate) async fn set_visibility(
        &self,
        permit: &RepositoryPermit,
        visibility: Option<Visibility>,
    ) -> Result<Repository, RepositoryError> {
        let name = permit.repository().as_str().to_owned();
        if !matches!(permit.deed(), Deed::Maintain | Deed::Own) {
            return Err(RepositoryError::NotMaintainer(name));
        }
        let text = visibility.map(Visibility::as_str);
        let detail = json!({ "visibility": text });
        let action = Action::RepositoryVisibility;
        let audit = Audit::by(permit.asker(), action, name.as_str(), detail);
        let repository = permit.repository().clone();
        let changed = self.change(audit, move |tx| {
            find(tx, &name)?;
            shown::set(tx, &name, text)?;
            // Who may see it finds it from now on, and nobody else.
            if let Some(id) = repositories::find(tx, &repository)? {
                document::refresh(tx, id)?;
            }
            find(tx, &name)
        });
        Ok(self.show(changed.await?))
    }

    fn show(&self, found: Shown) -> Repository {
        let own = found.visibility.as_deref();
        Repository {
            visibility: self.directory.visibility(own),
            has_own_visibility: own.is_some(),
            name: found.name,
            created_at: found.created_at,
        }
    }
}

fn find(tx: &Transaction<'_>, name: &str) -> Result<Shown, RepositoryError> {
    shown::by_name(tx, name)?.ok_or_else(|| RepositoryError::Unknown(name.to_owned()))
}
