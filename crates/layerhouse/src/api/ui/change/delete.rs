//! Deleting, and first what that would do: `/ui/r/<repository>/-/delete` of tags, of a manifest or of all.

use std::sync::Arc;

use askama::Template;
use http::StatusCode;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;
use layerhouse_oci::tag::Tag;
use serde_json::json;

use super::super::blocking;
use super::super::form::Pairs;
use super::super::shell::Shell;
use super::super::visit::Visit;
use super::undo::STEPS_MAX;
use super::{doer, moved, page_of};
use crate::api::Answer;
use crate::api::v1::problem::Problem;
use crate::auth::rights::Deed;
use crate::auth::{Delete, Granted, Refusal};
use crate::index::audit::Action;
use crate::registry::Registry;
use crate::registry::deletion::DeleteManifestError;
use crate::registry::preview::{CHOSEN_MAX, Obstacle, Preview, Target, Why};

#[derive(Template)]
#[template(path = "change/delete.html")]
struct DeletePage<'a> {
    shell: &'a Shell,
    name: &'a RepositoryName,
    target: &'a Target,
    preview: &'a Preview,
    /// Of the preview: what is posted must have been seen.
    seen: String,
    /// What was wrong with what was posted.
    problem: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "change/delete_off.html")]
struct OffPage<'a> {
    shell: &'a Shell,
    name: &'a RepositoryName,
    is_read_only: bool,
}

/// What of a deletion is posted and cannot be done as things are.
enum Refused {
    /// Something moved since it was shown.
    Changed,
    /// The name of the repository was not typed.
    Name,
    /// Something stands in the way.
    Obstacle,
    /// Some of it was done before something moved.
    Partly,
}

impl Refused {
    fn key(&self) -> &'static str {
        match self {
            Self::Changed => "change.changed",
            Self::Name => "change.name_wrong",
            Self::Obstacle => "change.obstacle",
            Self::Partly => "change.partly",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Name => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Changed | Self::Obstacle | Self::Partly => StatusCode::CONFLICT,
        }
    }
}

impl DeletePage<'_> {
    fn is_repository(&self) -> bool {
        *self.target == Target::Repository
    }

    /// The manifest that is to be deleted by its digest.
    fn digest(&self) -> Option<&Digest> {
        match self.target {
            Target::Manifest(digest) => Some(digest),
            Target::Tags { .. } | Target::Repository => None,
        }
    }

    /// The tags that were chosen.
    fn chosen(&self) -> &[Tag] {
        match self.target {
            Target::Tags { tags, .. } => tags,
            Target::Manifest(_) | Target::Repository => &[],
        }
    }

    fn takes_images(&self) -> bool {
        matches!(self.target, Target::Tags { with_images, .. } if *with_images)
    }

    /// The same page, of the images, too, or without them.
    fn way(&self, takes_images: bool) -> String {
        let mut query = form_urlencoded::Serializer::for_suffix(String::from("?"), 1);
        query.extend_pairs(self.chosen().iter().map(|tag| ("tag", tag.as_str())));
        if takes_images {
            query.append_pair("images", "yes");
        }
        query.finish()
    }

    /// What comes back if the images that would have no tag go, too.
    fn taken_bytes(&self) -> u64 {
        if self.takes_images() {
            self.preview.freed.bytes
        } else {
            self.preview.untagged_bytes
        }
    }

    /// What the button does: key of a text.
    fn verb(&self) -> &'static str {
        match (self.preview.untagged_count, self.takes_images()) {
            (0, _) => "change.delete",
            (_, false) => "change.delete_only_tags",
            (_, true) => "change.delete_with_images",
        }
    }

    /// Tags that go and are not listed.
    fn tags_more(&self) -> u64 {
        let listed = self.preview.tags.len() as u64;
        self.preview.tag_count.saturating_sub(listed)
    }

    fn manifests_more(&self) -> u64 {
        let listed = self.preview.manifests.len() as u64;
        self.preview.manifest_count.saturating_sub(listed)
    }

    fn stays_more(&self) -> u64 {
        let listed = self.preview.stays.len() as u64;
        self.preview.stays_count.saturating_sub(listed)
    }
}

/// What is to be deleted, as a query or a form says it; `None` if nothing was chosen.
fn target(pairs: &Pairs) -> Result<Option<Target>, Problem> {
    if pairs.get("repository") == Some("yes") {
        return Ok(Some(Target::Repository));
    }
    if let Some(digest) = pairs.get("digest") {
        let digest = digest
            .parse()
            .map_err(|error| Problem::invalid(format!("digest: {error}")))?;
        return Ok(Some(Target::Manifest(digest)));
    }
    let tags: Result<Vec<Tag>, _> = pairs.all("tag").take(CHOSEN_MAX).map(str::parse).collect();
    let tags = tags.map_err(|error| Problem::invalid(format!("tag: {error}")))?;
    let with_images = pairs.get("images") == Some("yes");
    Ok((!tags.is_empty()).then_some(Target::Tags { tags, with_images }))
}

/// GET: what it would do. POST: it is done, if it still is what was shown.
///
/// # Errors
/// As the API for a deletion.
pub(in crate::api::ui) async fn page(
    visit: Visit,
    name: RepositoryName,
) -> Result<Answer, Problem> {
    let pairs = if visit.is_post() {
        &visit.form
    } else {
        &visit.query
    };
    let Some(target) = target(pairs)? else {
        return Ok(visit.go(&page_of(&name, "tags?said=nothing_chosen")));
    };
    let permit = visit.visitor.tend(&name, Deed::Delete)?;
    let delete = match visit.visitor.policy().delete(permit.caller(), &name) {
        Ok(delete) => Arc::new(delete),
        Err(refusal @ (Refusal::ReadOnly | Refusal::DeleteOff)) => {
            let page = OffPage {
                shell: &visit.shell,
                name: &name,
                is_read_only: refusal == Refusal::ReadOnly,
            };
            return visit.show_as(StatusCode::CONFLICT, &page);
        }
        Err(refusal @ Refusal::Forbidden) => return Err(refusal.into()),
    };
    let shown = Shown {
        visit,
        delete,
        target,
    };
    if !shown.visit.is_post() {
        return blocking(move || shown.show(None)).await;
    }
    let visit = shown.visit.clone();
    let refused = match &shown.target {
        Target::Repository => {
            let typed = visit.form.get("name");
            let is_right = typed == Some(name.as_str());
            if is_right {
                let preview = shown.read().await?;
                if !preview.obstacles.is_empty() {
                    Refused::Obstacle
                } else if visit.form.get("seen") != Some(&*preview.fingerprint()) {
                    Refused::Changed
                } else {
                    let by = doer(&visit, &permit, Action::RepositoryDelete, json!({}));
                    let was_there = visit.registry().delete_repository(&name, by).await?;
                    moved(&visit);
                    if !was_there {
                        return Err(Problem::not_found());
                    }
                    let to = page_of(&name, "deleted?said=repository_deleted");
                    return Ok(visit.go(&to));
                }
            } else {
                Refused::Name
            }
        }
        Target::Tags { .. } | Target::Manifest(_) => {
            let preview = shown.read().await?;
            match shown.carry_out(&preview).await? {
                None => return Ok(visit.go(&behind(&name, &preview))),
                Some(refused) => refused,
            }
        }
    };
    blocking(move || shown.show(Some(&refused))).await
}

/// Where one goes when it is done: the notice there has the way back.
fn behind(name: &RepositoryName, preview: &Preview) -> String {
    let has_tags = preview
        .steps
        .iter()
        .any(|(reference, _)| matches!(reference, Reference::Tag(_)));
    let mut to = if has_tags {
        page_of(name, "tags?said=tags_deleted")
    } else {
        page_of(name, "tags?said=image_deleted")
    };
    if preview.steps.len() <= STEPS_MAX {
        for (reference, _) in &preview.steps {
            to.push_str("&undo=");
            match reference {
                Reference::Tag(tag) => to.extend(["tag:", tag.as_str()]),
                Reference::Digest(digest) => to.push_str(digest.as_str()),
            }
        }
    }
    to
}

/// What somebody looks at before they delete.
#[derive(Clone)]
struct Shown {
    visit: Visit,
    delete: Arc<Granted<Delete>>,
    target: Target,
}

impl Shown {
    fn registry(&self) -> &Arc<Registry> {
        self.visit.registry()
    }

    fn preview(&self) -> Result<Preview, Problem> {
        let preview = self
            .registry()
            .preview_deletion(&self.delete, &self.target)?;
        preview.ok_or_else(Problem::not_found)
    }

    async fn read(&self) -> Result<Preview, Problem> {
        let shown = self.clone();
        blocking(move || shown.preview()).await
    }

    fn show(&self, refused: Option<&Refused>) -> Result<Answer, Problem> {
        let preview = self.preview()?;
        let name = self.delete.repository();
        let page = DeletePage {
            shell: &self.visit.shell,
            name,
            target: &self.target,
            preview: &preview,
            seen: preview.fingerprint(),
            problem: refused.map(|refused| self.visit.shell.t(refused.key())),
        };
        let status = refused.map_or(StatusCode::OK, Refused::status);
        self.visit.show_as(status, &page)
    }

    /// Does what was shown, one step after the other; what of it could not be done.
    async fn carry_out(&self, preview: &Preview) -> Result<Option<Refused>, Problem> {
        if !preview.obstacles.is_empty() {
            return Ok(Some(Refused::Obstacle));
        }
        if self.visit.form.get("seen") != Some(&*preview.fingerprint()) {
            return Ok(Some(Refused::Changed));
        }
        let mut is_first = true;
        for (reference, seen) in &preview.steps {
            let deleted = self
                .registry()
                .delete_seen(&self.delete, reference, seen.clone());
            match deleted.await {
                Ok(()) => is_first = false,
                Err(DeleteManifestError::Fault(fault)) => return Err(fault.into()),
                Err(
                    DeleteManifestError::Unknown
                    | DeleteManifestError::Moved { .. }
                    | DeleteManifestError::Needed { .. }
                    | DeleteManifestError::Refused(_),
                ) if is_first => return Ok(Some(Refused::Changed)),
                Err(
                    DeleteManifestError::Unknown
                    | DeleteManifestError::Moved { .. }
                    | DeleteManifestError::Needed { .. }
                    | DeleteManifestError::Refused(_),
                ) => return Ok(Some(Refused::Partly)),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let check = |query: &str, expected: &str| {
            let found = match target(&Pairs::parse(query.as_bytes())) {
                Ok(found) => format!("{found:?}"),
                Err(_) => "refused".to_owned(),
            };
            assert_eq!(found, expected, "{query}");
        };
        check("", "None");
        check("tag=", "refused");
        check("tag=a/b", "refused");
        check("digest=x", "refused");
        check("repository=yes", "Some(Repository)");
        check("repository=no", "None");
        check(
            "tag=v1&tag=v2&images=yes",
            "Some(Tags { tags: [Tag(\"v1\"), Tag(\"v2\")], with_images: true })",
        );
    }
}
