//! `layerhouse.cache`: files of this machine for blobs that are objects of a bucket.

use std::path::PathBuf;

use crate::blobs::cache::{CACHE_BYTES_MIN, Settings};
use crate::blobs::objects::settings::Buckets;
use crate::config::reader::Section;

/// `is_passed_by`: pulls from the bucket without a name are sent elsewhere, whatever it says.
pub(in crate::config) fn read(
    ours: &Section<'_>,
    buckets: &Buckets,
    is_passed_by: bool,
) -> Option<Settings> {
    let cache = ours.section("cache");
    let directory = cache.text("directory").map(PathBuf::from);
    let size = cache.has("size").then(|| cache.size("size", 0));
    let Some(bytes_max) = size else {
        // How much disk it may take is the operator's to say.
        if cache.is_given() {
            cache.refuse(
                "size",
                "is missing: say how much of the disk it may take, as 50 GiB",
            );
        }
        return None;
    };
    let (default, mut named) = (buckets.default.as_ref(), buckets.named.values());
    if default.is_none() && named.len() == 0 {
        ours.refuse(
            "cache",
            "goes with an object store; blobs that are files are served from where they are",
        );
        return None;
    }
    if bytes_max < CACHE_BYTES_MIN {
        cache.refuse(
            "size",
            "must be at least 16 MiB; leave the section out for no cache",
        );
    }
    let is_asked = default.is_some_and(|bucket| !bucket.redirects && !is_passed_by)
        || named.any(|bucket| !bucket.redirects);
    if !is_asked {
        ours.warn(
            "cache",
            "is for pulls that pass through the registry, and they are sent to the store: write \
             storage.redirect.disable: true, or leave it out",
        );
    }
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    Some(Settings {
        bytes_max,
        directory: directory.map(absolute),
    })
}
