//! What was deleted and can come back: `/ui/r/<repository>/-/deleted`; and having it back.

use askama::Template;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::tag::Tag;
use serde_json::json;

use super::super::blocking;
use super::super::browse::parts::{Head, Place};
use super::super::shell::Shell;
use super::super::visit::Visit;
use super::{doer, moved, page_of};
use crate::api::Answer;
use crate::api::v1::problem::{Code, Problem};
use crate::auth::rights::Deed;
use crate::clock::Timestamp;
use crate::index::audit::Action;
use crate::registry::history::Lost;

/// Manifests on a page.
const ROWS: usize = 50;

#[derive(Template)]
#[template(path = "change/deleted.html")]
struct DeletedPage<'a> {
    shell: &'a Shell,
    head: Head,
    name: &'a RepositoryName,
    rows: Vec<Row>,
    /// Behind the last of these there are more.
    next: Option<String>,
    is_first: bool,
    /// When the repository itself was deleted.
    deleted_at: Option<Timestamp>,
    may_restore: bool,
    may_restore_all: bool,
}

struct Row {
    lost: Lost,
    until: Timestamp,
}

/// What can come back, until when, and who deleted it.
///
/// # Errors
/// As the API.
pub(in crate::api::ui) async fn page(
    visit: Visit,
    name: RepositoryName,
) -> Result<Answer, Problem> {
    visit.only_looks()?;
    let after: Option<Digest> = match visit.query.get("after").map(str::parse) {
        None => None,
        Some(Ok(digest)) => Some(digest),
        Some(Err(error)) => return Err(Problem::invalid(format!("after: {error}"))),
    };
    blocking(move || {
        let pull = visit.visitor.pull(&name)?;
        let registry = visit.registry();
        let found = registry.deleted_manifests(&pull, after.as_ref(), ROWS + 1)?;
        let mut found = found.ok_or_else(Problem::not_found)?;
        let has_more = ROWS < found.len();
        found.truncate(ROWS);
        let next = found.last().filter(|_| has_more);
        let window = registry.undelete_window();
        let page = DeletedPage {
            shell: &visit.shell,
            head: Head::of(&visit, &name, Place::Deleted, None)?,
            name: &name,
            next: next.map(|lost| lost.deleted.digest.to_string()),
            is_first: after.is_none(),
            rows: found
                .into_iter()
                .map(|lost| Row {
                    until: lost.deleted.deleted_at.after(window),
                    lost,
                })
                .collect(),
            deleted_at: registry.repository_deleted_at(&pull)?,
            may_restore: visit.visitor.may(&name, Deed::Push),
            may_restore_all: visit.visitor.may(&name, Deed::Maintain),
        };
        visit.show(&page)
    })
    .await
}

/// Brings back a repository, manifests with the tags that they lost, or tags that are not there.
///
/// # Errors
/// As the API for each of them.
pub(in crate::api::ui) async fn undelete(
    visit: Visit,
    name: RepositoryName,
) -> Result<Answer, Problem> {
    visit.only_changes()?;
    let (policy, registry) = (visit.visitor.policy(), visit.registry());
    if visit.form.get("repository") == Some("yes") {
        let permit = visit.visitor.tend(&name, Deed::Maintain)?;
        let push = policy.push(permit.caller(), permit.repository())?;
        let by = doer(&visit, &permit, Action::RepositoryRestore, json!({}));
        registry.restore_repository(push.repository(), by).await?;
        moved(&visit);
        return Ok(visit.go(&page_of(&name, "tags?said=restored")));
    }
    let digests = visit.form.all("digest").map(|text| {
        let digest = text.parse::<Digest>();
        digest.map_err(|error| Problem::invalid(format!("digest: {error}")))
    });
    let tags = visit.form.all("tag").map(|text| {
        let tag = text.parse::<Tag>();
        tag.map_err(|error| Problem::invalid(format!("tag: {error}")))
    });
    let digests = digests.collect::<Result<Vec<_>, _>>()?;
    let tags = tags.collect::<Result<Vec<_>, _>>()?;
    let permit = visit.visitor.tend(&name, Deed::Push)?;
    let push = policy.push(permit.caller(), permit.repository())?;
    let pull = policy.pull(permit.caller(), permit.repository())?;
    for digest in &digests {
        let detail = json!({ "digest": digest.as_str() });
        let by = doer(&visit, &permit, Action::ManifestRestore, detail);
        let restored = registry.restore_manifest(push.repository(), digest, by);
        restored.await?;
    }
    for tag in &tags {
        // One that is there again was not deleted: what it points at is somebody's.
        if registry.tag_now(&pull, tag)?.is_some() {
            let message = format!("the tag {tag} is there again");
            return Err(Problem::conflict(Code::Conflict, message));
        }
        let detail = json!({ "tag": tag.as_str(), "to": null });
        let by = doer(&visit, &permit, Action::TagRestore, detail);
        let restored = registry.restore_tag(push.repository(), tag, None, by);
        restored.await?;
    }
    moved(&visit);
    Ok(visit.go(&page_of(&name, "tags?said=restored")))
}
