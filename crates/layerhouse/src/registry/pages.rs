//! Lists, a page at a time and in byte order: repositories, tags, referrers.

use std::collections::BTreeMap;

use layerhouse_oci::descriptor::Descriptor;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::manifest::Manifest;
use layerhouse_oci::tag::Tag;

use super::Registry;
use crate::auth::{Granted, GrantedBrowse, Pull};
use crate::fault::Fault;
use crate::meta;
use crate::meta::manifests::{Referrer, ReferrersQuery};

/// Which page of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageQuery<'a> {
    /// Only what comes after this, in byte order; it need not exist.
    pub(crate) after: Option<&'a str>,
    /// At most so many.
    pub(crate) limit: usize,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// More items come after the last of these.
    pub(crate) has_more: bool,
}

impl<T> Page<T> {
    /// Makes a page of what a query for one more than `limit` gave.
    fn cut(mut items: Vec<T>, limit: usize) -> Self {
        let has_more = limit < items.len();
        items.truncate(limit);
        Self { items, has_more }
    }
}

/// Referrers of one page: a descriptor is some 300 bytes, with annotations a few thousand.
const REFERRERS_MAX: usize = 1000;
/// A page's size: clients bound an index at 4 MiB.
const REFERRERS_BYTES_MAX: usize = 4_000_000;

impl Registry {
    /// Names of repositories.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn list_repositories(
        &self,
        _browse: GrantedBrowse,
        query: PageQuery<'_>,
    ) -> Result<Page<String>, Fault> {
        let names = self
            .database
            .read(|tx| meta::repositories::list(tx, query.after, query.limit + 1))?;
        Ok(Page::cut(names, query.limit))
    }

    /// Tags of a repository (end-8); `None` if there is no such repository.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn list_tags(
        &self,
        pull: &Granted<Pull>,
        query: PageQuery<'_>,
    ) -> Result<Option<Page<String>>, Fault> {
        self.database.read(|tx| {
            let Some(id) = meta::repositories::find(tx, pull.repository())? else {
                return Ok(None);
            };
            let tags = meta::tags::list(tx, id, query.after, query.limit + 1)?;
            Ok(Some(Page::cut(tags, query.limit)))
        })
    }

    /// Manifests that name `subject` (end-12), by digest; none if nothing is known of it.
    ///
    /// What clients recorded under the fallback tag, before this registry or they knew the API, is
    /// folded in (distribution-spec, "Referrers Tag Schema").
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn list_referrers(
        &self,
        pull: &Granted<Pull>,
        subject: &Digest,
        artifact_type: Option<&str>,
        after: Option<&str>,
    ) -> Result<Page<Referrer>, Fault> {
        self.database.read(|tx| {
            let Some(id) = meta::repositories::find(tx, pull.repository())? else {
                return Ok(Page {
                    items: Vec::new(),
                    has_more: false,
                });
            };
            let query = ReferrersQuery {
                subject,
                artifact_type,
                after,
                limit: REFERRERS_MAX + 1,
            };
            let mut found: BTreeMap<String, Referrer> = BTreeMap::new();
            let rows = meta::manifests::referrers(tx, id, query)?;
            // Beyond the rows of this page nothing may be folded in: the next page would miss rows.
            let horizon = (REFERRERS_MAX < rows.len())
                .then(|| rows.last().map(|row| row.digest.as_str().to_owned()))
                .flatten();
            if let Some(tag) = fallback_tag(subject)
                && let Some(index) =
                    meta::manifests::by_tag(tx, pull.repository().as_str(), tag.as_str())?
                && let Ok(index) = Manifest::parse(&index.content, None)
            {
                for descriptor in index.manifests {
                    let key = descriptor.digest.as_str();
                    let is_wanted = after.is_none_or(|after| after < key)
                        && horizon.as_deref().is_none_or(|horizon| key <= horizon)
                        && artifact_type.is_none_or(|wanted| {
                            descriptor.artifact_type.as_deref() == Some(wanted)
                        });
                    if is_wanted {
                        found.insert(key.to_owned(), referrer(descriptor));
                    }
                }
            }
            found.extend(
                rows.into_iter()
                    .map(|row| (row.digest.as_str().to_owned(), row)),
            );
            Ok(bound(found.into_values()))
        })
    }
}

/// As many referrers as a page may hold.
fn bound(referrers: impl Iterator<Item = Referrer>) -> Page<Referrer> {
    let mut page = Page {
        items: Vec::new(),
        has_more: false,
    };
    let mut page_bytes = 0;
    for referrer in referrers {
        // Names, quotes, media type and digest, then what the client may make long.
        page_bytes += 300
            + referrer.artifact_type.as_deref().map_or(0, str::len)
            + referrer.annotations.as_deref().map_or(0, str::len);
        let is_full = REFERRERS_MAX == page.items.len() || REFERRERS_BYTES_MAX < page_bytes;
        if is_full && !page.items.is_empty() {
            page.has_more = true;
            break;
        }
        page.items.push(referrer);
    }
    page
}

/// `<algorithm>-<hex>`, cut as the specification says.
fn fallback_tag(subject: &Digest) -> Option<Tag> {
    /// Longest hex part: a SHA-512 digest is cut to it.
    const HEX_MAX: usize = 64;
    let hex = subject.hex();
    let hex = &hex[..hex.len().min(HEX_MAX)];
    format!("{}-{hex}", subject.algorithm().name()).parse().ok()
}

fn referrer(descriptor: Descriptor) -> Referrer {
    let annotations = descriptor
        .annotations
        .as_ref()
        .map(|annotations| serde_json::to_string(annotations).expect("a map of text is JSON"));
    Referrer {
        digest: descriptor.digest,
        media_type: descriptor.media_type.as_str().to_owned(),
        size_bytes: descriptor.size,
        artifact_type: descriptor.artifact_type,
        annotations,
    }
}
