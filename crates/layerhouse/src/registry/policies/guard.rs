//! Whether a policy lets something be done. Asked inside the transaction that does it, so that of two who race
//! one is too late (S03).

use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;
use layerhouse_oci::tag::Tag;

use super::quota;
use crate::config::meaning::policies::{Policies, Policy, owner};
use crate::fault::Fault;
use crate::meta;
use crate::meta::repositories::RepositoryId;
use crate::meta::transaction::Transaction;

/// What a policy does not let happen, in words for who tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("tag {tag} is immutable here ({rule}) and stays at {digest}; push under another tag")]
    Moves {
        tag: Tag,
        digest: Digest,
        rule: String,
    },
    #[error("tag {tag} is immutable here ({rule}), so it cannot be deleted")]
    Goes { tag: Tag, rule: String },
    #[error("no tag here may be called {tag}: allowed is {allowed} ({rule})")]
    Name {
        tag: Tag,
        allowed: String,
        rule: String,
    },
    #[error(
        "{scope} holds {used} of the {allowed} that it may ({rule}), and {more} more is too much; delete what \
         is not needed, whose space comes back when it is collected, or ask who runs this registry for more"
    )]
    Bytes {
        scope: String,
        used: String,
        allowed: String,
        more: String,
        rule: String,
    },
    #[error(
        "{scope} has the {allowed} tags that it may ({rule}); delete some that are not needed, push to one \
         that is there, or ask who runs this registry for more"
    )]
    Tags {
        scope: String,
        allowed: u64,
        rule: String,
    },
}

/// Where something is done.
pub(crate) type Place<'a> = (&'a RepositoryName, RepositoryId);

/// Whether a tag may be pointed at a manifest.
///
/// # Errors
/// The database failed; within, the policy that refuses it.
pub(crate) fn check_push(
    tx: &Transaction<'_>,
    policies: &Policies,
    (repository, id): Place<'_>,
    tag: &Tag,
    digest: &Digest,
) -> Result<Result<(), Refused>, Fault> {
    let mut entries = policies.of(repository).peekable();
    if entries.peek().is_none() {
        return Ok(Ok(()));
    }
    let before = meta::tags::find(tx, id, tag)?;
    Ok(match before {
        Some(before) if before == *digest => Ok(()),
        Some(before) => check_move(policies, repository, tag, &before),
        None => match check_name(policies, repository, tag) {
            Ok(()) => quota::check_tags(tx, policies, (repository, id))?,
            refused => refused,
        },
    })
}

/// Whether a tag that points at `digest` may point at another manifest.
fn check_move(
    policies: &Policies,
    repository: &RepositoryName,
    tag: &Tag,
    digest: &Digest,
) -> Result<(), Refused> {
    match fixed_by(policies, repository, tag) {
        None => Ok(()),
        Some(rule) => Err(Refused::Moves {
            tag: tag.clone(),
            digest: digest.clone(),
            rule,
        }),
    }
}

/// Whether a tag may be removed.
fn check_removal(
    policies: &Policies,
    repository: &RepositoryName,
    tag: &Tag,
) -> Result<(), Refused> {
    match fixed_by(policies, repository, tag) {
        None => Ok(()),
        Some(rule) => Err(Refused::Goes {
            tag: tag.clone(),
            rule,
        }),
    }
}

/// Whether a tag, or a manifest with all tags that point at it, may be removed. What is not there may.
///
/// Looks at each of the tags, which takes a microsecond, where a policy has any that stay.
///
/// # Errors
/// The database failed; within, the policy that refuses it.
pub(crate) fn check_delete(
    tx: &Transaction<'_>,
    policies: &Policies,
    (repository, id): Place<'_>,
    reference: &Reference,
) -> Result<Result<(), Refused>, Fault> {
    let is_free = |entry: &Policy| entry.immutable.is_none();
    if policies.of(repository).all(is_free) {
        return Ok(Ok(()));
    }
    let mut verdict = Ok(());
    match reference {
        Reference::Tag(tag) => {
            if meta::tags::find(tx, id, tag)?.is_some() {
                verdict = check_removal(policies, repository, tag);
            }
        }
        Reference::Digest(digest) => meta::tags::each_pointing_at(tx, id, digest, |tag| {
            verdict = check_removal(policies, repository, &tag);
            verdict.is_ok()
        })?,
    }
    Ok(verdict)
}

/// Whether a repository may be deleted with all its tags.
///
/// # Errors
/// The database failed; within, the policy that refuses it.
pub(crate) fn check_delete_all(
    tx: &Transaction<'_>,
    policies: &Policies,
    (repository, id): Place<'_>,
) -> Result<Result<(), Refused>, Fault> {
    /// Tags that are looked at together.
    const TAGS: usize = 1000;
    let is_free = |entry: &Policy| entry.immutable.is_none();
    if policies.of(repository).all(is_free) {
        return Ok(Ok(()));
    }
    let mut after: Option<String> = None;
    loop {
        let page = meta::tags::list(tx, id, after.as_deref(), TAGS)?;
        for tag in page.iter().filter_map(|text| text.parse().ok()) {
            if let Err(refused) = check_removal(policies, repository, &tag) {
                return Ok(Err(refused));
            }
        }
        let Some(last) = page.into_iter().next_back() else {
            return Ok(Ok(()));
        };
        after = Some(last);
    }
}

/// What keeps a tag where it is: the key and pattern.
pub(super) fn fixed_by(
    policies: &Policies,
    repository: &RepositoryName,
    tag: &Tag,
) -> Option<String> {
    policies.of(repository).find_map(|entry| {
        let pattern = entry.immutable.as_ref()?.pattern(tag)?;
        Some(format!("{}: immutable {}", entry.key, pattern.as_str()))
    })
}

/// Whether a new tag may be called so. Those in cosign's form are part of what they belong to.
fn check_name(policies: &Policies, repository: &RepositoryName, tag: &Tag) -> Result<(), Refused> {
    if owner(tag).is_some() {
        return Ok(());
    }
    let refuses = |entry: &&Policy| {
        let allowed = entry.tag_names.as_ref();
        allowed.is_some_and(|allowed| !allowed.has(tag))
    };
    match policies.of(repository).find(refuses) {
        None => Ok(()),
        Some(entry) => Err(Refused::Name {
            tag: tag.clone(),
            allowed: entry
                .tag_names
                .as_ref()
                .map(crate::config::meaning::policies::TagSet::words)
                .unwrap_or_default(),
            rule: format!("{}: tag_names", entry.key),
        }),
    }
}
