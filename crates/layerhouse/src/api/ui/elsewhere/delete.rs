//! Deleting at the other registry: first what goes, then by digest or by tag, as that registry can.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use futures_util::future::try_join_all;
use http::StatusCode;
use layerhouse_oci::digest::{Algorithm, Digest};
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;
use layerhouse_oci::tag::Tag;

use super::Look;
use super::source::ALIASES_MAX;
use crate::api::Answer;
use crate::api::ui::browse::image::way;
use crate::api::ui::browse::parts::Crumb;
use crate::api::ui::form::Pairs;
use crate::api::ui::shell::{Shell, html};
use crate::api::ui::visit::see_other;
use crate::api::v1::problem::Problem;
use crate::outbound::upstream::tend::Deleted;

/// Tags that are deleted at once: a page of them.
const CHOSEN_MAX: usize = 100;

/// An image, and what leads to it.
#[derive(Debug)]
struct Goes {
    digest: Digest,
    chosen: Vec<Tag>,
    /// Its other tags, which go with it.
    along: Vec<Tag>,
    /// Tags of indexes that have it as one of their images, and break.
    broken: Vec<Tag>,
}

/// What was chosen, as it is now.
#[derive(Debug)]
struct Target {
    images: Vec<Goes>,
    /// Tags that are not there.
    absent: Vec<Tag>,
    /// Not all tags were looked at.
    is_cut: bool,
    /// Tags were chosen, and not an image by its digest.
    has_tags: bool,
}

/// Why nothing, or not all, was deleted.
#[derive(Clone, Copy, Debug)]
enum Refused {
    /// Something moved since it was shown.
    Changed,
    /// The registry will not.
    Unsupported,
    /// It deletes no tags, or says so for want of a better word.
    NoTags,
    /// It did not have what it showed before.
    Gone,
    /// It failed behind some that it deleted.
    Partly,
}

#[derive(Template)]
#[template(path = "elsewhere/delete.html")]
struct DeletePage<'a> {
    shell: &'a Shell,
    name: &'a RepositoryName,
    crumbs: Vec<Crumb>,
    target: &'a Target,
    /// Of what is shown: what is posted must have been seen.
    seen: String,
    problem: Option<&'static str>,
    /// What the registry said for itself.
    reason: Option<String>,
}

impl Refused {
    fn key(self) -> &'static str {
        match self {
            Self::Changed => "change.changed",
            Self::Unsupported => "elsewhere.unsupported",
            Self::NoTags => "elsewhere.no_tags",
            Self::Gone => "elsewhere.gone",
            Self::Partly => "elsewhere.partly",
        }
    }
}

impl DeletePage<'_> {
    /// How many tags are looked at.
    fn looked_at(&self) -> String {
        self.shell.number(ALIASES_MAX as u64)
    }
}

pub(super) async fn page(look: &Look, name: &RepositoryName) -> Result<Answer, Problem> {
    if look.site.is_read_only {
        let said = look.shell.t("elsewhere.read_only");
        return Err(Problem::denied(said));
    }
    let pairs = if look.is_post {
        &look.form
    } else {
        &look.query
    };
    let target = target(look, name, pairs).await?;
    let seen = seen(&target);
    if !look.is_post {
        return show(look, name, &target, seen, None, None);
    }
    if look.form.get("seen") != Some(&seen) {
        return show(look, name, &target, seen, Some(Refused::Changed), None);
    }
    let with_images = match look.form.get("what") {
        Some("images") => true,
        Some("tags") if target.has_tags => false,
        _ => return Err(Problem::invalid(look.shell.t("elsewhere.nothing_chosen"))),
    };
    let mut references: Vec<Reference> = Vec::new();
    for goes in &target.images {
        if with_images {
            references.push(Reference::Digest(goes.digest.clone()));
        } else {
            references.extend(goes.chosen.iter().cloned().map(Reference::Tag));
        }
    }
    let mut refused = None;
    let mut has_deleted = false;
    for reference in &references {
        let done = look.source().delete(name, reference).await;
        look.source().forget();
        let done = match done {
            Ok(done) => done,
            // What is gone must be said, for there is no way back.
            Err(problem) if has_deleted => {
                refused = Some((Refused::Partly, problem.message()));
                break;
            }
            Err(problem) => return Err(problem),
        };
        refused = match (done, with_images) {
            (Some(Deleted::Yes), _) => {
                has_deleted = true;
                tracing::info!(registry = %look.site.url, repository = %name, reference = reference.as_str(), "deleted");
                continue;
            }
            (Some(Deleted::Refused(said)), true) => Some((Refused::Unsupported, said)),
            // registry:2 looks for a digest of this name, and has none.
            (Some(Deleted::Refused(said)), false) => Some((Refused::NoTags, said)),
            (None, false) => Some((Refused::NoTags, None)),
            (None, true) => Some((Refused::Gone, None)),
        };
        break;
    }
    if let Some((refused, reason)) = refused {
        let target = self::target(look, name, pairs).await?;
        let seen = self::seen(&target);
        return show(look, name, &target, seen, Some(refused), reason);
    }
    let said = if with_images {
        "?said=elsewhere_images"
    } else {
        "?said=elsewhere_tags"
    };
    Ok(see_other(&format!("/ui/r/{name}/-/tags{said}")))
}

fn show(
    look: &Look,
    name: &RepositoryName,
    target: &Target,
    seen: String,
    refused: Option<Refused>,
    reason: Option<String>,
) -> Result<Answer, Problem> {
    let status = if refused.is_some() {
        StatusCode::CONFLICT
    } else {
        StatusCode::OK
    };
    let page = DeletePage {
        shell: &look.shell,
        name,
        crumbs: way(name),
        target,
        seen,
        problem: refused.map(|refused| look.shell.t(refused.key())),
        reason,
    };
    html(status, &page)
}

/// What was chosen: tags, or an image.
async fn target(look: &Look, name: &RepositoryName, pairs: &Pairs) -> Result<Target, Problem> {
    let digest = pairs.get("digest").map(str::parse::<Digest>);
    let digest = digest
        .transpose()
        .map_err(|error| Problem::invalid(format!("digest: {error}")))?;
    let tags: BTreeSet<Tag> = pairs
        .all("tag")
        .filter_map(|tag| tag.parse().ok())
        .collect();
    if CHOSEN_MAX < tags.len() {
        return Err(Problem::invalid(format!(
            "{} tags are chosen; at most {CHOSEN_MAX} are deleted at once",
            tags.len()
        )));
    }
    if digest.is_none() && tags.is_empty() {
        return Err(Problem::invalid(look.shell.t("elsewhere.nothing_chosen")));
    }
    let mut chosen: BTreeMap<Digest, Vec<Tag>> = BTreeMap::new();
    let mut absent = Vec::new();
    let digests = tags.iter().map(|tag| look.source().digest_now(name, tag));
    for (tag, digest) in tags.iter().zip(try_join_all(digests).await?) {
        match digest {
            Some(digest) => chosen.entry(digest).or_default().push(tag.clone()),
            None => absent.push(tag.clone()),
        }
    }
    if let Some(digest) = digest {
        chosen.entry(digest).or_default();
    }
    let digests: BTreeSet<Digest> = chosen.keys().cloned().collect();
    let mut aliases = look.source().aliases(name, &digests).await?;
    let images = chosen.into_iter().map(|(digest, chosen)| {
        let mut along = aliases.named.remove(&digest).unwrap_or_default();
        along.retain(|tag| !chosen.contains(tag));
        Goes {
            broken: aliases.needing.remove(&digest).unwrap_or_default(),
            digest,
            chosen,
            along,
        }
    });
    Ok(Target {
        images: images.collect(),
        absent,
        is_cut: aliases.is_cut,
        has_tags: !tags.is_empty(),
    })
}

/// What stands for all that is shown.
fn seen(target: &Target) -> String {
    let mut text = String::new();
    for goes in &target.images {
        text.push_str(goes.digest.as_str());
        for tags in [&goes.chosen, &goes.along, &goes.broken] {
            for tag in tags {
                text.push(' ');
                text.push_str(tag.as_str());
            }
            text.push('/');
        }
        text.push('\n');
    }
    Digest::of(Algorithm::Sha256, text.as_bytes())
        .hex()
        .to_owned()
}
