//! A repository of the other registry, and its tags: as many requests as rows are shown.

use std::collections::BTreeMap;

use http::StatusCode;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;
use layerhouse_oci::tag::Tag;

use super::source::{TAGS_MAX, Tags};
use super::{Look, lists};
use crate::api::Answer;
use crate::api::ui::browse::model::{RepositoryRow, TagRow};
use crate::api::ui::browse::parts::{Head, Place, Tab, crumbs, last_page};
use crate::api::ui::browse::repository::{Page, pull_box, said};
use crate::api::ui::browse::snippets;
use crate::api::ui::browse::tags::{Sort, Table, columns};
use crate::api::ui::shell::html;
use crate::api::v1::problem::Problem;
use crate::index::pages::Labels;
use crate::registry::browse::tags::{Order, version_key};

/// Tags that are shown first, tags on a page, and repositories below this one.
const LATEST: usize = 8;
const ROWS: u32 = 25;
const CHILDREN: usize = 10;

/// Ways of sorting that need no look at each tag.
const SORTS: [(&str, &str, Order); 2] = [
    ("semver", "browse.sort_semver", Order::Descending),
    ("name", "browse.sort_name", Order::Ascending),
];
const COLUMNS: [(&str, Option<&str>, bool); 4] = [
    ("browse.tag", Some("name"), false),
    ("browse.digest", None, false),
    ("browse.platforms", None, false),
    ("browse.size", None, true),
];

pub(super) async fn overview(look: &Look, name: &RepositoryName) -> Result<Answer, Problem> {
    let Some(tags) = look.source().tags(name).await? else {
        return below(look, name).await;
    };
    let shown: Vec<Tag> = first(&tags).into_iter().take(LATEST).collect();
    let rows = look.source().rows(name, &shown).await?;
    // What cannot be read of one image is no reason to show no tags.
    let labels = labels(look, name, &rows).await.unwrap_or_default();
    // A registry without a list has repositories all the same.
    let catalog = look.source().catalog().await.unwrap_or_default();
    let prefix = format!("{name}/");
    let children = catalog.names.iter();
    let children = children.filter(|name| name.as_str().starts_with(&prefix));
    let children = children.take(CHILDREN).map(|name| RepositoryRow {
        name: name.to_string(),
        ..RepositoryRow::default()
    });
    let count = (!tags.is_cut).then_some(tags.names.len() as u64);
    let description = labels.get("org.opencontainers.image.description");
    let page = Page {
        shell: &look.shell,
        head: head(look, name, Place::Overview, count),
        row: RepositoryRow {
            name: name.to_string(),
            tags: count,
            description: description.filter(|text| !text.is_empty()).cloned(),
            ..RepositoryRow::default()
        },
        snippets: pull_box(&look.shell, name, &rows),
        tags: rows,
        readme: None,
        children: children.collect(),
        facts: said(&labels),
        commands: snippets::push(&look.shell.host, name.as_str()),
        may_push: true,
        // There is no request that deletes a repository.
        may_delete: false,
    };
    html(StatusCode::OK, &page)
}

/// A name that is no repository's may have some below it.
async fn below(look: &Look, name: &RepositoryName) -> Result<Answer, Problem> {
    let catalog = look.source().catalog().await.unwrap_or_default();
    let prefix = format!("{name}/");
    let mut names = catalog.names.iter();
    if names.any(|name| name.as_str().starts_with(&prefix)) {
        return lists::namespace(look, name).await;
    }
    Err(Problem::not_found())
}

/// What the newest image says of itself, in its labels and annotations.
async fn labels(look: &Look, name: &RepositoryName, rows: &[TagRow]) -> Result<Labels, Problem> {
    let mut labels: Labels = BTreeMap::new();
    let latest = rows.iter().find(|row| row.name == "latest");
    let digest = latest.or(rows.first()).and_then(|row| row.digest.as_ref());
    let Some(Ok(digest)) = digest.map(|digest| digest.parse()) else {
        return Ok(labels);
    };
    let image = look
        .source()
        .image(name, &Reference::Digest(digest))
        .await?;
    let mut image = image;
    // An index says little; its usual image more.
    if let Some(found) = &image
        && let Some((variant, _)) = crate::api::ui::browse::image::choose(&look.query, found)
        && let Ok(digest) = variant.digest.parse()
    {
        let annotations = found.annotations.clone();
        let inner = look
            .source()
            .image(name, &Reference::Digest(digest))
            .await?;
        labels.extend(annotations.into_iter().map(|pair| (pair.name, pair.value)));
        image = inner;
    }
    if let Some(image) = image {
        let config = image.config.map(|config| config.labels).unwrap_or_default();
        let said = config.into_iter().chain(image.annotations);
        for pair in said {
            labels.entry(pair.name).or_insert(pair.value);
        }
    }
    Ok(labels)
}

pub(super) async fn tags(look: &Look, name: &RepositoryName) -> Result<Answer, Problem> {
    let found = look.source().tags(name).await?;
    let found = found.ok_or_else(Problem::not_found)?;
    let asked = look.query.get("sort");
    let (word, _, usual) = *SORTS
        .iter()
        .find(|sort| Some(sort.0) == asked)
        .unwrap_or(&SORTS[0]);
    let order = match look.query.get("order") {
        Some("asc") => Order::Ascending,
        Some("desc") => Order::Descending,
        _ => usual,
    };
    let filter = look.query.get("q").unwrap_or_default().to_owned();
    let mut names = sorted(&found, word, order);
    let part = filter.to_lowercase();
    names.retain(|tag| tag.as_str().to_lowercase().contains(&part));
    let (page, total) = (look.query.page(), names.len() as u64);
    let shown = names.into_iter();
    let shown = shown.skip((page as usize - 1).saturating_mul(ROWS as usize));
    let shown: Vec<Tag> = shown.take(ROWS as usize).collect();
    let rows = look.source().rows(name, &shown).await?;
    let count = (!found.is_cut).then_some(found.names.len() as u64);
    let table = Table {
        shell: &look.shell,
        head: head(look, name, Place::Tags, count),
        sorts: SORTS
            .iter()
            .map(|sort| Sort {
                word: sort.0,
                key: sort.1,
                is_here: sort.0 == word,
            })
            .collect(),
        columns: columns(&look.query, &COLUMNS, word, order),
        has_times: false,
        // There is no request that deletes a repository, which is what an empty one offers.
        may_delete: look.may_delete() && !rows.is_empty(),
        rows,
        total: if found.is_cut { TAGS_MAX as u64 } else { total },
        is_capped: found.is_cut,
        page: u64::from(page),
        last: last_page(total, ROWS),
        query: look.query.with("page", None),
        filter,
    };
    html(StatusCode::OK, &table)
}

/// Those that people look for first: `latest`, then versions, the highest first, then other names.
fn first(tags: &Tags) -> Vec<Tag> {
    let mut names = sorted(tags, "semver", Order::Descending);
    if let Some(latest) = names.iter().position(|tag| tag.as_str() == "latest") {
        let latest = names.remove(latest);
        names.insert(0, latest);
    }
    names
}

fn sorted(tags: &Tags, word: &str, order: Order) -> Vec<Tag> {
    let key = |tag: &Tag| match word {
        "semver" => version_key(tag),
        _ => String::new(),
    };
    let keyed = tags.names.iter().map(|tag| (key(tag), tag.clone()));
    // What is no version comes last either way, by name.
    let (mut versions, mut others): (Vec<_>, Vec<_>) =
        keyed.partition(|(key, _)| word != "semver" || !key.is_empty());
    versions.sort_unstable();
    others.sort_unstable();
    if order == Order::Descending {
        versions.reverse();
    }
    let all = versions.into_iter().chain(others);
    all.map(|(_, tag)| tag).collect()
}

fn head(look: &Look, name: &RepositoryName, place: Place, tags: Option<u64>) -> Head {
    let tab = |of: Place, key: &'static str, behind: &str, count: Option<u64>| Tab {
        key,
        path: format!("/ui/r/{name}{behind}"),
        count,
        is_here: of == place,
    };
    Head {
        name: name.to_string(),
        reference: format!("{}/{name}", look.shell.host),
        crumbs: crumbs(name.as_str(), false),
        is_private: None,
        star: None,
        tabs: vec![
            tab(Place::Overview, "browse.tab_overview", "", None),
            tab(Place::Tags, "browse.tab_tags", "/-/tags", tags),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_look_for_comes_first() {
        let names = ["1.10", "1.9", "latest", "main", "1.10-rc1"];
        let tags = Tags {
            names: names
                .iter()
                .map(|name| name.parse().expect("a tag"))
                .collect(),
            is_cut: false,
        };
        let first: Vec<String> = first(&tags).iter().map(Tag::to_string).collect();
        assert_eq!(first, ["latest", "1.10", "1.10-rc1", "1.9", "main"]);
        let by = |word, order| -> Vec<String> {
            sorted(&tags, word, order)
                .iter()
                .map(Tag::to_string)
                .collect()
        };
        assert_eq!(
            by("semver", Order::Ascending),
            ["1.9", "1.10-rc1", "1.10", "latest", "main"]
        );
        assert_eq!(
            by("name", Order::Descending),
            ["main", "latest", "1.9", "1.10-rc1", "1.10"]
        );
    }
}
