//! Answers that are read whole: manifests, lists of tags, and what is passed on as it is.

use bytes::Bytes;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::name::RepositoryName;
use layerhouse_oci::reference::Reference;
use layerhouse_oci::tag::Tag;
use reqwest::{Method, Url};
use serde::Deserialize;

use super::UpstreamManifest;
use super::endpoint::{Endpoint, Question};
use super::error::UpstreamError;
use super::resource::Resource;
use super::tend::Catalog;

/// Pages of an endpoint's own that are put together for one of ours: 10,000 tags of quay.io's.
const TAG_PAGES_MAX: usize = 100;
/// A page of tags: 30,000 of the longest; or of repositories.
const TAGS_BYTES_MAX: usize = 4 << 20;
/// What is asked for in a page of repositories: more than this registry:3 refuses.
const CATALOG_PAGE: usize = 1000;

pub(super) async fn read_manifest(
    endpoint: &Endpoint,
    question: &Question<'_>,
    reference: &Reference,
    bytes_max: usize,
) -> Result<UpstreamManifest, UpstreamError> {
    let answer = endpoint.ask(question).await?.expect(&[200])?;
    let (answer, content) = answer.read(bytes_max).await?;
    let said = match reference {
        Reference::Digest(digest) => Some(digest.clone()),
        // What it says of its own answer; one that it cannot read is none.
        Reference::Tag(_) => answer
            .header("docker-content-digest")
            .and_then(|digest| digest.parse().ok()),
    };
    if let Some(digest) = said {
        let actual = Digest::of(digest.algorithm(), &content);
        if actual != digest {
            let problem = format!("what it sends has the digest {actual}, not {digest}");
            return Err(answer.fail(answer.asked.invalid(problem)));
        }
    }
    let content_type = answer.header("content-type").map(str::to_owned);
    Ok(UpstreamManifest {
        content,
        content_type,
    })
}

pub(super) async fn read_whole(
    endpoint: &Endpoint,
    question: &Question<'_>,
    bytes_max: usize,
) -> Result<Bytes, UpstreamError> {
    let answer = endpoint.ask(question).await?.expect(&[200])?;
    let (_, body) = answer.read(bytes_max).await?;
    Ok(body)
}

/// Up to `n` tags behind `last`, however many the endpoint puts on a page of its own: quay.io stops at 100.
pub(super) async fn list_tags(
    endpoint: &Endpoint,
    repository: &RepositoryName,
    query: &[(&str, &str)],
    (n, last): (usize, Option<&str>),
) -> Result<Vec<Tag>, UpstreamError> {
    let mut query: Vec<(String, String)> = query
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let (mut listed, mut pages) = (Vec::new(), 0);
    loop {
        let asked: Vec<_> = query
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let question = Question {
            query: &asked,
            ..Question::get(repository, "tags/list")
        };
        let (tags, next) = read_tags(endpoint, &question).await?;
        let is_empty = tags.is_empty();
        let tags = page(tags, n - listed.len(), last.filter(|_| pages == 0));
        listed.extend(tags);
        pages += 1;
        match next {
            Some(next) if listed.len() < n && !is_empty && pages < TAG_PAGES_MAX => query = next,
            Some(_) | None => return Ok(listed),
        }
    }
}

/// What leads to the next page: names and values of its query.
type Next = Vec<(String, String)>;

/// A page of tags, and what leads to the next.
async fn read_tags(
    endpoint: &Endpoint,
    question: &Question<'_>,
) -> Result<(Vec<String>, Option<Next>), UpstreamError> {
    #[derive(Deserialize)]
    struct List {
        /// Some say null for none.
        tags: Option<Vec<String>>,
    }
    let answer = endpoint.ask(question).await?.expect(&[200])?;
    let (answer, body) = answer.read(TAGS_BYTES_MAX).await?;
    let list: Result<List, _> = serde_json::from_slice(&body);
    let list =
        list.map_err(|_| answer.fail(answer.asked.invalid("what it sends is no list of tags")))?;
    let next = answer.header("link").and_then(next_page);
    Ok((list.tags.unwrap_or_default(), next))
}

/// Up to `n` repositories, however many the endpoint puts on a page.
pub(super) async fn list_repositories(
    endpoint: &Endpoint,
    n: usize,
) -> Result<Catalog, UpstreamError> {
    #[derive(Deserialize)]
    struct List {
        repositories: Option<Vec<String>>,
    }
    let number = n.min(CATALOG_PAGE).to_string();
    let mut query = vec![("n".to_owned(), number)];
    let (mut catalog, mut pages) = (Catalog::default(), 0);
    loop {
        let asked: Vec<_> = query
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let question = Question {
            method: Method::GET,
            resource: Resource::Catalog,
            path: "_catalog",
            query: &asked,
            accept: None,
            from: 0,
        };
        let answer = endpoint.ask(&question).await?;
        if let status @ (400 | 403 | 405 | 501) = answer.status() {
            let problem = format!("it lists no repositories ({status})");
            return Err(answer.asked.denied(problem));
        }
        let (answer, body) = answer.expect(&[200])?.read(TAGS_BYTES_MAX).await?;
        let list: Result<List, _> = serde_json::from_slice(&body);
        let list = list.map_err(|_| {
            answer.fail(
                answer
                    .asked
                    .invalid("what it sends is no list of repositories"),
            )
        })?;
        let names = list.repositories.unwrap_or_default();
        let is_empty = names.is_empty();
        let names = names.iter().filter_map(|name| name.parse().ok());
        catalog.names.extend(names);
        catalog.is_cut = n < catalog.names.len();
        catalog.names.truncate(n);
        pages += 1;
        let Some(next) = answer.header("link").and_then(next_page) else {
            return Ok(catalog);
        };
        if catalog.is_cut || n == catalog.names.len() || is_empty || pages == TAG_PAGES_MAX {
            catalog.is_cut = !is_empty;
            return Ok(catalog);
        }
        query = next;
    }
}

/// The query of `<path?query>; rel="next"` (RFC 8288). Path and host are not looked at: it is asked where the first
/// page was.
fn next_page(link: &str) -> Option<Next> {
    let (target, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = rest.contains("rel=\"next\"") || rest.contains("rel=next");
    let (_, query) = target.split_once('?').filter(|_| is_next)?;
    let page = Url::parse(&format!("http://page/?{query}")).ok()?;
    Some(page.query_pairs().into_owned().collect())
}

/// What of a list is wanted: old registries know neither `n` nor `last`, and send all tags each time.
fn page(tags: Vec<String>, n: usize, last: Option<&str>) -> Vec<Tag> {
    let seen = last.and_then(|last| tags.iter().position(|tag| tag == last));
    let behind = seen.map_or(0, |seen| seen + 1);
    let wanted = tags.into_iter().skip(behind);
    wanted.filter_map(|tag| tag.parse().ok()).take(n).collect()
}
