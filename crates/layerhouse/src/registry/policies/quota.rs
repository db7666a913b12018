//! Quotas: what a repository or a namespace may hold.

use std::fmt;
use std::sync::Arc;

use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::upload_id::UploadId;

use super::guard::{Place, Refused};
use crate::config::meaning::policies::{Per, Policies};
use crate::fault::Fault;
use crate::meta;
use crate::meta::repositories::RepositoryId;
use crate::meta::transaction::Transaction;
use crate::registry::sessions::Sessions;
use crate::size::shown_size;

/// What a quota is counted over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Repository(RepositoryName),
    /// Of names that begin with this component.
    Namespace(String),
}

impl Scope {
    fn new(per: Per, repository: &RepositoryName) -> Self {
        match per {
            Per::Repository => Self::Repository(repository.clone()),
            Per::Namespace => {
                let name = repository.as_str();
                let first = name.split_once('/').map_or(name, |(first, _)| first);
                Self::Namespace(first.to_owned())
            }
        }
    }

    fn covers(&self, repository: &RepositoryName) -> bool {
        match self {
            Self::Repository(own) => own == repository,
            Self::Namespace(first) => {
                let rest = repository.as_str().strip_prefix(first.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }

    /// Bytes of the blobs that are linked.
    fn linked_bytes(&self, tx: &Transaction<'_>) -> Result<u64, Fault> {
        match self {
            Self::Repository(name) => meta::repositories::linked_bytes(tx, name),
            Self::Namespace(first) => meta::repositories::linked_bytes_within(tx, first),
        }
    }

    /// Tags, as far as they are not more than `limit`.
    fn tags(&self, tx: &Transaction<'_>, id: RepositoryId, limit: u64) -> Result<u64, Fault> {
        match self {
            Self::Repository(_) => meta::tags::count_in(tx, id, limit),
            Self::Namespace(first) => meta::tags::count_within(tx, first, limit),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository(name) => write!(out, "repository {name}"),
            Self::Namespace(first) => write!(out, "namespace {first}"),
        }
    }
}

/// One quota of bytes that holds for a repository.
#[derive(Clone, Debug)]
struct Bound {
    scope: Scope,
    bytes_max: u64,
    rule: String,
}

impl Bound {
    fn refused(&self, used_bytes: u64, more_bytes: u64) -> Refused {
        Refused::Bytes {
            scope: self.scope.to_string(),
            used: shown_size(used_bytes),
            allowed: shown_size(self.bytes_max),
            more: shown_size(more_bytes),
            rule: self.rule.clone(),
        }
    }
}

fn bounds(policies: &Policies, repository: &RepositoryName) -> Vec<Bound> {
    let bound = |entry: &crate::config::meaning::policies::Policy| {
        let quota = entry.quota?;
        Some(Bound {
            scope: Scope::new(quota.per, repository),
            bytes_max: quota.size_bytes?,
            rule: format!("{}: quota size", entry.key),
        })
    };
    policies.of(repository).filter_map(bound).collect()
}

/// What may still be uploaded to a repository, as it was when the request began; what uploads hold is looked
/// up each time. The transaction that links the blob has the last word.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    /// Each with the bytes that are linked.
    bounds: Vec<(Bound, u64)>,
    sessions: Arc<Sessions>,
}

impl Room {
    /// `None`, if there is no quota.
    pub(in crate::registry) fn find(
        tx: &Transaction<'_>,
        policies: &Policies,
        repository: &RepositoryName,
        sessions: &Arc<Sessions>,
    ) -> Result<Option<Self>, Fault> {
        let mut counted = Vec::new();
        for bound in bounds(policies, repository) {
            let used_bytes = bound.scope.linked_bytes(tx)?;
            counted.push((bound, used_bytes));
        }
        let sessions = Arc::clone(sessions);
        Ok((!counted.is_empty()).then_some(Self {
            bounds: counted,
            sessions,
        }))
    }

    /// Counts what uploads hold that this process does not write to; `but` is the one that it will.
    pub(in crate::registry) fn add_held(
        &mut self,
        held: Vec<(UploadId, RepositoryName, u64)>,
        but: Option<&UploadId>,
    ) {
        for (id, repository, held_bytes) in held {
            if Some(&id) == but || self.sessions.get(&id).is_some() {
                continue;
            }
            for (bound, used_bytes) in &mut self.bounds {
                if bound.scope.covers(&repository) {
                    *used_bytes = used_bytes.saturating_add(held_bytes);
                }
            }
        }
    }

    /// Whether so many bytes more may be taken in.
    ///
    /// # Errors
    /// The quota that is used up.
    pub(crate) fn check(&self, more_bytes: u64) -> Result<(), Refused> {
        for (bound, linked_bytes) in &self.bounds {
            let covers = |repository: &RepositoryName| bound.scope.covers(repository);
            let used_bytes = linked_bytes.saturating_add(self.sessions.held_bytes_of(covers));
            if bound.bytes_max < used_bytes.saturating_add(more_bytes) {
                return Err(bound.refused(used_bytes, more_bytes));
            }
        }
        Ok(())
    }
}

/// Links a blob, if the quotas let it be; whether it was not linked before.
///
/// # Errors
/// The database failed; within, the quota that is used up. The caller undoes the transaction then.
pub(crate) fn link(
    tx: &Transaction<'_>,
    policies: &Policies,
    (repository, id): Place<'_>,
    digest: &layerhouse_oci::digest::Digest,
    now: crate::clock::Timestamp,
) -> Result<Result<bool, Refused>, Fault> {
    let bounds = bounds(policies, repository);
    if bounds.is_empty() {
        return Ok(Ok(meta::blobs::link(tx, id, digest, now)?));
    }
    let before = meta::repositories::linked_bytes(tx, repository)?;
    let is_new = meta::blobs::link(tx, id, digest, now)?;
    // Linked already, it costs nothing: a push that heals a blob is never too much.
    let more_bytes = meta::repositories::linked_bytes(tx, repository)?.saturating_sub(before);
    for bound in bounds {
        if more_bytes == 0 {
            break;
        }
        let used_bytes = bound.scope.linked_bytes(tx)?;
        if bound.bytes_max < used_bytes {
            return Ok(Err(bound.refused(used_bytes - more_bytes, more_bytes)));
        }
    }
    Ok(Ok(is_new))
}

/// Whether there may be one tag more.
///
/// # Errors
/// The database failed; within, the quota that is used up.
pub(crate) fn check_tags(
    tx: &Transaction<'_>,
    policies: &Policies,
    (repository, id): Place<'_>,
) -> Result<Result<(), Refused>, Fault> {
    for entry in policies.of(repository) {
        let Some((quota, tags_max)) = entry.quota.and_then(|quota| Some((quota, quota.tags?)))
        else {
            continue;
        };
        let scope = Scope::new(quota.per, repository);
        if tags_max <= scope.tags(tx, id, tags_max)? {
            return Ok(Err(Refused::Tags {
                scope: scope.to_string(),
                allowed: tags_max,
                rule: format!("{}: quota tags", entry.key),
            }));
        }
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_have_their_repositories() {
        let check = |per, of: &str, name: &str, expected: bool| {
            let scope = Scope::new(per, &of.parse().expect("a name"));
            let name = name.parse().expect("a name");
            assert_eq!(scope.covers(&name), expected, "{scope} {name}");
        };
        check(Per::Repository, "acme/web", "acme/web", true);
        check(Per::Repository, "acme/web", "acme/web/ui", false);
        check(Per::Namespace, "acme/web", "acme/a/b", true);
        check(Per::Namespace, "acme/web", "acme", true);
        check(Per::Namespace, "acme/web", "acmes/web", false);
        check(Per::Namespace, "web", "web", true);
    }
}
