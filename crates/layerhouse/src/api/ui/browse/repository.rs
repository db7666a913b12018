//! A repository: what it is, how to pull it, its latest tags.

use std::sync::Arc;

use askama::Template;
use layerhouse_oci::name::RepositoryName;

use super::super::markdown;
use super::super::shell::{Html, Shell};
use super::super::visit::Visit;
use super::model::{RepositoryRow, TagRow, web_address};
use super::parts::{Head, Place};
use super::snippets::{self, Snippet};
use super::{here, namespace};
use crate::api::Answer;
use crate::api::ui::blocking;
use crate::api::v1::problem::Problem;
use crate::auth::rights::Deed;
use crate::index::pages::Labels;
use crate::registry::browse::kind::Kind;
use crate::registry::browse::repositories::{RepositoriesQuery, RepositorySort};
use crate::registry::browse::tags::Order;

/// Tags that are shown, and repositories below this one.
const TAGS: u32 = 8;
const CHILDREN: u32 = 10;
/// What an image says of itself that is worth a line (image-spec, "Pre-Defined Annotation Keys").
const FACTS: [(&str, &str); 5] = [
    ("org.opencontainers.image.source", "browse.source"),
    ("org.opencontainers.image.url", "browse.url"),
    (
        "org.opencontainers.image.documentation",
        "browse.documentation",
    ),
    ("org.opencontainers.image.licenses", "browse.licences"),
    ("org.opencontainers.image.vendor", "browse.vendor"),
];

/// What an image says of itself.
#[derive(Debug)]
pub(in crate::api::ui) struct Fact {
    pub(in crate::api::ui) key: &'static str,
    pub(in crate::api::ui) value: String,
    pub(in crate::api::ui) link: Option<String>,
}

#[derive(Template)]
#[template(path = "browse/repository.html")]
pub(in crate::api::ui) struct Page<'a> {
    pub(in crate::api::ui) shell: &'a Shell,
    pub(in crate::api::ui) head: Head,
    pub(in crate::api::ui) row: RepositoryRow,
    pub(in crate::api::ui) tags: Vec<TagRow>,
    pub(in crate::api::ui) readme: Option<Html>,
    pub(in crate::api::ui) children: Vec<RepositoryRow>,
    pub(in crate::api::ui) snippets: Vec<Snippet>,
    pub(in crate::api::ui) facts: Vec<Fact>,
    pub(in crate::api::ui) commands: [String; 3],
    pub(in crate::api::ui) may_push: bool,
    pub(in crate::api::ui) may_delete: bool,
}

pub(in crate::api::ui) async fn page(
    visit: Visit,
    name: RepositoryName,
) -> Result<Answer, Problem> {
    visit.only_looks()?;
    // With accounts a job keeps what the image says; without, it is read from the image.
    let mut labels = Labels::new();
    if visit.visitor.index().is_none()
        && let Ok(pull) = visit.visitor.pull(&name)
    {
        let registry = Arc::clone(visit.registry());
        let newest = blocking(move || Ok(registry.latest_tags(&pull, 1)?)).await?;
        if let Some(newest) = newest.unwrap_or_default().first() {
            let said = visit.registry().describe(&name, &newest.name).await?;
            labels = said.unwrap_or_default();
        }
    }
    blocking(move || show(&visit, &name, &labels)).await
}

fn show(visit: &Visit, name: &RepositoryName, labels: &Labels) -> Result<Answer, Problem> {
    let pull = match visit.visitor.pull(name) {
        Ok(pull) => pull,
        // The name may be a namespace's; what is said of a name that is neither is the same.
        Err(problem) => return namespace::show(visit, name).map_err(|_| problem),
    };
    let registry = visit.registry();
    let Some(row) = registry.repository_overview(&pull)? else {
        return namespace::show(visit, name);
    };
    let viewer = visit.visitor.viewer()?;
    let mut row = here::repository_row(visit, &viewer, row);
    let tags = registry.latest_tags(&pull, TAGS)?.unwrap_or_default();
    let tags: Vec<TagRow> = tags.into_iter().map(here::tag_row).collect();
    let below = RepositoriesQuery {
        within: Some(name.as_str()),
        filter: None,
        sort: RepositorySort::Name,
        order: Order::Ascending,
        page: 1,
        rows: CHILDREN + 1,
    };
    let below = registry.repositories_page(&viewer, &below)?;
    let children = below.rows.into_iter().filter(|row| row.name != *name);
    let children = children.take(CHILDREN as usize);
    let children = children
        .map(|row| here::repository_row(visit, &viewer, row))
        .collect();
    let (mut readme, mut facts) = (None, said(labels));
    if row.description.is_none() {
        let description = labels.get("org.opencontainers.image.description");
        row.description = description.filter(|text| !text.is_empty()).cloned();
    }
    if let (Some(index), Ok(permit)) = (
        visit.visitor.index(),
        visit.visitor.repository(name, Deed::Pull),
    ) {
        let page = index.page(&permit)?;
        row.description = Some(page.description).filter(|text| !text.is_empty());
        readme = (!page.readme.is_empty()).then(|| Html(markdown::html(&page.readme)));
        facts = said(&page.labels);
    }
    let page = Page {
        head: Head::of(visit, name, Place::Overview, row.tags)?,
        shell: &visit.shell,
        snippets: pull_box(&visit.shell, name, &tags),
        row,
        tags,
        readme,
        children,
        facts,
        commands: snippets::push(&visit.shell.host, name.as_str()),
        may_push: visit.visitor.may(name, Deed::Push),
        may_delete: visit.visitor.may(name, Deed::Delete),
    };
    visit.show(&page)
}

/// How to pull `latest`, or else the tag that was pushed last.
pub(in crate::api::ui) fn pull_box(
    shell: &Shell,
    name: &RepositoryName,
    tags: &[TagRow],
) -> Vec<Snippet> {
    let latest = tags.iter().find(|tag| tag.name == "latest");
    let Some(tag) = latest.or(tags.first()) else {
        return Vec::new();
    };
    let kind = tag.kind.unwrap_or(Kind::Image);
    snippets::pull(kind, &shell.host, name.as_str(), &tag.name)
}

/// What labels, or annotations, say that is worth a line.
pub(in crate::api::ui) fn said(labels: &Labels) -> Vec<Fact> {
    let fact = |(label, key): (&str, &'static str)| {
        let value = labels.get(label)?.clone();
        Some(Fact {
            key,
            link: web_address(&value).map(str::to_owned),
            value,
        })
    };
    FACTS.into_iter().filter_map(fact).collect()
}
