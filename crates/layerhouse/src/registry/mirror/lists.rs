//! Lists of an upstream's: its tags, and what refers to a manifest of its.

use bytes::Bytes;
use layerhouse_oci::digest::Digest;
use layerhouse_oci::tag::Tag;

use super::MirrorError;
use super::routing::Source;
use crate::auth::{Granted, Pull};
use crate::registry::Registry;
use crate::registry::pages::{Page, PageQuery};

/// Largest list of referrers that is read; clients bound an index at 4 MiB.
const REFERRERS_BYTES_MAX: usize = 4 << 20;

impl Registry {
    /// A page of the upstream's tags; of the copy's, if it cannot be asked. `pull` is for the copy.
    ///
    /// # Errors
    /// The upstream cannot be asked, and there is no copy.
    pub(crate) async fn list_tags_through(
        &self,
        pull: &Granted<Pull>,
        source: &Source,
        query: PageQuery<'_>,
    ) -> Result<Page<String>, MirrorError> {
        if query.limit == 0 {
            let (items, has_more) = (Vec::new(), false);
            return Ok(Page { items, has_more });
        }
        let listed = if source.mirror.settings.is_offline {
            Err(MirrorError::Offline)
        } else {
            let upstream = &source.served.upstream;
            let tags = upstream.tags(&source.repository, query.limit, query.after);
            tags.await.map_err(MirrorError::from)
        };
        match listed {
            Ok(mut tags) => {
                let has_more = query.limit <= tags.len();
                tags.truncate(query.limit);
                let items = tags.iter().map(|tag: &Tag| tag.as_str().to_owned());
                let items = items.collect();
                Ok(Page { items, has_more })
            }
            Err(error) => self.list_tags(pull, query)?.ok_or(error),
        }
    }

    /// What an upstream lists as referring to a manifest, as it sent it; `None` if it cannot be asked or keeps no
    /// such list: then what is here is all that is known.
    pub(crate) async fn referrers_through(
        &self,
        source: &Source,
        subject: &Digest,
    ) -> Option<Bytes> {
        if source.mirror.settings.is_offline {
            return None;
        }
        let upstream = &source.served.upstream;
        let listed = upstream.referrers(&source.repository, subject, REFERRERS_BYTES_MAX);
        listed.await.ok()
    }
}
