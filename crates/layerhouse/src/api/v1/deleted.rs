//! Deleting, and having again what was deleted while it can be had.

use std::time::Duration;

use layerhouse_oci::digest::Digest;
use layerhouse_oci::reference::Reference;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::input::{Nothing, Paging, Query};
use super::output::{Done, Found, Page};
use super::problem::Problem;
use super::views::Moment;
use super::visit::AnyVisit;
use crate::auth::permits::{OperatorPermit, TendPermit};
use crate::index::audit::Action;
use crate::meta::deleted::Holding as Stored;
use crate::registry::history::Lost;
use crate::registry::undelete;

/// What came back.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Restored {
    /// Digests.
    manifests: Vec<String>,
    tags: Vec<RestoredTag>,
}

/// A tag that points somewhere again.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RestoredTag {
    name: String,
    digest: String,
}

impl From<undelete::Restored> for Restored {
    fn from(restored: undelete::Restored) -> Self {
        let text = |digest: Digest| digest.as_str().to_owned();
        let tags = restored.tags.into_iter().map(|(tag, digest)| RestoredTag {
            name: tag.as_str().to_owned(),
            digest: text(digest),
        });
        Self {
            tags: tags.collect(),
            manifests: restored.manifests.into_iter().map(text).collect(),
        }
    }
}

/// A manifest that was deleted and can come back.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct DeletedManifest {
    digest: String,
    media_type: String,
    /// Those that pointed at it when it was deleted.
    tags: Vec<String>,
    pushed_at: Moment,
    deleted_at: Moment,
    deleted_by: String,
    /// `request`, `retention`, `untagged`, `orphan` or `repository`.
    why: String,
    /// From then on it may be gone.
    restorable_until: Moment,
}

/// A repository of which something can come back.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Holding {
    repository: String,
    /// When the repository itself was deleted; null if it is there.
    deleted_at: Option<Moment>,
    manifests: u64,
    /// From then on the first of them may be gone.
    first_until: Moment,
    last_until: Moment,
}

fn holding(held: Stored, window: Duration) -> Holding {
    Holding {
        repository: held.repository,
        deleted_at: held.deleted_at.map(Moment),
        manifests: held.manifests,
        first_until: Moment(held.first_at.after(window)),
        last_until: Moment(held.last_at.after(window)),
    }
}

/// Repositories, by name.
pub(super) async fn holdings(
    visit: AnyVisit,
    _: OperatorPermit,
    Query(paging): Query<Paging>,
) -> Result<Found<Page<Holding>>, Problem> {
    let (rows, registry) = (paging.rows()?, &visit.call.api.registry);
    let window = registry.undelete_window();
    let found = registry.holdings(paging.name(), rows + 1)?;
    let key = |held: &Stored| held.repository.clone();
    Ok(Found(Page::of(found, rows, key, |held| {
        holding(held, window)
    })))
}

/// Manifests of a repository, by digest.
pub(super) async fn list(
    visit: AnyVisit,
    permit: TendPermit,
    Query(paging): Query<Paging>,
) -> Result<Found<Page<DeletedManifest>>, Problem> {
    let policy = visit.call.settings.policy;
    let pull = policy.pull(permit.caller(), permit.repository())?;
    let after: Option<Digest> = match paging.name() {
        "" => None,
        text => {
            let digest = text.parse();
            Some(digest.map_err(|_| Problem::invalid("after: write what `next` said"))?)
        }
    };
    let (rows, registry) = (paging.rows()?, &visit.call.api.registry);
    let window = registry.undelete_window();
    let found = registry.deleted_manifests(&pull, after.as_ref(), rows + 1)?;
    let found = found.ok_or_else(Problem::not_found)?;
    Ok(Found(Page::of(
        found,
        rows,
        |lost| lost.deleted.digest.as_str().to_owned(),
        |Lost { deleted, tags }| DeletedManifest {
            digest: deleted.digest.as_str().to_owned(),
            media_type: deleted.media_type,
            tags: tags.iter().map(|tag| tag.as_str().to_owned()).collect(),
            pushed_at: Moment(deleted.pushed_at),
            deleted_at: Moment(deleted.deleted_at),
            deleted_by: deleted.deleted_by,
            why: deleted.why,
            restorable_until: Moment(deleted.deleted_at.after(window)),
        },
    )))
}

/// Deletes a tag, not what it points at.
pub(super) async fn delete_tag(
    visit: AnyVisit,
    permit: TendPermit,
    _: Nothing,
) -> Result<Done, Problem> {
    let tag = visit.named("tag")?;
    delete(&visit, &permit, Reference::Tag(tag)).await
}

/// Deletes a manifest with its tags.
pub(super) async fn delete_manifest(
    visit: AnyVisit,
    permit: TendPermit,
    _: Nothing,
) -> Result<Done, Problem> {
    let digest = visit.named("digest")?;
    delete(&visit, &permit, Reference::Digest(digest)).await
}

async fn delete(
    visit: &AnyVisit,
    permit: &TendPermit,
    reference: Reference,
) -> Result<Done, Problem> {
    let policy = visit.call.settings.policy;
    let delete = policy.delete(permit.caller(), permit.repository())?;
    let registry = &visit.call.api.registry;
    registry.delete_manifest(&delete, &reference).await?;
    Ok(Done)
}

/// Deletes a repository with all that it has.
pub(super) async fn delete_repository(
    visit: AnyVisit,
    permit: TendPermit,
    _: Nothing,
) -> Result<Done, Problem> {
    let policy = visit.call.settings.policy;
    let delete = policy.delete(permit.caller(), permit.repository())?;
    let registry = &visit.call.api.registry;
    let by = visit.doer(&permit, Action::RepositoryDelete, json!({}));
    let was_there = registry.delete_repository(delete.repository(), by).await?;
    visit.moved();
    if was_there {
        Ok(Done)
    } else {
        Err(Problem::not_found())
    }
}

/// Brings a manifest back, with the tags that it lost.
pub(super) async fn restore_manifest(
    visit: AnyVisit,
    permit: TendPermit,
    _: Nothing,
) -> Result<Found<Restored>, Problem> {
    let policy = visit.call.settings.policy;
    let push = policy.push(permit.caller(), permit.repository())?;
    let digest: Digest = visit.named("digest")?;
    let registry = &visit.call.api.registry;
    let detail = json!({ "digest": digest.as_str() });
    let by = visit.doer(&permit, Action::ManifestRestore, detail);
    let restored = registry.restore_manifest(push.repository(), &digest, by);
    let restored = restored.await?;
    visit.moved();
    Ok(Found(restored.into()))
}

/// Brings a repository back, with what it had.
pub(super) async fn restore_repository(
    visit: AnyVisit,
    permit: TendPermit,
    _: Nothing,
) -> Result<Found<Restored>, Problem> {
    let policy = visit.call.settings.policy;
    let push = policy.push(permit.caller(), permit.repository())?;
    let registry = &visit.call.api.registry;
    let by = visit.doer(&permit, Action::RepositoryRestore, json!({}));
    let restored = registry.restore_repository(push.repository(), by).await?;
    visit.moved();
    Ok(Found(restored.into()))
}
