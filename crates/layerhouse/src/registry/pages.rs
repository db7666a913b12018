//! Lists, a page at a time and in byte order: repositories, tags, referrers.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use layerhouse_oci::descriptor::Descriptor;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::manifest::Manifest;
use layerhouse_oci::tag::Tag;

use super::Registry;
use crate::auth::{Granted, GrantedBrowse, Pull};
use crate::fault::Fault;
use crate::meta;
use crate::meta::manifests::{Referrer, ReferrersQuery};
use crate::meta::tags::Tagged;

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
    pub(super) fn cut(mut items: Vec<T>, limit: usize) -> Self {
        let has_more = limit < items.len();
        items.truncate(limit);
        Self { items, has_more }
    }
}

/// Referrers of one page: a descriptor is some 300 bytes, with annotations a few thousand.
const REFERRERS_MAX: usize = 1000;
/// A page's size: clients bound an index at 4 MiB.
const REFERRERS_BYTES_MAX: usize = 4_000_000;
/// Longest annotations shown in the list; the manifest itself has them all.
const ANNOTATIONS_BYTES_MAX: usize = 64 << 10;
const _: () = assert!(4 * ANNOTATIONS_BYTES_MAX < REFERRERS_BYTES_MAX);

impl Registry {
    /// Names of repositories that the caller may see.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn list_repositories(
        &self,
        browse: &GrantedBrowse,
        query: PageQuery<'_>,
    ) -> Result<Page<String>, Fault> {
        let (viewer, wanted) = (browse.viewer(), query.limit + 1);
        let names = self.database.list(|tx| {
            if viewer.sees_all() {
                return meta::repositories::list(tx, query.after, wanted);
            }
            let mut seen = Vec::new();
            meta::repositories::each(tx, query.after, |name, visibility| {
                if viewer.sees(name, visibility) {
                    seen.push(name.to_owned());
                }
                if seen.len() < wanted {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            })?;
            Ok::<_, Fault>(seen)
        })?;
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
        self.database.list(|tx| {
            let Some(id) = meta::repositories::find_present(tx, pull.repository())? else {
                return Ok(None);
            };
            let tags = meta::tags::list(tx, id, query.after, query.limit + 1)?;
            Ok(Some(Page::cut(tags, query.limit)))
        })
    }

    /// The same with what they point at.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) fn list_tagged(
        &self,
        pull: &Granted<Pull>,
        query: PageQuery<'_>,
    ) -> Result<Option<Page<Tagged>>, Fault> {
        self.database.list(|tx| {
            let Some(id) = meta::repositories::find_present(tx, pull.repository())? else {
                return Ok(None);
            };
            let tags = meta::tags::list_tagged(tx, id, query.after, query.limit + 1)?;
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
            };
            let mut rows = Gathered::default();
            let take = |referrer| rows.take(referrer);
            meta::manifests::each_referrer(tx, id, query, ANNOTATIONS_BYTES_MAX, take)?;
            let folded = fallback_referrers(tx, pull, query)?;
            if folded.is_empty() {
                return Ok(rows.page);
            }
            // What was pushed with a subject wins over what a client wrote down about it.
            let mut all: BTreeMap<String, Referrer> = folded
                .into_iter()
                // Beyond the rows of this page nothing may be folded in: the next one has it.
                .filter(|referrer| !rows.page.has_more || !rows.is_beyond(referrer))
                .map(|referrer| (referrer.digest.as_str().to_owned(), referrer))
                .collect();
            let has_more = rows.page.has_more;
            let of_rows = rows.page.items.into_iter();
            all.extend(of_rows.map(|row| (row.digest.as_str().to_owned(), row)));
            let mut merged = Gathered::default();
            for referrer in all.into_values() {
                if merged.take(referrer).is_break() {
                    break;
                }
            }
            merged.page.has_more |= has_more;
            Ok(merged.page)
        })
    }
}

/// A page of referrers that takes as many as it may hold.
#[derive(Debug)]
struct Gathered {
    page: Page<Referrer>,
    page_bytes: usize,
}

impl Default for Gathered {
    fn default() -> Self {
        let page = Page {
            items: Vec::new(),
            has_more: false,
        };
        Self {
            page,
            page_bytes: 0,
        }
    }
}

impl Gathered {
    fn take(&mut self, referrer: Referrer) -> ControlFlow<()> {
        // Names, quotes, media type and digest, then what the client may make long.
        let bytes = 300
            + referrer.artifact_type.as_deref().map_or(0, str::len)
            + referrer.annotations.as_deref().map_or(0, str::len);
        let is_full = REFERRERS_BYTES_MAX < self.page_bytes + bytes;
        if REFERRERS_MAX == self.page.items.len() || (is_full && !self.page.items.is_empty()) {
            self.page.has_more = true;
            return ControlFlow::Break(());
        }
        self.page_bytes += bytes;
        self.page.items.push(referrer);
        ControlFlow::Continue(())
    }

    /// Whether it comes after all that was taken.
    fn is_beyond(&self, referrer: &Referrer) -> bool {
        let last = self.page.items.last();
        last.is_some_and(|last| last.digest.as_str() < referrer.digest.as_str())
    }
}

/// What clients recorded under the fallback tag.
fn fallback_referrers(
    tx: &meta::transaction::Transaction<'_>,
    pull: &Granted<Pull>,
    query: ReferrersQuery<'_>,
) -> Result<Vec<Referrer>, Fault> {
    let Some(tag) = fallback_tag(query.subject) else {
        return Ok(Vec::new());
    };
    let index = meta::manifests::by_tag(tx, pull.repository().as_str(), tag.as_str())?;
    let Some(index) = index.and_then(|index| Manifest::parse(&index.content, None).ok()) else {
        return Ok(Vec::new());
    };
    let is_wanted = |descriptor: &Descriptor| {
        let is_after = query
            .after
            .is_none_or(|after| after < descriptor.digest.as_str());
        let artifact_type = descriptor.artifact_type.as_deref();
        is_after && (query.artifact_type.is_none() || query.artifact_type == artifact_type)
    };
    let wanted = index.manifests.into_iter().filter(is_wanted);
    Ok(wanted.map(referrer).collect())
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
        .map(|annotations| serde_json::to_string(annotations).expect("a map of text is JSON"))
        .filter(|annotations| annotations.len() <= ANNOTATIONS_BYTES_MAX);
    Referrer {
        digest: descriptor.digest,
        media_type: descriptor.media_type.as_str().to_owned(),
        size_bytes: descriptor.size,
        artifact_type: descriptor.artifact_type,
        annotations,
    }
}
